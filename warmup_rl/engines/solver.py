"""The exact solver as a teacher: correct long chains of thought for Knights & Knaves, English or terse."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from pydantic import Field

from warmup_rl.base.config import Sampling, runtime_only
from warmup_rl.base.errors import DataError, UserError
from warmup_rl.base.types import Completion, Problem, Request
from warmup_rl.interfaces.engine import Engine, EngineContext, Session
from warmup_rl.knights.chain import terse_chain
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import Method, Noise, think
from warmup_rl.knights.story import tell
from warmup_rl.knights.text import Phrasing, answer, from_meta

LARGE = 100_000_000
"""Student parameters above which the solver is not a suitable teacher."""


class Solver(Engine):
    """A teacher that knows the answer and writes down a way to it; the text depends on seed, problem and sample.

    Sampling options have no effect, and nothing is truncated: the cleaner `length` limits traces.
    """

    type: ClassVar[str] = "solver"

    method: Method = "search"
    """English: `search` deduces and tries hypotheses, `cases` goes through all assignments; terse: always cases."""
    recheck: float = Field(default=0.15, ge=0, le=1)
    """Probability that a finished check is repeated unnecessarily."""
    hesitate: float = Field(default=0.5, ge=0, le=1)
    """Probability that such a repetition starts with a word of doubt."""
    second_method: float = Field(default=0.3, ge=0, le=1)
    """Probability that the answer is confirmed by a second method (English)."""
    abandon: float = Field(default=0.0, ge=0, le=1)
    """Probability that, before a case, a later one is started and abandoned (terse)."""
    slip: float = Field(default=0.0, ge=0, le=1)
    """Probability that a check yields a wrong value, which is noticed and corrected at once (terse)."""
    solver_ok: bool = runtime_only(False)
    """Silences the warning of `check` about this teacher for a large model."""

    def open(self, context: EngineContext) -> AbstractContextManager[Session]:
        return nullcontext(_SolverSession(self, context.seed))

    def check(self, problem: Problem) -> None:
        _puzzle(problem)

    def notes(self, parameters: int | None) -> tuple[str, ...]:
        if self.solver_ok or parameters is None or parameters <= LARGE:
            return ()
        return (
            f"the solver teaches a model of about {parameters / 1e9:.1f} B parameters. It is meant for nano models: a "
            "teacher that does not reason took its student to 11% on MATH (arXiv 2505.13718), and rendered search "
            "procedures teach their shape, not the search (arXiv 2606.21884). Use traces of a reasoning model (teacher "
            "openai, vllm or replay), or set `solver_ok: true`.",
        )


class _SolverSession:
    def __init__(self, config: Solver, seed: int) -> None:
        self._config, self._seed = config, seed
        self._noise = Noise(config.recheck, config.hesitate, config.second_method, config.abandon, config.slip)

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        for request in requests:
            problem = request.problem
            rng = random.Random(f"solver/{self._seed}/{problem.id}/{request.sample}")
            puzzle, phrasing = _puzzle(problem)
            thinking, text = self._solve(puzzle, phrasing, rng), answer(puzzle, phrasing)
            tokens = len(thinking.split()) + len(text.split())
            yield Completion(problem.id, request.sample, text, tokens, truncated=False, thinking=thinking)

    def _solve(self, puzzle: Puzzle, phrasing: Phrasing, rng: random.Random) -> str:
        if phrasing == "terse":
            return " ".join(terse_chain(puzzle, rng, self._noise))
        steps = think(puzzle, rng, method=self._config.method, noise=self._noise)
        return tell(puzzle, steps, rng, hesitate=self._config.hesitate)


def _puzzle(problem: Problem) -> tuple[Puzzle, Phrasing]:
    try:
        return from_meta(problem.meta)
    except DataError:
        raise UserError(
            f"teacher 'solver': problem {problem.id} of domain {problem.domain!r} is not a Knights & Knaves puzzle. "
            f"Give the distill stage a domain of type kk, or another teacher."
        ) from None
