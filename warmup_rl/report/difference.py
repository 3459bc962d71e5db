"""A claim as a value: a difference of two sides paired by seed, or the reason why it is not testable in this run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from warmup_rl.base.stats import MIN_SEEDS, mean, t_interval
from warmup_rl.report.measures import NotMeasured

Part = Literal["transfer", "end point", "retention", "efficiency"]
Unit = Literal["points", "steps", "rollouts", "tokens"]
Verdict = Literal["above", "below", "unclear", "no interval", "not testable"]
Value = Callable[[int], float]
"""What a side measures in one seed; raises `NotMeasured`."""


@dataclass(frozen=True)
class Side:
    """One side of a difference, by seed; for a `censored` seed the value is how far it was measured in vain."""

    label: str
    values: Mapping[int, float] = field(default_factory=dict)
    censored: frozenset[int] = frozenset()

    @property
    def mean(self) -> float | None:
        return mean(list(self.values.values())) if self.values else None


@dataclass(frozen=True)
class Claim:
    """Left minus right, paired by seed: the seed is the unit of replication, evaluation problems are the same for all.

    Attributes:
        id: stable name for scripts, e.g. ``transfer.best_prompt``.
        where: the domain, or what is averaged over.
        unit: accuracies are shares of 1, printed as points; the others are counts.
        untestable: why; empty where the claim is tested.
        notes: what a reader must know to read it, e.g. seeds that are left out.
    """

    id: str
    part: Part
    question: str
    where: str
    left: Side
    right: Side
    unit: Unit = "points"
    untestable: str = ""
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> dict[int, float]:
        """The difference by seed; empty where not testable."""
        if self.untestable:
            return {}
        return {seed: value - self.right.values[seed] for seed, value in self.left.values.items()}

    @property
    def bound(self) -> Literal["", "at least", "at most", "open"]:
        """What censored seeds make of the estimate: a bound, or (`open`) nothing at all."""
        if self.left.censored and self.right.censored:
            return "open"
        return "at least" if self.left.censored else "at most" if self.right.censored else ""

    @property
    def estimate(self) -> float | None:
        """Mean over seeds; None where not testable or censored on both sides."""
        return None if self.untestable or self.bound == "open" else mean(list(self.values.values()))

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% t-interval over seeds; `no_interval` says why there is none."""
        return None if self.untestable or self.bound else t_interval(list(self.values.values()))

    @property
    def no_interval(self) -> str:
        """Why there is no interval; empty where there is one."""
        if self.untestable:
            return "not testable here"
        if self.bound:
            return "censored: some runs never reach the threshold"
        count = len(self.values)
        return f"{count} seed{'s' * (count > 1)}, {MIN_SEEDS} are needed" if count < MIN_SEEDS else ""

    @property
    def verdict(self) -> Verdict:
        """Where the interval lies relative to 0."""
        if self.untestable:
            return "not testable"
        if self.interval is None:
            return "no interval"
        low, high = self.interval
        return "above" if low > 0 else "below" if high < 0 else "unclear"

    def to_json(self) -> dict[str, Any]:
        """For summary.json."""
        sides: list[dict[str, Any]] = [
            {"label": side.label, "values": dict(side.values), "censored": sorted(side.censored)}
            for side in (self.left, self.right)
        ]
        return {
            "id": self.id,
            "part": self.part,
            "question": self.question,
            "where": self.where,
            "unit": self.unit,
            "estimate": self.estimate,
            "bound": self.bound,
            "interval": self.interval,
            "no_interval": self.no_interval,
            "verdict": self.verdict,
            "untestable": self.untestable,
            "seeds": sorted(self.values),
            "values": self.values,
            "sides": sides,
            "notes": list(self.notes),
        }


def compare(
    seeds: Sequence[int], id: str, part: Part, question: str, where: str, left: tuple[str, Value],
    right: tuple[str, Value], *, closed: str = "", notes: Sequence[str] = (),
) -> Claim:  # fmt: skip
    """Measures both sides, each a label and a value, in every seed that has both; the notes name the other seeds.

    Args:
        closed: why the claim is not testable whatever was measured; the sides are kept for the record.
    """
    lefts: dict[int, float] = {}
    rights: dict[int, float] = {}
    absent: dict[str, list[int]] = {}
    for seed in seeds:
        try:
            lefts[seed], rights[seed] = left[1](seed), right[1](seed)
        except NotMeasured as error:
            lefts.pop(seed, None)
            absent.setdefault(str(error), []).append(seed)
    left_out = (f"seed {', '.join(map(str, seeds))} left out: {why}" for why, seeds in absent.items())
    return Claim(
        id, part, question, where, Side(left[0], lefts), Side(right[0], rights),
        untestable=closed or ("" if lefts else _once(absent) or "no seed has been run"),
        notes=(*notes, *(left_out if lefts else ())),
    )  # fmt: skip


def share(value: float) -> str:
    """A share of 1 with two digits: `.07`, `.93`, `1.00`."""
    return f"{value:.2f}".removeprefix("0")


def _once(reasons: Iterable[str]) -> str:
    """Reasons of single seeds, those that differ in their numbers alone only once."""
    alike: dict[str, list[str]] = {}
    for reason in reasons:
        alike.setdefault(re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "", reason), []).append(reason)
    return "; ".join(f"{first}{', likewise in the other seeds' * bool(rest)}" for first, *rest in alike.values())
