"""The processes of this launch, checked against the number that the launcher was asked for, and how they leave a trial
together that failed on one of them: by files, not in a collective."""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from warmup_rl.base.errors import RunError
from warmup_rl.base.untrusted import parse_yaml
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.run.cache import POLL_SECONDS
from warmup_rl.stages.training.layout import layout_of

_LAUNCHERS = ("accelerate", "accelerate-launch", "torchrun")
_MEET_SECONDS = 60.0


def read_launch_env() -> LaunchEnv:
    """Reads the launcher's environment and checks it against the launcher's command line.

    Raises `RunError` if fewer processes run than were asked for (`accelerate launch --cpu --num_processes 2` without a
    distributed configuration starts one and says nothing), or a training is split in a way that is not supported.
    """
    import torch

    size = int(os.environ.get("WORLD_SIZE", "1"))
    asked = asked_processes()
    if asked is not None and asked != size:
        raise RunError(
            f"world size: {asked} processes were asked for, {size} run. On CPU, accelerate starts several processes "
            f"only with a distributed configuration: accelerate launch --config_file launch/ddp.yaml "
            f"--num_processes {asked} -m warmup_rl.train ..."
        )
    return LaunchEnv(
        rank=int(os.environ.get("RANK", "0")),
        size=size,
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        distribution=layout_of().env.distribution,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )


def asked_processes(command: list[str] | None = None) -> int | None:
    """The number of processes that the parent's `accelerate launch -m` or `torchrun -m` asks for; None if not given."""
    import psutil

    words = command or []
    if command is None:
        with suppress(psutil.Error):
            words = psutil.Process(os.getppid()).cmdline()
    launcher = next((i for i, word in enumerate(words) if Path(word).name in _LAUNCHERS), None)
    if launcher is None:
        return None
    options = "\0".join(takewhile(lambda word: word not in ("-m", "--module"), words[launcher + 1 :]))
    if number := re.search(r"--(num[_-]processes|nproc[_-]per[_-]node)[=\0](\d+)(?:\0|$)", options):
        nodes = re.search(r"--nnodes[=\0](\d+)(:\d+)?", options) if number[1].startswith("nproc") else None
        if nodes and nodes[2]:  # an elastic launch asks for no certain number
            return None
        return int(number[2]) * int(nodes[1] if nodes else 1)
    config = re.search(r"--config[_-]file[=\0]([^\0]+)", options)
    if config and Path(config[1]).is_file():
        found = (parse_yaml(Path(config[1]).read_text()) or {}).get("num_processes")
        return found if isinstance(found, int) else None
    return None


def is_launched() -> bool:
    """Whether `accelerate launch` or torchrun has started this process, and so is its parent."""
    return any(name in os.environ for name in ("TORCHELASTIC_RUN_ID", "ACCELERATE_MIXED_PRECISION"))


def launch_id() -> str:
    """An id that all ranks of one launch share, and that no other launch on this file system is likely to have."""
    import psutil

    parts = [os.environ.get(key, "") for key in ("SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT")]
    if int(os.environ.get("GROUP_WORLD_SIZE", "1")) == 1:
        parts += [str(os.getppid()), str(psutil.Process(os.getppid()).create_time())]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


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
