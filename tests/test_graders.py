"""Graders of rows: labels with instruction and chance taken from them, and right answers written in other forms."""

import json

import pytest

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Problem
from warmup_rl.domains.graders import ChoiceGrader, CodeGrader, ExactGrader, NumberGrader, SetGrader
from warmup_rl.domains.jsonl import UserRows
from warmup_rl.domains.text_graders import LabelGrader, SqlGrader
from warmup_rl.interfaces.domain import Answered, score_all
from warmup_rl.interfaces.format import ResponseFormat

TICKETS = ["billing", "technical_issue", "account", "spam", "not spam"]
YES_NO = ["Yes", "No"]


@pytest.mark.parametrize(
    ("labels", "gold", "answer", "verdict"),
    [
        (TICKETS, "billing", "billing", "correct"),
        (TICKETS, "billing", "Billing.", "correct"),
        (TICKETS, "billing", "**billing**", "correct"),
        (TICKETS, "billing", '"billing"', "correct"),
        (TICKETS, "billing", "The label is billing.", "correct"),
        (TICKETS, "billing", "Category: billing", "correct"),
        (TICKETS, "billing", "\\boxed{\\text{billing}}", "correct"),
        (TICKETS, "billing", "It mentions an account.\n\nSo this is a billing question.", "correct"),
        (TICKETS, "technical_issue", "Technical issue", "correct"),
        (TICKETS, "not spam", "This is not spam.", "correct"),
        (TICKETS, "spam", "This is not spam.", "wrong"),
        (TICKETS, "billing", "This is not billing.", "wrong"),
        (TICKETS, "billing", "It is billing or account.", "wrong"),
        (TICKETS, "billing", "billing, account, spam", "wrong"),
        (TICKETS, "billing", "account", "wrong"),
        (TICKETS, "billing", "billings", "none"),
        (TICKETS, "billing", "shipping", "none"),
        (TICKETS, "billing", "", "none"),
        (YES_NO, "Yes", "Yes, it does.", "correct"),
        (YES_NO, "No", "No, it does not.", "correct"),
        (YES_NO, "No", "The answer is no.", "correct"),
        (YES_NO, "No", "There is no way to tell it", "none"),
        (YES_NO, "Yes", "Yes and no", "wrong"),
        (["0", "1"], "1", "The label is 1.", "correct"),
        (["0", "1"], "1", "10", "none"),
    ],
)
def test_the_one_label_that_is_named_counts(labels, gold, answer, verdict):
    grader = LabelGrader(labels=labels)
    assert grader.grade(answer, Problem("p", "mine", "?", gold, {"labels": labels})).verdict == verdict


