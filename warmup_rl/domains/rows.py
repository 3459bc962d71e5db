"""Domains over the rows of a data set: loading, splits, and a check of each reference answer before it is used."""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from pydantic import Field

from warmup_rl.base.errors import DataError, RowLeftOut, Unscorable
from warmup_rl.base.types import SPLITS, Grade, Problem, Split
from warmup_rl.data.columns import value_at
from warmup_rl.data.datasets import Source
from warmup_rl.domains.overlap import Evaluated
from warmup_rl.interfaces.domain import Domain, fields_of, problem_id
from warmup_rl.interfaces.grader import Grader

Row = Mapping[str, Any]
SHARE = 5
"""By default one of so many train rows is for validation, where a recipe needs any."""


@dataclass(frozen=True)
class Table:
    """The problems of a data set by split.

    Attributes:
        places: location of each problem's row, such as `mine.csv:3`, by problem id.
        left_out: number of rows that were left out, by reason.
        faults: what is wrong with each reference answer checked so far (empty: nothing), by problem id.
    """

    problems: Mapping[Split, tuple[Problem, ...]]
    places: Mapping[str, str]
    left_out: Mapping[str, int]
    faults: dict[str, str] = field(default_factory=dict)


class RowDomain(Domain):
    """A domain over the rows of a data set, graded by a `Grader`.

    A row's id is a hash of its question, so splits depend on content only. Rows that repeat a question are left out; a
    question in two published splits stays in the test split. The same goes for nearly equal questions (see `overlap`):
    they stay in the test split if splits are published, and in the train split otherwise.
    """

    REWARDS: ClassVar[Mapping[str, Any]] = {
        "form": "required", "correct": 2.0, "wrong": -0.5, "no_answer": -1.0, "bad_format": -2.0, "timeout": -1.0,
    }  # fmt: skip
    """The table of arXiv 2505.13718 for MATH; a timeout is rewarded like no answer."""
    finite: ClassVar[bool] = True
    public: ClassVar[bool] = True

    drop_bad_golds: bool = Field(default=False)
    """Leave out rows that are invalid or have an unusable reference answer; otherwise such a row is an error."""

    @abstractmethod
    def answer_grader(self) -> Grader:
        """Grades the answers."""

    @abstractmethod
    def sources(self) -> Mapping[Split, Source]:
        """The rows of each published split; a single entry `test` for a data set without splits."""

    @abstractmethod
    def read_row(self, row: Row, place: str) -> Problem | None:
        """The problem in a row; None if the settings leave it out. Raises `DataError` for an invalid row."""

    def divide(self, problems: Mapping[Split, Iterable[Problem]]) -> dict[Split, list[Problem]]:
        """The splits, given the rows of the published ones; a tenth of train becomes validation if that is missing."""
        found = {split: list(problems.get(split, ())) for split in SPLITS}
        if not found["validation"]:
            found["validation"] = [problem for problem in found["train"] if rank(problem) < 0.1]
            found["train"] = [problem for problem in found["train"] if rank(problem) >= 0.1]
        return found

    def keep_apart(
        self, problems: Mapping[Split, list[Problem]], left_out: Counter[str]
    ) -> Mapping[Split, list[Problem]]:
        """The splits without problems that nearly repeat one of another split; counts these in `left_out`."""
        keeps: Split = "test" if len(self.sources()) > 1 else "train"
        others = [problem for split in SPLITS if split != keeps for problem in problems[split]]
        repeated = {problem.id for problem, _ in Evaluated(problems[keeps], self.canonical).repeated(others)}
        left_out.update({f"like a {keeps} problem": len(repeated)} if repeated else {})
        return {
            split: [problem for problem in found if problem.id not in repeated] for split, found in problems.items()
        }

    @property
    def is_slow(self) -> bool:  # type: ignore[override]
        return self.answer_grader().is_slow

    def default_instruction(self) -> str:
        return self.answer_grader().instruction

    def grade(self, answer: str, problem: Problem) -> Grade:
        return self.answer_grader().grade(answer, problem)

    def final_answer(self, text: str, problem: Problem) -> str | None:
        return self.answer_grader().final_answer(text, problem)

    def answer_if_cut(self, text: str, problem: Problem) -> str | None:
        return self.answer_grader().answer_if_cut(text, problem)

    def reference(self, problem: Problem) -> str:
        return self.answer_grader().reference(problem)

    def fault(self, problem: Problem) -> str:
        """What is wrong with a reference answer; empty if it can be used."""
        try:
            return self.answer_grader().fault(problem)
        except Unscorable as error:
            return str(error)

    def chance_accuracy(self, problem: Problem) -> float:
        return self.answer_grader().chance_accuracy(problem)

    def canonical(self, problem: Problem) -> str | None:
        return self.answer_grader().canonical(problem)

    def adversarial_answers(self, problem: Problem) -> Iterator[tuple[str, str]]:
        return self.answer_grader().adversarial_answers(problem)

    def read(self, row: Row, place: str) -> Problem:
        own = row.get("problem")
        if not isinstance(own, Mapping):
            return super().read(row, place)
        problem = self.read_row(own, place)
        if problem is None:
            raise DataError(f"{place}: the domain's settings leave this problem out. Widen them, or remove the row.")
        return problem

    def with_validation(self) -> Self:
        """The domain with a validation split, for a recipe that compares prompts on it: where the settings give none, a
        fifth of the train rows. Test rows stay as they are."""
        return self

    def digest(self) -> str:
        parts = [*(source.digest() for source in self.sources().values()), self.answer_grader().digest()]
        return " ".join(filter(None, parts))

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        """Raises `DataError` for a row with an unusable reference answer, unless these are dropped."""
        table = self.table()
        for problem in self.unchecked(split, seed):
            if problem.id not in table.faults:
                table.faults[problem.id] = self.fault(problem)
            fault = table.faults[problem.id]
            if not fault:
                yield problem
            elif not self.drop_bad_golds:
                raise DataError(
                    f"{table.places[problem.id]}: the reference answer {problem.gold[:80]!r} cannot be used: {fault}. "
                    "Fix the row, or set `drop_bad_golds: true` to leave such rows out."
                )

    def unchecked(self, split: Split, seed: int) -> Iterator[Problem]:
        order = list(self.table().problems[split])
        random.Random(f"{self.type}/{split}/{seed}").shuffle(order)
        return iter(order)

    def rows_in(self, split: Split) -> int | None:
        return len(self.table().problems[split])

    def table(self) -> Table:
        """All problems; read once per process."""
        key = (type(self), repr(self), self.digest())
        if key not in _TABLES:
            _TABLES[key] = self._read()
        return _TABLES[key]

    def space(self) -> str:
        table = self.table()
        counts = ", ".join(f"{len(table.problems[split]):,} {split}" for split in SPLITS)
        left_out = "; left out: " + ", ".join(f"{n} {why}" for why, n in table.left_out.items())
        return counts + (left_out if table.left_out else "")

    def _read(self) -> Table:
        splits: dict[str, Split] = {}
        places: dict[str, str] = {}
        golds: dict[str, str] = {}
        left_out: Counter[str] = Counter()
        published: dict[Split, list[Problem]] = {split: [] for split in SPLITS}
        unused = ""
        for split, source in sorted(self.sources().items(), key=lambda item: item[0] != "test"):
            for place, row in source.rows():
                try:
                    problem = self.read_row(row, place)
                except DataError as error:
                    if not (self.drop_bad_golds or isinstance(error, RowLeftOut)):
                        raise
                    left_out[error.reason if isinstance(error, RowLeftOut) else "unusable"] += 1
                    unused = unused or str(error)
                    continue
                if problem is None:
                    continue
                if problem.id in splits:
                    why = "repeated" if splits[problem.id] == split else f"also in {splits[problem.id]}"
                    left_out[why if golds[problem.id] == problem.gold else f"{why} with another answer"] += 1
                    continue
                splits[problem.id], places[problem.id], golds[problem.id] = split, place, problem.gold
                published[split].append(problem)
        if unused and not places:
            raise DataError(f"None of {left_out.total():,} rows can be used. The first: {unused}")
        divided = self.keep_apart(self.divide(published), left_out)
        return Table({split: tuple(found) for split, found in divided.items()}, places, left_out)


