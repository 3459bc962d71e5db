"""Whatever a teacher's layout: its thinking and its answer are found, and laid out anew they are well formed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmup_rl.base.types import Problem
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.engines.teacher_output import last_box, parse_completion
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.knights.grammar import make_puzzle
from warmup_rl.knights.statements import AND, LIAR
from warmup_rl.knights.text import to_meta

OPEN, FREE = ResponseFormat(think="open"), ResponseFormat(think="free")

PUZZLE = make_puzzle(("Zoey", "Owen"), ((AND, (LIAR, 0), (LIAR, 1)), (LIAR, 0)))
RIGHT = "(1) Zoey is a knave (2) Owen is a knight"
LIST = "(1) Zoey is a knave\n(2) Owen is a knight"
HINT = "If Zoey told the truth, Owen would lie. He does not, so it holds."

KNIGHTS = {
    "published QwQ, in the recipe's format": ("recipe", f"Hm.\n</think>\n<answer> {RIGHT} </answer>"),
    "QwQ with both tags": ("tags", f"<think>\nHm.\n</think>\n\n<answer> {RIGHT} </answer>"),
    "the stop string ate the closing answer tag": ("tags", f"<think>\nHm.\n</think>\n<answer> {RIGHT}"),
    "no opening tag": ("tags", f"Hm.\n</think>\n<answer> {RIGHT} </answer>"),
    "no think tags, answer tags": ("tags", f"Hm.\n<answer> {RIGHT} </answer>"),
    "R1, prose and a list": ("tags", f"<think>\nHm.\n</think>\n\n{HINT}\n\n{LIST}"),
    "R1, a headed list": ("tags", f"<think>\nHm.\n</think>\n\n{HINT}\n\n**Final Answer:**\n\n{LIST}\n\n{HINT}"),
    "R1, bold roles": ("tags", "Hm.</think>\n\n### Answer\n\n1. Zoey is a **knave**.\n2. Owen is a **knight**."),
    "one sentence": ("tags", "Hm.\n</think>\n\nZoey is a knave and Owen is a knight."),
    "a conclusion at the end": ("tags", f"Hm.\n</think>\n\n{HINT}\n\nThus Zoey is a knave and Owen is a knight."),
    "boxed": ("boxed", f"Hm.\n\n{HINT} \\[\\boxed{{\\text{{Zoey is a knave, Owen is a knight}}}}\\]"),
    "boxed after the tag": ("boxed", "Hm \\boxed{no}\n</think>\n\\boxed{(1) Zoey is a knave, (2) Owen is a knight}"),
    "boxed, found out": ("auto", "Hm.\n\nSo \\boxed{Zoey is a knave, Owen is a knight}"),
    "a Final Answer line": ("plain", f"Hm.\n{HINT}\nFinal Answer: {RIGHT}"),
    "plain prose": ("plain", f"Hm.\n{HINT}\n\nTherefore, Zoey is a knave, and Owen is a knight."),
    "plain, a list": ("auto", f"Hm.\n{HINT}\n\n- Zoey is a knave\n- Owen is a knight"),
    "other think tags": ("auto", f"[THINK]Hm.[/THINK]{LIST}"),
    "begin and end of thought": (
        "auto", f"<|begin_of_thought|>Hm.<|end_of_thought|><|begin_of_solution|>{LIST}<|end_of_solution|>",
    ),
    "stray tags in the thinking": ("tags", f"<think>I will use <answer> and </answer>, <think>.</think> {LIST}"),
}  # fmt: skip


def graded(answers):
    domain = KnightsKnaves(name="kk")
    problem = Problem("x", "kk", "?", RIGHT, to_meta(PUZZLE, "english"))
    grades = [domain.grade(answer, problem) for answer in answers]
    return next((grade.verdict for grade in grades if grade.extracted is not None), "none")


@pytest.mark.parametrize(("dialect", "text"), KNIGHTS.values(), ids=KNIGHTS)
@pytest.mark.parametrize("form", [OPEN, FREE], ids=["open", "free"])
def test_knights_and_knaves_teachers_are_understood(dialect, text, form) -> None:
    if dialect == "recipe" and form is FREE:
        text = f"<think>\n{text}"
    said = parse_completion(text, dialect, form)
    assert graded(said.answers) == "correct"
    assert said.thinking.startswith(("Hm", "I will use")) and "think" not in said.thinking
    if dialect in ("recipe", "tags"):
        assert HINT not in said.thinking and RIGHT not in said.thinking


OTHERS = {
    "announced": ("auto", "2 and 2.\nThe answer is 4.", "4."),
    "announced in bold": ("tags", "so</think>The final answer is **4**", "4"),
    "announced inside bold": ("tags", "so</think>**Final Answer: 4**", "4"),
    "the last announcement counts": ("plain", "The answer is 5. No. The answer is 4", "4"),
    "nested box": ("boxed", "so \\boxed{\\frac{1}{\\sqrt{2}}} done", "\\frac{1}{\\sqrt{2}}"),
    "the last box": ("boxed", "\\boxed{1} or \\boxed{2}", "2"),
    "an unbalanced box does not count": ("boxed", "\\boxed{1} or \\boxed{2", "1"),
    "a letter": ("boxed", "\\boxed{\\text{B}}", "B"),
}


@pytest.mark.parametrize(("dialect", "text", "answer"), OTHERS.values(), ids=OTHERS)
def test_the_first_reading_is_the_most_explicit(dialect, text, answer) -> None:
    assert parse_completion(text, dialect, OPEN).answers[0] == answer


NOTHING = {
    "never ends": ("tags", "<think>Hm", False), "cut in the answer": ("tags", "Hm</think>(1) Zoey", True),
    "cut, plain": ("plain", "Hm. The answer is 4", True), "no box": ("boxed", "Hm", False),
    "an empty box": ("boxed", "\\boxed{}", False), "nothing": ("auto", "", False), "spaces": ("plain", " \n", False),
    "an empty answer": ("recipe", "Hm</think><answer> </answer>", False), "no tags": ("recipe", "Hm", False),
}  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "truncated"), NOTHING.values(), ids=NOTHING)
def test_where_there_is_no_answer_all_of_it_is_thinking(dialect, text, truncated) -> None:
    said = parse_completion(text, dialect, OPEN, truncated=truncated)
    assert said.answers == () and (not text.strip() or said.thinking.startswith(("Hm", "\\boxed")))


@pytest.mark.parametrize("dialect", ["recipe", "tags", "plain", "auto"])
def test_thinking_given_apart_is_taken_as_it_is(dialect) -> None:
    said = parse_completion("<answer>4</answer>", dialect, OPEN, thinking="so <answer>")
    assert (said.thinking, said.answers[0]) == ("so", "4")


PIECES = ["<think>", "</think>", "<answer>", "</answer>", "<thi", "nk>", "</", "\\boxed{", "}", "{", "a", " ", "\n\n",
          "Final Answer:", "(1) x", "\n- y\n- z", "**", "[/THINK]", "The answer is "]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    text=st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
    dialect=st.sampled_from(["recipe", "tags", "plain", "boxed", "auto"]),
    form=st.sampled_from([OPEN, FREE]),
    thinking=st.none() | st.lists(st.sampled_from(PIECES), max_size=4).map("".join),
)
def test_what_is_laid_out_anew_is_well_formed(text, dialect, form, thinking) -> None:
    said = parse_completion(text, dialect, form, thinking=thinking)
    for answer in said.answers:
        parts = form.split(form.render(thinking=said.thinking, answer=answer))
        assert parts.well_formed and (parts.thinking, parts.answer) == (said.thinking, answer)


def test_many_boxes_and_tags_are_no_burden() -> None:
    assert last_box("\\boxed{" * 20_000 + "1" + "}" * 20_000) == "1"
    assert parse_completion("<think>" * 20_000 + "4</think>4", "auto", OPEN).answers == ("4",)
