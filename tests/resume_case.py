"""Trainings that are killed and resumed, for tests; also the program that a launcher starts for several processes.

`accelerate launch ... -m tests.resume_case FOLDER` trains SFT and RLVR on every rank once whole and once in two parts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.kills import without_times
from tests.training_case import RLVR, SFT, context, wait_for
from warmup_rl.base import stopping
from warmup_rl.base.jsonl import write_json
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.stages.training import checkpointing
from warmup_rl.stages.training.checkpoints import CheckpointSettings, checkpoints, step_of


class Killed(Exception):
    pass


@contextmanager
def dying_at(step: int) -> Iterator[None]:
    """Trainings end without a word when this optimizer step begins."""

    def die(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == step - 1:
            raise Killed

    checkpointing.Checkpoints.on_step_begin = die  # type: ignore[method-assign]
    try:
        yield
    finally:
        del checkpointing.Checkpoints.on_step_begin


@contextmanager
def asked_at(step: int, *, here: bool) -> Iterator[None]:
    """A signal comes when this optimizer step begins, on one process only."""

    def ask(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if here and state.global_step == step - 1:
            stopping._State.asked = "SIGTERM"

    checkpointing.Checkpoints.on_step_begin = ask  # type: ignore[method-assign]
    try:
        yield
    finally:
        del checkpointing.Checkpoints.on_step_begin
        stopping._State.asked = ""


def with_checkpoints(stage: Any, every: int | str = 2, **update: Any) -> Any:
    return stage.model_copy(update={"checkpoint": CheckpointSettings(every=every), **update})


def logs(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of all logs without what takes time."""
    return {path.name: without_times(path) for path in sorted(folder.glob("*.jsonl"))}


def run_all(folder: Path, launch_env: LaunchEnv) -> None:
    """SFT is killed before its sixth step, RLVR is asked to stop in its third; both are resumed."""
    last = launch_env.rank == launch_env.size - 1
    ends = (dying_at(6), asked_at(3, here=last))
    sft = SFT.model_copy(update={"epochs": 2})
    rlvr = RLVR.model_copy(update={"args": {"learning_rate": 1e-3, "per_device_train_batch_size": 2}})  # no KL term
    for name, stage, ending in zip(("sft", "rlvr"), (sft, rlvr), ends, strict=True):
        stage = with_checkpoints(stage)
        whole, parts = (
            context(folder, f"{name}-{kind}", folder / "base", launch_env=launch_env) for kind in ("whole", "parts")
        )
        stage.run(whole)
        wait_for(whole.model_folder / "chat_contract.json")
        with suppress(Killed, stopping.Stopped), ending:
            stage.run(parts)
        if launch_env.is_main:
            stage.recover(parts.folder)
            steps = [step_of(checkpoint) for checkpoint in checkpoints(parts.folder)]
            write_json(folder / f"{name}.recovered", {"steps": steps})
        wait_for(folder / f"{name}.recovered")
        stage.run(parts)
        wait_for(parts.model_folder / "chat_contract.json")


if __name__ == "__main__":
    from warmup_rl.run.launch_env import read_launch_env

    run_all(Path(sys.argv[1]), read_launch_env())
