"""Passes traces through cleaning steps, one at a time: what comes out, what was dropped and why, and how to go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import Unscorable
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.types import Trace, to_json
from warmup_rl.data.checkpointed_log import CheckpointedLog
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped, LooksAhead
from warmup_rl.interfaces.plugins import name_of

TRACES, DROPPED, AUDIT = "traces.jsonl", "dropped.jsonl", "audit.jsonl"
_REMEMBERED = "remembered.jsonl"
_AHEAD = 256
"""Traces that go through the steps together, where a step looks ahead; else each goes alone."""


@dataclass
class Counts:
    """What happened so far; every trace read is kept or dropped.

    Attributes:
        dropped: traces by reason.
        changed: kept traces whose words are not those of the source.
        tokens_before: of all traces read, as the student would be shown them.
        tokens_dropped: of the dropped ones among these.
        tokens_after: of the kept ones, as they came out.
        outcomes: rows of the audit by cleaner and outcome, the latter with its reason where there is one.
    """

    read: int = 0
    kept: int = 0
    changed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    tokens_before: int = 0
    tokens_dropped: int = 0
    tokens_after: int = 0
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class _Item:
    """A trace on its way, and what steps said of it."""

    original: Trace
    result: Trace | Dropped
    step: str = ""
    audit: list[Mapping[str, Any]] = field(default_factory=list)
    remember: list[dict[str, Any]] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        result, original = self.result, self.original
        return isinstance(result, Trace) and (result.thinking, result.answer) != (original.thinking, original.answer)

    def status(self, number: int) -> dict[str, Any]:
        """What an audit row says of the trace as a whole: its place in the input, verdicts, and why it was dropped."""
        return {
            "trace": number,
            "teacher": self.original.teacher,
            "dropped": self.result.reason if isinstance(self.result, Dropped) else None,
            "verdict_before": self.original.score.verdict,
            "verdict_after": self.result.score.verdict if isinstance(self.result, Trace) else None,
        }


class Cleaning:
    """Steps at work in a folder; a killed one goes on there, and makes the same files as an undisturbed one.

    It writes `traces.jsonl`, `dropped.jsonl` (trace, reason and step) and `audit.jsonl` (what steps say of what they
    did); its memory does not grow with the number of traces, but for what steps keep.

    Args:
        source: JSON value that stands for the traces; with other ones, or other steps, the work begins anew.
    """

    def __init__(self, steps: Sequence[Cleaner], context: CleanContext, source: Any) -> None:
        assert context.folder is not None
        fields = [[name_of(type(step)), step.model_dump(mode="json", serialize_as_any=True)] for step in steps]
        domains = {name: domain.model_dump(mode="json") for name, domain in context.domains.items()}
        form = context.response_format.model_dump(mode="json")
        made_of = [source, fields, domains, form, context.model, context.model_revision, context.seed]
        self._ledger = CheckpointedLog(context.folder, [TRACES, DROPPED, AUDIT, _REMEMBERED], made_of)
        self._context = replace(context, count_tokens=lru_cache(maxsize=16)(context.count_tokens))
        self.counts = Counts(**(self._ledger.state or {}))
        self._frame = self._context.count_tokens(context.response_format.render(thinking="", answer=""))
        self._at: _Item
        self._steps = [(name_of(type(step)), self._start(place, step)) for place, step in enumerate(steps)]

    def run(self, traces: Iterable[Trace], done: Callable[[int], None] = lambda count: None) -> Counts:
        """Cleans all traces but those that a killed run has finished.

        Args:
            done: called with the number of traces that were just finished.
        """
        done(self.counts.read)
        chunk = _AHEAD if any(isinstance(step, LooksAhead) for _, step in self._steps) else 1
        rest = islice(traces, self.counts.read, None)
        with closing(self._ledger):
            while items := [_Item(trace, trace) for trace in islice(rest, chunk)]:
                self._clean(items)
                for item in items:
                    self._write(item)
                if self._ledger.due(len(items)):
                    self._ledger.commit(asdict(self.counts))
                done(len(items))
            self._ledger.commit(asdict(self.counts))
        return self.counts

    def _start(self, place: int, step: Cleaner) -> Callable[[Trace], Trace | Dropped]:
        assert self._context.folder is not None
        return step.start(replace(
            self._context,
            audit=lambda row: self._at.audit.append(row),
            remember=lambda value: self._at.remember.append({"step": place, "value": value}),
            remembered=_remembered(self._context.folder / _REMEMBERED, place),
        ))  # fmt: skip

    def _clean(self, items: Sequence[_Item]) -> None:
        """Passes the traces through all steps; each step sees them in order."""
        for name, step in self._steps:
            open_items = [item for item in items if isinstance(item.result, Trace)]
            if isinstance(step, LooksAhead):
                step.ahead([item.result for item in open_items if isinstance(item.result, Trace)])
            for item in open_items:
                self._at = item
                assert isinstance(item.result, Trace)
                item.result, item.step = step(item.result), name
        for item in items:
            if isinstance(item.result, Trace) and item.changed:
                item.result = self._rescored(item.result)

    def _rescored(self, trace: Trace) -> Trace | Dropped:
        """The score of what the student will be shown, where cleaning changed that."""
        form = self._context.response_format
        text = form.render(thinking=trace.thinking, answer=trace.answer)
        problem = self._context.problems[trace.problem_id]
        try:
            return replace(trace, score=self._context.domains[trace.domain].score(text, problem, form))
        except Unscorable:
            return Dropped("changed, and can no longer be graded")

    def _write(self, item: _Item) -> None:
        counts, result, before = self.counts, item.result, self._tokens(item.original)
        counts.read += 1
        counts.tokens_before += before
        if isinstance(result, Dropped):
            counts.dropped[result.reason] = counts.dropped.get(result.reason, 0) + 1
            counts.tokens_dropped += before
            self._ledger.write(DROPPED, {**to_json(item.original), "reason": result.reason, "step": item.step})
        else:
            counts.kept += 1
            counts.changed += item.changed
            counts.tokens_after += self._tokens(result)
            self._ledger.write(TRACES, to_json(result))
        for row in item.audit:
            self._count(row)
            self._ledger.write(AUDIT, {**row, **item.status(counts.read)})
        for row in item.remember:
            self._ledger.write(_REMEMBERED, row)

    def _count(self, row: Mapping[str, Any]) -> None:
        """An audit row by what it says came of the trace."""
        if "outcome" in row:
            name = f"{row['outcome']}: {row['why']}" if row.get("why") else str(row["outcome"])
            outcomes = self.counts.outcomes.setdefault(str(row.get("cleaner", "")), {})
            outcomes[name] = outcomes.get(name, 0) + 1

    def _tokens(self, trace: Trace) -> int:
        """Tokens of what the student is shown; the long part is counted once, whoever asks for it."""
        count = self._context.count_tokens
        return count(trace.thinking) + count(trace.answer) + self._frame


def by_count(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent first."""
    return dict(Counter(counts).most_common())


def counted(counts: Mapping[str, int]) -> str:
    """`12 duplicate, 3 no answer`."""
    return ", ".join(f"{count:,} {name}" for name, count in by_count(counts).items())


def _remembered(path: Path, place: int) -> Iterator[Any]:
    return (row["value"] for row in read_jsonl(path) if row["step"] == place)
