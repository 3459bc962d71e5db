"""Everything that a report shows about a run, computed once."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from warmup_rl.base.stats import mean
from warmup_rl.report import measures
from warmup_rl.report.claims import Claim, Meeting, claims, compare, meeting
from warmup_rl.report.evidence import (
    Cost,
    DomainTest,
    Instrument,
    Samples,
    costs,
    domain_tests,
    instruments,
    registration,
    samples,
)
from warmup_rl.report.load import Run, Trial
from warmup_rl.report.measures import Gain, gains, models
from warmup_rl.report.models import Accuracy, Row, average, model_rows
from warmup_rl.report.outputs import StageOutput


@dataclass(frozen=True)
class Outcome:
    """One arm of an ablation before its target stage, over all seeds that have it.

    Attributes:
        transfer, puzzles: accuracy, mean over the transfer domains and over Knights & Knaves.
        differences: to base and to the reference arm (`claims.warmup`) in transfer accuracy, by that arm.
        tokens_per_answer: mean length of an answer on the transfer domains.
        cut_off: share of these answers that reached the token limit.
        steps, trained_tokens: optimizer steps and tokens with loss in the warmup, mean over seeds; 0 without warmup.
        taught: digest of the traces and settings of each warmup, as JSON; equal for arms that were trained alike.
    """

    arm: str
    transfer: Accuracy
    puzzles: Accuracy | None
    differences: Mapping[str, Claim]
    tokens_per_answer: float
    cut_off: float
    steps: float
    trained_tokens: float
    taught: str


def ablation(run: Run) -> tuple[Outcome, ...]:
    """All arms in the recipe's order; empty unless the run has other arms than those that the claims name."""
    if (
        not run.compares
        or not run.transfer
        or not set(run.trials) - {run.claims.base, run.claims.warmup, run.claims.format_only}
    ):
        return ()
    outcomes = []
    for arm, trials in run.trials.items():
        row = Row(arm, "other", False, {seed: (model, None) for seed, model in models(run, arm, "start").items()})
        transfer = row.accuracy(run.transfer, run.headline)
        if transfer is None:
            continue
        cells = [cell for domain in run.transfer for cell in row.cells(domain, run.headline).values()]
        warmups = [stage for trial in trials.values() for stage in trial.stages if stage.role == "warmup"]
        steps, trained = (mean([one.number(key) for one in warmups] or [0.0]) for key in ("steps", "trained_tokens"))
        length, cut_off = (average(cells, name) or 0.0 for name in ("tokens", "truncated"))
        puzzles = row.accuracy(run.puzzles, run.headline)
        taught = _taught(trials.values())
        differences = _differences(run, arm)
        outcomes.append(Outcome(arm, transfer, puzzles, differences, length, cut_off, steps, trained, taught))
    return tuple(outcomes)


def _taught(trials: Iterable[Trial]) -> str:
    """Empty where the digest of some traces, or a warmup, is missing."""
    parts = []
    for trial in trials:
        traces = ""
        for stage in trial.stages:
            if stage.role == "traces":
                traces = stage.files.get("traces.jsonl", {}).get("sha256", "")
            elif stage.role == "warmup":
                if not traces:
                    return ""
                parts.append((traces, stage.config))
    return json.dumps(parts, sort_keys=True) if parts else ""


@dataclass(frozen=True)
class Course:
    """How the warmup of an arm went: what its probe measured at equal shares of the training, means over seeds.

    Attributes:
        loss: of held-out traces, in nats a token.
        accuracy: on held-out problems, by domain.
    """

    arm: str
    loss: tuple[float, ...]
    accuracy: Mapping[str, tuple[float, ...]]


def courses(run: Run) -> tuple[Course, ...]:
    """For each arm whose warmups were measured while they trained."""
    found = []
    for arm, trials in run.trials.items():
        stages = [stage for trial in trials.values() for stage in trial.stages if stage.role == "warmup"]
        points = list(zip(*(stage.summary["probe"] for stage in stages if stage.summary.get("probe")), strict=False))
        loss = tuple(mean([one["loss"] for one in point]) for point in points)
        accuracy = {
            name: tuple(mean([one["accuracy"][name] for one in point]) for point in points)
            for name in (points[0][0]["accuracy"] if points else ())
        }
        found += [Course(arm, loss, accuracy)] if points else []
    return tuple(found)


def _differences(run: Run, arm: str) -> dict[str, Claim]:
    where, found = f"mean of {', '.join(run.transfer)}", {}
    for other in (one for one in measures.compared(run) if one != arm and one in run.trials):
        left, right = ((one, partial(measures.arm_accuracy, run, one, "start", run.transfer)) for one in (arm, other))
        claim = compare(run, f"ablation.{arm}.{other}", f"{arm} - {other}", where, left, right)
        if not claim.untestable:
            found[other] = claim
    return found


@dataclass(frozen=True)
class Labels:
    """Number of distinct labelled problems of a domain that an arm used, by seed: for each use, and in total."""

    arm: str
    domain: str
    uses: Mapping[str, Mapping[int, int]]
    in_all: Mapping[int, int]


