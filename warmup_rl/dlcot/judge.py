"""A model as judge: it points at numbered sentences of a chain of thought, and the structure follows from that.

One call reads a whole trace. The paper's steps (parts, approaches, verification, completeness, labels, errors,
clusters) all look at the same text, and answers that are sentence numbers are short: one call costs the text once
instead of five times, and labels and clusters cannot speak of other approaches than the ones that were found.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from warmup_rl.base.config import Config, Sampling, is_runtime_only
from warmup_rl.base.errors import Unscorable
from warmup_rl.base.jsonl import append_jsonl, read_jsonl
from warmup_rl.base.types import Completion, Message, Problem, Request, Trace
from warmup_rl.dlcot.judge_reply import Reading, Unusable, read_reply, sentences, structure_of
from warmup_rl.dlcot.structure import Ambiguous, Label, Span, Structure
from warmup_rl.interfaces.cleaner import CleanContext
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.engine import Engine, EngineContext, Session
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import name_of, plugin_field

if TYPE_CHECKING:
    from jinja2 import Template

REPLIES_FILE = "judge.jsonl"
"""In the stage's folder: every reply of the judge under the hash of what was asked, of whom and how."""
NO_ANSWER = "the judge gave no valid answer"
TOO_LONG = "too long for the judge"
EMPTY = "no thinking to judge"
UNGRADED = "the grader broke on an approach"
_SHOWN_BACK = 4_000


class Judge(Config):
    """The `llm` backend: any engine, asked once a trace, and again where its answer cannot be used."""

    engine: Annotated[Engine, plugin_field("engine")]
    """Who judges: an engine by name, or a mapping with `type` and its keys."""
    sampling: Sampling = Sampling(max_tokens=4096)
    """How its answers are drawn; reasoning models need a larger `max_tokens`."""
    think: Literal["free", "open"] = "free"
    """`open` ends every prompt with an open think tag, for local models whose chat template does so."""
    retries: int = Field(default=2, ge=0)
    """Times that it is asked again, with what was wrong, before the trace stays as it is."""
    longest: int = Field(default=100_000, gt=0)
    """Characters of thinking beyond which a trace is not judged, since the judge's context ends somewhere."""

    def start(self, context: CleanContext) -> Reader:
        """The backend; the engine is opened with the first question that no earlier run has answered."""
        return Reader(self, context)


@dataclass
class Usage:
    """What the judge has cost this process: calls made, answers found on disk, tokens written, US dollars."""

    calls: int = 0
    found: int = 0
    tokens: int = 0
    cost: float = 0.0


@dataclass
class _Talk:
    """The conversation about one trace, up to a reading or the end of patience."""

    trace: Trace
    spans: tuple[Span, ...]
    messages: list[Message]
    reading: Reading | None = None


