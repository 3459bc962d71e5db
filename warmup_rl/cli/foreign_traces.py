"""Converts rows of any file with a question, a reference answer and a response to traces, and back."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import DataError, Unscorable, UserError
from warmup_rl.base.jsonl import read_jsonl, write_json, write_jsonl
from warmup_rl.base.types import Problem, Score, Trace, to_json
from warmup_rl.data.columns import COLUMNS, find_column
from warmup_rl.data.datasets import Source
from warmup_rl.data.traces import PROBLEMS_FILE, read_traces
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.domains.rows import RowDomain
from warmup_rl.engines.teacher_output import ParsedCompletion, parse_completion
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ResponseFormat

Row = Mapping[str, Any]
CONTENTS = ("question", "gold", "response", "thinking")
"""The columns used, keys of `warmup_rl.data.columns.COLUMNS`; gold and thinking are optional."""
_ROW = "row"
_TAGGED = ResponseFormat(think="free")


def find_columns(first: Row, given: Mapping[str, str], file: Path) -> dict[str, str]:
    """Names of the columns by content (see `CONTENTS`): the names given, else the usual ones.

    Raises:
        UserError: the question or the response is missing.
    """
    for column in given.values():
        if column not in first:
            raise UserError(f"{file}: no column {column!r}. Columns: {', '.join(first)}.")
    found = dict(given)
    for content in ("question", "thinking", "response", "gold"):
        name = given.get(content) or find_column(first, content, found.values())
        if content == "response" and not name and "thinking" in found and "answer" in first.keys() - found.values():
            name = "answer"  # of a completion in two columns
        if name:
            found[content] = name
        elif content in ("question", "response"):
            raise UserError(
                f"{file}: found no column for the {content} (looked for {', '.join(COLUMNS[content])}). "
                f"Columns: {', '.join(first)}. Name it: --columns {content}=NAME."
            )
    return found


@dataclass(frozen=True)
class ForeignTraces:
    """A file of rows as traces, which keep their rows in `meta`.

    Attributes:
        columns: names by content (see `CONTENTS`).
        domain: grades the responses.
    """

    source: Source
    columns: Mapping[str, str]
    domain: Domain
    response_format: ResponseFormat

    def write(self, folder: Path) -> Path:
        """Writes `traces.jsonl` and `problems.jsonl` to a folder, unless they exist already; returns the first.

        Raises:
            DataError: a row has no question or no usable reference answer, or is not a puzzle where one is needed.
        """
        traces, record = folder / "traces.jsonl", folder / "source.json"
        settings = [self.domain.model_dump(mode="json"), self.response_format.model_dump(mode="json")]
        made_of = {"source": [self.source.path, self.source.digest()], "columns": dict(self.columns), "by": settings}
        if record.is_file() and json.loads(record.read_text(encoding="utf-8")) == made_of:
            return traces
        folder.mkdir(parents=True, exist_ok=True)
        write_jsonl(folder / PROBLEMS_FILE, self._problems())
        rows = enumerate(self.source.rows())
        write_jsonl(traces, (to_json(self._trace(number, place, row)) for number, (place, row) in rows))
        write_json(record, made_of)
        return traces

    def kept(self, cleaned: Path) -> Iterator[dict[str, Any]]:
        """The rows of the traces in a cleaned file, with the cleaned text in their columns."""
        return (self._with_text(trace.meta[_ROW], trace) for trace in read_traces(cleaned))

    def dropped(self, dropped: Path) -> Iterator[dict[str, Any]]:
        """The unchanged rows of the dropped traces, each with `reason` and `step`."""
        for trace in read_jsonl(dropped):
            yield {**trace["meta"][_ROW], "reason": trace["reason"], "step": trace["step"]}

    def _problems(self) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        differing: list[str] = []
        for place, row in self.source.rows():
            problem = self._problem(place, row)
            if isinstance(self.domain, KnightsKnaves) and not self._has_solution(problem, row):
                differing.append(place)
            if problem.id not in seen:
                seen.add(problem.id)
                yield to_json(problem)
        if differing:
            rows = f"{len(differing):,} row{'s' * (len(differing) > 1)} (first: {differing[0]})"
            print(
                f"{rows}: {self.columns['gold']!r} is not the solution of the puzzle. The solution is used instead.",
                file=sys.stderr,
            )

    def _problem(self, place: str, row: Row) -> Problem:
        named = {content: row.get(self.columns.get(content, "")) for content in ("question", "gold")}
        forms: list[Row] = [{**row, **named}]
        if isinstance(self.domain, KnightsKnaves):
            forms = [{"question": named["question"]}]  # the solution of a puzzle is known
        elif isinstance(self.domain, RowDomain):
            forms = [{"problem": row}, *forms]  # the columns of the domain's own data set come first
        for form in forms:
            try:
                return self.domain.read(form, place)
            except DataError as error:
                message = str(error)
        raise DataError(
            f"{message} Fix or remove the row, name the columns with --columns question=NAME,gold=NAME, or give "
            "another --domain."
        )

    def _has_solution(self, problem: Problem, row: Row) -> bool:
        """Whether the reference answer of a puzzle, if given, is its solution."""
        gold = row.get(self.columns.get("gold", ""))
        try:
            return gold in (None, "") or bool(self.domain.read({"question": problem.question, "gold": gold}, ""))
        except DataError:
            return False

    def _trace(self, number: int, place: str, row: Row) -> Trace:
        problem, parsed = self._problem(place, row), self._parsed(place, row)
        scored = ((answer, self._score(parsed.thinking, answer, problem)) for answer in parsed.answers or ("",))
        try:
            first = next(scored)
            answer, score = next((pair for pair in chain([first], scored) if pair[1].verdict != "none"), first)
        except Unscorable as error:
            raise DataError(f"{place}: cannot be graded: {error}. Fix or remove the row.") from None
        teacher = str(row.get(find_column(row, "teacher") or "") or Path(self.source.path).name)
        prompt, meta = self.domain.prompt(problem), {_ROW: json.loads(json.dumps(row, default=str))}
        return Trace(problem.id, problem.domain, prompt, parsed.thinking, answer, score, teacher, number, meta)

    def _score(self, thinking: str, answer: str, problem: Problem) -> Score:
        text = self.response_format.render(thinking=thinking, answer=answer) if answer else thinking
        return self.domain.score(text, problem, self.response_format)

    def _parsed(self, place: str, row: Row) -> ParsedCompletion:
        texts = []
        for name in (self.columns["response"], self.columns.get("thinking", "")):
            texts.append(text := row.get(name))
            if not isinstance(text, str | None):
                kind = type(text).__name__
                raise DataError(
                    f"{place}: {name!r} is of type {kind}, but a text is needed. Write one row for each response."
                )
        return parse_completion(texts[0] or "", "auto", self.response_format, thinking=texts[1])

    def _with_text(self, row: dict[str, Any], trace: Trace) -> dict[str, Any]:
        parsed, response, thinking = self._parsed("", row), self.columns["response"], self.columns.get("thinking", "")
        same_answer = trace.answer in parsed.answers
        if row.get(thinking) is not None:
            return {**row, thinking: trace.thinking, **({} if same_answer else {response: trace.answer})}
        if same_answer and trace.thinking == parsed.thinking:
            return row
        text = row[response]
        if same_answer and text.count(parsed.thinking) == 1:
            return {**row, response: text.replace(parsed.thinking, trace.thinking)}
        return {**row, response: _TAGGED.render(thinking=trace.thinking, answer=trace.answer)}
