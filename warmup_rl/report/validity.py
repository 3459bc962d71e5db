"""Step validity of terse chains in the report: how many steps hold, how many right answers hold one that does not."""

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
    for row in (row for row in rows if row.role != "best prompt"):
        for domain in run.measured:
            cells = [cell for cell in row.cells(domain, run.headline).values() if cell.unparsed_steps is not None]
            if cells:
                body.append((row.name, domain, *(_share(cells, name) for name in _COLUMNS)))
    header = ("model", "domain", "accuracy", "valid steps", "right from invalid", "unparsed steps")
    return Table(
        f"Step validity of terse chains, {run.headline}", header, tuple(body),
        "Each sentence of the thinking is held against the puzzle. Valid steps: share of the sentences that could be "
        "read, mean over completions; right from invalid: share of the right answers whose thinking holds an invalid "
        "sentence.",
    )  # fmt: skip


def _share(cells: Sequence[Cell], name: str) -> str:
    """The mean over the seeds in which there is such a share."""
    values = [value for value in (getattr(cell, name) for cell in cells) if value is not None]
    return share(mean(values)) if values else NOTHING
