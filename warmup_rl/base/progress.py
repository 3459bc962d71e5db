"""Says now and then how far long work is, so that short work stays quiet."""

from __future__ import annotations

import time
from collections.abc import Callable

from warmup_rl.base.console import duration

_SECONDS = 20.0


def progress(say: Callable[[str], None], name: str, total: int, *, every: float = _SECONDS) -> Callable[[int], None]:
    """A function to call with the number of things that were just done; it speaks at most once in `every` seconds."""
    start = last = time.monotonic()
    done = 0

    def step(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if 0 < done < total and now - last >= every:
            last = now
            say(f"{name}: {done} of {total}, {duration((now - start) / done * (total - done))} left")

    return step
