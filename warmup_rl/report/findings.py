"""All that a report shows of a run, computed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from warmup_rl.base.stats import mean
from warmup_rl.report import measures
from warmup_rl.report.claims import Claim, Meeting, claims, compare, meeting
from warmup_rl.report.load import Run
from warmup_rl.report.measures import Gain, gains
from warmup_rl.report.models import Accuracy, Row, model_rows, models
from warmup_rl.report.provenance import Provenance, provenance


@dataclass(frozen=True)
class Outcome:
    """One arm of an ablation before its target stage, over all seeds that have it.

    Attributes:
        transfer, puzzles: accuracy, mean over the transfer domains and over Knights & Knaves.
        to_base, to_reference: difference in transfer accuracy, paired by seed; None for the arm itself.
        tokens: mean length of an answer on the transfer domains.
        cut_off: share of answers there that the token budget ended.
        steps, trained: optimizer steps and tokens that carried loss in the warmup, mean over seeds; 0 without.
    """

    arm: str
    transfer: Accuracy
    puzzles: Accuracy | None
    to_base: Claim | None
    to_reference: Claim | None
    tokens: float
    cut_off: float
    steps: float
    trained: float

    def to_json(self) -> dict[str, Any]:
        """For summary.json."""
        return {
            "arm": self.arm,
            "transfer": self.transfer.value,
            "interval": [self.transfer.low, self.transfer.high],
            "by_seed": dict(self.transfer.by_seed),
            "puzzles": self.puzzles.value if self.puzzles else None,
            "to_base": self.to_base.to_json() if self.to_base else None,
            "to_reference": self.to_reference.to_json() if self.to_reference else None,
            "tokens_per_answer": self.tokens,
            "cut_off": self.cut_off,
            "steps": self.steps,
            "trained_tokens": self.trained,
        }


def ablation(run: Run) -> tuple[Outcome, ...]:
    """Every arm in the recipe's order; empty unless there are arms beside those that the claims name."""
    if not run.transfer or not set(run.trials) - {run.claims.base, run.claims.warmup, run.claims.format_only}:
        return ()
    outcomes = (_outcome(run, arm) for arm in run.trials)
    return tuple(outcome for outcome in outcomes if outcome)


def _outcome(run: Run, arm: str) -> Outcome | None:
    row = Row(arm, "other", False, {seed: (model, None) for seed, model in models(run, arm, "start").items()})
    transfer = row.accuracy(run.transfer, run.headline)
    if transfer is None:
        return None
    cells = [cell for domain in run.transfer for cell in row.cells(domain, run.headline).values()]
    trainings = [stage for trial in run.trials[arm].values() for stage in trial.stages if stage.role == "warmup"]

    def spent(what: str) -> float:
        return mean([stage.number(what) for stage in trainings]) if trainings else 0.0

    return Outcome(
        arm=arm,
        transfer=transfer,
        puzzles=row.accuracy(run.puzzles, run.headline),
        to_base=_difference(run, arm, run.claims.base),
        to_reference=_difference(run, arm, run.claims.warmup),
        tokens=mean([cell.tokens for cell in cells]),
        cut_off=mean([cell.truncated for cell in cells]),
        steps=spent("steps"),
        trained=spent("trained_tokens"),
    )


def _difference(run: Run, arm: str, other: str) -> Claim | None:
    if arm == other or other not in run.trials:
        return None

    def value(of: str, seed: int) -> float:
        return measures.accuracy(run, measures.model(run, of, seed, "start"), run.transfer)

    sides = (arm, partial(value, arm)), (other, partial(value, other))
    claim = compare(run, f"ablation.{arm}.{other}", f"{arm} - {other}", f"mean of {', '.join(run.transfer)}", *sides)
    return None if claim.untestable else claim


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


def compute(run: Run) -> Findings:
    """Raises `DataError` where a file that is needed is broken."""
    measured = claims(run), meeting(run), gains(run)
    return Findings(run, provenance(run), model_rows(run), *measured, ablation(run), labels(run))
