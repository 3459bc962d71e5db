"""The plots of a report as PNG and SVG: bars, curves, outcomes of rollouts, and the arms of an ablation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_rl.base.stats import MIN_SEEDS, mean
from warmup_rl.interfaces.measurement import CurvePoint
from warmup_rl.recipe.schema import ClaimSettings
from warmup_rl.report.claims import SPENT, Meeting, share
from warmup_rl.report.findings import Findings, Outcome
from warmup_rl.report.heatmaps import problem_rates, retention
from warmup_rl.report.load import Run
from warmup_rl.report.models import Accuracy, Row, arms_in_order, average, shown, trained_name, with_interval
from warmup_rl.report.outputs import OUTCOMES
from warmup_rl.report.tables import group_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("png", "svg")
PLOTS = {
    "accuracy": "Accuracy by model and domain: bars are means over seeds, dots single seeds, lines 95% intervals.",
    "ablation": "Accuracy and length of answers by arm; bars: means over seeds, dots: seeds, lines: 95% intervals.",
    "curve": "Held-out accuracy by training step, rollouts and generated tokens; thin lines are seeds, thick lines "
    "their mean, bands 95% intervals over seeds.",
    "outcomes": "What became of the rollouts of each training step, mean over seeds, and their mean reward (line).",
    "retention": "Change by training on the framed domain, in points, mean over seeds.",
    "problems": "Share of correct completions by problem, over seeds and samples; a column is a problem, the easiest "
    "for the last model at the left.",
    "people": "Knights & Knaves by difficulty.",
    "tokens": "Length of answers by model and domain; lines show the range over seeds.",
}
# Okabe and Ito's palette, distinguishable under all common kinds of colour blindness.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
OTHERS = ("#CC79A7", "#E69F00", "#56B4E9", "#B8A800")
INK, GREY, FAINT = "#222222", "#777777", "#d9d9d9"
OUTCOME_COLORS = ("#009E73", "#E69F00", "#CC79A7", "#9AA5AF")
_UNDATED: Mapping[str, Any] = {"png": None, "svg": {"Date": None}}
DASHED, DOTTED = (0, (3, 2)), (0, (1, 2))
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
MOST_BARS = 9
"""Models in a group of bars; an ablation with more is only shown in its own plot."""


def draw(found: Findings, folder: Path) -> None:
    """Draws all plots that the run has data for into `folder`."""
    run, bars = found.run, shown(found.run, found.rows)
    plots: dict[str, Callable[[], Figure | None]] = {
        "ablation": lambda: _ablation(run, found.outcomes),
        "curve": lambda: curves([run], found.meeting),
        "outcomes": lambda: _outcomes(run),
        "retention": lambda: retention(run),
    }
    if bars and not (found.outcomes and len(bars) > MOST_BARS):
        by_group = {row.name: row.groups(run.puzzles[0], run.headline) for row in bars} if run.puzzles else {}
        groups = group_names(by_group.values())
        accuracies = {name: {row.name: row.accuracy([name], run.headline) for row in bars} for name in run.measured}
        people = {name: {row: one.get(group) for row, one in by_group.items()} for group, name in groups.items()}
        lengths = {name: {row.name: _length(run, row, name) for row in bars} for name in run.measured}
        cells = {
            name: [cell for row in bars for cell in row.cells(name, run.headline).values()] for name in run.measured
        }
        chance = {name: average(found, "chance") or 0.0 for name, found in cells.items()}
        title = f"Knights & Knaves ({', '.join(run.puzzles[:1])}) by difficulty"
        plots["accuracy"] = lambda: _bars(run, accuracies, bars, f"Accuracy ({run.headline})", chance)
        plots["people"] = lambda: _bars(run, people, bars, title) if groups else None
        plots["tokens"] = lambda: _bars(run, lengths, bars, f"Length of answers ({run.headline})", unit="tokens")
        plots["problems"] = lambda: problem_rates(run, bars)
    for name, plot in plots.items():
        save(name, plot, folder)


def save(name: str, plot: Callable[[], Figure | None], folder: Path) -> bool:
    """Draws a plot as PNG and SVG into `folder`; returns whether there was anything to draw."""
    with _style(name):
        figure = plot()
        if figure is None:
            return False
        for kind in KINDS:
            figure.savefig(folder / f"{name}.{kind}", dpi=150, facecolor="white", metadata=_UNDATED[kind])
            figure.set_layout_engine("none")  # laid out once
    return (folder / f"{name}.svg").is_file()


def _length(run: Run, row: Row, domain: str) -> Accuracy | None:
    """Mean length of an answer, with the span over seeds."""
    by_seed = {seed: cell.tokens for seed, cell in row.cells(domain, run.headline).items()}
    values = list(by_seed.values())
    return Accuracy(mean(values), min(values), max(values), by_seed) if values else None


def _bars(
    run: Run, values: Mapping[str, Mapping[str, Accuracy | None]], bars: Sequence[Row],
    title: str, chance: Mapping[str, float] | None = None, unit: str = "",
) -> Figure:  # fmt: skip
    """Groups of bars, one bar for each row, with intervals and a dot for each seed.

    Args:
        values: by group, then name of the row.
        chance: accuracy of guessing by group, drawn as a line that labels avoid.
        unit: of the values, if they are not accuracies.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 4.8 if chance else 4.2), layout="constrained")
    width, size = 0.86 / len(bars), min(9.5, 230 / (len(bars) * len(values)))
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.2}
    for place, row in enumerate(bars):
        label: str | None = row.name
        for position, (group, by_row) in enumerate(values.items()):
            found = by_row.get(row.name)
            if found is None:
                continue
            x = position + (place - (len(bars) - 1) / 2) * width
            axes.bar(x, found.value, width * 0.92, color=_color(run, row, place), label=label, zorder=2)
            label = None
            axes.vlines(x, found.low, found.high, colors=INK, linewidth=1.2, zorder=3)
            dots = list(found.by_seed.values()) if len(found.by_seed) > 1 else []
            places = [x + width * 0.62 * (number / (len(dots) - 1) - 0.5) for number in range(len(dots))]
            size_of_dots = 13 if len(dots) < 5 else 7
            axes.scatter(places, dots, s=size_of_dots, facecolors="white", edgecolors=INK, linewidths=0.7, zorder=5)
            top, level = max([found.high, *dots]), (chance or {}).get(group, -1.0)
            number = f"{found.value:.0f}" if unit else share(found.value)
            axes.annotate(
                number, (x, level if top - 0.01 < level < top + 0.065 else top), xytext=(0, 4.5),
                textcoords="offset points", ha="center", fontsize=size, bbox=box, zorder=4.5,
            )  # fmt: skip
    for position, level in enumerate((chance or {}).values()):
        label = "chance" if position == 0 else None
        ends = position - 0.46, position + 0.46
        axes.plot(ends, (level, level), color=INK, linestyle=DASHED, linewidth=1.3, label=label, zorder=4)
    axes.set_xticks(range(len(values)), list(values))
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.55, len(values) - 0.45)
    axes.set_title(title)
    if unit:
        axes.set_ylabel(unit)
    else:
        _accuracy_axis(axes)
    _legend_above(figure, axes, last="chance")
    return figure


