"""How far a run's figures carry: tests by domain, several completions a problem, cost, and what was registered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from typing_extensions import TypedDict

from warmup_rl.base.jsonl import read_json
from warmup_rl.base.stats import MIN_SEEDS, bootstrap, holm, mean, standard_error, t_test
from warmup_rl.base.untrusted import shaped
from warmup_rl.report import measures
from warmup_rl.report.claims import Claim, claims, compare, share
from warmup_rl.report.load import Run
from warmup_rl.report.measures import When, teacher_flops
from warmup_rl.report.models import Row
from warmup_rl.report.outputs import Graded, Reading
from warmup_rl.run.provenance import claims_digest

GUESSED = 0.5
"""pass@k is left out where k guesses reach it."""
COVER = 0.5
_COMPARED = (
    "transfer.recipe_prompt", "transfer.best_prompt", "transfer.format_only", "end.steps.target", "end.steps.mean",
    "retention.base.trained", "retention.warmup.trained", "retention.warmup.mean",
)  # fmt: skip


@dataclass(frozen=True)
class DomainTest:
    """The difference between the compared arms on one domain.

    Attributes:
        p: corrected over the domains; None below 6 seeds.
        within: 95% bootstrap interval over the problems of these models alone, which says nothing about other seeds;
            None where there are seeds enough for an interval over them.
    """

    claim: Claim
    p: float | None
    within: tuple[float, float] | None = None


def domain_tests(run: Run) -> tuple[DomainTest, ...]:
    """Warmup against base on each measured domain, before and after the target stage."""
    warmup, base = measures.compared(run)
    found: list[DomainTest] = []
    families: dict[str, When] = {"": "start", f" + {run.method}": "end"}
    for after, when in families.items():
        tested = []
        for domain in run.measured:
            left, right = (partial(measures.arm_accuracy, run, arm, when, (domain,)) for arm in (warmup, base))
            sides = (f"warmup{after}", left), (f"base{after}", right)
            question = " - ".join(name for name, _ in sides)
            claim = compare(run, f"domain.{when}.{domain}", question, domain, *sides)
            if not claim.untestable:
                tested.append(claim)
        corrected = holm([t_test(list(claim.values.values())) for claim in tested])
        found += [DomainTest(claim, p, _within(run, claim, when)) for claim, p in zip(tested, corrected, strict=True)]
    return tuple(found)


def _within(run: Run, claim: Claim, when: When) -> tuple[float, float] | None:
    """The interval over problems, paired by problem, where there are too few seeds for one over seeds."""
    differences: dict[str, list[float]] = {}
    for seed in () if len(claim.values) >= MIN_SEEDS else claim.values:
        for arm, sign in zip(measures.compared(run), (1, -1), strict=True):
            model = measures.model(run, arm, seed, when)
            rows = model.graded.get((run.headline, model.style, claim.where), {})
            size = len(claim.values) * max(Counter(problem for problem, _ in rows).values(), default=1)
            for (problem, _), row in rows.items():
                differences.setdefault(problem, []).append(sign * (row["verdict"] == "correct") / size)
    return bootstrap([sum(one) for one in differences.values()], claim.id) if differences else None


@dataclass(frozen=True)
class Instrument:
    """A way to measure accuracy, and what the main claims come to under it, by their ids."""

    sampling: str
    reading: Reading
    claims: Mapping[str, Claim]

    @property
    def name(self) -> str:
        return f"{self.sampling}, {self.reading}"


def instruments(run: Run, own: Sequence[Claim]) -> tuple[Instrument, ...]:
    """The report's own instrument, the other readings of the same completions, and the other samplings.

    Args:
        own: the claims under the first of them.
    """
    ways = [(run.headline, reading) for reading in get_args(Reading)]
    ways += [(sampling, "lenient") for sampling in run.samplings if sampling != run.headline]
    found: list[Instrument] = []
    for sampling, reading in ways:
        other = replace(run, sampling="" if sampling == run.headline else sampling, reading=reading)
        by_id = {claim.id: claim for claim in (claims(other) if found else own)}
        found.append(Instrument(sampling, reading, {id: by_id[id] for id in _COMPARED if id in by_id}))
    return tuple(found)


@dataclass(frozen=True)
class Samples:
    """Several completions a problem of one model on one domain, mean over seeds.

    Attributes:
        average: avg@k.
        error: its standard error, over seeds from 3 seeds on, otherwise over the problems of a model.
        majority: share of problems whose most frequent answer is correct; the first sampled wins ties.
        cover: Cover@`COVER` (arXiv 2510.08325): share of problems with at least that share of correct completions.
        any: pass@k; None where guessing alone would come to `GUESSED`.
    """

    model: str
    domain: str
    sampling: str
    samples: int
    average: float
    error: float
    majority: float
    cover: float
    any: float | None


def samples(run: Run, rows: Sequence[Row]) -> tuple[Samples, ...]:
    """All measurements with more than one completion a problem."""
    found = []
    for sampling in run.samplings:
        for row in rows:
            for domain in run.measured:
                cells, graded = row.cells(domain, sampling), row.graded(domain, sampling)
                if graded and all(cells[seed].samples > 1 for seed in graded):
                    k = min(cells[seed].samples for seed in graded)
                    chance = mean([cells[seed].chance for seed in graded])
                    found.append(_sampled((row.name, domain, sampling, k), list(graded.values()), chance))
    return tuple(found)


def _sampled(place: tuple[str, str, str, int], seeds: Sequence[Graded], chance: float) -> Samples:
    by_seed = []
    for rows in seeds:
        problems: dict[str, list[Mapping[str, Any]]] = {}
        for (problem, _), row in sorted(rows.items()):
            problems.setdefault(problem, []).append(row)
        by_seed.append(list(problems.values()))
    right = [[mean([row["verdict"] == "correct" for row in one]) for one in problems] for problems in by_seed]
    averages = [mean(shares) for shares in right]
    errors = averages if len(averages) >= MIN_SEEDS else right[0]
    guessed = 1 - (1 - chance) ** place[3]
    passed = mean([mean([share > 0 for share in shares]) for shares in right]) if guessed <= GUESSED else None
    majority = mean([mean([_majority(one) for one in problems]) for problems in by_seed])
    cover = mean([mean([share >= COVER for share in shares]) for shares in right])
    return Samples(*place, mean(averages), standard_error(errors), majority, cover, passed)


def _majority(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the most frequent answer is correct; completions without an answer have no vote."""
    votes = Counter(row["extracted"] for row in rows if row["verdict"] != "none")
    winner = votes.most_common(1)[0][0] if votes else None
    return any(row["verdict"] == "correct" for row in rows if row["verdict"] != "none" and row["extracted"] == winner)


