"""MMLU-Pro (arXiv 2406.01574): multiple choice with up to ten options, by category; one letter, said strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import SPLITS, Grade, Problem, Split
from warmup_rl.data.datasets import Source
from warmup_rl.domains.rows import Row, RowDomain, question_id, rank, text_of
from warmup_rl.grading.choice import choose, with_options

LETTERS = "ABCDEFGHIJ"
_OPTION = re.compile(r"^\(?([A-J])[.):]", re.MULTILINE)


class MmluPro(RowDomain):
    """Questions of some categories; which are for training follows from their content, the rest is measured."""

    type: ClassVar[str] = "mmlu_pro"
    REWARDS: ClassVar[Mapping[str, Any]] = {**RowDomain.REWARDS, "no_answer": -0.5}
    """The table of arXiv 2505.13718, in which an answer without a letter is a wrong one."""

    data: Source = Source(path="TIGER-Lab/MMLU-Pro", split="test")
    """All rows: fields question, options, answer (a letter) and category."""
    categories: list[str] = Field(default=[])
    """Categories, such as physics or history; all where empty."""
    train: int = Field(default=100, ge=0)
    """Train problems of each category, as in the paper (arXiv 2505.13718)."""
    validation: int = Field(default=0, ge=0)
    """Validation problems of each category."""

    def sources(self) -> Mapping[Split, Source]:
        return {"test": self.data}

    def read_row(self, row: Row, place: str) -> Problem | None:
        category = text_of(row, "category", place)
        if self.categories and category not in self.categories:
            return None
        options = row.get("options")
        if not isinstance(options, list) or not 2 <= len(options) <= len(LETTERS):
            raise DataError(f"{place}: 'options' must be a list of 2 to {len(LETTERS)} texts. Mend or remove the row.")
        letters, gold = LETTERS[: len(options)], text_of(row, "answer", place).strip()
        if len(gold) != 1 or gold not in letters:
            raise DataError(f"{place}: 'answer' is {gold!r}, not one of {', '.join(letters)}. Mend or remove the row.")
        question = with_options(text_of(row, "question", place).strip(), options)
        meta = {"group": f"category={category}", "letters": letters}
        return Problem(question_id("mmlu_pro", question), self.name or self.type, question, gold, meta)

    def divide(self, problems: Mapping[Split, Iterable[Problem]]) -> dict[Split, list[Problem]]:
        found: dict[Split, list[Problem]] = {split: [] for split in SPLITS}
        seen: dict[str, int] = {}
        for problem in sorted(problems["test"], key=rank):
            category = problem.meta["group"]
            place = seen[category] = seen.get(category, 0) + 1
            train = place <= self.train
            split: Split = "train" if train else "validation" if place <= self.train + self.validation else "test"
            found[split].append(problem)
        return found

    def read(self, row: Row, place: str) -> Problem:
        """Options are those under `options`, or the lines of the question that begin with `A.`, `B.` and so on."""
        if isinstance(row.get("problem"), Mapping):
            return super().read(row, place)
        problem = super().read(row, place)
        options = row.get("options")
        found = _OPTION.findall(problem.question)
        count = len(options) if isinstance(options, list) else len(found)
        letters = LETTERS[:count]
        if count < 2 or problem.gold not in letters:
            raise DataError(f"{place}: 'gold' must be the letter of an option; options found: {', '.join(letters)}.")
        question = with_options(problem.question, options if isinstance(options, list) else ())
        return replace(problem, question=question, meta={"letters": letters, "group": None})

    def adversarial_answers(self, problem: Problem) -> Iterator[tuple[str, str]]:
        letters = problem.meta["letters"]
        yield "all options", ", ".join(letters)
        yield "a letter beyond the options", LETTERS[len(letters)] if len(letters) < len(LETTERS) else "K"
        yield "two letters", f"The answer is {letters[0]} or {letters[1]}"
        yield "a pronoun", "I think that it depends"

    def grade(self, answer: str, problem: Problem) -> Grade:
        return choose(gold=problem.gold, answer=answer, letters=problem.meta["letters"], question=problem.question)

    def chance_accuracy(self, problem: Problem) -> float:
        return 1 / len(problem.meta["letters"])

    def default_instruction(self) -> str:
        return "Answer with the letter of the right option."
