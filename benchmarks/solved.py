"""Traces of the solver for benchmarks of what reads traces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from warmup_rl.base.config import Sampling
from warmup_rl.base.types import Problem, Request, Trace
from warmup_rl.engines.solver import Solver
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.format import ResponseFormat

FORMAT = ResponseFormat()


def solved(
    solver: Solver, domain: Domain, problems: Iterable[Problem], layout: ResponseFormat = FORMAT
) -> Iterator[tuple[Problem, Trace]]:
    """Each problem with a trace of the solver, scored."""
    with solver.open(EngineContext({domain.name: domain}, layout, seed=0)) as session:
        for problem in problems:
            request = Request(problem, domain.prompt(problem))
            made = next(session.complete([request], Sampling()))
            thinking = made.thinking or ""
            score = domain.score(layout.render(thinking=thinking, answer=made.text), problem, layout)
            yield problem, Trace(problem.id, domain.name, request.messages, thinking, made.text, score, "solver")
