"""Chains of thought in the style of reasoning models, written for these tests, with what is to be found in them."""

import random
from dataclasses import dataclass, field

from warmup_rl.base.types import Problem
from warmup_rl.grading.choice import choose
from warmup_rl.knights.english import draw_quiz, render_quiz
from warmup_rl.knights.grammar import make_puzzle
from warmup_rl.knights.text import answer, to_meta
from warmup_rl.nano.sums import Sums


class Letters(Sums):
    """Any multiple-choice question with options A to D."""

    def grade(self, answer, problem):
        return choose(gold=problem.gold, answer=answer, letters="ABCD")


def kk_problem(puzzle, phrasing="english"):
    question = render_quiz(draw_quiz(puzzle, random.Random(0))) if phrasing == "english" else "kk : …"
    return Problem("p", "kk", question, answer(puzzle, phrasing), to_meta(puzzle, phrasing))


@dataclass(frozen=True)
class Written:
    """A trace and its structure: for each approach its label and its cluster."""

    question: str
    gold: str
    thinking: str
    parts: str
    labels: tuple[str, ...]
    clusters: tuple[int, ...]
    repaired: int = 0
    gone: tuple[str, ...] = ()
    domain: Sums = field(default_factory=lambda: Sums(name="written"))

    @property
    def problem(self):
        return Problem("written", "written", self.question, self.gold)


