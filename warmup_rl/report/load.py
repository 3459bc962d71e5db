"""Reads a run folder into frozen values: arms, seeds, their models and the measurements of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from warmup_rl.base.console import counted
from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import read_json
from warmup_rl.base.untrusted import shaped
from warmup_rl.interfaces.measurement import read_record
from warmup_rl.recipe.schema import ClaimSettings, RecipeRecord, read_recipe_record, trial_name
from warmup_rl.report.outputs import Model, Reading, StageOutput, pooled_model, pooled_training
from warmup_rl.run.cache import RECORD, CacheEntry, lost_process
from warmup_rl.run.provenance import StageEntry, TrialRecord, missing_outputs, require_run_folder, trial_records

NOT_STARTED = "not started"


@dataclass(frozen=True)
class Trial:
    """One arm with one seed.

    Attributes:
        start: the input model of the target stage; without such a stage the arm's last model, or the recipe's.
        end: the output model of the target stage; None if the arm has no such stage or it is not done.
        final: `end` if the arm has a target stage, otherwise `start`.
        target: the arm's last stage of role `target`, if it is done.
        folds: trials of a cross-validation, by fold; the models above include their measurements.
    """

    arm: str
    seed: int
    state: str = NOT_STARTED
    reason: str = ""
    stages: tuple[StageOutput, ...] = ()
    start: Model | None = None
    end: Model | None = None
    final: Model | None = None
    target: StageOutput | None = None
    folds: Mapping[int, Trial] = field(default_factory=dict)

    @property
    def progress(self) -> str:
        """`failed, 3 stages done (OSError: ...)`."""
        if self.state == NOT_STARTED:
            return NOT_STARTED
        return f"{self.state}, {counted(len(self.stages), 'stage')} done" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True)
class Run:
    """A run as its files describe it, finished or not.

    Attributes:
        public, for_warmup: domains with published problems, and those (Knights & Knaves) that do not count as transfer.
        trials: by arm, then seed.
        sampling: the one that tables and claims use, in place of the recipe's.
        reading: what counts as a right answer to them.
    """

    folder: Path
    recipe: RecipeRecord
    public: tuple[str, ...]
    for_warmup: tuple[str, ...]
    trials: Mapping[str, Mapping[int, Trial]]
    sampling: str = ""
    reading: Reading = "lenient"

    @property
    def claims(self) -> ClaimSettings:
        return self.recipe.claims

    @property
    def compares(self) -> bool:
        """Whether the recipe has arms that can be compared; a single one is only described."""
        return len(self.recipe.arms) > 1

    @property
    def headline(self) -> str:
        """The sampling that tables and claims use."""
        return self.sampling or self.recipe.evaluation.headline

    @cached_property
    def samplings(self) -> list[str]:
        """Samplings measured, the headline first."""
        cells = [cell for stage in self.stages("evaluation") for cell in stage.cells]
        return list(dict.fromkeys([self.headline, *(cell.sampling for cell in cells)]))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({seed for trials in self.trials.values() for seed in trials}))

    @property
    def every_trial(self) -> Iterator[Trial]:
        return (trial for trials in self.trials.values() for trial in trials.values())

    def stages(self, role: str = "") -> list[StageOutput]:
        """Finished stages of all trials, optionally of one role; a shared stage appears once for each trial."""
        return [stage for trial in self.every_trial for stage in trial.stages if role in ("", stage.role)]

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Trials of the recipe that are not finished, one line each."""
        folds = (*range(self.fold_count), None)
        there: dict[tuple[str, int, int | None], Trial] = {}
        for trial in self.every_trial:
            there |= {(trial.arm, trial.seed, fold): one for fold, one in (*trial.folds.items(), (None, trial))}
        planned = {(arm, seed, fold) for arm in self.recipe.arms for seed in self.recipe.seeds for fold in folds}
        names = sorted(planned | set(there), key=lambda name: (name[0], name[1], name[2] is None, name[2] or 0))
        found = [(name, there.get(name) or Trial(name[0], name[1])) for name in names]
        return tuple(f"{trial_name(*name)}: {trial.progress}" for name, trial in found if trial.state != "finished")

    @cached_property
    def folded(self) -> str:
        """Name of the cross-validated domain; empty if there is none."""
        rows = self.recipe.domains.items()
        return next((name for name, row in rows if row.get("folds") and row.get("fold") is None), "")

    @property
    def fold_count(self) -> int:
        return int(self.recipe.domains[self.folded]["folds"]) if self.folded else 0

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """Domains that some model was measured on, in the recipe's order."""
        found = {cell.domain for stage in self.stages("evaluation") for cell in stage.cells}
        return tuple(name for name in self.recipe.domains if name in found)

    @cached_property
    def puzzles(self) -> tuple[str, ...]:
        """Measured domains that are meant for the warmup."""
        return tuple(name for name in self.measured if name in self.for_warmup)

    @property
    def transfer(self) -> tuple[str, ...]:
        """Measured domains that are not meant for the warmup."""
        return tuple(name for name in self.measured if name not in self.puzzles)

    @cached_property
    def method(self) -> str:
        """Name of the stages of role `target`: `RLVR`, or the type of a user's own stage."""
        types = dict.fromkeys(stage.type for stage in self.stages("target")) or ["rlvr"]
        return "/".join(type.upper() if len(type) <= 4 else type for type in types)


