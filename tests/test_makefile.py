"""The Makefile: bare `make` lists every target, and each experiment runs shipped recipes with its seeds and launch."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from warmup_rl.recipe.shipped import find_launch_file, shipped

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "Makefile").read_text(encoding="utf-8")
EXPERIMENTS = ("nano", "math", "humaneval", "physics", "history", "dlcot", "short-cot", "trace-count", "homology")
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


def make(*arguments: str) -> str:
    done = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bare_make_lists_every_target_with_what_it_does() -> None:
    (phony,) = re.findall(r"^\.PHONY: (help .*)$", TEXT, re.MULTILINE)
    targets = {*phony.split(), *(f"experiment-{name}" for name in EXPERIMENTS)}
    listed = dict(re.findall(r"^  ([a-z-]+) {2,}(\S.*)$", make(), re.MULTILINE))
    assert set(listed) == targets and make("help") == make()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_shipped_recipes(name: str) -> None:
    shown = make("-n", f"experiment-{name}", "SEEDS=3 4", "LAUNCH=zero3", "GPUS=4", "ARGS=--jobs 1")
    commands = re.findall(
        r"accelerate launch --config_file (\S+) --num_processes 4 -m warmup_rl\.train (.*?) &&", shown
    )
    assert commands
    for launch, rest in commands:
        assert find_launch_file(launch) == Path(launch)
        recipe, *options = rest.split()
        assert Path(recipe).stem in shipped("recipes") and options == "--seed 3 --seed 4 --jobs 1".split()


def test_any_recipe_is_an_experiment() -> None:
    shown = make("-n", "experiment", "RECIPE=mine.yaml", "SEEDS=0 1", "LAUNCH=launch/ddp.yaml")
    line = "accelerate launch --config_file launch/ddp.yaml -m warmup_rl.train mine.yaml --seed 0 --seed 1"
    assert line in re.sub(" +", " ", shown)
