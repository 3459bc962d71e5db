"""The picture of RLVR by step: held-out accuracy and reward, thin lines for seeds and thick ones for their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from warmup_rl.base.stats import mean
from warmup_rl.report.claims import Meeting
from warmup_rl.report.difference import share
from warmup_rl.report.load import Run
from warmup_rl.report.models import after_rlvr, arms_in_order
from warmup_rl.report.outputs import StageOutput
from warmup_rl.report.style import GREY, accuracy_axis, arm_color, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ByStep = Mapping[int, float]


def curves(run: Run, met: Meeting) -> Figure | None:
    """Held-out accuracy of all arms, and the reward of those that are paid for the same thing as base."""
    stages = {arm: [trial.rlvr for trial in run.trials[arm].values() if trial.rlvr] for arm in arms_in_order(run)}
    held_out = {arm: [{p.step: p.lenient for p in stage.curve} for stage in found] for arm, found in stages.items()}
    if not any(any(curve) for curve in held_out.values()):
        return None
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.6), layout="constrained", width_ratios=(1.2, 1))
    accuracy_axis(left)
    _panel(left, run, held_out)
    left.set_title(_title(stages))
    left.set_xlabel("RLVR step")
    threshold = run.claims.threshold
    left.axhline(threshold, color=GREY, linestyle=(0, (1, 2)), linewidth=1.4, label=f"threshold {share(threshold)}")
    if met.step is not None:
        _mark_meeting(left, met.step)
    apart = _paid_otherwise(run, stages)
    _rewards(right, run, {arm: found for arm, found in stages.items() if arm not in apart})
    why = "paid for form" if apart == [run.claims.format_only] else "other reward"
    note = f"\n(without {', '.join(after_rlvr(run, arm) for arm in apart)}: {why})"
    right.set_xlabel("RLVR step" + (note if apart else ""))
    legend_above(figure, left, last="threshold")
    return figure


def _rewards(axes: Axes, run: Run, stages: Mapping[str, Sequence[StageOutput]]) -> None:
    rewards = {arm: [stage.rewards() for stage in found] for arm, found in stages.items()}
    values = [value for found in rewards.values() for points in found for value in points.values()]
    axes.set_ylim(min([0.0, *values]), 1.04 * max([1.0, *values]))
    _panel(axes, run, rewards)
    axes.set_title("Mean reward of the rollouts")


def _panel(axes: Axes, run: Run, by_arm: Mapping[str, Sequence[ByStep]]) -> None:
    from matplotlib.ticker import MaxNLocator

    for arm, found in by_arm.items():
        seeds = [points for points in found if points]
        if not seeds:
            continue
        color = arm_color(run, arm)
        for points in seeds if len(seeds) > 1 else ():
            axes.plot(list(points), list(points.values()), color=color, linewidth=0.9, alpha=0.35)
        steps = sorted(set.intersection(*(set(points) for points in seeds)))
        means = [mean([points[step] for points in seeds]) for step in steps]
        axes.plot(steps, means, color=color, linewidth=2.6, marker="o" if len(steps) < 25 else None, markersize=4,
                  label=after_rlvr(run, arm))  # fmt: skip
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


def _mark_meeting(axes: Axes, step: int) -> None:
    axes.axvline(step, color=GREY, linewidth=1)
    late = step > axes.get_xlim()[1] / 2
    axes.text(step, 0.02, f" arms meet: step {step} ", color=GREY, fontsize=10, ha="right" if late else "left")


def _title(stages: Mapping[str, Sequence[StageOutput]]) -> str:
    found = [stage for arm in stages.values() for stage in arm if stage.curve]
    domains = ", ".join(dict.fromkeys(str(stage.summary.get("domain")) for stage in found))
    problems = ", ".join(map(str, sorted({point.problems for stage in found for point in stage.curve})))
    return f"Held-out accuracy on {domains} ({problems} problems)"


def _paid_otherwise(run: Run, stages: Mapping[str, Sequence[StageOutput]]) -> list[str]:
    """Arms whose reward cannot be compared with base's: the control, paid for form, and any with another reward."""
    paid = {arm: [stage.config.get("reward") for stage in found] for arm, found in stages.items() if found}
    usual = paid.get(run.claims.base) or [None]
    return [arm for arm, rewards in paid.items() if arm == run.claims.format_only or rewards[0] != usual[0]]
