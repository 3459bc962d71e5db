"""Writes the report of a run: summary.json, report.md and pictures, and shows its tables; can be run at any time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from warmup_rl.base.jsonl import write_json
from warmup_rl.report import narrative as words
from warmup_rl.report.ablation import Outcome, ablation, ablation_sentence, ablation_table
from warmup_rl.report.claims import Meeting, claims, meeting
from warmup_rl.report.contamination import contamination
from warmup_rl.report.difference import Claim
from warmup_rl.report.gains import Gain, gains
from warmup_rl.report.labels import Labels, labels, labels_table
from warmup_rl.report.load import Run, load
from warmup_rl.report.models import Shown, best_prompt, own_style, shown
from warmup_rl.report.plots import draw
from warmup_rl.report.setting import set_up
from warmup_rl.report.tables import Table, accuracy_table, claims_table, form_table, gains_table, groups_table
from warmup_rl.report.validity import validity_table

PICTURES = {
    "accuracy.png": "Accuracy by model and domain: bars are means over seeds, dots single seeds, lines 95% intervals.",
    "ablation.png": "Every arm: bars are means over seeds, dots single seeds, lines 95% intervals.",
    "curve.png": "RLVR: held-out accuracy and reward by step; thin lines are seeds, thick ones their mean. Rewards are "
    "shown for arms that are paid for the same.",
    "people.png": "Knights & Knaves by difficulty.",
    "tokens.png": "Length of an answer by model and domain; lines span the seeds.",
}


@dataclass(frozen=True)
class Findings:
    """All that is computed from a run's files."""

    run: Run
    rows: tuple[Shown, ...]
    claims: tuple[Claim, ...]
    meeting: Meeting
    gains: tuple[Gain, ...]
    ablation: tuple[Outcome, ...] = ()
    labels: tuple[Labels, ...] = ()

    @property
    def first_line(self) -> str | None:
        """What must stand before everything else; None where nothing must."""
        return words.first_line(self.run, self.claims, self.gains, self.rows)

    @property
    def sentences(self) -> dict[str, str]:
        """A short paragraph for each claim, by its name."""
        said = words.sentences(self.run, self.claims, self.meeting, self.gains)
        return {"Ablation": ablation_sentence(self.run, self.ablation), **said} if self.ablation else said


def report(run_folder: Path) -> Path:
    """Writes `report/` in a run's folder and prints the main tables. Returns the Markdown file.

    Raises:
        RunError: the folder is not a run's.
        DataError: one of its files is broken; the message names it.
    """
    run = load(run_folder)
    found = Findings(run, shown(run), claims(run), meeting(run), gains(run), ablation(run), labels(run))
    folder = run_folder / "report"
    folder.mkdir(exist_ok=True)
    pictures = draw(run, found.rows, found.meeting, found.ablation, folder)
    write_json(folder / "summary.json", summary(found))
    path = folder / "report.md"
    path.write_text(markdown(found, [picture.name for picture in pictures]), encoding="utf-8")
    _show(found, path)
    return path


def markdown(found: Findings, pictures: Sequence[str]) -> str:
    """The report's text. Where warmup does not beat a better prompt, that is its first line."""
    run, rows = found.run, found.rows
    parts = [found.first_line or "", f"# {run.name}", _state(run), set_up(run)]
    said = found.sentences
    parts += ["## What this run says", "\n".join(f"- **{name}.** {text}" for name, text in said.items())]
    parts += [words.seeds_note(run, found.claims), words.about(run), " ".join(contamination(run))]
    if rows:
        parts += [_picture("accuracy.png", pictures), *_section(accuracy_table(run, rows, run.headline))]
        parts += [_prompt_note(run), _picture("curve.png", pictures)]
    if found.ablation:
        parts += [*_section(ablation_table(run, found.ablation)), _picture("ablation.png", pictures)]
    parts += [*_section(claims_table(found.claims)), _limits()]
    if found.gains:
        parts += _section(gains_table(found.gains))
    for domain in run.puzzles:
        parts += [*_section(groups_table(run, rows, domain)), _picture("people.png", pictures)]
    if rows:
        parts += [*_section(form_table(run, rows)), _picture("tokens.png", pictures)]
        parts += _section(validity_table(run, rows))
    parts += [part for sampling in _other_samplings(run) for part in _section(accuracy_table(run, rows, sampling))]
    if found.labels:
        parts += _section(labels_table(found.labels))
    return "\n\n".join(part for part in [*parts, _provenance(run)] if part) + "\n"


