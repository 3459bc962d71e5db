"""Multiple choice: a letter that is said counts, however it is dressed; nothing is guessed."""

from __future__ import annotations

import pytest

from warmup_rl.grading.choice import choose

QUESTION = "Which colour?\nA. red\nB. blue\nC. green\nD. blue sky"


def verdict(answer: str, gold: str = "C") -> str:
    return choose(gold=gold, answer=answer, letters="ABCD", question=QUESTION).verdict


@pytest.mark.parametrize(
    "answer",
    [
        "C", "c", "(C)", "C.", "**C**", "`C`", "[C]", "{C}", "$C$", "<b>C</b>", r"\text{C}", r"\textbf{(C)}",
        r"\mathrm{C}", r"\boxed{C}", r"\boxed{\text{C}}", r"\boxed{\textbf{(C)}}", r"\boxed{C. green}",
        r"\boxed{\text{Option C}}",
        "Option C", "option C", "Choice (C)", "Answer: C", "Answer: (C)", "The answer is C.",
        "The answer is (C) green.", "The answer is: C", "The correct answer is **C**.", "the answer is c.",
        "The answer is option C", "Answer - C",
        "C. green", "C) green", "(C) green", "C: green", "C (green)", "C - green", "Option C: green", "**C.** green",
        "\uff23", "C. the third one", r"The answer is $\boxed{C}$.", r"so it is \boxed{C}", "Answer: Option (C)",
    ],
)
def test_a_letter_that_is_said_counts(answer: str) -> None:
    assert verdict(answer) == "correct"


@pytest.mark.parametrize(
    "answer",
    [
        "A", "C or D", "A, C", r"\boxed{A} or \boxed{C}", "The answer is C or D.",
        "The answer is A. No, the answer is C.", "E", "(E)", "C. blue", "C (blue)", "C) Red.", "Option C: blue sky",
        "The answer is B", "\u0421",
        "C/D", "C and D",
    ],
)
def test_what_is_not_that_letter_alone_does_not_count(answer: str) -> None:
    assert verdict(answer) != "correct"


@pytest.mark.parametrize(
    "answer",
    ["", "green", "I like C best", "C is a good one, A too", "A bird", "The answer is a bird", "Cool", "I", "A B C D"],
)
def test_nothing_is_guessed(answer: str) -> None:
    assert verdict(answer) in ("none", "wrong")
    assert verdict(answer, gold="A") in ("none", "wrong")


def test_a_text_that_two_options_share_names_either() -> None:
    question = "Which?\nA. one\nB. two\nC. one"
    for letter in "AC":
        assert choose(gold=letter, answer=f"{letter}. one", letters="ABC", question=question).verdict == "correct"
    assert choose(gold="B", answer="B. one", letters="ABC", question=question).verdict == "wrong"
