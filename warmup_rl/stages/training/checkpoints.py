"""Checkpoints of a training on disk: written aside and renamed, verified before one is resumed from.

<stage folder>/trainer/checkpoint-12/           what transformers' Trainer is writing
<stage folder>/trainer/checkpoints/step-00000012/
    manifest.json                               size and SHA-256 of each file; how long each log was
    model.safetensors optimizer.pt ...          of transformers, TRL or DeepSpeed
    carried-0.pt                                what else rank 0 carries on, see `checkpointing.py`
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from warmup_rl.base.config import Config
from warmup_rl.base.errors import DataError
from warmup_rl.base.files import damage, files_in, fingerprints, sync, sync_files
from warmup_rl.base.jsonl import read_json, write_json
from warmup_rl.interfaces.stage import SCRATCH, Context

MANIFEST = "manifest.json"
BYTES_PER_TRAINED, BYTES_PER_WEIGHT = 16, 4
"""Bytes of a checkpoint a trained parameter (weights, a master copy, two moments of Adam), and of a saved weight."""
_CHECKPOINTS = f"{SCRATCH}/checkpoints"
_SECONDS = {"s": 1, "min": 60, "h": 3600}
KEPT_WEIGHTS = f"{SCRATCH}/kept.safetensors"
"""File of the weights of the best model so far in a stage's folder, for a stage that does not keep the last one."""
_KEPT = (SCRATCH, _CHECKPOINTS, KEPT_WEIGHTS)
"""Parts of a stage's folder that outlast a kill besides the logs."""


class CheckpointSettings(Config):
    """When a training saves a checkpoint, from which it is resumed after a kill."""

    every: Annotated[int, Field(gt=0)] | Annotated[str, StringConstraints(pattern=r"^[1-9]\d* ?(s|min|h)$")] = "15 min"
    """Time between checkpoints such as `15 min`, or a number of steps."""
    keep: int = Field(default=2, gt=0)
    """Number of checkpoints that are kept until the stage ends."""

    def is_due(self, step: int, seconds: float) -> bool:
        """Whether a checkpoint is due after a step, `seconds` after the one before."""
        if isinstance(self.every, int):
            return step % self.every == 0
        unit = self.every.lstrip("0123456789 ")
        return seconds >= int(self.every.removesuffix(unit)) * _SECONDS[unit]


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a stage's folder by step; all were complete when they were written."""
    return sorted((folder / _CHECKPOINTS).glob("step-*"))


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def last_in_words(context: Context) -> str:
    """What of a training is kept, for the message of what has ended it."""
    found = checkpoints(context.folder)
    if not found:
        return "Stages that are done are kept; this one has no checkpoint yet."
    return f"The last checkpoint is that of optimizer step {step_of(found[-1])}; equal settings continue from there."


def finish_checkpoint(written: Path, step: int, context: Context, keep: int) -> None:
    """Makes a checkpoint of the folder that the trainer has written, and deletes all but the newest `keep`."""
    names, folder = files_in(written), context.folder
    paths = (*folder.glob("*.jsonl"), *(folder / SCRATCH).glob("*.jsonl"))
    logs = {str(path.relative_to(folder)): path.stat().st_size for path in paths}
    manifest = {"launch": launch_of(context), "files": fingerprints(written, names), "logs": logs}
    write_json(written / MANIFEST, manifest)
    sync_files(written, (*names, MANIFEST))
    place = folder / _CHECKPOINTS / f"step-{step:08d}"
    place.parent.mkdir(exist_ok=True)
    written.replace(place)
    sync(place.parent)
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)


def launch_of(context: Context) -> list[Any]:
    """What must be as before for a training to be resumed: processes, how the model is split, device."""
    return [context.launch_env.size, context.launch_env.distribution, context.launch_env.device]


def manifest_of(checkpoint: Path) -> dict[str, Any]:
    return read_json(checkpoint / MANIFEST, delete=checkpoint)


def recover(folder: Path) -> None:
    """Leaves in a stage's folder what a training is resumed from: whole checkpoints, and logs as at the newest of them.

    Without a whole checkpoint the folder is removed.
    """
    found = checkpoints(folder)
    while found and not _is_whole(found[-1], folder):
        shutil.rmtree(found.pop())
    if not found:
        shutil.rmtree(folder)
        return
    logs: dict[str, int] = manifest_of(found[-1])["logs"]
    for name, size in logs.items():
        os.truncate(folder / name, size)
    for path in (*folder.iterdir(), *(folder / SCRATCH).iterdir()):
        if str(path.relative_to(folder)) not in (*logs, *_KEPT):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_whole(checkpoint: Path, folder: Path) -> bool:
    """Whether a checkpoint and the logs up to it are as they were written."""
    try:
        manifest = manifest_of(checkpoint)
        logs_are_there = all((folder / name).stat().st_size >= size for name, size in manifest["logs"].items())
        return logs_are_there and not any(damage(checkpoint, manifest["files"]))
    except (OSError, DataError, KeyError):
        return False
