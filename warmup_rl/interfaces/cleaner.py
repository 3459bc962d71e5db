"""The interface of cleaners: steps that keep, change or drop a trace, with a reason that is counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from warmup_rl.base.types import Problem, Trace
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import Kind, Plugin


@dataclass(frozen=True, slots=True)
class Dropped:
    """A dropped trace; `reason` is a short phrase, by which dropped traces are counted."""

    reason: str


@dataclass(frozen=True)
class CleanContext:
    """What cleaners may use.

    Attributes:
        problems: problems of the traces by id.
        count_tokens: tokens of a text under the student's tokenizer.
        held_out: problems that the recipe evaluates on; only for cleaners that declare `reads_evaluation`.
        model: the student, a folder or a hub id; None if cleaning runs without one.
        folder: the stage's own folder, for caches; it survives a killed run.
        audit: takes a row that explains what was done to the current trace.
        remember: stores a JSON value, for cleaners whose decisions depend on earlier traces.
        remembered: the values stored before the run was killed, in order; they must restore the state exactly.
        say: prints a line for the user.
    """

    domains: Mapping[str, Domain]
    problems: Mapping[str, Problem]
    count_tokens: Callable[[str], int]
    response_format: ResponseFormat = ResponseFormat()
    held_out: Callable[[], Iterable[Problem]] = field(default=tuple)
    model: str | None = None
    model_revision: str | None = None
    folder: Path | None = None
    seed: int = 0
    audit: Callable[[Mapping[str, Any]], None] = field(default=lambda row: None)
    remember: Callable[[Any], None] = field(default=lambda value: None)
    remembered: Iterable[Any] = ()
    say: Callable[[str], None] = field(default=lambda line: None)


@runtime_checkable
class LooksAhead(Protocol):
    """A step that sees the next traces in advance, so that it can process many of them at the same time."""

    def ahead(self, traces: Sequence[Trace]) -> None:
        """Called with the next traces, in order, before the step is called on each of them."""
        ...


class Cleaner(Plugin, ABC):
    """Config of one cleaning step."""

    plugin_kind: ClassVar[Kind] = "cleaner"
    reads_evaluation: ClassVar[bool] = False
    """Whether the cleaner reads the problems that the recipe evaluates on."""

    def ready(self) -> None:
        """Raises `UserError` if the step cannot run here, e.g. without an API key; called before a run starts."""

    def per_rank(self) -> bool:
        """Whether what becomes of a trace depends on that trace alone, so that each process of a launch treats a part
        of the traces; otherwise the main one treats all, in order."""
        return False

    @abstractmethod
    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        """A function to call on each trace in order; it may be an object that `LooksAhead`.

        A function with state (say, the texts seen so far) starts from `context.remembered` and passes what it adds to
        `context.remember`, so that a killed run resumes exactly.
        """


class EachAlone(Cleaner):
    """Config of a step for which what becomes of a trace depends on that trace alone."""

    def per_rank(self) -> bool:
        return True

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        return partial(self.clean, context)

    @abstractmethod
    def clean(self, context: CleanContext, trace: Trace) -> Trace | Dropped:
        """The trace, as it is or changed, or why it is dropped."""
