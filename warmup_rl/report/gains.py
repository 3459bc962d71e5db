"""Splits the gain between two models on the same problems into format, truncation and rest; it adds up exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

from warmup_rl.base.errors import DataError
from warmup_rl.base.stats import mean
from warmup_rl.report.load import Run
from warmup_rl.report.measures import NotMeasured, end, final, start
from warmup_rl.report.outputs import Model

Cause = Literal["format", "truncation", "rest"]
Rows = Mapping[tuple[str, int], Mapping[str, Any]]
"""Completions by problem id and sample."""
Find = Callable[[Run, str, int], Model]


@dataclass(frozen=True)
class Split:
    """Net transitions to correct, as counts of completions; the parts add up to `total` by construction.

    Attributes:
        count: completions compared.
        format: the old one had no answer that could be found (verdict none) and was not cut off.
        truncation: the old one was cut off by the token budget.
        rest: the old one had an answer, a wrong one. Losses count against the cause that the new completion shows.
    """

    count: int
    format: int
    truncation: int
    rest: int

    @property
    def total(self) -> int:
        return self.format + self.truncation + self.rest


@dataclass(frozen=True)
class Gain:
    """A split on one domain, mean over seeds, in shares of 1."""

    name: str
    domain: str
    seeds: tuple[int, ...]
    total: float
    format: float
    truncation: float
    rest: float


def split_gain(old: Rows, new: Rows) -> Split:
    """Splits by transitions of single problems: wrong to correct is a gain, correct to wrong a loss, symmetrically.

    Raises:
        DataError: the two do not hold the same problems and samples.
    """
    if old.keys() != new.keys():
        raise DataError(
            f"two evaluations to compare hold different problems ({len(old)} and {len(new)} completions, "
            f"{len(old.keys() & new.keys())} in both). Evaluate both models with the same settings."
        )
    net: dict[Cause, int] = {"format": 0, "truncation": 0, "rest": 0}
    for key, before in old.items():
        after = new[key]
        change = _correct(after) - _correct(before)
        if change:
            net[_cause(before if change > 0 else after)] += change
    return Split(len(old), **net)


def gains(run: Run) -> tuple[Gain, ...]:
    """The gains that a report explains: by warmup, by format alone, by RLVR in both arms; on every measured domain."""
    names = run.claims
    pairs: dict[str, tuple[tuple[str, Find], tuple[str, Find]]] = {
        "warmup - base": ((names.base, start), (names.warmup, start)),
        "format-only control - base": ((names.base, start), (names.format_only, final)),
        "base + RLVR - base": ((names.base, start), (names.base, end)),
        "warmup + RLVR - warmup": ((names.warmup, start), (names.warmup, end)),
    }
    read = cache(partial(_completions, run))
    found = []
    for name, (old_model, new_model) in pairs.items():
        splits: dict[str, dict[int, Split]] = {}
        for seed in run.seeds:
            try:
                old, new = read(*old_model, seed), read(*new_model, seed)
            except NotMeasured:
                continue
            for domain in old.keys() & new.keys():
                splits.setdefault(domain, {})[seed] = split_gain(old[domain], new[domain])
        found += [_mean_gain(name, domain, splits[domain]) for domain in run.measured if domain in splits]
    return tuple(found)


def _mean_gain(name: str, domain: str, splits: Mapping[int, Split]) -> Gain:
    def share(part: str) -> float:
        return mean([getattr(split, part) / split.count for split in splits.values()])

    parts = {part: share(part) for part in ("total", "format", "truncation", "rest")}
    return Gain(name, domain, tuple(splits), **parts)


def _completions(run: Run, arm: str, find: Find, seed: int) -> dict[str, dict[tuple[str, int], Mapping[str, Any]]]:
    model = find(run, arm, seed)
    found: dict[str, dict[tuple[str, int], Mapping[str, Any]]] = {}
    for row in _brief(model.completions(run.headline)):
        found.setdefault(row["domain"], {}).setdefault((row["problem_id"], row["sample"]), row)
    if not found:
        raise NotMeasured(f"no completions of arm {arm!r}")
    return found


def _brief(rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """What the split needs, without the texts."""
    for row in rows:
        kept = {key: row[key] for key in ("domain", "problem_id", "sample", "truncated")}
        yield {**kept, "verdict": row["score"]["verdict"]}


def _correct(row: Mapping[str, Any]) -> int:
    return int(row["verdict"] == "correct")


def _cause(row: Mapping[str, Any]) -> Cause:
    return "truncation" if row["truncated"] else "format" if row["verdict"] == "none" else "rest"
