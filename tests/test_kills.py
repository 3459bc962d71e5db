"""The whole program, killed with SIGKILL at random moments, makes what an undisturbed run makes."""

import random
from pathlib import Path

from benchmarks.kills import EVERY, disturbed, prepare


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    prepared, seconds = prepare(tmp_path)
    outcome = disturbed(prepared, tmp_path, 3, seconds, random.Random(1))
    assert outcome.phases.total() == 3
    assert outcome.different == [] and outcome.lost <= EVERY
