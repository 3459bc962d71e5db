"""How the ranks of a launch leave a trial together that failed on one of them: by files, not in a collective."""

from __future__ import annotations

import time
from pathlib import Path

from warmup_rl.base.errors import RunError
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.run.cache import POLL_SECONDS
from warmup_rl.run.launch_env import launch_id

_MEET_SECONDS = 60.0


def failed_ranks(trial: Path) -> set[int]:
    """The ranks of this launch on which a trial, given its folder, has failed."""
    files = trial.glob(".failed.rank*")
    return {int(file.suffix.removeprefix(".rank")) for file in files if file.read_text(encoding="utf-8") == launch_id()}


def require_peers(trial: Path) -> None:
    """Raises `RunError` where the trial has failed on another rank."""
    if ranks := failed_ranks(trial):
        raise RunError(f"rank {min(ranks)} failed, see the log of the main process or {trial}/run.rank{min(ranks)}.log")


def leave_together(trial: Path, launch_env: LaunchEnv) -> None:
    """Tells the other ranks that the trial failed on this one, and returns when they have left it too. Raises
    `RunError` where they wait for this rank in a collective, so the launch has to end."""
    trial.mkdir(parents=True, exist_ok=True)
    (trial / f".failed.rank{launch_env.rank}").write_text(launch_id(), encoding="utf-8")
    deadline = time.monotonic() + _MEET_SECONDS
    while len(failed_ranks(trial)) < launch_env.size:
        if time.monotonic() > deadline:
            raise RunError(f"{trial}: rank {launch_env.rank} failed while others wait for it, so the launch ends.")
        time.sleep(POLL_SECONDS)
