"""The user's own problems: rows of a file, a grader by name, and splits that make much of few labels."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field, model_validator

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import SPLITS, Grade, Problem, Split
from warmup_rl.data.datasets import Source
from warmup_rl.domains.graders import OwnGrader
from warmup_rl.domains.rows import Row, RowDomain, normal_question, rank, text_of
from warmup_rl.domains.similar_questions import groups_alike
from warmup_rl.grading.choice import with_options
from warmup_rl.interfaces.domain import problem_id

MOST_HELD_OUT = 20
"""Rows held out where a recipe says nothing, or a quarter of all rows where that is less."""


class UserRows(RowDomain):
    """Problems out of your own file; `python -m warmup_rl init FILE` writes this block for you."""

    type: ClassVar[str] = "jsonl"
    public: ClassVar[bool] = False

    file: Source
    """JSON lines, JSON, CSV, TSV or Parquet, also gzipped; or the id of a hub dataset."""
    question: str = "question"
    """Column with the question, or a template with columns in braces, such as `{context}\\n\\n{question}`."""
    answer: str = "answer"
    """Column with the reference answer."""
    answer_after: str | None = None
    """Where a column holds a whole solution: a mark, such as `####`, after which the reference answer stands."""
    grader: OwnGrader
    """How answers are graded: math, number, choice, exact, set, json, regex, code, kk, or `python: my_rules.py:grade`;
    with keys of its own as a mapping, such as `{type: number, tolerance: 0.01, units: [km]}`."""
    holdout: int | None = Field(default=None, gt=0)
    """Rows that are measured and never trained on; 20, or a quarter of all, where neither this nor `folds` is given."""
    folds: int | None = Field(default=None, ge=2, le=20)
    """Cross-validation in place of a holdout: every row is measured once, by a model that did not see it, and a last
    model is trained on all rows."""
    fold: int | None = Field(default=None, ge=0)
    """The fold that is measured, counted from 0; set by the run. None trains on all rows and measures none."""
    validation: int = Field(default=0, ge=0)
    """Rows for picking something, such as the best of several prompts: never trained on, and in no fold."""
    alike: float = Field(default=0.95, gt=0, le=1)
    """Questions with the same numbers and at least so similar (1 is the same) stay on one side of a split."""

    @model_validator(mode="after")
    def _one_way_to_split(self) -> UserRows:
        if self.holdout is not None and self.folds is not None:
            raise ValueError("holdout: give either holdout or folds")
        if self.fold is not None and (self.folds is None or self.fold >= self.folds):
            raise ValueError(f"fold: one of {self.folds or 0} folds, counted from 0")
        return self

    @property
    def is_slow(self) -> bool:  # type: ignore[override]
        return self.grader.is_slow

    def space(self) -> str:
        rows = sum(len(found) for found in self.table().problems.values())
        return f"{rows:,} rows in {self.folds} folds" if self.fold_count else super().space()

    @property
    def fold_count(self) -> int:
        return (self.folds or 0) if self.fold is None else 0

    def sources(self) -> Mapping[Split, Source]:
        return {"test": self.file}

    def digest(self) -> str:
        return f"{super().digest()} {self.grader.digest()}".strip()

    def read_row(self, row: Row, place: str) -> Problem:
        question, written = self._question(row, place), text_of(row, self.answer, place)
        if self.answer_after is not None:
            _, mark, written = written.rpartition(self.answer_after)
            if not mark or not written.strip():
                raise DataError(f"{place}: {self.answer!r} holds nothing after {self.answer_after!r}.")
        question, gold, meta = self._graded({**row, "question": question}, written, place)
        key = problem_id([self.type, normal_question(question)])
        return Problem(key, self.name or self.type, question, gold, meta)

    def read(self, row: Row, place: str) -> Problem:
        problem = super().read(row, place)
        if isinstance(row.get("problem"), Mapping):
            return problem
        question, gold, meta = self._graded(row, problem.gold, place)
        return replace(problem, question=question, gold=gold, meta=meta)

    def _graded(self, row: Row, written: str, place: str) -> tuple[str, str, dict[str, Any]]:
        """Question with its options, gold and meta of a row with a question, as the grader takes them."""
        gold = self.grader.gold(row, written, place)
        meta = self.grader.meta(row, gold, place)
        return with_options(row["question"], meta.pop("options", ())), gold, meta

    def divide(self, problems: Mapping[Split, Iterable[Problem]]) -> dict[Split, list[Problem]]:
        """By content alone; rows that are nearly the same go to the same side."""
        rows = list(problems["test"])
        groups = sorted(groups_alike(rows, [row.question for row in rows], self.alike), key=lambda group: _place(group))
        found: dict[Split, list[Problem]] = {split: [] for split in SPLITS}
        if self.folds is None:
            wanted = min(self.holdout or min(MOST_HELD_OUT, max(1, len(rows) // 4)), len(rows))
            found["test"], groups = _first(groups, wanted)
        found["validation"], groups = _first(groups, self.validation)
        if self.folds is not None and len(groups) < self.folds:
            raise DataError(
                f"{self.file.path}: {self.folds} folds need as many rows that are not alike; there are {len(groups)}. "
                "Give fewer folds, or a `holdout`."
            )
        if self.folds is not None and self.fold is not None:
            parts = deal(groups, self.folds)
            found["test"] = [problem for group in parts[self.fold] for problem in group]
            groups = [group for number, part in enumerate(parts) if number != self.fold for group in part]
        found["train"] = [problem for group in groups for problem in group]
        if not found["train"]:
            raise DataError(
                f"{self.file.path}: {len(rows)} different question{'s' * (len(rows) != 1)} in the column "
                f"{self.question!r}, and none is left to train on. Is it the right column? Else hold out fewer, or "
                "raise `alike` where most questions are nearly the same."
            )
        return found

    def keep_apart(
        self, problems: Mapping[Split, list[Problem]], left_out: Counter[str]
    ) -> Mapping[Split, list[Problem]]:
        """As they are: rows that are nearly the same are on one side already."""
        return problems

    def grade(self, answer: str, problem: Problem) -> Grade:
        return self.grader.grade(answer, problem)

    def reference(self, problem: Problem) -> str:
        return self.grader.reference(problem)

    def fault(self, problem: Problem) -> str:
        return self.grader.fault(problem)

    def chance_accuracy(self, problem: Problem) -> float:
        letters = problem.meta.get("letters")
        return 1 / len(letters) if letters else 0.0

    def default_instruction(self) -> str:
        return self.grader.instruction

    def _question(self, row: Row, place: str) -> str:
        if "{" not in self.question:
            return text_of(row, self.question, place).strip()
        fields = [name for _, name, _, _ in string.Formatter().parse(self.question) if name]
        values = {name: text_of(row, name, place) for name in fields}
        return self.question.format_map(values).strip()


def deal(groups: list[list[Problem]], folds: int) -> list[list[list[Problem]]]:
    """Groups dealt out to folds of nearly the same number of problems, the smallest fold next."""
    parts: list[list[list[Problem]]] = [[] for _ in range(folds)]
    sizes = [0] * folds
    for group in groups:
        smallest = sizes.index(min(sizes))
        parts[smallest].append(group)
        sizes[smallest] += len(group)
    return parts


def _place(group: list[Problem]) -> float:
    return min(rank(problem, "split") for problem in group)


def _first(groups: list[list[Problem]], wanted: int) -> tuple[list[Problem], list[list[Problem]]]:
    """Problems of the first groups, as many as wanted or up to a group more, and the groups that are left."""
    taken: list[Problem] = []
    for number, group in enumerate(groups):
        if len(taken) >= wanted:
            return taken, groups[number:]
        taken += group
    return taken, []
