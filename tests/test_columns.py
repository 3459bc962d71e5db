"""One table of column names: all readers of foreign rows find the same columns."""

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from warmup_rl.__main__ import main
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import DataError
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import Problem, Request
from warmup_rl.cli.foreign_traces import find_columns
from warmup_rl.data.columns import COLUMNS, find_column, value_at, with_value
from warmup_rl.engines.replay import Replay
from warmup_rl.interfaces.cleaner import Cleaner
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.nano.sums import Sums
from warmup_rl_extras.column_guesses import describe_columns, propose_answer, propose_question

TEXT = [name for name in COLUMNS["question"] if name not in ("messages", "conversations")]


@pytest.mark.parametrize("question", TEXT)
@pytest.mark.parametrize("gold", ["gold", "answer", "Ground Truth"])
def test_all_readers_find_question_answer_and_response(question, gold):
    row = {"n": 1, question: "What is 1 + 1, in words?", gold: "two", "completion": "It is two."}
    assert find_columns(row, {}, Path("rows.csv")) == {"question": question, "gold": gold, "response": "completion"}
    found = Replay(source="rows.jsonl").columns("rows.jsonl:1", row)
    assert (found["question"], found["response"]) == (question, "completion")
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


THINKING, SAID = "2 + 3 is 5.", "So \\boxed{5}."
TAGGED = f"<think>{THINKING}</think>\n{SAID}"
USER = {"role": "user", "content": "What is 2 + 3?"}
LAYOUTS = {
    "flat": {"question": "What is 2 + 3?", "answer": "5", "response": TAGGED},
    "thinking apart": {"problem": "What is 2 + 3?", "expected_answer": "5", "deepseek_reasoning": THINKING,
                       "deepseek_solution": SAID},
    "messages": {"messages": [USER, {"role": "assistant", "content": TAGGED}], "answer": "5"},
    "reasoning_content": {"messages": [USER, {"role": "assistant", "content": SAID, "reasoning_content": THINKING}],
                          "answer": "5"},
    "ShareGPT": {"conversations": [{"from": "human", "value": "What is 2 + 3?"}, {"from": "gpt", "value": TAGGED}],
                 "ground_truth": "5"},
    "TRL": {"prompt": [USER], "completion": [{"role": "assistant", "content": TAGGED}],
            "reward_model": {"style": "rule", "ground_truth": "5"}},
    "s1K": {"question": "What is 2 + 3?", "thinking_trajectories": [THINKING], "attempt": SAID, "solution": "5"},
    "Open-R1": {"problem": "What is 2 + 3?", "generations": [TAGGED, TAGGED.replace("2 + 3 is", "I know it is")],
                "is_right": [True, False], "answer": "5", "messages": [USER, {"role": "assistant", "content": TAGGED}]},
    "chat completion": {"question": "What is 2 + 3?", "answer": {"value": 5}, "response": {"body": {
        "choices": [{"message": {"role": "assistant", "content": SAID, "reasoning_content": THINKING}}]}}},
    "blocks": {"messages": [{**USER, "content": [{"type": "text", "text": USER["content"]}]},
                            {"role": "assistant", "content": [{"type": "text", "text": TAGGED}]}], "answer": "5"},
    "worked solution": {"problem": "What is 2 + 3?", "response": TAGGED,
                        "solution": f"{'We add them one by one. ' * 12}So it is $\\boxed{{5}}$."},
}  # fmt: skip


class Cut(Cleaner):
    """Shortens every thinking."""

    type: ClassVar[str] = "cut"

    def start(self, context):
        return lambda trace: replace(trace, thinking=trace.thinking.replace(" is 5", " = 5"))


@pytest.mark.parametrize("row", LAYOUTS.values(), ids=LAYOUTS)
def test_published_layouts_are_cleaned_in_their_own_layout_with_nothing_stale(tmp_path, row):
    path = tmp_path / "in.jsonl"
    write_jsonl(path, [row])
    out = path.with_name("out.jsonl")
    assert (
        main(["clean", "--in", str(path), "--out", str(out), "--domain", "math", "--steps", f"'{__name__}:Cut'"]) == 0
    )
    cleaned = list(read_jsonl(out))
    assert len(cleaned) == len(row.get("generations", [1]))
    for number, found in enumerate(cleaned):
        assert "is 5" not in json.dumps(found) and " = 5" in json.dumps(found)
        if "generations" not in row:
            assert json.dumps(found).replace(" = 5", " is 5") == json.dumps(row)
        else:
            assert found["generations"] == [found["messages"][1]["content"]]
            assert found["is_right"] == [row["is_right"][number]] and found["messages"][0] == USER