COUNTING = Written(
    "How many positive integers less than 100 are divisible by 3 or 5?",
    "46",
    """Alright, so I need to find how many positive integers less than 100 are divisible by 3 or 5. Let me think about how to do this.

First, I remember inclusion-exclusion: count the multiples of 3, add the multiples of 5, subtract the multiples of 15. The multiples of 3 below 100: 99/3 = 33. The multiples of 5 below 100: 95/5 = 19. The multiples of 15: 90/15 = 6. So 33 + 19 - 6 = 46.

Wait, is 100 counted? It says less than 100, so no. Let me double-check the multiples of 5: 5, 10, ..., 95. That's 19. Yes, that's correct.

Alternatively, I could use the complement. Numbers not divisible by 3 or 5: the density is (2/3)(4/5) = 8/15. Below 90 that gives 48 numbers, and from 91 to 99 the ones left are 91, 92, 94, 97, 98. So 48 + 5 = 53. And 99 - 53 = 46. Same result.

Let me try another approach, just listing in blocks of 15. Each block of 15 numbers has 7 multiples of 3 or 5: 3, 5, 6, 9, 10, 12, 15. There are 6 full blocks up to 90, giving 42. Then from 91 to 99: 93, 95, 96, 99. That makes 4. So 42 + 4 = 46.

Hmm, let me go through the inclusion-exclusion count again. Multiples of 3 below 100: 99/3 = 33. Multiples of 5: 95/5 = 19. Multiples of 15: 90/15 = 6. So 33 + 19 - 6 = 46. Okay.

To verify, check a smaller case: below 16 there are 3, 5, 6, 9, 10, 12, 15, so 7 numbers; the formula gives 5 + 3 - 1 = 7. Great.

**Final Answer**
\\boxed{46}""",  # noqa: E501
    "restatement exploration verification conclusion",
    ("correct", "correct", "correct"),
    (0, 1, 2),
    gone=("Hmm, let me go through the inclusion-exclusion count again.",),
)
REDONE = Written(
    "What is the sum of the roots of x^2 - 5x + 6 = 0, times 3?",
    "15",
    """Okay, so I need to find the sum of the roots of x^2 - 5x + 6 = 0, times 3. Let me think.

The quadratic is x^2 - 5x + 6 = 0. Let me factor it. We need two numbers that multiply to 6 and add to -5. Those are -2 and -3. So (x - 2)(x - 3) = 0, so x = 2 or x = 3. The sum is 2 + 3 = 5. Times 3 is 15.

Wait, let me double-check that. 2 + 3 = 5. Yes, that's right.

Alternatively, I could use Vieta's formulas. The sum of the roots is -b/a = 5. So 3 times that is 15.

Hmm, maybe there's another way. Let me use the quadratic formula: x = (5 ± sqrt(25 - 24))/2 = (5 ± 1)/2. So x = 3 or x = 2. So the sum is 3 + 2 = 6, and times 3 that gives 18.

Wait, that's not right. Let me redo the factoring approach. Two numbers that multiply to 6 and add to -5 are -2 and -3. So (x - 2)(x - 3) = 0, x = 2 or 3. The sum is 2 + 3 = 5 and 3 * 5 = 15.

Let me verify by plugging in x = 2: 4 - 10 + 6 = 0. Good. And x = 3: 9 - 15 + 6 = 0. Good.

So the final answer is \\boxed{15}.""",  # noqa: E501
    "restatement exploration verification conclusion",
    ("correct", "correct", "incomplete", "correct"),
    (0, 1, 2, 3),
    gone=("Wait, let me double-check that. 2 + 3 = 5. Yes, that's right.",),
)
UNFINISHED = Written(
    "Solve x^2 - 4x - 12 = 0 for the positive root.",
    "6",
    """The problem asks for the positive root of x^2 - 4x - 12 = 0.

Let me try completing the square. x^2 - 4x = 12, so (x - 2)^2 = 12 + 4 = 18. So x = 2 + sqrt(18), which isn't nice. Hmm, this is getting messy.

Wait, maybe a better way: factor it. I need numbers with product -12 and sum -4. -6 and 2 work: -6 * 2 = -12 and -6 + 2 = -4. So (x - 6)(x + 2) = 0.

Let me check. x = 6 gives 36 - 24 - 12 = 0. So x = 6 is a root, and it's positive.

And x = -2 gives 4 + 8 - 12 = 0 as well, but it's negative.

So the answer is 6.""",  # noqa: E501
    "restatement exploration verification conclusion",
    ("incomplete", "correct"),
    (0, 1),
)
CASES = Written(
    "Find all real x with |x - 1| = 2x. What is the sum of all solutions?",
    "1/3",
    """We need to find all real x with |x - 1| = 2x.

Let me split it into cases.

Case 1: x >= 1. Then x - 1 = 2x, so x = -1. But that contradicts x >= 1, so no solution here.

Case 2: x < 1. Then 1 - x = 2x, so 3x = 1 and x = 1/3. This satisfies x < 1.

Let me verify: |1/3 - 1| = 2/3 and 2 * 1/3 = 2/3. Good.

Therefore, the answer is 1/3.""",
    "restatement exploration verification conclusion",
    ("incomplete", "correct"),
    (0, 1),
)
REPEATED = Written(
    "A train travels 120 km in 1.5 hours, then 80 km in 0.5 hours. What is its average speed in km/h?",
    "100",
    """So the problem says a train travels 120 km in 1.5 hours, then 80 km in 0.5 hours, and we need the average speed.

The speed of the first leg is 120 / 1.5 = 80 and that of the second is 80 / 0.5 = 160. The mean of the two is (80 + 160) / 2 = 120. So the answer is 120.

Wait, maybe a different approach is needed, since the legs take different times. The total distance is 120 + 80 = 200 and the total time is 1.5 + 0.5 = 2. So the average speed is 200 / 2 = 100.

Alternatively, weigh the speeds by time: 80 km/h for 1.5 hours and 160 km/h for 0.5 hours. That gives (80 * 1.5 + 160 * 0.5) / 2 = 200 / 2 = 100.

Let me do it another way to be sure. The total distance is 120 + 80 = 200 km, the total time is 1.5 + 0.5 = 2 hours. So the average speed is 200 / 2 = 100.

Therefore, the answer is 100.""",  # noqa: E501
    "restatement exploration conclusion",
    ("incorrect", "correct", "correct", "correct"),
    (0, 1, 2, 3),
)
INSULIN = Written(
    "Which organ makes insulin?\nA. liver\nB. pancreas\nC. kidney\nD. spleen",
    "B",
    """The question is which organ makes insulin. The options are liver, pancreas, kidney and spleen.

Insulin is a hormone that lowers blood sugar. I know it is made by beta cells in the islets of Langerhans, which are in the pancreas. So the answer would be B.

Wait, let me consider another way: elimination. The liver stores glycogen and answers to insulin, but does not make it. The kidney filters blood. The spleen filters old blood cells. So that leaves B.

Alternatively, think of diabetes: in type 1 diabetes the beta cells of the pancreas are destroyed, and insulin has to be injected. So B again.

Alternatively, insulin is a hormone that lowers blood sugar, made by beta cells in the islets of Langerhans, which are in the pancreas. So the answer would be B.

So the answer is B.""",  # noqa: E501
    "restatement exploration conclusion",
    ("correct", "correct", "correct", "correct"),
    (0, 1, 2, 0),
    gone=("Alternatively, insulin is a hormone",),
    domain=Letters(name="written"),
)
TRIANGLE = Written(
    "Let $ABC$ be a triangle with $AB = 13$, $BC = 14$, $CA = 15$. Find the area of the triangle.",
    "84",
    """Okay, so I have this triangle ABC with sides AB = 13, BC = 14, and CA = 15. I need to find the area. Hmm, let me recall the formulas for the area of a triangle when the three sides are known.

Heron's formula comes to mind. The semi-perimeter is s = (13 + 14 + 15)/2. Let me compute that: 13 + 14 = 27, 27 + 15 = 42, so s = 42/2 = 21. Then the area is sqrt(s(s-a)(s-b)(s-c)) = sqrt(21 * 8 * 7 * 6).

Let me calculate each part: 21 - 13 = 8, 21 - 14 = 7, 21 - 15 = 6. So the product is 21 * 8 = 168, 168 * 7 = 1176, and 1176 * 6 = 7056. The square root of 7056 is 84, since 84^2 = 7056.

Wait, let me make sure that 84^2 is 7056. 80^2 = 6400, 2*80*4 = 640, 4^2 = 16, so 6400 + 640 + 16 = 7056. Yes, that's correct.

So the area is 84.

But wait, let me verify this using another method, to be sure. Maybe using coordinate geometry. Place B at (0, 0) and C at (14, 0). Then A = (x, y) with x^2 + y^2 = 169 and (x - 14)^2 + y^2 = 225. Subtracting: (x - 14)^2 - x^2 = 56, so -28x + 196 = 56, so x = 5. Then y^2 = 169 - 25 = 144, so y = 12. The area is (1/2) * 14 * 12 = 84. Same answer.

Alternatively, the height on BC is 12, so it splits into the right triangles 5-12-13 and 9-12-15. Their areas are 30 and 54, and 30 + 54 = 84.

Alternatively, I can use the formula with the sine: area = (1/2)ab sin C. By the law of cosines, cos B = (13^2 + 14^2 - 15^2)/(2*13*14) = 140/364 = 5/13. Then sin B = 12/13, and the area is (1/2)*13*14*12/13 = 84.

Hold on, let me go back to Heron's formula and recompute. s = (13 + 14 + 15)/2 = 21. s - a = 8, s - b = 7, s - c = 6. The product 21 * 8 * 7 * 6 = 7056, and the square root of 7056 is 84. So the area is 84.

All methods agree, so the area of the triangle is 84.

**Final Answer**

The area of the triangle is \\boxed{84}.""",  # noqa: E501
    "exploration conclusion",
    ("correct",) * 5,
    (0, 1, 2, 3, 4),
)
THRICE = Written(
    "If 2x + 3 = 11 and y = 3x - 2, what is y?",
    "10",
    """First I solve 2x + 3 = 11: 2x = 8, so x = 4. Then y = 3*4 - 2 = 10.

Wait, let me double check. 2*4 + 3 = 11, correct. y = 3*4 - 2 = 10. Yes, 10 is right.

Let me just double-check one more time. 2*4 + 3 = 11. Correct. y = 3*4 - 2 = 10. Yes.

Before I answer, let me check x = 4 in the first equation: 8 + 3 = 11.

So the answer is 10.""",
    "exploration verification conclusion",
    ("correct",),
    (0,),
    gone=("Let me just double-check one more time.",),
)
WRITTEN = {
    "triangle": TRIANGLE, "thrice": THRICE,
    "counting": COUNTING, "redone": REDONE, "unfinished": UNFINISHED, "cases": CASES, "repeated": REPEATED,
    "insulin": INSULIN,
}  # fmt: skip

