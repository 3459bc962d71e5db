"""Writes the report of a run, finished or not: summary.json, report.md and plots; prints its main tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from warmup_rl.base.console import open_console
from warmup_rl.base.jsonl import read_json, write_json
from warmup_rl.report import narrative, tables
from warmup_rl.report.findings import Findings, Outcome, compute
from warmup_rl.report.load import Run, load
from warmup_rl.report.models import STYLES, Row, arm_styles, best_prompt
from warmup_rl.report.plots import PLOTS, draw


def report(run_folder: Path) -> Path:
    """Writes `report/` in a run's folder and prints the main tables. Returns the Markdown file.

    A report with measurements is not replaced by one without; a message says so.

    Raises:
        RunError: not a run folder, or outputs of finished stages are missing; nothing is written then.
        DataError: one of its files is broken.
    """
    from rich.markdown import Markdown

    found = compute(load(run_folder))
    folder = run_folder / "report"
    kept = folder / "summary.json"
    if not found.rows and kept.is_file() and read_json(kept).get("models"):
        print(f"This run has no measurements. {folder} shows an earlier state of it and is left unchanged.")
        return folder / "report.md"
    with TemporaryDirectory(prefix="report-", dir=run_folder) as part:
        draw(found, Path(part))
        plots = {path.name for path in Path(part).iterdir()}
        write_json(Path(part, "summary.json"), summary(found))
        Path(part, "report.md").write_text(render_markdown(found, plots), encoding="utf-8")
        folder.mkdir(exist_ok=True)
        for path in Path(part).iterdir():
            path.replace(folder / path.name)
    for name in PLOTS.keys() - plots:
        (folder / name).unlink(missing_ok=True)
    console = open_console()
    console.print(Markdown(render_overview(found)))
    console.print(f"The whole report: {folder / 'report.md'}", soft_wrap=True)
    console.print(
        f"The files that it reads were not checked; python -m warmup_rl verify {run_folder} does.", soft_wrap=True
    )
    return folder / "report.md"


def render_markdown(found: Findings, plots: Collection[str]) -> str:
    """The text of report.md; `plots` are the names of the plots in its folder."""
    run, rows = found.run, found.rows
    blocks = [render_overview(found, plots)]
    blocks += [tables.claims_table(found.claims), narrative.LIMITS] if run.compares else []
    blocks += [tables.gains_table(found.gains)]
    for domain in run.puzzles:
        blocks += [tables.groups_table(run, rows, domain), _plot("people.png", plots)]
    blocks += [tables.form_table(run, rows), _plot("tokens.png", plots)]
    blocks += [tables.accuracy_table(run, rows, sampling) for sampling in run.samplings if sampling != run.headline]
    blocks += [tables.labels_table(found.labels), narrative.asked(run), str(found.provenance)]
    return "\n\n".join(filter(None, blocks)) + "\n"


def render_overview(found: Findings, plots: Collection[str] = ()) -> str:
    """The first part, which the console shows too. It begins with a warning if warmup does not beat a better prompt."""
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
    blocks += [narrative.set_up(run), "## What this run shows", "\n".join(sentences)]
    blocks += [narrative.seeds_note(found)] if run.compares else []
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


def summary(found: Findings) -> dict[str, Any]:
    """The report's numbers as JSON values, for scripts."""
    run = found.run
    return {
        "run": run.recipe.run_name,
        "seeds": list(run.seeds),
        "unfinished": list(run.unfinished),
        "provenance": asdict(found.provenance),
        "headline": run.headline,
        "first_line": " ".join(narrative.first_sentences(found)) or None,
        "set_up": narrative.set_up(run),
        "sentences": narrative.sentences(found),
        "claims": [claim.to_json() for claim in found.claims],
        "arms_meet": asdict(found.meeting),
        "models": [_model(found, row, sampling) for row in found.rows for sampling in run.samplings],
        "gains": [asdict(gain) for gain in found.gains],
        "labels": [asdict(one) for one in found.labels],
        "contamination": narrative.contamination(run),
        "ablation": [_outcome(run, outcome) for outcome in found.outcomes],
    }


def _outcome(run: Run, outcome: Outcome) -> dict[str, Any]:
    accuracy = outcome.transfer
    names = {"to_base": run.claims.base, "to_reference": run.claims.warmup}
    claims = {key: outcome.differences.get(other) for key, other in names.items()}
    return {
        **{key: value for key, value in asdict(outcome).items() if key != "differences"},
        "transfer": accuracy.value,
        "interval": [accuracy.low, accuracy.high],
        "by_seed": accuracy.by_seed,
        "puzzles": outcome.puzzles.value if outcome.puzzles else None,
        **{key: claim.to_json() if claim else None for key, claim in claims.items()},
    }


def _model(found: Findings, row: Row, sampling: str) -> dict[str, Any]:
    domains = {}
    for name in found.run.measured:
        accuracy = row.accuracy([name], sampling)
        if accuracy:
            cells = {seed: asdict(cell) for seed, cell in row.cells(name, sampling).items()}
            domains[name] = {"lenient": accuracy.value, "interval": [accuracy.low, accuracy.high], "by_seed": cells}
    return {"name": row.name, "sampling": sampling, "domains": domains}
