"""The pictures of a report as PNG: accuracy by domain, RLVR curves, difficulty of puzzles, length of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_rl.report.claims import Meeting
from warmup_rl.report.difference import share
from warmup_rl.report.load import Run
from warmup_rl.report.shown import Accuracy, Shown
from warmup_rl.report.tables import group_name, groups
from warmup_rl.stats import mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart under all common kinds of colour blindness; light before RLVR, full after it.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
OTHERS = ("#CC79A7", "#E69F00", "#56B4E9", "#B8A800")
INK, GREY, FAINT = "#222222", "#777777", "#D9D9D9"
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
}


def draw(run: Run, rows: Sequence[Shown], met: Meeting, folder: Path) -> tuple[Path, ...]:
    """Draws every picture that the run has data for. Returns the files, all in `folder`."""
    pictures: dict[str, Callable[[], Figure | None]] = {
        "accuracy.png": lambda: accuracy(run, rows),
        "curve.png": lambda: curves(run, met),
        "people.png": lambda: people(run, rows),
        "tokens.png": lambda: tokens(run, rows),
    }
    written = []
    for name, picture in pictures.items():
        with _style():
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
    figure, axes = _figure(10, 4.6)
    _grouped_bars(axes, run, values, bars)
    for position, domain in enumerate(values):
        chances = [cell.chance for row in bars for cell in row.cells(domain, run.headline).values()]
        axes.hlines(
            mean(chances), position - 0.46, position + 0.46, colors=INK, linestyles=(0, (3, 2)), linewidth=1.3, zorder=4
        )
    axes.plot([], [], color=INK, linestyle=(0, (3, 2)), linewidth=1.3, label="chance")
    _accuracy_axis(axes)
    _legend_above(figure, axes)
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
    _accuracy_axis(axes)
    axes.set_title(f"Knights & Knaves ({domain}) by difficulty")
    _legend_above(figure, axes)
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
    _legend_above(figure, axes)
    return figure


def curves(run: Run, met: Meeting) -> Figure | None:
    """Reward and held-out accuracy over RLVR, all arms: thin lines are seeds, thick ones their mean."""
    lanes = {arm: [lane for lane in by_seed.values() if lane.rlvr] for arm, by_seed in run.lanes.items()}
    held_out = {
        arm: [{p.step: p.lenient for p in lane.rlvr.curve} for lane in found if lane.rlvr and lane.rlvr.curve]
        for arm, found in lanes.items()
    }
    rewards = {arm: [lane.rlvr.rewards() for lane in found if lane.rlvr] for arm, found in lanes.items()}
    if not any(held_out.values()):
        return None
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.4), layout="constrained", width_ratios=(1.25, 1))
    _accuracy_axis(left)
    _curve_panel(left, run, held_out)
    left.set_title(f"Held-out accuracy on {_target_name(run)}")
    left.set_xlabel(f"RLVR step (dotted line: threshold {share(run.claims.threshold)})")
    left.axhline(run.claims.threshold, color=GREY, linestyle=(0, (1, 2)), linewidth=1.2)
    if met.step is not None:
        left.axvline(met.step, color=GREY, linewidth=1)
        late = met.step > left.get_xlim()[1] / 2
        left.text(
            met.step, 0.02, f" arms meet: step {met.step} ", color=GREY, fontsize=10, ha="right" if late else "left"
        )
    values = [value for found in rewards.values() for points in found for value in points.values()]
    right.set_ylim(min([0.0, *values]), 1.04 * max([1.0, *values]))
    _curve_panel(right, run, rewards)
    right.set_title("Mean reward of the rollouts")
    return figure


def _curve_panel(axes: Axes, run: Run, by_arm: Mapping[str, Sequence[Mapping[int, float]]]) -> None:
    ends = []
    for arm, seeds in by_arm.items():
        seeds = [points for points in seeds if points]
        if not seeds:
            continue
        color, label = _arm_look(run, arm)
        if len(seeds) > 1:
            for points in seeds:
                axes.plot(list(points), list(points.values()), color=color, linewidth=0.9, alpha=0.35)
        steps = sorted(set.intersection(*(set(points) for points in seeds)))
        means = [mean([points[step] for points in seeds]) for step in steps]
        axes.plot(steps, means, color=color, linewidth=2.6, marker="o" if len(steps) < 25 else None, markersize=4)
        ends.append((means[-1], label, color))
    axes.set_xlabel("RLVR step")
    axes.margins(x=0.02)
    _label_ends(axes, ends)


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names lines at their right ends, pushed down where they would touch."""
    low, high = axes.get_ylim()
    gap = 0.065 * (high - low)
    ceiling = high
    for value, label, color in sorted(ends, reverse=True):
        ceiling = min(value, ceiling - gap)
        axes.text(1.015, ceiling, label, color=color, transform=axes.get_yaxis_transform(), va="center",
                  fontweight="bold", fontsize=11)  # fmt: skip


