"""Sums: a chain of additions and subtractions, reduced modulo a number; graded as mathematics."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from warmup_rl.base.types import Grade, Problem, Split
from warmup_rl.grading.math import same_answer
from warmup_rl.interfaces.domain import Domain, problem_id
from warmup_rl.nano.chains import Phrasing, Span, distinct, goes_through


class Sums(Domain):
    """Start with a number, add and subtract others, give the remainder."""

    type: ClassVar[str] = "sums"

    operations: Span = (3, 8)
    """Additions and subtractions in a problem, [min, max]."""
    modulus: int = Field(default=97, ge=2)
    """The answer is the remainder modulo this number, so that a guess is right once in `modulus`."""
    phrasing: Phrasing = "english"
    """`english` for models that read English; `terse`, one token a word, for tiny ones."""

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        return distinct(self._draw, label="sums", split=split, seed=seed)

    def grade(self, answer: str, problem: Problem) -> Grade:
        return same_answer(gold=problem.gold, answer=answer)

    def chance_accuracy(self, problem: Problem) -> float:
        return 1 / self.modulus

    def reference(self, problem: Problem) -> str:
        return problem.gold if self.phrasing == "terse" else f"\\boxed{{{problem.gold}}}"

    def default_instruction(self) -> str:
        return "" if self.phrasing == "terse" else "Give the remainder as a whole number in \\boxed{}."

    def shows_work(self, thinking: str, problem: Problem) -> bool | None:
        return goes_through(thinking, len(problem.meta["operands"])) if self.phrasing == "terse" else None

    def steps(self, problem: Problem) -> list[str]:
        """The sentences of a solution: `next #k VALUE OPERAND RESULT`, one an operation, then `next solved RESULT`."""
        value, sentences = problem.meta["start"], []
        for number, operand in enumerate(problem.meta["operands"], start=1):
            result = (value + operand) % self.modulus
            sentences.append(f"next #{number} {value} {operand:+d} {result}")
            value = result
        return [*sentences, f"next solved {value}"]

    def _draw(self, rng: random.Random) -> tuple[str, Problem]:
        start = rng.randrange(self.modulus)
        count = rng.randint(*self.operations)
        operands = [rng.choice((1, -1)) * rng.randrange(1, self.modulus) for _ in range(count)]
        meta = {"start": start, "operands": operands, "modulus": self.modulus}
        question = self._terse(start, operands) if self.phrasing == "terse" else self._english(start, operands)
        gold = str((start + sum(operands)) % self.modulus)
        # Additions commute, so problems that differ in the order of operands alone are one problem.
        key = f"sums/{self.modulus}/{start}/{sorted(operands)}"
        return key, Problem(problem_id(["sums", question]), self.name or self.type, question, gold, meta)

    def _terse(self, start: int, operands: list[int]) -> str:
        chain = " ".join(f"#{number} {operand:+d}" for number, operand in enumerate(operands, start=1))
        return f"sums : {start} {chain} ?"

    def _english(self, start: int, operands: list[int]) -> str:
        commands = [f"add {operand}" if operand > 0 else f"subtract {-operand}" for operand in operands]
        chain = ", then ".join(commands)
        return f"Start with {start}, {chain}. What is the remainder of the result when divided by {self.modulus}?"
