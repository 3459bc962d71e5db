"""Trials of the shipped recipe for benchmarks that test the method and its report."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "kk_warmup.yaml"


def train(name: str, seeds: Sequence[int], folder: Path, arguments: Sequence[str]) -> Path:
    """Runs the recipe under a name with seeds, and returns the run's folder; finished stages are kept.

    Args:
        arguments: further overrides and options of the command line.

    Raises:
        CalledProcessError: the run fails.
    """
    options = [f"run_name={name}", f"output_dir={folder}", f"seeds={list(seeds)}", *arguments]
    subprocess.run([sys.executable, "-m", "warmup_rl.train", str(RECIPE), *options], check=True)
    return folder / name
