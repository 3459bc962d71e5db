"""Step validity in the report: how many steps follow, and how many right answers hold one that does not."""

from __future__ import annotations

from collections.abc import Sequence

from warmup_rl.base.stats import mean
from warmup_rl.report.difference import share
from warmup_rl.report.load import Run
from warmup_rl.report.models import Shown
from warmup_rl.report.outputs import Cell
from warmup_rl.report.tables import NOTHING, Table

_COLUMNS = ("lenient", "valid_steps", "right_from_invalid", "unparsed_steps")


def validity_table(run: Run, rows: Sequence[Shown]) -> Table:
    """Share of valid steps by model and domain under the headline sampling; no rows where no domain judges steps."""
    body = []
    for row, domain, cells in _judged(run, rows):
        shares = (_mean(cells, name) for name in _COLUMNS)
        body.append((row.name, domain, *(NOTHING if value is None else share(value) for value in shares)))
    header = ("model", "domain", "accuracy", "valid steps", "right from invalid", "unparsed steps")
    return Table(
        f"Step validity, {run.headline}", header, tuple(body),
        "Each claim of the thinking is held against the solver: it must follow from what is known there and one "
        "person's statement. Valid steps: share of the steps that could be read, mean over completions; right from "
        "invalid: share of the right answers whose thinking holds an invalid step.",
    )  # fmt: skip


def validity_sentence(run: Run, rows: Sequence[Shown]) -> str:
    """What the table says of base and warmup, in one sentence a domain; empty where no steps are judged."""
    by_domain: dict[str, list[str]] = {}
    for row, domain, cells in _judged(run, rows):
        valid, invalid = _mean(cells, "valid_steps"), _mean(cells, "right_from_invalid")
        if row.role in ("base", "warmup") and valid is not None:
            rest = "" if invalid is None else f" ({share(invalid)} of the right answers hold an invalid one)"
            by_domain.setdefault(domain, []).append(f"{row.name} {share(valid)}{rest}")
    return " ".join(f"On {domain}, valid steps: {'; '.join(said)}." for domain, said in by_domain.items())


def _judged(run: Run, rows: Sequence[Shown]) -> list[tuple[Shown, str, list[Cell]]]:
    """Models with the measurements, by seed, in which steps could be judged; their prompt is part of the name."""
    found = []
    for row in (row for row in rows if row.role != "best prompt"):
        for domain in run.measured:
            cells = [cell for cell in row.cells(domain, run.headline).values() if cell.unparsed_steps is not None]
            if cells:
                found.append((row, domain, cells))
    return found


def _mean(cells: Sequence[Cell], name: str) -> float | None:
    values = [value for value in (getattr(cell, name) for cell in cells) if value is not None]
    return mean(values) if values else None
