"""The worlds of the wind tunnel load, and a report's verdicts are judged by what is true."""

from __future__ import annotations

import json

import pytest

from benchmarks.windtunnel import RECIPE, WORLDS, Compared, compare
from warmup_rl.recipe import load_recipe

RESULTS = RECIPE.parents[1] / "docs" / "results"


@pytest.mark.parametrize("world", WORLDS)
def test_a_world_is_the_shipped_recipe_with_overrides(world):
    changes = WORLDS[world].get("set", {})
    assert load_recipe(RECIPE, [f"{key}={value}" for key, value in changes.items()])


@pytest.mark.parametrize(
    ("truth", "verdict", "judgement"),
    [
        ("above", "above", "found"), ("above", "below", "false"), ("above", "unclear", "missed"),
        ("above", "not testable", "not testable"), ("level", "above", "false"), ("level", "unclear", "found"),
        ("not above", "below", "found"), ("not above", "above", "false"), ("not above", "no interval", "found"),
    ],
)  # fmt: skip
def test_a_verdict_is_judged_by_the_truth(truth, verdict, judgement):
    assert Compared("w", "c", truth, verdict, None).judgement == judgement


@pytest.mark.parametrize("world", WORLDS)
def test_the_claims_of_a_world_are_those_of_a_report(world):
    stored = RESULTS / world / "summary.json"
    summary = stored if stored.is_file() else RESULTS / "demo" / "summary.json"
    compared = list(compare(world, json.loads(summary.read_text("utf-8"))))
    assert [row.claim for row in compared] == list(WORLDS[world]["truth"])
    assert summary != stored or "false" not in {row.judgement for row in compared}
