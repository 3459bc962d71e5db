"""What a training logs to the W&B run of its trial, and the process-wide state that is cleaned up after it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any


def clean_up() -> None:
    """Frees models and caches, and resets what DeepSpeed and accelerate keep globally.

    Otherwise ZeRO-3 would partition every model loaded afterwards. The process group stays for the next trainer.
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


def by_step(stage: str) -> None:
    """Makes the steps of a stage the x axis of what it logs, unless a chart chooses another axis."""
    to_wandb(lambda wandb: wandb.define_metric(f"{stage}/*", step_metric=f"{stage}/step"))


def track(stage: str, values: Mapping[str, Any]) -> None:
    """Logs the numbers of a row as `STAGE/NAME`."""
    row = {f"{stage}/{key}": value for key, value in values.items() if isinstance(value, int | float)}
    to_wandb(lambda wandb: wandb.log(row))


def alert(title: str, text: str) -> None:
    to_wandb(lambda wandb: wandb.run.alert(title=title[:64], text=text))


def to_wandb(act: Callable[[Any], object]) -> None:
    """Calls a function with the module wandb if it has an open run.

    It may fail silently: tracking never stops a training, and what it would have shown is in the files.
    """
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        with suppress(Exception):
            act(wandb)
