"""Reads the folder of a run into frozen values: arms, seeds, the models they made and how those were measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from warmup_rl.base.errors import DataError, RunError, UserError
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import load as load_plugin
from warmup_rl.recipe import ClaimSettings, trial_name
from warmup_rl.report.folds import pooled_curve, pooled_model
from warmup_rl.report.outputs import Model, StageOutput

NOT_STARTED = "not started"


@dataclass(frozen=True)
class Trial:
    """One arm with one seed.

    Attributes:
        start: the model that RLVR took as input; in an arm without RLVR the last model.
        end: the model that RLVR gave; None where the arm has no RLVR or it is not finished.
        final: `end` where the arm has RLVR, else `start`.
        folds: where a domain was cross-validated, what its folds left; their measurements are part of the models here.
    """

    arm: str
    seed: int
    state: str
    reason: str
    stages: tuple[StageOutput, ...]
    start: Model | None
    end: Model | None
    final: Model | None
    rlvr: StageOutput | None
    folds: Mapping[int, Trial] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run as its files tell it, whether or not all of it is there yet.

    Attributes:
        trials: by arm, then seed.
        domains: type of each declared domain, by name.
        recipe: the resolved recipe.
        record: the run's own run.json; empty where there is none yet.
    """

    folder: Path
    name: str
    recipe: Mapping[str, Any]
    record: Mapping[str, Any]
    claims: ClaimSettings
    headline: str
    domains: Mapping[str, str]
    trials: Mapping[str, Mapping[int, Trial]]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({seed for trials in self.trials.values() for seed in trials}))

    @property
    def unfinished(self) -> tuple[str, ...]:
        """What the recipe plans and is not finished, one line each."""
        planned = {(arm, seed) for arm in self.recipe.get("arms") or () for seed in self.recipe.get("seeds") or ()}
        there = {(arm, seed): trial for arm, trials in self.trials.items() for seed, trial in trials.items()}
        trials: list[tuple[str, int, int | None, Trial | None]] = []
        for arm, seed in sorted(planned | set(there)):
            trial = there.get((arm, seed))
            trials += [(arm, seed, fold, trial.folds.get(fold) if trial else None) for fold in range(self.fold_count)]
            trials.append((arm, seed, None, trial))
        return tuple(
            f"{trial_name(arm, seed, fold)}: {_state(trial) if trial else NOT_STARTED}"
            for arm, seed, fold, trial in trials
            if trial is None or trial.state != "finished"
        )

    @property
    def folded(self) -> str:
        """Name of the domain that was cross-validated; empty where none was."""
        domains = (self.recipe.get("domains") or {}).items()
        return next((name for name, keys in domains if (keys or {}).get("folds") and keys.get("fold") is None), "")

    @property
    def fold_count(self) -> int:
        return int(self.recipe["domains"][self.folded]["folds"]) if self.folded else 0

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """Domains that some model was measured on, in the recipe's order."""
        stages = [s for trials in self.trials.values() for trial in trials.values() for s in trial.stages]
        found = {cell.domain for stage in stages if stage.type == "evaluate" for cell in stage.cells}
        return tuple(name for name in self.domains if name in found) + tuple(sorted(found - set(self.domains)))

    @cached_property
    def puzzles(self) -> tuple[str, ...]:
        """Measured domains of a type that is meant for the warmup (Knights & Knaves): they do not count as transfer."""
        return tuple(name for name in self.measured if _for_warmup(self.domains.get(name, name)))

    @property
    def transfer(self) -> tuple[str, ...]:
        """Measured domains that are not meant for the warmup."""
        return tuple(name for name in self.measured if name not in self.puzzles)


def load(folder: Path) -> Run:
    """Reads a run's folder; what is not finished is simply not there.

    Raises:
        RunError: the folder is not a run's.
        DataError: a file is broken; the message names it.
    """
    path = folder / "recipe.yaml"
    if not path.is_file():
        raise RunError(
            f"{folder}: no run lies here (no recipe.yaml). Give the folder of a run, e.g. outputs/kk-warmup."
        )
    recipe = _yaml(path)
    evaluation = recipe.get("evaluation") or {}
    trials: dict[str, dict[int, Trial]] = {}
    for place in sorted(folder.glob("*/seed-*")):
        folds = {int(record.parent.name[5:]): _trial(record) for record in sorted(place.glob("fold-*/run.json"))}
        trial = _trial(place / "run.json") if (place / "run.json").is_file() else _not_started(folds)
        if trial:
            trials.setdefault(trial.arm, {})[trial.seed] = replace(trial, folds=folds)
    own_prompt = str((recipe.get("format") or {}).get("think", ResponseFormat().think))
    order = {arm: position for position, arm in enumerate(recipe.get("arms") or {})}
    run = Run(
        folder=folder,
        name=str(recipe.get("run_name", folder.name)),
        recipe=recipe,
        record=_json(folder / "run.json") if (folder / "run.json").is_file() else {},
        claims=ClaimSettings.model_validate(recipe.get("claims") or {}),
        headline=evaluation.get("headline", EvaluationSettings().headline),
        domains={name: (value or {}).get("type", name) for name, value in (recipe.get("domains") or {}).items()},
        trials={
            arm: dict(sorted(trials[arm].items()))
            for arm in sorted(trials, key=lambda a: (order.get(a, len(order)), a))
        },
    )
    if not run.folded:
        return run
    pooled = {
        arm: {seed: _pooled(run, trial, own_prompt) for seed, trial in seeds.items()}
        for arm, seeds in run.trials.items()
    }
    return replace(run, trials=pooled)


