"""Traces as users have them: our own files, or rows with a question, a reference answer and a response."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import DataError, Unscorable, UserError
from warmup_rl.base.jsonl import read_jsonl, write_json, write_jsonl
from warmup_rl.base.types import Problem, Score, Trace, to_json
from warmup_rl.data.datasets import Source
from warmup_rl.data.traces import PROBLEMS_FILE, read_traces
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.domains.kk_rows import read_inhabitants
from warmup_rl.domains.rows import RowDomain
from warmup_rl.engines.teacher_output import ParsedCompletion, parse_completion
from warmup_rl.interfaces.domain import Domain, problem_id
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reading import parse_english
from warmup_rl.knights.text import answer, to_meta

Row = Mapping[str, Any]

COLUMNS: dict[str, tuple[str, ...]] = {
    "question": ("question", "problem", "quiz", "prompt", "instruction", "input"),
    "gold": ("gold", "ground_truth", "reference", "target", "answer", "solution"),
    "response": ("response", "completion", "output", "generation", "text", "content"),
    "thinking": ("thinking", "reasoning", "reasoning_content"),
}
"""Names under which a column is looked for where none is given, by what it holds."""

_OWN = {"problem_id", "domain", "messages", "thinking", "answer", "score"}
_ROW = "row"


def is_own(first: Row) -> bool:
    """Whether a row is a trace of ours, whose problem stands in the file beside."""
    return first.keys() >= _OWN


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a file; `thinking` where it stands apart from the response."""

    question: str
    response: str
    gold: str | None
    thinking: str | None = None


def find_columns(first: Row, given: Mapping[str, str], where: Path) -> Columns:
    """The columns by the names given, else by their usual names.

    Raises:
        UserError: one is missing; the message tells which there are.
    """
    for column in given.values():
        if column not in first:
            raise UserError(f"{where}: no column {column!r}. There are: {', '.join(first)}.")
    found = dict(given)
    for role, names in COLUMNS.items():
        free = (name for name in names if name in first and name not in found.values())
        if role not in found and (name := next(free, None)):
            found[role] = name
    if "response" not in found and "thinking" in found and "answer" in first and "answer" not in given.values():
        found["response"] = "answer"  # a completion whose two parts stand apart
        if found.get("gold") == "answer":
            others = (name for name in COLUMNS["gold"] if name in first and name not in found.values())
            found["gold"] = next(others, "")
    for role in ("question", "response"):
        if role not in found:
            raise UserError(
                f"{where}: no column is known to hold the {role} (looked for {', '.join(COLUMNS[role])}). There are: "
                f"{', '.join(first)}. Name it: --columns {role}=NAME."
            )
    return Columns(found["question"], found["response"], found.get("gold") or None, found.get("thinking"))


def looks_like_puzzle(question: Any) -> bool:
    """Whether a question is a Knights & Knaves puzzle in the words of the published data."""
    return isinstance(question, str) and _puzzle(question) is not None