OPTIONS = "Which lamp is the brightest?\nA. the desk lamp\nB. the torch\nC. the flood light\nD. the candle\nE. the lantern\nF. the bulb"  # noqa: E501
ECHOED = """Okay, the options are A. the desk lamp, B. the torch, C. the flood light, D. the candle, E. the lantern and F. the bulb.

A flood light is made to light a whole field, so it has the most lumens of these lamps. So the answer is C.

Let me verify the other options:
A. A desk lamp lights a table.
B. A torch is held in the hand and its battery is small.
C. A flood light has the most lumens.
D. A candle has about twelve lumens and smells of wax.
E. A lantern hangs in a tent.
F. A bulb is what the others are made of.

So C is right.

Therefore, the answer is C."""  # noqa: E501
ORDERED = """The lamps have 14 grams, 12 grams, 16 grams and 18 grams. Option C has the order 3, 1, 2, 4 and option D has 4, 2, 1, 3. By weight I get 3, 1, 4, 2, and that is neither of them.

Actually, the fourth lamp is heavier than that, since its case is made of lead.

Let me check the order of the lamps again: they have 14 grams, 12 grams, 16 grams and 18 grams. The order by weight has the case in it: option C has the order 3, 1, 2, 4. This matches option C!

Alternatively, go by size.

Therefore, the answer is C."""  # noqa: E501
ONCE = """At the first corner the path goes from 1 to 2, from 2 to 3, from 3 to 1, from 1 to 3, from 3 to 2 and from 2 to 1. So the first corner turns right.

At the second corner we go from 2 to 1, from 1 to 2, from 2 to 3, and then from 3 to 2 and from 1 to 1. So it turns left.

Let me check the third corner as well. Coming from 1, go on to 2; behind it lies 2, below 3 and above 3, next to 1 on its way to 1. The corner is seen from above, and its sides run 3, 3, 2. So it turns right. Good, that works.

Alternatively, look at the map.

Therefore, the answer is right."""  # noqa: E501
MIRRORED = """The line has the point u = 4, v = 8.

Check: 2*(16) - 3*(4)*(8) + (64) = 32 - 96 + 64 = 0. Correct.

It also has the point u = -4, v = -8.

Check: 2*(16) - 3*(-4)*(-8) + (64) = 32 - 96 + 64 = 0. Correct.

Okay, the line fits.

Therefore, the answer is C."""
NO_REPETITIONS = {
    "a point with the other signs": ("Which line solves 2u^2 - 3uv + v^2 = 0? A. u = v B. v = 3u C. v = 2u", MIRRORED),
    "the options are the question's, what is said of them is new": (OPTIONS, ECHOED),
    "a second look at what was corrected concludes something": ("In which order? C. 3, 1, 2, 4 D. 4, 2, 1, 3", ORDERED),
    "three values that came in all orders": ("Where does the path turn?", ONCE),
}

