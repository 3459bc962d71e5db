"""The interface of engines: a teacher, a local model or an endpoint, opened into a session that completes prompts."""

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
from warmup_rl.interfaces.stage import LaunchEnv


@dataclass(frozen=True)
class EngineContext:
    """What an engine may use of the recipe and the run.

    Attributes:
        model: the student at the start of the stage, a folder or a hub id; only for engines that set `reads_model`.
        folder: a folder of the stage, which survives a killed run: a place for caches. Rows of `*.jsonl` in it are kept
            when the next run has another number of processes.
        say: prints a line for the user.
        launch_env: this process among those that each complete a part of the requests.
    """

    domains: Mapping[str, Domain]
    response_format: ResponseFormat
    seed: int
    model: str | None = None
    model_revision: str | None = None
    folder: Path | None = None
    say: Callable[[str], None] = field(default=lambda line: None)
    launch_env: LaunchEnv = LaunchEnv()


class Session(Protocol):
    """An open engine."""

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """One completion per request, in any order; each carries its problem id and sample number.

        A request that cannot be completed for what is in it gets a `Refusal`. Raises `UserError` for what concerns all
        requests.
        """
        ...


class Engine(Plugin, ABC):
    """Settings of an engine. What holds a resource (a model, a connection) lives in the session."""

    plugin_kind: ClassVar[Kind] = "engine"
    reads_model: ClassVar[bool] = False
    """Whether the engine uses the student itself, so that an earlier stage must output a model."""
    costs: ClassVar[bool] = False
    """Whether completions may cost money."""

    @abstractmethod
    def open(self, context: EngineContext) -> AbstractContextManager[Session]:
        """Opens the engine. Raises `UserError` if it cannot serve the recipe."""

    def per_rank(self) -> bool:
        """Whether completions are computed in the process that opens the engine and depend on their request alone, so
        that each process of a launch completes a part of the requests; otherwise the main one completes all."""
        return False

    def check(self, problem: Problem) -> None:
        """Raises `UserError` if the engine cannot complete problems like this one; called before a run starts."""

    def ready(self) -> None:
        """Raises `UserError` if the engine cannot be opened on this machine, e.g. because its API key is not set."""

    def usage(self, completions: int, sampling: Sampling) -> Mapping[str, int | float | str]:
        """What this many completions consume, for the plan; empty if that is unknown or irrelevant."""
        return {}

    def notes(self, parameters: int | None) -> tuple[str, ...]:
        """Warnings to print with the plan, given the student's number of parameters; None if not known beforehand."""
        return ()
