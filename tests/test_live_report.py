"""The report of a run that goes on: written after a stage by a process of its own, one at a time, never in the way."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from tests.synthetic_run import pair, write_run
from warmup_rl.__main__ import main
from warmup_rl.report.main import report
from warmup_rl.run import tracking
from warmup_rl.run.tracking import REWRITE_SECONDS, rewrite_report


@pytest.fixture(autouse=True)
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plots have tests of their own."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, path, **options: None)
    monkeypatch.setattr(os, "nice", lambda more: more)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []
    monkeypatch.setattr(tracking.subprocess, "Popen", lambda command, **options: commands.append(command))
    return commands


def trial(folder: Path, done: bool = False) -> Any:
    return SimpleNamespace(run_folder=folder, done=done)


def aged(path: Path, seconds: float) -> None:
    before = time.time() - seconds
    os.utime(path, (before, before))


def test_it_is_written_when_it_is_due_and_the_trial_goes_on(tmp_path: Path, started: list[list[str]]) -> None:
    folder = write_run(tmp_path, pair(1))
    rewrite_report(trial(folder))
    assert started == [], "the run has just begun"
    aged(folder / "run.json", REWRITE_SECONDS + 1)
    rewrite_report(trial(folder, done=True))
    assert started == [], "the report at the end follows"
    rewrite_report(trial(folder))
    assert [command[1:] for command in started] == [["-m", "warmup_rl", "report", str(folder), "--again"]]
    report(folder)
    rewrite_report(trial(folder))
    assert len(started) == 1, "it is fresh"
    rewrite_report(trial(tmp_path / "none"))


def test_what_it_starts_writes_the_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    assert main(["report", str(folder), "--again"]) == 0
    assert (folder / "report" / "report.html").is_file()


def test_a_third_process_leaves_it_to_the_one_that_waits(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    with FileLock(folder / ".report-waiting.lock"):
        report(folder, again=True)
    assert not (folder / "report").exists()
    report(folder, again=True)
    assert (folder / "report" / "report.md").is_file()


def test_a_machine_that_starts_no_process_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path, pair(1))
    aged(folder / "run.json", REWRITE_SECONDS + 1)

    def fail(*given: Any, **named: Any) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", fail)
    rewrite_report(trial(folder))
