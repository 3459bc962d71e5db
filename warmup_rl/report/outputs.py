"""Outputs of finished stages as frozen values: measurements, curves, completions, and the measured models."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from warmup_rl.base.errors import DataError
from warmup_rl.base.jsonl import read_json, read_jsonl
from warmup_rl.base.stats import mean
from warmup_rl.base.untrusted import shaped
from warmup_rl.grading.ending import ends_in
from warmup_rl.interfaces.measurement import Cell, CurvePoint, cells, read_record, recorded_cells

Graded = Mapping[tuple[str, int], Mapping[str, Any]]
"""Verdict, truncation, extracted answer and coarse reading of completions, by problem id and sample."""
Reading = Literal["lenient", "strict", "last words"]
"""What counts as right: the lenient verdict; that and the form; what stands last (see `ends_in`)."""
OUTCOMES = ("correct", "wrong", "no answer", "cut off")


def became(row: Mapping[str, Any]) -> str:
    """What a scored completion became: correct, cut off by the token limit, without an answer, or wrong."""
    verdict = row["score"]["verdict"]
    if verdict == "correct":
        return "correct"
    return "cut off" if row.get("truncated") else "no answer" if verdict == "none" else "wrong"


@with_config(ConfigDict(extra="allow"))
class _Score(TypedDict):
    verdict: str


@with_config(ConfigDict(extra="allow"))
class _Rollout(TypedDict):
    step: int
    reward: NotRequired[float | None]
    score: NotRequired[_Score | None]


@with_config(ConfigDict(extra="allow"))
class _Completion(TypedDict):
    split: str
    sampling: str
    prompt: str
    domain: str
    problem_id: str
    sample: int
    truncated: bool
    score: _Score


@dataclass(frozen=True)
class StageOutput:
    """A finished stage.

    Attributes:
        role: see `warmup_rl.interfaces.stage.Stage.role`.
        stale: reused under `--reuse-stale` although its code has changed.
        versions: of the libraries and, as `git`, the revision that made it.
        seconds: wall clock.
        files: size and digest of each file, by its place in the folder.
        parts: the stages of the single folds, if this one pools a cross-validation.
    """

    id: str
    type: str
    role: str
    key: str
    folder: Path
    inputs: Mapping[str, str]
    summary: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stale: bool = False
    parts: tuple[StageOutput, ...] = ()

    @property
    def domain(self) -> str:
        """Name of the domain that the stage works on; empty if there is none."""
        return str(self.get("domain") or "")

    def get(self, name: str) -> Any:
        """A value of the summary, otherwise of the config or its sampling; None if the stage has no such value."""
        places = (self.summary, self.config, self.config.get("sampling") or {})
        return next((place[name] for place in places if place.get(name) is not None), None)

    def number(self, name: str) -> float:
        """A number of the summary; 0 if the stage has none (an evaluation costs no training flops)."""
        return float(self.summary.get(name) or 0)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Measurements of an evaluation. Raises `DataError` if a cell lacks a value, or two folds have measured a
        problem."""
        if self.parts:
            return tuple(cells(self.completions()))
        return tuple(recorded_cells({"summary": self.summary}, self.folder / "stage.json"))

    @cached_property
    def curve(self) -> tuple[CurvePoint, ...]:
        """The held-out curve of a training on its own domain, by step; empty if none was measured."""
        if self.parts:
            return _pooled_curve([part.curve for part in self.parts])
        path = self.folder / "curve.jsonl"
        points = (read_record(CurvePoint, row, path) for row in self._rows("curve.jsonl"))
        return tuple(sorted((one for one in points if one.domain == self.domain), key=lambda point: point.step))

    def completions(self) -> Iterator[dict[str, Any]]:
        """The scored completions of an evaluation, read lazily."""
        if self.parts:
            return _pooled_completions(self.parts, self.domain)
        return self._rows("completions.jsonl", _Completion)

    @cached_property
    def rollouts(self) -> Mapping[int, Mapping[str, float]]:
        """By training step: the mean reward, and the share of rollouts by what became of them (see `became`)."""
        by_step: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for row in self._rows("rollouts.jsonl", _Rollout):
            if row.get("reward") is not None:
                by_step[row["step"]].append(row)
        found = {}
        for step, rows in sorted(by_step.items()):
            counts = Counter(became(row) for row in rows if row.get("score"))
            shares = {name: counts[name] / len(rows) for name in OUTCOMES} if counts else {}
            found[step] = {"reward": mean([row["reward"] for row in rows]), **shares}
        return found

    @cached_property
    def touched(self) -> Mapping[str, Mapping[str, frozenset[str]]]:
        """Ids of the problems that the stage used, by use and domain; empty if not recorded."""
        path = self.folder / "problems.json"
        found = read_json(path, delete=self.folder) if path.exists() else {}
        return shaped(dict[str, dict[str, frozenset[str]]], found, path, self._fix)

    def _rows(self, name: str, kind: Any = dict[str, Any]) -> Iterator[dict[str, Any]]:
        path = self.folder / name
        for row in read_jsonl(path) if path.exists() else ():
            yield shaped(kind, row, path, self._fix)

    @property
    def _fix(self) -> str:
        return f"Delete the folder {self.folder} and run the recipe again."


