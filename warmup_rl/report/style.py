"""How all plots look: palette, fonts, axes and legend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from warmup_rl.report.load import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, distinguishable under all common kinds of colour blindness.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
OTHERS = ("#CC79A7", "#E69F00", "#56B4E9", "#B8A800")
INK, GREY, FAINT = "#222222", "#777777", "#D9D9D9"
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


def arm_color(run: Run, arm: str) -> str:
    """One colour for each arm, the same in every plot."""
    names = run.claims
    known = {names.base: BLUE, names.format_only: GREY, names.warmup: ORANGE}
    others = [other for other in run.trials if other not in known]
    return known.get(arm) or OTHERS[others.index(arm) % len(OTHERS)]


def accuracy_axis(axes: Axes) -> None:
    """Accuracy from 0 to 1 with room above for numbers."""
    axes.set_ylim(0, 1.08)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".50", ".75", "1"])
    axes.set_ylabel("accuracy")
    axes.grid(axis="y", color=FAINT, linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)


def legend_above(figure: Figure, axes: Axes, last: str = "") -> None:
    """One legend for the whole figure, over it; the entry `last` comes last."""
    named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    names = sorted(named, key=lambda name: bool(last) and name.startswith(last))
    figure.legend(
        [named[name] for name in names],
        [name.partition(" (")[0] for name in names],
        loc="outside upper left",
        ncols=len(names) if len(names) <= 7 else 4,
        fontsize=10 if len(names) == 7 else 10.5,
        handlelength=1.2,
        handletextpad=0.5,
        columnspacing=1.2,
    )


@contextmanager
def applied() -> Iterator[None]:
    """Draw within it; needs no display and closes all figures at its end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        yield
    pyplot.close("all")
