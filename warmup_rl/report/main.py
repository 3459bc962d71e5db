"""Writes the report of a run: summary.json, report.md and plots, and shows its tables; can be run at any time."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from warmup_rl.base.jsonl import read_json, write_json
from warmup_rl.report import narrative
from warmup_rl.report.findings import Findings, Outcome, compute
from warmup_rl.report.load import Run, load
from warmup_rl.report.models import Row
from warmup_rl.report.plots import PLOTS, draw
from warmup_rl.report.render_markdown import render_markdown, render_overview


def report(run_folder: Path) -> Path:
    """Writes `report/` in a run's folder and prints the main tables. Returns the Markdown file.

    A report with measurements is never replaced by one without: it is left as it is, and a line says so.

    Raises:
        RunError: not a run folder, or outputs of finished stages are missing; nothing is written then.
        DataError: one of its files is broken; the message names it.
    """
    found = compute(load(run_folder))
    folder = run_folder / "report"
    kept = folder / "summary.json"
    if not found.rows and kept.is_file() and read_json(kept).get("models"):
        print(f"Nothing is measured in this run yet. {folder} shows an earlier state of it and is left as it is.")
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
    _show(found, folder / "report.md")
    return folder / "report.md"


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


def _show(found: Findings, path: Path) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(Markdown(render_overview(found)))
    console.print(f"The whole report: {path}", soft_wrap=True)
    console.print(
        f"The files that it reads were not checked; python -m warmup_rl verify {path.parents[1]} does.", soft_wrap=True
    )
