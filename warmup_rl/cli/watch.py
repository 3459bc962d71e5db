"""`python -m warmup_rl watch RUN_FOLDER`: a run in the terminal while it goes on, read from its files only."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_rl.base.console import duration, open_console
from warmup_rl.base.errors import DataError
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.stats import mean
from warmup_rl.cli.arguments import Arguments
from warmup_rl.recipe.schema import RecipeRecord, read_recipe_record
from warmup_rl.run.cache import CacheEntry, lost_process
from warmup_rl.run.provenance import require_run_folder, trial_records

if TYPE_CHECKING:
    from rich.table import Table

REFRESH_SECONDS = 2.0
WIDTH = 24
"""Characters of a curve."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_CURVES = ("held_out/lenient", "reward", "loss")
"""What is drawn, the first that a training has logged."""
_RECENT = 20
"""Logged steps whose pace gives the time left."""


@dataclass(frozen=True)
class Lane:
    """One arm with one seed (and fold), as its files say.

    Attributes:
        stage: the one that is being made, or the last one; `done` of `stages` are finished.
        step: steps of the training that goes on, and those planned; None outside trainings.
        curve: name and values of what a training has logged.
        alarms: names of health rules that held.
        left: seconds to the end of the lane; None where no finished stage like those to come tells.
        line: what was last said, or why it ended.
    """

    name: str
    state: str
    stage: str = ""
    done: int = 0
    stages: int = 0
    step: tuple[int, int] | None = None
    curve: tuple[str, tuple[float, ...]] = ("", ())
    alarms: tuple[str, ...] = ()
    left: float | None = None
    line: str = ""


def main(arguments: Sequence[str]) -> None:
    """Runs the command until the run is finished; prints once where the output is no terminal. Raises `RunError` if it
    is not a run folder."""
    parser = Arguments("watch", "Shows a run while it goes on: arms and seeds, steps, curves, alarms, time left.")
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="folder of a run: outputs/RUN_NAME")
    folder = parser.read(arguments).folder
    require_run_folder(folder)
    from rich.live import Live

    console, recipe = open_console(), read_recipe_record(folder / "recipe.yaml")
    found = lanes(folder, recipe)
    if not console.is_terminal:
        console.print(table(recipe.run_name, found))
        return
    shown = Live(table(recipe.run_name, found), console=console, auto_refresh=False, redirect_stdout=False)
    with shown as live, suppress(KeyboardInterrupt):
        while any(lane.state != "finished" for lane in found):
            time.sleep(REFRESH_SECONDS)
            found = lanes(folder, recipe)
            live.update(table(recipe.run_name, found), refresh=True)


def lanes(folder: Path, recipe: RecipeRecord) -> list[Lane]:
    """All arms and seeds of a run, those that have not begun included."""
    records = {(one["arm"], one["seed"], one.get("fold")): (path, one) for path, one in trial_records(folder).items()}
    known = _durations(records.values())
    planned = [(arm, seed, None) for seed in recipe.seeds for arm in recipe.arms]
    order = dict.fromkeys([*planned, *sorted(records, key=lambda place: (place[1], place[0], place[2] or 0))])
    return [
        _lane(_name(*place), *records[place], known) if place in records else Lane(_name(*place), "waits")
        for place in order
    ]


