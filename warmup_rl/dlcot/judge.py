"""A model as judge: it points at numbered sentences of a chain of thought, and the structure follows from that.

One call reads a whole trace. The steps of the paper (parts, approaches, verification, completeness, labels, errors,
clusters) all read the same text, and sentence numbers are short answers: one call costs the text once instead of five
times, and labels and clusters always refer to the approaches that were found.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from warmup_rl.base.config import Config, Sampling, is_runtime_only
from warmup_rl.base.jsonl import append_jsonl, read_jsonl
from warmup_rl.base.types import Message, Problem, Refusal, Request, Trace
from warmup_rl.dlcot.judge_reply import Reading, Unusable, read_reply, structure_of
from warmup_rl.dlcot.labels import label_of, label_text, results_in
from warmup_rl.dlcot.structure import Ambiguous, Label, Span, Structure
from warmup_rl.dlcot.text import sentences
from warmup_rl.interfaces.cleaner import CleanContext
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.engine import Engine, EngineContext, Session
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import name_of, plugin_field

if TYPE_CHECKING:
    from jinja2 import Template

REPLIES_FILE = "judge.jsonl"
"""In the stage's folder: every reply of the judge, by a hash of the conversation and the judge's settings."""
NO_ANSWER = "the judge gave no valid answer"
TOO_LONG = "too long for the judge"
REFUSED = "refused by the endpoint of the judge"
EMPTY = "no thinking to judge"
_SHOWN_BACK = 4_000


class Judge(Config):
    """The `llm` backend: any engine, asked once per trace, and again if its answer cannot be used."""

    engine: Annotated[Engine, plugin_field("engine")]
    """The judge: an engine by name, or a mapping with `type` and its keys."""
    sampling: Sampling = Sampling(max_tokens=4096)
    """Sampling options; reasoning models need a larger `max_tokens`."""
    think: Literal["free", "open"] = "free"
    """`open` ends every prompt with an open think tag, for local models whose chat template does so."""
    retries: int = Field(default=2, ge=0)
    """Times that it is asked again, with the error, before the trace is left unchanged; never after an empty answer."""
    longest: int = Field(default=100_000, gt=0)
    """Longest thinking in characters that is sent to the judge; longer traces are left unchanged."""

    def start(self, context: CleanContext) -> Reader:
        """The backend; the engine is opened for the first question without a stored answer."""
        return Reader(self, context)


@dataclass
class Usage:
    """Cost of the judge in this process: calls, answers found on disk, calls that were refused, completion tokens, US
    dollars."""

    calls: int = 0
    found: int = 0
    refused: int = 0
    tokens: int = 0
    cost: float = 0.0


@dataclass
class _Talk:
    """The conversation about one trace, the reading once there is one, else why there is none so far, and whether it is
    of no use to go on."""

    trace: Trace
    spans: tuple[Span, ...]
    messages: list[Message]
    reading: Reading | None = None
    why: str = NO_ANSWER
    over: bool = False


class Reader:
    """Implements `structure.Backend`. Every reply is written to disk before it is used, so none is paid for twice; what
    is refused is asked again by the next process."""

    def __init__(self, config: Judge, context: CleanContext) -> None:
        self.usage = Usage()
        self._config, self._context = config, context
        self._file = context.folder / REPLIES_FILE if context.folder else None
        self._replies: dict[str, str] = {}
        self._refused: set[str] = set()
        if self._file:
            append_jsonl(self._file, [])  # removes a torn last line
            self._replies = {row["key"]: row["reply"] for row in read_jsonl(self._file)}
        runtime_only = {name for name, field in type(config.engine).model_fields.items() if is_runtime_only(field)}
        engine = config.engine.model_dump(mode="json", exclude=runtime_only)
        self._settings = [name_of(type(config.engine)), engine, config.sampling.model_dump(mode="json"), config.think]
        self._open = ExitStack()
        self._session: Session | None = None
        weakref.finalize(self, self._open.close)

    def ahead(self, traces: Iterable[Trace]) -> None:
        """Asks about many traces at once, so that the engine can process them together; `read` finds the replies."""
        before = self.usage.calls
        problems = self._context.problems
        self._settle([self._talk(trace, problems[trace.problem_id]) for trace in traces if not self._obstacle(trace)])
        if self.usage.calls > before:
            usage = self.usage
            cost = f", ${usage.cost:,.2f}" if usage.cost else ""
            refused = f", {usage.refused:,} refused" if usage.refused else ""
            self._context.say(f"judge: {usage.calls:,} calls{refused}, {usage.tokens:,} tokens generated{cost}")

    def read(self, trace: Trace, problem: Problem, domain: Domain) -> Structure:
        """The structure of a trace. An answer is labelled by the grader if its value can be told from its sentence,
        else by the judge.

        Raises:
            Ambiguous: the judge gave no valid answer, or the trace cannot be sent to it, or is refused.
            UserError: the engine is unavailable.
        """
        if obstacle := self._obstacle(trace):
            raise Ambiguous(obstacle)
        talk = self._talk(trace, problem)
        self._settle([talk])
        if talk.reading is None:
            raise Ambiguous(talk.why)

        def judged(answer: str, label: Label) -> Label:
            found = label_text(answer, problem, domain)
            if found == "incomplete" and "\n" not in problem.gold.strip():
                found = label_of([*results_in(answer)][-1:], problem, domain)
            return label if found == "incomplete" else found

        return structure_of(talk.reading, talk.spans, judged, trace.thinking)

    def close(self) -> None:
        """Closes the engine; it is opened again when needed."""
        self._session = None
        self._open.close()

    def _obstacle(self, trace: Trace) -> str | None:
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
        """Asks about all, then again about those with an unusable reply, as often as the retries allow."""
        for _ in range(self._config.retries + 1):
            talks = [talk for talk in talks if talk.reading is None and not talk.over]
            if not talks:
                return
            keys = [self._key(talk.messages) for talk in talks]
            self._ask({key: talk for key, talk in zip(keys, talks, strict=True)})
            for key, talk in zip(keys, talks, strict=True):
                if key in self._refused:
                    talk.why, talk.over = REFUSED, True
                else:
                    self._take(talk, self._replies.get(key, ""))

    def _take(self, talk: _Talk, reply: str) -> None:
        try:
            talk.reading = read_reply(reply, len(talk.spans))
        except Unusable as unusable:
            talk.over = not reply.strip()
            talk.messages += [
                {"role": "assistant", "content": reply[-_SHOWN_BACK:]},
                {"role": "user", "content": _template("again").render(faults=unusable.faults)},
            ]

    def _ask(self, talks: dict[str, _Talk]) -> None:
        """Gets a reply for each conversation that has none yet; `talks` are by key."""
        missing = {key: talk for key, talk in talks.items() if key not in self._replies and key not in self._refused}
        self.usage.found += len(talks) - len(missing)
        if not missing:
            return
        requests = [
            Request(Problem(key, talk.trace.domain, talk.messages[-1]["content"], ""), tuple(talk.messages))
            for key, talk in missing.items()
        ]
        for completion in self._engine().complete(requests, self._config.sampling):
            if isinstance(completion, Refusal):
                if not self._refused:
                    problem, reason = missing[completion.problem_id].trace.problem_id, completion.finish_reason
                    self._context.say(f"judge: refused a trace of problem {problem}, which is left alone: {reason}")
                self._refused.add(completion.problem_id)
                self.usage.refused += 1
                continue
            row = asdict(completion)
            row = {"key": row.pop("problem_id"), "reply": row.pop("text"), **row}
            self._replies[row["key"]] = row["reply"]
            if self._file:
                append_jsonl(self._file, [row])
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
                context.domains, ResponseFormat(think=self._config.think), context.seed, context.model,
                context.model_revision, folder, context.say,
            )  # fmt: skip
            self._session = self._open.enter_context(self._config.engine.open(opened))
        return self._session

    def _key(self, messages: Sequence[Message]) -> str:
        content = json.dumps([self._settings, self._context.seed, messages], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, StrictUndefined

    source = files("warmup_rl.dlcot").joinpath("prompts", f"{name}.jinja").read_text(encoding="utf-8")
    # Plain text for a model: HTML escapes would change it.
    environment = Environment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)
