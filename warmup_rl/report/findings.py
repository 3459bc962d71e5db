"""All that a report shows of a run, computed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from warmup_rl.base.stats import mean
from warmup_rl.report import measures
from warmup_rl.report.claims import Claim, Meeting, claims, compare, meeting
from warmup_rl.report.load import Run
from warmup_rl.report.measures import Gain, gains
from warmup_rl.report.models import Accuracy, Row, average, model_rows, models
from warmup_rl.report.provenance import Provenance, provenance


@dataclass(frozen=True)
class Outcome:
    """One arm of an ablation before its target stage, over all seeds that have it.

    Attributes:
        transfer, puzzles: accuracy, mean over the transfer domains and over Knights & Knaves.
        differences: to base and to the reference arm (`claims.warmup`) in transfer accuracy, by that arm.
        tokens_per_answer: mean length of an answer on the transfer domains.
        cut_off: share of answers there that the token budget ended.
        steps, trained_tokens: optimizer steps and tokens that carried loss in the warmup, mean over seeds; 0 without.
    """

    arm: str
    transfer: Accuracy
    puzzles: Accuracy | None
    differences: Mapping[str, Claim]
    tokens_per_answer: float
    cut_off: float
    steps: float
    trained_tokens: float


def ablation(run: Run) -> tuple[Outcome, ...]:
    """Every arm in the recipe's order; empty unless there are arms beside those that the claims name."""
    if not run.transfer or not set(run.trials) - {run.claims.base, run.claims.warmup, run.claims.format_only}:
        return ()
    outcomes = []
    for arm, trials in run.trials.items():
        row = Row(arm, "other", False, {seed: (model, None) for seed, model in models(run, arm, "start").items()})
        transfer = row.accuracy(run.transfer, run.headline)
        if transfer is None:
            continue
        cells = [cell for domain in run.transfer for cell in row.cells(domain, run.headline).values()]
        warmups = [stage for trial in trials.values() for stage in trial.stages if stage.role == "warmup"]
        spent = (mean([one.number(key) for one in warmups] or [0.0]) for key in ("steps", "trained_tokens"))
        answers = (average(cells, name) or 0.0 for name in ("tokens", "truncated"))
        puzzles = row.accuracy(run.puzzles, run.headline)
        outcomes.append(Outcome(arm, transfer, puzzles, _differences(run, arm), *answers, *spent))
    return tuple(outcomes)


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
    """How many distinct problems with a reference answer an arm used of a domain: by use, and in all, by seed."""

    arm: str
    domain: str
    uses: Mapping[str, Mapping[int, int]]
    in_all: Mapping[int, int]


def labels(run: Run) -> tuple[Labels, ...]:
    """The label budget by domain, then arm, whatever the number of stages and folds; empty if it is not recorded."""
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
class Findings:
    """What is computed from a run's files; `outcomes` are the arms of an ablation, if the run is one."""

    run: Run
    provenance: Provenance
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    meeting: Meeting
    gains: tuple[Gain, ...]
    outcomes: tuple[Outcome, ...]
    labels: tuple[Labels, ...]

    @property
    def by_id(self) -> dict[str, Claim]:
        return {claim.id: claim for claim in self.claims}


def compute(run: Run) -> Findings:
    """Raises `DataError` where a file that is needed is broken."""
    measured = claims(run), meeting(run), gains(run)
    return Findings(run, provenance(run), model_rows(run), *measured, ablation(run), labels(run))