THREE = make_puzzle(
    ["Zoey", "Oliver", "Mia"],
    [("lying", 2), ("<=>", ("telling-truth", 0), ("lying", 2)), ("and", ("telling-truth", 0), ("lying", 1))],
)
ISLAND = """Okay, let's see. I need to figure out who is a knight and who is a knave here. Zoey says Mia is a knave. Oliver says Zoey is a knight if and only if Mia is a knave. Mia says Zoey is a knight and Oliver is a knave.

Hmm, knights always tell the truth and knaves always lie. Let me think about where to start.

Let's start by assuming Mia is a knight. Then what she says is true, so Zoey is a knight and Oliver is a knave. But if Zoey is a knight, then her statement that Mia is a knave must be true. That contradicts our assumption that Mia is a knight. So Mia can't be a knight.

Therefore, Mia must be a knave. Now Zoey says "Mia is a knave", which is true. So Zoey is a knight. Oliver says Zoey is a knight if and only if Mia is a knave. Both are true, so Oliver's statement is true and Oliver is a knight.

Wait, let me double-check Mia's statement. Mia says Zoey is a knight and Oliver is a knave. Oliver is a knight, so the statement is false. Mia is a knave, so that's consistent. Yes, that checks out.

Alternatively, let me try assuming Zoey is a knave. Then Mia is a knight. If Mia is a knight, then Zoey is a knight and Oliver is a knave. That's a contradiction, since Zoey is a knave. So Zoey is a knight.

Hmm, let me try again from the start. Suppose Mia is a knight. Then Zoey is a knight and Oliver is a knave. But Zoey says Mia is a knave, which would be false. Contradiction. So Mia is a knave.

Let me verify everything once. Zoey is a knight and says Mia is a knave: true. Oliver is a knight: his statement is true. Mia is a knave: her statement is false.

So the answer is: Zoey is a knight, Oliver is a knight, and Mia is a knave."""  # noqa: E501
TWO = make_puzzle(["Zoey", "Oliver"], [("<=>", ("telling-truth", 1), ("lying", 1)), ("lying", 0)])
GUESSED = """I think the answer is that Zoey is a knave and Oliver is a knight. Let me check that.

Zoey says that Oliver is a knight if and only if Oliver is a knave. That's always false, so Zoey is a knave. \
Oliver says Zoey is a knave. That's true, so Oliver is a knight. OK so it's consistent.

So Zoey is a knave and Oliver is a knight."""
LISTED = """Okay.

Zoey: Oliver is a knight if and only if Oliver is a knave.
Oliver: Zoey is a knave.

Zoey's statement is never true, so Zoey is a knave. Then Oliver's statement is true, so Oliver is a knight."""
ASKED = """Zoey says that Oliver is a knight if and only if Oliver is a knave. That's always false, so Zoey is a knave.

Could Oliver be a knave? Then Oliver's statement that Zoey is a knave would be true. A knave can't say that, \
contradiction. So Oliver is a knight."""
ISLANDERS = {"talk": (THREE, ISLAND), "guess": (TWO, GUESSED), "list": (TWO, LISTED), "question": (TWO, ASKED)}
"""Talk about puzzles, each with its puzzle."""
PLAIN = [
    "", "plain words", "next", "so x", "next case1 p1 A=knight next #1 knight(A) A=knight true so A=knight",
    "next case1 p1 A=knight next #1 x bad next recheck case1 p1 A=knight next #1 x ok next solved case1",
    "next case1 p1 A=knight next #1 x bad next recheck case2 p1 A=knave next #1 x bad next solved case1",
    "next recheck case1 p1 A=knight next #1 x bad",
    "next case1 p1 A=knight next #1 x bad next wait next case2 p1 A=knave next #1 x ok so A=knave",
    "next case1 p1 A=knight next solved case1 next case2 p1 A=knave",
    "Wait, let me double-check that. No, that was wrong: Bob is a knave.",
    "I said: Wait, let me double-check that. Yes, that still holds.",
    "Wir nehmen an, Bob sei ein Ritter. Dann sagt er die Wahrheit. Also ist Ann ein Schurke.",
]  # fmt: skip
"""Texts about a puzzle without a plain repetition."""
DOUBTED = [
    ("", "no words"),
    ("Therefore, the answer is 15.", None),
    (" \n ", "no words"),
    (
        "我们先假设 Bob 是骑士。 然后 他 说 真话。 所以 Ann 是 骑士。",
        "few common English words: another language, or formulas only",
    ),
    (
        "and so we add it to the sum that we have, " * 200,
        "over 4,000 characters without a line break: no parts to tell apart",
    ),
]
"""Texts about a sum, and why they are not taken apart; None where they are."""