def table(title: str, found: Sequence[Lane]) -> Table:
    """The lanes as a table."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, box=None, padding=(0, 2, 0, 0))
    for column in ("arm, seed", "state", "stage", "step", "curve", "last", "alarms", "left"):
        shown.add_column(column, no_wrap=column != "alarms")
    colours = {"finished": "green", "failed": "red", "stopped": "red", "killed": "red", "running": "cyan"}
    for lane in found:
        name, values = lane.curve
        last = f"{name.rpartition('/')[0] or name} {values[-1]:.3g}" if values else ""
        stage = f"{min(lane.done + (lane.state == 'running'), lane.stages)}/{lane.stages} {lane.stage}"
        step = f"{lane.step[0]}/{lane.step[1]}" if lane.step else ""
        left = "" if lane.state != "running" else "?" if lane.left is None else duration(lane.left)
        shown.add_row(
            lane.name, Text(lane.state, style=colours.get(lane.state, "dim")), stage if lane.stages else "", step,
            sparkline(values), last, Text(", ".join(lane.alarms), style="red"), left,
        )  # fmt: skip
    said = [f"{lane.name} │ {lane.line}" for lane in found if lane.line and lane.state != "finished"]
    shown.caption = Text("\n".join(said), style="dim")
    shown.caption_justify = "left"
    return shown


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """A curve as blocks of eight heights, from its least to its greatest value; means where there are more values."""
    if not values:
        return ""
    count = min(width, len(values))
    edges = [place * len(values) // count for place in range(count + 1)]
    heights = [mean(values[low:high]) for low, high in zip(edges, edges[1:], strict=False)]
    least, most = min(heights), max(heights)
    scale = (len(_BLOCKS) - 1) / (most - least) if most > least else 0.0
    return "".join(_BLOCKS[round((height - least) * scale)] for height in heights)


def _name(arm: str, seed: int, fold: int | None) -> str:
    return f"{arm}, {seed}" + ("" if fold is None else f", fold {fold}")


def _durations(records: Iterator[Any] | Any) -> dict[str, float]:
    """Mean seconds of the finished stages of all lanes, by stage id."""
    found: dict[str, list[float]] = {}
    for path, record in records:
        for stage in record["stages"]:
            if (output := CacheEntry((path.parent / stage["folder"]).resolve())).done:
                found.setdefault(stage["id"], []).append(float(output.record().get("seconds") or 0.0))
    return {name: mean(seconds) for name, seconds in found.items()}


def _logged(folder: Path) -> list[dict[str, Any]]:
    """What a stage has logged so far."""
    with suppress(DataError, OSError):  # there may be none, or its last line half written
        return list(read_jsonl(folder / "log.jsonl"))
    return []


def _curve(rows: Sequence[Mapping[str, Any]]) -> tuple[str, tuple[float, ...]]:
    logged = ((name, [row[name] for row in rows if isinstance(row.get(name), int | float)]) for name in _CURVES)
    return next(((name, tuple(map(float, values))) for name, values in logged if values), ("", ()))


def _left(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds to the last step, at the pace of the last steps."""
    rows = [row for row in rows if "of" in row and "loss" in row][-_RECENT:]
    if len(rows) < 2 or rows[-1]["step"] == rows[0]["step"]:
        return None
    pace = (rows[-1]["at"] - rows[0]["at"]) / (rows[-1]["step"] - rows[0]["step"])
    return float(max(0.0, pace * (rows[-1]["of"] - rows[-1]["step"])))


def _lane(name: str, path: Path, record: Mapping[str, Any], known: Mapping[str, float]) -> Lane:
    home, state = path.parent, record["state"]
    lost = lost_process(home) if state == "running" else None
    stages = [(stage, (home / stage["folder"]).resolve()) for stage in record["stages"]]
    open_ones = [(stage, folder) for stage, folder in stages if not CacheEntry(folder).done]
    current = open_ones[0][1] if open_ones else None
    logs = {folder: _logged(CacheEntry(folder).part if folder == current else folder) for _, folder in stages}
    now = logs[current] if current is not None else []
    drawn = [curve for log in logs.values() if (curve := _curve(log))[1]]
    steps = [(row["step"], row["of"]) for row in now if "of" in row]
    ahead = [known.get(stage["id"]) for stage, _ in open_ones]
    if (left := _left(now)) is not None:
        ahead[0] = left
    reason = record.get("reason", "")
    if state == "running":
        reason = _last_line(home / "run.log", name)
    if lost is not None:
        reason = f"process {lost} is gone; the same command goes on from the last checkpoint. Last: {reason}"
    return Lane(
        name=name,
        state=state if lost is None else "killed",
        stage=(open_ones or stages)[0 if open_ones else -1][0]["id"],
        done=len(stages) - len(open_ones),
        stages=len(stages),
        step=steps[-1] if steps else None,
        curve=drawn[-1] if drawn else ("", ()),
        alarms=tuple(dict.fromkeys(str(row["alarm"]) for log in logs.values() for row in log if "alarm" in row)),
        left=None if None in ahead else sum(filter(None, ahead)),
        line=reason,
    )


def _last_line(log: Path, name: str) -> str:
    """The last line in a log that the run itself has said."""
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-50:]
        said = [line.partition("│")[2].strip() for line in lines if "│" in line and line.startswith("seed ")]
        return said[-1] if said else (lines[-1] if lines else "")
    return ""
