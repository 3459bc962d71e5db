"""Sums: a chain of additions and subtractions modulo a number; graded as mathematics."""

from __future__ import annotations

import random
from typing import Any, ClassVar

from pydantic import Field

from warmup_rl.base.types import Grade, Problem
from warmup_rl.grading.final_answer import stated_mathematics
from warmup_rl.nano.chains import ChainDomain, Span


class Sums(ChainDomain):
    """Add numbers to a start value, subtract others, and give the remainder."""

    type: ClassVar[str] = "sums"

    operations: Span = (3, 8)
    """Additions and subtractions in a problem, [min, max]."""
    modulus: int = Field(default=97, ge=2)
    """The answer is the remainder modulo this number, so a guess is correct once in `modulus`."""

    def draw(self, rng: random.Random) -> dict[str, Any]:
        start = rng.randrange(self.modulus)
        count = rng.randint(*self.operations)
        operands = [rng.choice((1, -1)) * rng.randrange(1, self.modulus) for _ in range(count)]
        return {"start": start, "operands": operands, "modulus": self.modulus}

    def key(self, meta: dict[str, Any]) -> str:
        """Independent of the order of the operands, since addition commutes."""
        return f"sums/{meta['modulus']}/{meta['start']}/{sorted(meta['operands'])}"

    def question(self, meta: dict[str, Any]) -> str:
        start, operands = meta["start"], meta["operands"]
        if self.is_terse:
            chain = " ".join(f"#{number} {operand:+d}" for number, operand in enumerate(operands, start=1))
            return f"sums : {start} {chain} ?"
        chain = ", then ".join(f"add {operand}" if operand > 0 else f"subtract {-operand}" for operand in operands)
        return f"Start with {start}, {chain}. What is the remainder of the result when divided by {self.modulus}?"

    def gold(self, meta: dict[str, Any]) -> str:
        return str((meta["start"] + sum(meta["operands"])) % self.modulus)

    def steps(self, problem: Problem) -> list[str]:
        """`next #k VALUE OPERAND RESULT` for each operation, then `next solved RESULT`."""
        value, sentences = problem.meta["start"], []
        for number, operand in enumerate(problem.meta["operands"], start=1):
            result = (value + operand) % self.modulus
            sentences.append(f"next #{number} {value} {operand:+d} {result}")
            value = result
        return [*sentences, f"next solved {value}"]

    def worked(self, problem: Problem) -> str:
        value, lines = problem.meta["start"], []
        for operand in problem.meta["operands"]:
            lines.append(f"{value} {'-' if operand < 0 else '+'} {abs(operand)} = {value + operand}")
            value += operand
        return "\n".join([*lines, f"The remainder of {value} divided by {self.modulus} is {value % self.modulus}."])

    def grade(self, answer: str, problem: Problem) -> Grade:
        from warmup_rl.grading.math import same_answer  # its tables take longer to make than most recipes to check

        return same_answer(gold=problem.gold, answer=answer)

    def final_answer(self, text: str, problem: Problem) -> str | None:
        return stated_mathematics(text)

    def chance_accuracy(self, problem: Problem) -> float:
        return 1 / self.modulus

    def reference(self, problem: Problem) -> str:
        return problem.gold if self.is_terse else f"\\boxed{{{problem.gold}}}"

    def default_instruction(self) -> str:
        return "" if self.is_terse else "Give the remainder as a whole number in \\boxed{}."
