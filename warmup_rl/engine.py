"""What makes completions: a teacher, a local model, an endpoint. All open into a session with one method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar, Protocol

from warmup_rl.config import Config, Sampling
from warmup_rl.domain import Domain
from warmup_rl.format import ResponseFormat
from warmup_rl.types import Completion, Problem, Request


@dataclass(frozen=True)
class EngineContext:
    """What an engine may know of the recipe: its domains by name, the response format and the seed."""

    domains: Mapping[str, Domain]
    response_format: ResponseFormat
    seed: int


class Session(Protocol):
    """An open engine."""

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """One completion a request, in any order, as they come; each names its problem and sample."""
        ...


class Engine(Config, ABC):
    """Config of a completion maker; what holds something open (a model, a connection) lives in the session."""

    type: ClassVar[str]

    @abstractmethod
    def open(self, context: EngineContext) -> AbstractContextManager[Session]:
        """Opens the engine. Raises `UserError` when it cannot serve the recipe."""

    def check(self, problem: Problem) -> None:
        """Raises `UserError` where the engine cannot complete problems like this one; called before a run begins."""
