"""What a completion without tags is taken to answer: a table by domain, of the ways in which instruct models end."""

import pytest

from warmup_rl.base.types import Problem
from warmup_rl.domains.graders import ChoiceGrader, CodeGrader, ExactGrader, MathGrader, NumberGrader
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.domains.text_graders import LabelGrader
from warmup_rl.grading.code import extract_code
from warmup_rl.grading.ending import ends_in
from warmup_rl.grading.final_answer import stated, stated_mathematics
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.nano.registers import Registers
from warmup_rl.nano.sums import Sums

OPEN, FREE = ResponseFormat(think="open"), ResponseFormat(think="free")

MATHEMATICS = [
    ("Janet sells 9 eggs.\n\n\\(\\boxed{15000}\\) is the profit, so keep 3 in mind.", "15000"),
    ("So she makes 9 * 2 = $<<9*2=18>>18 every day at the farmer's market.", "18"),
    ("The remainder is 1.", "1"),
    ("Therefore, the total cost is $5 + $7 = $12.", "12"),
    ("**Answer:** 42", "42"),
    ("Answer:\n\nStep 1: 5 * 6 = 30\n\nStep 2: 30 / 3 = 10\n\nSo there are 10.", "10"),
    ("Answer:\n\nIt is 42.\n\nThat was step 1: easy.", "42"),
    ("Answer: It is open from 7:00 AM to 9:00 PM.", "9:00"),
    ("The ratio is 3:4.", "3:4"),
    (r"The answer is $\frac{2}{\tan (\theta)}$.", r"\frac{2}{\tan (\theta)}"),
    (r"The answer is $4$ (the even prime squared).", "4"),
    (
        "So it is $2\\left[\\begin{array}{r}\n1 \\\\\n7\n\\end{array}\\right]$.",
        r"2\left[\begin{array}{r} 1 \\ 7 \end{array}\right]",
    ),
    ("The zeros are $x=-4$ and $x=4$.", "x=-4, x=4"),
    ("The zeros are $-4$, $0$, or $4$.", "-4, 0, 4"),
    ("With $a=2$, $b$ is $4$.", "4"),
    ("The numbers $a$ and $b$ are 4.", "4"),
    ("It is not $3$ or $4$.", None),
    ("Adding up gives 5.\n#### 1,234", "1,234"),
    ("The answer is $\\frac{3}{4}$.", "\\frac{3}{4}"),
    ("The final answer is: \\(x^2+1\\).", "x^2+1"),
    ("She needs 3 hours.\n\nFinal answer:\n12 hours", "12"),
    ("x = 5", "x = 5"),
    ("3/4", "3/4"),
    ("I do not know.", None),
    ("", None),
    ("The answer is 7. No, wait, the answer is 8.", "8"),
    ("It takes 2.5 hours.", "2.5"),
    ("That leaves -3 degrees.", "-3"),
    ("Hence the sum is \\[ 27 \\]", "27"),
    ("Thus the answer is $$\n27\n$$", "27"),
    ("The answer is:\n\\[\n\\frac{2}{7}.\n\\]", "\\frac{2}{7}."),
    ("12 and 6 are 18.\n#### $18\nDone.", "$18"),
    ("12 and 6 are 18.\nA: 18", "18"),
    ("#### 18 (12+6)", "18 (12+6)"),
    ("#### 18 clips (12 in April, 6 in May)", "18"),
    ("Final Answer: The largest $n$ is 34.", "34"),
    ("Final Answer: The volume of $ABCD$ is $120. I hope it is correct.", "120"),
    ("The answer is $2^n$, where n is 3.", "2^n"),
    ("The answer is $n+1$, as n is at least 1.", "n+1"),
    ("Here is the matrix: $ \\begin{pmatrix} 1 & 2 \\end{pmatrix} $", "\\begin{pmatrix} 1 & 2 \\end{pmatrix}"),
    ("One costs $ 5 and the other $ 6 more.", "6"),
    ("The area is 1,000.99m\u00b2.", "1,000.99m\u00b2"),
    ("It takes 12km in the 3rd hour.", "12km"),
    ("The answer is either 5 or 6.", "5 or 6"),
    ("The primes are 3 and 5.", "3 and 5"),
    ("The answer is not $5$.", None),
    ("It is surely not 5.", None),
    ("The answer is not 5 but 6.", "6"),
    ("$y_1 = \\boxed{2}$ and $y_2 = \\boxed{3}$", "2, 3"),
    ("\\boxed{2}\\boxed{3}", "2, 3"),
    ("\\[\n\\boxed{2}\n\\]\n\\[\n\\boxed{2}\n\\]", "2"),
    ("\\boxed{2}, \\boxed{2} and \\boxed{3}", "2, 2, 3"),
    ("\\boxed{2}, \\boxed{2}", "2, 2"),
    ("Either the answer is 11 or the answer is 12.", None),
    ("It could be 11, or maybe the answer is 12", None),
    ("As x is 3 or 4, the answer is 12.", "12"),
    ("It takes 5 steps. " * 200 + "So she has 9.", "9"),
    ("#### Step 2: Result\n\nShe has 9 left.", "9"),
    ("#### 2. Result\n- 7 and 2\n\nShe has 9 left.", "9"),
    ("#### **2) Result**\n\nShe has 9 left.", "9"),
    ("#### 3 cases\n\nShe has 9 left.", "9"),
    ("#### Final Answer\n\n9", "9"),
    ("#### 3. The rest\n\n\\[\n7 + 2 = 9\n\\]", "7 + 2 = 9"),
    ("7 and 2 are 9 #### 9\n\nI hope that helps.", "9"),
    ("#### **9 clips**\nDone.", "9"),
    ("#### \\frac{1}{2}\n\nDone.", "\\frac{1}{2}"),
    ("It is a line.\n#### x = 5", "x = 5"),
    ("So she has **9** clips.\n\n---", "9"),
    ("So she has 9 clips.\n\n***\n</s>", "9"),
    ("So she has 9 clips.<|im_end|>\n", "9"),
    ("<|start|>assistant<|channel|>final<|message|>9<|return|>", "9"),
    ("Ann says the answer is 7, but that is wrong.", None),
    ("Ann says the answer is 7.\n\nSo she has 9 clips.", "9"),
    ("The answer is 9. Ann says the answer is 7.", "9"),
    ("The answer is 7, but that is wrong.", None),
    ("I think the answer is 9.", "9"),
    ("\u7b54\u3048: 21", "21"),
    ("**\u7b54\u6848\uff1a21**", "21"),
    ("\u0989\u09a4\u09cd\u09a4\u09b0: 21", "21"),
    ("\u7b54\u3048: 3:4", "3:4"),
    ("21 \u4e07", "21 \u4e07"),
    ("\u0394: 21", "\u0394: 21"),
]


