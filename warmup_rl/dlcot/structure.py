"""What DLCoT finds in a chain of thought, as spans of its text: nothing here holds words of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from warmup_rl.base.types import Problem, Trace
from warmup_rl.interfaces.domain import Domain

Part = Literal["restatement", "understanding", "exploration", "verification", "conclusion"]
Label = Literal["correct", "incorrect", "incomplete"]
Reason = Literal["redundant", "unsolvable", "wrong approach", "wrong span"]


class Ambiguous(Exception):
    """A trace cannot be taken apart with confidence, so it stays as it is; the message is a short, countable reason."""


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of `trace.thinking`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Approach:
    """One way of attacking the problem (the paper's "approach", or "solution").

    Attributes:
        span: all of it.
        steps: a partition of the span, in order.
        label: by the answer it comes to: right, wrong, or none at all.
        method: what it does, in a few words for readers, e.g. `assumes Zoey is a knight`.
        cluster: approaches with equal numbers follow the same method.
        errors: spans with a calculation or derivation error.
        repaired: verification steps that completeness repair moved in; they are the last of `steps`.
        settles: comes to no answer itself, but later approaches build on it: a hypothesis or a case that it refutes,
            facts that it derives. Such work is no "unsolvable" approach (our reading: the paper's data has whole
            solutions only, and labels by the final answer alone).
    """

    span: Span
    steps: tuple[Span, ...]
    label: Label
    method: str
    cluster: int
    errors: tuple[Span, ...] = ()
    repaired: int = 0
    settles: bool = False


@dataclass(frozen=True, slots=True)
class Structure:
    """A chain of thought taken apart.

    Attributes:
        parts: the parts that are there, each once, in the order of the text; they partition it. `exploration` spans all
            approaches.
        approaches: in the order of the text, a partition of the exploration.
        verification: steps of the verification, after completeness repair.
        repeats: steps, or whole sentences, anywhere in the text that only go again through what was just found.
    """

    parts: tuple[tuple[Part, Span], ...]
    approaches: tuple[Approach, ...]
    verification: tuple[Span, ...] = ()
    repeats: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """A span to be removed.

    Attributes:
        approach: index of the approach it lies in; None outside the exploration.
        like: for `redundant`: index of the approach that it repeats.
    """

    span: Span
    reason: Reason
    approach: int | None = None
    like: int | None = None


class Backend(Protocol):
    """Takes traces apart: by rules, or with a model as judge."""

    def read(self, trace: Trace, problem: Problem, domain: Domain) -> Structure:
        """The structure of a trace. Raises `Ambiguous` where it is not clear."""
        ...
