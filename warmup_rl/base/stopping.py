"""Signals that ask this process to stop: at once, or at the next step of a training, which saves a checkpoint first."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXIT_STOPPED = 75
"""Exit code of a run that a signal has stopped: the same command continues it (EX_TEMPFAIL of sysexits.h)."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
PARENT_POLL_SECONDS = 1.0
_GRACE_SECONDS = 300.0
"""How long a process whose parent has ended may take to the end of a step; its peers may be gone as well."""


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


def stop_with_parent() -> None:
    """Sends this process SIGTERM when its parent ends, and ends it for certain a few minutes later.

    A launcher that is killed leaves its processes behind, which would keep GPUs and locks.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        os._exit(EXIT_STOPPED)

    threading.Thread(target=watch, daemon=True).start()


def _on_signal(number: int, frame: Any) -> None:
    _State.asked = signal.Signals(number).name
    if not _State.deferring:
        raise Stopped(f"by {_State.asked}")
