"""`python -m warmup_rl grade`: verdicts in the order of the rows, golds in all forms, a self-test that can fail."""

import json
import sys

import pytest

from tests.rows_data import settings
from warmup_rl.__main__ import main
from warmup_rl.base.jsonl import write_jsonl
from warmup_rl.cli.arguments import read_settings

QUIZ = (
    "A very special island is inhabited only by knights and knaves. Knights always tell the truth, and knaves always "
    "lie. You meet 2 inhabitants: Zoey, and Oliver. "
    'Zoey remarked, "Oliver is not a knight". Oliver stated, "Oliver is a '
    'knight if and only if Zoey is a knave". So who is a knight and who is a knave?'
)
RIGHT = "(1) Zoey is a knave\n(2) Oliver is a knight"


def graded(tmp_path, rows, *options):
    write_jsonl(tmp_path / "rows.jsonl", rows)
    code = main(["grade", *options, "--in", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "out.jsonl")])
    assert code == 0
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def whole(answer):
    return f"so\n</think>\n<answer> {answer} </answer>"


def test_verdicts_come_in_the_order_of_the_rows_with_form_and_answer_apart(tmp_path):
    rows = [
        {"id": "a", "question": "1+1?", "gold": "2", "completion": whole("\\boxed{2}")},
        {"id": "b", "question": "1+1?", "gold": 2, "completion": "so</think> it is \\boxed{2}"},
        {"id": "c", "question": "1+1?", "gold": "2", "completion": whole("\\boxed{3}")},
        {"id": "d", "question": "1+1?", "gold": "2", "completion": "I never close the thinking \\boxed{2}"},
        {"id": "e", "question": "1+1?", "gold": "2", "completion": f"<think>{whole('2')}"},
        {"id": "f", "question": "1+1?", "gold": "\\frac{x+1}{2}", "completion": whole("\\boxed{(x+y+z)^{999}}")},
    ]
    out = graded(tmp_path, rows, "--domain", "math")
    assert [row["id"] for row in out] == list("abcdef")
    assert [row["outcome"] for row in out] == ["correct", "bad_format", "wrong", "bad_format", "correct", "wrong"]
    assert [row["verdict"] for row in out] == ["correct", "correct", "wrong", "correct", "correct", "wrong"]
    assert all(set(row) == {"id", "outcome", "verdict", "extracted", "note", "ms"} for row in out)


CHANNELS = "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>"


@pytest.mark.parametrize("layout", [CHANNELS, "analysis{}assistantfinal{}"])
def test_drafts_in_the_channel_of_the_thinking_are_no_answers(tmp_path, layout):
    texts = [layout.format("Is it \\boxed{2}? No.", answer) for answer in ("\\boxed{3}", "It is 3.", "")]
    rows = [{"question": "1+2?", "gold": gold, "completion": text} for text in texts for gold in ("3", "2")]
    out = graded(tmp_path, rows, "--domain", "math")
    assert [row["verdict"] for row in out] == ["correct", "wrong", "correct", "wrong", "none", "none"]


def test_bare_answers_are_graded_on_request(tmp_path):
    rows = [{"question": "1+1?", "gold": "2", "answer": answer} for answer in ("2", "2.0", "3", "")]
    out = graded(tmp_path, rows, "--domain", "math", "--answers")
    assert [row["outcome"] for row in out] == ["correct", "correct", "wrong", "no_answer"]


@pytest.mark.parametrize(
    "gold",
    [
        RIGHT,
        "Zoey is a knave, and Oliver is a knight.",
        {"Zoey": False, "Oliver": True},
        [False, True],
        {"Zoey": "knave", "Oliver": "knight"},
    ],
    ids=["list", "sentence", "mapping", "booleans", "words"],
)
def test_golds_of_puzzles_come_in_many_forms(tmp_path, gold):
    rows = [{"question": QUIZ, "gold": gold, "completion": whole(answer)} for answer in (RIGHT, "Zoey is a knight")]
    assert [row["verdict"] for row in graded(tmp_path, rows, "--domain", "kk")] == ["correct", "wrong"]


def test_role_words_come_from_the_question(tmp_path):
    quiz = (
        QUIZ.replace("knight", "pioneer")
        .replace("knave", "laggard")
        .replace("Knight", "Pioneer")
        .replace("Knave", "Laggard")
    )
    rows = [
        {"question": quiz, "gold": [False, True], "completion": whole(text)}
        for text in ("Zoey is a laggard, Oliver is a pioneer", RIGHT)
    ]
    assert [row["verdict"] for row in graded(tmp_path, rows, "--domain", "kk")] == ["correct", "none"]


def test_a_gold_that_is_not_the_solution_is_named(tmp_path, capsys):
    write_jsonl(tmp_path / "rows.jsonl", [{"question": QUIZ, "gold": [True, True], "completion": "x"}])
    code = main(["grade", "--domain", "kk", "--in", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "o.jsonl")])
    assert code == 2
    assert "rows.jsonl:1" in capsys.readouterr().err


def test_rows_of_a_benchmark_are_read_from_its_own_fields(tmp_path):
    problem = {"question": "Which?", "options": ["one", "two", "three"], "answer": "B", "category": "physics"}
    answers = ("B", "The answer is (B)", "C", "D", "I think")
    rows = [{"problem": problem, "completion": whole(answer)} for answer in answers]
    out = graded(tmp_path, rows, "--domain", "mmlu_pro")
    assert [row["verdict"] for row in out] == ["correct", "correct", "wrong", "wrong", "none"]


