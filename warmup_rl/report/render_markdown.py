"""The text of report.md, put together from the findings."""

from __future__ import annotations

from collections.abc import Collection

from warmup_rl.report import narrative
from warmup_rl.report.contamination import contamination
from warmup_rl.report.findings import Findings
from warmup_rl.report.load import Run
from warmup_rl.report.models import STYLES, best_prompt
from warmup_rl.report.plots import PLOTS
from warmup_rl.report.tables import (
    Table,
    ablation_table,
    accuracy_table,
    claims_table,
    form_table,
    gains_table,
    groups_table,
    labels_table,
)  # fmt: skip


def render_markdown(found: Findings, plots: Collection[str]) -> str:
    """The whole report. Where warmup does not beat a better prompt, that is its first line.

    Args:
        plots: names of the plots beside it.
    """
    run, rows = found.run, found.rows

    def plot(name: str) -> str:
        return f"![{PLOTS[name]}]({name})" if name in plots else ""

    blocks: list[str | Table] = [headline(found), f"# {run.recipe.run_name}", warnings(found), _state(run)]
    blocks += [narrative.set_up(run), "## What this run shows", bullets(narrative.sentences(found))]
    blocks += [narrative.seeds_note(found), narrative.about(run), " ".join(contamination(run))]
    if rows:
        blocks += [plot("accuracy.png"), accuracy_table(run, rows, run.headline), _prompt_note(run), plot("curve.png")]
    if found.outcomes:
        blocks += [ablation_table(run, found.outcomes), plot("ablation.png")]
    blocks += [claims_table(found.claims), narrative.LIMITS, gains_table(found.gains)]
    for domain in run.puzzles:
        blocks += [groups_table(run, rows, domain), plot("people.png")]
    if rows:
        blocks += [form_table(run, rows), plot("tokens.png")]
    blocks += [accuracy_table(run, rows, sampling) for sampling in other_samplings(run)]
    blocks += [labels_table(found.labels), f"{found.provenance.line} The recipe is `recipe.yaml` beside this folder."]
    return "\n\n".join(text for text in map(_text, blocks) if text) + "\n"


def headline(found: Findings) -> str:
    """What stands before everything else, the first sentence in bold; empty where nothing must."""
    first, *rest = narrative.first_sentences(found) or ("",)
    return " ".join([f"**{first}**", *rest]) if first else ""


def warnings(found: Findings) -> str:
    """What a reader must know of how the figures were made."""
    return "\n".join(f"> **Warning.** {text}\n>" for text in found.provenance.warnings).removesuffix("\n>")


def bullets(texts: dict[str, str]) -> str:
    """A list with a name in bold before each text."""
    return "\n".join(f"- **{name}.** {text}" for name, text in texts.items())


def other_samplings(run: Run) -> list[str]:
    """Samplings measured beside the headline."""
    names = [cell.sampling for stage in run.stages("evaluation") for cell in stage.cells]
    return [name for name in dict.fromkeys(names) if name != run.headline]


def _text(block: str | Table) -> str:
    if isinstance(block, Table):
        return f"## {block.title}\n\n{block.markdown()}" if block.rows else ""
    return block


def _state(run: Run) -> str:
    arms, seeds = ", ".join(run.trials) or "none yet", ", ".join(map(str, run.seeds)) or "none yet"
    text = f"Arms: {arms}. Seeds: {seeds}."
    if run.unfinished:
        text += "\n\nNot finished, so the numbers below are not final:\n\n" + "\n".join(
            f"- {one}" for one in run.unfinished
        )
    return text


def _prompt_note(run: Run) -> str:
    style, best = run.recipe.format.think, best_prompt(run)
    note = f"Prompt style: the recipe's ({STYLES[style]}), except where a row names another."
    return f"{note} The base's best prompt, picked on validation problems: {best}." if best else note
