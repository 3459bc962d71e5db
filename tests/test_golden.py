"""Nothing has changed that the golden files hold; `python -m tests.golden.produce NAME` accepts a change."""

import warnings

import pytest

from tests.golden.figures import TABLES
from tests.golden.produce import GOLDEN, differences, kept, produced

SHOWN = 3


@pytest.mark.parametrize("name", GOLDEN)
def test_everything_is_as_it_was(name):
    found = differences(kept(name), produced(name))
    hints = [line for line in found if TABLES in line]
    if hints:
        warnings.warn(f"the tables of report.md hold other numbers: {hints[0]}", stacklevel=1)
    found = [line for line in found if line not in hints]
    told = "\n".join(found[:SHOWN])
    assert not found, f"{name}.json: {len(found)} differences, the first of them\n{told}"


def test_a_difference_is_told_by_its_place():
    before = {"a": {"x": 1, "y": [1, 2]}, "b": "same", "c": 0}
    now = {"a": {"x": 1, "y": [1, 3]}, "b": "same", "d": 0}
    assert [line.splitlines()[0] for line in differences(before, now)] == ["[a] [y]", "[c]", "[d]"]
