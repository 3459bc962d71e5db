"""Work on batches in processes of their own."""

from __future__ import annotations

import atexit
import gc
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context
from typing import TypeVar

from warmup_rl.base.stopping import stop_with

Batch = TypeVar("Batch")
Made = TypeVar("Made")


def in_processes(
    make: Callable[[Batch], Made], batches: Iterable[Batch], processes: int
) -> Generator[Made, None, None]:
    """What `make` makes of each batch, in order, while the next ones are drawn; a few batches are held at a time.

    One batch alone is made here, and starts no process.

    Args:
        make: a function of a module.
    """
    batches = iter(batches)
    first, ahead = list(islice(batches, 2)), deque[Future[Made]]()
    if len(first) == 1:
        yield make(first[0])
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (os.getpid(),)) as pool:
        for batch in chain(first, batches):
            ahead.append(pool.submit(make, batch))
            if len(ahead) > 2 * processes:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _begin(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # what batches are made of has no cycles
    stop_with([parent])
    atexit.register(os._exit, 0)  # nothing is left to tidy up, which would take a quarter of a second