def load(folder: Path) -> Run:
    """Reads a run folder; unfinished stages are left out. Raises `RunError` if it is none, or finished stages are
    missing; `DataError` if a file is broken."""
    require_run_folder(folder)
    recipe = read_recipe_record(folder / "recipe.yaml")
    records = trial_records(folder)
    if missing := missing_outputs(folder, records):
        raise RunError(f"{missing} Nothing was written.")
    found: dict[tuple[str, int, int | None], Trial] = {}
    for path, record in records.items():
        trial = _trial(path, record)
        found[trial.arm, trial.seed, record.get("fold")] = trial
    trials: dict[str, dict[int, Trial]] = {}
    order = {arm: place for place, arm in enumerate(recipe.arms)}
    for arm, seed in sorted({name[:2] for name in found}, key=lambda name: (order.get(name[0], len(order)), name)):
        folds = {fold: one for (a, s, fold), one in found.items() if (a, s) == (arm, seed) and fold is not None}
        trials.setdefault(arm, {})[seed] = replace(found.get((arm, seed, None)) or Trial(arm, seed), folds=folds)
    own = read_json(folder / "run.json", delete=folder)
    fix = "Run the recipe again to rewrite it."
    public, for_warmup = (
        shaped(tuple[str, ...], own.get(name) or (), folder / "run.json", fix) for name in ("public", "for_warmup")
    )
    run = Run(folder, recipe, public, for_warmup, trials)
    if not run.folded:
        return run
    pooled = {arm: {seed: _pooled(run, one) for seed, one in by_seed.items()} for arm, by_seed in trials.items()}
    return replace(run, trials=pooled)


def _trial(path: Path, record: TrialRecord) -> Trial:
    listed = record["stages"]
    target = next((entry for entry in reversed(listed) if entry["role"] == "target"), None)
    done = (entry for entry in listed if (path.parent / entry["folder"] / "stage.json").is_file())
    stages = tuple(_stage(path.parent, entry) for entry in done)
    makers = [entry["key"] for entry in listed if "model" in entry["outputs"]]
    style = record["style"]
    given = next((entry["inputs"].get("model", "") for entry in listed if entry["role"] == "evaluation"), "")
    first = target["inputs"].get("model", "") if target else makers[-1] if makers else given
    start = _model(first, style, stages)
    end = _model(target["key"], style, stages) if target else None
    return Trial(
        arm=record["arm"],
        seed=record["seed"],
        state="killed" if record["state"] == "running" and lost_process(path.parent) is not None else record["state"],
        reason=record.get("reason", ""),
        stages=stages,
        start=start,
        end=end,
        final=end if target else start,
        target=next((stage for stage in stages if target and stage.key == target["key"]), None),
    )


def _stage(folder: Path, entry: StageEntry) -> StageOutput:
    output = CacheEntry((folder / entry["folder"]).resolve())
    kept: dict[str, Any] = {name: value for name, value in entry.items() if name in ("id", "role", "stale")}
    return read_record(StageOutput, {**output.record(), **kept, "folder": output.folder}, output.folder / RECORD)


def _model(key: str, style: str, stages: tuple[StageOutput, ...]) -> Model | None:
    found = tuple(stage for stage in stages if stage.role == "evaluation" and stage.inputs.get("model") == key)
    return Model(key, style, found) if found else None


def _pooled(run: Run, trial: Trial) -> Trial:
    """A trial with the pooled measurements of its folds; unchanged if a fold is missing."""
    folds = [trial.folds[fold] for fold in range(run.fold_count) if fold in trial.folds]
    if len(folds) < run.fold_count:
        return trial

    def model(of: Callable[[Trial], Model | None]) -> Model | None:
        return pooled_model(of(trial), [of(fold) for fold in folds], run.folded)

    start, end = model(lambda one: one.start), model(lambda one: one.end)
    final = start if all(fold.final is fold.start for fold in folds) else end
    added = (stage for one in (start, end) if one for stage in one.evaluations)
    stages = {id(stage): stage for stage in (*trial.stages, *added)}
    target = trial.target and pooled_training(trial.target, [fold.target for fold in folds], run.folded)
    return replace(trial, stages=tuple(stages.values()), start=start, end=end, final=final, target=target)