def _color(run: Run, row: Row, place: int) -> tuple[float, ...]:
    """Translucent before the target stage, full after it."""
    from matplotlib.colors import to_rgb

    known = {"base": BLUE, "best prompt": GREEN, "control": GREY, "warmup": ORANGE}
    prompt = OTHERS[place % len(OTHERS)] if row.role == "prompt" else None
    color = (
        known.get(row.role) or prompt or arm_colors(run.claims, run.trials)[row.name.removesuffix(f" + {run.method}")]
    )
    return (*to_rgb(color), 1.0 if row.trained else 0.45)


def curves(runs: Sequence[Run], met: Meeting | None = None) -> Figure | None:
    """Held-out accuracy of all arms on three axes of budget; a second run is dashed."""
    measured = [stage for run in runs for stage in run.stages("target") if stage.curve]
    if not measured:
        return None
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(SPENT), figsize=(10, 4.2), layout="constrained", sharey=True)
    thresholds = sorted({run.claims.threshold for run in runs})
    for axes, (unit, spent) in zip(panels, SPENT.items(), strict=True):
        for run, arm in [(one, arm) for one in runs for arm in arms_in_order(one)]:
            name = f"{run.recipe.run_name}: " * (len(runs) > 1) + trained_name(run, arm)
            seeds = [one.target.curve for one in run.trials[arm].values() if one.target and one.target.curve]
            _lines(axes, name, arm_colors(run.claims, run.trials)[arm], "-" if run is runs[0] else "--", seeds, spent)
        for one in thresholds:
            axes.axhline(one, color=GREY, linestyle=DOTTED, linewidth=1.4, label=f"threshold {share(one)}")
        axes.set_xlabel({"steps": f"{runs[0].method} step", "tokens": "generated tokens"}.get(unit, unit))
        axes.margins(x=0.02)
        _accuracy_axis(axes, named=axes is panels[0])
    if met and met.step is not None:
        panels[0].axvline(met.step, color=GREY, linewidth=1)
        side = "right" if met.step > panels[0].get_xlim()[1] / 2 else "left"
        panels[0].text(met.step, 0.02, f" arms meet: step {met.step} ", color=GREY, fontsize=10, ha=side)
    problems = " or ".join(map(str, sorted({point.problems for stage in measured for point in stage.curve})))
    domains = ", ".join(dict.fromkeys(stage.domain for stage in measured))
    panels[0].set_title(f"Held-out accuracy on {domains} ({problems} problems)")
    _legend_above(figure, panels[0], last="threshold")
    return figure


