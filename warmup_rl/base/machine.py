"""What this machine gives a process."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

_PROBING = ("trl", "transformers", "accelerate", "peft")
"""Libraries that look whether optional packages of theirs are installed."""


def cores() -> int:
    """Cores for this process: those that it may use, shared with the other ranks of its launch on this machine."""
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE") or 1))


def share_cores() -> None:
    """Lets a thread that waits for others sleep after some 10 µs, unless the environment says otherwise.

    GNU OpenMP, which torch computes with on a CPU, lets it spin for milliseconds. With other work on the machine, two
    threads are then slower than one, many times over. It is read when torch is loaded.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


@cache
def hide_folders() -> None:
    """Keeps plain folders of the working directory from being taken for packages that libraries use where installed.

    Python imports any folder; a clone or an environment named `vllm` would otherwise pass for vLLM.
    """
    for library in _PROBING:
        try:
            optional = metadata.requires(library) or []
        except metadata.PackageNotFoundError:
            continue
        for requirement in optional:
            name = re.split(r"[^\w-]", requirement, maxsplit=1)[0].replace("-", "_")
            if Path(name).is_dir() and name not in sys.modules and (spec := find_spec(name)) and spec.origin is None:
                sys.modules[name] = None  # type: ignore[assignment]  # Python's sign for a module that cannot be found
