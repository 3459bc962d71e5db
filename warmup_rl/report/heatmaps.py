"""Heat maps of a report: change by domain, and the share of correct completions problem by problem."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from warmup_rl.base.stats import mean
from warmup_rl.report.load import Run
from warmup_rl.report.measures import arm_accuracy, by_seed
from warmup_rl.report.models import Row, arms_in_order, trained_name
from warmup_rl.report.outputs import Graded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ON_LIGHT, ON_DARK = "#111111", "#fdfdfd"
"""Ink on coloured cells; unlike the ink of other plots, it is the same in the dark colours of the HTML page."""


def retention(run: Run) -> Figure | None:
    """Change by the target stage in each arm and domain, with the trained domain framed."""
    arms = [arm for arm in arms_in_order(run) if any(one.end and one.start for one in run.trials[arm].values())]
    if not arms or not run.measured:
        return None
    from matplotlib import pyplot
    from matplotlib.patches import Rectangle

    changes = [[_change(run, arm, domain) for domain in run.measured] for arm in arms]
    size = 2.4 + 1.3 * len(run.measured), 1.3 + 0.55 * len(arms)
    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    shown_values = [[math.nan if value is None else value for value in row] for row in changes]
    axes.pcolormesh(shown_values, cmap="RdBu", vmin=-50, vmax=50, edgecolors="white", linewidth=2)
    for y, (arm, row) in enumerate(zip(arms, changes, strict=True)):
        trained = {one.target.domain for one in run.trials[arm].values() if one.target}
        for x, (domain, value) in enumerate(zip(run.measured, row, strict=True)):
            color = ON_DARK if value is not None and abs(value) > 32 else ON_LIGHT
            axes.text(x + 0.5, y + 0.5, "–" if value is None else f"{value:+z.1f}", ha="center", va="center",
                      color=color)  # fmt: skip
            if domain in trained:
                axes.add_patch(Rectangle((x + 0.04, y + 0.07), 0.92, 0.86, fill=False, edgecolor="#E69F00", lw=2))
    axes.set_xticks([x + 0.5 for x in range(len(run.measured))], run.measured)
    axes.set_yticks([y + 0.5 for y in range(len(arms))], [trained_name(run, arm) for arm in arms])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"Change by {run.method}, points")
    return figure


def _change(run: Run, arm: str, domain: str) -> float | None:
    start, end = (by_seed(run, partial(arm_accuracy, run, arm, when, (domain,))) for when in ("start", "end"))  # type: ignore[arg-type]
    values = [100 * (end[seed] - start[seed]) for seed in end if seed in start]
    return mean(values) if values else None


def problem_rates(run: Run, rows: Sequence[Row]) -> Figure | None:
    """A heat map for each domain: models by problems, sorted by the last model's share of correct completions."""
    rates = {domain: {row.name: _rates(row.graded(domain, run.headline)) for row in rows} for domain in run.measured}
    rates = {name: {row: one for row, one in found.items() if one} for name, found in rates.items()}
    rates = {name: found for name, found in rates.items() if found}
    if not rates:
        return None
    from matplotlib import pyplot

    rows_each = max(len(found) for found in rates.values())
    columns = 2 if len(rates) > 1 else 1
    size = 10, 0.9 + -(-len(rates) // columns) * (0.75 + 0.2 * rows_each)
    figure, grid = pyplot.subplots(
        -(-len(rates) // columns), columns, figsize=size, layout="constrained", squeeze=False
    )
    image = None
    for place, axes in enumerate(grid.flat):
        if place >= len(rates):
            axes.set_visible(False)
            continue
        name, found = list(rates.items())[place]
        problems = sorted(set.intersection(*map(set, found.values())))
        problems.sort(key=lambda one: [-found[row][one] for row in reversed(found)])
        values = [[of[one] for one in problems] for of in found.values()]
        image = axes.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        labels = [row.partition(" (")[0] for row in found] if place % columns == 0 else [""] * len(found)
        axes.set_yticks(range(len(found)), labels, fontsize=9.5)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.set_title(f"{name}, {len(problems)} problems", fontsize=11)
    if image is not None:
        figure.colorbar(image, ax=grid, label="share correct", fraction=0.03, pad=0.01)
    return figure


def _rates(seeds: Mapping[int, Graded]) -> dict[str, float]:
    """Share of correct completions by problem, over all seeds and samples."""
    found: dict[str, list[bool]] = {}
    for rows in seeds.values():
        for (problem, _), row in rows.items():
            found.setdefault(problem, []).append(row["verdict"] == "correct")
    return {problem: mean(values) for problem, values in found.items()}
