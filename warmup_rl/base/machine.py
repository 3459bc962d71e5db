"""What this machine gives a process."""

from __future__ import annotations

import os


def cores() -> int:
    """Cores for this process: those that it may use, shared with the other ranks of its launch on this machine."""
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE") or 1))