class OneSplitDomain(RowDomain):
    """A data set published as one split. In an order by content, the first `train` problems of each group are for
    training and the next `validation` for validation; the rest is the test split."""

    data: Source
    """All rows."""
    train: int = Field(ge=0)
    """Train problems (of each category, if there are several); which ones depends on content, the rest is measured."""
    validation: int = Field(default=0, ge=0)
    """Validation problems (of each category), taken from those that are measured otherwise. Where a recipe compares
    prompts and this key is not given, a fifth of the train problems."""

    def sources(self) -> Mapping[Split, Source]:
        return {"test": self.data}

    def with_validation(self) -> Self:
        if "validation" in self.model_fields_set:
            return self
        count = self.train // SHARE
        return self.model_copy(update={"train": self.train - count, "validation": count})

    def divide(self, problems: Mapping[Split, Iterable[Problem]]) -> dict[Split, list[Problem]]:
        found: dict[Split, list[Problem]] = {split: [] for split in SPLITS}
        counts: Counter[str | None] = Counter()
        for problem in sorted(problems["test"], key=rank):
            group = problem.meta.get("group")
            counts[group] += 1
            count = counts[group] - self.train
            found["train" if count <= 0 else "validation" if count <= self.validation else "test"].append(problem)
        return found


_TABLES: dict[Any, Table] = {}


def rank(problem: Problem, salt: str = "") -> float:
    """A number in [0, 1) that depends on the problem's content only; orders problems into splits."""
    return int.from_bytes(hashlib.sha256(f"{salt}/{problem.id}".encode()).digest()[:8], "big") / 2**64


def question_id(domain: str, question: str) -> str:
    """The id of a problem by its question, regardless of white space and letter case."""
    return problem_id([domain, normal_question(question)])


def normal_question(question: str) -> str:
    """A question in the form that is compared: NFKC, one space between words, lower case."""
    return " ".join(unicodedata.normalize("NFKC", question).lower().split())


def text_of(row: Row, key: str, place: str) -> str:
    """A field of a row as text, by column or path (see `value_at`).

    Raises:
        DataError: it is missing or empty; the message names the fields that are there.
    """
    value = value_at(row, key)
    if value is None or not str(value).strip():
        raise DataError(f"{place}: no {key!r} ({fields_of(row)}). Fix the row, or name the right field.")
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
