"""One measured figure, with the goal that it was to reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured.

    Attributes:
        name: what it is, e.g. `5 people: times as fast`.
        unit: e.g. `puzzles/s`, `MB`, `times`.
        goal: in words, e.g. `at least 20`; empty where there is none.
        met: whether the goal is reached; None where there is none.
        spread: the smallest and the largest of several rounds.
    """

    name: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None
    spread: tuple[float, float] | None = None

    @classmethod
    def over(cls, name: str, rounds: Sequence[float], unit: str) -> Figure:
        """The median of several rounds."""
        return cls(name, median(rounds), unit).within(rounds)

    def within(self, rounds: Sequence[float]) -> Figure:
        """The figure with the spread of its rounds."""
        return replace(self, spread=(min(rounds), max(rounds)))


def at_least(name: str, value: float, unit: str, goal: float) -> Figure:
    """A figure that should be large."""
    return Figure(name, value, unit, f"at least {goal:,g}", value >= goal)


def at_most(name: str, value: float, unit: str, goal: float) -> Figure:
    """A figure that should be small."""
    return Figure(name, value, unit, f"at most {goal:,g}", value <= goal)
