"""Tests the report itself: runs settings whose truth is known and prints it beside what the report concludes.

`python -m benchmarks.windtunnel [WORLD ...] --seeds 0 1 2` runs the worlds of `worlds.yaml`; finished stages are kept,
so a second call repeats only the comparison.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from rich.console import Console
from rich.table import Table

RECIPE = Path(__file__).parents[1] / "recipes" / "kk_warmup.yaml"
WORLDS: Mapping[str, Mapping[str, Any]] = yaml.safe_load(Path(__file__).with_name("worlds.yaml").read_text("utf-8"))
Judgement = Literal["found", "missed", "false", "not testable"]
_SIDES = {"above": {"above"}, "below": {"below"}, "level": set(), "not above": {"below"}}
"""The verdicts that a truth allows, beside none."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A claim in a world: what is true, and the report's verdict, with its estimate in the claim's unit."""

    world: str
    claim: str
    truth: str
    verdict: str
    estimate: float | None

    @property
    def judgement(self) -> Judgement:
        """`false`: the report claims what is not so; `missed`: it does not claim what is so."""
        if self.verdict in ("above", "below"):
            return "found" if self.verdict in _SIDES[self.truth] else "false"
        if self.truth in ("above", "below"):
            return "not testable" if self.verdict == "not testable" else "missed"
        return "found"


def compare(world: str, summary: Mapping[str, Any]) -> Iterator[Compared]:
    """The claims of a world beside its truth.

    Args:
        summary: `summary.json` of a report.
    """
    claims = {claim["id"]: claim for claim in summary["claims"]}
    for name, truth in WORLDS[world]["truth"].items():
        yield Compared(world, name, truth, claims[name]["verdict"], claims[name]["estimate"])


def run(world: str, seeds: Sequence[int], folder: Path, extra: Sequence[str] = ()) -> Mapping[str, Any]:
    """Runs all arms of a world and returns the report's summary. Raises `CalledProcessError` if the run fails."""
    name = f"windtunnel-{world}"
    settings = {"run_name": name, "output_dir": str(folder), "seeds": list(seeds), **WORLDS[world].get("set", {})}
    options = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    subprocess.run([sys.executable, "-m", "warmup_rl.train", str(RECIPE), *options, *extra], check=True)
    summary: Mapping[str, Any] = json.loads((folder / name / "report" / "summary.json").read_text("utf-8"))
    return summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the worlds and prints the table; returns 1 if the report has drawn a false conclusion."""
    parser = argparse.ArgumentParser("python -m benchmarks.windtunnel", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=f"all where none is given: {', '.join(WORLDS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=Path("outputs"))
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="further overrides, such as fewer steps"
    )
    given = parser.parse_args(arguments)
    if unknown := [world for world in given.worlds if world not in WORLDS]:
        parser.error(f"unknown world {unknown[0]!r}. There are: {', '.join(WORLDS)}.")
    rows = [
        row
        for world in given.worlds or WORLDS
        for row in compare(world, run(world, given.seeds, given.folder, given.set))
    ]
    table = Table(title=f"Truth and report, {len(given.seeds)} seeds")
    for column in ("world", "claim", "truth", "report", "estimate", ""):
        table.add_column(column)
    for row in rows:
        shown = "" if row.estimate is None else f"{row.estimate:+.3g}"
        table.add_row(row.world, row.claim, row.truth, row.verdict, shown, row.judgement)
    counts = Counter(row.judgement for row in rows)
    console = Console()
    console.print(table)
    console.print(", ".join(f"{count} {judgement}" for judgement, count in counts.items()))
    return int(counts["false"] > 0)


if __name__ == "__main__":
    sys.exit(main())
