"""Where do seeds differ from? Trains a recipe once for each thing that a seed varies, with all else held.

`python -m benchmarks.variance --seeds 8` prints the spread over seeds of what the report compares, for the pretrained
world, the examples, the order of sft, the sampling of rlvr, that of eval, and for all of them together.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from benchmarks.aa import ARM, SMALL, Quantities, cost, quantities
from benchmarks.trials import train
from warmup_rl.base.console import duration
from warmup_rl.recipe.schema import Source
from warmup_rl.report.load import load

ALL = "all"


def spread(values: Mapping[int, float]) -> float:
    """Standard deviation over seeds, in points; 0 for a single seed."""
    return 100 * statistics.stdev(values.values()) if len(values) > 1 else 0.0


def shares(found: Mapping[str, Quantities], name: str) -> dict[str, float | None]:
    """The variance of a quantity under each source alone, as a share of that under all; None where that is 0.

    They add up to 1 where sources do not interact, up to the error of a variance of few seeds.
    """
    whole = spread(found[ALL][name]) ** 2
    return {source: spread(of[name]) ** 2 / whole if whole else None for source, of in found.items() if source != ALL}


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains and prints the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.variance", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=int, default=8, metavar="N", help="seeds to train: 0 to N - 1")
    parser.add_argument("--folder", type=Path, default=Path("outputs"))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further overrides")
    given = parser.parse_args(arguments)
    found: dict[str, Quantities] = {}
    seconds = 0.0
    for source in (*get_args(Source), ALL):
        vary = [source] if source != ALL else list(get_args(Source))
        options = [*SMALL, f"vary={vary}", *given.set, "--arm", ARM]
        trained = load(train(f"variance-{source}", range(given.seeds), given.folder, options))
        found[source], seconds = quantities(trained), seconds + given.seeds * cost(trained)
    table = Table(title=f"Standard deviation over {given.seeds} seeds in points (share of the variance under all)")
    for column in ("the seeds vary", *found[ALL]):
        table.add_column(column)
    for source, of in found.items():
        cells = []
        for name, values in of.items():
            part = shares(found, name).get(source)
            cells.append(f"{spread(values):.1f}" + ("" if part is None else f" ({part:.0%})"))
        table.add_row(source, *cells)
    console = Console()
    console.print(table)
    console.print(f"At most {duration(seconds)} of training; stages that seeds share were made once.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