@pytest.mark.parametrize(("text", "found"), MATHEMATICS)
def test_mathematics_takes_box_statement_formula_or_last_number(text, found):
    assert stated_mathematics(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Label: billing\nThe answer is technical.", "technical"),
        ("billing", "billing"),
        ("I would say so.\n\nParis", "Paris"),
        ("Answer: 11 July 2024", "11 July 2024"),
    ],
)
def test_a_text_states_what_follows_the_marker_or_its_last_line(text, found):
    assert stated(text) == found


KK = KnightsKnaves(people=2)
KK_PROBLEM = Problem(
    "p", "kk", "?", "(1) Zoey is a knight\n(2) Owen is a knave",
    {"names": ["Zoey", "Owen"], "roles": ["knight", "knave"], "solution": [True, False], "people": 2,
     "phrasing": "english", "statements": []},
)  # fmt: skip
FUNCTION = Problem("f", "code", "?", "", {"tests": "assert add(1, 2) == 3", "function": "add"})
CHOICE = Problem("c", "mcq", "Which way?\nA. north\nB. south\nC. east", "B", {"letters": "ABC"})


class _Rows(Sums):
    """Any grader as a domain."""

    _grader: object

    def grade(self, answer, problem):
        return self._grader.grade(answer, problem)

    def final_answer(self, text, problem):
        return self._grader.final_answer(text, problem)

    def answer_if_cut(self, text, problem):
        return self._grader.answer_if_cut(text, problem)

    def shows_work(self, thinking, problem):
        return None


