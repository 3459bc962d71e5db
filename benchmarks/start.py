"""How long it takes from `accelerate launch` to the first line of SFT, beside bare imports of the same libraries.

The stages before are done, of a small model; the two take turns, by the clock, so nothing else should run.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure, at_most
from benchmarks.trials import RECIPE

NEEDS = ("torch", "transformers", "trl")
_ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
_SMALL = (
    "stages.pretrain.corpus.share=0.02", "stages.before.prompts=[open]", "evaluation.problems=10",
    "--arm", "warmup", "--seed", "0", "--until",
)  # fmt: skip
_BARE = "import torch, datasets, transformers, peft; from trl import SFTConfig, SFTTrainer"


def figures() -> Iterator[Figure]:
    """Seconds and their ratio, the median over the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        run = ["-m", "warmup_rl.train", str(RECIPE), f"output_dir={folder}", *_SMALL]
        subprocess.run([sys.executable, *run, "clean"], check=True, stdout=subprocess.DEVNULL)
        starts = [(_first_line(Path(folder) / "cache", [*run, "sft"]), _imports()) for _ in range(_ROUNDS + 1)][1:]
    ratios = [first / bare for first, bare in starts]
    yield Figure.over("accelerate launch to the first line of SFT", [first for first, _ in starts], "s")
    yield at_most("the same, in bare imports", median(ratios), "times", 1.5).within(ratios)


def _imports() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", _BARE], check=True)
    return time.perf_counter() - began


def _first_line(cache: Path, run: list[str]) -> float:
    """Seconds until a first step of SFT is logged; the training is then killed, so that the next one starts anew."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "launch/single.yaml"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    process = subprocess.Popen([*launch, *run], stdout=subprocess.DEVNULL, env=env, start_new_session=True)
    while not any(cache.glob("sft-*/log.jsonl")):
        assert process.poll() is None, "the run has ended without a step of SFT"
        time.sleep(0.005)
    seconds = time.perf_counter() - began
    os.killpg(process.pid, signal.SIGKILL)  # at the end of a step a training that is asked to end would save itself
    process.wait()
    for begun in cache.glob("sft-*.part"):
        shutil.rmtree(begun)
    return seconds
