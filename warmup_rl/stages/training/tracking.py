"""Process-wide state of training stages: W&B runs and caches, cleaned up before the next stage."""

from __future__ import annotations

import gc
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from warmup_rl.interfaces.stage import Context


@contextmanager
def training(context: Context) -> Iterator[None]:
    """Surrounds training: opens a W&B run if the recipe asks for it, and cleans up at the end."""
    if context.tracking.wandb_project is not None and context.launch_env.is_main:
        _open_wandb(context)
    try:
        yield
    finally:
        clean_up()


def clean_up() -> None:
    """Frees models and caches, closes the W&B run, and resets what DeepSpeed and accelerate keep globally.

    Otherwise ZeRO-3 would partition every model loaded afterwards, and the next trainer would log to this W&B run. The
    process group stays for the next trainer. Callers drop their own references to trainer and model first.
    """
    import torch
    from accelerate.state import AcceleratorState, GradientState
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()
    AcceleratorState._reset_state()
    GradientState._reset_state()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if wandb := _wandb_with_run():
        wandb.finish()


def track(values: dict[str, float], step: int) -> None:
    """Logs values to the open W&B run, if there is one, in addition to the trainer's own."""
    if wandb := _wandb_with_run():
        wandb.log({**values, "train/global_step": step})


def alert(title: str, text: str) -> None:
    """Sends an alert to the open W&B run, if there is one."""
    if wandb := _wandb_with_run():
        wandb.run.alert(title=title[:64], text=text)


def _open_wandb(context: Context) -> None:
    """Opens the W&B run of the stage, the same one after a kill.

    Without an account or a connection the run is kept on disk; tracking never stops a training.
    """
    import wandb

    run = context.folder / "wandb" / "run-id"
    run.parent.mkdir(exist_ok=True)
    if not run.exists():
        run.write_text(secrets.token_hex(4), encoding="utf-8")
    found = "online" if os.environ.get("WANDB_MODE") or wandb.login(prompt=False, verify=False) else "offline"
    for mode in dict.fromkeys((os.environ.get("WANDB_MODE", found), "offline")):
        try:
            wandb.init(
                project=context.tracking.wandb_project,
                group=context.tracking.group or None,
                job_type=context.stage_id,
                id=run.read_text(encoding="utf-8"),
                resume="allow",
                name=f"{context.arm}-{context.stage_id}-seed{context.seed}",
                tags=list(context.tracking.tags),
                dir=str(context.folder),
                mode=mode,  # type: ignore[arg-type]
                settings=wandb.Settings(silent=True, console="off"),
            )
            return
        except (wandb.Error, OSError) as error:
            context.say(f"W&B cannot be opened ({mode}): {error}")
    wandb.init(mode="disabled")


def _wandb_with_run() -> Any:
    """The wandb module if it is imported and has an open run."""
    wandb = sys.modules.get("wandb")
    return wandb if wandb is not None and wandb.run is not None else None
