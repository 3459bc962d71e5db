"""Competition and grade-school mathematics: MATH with MATH-500 as its test split, and GSM8K."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, model_validator

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Problem, Split
from warmup_rl.data.datasets import Source
from warmup_rl.domains.graders import MathGrader
from warmup_rl.domains.rows import Row, RowDomain, question_id, text_of
from warmup_rl.grading.final_answer import boxed


class _Mathematics(RowDomain):
    """Two published splits, graded as mathematics."""

    train: Source
    test: Source

    def answer_grader(self) -> MathGrader:
        return MathGrader()

    def solution(self, problem: Problem) -> str | None:
        """The solution that the data set publishes."""
        return problem.meta.get("solution")

    def sources(self) -> Mapping[Split, Source]:
        return {"train": self.train, "test": self.test}


class Math(_Mathematics):
    """MATH (arXiv 2103.03874): its train split, and the 500 test problems of arXiv 2305.20050 (MATH-500)."""

    type: ClassVar[str] = "math"

    train: Source = Source(path="DigitalLearningGmbH/MATH-lighteval", split="train")
    """Rows to train on: fields problem, and answer or a boxed solution."""
    test: Source = Source(path="HuggingFaceH4/MATH-500", split="test")
    """Rows to measure with; problems that are also in `train` are left out there."""
    levels: tuple[int, int] = (1, 5)
    """Lowest and highest difficulty level; rows without a level are kept only with [1, 5]."""
    subjects: list[str] = Field(default=[])
    """Subjects, such as Algebra or Number Theory; empty for all."""

    @model_validator(mode="after")
    def _levels_fit(self) -> Math:
        if not 1 <= self.levels[0] <= self.levels[1] <= 5:
            raise ValueError(f"levels: two numbers from 1 to 5, the lower first, got {list(self.levels)}")
        return self

    def read_row(self, row: Row, place: str) -> Problem | None:
        question = text_of(row, "problem", place)
        level = _level(row)
        subject = str(row.get("subject") or row.get("type") or "")
        wanted = {name.lower() for name in self.subjects}
        in_range = self.levels == (1, 5) if level is None else self.levels[0] <= level <= self.levels[1]
        if wanted and subject.lower() not in wanted or not in_range:
            return None
        if row.get("answer") is None and row.get("solution") is None:
            raise DataError(
                f"{place}: 'answer' is empty, and there is no 'solution'. Fix the row, or set "
                "`drop_bad_golds: true` to leave such rows out."
            )
        gold = row.get("answer") or boxed(text_of(row, "solution", place))
        if not gold:
            raise DataError(f"{place}: neither 'answer' nor a boxed answer in 'solution'. Fix or remove the row.")
        meta = {"group": f"level={level}" if level else None, "subject": subject, "solution": row.get("solution")}
        return Problem(question_id("math", question), self.name or self.type, question, str(gold), meta)


class Gsm8k(_Mathematics):
    """Grade-school word problems (arXiv 2110.14168); the reference answer is the number after `####`."""

    type: ClassVar[str] = "gsm8k"

    train: Source = Source(path="openai/gsm8k", name="main", split="train")
    """Rows to train on: fields question and answer."""
    test: Source = Source(path="openai/gsm8k", name="main", split="test")
    """Rows to measure with."""

    def read_row(self, row: Row, place: str) -> Problem:
        question, solution = text_of(row, "question", place), text_of(row, "answer", place)
        _, marked, number = solution.rpartition("####")
        gold = number.strip().replace(",", "")
        if not marked or not gold:
            raise DataError(f"{place}: 'answer' does not end with '#### NUMBER'. Fix or remove the row.")
        worked = re.sub(r"<<[^<>]*>>", "", solution[: -len(f"{marked}{number}")]).strip()
        meta = {"solution": worked}
        return Problem(question_id("gsm8k", question), self.name or self.type, question, gold, meta)


def _level(row: Row) -> int | None:
    """1 to 5, from `level` as in `Level 3` or `3`; from `difficulty` if that is such a number."""
    found = re.search(r"[1-5](?!\d)", str(row.get("level") or row.get("difficulty") or ""))
    return int(found[0]) if found else None
