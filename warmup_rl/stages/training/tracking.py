"""What a training stage leaves in the process is opened and cleaned up here, so that the next stage starts afresh."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from warmup_rl.interfaces.stage import Context


@contextmanager
def training(context: Context) -> Iterator[None]:
    """Around what builds trainer options, trains or saves: tracking is open inside, all is cleaned up after."""
    open_tracking(context)
    try:
        yield
    finally:
        clean_up()


def clean_up() -> None:
    """Frees models and caches, closes the tracking run, and takes back what DeepSpeed and accelerate keep globally.

    Without it ZeRO-3 would partition every model loaded afterwards, and the next trainer would go on in this one's
    tracking run. The process group stays: the next trainer uses it. Callers drop their own references to trainer and
    model first.
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
    _close_tracking()


def open_tracking(context: Context) -> Any:
    """Opens the W&B run of a stage on the main process, or returns None where the recipe asks for none.

    Without an account or a connection the run is kept on disk; tracking never stops a training.
    """
    if context.tracking.wandb_project is None or not context.launch_env.is_main:
        return None
    import wandb

    for mode in dict.fromkeys((_tracking_mode(wandb), "offline")):
        try:
            return wandb.init(
                project=context.tracking.wandb_project,
                group=context.tracking.group or None,
                job_type=context.stage_id,
                name=f"{context.arm}-{context.stage_id}-seed{context.seed}",
                tags=list(context.tracking.tags),
                dir=str(context.folder),
                mode=mode,
                settings=wandb.Settings(silent=True, console="off"),
            )
        except (wandb.Error, OSError) as error:
            context.say(f"W&B cannot be opened ({mode}): {error}")
    return wandb.init(mode="disabled")


def track(values: dict[str, float], step: int) -> None:
    """Sends values of ours to the open tracking run, if there is one, beside the trainer's own."""
    import sys

    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.log({**values, "train/global_step": step})


def _tracking_mode(wandb: Any) -> Any:
    if os.environ.get("WANDB_MODE"):
        return os.environ["WANDB_MODE"]
    return "online" if wandb.login(prompt=False, verify=False) else "offline"


def _close_tracking() -> None:
    import sys

    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish()
