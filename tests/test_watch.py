"""A run in the terminal: lanes, steps, curves, alarms and time left, read from files while it goes on or afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.synthetic_run import edit_json, pair, undo, write_run
from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import append_jsonl, write_jsonl
from warmup_rl.cli.watch import Lane, lanes, main, sparkline, table
from warmup_rl.recipe.schema import read_recipe_record


def going_on(root: Path) -> Path:
    """Two arms, of which base is at step 3 of 20 of its RLVR in seed 1 and 30 s a step."""
    folder = write_run(root, pair(2), seeds=[0, 1, 2])
    for record in folder.parent.glob("cache/*/stage.json"):
        edit_json(record, seconds=60.0)
    output = undo(folder, "rlvr-base1")
    undo(folder, "ev-rlvr-base1")
    part = output.with_name(f"{output.name}.part")
    output.rename(part)
    rows = [{"step": step, "of": 20, "at": 100.0 + 30 * step, "loss": 0.1, "reward": step / 10} for step in (1, 2, 3)]
    write_jsonl(part / "log.jsonl", [{"step": 0, "of": 20, "at": 100.0, "held_out/lenient": 0.25}, *rows])
    append_jsonl(part / "log.jsonl", [{"step": 3, "alarm": "no_signal", "text": "the rewards are equal"}])
    home = folder / "base" / "seed-1"
    edit_json(home / "run.json", state="running")
    (home / "run.log").write_text("seed 1 base │ rlvr: step 3/20  reward 0.30\nsome library warns\n", encoding="utf-8")
    return folder


def found(folder: Path) -> dict[str, Lane]:
    return {lane.name: lane for lane in lanes(folder, read_recipe_record(folder / "recipe.yaml"))}


def shown(folder: Path) -> str:
    console = Console(file=StringIO(), width=160)
    console.print(table("a run", list(found(folder).values())))
    return console.file.getvalue()


def test_a_run_that_goes_on_shows_where_each_lane_is(tmp_path: Path) -> None:
    folder = going_on(tmp_path)
    by_name = found(folder)
    assert list(by_name) == ["warmup, 0", "base, 0", "warmup, 1", "base, 1", "warmup, 2", "base, 2"]
    lane = by_name["base, 1"]
    assert (lane.state, lane.stage, lane.done, lane.stages, lane.step) == ("running", "rlvr", 2, 4, (3, 20))
    assert lane.curve == ("held_out/lenient", (0.25,)) and lane.alarms == ("no_signal",)
    assert lane.left == 17 * 30 + 60, (
        "17 steps at the pace of the last ones, and an evaluation like that of the other lanes"
    )
    assert lane.line == "rlvr: step 3/20  reward 0.30"
    assert by_name["base, 2"].state == "waits" and by_name["warmup, 0"].state == "finished"
    text = shown(folder)
    assert "9 min 30 s" in text and "3/20" in text and "no_signal" in text and "base, 1 │ rlvr: step 3/20" in text


def test_a_lane_that_failed_says_why(tmp_path: Path) -> None:
    folder = going_on(tmp_path)
    edit_json(folder / "base/seed-1/run.json", state="failed", reason="RunError: the disk is full")
    assert "base, 1 │ RunError: the disk is full" in shown(folder)


def test_a_lane_whose_process_was_killed_is_not_said_to_run(tmp_path: Path) -> None:
    folder = going_on(tmp_path)
    lock = folder / "base/seed-1/.lock.pid"
    lock.write_text(f"{os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    assert found(folder)["base, 1"].state == "running"
    with subprocess.Popen(["sleep", "60"]) as gone:
        gone.kill()
    lock.write_text(f"{gone.pid} on another-machine", encoding="utf-8")
    assert found(folder)["base, 1"].state == "running"
    lock.write_text(f"{gone.pid} on {socket.gethostname()}", encoding="utf-8")
    assert found(folder)["base, 1"].state == "killed"
    text = " ".join(shown(folder).split())
    assert f"process {gone.pid} is gone; the same command goes on from the last checkpoint" in text


def test_a_terminal_gets_colours_and_not_their_codes(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    terminal, screen = os.openpty()
    subprocess.run([sys.executable, "-m", "warmup_rl", "watch", str(folder)], stdout=screen, timeout=120, check=True,
                   env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "150"})  # fmt: skip
    os.close(screen)
    written = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "\x1b[32mfinished" in written and "\\x1b" not in written


def test_the_curve_is_of_the_first_kind_that_was_logged(tmp_path: Path) -> None:
    folder = going_on(tmp_path)
    (log,) = folder.parent.glob("cache/*.part/log.jsonl")
    write_jsonl(log, [{"step": step, "of": 20, "at": 1.0 * step, "loss": 2.0 / step} for step in (1, 2)])
    assert found(folder)["base, 1"].curve == ("loss", (2.0, 1.0))
    log.write_text('{"step": 1, "of": 20, "at"', encoding="utf-8")
    assert found(folder)["base, 1"].curve == ("", ()), "a line that is half written"


def test_time_left_is_open_where_nothing_like_it_has_been_made(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    undo(folder, "ev-rlvr-base0")
    undo(folder, "ev-rlvr-warmup0")
    edit_json(folder / "base/seed-0/run.json", state="running")
    lane = found(folder)["base, 0"]
    assert lane.left is not None, "an evaluation of this name was made before RLVR"
    undo(folder, "rlvr-base0")
    undo(folder, "rlvr-warmup0")
    assert found(folder)["base, 0"].left is None and "?" in shown(folder)


def test_a_finished_run_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(write_run(tmp_path, pair(1)))])
    text = capsys.readouterr().out
    assert text.count("finished") == 2 and "running" not in text
    with pytest.raises(RunError, match="not a run folder"):
        main([str(tmp_path)])


@pytest.mark.parametrize(
    ("values", "line"),
    [([], ""), ([1.0], "▁"), ([2, 2, 2], "▁▁▁"), ([0, 1], "▁█"), ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
     ([0, 0, 1, 1], "▁█")],
)  # fmt: skip
def test_a_sparkline_runs_from_the_least_to_the_greatest_value(values: list[float], line: str) -> None:
    assert sparkline(values, width=2 if len(values) == 4 else 8) == line
