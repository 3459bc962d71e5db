"""Benchmarks that have figures are found, and the commands whose growth is measured run on the rows made for them."""

import sys

import pytest

from benchmarks.__main__ import benchmark_names
from benchmarks.scaling import COMMANDS, _rows, cost


@pytest.mark.parametrize("name", COMMANDS)
def test_a_measured_command_runs(name, tmp_path):
    given = _rows(tmp_path, 3)
    found = cost([sys.executable, "-m", "warmup_rl", *COMMANDS[name](given, tmp_path / "out.jsonl", 3)])
    assert found.seconds > 0 and found.megabytes > 10
    assert any(tmp_path.glob("out.jsonl")) or any(tmp_path.glob("clean-3.jsonl"))


def test_commands_of_their_own_are_no_benchmarks():
    names = benchmark_names()
    assert {"scaling", "puzzles", "training"} <= set(names)
    assert not {"aa", "figure", "gpu", "health", "kills", "math_verify", "variance", "windtunnel"} & set(names)
