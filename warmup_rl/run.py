"""Runs a recipe: a fold over its stages, each made once in the store and linked into the run's folder."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from warmup_rl.code_digest import code_digest
from warmup_rl.console import duration
from warmup_rl.contract import load_tokenizer
from warmup_rl.errors import RunError
from warmup_rl.grading.code import sandbox_used
from warmup_rl.jsonl import write_json
from warmup_rl.leaks import draw
from warmup_rl.manifest import versions
from warmup_rl.plugins import data_digests
from warmup_rl.recipe import Recipe, dump, lane_name
from warmup_rl.stage import Artifacts, Context, Stage, Tracking, World
from warmup_rl.store import Slot, key_of, model_key, stale_key
from warmup_rl.world import launch_id

Say = Callable[[str], None]
PROBLEMS = "problems.json"
"""In a stage's folder: which problems it touched, and what for."""


@dataclass(frozen=True)
class Step:
    """A stage of one arm and seed, with the key of its output and of what it reads.

    Attributes:
        key: `SETTINGS-CODE`: what the stage was told to do and with what inputs, and a digest of the code that does it.
        current: the key by the code as it is now; other than `key` only where an output of older code is reused.
        inputs: keys of the artifacts that the stage reads, by kind.
    """

    number: int
    stage: Stage
    key: str
    current: str
    inputs: Mapping[str, str]

    @property
    def stale(self) -> bool:
        """Whether the output was made by code that has changed since (only under `--reuse-stale`)."""
        return self.key != self.current

    @property
    def name(self) -> str:
        return f"{self.number:02d}-{self.stage.id}"


@dataclass(frozen=True)
class Lane:
    """One arm with one seed: the unit that runs by itself; where a domain has folds, one of them or the last model.

    Attributes:
        fold: None for the last model, which is trained on all rows, and where no domain has folds.
        reuse_stale: take finished outputs with equal settings and inputs even where the code has changed since.
    """

    recipe: Recipe
    arm: str
    seed: int
    fold: int | None = None
    reuse_stale: bool = False

    @property
    def run_folder(self) -> Path:
        return Path(self.recipe.output_dir) / self.recipe.run_name

    @property
    def folder(self) -> Path:
        folder = self.run_folder / self.arm / f"seed-{self.seed}"
        return folder if self.fold is None else folder / f"fold-{self.fold}"

    @property
    def place(self) -> tuple[str, int, int | None]:
        """Arm, seed and fold."""
        return self.arm, self.seed, self.fold

    @property
    def name(self) -> str:
        return lane_name(*self.place)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The arm's stages with their keys, known before anything runs."""
        recipe = self.recipe
        given: dict[str, str] = {"model": model_key(recipe.model, recipe.model_revision)} if recipe.model else {}
        steps = []
        for number, stage in enumerate(self.recipe.stages_of(self.arm, self.fold), start=1):
            inputs: dict[str, str] = {kind: given[kind] for kind in sorted(stage.inputs())}
            current = _stage_key(self, stage, inputs)
            key = stale_key(self._store, stage.type, current) if self.reuse_stale else current
            step = Step(number, stage, key, current, inputs)
            given |= {kind: step.key for kind in stage.gives}
            steps.append(step)
        return tuple(steps)

    @property
    def _store(self) -> Path:
        return Path(self.recipe.output_dir) / "store"

    def slot(self, step: Step) -> Slot:
        return Slot(self._store / f"{step.stage.type}-{step.key}")

    @property
    def done(self) -> bool:
        return all(self.slot(step).done for step in self.steps)

    @property
    def finished(self) -> bool:
        """Whether all is done and linked into the lane's folder; what is done may have been made by other runs."""
        record = self.folder / "run.json"
        return self.done and record.is_file() and json.loads(record.read_text(encoding="utf-8"))["state"] == "finished"

    def moved(self) -> Iterator[str]:
        """A line for each finished stage whose engine had another address than the recipe gives now."""
        for step in self.steps:
            slot = self.slot(step)
            before = dict(_base_urls(slot.record()["config"])) if slot.done else {}
            for place, address in _base_urls(dump(step.stage)):
                if before.get(place, address) != address:
                    yield (
                        f"{step.stage.id}: made with {place} {before[place]}, not {address}; it is reused, since all "
                        f"else is equal. To make it anew, delete {slot.folder}."
                    )


