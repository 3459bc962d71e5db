"""Graders of rows: labels with instruction and chance taken from them, and right answers written in other forms."""

import json
import random
import time

import pytest

from warmup_rl.base.errors import DataError, RowLeftOut, Unscorable
from warmup_rl.base.types import Problem
from warmup_rl.domains.graders import (
    ChoiceGrader,
    CodeGrader,
    ExactGrader,
    JsonGrader,
    MathGrader,
    NumberGrader,
    PythonGrader,
    SetGrader,
)
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
        (TICKETS, "billing", "It is billing, not account.", "correct"),
        (TICKETS, "billing", "Neither account nor spam, so billing.", "correct"),
        (TICKETS, "billing", "It is not billing but account.", "wrong"),
        (TICKETS, "billing", "Neither billing nor account.", "wrong"),
        (TICKETS, "billing", "It is non-billing.", "none"),
        (TICKETS, "technical_issue", "It is a technical-issue.", "correct"),
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
        (NumberGrader(), "12.5 eV", "\\boxed{12.5 \\text{ eV}}", "correct"),
        (NumberGrader(), "12.5 eV", "12.5", "correct"),
        (NumberGrader(), "12.5 eV", "12.5 J", "none"),
        (NumberGrader(), "17", "17 (seventeen)", "correct"),
        (NumberGrader(), "17", "seventeen (17)", "correct"),
        (NumberGrader(), "17", "17 (eighteen)", "none"),
        (NumberGrader(), "17", "17 (or 18)", "none"),
        (NumberGrader(), "5 x", "5 y", "none"),
        (NumberGrader(units={"kWh": [], "Pa": ["pascal"]}), "12 Pa", "12 kWh", "none"),
        (NumberGrader(units={"kWh": []}), "4 km", "4 kilometers", "correct"),
        (NumberGrader(decimal="comma"), "6.047,72", "6047,72", "correct"),
        (NumberGrader(decimal="comma"), "6.047,72", "Die answer is 6.047,72.", "correct"),
        (NumberGrader(decimal="comma"), "0,5", "0,50", "correct"),
        (NumberGrader(decimal="comma"), "1.234", "1,234", "wrong"),
        (NumberGrader(), "1.234", "1,234", "wrong"),
        (ExactGrader(), "Paris", "The answer is Paris.", "correct"),
        (SetGrader(), "a, b", "The answer is b, a.", "correct"),
        (SetGrader(), "a, b", "The answer is b or a.", "wrong"),
        (SetGrader(), "a, b", "a, b, ...", "wrong"),
        (SetGrader(), "a, b", "\\boxed{a, b, ...}", "wrong"),
        (JsonGrader(), '{"a": 1}', 'Answer: {"a": 1}', "correct"),
        (JsonGrader(), '{"a": 1}', '`{"a": 1}`', "correct"),
        (JsonGrader(), '{"a": 1}', 'Answer: {"a": true}', "wrong"),
        (NumberGrader(), "42", "x = 42", "correct"),
        (NumberGrader(), "42", "41 = 42", "none"),
        (ExactGrader(), "Paris", "\\boxed{Paris}", "correct"),
        (ExactGrader(), "Paris", "The answer is Rome.\nThe answer is Paris.", "wrong"),
        (SetGrader(options="choices"), "A, B, D", "A, B and D", "correct"),
        (SetGrader(options="choices"), "A, B, D", "ABD", "correct"),
        (SetGrader(options="choices"), "A, B, D", "A) 4, B) 16, D) 20", "correct"),
        (SetGrader(options="choices"), "A, B, D", "A, B", "wrong"),
        (NumberGrader(relative=0.01), "2000", "2e3", "correct"),
        (NumberGrader(relative=0.01), "2000", "2.01\\times 10^3", "correct"),
        (NumberGrader(relative=0.01), "6.6e-34", "6.63e-34", "correct"),
        (NumberGrader(relative=0.01), "6.6e-34", "9.1e-31", "wrong"),
        (NumberGrader(), "5", "5!", "none"),
        (NumberGrader(), "5", "5 or 6", "none"),
        (NumberGrader(units=["km"]), "5", "5" + " " * 40_000 + "x", "none"),
        (SetGrader(), "red, green", "* red\n* green", "correct"),
        (SetGrader(), "red, green", "1. green\n2. red", "correct"),
        (SetGrader(), "red, green", "green and red", "correct"),
        (SetGrader(), "red, green, blue", "red, green, and blue", "correct"),
        (SetGrader(), "red, green", "\\boxed{red, green}", "correct"),
        (SetGrader(), "red, green", "```\nred\ngreen\n```", "correct"),
        (SetGrader(), "red, green", "{green, red}", "correct"),
        (SetGrader(), '["red", "green"]', "green, red", "correct"),
        (SetGrader(), "red, green", "red", "wrong"),
        (SetGrader(), "[2,3]", "3,2", "wrong"),
        (SetGrader(), "[2,3]", "(2,3)", "wrong"),
        (SetGrader(), "(5,6), (7,8)", "5,6),(7,8", "wrong"),
        (SetGrader(), "(5,6), (7,8)", "(7,8), (5,6)", "correct"),
        (SetGrader(), "&, *, !", "&,!", "wrong"),
        (SetGrader(), "!, ?", "?", "wrong"),
        (JsonGrader(), '{"a": 1}', '{"a": 2, "a": 1}', "none"),
        (JsonGrader(), '{"a": 1.50}', '```json\n{"a": 1.5}\n```', "correct"),
        (JsonGrader(), '{"a": 1}', '\\boxed{{"a": 1}}', "correct"),
        (JsonGrader(), "1e500", "1e400", "wrong"),
        (JsonGrader(), "0", "1e-500", "wrong"),
        (JsonGrader(), "1e500", "Infinity", "wrong"),
        (JsonGrader(), '{"a": 1}', '{"a": true}', "wrong"),
        (JsonGrader(), '{"a": 1}', "[" * 600 + "]" * 600, "none"),
        (JsonGrader(), '{"a": 1}', "9" * 10_000, "none"),
        (ExactGrader(), "Paris", "```\nParis\n```", "correct"),
        (ExactGrader(), "Paris", "- **Paris**", "correct"),
        (ExactGrader(), "Paris", '"Paris".', "correct"),
        (ExactGrader(), "7!", "7", "wrong"),
        (ExactGrader(), "7", "7!!!", "wrong"),
        (ExactGrader(), "D*", "D", "wrong"),
        (ExactGrader(), "D*", "D**", "wrong"),
        (ExactGrader(), "y'", "y", "wrong"),
        (ExactGrader(), "y'", "y:", "wrong"),
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
        ("assert math.isclose(f(2), 1.4, abs_tol=0.1)", "def f(x): return 1.45", "correct"),
        ("assert abs(f(2) - 1.4) < 0.1", "def f(x): return 1.45", "correct"),
        ("assert abs(1.4 - f(2)) <= 0.1", "def f(x): return 1.55", "wrong"),
        ("assert tuple(f(2)) == (0, 1)\nassert tuple(f(1)) == (0,)", "def f(x): return [*range(x)]", "correct"),
        ("assert sorted(f(3)) == [0, 1]", "def f(x): return [*range(x)]", "wrong"),
        ("assert len(f(3)) == 3", "def f(x): return [*range(x)]", "correct"),
        ("assert Solution().f(1, 2) == 3", "class Solution:\n    def f(self, a, b): return a + b", "correct"),
        ("assert Solution().f(1, 2) == 3", "class Solution:\n    def f(self, a, b): return a - b", "wrong"),
    ],
)
def test_tests_may_be_expressions(tests, solution, verdict):
    grader = CodeGrader()
    gold, meta = grader.read({"tests": tests}, solution, "t.jsonl:1")
    found = grader.grade(solution, Problem("p", "mine", "?", gold, meta))
    assert (found.verdict, found.extracted) == (verdict, solution)


