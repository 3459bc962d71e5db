"""What is copied from a question, however it is wrapped, is no answer to it; customary forms of the result are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmup_rl.base.types import Problem
from warmup_rl.domains.graders import NumberGrader
from warmup_rl.grading.math import same_answer
from warmup_rl.grading.math_copies import COPIED

EVALUATED = [
    ("Evaluate ${}$.", r"\binom{10}{3}", "120"),
    ("What is ${}$?", r"\frac{1}{2}+\frac{1}{3}", r"\frac56"),
    ("Compute \\[{}.\\]", r"19\cdot 21-4", "395"),
    ("Compute {}.", "3 + 4 * 5", "23"),
    ("What is {}?", "48/(6+2)", "6"),
    ("What is {} = ?", "7 - 12", "-5"),
    ("Simplify ${}$.", r"\frac{60}{84}", r"\frac57"),
    ("Simplify ${}$.", r"\sqrt{72}", r"6\sqrt2"),
    ("Find ${}$ as a fraction.", r"0.2\overline{3}", r"\frac{7}{30}"),
    ("Calculate $({})$, where $x$ is real.", "2^3-5!", "-112"),
    ("Find $x = {}$.", r"\gcd(12,18)", "6"),
    ("Find ${}$.", r"\lfloor\sqrt{50}\rfloor", "7"),
    ("Compute $\\sin 30^\\circ$ and ${}$.", r"\cos 60^\circ", r"\frac12"),
    ("Factor ${}$.", "x^2-5x+6", "(x-2)(x-3)"),
    ("Expand ${}$.", "(x+2)(x-3)", "x^2-x-6"),
    ("Simplify ${}$.", r"\frac{x^2-1}{x+1}", "x-1"),
]
"""A question, its formula and the result."""
WRAPPINGS = [
    "%s", "(%s)", "-(-(%s))", "%s+0", "0+%s", r"1\cdot(%s)", r"%s\cdot 1", "(%s)^1", "%s+1-1", "1+%s-1", "7-(7-(%s))",
    r"\frac{2(%s)}{2}", r"3\cdot\frac{%s}{3}", r"\frac{1}{\frac{1}{%s}}", r"\frac{%s}{2}+\frac{%s}{2}", r"(%s)^{2-1}",
    r"\sqrt[3]{(%s)^3}", r"\left[%s\right]", "%s+y-y",
]  # fmt: skip
"""Ways to write a formula that leave its value as it is."""
AROUND = ["%s", "x=%s", "%s=z", "%s=%s", r"\{%s\}", "(B) %s", "%s (in total)", "{%s}"]
"""What may stand around a whole answer."""

COUNTS = [
    ("What is 7 times 6?", "42", "7*6=42"),
    ("What is 7 times 6?", "42", "42=7*6"),
    ("Evaluate $\\binom{10}{3}$.", "120", r"x=\frac{10!}{3!7!}=120"),
    ("Evaluate $\\binom{10}{3}$.", "120", r"\frac{10!}{3!7!}"),
    ("3 of 4 balls are red. How likely is it?", "0.75", r"\frac34"),
    ("3 of 6 balls are red. How likely is it?", r"\frac12", "3/6"),
    ("Write $\\frac72$ as a mixed number.", r"3\frac12", r"3 \frac{1}{2}"),
    ("What is $20\\%$ of $50\\%$?", r"10\%", r"\frac{1}{10}"),
    ("Simplify $\\sqrt{72}$.", r"6\sqrt2", r"\sqrt2\cdot 6"),
    ("Simplify $2\\sqrt{3}\\cdot\\sqrt{6}$.", r"6\sqrt2", r"6\cdot\sqrt{2}"),
    ("What is the area of a circle with radius $3$?", r"9\pi", r"3^2\pi"),
    ("Write $360$ as a product of primes.", r"2^3\cdot 3^2\cdot 5", r"5\cdot 2^3\cdot 3^2"),
    ("How many subsets has a set of $10$ elements?", "1024", "2^{10}"),
    ("Which is greatest, $2^{10}$ or $10^3$?", "2^{10}", "2^{10}"),
    ("Solve $x^2-2x-1=0$.", r"1\pm\sqrt2", r"1+\sqrt2, 1-\sqrt2"),
    ("Factor $x^2-5x+6$.", "(x-2)(x-3)", "(x-3)(x-2)"),
    ("Factor $x^2-5x+6$.", "(x-2)(x-3)", "(3-x)(2-x)"),
    ("Expand $(x+2)(x-3)$.", "x^2-x-6", "-6-x+x^2"),
    ("If $y=2x+1$ and $x=t-1$, express $y$ in $t$.", "2t-1", "2(t-1)+1"),
    ("Evaluate $i^{5}+1$.", "1+i", "i+1"),
    ("Find the vertex of $y=x^2-4$.", "(0,-4)", "(0,-4)"),
    ("Round $\\sin(2)$ to three places.", r"\sin(2)\approx 0.909", "0.909"),
    ("Find $\\sin(2)$.", "0.909", "0.9090"),
]
"""A question, its reference, and an answer in another form that counts."""


@pytest.mark.parametrize(("question", "formula", "gold"), EVALUATED)
@pytest.mark.parametrize("wrapping", [*WRAPPINGS, *AROUND[1:]])
def test_a_formula_of_the_question_is_no_answer_in_any_wrapping(
    question: str, formula: str, gold: str, wrapping: str
) -> None:
    answer = f"\\boxed{{{wrapping.replace('%s', formula)}}}"
    assert same_answer(gold=gold, answer=answer, question=question.format(formula)).verdict == "wrong"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(EVALUATED), st.lists(st.sampled_from(WRAPPINGS), max_size=3), st.sampled_from(AROUND))
def test_nor_in_several(case: tuple[str, str, str], wrappings: list[str], around: str) -> None:
    question, formula, gold = case
    answer = formula
    for wrapping in wrappings:
        answer = wrapping.replace("%s", f"({answer})")
    answer = f"\\boxed{{{around.replace('%s', answer)}}}"
    assert same_answer(gold=gold, answer=answer, question=question.format(formula)).verdict == "wrong"


@pytest.mark.parametrize(("question", "gold", "answer"), COUNTS)
def test_the_result_counts_in_customary_forms(question: str, gold: str, answer: str) -> None:
    assert same_answer(gold=gold, answer=answer, question=question).verdict == "correct"


@pytest.mark.parametrize(
    ("question", "gold", "answer"),
    [
        ("What is 7 times 6?", "42", r"7\cdot 6"),
        ("What is 7 times 6?", "42", r"7 \cdot 6 = x"),
        ("What is seven times six?", "42", "7*6"),
        ("What is $50\\%$ of $200\\%$ of $10$?", "10", r"\max(10,10)"),
        ("What is 24 divided by 2?", "12", r"\frac{24}{2}"),
        ("How far apart are 3 and 8?", "5", "|3-8|"),
        ("What is the greatest common divisor of 12 and 18?", "6", r"\gcd(18,12)+0"),
        ("Which is larger, $7^2$ or 48?", "49", r"\max(7^2, 48)"),
    ],
)
def test_one_operation_on_numbers_of_the_question_is_not_worked_out(question: str, gold: str, answer: str) -> None:
    assert same_answer(gold=gold, answer=answer, question=question).note == COPIED


@pytest.mark.parametrize(
    "number", ["|%s|", r"\binom{%s}{1}", r"\lfloor %s.5\rfloor", "(%s+1-1)", r"\gcd(%s,%s)", r"\ln(e^{%s})"]
)
@pytest.mark.parametrize(
    ("question", "formula", "gold"),
    [
        ("What is 8 times 7?", r"8\cdot %s", "56"),
        (r"Simplify $\frac{\sqrt{28}}{\sqrt{7}}$.", r"\frac{\sqrt{28}}{\sqrt{%s}}", "2"),
        ("Expand $(a+7)^2$.", "(a+%s)^2", "a^2+14a+49"),
        (r"Find $\frac{91}{-7}$.", r"\frac{91}{-%s}", "-13"),
        ("Write $7x-y=3$ in slope-intercept form.", "%s x-y=3", "y=7x-3"),
    ],
)
def test_nor_is_a_copy_with_a_number_in_another_form(question: str, formula: str, gold: str, number: str) -> None:
    answer = formula.replace("%s", number.replace("%s", "7"))
    assert same_answer(gold=gold, answer=answer, question=question).note == COPIED


@pytest.mark.parametrize("answer", ["24/2", "-(-(24/2))", "\\boxed{24/2}"])
def test_a_number_is_not_copied_either(answer: str) -> None:
    problem = Problem("p", "rows", "What is 24/2?", "12", {})
    assert NumberGrader().grade(answer, problem).verdict == "wrong"
    assert NumberGrader().grade("12", problem).verdict == "correct"


def test_a_long_question_takes_no_long_time() -> None:
    question = f"Compute ${'+'.join(map(str, range(5000)))}$ or {'*'.join(['x'] * 5000)}, {'(' * 5000}."
    assert same_answer(gold="5", answer="2.5+2.5", question=question * 2).verdict == "correct"


EQUATIONS = [
    ("Solve $3t-4=8$.", "t=4", ["3t-4=8", "8=3t-4", "6t-8=16", "3t=12"], ["t=4", "4=t", "t=2+2=4", "4"]),
    ("Three times t less four is eight.", "t=4", ["3t-4=8", "t-4=0"], ["t=4"]),
    (
        "Write $5x+2y=8$ in slope-intercept form.", r"y=-\frac52x+4",
        ["5x+2y=8", "2y+5x=8", "10x+4y=16", "2y=8-5x", "5x+2y-8=0"], ["y=-2.5x+4", r"y=\frac{8-5x}{2}", "4-2.5x"],
    ),
    ("Write $y=3x+2$ in general form.", "3x-y+2=0", ["y=3x+2", "y=2+3x"], ["y-3x-2=0", "3x-y=-2"]),
    ("Find the line through $(0,1)$ with slope $2$.", "y=2x+1", ["y=2x-1"], ["2x-y+1=0", "y=2x+1"]),
    ("Complete the square: $x^2+y^2-6x=7$.", "(x-3)^2+y^2=16", ["x^2+y^2-6x=7", "x^2+y^2-6x-7=0"], ["(3-x)^2+y^2=4^2"]),
    ("Is the line $2x-y+1=0$ or $y=x$?", "2x-y+1=0", ["x=y"], ["1+2x-y=0"]),
]  # fmt: skip


@pytest.mark.parametrize(("question", "gold", "copies", "answers"), EQUATIONS)
def test_an_equation_of_the_question_is_not_solved(
    question: str, gold: str, copies: list[str], answers: list[str]
) -> None:
    for verdict, texts in (("wrong", copies), ("correct", answers)):
        assert {
            text: same_answer(gold=gold, answer=text, question=question).verdict for text in texts
        } == dict.fromkeys(texts, verdict)
