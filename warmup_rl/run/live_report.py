"""The report of a run that goes on, written again by a process of its own after a stage."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warmup_rl.run.pipeline import Trial

REWRITE_SECONDS = 120.0
"""The report is written at most so often while a run goes on."""


def rewrite_report(trial: Trial) -> None:
    """Starts writing the report, unless that is not due or the trial is done; never fails, and waits for nothing."""
    run_folder = trial.run_folder
    with suppress(OSError):
        if trial.done:
            return
        page = run_folder / "report" / "report.html"
        last = (page if page.is_file() else run_folder / "run.json").stat().st_mtime
        if time.time() - last >= REWRITE_SECONDS:
            subprocess.Popen(
                [sys.executable, "-m", "warmup_rl", "report", str(run_folder), "--again"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
