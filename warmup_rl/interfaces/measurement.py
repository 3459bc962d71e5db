"""The figures of an evaluation, which stages compute from scored completions and the report reads."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from warmup_rl.base.errors import DataError
from warmup_rl.base.stats import difference_error
from warmup_rl.base.untrusted import shaped

TRACKED = ("lenient", "strict", "well_formed", "truncated", "tokens")
"""Figures of a measurement that trackers show."""
Row = dict[str, Any]
R = TypeVar("R")


@dataclass(frozen=True)
class Cell:
    """One model on one domain, under one prompt style and one sampling: an entry of `cells` in a stage's summary.

    Accuracies and rates are shares of 1, means over completions.

    Attributes:
        samples: completions per problem.
        lenient, strict: correct by verdict; correct and well formed.
        shows_work: the thinking goes step by step; None if the domain cannot tell.
        tokens: mean length of a completion.
        chance: expected accuracy of guessing.
        outcomes: number of completions by strict outcome.
        by: accuracy by group of problems, e.g. ``{"people=2": {"problems": 100, "lenient": 0.8}}``.
    """

    split: str
    prompt: str
    sampling: str
    domain: str
    problems: int
    samples: int
    lenient: float
    strict: float
    well_formed: float
    truncated: float
    shows_work: float | None
    tokens: float
    chance: float
    outcomes: Mapping[str, int] = field(default_factory=dict)
    by: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class CurvePoint:
    """One line of `curve.jsonl`: held-out accuracy at a training step, and the cost of training up to there (`seconds`
    without those of measuring)."""

    step: int
    domain: str
    problems: int
    lenient: float
    rollouts: int
    generated_tokens: int
    flops: float
    strict: float | None = None
    well_formed: float | None = None
    truncated: float | None = None
    shows_work: float | None = None
    tokens: float | None = None
    seconds: float | None = None


def read_record(kind: type[R], row: Mapping[str, Any], source: Path) -> R:
    """A `Cell` or `CurvePoint` from its JSON; other keys are ignored. Raises `DataError`, beginning with `source`, if a
    value is missing or of another type."""
    known = fields(kind)  # type: ignore[arg-type]
    needed = [one.name for one in known if one.default is MISSING and one.default_factory is MISSING]
    if missing := [name for name in needed if name not in row]:
        names = ", ".join(map(repr, missing))
        raise DataError(f"{source}: missing {names}. Delete {source.parent.resolve()} and run the recipe again.")
    given = {one.name: row[one.name] for one in known if one.name in row}
    return shaped(kind, given, source, f"Delete {source.parent.resolve()} and run the recipe again.")


def recorded_cells(record: Mapping[str, Any], source: Path) -> list[Cell]:
    """The cells in the record of an evaluation; `source` is its file, for messages. Raises as `read_record` does."""
    return [read_record(Cell, row, source) for row in record["summary"].get("cells", ())]


def best_style(found: Iterable[Cell], styles: Sequence[str]) -> str:
    """The one of several measured prompt styles with the highest mean accuracy on validation problems over domains; the
    first of equals."""
    values: dict[str, list[float]] = defaultdict(list)
    for cell in found:
        if cell.split == "validation":
            values[cell.prompt].append(cell.lenient)
    return max(styles, key=lambda style: _mean(values[style]))


def without_signal(found: Iterable[Cell]) -> list[str]:
    """A line for each domain with no correct answer under any prompt style and sampling: RLVR cannot start there."""
    right: dict[str, float] = defaultdict(float)
    counts, cut = Counter[str](), Counter[str]()
    for cell in found:
        right[cell.domain] += cell.lenient
        counts[cell.domain] += cell.problems * cell.samples
        cut[cell.domain] += round(cell.truncated * cell.problems * cell.samples)
    lines = []
    for domain in (name for name, value in right.items() if value == 0):
        fix = "Take easier problems, or warm up first."
        if 2 * cut[domain] > counts[domain]:
            fix = f"{cut[domain]:,} of them were cut off: raise max_tokens."
        what = f"none of {counts[domain]:,} answers is correct under any prompt style measured"
        lines.append(f"{domain}: {what}, so RLVR on it would start without a signal. {fix}")
    return lines


def drops(before: Iterable[Cell], after: Iterable[Cell]) -> Iterator[tuple[Cell, Cell, float]]:
    """Test cells under the same prompt style and sampling before and after a stage, and how far accuracy has fallen in
    standard errors of the difference."""
    known = {(cell.split, cell.prompt, cell.sampling, cell.domain): cell for cell in before if cell.split == "test"}
    for cell in after:
        if (old := known.get((cell.split, cell.prompt, cell.sampling, cell.domain))) is not None:
            error = difference_error((old.lenient, old.problems), (cell.lenient, cell.problems))
            yield old, cell, (old.lenient - cell.lenient) / error


def cells(rows: Iterable[Row]) -> list[Cell]:
    """A cell for each (split, prompt, sampling, domain) among rows of `completions.jsonl`, in order of appearance."""
    groups: dict[tuple[str, str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["split"], row["prompt"], row["sampling"], row["domain"]].append(row)
    return [
        Cell(split, prompt, sampling, domain, **summarize(group), by=_by_group(group))
        for (split, prompt, sampling, domain), group in groups.items()
    ]


def summarize(rows: Sequence[Row]) -> Row:
    """The figures of a `Cell` for a non-empty set of rows of one domain, without those by group."""
    problems = len({row["problem_id"] for row in rows})
    scores = [row["score"] for row in rows]
    shows_work = [score["shows_work"] for score in scores if score["shows_work"] is not None]
    return {
        "problems": problems,
        "samples": len(rows) // problems,
        "lenient": _mean(score["verdict"] == "correct" for score in scores),
        "strict": _mean(score["outcome"] == "correct" for score in scores),
        "well_formed": _mean(score["well_formed"] for score in scores),
        "truncated": _mean(row["truncated"] for row in rows),
        "shows_work": _mean(shows_work) if shows_work else None,
        "tokens": _mean(row["tokens"] for row in rows),
        "chance": _mean(row["chance"] for row in rows),
        "outcomes": dict(sorted(Counter(score["outcome"] for score in scores).items())),
    }


def _by_group(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["group"] is not None:
            groups[row["group"]].append(row)
    figures = {name: summarize(group) for name, group in sorted(groups.items())}
    return {name: {key: found[key] for key in ("problems", "lenient")} for name, found in figures.items()}


def _mean(values: Iterable[float]) -> float:
    listed = [float(value) for value in values]
    return sum(listed) / len(listed)
