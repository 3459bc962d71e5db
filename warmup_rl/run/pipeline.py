"""Runs a trial: each stage once, in the cache, linked into the run folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from warmup_rl.base.console import duration
from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import write_json
from warmup_rl.base.models import require_finite
from warmup_rl.interfaces.chat import load_tokenizer
from warmup_rl.interfaces.stage import Artifacts, Context, LaunchEnv, Stage, artifact_path
from warmup_rl.recipe.schema import dump
from warmup_rl.run.cache import CacheEntry, keep_note
from warmup_rl.run.drafts import checked_note, require_completions
from warmup_rl.run.harm import silent_starts, stop_after_harm, warmup_alarms
from warmup_rl.run.launch_env import launch_id, require_peers
from warmup_rl.run.model_card import write_card
from warmup_rl.run.provenance import versions
from warmup_rl.run.tracking import rewrite_report, track_stage, tracking_of, trial_run
from warmup_rl.run.trial import PlannedStage, Trial
from warmup_rl.stages.training.layout import layout_of

Say = Callable[[str], None]
PROBLEMS = "problems.json"
"""File of a stage output: ids of the problems that the stage used."""


class TrialRunner:
    """Runs a trial's stages in order, in one process or as one rank of several."""

    def __init__(self, trial: Trial, launch_env: LaunchEnv, say: Say) -> None:
        self._trial = trial
        self._launch_env = launch_env
        self._say = say

    def run(self, *, only: str | None = None, until: str | None = None) -> None:
        """Runs what is not done yet of the stages that `Trial.chosen` gives.

        Raises `RunError` if the arm has no such stage, or an input of the stage `only` is missing; `UserError` if the
        recipe's model cannot be loaded, or its folder holds weights that are not finite.
        """
        chosen = self._trial.chosen(only, until)
        if not chosen:
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
        self._record("finished" if self._trial.done else "waits")

    def prepare(self, stages: Sequence[PlannedStage], drafts: Path) -> list[tuple[Stage, Context]]:
        """Finds what would stop a stage, without doing its work. Returns the stages with what they were prepared on.
        Raises `UserError` for one that cannot run.

        Args:
            drafts: a folder for the drafts of models that stages build; the contexts name them.
        """
        inputs = Artifacts(self._trial.recipe.model, self._trial.recipe.model_revision)
        prepared: list[tuple[Stage, Context]] = []
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
        entry = self._trial.entry(planned)
        name = planned.stage.id
        if entry.done:
            self._link(planned)
            track_stage(name, entry.record())
            stale = " by code or an endpoint that has changed since" if planned.stale else ""
            self._say(f"{name}: done before{stale}, {entry.folder}")
            return
        if not self._launch_env.is_main:
            peers = partial(require_peers, self._trial.folder)
            if entry.await_start(launch_id(), peers) and planned.stage.on_every_rank():
                self._execute(planned, entry)
            entry.await_done(peers)
            return
        with entry.locked(lambda holder: self._say(f"{name}: another process{holder} makes it, waiting")):
            if not entry.done:
                self._make(planned, entry)
        write_card(self._trial, planned)
        self._link(planned)
        self._record("running")
        track_stage(name, entry.record())
        rewrite_report(self._trial)

    def _make(self, planned: PlannedStage, entry: CacheEntry) -> None:
        name = planned.stage.id
        self._say(f"{name}: starts")
        for line in silent_starts(self._trial, planned):
            self._say(f"{name}: {line}")
        entry.open_part(planned.stage.recover, launch=launch_id())
        start = time.monotonic()
        summary = self._execute(planned, entry)
        alarms = warmup_alarms(self._trial, planned, summary)
        if alarms:
            summary = {**summary, "alarms": alarms}
        seconds = round(time.monotonic() - start, 1)
        write_json(entry.part / PROBLEMS, self._problems(planned))
        entry.finish(self._stage_record(planned, summary, seconds))
        self._say(f"{name}: done in {duration(seconds)}")
        for alarm in alarms:
            self._say(f"{name}: health, {alarm['rule']}: {alarm['text']}")

    def _execute(self, planned: PlannedStage, entry: CacheEntry) -> dict[str, Any]:
        return planned.stage.run(self.context(planned, entry.part, self._artifacts(planned)))

    def _artifacts(self, planned: PlannedStage) -> Artifacts:
        """Paths of the inputs of a stage. Raises `RunError` if one is missing (under `--only`) or damaged."""
        recipe = self._trial.recipe
        made: dict[str, Path] = {}
        for kind, key in planned.inputs.items():
            makers = (other for other in self._trial.stages if other.key == key and kind in other.stage.outputs)
            maker = next(makers, None)
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

        sandbox = sandbox_used()
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
            **({"sandbox": sandbox} if sandbox else {}),
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
