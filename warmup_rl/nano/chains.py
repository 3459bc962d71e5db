"""Base class of generated domains with a chain of numbered steps as the solution."""

from __future__ import annotations

import random
import re
from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from warmup_rl.base.types import Problem, Split
from warmup_rl.interfaces.domain import Domain, problem_id, split_of

PATIENCE = 3_000
"""Draws in a row without a new problem after which a split counts as exhausted."""


def _ordered(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] < 1 or value[1] < value[0]:
        raise ValueError(f"must be [min, max] with 1 <= min <= max, got {list(value)}")
    return value


Span = Annotated[tuple[int, int], AfterValidator(_ordered)]
"""An inclusive range, `[min, max]` in YAML; the value of each problem is drawn uniformly."""


class ChainDomain(Domain):
    """Draws the `meta` of a problem; canonical key, question, answer and solution follow from it."""

    phrasing: Literal["english", "terse"] = "english"
    """`english` for models that read English; `terse`, with one token per word, for tiny models."""

    @abstractmethod
    def draw(self, rng: random.Random) -> dict[str, Any]:
        """The `meta` of a random problem (JSON values)."""

    @abstractmethod
    def key(self, meta: dict[str, Any]) -> str:
        """The canonical key; decides the split."""

    @abstractmethod
    def question(self, meta: dict[str, Any]) -> str:
        """The question in the domain's phrasing; its terse form numbers the steps as `#1 ... #2 ...`."""

    @abstractmethod
    def gold(self, meta: dict[str, Any]) -> str:
        """The reference answer."""

    @abstractmethod
    def steps(self, problem: Problem) -> list[str]:
        """The sentences of a solution: `next #k ...` for each step, then `next solved ...`."""

    @property
    def is_terse(self) -> bool:
        return self.phrasing == "terse"

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        rng = random.Random(f"{self.type}/{split}/{seed}")
        seen: set[str] = set()
        misses = 0
        while misses < PATIENCE:
            meta = self.draw(rng)
            key = self.key(meta)
            if key in seen or split_of(key) != split:
                misses += 1
                continue
            misses = 0
            seen.add(key)
            question = self.question(meta)
            own_id = problem_id([self.type, question])
            yield Problem(own_id, self.name or self.type, question, self.gold(meta), meta)

    def canonical(self, problem: Problem) -> str | None:
        return self.key(problem.meta) if problem.meta else None

    def solution(self, problem: Problem) -> str | None:
        """The steps, in terse words."""
        return " ".join(self.steps(problem)) if self.is_terse else self.worked(problem)

    @abstractmethod
    def worked(self, problem: Problem) -> str:
        """The steps in English, a line each."""

    def shows_work(self, thinking: str, problem: Problem) -> bool | None:
        """Terse: at least half of the steps `#1 ... #n` occur. English: None."""
        if not self.is_terse:
            return None
        steps = len(self.steps(problem)) - 1
        visited = {int(number) for number in re.findall(r"#(\d+)", thinking)}
        return 2 * len(visited & set(range(1, steps + 1))) >= steps
