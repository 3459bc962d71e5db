"""Commands over files of growing size: does the time grow faster than the size, and does memory?

Each size is a process of its own. Seconds are those of the processor, start-up included, so that other work on the
machine counts little. `BENCH_MOST=1000000 python -m benchmarks scaling` goes further; the plot lies beside the figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.figure import Figure, at_most
from benchmarks.solved import FORMAT, solved
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.engines.solver import Solver

_FIRST, _MOST = 1_000, int(os.environ.get("BENCH_MOST", "10000"))
_PLOT = Path(__file__).parent / "results" / "scaling.png"


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds and peak memory of a command."""

    seconds: float
    megabytes: float


def figures() -> Iterator[Figure]:
    """For each command: seconds and memory at the largest size, and how they grow over the last tenfold."""
    measured: dict[str, dict[int, Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, command in COMMANDS.items():
            size, costs = _FIRST, measured.setdefault(name, {})
            while size <= _MOST:
                given = _rows(Path(folder), size)
                costs[size] = cost(
                    [sys.executable, "-m", "warmup_rl", *command(given, Path(folder) / "out.jsonl", size)]
                )
                size *= 10
            (before, last), most = list(costs.values())[-2:], max(costs)
            yield Figure(f"{name}: {most:,}", last.seconds, "s")
            yield at_most(
                f"{name}: times the seconds for ten times the rows", last.seconds / before.seconds, "times", 11
            )
            growth = (last.megabytes - before.megabytes) * 2**20 / (most - most // 10)
            yield at_most(f"{name}: memory a further row", max(0.0, growth), "bytes", 1_000)
    _draw(measured)


_MEASURE = """
import os, sys
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet), 0)
print(status, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""
"""Starts a command from a small process: Linux counts the memory of the one that starts it as the command's peak."""


def cost(command: list[str]) -> Cost:
    """Runs a command to its end. Raises `AssertionError` if it fails."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _MEASURE, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    status, seconds, megabytes = map(float, done.stdout.split())
    assert status == 0, command
    return Cost(seconds, megabytes)


def _rows(folder: Path, size: int) -> Path:
    """A file with this many English traces of the solver, each of another puzzle, 100 to 300 words long."""
    file = folder / f"{size}.jsonl"
    if file.exists():
        return file
    domain = KnightsKnaves(name="kk", people=(4, 6))
    problems = islice(domain.problems("train", 0), size)
    with file.open("w") as out:
        for problem, trace in solved(Solver(recheck=0.5), domain, problems):
            text = FORMAT.render(thinking=trace.thinking, answer=trace.answer)
            row = {"question": problem.question, "gold": problem.gold, "completion": text}
            out.write(json.dumps(row) + "\n")
    return file


COMMANDS: Mapping[str, Callable[[Path, Path, int], list[str]]] = {
    "puzzles": lambda given, out, size: ["puzzles", "--people", "3-7", "--size", str(size), "--out", str(out)],
    "grade": lambda given, out, size: ["grade", "--domain", "kk", "--in", str(given), "--out", str(out)],
    "clean": lambda given, out, size: [
        *("clean", "--domain", "kk", "--in", str(given), "--out", str(out.with_name(f"clean-{size}.jsonl"))),
        *("--columns", "response=completion"),
    ],
}
"""Arguments, from the rows that are given, a file for the output, and the size."""


def _draw(measured: Mapping[str, Mapping[int, Cost]]) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (seconds, memory) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for name, costs in measured.items():
        seconds.loglog(list(costs), [one.seconds for one in costs.values()], marker="o", label=name)
        memory.semilogx(list(costs), [one.megabytes for one in costs.values()], marker="o", label=name)
    seconds.set(xlabel="rows", ylabel="processor seconds")
    most = max(one.megabytes for costs in measured.values() for one in costs.values())
    memory.set(xlabel="rows", ylabel="peak memory, MB", ylim=(0, 1.1 * most))
    seconds.legend(frameon=False)
    figure.savefig(_PLOT, dpi=110)


if __name__ == "__main__":
    sys.exit("python -m benchmarks scaling")
