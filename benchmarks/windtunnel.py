"""Tests the report itself: runs settings whose truth is known and prints it beside what the report concludes.

`python -m benchmarks.windtunnel [WORLD ...] --seeds 0 1 2` runs the worlds of `worlds.yaml`; finished stages are kept,
so a second call repeats only the comparison.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.trials import RECIPE, train
from warmup_rl.recipe.load import load_recipe
from warmup_rl.recipe.schema import Recipe
from warmup_rl.report.load import load
from warmup_rl_extras import contamination

WORLDS: Mapping[str, Mapping[str, Any]] = yaml.safe_load(Path(__file__).with_name("worlds.yaml").read_text("utf-8"))
QUESTIONS = 100
"""Questions that a model is asked to complete, per domain."""
Judgement = Literal["found", "missed", "false", "not testable"]
_SIDES = {"above": {"above"}, "below": {"below"}, "level": set(), "not above": {"below"}, "seen": {"seen"}}
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
        if self.verdict in ("above", "below", "seen"):
            return "found" if self.verdict in _SIDES.get(self.truth, ()) else "false"
        if self.truth in ("above", "below", "seen"):
            return "not testable" if self.verdict == "not testable" else "missed"
        return "found"


def compare(world: str, summary: Mapping[str, Any]) -> Iterator[Compared]:
    """The claims of a world beside its truth.

    Args:
        summary: `summary.json` of a report.
    """
    claims = {claim["id"]: claim for claim in summary["claims"]}
    for name, truth in WORLDS[world].get("truth", {}).items():
        yield Compared(world, name, truth, claims[name]["verdict"], claims[name]["estimate"])


def run(world: str, seeds: Sequence[int], folder: Path, extra: Sequence[str] = ()) -> Iterator[Compared]:
    """Runs a world and compares; one without claims is only pretrained. Raises `CalledProcessError` if that fails."""
    name, made = f"windtunnel-{world}", WORLDS[world]
    overrides = [f"{key}={json.dumps(value)}" for key, value in made.get("set", {}).items()]
    pretrained = [] if "truth" in made else ["--arm", "base", "--until", "pretrain"]
    run_folder = train(name, seeds, folder, [*overrides, *extra, *pretrained])
    if "truth" in made:
        yield from compare(world, json.loads((run_folder / "report" / "summary.json").read_text("utf-8")))
    if "seen" in made:
        for stage in sorted({stage.folder for stage in load(run_folder).stages("pretraining")}):
            yield from probed(world, stage / "model", load_recipe(RECIPE, overrides))


def probed(world: str, model: Path, recipe: Recipe) -> Iterator[Compared]:
    """What the command `contamination` says of the domains in `seen`."""
    for name, seen in WORLDS[world]["seen"].items():
        domain, seed = recipe.domains[name], recipe.evaluation.seed
        found, control = contamination.measure(str(model), None, domain, "test", seed, QUESTIONS)
        says = "seen" if contamination.has_met(found, control) else "unseen"
        yield Compared(world, f"contamination.{name}", "seen" if seen else "unseen", says, found.share - control.share)


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
    rows = [row for world in given.worlds or WORLDS for row in run(world, given.seeds, given.folder, given.set)]
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
