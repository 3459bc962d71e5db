"""Runs a recipe: each stage of a trial once, in the cache, linked into the run folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from warmup_rl.base.console import duration
from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import read_json, write_json
from warmup_rl.base.models import require_finite
from warmup_rl.interfaces.chat import load_tokenizer
from warmup_rl.interfaces.format import STYLES, ResponseFormat
from warmup_rl.interfaces.measurement import best_style
from warmup_rl.interfaces.stage import Artifacts, Context, LaunchEnv, Stage, artifact_path
from warmup_rl.recipe import Recipe, dump, trial_name
from warmup_rl.recipe.schema import CACHE_FOLDER, SOURCES
from warmup_rl.run.cache import CacheEntry, keep_note, model_key, stale_key
from warmup_rl.run.drafts import checked_note, require_completions
from warmup_rl.run.harm import silent_starts, stop_after_harm, warmup_alarms
from warmup_rl.run.launch_env import launch_id, require_peers
from warmup_rl.run.model_card import write_card
from warmup_rl.run.provenance import addresses, versions
from warmup_rl.run.stage_key import stage_key
from warmup_rl.run.tracking import rewrite_report, track_stage, tracking_of, trial_run
from warmup_rl.stages.training.layout import layout_of

Say = Callable[[str], None]
PROBLEMS = "problems.json"
"""File of a stage output: ids of the problems that the stage used."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage of one arm and seed, with the key of its output and of what it reads.

    Attributes:
        key: `SETTINGS-CODE`: hashes of the stage's settings and inputs, and of its code and its endpoints' addresses.
        current: the key with what is current of these; differs from `key` only if an older output is reused.
        inputs: keys of the artifacts that the stage reads, by kind.
        data: digests of the data files that the stage and its domains name, by path.
    """

    number: int
    stage: Stage
    key: str
    current: str
    inputs: Mapping[str, str]
    data: Mapping[str, str]

    @property
    def stale(self) -> bool:
        """Whether the output was made by older code or another endpoint (only under `--reuse-stale`)."""
        return self.key != self.current

    @property
    def name(self) -> str:
        return f"{self.number:02d}-{self.stage.id}"


@dataclass(frozen=True)
class Trial:
    """One arm with one seed, the unit that runs independently; with cross-validation, one fold or the last model.

    Attributes:
        fold: None for the last model, which is trained on all rows, and without cross-validation.
        reuse_stale: reuse finished outputs with equal settings and inputs although the code or an endpoint has changed.
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
        return trial_name(*self.place)

    def seed_of(self, stage: Stage) -> int:
        """The seed of what a stage draws, its problems aside."""
        return self.recipe.seed_of(SOURCES.get(stage.role, "examples"), self.seed)

    @cached_property
    def stages(self) -> tuple[PlannedStage, ...]:
        """The stages of the arm with their keys, known before anything runs."""
        recipe = self.recipe
        given: dict[str, str] = {"model": model_key(recipe.model, recipe.model_revision)} if recipe.model else {}
        stages, judged = list[PlannedStage](), ""
        for number, stage in enumerate(self.recipe.stages_of(self.arm, self.fold), start=1):
            inputs: dict[str, str] = {kind: given[kind] for kind in sorted(stage.required_inputs())}
            current, data = stage_key(self, stage, inputs, judged)
            key = stale_key(self._cache, stage.type, current) if self.reuse_stale else current
            planned = PlannedStage(number, stage, key, current, inputs, data)
            given |= {kind: planned.key for kind in stage.outputs}
            stages.append(planned)
            judged = judged or (key if stage.compared_styles() else "")
        return tuple(stages)

    def chosen(self, only: str | None = None, until: str | None = None) -> tuple[PlannedStage, ...]:
        """The stages to run: all, `only` one, or those up to and including `until`; none where the arm has no such."""
        if (wanted := only or until) is None:
            return self.stages
        end = next((number for number, planned in enumerate(self.stages, start=1) if planned.stage.id == wanted), 0)
        return self.stages[end - 1 if only and end else 0 : end]

    @property
    def format(self) -> ResponseFormat:
        """How the arm's completions are laid out; `auto` until the evaluation that decides it is done."""
        wanted = self.recipe.format_of(self.arm)
        judge = next((planned for planned in self.stages if planned.stage.compared_styles()), None)
        if wanted.think != "auto" or judge is None or not (entry := self.entry(judge)).done:
            return wanted
        styles = [style for style in STYLES if style in judge.stage.compared_styles()]
        return wanted.under(best_style(entry.cells(), styles))

    @property
    def _cache(self) -> Path:
        return Path(self.recipe.output_dir) / CACHE_FOLDER

    def entry(self, planned: PlannedStage) -> CacheEntry:
        return CacheEntry(self._cache / f"{planned.stage.type}-{planned.key}")

    @property
    def done(self) -> bool:
        return all(self.entry(planned).done for planned in self.stages)

    @property
    def finished(self) -> bool:
        """Whether all is done and linked into the trial's folder; what is done may have been made by other runs."""
        if not self.done or not (path := self.folder / "run.json").is_file():
            return False
        record = read_json(path, delete=self.folder)
        linked = [(stage["key"], stage.get("stale", False)) for stage in record["stages"]]
        return record["state"] == "finished" and linked == [(planned.key, planned.stale) for planned in self.stages]

    @cached_property
    def outdated(self) -> set[str]:
        """Ids of stages of which there is an output with equal settings by code or an endpoint that has changed since,
        in the stage or in one before it: it is made anew, or reused under `--reuse-stale`."""
        older = replace(self, reuse_stale=True)
        return {
            before.stage.id
            for before, now in zip(older.stages, self.stages, strict=True)
            if before.stale or (older.entry(before).done and not self.entry(now).done)
        }

    def moved(self) -> Iterator[str]:
        """A line for each stage of which there is only an output that was made with another endpoint's address."""
        for planned in replace(self, reuse_stale=True).stages:
            entry = self.entry(planned)
            before = dict(addresses(entry.record()["config"])) if entry.done else {}
            for place, address in addresses(dump(planned.stage)):
                if before.get(place, address) != address:
                    again = "it is reused" if self.reuse_stale else "it is made again (--reuse-stale reuses it)"
                    yield f"{planned.stage.id}: made with {place} {before[place]}, not {address}: {again}."


