"""Compass: a chain of turns from a heading, with a multiple choice of headings."""

from __future__ import annotations

import random
from itertools import accumulate
from typing import Any, ClassVar

from warmup_rl.base.types import Grade, Problem
from warmup_rl.grading.choice import choose, final_choice
from warmup_rl.nano.chains import ChainDomain, Span

HEADINGS = ("north", "east", "south", "west")
TURNS = {"right": 1, "back": 2, "left": 3}
LETTERS = "ABCD"
_ENGLISH = {"right": "turn right", "back": "turn around", "left": "turn left"}


class Compass(ChainDomain):
    """Which way do you face after the turns? Four options, one of them correct."""

    type: ClassVar[str] = "compass"

    turns: Span = (4, 12)
    """Turns in a problem, [min, max]."""

    def draw(self, rng: random.Random) -> dict[str, Any]:
        start = rng.choice(HEADINGS)
        turns = [rng.choice(list(TURNS)) for _ in range(rng.randint(*self.turns))]
        return {"start": start, "turns": turns, "options": rng.sample(HEADINGS, len(LETTERS))}

    def key(self, meta: dict[str, Any]) -> str:
        return f"compass/{meta['start']}/{meta['turns']}/{meta['options']}"

    def question(self, meta: dict[str, Any]) -> str:
        start, turns, options = meta["start"], meta["turns"], zip(LETTERS, meta["options"], strict=True)
        if self.is_terse:
            chain = " ".join(f"#{number} {turn}" for number, turn in enumerate(turns, start=1))
            return f"compass : {start} {chain} ? {' '.join(f'{letter}={heading}' for letter, heading in options)}"
        chain = ", then ".join(_ENGLISH[turn] for turn in turns)
        listed = "\n".join(f"{letter}. {heading}" for letter, heading in options)
        return f"You face {start}. You {chain}. Which way do you face now?\n{listed}"

    def gold(self, meta: dict[str, Any]) -> str:
        return LETTERS[meta["options"].index(_headings(meta)[-1])]

    def steps(self, problem: Problem) -> list[str]:
        """`next #k HEADING TURN HEADING` for each turn, then `next solved LETTER=HEADING`."""
        headings, turns = _headings(problem.meta), problem.meta["turns"]
        steps = enumerate(zip(headings, turns, headings[1:], strict=False), start=1)
        sentences = [f"next #{number} {before} {turn} {after}" for number, (before, turn, after) in steps]
        return [*sentences, f"next solved {problem.gold}={headings[-1]}"]

    def worked(self, problem: Problem) -> str:
        headings, turns = _headings(problem.meta), problem.meta["turns"]
        steps = zip(headings, turns, headings[1:], strict=False)
        lines = [f"Facing {before}, I {_ENGLISH[turn]} and face {after}." for before, turn, after in steps]
        return "\n".join([*lines, f"{headings[-1]} is option {problem.gold}."])

    def grade(self, answer: str, problem: Problem) -> Grade:
        return choose(gold=problem.gold, answer=answer, letters=LETTERS)

    def final_answer(self, text: str, problem: Problem) -> str | None:
        return final_choice(text)

    def chance_accuracy(self, problem: Problem) -> float:
        return 1 / len(LETTERS)

    def default_instruction(self) -> str:
        return "" if self.is_terse else "Answer with the letter of the right option."


def _headings(meta: dict[str, Any]) -> list[str]:
    """The heading before and after each turn."""
    quarters = accumulate([HEADINGS.index(meta["start"]), *(TURNS[turn] for turn in meta["turns"])])
    return [HEADINGS[quarter % len(HEADINGS)] for quarter in quarters]
