"""Compass: turns from a heading, then a multiple choice of headings."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import ClassVar

from warmup_rl.base.types import Grade, Problem, Split
from warmup_rl.grading.choice import choose
from warmup_rl.interfaces.domain import Domain, problem_id
from warmup_rl.nano.chains import Phrasing, Span, distinct, goes_through

HEADINGS = ("north", "east", "south", "west")
TURNS = {"right": 1, "back": 2, "left": 3}
LETTERS = "ABCD"
_ENGLISH = {"right": "turn right", "back": "turn around", "left": "turn left"}


class Compass(Domain):
    """Which way does one face after the turns? Four options, one of them right."""

    type: ClassVar[str] = "compass"

    turns: Span = (4, 12)
    """Turns in a problem, [min, max]."""
    phrasing: Phrasing = "english"
    """`english` for models that read English; `terse`, one token a word, for tiny ones."""

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        return distinct(self._draw, label="compass", split=split, seed=seed)

    def grade(self, answer: str, problem: Problem) -> Grade:
        return choose(gold=problem.gold, answer=answer, letters=LETTERS)

    def chance_accuracy(self, problem: Problem) -> float:
        return 1 / len(LETTERS)

    def default_instruction(self) -> str:
        return "" if self.phrasing == "terse" else "Answer with the letter of the right option."

    def shows_work(self, thinking: str, problem: Problem) -> bool | None:
        return goes_through(thinking, len(problem.meta["turns"])) if self.phrasing == "terse" else None

    def steps(self, problem: Problem) -> list[str]:
        """The sentences of a solution: `next #k HEADING TURN HEADING` a turn, then `next solved LETTER=HEADING`."""
        heading, sentences = problem.meta["start"], []
        for number, turn in enumerate(problem.meta["turns"], start=1):
            after = _turned(heading, turn)
            sentences.append(f"next #{number} {heading} {turn} {after}")
            heading = after
        return [*sentences, f"next solved {problem.gold}={heading}"]

    def _draw(self, rng: random.Random) -> tuple[str, Problem]:
        start = rng.choice(HEADINGS)
        turns = [rng.choice(list(TURNS)) for _ in range(rng.randint(*self.turns))]
        options = rng.sample(HEADINGS, len(LETTERS))
        heading = start
        for turn in turns:
            heading = _turned(heading, turn)
        render = self._terse if self.phrasing == "terse" else self._english
        question = render(start, turns, options)
        meta = {"start": start, "turns": turns, "options": options}
        key = f"compass/{start}/{turns}/{options}"
        gold = LETTERS[options.index(heading)]
        return key, Problem(problem_id(["compass", question]), self.name or self.type, question, gold, meta)

    def _terse(self, start: str, turns: list[str], options: list[str]) -> str:
        chain = " ".join(f"#{number} {turn}" for number, turn in enumerate(turns, start=1))
        return f"compass : {start} {chain} ? {' '.join(f'{a}={b}' for a, b in zip(LETTERS, options, strict=True))}"

    def _english(self, start: str, turns: list[str], options: list[str]) -> str:
        chain = ", then ".join(_ENGLISH[turn] for turn in turns)
        listed = "\n".join(f"{letter}. {heading}" for letter, heading in zip(LETTERS, options, strict=True))
        return f"You face {start}. You {chain}. Which way do you face now?\n{listed}"


def _turned(heading: str, turn: str) -> str:
    return HEADINGS[(HEADINGS.index(heading) + TURNS[turn]) % len(HEADINGS)]