@pytest.mark.parametrize(
    "tests",
    [
        "assert shop.price(1) == 2",
        "assert f(1) == 2\nassert sorted(f(2)) == [1]",
        "assert f(x=1) == 2",
        "assert f(1) < 2",
    ],
)
def test_tests_of_other_forms_leave_their_row_out(tests):
    with pytest.raises(RowLeftOut):
        CodeGrader().read({"tests": tests}, "def f(x): return 2", "t.jsonl:1")


def test_rows_with_tests_that_cannot_be_used_are_left_out_and_counted(tmp_path):
    path = tmp_path / "code.jsonl"
    rows = [
        {"question": f"Add {n}.", "answer": f"def f(x): return x + {n}", "tests": [f"assert f({x}) == {n} + 1"]}
        for n, x in enumerate(["1", "1", "Node(1)", "1", "1"])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    domain = UserRows(file=str(path), grader="code", name="mine")
    assert "left out: 1 with tests that cannot be used" in domain.space()


def test_a_rule_that_raises_on_an_answer_finds_it_wrong_and_on_the_reference_too_is_broken(tmp_path):
    rule = tmp_path / "rule.py"
    rule.write_text("def grade(question, answer, gold): return abs(float(answer) - float(gold)) < 0.1\n")
    grader = PythonGrader(function=f"{rule}:grade")
    assert grader.grade("about five", Problem("p", "mine", "?", "5", {})).verdict == "wrong"
    assert grader.grade("5.05", Problem("p", "mine", "?", "5", {})).verdict == "correct"
    with pytest.raises(Unscorable, match="ValueError"):
        grader.grade("5", Problem("p", "mine", "?", "five", {}))


FRAGMENTS = [
    *"(){}[]|,.;:!?'\"$^_-+*/=<>&#`1e \n", "answer is A", "The answer is ", "\\boxed{", "\\frac", "\\text{", "```",
    "```json\n", "\\[", "\\(", "\\pm", "\\cup", " or ", " and ", "<b>", "1,234", "5 km ", "\\begin{cases}", "####",
    "99!", "SELECT ", "'a", "not ", "[1,", "\\sum_{k=1}^{999}k^", "9^{9", "yes", "is wrong. ", "\u200b", "\u221a",
    "\u00b2", "A) ", "Option ", ",,", " , ", ". .", "The note says ",
    "that ", "Answer: B\n", "\n#### 3 ", "---\n", "<|end|>", "\u300c", "\u300d", "\u2705", "B. y", "\u7b54: ",
    " but that ", "\u0663",
]  # fmt: skip
GRADERS = [
    (MathGrader(), "\\frac{1}{2}", {}),
    (MathGrader(), "(-\\infty,2)\\cup(2,3]", {}),
    (NumberGrader(units=["km", "m"]), "5 km", {}),
    (NumberGrader(decimal="comma"), "0,5", {}),
    (ChoiceGrader(), "A", {"letters": "ABCD"}),
    (ExactGrader(), "Paris", {}),
    (SetGrader(), "a, b", {}),
    (SetGrader(options="options"), "A, B", {}),
    (JsonGrader(), '{"a": [1, 2]}', {}),
    (LabelGrader(labels=YES_NO), "Yes", {"labels": YES_NO}),
    (SqlGrader(), SQL, {}),
]


def _texts(count):
    chance = random.Random(0)
    for number in range(count):
        parts = chance.choices(FRAGMENTS, k=chance.choice([1, 2, 3, 30]))
        text = "".join(parts) * chance.choice([1, 1, 20, 1000 if number % 10 == 0 else 1])
        yield "".join([chance.choice(FRAGMENTS), text, chance.choice(FRAGMENTS)])


@pytest.mark.parametrize(("grader", "gold", "meta"), GRADERS, ids=lambda one: getattr(one, "type", None))
def test_no_text_raises_or_holds_up_a_grader(grader, gold, meta):
    problem = Problem("p", "mine", "Which?\nA. x\nB. y", gold, meta)
    for text in _texts(2000):
        started = time.process_time()
        grader.grade(text, problem)
        grader.final_answer(text, problem)
        assert time.process_time() - started < 5, "linear by construction: milliseconds, and seconds only for a fault"


@pytest.mark.parametrize(
    "listed", ["A. red B. green C. blue", "Which? (A) red (B) green (C) blue", "See Fig. A. A) 1 B) 2 C) 3"]
)
def test_options_on_one_line_are_found(listed):
    assert ChoiceGrader().read({"question": f"Choose one. {listed}"}, "C", "")[1]["letters"] == "ABC"
    with pytest.raises(DataError, match="one of 3 options"):
        ChoiceGrader().read({"question": f"Choose one. {listed}"}, "D", "")
