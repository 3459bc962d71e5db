"""The text of report.md, put together from the findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from warmup_rl.report import narrative, tables
from warmup_rl.report.findings import Findings
from warmup_rl.report.load import Run
from warmup_rl.report.models import STYLES, arm_styles, best_prompt
from warmup_rl.report.plots import PLOTS


def render_markdown(found: Findings, plots: Collection[str]) -> str:
    """The whole report.

    Args:
        plots: names of the plots beside it.
    """
    run, rows = found.run, found.rows
    blocks = [render_overview(found, plots), tables.claims_table(found.claims), narrative.LIMITS]
    blocks += [tables.gains_table(found.gains)]
    for domain in run.puzzles:
        blocks += [tables.groups_table(run, rows, domain), _plot("people.png", plots)]
    blocks += [tables.form_table(run, rows), _plot("tokens.png", plots)]
    blocks += [tables.accuracy_table(run, rows, sampling) for sampling in run.samplings if sampling != run.headline]
    blocks += [tables.labels_table(found.labels), str(found.provenance)]
    return "\n\n".join(filter(None, blocks)) + "\n"


def render_overview(found: Findings, plots: Collection[str] = ()) -> str:
    """The first part, which the console shows too. Where warmup does not beat a better prompt, it begins with that."""
    run = found.run
    first, *rest = narrative.first_sentences(found) or ("",)
    blocks = [" ".join([f"**{first}**", *rest])] if first else []
    warnings = "\n>\n".join(f"> **Warning.** {text}" for text in found.provenance.warnings)
    arms, seeds = ", ".join(run.trials) or "none yet", ", ".join(map(str, run.seeds)) or "none yet"
    blocks += [f"# {run.recipe.run_name}", warnings, f"Arms: {arms}. Seeds: {seeds}."]
    if run.unfinished:
        lines = (f"- {line}" for line in run.unfinished)
        blocks += ["Not finished, so the numbers below are not final:", "\n".join(lines)]
    sentences = (f"- **{name}.** {text}" for name, text in narrative.sentences(found).items())
    blocks += [narrative.set_up(run), "## What this run shows", "\n".join(sentences), narrative.seeds_note(found)]
    blocks += [narrative.about(run), " ".join(narrative.contamination(run)), _plot("accuracy.png", plots)]
    if found.rows:
        best = best_prompt(run)
        note = f"Prompt style: {_styles(run)}, except where a row names another."
        picked = f" The base's best prompt, picked on validation problems: {best}." if best else ""
        blocks += [tables.accuracy_table(run, found.rows, run.headline), note + picked]
    blocks += [_plot("curve.png", plots), tables.ablation_table(run, found.outcomes), _plot("ablation.png", plots)]
    return "\n\n".join(filter(None, blocks))


def _styles(run: Run) -> str:
    """The prompt style of each arm, with the number of seeds where they differ; one for all where they do not."""
    by_arm = {}
    for arm in run.trials:
        counts = Counter(STYLES.get(style, style) for style in arm_styles(run, arm).values())
        if counts:
            by_arm[arm] = " or ".join(f"{name} ({n} seeds)" if len(counts) > 1 else name for name, n in counts.items())
    if len(set(by_arm.values())) < 2:
        return next(iter(by_arm.values()), "none")
    return "; ".join(f"{arm}: {style}" for arm, style in by_arm.items())


def _plot(name: str, plots: Collection[str]) -> str:
    return f"![{PLOTS[name]}]({name})" if name in plots else ""
