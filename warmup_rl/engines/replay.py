"""Traces that exist already, from a file or a dataset of the hub, as a teacher: each is found for its problem."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import DataError, UserError
from warmup_rl.base.types import Completion, Problem, Request
from warmup_rl.data.columns import COLUMNS, find_column
from warmup_rl.data.datasets import Source
from warmup_rl.interfaces.engine import Engine, EngineContext, Session
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.statements import relabel
from warmup_rl.knights.text import from_meta, parse

_CHARACTERS_A_TOKEN = 4
_ISLAND = "a very special island"


class Replay(Engine):
    """Published traces, or those of a run before (its `completions.jsonl`).

    A row belongs to a problem by its id, else by the question's text (white space and letter case aside; with or
    without the domain's instruction), else, for Knights & Knaves, by the puzzle that the text tells. The rows of a
    problem are its samples in their order. Problems without a row are not completed, and counted.
    """

    type: ClassVar[str] = "replay"

    source: Source
    """A file (.jsonl .json .csv .tsv .parquet, also .gz), or a dataset of the hub: its id, or a mapping with `path`,
    `split`, `name` and `revision`."""
    question: str | None = None
    """Column with the question; where not given, the first there is of question, quiz, problem, prompt, instruction,
    input, query, stem, messages. Of a list of messages the user's last one counts."""
    response: str | None = None
    """Column with what the teacher wrote; where not given, the first there is of response, completion, output,
    generation, trace, text, content, messages. Of a list of messages the last one of the assistant counts."""
    thinking: str | None = None
    """Column with the thinking where it stands apart; where not given, the first there is of thinking, reasoning,
    reasoning_content."""
    id: str = "problem_id"
    """Column with the problem's id, where there is such a column."""

    def digest(self) -> str:
        return self.source.digest()

    def check(self, problem: Problem) -> None:
        """Raises `UserError` where the file is missing or lacks the columns; a hub dataset is not looked at yet."""
        if self.source.is_file:
            for place, row in self.source.rows():
                self.columns(place, row)
                return
            raise DataError(f"{self.source.path}: holds no rows.")

    def open(self, context: EngineContext) -> AbstractContextManager[Session]:
        return nullcontext(_ReplaySession(self, context))

    def columns(self, place: str, row: Mapping[str, Any]) -> tuple[str | None, str]:
        """Names of the columns of question and response; no question where rows are found by id.

        Raises:
            DataError: they are not there.
        """
        chosen = []
        for key, given in (("question", self.question), ("response", self.response)):
            name = find_column(row, key) if given is None else given if given in row else None
            if name is None and not (key == "question" and self.id in row and not given):
                raise DataError(
                    f"{place}: no column {given or ' or '.join(COLUMNS[key])} for the {key}. "
                    f"Columns: {', '.join(row)}. Name the right one under `{key}`."
                )
            chosen.append(name)
        return chosen[0], str(chosen[1])


class _ReplaySession:
    def __init__(self, config: Replay, context: EngineContext) -> None:
        self._config, self._context = config, context

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Completions in the order of the rows. Raises `UserError` where no row fits any of the problems."""
        wanted: dict[str, set[int]] = defaultdict(set)
        ids: dict[str, str] = {}
        for request in requests:
            wanted[request.problem.id].add(request.sample)
            ids.update(dict.fromkeys(_keys(request), request.problem.id))
        seen: Counter[str] = Counter()
        rows = 0
        question = ""
        for place, row in self._config.source.rows():
            rows += 1
            asked, said = self._config.columns(place, row)
            question = _words(row[asked], "user") if asked else ""
            problem_id = next((ids[key] for key in _row_keys(row.get(self._config.id), question) if key in ids), None)
            if problem_id is None:
                continue
            sample = seen[problem_id]
            seen[problem_id] += 1
            if sample in wanted[problem_id]:
                yield self._completion(problem_id, sample, row, said)
        if wanted and not seen:
            raise UserError(
                f"{self._config.source.path}: none of its {rows} rows is about one of the {len(wanted)} problems "
                f"asked for. A row asks, for example: {question[:200]!r}. Use the domain that these traces are about."
            )
        without = len(wanted) - len(seen)
        line = f"{self._config.source.path}: {seen.total()} of {rows} rows are about {len(seen)} of the problems"
        self._context.say(f"{line}; {without} problems have no trace there" if without else line)

    def _completion(self, problem_id: str, sample: int, row: Mapping[str, Any], said: str) -> Completion:
        text = _words(row[said], "assistant")
        thinking = row.get(self._config.thinking or find_column(row, "thinking") or "")
        whole = len(text) + len(thinking or "")
        tokens = row.get("tokens")
        reason = str(row.get("finish_reason") or "stop")
        return Completion(
            problem_id=problem_id,
            sample=sample,
            text=text,
            tokens=tokens if isinstance(tokens, int) else -(-whole // _CHARACTERS_A_TOKEN),
            truncated=row.get("truncated") in (True, "True", "true") or reason == "length",
            thinking=str(thinking) if thinking else None,
            finish_reason=reason,
        )


def _keys(request: Request) -> Iterator[str]:
    """What a row may be found by."""
    problem = request.problem
    yield f"id {problem.id}"
    yield f"text {_normal(problem.question)}"
    yield f"text {_normal(request.messages[-1]['content'])}"
    try:
        yield _puzzle_key(from_meta(problem.meta)[0])
    except DataError:
        return


def _row_keys(given_id: Any, question: str) -> Iterator[str]:
    if given_id is not None:
        yield f"id {given_id}"
    if not question:
        return
    text = _normal(question)
    yield f"text {text}"
    if _ISLAND in text:
        start = question.lower().find(_ISLAND)
        try:
            yield _puzzle_key(parse(question[start : question.rfind("?") + 1], "english"))
        except DataError:
            return


def _puzzle_key(puzzle: Puzzle) -> str:
    """The same for puzzles that differ only in the order of the people and in how they are told."""
    order = sorted(range(puzzle.people), key=lambda person: puzzle.names[person])
    ranks = [order.index(person) for person in range(puzzle.people)]
    said = [relabel(puzzle.statements[person], ranks) for person in order]
    return "puzzle " + json.dumps([sorted(puzzle.names), puzzle.roles.truthful, puzzle.roles.liar, said])


def _words(value: Any, role: str) -> str:
    """A text, or the last message of a role in a list of messages."""
    if not isinstance(value, list):
        return "" if value is None else str(value)
    found = [message.get("content") for message in value if isinstance(message, dict) and message.get("role") == role]
    return str(found[-1]) if found and found[-1] is not None else ""


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())