@pytest.mark.parametrize("row", LAYOUTS.values(), ids=LAYOUTS)
def test_the_same_layouts_are_replayed_and_graded(tmp_path, row):
    path = tmp_path / "in.jsonl"
    write_jsonl(path, [row])
    problem = Problem("p", "sums", "What is 2 + 3?", "5")
    with Replay(source=str(path)).open(EngineContext({"sums": Sums()}, ResponseFormat(), 0)) as session:
        wanted = [Request(problem, (USER,), sample) for sample in range(2)]
        found = list(session.complete(wanted, Sampling()))
    assert len(found) == len(row.get("generations", [1]))
    assert THINKING in f"{found[0].thinking} {found[0].text}" and SAID in found[0].text
    if "generations" not in row and "response" not in row:
        verdicts = tmp_path / "verdicts.jsonl"
        assert main(["grade", "--domain", "math", "--in", str(path), "--out", str(verdicts)]) == 0
        assert [verdict["verdict"] for verdict in read_jsonl(verdicts)] == ["correct"]


def test_a_row_without_a_response_stops_neither_replay_nor_grade(tmp_path):
    path, verdicts = tmp_path / "in.jsonl", tmp_path / "verdicts.jsonl"
    for without in ({"question": "What is 2 + 3?", "answer": "5"}, {**LAYOUTS["flat"], "response": None}):
        write_jsonl(path, [without, LAYOUTS["flat"]])
        replay, problem = Replay(source=str(path)), Problem("p", "sums", "What is 2 + 3?", "5")
        replay.check(problem)
        with replay.open(EngineContext({"sums": Sums()}, ResponseFormat(), 0)) as session:
            found = list(session.complete([Request(problem, (USER,), sample) for sample in range(2)], Sampling()))
        assert [completion.text for completion in found] == ["", TAGGED]
        assert main(["grade", "--domain", "math", "--in", str(path), "--out", str(verdicts)]) == 0
        assert [verdict["verdict"] for verdict in read_jsonl(verdicts)] == ["unscorable", "correct"]


def test_lists_of_responses_and_of_thinking_belong_together(tmp_path):
    row = {"prompt": "What is 2 + 3?", "output": [SAID, "So 6."], "thinking": [THINKING, "It is 6."], "gold": "5"}
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_jsonl(path, [row])
    assert main(["clean", "--in", str(path), "--out", str(out), "--domain", "math", "--steps", "dlcot"]) == 0
    first, second = read_jsonl(out)
    assert (first["output"], first["thinking"]) == ([SAID], [THINKING])
    assert (second["output"], second["thinking"]) == (["So 6."], ["It is 6."])


def test_a_response_that_ends_with_its_thinking_stays_as_it_was(tmp_path):
    row = {"question": "What is 2 + 3?", "answer": "5", "response": "<think> It is \\(5\\). </think>"}
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_jsonl(path, [row])
    assert main(["clean", "--in", str(path), "--out", str(out), "--domain", "math", "--steps", "dlcot"]) == 0
    assert list(read_jsonl(out)) == [row]


def test_values_are_put_where_a_path_finds_them():
    row = {"a": {"b": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "z": 1}]}, "c.d": 1}
    for place in ("a.b[assistant]", "a.b[assistant].z", "a.b[user]", "a.b[-1].content", "c.d"):
        changed = with_value(row, place, "new")
        assert value_at(changed, place) == "new" and with_value(changed, place, value_at(row, place)) == row
    assert value_at(row, "a.b[system]") is value_at(row, "a.x") is value_at(row, "a.b[7]") is None


def test_a_column_holds_one_thing():
    assert find_column(["messages"], "response", taken=["messages"]) is None


def test_an_empty_reference_answer_is_named():
    with pytest.raises(DataError, match="rows.jsonl:1: 'gold' is empty"):
        Sums().read({"question": "1 + 1 ?", "gold": " "}, "rows.jsonl:1")
