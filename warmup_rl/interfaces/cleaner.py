"""What a trace passes on its way into the warmup corpus: kept, changed, or dropped with a counted reason."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from warmup_rl.base.types import Problem, Trace
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import Kind, Plugin


@dataclass(frozen=True, slots=True)
class Dropped:
    """A trace that does not go on; `reason` is a short, countable phrase."""

    reason: str


@dataclass(frozen=True)
class CleanContext:
    """What cleaners may use.

    Attributes:
        domains: by name.
        problems: problems of the traces by id.
        count_tokens: tokens of a text under the student's tokenizer.
        response_format: of the recipe.
        held_out: problems that the recipe evaluates on; only for cleaners that declare `reads_evaluation`.
        model: the student, a folder or a hub id; None where cleaning runs without one.
        folder: the stage's own folder, kept when a killed run goes on: a place for caches.
        seed: of the run.
        audit: takes a row that says what was done to the trace in hand and why.
        remember: keeps a JSON value of a cleaner whose verdict depends on the traces before.
        remembered: what the cleaner kept that way before it was killed, in order; it gives back its state exactly.
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
    """A step that is told what comes, so that it can ask somebody about many traces at the same time."""

    def ahead(self, traces: Sequence[Trace]) -> None:
        """Called with the next traces, in order, before the step is called on each of them."""
        ...


class Cleaner(Plugin, ABC):
    """Config of one cleaning step."""

    plugin_kind: ClassVar[Kind] = "cleaner"
    reads_evaluation: ClassVar[bool] = False
    """Whether the cleaner reads the problems that the recipe evaluates on."""

    def ready(self) -> None:
        """Raises `UserError` where the step cannot be done here, say for want of a key; called before a run begins."""

    @abstractmethod
    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        """A function to call on each trace in order.

        Where it keeps state (say, what it has seen), it begins with `context.remembered` and hands what it adds to
        `context.remember`, so that a killed run goes on exactly. It may be an object that `LooksAhead`.
        """
