"""A domain of your own: its problems, and how an answer is graded. Parity: is the number of ones odd or even?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import ClassVar

from warmup_rl.base.types import Grade, Problem, Split
from warmup_rl.interfaces.domain import Domain, problem_id, split_of


class Parity(Domain):
    """Whether a string of bits holds an odd number of ones."""

    type: ClassVar[str] = "parity"

    bits: tuple[int, int] = (4, 10)
    """Length of the string, [min, max]."""

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        lengths = range(self.bits[0], self.bits[1] + 1)
        words = ["".join(word) for length in lengths for word in product("01", repeat=length)]
        words = [word for word in words if split_of(f"parity/{word}") == split]  # a string stays in one split for good
        random.Random(f"parity/{split}/{seed}").shuffle(words)
        for word in words:
            gold = "odd" if word.count("1") % 2 else "even"
            question = f"Is the number of ones in {word} odd or even?"
            yield Problem(problem_id(["parity", word]), self.name or self.type, question, gold, {"word": word})

    def default_instruction(self) -> str:
        return "Answer with one word: odd or even."

    def grade(self, answer: str, problem: Problem) -> Grade:
        word = answer.strip().strip(".").lower()
        if word not in ("odd", "even"):
            return Grade("none", None, "neither odd nor even")
        return Grade("correct" if word == problem.gold else "wrong", word)

    def chance_accuracy(self, problem: Problem) -> float:
        return 0.5
