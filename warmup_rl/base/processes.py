"""Work on batches in processes of their own."""

from __future__ import annotations

import gc
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from warmup_rl.base.stopping import stop_with

Batch = TypeVar("Batch")
Made = TypeVar("Made")


def in_processes(
    make: Callable[[Batch], Made], batches: Iterable[Batch], processes: int
) -> Generator[Made, None, None]:
    """What `make` makes of each batch, in order, while the next ones are drawn; a few batches are held at a time.

    The first one is made here, so that a single batch starts no process.

    Args:
        make: a function of a module.
    """
    batches, ahead = iter(batches), deque[Future[Made]]()
    for batch in batches:
        yield make(batch)
        break
    context = get_context("forkserver")
    context.set_forkserver_preload([make.__module__])
    with ProcessPoolExecutor(processes, context, _begin, (os.getpid(),)) as pool:
        for batch in batches:
            ahead.append(pool.submit(make, batch))
            if len(ahead) > 2 * processes:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _begin(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # what batches are made of has no cycles
    stop_with([os.getppid(), parent])