class LaneRun:
    """Runs a lane's stages in order, in one process or as one rank of several."""

    def __init__(self, lane: Lane, world: World, say: Say) -> None:
        self._lane, self._world, self._say = lane, world, say

    def run(self, *, only: str | None = None, until: str | None = None) -> None:
        """Runs what is not done yet: all stages, `only` one, or those up to and with `until`.

        Raises:
            RunError: `only` names no stage, or its inputs are not there yet.
            UserError: the recipe's model cannot be loaded.
        """
        chosen = _choose(self._lane, only=only, until=until)
        recipe = self._lane.recipe
        if recipe.model and any("model" in step.inputs and not self._lane.slot(step).done for step in chosen):
            load_tokenizer(recipe.model, recipe.model_revision)  # a model that is not there is found before any work
        for step in chosen if only else self._lane.steps:
            if not self._lane.slot(step).done:
                step.stage.prepare(self._context(step, Artifacts(model=self._lane.recipe.model)))
        self._record("running")
        try:
            for step in chosen:
                self._step(step)
        except BaseException as error:
            self._record("failed", f"{type(error).__name__}: {error}")
            raise
        self._record("finished" if self._lane.done else "running")

    def _step(self, step: Step) -> None:
        slot, name = self._lane.slot(step), step.stage.id
        if slot.done:
            self._link(step)
            stale = " by code that has changed since" if step.stale else ""
            self._say(f"{name}: done before{stale}, {slot.folder}")
            return
        if not self._world.is_main:
            if slot.await_start(launch_id()) and step.stage.every_rank:
                self._execute(step, slot)
            slot.await_done()
            return
        with slot.locked(lambda: self._say(f"{name}: another process makes it, waiting")):
            if not slot.done:
                self._say(f"{name}: starts")
                slot.open_part(keep=step.stage.resumes, launch=launch_id())
                start = time.monotonic()
                summary = self._execute(step, slot)
                seconds = round(time.monotonic() - start, 1)
                write_json(slot.part / PROBLEMS, self._problems(step))
                slot.finish(self._stage_record(step, summary, seconds))
                self._say(f"{name}: done in {duration(seconds)}")
        self._link(step)
        self._record("running")

    def _execute(self, step: Step, slot: Slot) -> dict[str, Any]:
        return step.stage.run(self._context(step, self._artifacts(step), slot.part))

    def _artifacts(self, step: Step) -> Artifacts:
        """Folders of what the step reads. Raises `RunError` for what is not there (under `--only`)."""
        recipe = self._lane.recipe
        found = Artifacts(model=recipe.model, model_revision=recipe.model_revision)
        for kind, key in step.inputs.items():
            maker = next((other for other in self._lane.steps if other.key == key and kind in other.stage.gives), None)
            if maker is None:
                continue
            slot = self._lane.slot(maker)
            if not slot.done:
                raise RunError(
                    f"stage {step.stage.id!r} needs the {kind} of stage {maker.stage.id!r}, which is not done. "
                    f"Run the whole recipe, or --only {maker.stage.id} first."
                )
            if kind == "model":
                found = replace(found, model=str(slot.folder / "model"), model_revision=None)
            else:
                found = replace(found, traces=slot.folder / "traces.jsonl")
        return found

    def _context(self, step: Step, inputs: Artifacts, folder: Path | None = None) -> Context:
        recipe, lane = self._lane.recipe, self._lane
        domains, evaluation = recipe.seen_by(step.stage, lane.fold)
        fold = () if lane.fold is None else (f"fold-{lane.fold}",)
        return Context(
            folder=folder or lane.slot(step).part,
            inputs=inputs,
            domains=domains,
            response_format=recipe.format,
            evaluation=evaluation,
            seed=lane.seed,
            arm=lane.arm,
            stage_id=step.stage.id,
            world=self._world,
            tracking=Tracking(
                wandb_project=recipe.wandb.project if recipe.wandb else None,
                group=recipe.run_name,
                tags=(lane.arm, f"seed-{lane.seed}", *fold, step.stage.id),
            ),
            say=lambda line: self._say(f"{step.stage.id}: {line}"),
        )

    def _problems(self, step: Step) -> dict[str, dict[str, list[str]]]:
        """Ids of the problems that a stage touched, by what for and domain: its splits, frozen."""
        found: dict[str, dict[str, list[str]]] = {}
        for asked in self._lane.recipe.asked_by(step.stage, *self._lane.place):
            ids = found.setdefault(asked.draw.used_for, {}).setdefault(asked.domain.name, [])
            ids += [problem.id for problem in draw(asked)]
        return {use: {name: list(dict.fromkeys(ids)) for name, ids in some.items()} for use, some in found.items()}

    def _stage_record(self, step: Step, summary: dict[str, Any], seconds: float) -> dict[str, Any]:
        return {
            "type": step.stage.type,
            "key": step.key,
            "config": dump(step.stage),
            "inputs": dict(step.inputs),
            "seed": self._lane.seed,
            "summary": summary,
            "seconds": seconds,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            **({"sandbox": used} if (used := sandbox_used()) else {}),
            "world": {"size": self._world.size, "distribution": self._world.distribution, "device": self._world.device},
        }

    def _link(self, step: Step) -> None:
        if not self._world.is_main:
            return
        link = self._lane.folder / step.name
        target = os.path.relpath(self._lane.slot(step).folder, self._lane.folder)
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            raise RunError(f"{link} is in the way: it is no link of this run. Move it, or choose another run_name.")
        link.symlink_to(target, target_is_directory=True)

    def _record(self, state: str, reason: str = "") -> None:
        if not self._world.is_main:
            return
        lane = self._lane
        stages = [
            {
                "id": step.stage.id,
                "type": step.stage.type,
                "key": step.key,
                "folder": os.path.relpath(lane.slot(step).folder, lane.folder),
                "gives": sorted(step.stage.gives),
                "inputs": dict(step.inputs),
                "done": lane.slot(step).done,
                **({"stale": True, "current": step.current} if step.stale else {}),
            }
            for step in lane.steps
        ]
        lane.folder.mkdir(parents=True, exist_ok=True)
        fold = {} if lane.fold is None else {"fold": lane.fold}
        record = {"arm": lane.arm, "seed": lane.seed, **fold, "state": state, "reason": reason, "stages": stages}
        write_json(lane.folder / "run.json", record)


