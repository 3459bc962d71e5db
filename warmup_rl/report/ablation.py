"""What each arm of an ablation gives and costs: accuracy, differences to base and to the reference arm, training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warmup_rl.base.stats import mean
from warmup_rl.report import measures
from warmup_rl.report.difference import Claim, Verdict, compare
from warmup_rl.report.load import Run
from warmup_rl.report.models import Accuracy, Shown, arms_in_order
from warmup_rl.report.style import BLUE, FAINT, GREY, INK, ORANGE
from warmup_rl.report.tables import NOTHING, Table, accuracy_text, brief

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_PLACES: dict[Verdict, str] = {
    "above": "ahead", "below": "behind", "unclear": "not to be told apart", "no interval": "too few seeds to tell",
    "not testable": "not testable",
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One arm of an ablation, over all seeds that have it.

    Attributes:
        transfer, puzzles: accuracy, mean over the transfer domains and over Knights & Knaves.
        to_base, to_reference: difference in transfer accuracy, paired by seed; None for the arm itself.
        tokens: mean length of an answer on the transfer domains.
        cut_off: share of answers there that the token budget ended.
        steps, trained: optimizer steps and tokens that carried loss in supervised training, mean over seeds; 0 without.
    """

    arm: str
    transfer: Accuracy
    puzzles: Accuracy | None
    to_base: Claim | None
    to_reference: Claim | None
    tokens: float
    cut_off: float
    steps: float
    trained: float

    def to_json(self) -> dict[str, Any]:
        """For summary.json."""
        return {
            "arm": self.arm,
            "transfer": self.transfer.value,
            "interval": [self.transfer.low, self.transfer.high],
            "by_seed": dict(self.transfer.by_seed),
            "puzzles": self.puzzles.value if self.puzzles else None,
            "to_base": self.to_base.to_json() if self.to_base else None,
            "to_reference": self.to_reference.to_json() if self.to_reference else None,
            "tokens_per_answer": self.tokens,
            "cut_off": self.cut_off,
            "steps": self.steps,
            "trained_tokens": self.trained,
        }


def ablation(run: Run) -> tuple[Outcome, ...]:
    """Every arm with its base and reference (`claims.base`, `claims.warmup`); empty unless there are arms beside them.

    Arms stand in the recipe's order.
    """
    named = {run.claims.base, run.claims.warmup, run.claims.format_only}
    if not run.transfer or not set(run.trials) - named:
        return ()
    order = [arm for arm in run.recipe.get("arms") or () if arm in run.trials] or arms_in_order(run)
    found = (_outcome(run, arm) for arm in order)
    return tuple(outcome for outcome in found if outcome)


def ablation_table(run: Run, outcomes: Sequence[Outcome]) -> Table:
    """Arms by accuracy, differences and cost."""
    reference, base = run.claims.warmup, run.claims.base
    apart = f" without {', '.join(run.puzzles)}" if run.puzzles else ""
    header = ("arm", f"mean{apart}", f"- {base}", f"- {reference}", *run.puzzles[:1], "tokens an answer", "cut off",
              "steps", "trained tokens")  # fmt: skip
    body = tuple(
        (
            outcome.arm,
            accuracy_text(outcome.transfer),
            brief(outcome.to_base) if outcome.to_base else NOTHING,
            brief(outcome.to_reference) if outcome.to_reference else NOTHING,
            *([accuracy_text(outcome.puzzles)] if run.puzzles else []),
            f"{outcome.tokens:,.0f}",
            f"{outcome.cut_off:.0%}",
            f"{outcome.steps:,.0f}" if outcome.steps else NOTHING,
            f"{outcome.trained:,.0f}" if outcome.trained else NOTHING,
        )
        for outcome in outcomes
    )
    caption = (
        f"Before RLVR, {run.headline}. Differences in points of the mean{apart}, paired by seed [95% t-interval]. "
        "Tokens an answer, and the share cut off by the token budget: mean over the same domains. Trained tokens carry "
        "loss, over all passes. Steps and trained tokens: mean over seeds."
        + (f" Arm {reference} is called warmup above." if reference != "warmup" else "")
    )
    return Table("Ablation", header, body, caption)


def ablation_sentence(run: Run, outcomes: Sequence[Outcome]) -> str:
    """Which arms are ahead of, behind, or not to be told apart from the reference arm and base, by the intervals."""
    said = []
    for other, claims in (
        (run.claims.warmup, {outcome.arm: outcome.to_reference for outcome in outcomes}),
        (run.claims.base, {outcome.arm: outcome.to_base for outcome in outcomes}),
    ):
        places: dict[str, list[str]] = {}
        for arm, claim in claims.items():
            if claim is not None:
                places.setdefault(_PLACES[claim.verdict], []).append(f"{arm} {100 * (claim.estimate or 0):+.1f}")
        if places:
            parts = (f"{place}: {', '.join(arms)}" for place, arms in sorted(places.items()))
            said.append(f"Against {other}, in points: {'; '.join(parts)}.")
    return " ".join(said) or "No two arms can be compared yet."


