"""Converts rows of any file with a question, a reference answer and a response to traces, and back."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from os.path import commonprefix
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import DataError, NoGold, Unscorable, UserError, listed
from warmup_rl.base.jsonl import read_jsonl, write_json, write_jsonl
from warmup_rl.base.types import Problem, Score, Trace, to_json
from warmup_rl.data.columns import (
    COLUMNS,
    ROLES,
    each_response,
    find_column,
    is_conversation,
    locate,
    value_at,
    with_value,
)
from warmup_rl.data.datasets import Source
from warmup_rl.data.traces import NO_GOLD, PROBLEMS_FILE, read_traces
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.domains.rows import RowDomain
from warmup_rl.engines.teacher_output import ParsedCompletion, parse_completion
from warmup_rl.grading.final_answer import boxed
from warmup_rl.interfaces.domain import Domain, fields_of
from warmup_rl.interfaces.format import ResponseFormat

Row = Mapping[str, Any]
CONTENTS = ("question", "gold", "response", "thinking")
"""What is looked for in a row, keys of `warmup_rl.data.columns.COLUMNS`; gold and thinking are optional."""
_ROW, _PATHS = "row", "paths"
_AROUND = 40
"""Characters beside a passage by which its place is told."""
_WORKED = 200
"""Characters from which on a reference answer with a box is a worked solution, of which the box is the answer."""


def find_columns(first: Row, given: Mapping[str, str], file: Path) -> dict[str, str]:
    """Paths by content (see `warmup_rl.data.columns.locate`): the names given, else the usual ones. Raises `UserError`
    if the question or the response is missing."""
    for column in given.values():
        if value_at(first, column) is None and column not in first:
            raise UserError(f"{file}: no column {column!r}. Columns: {listed(first)}.")
    found = locate(first, given)
    for content in ("question", "response"):
        if content not in found:
            raise UserError(
                f"{file}: found no column for the {content} (looked for {', '.join(COLUMNS[content])}). "
                f"Columns: {listed(first)}. Name it: --columns {content}=NAME, or a path such as "
                f"messages[{ROLES[content]}] or messages[{ROLES[content]}].content[0].text."
            )
    return found


@dataclass(frozen=True)
class ForeignTraces:
    """A file of rows as traces, graded by `domain`, which keep their rows in `meta`. `columns` are names or paths given
    by the user, by content (see `CONTENTS`)."""

    source: Source
    columns: Mapping[str, str]
    domain: Domain
    response_format: ResponseFormat

    def write(self, folder: Path) -> Path:
        """Writes `traces.jsonl` and `problems.jsonl` to a folder, unless they exist already; returns the first.

        A row without a reference answer, or with one that cannot be graded, is a trace of the problem `NO_GOLD`.

        Raises `DataError` if a row has no question or a reference answer of another type, no row has a usable one, a
        row is not a puzzle where one is needed, or holds another response besides the one that is cleaned.
        """
        traces, record = folder / "traces.jsonl", folder / "source.json"
        settings = [self.domain.model_dump(mode="json"), self.response_format.model_dump(mode="json")]
        made_of = {"source": [self.source.path, self.source.digest()], "columns": dict(self.columns), "by": settings}
        if record.is_file() and json.loads(record.read_text(encoding="utf-8")) == made_of:
            return traces
        folder.mkdir(parents=True, exist_ok=True)
        write_jsonl(folder / PROBLEMS_FILE, self._problems())
        rows = enumerate(each_response(self.source.rows(), self.columns))
        unusable: list[str] = []
        write_jsonl(traces, (to_json(self._trace(number, *found, unusable)) for number, found in rows))
        if unusable:
            some = f"{len(unusable):,} row{'s' * (len(unusable) > 1)}"
            print(f"{some} with a reference answer that cannot be graded. The first: {unusable[0]}", file=sys.stderr)
        write_json(record, made_of)
        return traces

    def kept(self, cleaned: Path) -> Iterator[dict[str, Any]]:
        """The rows of the traces in a cleaned file, with the cleaned text in their columns; a text that does not hold
        its thinking as it was cleaned, such as one with tags in it, loses the same passages, or stays as it is."""
        left = 0
        for trace in read_traces(cleaned):
            row = self._with_text(trace.meta[_ROW], trace.meta[_PATHS], trace)
            left += row is None
            yield trace.meta[_ROW] if row is None else row
        if left:
            print(
                f"{left:,} changed trace{'s' * (left > 1)} unchanged in the output: what was cut does not stand in the "
                "text word for word, for example since it goes over a think tag.",
                file=sys.stderr,
            )

    def dropped(self, dropped: Path) -> Iterator[dict[str, Any]]:
        """The unchanged rows of the dropped traces, each with `reason` and `step`."""
        for trace in read_jsonl(dropped):
            yield {**trace["meta"][_ROW], "reason": trace["reason"], "step": trace["step"]}

    def _problems(self) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        differing: list[str] = []
        without: NoGold | None = None
        for place, row in self.source.rows():
            paths = locate(row, self.columns)
            try:
                problem = self._problem(place, row, paths)
            except NoGold as error:
                without = without or error
                continue
            if isinstance(self.domain, KnightsKnaves) and not self._has_solution(problem, row, paths):
                differing.append(place)
            if problem.id not in seen:
                seen.add(problem.id)
                yield to_json(problem)
        if without and not seen:
            raise without
        yield to_json(Problem(NO_GOLD, self.domain.name, "", ""))
        if differing:
            rows = f"{len(differing):,} row{'s' * (len(differing) > 1)} (first: {differing[0]})"
            print(
                f"{rows}: {paths.get('gold')!r} is not the solution of the puzzle. The solution is used instead.",
                file=sys.stderr,
            )

    def _problem(self, place: str, row: Row, paths: Mapping[str, str]) -> Problem:
        named = {content: value_at(row, paths.get(content, "")) for content in ("question", "gold")}
        gold = named["gold"]
        if not isinstance(gold, str | int | float | None) and not isinstance(self.domain, KnightsKnaves):
            raise DataError(
                f"{place}: the reference answer {paths['gold']!r} is of type {type(gold).__name__}, but a text is "
                "needed. Name the text inside it, such as --columns gold=answer.value."
            )
        if isinstance(gold, str) and len(gold) > _WORKED and (answer := boxed(gold)):
            named["gold"] = answer
        forms: list[Row] = [{**row, **named}]
        if isinstance(self.domain, KnightsKnaves):
            forms = [{"question": named.get("question")}]  # the solution of a puzzle is known
        elif isinstance(self.domain, RowDomain):
            forms = [{"problem": row}, *forms]  # the columns of the domain's own data set come first
        for form in forms:
            try:
                return self.domain.read(form, place)
            except DataError as error:
                found = error
        hint = (
            "Fix or remove the row, name the columns with --columns question=NAME,gold=NAME, or give another --domain."
        )
        if isinstance(found, NoGold):
            empty = f"{paths['gold']!r} is empty" if "gold" in paths else "no reference answer"
            raise NoGold(f"{place}: {empty} ({fields_of(row)}). {hint}")
        raise DataError(f"{found} {hint}")

    def _has_solution(self, problem: Problem, row: Row, paths: Mapping[str, str]) -> bool:
        """Whether the reference answer of a puzzle, if given, is its solution."""
        gold = value_at(row, paths.get("gold", ""))
        try:
            return gold in (None, "") or bool(self.domain.read({"question": problem.question, "gold": gold}, ""))
        except DataError:
            return False

    def _trace(self, number: int, place: str, row: Row, paths: Mapping[str, str], unusable: list[str]) -> Trace:
        """A row as a trace; what is wrong with a reference answer that cannot be graded is added to `unusable`."""
        parsed = self._parsed(place, row, paths)
        self._require_one_text(place, row, paths, parsed)
        teacher = str(row.get(find_column(row, "teacher") or "") or Path(self.source.path).name)
        meta = {_ROW: json.loads(json.dumps(row, default=str)), _PATHS: dict(paths)}
        try:
            problem = self._problem(place, row, paths)
            scored = ((answer, self._score(parsed.thinking, answer, problem)) for answer in parsed.answers or ("",))
            first = next(scored)
            answer, score = next((pair for pair in chain([first], scored) if pair[1].verdict != "none"), first)
        except NoGold:
            pass
        except Unscorable as error:
            unusable.append(f"{place}: {error}.")
        else:
            prompt = self.domain.prompt(problem)
            return Trace(problem.id, problem.domain, prompt, parsed.thinking, answer, score, teacher, number, meta)
        score, answer = Score("none", None, False), (parsed.answers or ("",))[0]
        return Trace(NO_GOLD, self.domain.name, (), parsed.thinking, answer, score, teacher, number, meta)

    def _score(self, thinking: str, answer: str, problem: Problem) -> Score:
        text = self.response_format.render(thinking=thinking, answer=answer) if answer else thinking
        return self.domain.score(text, problem, self.response_format)

    def _parsed(self, place: str, row: Row, paths: Mapping[str, str]) -> ParsedCompletion:
        texts = []
        for content in ("response", "thinking"):
            texts.append(text := value_at(row, paths.get(content, "")))
            if not isinstance(text, str | None):
                raise DataError(
                    f"{place}: {paths[content]!r} is of type {type(text).__name__}, but a text is needed. Name the text"
                    f" inside it, such as --columns {content}=messages[assistant]."
                )
        return parse_completion(texts[0] or "", "auto", self.response_format, thinking=texts[1])

    def _require_one_text(self, place: str, row: Row, paths: Mapping[str, str], parsed: ParsedCompletion) -> None:
        """Raises `DataError` if a conversation in the row holds another response, which would stay as it is."""
        used = {re.split(r"[.\[]", path)[0] for path in paths.values()}
        for column in row.keys() - used if not self._siblings(row, paths) else ():
            said = value_at(row, f"{column}[assistant]") if is_conversation(row[column]) else None
            copy = parsed.thinking and parsed.thinking in str(said) or said == value_at(row, paths.get("response", ""))
            if isinstance(said, str) and not copy:
                raise DataError(
                    f"{place}: {column!r} holds another response than {paths['response']!r}, which would stay as it "
                    f"is. Remove one of them, or clean that one: --columns response={column}."
                )

    def _siblings(self, row: Row, paths: Mapping[str, str]) -> list[Any]:
        """The list of responses that the cleaned one is from, as in Open-R1; empty if there is only one."""
        listed = re.fullmatch(r"(.+)\[\d+\]", paths.get("response", ""))
        responses = value_at(row, listed[1]) if listed else None
        return responses if isinstance(responses, list) and len(responses) > 1 else []

    def _with_text(self, row: dict[str, Any], paths: Mapping[str, str], trace: Trace) -> dict[str, Any] | None:
        """The row with the cleaned text, also in copies of it. Of a list of responses, and of lists with an item for
        each of them, only those of this response stay. None if the text cannot be changed as the trace was."""
        parsed, text = self._parsed("", row, paths), value_at(row, paths.get("response", "")) or ""
        cleaned, same_answer = text, trace.answer in (parsed.answers or ("",))
        if value_at(row, paths.get("thinking", "")) is not None:
            cleaned = text if same_answer else trace.answer
        elif not (same_answer and trace.thinking == parsed.thinking):
            before, after = parsed.thinking, trace.thinking
            once = text.count(before) == 1
            changed = text.replace(before, after) if once else without_passages(text, before, after)
            if changed is None or not same_answer:
                return None
            cleaned = changed
        siblings = self._siblings(row, paths)
        row = with_value(row, paths["response"], cleaned) if text else row
        if siblings:
            number = int(paths["response"].rpartition("[")[2].rstrip("]"))
            lists = {name for name, value in row.items() if isinstance(value, list) and len(value) == len(siblings)}
            lists -= {name for name in lists if is_conversation(row[name])}
            row = {name: [value[number]] if name in lists else value for name, value in row.items()}
        copies = {**{other: cleaned for other in siblings if isinstance(other, str)}, text: cleaned}
        return {name: _rewritten(value, copies, parsed.thinking, trace.thinking) for name, value in row.items()}


def without_passages(text: str, before: str, after: str) -> str | None:
    """A text without the passages that were cut from a part of it; None if they cannot be told, or do not stand there.

    Args:
        before: the part, which need not stand in the text word for word; its passages do.
        after: the part without the passages.
    """
    place, kept, found = 0, 0, [(0, 0)]
    while place < len(before):
        same = len(commonprefix([before[place:], after[kept:]]))
        place, kept = place + same, kept + same
        end = before.find(after[kept : kept + _AROUND], place) if kept < len(after) else len(before)
        if end > place:
            start = max(0, place - _AROUND)
            around = before[start : end + _AROUND]
            cut = text.find(around) + place - start
            if text.count(around) != 1 or cut < found[-1][1]:
                return None
            found.append((cut, cut + end - place))
        elif end < 0:
            return None
        place = max(place, end)
    ends = [*(start for start, _ in found[1:]), len(text)]
    return "".join(text[end:start] for (_, end), start in zip(found, ends, strict=True)) if kept == len(after) else None


def _rewritten(value: Any, copies: Mapping[str, str], thinking: str, cleaned: str) -> Any:
    """A value with the cleaned text in place of copies of a response or its thinking."""
    if isinstance(value, str):
        value = copies.get(value, value)
        return value.replace(thinking, cleaned) if thinking else value
    if isinstance(value, list):
        return [_rewritten(item, copies, thinking, cleaned) for item in value]
    if isinstance(value, dict):
        return {key: _rewritten(item, copies, thinking, cleaned) for key, item in value.items()}
    return value
