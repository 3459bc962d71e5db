"""A teacher for tests that is right on every second sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from warmup_rl.base.config import Sampling
from warmup_rl.base.types import Completion, Request
from warmup_rl.interfaces.engine import Engine, EngineContext, Session


class Flaky(Engine):
    """Answers samples 0, 2, 4, ... right, the others wrong."""

    type: ClassVar[str] = "flaky"

    @contextmanager
    def open(self, context: EngineContext) -> Iterator[Session]:
        yield _Session()


class _Session:
    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        for request in requests:
            problem, sample = request.problem, request.sample
            answer = str(int(problem.gold) + sample % 2)
            yield Completion(problem.id, sample, answer, 9, False, thinking=f"so {answer}")
