"""Faults of a machine during a training, out of memory and a full disk, as messages that say what helps."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from warmup_rl.base.console import size_in_words
from warmup_rl.base.errors import RunError, UserError, first_line
from warmup_rl.base.files import DISK_FULL, free_bytes
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.training.checkpoints import last_in_words
from warmup_rl.stages.training.tracking import clean_up

if TYPE_CHECKING:
    from warmup_rl.stages.training.base import TrainerStage

_FULL_BYTES = 1_000_000
"""Room on a disk below which that is the cause of any error."""


@contextmanager
def explained(stage: TrainerStage, context: Context) -> Iterator[None]:
    """Surrounds a training: raises `RunError` for errors of libraries about memory and disks, and cleans up."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # writers of model files have classes of their own for a full disk
        if _is_out_of_memory(error):
            steps = "".join(f"\n  {place}. {line}" for place, line in enumerate(stage.remedies(context), start=1))
            raise RunError(
                f"{context.stage_id}: out of memory on {context.launch_env.device} ({first_line(error)}). "
                f"What helps, in this order:{steps}\n{last_in_words(context)}"
            ) from error
        free = free_bytes(context.folder)
        if getattr(error, "errno", None) in DISK_FULL or "No space left" in str(error) or free < _FULL_BYTES:
            raise RunError(
                f"{context.stage_id}: the disk is full: {context.folder} has {size_in_words(free)} free ({error}). "
                f"Make room and run the same command again. {last_in_words(context)}"
            ) from error
        raise
    finally:
        clean_up()


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    words = ("out of memory", "can't allocate memory", "cannot allocate memory")
    of_system = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    is_torch = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    return of_system or is_torch or isinstance(error, torch.OutOfMemoryError)
