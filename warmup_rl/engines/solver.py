"""The exact solver as a teacher: verified long chains of thought for Knights & Knaves, English or terse."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from pydantic import Field

from warmup_rl.config import Sampling
from warmup_rl.engine import Engine, EngineContext, Session
from warmup_rl.errors import DataError, UserError
from warmup_rl.knights.chain import terse_chain
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import Method, Noise, think
from warmup_rl.knights.story import tell
from warmup_rl.knights.text import Phrasing, answer, from_meta
from warmup_rl.types import Completion, Problem, Request


class Solver(Engine):
    """A teacher that knows the answer and writes down a way to it; seed, problem and sample decide the text.

    Sampling options do not matter to it, and nothing is truncated: the cleaner `length` bounds traces.
    """

    type: ClassVar[str] = "solver"

    method: Method = "search"
    """English: `search` deduces and tries hypotheses, `cases` goes through all assignments; terse is always cases."""
    recheck: float = Field(default=0.15, ge=0, le=1)
    """Probability that a finished check is gone through again without need."""
    hesitate: float = Field(default=0.5, ge=0, le=1)
    """Probability that such a re-check opens with a word of doubt."""
    second_method: float = Field(default=0.3, ge=0, le=1)
    """Probability that the answer is confirmed in a second way (English)."""

    def open(self, context: EngineContext) -> AbstractContextManager[Session]:
        return nullcontext(_SolverSession(self, context.seed))

    def check(self, problem: Problem) -> None:
        _puzzle(problem)


class _SolverSession:
    def __init__(self, config: Solver, seed: int) -> None:
        self._config, self._seed = config, seed
        self._noise = Noise(config.recheck, config.hesitate, config.second_method)

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        for request in requests:
            problem = request.problem
            rng = random.Random(f"solver/{self._seed}/{problem.id}/{request.sample}")
            thinking, said = self._solve(*_puzzle(problem), rng)
            tokens = len(thinking.split()) + len(said.split())
            yield Completion(problem.id, request.sample, said, tokens, truncated=False, thinking=thinking)

    def _solve(self, puzzle: Puzzle, phrasing: Phrasing, rng: random.Random) -> tuple[str, str]:
        if phrasing == "terse":
            return " ".join(terse_chain(puzzle, rng, self._noise)), answer(puzzle, phrasing)
        steps = think(puzzle, rng, method=self._config.method, noise=self._noise)
        return tell(puzzle, steps, rng, hesitate=self._config.hesitate), answer(puzzle, phrasing)


def _puzzle(problem: Problem) -> tuple[Puzzle, Phrasing]:
    try:
        return from_meta(problem.meta)
    except DataError:
        raise UserError(
            f"teacher 'solver': problem {problem.id} of domain {problem.domain!r} is no Knights & Knaves puzzle. "
            f"Give the distill stage a domain of type kk, or another teacher."
        ) from None
