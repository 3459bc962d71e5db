"""Work of growing size: does the time grow faster than the size, and does memory?

Each size is a process of its own. Seconds are those of the processor, start-up included, so that other work on the
machine counts little. `BENCH_TENFOLDS=2 python -m benchmarks scaling` goes on to a hundred times the first size, to
10^6 puzzles and 10^5 traces; the plot lies beside the figures.
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

_TENFOLDS = int(os.environ.get("BENCH_TENFOLDS", "1"))
_PLOT = Path(__file__).parent / "results" / "scaling.png"


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds and peak memory of a command."""

    seconds: float
    megabytes: float


def figures() -> Iterator[Figure]:
    """For each kind of work: seconds and memory at the largest size, and how they grow over the last tenfold."""
    measured: dict[str, dict[int, Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, work in WORK.items():
            sizes = [work.first * 10**power for power in range(_TENFOLDS + 1)]
            costs = [cost([sys.executable, "-m", *work.command(Path(folder), size)]) for size in sizes]
            measured[name] = dict(zip(sizes, costs, strict=True))
            before, last = costs[-2:]
            yield Figure(f"{name}: {sizes[-1]:,} {work.unit}s", last.seconds, "s")
            yield at_most(
                f"{name}: times the seconds for ten times the {work.unit}s", last.seconds / before.seconds, "times", 11
            )
            growth = 1024 * (last.megabytes - before.megabytes) / (sizes[-1] - sizes[-2])
            yield at_most(f"{name}: memory a further {work.unit}", max(0.0, growth), "KB", work.kilobytes)
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


def _puzzles(folder: Path, size: int) -> list[str]:
    return ["warmup_rl", "puzzles", "--people", "3-7", "--size", str(size), "--out", str(folder / "puzzles.jsonl")]


def _grade(folder: Path, size: int) -> list[str]:
    given, out = _rows(folder, size), folder / "graded.jsonl"
    return ["warmup_rl", "grade", "--domain", "kk", "--in", str(given), "--out", str(out)]


def _clean(folder: Path, size: int) -> list[str]:
    given, out = _rows(folder, size), folder / f"clean-{size}.jsonl"
    files = ["--in", str(given), "--out", str(out), "--columns", "response=completion"]
    return ["warmup_rl", "clean", "--domain", "kk", *files]


def _report(folder: Path, size: int) -> list[str]:
    """A report of both arms, over made-up files of so many seeds."""
    from tests.synthetic_run import base_trial, warmup_trial, write_run

    trials = [trial for seed in range(size) for trial in (warmup_trial(seed), base_trial(seed))]
    return ["warmup_rl", "report", str(write_run(folder / f"run-{size}", trials))]


def _rlvr(folder: Path, size: int) -> list[str]:
    return ["benchmarks.scaling", str(folder), str(size)]


def rlvr_steps(folder: Path, completions: int) -> None:
    """Two steps of GRPO at random rewards, on a nano model without training, whose completions fill their budget."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from benchmarks.training import stage_of

    model = folder / f"untrained-{completions}"
    stage, _ = stage_of("pretrain", [], {})
    assert stage.draft(model)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model)).save_pretrained(model)
    size = {"steps": 2, "prompts_per_step": completions // 8, "generations": 8, "checkpoint": None}
    changes = [f"stages.rlvr.{key}={json.dumps(value)}" for key, value in size.items()]
    stage, context = stage_of(
        "rlvr", [*changes, "stages.rlvr.reward={control: random}", "evaluation.every=0"], {"model": str(model)}
    )
    stage.run(context)


@dataclass(frozen=True, slots=True)
class Work:
    """What is done at growing sizes.

    Attributes:
        command: arguments of Python after `-m`, from a folder for files and the size.
        first: the smallest size.
        kilobytes: memory that a further unit may take.
    """

    command: Callable[[Path, int], list[str]]
    unit: str
    first: int
    kilobytes: float = 1.0


WORK: Mapping[str, Work] = {
    "puzzles": Work(_puzzles, "puzzle", 10_000),
    "grade": Work(_grade, "row", 1_000),
    "clean": Work(_clean, "trace", 1_000),
    "report": Work(_report, "seed", 2, 2_000.0),
    "rlvr": Work(_rlvr, "completion", 32, 1_000.0),
}


def _draw(measured: Mapping[str, Mapping[int, Cost]]) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (seconds, memory) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for name, costs in measured.items():
        seconds.loglog(
            list(costs), [one.seconds for one in costs.values()], marker="o", label=f"{name} ({WORK[name].unit}s)"
        )
        memory.semilogx(list(costs), [one.megabytes for one in costs.values()], marker="o", label=name)
    seconds.set(xlabel="size", ylabel="processor seconds")
    most = max(one.megabytes for costs in measured.values() for one in costs.values())
    memory.set(xlabel="size", ylabel="peak memory, MB", ylim=(0, 1.1 * most))
    seconds.legend(frameon=False)
    figure.savefig(_PLOT, dpi=110)


if __name__ == "__main__":
    rlvr_steps(Path(sys.argv[1]), int(sys.argv[2]))
