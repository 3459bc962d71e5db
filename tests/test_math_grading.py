"""Mathematical answers: what counts as the same, what does not, and that nothing takes long."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmup_rl.errors import Unscorable
from warmup_rl.grading.math import final_answer, same_answer
from warmup_rl.types import Grade


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "5"),
        ("5", " +5. "),
        ("5", "\\boxed{5}"),
        ("5", "so it is \\boxed{5}, as said"),
        ("5", "\\boxed{3}, no: \\boxed{5}"),
        ("5", "$5$"),
        ("5", "5.0"),
        ("5", "x=5"),
        ("-3", "\u22123"),
        ("10000", "10,000"),
        ("10\\,000", "10000"),
        ("\\frac{1}{2}", "0.5"),
        ("\\frac{1}{2}", "\\boxed{\\dfrac{1}{2}}"),
        ("\\boxed{\\frac{1}{2}}", "1/2"),
        ("\\frac{1}{\\sqrt{2}}", "\\frac{\\sqrt{2}}{2}"),
        ("1,2,3", "3,2,1"),
        ("(1,2)", "(1, 2)"),
        ("\\emptyset", "\\varnothing"),
    ],
)
def test_the_same_answer_in_another_form_is_correct(gold: str, answer: str) -> None:
    assert same_answer(gold=gold, answer=answer).verdict == "correct"


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "6"),
        ("5", "-5"),
        ("5", "\\boxed{5}, no: \\boxed{3}"),
        ("5", "The answer is 5 or 6"),
        ("5", "4=5"),
        ("6", "x+1=6"),
        ("5", "1\\text{ or }5"),
        ("(1,2)", "1,2"),
        ("(1,2)", "(2,1)"),
        ("4210_5", "4210"),
        ("3.14", "\\pi"),
        ("\\text{even}", "\\text{odd}"),
        ("123456789012345678901234567890", "123456789012345678901234567891"),
    ],
)
def test_a_different_answer_is_wrong(gold: str, answer: str) -> None:
    assert same_answer(gold=gold, answer=answer).verdict == "wrong"


@pytest.mark.parametrize("answer", ["", "  ", "\\boxed{}", "\\boxed{5", "5 \\boxed{"])
def test_no_answer_is_none(answer: str) -> None:
    assert same_answer(gold="5", answer=answer).verdict == "none"


def test_only_the_last_balanced_box_counts() -> None:
    assert final_answer("\\boxed{1} and \\boxed{\\frac{1}{2}}") == "\\frac{1}{2}"


@pytest.mark.parametrize(
    "poison",
    [
        "9^{9^9}", "10^{10^{10}}", "9^9^9", "2^{100000000}", "(10^7)!", "100000000!", "3!!!!",
        "\\binom{100000000}{50000000}", "\\sum_{i=1}^{100000000} i", "{" * 120 + "1" + "}" * 120, "1+" * 100_000 + "1",
        "7" * 500_000,
    ],
)
def test_no_answer_takes_long(poison: str) -> None:
    started = time.monotonic()
    assert same_answer(gold="5", answer=poison).verdict != "correct"
    assert same_answer(gold="5", answer=f"\\boxed{{{poison}}}").verdict != "correct"
    assert time.monotonic() - started < 5


def test_grading_works_off_the_main_thread() -> None:
    grades: list[Grade] = []
    thread = threading.Thread(target=lambda: grades.append(same_answer(gold="\\frac{3}{4}", answer="0.75")))
    thread.start()
    thread.join()
    assert grades[0].verdict == "correct"


def test_an_empty_reference_is_unscorable() -> None:
    with pytest.raises(Unscorable):
        same_answer(gold="", answer="0.5")


def test_a_reference_in_words_is_compared_as_words() -> None:
    assert same_answer(gold="\\text{Evelyn}", answer="Evelyn").verdict == "correct"
    assert same_answer(gold="\\text{Evelyn}", answer="Carla").verdict == "wrong"


@given(st.integers(), st.integers())
def test_integers_are_the_same_exactly_when_equal(gold: int, answer: int) -> None:
    verdict = same_answer(gold=str(gold), answer=f"\\boxed{{{answer}}}").verdict
    assert verdict == ("correct" if gold == answer else "wrong")


LAYOUTS = ["{}", " {} ", "${}$", "{}.", "\\boxed{{{}}}", "\\boxed{{ {} }}"]


@given(st.integers(-(10**12), 10**12), st.sampled_from(LAYOUTS))
def test_layout_does_not_change_the_verdict(gold: int, layout: str) -> None:
    assert same_answer(gold=str(gold), answer=layout.format(gold)).verdict == "correct"