def rows(grader):
    domain = _Rows()
    object.__setattr__(domain, "_grader", grader)
    return domain


def number(gold):
    return Problem("n", "n", "?", gold, {})


SCORED = [
    # (why, domain, problem, text, truncated, verdict)
    ("the options, repeated", rows(ChoiceGrader()), CHOICE, "A. north\nB. south", False, "wrong"),
    ("options, then one", rows(ChoiceGrader()), CHOICE, "A. north\nB. south\n\nThe answer is B.", False, "correct"),
    ("options judged", rows(ChoiceGrader()), CHOICE, "A. north is wrong\nB. south is correct", False, "correct"),
    ("a box, never closed", rows(MathGrader()), number("7"), "so \\(\\boxed{7}\\).", False, "correct"),
    ("a box in a cut text", rows(MathGrader()), number("7"), "so \\boxed{7}. Let us check: 3 +", True, "correct"),
    ("a number in a cut text", rows(MathGrader()), number("7"), "it is 7", True, "none"),
    ("a sentence", rows(MathGrader()), number("7"), "The result is 7 apples.", False, "correct"),
    ("another number", rows(MathGrader()), number("7"), "It is 7. Then 8 are left.", False, "wrong"),
    ("a word", rows(MathGrader()), number("\\text{Maya}"), "Maya is fast.\n\nANSWER: Maya\nSure: 9", False, "correct"),
    ("a word in a sentence", rows(MathGrader()), number("\\text{Maya}"), "The answer is Maya.", False, "correct"),
    ("another word", rows(MathGrader()), number("\\text{Maya}"), "The answer is Noah.", False, "wrong"),
    ("words for a word", rows(MathGrader()), number("\\text{Maya}"), "Maya runs ahead of Noah.", False, "none"),
    ("a word for a number", rows(MathGrader()), number("7"), "The answer is Maya.", False, "none"),
    ("a heading", rows(MathGrader()), number("2"), "#### 2. Result\n\nIt is 7.", False, "wrong"),
    ("a label before a rule", rows(LabelGrader(labels=["red", "blue"])),
     Problem("l", "l", "?", "red", {"labels": ["red", "blue"]}), "#### Which\n\nIt is red.\n\n---", False, "correct"),
    ("number with a unit", rows(NumberGrader(units=["km"])), number("7"), "The trip takes 7 km.", False, "correct"),
    ("answer tags, never closed", rows(MathGrader()), number("7"), "so <answer> 7 </answer>", False, "correct"),
    ("answer tags in a cut text", rows(MathGrader()), number("7"), "<answer> 7 </answer> and then", True, "correct"),
    ("an answer tag cut open", rows(MathGrader()), number("7"), "so <answer> 7", True, "none"),
    ("a closing tag alone", rows(MathGrader()), number("7"), "So 12 - 5 = 7.\n</answer>", False, "correct"),
    ("a text", rows(ExactGrader()), number("billing"), "Hm.\nThe answer is billing.", False, "correct"),
    ("a letter", rows(ChoiceGrader()), CHOICE, "We turn round.\nThe answer is (B) south.", False, "correct"),
    ("a letter on the last line", rows(ChoiceGrader()), CHOICE, "We turn round twice.\n\nB. south", False, "correct"),
    ("a letter in a cut text", rows(ChoiceGrader()), CHOICE, "The answer is (B) so", True, "none"),
    ("sums in English", Sums(), number("1"), "The remainder is 1.", False, "correct"),
    ("puzzle, a list at the end", KK, KK_PROBLEM,
     "Suppose Zoey is a knave. Then Owen is not one.\n\nTherefore:\n- Zoey is a knight.\n- Owen is a knave.\n\nDone.",
     False, "correct"),
    ("puzzle, sentences", KK, KK_PROBLEM, "If so, fine. So Zoey is a knight. And Owen is a knave.", False, "correct"),
    ("puzzle, the other way round", KK, KK_PROBLEM, "Zoey is a knave and Owen is a knight.", False, "wrong"),
    ("puzzle, one person only", KK, KK_PROBLEM, "So Zoey is a knight.", False, "none"),
    ("puzzle, cut", KK, KK_PROBLEM, "Zoey is a knight, Owen is a knave, and", True, "none"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "domain", "problem", "text", "cut", "verdict"), SCORED, ids=[c[0] for c in SCORED])
