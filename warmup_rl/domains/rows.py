"""Domains whose problems are rows of a data set: loading, splits, and golds that are checked before they are used."""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from warmup_rl.base.errors import DataError, Unscorable
from warmup_rl.base.types import SPLITS, Problem, Split
from warmup_rl.data.datasets import Source
from warmup_rl.domains.overlap import Evaluated
from warmup_rl.interfaces.domain import Domain, fields_of, problem_id

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """The problems of a data set, each in one split, with what was left out and why.

    Attributes:
        places: where each problem stands, such as `mine.csv:3`, by id.
        left_out: number of rows by reason.
        faults: what is wrong with the reference answers looked at so far, by id.
    """

    problems: Mapping[Split, tuple[Problem, ...]]
    places: Mapping[str, str]
    left_out: Mapping[str, int]
    faults: dict[str, str] = field(default_factory=dict)


class RowDomain(Domain):
    """A domain over the rows of a data set. A row's id is a hash of its question, so a split is frozen by content.

    Rows that repeat a question are left out; of a question that stands in two splits, the test split keeps it. So are
    nearly equal ones (see `overlap`): where splits are published, the test split keeps them, else the train split.
    """

    REWARDS: ClassVar[Mapping[str, Any]] = {
        "form": "required", "correct": 2.0, "wrong": -0.5, "no_answer": -1.0, "bad_format": -2.0, "timeout": -1.0,
    }  # fmt: skip
    """The table of arXiv 2505.13718 for MATH; what runs out of time is paid as no answer."""
    finite: ClassVar[bool] = True
    public: ClassVar[bool] = True

    drop_bad_golds: bool = Field(default=False)
    """Leave out rows that are broken or whose reference answer is unusable; else such a row is an error."""

    @abstractmethod
    def sources(self) -> Mapping[Split, Source]:
        """Where the rows of each published split come from; one entry, of `test`, where there is one file for all."""

    @abstractmethod
    def read_row(self, row: Row, place: str) -> Problem | None:
        """The problem that a row holds; None where the settings leave it out. Raises `DataError` for a broken row."""

    def divide(self, problems: Mapping[Split, Iterable[Problem]]) -> dict[Split, list[Problem]]:
        """The splits, given the rows of each published one; a tenth of train is validation where there is none."""
        found = {split: list(problems.get(split, ())) for split in SPLITS}
        if not found["validation"]:
            found["validation"] = [problem for problem in found["train"] if rank(problem) < 0.1]
            found["train"] = [problem for problem in found["train"] if rank(problem) >= 0.1]
        return found

    def keep_apart(
        self, problems: Mapping[Split, list[Problem]], left_out: Counter[str]
    ) -> Mapping[Split, list[Problem]]:
        """The splits without problems of one that nearly repeat those of another; counts what is left out."""
        keeps: Split = "test" if len(self.sources()) > 1 else "train"
        others = [problem for split in SPLITS if split != keeps for problem in problems[split]]
        alike = {problem.id for problem, _ in Evaluated(problems[keeps]).repeated(others)}
        left_out.update({f"like a {keeps} problem": len(alike)} if alike else {})
        return {split: [problem for problem in found if problem.id not in alike] for split, found in problems.items()}

    def fault(self, problem: Problem) -> str:
        """What is wrong with a reference answer; empty where it grades correct."""
        try:
            grade = self.grade(self.reference(problem), problem)
        except Unscorable as error:
            return str(error)
        return "" if grade.verdict == "correct" else f"it does not grade correct ({grade.note or grade.verdict})"

    def read(self, row: Row, place: str) -> Problem:
        own = row.get("problem")
        if not isinstance(own, Mapping):
            return super().read(row, place)
        problem = self.read_row(own, place)
        if problem is None:
            raise DataError(f"{place}: the domain's settings leave this problem out. Widen them, or remove the row.")
        return problem

    def digest(self) -> str:
        return " ".join(source.digest() for source in self.sources().values())

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        """Raises `DataError` for a row whose reference answer is unusable, unless these are dropped."""
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
                    "Mend the row, or set `drop_bad_golds: true` to leave such rows out."
                )

    def unchecked(self, split: Split, seed: int) -> Iterator[Problem]:
        order = list(self.table().problems[split])
        random.Random(f"{self.type}/{split}/{seed}").shuffle(order)
        return iter(order)

    def rows_in(self, split: Split) -> int | None:
        return len(self.table().problems[split])

    def table(self) -> Table:
        """All problems, read once a process."""
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
        for split, source in sorted(self.sources().items(), key=lambda item: item[0] != "test"):
            for place, row in source.rows():
                try:
                    problem = self.read_row(row, place)
                except DataError:
                    if not self.drop_bad_golds:
                        raise
                    left_out["unusable"] += 1
                    continue
                if problem is None:
                    continue
                if problem.id in splits:
                    why = "repeated" if splits[problem.id] == split else f"also in {splits[problem.id]}"
                    left_out[why if golds[problem.id] == problem.gold else f"{why} with another answer"] += 1
                    continue
                splits[problem.id], places[problem.id], golds[problem.id] = split, place, problem.gold
                published[split].append(problem)
        divided = self.keep_apart(self.divide(published), left_out)
        return Table({split: tuple(found) for split, found in divided.items()}, places, left_out)


_TABLES: dict[Any, Table] = {}


def rank(problem: Problem, salt: str = "") -> float:
    """A number in [0, 1) that the problem's content alone decides: what orders problems into splits."""
    return int.from_bytes(hashlib.sha256(f"{salt}/{problem.id}".encode()).digest()[:8], "big") / 2**64


def question_id(domain: str, question: str) -> str:
    """The id of a problem by its question, white space and letter case aside."""
    return problem_id([domain, normal_question(question)])


def normal_question(question: str) -> str:
    """A question as it is compared: composed characters, one space between words, lower case."""
    return " ".join(unicodedata.normalize("NFKC", question).lower().split())


def text_of(row: Row, key: str, place: str) -> str:
    """A field of a row as text. Raises `DataError` where it is missing or empty, naming the fields that are there."""
    value = row.get(key)
    if value is None or not str(value).strip():
        raise DataError(f"{place}: no {key!r} ({fields_of(row)}). Mend the row, or name the right field.")
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