@dataclass(frozen=True)
class Cost:
    """What one seed of an arm costs after the base model, without evaluation; means over seeds.

    Attributes:
        taught: tokens that a teacher wrote.
        trained: tokens with loss in supervised training, over all epochs.
        generated: tokens of rollouts.
        seconds: wall clock of the stages.
        flops: of training and of teachers that are models.
    """

    arm: str
    taught: float
    trained: float
    generated: float
    seconds: float
    flops: float


def costs(run: Run) -> tuple[Cost, ...]:
    """Of each arm that has done more than evaluate."""
    found = []
    for arm, trials in run.trials.items():
        spent = []
        for trial in trials.values():
            stages = [stage for stage in trial.stages if stage.role not in ("pretraining", "evaluation")]
            taught = [stage for stage in stages if stage.role == "traces" and stage.type == "distill"]
            size = max((stage.number("parameters") for stage in trial.stages), default=0.0)
            figures = (
                sum(stage.number("tokens") for stage in taught),
                *(sum(stage.number(name) for stage in stages) for name in ("trained_tokens", "generated_tokens")),
                sum(stage.seconds for stage in stages),
                sum(stage.number("flops") for stage in stages) + teacher_flops(taught, size),
            )
            spent += [figures] if stages else []
        if spent:
            found.append(Cost(arm, *(mean(values) for values in zip(*spent, strict=True))))
    return tuple(found)


