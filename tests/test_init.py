"""`python -m warmup_rl init`: proposes columns and grader, tries them, and writes a recipe that checks."""

import csv
import json

import pytest

from warmup_rl.__main__ import main
from warmup_rl.recipe import load_recipe


def table(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def init(path, *options):
    return main(["init", str(path), "--out", str(path.with_suffix(".yaml")), *options])


def test_a_csv_of_numbers_becomes_a_recipe_that_checks(tmp_path, capsys):
    path = table(tmp_path / "my.csv", ["id", "problem", "solution"],
                 [[n, f"What is {n} times {n}?", n * n] for n in range(60)])
    assert init(path) == 0
    out = capsys.readouterr().out
    assert "question: problem" in out and "grader: {type: number}" in out
    assert "gold: 60 of 60 correct" in out and "one more: 0 of 60 correct" in out
    assert "15 problems measured" in out and "points" in out
    recipe = load_recipe(path.with_suffix(".yaml"), [f"output_dir={tmp_path}"], draw=True)
    assert len(recipe.domains["mine"].take("train", 0, 45)) == 45


def test_an_existing_recipe_is_never_overwritten(tmp_path, capsys):
    path = table(tmp_path / "my.csv", ["question", "answer"], [[f"Q{n}?", n] for n in range(8)])
    path.with_suffix(".yaml").write_text("mine: true\n")
    assert init(path) == 2 and "exists already" in capsys.readouterr().err
    assert path.with_suffix(".yaml").read_text() == "mine: true\n"


@pytest.mark.parametrize(
    ("golds", "extra", "grader"),
    [
        (["7", "12.5", "-3", "0.25"], {}, "number"),
        (["4 km", "5 km", "6 km", "7 km"], {}, "number"),
        (["\\frac{1}{2}", "x+1", "(1,2)", "3"], {}, "math"),
        (["A", "B", "C", "A"], {"options": ["x", "y", "z"]}, "choice"),
        (["red, blue", "green, red", "blue, white", "red, black"], {}, "set"),
        (['{"a": 1}', "[1, 2]", "{}", "[]"], {}, "json"),
        (["Paris", "Rome", "Berlin", "Oslo"], {}, "exact"),
        (["Zoey is a knave, and Oliver is a knight."] * 4, {}, "kk"),
    ],
    ids=["numbers", "units", "latex", "letters", "lists", "json", "words", "islanders"],
)
def test_the_grader_follows_from_the_answers(golds, extra, grader):
    from warmup_rl.verbs.columns import columns_of, propose_grader

    rows = [{"question": "?", "answer": gold, **extra} for gold in golds]
    assert propose_grader(golds, columns_of(rows))["type"] == grader


def test_a_grader_that_does_not_fit_is_found_out(tmp_path, capsys):
    path = tmp_path / "my.jsonl"
    path.write_text("".join(json.dumps({"question": f"Q{n}?", "answer": f"word{n}"}) + "\n" for n in range(12)))
    assert init(path, "--grader", "number") in (1, 2)


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path, capsys):
    path = table(tmp_path / "my.csv", ["q", "a"], [[f"Q{n}?", n] for n in range(8)])
    assert init(path, "--question", "question") == 2
    assert "Columns: q, a" in capsys.readouterr().err