@pytest.mark.parametrize("name", ["kk", "compass", "math", "gsm8k", "mmlu_pro", "jsonl"])
def test_the_self_test_of_a_shipped_grader_passes(tmp_path, name, capsys):
    fields = settings(tmp_path).get(name, ({}, 0))[0]
    given = [f"--set={key}={json.dumps(value)}" for key, value in fields.items()]
    assert main(["grade", "--self-test", "--domain", name, "--problems", "12", *given]) == 0
    assert "passed" in capsys.readouterr().out


CREDULOUS = """
from warmup_rl.nano.sums import Sums
from warmup_rl.base.types import Grade

class Credulous(Sums):
    def grade(self, answer, problem):
        return Grade("correct" if problem.gold in answer else "wrong", answer)
"""


def test_the_self_test_of_a_users_own_grader_finds_credit_by_substring(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(CREDULOUS)
    assert main(["grade", "--self-test", "--domain", f"{tmp_path}/mine.py:Credulous", "--problems", "12"]) == 1
    out = capsys.readouterr().out
    assert "failed" in out and "the question echoed" in out


def test_a_setting_on_the_command_line_has_no_comments():
    assert read_settings(["answer_after=####", "a.b=1e-3"]) == {"answer_after": "####", "a": {"b": 1e-3}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--domain", "math"], "--in ROWS and --out"),
        (["--domain", "mth", "--self-test"], "Did you mean 'math'"),
        (["--domain", "math", "--set", "levels=[9,1]", "--self-test"], "levels"),
        (["--domain", "math", "--set", "levels=", "--self-test"], "--set levels: a value is needed after '='"),
        (
            ["--domain", "math", "--set", "test=3", "--set", "test.split=x", "--self-test"],
            "test is 3: there is nothing",
        ),
        (["--domain", "math", "--in", "no.jsonl", "--out", "o.jsonl"], "no such file"),
    ],
)
def test_what_is_wrong_is_said(arguments, message, capsys):
    assert main(["grade", *arguments]) == 2
    assert message in capsys.readouterr().err
    sys.stdout.flush()


def test_a_row_whose_gold_cannot_be_used_stops_no_other(tmp_path, capsys):
    golds = [[False, True], [True, True], None]
    rows = [{"question": QUIZ, "gold": gold, "completion": whole(RIGHT)} for gold in golds]
    out = graded(tmp_path, rows, "--domain", "kk")
    assert [row["verdict"] for row in out] == ["correct", "unscorable", "correct"]
    assert "rows.jsonl:2" in out[1]["note"] and "1 of 3 rows cannot be graded" in capsys.readouterr().err


def test_a_row_without_a_gold_is_unscorable_and_names_its_column(tmp_path):
    question = {"question": "What is 2 - 2?"}
    rows = [{**question, "answer": 0, "completion": "<think>x</think>\\boxed{0}"},
            {**question, "answer": None, "completion": "<think>x</think>\\boxed{0}"},
            {**question, "thinking": "x", "answer": "0"}]  # fmt: skip
    out = graded(tmp_path, rows, "--domain", "math")
    assert [row["verdict"] for row in out] == ["correct", "unscorable", "unscorable"]
    assert "rows.jsonl:2: 'answer' is empty" in out[1]["note"] and "'gold' is missing" in out[2]["note"]


@pytest.mark.parametrize(
    ("body", "note"),
    [("'yes'", "returned 'yes': True, False, or None"), ("1 / 0", "raised ZeroDivisionError")],
    ids=["another value", "an error"],
)
def test_what_a_rule_of_the_users_does_wrong_is_said(tmp_path, body, note):
    (tmp_path / "rules.py").write_text(f"def grade(question, answer, gold):\n    return {body}\n")
    rows = [{"question": f"Q{n}?", "gold": "1", "answer": "1"} for n in range(2)]
    options = ["--set", f"file={tmp_path / 'rows.jsonl'}", "--set", f"grader=python:{tmp_path / 'rules.py'}:grade"]
    out = graded(tmp_path, rows, "--domain", "jsonl", "--answers", *options)
    assert [row["outcome"] for row in out] == ["unscorable"] * 2 and note in out[0]["note"]


def test_a_wrong_setting_is_said_with_those_that_are_allowed(tmp_path, capsys):
    write_jsonl(tmp_path / "rows.jsonl", [{"question": "1", "gold": "1", "completion": "1"}])
    code = main(["grade", "--domain", "math", "--set", "bogus=1", "--in", str(tmp_path / "rows.jsonl"), "--out", "o"])
    error = capsys.readouterr().err
    assert code == 2 and "bogus: unknown key" in error and "levels" in error


RECIPE = """\
run_name: few
model: some/model
domains:
  few: {type: jsonl, file: few.jsonl, grader: {type: number, tolerance: 0.5}}
  kk: {type: kk}
stages:
  - {type: distill, domain: kk, problems: 4, teacher: solver}
"""


def test_a_recipe_gives_its_grader_and_both_counts_are_told(tmp_path, capsys):
    write_jsonl(tmp_path / "few.jsonl", [{"question": f"{n}+1?", "answer": str(n + 1)} for n in range(4)])
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("few.jsonl", str(tmp_path / "few.jsonl")))
    rows = [
        {"question": "1+1?", "gold": "2", "completion": text} for text in (whole("2.4"), "so</think> 2", whole("3"))
    ]
    recipe = str(tmp_path / "recipe.yaml")
    out = graded(tmp_path, rows, "--recipe", recipe, "--domain", "few")
    assert [row["outcome"] for row in out] == ["correct", "bad_format", "wrong"]
    said = capsys.readouterr().err
    assert "strict (form and answer): 1 correct, 1 bad_format, 1 wrong" in said
    assert "lenient (answer alone): 2 correct, 1 wrong" in said
    assert main(["grade", "--recipe", recipe, "--self-test"]) == 2
    assert "one of: few, kk" in capsys.readouterr().err
