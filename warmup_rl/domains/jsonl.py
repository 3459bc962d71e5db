"""The user's own problems: rows of a file, a grader by name, and splits for small numbers of labeled rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar, Self, TypeVar
from zlib import crc32

from pydantic import Field, model_validator

from warmup_rl.base.console import counted
from warmup_rl.base.errors import DataError
from warmup_rl.base.types import SPLITS, Problem, Split
from warmup_rl.data.columns import value_at
from warmup_rl.data.datasets import Source
from warmup_rl.domains.graders import OwnGrader
from warmup_rl.domains.rows import SHARE, Row, RowDomain, normal_question, question_id, rank, text_of
from warmup_rl.grading.letters import with_options
from warmup_rl.interfaces.domain import fields_of
from warmup_rl.interfaces.grader import Grader

MOST_HELD_OUT = 20
"""Default number of held-out rows; a quarter of all rows if that is less."""

MAX_QUESTION = 1_000_000
"""Characters of a question; no model reads as much."""

T = TypeVar("T")
_FITTED: dict[tuple[str, str], Grader] = {}
_BLOCK = 64
_LONG, _SAMPLE = 5_000, 500
_WORD = re.compile(r"[^\W\u3000-\U0003ffff]{1,30}|\S")
"""Words; single characters in scripts without spaces."""
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
"""A column in a template; doubled braces stand for themselves."""


class UserRows(RowDomain):
    """Problems from a file of the user's; `python -m warmup_rl init FILE` writes this block for you."""

    type: ClassVar[str] = "jsonl"
    public: ClassVar[bool] = False

    file: Source
    """JSON lines, JSON, CSV, TSV or Parquet, also gzipped; or the id of a hub dataset."""
    question: str = "question"
    """Column with the question, or a template with columns in braces, such as `{context}\\n\\n{question}`. A path leads
    into a column: `answers.text[0]`; `messages[user]` is the last turn of that role. `{hint?}` may be empty: a
    paragraph whose columns are all empty is left out."""
    answer: str = "answer"
    """Column with the reference answer, a path into one, or a template such as `{value} {unit}`."""
    answer_after: str | None = None
    """If the column holds a whole solution: a mark, such as `####`, that the reference answer follows."""
    grader: OwnGrader
    """How answers are graded: math, number, choice, label, exact, set, json, sql, regex, code, kk, or
    `python: my_rules.py:grade`; with keys of its own as a mapping, such as `{type: number, units: [km]}`."""
    holdout: int | None = Field(default=None, gt=0)
    """Rows that are measured and never trained on; default without `folds`: 20, or a quarter of all rows if less."""
    folds: int | None = Field(default=None, ge=2, le=20)
    """Cross-validation in place of a holdout: every row is measured once, by a model that did not see it, and a last
    model is trained on all rows."""
    fold: int | None = Field(default=None, ge=0)
    """The fold that is measured, counted from 0; set by the run. None trains on all rows and measures none."""
    validation: int = Field(default=0, ge=0)
    """Rows for choosing, for example, the best of several prompts: never trained on, and in no fold. Where a recipe
    compares prompts and gives neither this key nor `folds`, a fifth of the rows to train on."""
    alike: float = Field(default=0.95, gt=0, le=1)
    """Questions with the same numbers and at least this similarity (1: equal) stay on one side of a split."""

    @model_validator(mode="after")
    def _one_way_to_split(self) -> UserRows:
        if self.holdout is not None and self.folds is not None:
            raise ValueError("holdout: give either holdout or folds")
        if self.fold is not None and (self.folds is None or self.fold >= self.folds):
            raise ValueError(f"fold: one of {self.folds or 0} folds, counted from 0")
        return self

    @property
    def fold_count(self) -> int:
        return self.folds if self.folds and self.fold is None else 0

    def with_validation(self) -> Self:
        if self.folds is not None or "validation" in self.model_fields_set:
            return self
        return self.model_copy(update={"validation": (self.rows_in("train") or 0) // SHARE})

    def answer_grader(self) -> Grader:
        """The grader, fitted once per process to the reference answers of the file."""
        if type(self.grader).fitted is Grader.fitted:
            return self.grader
        key = (repr(self), self.file.digest())
        if key not in _FITTED:
            golds: list[str] = []
            for place, row in self.file.rows():
                with suppress(DataError):
                    golds.append(self.written(row, place))
            _FITTED[key] = self.grader.fitted(golds)
        return _FITTED[key]

    def space(self) -> str:
        rows = sum(len(found) for found in self.table().problems.values())
        counts = f"{rows:,} rows in {self.folds} folds" if self.fold_count else super().space()
        return f"{counts}; {note}" if (note := self.file.note()) else counts

    def sources(self) -> Mapping[Split, Source]:
        return {"test": self.file}

    def read_row(self, row: Row, place: str) -> Problem:
        question, written = filled(row, self.question, place), self.written(row, place)
        if len(question) > MAX_QUESTION:
            raise DataError(
                f"{place}: a question of {len(question):,} characters; at most {MAX_QUESTION:,} are read. Is it the "
                "right column? If so, cut it or leave the row out."
            )
        row = {**row, "question": question}
        problem = self._graded(Problem("", self.name or self.type, question, written), row, place)
        return replace(problem, id=question_id(self.type, problem.question))

    def read(self, row: Row, place: str) -> Problem:
        problem = super().read(row, place)
        if isinstance(row.get("problem"), Mapping):
            return problem
        return self._graded(problem, {**row, "question": problem.question}, place)

    def _graded(self, problem: Problem, row: Row, place: str) -> Problem:
        """The problem with its reference answer as the grader takes it, and with its options in the question."""
        gold, meta = self.answer_grader().read(row, problem.gold, place)
        question = with_options(problem.question, meta.pop("options", ()))
        return replace(problem, question=question, gold=gold, meta=meta)

    def divide(self, problems: Mapping[Split, Iterable[Problem]]) -> dict[Split, list[Problem]]:
        """Splits by content only; rows that are nearly the same go to the same side."""
        self._require_optional_columns()
        rows = list(problems["test"])
        groups = similar_groups(rows, [row.question for row in rows], self.alike)
        groups.sort(key=lambda group: min(rank(problem, "split") for problem in group))
        found: dict[Split, list[Problem]] = {split: [] for split in SPLITS}
        if self.folds is None:
            wanted = min(self.holdout or min(MOST_HELD_OUT, max(1, len(rows) // 4)), len(rows))
            found["test"], groups = _first(groups, wanted)
        found["validation"], groups = _first(groups, self.validation)
        if self.folds is not None and len(groups) < self.folds:
            raise DataError(
                f"{self.file.path}: {self.folds} folds need as many rows that are not alike; there are "
                f"{len(groups)}. Give fewer folds, or a `holdout`."
            )
        if self.folds is not None and self.fold is not None:
            groups = _deal(groups, self.folds)
            found["test"] = groups.pop(self.fold)
        found["train"] = [problem for group in groups for problem in group]
        if not found["train"]:
            raise DataError(
                f"{self.file.path}: {counted(len(rows), 'different question')} in the column "
                f"{self.question!r}, and none is left to train on. Is it the right column? If so, hold out fewer, or "
                "raise `alike` if most questions are nearly the same."
            )
        return found

    def _require_optional_columns(self) -> None:
        """Raises `DataError` for an optional column that no row has, which would be left out in silence."""
        names = [name for name, optional in _fields(self.question) + _fields(self.answer) if optional]
        row: Row = {}
        for _, row in self.file.rows() if names else ():
            names = [name for name in names if name not in row and value_at(row, name) is None]
            if not names:
                return
        if names:
            raise DataError(f"{self.file.path}: no row has {names[0]!r} ({fields_of(row)}). Name the right field.")

    def keep_apart(
        self, problems: Mapping[Split, list[Problem]], left_out: Counter[str]
    ) -> Mapping[Split, list[Problem]]:
        """Unchanged: rows that are nearly the same are on one side already."""
        return problems

    def written(self, row: Row, place: str) -> str:
        """The reference answer as the file has it. Raises `DataError` if there is none."""
        written = filled(row, self.answer, place)
        if self.answer_after is None:
            return written
        _, mark, written = written.rpartition(self.answer_after)
        if not mark or not written.strip():
            raise DataError(f"{place}: {self.answer!r} holds nothing after {self.answer_after!r}.")
        return written


def template_columns(text: str) -> list[str]:
    """The columns, or paths into columns, of the `question` or `answer` of a recipe, in their order."""
    return [name for name, _ in _fields(text)] if "{" in text else [text]


def _fields(template: str) -> list[tuple[str, bool]]:
    """The columns in the braces of a template, and whether each may be empty."""
    names = (found[1] for found in _BRACES.finditer(template) if found[1])
    return [(name.removesuffix("?"), name.endswith("?")) for name in names]


def filled(row: Row, column: str, place: str) -> str:
    """The text in a column, or a template with the row's columns in its braces.

    Raises:
        DataError: a column is missing or empty and not marked with `?`, or all are empty.
    """
    if "{" not in column:
        return text_of(row, column, place).strip()
    paragraphs = (_paragraph(row, part, place) for part in column.split("\n\n"))
    text = "\n\n".join(paragraph for paragraph in paragraphs if paragraph is not None).strip()
    if not text:
        raise DataError(f"{place}: nothing in {column!r} ({fields_of(row)}). Fix the row, or name the right fields.")
    return text


def _paragraph(row: Row, template: str, place: str) -> str | None:
    """A paragraph of a template; None if its columns may all be empty and are."""
    values: list[str] = []

    def value(found: re.Match[str]) -> str:
        if not found[1]:
            return found[0][0]
        values.append(_passage(row, found[1], place))
        return values[-1]

    text = _BRACES.sub(value, template)
    return text if any(values) or not values else None


def _passage(row: Row, name: str, place: str) -> str:
    """A field of a template: a list of texts is joined by lines; `name?` may be empty."""
    value = value_at(row, name)
    if value is None and name.endswith("?"):
        name = name.removesuffix("?")
        value = value_at(row, name)
        if value is None or not str(value).strip():
            return ""
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return "\n".join(value)
    return text_of(row, name, place)


def similar_groups(items: Sequence[T], questions: Sequence[str], similarity: float) -> list[list[T]]:
    """Groups of items with similar questions, directly or through others; in order of first appearance.

    Questions with different numbers are different, however similar their words are. Those of more than 5,000 characters
    are compared by 500 of their words.

    Args:
        similarity: normalized edit similarity (Indel, at most 1) from which two questions are similar.
    """
    from rapidfuzz import fuzz
    from rapidfuzz.process import cdist

    texts = [normal_question(question) for question in questions]
    numbers = [sorted(re.findall(r"\d+", text)) for text in texts]
    leader = list(range(len(items)))

    def find(index: int) -> int:
        while leader[index] != index:
            leader[index] = index = leader[leader[index]]
        return index

    least = _LONG * similarity / (2 - similarity)  # characters of a question that is similar to one of _LONG
    short = [(place, text) for place, text in enumerate(texts) if len(text) <= _LONG]
    long = [(place, _sample(text)) for place, text in enumerate(texts) if len(text) >= least]
    for places, compared in (zip(*found, strict=True) for found in (short, long) if len(found) > 1):
        for start in range(0, len(compared), _BLOCK):
            block, rest = compared[start : start + _BLOCK], compared[start:]
            scores = cdist(block, rest, scorer=fuzz.ratio, score_cutoff=100 * similarity)
            for row, column in zip(*scores.nonzero(), strict=True):
                here, there = places[start + int(row)], places[start + int(column)]
                if numbers[here] == numbers[there]:
                    one, other = sorted((find(here), find(there)))
                    leader[other] = one
    groups: dict[int, list[T]] = {}
    for index, item in enumerate(items):
        groups.setdefault(find(index), []).append(item)
    return list(groups.values())


def _sample(text: str) -> list[int]:
    """Hashes of 500 words of a text, the same words in all texts that have them, in an order of their own."""
    seen: Counter[str] = Counter()
    hashes = []
    for word in _WORD.findall(text):
        seen[word] += 1
        hashes.append(crc32(f"{word} {seen[word]}".encode(errors="replace")))
    return sorted(hashes)[:_SAMPLE]


def _deal(groups: list[list[Problem]], folds: int) -> list[list[Problem]]:
    """The problems of folds of nearly equal sizes: each group goes to the smallest one."""
    parts: list[list[Problem]] = [[] for _ in range(folds)]
    for group in groups:
        min(parts, key=len).extend(group)
    return parts


def _first(groups: list[list[Problem]], wanted: int) -> tuple[list[Problem], list[list[Problem]]]:
    """Problems of the first groups, at least as many as wanted, and the remaining groups."""
    taken: list[Problem] = []
    for number, group in enumerate(groups):
        if len(taken) >= wanted:
            return taken, groups[number:]
        taken += group
    return taken, []
