"""A grader of your own for rows of a file, as a class: with settings, and with what a function cannot say.

    domains: {mine: {type: jsonl, file: rows.jsonl, grader: {type: ./examples/order_grader.py:Order, separator: ">"}}}

Where a function that says True or False is enough, see `grader.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import factorial
from typing import Any, ClassVar

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Grade, Problem
from warmup_rl.interfaces.grader import Grader


class Order(Grader):
    """The reference answer lists things in their order, such as `tea, milk, sugar`."""

    type: ClassVar[str] = "order"
    instruction: ClassVar[str] = "Answer with the list in its order, and nothing else."

    separator: str = ","
    """What stands between two things."""

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        things = self._things(written)
        if len(things) < 2:
            raise DataError(f"{place}: an order of two or more things is needed (got {written!r}).")
        return f"{self.separator} ".join(things), {}

    def grade(self, answer: str, problem: Problem) -> Grade:
        given, right = self._things(answer), self._things(problem.gold)
        if sorted(given) != sorted(right):
            return Grade("none", None, "not an order of the things asked for")
        return Grade("correct" if given == right else "wrong", ", ".join(given))

    def chance_accuracy(self, problem: Problem) -> float:
        return 1 / factorial(len(self._things(problem.gold)))

    def adversarial_answers(self, problem: Problem) -> Iterator[tuple[str, str]]:
        yield "the order reversed", self.separator.join(reversed(self._things(problem.gold)))

    def _things(self, text: str) -> list[str]:
        return [" ".join(thing.lower().split()) for thing in text.strip(" .").split(self.separator)]