@dataclass(frozen=True)
class Intake:
    """A file of rows as traces and problems for the clean stage, and back.

    Attributes:
        domain: grades the responses.
    """

    source: Source
    columns: Columns
    domain: Domain
    response_format: ResponseFormat

    def write(self, folder: Path) -> Path:
        """Makes `traces.jsonl` and `problems.jsonl` in a folder, unless they lie there already; returns the first.

        Raises:
            DataError: a row has no question or no usable reference answer, or is no puzzle where one is needed.
        """
        traces, record = folder / "traces.jsonl", folder / "source.json"
        settings = [self.domain.model_dump(mode="json"), self.response_format.model_dump(mode="json")]
        made_of = {"source": [self.source.path, self.source.digest()], "columns": vars(self.columns), "by": settings}
        if record.is_file() and json.loads(record.read_text(encoding="utf-8")) == made_of:
            return traces
        folder.mkdir(parents=True, exist_ok=True)
        write_jsonl(folder / PROBLEMS_FILE, self._problems())
        write_jsonl(traces, (to_json(self._trace(number, place, row)) for number, place, row in self._rows()))
        write_json(record, made_of)
        return traces

    def restored(self, cleaned: Path) -> Iterator[dict[str, Any]]:
        """The rows whose traces are in a file that cleaning gave, in order, with the cleaned words in their columns."""
        rows = self._rows()
        for trace in read_traces(cleaned):
            yield self._restored(_numbered(rows, trace.meta[_ROW]), trace)

    def dropped(self, dropped: Path) -> Iterator[dict[str, Any]]:
        """The rows whose traces were dropped, as they were, each with `reason` and `step`."""
        rows = self._rows()
        for trace in read_jsonl(dropped):
            row = _numbered(rows, trace["meta"][_ROW])
            yield {**row, "reason": trace["reason"], "step": trace["step"]}

    def _rows(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        for number, (place, row) in enumerate(self.source.rows()):
            yield number, place, json.loads(json.dumps(row, default=str))

    def _problems(self) -> Iterator[dict[str, Any]]:
        seen = set()
        other: list[str] = []
        for _, place, row in self._rows():
            problem = self._problem(place, row)
            if isinstance(self.domain, KnightsKnaves) and not self._agrees(row, problem):
                other.append(place)
            if problem.id not in seen:
                seen.add(problem.id)
                yield to_json(problem)
        if other:
            print(
                f"{len(other):,} row{'s' * (len(other) > 1)}: {self.columns.gold!r} is not the puzzle's solution, "
                f"which counts (first: {other[0]})", file=sys.stderr,
            )  # fmt: skip

    def _agrees(self, row: Row, problem: Problem) -> bool:
        """Whether the reference answer that stands beside a puzzle, if any, is its solution."""
        gold = row.get(self.columns.gold) if self.columns.gold else None
        if gold is None or not str(gold).strip():
            return True
        try:
            read_inhabitants({"question": problem.question, "gold": gold}, "")
        except DataError:
            return False
        return True

    def _problem(self, place: str, row: Row) -> Problem:
        question = str(row.get(self.columns.question) or "")
        if isinstance(self.domain, KnightsKnaves):
            puzzle = _puzzle(question)
            if puzzle is None:
                raise DataError(
                    f"{place}: {self.columns.question!r} is no Knights & Knaves puzzle: {question[:80]!r}. "
                    "Remove the row, or give another --domain."
                )
            meta = {**to_meta(puzzle, "english"), "group": f"people={puzzle.people}"}
            return Problem(problem_id(["kk", question]), self.domain.name, question, answer(puzzle, "english"), meta)
        if isinstance(self.domain, RowDomain) and (known := self._by_domain(place, row)):
            return known
        gold = row.get(self.columns.gold) if self.columns.gold else None
        if not question.strip() or gold is None or not str(gold).strip():
            raise DataError(
                f"{place}: no {'question' if not question.strip() else 'reference answer'} in this row. Mend or remove "
                f"it, or name the columns: --columns question=NAME,gold=NAME. There are: {', '.join(row)}."
            )
        return self.domain.read({**row, "question": question, "gold": str(gold)}, place)

    def _by_domain(self, place: str, row: Row) -> Problem | None:
        """The problem as the domain itself reads its data set's rows; None where this is no such row."""
        assert isinstance(self.domain, RowDomain)
        try:
            return self.domain.read_row(row, place)
        except DataError:
            return None

    def _trace(self, number: int, place: str, row: Row) -> Trace:
        problem, said = self._problem(place, row), self._said(place, row)
        found: Score | None = None
        said_answer = ""
        for reading in said.answers or ("",):
            try:
                score = self._score(said.thinking, reading, problem)
            except Unscorable as error:
                raise DataError(f"{place}: cannot be graded: {error}. Mend or remove the row.") from None
            if found is None or score.verdict != "none":
                found, said_answer = score, reading
            if score.verdict != "none":
                break
        assert found is not None
        messages = self.domain.prompt(problem)
        teacher = str(row.get("teacher") or row.get("model") or Path(self.source.path).name)
        meta = {_ROW: number}
        return Trace(problem.id, problem.domain, messages, said.thinking, said_answer, found, teacher, number, meta)

    def _score(self, thinking: str, reading: str, problem: Problem) -> Score:
        text = self.response_format.render(thinking=thinking, answer=reading) if reading else thinking
        return self.domain.score(text, problem, self.response_format)

    def _said(self, place: str, row: Row) -> ParsedCompletion:
        columns = self.columns
        text, thinking = row.get(columns.response), row.get(columns.thinking) if columns.thinking else None
        for name, value in ((columns.response, text), (columns.thinking, thinking)):
            if value is not None and not isinstance(value, str):
                kind = type(value).__name__
                raise DataError(f"{place}: {name!r} holds a {kind}, and a text is needed. Make a row of each response.")
        return parse_completion(text or "", "auto", self.response_format, thinking=thinking)

    def _restored(self, row: dict[str, Any], trace: Trace) -> dict[str, Any]:
        columns, said = self.columns, self._said("", row)
        if columns.thinking and row.get(columns.thinking) is not None:
            changed = {} if trace.answer in said.answers else {columns.response: trace.answer}
            return {**row, columns.thinking: trace.thinking, **changed}
        text = row[columns.response]
        if trace.thinking == said.thinking and trace.answer in said.answers:
            return row
        if trace.answer in said.answers and text.count(said.thinking) == 1:
            return {**row, columns.response: text.replace(said.thinking, trace.thinking)}
        return {**row, columns.response: _TAGGED.render(thinking=trace.thinking, answer=trace.answer)}


_TAGGED = ResponseFormat(think="free")


def _numbered(rows: Iterator[tuple[int, str, dict[str, Any]]], number: int) -> dict[str, Any]:
    """The row of this number, of those that are still to come."""
    return next(row for place, _, row in rows if place == number)


def _puzzle(question: str) -> Puzzle | None:
    try:
        return parse_english(question)
    except DataError:
        return None
