"""MMLU-Pro (arXiv 2406.01574): multiple choice with up to ten options, by category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Problem
from warmup_rl.data.datasets import Source
from warmup_rl.domains.graders import ChoiceGrader
from warmup_rl.domains.rows import OneSplitDomain, Row, RowDomain, question_id, text_of
from warmup_rl.grading.letters import with_options

LETTERS = "ABCDEFGHIJ"


class MmluPro(OneSplitDomain):
    """Questions of some categories. Which ones are for training depends on content; the rest is the test split."""

    type: ClassVar[str] = "mmlu_pro"
    REWARDS: ClassVar[Mapping[str, Any]] = {**RowDomain.REWARDS, "no_answer": -0.5}
    """The table of arXiv 2505.13718, in which an answer without a letter is a wrong one."""

    data: Source = Source(path="TIGER-Lab/MMLU-Pro", split="test")
    """All rows: fields question, options, answer (a letter) and category."""
    categories: list[str] = Field(default=[])
    """Categories, such as physics or history; empty for all."""
    train: int = Field(default=100, ge=0)
    """Train problems per category, as in the paper (arXiv 2505.13718)."""

    def answer_grader(self) -> ChoiceGrader:
        return ChoiceGrader()

    def read_row(self, row: Row, place: str) -> Problem | None:
        category = text_of(row, "category", place)
        if self.categories and category not in self.categories:
            return None
        options = row.get("options")
        if not isinstance(options, list) or not 2 <= len(options) <= len(LETTERS):
            raise DataError(f"{place}: 'options' must be a list of 2 to {len(LETTERS)} texts. Fix or remove the row.")
        letters, gold = LETTERS[: len(options)], text_of(row, "answer", place).strip()
        if len(gold) != 1 or gold not in letters:
            raise DataError(f"{place}: 'answer' is {gold!r}, not one of {', '.join(letters)}. Fix or remove the row.")
        question = with_options(text_of(row, "question", place).strip(), options)
        meta = {"group": f"category={category}", "letters": letters}
        return Problem(question_id("mmlu_pro", question), self.name or self.type, question, gold, meta)

    def read(self, row: Row, place: str) -> Problem:
        """Options are those under `options`, or the lines of the question that begin with `A.`, `B.` and so on."""
        problem = super().read(row, place)
        if isinstance(row.get("problem"), Mapping):
            return problem
        grader = ChoiceGrader(options="options" if isinstance(row.get("options"), list) else None)
        gold, meta = grader.read({**row, "question": problem.question}, problem.gold, place)
        question = with_options(problem.question, meta.pop("options", ()))
        return replace(problem, question=question, gold=gold, meta={**meta, "group": None})
