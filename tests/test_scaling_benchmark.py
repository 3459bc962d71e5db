"""Benchmarks that have figures are found, and the work whose growth is measured runs."""

import sys

import pytest

from benchmarks.__main__ import benchmark_names
from benchmarks.ranks import pace
from benchmarks.scaling import WORK, cost


@pytest.mark.parametrize("name", WORK)
def test_the_work_that_is_measured_runs(name, tmp_path):
    found = cost([sys.executable, "-m", *WORK[name].command(tmp_path, 16 if name == "rlvr" else 3)])
    assert found.seconds > 0 and found.megabytes > 10
    assert any(tmp_path.iterdir())


def test_the_pace_of_two_processes_is_read_from_their_log(tmp_path):
    assert pace(tmp_path, 2, share=0.02) > 0


def test_commands_of_their_own_are_no_benchmarks():
    names = benchmark_names()
    assert {"ranks", "scaling", "puzzles", "training"} <= set(names)
    assert not {"aa", "figure", "gpu", "health", "kills", "math_verify", "variance", "windtunnel"} & set(names)
