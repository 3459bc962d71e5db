"""A teacher that replays existing traces from a file or a hub dataset, matching each row with a problem."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import DataError, UserError, listed
from warmup_rl.base.types import Completion, Problem, Request
from warmup_rl.data.columns import COLUMNS, each_response, locate, value_at
from warmup_rl.data.datasets import Source
from warmup_rl.domains.rows import normal_question
from warmup_rl.interfaces.engine import Engine, EngineContext, Session

_CHARACTERS_PER_TOKEN = 4


class Replay(Engine):
    """Published traces, or those of an earlier run (its `completions.jsonl` or `traces.jsonl`).

    A row is matched with a problem by the problem's id, otherwise by the text of the question (regardless of white
    space and letter case; with or without the domain's instruction), otherwise by what the domain reads in the question
    (Knights & Knaves: the same puzzle in another order or wording). A problem's rows are its samples, in order.
    Problems without a row get no completion and are counted.
    """

    type: ClassVar[str] = "replay"

    source: Source
    """A file (.jsonl .json .csv .tsv .parquet, also .gz), or a hub dataset: its id, or a mapping with `path`, `split`,
    `name` and `revision`."""
    question: str | None = None
    """Column with the question, or a path such as `messages[user]`; default: the first usual one, also in conversations
    and lists of turns (see `warmup_rl.data.columns.locate`)."""
    response: str | None = None
    """Column with the teacher's text; default: the same. Each text in a list of responses is a sample."""
    thinking: str | None = None
    """Column with the thinking, if it is separate; default: the same."""
    id: str = "problem_id"
    """Column with the problem's id, if there is one."""

    def check(self, problem: Problem) -> None:
        """Raises `UserError` if the file is missing or lacks the columns; a hub dataset is not checked yet."""
        if self.source.is_file:
            self.require_columns()

    def open(self, context: EngineContext) -> AbstractContextManager[Session]:
        return nullcontext(_ReplaySession(self, context))

    def require_columns(self) -> None:
        """Raises `DataError` if no row has a response, or the first that has one has no question."""
        first = None
        for place, row in self.source.rows():
            first = first or (place, row)
            if "response" in locate(row, self.given):
                first = place, row
                break
        if first is None:
            raise DataError(f"{self.source.path}: holds no rows.")
        self.columns(*first)

    def columns(
        self, place: str, row: Mapping[str, Any], needed: Sequence[str] = ("question", "response")
    ) -> dict[str, str]:
        """Paths to response, thinking and question (see `locate`); without a question rows are matched by id. Raises
        `DataError` if one that is `needed` is missing."""
        found = locate(row, self.given)
        for key in needed:
            if key not in found and not (key == "question" and self.id in row and key not in self.given):
                raise DataError(
                    f"{place}: no column {self.given.get(key) or ' or '.join(COLUMNS[key])} for the {key}. "
                    f"Columns: {listed(row)}. Name the right one under `{key}`."
                )
        return found

    @property
    def given(self) -> dict[str, str]:
        """The columns named in the recipe, by content."""
        named = {"question": self.question, "response": self.response, "thinking": self.thinking}
        return {content: path for content, path in named.items() if path is not None}


@dataclass(frozen=True)
class _ReplaySession:
    config: Replay
    context: EngineContext

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Completions in the order of the rows. Raises `UserError` if no row matches any of the problems."""
        path = self.config.source.path
        wanted: dict[str, set[int]] = defaultdict(set)
        ids: dict[str, str] = {}
        domains: set[str] = set()
        for request in requests:
            wanted[request.problem.id].add(request.sample)
            domains.add(request.problem.domain)
            ids.update(dict.fromkeys(self._request_keys(request), request.problem.id))
        seen: Counter[str] = Counter()
        rows = replayed = empty = 0
        question, column = "", ""
        self.config.require_columns()
        for place, row, paths in each_response(self.config.source.rows(), self.config.given):
            rows += 1
            self.config.columns(place, row, ["question"])
            column = paths.get("response", column)
            question = _text(value_at(row, paths.get("question", "")))
            keys = self._row_keys(row.get(self.config.id), question, domains)
            problem_id = next((ids[key] for key in keys if key in ids), None)
            if problem_id is None:
                continue
            sample = seen[problem_id]
            seen[problem_id] += 1
            if sample in wanted[problem_id]:
                completion = self._completion(problem_id, sample, row, paths)
                replayed, empty = replayed + 1, empty + (not completion.text)
                yield completion
        if wanted and not seen:
            raise UserError(
                f"{path}: none of its {rows} rows is about one of the {len(wanted)} problems asked for. A row asks, "
                f"for example: {question[:200]!r}. Use the domain that these traces are about."
            )
        line = f"{path}: {seen.total()} of {rows} rows are about {len(seen)} of the problems"
        if without := len(wanted) - len(seen):
            line += f"; {without} problems have no trace there"
        if empty:
            line += f"; the column {column!r}, taken for the response, is empty in {empty} of {replayed}"
        self.context.say(line)

    def _completion(self, problem_id: str, sample: int, row: Mapping[str, Any], paths: Mapping[str, str]) -> Completion:
        text, thinking = _text(value_at(row, paths.get("response", ""))), value_at(row, paths.get("thinking", ""))
        characters = len(text) + len(thinking or "")
        tokens = row.get("tokens")
        reason = str(row.get("finish_reason") or "stop")
        return Completion(
            problem_id=problem_id,
            sample=sample,
            text=text,
            tokens=tokens if isinstance(tokens, int) else -(-characters // _CHARACTERS_PER_TOKEN),
            truncated=row.get("truncated") in (True, "True", "true") or reason == "length",
            thinking=str(thinking) if thinking else None,
            finish_reason=reason,
        )

    def _request_keys(self, request: Request) -> Iterator[str]:
        """The keys that a row may share with a request."""
        problem = request.problem
        yield f"id {problem.id}"
        yield f"text {normal_question(problem.question)}"
        yield f"text {normal_question(request.messages[-1]['content'])}"
        yield from self._question_keys(problem.question, {problem.domain})

    def _row_keys(self, given_id: Any, question: str, domains: Iterable[str]) -> Iterator[str]:
        if given_id is not None:
            yield f"id {given_id}"
        if question:
            yield f"text {normal_question(question)}"
            yield from self._question_keys(question, domains)

    def _question_keys(self, question: str, domains: Iterable[str]) -> Iterator[str]:
        known = (self.context.domains[name] for name in domains if name in self.context.domains)
        yield from (f"question {key}" for domain in known if (key := domain.question_key(question)))


def _text(value: Any) -> str:
    return "" if value is None else str(value)