def _lines(
    axes: Axes, name: str, color: str, style: str, seeds: Sequence[Sequence[CurvePoint]],
    spent: Callable[[CurvePoint], float],
) -> None:  # fmt: skip
    """An arm's curve: seeds, their mean, and its interval where there are seeds enough; x is the mean at a step."""
    if not seeds:
        return
    from matplotlib.ticker import EngFormatter, MaxNLocator

    for points in seeds if len(seeds) > 1 else ():
        values = [point.lenient for point in points]
        axes.plot([spent(point) for point in points], values, color=color, linewidth=0.8, alpha=0.35)
    by_step = [{point.step: point for point in points} for points in seeds]
    at = [[points[step] for points in by_step] for step in sorted(set.intersection(*map(set, by_step)))]
    x = [mean([spent(point) for point in points]) for points in at]
    found = [with_interval({n: point.lenient for n, point in enumerate(points)}, points[0].problems) for points in at]
    if len(seeds) >= MIN_SEEDS:
        axes.fill_between(x, [one.low for one in found], [one.high for one in found], color=color, alpha=0.15, lw=0)
    marker = {"marker": "o", "markersize": 4} if len(x) < 25 else {}
    axes.plot(x, [one.value for one in found], color=color, lw=2.4, ls=style, label=name, **marker)  # type: ignore[arg-type]
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _outcomes(run: Run) -> Figure | None:
    """Stacked shares of outcomes by training step, one panel for each arm."""
    arms = {}
    for arm in arms_in_order(run):
        seeds = [one.target.rollouts for one in run.trials[arm].values() if one.target and one.target.rollouts]
        if seeds and all("correct" in shares for rows in seeds for shares in rows.values()):
            arms[arm] = seeds
    if not arms:
        return None
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    size = min(10.0, 2.2 + 3.3 * len(arms)), 3.6
    figure, grid = pyplot.subplots(1, len(arms), figsize=size, layout="constrained", sharey=True, squeeze=False)
    for axes, (arm, seeds) in zip(grid[0], arms.items(), strict=True):
        steps = sorted(set.intersection(*map(set, seeds)))
        of = {name: [mean([rows[step][name] for rows in seeds]) for step in steps] for name in (*OUTCOMES, "reward")}
        axes.stackplot(steps, [of[name] for name in OUTCOMES], labels=OUTCOMES, colors=OUTCOME_COLORS, lw=0)
        axes.plot(steps, [min(1.0, max(0.0, value)) for value in of["reward"]], color=INK, lw=1.3, label="mean reward")
        axes.set_title(trained_name(run, arm).replace(" (", "\n("), fontsize=11.5)
        axes.set_xlabel(f"{run.method} step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlim(steps[0], max(steps[-1], steps[0] + 1))
        axes.set_ylim(0, 1)
    grid[0][0].set_ylabel("share of rollouts")
    _legend_above(figure, grid[0][0], last="mean reward")
    return figure


def _ablation(run: Run, outcomes: Sequence[Outcome]) -> Figure | None:
    """One line for each arm: accuracy on transfer domains and puzzles, and length of answers; a dot for each seed."""
    if not outcomes:
        return None
    from matplotlib import pyplot

    size, widths = (10.5, 1.5 + 0.36 * len(outcomes)), (1.5, 1.0, 0.7) if run.puzzles else (1.5, 0.7)
    figure, axes = pyplot.subplots(1, len(widths), figsize=size, layout="constrained", width_ratios=widths, sharey=True)
    known = {run.claims.base: BLUE, run.claims.warmup: ORANGE}
    colors = [known.get(outcome.arm, GREY) for outcome in outcomes]
    _accuracies(axes[0], colors, [outcome.transfer for outcome in outcomes])
    for outcome in (one for one in outcomes if one.arm in known):
        axes[0].axvline(outcome.transfer.value, color=known[outcome.arm], linestyle=DASHED, linewidth=1.2, zorder=1)
    axes[0].set_title("Transfer accuracy")
    axes[0].set_xlabel(f"mean of {', '.join(run.transfer)}", fontsize=10.5)
    if run.puzzles:
        _accuracies(axes[1], colors, [outcome.puzzles for outcome in outcomes])
        axes[1].set_title(f"Accuracy on {', '.join(run.puzzles)}")
    lengths = [outcome.tokens_per_answer for outcome in outcomes]
    for place, (length, color) in enumerate(zip(lengths, colors, strict=True)):
        _bar(axes[-1], place, length, color, length, f"{length:,.0f}")
    axes[-1].set_xlim(0, 1.25 * max(lengths))
    axes[-1].set_title("Tokens per answer")
    axes[-1].set_xlabel("transfer domains", fontsize=10.5)
    for one in axes:
        one.grid(axis="x", color=FAINT, linewidth=0.7, zorder=0)
        one.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(outcomes)), [outcome.arm.replace("_", " ") for outcome in outcomes])
    axes[0].set_ylim(len(outcomes) - 0.4, -0.6)
    return figure


