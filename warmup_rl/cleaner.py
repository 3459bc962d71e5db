"""What a trace passes on its way into the warmup corpus: kept, changed, or dropped with a counted reason."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from warmup_rl.config import Config
from warmup_rl.domain import Domain
from warmup_rl.types import Problem, Trace


@dataclass(frozen=True, slots=True)
class Dropped:
    """A trace that does not go on; `reason` is a short, countable phrase."""

    reason: str


@dataclass(frozen=True)
class CleanContext:
    """What cleaners may use.

    Attributes:
        domains: by name.
        problems: problems of the traces by id.
        count_tokens: tokens of a text under the student's tokenizer.
    """

    domains: Mapping[str, Domain]
    problems: Mapping[str, Problem]
    count_tokens: Callable[[str], int]


class Cleaner(Config, ABC):
    """Config of one cleaning step."""

    type: ClassVar[str]

    @abstractmethod
    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        """A function to call on each trace in order; it may keep state (say, what it has seen)."""
