"""Prompt styles: what is asked of a model, and the style that an arm takes."""

import json
from pathlib import Path

import pytest
import yaml

from warmup_rl.base.errors import RecipeError
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.measurement import Cell, best_style
from warmup_rl.recipe.load import load_recipe
from warmup_rl.run.trial import Trial

RECIPE = {
    "run_name": "styles",
    "model": "some/model-1b",
    "domains": {"kk": {}, "sums": {}},
    "evaluation": {"problems": 4, "validation": 4},
    "arms": {
        "warmup": {},
        "base": {"leave_out": ["distill", "clean", "sft"], "format": {"think": "auto"}},
    },
    "stages": [
        {"type": "evaluate", "id": "before", "prompts": ["open", "free", "plain", "few_shot_cot"]},
        {"type": "distill", "domain": "kk", "problems": 4, "teacher": {"type": "solver", "solver_ok": True}},
        "clean",
        "sft",
        {"type": "rlvr", "domain": "sums", "problems": 4, "steps": 2},
        {"type": "evaluate", "id": "after"},
    ],
}


def recipe(tmp_path: Path, **changes):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, "output_dir": str(tmp_path / "outputs"), **changes}), encoding="utf-8")
    return load_recipe(path)


def cell(prompt: str, lenient: float, split: str = "validation", domain: str = "sums") -> Cell:
    return Cell(split, prompt, "greedy", domain, 4, 1, lenient, 0.0, 0.0, 0.0, None, 1.0, 0.0)


def test_where_a_form_is_wanted_the_prompt_asks_for_it():
    asked = {style: ResponseFormat(think=style).asks(terse=False) for style in ("open", "free", "plain")}
    question = [{"role": "user", "content": "1+1?"}]
    assert "</think>" in asked["open"].ask(question)[-1]["content"] and "<answer>" in asked["open"].instruction
    assert "<think>" in asked["free"].ask(question)[-1]["content"]
    assert asked["plain"].ask(question) == question
    assert ResponseFormat().asks(terse=True).ask(question) == question
    assert ResponseFormat(instruction="Box it.").asks(terse=False).ask(question)[-1]["content"] == "1+1?\n\nBox it."
    assert ResponseFormat(instruction="Box it.").under("free").instruction == "Box it."
    assert asked["open"].under("free") == asked["free"] and asked["open"].under("few_shot").instruction == ""


@pytest.mark.parametrize(
    ("given", "validation", "curve"),
    [
        ({"problems": 4}, 4, 4),
        ({"problems": 500}, 100, 100),
        ({}, 100, 100),
        ({"problems": 4, "validation": 20}, 20, 4),
        ({"problems": 4, "curve_problems": 6}, 4, 6),
    ],
)
def test_what_is_measured_beside_the_test_problems_is_no_more_than_they_are(tmp_path, given, validation, curve):
    loaded = recipe(tmp_path, evaluation=given)
    assert (loaded.evaluation.validation, loaded.evaluation.curve_problems) == (validation, curve)
    before, domains = loaded.stages[0], loaded.domains
    split = {request.split: request.count for request in before.data_requests(loaded.evaluation, domains)}
    assert split["validation"] == validation
    test, styles, budget = loaded.evaluation.problems, 4, before.preview(loaded.evaluation, domains).counts
    assert budget["completions"] == styles * len(domains) * (test + validation)
    assert load_recipe(tmp_path / "recipe.yaml", ["evaluation.problems=3"]).evaluation.validation == min(
        given.get("validation", 3), 100
    )


def test_auto_takes_the_best_style_on_validation_problems_and_the_first_of_equals():
    found = [cell("open", 0.2), cell("free", 0.5), cell("plain", 0.5), cell("plain", 0.9, split="test")]
    assert best_style(found, ["open", "free", "plain"]) == "free"
    assert (
        best_style([*found, cell("plain", 0.9, domain="kk"), cell("free", 0.1, domain="kk")], ["free", "plain"])
        == "plain"
    )


def test_an_arm_takes_the_style_once_the_evaluation_is_done_and_shares_that_evaluation(tmp_path):
    found = recipe(tmp_path)
    warmup, base = Trial(found, "warmup", 0), Trial(found, "base", 0)
    assert warmup.format.think == "open" and "</think>" in warmup.format.instruction
    assert base.format.think == "auto"
    before = warmup.stages[0]
    assert base.stages[0].key == before.key
    cells = [cell(style, 0.5 if style == "plain" else 0.1) for style in ("open", "free", "plain", "few_shot_cot")]
    folder = base.entry(before).folder
    folder.mkdir(parents=True)
    record = {"summary": {"cells": [vars_of(one) for one in cells]}}
    (folder / "stage.json").write_text(json.dumps(record), encoding="utf-8")
    assert base.format == ResponseFormat(think="plain", instruction="")
    assert warmup.format.think == "open"


def vars_of(one: Cell):
    return {name: getattr(one, name) for name in Cell.__dataclass_fields__}


def test_a_fixed_style_and_auto_have_different_keys_after_the_evaluation(tmp_path):
    auto = Trial(recipe(tmp_path), "base", 0)
    arms = {"base": {"leave_out": ["distill", "clean", "sft"], "format": {"think": "free"}}}
    fixed = Trial(recipe(tmp_path, arms=arms), "base", 0)
    assert [one.key for one in auto.stages][:1] == [one.key for one in fixed.stages][:1]
    assert auto.stages[1].key != fixed.stages[1].key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": {"think": "auto"}, "arms": {"main": {}}}, "trains on traces, which have one style"),
        (
            {"stages": [RECIPE["stages"][4]], "arms": {"base": {"format": {"think": "auto"}}}},
            "nothing decides the style of arm 'base'",
        ),
    ],
)
def test_auto_needs_an_evaluation_that_decides_it(tmp_path, changes, message):
    with pytest.raises(RecipeError, match=message):
        recipe(tmp_path, **changes)
