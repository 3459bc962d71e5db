"""Data-parallel processes: how much faster does a training become?

Processes of one thread each are doubled up to the number of cores, and share the same optimizer step of 32 rows.
Measured by the clock, so the machine should have nothing else to do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure, at_least
from benchmarks.trials import RECIPE
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.machine import cores

_ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))


def figures() -> Iterator[Figure]:
    """Steps a second of nano's pretraining by number of processes, and how many times those of half as many."""
    sizes = [2**power for power in range(cores().bit_length())]
    with tempfile.TemporaryDirectory() as folder:
        rounds = [{size: pace(Path(folder, str(turn)), size) for size in sizes} for turn in range(_ROUNDS)]
    for size in sizes:
        yield Figure.over(f"processes: {size}", [paces[size] for paces in rounds], "steps/s")
    for size in sizes[1:]:
        gains = [paces[size] / paces[size // 2] for paces in rounds]
        yield at_least(f"processes: {size}, times as fast as {size // 2}", median(gains), "times", 1.5).within(gains)


def pace(folder: Path, processes: int, share: float = 0.2) -> float:
    """Steps a second that so many processes train, after the first."""
    changes = {"output_dir": folder / str(processes), "stages.pretrain.corpus.share": share}
    changes |= {"stages.pretrain.batch_size": 32, "stages.pretrain.args.logging_steps": 1}
    launch = ["--config_file", "launch/ddp.yaml", "--num_processes", str(processes), "-m", "warmup_rl.train"]
    only = ["--arm", "warmup", "--until", "pretrain", "--threads", "1"]
    command = [sys.executable, "-m", "accelerate.commands.launch", *launch, str(RECIPE), *only]
    command += [f"{key}={value}" for key, value in changes.items()]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=RECIPE.parent.parent, env=env, stdout=subprocess.DEVNULL, check=True)
    (log,) = (folder / str(processes) / "cache").glob("pretrain-*/log.jsonl")
    first, *_, last = list(read_jsonl(log))[1:]
    return float((last["step"] - first["step"]) / (last["at"] - first["at"]))
