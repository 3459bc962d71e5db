"""The plots of a report as PNG: bars by domain, curves by training step, and the arms of an ablation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from warmup_rl.base.stats import mean
from warmup_rl.report import style
from warmup_rl.report.claims import Meeting, share
from warmup_rl.report.findings import Findings, Outcome
from warmup_rl.report.load import Run
from warmup_rl.report.models import Accuracy, Row, arms_in_order, trained_name
from warmup_rl.report.outputs import StageOutput
from warmup_rl.report.style import BLUE, DASHED, DOTTED, FAINT, GREEN, GREY, INK, ORANGE
from warmup_rl.report.tables import group_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLOTS = {
    "accuracy.png": "Accuracy by model and domain: bars are means over seeds, dots single seeds, lines 95% intervals.",
    "ablation.png": "Every arm: bars are means over seeds, dots single seeds, lines 95% intervals.",
    "curve.png": "Held-out accuracy and reward by training step; thin lines are seeds, thick ones their mean. Rewards "
    "are shown for arms that are rewarded for the same.",
    "people.png": "Knights & Knaves by difficulty.",
    "tokens.png": "Length of an answer by model and domain; lines span the seeds.",
}
MOST_BARS = 9
"""Models side by side in a group of bars; where there are more, only the plot of the ablation shows them."""


def draw(found: Findings, folder: Path) -> None:
    """Draws every plot that the run has data for and that can be read into `folder`."""
    run, outcomes = found.run, found.outcomes
    bars = [row for row in found.rows if row.role != "prompt"]
    plots: dict[str, Callable[[], Figure | None]] = {
        "ablation.png": lambda: _ablation(run, outcomes),
        "curve.png": lambda: _curves(run, found.meeting),
    }
    if bars and not (outcomes and len(bars) > MOST_BARS):
        plots["accuracy.png"] = lambda: _accuracy(run, bars)
        plots["people.png"] = lambda: _people(run, bars)
        plots["tokens.png"] = lambda: _tokens(run, bars)
    for name, plot in plots.items():
        with style.applied():
            figure = plot()
            if figure is not None:
                figure.savefig(folder / name, dpi=150, facecolor="white")


def _accuracy(run: Run, bars: Sequence[Row]) -> Figure | None:
    """Bars by domain with intervals, a dot for each seed and the chance level."""
    values = {name: {row.name: row.accuracy([name], run.headline) for row in bars} for name in run.measured}
    chance = {
        name: mean([cell.chance for row in bars for cell in row.cells(name, run.headline).values()]) for name in values
    }
    figure, axes = _bars(run, values, bars, height=4.8, chance=chance)
    for place, level in enumerate(chance.values()):
        axes.hlines(level, place - 0.46, place + 0.46, colors=INK, linestyles=DASHED, linewidth=1.3, zorder=4)
    axes.plot([], [], color=INK, linestyle=DASHED, linewidth=1.3, label="chance")
    style.accuracy_axis(axes)
    style.legend_above(figure, axes, last="chance")
    return figure


def _people(run: Run, bars: Sequence[Row]) -> Figure | None:
    """Knights & Knaves by group of puzzles (number of people)."""
    found = {row.name: row.groups(run.puzzles[0], run.headline) for row in bars} if run.puzzles else {}
    groups = group_names(found.values())
    if not groups:
        return None
    values = {name: {row: by_group.get(group) for row, by_group in found.items()} for group, name in groups.items()}
    figure, axes = _bars(run, values, bars)
    style.accuracy_axis(axes)
    axes.set_title(f"Knights & Knaves ({run.puzzles[0]}) by difficulty")
    style.legend_above(figure, axes)
    return figure


def _tokens(run: Run, bars: Sequence[Row]) -> Figure | None:
    """Mean length of an answer by domain."""

    def length(row: Row, domain: str) -> Accuracy | None:
        by_seed = {seed: cell.tokens for seed, cell in row.cells(domain, run.headline).items()}
        values = list(by_seed.values())
        return Accuracy(mean(values), min(values), max(values), by_seed) if values else None

    values = {name: {row.name: length(row, name) for row in bars} for name in run.measured}
    figure, axes = _bars(run, values, bars, text="{:.0f}")
    axes.set_ylabel(f"tokens per answer ({run.headline})")
    style.legend_above(figure, axes)
    return figure


def _bars(
    run: Run,
    values: Mapping[str, Mapping[str, Accuracy | None]],
    bars: Sequence[Row],
    *,
    height: float = 4.2,
    text: str = "",
    chance: Mapping[str, float] | None = None,
) -> tuple[Figure, Axes]:
    """Groups of bars, one bar for each row; the numbers above them keep clear of the chance level."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, height), layout="constrained")
    width, size = 0.86 / len(bars), min(9.5, 230 / (len(bars) * len(values)))
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.2}
    for place, row in enumerate(bars):
        label: str | None = row.name
        for position, (group, by_row) in enumerate(values.items()):
            found = by_row.get(row.name)
            if found is None:
                continue
            x = position + (place - (len(bars) - 1) / 2) * width
            axes.bar(x, found.value, width * 0.92, color=_color(run, row), label=label, zorder=2)
            label = None
            axes.vlines(x, found.low, found.high, colors=INK, linewidth=1.2, zorder=3)
            dots = list(found.by_seed.values()) if len(found.by_seed) > 1 else []
            places = [x + width * 0.62 * (number / (len(dots) - 1) - 0.5) for number in range(len(dots))]
            size_of_dots = 13 if len(dots) < 5 else 7
            axes.scatter(places, dots, s=size_of_dots, facecolors="white", edgecolors=INK, linewidths=0.7, zorder=5)
            number = text.format(found.value) if text else share(found.value)
            top, level = max([found.high, *dots]), (chance or {}).get(group)
            above = level if level is not None and top - 0.01 < level < top + 0.065 else top
            axes.annotate(number, (x, above), xytext=(0, 4.5), textcoords="offset points", ha="center", fontsize=size,
                          bbox=box, zorder=4.5)  # fmt: skip
    axes.set_xticks(range(len(values)), list(values))
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.55, len(values) - 0.45)
    return figure, axes