def shared_prefix(lanes: Sequence[Lane]) -> Step | None:
    """The last of the leading steps that all lanes (arms of one seed) share; None where they share none."""
    last = None
    for steps in zip(*(lane.steps for lane in lanes), strict=False):
        if len({step.key for step in steps}) > 1:
            break
        last = steps[0]
    return last


def _stage_key(lane: Lane, stage: Stage, inputs: Mapping[str, str]) -> str:
    domains, evaluation = lane.recipe.seen_by(stage, lane.fold)
    used = {name: domains[name] for name in sorted(stage.domains_used(evaluation, domains))}
    settings = key_of(
        {
            "type": stage.type,
            "config": dump(stage, asides=False),
            "inputs": dict(inputs),
            "seed": lane.seed,
            "domains": {name: dump(domain, asides=False) for name, domain in used.items()},
            "data": data_digests([stage, *used.values()]),
            "format": dump(lane.recipe.format),
            "evaluation": dump(evaluation) if stage.reads_evaluation() else None,
        }
    )
    return f"{settings}-{code_digest([stage, *used.values()])}"


def _base_urls(config: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Addresses of endpoints in a stage's settings, with where they stand."""
    if isinstance(config, dict):
        for key, value in config.items():
            here = f"{place}.{key}" if place else str(key)
            if key == "base_url":
                yield here, value
            yield from _base_urls(value, here)
    elif isinstance(config, list):
        for number, value in enumerate(config):
            yield from _base_urls(value, f"{place}.{number}")


def _choose(lane: Lane, *, only: str | None, until: str | None) -> tuple[Step, ...]:
    wanted = only or until
    position = next((i for i, step in enumerate(lane.steps) if step.stage.id == wanted), None)
    if wanted is None:
        return lane.steps
    if position is None:
        ids = ", ".join(step.stage.id for step in lane.steps)
        raise RunError(f"arm {lane.arm!r} has no stage {wanted!r}. Its stages: {ids}.")
    return lane.steps[position : position + 1] if only else lane.steps[: position + 1]