class Reader:
    """Implements `structure.Backend`. Every reply is on disk before it is used, so nothing is paid for twice."""

    def __init__(self, config: Judge, context: CleanContext) -> None:
        self.usage = Usage()
        self._config, self._context = config, context
        self._replies = _Replies(context.folder / REPLIES_FILE if context.folder else None)
        runtime_only = {name for name, field in type(config.engine).model_fields.items() if is_runtime_only(field)}
        self._settings = [
            name_of(type(config.engine)),
            config.engine.model_dump(mode="json", exclude=runtime_only),
            config.sampling.model_dump(mode="json"),
            config.think,
        ]
        self._open = ExitStack()
        self._session: Session | None = None
        weakref.finalize(self, self._open.close)

    def ahead(self, traces: Iterable[Trace]) -> None:
        """Asks about many traces at once, so that an engine can work on them side by side; `read` finds the replies."""
        before = self.usage.calls
        self._settle(
            [
                self._talk(trace, self._context.problems[trace.problem_id])
                for trace in traces
                if self._hindrance(trace) is None
            ]
        )
        if self.usage.calls > before:
            usage = self.usage
            cost = f", ${usage.cost:,.2f}" if usage.cost else ""
            self._context.say(f"judge: {usage.calls:,} calls, {usage.tokens:,} tokens written{cost}")

    def read(self, trace: Trace, problem: Problem, domain: Domain) -> Structure:
        """The structure of a trace. Labels of answers are the grader's where it can tell, else the judge's.

        Raises:
            Ambiguous: the judge gave no valid answer, or the trace cannot be shown to it.
            UserError: the engine cannot serve.
        """
        if hindrance := self._hindrance(trace):
            raise Ambiguous(hindrance)
        talk = self._talk(trace, problem)
        self._settle([talk])
        if talk.reading is None:
            raise Ambiguous(NO_ANSWER)

        def judged(answer: str, label: Label) -> Label:
            grade = domain.grade(answer, problem)
            if grade.extracted is None or grade.verdict not in ("correct", "wrong"):
                return label
            return "correct" if grade.verdict == "correct" else "incorrect"

        try:
            return structure_of(talk.reading, talk.spans, judged, trace.thinking)
        except Unscorable:
            raise Ambiguous(UNGRADED) from None

    def close(self) -> None:
        """Closes the engine; it is opened again when needed."""
        self._session = None
        self._open.close()

    def _hindrance(self, trace: Trace) -> str | None:
        if len(trace.thinking) > self._config.longest:
            return TOO_LONG
        return None if trace.thinking.strip() else EMPTY

    def _talk(self, trace: Trace, problem: Problem) -> _Talk:
        spans = sentences(trace.thinking)
        prompt = _template("read").render(
            question=problem.question,
            gold=problem.gold,
            sentences=[trace.thinking[span.start : span.end].strip() for span in spans],
        )
        return _Talk(trace, spans, [{"role": "user", "content": prompt}])

    def _settle(self, talks: Sequence[_Talk]) -> None:
        """Asks all, then those again whose reply cannot be used, as often as the retries allow."""
        for _ in range(self._config.retries + 1):
            talks = [talk for talk in talks if talk.reading is None]
            if not talks:
                return
            keys = [self._key(talk.messages) for talk in talks]
            self._ask({key: talk for key, talk in zip(keys, talks, strict=True)})
            for key, talk in zip(keys, talks, strict=True):
                self._take(talk, self._replies.get(key) or "")

    def _take(self, talk: _Talk, reply: str) -> None:
        try:
            talk.reading = read_reply(reply, len(talk.spans))
        except Unusable as unusable:
            talk.messages += [
                {"role": "assistant", "content": reply[-_SHOWN_BACK:]},
                {"role": "user", "content": _template("again").render(faults=unusable.faults)},
            ]

    def _ask(self, talks: dict[str, _Talk]) -> None:
        """Sees to it that the replies hold an answer to each talk, by key."""
        missing = {key: talk for key, talk in talks.items() if self._replies.get(key) is None}
        self.usage.found += len(talks) - len(missing)
        if not missing:
            return
        requests = [
            Request(Problem(key, talk.trace.domain, talk.messages[-1]["content"], ""), tuple(talk.messages))
            for key, talk in missing.items()
        ]
        for completion in self._engine().complete(requests, self._config.sampling):
            self._replies.add(completion)
            self.usage.calls += 1
            self.usage.tokens += completion.tokens
            self.usage.cost += completion.cost

    def _engine(self) -> Session:
        if self._session is None:
            context = self._context
            folder = context.folder / "judge" if context.folder else None
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
            opened = EngineContext(
                context.domains,
                ResponseFormat(think=self._config.think),
                context.seed,
                context.model,
                context.model_revision,
                folder,
                context.say,
            )
            self._session = self._open.enter_context(self._config.engine.open(opened))
        return self._session

    def _key(self, messages: Sequence[Message]) -> str:
        content = json.dumps([self._settings, self._context.seed, messages], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


@dataclass
class _Replies:
    """Replies by key, in memory and, one line each, on disk."""

    path: Path | None
    known: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None:
            return
        append_jsonl(self.path, [])
        self.known = {row["key"]: row["reply"] for row in read_jsonl(self.path)}

    def get(self, key: str) -> str | None:
        return self.known.get(key)

    def add(self, completion: Completion) -> None:
        self.known[completion.problem_id] = completion.text
        if self.path is not None:
            append_jsonl(self.path, [_row(completion)])


def _row(completion: Completion) -> dict[str, Any]:
    row = asdict(completion)
    return {"key": row.pop("problem_id"), "reply": row.pop("text"), **row}


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, StrictUndefined

    source = files("warmup_rl.dlcot").joinpath("prompts", f"{name}.jinja").read_text(encoding="utf-8")
    # Plain text for a model: nothing is to be escaped as if for HTML.
    environment = Environment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)