def _color(run: Run, row: Row) -> tuple[float, ...]:
    """Light before the target stage, full after it."""
    from matplotlib.colors import to_rgb

    known = {"base": BLUE, "best prompt": GREEN, "control": GREY, "warmup": ORANGE}
    color = known.get(row.role) or style.arm_color(run, row.name.removesuffix(f" + {run.method}"))
    return tuple(1 - (1.0 if row.trained else 0.45) * (1 - part) for part in to_rgb(color))


def _curves(run: Run, met: Meeting) -> Figure | None:
    """Held-out accuracy of all arms, and the reward of those that are rewarded for the same as base."""
    stages = {arm: [one.target for one in run.trials[arm].values() if one.target] for arm in arms_in_order(run)}
    measured = [stage for found in stages.values() for stage in found if stage.curve]
    if not measured:
        return None
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.6), layout="constrained", width_ratios=(1.2, 1))
    style.accuracy_axis(left)
    held_out = {arm: [{p.step: p.lenient for p in stage.curve} for stage in found] for arm, found in stages.items()}
    _lines(left, run, held_out)
    problems = ", ".join(map(str, sorted({point.problems for stage in measured for point in stage.curve})))
    domains = ", ".join(dict.fromkeys(stage.domain for stage in measured))
    left.set_title(f"Held-out accuracy on {domains} ({problems} problems)")
    threshold = run.claims.threshold
    left.axhline(threshold, color=GREY, linestyle=DOTTED, linewidth=1.4, label=f"threshold {share(threshold)}")
    if met.step is not None:
        left.axvline(met.step, color=GREY, linewidth=1)
        side = "right" if met.step > left.get_xlim()[1] / 2 else "left"
        left.text(met.step, 0.02, f" arms meet: step {met.step} ", color=GREY, fontsize=10, ha=side)
    others = _rewarded_otherwise(run, stages)
    rewards = {arm: [stage.rewards() for stage in found] for arm, found in stages.items() if arm not in others}
    values = [value for found in rewards.values() for points in found for value in points.values()]
    right.set_ylim(min([0.0, *values]), 1.04 * max([1.0, *values]))
    _lines(right, run, rewards)
    right.set_title("Mean reward of the rollouts")
    why = "rewarded for form" if others == [run.claims.format_only] else "other reward"
    note = f"\n(without {', '.join(trained_name(run, arm) for arm in others)}: {why})" if others else ""
    left.set_xlabel(f"{run.method} step")
    right.set_xlabel(f"{run.method} step{note}")
    style.legend_above(figure, left, last="threshold")
    return figure


