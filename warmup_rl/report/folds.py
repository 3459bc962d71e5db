"""Puts together what the folds of a cross-validation measured: every row once, each by a model that did not see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from warmup_rl.base.errors import DataError
from warmup_rl.base.stats import mean
from warmup_rl.interfaces.measurement import cells
from warmup_rl.report.outputs import Cell, Model, Point, StageOutput, cell_from


@dataclass(frozen=True)
class PooledEvaluation(StageOutput):
    """The completions that the folds left on the domain that has them, as if one stage had made them.

    Attributes:
        parts: an evaluate stage of each fold.
    """

    parts: tuple[StageOutput, ...] = ()
    domain: str = ""
    own_prompt: str = ""

    @cached_property
    def cells(self) -> tuple[Cell, ...]:  # type: ignore[override]
        """Raises `DataError` where a row was measured by two folds."""
        found = cells(self.completions(), own_prompt=self.own_prompt)
        return tuple(cell_from(row, self.folder / "stage.json") for row in found)

    def completions(self) -> Iterator[dict[str, Any]]:
        seen: dict[tuple[str, ...], StageOutput] = {}
        for part in self.parts:
            for row in part.completions():
                key = tuple(str(row[name]) for name in ("split", "prompt", "sampling", "problem_id"))
                if row["domain"] != self.domain or row["split"] != "test" and seen.get(key, part) is not part:
                    continue  # rows for validation are in no fold, and each fold's model answers them
                if seen.setdefault(key, part) is not part:
                    raise DataError(
                        f"{part.folder}: measures problem {row['problem_id']} of domain {self.domain!r}, which "
                        f"{seen[key].folder} measures too, another fold. Run the recipe again under another run_name."
                    )
                yield row


@dataclass(frozen=True)
class PooledCurve(StageOutput):
    """The RLVR of the last model, with the held-out curve of the folds.

    Attributes:
        parts: the RLVR stage of each fold.
    """

    parts: tuple[StageOutput, ...] = ()

    @cached_property
    def curve(self) -> tuple[Point, ...]:  # type: ignore[override]
        """Accuracy over all rows; what was spent is the mean over the folds."""
        by_step = [{point.step: point for point in part.curve} for part in self.parts]
        steps = sorted(set.intersection(*(set(points) for points in by_step)))
        return tuple(_together(step, [points[step] for points in by_step]) for step in steps)


def pooled_model(last: Model | None, folds: Sequence[Model | None], domain: str, own_prompt: str) -> Model | None:
    """The last model with the measurements of the folds' models; as it is where a fold has none.

    Args:
        last: as measured on the other domains; None where it was not.
    """
    there = [model for model in folds if model]
    if len(there) < len(folds) or not there:
        return last
    parts = tuple(stage for model in there for stage in model.evaluations)
    pooled = [
        PooledEvaluation(f"{id}, folds", "evaluate", "+".join(stage.key for stage in stages), stages[0].folder,
                         stages[0].config, {}, {}, tuple(stages), domain, own_prompt)
        for id, stages in _by_id(parts).items() if len(stages) == len(folds)
    ]  # fmt: skip
    key = last.key if last else "+".join(dict.fromkeys(model.key for model in there))
    return Model(key, (*(last.evaluations if last else ()), *pooled))


def pooled_curve(last: StageOutput, folds: Sequence[StageOutput | None], domain: str) -> StageOutput:
    """RLVR with the curve of the folds where it trains on the domain that has them and all have been measured."""
    parts = [part for part in folds if part and part.curve]
    if last.summary.get("domain") != domain or len(parts) < len(folds):
        return last
    values = {name: getattr(last, name) for name in StageOutput.__dataclass_fields__}
    return PooledCurve(**values, parts=tuple(parts))


def _by_id(stages: Sequence[StageOutput]) -> dict[str, list[StageOutput]]:
    found: dict[str, list[StageOutput]] = {}
    for stage in stages:
        found.setdefault(stage.id, []).append(stage)
    return found


def _together(step: int, points: Sequence[Point]) -> Point:
    problems = sum(point.problems for point in points)
    right = sum(point.lenient * point.problems for point in points)
    rollouts, tokens, flops = (
        mean([getattr(point, name) for point in points]) for name in ("rollouts", "generated_tokens", "flops")
    )
    return Point(step, right / problems, problems, round(rollouts), round(tokens), flops)