def summary(found: Findings) -> dict[str, Any]:
    """The report's numbers as JSON values, for scripts."""
    run = found.run
    samplings = [run.headline, *_other_samplings(run)]
    return {
        "run": run.name,
        "seeds": list(run.seeds),
        "unfinished": list(run.unfinished),
        "headline": run.headline,
        "first_line": found.first_line,
        "set_up": set_up(run),
        "sentences": found.sentences,
        "claims": [claim.to_json() for claim in found.claims],
        "arms_meet": asdict(found.meeting),
        "models": [_model_json(run, row, sampling) for row in found.rows for sampling in samplings],
        "gains": [asdict(gain) for gain in found.gains],
        "labels": [one.to_json() for one in found.labels],
        "contamination": contamination(run),
        "ablation": [outcome.to_json() for outcome in found.ablation],
        "versions": run.record.get("versions", {}),
    }


def _model_json(run: Run, row: Shown, sampling: str) -> dict[str, Any]:
    domains = {}
    for name in run.measured:
        accuracy = row.accuracy([name], sampling)
        if accuracy:
            cells = {seed: asdict(cell) for seed, cell in row.cells(name, sampling).items()}
            domains[name] = {"lenient": accuracy.value, "interval": [accuracy.low, accuracy.high], "by_seed": cells}
    return {"name": row.name, "sampling": sampling, "domains": domains}


def _show(found: Findings, path: Path) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(width=None if sys.stdout.isatty() else 140)
    line, said = found.first_line, found.sentences
    console.print(Markdown("\n".join([*([line, ""] if line else []), *(f"- **{k}.** {v}" for k, v in said.items())])))
    console.print(Markdown(words.seeds_note(found.run, found.claims)))
    if found.rows:
        console.print(accuracy_table(found.run, found.rows, found.run.headline).rich())
    if found.ablation:
        console.print(ablation_table(found.run, found.ablation).rich())
    console.print(f"The whole report: {path}", soft_wrap=True)


def _section(table: Table) -> list[str]:
    return [f"## {table.title}", table.markdown()] if table.rows else []


def _picture(name: str, pictures: Sequence[str]) -> str:
    return f"![{PICTURES[name]}]({name})" if name in pictures else ""


def _state(run: Run) -> str:
    arms = ", ".join(run.trials) or "none yet"
    lines = [f"Arms: {arms}. Seeds: {', '.join(map(str, run.seeds)) or 'none yet'}."]
    if run.unfinished:
        lines += ["", "Not finished, so the numbers below are not final:", ""]
        lines += [f"- {line}" for line in run.unfinished]
    return "\n".join(lines)


def _prompt_note(run: Run) -> str:
    style, best = own_style(run), best_prompt(run)
    if not style:
        return ""
    note = f"Prompt style: the recipe's ({style}), except where a row names another."
    return f"{note} The base's best prompt, picked on validation problems: {best}." if best else note


def _limits() -> str:
    return (
        "Accuracy is lenient: a right answer counts whatever its form. The unit of replication is the seed: all "
        "differences are paired by seed, evaluation problems are the same for all seeds and arms. Values at equal "
        "tokens or compute, and at a step before the last, are read off the held-out curve, which has its own number "
        "of problems, and interpolated between its points: they can differ from the accuracy table."
    )


def _other_samplings(run: Run) -> list[str]:
    trials = [trial for trials in run.trials.values() for trial in trials.values()]
    models = [model for trial in trials for model in (trial.start, trial.end) if model]
    names = [cell.sampling for model in models for stage in model.evaluations for cell in stage.cells]
    return [name for name in dict.fromkeys(names) if name != run.headline]


def _provenance(run: Run) -> str:
    versions = run.record.get("versions") or {}
    made = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "Made from the run's own files; its recipe is `recipe.yaml` beside this folder." + (
        f" {made}." if made else ""
    )
