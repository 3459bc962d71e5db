"""The pictures of a report as PNG; those with bars are here: accuracy, difficulty of puzzles, length of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from warmup_rl.base.stats import mean
from warmup_rl.report.ablation import Outcome, ablation_picture
from warmup_rl.report.claims import Meeting
from warmup_rl.report.curves import curves
from warmup_rl.report.load import Run
from warmup_rl.report.models import Accuracy, Shown
from warmup_rl.report.style import BLUE, GREEN, GREY, INK, ORANGE, accuracy_axis, arm_color, legend_above, style
from warmup_rl.report.tables import group_name, groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHED = (0, (3, 2))
MOST_BARS = 9
"""Models side by side in a group of bars; where there are more, only the picture of the ablation shows them."""


def draw(run: Run, rows: Sequence[Shown], met: Meeting, outcomes: Sequence[Outcome], folder: Path) -> tuple[Path, ...]:
    """Draws every picture that the run has data for and that can be read. Returns the files, all in `folder`."""
    pictures: dict[str, Callable[[], Figure | None]] = {
        "accuracy.png": lambda: accuracy(run, rows),
        "ablation.png": lambda: ablation_picture(run, outcomes),
        "curve.png": lambda: curves(run, met),
        "people.png": lambda: people(run, rows),
        "tokens.png": lambda: tokens(run, rows),
    }
    if outcomes and len(_models(rows)) > MOST_BARS:
        for name in ("accuracy.png", "people.png", "tokens.png"):
            del pictures[name]
    written = []
    for name, picture in pictures.items():
        with style():
            figure = picture()
            if figure is not None:
                figure.savefig(folder / name, dpi=150, facecolor="white")
                written.append(folder / name)
    return tuple(written)


def accuracy(run: Run, rows: Sequence[Shown]) -> Figure | None:
    """Bars by domain with intervals, a dot for each seed and the chance level."""
    bars = _models(rows)
    values = {name: {row.name: row.accuracy([name], run.headline) for row in bars} for name in run.measured}
    if not bars or not values:
        return None
    figure, axes = _figure(10, 4.8)
    chance = {
        name: mean([cell.chance for row in bars for cell in row.cells(name, run.headline).values()]) for name in values
    }
    _grouped_bars(axes, run, values, bars, chance=chance)
    for position, level in enumerate(chance.values()):
        axes.hlines(
            level, position - 0.46, position + 0.46, colors=INK, linestyles=DASHED, linewidth=1.3, zorder=4
        )  # fmt: skip
    axes.plot([], [], color=INK, linestyle=DASHED, linewidth=1.3, label="chance")
    accuracy_axis(axes)
    legend_above(figure, axes, last="chance")
    return figure


def people(run: Run, rows: Sequence[Shown]) -> Figure | None:
    """Knights & Knaves by group of puzzles (number of people)."""
    if not run.puzzles:
        return None
    domain, bars = run.puzzles[0], _models(rows)
    found = groups(run, bars, domain)
    if not found:
        return None
    figure, axes = _figure(10, 4.2)
    _grouped_bars(axes, run, {group_name(name): dict(models) for name, models in found.items()}, bars)
    accuracy_axis(axes)
    axes.set_title(f"Knights & Knaves ({domain}) by difficulty")
    legend_above(figure, axes)
    return figure


def tokens(run: Run, rows: Sequence[Shown]) -> Figure | None:
    """Mean length of an answer by domain."""
    bars = _models(rows)
    values: dict[str, dict[str, Accuracy | None]] = {}
    for domain in run.measured:
        by_model = {
            row.name: {seed: cell.tokens for seed, cell in row.cells(domain, run.headline).items()} for row in bars
        }
        values[domain] = {name: _plain(by_seed) for name, by_seed in by_model.items()}
    if not bars or not values:
        return None
    figure, axes = _figure(10, 4.2)
    _grouped_bars(axes, run, values, bars, text="{:.0f}")
    axes.set_ylabel(f"tokens per answer ({run.headline})")
    legend_above(figure, axes)
    return figure


def _grouped_bars(
    axes: Axes, run: Run, values: Mapping[str, Mapping[str, Accuracy | None]], bars: Sequence[Shown], text: str = "",
    chance: Mapping[str, float] | None = None,
) -> None:  # fmt: skip
    width = 0.86 / len(bars)
    size = min(9.5, 230 / (len(bars) * len(values)))
    for place, row in enumerate(bars):
        color, strength = _row_look(run, row)
        label: str | None = row.name
        for position, (group, by_model) in enumerate(values.items()):
            found = by_model.get(row.name)
            if found is None:
                continue
            x = position + (place - (len(bars) - 1) / 2) * width
            axes.bar(x, found.value, width * 0.92, color=_lighter(color, strength), label=label, zorder=2)
            label = None
            axes.vlines(x, found.low, found.high, colors=INK, linewidth=1.2, zorder=3)
            dots = list(found.by_seed.values()) if len(found.by_seed) > 1 else []
            _dots(axes, x, dots, width)
            number = text.format(found.value) if text else f"{found.value:.2f}".removeprefix("0")
            height = _clear_of(max([found.high, *dots]), (chance or {}).get(group))
            axes.annotate(number, (x, height), xytext=(0, 4.5), textcoords="offset points", ha="center", fontsize=size,
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.2}, zorder=4.5)  # fmt: skip
    axes.set_xticks(range(len(values)), list(values))
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.55, len(values) - 0.45)


def _dots(axes: Axes, x: float, values: Sequence[float], width: float) -> None:
    """Seeds side by side in their order, so that equal ones do not hide each other."""
    count = len(values)
    places = [x + width * 0.62 * (number / (count - 1) - 0.5) for number in range(count)] if count > 1 else []
    size = 13 if count < 5 else 7
    axes.scatter(places, values, s=size, facecolors="white", edgecolors=INK, linewidths=0.7, zorder=5)


def _clear_of(height: float, chance: float | None) -> float:
    """Where a number over a bar begins, above the chance line where it would touch that."""
    touches = chance is not None and height - 0.01 < chance < height + 0.065
    return chance if touches and chance is not None else height


def _models(rows: Sequence[Shown]) -> list[Shown]:
    """What the pictures compare: everything but the base's other prompts, which the table has; its best one stays."""
    return [row for row in rows if row.role != "prompt"]


def _row_look(run: Run, row: Shown) -> tuple[str, float]:
    known = {"base": BLUE, "best prompt": GREEN, "control": GREY, "warmup": ORANGE}
    color = known.get(row.role) or arm_color(run, row.name.removesuffix(" + RLVR"))
    return color, 1.0 if row.rlvr else 0.45


def _lighter(color: str, strength: float) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(1 - strength * (1 - part) for part in to_rgb(color))


def _plain(by_seed: Mapping[int, float]) -> Accuracy | None:
    if not by_seed:
        return None
    values = list(by_seed.values())
    return Accuracy(mean(values), min(values), max(values), by_seed)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")
