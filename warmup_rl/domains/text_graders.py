"""Graders for answers that are one of a set of labels, for SQL queries, and for patterns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import regex
from pydantic import Field, PrivateAttr

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Grade, Problem
from warmup_rl.grading.final_answer import last_block
from warmup_rl.grading.label import final_label_statement, plain_label, same_label
from warmup_rl.grading.plain import matches
from warmup_rl.interfaces.grader import Grader

_SQL_START = re.compile(r"^[ \t]*(?:select|with|insert|update|delete)\b", re.IGNORECASE | re.MULTILINE)
_SQL_QUOTED = re.compile(r"('(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`)")


class LabelGrader(Grader):
    """One of a set of labels, alone or as the only one that the final statement names."""

    type: ClassVar[str] = "label"

    labels: list[str] | None = Field(default=None, min_length=2)
    """All labels; default: those in the answer column, most frequent first."""

    _majority: float = PrivateAttr(default=0.0)

    def fitted(self, golds: Sequence[str]) -> LabelGrader:
        """With the labels of the answer column, each in its most frequent spelling, and the commonest one's share."""
        spellings: dict[str, Counter[str]] = {}
        for gold in golds:
            spellings.setdefault(plain_label(gold), Counter())[gold.strip()] += 1
        counts = sorted(spellings.values(), key=lambda found: -found.total())
        found = [spelling.most_common(1)[0][0] for spelling in counts]
        grader = self.model_copy(update={"labels": self.labels or found})
        grader._majority = counts[0].total() / len(golds) if golds else 0.0
        return grader

    @property
    def instruction(self) -> str:  # type: ignore[override]
        return f"Answer with one of: {', '.join(self.labels)}." if self.labels else "Answer with the label alone."

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        if self.labels is None:
            raise DataError(
                f"{place}: the labels are not known here. Give them: grader: {{type: label, labels: [...]}}."
            )
        known = {plain_label(label): label for label in self.labels}
        if (label := known.get(plain_label(written))) is None:
            raise DataError(f"{place}: the answer {written!r} is not one of the labels {', '.join(self.labels)}.")
        return label, {"labels": self.labels}

    def grade(self, answer: str, problem: Problem) -> Grade:
        return same_label(gold=problem.gold, answer=answer, labels=problem.meta["labels"])

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """The last box, else what follows the last `label is`, `category:` or the like, else the last line."""
        return final_label_statement(text) or None

    def chance_accuracy(self, problem: Problem) -> float:
        """The share of the commonest label: what a model reaches that always gives it."""
        return self._majority or 1 / len(problem.meta["labels"])

    def adversarial_answers(self, problem: Problem) -> Iterator[tuple[str, str]]:
        other = next(label for label in problem.meta["labels"] if label != problem.gold)
        yield "all labels", ", ".join(problem.meta["labels"])
        yield "two labels", f"It is {problem.gold} or {other}."
        yield "a negated label", f"It is not {problem.gold}."
        yield "no label", "I think that it depends"


class SqlGrader(Grader):
    """The same SQL text: white space, letter case outside quotes, a code fence and a final semicolon do not matter.

    Queries are not parsed: one that means the same in other words is wrong.
    """

    type: ClassVar[str] = "sql"
    instruction: ClassVar[str] = "Give the answer as one SQL query in a code block."

    def grade(self, answer: str, problem: Problem) -> Grade:
        query = (last_block(answer) or answer).strip().strip("`")
        given = _normal_sql(query)
        if not given:
            return Grade("none", None, "no query")
        return Grade("correct" if given == _normal_sql(problem.gold) else "wrong", query[:300])

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """The last code block, else all from the last line that begins a query."""
        if (fenced := self.answer_if_cut(text, problem)) is not None:
            return fenced
        starts = [match.start() for match in _SQL_START.finditer(text)]
        return text[starts[-1] :] if starts else None

    def answer_if_cut(self, text: str, problem: Problem) -> str | None:
        """The last code block."""
        return last_block(text)

    def adversarial_answers(self, problem: Problem) -> Iterator[tuple[str, str]]:
        yield "a query more", f"{problem.gold.rstrip('; ')}; SELECT 1"
        yield "another column", re.sub(r"(?i)select", "SELECT zzz,", problem.gold, count=1)


class RegexGrader(Grader):
    """A pattern that the whole answer must match: the reference answer is the pattern."""

    type: ClassVar[str] = "regex"

    example: str
    """Column with an answer that matches, to test the pattern."""

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        try:
            regex.compile(written.strip())
        except regex.error as error:
            raise DataError(f"{place}: the answer is not a valid pattern ({error}).") from None
        return written.strip(), {"example": str(row.get(self.example) or "")}

    def grade(self, answer: str, problem: Problem) -> Grade:
        return matches(pattern=problem.gold, answer=answer)

    def reference(self, problem: Problem) -> str:
        return str(problem.meta["example"])


def _normal_sql(query: str) -> str:
    """A query in lower case outside quotes, with one spelling of white space and without a final semicolon."""
    parts = _SQL_QUOTED.split(query.strip().rstrip("; \n"))
    for place in range(0, len(parts), 2):
        lower = " ".join(f"<{parts[place]}>".casefold().split())[1:-1]
        parts[place] = re.sub(r"\s*([(),;=<>+*/-])\s*", r"\1", lower)
    return "".join(parts).strip()
