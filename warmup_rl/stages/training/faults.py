"""Faults of a machine during a training, out of memory and a full disk, as messages that say what helps."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from warmup_rl.base.console import size_in_words
from warmup_rl.base.errors import RunError, UserError, first_line
from warmup_rl.base.files import DISK_FULL
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.training.checkpoints import last_in_words

if TYPE_CHECKING:
    from warmup_rl.stages.training.base import TrainerStage

_FULL_BYTES = 1_000_000
"""Room on a disk below which that is the cause of any error."""


@contextmanager
def explained(stage: TrainerStage, context: Context) -> Iterator[None]:
    """Raises `RunError` in place of the errors of libraries for memory and disks."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # writers of model files have classes of their own for a full disk
        if _is_out_of_memory(error):
            steps = "".join(f"\n  {number}. {line}" for number, line in enumerate(_remedies(stage, context), start=1))
            raise RunError(
                f"{context.stage_id}: out of memory on {context.launch_env.device} ({first_line(error)}). "
                f"What helps, in this order:{steps}\n{last_in_words(context)}"
            ) from error
        free = shutil.disk_usage(context.folder).free
        if getattr(error, "errno", None) in DISK_FULL or "No space left" in str(error) or free < _FULL_BYTES:
            raise RunError(
                f"{context.stage_id}: the disk is full: {context.folder} has {size_in_words(free)} free ({error}). "
                f"Make room and run the same command again. {last_in_words(context)}"
            ) from error
        raise


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    words = ("out of memory", "can't allocate memory", "cannot allocate memory")
    of_system = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    is_torch = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    return of_system or is_torch or isinstance(error, torch.OutOfMemoryError)


def _remedies(stage: TrainerStage, context: Context) -> Iterator[str]:
    """Settings that lower the memory that a training needs under this launch, cheapest first."""
    env, args = context.launch_env, stage.args
    micro = stage.batch(context).micro
    if micro > 1:
        yield f"args.per_device_train_batch_size: {micro // 2} (now {micro}); the result is the same, but slower"
    is_checkpointing = args.get("activation_checkpointing", args.get("gradient_checkpointing", env.device == "cuda"))
    if not is_checkpointing:
        yield "args.activation_checkpointing: true"
    if env.device == "cuda" and args.get("bf16") is False:
        yield "args.bf16: true"
    following = {"ddp": "zero2", "zero1": "zero2", "zero2": "zero3", "single": "zero2"}.get(env.distribution)
    if following and env.device == "cuda":
        yield f"launch with launch/{following}.yaml" + (" on several GPUs" if env.size == 1 else "")
    yield from stage.memory_remedies()
    if stage.lora is None and stage.inputs:
        yield "lora: {r: 16}, with a learning rate about ten times as high"