@dataclass(frozen=True)
class Model:
    """A model that was evaluated, by one stage or several; `style` is the prompt style of its arm."""

    key: str
    style: str
    evaluations: tuple[StageOutput, ...]

    @property
    def cells(self) -> Iterator[Cell]:
        return (cell for stage in self.evaluations for cell in stage.cells)

    def cell(self, domain: str, sampling: str, *, prompt: str | None = None, split: str = "test") -> Cell | None:
        """Its measurement, under its arm's prompt style where none is named; None where it was not measured so."""
        wanted = (domain, sampling, split)
        found = (cell for cell in self.cells if (cell.domain, cell.sampling, cell.split) == wanted)
        return next((cell for cell in found if cell.prompt == (prompt or self.style)), None)

    def accuracy(self, cell: Cell, reading: Reading) -> float | None:
        """One of its test measurements under a reading; None where the reference answers are not of its kind."""
        if reading != "last words":
            return cell.lenient if reading == "lenient" else cell.strict
        rows = self.graded.get((cell.sampling, cell.prompt, cell.domain), {}).values()
        found = [row[reading] for row in rows]
        return None if None in found or not found else mean(found)

    def prompts(self, *, split: str = "test") -> tuple[str, ...]:
        """Prompt styles it was measured under, that of its arm first."""
        found = (cell.prompt for cell in self.cells if cell.split == split)
        return tuple(dict.fromkeys(sorted(found, key=lambda style: style != self.style)))

    @cached_property
    def graded(self) -> Mapping[tuple[str, str, str], Graded]:
        """Its test completions without texts, by sampling, prompt style and domain; read once."""
        found: dict[tuple[str, str, str], dict[tuple[str, int], Mapping[str, Any]]] = defaultdict(dict)
        for row in (row for stage in self.evaluations for row in stage.completions() if row["split"] == "test"):
            kept = {"verdict": row["score"]["verdict"], "truncated": row["truncated"]}
            answer = {
                "extracted": row["score"].get("extracted"),
                "last words": ends_in(str(row.get("text", "")), str(row.get("gold", ""))),
            }
            place = row["problem_id"], row["sample"]
            found[row["sampling"], row["prompt"], row["domain"]].setdefault(place, kept | answer)
        return found

    def completions(self, sampling: str, prompt: str | None = None) -> Iterator[dict[str, Any]]:
        """Its scored test completions, under its arm's prompt style where none is named, read as they are asked for."""
        rows = (row for stage in self.evaluations for row in stage.completions())
        wanted = (sampling, "test", prompt or self.style)
        return (row for row in rows if (row["sampling"], row["split"], row["prompt"]) == wanted)


def pooled_model(last: Model | None, folds: Sequence[Model | None], domain: str) -> Model | None:
    """The last model of a cross-validation with the measurements of the folds' models on `domain`; unchanged if a fold
    has no model."""
    models = [model for model in folds if model]
    if len(models) < len(folds) or not models:
        return last
    by_id = [{stage.id: stage for stage in model.evaluations} for model in models]
    pooled = [
        replace(stage, id=f"{id}, folds", inputs={}, summary={"domain": domain}, parts=tuple(one[id] for one in by_id))
        for id, stage in by_id[0].items()
        if all(id in one for one in by_id)
    ]
    key = last.key if last else "+".join(dict.fromkeys(model.key for model in models))
    return Model(key, models[0].style, (*(last.evaluations if last else ()), *pooled))


def pooled_training(last: StageOutput, folds: Sequence[StageOutput | None], domain: str) -> StageOutput:
    """The last training with the pooled curve of the folds, if it trains on `domain` and all folds have a curve."""
    parts = tuple(part for part in folds if part and part.curve)
    return replace(last, parts=parts) if last.domain == domain and len(parts) == len(folds) else last


def _pooled_completions(parts: Sequence[StageOutput], domain: str) -> Iterator[dict[str, Any]]:
    """Rows of a cross-validated domain; each test problem is answered by the one model that was not trained on it, and
    validation problems, which are in no fold, by the first model."""
    seen: dict[tuple[str, ...], StageOutput] = {}
    for part in parts:
        for row in (row for row in part.completions() if row["domain"] == domain):
            key = tuple(str(row[name]) for name in ("split", "prompt", "sampling", "problem_id"))
            first = seen.setdefault(key, part)
            if first is part:
                yield row
            elif row["split"] == "test":
                raise DataError(
                    f"{part.folder}: measures problem {row['problem_id']} of domain {domain!r}, which another fold "
                    f"({first.folder}) measures too. Run the recipe again under another run_name."
                )


def _pooled_curve(curves: Sequence[Sequence[CurvePoint]]) -> tuple[CurvePoint, ...]:
    """Accuracy over the problems of all folds; rollouts, tokens and flops are means over folds."""
    by_step = [{point.step: point for point in curve} for curve in curves]
    pooled = []
    for step in sorted(set.intersection(*(set(points) for points in by_step))):
        points = [fold[step] for fold in by_step]
        problems = sum(point.problems for point in points)
        correct = sum(point.lenient * point.problems for point in points)
        rollouts, tokens, flops = (
            mean([getattr(point, name) for point in points]) for name in ("rollouts", "generated_tokens", "flops")
        )
        where = step, points[0].domain, problems
        pooled.append(CurvePoint(*where, correct / problems, round(rollouts), round(tokens), flops))
    return tuple(pooled)