def ablation_picture(run: Run, outcomes: Sequence[Outcome]) -> Figure | None:
    """One line an arm: accuracy elsewhere, on the puzzles, and the length of answers; a dot for each seed."""
    if not outcomes:
        return None
    from matplotlib import pyplot

    size, widths = (10.5, 1.5 + 0.36 * len(outcomes)), (1.5, 1.0, 0.7) if run.puzzles else (1.5, 0.7)
    figure, axes = pyplot.subplots(
        1, len(widths), figsize=size, layout="constrained", width_ratios=widths, sharey=True
    )  # fmt: skip
    _accuracies(axes[0], run, outcomes, [outcome.transfer for outcome in outcomes])
    _mark_levels(axes[0], run, outcomes)
    axes[0].set_title("accuracy elsewhere")
    axes[0].set_xlabel(f"mean of {', '.join(run.transfer)}", fontsize=10.5)
    if run.puzzles:
        _accuracies(axes[1], run, outcomes, [outcome.puzzles for outcome in outcomes])
        axes[1].set_title(f"accuracy, {', '.join(run.puzzles)}")
    _lengths(axes[-1], run, outcomes)
    axes[0].set_yticks(range(len(outcomes)), [outcome.arm.replace("_", " ") for outcome in outcomes])
    axes[0].set_ylim(len(outcomes) - 0.4, -0.6)
    return figure


def _outcome(run: Run, arm: str) -> Outcome | None:
    models = {seed: (trial.start, None) for seed, trial in run.trials[arm].items() if trial.start}
    row = Shown(arm, "other", False, models)
    transfer = row.accuracy(run.transfer, run.headline)
    if transfer is None:
        return None
    cells = [cell for domain in run.transfer for cell in row.cells(domain, run.headline).values()]
    trainings = [stage for trial in run.trials[arm].values() for stage in trial.stages if stage.type == "sft"]
    return Outcome(
        arm,
        transfer,
        row.accuracy(run.puzzles, run.headline) if run.puzzles else None,
        _difference(run, arm, run.claims.base),
        _difference(run, arm, run.claims.warmup),
        mean([cell.tokens for cell in cells]),
        mean([cell.truncated for cell in cells]),
        mean([stage.number("steps") for stage in trainings]) if trainings else 0.0,
        mean([stage.number("trained_tokens") for stage in trainings]) if trainings else 0.0,
    )


def _difference(run: Run, arm: str, other: str) -> Claim | None:
    if arm == other or other not in run.trials:
        return None

    def value(of: str) -> Callable[[int], float]:
        return lambda seed: measures.accuracy(run, measures.start(run, of, seed), run.transfer)

    where = f"mean of {', '.join(run.transfer)}"
    claim = compare(
        run.seeds, f"ablation.{arm}.{other}", "transfer", f"{arm} - {other}", where, (arm, value(arm)),
        (other, value(other)),
    )  # fmt: skip
    return None if claim.untestable else claim


def _color(run: Run, arm: str) -> str:
    return {run.claims.base: BLUE, run.claims.warmup: ORANGE}.get(arm, GREY)


def _accuracies(axes: Axes, run: Run, outcomes: Sequence[Outcome], values: Sequence[Accuracy | None]) -> None:
    for place, (outcome, found) in enumerate(zip(outcomes, values, strict=True)):
        if found is None:
            continue
        color = _color(run, outcome.arm)
        axes.barh(place, found.value, 0.62, color=color, alpha=0.35, zorder=2)
        axes.hlines(place, found.low, found.high, colors=INK, linewidth=1.3, zorder=4)
        seeds = list(found.by_seed.values())
        axes.scatter(seeds, [place] * len(seeds), s=16, facecolors="white", edgecolors=color, linewidths=0.9, zorder=5)
        text = f"{found.value:.2f}".removeprefix("0")
        axes.annotate(text, (max([found.high, *seeds]), place), xytext=(6, 0), textcoords="offset points", va="center",
                      fontsize=10, zorder=6)  # fmt: skip
    axes.set_xlim(0, 1.14)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".50", ".75", "1"])
    axes.grid(axis="x", color=FAINT, linewidth=0.7, zorder=0)
    axes.tick_params(axis="y", length=0)


def _mark_levels(axes: Axes, run: Run, outcomes: Sequence[Outcome]) -> None:
    """Base and reference as lines down the panel, for comparison with every arm."""
    for outcome in outcomes:
        if outcome.arm in (run.claims.base, run.claims.warmup):
            color = _color(run, outcome.arm)
            axes.axvline(outcome.transfer.value, color=color, linestyle=(0, (3, 2)), linewidth=1.2, zorder=1)


def _lengths(axes: Axes, run: Run, outcomes: Sequence[Outcome]) -> None:
    for place, outcome in enumerate(outcomes):
        axes.barh(place, outcome.tokens, 0.62, color=_color(run, outcome.arm), alpha=0.35, zorder=2)
        axes.annotate(f"{outcome.tokens:,.0f}", (outcome.tokens, place), xytext=(4, 0), textcoords="offset points",
                      va="center", fontsize=10)  # fmt: skip
    axes.set_xlim(0, 1.25 * max(outcome.tokens for outcome in outcomes))
    axes.set_title("tokens an answer")
    axes.set_xlabel("elsewhere", fontsize=10.5)
    axes.grid(axis="x", color=FAINT, linewidth=0.7, zorder=0)
    axes.tick_params(axis="y", length=0)