class TrialRunner:
    """Runs a trial's stages in order, in one process or as one rank of several."""

    def __init__(self, trial: Trial, launch_env: LaunchEnv, say: Say) -> None:
        self._trial, self._launch_env, self._say = trial, launch_env, say

    def run(self, *, only: str | None = None, until: str | None = None) -> None:
        """Runs what is not done yet of the stages that `Trial.chosen` gives.

        Raises `RunError` if the arm has no such stage, or an input of the stage `only` is missing; `UserError` if the
        recipe's model cannot be loaded, or its folder holds weights that are not finite.
        """
        if not (chosen := self._trial.chosen(only, until)):
            ids = ", ".join(planned.stage.id for planned in self._trial.stages)
            raise RunError(f"arm {self._trial.arm!r} has no stage {only or until!r}. Its stages: {ids}.")
        recipe = self._trial.recipe
        waiting = [one for one in (chosen if only else self._trial.stages) if not self._trial.entry(one).done]
        if recipe.model and any("model" in planned.inputs for planned in waiting):
            load_tokenizer(recipe.model, recipe.model_revision)  # what is wrong with it is reported before any work
            if self._launch_env.is_main:
                require_finite(Path(recipe.model).expanduser())
        with TemporaryDirectory() as drafts:
            self.prepare(waiting, Path(drafts))
        self._record("running")
        try:
            with trial_run(self._trial, self._say) if self._launch_env.is_main else nullcontext():
                for planned in chosen:
                    self._step(planned)
                    stop_after_harm(self._trial, planned)
        except BaseException as error:
            state = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            self._record(state, f"{type(error).__name__}: {error}")
            raise
        self._record("finished" if self._trial.done else "running")

    def prepare(self, stages: Sequence[PlannedStage], drafts: Path) -> list[tuple[Stage, Context]]:
        """Finds what would stop a stage, without doing its work. Returns the stages with what they were prepared on.
        Raises `UserError` for one that cannot run.

        Args:
            drafts: a folder for the drafts of models that stages build; the contexts name them.
        """
        inputs, prepared = Artifacts(self._trial.recipe.model, self._trial.recipe.model_revision), []
        passed: list[Path | None] = []
        for planned in self._trial.stages:
            folder = drafts / planned.key
            if not folder.is_dir() and planned.stage.draft(folder):
                require_completions(folder, f"{planned.stage.id}.model")
            if folder.is_dir():
                inputs = Artifacts(str(folder))
            if planned in stages:
                context = self.context(planned, inputs=inputs)
                note = self._passed(planned)
                if note is None or not note.is_file():
                    planned.stage.prepare(context)
                    passed.append(note)
                prepared.append((planned.stage, context))
        for note in passed:
            keep_note(note, {})
        return prepared

    def _passed(self, planned: PlannedStage) -> Path | None:
        """The note that a training was prepared; None where it is prepared each time: a model on the hub may change,
        and the processes of a launch prepare together."""
        recipe = self._trial.recipe
        if recipe.model or self._launch_env.size > 1 or not planned.stage.trainer_config:
            return None
        return checked_note(recipe, [planned], [repr(layout_of())])

    def _step(self, planned: PlannedStage) -> None:
        entry, name = self._trial.entry(planned), planned.stage.id
        if entry.done:
            self._link(planned)
            track_stage(planned.stage.id, entry.record())
            stale = " by code or an endpoint that has changed since" if planned.stale else ""
            return self._say(f"{name}: done before{stale}, {entry.folder}")
        if not self._launch_env.is_main:
            peers = partial(require_peers, self._trial.folder)
            if entry.await_start(launch_id(), peers) and planned.stage.on_every_rank():
                self._execute(planned, entry)
            entry.await_done(peers)
            return
        with entry.locked(lambda holder: self._say(f"{name}: another process{holder} makes it, waiting")):
            if not entry.done:
                self._say(f"{name}: starts")
                for line in silent_starts(self._trial, planned):
                    self._say(f"{name}: {line}")
                entry.open_part(planned.stage.recover, launch=launch_id())
                start = time.monotonic()
                summary = self._execute(planned, entry)
                if alarms := warmup_alarms(self._trial, planned, summary):
                    summary = {**summary, "alarms": alarms}
                seconds = round(time.monotonic() - start, 1)
                write_json(entry.part / PROBLEMS, self._problems(planned))
                entry.finish(self._stage_record(planned, summary, seconds))
                self._say(f"{name}: done in {duration(seconds)}")
                for alarm in alarms:
                    self._say(f"{name}: health, {alarm['rule']}: {alarm['text']}")
        write_card(self._trial, planned)
        self._link(planned)
        self._record("running")
        track_stage(planned.stage.id, entry.record())
        rewrite_report(self._trial)

    def _execute(self, planned: PlannedStage, entry: CacheEntry) -> dict[str, Any]:
        return planned.stage.run(self.context(planned, entry.part, self._artifacts(planned)))

    def _artifacts(self, planned: PlannedStage) -> Artifacts:
        """Paths of the inputs of a stage. Raises `RunError` if one is missing (under `--only`) or damaged."""
        recipe = self._trial.recipe
        made: dict[str, Path] = {}
        for kind, key in planned.inputs.items():
            maker = next(
                (other for other in self._trial.stages if other.key == key and kind in other.stage.outputs), None
            )
            if maker is None:
                continue
            entry = self._trial.entry(maker)
            if not entry.done:
                raise RunError(
                    f"stage {planned.stage.id!r} needs the {kind} of stage {maker.stage.id!r}, which is not done. "
                    f"Run the whole recipe, or --only {maker.stage.id} first."
                )
            made[kind] = artifact_path(entry.folder, kind)
            if self._launch_env.is_main:
                entry.require_whole(made[kind].name if made[kind].is_dir() else "")  # files may have others beside them
        if "model" in made:
            return Artifacts(str(made.pop("model")), None, **made)
        return Artifacts(recipe.model, recipe.model_revision, **made)

    def context(self, planned: PlannedStage, folder: Path | None = None, inputs: Artifacts | None = None) -> Context:
        """What a stage may use; by default with the recipe's model, since other inputs do not exist before a run."""
        recipe, trial = self._trial.recipe, self._trial
        domains, evaluation = recipe.seen_by(planned.stage, trial.fold)
        return Context(
            folder=folder or trial.entry(planned).part,
            inputs=inputs or Artifacts(recipe.model, recipe.model_revision),
            domains=domains,
            response_format=trial.format,
            evaluation=evaluation,
            seed=trial.seed_of(planned.stage),
            drawn_with=recipe.seed_of("examples", trial.seed),
            arm=trial.arm,
            stage_id=planned.stage.id,
            launch_env=self._launch_env,
            tracking=tracking_of(trial, planned),
            say=lambda line: self._say(f"{planned.stage.id}: {line}"),
            peers=partial(require_peers, trial.folder),
        )

    def _problems(self, planned: PlannedStage) -> dict[str, dict[str, list[str]]]:
        """Ids of the problems that a stage used, by use and domain."""
        found: dict[str, dict[str, list[str]]] = {}
        for asked in self._trial.recipe.asked_by(planned.stage, *self._trial.place):
            ids = found.setdefault(asked.draw.used_for, {}).setdefault(asked.domain.name, [])
            ids += [problem.id for problem in asked.problems()]
        return {use: {name: list(dict.fromkeys(ids)) for name, ids in some.items()} for use, some in found.items()}

    def _stage_record(self, planned: PlannedStage, summary: dict[str, Any], seconds: float) -> dict[str, Any]:
        from warmup_rl.grading.code import sandbox_used

        return {
            "type": planned.stage.type,
            "key": planned.key,
            "config": dump(planned.stage),
            "inputs": dict(planned.inputs),
            "data": dict(planned.data),
            "seed": self._trial.seed_of(planned.stage),
            "summary": summary,
            "seconds": seconds,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            **({"sandbox": used} if (used := sandbox_used()) else {}),
            "launch_env": {
                "size": self._launch_env.size,
                "distribution": self._launch_env.distribution,
                "device": self._launch_env.device,
            },
        }

    def _link(self, planned: PlannedStage) -> None:
        if not self._launch_env.is_main:
            return
        link = self._trial.folder / planned.name
        target = os.path.relpath(self._trial.entry(planned).folder, self._trial.folder)
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            raise RunError(f"{link} is in the way: it is not a link of this run. Move it, or choose another run_name.")
        link.symlink_to(target, target_is_directory=True)

    def _record(self, state: str, reason: str = "") -> None:
        if not self._launch_env.is_main:
            return
        trial = self._trial
        stages = [
            {
                "id": planned.stage.id,
                "type": planned.stage.type,
                "role": planned.stage.role,
                "key": planned.key,
                "folder": os.path.relpath(trial.entry(planned).folder, trial.folder),
                "outputs": sorted(planned.stage.outputs),
                "inputs": dict(planned.inputs),
                "done": trial.entry(planned).done,
                **({"stale": True, "current": planned.current} if planned.stale else {}),
            }
            for planned in trial.stages
        ]
        record = {
            "arm": trial.arm,
            "seed": trial.seed,
            **({} if trial.fold is None else {"fold": trial.fold}),
            "style": trial.format.think,
            "state": state,
            "reason": reason,
            "stages": stages,
        }
        trial.folder.mkdir(parents=True, exist_ok=True)
        write_json(trial.folder / "run.json", record)
