"""The backend without a model: it reads a trace by the phrasing of its thinking and the kind of its problem."""

from __future__ import annotations

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Problem, Trace
from warmup_rl.dlcot.kk_segmenter import PuzzleProse
from warmup_rl.dlcot.prose import Prose
from warmup_rl.dlcot.structure import Structure
from warmup_rl.dlcot.terse import is_terse, read_terse
from warmup_rl.interfaces.domain import Domain
from warmup_rl.knights.text import from_meta


class Rules:
    """Implements `structure.Backend`."""

    def read(self, trace: Trace, problem: Problem, domain: Domain) -> Structure:
        """The structure of a trace. Raises `Ambiguous` if it is unclear."""
        if is_terse(trace.thinking):
            return read_terse(trace.thinking, problem, domain)
        try:
            puzzle, _ = from_meta(problem.meta)
        except DataError:
            return Prose(trace.thinking, problem, domain).read()
        return PuzzleProse(trace.thinking, problem, domain, puzzle).read()
