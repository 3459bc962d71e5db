"""The interface of graders: how answers to the rows of a data set are compared with their reference answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from warmup_rl.base.types import Grade, Problem
from warmup_rl.grading.final_answer import boxed, stated
from warmup_rl.interfaces.plugins import Kind, Plugin


class Grader(Plugin, ABC):
    """Settings of a grader. A domain over rows has one; `jsonl` takes it by name from a recipe."""

    plugin_kind: ClassVar[Kind] = "grader"
    is_slow: ClassVar[bool] = False
    """Whether grading waits for other processes."""
    instruction: ClassVar[str] = ""
    """Text after the question if the recipe gives none."""

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        """The reference answer in the form that `grade` takes, and the problem's `meta` (JSON values).

        Args:
            row: with a column `question`.
            written: the reference answer in the row.
            place: of the row, for the message of the `DataError` that is raised if it is invalid.
        """
        return written.strip(), {}

    def fitted(self, golds: Sequence[str]) -> Grader:
        """The grader with what it takes from all reference answers of the file, as written, such as the labels; here:
        unchanged."""
        return self

    @abstractmethod
    def grade(self, answer: str, problem: Problem) -> Grade:
        """Grades a bare answer. Raises `Unscorable` if the grader itself fails."""

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """See `Domain.final_answer`."""
        return boxed(text) or stated(text)

    def answer_if_cut(self, text: str, problem: Problem) -> str | None:
        """See `Domain.answer_if_cut`."""
        return boxed(text)

    def reference(self, problem: Problem) -> str:
        """An answer text that must grade correct."""
        return problem.gold

    def fault(self, problem: Problem) -> str:
        """Why a reference answer cannot be used; empty if it grades correct."""
        grade = self.grade(self.reference(problem), problem)
        return "" if grade.verdict == "correct" else f"it does not grade correct ({grade.note or grade.verdict})"

    def chance_accuracy(self, problem: Problem) -> float:
        """Probability that a uniform guess over the problem's answer space is correct."""
        return 0.0

    def canonical(self, problem: Problem) -> str | None:
        """See `Domain.canonical`."""
        return None

    def adversarial_answers(self, problem: Problem) -> Iterator[tuple[str, str]]:
        """See `Domain.adversarial_answers`."""
        return iter(())
