"""Which processes this launch has, and whether they are the ones that were asked for."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import psutil
import yaml

from warmup_rl.base.errors import RunError
from warmup_rl.interfaces.stage import Distribution, LaunchEnv

_LAUNCHERS = ("accelerate", "accelerate-launch", "torchrun")
_SWITCHES = ("cpu", "multi_gpu", "use_deepspeed", "use_fsdp", "quiet", "no_python")


def read_launch_env() -> LaunchEnv:
    """Reads the launcher's environment and checks it against the launcher's command line.

    Raises:
        RunError: fewer processes run than were asked for (`accelerate launch --cpu --num_processes 2` without a
            distributed configuration starts one process and says nothing).
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
        distribution=_distribution(size),
        device="cuda" if torch.cuda.is_available() else "cpu",
    )


def asked_processes(command: list[str] | None = None) -> int | None:
    """How many processes the parent's `accelerate launch` or `torchrun` asks for; None where it does not say."""
    words = _parent_command() if command is None else command
    launcher = next((i for i, word in enumerate(words) if Path(word).name in _LAUNCHERS), None)
    if launcher is None:
        return None
    options = _options([word for word in words[launcher + 1 :] if word != "launch"])
    for key in ("num_processes", "nproc_per_node"):
        if options.get(key, "").isdigit():
            return int(options[key])
    config = Path(options["config_file"]) if "config_file" in options else None
    if config is not None and config.is_file():
        number = (yaml.safe_load(config.read_text()) or {}).get("num_processes")
        return number if isinstance(number, int) else None
    return None


def launch_id() -> str:
    """A word that all ranks of one launch share and no other launch on this file system is likely to have."""
    parts = [os.environ.get(key, "") for key in ("SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT")]
    if int(os.environ.get("GROUP_WORLD_SIZE", "1")) == 1:
        parts += [str(os.getppid()), str(psutil.Process(os.getppid()).create_time())]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def _distribution(size: int) -> Distribution:
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        stage = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
        found: dict[str, Distribution] = {"1": "zero1", "2": "zero2", "3": "zero3"}
        if stage not in found:
            raise RunError(f"DeepSpeed ZeRO stage {stage!r} is not supported. Allowed: 1, 2, 3 (launch/zero<N>.yaml).")
        return found[stage]
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise RunError("FSDP is not supported. Use launch/ddp.yaml or launch/zero1.yaml, zero2.yaml, zero3.yaml.")
    return "ddp" if size > 1 else "single"


def _parent_command() -> list[str]:
    try:
        return psutil.Process(os.getppid()).cmdline()
    except psutil.Error:
        return []


def _options(words: list[str]) -> dict[str, str]:
    """Launcher options up to the program it starts."""
    options: dict[str, str] = {}
    position = 0
    while position < len(words):
        word = words[position]
        if word in ("-m", "--module") or not word.startswith("-"):
            break
        name, equals, value = word.lstrip("-").partition("=")
        if not equals and position + 1 < len(words) and not words[position + 1].startswith("-"):
            if name.replace("-", "_") in _SWITCHES:
                value = "true"
            else:
                position += 1
                value = words[position]
        options[name.replace("-", "_")] = value
        position += 1
    return options
