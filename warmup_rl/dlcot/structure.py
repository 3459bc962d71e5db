"""The structure of a chain of thought: spans of its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from warmup_rl.base.types import Problem, Trace
from warmup_rl.interfaces.domain import Domain

Part = Literal["restatement", "understanding", "exploration", "verification", "conclusion"]
Label = Literal["correct", "incorrect", "incomplete"]
Reason = Literal["redundant", "after the answer", "verification", "unsolvable", "wrong approach", "wrong span"]


class Ambiguous(Exception):
    """A trace cannot be segmented with confidence and is left unchanged; the message is a short, countable reason."""


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of `trace.thinking`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Approach:
    """One way of attacking the problem (the paper's "approach", or "solution").

    Attributes:
        steps: a partition of the span, in order.
        label: of the answer that it reaches; `incomplete` if it reaches none.
        method: a short description for readers, e.g. `assumes Zoey is a knight`.
        cluster: approaches with equal numbers follow the same method.
        errors: spans with a calculation or derivation error.
        repaired: verification steps that completeness repair moved in; they are the last of `steps`.
        settles: it reaches no answer, but later approaches build on it: it refutes a hypothesis or a case, or derives
            facts. Such an approach is not "unsolvable" (our interpretation: the data of the paper has whole solutions
            only, which it labels by the final answer alone).
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
    """A segmented chain of thought.

    Attributes:
        parts: the parts that occur, each once, in the order of the text; they partition it. `exploration` spans all
            approaches.
        approaches: in the order of the text, a partition of the exploration.
        verification: steps of the verification, after completeness repair.
        repeats: steps or whole sentences, anywhere in the text, that only repeat the previous result.
        sure: whether the labels are precise enough that an approach may be cut for its label alone.
    """

    parts: tuple[tuple[Part, Span], ...]
    approaches: tuple[Approach, ...]
    verification: tuple[Span, ...] = ()
    repeats: tuple[Span, ...] = ()
    sure: bool = True


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
    """Segments traces, by rules or with a model as judge."""

    def read(self, trace: Trace, problem: Problem, domain: Domain) -> Structure:
        """The structure of a trace. Raises `Ambiguous` if it is unclear."""
        ...