def _grouped_bars(
    axes: Axes, run: Run, values: Mapping[str, Mapping[str, Accuracy | None]], bars: Sequence[Shown], text: str = ""
) -> None:
    width = 0.86 / len(bars)
    for place, row in enumerate(bars):
        color, strength = _row_look(run, row)
        label: str | None = row.name
        for position, by_model in enumerate(values.values()):
            found = by_model.get(row.name)
            if found is None:
                continue
            x = position + (place - (len(bars) - 1) / 2) * width
            axes.bar(x, found.value, width * 0.92, color=_lighter(color, strength), label=label, zorder=2)
            label = None
            axes.vlines(x, found.low, found.high, colors=INK, linewidth=1.2, zorder=3)
            dots = list(found.by_seed.values()) if len(found.by_seed) > 1 else []
            axes.scatter([x] * len(dots), dots, s=11, facecolors="white", edgecolors=INK, linewidths=0.7, zorder=5)
            number = text.format(found.value) if text else f"{found.value:.2f}".removeprefix("0")
            axes.annotate(
                number,
                (x, max([found.high, *dots])),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=9.5,
            )
    axes.set_xticks(range(len(values)), list(values))
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.55, len(values) - 0.45)


def _models(rows: Sequence[Shown]) -> list[Shown]:
    """What the pictures compare: everything but the base's other prompts, which the table has; its best one stays."""
    return [row for row in rows if row.role != "prompt"]


def _row_look(run: Run, row: Shown) -> tuple[str, float]:
    known = {"base": BLUE, "best prompt": GREEN, "control": GREY, "warmup": ORANGE}
    color = known.get(row.role) or _arm_look(run, row.name.removesuffix(" + RLVR"))[0]
    return color, 1.0 if row.rlvr else 0.45


def _arm_look(run: Run, arm: str) -> tuple[str, str]:
    names = run.claims
    looks = {names.base: (BLUE, "base"), names.format_only: (GREY, "format only"), names.warmup: (ORANGE, "warmup")}
    others = [other for other in run.lanes if other not in looks]
    return looks[arm] if arm in looks else (OTHERS[others.index(arm) % len(OTHERS)], arm)


def _lighter(color: str, strength: float) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(1 - strength * (1 - part) for part in to_rgb(color))


def _plain(by_seed: Mapping[int, float]) -> Accuracy | None:
    if not by_seed:
        return None
    values = list(by_seed.values())
    return Accuracy(mean(values), min(values), max(values), by_seed)


def _target_name(run: Run) -> str:
    stages = [lane.rlvr for lanes in run.lanes.values() for lane in lanes.values() if lane.rlvr]
    return ", ".join(dict.fromkeys(str(stage.summary.get("domain")) for stage in stages))


def _accuracy_axis(axes: Axes) -> None:
    axes.set_ylim(0, 1.08)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".50", ".75", "1"])
    axes.set_ylabel("accuracy")
    axes.grid(axis="y", color=FAINT, linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)


def _legend_above(figure: Figure, axes: Axes) -> None:
    named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    names = sorted(named, key=lambda name: name == "chance")
    figure.legend(
        [named[name] for name in names],
        [name.partition(" (")[0] for name in names],
        loc="outside upper left",
        ncols=4,
        fontsize=11,
        handlelength=1.3,
        columnspacing=1.4,
    )


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        yield
    pyplot.close("all")