class _Registered(TypedDict):
    claims: dict[str, Any]
    seeds: list[int]
    utc: str
    revision: str | None
    sha256: str


@dataclass(frozen=True)
class Registration:
    """What a run fixed before its first stage ran.

    Attributes:
        stated: when, by which revision, and what.
        deviations: what is reported otherwise, and a record that was edited; `grave` are those that are not merely
            trials to come.
    """

    stated: str
    deviations: tuple[str, ...]
    grave: tuple[str, ...]

    def __str__(self) -> str:
        changed = f"Deviations: {'; '.join(self.deviations)}." if self.deviations else "Reported as registered."
        return f"{self.stated} {changed}"


def registration(run: Run) -> Registration | None:
    """None if the run compares nothing, or did not record it."""
    path = run.folder / "run.json"
    given = read_json(path, delete=run.folder).get("registered")
    if not given or not run.compares:
        return None
    record = shaped(_Registered, given, path, "Run the recipe again to rewrite it.")
    fixed, now = record["claims"], run.claims.model_dump(mode="json")
    grave = [f"{key} {fixed.get(key)} → {value}" for key, value in now.items() if fixed.get(key) != value]
    if added := sorted(set(run.seeds) - set(record["seeds"])):
        grave.append(f"seeds that were not planned: {', '.join(map(str, added))}")
    if claims_digest(fixed) != record["sha256"]:
        grave.append("the record does not match its SHA-256")
    absent = sorted(set(record["seeds"]) - set(run.seeds))
    missing = [f"planned seeds without a trial: {', '.join(map(str, absent))}"] if absent else []
    revision = f", revision {record['revision']}" if record["revision"] else ""
    roles = {"warmup": "warmup arm", "base": "base arm", "format_only": "control arm"}
    listed = [
        f"{roles.get(key, key)} {value}"
        for key, value in fixed.items()
        if value is not None and (key not in roles or value in run.recipe.arms)
    ]
    stated = (
        f"Registered before the first stage ran, {record['utc']}{revision}, SHA-256 {record['sha256'][:12]}: "
        f"{', '.join(listed)}, seeds {', '.join(map(str, record['seeds']))}."
    )
    return Registration(stated, (*grave, *missing), tuple(grave if run.unfinished else [*grave, *missing]))


def contamination(run: Run) -> list[str]:
    """Whether the base model has seen the questions of each published domain in pretraining, one sentence each."""
    records = [read_json(path) for path in sorted(run.folder.parent.glob("contamination/*.json"))]
    mine = [record for record in records if _is_base(run, record)]
    texts = []
    for name in run.measured:
        domain = run.recipe.domains[name].get("type", name)
        measured = [_completed(name, record) for record in mine if record["domain"] == domain]
        texts += measured
        if not measured and name in run.public:
            command = f"python -m warmup_rl contamination --model {run.recipe.model or 'MODEL'} --domain {domain}"
            texts.append(
                f"Whether the base model has seen questions of {name} in pretraining was not measured: `{command}`."
            )
    return texts


def _is_base(run: Run, record: Mapping[str, Any]) -> bool:
    """Whether a measurement is of the model that the run starts from, or that its first stage made."""
    if run.recipe.model:
        wanted = (run.recipe.model, run.recipe.model_revision)
        return (record["model"], record.get("revision")) == wanted
    made = {(stage.folder / "model").resolve() for stage in run.stages("pretraining")}
    return Path(record["model"]).resolve() in made


def _completed(name: str, record: Mapping[str, Any]) -> str:
    found, control = record["found"], record["control"]
    shares = [f"{share(kind['share'])} [{share(kind['low'])}, {share(kind['high'])}]" for kind in (found, control)]
    return (
        f"The base model completes {found['whole']} of {found['questions']} {record['split']} questions of {name} word "
        f"for word from their first {record['shown']:.0%} ({shares[0]}; of generated ones {shares[1]}). "
        f"{record['verdict']}"
    )
