"""What makes completions: a teacher, a local model, an endpoint. All open into a session with one method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from warmup_rl.base.config import Sampling
from warmup_rl.base.types import Completion, Problem, Request
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import Kind, Plugin


@dataclass(frozen=True)
class EngineContext:
    """What an engine may know of the recipe and use.

    Attributes:
        domains: by name.
        model: the student as it is when the stage begins: a folder, or a hub id; only for engines that read it.
        folder: the stage's own folder, kept when a killed run goes on: a place for caches.
        say: prints a line for the user.
    """

    domains: Mapping[str, Domain]
    response_format: ResponseFormat
    seed: int
    model: str | None = None
    model_revision: str | None = None
    folder: Path | None = None
    say: Callable[[str], None] = field(default=lambda line: None)


class Session(Protocol):
    """An open engine."""

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """One completion a request, in any order, as they come; each names its problem and sample."""
        ...


class Engine(Plugin, ABC):
    """Config of a completion maker; what holds something open (a model, a connection) lives in the session."""

    plugin_kind: ClassVar[Kind] = "engine"
    reads_model: ClassVar[bool] = False
    """Whether the engine works with the student's own model, so that a stage before must give one."""

    costs: ClassVar[bool] = False
    """Whether completions may have to be paid for."""

    @abstractmethod
    def open(self, context: EngineContext) -> AbstractContextManager[Session]:
        """Opens the engine. Raises `UserError` when it cannot serve the recipe."""

    def check(self, problem: Problem) -> None:
        """Raises `UserError` where the engine cannot complete problems like this one; called before a run begins."""

    def ready(self) -> None:
        """Raises `UserError` where the engine cannot be opened here, say for want of a key."""

    def usage(self, completions: int, sampling: Sampling) -> Mapping[str, int | float | str]:
        """What so many completions take, for the plan; empty where that cannot be told or is of no interest."""
        return {}

    def notes(self, parameters: int | None) -> tuple[str, ...]:
        """What a reader of the plan should see.

        Args:
            parameters: of the student; None where that is not known beforehand.
        """
        return ()
