"""Passes traces through the steps of `clean`, each part of them in the process of a launch that has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby, islice, repeat
from pathlib import Path
from typing import Any

from warmup_rl.base.console import progress
from warmup_rl.base.errors import DataError, Unscorable
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import Trace, to_json, trace_from_json
from warmup_rl.data.indexed_log import IndexedLog
from warmup_rl.data.ranks import RankFolder, await_main
from warmup_rl.data.traces import NO_GOLD, PROBLEMS_FILE, read_traces
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped, LooksAhead
from warmup_rl.interfaces.domain import grading
from warmup_rl.interfaces.plugins import name_of
from warmup_rl.interfaces.stage import LaunchEnv

LOG = "cleaned.jsonl"
PHASE = "phase-"
"""Beginning of the names of folders with the rows of neighbouring steps that ranks share."""
_AHEAD = 256
"""Traces that pass the steps together if a step looks ahead; otherwise each passes alone."""
_ALONE = LaunchEnv()
Row = dict[str, Any]
Placed = tuple[int, Cleaner]
"""A step and its place among all."""


def checked(traces: Path, context: CleanContext, env: LaunchEnv = _ALONE) -> int:
    """Checks that the domain and problem of each trace are known, or of each in this rank's part; returns how many."""
    checked = 0
    for trace in read_traces(traces, first=env.rank, every=env.size):
        checked += 1
        if trace.domain not in context.domains:
            raise DataError(
                f"{traces}: a trace is of domain {trace.domain!r}, which the recipe does not declare "
                f"(declared: {', '.join(context.domains)})."
            )
        if trace.problem_id not in context.problems:
            raise DataError(
                f"{traces}: a trace is of problem {trace.problem_id!r}, which is not in {PROBLEMS_FILE} "
                "beside it. Run the stage that made both again."
            )
    return checked


def open_log(context: CleanContext, steps: Sequence[Cleaner], source: Any) -> IndexedLog[int, Row]:
    """The rows of the traces cleaned so far. Row 0 holds everything that decides the others; if it differs, the log is
    started anew."""
    fields = [[name_of(type(step)), step.model_dump(mode="json", serialize_as_any=True)] for step in steps]
    domains = {name: domain.model_dump(mode="json") for name, domain in context.domains.items()}
    layout = context.response_format.model_dump(mode="json")
    header = {"trace": 0, "of": [source, fields, domains, layout, context.model, context.model_revision, context.seed]}
    assert context.folder is not None
    path = context.folder / LOG
    log = _log(path)
    if log and log[0] != header:
        log.close()
        path.unlink()
        log = _log(path)
    if not log:
        log.add(header)
    return log


def _log(path: Path) -> IndexedLog[int, Row]:
    return IndexedLog(path, lambda row: int(row["trace"]))


@dataclass
class Item:
    """A trace on its way through the steps: its place in the input, counted from 1, the name of the last step that it
    reached, their reports about it, and what they keep of it for later traces."""

    number: int
    original: Trace
    result: Trace | Dropped
    step: str = ""
    audit: list[Mapping[str, Any]] = field(default_factory=list)
    remember: list[Row] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        result, original = self.result, self.original
        return isinstance(result, Trace) and (result.thinking, result.answer) != (original.thinking, original.answer)