@pytest.mark.parametrize("form", [OPEN, FREE], ids=["open", "free"])
def test_a_completion_that_never_closes_its_thinking_is_judged_by_what_it_says(
    why, domain, problem, text, cut, verdict, form
):
    score = domain.score(text, problem, form, truncated=cut)
    assert (score.verdict, score.outcome) == (verdict, "bad_format")


def test_registers_take_the_last_value_of_each():
    domain = Registers(registers=2)
    problem = next(domain.problems("train", 0))
    final = problem.meta["final"]
    text = f"Start a=1 b=2. Then a = {final['a']}. At the end b = {final['b']}."
    assert domain.score(text, problem, OPEN).verdict == "correct"


USAGE = "```python\nfrom math import gcd\n```\nThen:\n```python\ndef add(a, b):\n    return a + b\n```\nUse it:\n"


@pytest.mark.parametrize(
    "answer",
    [
        USAGE + "```python\nprint(add(1, 2))\n```",
        USAGE + "```bash\npython add.py\n```\n```\n3\n```",
        USAGE.replace("\n", "\r\n"),
        "```python\ndef add(a, b):\n    return a + b\n",
        "def add(a, b):\n    return a + b",
        "Here is the function:\n\ndef add(a, b):\n    return a + b\n\nIt adds two numbers, see print(add(1, 2)).",
        "def add(a, b):\n    return a + b\n<|im_end|>\n<|im_start|>print",
        "<s>```python\ndef add(a, b):\n    return a + b\n```</s>",
        "<|im_start|>assistant\n```python\ndef add(a, b):\n    return a + b\n```<|im_end|>",
        "1. Add:\n\n   ```python\n   def add(a, b):\n       return a + b\n   ```\n2. Try:\n   ```bash\n   ls\n   ```",
        "```python\rdef add(a, b):\r    return a + b\r```\rprint",
    ],
    ids=["usage", "output", "crlf", "unclosed", "bare", "prose", "special token", "first token", "chat", "list", "cr"],
)
def test_the_block_that_defines_the_function_is_the_program(answer):
    assert "return a + b" in (extract_code(answer, "add") or "")
    assert "print" not in (extract_code(answer, "add") or "") and "bash" not in (extract_code(answer, "add") or "")


def test_a_cut_text_counts_only_with_a_closed_block():
    grader = CodeGrader()
    assert grader.answer_if_cut("```python\ndef add(a, b):\n    return a", FUNCTION) is None
    assert grader.answer_if_cut(f"{USAGE}and so", FUNCTION)


@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [
        ("... which is 18 apples a day.\n#### 18", "18", True),
        ("She makes $1,018.00 in all.", "1018", True),
        ("The answer is 18, as 2 * 9 is more than 17.", "18", False),
        ("minus four, that is -4", "-4", True),
        ("I do not know", "18", False),
        ("so </think><answer> B </answer>", "B", True),
        ("The answer is (B) Mars.", "B", True),
        ("A is wrong, hence the answer is C", "B", False),
        ("so it faces North . </answer>", "north", True),
        ("north, or south", "north", False),
        ("x = \\boxed{\\frac{3}{4}}", "\\frac{3}{4}", True),
        ("anything", "(1) Ann is a knight\n(2) Bob is a knave", None),
        ("anything", "", None),
        ("anything", "1 2 3 4 5 6 7 8 9", None),
    ],
)
def test_what_stands_last_is_the_answer_of_the_coarse_reading(text, gold, right):
    assert ends_in(text, gold) is right
