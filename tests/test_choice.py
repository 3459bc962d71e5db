"""Multiple choice: a letter that is said counts, however it is dressed; nothing is guessed."""

from __future__ import annotations

import pytest

from tests.answer_cases import LETTER_SAID, NONE_SAID, OTHER_SAID, OWN, PLACES, QUESTION, REPORTED, SAID, UNSAID
from warmup_rl.grading.choice import choose, final_choice


def verdict(answer: str, gold: str = "C") -> str:
    return choose(gold=gold, answer=answer, letters="ABCD", question=QUESTION).verdict


@pytest.mark.parametrize("answer", LETTER_SAID)
def test_a_letter_that_is_said_counts(answer: str) -> None:
    assert verdict(answer) == "correct"


@pytest.mark.parametrize("answer", OTHER_SAID)
def test_what_is_not_that_letter_alone_does_not_count(answer: str) -> None:
    assert verdict(answer) != "correct"


@pytest.mark.parametrize("answer", NONE_SAID)
def test_nothing_is_guessed(answer: str) -> None:
    assert verdict(answer) in ("none", "wrong")
    assert verdict(answer, gold="A") in ("none", "wrong")


def test_a_text_that_two_options_share_names_either() -> None:
    question = "Which?\nA. one\nB. two\nC. one"
    for letter in "AC":
        assert choose(gold=letter, answer=f"{letter}. one", letters="ABC", question=question).verdict == "correct"
    assert choose(gold="B", answer="B. one", letters="ABC", question=question).verdict == "wrong"


@pytest.mark.parametrize(("answer", "gold"), [*SAID, *OWN])
def test_a_letter_that_a_sentence_calls_right_counts(answer: str, gold: str) -> None:
    assert choose(gold=gold, answer=answer, letters="ABCDE", question=PLACES).verdict == "correct"


@pytest.mark.parametrize(("answer", "gold"), [*UNSAID, *REPORTED])
def test_a_letter_that_is_doubted_contradicted_or_no_letter_does_not_count(answer: str, gold: str) -> None:
    assert choose(gold=gold, answer=answer, letters="ABCDE", question=PLACES).verdict != "correct"


NUMBERS = "How much?\nA. 0.0\nB. -200.0\nC. 200.0"


@pytest.mark.parametrize("answer", ["The answer is (B) -200.0.", "B. -200.0", "B - -200.0", "(B) -200.0"])
def test_the_sign_of_an_option_is_no_dash(answer: str) -> None:
    assert choose(gold="B", answer=answer, letters="ABC", question=NUMBERS).verdict == "correct"
    assert choose(gold="C", answer=answer.replace("B", "C"), letters="ABC", question=NUMBERS).verdict == "wrong"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("B\n\nThe wind comes from there.", "B\n\nThe wind comes from there."),
        ("B. It is south, which is wrong.\n\nC. No.\n\nNone of them fits.", "None of them fits."),
        ("B\n\nIt is cold there. So C is correct.", "It is cold there. So C is correct."),
    ],
)
def test_a_completion_states_a_letter_alone_above_its_explanation_or_its_last_line(text: str, said: str) -> None:
    assert final_choice(text) == said
