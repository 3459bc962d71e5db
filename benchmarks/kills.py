"""Kills a run with SIGKILL at random moments and compares what it makes in the end with an undisturbed run.

`python -m benchmarks.kills --kills 30 --folder /tmp/kills` runs the warmup arm of the nano recipe, made short, with
a checkpoint after every second step.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.trials import RECIPE
from warmup_rl.base.jsonl import read_json, read_jsonl

EVERY = 2
SHORT = [
    "stages.pretrain.corpus.share=0.01",
    "stages.distill.problems=48",
    f"stages.sft.checkpoint={{every: {EVERY}}}",
    f"stages.rlvr.checkpoint={{every: {EVERY}}}",
    "stages.rlvr.problems=12",
    "stages.rlvr.steps=12",
    "stages.rlvr.prompts_per_step=4",
    "stages.rlvr.generations=4",
    "stages.rlvr.sampling.max_tokens=48",
    "stages.before.prompts=[open]",
    "evaluation.problems=4",
    "evaluation.curve_problems=4",
    "evaluation.samplings={greedy: {max_tokens: 16}}",
]
DATA = ("pretrain-", "distill-", "clean-")
"""Stages whose outputs the disturbed runs begin with."""
TIMES = (
    "at",
    "step_time",
    "train_runtime",
    "train_samples_per_second",
    "train_steps_per_second",
    "train_loss",
    "seconds",
)
"""Keys of logs that no two runs have in common; `train_loss` is a mean over what one process has trained."""


@dataclass
class Outcome:
    """What the kills have led to: phases in which they came, optimizer steps lost at most, files that differ."""

    phases: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    different: list[str] = field(default_factory=list)


def start(folder: Path) -> subprocess.Popen[str]:
    """Starts the run in a session of its own, so that all of its processes can be killed."""
    options = [f"output_dir={folder}", *SHORT, "--arm", "warmup", "--until", "rlvr", "--threads", "1"]
    return subprocess.Popen(
        [sys.executable, "-m", "warmup_rl.train", str(RECIPE), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(folder: Path) -> None:
    """Runs to the end. Raises `RuntimeError` if the run fails."""
    process = start(folder)
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}:\n{output[-3000:]}")


def made(folder: Path) -> dict[str, Any]:
    """The weights, logs without times, and summary of the training stages, by name."""
    found: dict[str, Any] = {}
    for stage in ("sft", "rlvr"):
        [home] = (path for path in (folder / "cache").glob(f"{stage}-*") if path.is_dir())
        found[f"{stage} weights"] = (home / "model" / "model.safetensors").read_bytes()
        found[f"{stage} summary"] = read_json(home / "stage.json")["summary"]
        found |= {f"{stage} {log.name}": without_times(log) for log in home.glob("*.jsonl")}
    return found


def without_times(log: Path) -> list[dict[str, Any]]:
    """The rows of a log without the keys that no two runs have in common."""
    return [{key: value for key, value in row.items() if key not in TIMES} for row in read_jsonl(log)]


def kill(folder: Path, seconds: float, outcome: Outcome) -> bool:
    """Starts the run and kills it after a time; False if it was done before."""
    process = start(folder)
    try:
        output, _ = process.communicate(timeout=seconds)
        if process.returncode:
            raise RuntimeError(output[-3000:])
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    outcome.phases[_phase(folder)] += 1
    return True


def disturbed(prepared: Path, folder: Path, kills: int, seconds: float, rng: random.Random) -> Outcome:
    """Kills runs `kills` times at random moments within `seconds`, each until it ends, and compares the results."""
    outcome, left, number = Outcome(), kills, 0
    expected = made(prepared.with_name("whole"))
    while left:
        own = folder / f"run-{number}"
        shutil.copytree(prepared, own, symlinks=True)
        while left and kill(own, rng.uniform(seconds / 8, seconds), outcome):
            left -= 1
            reached = _last_step(own)
            if reached is not None and left:
                outcome.lost = max(outcome.lost, reached - _checkpoint(own))
        finish(own)
        found = made(own)
        outcome.different += [f"{own.name}: {name}" for name in expected if found.get(name) != expected[name]]
        outcome.different += [f"{own.name}: {path.name}" for path in (own / "cache").glob("*.part")]
        number += 1
    return outcome


def prepare(folder: Path) -> tuple[Path, float]:
    """Makes an undisturbed run, and a copy of it beside it that has no more than the data stages; returns the copy and
    the seconds that the other stages and the start of the program have taken."""
    whole, prepared = folder / "whole", folder / "prepared"
    began = time.monotonic()
    finish(whole)
    seconds = time.monotonic() - began
    shutil.copytree(whole, prepared, symlinks=True)
    for record in (prepared / "cache").glob("*/stage.json"):
        if record.parent.name.startswith(DATA):
            seconds -= read_json(record)["seconds"]
        else:
            shutil.rmtree(record.parent)
    return prepared, seconds


def _phase(folder: Path) -> str:
    parts = sorted((folder / "cache").glob("*.part"), key=lambda part: part.stat().st_mtime)
    if not parts:
        return "between stages"
    part = parts[-1]
    stage = part.name.partition("-")[0]
    if list((part / "trainer").glob("checkpoint-*")):
        return f"{stage}, saving a checkpoint"
    return f"{stage}, saving the model" if (part / "model").exists() else stage


def _last_step(folder: Path) -> int | None:
    logs = sorted((folder / "cache").glob("*.part/log.jsonl"))
    lines = [line for log in logs[-1:] for line in log.read_text().splitlines()]
    steps = [int(found[1]) for line in lines if (found := re.search(r'"step": (\d+)', line))]
    return max(steps, default=None)


def _checkpoint(folder: Path) -> int:
    found = (folder / "cache").glob("*.part/trainer/checkpoints/step-*")
    return max((int(path.name.removeprefix("step-")) for path in found), default=0)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args(arguments)
    prepared, seconds = prepare(given.folder)
    outcome = disturbed(prepared, given.folder, given.kills, seconds, random.Random(0))
    print(f"{given.kills} kills: {dict(outcome.phases)}; at most {outcome.lost} optimizer steps lost")
    print("\n".join(outcome.different) or "all weights, logs and summaries as in the undisturbed run")
    return 1 if outcome.different else 0


if __name__ == "__main__":
    sys.exit(main())
