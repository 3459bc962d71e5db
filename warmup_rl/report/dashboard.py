"""The report as a W&B run beside those of the trials: claims as its summary, tables and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from warmup_rl.report.document import Document
from warmup_rl.report.findings import Findings
from warmup_rl.report.narrative import verdict
from warmup_rl.report.outputs import OUTCOMES
from warmup_rl.report.page import browsed_models, browsed_problems
from warmup_rl.run.tracking import COMPARISON, wandb_run
from warmup_rl.stages.training.tracking import to_wandb

MOST_COMPLETIONS = 2_000
"""Rows of the table of completions; the report's page and the run's files have more."""


def publish(found: Findings, document: Document, folder: Path) -> None:
    """Writes the W&B run, if the recipe asks for W&B, with the pictures in the report's folder."""
    run = found.run
    with wandb_run(run.recipe, run.folder, COMPARISON, COMPARISON, run.recipe.model_dump(mode="json"), print):
        to_wandb(lambda wandb: wandb.run.summary.update(_claims(found)))
        to_wandb(lambda wandb: wandb.log(_tables(wandb, found, document) | _pictures(wandb, folder)))


def _claims(found: Findings) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for claim in found.claims:
        low, high = claim.interval or (None, None)
        figures = {"estimate": claim.estimate, "low": low, "high": high, "verdict": claim.verdict}
        claims |= {f"claims/{claim.id}/{name}": value for name, value in figures.items() if value is not None}
    return {**claims, "first_line": " ".join(verdict(found))}


def _tables(wandb: Any, found: Findings, document: Document) -> dict[str, Any]:
    """All tables of the report, and what became of the rollouts at each step of each arm and seed."""
    tables: dict[str, Any] = {title: (table.header, table.rows) for title, table in document.tables()}
    outcomes = [
        (trial.arm, trial.seed, step, shares["reward"], *(shares.get(name) for name in OUTCOMES))
        for trial in found.run.every_trial if trial.target for step, shares in trial.target.rollouts.items()
    ]  # fmt: skip
    tables["Outcomes by step"] = ("arm", "seed", "step", "reward", *OUTCOMES), outcomes
    tables["Completions"] = _completions(found)
    return {
        f"tables/{title}": wandb.Table(columns=list(header), data=[list(row) for row in rows])
        for title, (header, rows) in tables.items()
    }


def _completions(found: Findings) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The completions of the problems that warmup changed most, models side by side."""
    columns = browsed_models(found)
    rows = [
        (problem["d"], problem["id"], problem["q"], problem["g"], columns[number].name, *rest)
        for problem in browsed_problems(found.run.headline, columns)
        for number, *rest in problem["a"]
    ]
    header = "domain problem question reference model seed sample outcome tokens completion"
    return tuple(header.split()), rows[:MOST_COMPLETIONS]


def _pictures(wandb: Any, folder: Path) -> dict[str, Any]:
    return {f"pictures/{path.stem}": wandb.Image(str(path)) for path in sorted(folder.glob("*.png"))}