def _lines(axes: Axes, run: Run, by_arm: Mapping[str, Sequence[Mapping[int, float]]]) -> None:
    from matplotlib.ticker import MaxNLocator

    for arm, found in by_arm.items():
        seeds = [points for points in found if points]
        if not seeds:
            continue
        color = style.arm_color(run, arm)
        for points in seeds if len(seeds) > 1 else ():
            axes.plot(list(points), list(points.values()), color=color, linewidth=0.9, alpha=0.35)
        steps = sorted(set.intersection(*(set(points) for points in seeds)))
        means = [mean([points[step] for points in seeds]) for step in steps]
        marker = {"marker": "o", "markersize": 4} if len(steps) < 25 else {}
        axes.plot(steps, means, color=color, linewidth=2.6, label=trained_name(run, arm), **marker)  # type: ignore[arg-type]
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


def _rewarded_otherwise(run: Run, stages: Mapping[str, Sequence[StageOutput]]) -> list[str]:
    """Arms whose reward cannot be compared with base's: the control, rewarded for form, and any with another reward."""
    rewards = {arm: found[0].config.get("reward") for arm, found in stages.items() if found}
    usual = rewards.get(run.claims.base)
    return [arm for arm, reward in rewards.items() if arm == run.claims.format_only or reward != usual]


def _ablation(run: Run, outcomes: Sequence[Outcome]) -> Figure | None:
    """One line for each arm: accuracy elsewhere, on the puzzles, and the length of answers; a dot for each seed."""
    if not outcomes:
        return None
    from matplotlib import pyplot

    size, widths = (10.5, 1.5 + 0.36 * len(outcomes)), (1.5, 1.0, 0.7) if run.puzzles else (1.5, 0.7)
    figure, axes = pyplot.subplots(1, len(widths), figsize=size, layout="constrained", width_ratios=widths, sharey=True)
    colors = [{run.claims.base: BLUE, run.claims.warmup: ORANGE}.get(outcome.arm, GREY) for outcome in outcomes]
    _accuracies(axes[0], colors, [outcome.transfer for outcome in outcomes])
    for outcome, color in zip(outcomes, colors, strict=True):
        if outcome.arm in (run.claims.base, run.claims.warmup):
            axes[0].axvline(outcome.transfer.value, color=color, linestyle=DASHED, linewidth=1.2, zorder=1)
    axes[0].set_title("accuracy elsewhere")
    axes[0].set_xlabel(f"mean of {', '.join(run.transfer)}", fontsize=10.5)
    if run.puzzles:
        _accuracies(axes[1], colors, [outcome.puzzles for outcome in outcomes])
        axes[1].set_title(f"accuracy, {', '.join(run.puzzles)}")
    for place, (outcome, color) in enumerate(zip(outcomes, colors, strict=True)):
        _bar(axes[-1], place, outcome.tokens, color, outcome.tokens, f"{outcome.tokens:,.0f}")
    axes[-1].set_xlim(0, 1.25 * max(outcome.tokens for outcome in outcomes))
    axes[-1].set_title("tokens per answer")
    axes[-1].set_xlabel("elsewhere", fontsize=10.5)
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
    """A horizontal bar with a number behind `end`."""
    axes.barh(place, value, 0.62, color=color, alpha=0.35, zorder=2)
    axes.annotate(text, (end, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=10, zorder=6)
