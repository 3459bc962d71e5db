"""A teacher of your own: an engine that makes one completion for each request. This one counts bits aloud.

python -m warmup_rl conformance ./examples/teacher_engine.py:Enumerator --domain ./examples/domain.py:Parity
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.types import Completion, Problem, Request
from warmup_rl.interfaces.engine import Engine, EngineContext, Session


class Enumerator(Engine):
    """Goes through the bits of a parity problem and keeps the parity, as a model would be taught to do."""

    type: ClassVar[str] = "enumerator"

    def check(self, problem: Problem) -> None:
        if "word" not in problem.meta:
            raise UserError(f"enumerator: problem {problem.id} has no bits to count. Use it with the parity domain.")

    @contextmanager
    def open(self, context: EngineContext) -> Iterator[Session]:
        yield _Session()


class _Session:
    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        for request in requests:
            thinking, state = "Even so far. ", "even"
            for bit in request.problem.meta["word"]:
                state = {"even": "odd", "odd": "even"}[state] if bit == "1" else state
                thinking += f"{bit}: {state}. "
            tokens = len(thinking.split()) + 1
            yield Completion(
                request.problem.id, request.sample, state, tokens, truncated=False, thinking=thinking.strip()
            )
