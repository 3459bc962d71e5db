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
        "C",
        "c",
        "(C)",
        "C.",
        "**C**",
        "`C`",
        "[C]",
        "{C}",
        "$C$",
        "<b>C</b>",
        r"\text{C}",
        r"\textbf{(C)}",
        r"\mathrm{C}",
        r"\boxed{C}",
        r"\boxed{\text{C}}",
        r"\boxed{\textbf{(C)}}",
        r"\boxed{C. green}",
        r"\boxed{\text{Option C}}",
        "Option C",
        "option C",
        "Choice (C)",
        "Answer: C",
        "Answer: (C)",
        "The answer is C.",
        "The answer is (C) green.",
        "The answer is: C",
        "The correct answer is **C**.",
        "the answer is c.",
        "The answer is option C",
        "Answer - C",
        "C. green",
        "C) green",
        "(C) green",
        "C: green",
        "C (green)",
        "C - green",
        "Option C: green",
        "**C.** green",
        "\uff23",
        "C. the third one",
        r"The answer is $\boxed{C}$.",
        r"so it is \boxed{C}",
        "Answer: Option (C)",
    ],
)
def test_a_letter_that_is_said_counts(answer: str) -> None:
    assert verdict(answer) == "correct"


@pytest.mark.parametrize(
    "answer",
    [
        "A",
        "C or D",
        "A, C",
        r"\boxed{A} or \boxed{C}",
        "The answer is C or D.",
        "The answer is A. No, the answer is C.",
        "E",
        "(E)",
        "C. blue",
        "C (blue)",
        "C) Red.",
        "Option C: blue sky",
        "The answer is B",
        "\u0421",
        "C/D",
        "C and D",
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


PLACES = "Where?\nA. north\nB. south\nC. east\nD. 5 km\nE. none of the above"
SAID = [
    ("The answer is B", "B"),
    ("The answer is B.", "B"),
    ("The answer is (B)", "B"),
    ("The answer is B. south", "B"),
    ("The answer is (B) south.", "B"),
    ("The answer is B because it is so", "B"),
    ("The answer is B) south", "B"),
    ("The answer is B: south", "B"),
    ("The answer is **B**", "B"),
    (r"The answer is $\boxed{B}$", "B"),
    ("The answer is option B", "B"),
    ("The answer is b.", "B"),
    ("The correct option is B.", "B"),
    ("The answer must be B.", "B"),
    ("The answer would be B.", "B"),
    ("The correct choice: B", "B"),
    ("Option D is correct.", "D"),
    ("D is correct.", "D"),
    ("D is the answer.", "D"),
    ("So, D.", "D"),
    ("Therefore, D.", "D"),
    ("I choose B.", "B"),
    ("It is B", "B"),
    ("(D) is correct", "D"),
    ("Answer: A", "A"),
    ("The answer is A.", "A"),
    ("The answer is A", "A"),
    ("A. north", "A"),
    ("The answer is A because of the wind", "A"),
    ("The answer is (A) north", "A"),
    ("The answer is A. north", "A"),
    ("B. south", "B"),
    ("B (south)", "B"),
]
UNSAID = [
    ("The answer is B C", "B"),
    ("The answer is B|C", "B"),
    ("The answer is B & C", "B"),
    ("The answer is B+C", "B"),
    ("The answer is B-D", "B"),
    ("The answer is B to D", "B"),
    ("The answer is B (or C)", "B"),
    ("The answer is B, or maybe C", "B"),
    ("The answer is B if x else C", "B"),
    ("The answer is B unless it is C", "B"),
    ("The answer is B; C", "B"),
    ("The answer is B, which is option A", "B"),
    ("The answer is B or C", "B"),
    ("The answer is B and C", "B"),
    ("The answer is B/C", "B"),
    ("The answer is B, C", "B"),
    ("The answer is B. north", "B"),
    ("The answer is (B) north.", "B"),
    ("The answer is B: north", "B"),
    ("The answer is B - north", "B"),
    ("The answer is B) none of the above", "B"),
    ("The answer is B. Actually, A.", "B"),
    ("The answer is B12", "B"),
    ('The answer is "B" is wrong', "B"),
    ("The answer is B. south, C. east", "B"),
    ("The answer is B not C", "B"),
    ("Answer: B; C", "B"),
    ("(B)(A)", "B"),
    ("(B) south (A) north", "B"),
    ("B. south\nA. north", "B"),
    ("Answer: B (north)", "B"),
    (r"\boxed{B. north}", "B"),
    (r"\boxed{\text{B) north}}", "B"),
    ("It is false that the answer is B.", "B"),
    ("Nobody says the answer is B", "B"),
    ("I doubt that the answer is B; I think A", "B"),
    ("If the answer is B, then ... contradiction. So A.", "B"),
    ("Is the answer B?", "B"),
    ("\u00acB", "B"),
    ("~B", "B"),
    ("B?", "B"),
    ("The answer is A good question", "A"),
    ("The answer is A matter of taste.", "A"),
    ("Answer: A direct computation gives B", "A"),
    ("A) or B)", "A"),
    ("The answer is C++", "C"),
]


@pytest.mark.parametrize(("answer", "gold"), SAID)
def test_a_letter_that_a_sentence_calls_right_counts(answer: str, gold: str) -> None:
    assert choose(gold=gold, answer=answer, letters="ABCDE", question=PLACES).verdict == "correct"


@pytest.mark.parametrize(("answer", "gold"), UNSAID)
def test_a_letter_that_is_doubted_contradicted_or_no_letter_does_not_count(answer: str, gold: str) -> None:
    assert choose(gold=gold, answer=answer, letters="ABCDE", question=PLACES).verdict != "correct"
