"""Work on batches in processes of their own: order, errors, and how it ends."""

import math
import os
import subprocess
import sys
import time

import psutil
import pytest

from warmup_rl.base.errors import UserError
from warmup_rl.base.processes import in_processes

SCRIPT = """
import math
from warmup_rl.base.processes import in_processes
print(list(in_processes(math.factorial, range(6), 2)))
"""


def test_what_is_made_comes_in_order():
    assert list(in_processes(math.factorial, iter(range(9)), 2)) == [math.factorial(n) for n in range(9)]


@pytest.mark.parametrize("place", ["file", "stdin"])
def test_a_script_needs_no_guard_of_its_main(tmp_path, place):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command, given = ([script], None) if place == "file" else (["-"], SCRIPT)
    done = subprocess.run(
        [sys.executable, *command], input=given, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[1, 1, 2, 6, 24, 120]\n", "")


def test_an_error_of_a_batch_is_raised_here_and_says_where_it_was():
    with pytest.raises(ValueError, match="'x'") as raised:
        list(in_processes(int, ["1", "x", "2"], 2))
    assert "in serve" in raised.value.__notes__[0]


def test_a_process_that_is_killed_is_an_error_of_one_line():
    with pytest.raises(UserError, match="lack of memory"):
        list(in_processes(os._exit, [9, 9, 9, 9, 9, 9], 2))


def test_an_interruption_waits_for_no_batch_and_leaves_no_process():
    def batches():
        yield from [600.0, 600.0, 600.0]
        raise KeyboardInterrupt

    before, start = psutil.Process().children(recursive=True), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(in_processes(time.sleep, batches(), 2))
    assert psutil.Process().children(recursive=True) == before
    assert time.monotonic() - start < 60