def _for_warmup(domain: str) -> bool:
    """Whether a domain type declares `for_warmup`; False if its plug-in can no longer be loaded."""
    try:
        return bool(load_plugin("domain", domain).for_warmup)
    except UserError:
        return False


def _pooled(run: Run, trial: Trial, own_prompt: str) -> Trial:
    """A trial with the measurements of its folds put together; as it is where a fold is missing."""
    folds = [trial.folds.get(fold) for fold in range(run.fold_count)]
    here = [fold for fold in folds if fold]
    if len(here) < len(folds):
        return trial

    def model(of: Callable[[Trial], Model | None]) -> Model | None:
        return pooled_model(of(trial), [of(fold) for fold in here], run.folded, own_prompt)

    start, end = model(lambda one: one.start), model(lambda one: one.end)
    final = start if all(fold.final is fold.start for fold in here) else end
    added = (stage for one in (start, end) if one for stage in one.evaluations)
    stages = {id(stage): stage for stage in (*trial.stages, *added)}
    rlvr = trial.rlvr and pooled_curve(trial.rlvr, [fold.rlvr for fold in here], run.folded)
    return replace(trial, stages=tuple(stages.values()), start=start, end=end, final=final, rlvr=rlvr)


def _not_started(folds: Mapping[int, Trial]) -> Trial | None:
    """A trial of which only folds have run."""
    first = next(iter(folds.values()), None)
    return first and Trial(first.arm, first.seed, NOT_STARTED, "", (), None, None, None, None)


def _state(trial: Trial) -> str:
    if trial.state == NOT_STARTED:
        return NOT_STARTED
    made = f"{len(trial.stages)} stages done"
    return f"{trial.state}, {made}" + (f" ({trial.reason})" if trial.reason else "")


def _trial(path: Path) -> Trial:
    record = _json(path)
    try:
        listed = record["stages"]
        done = [entry for entry in listed if (path.parent / entry["folder"] / "stage.json").is_file()]
        stages = tuple(_stage(path.parent, entry) for entry in done)
        rlvr = next((entry for entry in reversed(listed) if entry["type"] == "rlvr"), None)
        givers = [entry["key"] for entry in listed if "model" in entry["outputs"]]
        before = _model(rlvr["inputs"]["model"] if rlvr else givers[-1] if givers else "", stages)
        after = _model(rlvr["key"], stages) if rlvr else None
        return Trial(
            arm=record["arm"],
            seed=int(record["seed"]),
            state=record["state"],
            reason=record.get("reason", ""),
            stages=stages,
            start=before,
            end=after,
            final=after if rlvr else before,
            rlvr=next((stage for stage in stages if rlvr and stage.key == rlvr["key"]), None),
        )
    except KeyError as error:
        raise DataError(f"{path}: {error} is missing. Run the recipe again, it writes the file anew.") from None


def _stage(folder: Path, entry: Mapping[str, Any]) -> StageOutput:
    path = folder / entry["folder"] / "stage.json"
    record = _json(path)
    try:
        return StageOutput(
            id=entry["id"],
            type=record["type"],
            key=record["key"],
            folder=path.parent.resolve(),
            config=record.get("config") or {},
            inputs=record["inputs"],
            summary=record["summary"],
        )
    except KeyError as error:
        raise DataError(f"{path}: {error} is missing. Remove the folder and run the recipe again.") from None


def _model(key: str, stages: tuple[StageOutput, ...]) -> Model | None:
    found = tuple(stage for stage in stages if stage.type == "evaluate" and stage.inputs.get("model") == key)
    return Model(key, found) if found else None


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}). Remove the file and run the recipe again.") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: a JSON object is needed, found {type(value).__name__}.")
    return value


def _yaml(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not YAML ({error}).") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: a mapping is needed, found {type(value).__name__}.")
    return value
