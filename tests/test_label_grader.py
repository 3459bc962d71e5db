"""The grader `label`: one of a set of labels, with instruction and chance taken from them."""

import json

import pytest

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Problem
from warmup_rl.domains.graders import ChoiceGrader
from warmup_rl.domains.jsonl import UserRows
from warmup_rl.domains.text_graders import LabelGrader
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
