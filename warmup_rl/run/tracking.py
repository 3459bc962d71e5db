"""What shows a run while it goes on: the W&B run of a trial, and the report.

W&B runs are written to disk only, so that no network stops or delays a training. A process of its own uploads one
meanwhile where there is an account, and another one writes the report again after a stage.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_rl.interfaces.measurement import TRACKED
from warmup_rl.interfaces.stage import Tracking
from warmup_rl.recipe.schema import RecipeRecord, stage_row
from warmup_rl.stages.training.tracking import to_wandb

if TYPE_CHECKING:
    from warmup_rl.run.trial import PlannedStage, Trial

FOLDER = "wandb"
"""Folder in a run's folder that holds all W&B files of the run."""
OFFLINE = ("offline", "disabled", "dryrun")
"""Values of WANDB_MODE with which nothing is uploaded."""
COMPARISON = "comparison"
"""Name and job type of the W&B run that holds the report."""
REWRITE_SECONDS = 120.0
"""The report is written at most so often while a run goes on."""


@contextmanager
def wandb_run(
    recipe: RecipeRecord, folder: Path, name: str, job: str, config: Mapping[str, Any], say: Callable[[str], None]
) -> Iterator[None]:
    """Inside, a W&B run is open, if the recipe asks for it; the same one after a kill.

    Args:
        folder: the run's folder.
        name: e.g. `warmup/seed-0`; its parts become tags.
        job: W&B's job type.
    """
    if recipe.tracking.to != "wandb" or os.environ.get("WANDB_MODE") == "disabled":
        yield
        return
    try:
        place = _opened(recipe, folder, name, job, config)
        if os.environ.get("WANDB_MODE") not in OFFLINE:
            with (place / "upload.log").open("ab") as log:  # finds an account or ends; this process asks nobody
                _start("sync", str(place), "--follow", str(os.getpid()), log=log)
    except Exception as error:  # whatever W&B raises, the training goes on
        say(f"tracking: W&B cannot be opened: {error}")
    code = 1
    try:
        yield
        code = 0
    finally:
        to_wandb(lambda wandb: wandb.finish(exit_code=code))


def trial_run(trial: Trial, say: Callable[[str], None]) -> AbstractContextManager[None]:
    """The W&B run of a trial, with the resolved recipe as its config; none for a trial that is finished."""
    if trial.finished:
        return nullcontext()
    stages = [stage_row(planned.stage) for planned in trial.stages]
    own = {"arm": trial.arm, "seed": trial.seed, "fold": trial.fold, "stages_of_arm": stages}
    name = trial.folder.relative_to(trial.run_folder).as_posix()
    return wandb_run(trial.recipe, trial.run_folder, name, "trial", {**trial.recipe.resolved(), **own}, say)


def tracking_of(trial: Trial, planned: PlannedStage) -> Tracking:
    """Where a stage's live metrics go, and what the trial has spent before it."""
    to, project = trial.recipe.tracking.to, trial.recipe.tracking.project
    return Tracking(to, project, trial.recipe.run_name, trial.run_folder, _spent(trial, planned))


def _spent(trial: Trial, planned: PlannedStage) -> float:
    """FLOPs of the finished trainings of a trial before a stage, without pretraining."""
    before = [one for one in trial.stages[: planned.number - 1] if one.stage.role != "pretraining"]
    done = (trial.entry(one) for one in before)
    return sum(float(entry.record()["summary"].get("flops") or 0) for entry in done if entry.done)


def track_stage(stage: str, record: Mapping[str, Any]) -> None:
    """Writes the figures of a finished stage to the open W&B run, if there is one; of evaluations each measurement."""
    summary = record["summary"]
    found = {f"{stage}/{key}": value for key, value in summary.items() if isinstance(value, int | float)}
    found |= {f"{stage}/seconds": record["seconds"], f"{stage}/alarms": len(summary.get("alarms", ()))}
    for cell in summary.get("cells") or ():
        place = "/".join(str(cell.get(key)) for key in ("domain", "split", "sampling", "prompt"))
        found |= {f"{stage}/{place}/{key}": cell.get(key) for key in TRACKED}
    to_wandb(lambda wandb: wandb.run.summary.update(found))


def run_id(folder: Path, name: str) -> str:
    """The id of a W&B run of a run folder; drawn once, so that a killed run goes on in the same one."""
    path = folder / FOLDER / f"{name.replace('/', '-')}.id"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        path.write_text(secrets.token_hex(4), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def _opened(recipe: RecipeRecord, folder: Path, name: str, job: str, config: Mapping[str, Any]) -> Path:
    """Opens a W&B run and returns the folder of its files."""
    import wandb

    run = wandb.init(
        project=recipe.tracking.project,
        group=recipe.run_name,
        job_type=job,
        name=name,
        tags=[part[:64] for part in name.split("/")],  # no more is allowed
        id=run_id(folder, name),
        resume="allow",
        dir=str(folder.resolve()),
        mode="offline",
        settings=wandb.Settings(silent=True, console="off"),
    )
    run.config.update(dict(config), allow_val_change=True)
    return Path(run.settings.sync_dir)


def rewrite_report(trial: Trial) -> None:
    """Starts writing the report, unless that is not due or the trial is done; never fails, and waits for nothing."""
    run_folder = trial.run_folder
    with suppress(OSError):
        if trial.done:
            return
        page = run_folder / "report" / "report.html"
        last = (page if page.is_file() else run_folder / "run.json").stat().st_mtime
        if time.time() - last >= REWRITE_SECONDS:
            _start("report", str(run_folder), "--again")


def _start(*command: str, log: Any = subprocess.DEVNULL) -> None:
    """Starts a command of this package in a process that may outlive this one."""
    subprocess.Popen(
        [sys.executable, "-m", "warmup_rl", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True, env={key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"},
    )  # fmt: skip
