"""What became of each problem over an RLVR run: how often it was drawn, and how often it was solved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from warmup_rl.base.types import Problem


@dataclass
class ProblemRecord:
    """Counts over all ranks for `size` problems, by their index in the prompt schedule.

    Attributes:
        groups: groups of rollouts that were drawn.
        scored, correct: rollouts that could be scored, and those that were correct, whatever the reward.
        last_step, last_rate: the RLVR step that used a problem last, 0 where none has, and the share of correct
            rollouts in it.
    """

    size: int
    groups: list[int] = field(default_factory=list)
    scored: list[int] = field(default_factory=list)
    correct: list[int] = field(default_factory=list)
    last_step: list[int] = field(default_factory=list)
    last_rate: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("groups", "scored", "correct", "last_step"):
            setattr(self, name, getattr(self, name) or [0] * self.size)
        self.last_rate = self.last_rate or [0.0] * self.size

    def add(self, problem: int, verdict: str | None) -> None:
        """Counts a rollout; `verdict` is None where the grader failed."""
        self.groups[problem] += 1
        self.scored[problem] += verdict is not None
        self.correct[problem] += verdict == "correct"

    def counts(self) -> list[int]:
        """The counts of a single call in one list, to be summed over ranks; `groups` holds rollouts here."""
        return [*self.groups, *self.scored, *self.correct]

    def update(self, step: int, counts: Sequence[int], generations: int) -> None:
        """Adds the summed `counts` of a step, with `generations` rollouts a group."""
        drawn, scored, correct = (counts[self.size * part : self.size * (part + 1)] for part in range(3))
        for problem in (index for index, rollouts in enumerate(drawn) if rollouts):
            self.groups[problem] += drawn[problem] // generations
            self.scored[problem] += scored[problem]
            self.correct[problem] += correct[problem]
            self.last_step[problem] = step
            self.last_rate[problem] = correct[problem] / scored[problem] if scored[problem] else 0.0

    def rows(self, problems: Sequence[Problem]) -> Iterator[dict[str, Any]]:
        """A row for each problem, for `pass_rates.jsonl`; rates are None where nothing was scored."""
        for place, problem in enumerate(problems):
            scored = self.scored[place]
            yield {
                "problem_id": problem.id,
                "groups": self.groups[place],
                "rollouts": scored,
                "pass_rate": self.correct[place] / scored if scored else None,
                "last_step": self.last_step[place] or None,
                "last_pass_rate": self.last_rate[place] if scored else None,
            }
