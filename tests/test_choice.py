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


METALS = "Which metal is liquid?\nA. Iron\nB. Mercury\nC. Not a metal\nD. Gold"


def found(text: str, gold: str, question: str = METALS) -> str:
    """The verdict on a completion without tags."""
    said = final_choice(text, question)
    return choose(gold=gold, answer=said, letters="ABCD", question=question).verdict


@pytest.mark.parametrize(
    "text",
    [
        "D. Gold is not the answer.",
        "D) Gold is incorrect.",
        "(D) Gold: false.",
        "D. Gold \u2014 it melts far too late.",
        "D. Gold \u274c",
        "**D. Gold** is wrong, as it is solid.",
        "Two are left.\n\nD. Gold is solid in any kitchen.",
        "Two are left.\n\nD. Gold?",
        "A and C are out.\nD. Gold can be ruled out too.",
        "D. The noble one is not liquid.",
        "A. Iron - no.\nB. Mercury - yes, it flows.\nD. Gold - no.",
        "Let me see.\n\nA. Iron: too hard.\n\nB. Mercury: yes.\n\nD. Gold: too hard.",
        "A. Iron \u274c\nB. Mercury \u2705\nD. Gold \u274c",
        "The options are these.\nA. Iron\nB. Mercury\nC. Not a metal\nD. Gold",
        "**B** flows best of all.\n\nD. Gold is hard.",
        "D. Gold\n\nE. Tin",
        "\u7b54\u306f\u300canswer: D\u300d\u306e\u5f62\u3067\u3002\n\n\u9244\u306f\u56fa\u3044\u3002",
        "\u300eThe answer is D\u300f is the form to use.\n\nIron is hard.",
        "The best wrong answer is D.",
        "The second most likely answer is D.",
        "The most incorrect answer is D.",
        "Thus options (D) 1 and 2 are the answers.",
    ],
)
def test_an_option_that_is_ruled_out_listed_or_a_template_is_not_chosen(text: str) -> None:
    assert found(text, "D") in ("none", "wrong")


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("A. Iron is wrong.\nB. Mercury is correct.", "B"),
        ("Iron is hard.\n\nB. Mercury, because it flows.", "B"),
        ("Iron is hard.\n\nC. Not a metal", "C"),
        ("Iron is hard.\n\nC. It is not a metal", "C"),
        ("A. Iron\nD. Gold\nBoth are hard, so:\n\nB. Mercury", "B"),
        ("It flows.\n\n### Final Answer\n\n\u2705 **B. Mercury**", "B"),
        ("It flows.\n\nB. Mercury\n\n---", "B"),
        ("It flows.\n\n**B**<|im_end|>", "B"),
        ("<|channel|>analysis<|message|>It flows, like D.<|end|><|channel|>final<|message|>B<|return|>", "B"),
        ("It flows.\n\nanswer\uff1a\u300cB\u300d", "B"),
        ("The correct answer is (b) Mercury.", "B"),
        ("The best possible answer is **B**, as it is not a solid.", "B"),
        ("The answer is (B) Mercury, as it flows, but not necessarily at any pressure.", "B"),
        ("The answer is (C) Not a metal, but that is wrong. The answer is (B).", "B"),
        ('The correct answer is "The correct answer is (B) Mercury."', "B"),
    ],
)
def test_a_letter_that_is_chosen_counts_whatever_dresses_or_explains_it(text: str, gold: str) -> None:
    assert found(text, gold) == "correct"


LETTERED = "Which?\nA. X = two ; Y = 66.66 %\nB. Vitamin C\nC. A, but not B\nD. C"


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("The correct answer is (A) X = two, Y = 66.66%.", "A"),
        ("The answer is B, Vitamin C.", "B"),
        ("The answer is B (Vitamin C).", "B"),
        ("The answer is (C) A, but not B.", "C"),
    ],
)
def test_letters_in_the_text_of_the_option_are_no_second_claim(answer: str, gold: str) -> None:
    assert choose(gold=gold, answer=answer, letters="ABCD", question=LETTERED).verdict == "correct"
    assert choose(gold="D", answer="The answer is D-C.", letters="ABCD", question=LETTERED).verdict == "wrong"