def labels(run: Run) -> tuple[Labels, ...]:
    """The label budget by domain and arm, over all stages and folds; empty if it is not recorded."""
    touched: dict[tuple[str, str], dict[int, dict[str, set[str]]]] = defaultdict(dict)
    for trial in run.every_trial:
        for stage in (stage for one in (trial, *trial.folds.values()) for stage in one.stages):
            for use, by_domain in stage.touched.items():
                for domain, ids in by_domain.items():
                    used = touched[domain, trial.arm].setdefault(trial.seed, {})
                    used.setdefault(use, set()).update(ids)
    found = []
    for domain, arm in sorted(touched, key=lambda place: list(run.recipe.domains).index(place[0])):
        by_seed = touched[domain, arm]
        uses = dict.fromkeys(use for counts in by_seed.values() for use in counts)
        by_use = {use: {seed: len(used.get(use, ())) for seed, used in by_seed.items()} for use in uses}
        found.append(
            Labels(arm, domain, by_use, {seed: len(set().union(*used.values())) for seed, used in by_seed.items()})
        )
    return tuple(found)


@dataclass(frozen=True)
class Provenance:
    """What the records of a run's finished stages say.

    Attributes:
        revisions: by git revision (`...-dirty` with uncommitted changes), how many stages of each type it made.
        versions: by library, its versions; without a git revision the package's own counts as the revision.
        stale: `ARM, seed N: STAGE` of outputs that were reused although their code has changed.
        warnings: shown before the figures.
    """

    revisions: dict[str, dict[str, int]]
    versions: dict[str, list[str]]
    stale: list[str]
    warnings: list[str]

    def __str__(self) -> str:
        libraries = ", ".join(f"{name} {' and '.join(found)}" for name, found in self.versions.items())
        made = f"Made by revision {', '.join(self.revisions)} with {libraries}. " if self.revisions else ""
        return f"{made}The recipe is `../recipe.yaml`; the same again: `warmup-rl train recipe.yaml`."


def provenance(run: Run) -> Provenance:
    """Reads the records of all finished stages, each output once."""
    trials = [one for trial in run.every_trial for one in (trial, *trial.folds.values())]
    outputs = {stage.folder: stage for trial in trials for stage in trial.stages}
    made: dict[str, Counter[str]] = defaultdict(Counter)
    libraries: dict[str, set[str]] = defaultdict(set)
    for stage in outputs.values():
        versions = dict(stage.versions)
        package = versions.pop("warmup_rl", "not recorded")
        made[versions.pop("git", package)][stage.type] += 1
        for name, version in versions.items():
            libraries[name].add(version)
    stale = dict.fromkeys(f"{t.arm}, seed {t.seed}: {stage.id}" for t in trials for stage in t.stages if stage.stale)
    revisions = {revision: dict(types) for revision, types in sorted(made.items())}
    listed = [f"{one} ({', '.join(f'{count} {type}' for type, count in of.items())})" for one, of in revisions.items()]
    mixed = [f"{name} ({', '.join(sorted(found))})" for name, found in libraries.items() if len(found) > 1]
    dirty = [revision for revision in revisions if revision.endswith("-dirty")]
    registered = registration(run)
    changed = registered.grave if registered else ()
    warnings: dict[str, Any] = {
        f"Not as registered: {'; '.join(changed)}.": changed,
        f"The stages were made by {len(revisions)} revisions of the code: {'; '.join(listed)}.": len(revisions) > 1,
        f"Made with uncommitted changes, which no revision records: {', '.join(dirty)}.": dirty,
        f"The stages were made with several versions of {', '.join(mixed)}.": mixed,
        f"Reused though code or an endpoint behind them has changed since (--reuse-stale): {'; '.join(stale)}.": stale,
    }
    for line in _alarms(outputs.values()):
        warnings[line] = True
    every = {name: sorted(found) for name, found in libraries.items()}
    return Provenance(revisions, every, list(stale), [text for text, holds in warnings.items() if holds])


def _alarms(outputs: Iterable[StageOutput]) -> Iterator[str]:
    """A line for each health rule that held in trainings of the run, by stage."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for stage in outputs:
        for alarm in {one["rule"]: one for one in reversed(stage.summary.get("alarms") or ())}.values():
            found[stage.id, alarm["rule"]].append(alarm)
    for (stage_id, rule), raised in found.items():
        steps = ", ".join(str(one["step"]) for one in raised if "step" in one)
        yield f"{stage_id}: the health rule {rule} held{f' from step {steps} on' * bool(steps)}: {raised[0]['text']}"


@dataclass(frozen=True)
class Findings:
    """Everything computed from a run's files; `outcomes` are the arms of an ablation, if the run is one."""

    run: Run
    provenance: Provenance
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    meeting: Meeting
    gains: tuple[Gain, ...]
    outcomes: tuple[Outcome, ...]
    courses: tuple[Course, ...]
    labels: tuple[Labels, ...]
    domains: tuple[DomainTest, ...]
    instruments: tuple[Instrument, ...]
    samples: tuple[Samples, ...]
    costs: tuple[Cost, ...]

    @property
    def by_id(self) -> dict[str, Claim]:
        return {claim.id: claim for claim in self.claims}


def compute(run: Run) -> Findings:
    """The findings of a run. Raises `DataError` if a file is broken."""
    rows = model_rows(run)
    measured = claims(run), meeting(run), gains(run)
    compared = (domain_tests(run), instruments(run, measured[0])) if run.compares else ((), ())
    described = ablation(run), courses(run), labels(run)
    return Findings(run, provenance(run), rows, *measured, *described, *compared, samples(run, rows), costs(run))
