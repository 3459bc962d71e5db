"""One table of column names: all readers of foreign rows find the same columns."""

from pathlib import Path

import pytest

from warmup_rl.base.errors import DataError
from warmup_rl.cli.foreign_traces import find_columns
from warmup_rl.data.columns import COLUMNS, find_column
from warmup_rl.engines.replay import Replay
from warmup_rl.nano.sums import Sums
from warmup_rl_extras.column_guesses import describe_columns, propose_answer, propose_question

TEXT = [name for name in COLUMNS["question"] if name != "messages"]


@pytest.mark.parametrize("question", TEXT)
@pytest.mark.parametrize("gold", ["gold", "answer", "Ground Truth"])
def test_all_readers_find_question_answer_and_response(question, gold):
    row = {"n": 1, question: "What is 1 + 1, in words?", gold: "two", "completion": "It is two."}
    assert find_columns(row, {}, Path("rows.csv")) == {"question": question, "gold": gold, "response": "completion"}
    assert Replay(source="rows.jsonl").columns("rows.jsonl:1", row) == (question, "completion")
    problem = Sums().read(row, "rows.jsonl:1")
    assert (problem.question, problem.gold) == (row[question], "two")
    columns = describe_columns([row, {name: f"{value} 2" for name, value in row.items()}])
    assert (propose_question(columns), propose_answer(columns, question)) == (question, gold)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["prompt", "quiz"], "quiz"),
        (["instruction", "input", "output"], "instruction"),
        (["Problem Statement", " Question "], " Question "),
        (["a", "b"], None),
    ],
)
def test_the_most_explicit_name_counts(columns, found):
    assert find_column(columns, "question") == found


def test_a_column_holds_one_thing():
    assert find_column(["messages"], "response", taken=["messages"]) is None


def test_an_empty_reference_answer_is_named():
    with pytest.raises(DataError, match="rows.jsonl:1: 'gold' is empty"):
        Sums().read({"question": "1 + 1 ?", "gold": " "}, "rows.jsonl:1")
