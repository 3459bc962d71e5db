"""`python -m warmup_rl sync RUN_FOLDER`: uploads the W&B runs that a run has written to its folder."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from warmup_rl.base.console import counted
from warmup_rl.base.errors import UserError
from warmup_rl.base.stopping import Stopped, listen
from warmup_rl.cli.arguments import Arguments
from warmup_rl.run.tracking import FOLDER

_POLL_SECONDS = 5.0
_GRACE_SECONDS = 600.0
"""How long an upload may go on after the process whose W&B run it follows has ended, however that ended."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command. Returns W&B's exit code; raises `UserError` where there is nothing to upload or no account."""
    parser = Arguments("sync", "Uploads the W&B runs of a run.")
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="folder of a run: outputs/RUN_NAME")
    parser.add_argument("--follow", type=int, metavar="PID", help=argparse.SUPPRESS)
    given = parser.read(arguments)
    place = given.folder / FOLDER if (given.folder / FOLDER).is_dir() else given.folder
    files = [*place.glob("*.wandb"), *place.glob("*/*.wandb")]
    if not files:
        raise UserError(f"{given.folder}: no W&B run lies there. A recipe with `tracking: wandb` makes them.")
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise UserError("no account of W&B is known here. Run `wandb login`, or set WANDB_API_KEY.")
    command = [sys.executable, "-m", "wandb", "beta", "sync", "--yes", str(place)]
    if given.follow is None:
        print(f"{counted(len(files), 'W&B run')} to upload from {place}", flush=True)
        return subprocess.run(command, check=False).returncode
    return _follow([*command, "--live"], given.follow)


def _follow(command: Sequence[str], writer: int) -> int:
    """Uploads while a process writes; W&B's own upload would wait for ever for the end of a run that was killed."""
    listen()
    with subprocess.Popen(command) as upload:
        try:
            while upload.poll() is None and psutil.pid_exists(writer):
                time.sleep(_POLL_SECONDS)
            return upload.wait(_GRACE_SECONDS)
        except (subprocess.TimeoutExpired, Stopped):
            return 1
        finally:
            upload.terminate()
