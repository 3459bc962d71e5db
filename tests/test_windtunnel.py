"""The worlds of the wind tunnel load, and a report's verdicts are judged by what is true."""

from __future__ import annotations

import json

import pytest

from benchmarks.trials import RECIPE
from benchmarks.windtunnel import WORLDS, Compared, compare
from warmup_rl.recipe.load import load_recipe

RESULTS = RECIPE.parents[1] / "docs" / "results"


@pytest.mark.parametrize("world", WORLDS)
def test_a_world_is_the_shipped_recipe_with_overrides(world):
    changes = WORLDS[world].get("set", {})
    recipe = load_recipe(RECIPE, [f"{key}={json.dumps(value)}" for key, value in changes.items()])
    assert WORLDS[world].get("seen", {}).keys() <= recipe.domains.keys()


def test_the_contaminated_corpus_holds_the_problems_that_an_evaluation_asks():
    changes = WORLDS["contaminated"]["set"]
    recipe = load_recipe(RECIPE, [f"{key}={json.dumps(value)}" for key, value in changes.items()])
    corpus = recipe.stages[0].corpus
    asked = {
        problem.question for problem in recipe.domains["sums"].take("test", recipe.evaluation.seed, corpus.problems)
    }
    met = [document.text.split("<|assistant|>")[0].removeprefix("<|doc|>").strip() for document in corpus.documents(0)]
    assert sum(question in asked for question in met) == corpus.copies * len(asked)


@pytest.mark.parametrize(
    ("truth", "verdict", "judgement"),
    [
        ("above", "above", "found"), ("above", "below", "false"), ("above", "unclear", "missed"),
        ("above", "not testable", "not testable"), ("level", "above", "false"), ("level", "unclear", "found"),
        ("seen", "seen", "found"), ("seen", "unseen", "missed"), ("unseen", "seen", "false"),
        ("not above", "below", "found"), ("not above", "above", "false"), ("not above", "no interval", "found"),
    ],
)  # fmt: skip
def test_a_verdict_is_judged_by_the_truth(truth, verdict, judgement):
    assert Compared("w", "c", truth, verdict, None).judgement == judgement


@pytest.mark.parametrize("world", [world for world in WORLDS if "truth" in WORLDS[world]])
def test_the_claims_of_a_world_are_those_of_a_report(world):
    stored = RESULTS / world / "summary.json"
    summary = stored if stored.is_file() else RESULTS / "demo" / "summary.json"
    compared = list(compare(world, json.loads(summary.read_text("utf-8"))))
    assert [row.claim for row in compared] == list(WORLDS[world]["truth"])
    assert summary != stored or "false" not in {row.judgement for row in compared}
