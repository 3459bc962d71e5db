"""What finished stages left on disk, as frozen values: measurements, curves, completions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import DataError
from warmup_rl.base.jsonl import read_jsonl


@dataclass(frozen=True)
class Cell:
    """One model on one domain, under one prompt style and one way of sampling. All accuracies are shares of 1.

    Attributes:
        own: the prompt style is the recipe's own.
        shows_work: share that goes step by step; None where the domain cannot tell.
        tokens: mean length of a completion.
        valid_steps, unparsed_steps, right_from_invalid: step validity (terse chains); None where no steps are judged.
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
    own: bool = False
    outcomes: Mapping[str, int] = field(default_factory=dict)
    valid_steps: float | None = None
    unparsed_steps: float | None = None
    right_from_invalid: float | None = None
    by: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """One measurement of the held-out curve; rollouts, generated tokens and flops are cumulative training so far."""

    step: int
    lenient: float
    problems: int
    rollouts: int
    generated_tokens: int
    flops: float


@dataclass(frozen=True)
class StageOutput:
    """A finished stage."""

    id: str
    type: str
    key: str
    folder: Path
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    summary: Mapping[str, Any]

    def number(self, name: str) -> float:
        """A number of the summary; 0 where the stage does not give it (an evaluation costs no training flops)."""
        return float(self.summary.get(name) or 0)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Measurements of an evaluate stage. Raises `DataError` for a cell that lacks a value."""
        return tuple(cell_from(row, self.folder / "stage.json") for row in self.summary.get("cells", ()))

    @cached_property
    def curve(self) -> tuple[Point, ...]:
        """The held-out curve of an RLVR stage on its own domain, by step; empty where none was measured."""
        path = self.folder / "curve.jsonl"
        if not path.exists():
            return ()
        rows = [row for row in read_jsonl(path) if row.get("domain") == self.summary.get("domain")]
        points = (_make(Point, _known(row, Point.__dataclass_fields__), path) for row in rows)
        return tuple(sorted(points, key=lambda point: point.step))

    def completions(self) -> Iterator[dict[str, Any]]:
        """The scored completions of an evaluate stage, read from disk as they are asked for."""
        path = self.folder / "completions.jsonl"
        yield from read_jsonl(path) if path.exists() else ()

    @cached_property
    def touched(self) -> Mapping[str, Mapping[str, frozenset[str]]]:
        """Ids of the problems that the stage touched, by what for and domain; empty where it is not on record."""
        path = self.folder / "problems.json"
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {use: {name: frozenset(ids) for name, ids in by_domain.items()} for use, by_domain in found.items()}

    def rewards(self) -> dict[int, float]:
        """Mean reward of each training step's rollouts."""
        path = self.folder / "rollouts.jsonl"
        if not path.exists():
            return {}
        sums: dict[int, list[float]] = {}
        for row in read_jsonl(path):
            if row.get("reward") is not None:
                sums.setdefault(row["step"], []).append(row["reward"])
        return {step: sum(values) / len(values) for step, values in sorted(sums.items())}


@dataclass(frozen=True)
class Model:
    """A model that was evaluated, by one stage or several."""

    key: str
    evaluations: tuple[StageOutput, ...]

    def cell(self, domain: str, sampling: str, *, prompt: str | None = None, split: str = "test") -> Cell | None:
        """Its measurement, under the recipe's own prompt where none is named; None where it was not measured so."""
        found = (
            cell
            for stage in self.evaluations
            for cell in stage.cells
            if (cell.domain, cell.sampling, cell.split) == (domain, sampling, split)
            and (cell.own if prompt is None else cell.prompt == prompt)
        )
        return next(found, None)

    def prompts(self, *, split: str = "test") -> tuple[str, ...]:
        """Prompt styles it was measured under, the recipe's own first."""
        cells = [cell for stage in self.evaluations for cell in stage.cells if cell.split == split]
        return tuple(dict.fromkeys(cell.prompt for cell in sorted(cells, key=lambda cell: not cell.own)))

    def completions(self, sampling: str, *, split: str = "test") -> Iterator[dict[str, Any]]:
        """Its scored completions under the recipe's own prompt, read from disk as they are asked for."""
        own = {cell.prompt for stage in self.evaluations for cell in stage.cells if cell.own}
        for stage in self.evaluations:
            for row in stage.completions():
                if row["sampling"] == sampling and row["split"] == split and row["prompt"] in own:
                    yield row


def cell_from(row: Mapping[str, Any], path: Path) -> Cell:
    """A cell out of what `measure.cells` gives, read from `path`. Raises `DataError` where it lacks a value."""
    found: Cell = _make(Cell, _known(row, Cell.__dataclass_fields__), path)
    return found


def _make(kind: Any, values: dict[str, Any], path: Path) -> Any:
    try:
        return kind(**values)
    except TypeError as error:
        raise DataError(f"{path}: {error}. Remove the folder and run the recipe again.") from None


def _known(row: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key in names}