def _accuracies(axes: Axes, colors: Sequence[str], values: Sequence[Accuracy | None]) -> None:
    for place, (color, found) in enumerate(zip(colors, values, strict=True)):
        if found is not None:
            seeds = list(found.by_seed.values())
            _bar(axes, place, found.value, color, max([found.high, *seeds]), share(found.value))
            axes.hlines(place, found.low, found.high, colors=INK, linewidth=1.3, zorder=4)
            dots = [place] * len(seeds)
            axes.scatter(seeds, dots, s=16, facecolors="white", edgecolors=color, linewidths=0.9, zorder=5)
    axes.set_xlim(0, 1.14)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".50", ".75", "1"])


def _bar(axes: Axes, place: int, value: float, color: str, end: float, text: str) -> None:
    """A horizontal bar with a label to the right of `end`."""
    axes.barh(place, value, 0.62, color=color, alpha=0.35, zorder=2)
    axes.annotate(text, (end, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=10, zorder=6)


def arm_colors(claims: ClaimSettings, arms: Iterable[str]) -> dict[str, str]:
    """One colour for each arm, the same in every plot."""
    known = {claims.base: BLUE, claims.format_only: GREY, claims.warmup: ORANGE}
    others = cycle(OTHERS)
    return {arm: known.get(arm) or next(others) for arm in arms}


def _accuracy_axis(axes: Axes, named: bool = True) -> None:
    """Accuracy from 0 to 1 with room above for numbers."""
    axes.set_ylim(0, 1.08)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".50", ".75", "1"])
    axes.set_ylabel("accuracy" if named else "")
    axes.grid(axis="y", color=FAINT, linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)


def _legend_above(figure: Figure, axes: Axes, last: str = "") -> None:
    """One legend above the whole figure, with the entry `last` at the end."""
    named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    names = sorted(named, key=lambda name: bool(last) and name.startswith(last))
    texts = [name.partition(" (")[0] for name in names]
    widths, room = [len(text) + 5 for text in texts], int(13 * figure.get_figwidth())
    columns = len(names) if sum(widths) <= room else max(1, room // max(widths))
    figure.set_figheight(figure.get_figheight() + 0.22 * ((len(names) - 1) // columns))
    figure.legend(
        [named[name] for name in names],
        texts,
        loc="outside upper left",
        ncols=columns,
        fontsize=10.5,
        handlelength=1.2,
        handletextpad=0.5,
        columnspacing=1.2,
    )


@contextmanager
def _style(name: str) -> Iterator[None]:
    """The style of all plots, with ids by the plot's name. Needs no display, and closes all figures at the end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):  # type: ignore[arg-type, dict-item]
        yield
    pyplot.close("all")