class Phases:
    """The steps on the ranks of a launch: those next to each other that treat each trace by itself are a phase, in
    which each rank has a part of the traces; in other phases the main one has all, and the others wait for its file."""

    def __init__(
        self, traces: Path, steps: Sequence[Cleaner], context: CleanContext, env: LaunchEnv, peers: Callable[[], None]
    ) -> None:
        self._traces, self._context, self._env, self._peers = traces, context, env, peers
        groups = groupby(enumerate(steps), key=lambda placed: placed[1].per_rank())
        self._phases: list[tuple[bool, list[Placed]]] = [(split, list(some)) for split, some in groups]
        if not self._phases[-1][0]:
            self._phases.append((True, []))  # changed texts are graded, and tokens counted

    def run(self) -> Path | None:
        """Passes the traces through all phases that an earlier run has not finished. Returns the file with a row for
        each trace on the main process, None on others. Raises `DataError` as `clean` does."""
        total = checked(self._traces, self._context, self._env) * self._env.size
        made = None
        for number, (split, steps) in enumerate(self._phases):
            assert self._context.folder is not None
            before, made = made, self._context.folder / f"{PHASE}{number}.jsonl"
            last = number == len(self._phases) - 1
            if made.exists():
                continue
            if split or self._env.is_main:
                env = self._env if split else _ALONE
                done = progress(self._context.say, f"traces, phase {number + 1}", total // env.size)
                self._make(made, before, steps, env, done, last=last)
            if not self._env.is_main and not last:
                await_main(made, self._peers)
        return made if self._env.is_main else None

    def _make(
        self, made: Path, before: Path | None, steps: Sequence[Placed], env: LaunchEnv, done: Callable[[int], None], *,
        last: bool,
    ) -> None:  # fmt: skip
        """This rank's part of a phase; on the main process, which waits for the others, its file."""
        folder = made.with_suffix("")
        folder.mkdir(exist_ok=True)
        part = RankFolder(folder, rank=env.rank, size=env.size)
        with closing(_log(part.path / LOG)) as log:
            done(len(log))
            Cleaning(steps, self._context, log, last=last).run(self._items(before, env), done)
        part.close()
        if env.is_main:
            part.gather(self._peers)
            with closing(_log(folder / LOG)) as log:
                write_jsonl(made, (dict(log[number]) for number in sorted(log)))

    def _items(self, before: Path | None, env: LaunchEnv) -> Iterator[Item]:
        """This rank's part of the traces, as the phase before has left them."""
        traces = read_traces(self._traces, first=env.rank, every=env.size)
        rows = read_jsonl(before, first=env.rank, every=env.size) if before else repeat({})
        for number, (trace, row) in enumerate(zip(traces, rows, strict=False)):
            place = 1 + env.rank + number * env.size
            if before is None:
                yield Item(place, trace, trace)
            else:
                result = trace_from_json(row["result"]) if row["result"] else Dropped(row["reason"])
                yield Item(place, trace, result, row["step"], row["audit"])


class Cleaning:
    """Runs steps on traces, one or a few at a time; each trace is a row of the log, which also has those of an earlier
    run: all that is known of it after the `last` step, else what the next steps need."""

    def __init__(
        self, steps: Sequence[Placed], context: CleanContext, log: IndexedLog[int, Row], *, last: bool = True
    ) -> None:
        self._context = replace(context, count_tokens=lru_cache(maxsize=16)(context.count_tokens))
        self._log, self._last = log, last
        self._frame = self._context.count_tokens(context.response_format.render(thinking="", answer=""))
        self._current: Item
        self._steps = [(name_of(type(step)), self._start(place, step)) for place, step in steps]

    def run(self, items: Iterable[Item], done: Callable[[int], None]) -> None:
        """Cleans the traces that are not in the log yet; calls `done` with the numbers of finished ones."""
        chunk = _AHEAD if any(isinstance(step, LooksAhead) for _, step in self._steps) else 1
        rest = (item for item in items if item.number not in self._log)
        while some := list(islice(rest, chunk)):
            self._clean(some)
            for item in some:
                self._log.add(self._row(item) if self._last else _state(item))
            done(len(some))

    def _start(self, place: int, step: Cleaner) -> Callable[[Trace], Trace | Dropped]:
        rows = (self._log[number] for number in self._log if number)
        remembered = (one["value"] for row in rows for one in row["remember"] if one["step"] == place)
        return step.start(
            replace(
                self._context,
                audit=lambda row: self._current.audit.append(row),
                remember=lambda value: self._current.remember.append({"step": place, "value": value}),
                remembered=remembered,
            )
        )

    def _clean(self, items: Sequence[Item]) -> None:
        """Passes the traces through all steps; each step receives them in order, without those that have no text."""
        for item in items:
            if not (item.original.thinking or item.original.answer):
                item.result, item.step = Dropped("no response"), "read"
            elif item.original.problem_id == NO_GOLD:
                item.result, item.step = Dropped(NO_GOLD), "read"
        for name, step in self._steps:
            left = [(item, item.result) for item in items if isinstance(item.result, Trace)]
            if isinstance(step, LooksAhead):
                step.ahead([trace for _, trace in left])
            for item, trace in left:
                self._current = item
                item.result, item.step = step(trace), name
        for item in items:
            if self._last and isinstance(item.result, Trace) and item.changed:
                item.result = self._rescored(item.result)

    def _rescored(self, trace: Trace) -> Trace | Dropped:
        """The trace with the score of its changed text."""
        layout = self._context.response_format
        text = layout.render(thinking=trace.thinking, answer=trace.answer)
        problem = self._context.problems[trace.problem_id]
        try:
            with grading(problem):
                return replace(trace, score=self._context.domains[trace.domain].score(text, problem, layout))
        except Unscorable:
            return Dropped("changed, and can no longer be graded")

    def _row(self, item: Item) -> Row:
        """What is known of a finished trace; audit rows name its place in the input and what became of it."""
        original, result = item.original, item.result
        kept, reason = (result, None) if isinstance(result, Trace) else (None, result.reason)
        status = {
            "trace": item.number,
            "teacher": original.teacher,
            "dropped": reason,
            "verdict_before": original.score.verdict,
            "verdict_after": kept.score.verdict if kept else None,
        }
        return {
            "trace": item.number,
            "tokens": [self._tokens(original), self._tokens(kept) if kept else 0],
            "changed": item.changed,
            "kept": to_json(kept) if kept else None,
            "dropped": None if kept else {**to_json(original), "reason": reason, "step": item.step},
            "audit": [{**row, **status} for row in item.audit],
            "remember": item.remember,
        }

    def _tokens(self, trace: Trace) -> int:
        count = self._context.count_tokens
        return count(trace.thinking) + count(trace.answer) + self._frame


def _state(item: Item) -> Row:
    """A trace between two phases."""
    kept, reason = (item.result, None) if isinstance(item.result, Trace) else (None, item.result.reason)
    return {
        "trace": item.number,
        "result": kept and to_json(kept),
        "reason": reason,
        "step": item.step,
        "audit": item.audit,
        "remember": item.remember,
    }
