"""Signals that ask this process to stop: at once, or at the next step of a training, which saves a checkpoint first."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

EXIT_STOPPED = 75
"""Exit code of a run that a signal has stopped: the same command continues it (EX_TEMPFAIL of sysexits.h)."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
PARENT_POLL_SECONDS = 1.0
_GRACE_SECONDS = 300.0
"""How long a process whose ancestor has ended may take to the end of a step; its peers may be gone as well."""


class Stopped(KeyboardInterrupt):
    """This process was asked to stop."""


class _State:
    asked = ""
    deferring = False


def listen() -> None:
    """From now on SIGTERM and SIGUSR1 raise `Stopped` in the main thread, except inside `deferred`."""
    for number in SIGNALS:
        signal.signal(number, _on_signal)


def asked_to_stop() -> str:
    """Name of the signal that has come; empty if none has."""
    return _State.asked


@contextmanager
def deferred() -> Iterator[None]:
    """Inside, a signal is only noted: the caller looks at `asked_to_stop` where stopping loses nothing."""
    _State.deferring = True
    try:
        yield
    finally:
        _State.deferring = False


def stop_with(ancestors: Sequence[int]) -> None:
    """Sends this process SIGTERM when one of its ancestors (pids of the parent, its parent, ...) ends, and ends it for
    certain a few minutes later. What a killed launcher or run leaves behind would keep GPUs and locks."""

    def watch() -> None:
        while _ancestors(len(ancestors)) == list(ancestors):
            time.sleep(PARENT_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        os._exit(EXIT_STOPPED)

    threading.Thread(target=watch, daemon=True).start()


def _ancestors(count: int) -> list[int]:
    """The pids of so many ancestors, fewer where one has just ended."""
    import psutil

    found, pid = [os.getppid()], os.getppid()
    with suppress(psutil.Error):
        for _ in range(count - 1):
            pid = psutil.Process(pid).ppid()
            found.append(pid)
    return found


def _on_signal(number: int, frame: Any) -> None:
    _State.asked = signal.Signals(number).name
    if not _State.deferring:
        raise Stopped(f"by {_State.asked}")
