"""A/A: how often the report tells two equal arms apart. Trains one arm with many seeds and splits them into two.

`python -m benchmarks.aa --seeds 40` trains the arm warmup of recipes/kk_warmup.yaml, made small, with 40 seeds. It then
draws experiments of a few pairs of seeds and counts the 95% intervals that leave 0 out, and prints what that has cost.
Finished stages are kept, so that more seeds only add to it.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.trials import train
from warmup_rl.base.console import duration
from warmup_rl.base.stats import mean, wilson
from warmup_rl.report import measures
from warmup_rl.report.claims import Claim, Side
from warmup_rl.report.load import Run, load
from warmup_rl.report.measures import When

ARM = "warmup"
SMALL = (
    "stages.pretrain.corpus.share=0.3", "stages.distill.problems=150", "stages.before.prompts=[open]",
    "stages.rlvr.steps=10", "stages.rlvr.prompts_per_step=8", "evaluation.problems=100", "evaluation.every=0",
    "evaluation.samplings={greedy: {temperature: 0.0, max_tokens: 256}}",
)  # fmt: skip
"""Overrides that make a seed cheap."""
PAIRS = (3, 5, 8)
DRAWS = 2000
WANTED = 40
"""Seeds of a run that says something."""
Quantities = Mapping[str, Mapping[int, float]]
"""What is compared, by name: a value for each seed."""


def quantities(found: Run) -> Quantities:
    """What the report's claims compare of the arm: transfer before RLVR, the end point, and what RLVR gains; of the
    seeds that are finished."""
    seeds = sorted(seed for seed, trial in found.trials[ARM].items() if trial.state == "finished")
    target = (next(one.target.domain for one in found.trials[ARM].values() if one.target),)
    of: dict[str, tuple[When, Sequence[str]]] = {
        "transfer, before RLVR": ("start", found.transfer), "end point, after RLVR": ("end", target),
    }  # fmt: skip
    values = {
        name: {seed: measures.arm_accuracy(found, ARM, when, domains, seed) for seed in seeds}
        for name, (when, domains) in of.items()
    }
    starts = {seed: measures.arm_accuracy(found, ARM, "start", target, seed) for seed in seeds}
    end = values["end point, after RLVR"]
    return {**values, "increment by RLVR": {seed: end[seed] - starts[seed] for seed in seeds}}


def experiments(values: Mapping[int, float], pairs: int, draws: int, name: str) -> Iterator[Claim]:
    """Comparisons of two equal arms, each with `pairs` of the seeds, all different; none where there are too few."""
    draw, seeds = random.Random(f"aa/{name}/{pairs}"), sorted(values)
    for _ in range(draws if len(seeds) >= 2 * pairs else 0):
        drawn = draw.sample(seeds, 2 * pairs)
        left, right = (
            Side(label, dict(enumerate(values[seed] for seed in part)))
            for label, part in (("A", drawn[:pairs]), ("A", drawn[pairs:]))
        )
        yield Claim(f"aa.{name}", "A - A", name, left, right)


def alarms(values: Mapping[int, float], pairs: int, draws: int = DRAWS, name: str = "") -> float | None:
    """Share of experiments in which the report tells equal arms apart; None where there are too few seeds."""
    verdicts = [claim.verdict in ("above", "below") for claim in experiments(values, pairs, draws, name)]
    return mean(verdicts) if verdicts else None


def cost(found: Run) -> float:
    """Seconds that a seed has taken, mean over seeds, stages that seeds share counted once for each."""
    return mean([sum(stage.seconds for stage in trial.stages) for trial in found.every_trial])


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains, prints the table of false alarms and the cost."""
    parser = argparse.ArgumentParser("python -m benchmarks.aa", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=int, default=WANTED, metavar="N", help="seeds to train: 0 to N - 1")
    parser.add_argument("--folder", type=Path, default=Path("outputs"))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further overrides")
    given = parser.parse_args(arguments)
    found = load(train("aa", range(given.seeds), given.folder, [*SMALL, *given.set, "--arm", ARM]))
    table = Table(title=f"Two equal arms told apart at 95%, {given.seeds} seeds, {DRAWS} experiments each")
    for column in ("", *(f"{pairs} pairs" for pairs in PAIRS)):
        table.add_column(column)
    for name, values in quantities(found).items():
        shares = [alarms(values, pairs, name=name) for pairs in PAIRS]
        table.add_row(name, *("too few seeds" if share is None else f"{share:.1%}" for share in shares))
    console, seconds = Console(), cost(found)
    console.print(table)
    if apart := given.seeds // (2 * PAIRS[0]):
        low, high = wilson(0.05, apart)
        console.print(
            f"Experiments overlap: {given.seeds} seeds hold {apart} of {PAIRS[0]} pairs that do not; with so many "
            f"alone, 5% would come out as {low:.0%} to {high:.0%}."
        )
    console.print(f"A seed took {duration(seconds)}; {WANTED} take {duration(WANTED * seconds)}, one after the other.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
