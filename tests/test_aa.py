"""A/A: the share of false alarms is what the interval promises, and the script's small setting loads."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.aa import ARM, SMALL, alarms, cost, experiments, quantities
from benchmarks.trials import RECIPE
from benchmarks.variance import ALL, shares, spread
from tests.synthetic_run import pair, write_run
from warmup_rl.recipe.load import load_recipe
from warmup_rl.report.load import load


@pytest.mark.parametrize("pairs", [3, 5, 8])
def test_equal_arms_are_told_apart_in_about_five_of_a_hundred(pairs: int) -> None:
    draw = random.Random(7)
    values = {seed: draw.gauss(0.6, 0.05) for seed in range(2000)}
    share = alarms(values, pairs, 2000)
    assert share is not None and 0.035 < share < 0.065


def test_arms_that_jump_cause_no_more_alarms() -> None:
    """Seeds that fall into two groups, as where some find a habit and others do not."""
    draw = random.Random(8)
    share = alarms({seed: float(draw.random() < 0.5) for seed in range(2000)}, 8, 2000)
    assert share is not None and share < 0.065


def test_an_experiment_uses_each_seed_once() -> None:
    for claim in experiments({seed: float(seed) for seed in range(10)}, 5, 20, "x"):
        used = [*claim.left.values.values(), *claim.right.values.values()]
        assert sorted(used) == list(range(10))
    assert alarms({0: 0.1, 1: 0.2}, 3) is None


def test_quantities_are_those_of_the_report(tmp_path: Path) -> None:
    found = load(write_run(tmp_path, pair()))
    values = quantities(found)
    assert values["transfer, before RLVR"] == pytest.approx({0: 0.7, 1: 0.75, 2: 0.8})
    assert values["end point, after RLVR"] == pytest.approx(dict.fromkeys((0, 1, 2), 0.9))
    assert values["increment by RLVR"] == pytest.approx({0: 0.2, 1: 0.15, 2: 0.1})
    assert cost(found) == 0


def test_the_small_setting_is_the_shipped_recipe_with_overrides() -> None:
    assert ARM in load_recipe(RECIPE, SMALL).arms


def test_variances_of_sources_are_shares_of_that_of_all() -> None:
    found = {"world": {"x": {0: 0.5, 1: 0.7}}, "sft": {"x": {0: 0.6, 1: 0.6}}, ALL: {"x": {0: 0.4, 1: 0.8}}}
    assert spread(found[ALL]["x"]) == pytest.approx(100 * 0.08**0.5)
    assert shares(found, "x") == pytest.approx({"world": 0.25, "sft": 0.0})
    assert shares({**found, ALL: {"x": {0: 0.5}}}, "x") == {"world": None, "sft": None}