def tickets(tmp_path, column, **grader):
    path = tmp_path / "tickets.jsonl"
    rows = [{"question": f"Ticket {n}: {n * n}", "answer": label} for n, label in enumerate(column)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return UserRows(file=str(path), grader={"type": "label", **grader}, name="mine")


def test_labels_instruction_and_chance_come_from_the_column(tmp_path):
    domain = tickets(tmp_path, ["billing", "Billing", "billing", "account", "other"] * 4)
    problem = domain.take("train", 0, 1)[0]
    assert domain.prompt(problem)[0]["content"].endswith("\n\nAnswer with one of: billing, account, other.")
    assert {p.gold for p in domain.take("train", 0, 10)} <= {"billing", "account", "other"}
    assert domain.chance_accuracy(problem) == pytest.approx(0.6)


def test_given_labels_are_kept_and_others_are_refused(tmp_path):
    assert (
        tickets(tmp_path, ["b", "a"] * 8, labels=["a", "b", "c"]).default_instruction()
        == "Answer with one of: a, b, c."
    )
    with pytest.raises(DataError, match="'b' is not one of the labels a, c"):
        tickets(tmp_path, ["b", "a"] * 8, labels=["a", "c"]).take("train", 0, 4)


def test_a_whole_completion_without_tags_is_read(tmp_path):
    domain = tickets(tmp_path, ["billing", "account"] * 8)
    problem = next(one for one in domain.take("train", 0, 10) if one.gold == "billing")
    form = ResponseFormat(think="plain")
    texts = ["The account is fine.\nThe category is **billing**.", "It is about an account.", "Hard to say."]
    scores = score_all([Answered(domain, problem, text) for text in texts], form)
    assert [score.verdict for score in scores] == ["correct", "wrong", "none"]


def test_labels_given_as_options_of_multiple_choice_name_the_right_grader():
    with pytest.raises(DataError, match="type: label"):
        ChoiceGrader(options=["billing", "account"]).read({"question": "?"}, "billing", "t.csv:2")


SQL = "SELECT a, COUNT(*) FROM t WHERE b = 'Two  Words' GROUP BY a;"


@pytest.mark.parametrize(
    ("grader", "gold", "answer", "verdict"),
    [
        (SqlGrader(), SQL, SQL, "correct"),
        (SqlGrader(), SQL, f"```sql\n{SQL}\n```", "correct"),
        (SqlGrader(), SQL, "select a,count(*)\nfrom t\nwhere b='Two  Words'\ngroup by a", "correct"),
        (SqlGrader(), SQL, SQL.replace("Two  Words", "two  words"), "wrong"),
        (SqlGrader(), SQL, "COUNT(*) FROM t WHERE b = 'Two  Words' GROUP BY a; SELECT a", "wrong"),
        (SqlGrader(), SQL, "", "none"),
        (NumberGrader(units=["kWh"]), "3.36 kWh", "3.36kWh", "correct"),
        (NumberGrader(units=["kWh"]), "3.36 kWh", "3.360", "correct"),
        (NumberGrader(units=["kWh"]), "3.36 kWh", "\\boxed{3.36 \\text{ kWh}}", "correct"),
        (NumberGrader(units=["kWh"]), "3.36 kWh", "The answer is 3.36 kWh.", "correct"),
        (NumberGrader(units={"kWh": [], "Pa": ["pascal"]}), "12 Pa", "12 pascal", "correct"),
        (NumberGrader(units={"kWh": [], "Pa": ["pascal"]}), "12 Pa", "12 kWh", "none"),
        (NumberGrader(units={"kWh": []}), "4 km", "4 kilometers", "correct"),
        (NumberGrader(decimal="comma"), "6.047,72", "6047,72", "correct"),
        (NumberGrader(decimal="comma"), "6.047,72", "Die answer is 6.047,72.", "correct"),
        (NumberGrader(decimal="comma"), "0,5", "0,50", "correct"),
        (NumberGrader(decimal="comma"), "1.234", "1,234", "wrong"),
        (NumberGrader(), "1.234", "1,234", "wrong"),
        (ExactGrader(), "Paris", "The answer is Paris.", "correct"),
        (ExactGrader(), "Paris", "\\boxed{Paris}", "correct"),
        (ExactGrader(), "Paris", "The answer is Rome.\nThe answer is Paris.", "wrong"),
        (SetGrader(options="choices"), "A, B, D", "A, B and D", "correct"),
        (SetGrader(options="choices"), "A, B, D", "ABD", "correct"),
        (SetGrader(options="choices"), "A, B, D", "A) 4, B) 16, D) 20", "correct"),
        (SetGrader(options="choices"), "A, B, D", "A, B", "wrong"),
    ],
)
def test_right_answers_may_be_written_otherwise(grader, gold, answer, verdict):
    assert grader.grade(answer, Problem("p", "mine", "?", gold, {})).verdict == verdict


@pytest.mark.parametrize(
    ("tests", "solution", "verdict"),
    [
        ("assert f(list(range(100))) == 'x'*10", "def f(a): return 'x' * (len(a) // 10)", "correct"),
        ("assert set(f((3, 4), (4, 5))) == set((4,))", "def f(a, b): return tuple(set(a) & set(b))", "correct"),
        ("assert math.isclose(f(2), 1.41, rel_tol=0.01)", "def f(x): return x ** 0.5", "correct"),
        ("assert math.isclose(f(2), 1.41, rel_tol=0.01)", "def f(x): return x", "wrong"),
        ("assert not f(1)\nassert f(2)", "def f(x): return x == 2", "correct"),
        ("import math\nassert f(1) is True", "def f(x): return True", "correct"),
    ],
)
def test_tests_may_be_expressions(tests, solution, verdict):
    grader = CodeGrader()
    gold, meta = grader.read({"tests": tests}, solution, "t.jsonl:1")
    assert grader.grade(solution, Problem("p", "mine", "?", gold, meta)).verdict == verdict


def test_rows_with_tests_that_cannot_be_used_are_left_out_and_counted(tmp_path):
    path = tmp_path / "code.jsonl"
    rows = [
        {"question": f"Add {n}.", "answer": f"def f(x): return x + {n}", "tests": [f"assert f({x}) == {n} + 1"]}
        for n, x in enumerate(["1", "1", "Node(1)", "1", "1"])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    domain = UserRows(file=str(path), grader="code", name="mine")
    assert "left out: 1 with tests that cannot be used" in domain.space()
