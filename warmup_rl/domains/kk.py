"""Knights & Knaves: who tells the truth and who lies, graded all or nothing on the people of a puzzle."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from warmup_rl.domain import Domain, problem_id, split_of
from warmup_rl.errors import SpaceError
from warmup_rl.knights import english, terse, text
from warmup_rl.knights.answers import read_answer
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.grammar import KNIGHTS, Grammar, Puzzle, Roles, draw_puzzle
from warmup_rl.knights.space import estimate_space
from warmup_rl.types import Grade, Problem, Split

People = Annotated[int, Field(ge=2, le=16)]
PATIENCE = 10_000
"""Draws in a row without a new puzzle after which a split counts as exhausted for a number of people."""

_REASONING = re.compile(
    r"\b(if|suppose|assum\w+|so|then|hence|thus|since|because|therefore|must|means|contradict\w*)\b", re.IGNORECASE
)


class KnightsKnaves(Domain):
    """Puzzles of the published grammar (arXiv 2410.23123) with exactly one solution."""

    type: ClassVar[str] = "kk"

    people: People | tuple[People, People] = (2, 3)
    """How many people: a number, or the least and the most; each number in between is met equally often."""
    depth: int = Field(default=2, ge=2, le=6)
    """Height of a statement: 2 has one operator, as published."""
    width: int = Field(default=2, ge=2, le=8)
    """Operands of the widest "and" and "or"; 2 as published."""
    deeper: float = Field(default=0.0, ge=0, le=1)
    """Share of statements that may be one operator deeper."""
    phrasing: text.Phrasing = "english"
    """`english`: the published wording; `terse`: few words out of a small vocabulary, for models built from scratch."""
    names: int | list[str] | None = None
    """The names drawn from: how many of the built-in ones, or a list; all built-in ones where not given."""
    roles: list[tuple[str, str]] | Literal["all"] = Field(default=[(KNIGHTS.truthful, KNIGHTS.liar)], min_length=1)
    """Pairs of words for those who tell the truth and those who lie; `all` is the seven pairs of the published data."""

    @model_validator(mode="after")
    def _fits(self) -> KnightsKnaves:
        counts, pool = self.counts, self.name_pool
        if not counts:
            raise ValueError(f"people: the least comes first, got {self.people}")
        if isinstance(self.names, int) and not 0 < self.names <= len(self._built_in_names):
            raise ValueError(f"names: {len(self._built_in_names)} are built in for {self.phrasing}, got {self.names}")
        distinct = len({name.lower() for name in pool}) == len(pool)
        if not distinct or not all(re.fullmatch(r"[^\W\d_]+", name) for name in pool):
            raise ValueError("names: distinct single words of letters are needed")
        if len(pool) < counts[-1]:
            raise ValueError(f"names: {counts[-1]} people need as many names, got {len(pool)}")
        taken = {word.lower() for roles in self.role_pairs for word in (roles.truthful, roles.liar)}
        if clash := taken & {name.lower() for name in pool}:
            raise ValueError(f"names: {', '.join(sorted(clash))} cannot be both a name and a role word")
        if any(roles.truthful.lower() == roles.liar.lower() for roles in self.role_pairs):
            raise ValueError("roles: the two words of a pair must differ")
        if self.phrasing == "terse" and self.role_pairs != (KNIGHTS,):
            raise ValueError("roles: the terse phrasing knows knight and knave only; leave the key out or use english")
        return self

    @property
    def counts(self) -> range:
        """The numbers of people."""
        least, most = (self.people, self.people) if isinstance(self.people, int) else self.people
        return range(least, most + 1)

    @property
    def grammar(self) -> Grammar:
        return Grammar(self.depth, self.width, self.deeper)

    @property
    def name_pool(self) -> Sequence[str]:
        if self.names is None:
            return self._built_in_names
        return self._built_in_names[: self.names] if isinstance(self.names, int) else self.names

    @property
    def role_pairs(self) -> tuple[Roles, ...]:
        return english.ROLES if self.roles == "all" else tuple(Roles(*pair) for pair in self.roles)

    @property
    def _built_in_names(self) -> Sequence[str]:
        return terse.NAMES if self.phrasing == "terse" else english.NAMES

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        rng = random.Random(f"kk/{split}/{seed}")
        seen: set[str] = set()
        open_counts = list(self.counts)
        while open_counts:
            people = rng.choice(open_counts)
            puzzle = self._new_puzzle(rng, people, split, seen)
            if puzzle is None:
                open_counts.remove(people)
            else:
                yield self.problem(puzzle, rng)

    def problem(self, puzzle: Puzzle, rng: random.Random) -> Problem:
        """A puzzle as a problem of this domain, rendered in its phrasing."""
        question, gold = text.render(puzzle, self.phrasing, rng), text.answer(puzzle, self.phrasing)
        meta = {**text.to_meta(puzzle, self.phrasing), "group": f"people={puzzle.people}"}
        return Problem(problem_id(["kk", question]), self.name or self.type, question, gold, meta)

    def grade(self, answer: str, problem: Problem) -> Grade:
        names, roles = problem.meta["names"], Roles(*problem.meta["roles"])
        reading = read_answer(answer, names, roles)
        if reading.truthful is None:
            return Grade("wrong" if reading.found else "none", None, reading.note)
        said = ", ".join(f"{name}={roles.of(truthful)}" for name, truthful in zip(names, reading.truthful, strict=True))
        return Grade("correct" if list(reading.truthful) == problem.meta["solution"] else "wrong", said)

    def chance(self, problem: Problem) -> float:
        return 0.5 ** problem.meta["people"]

    def default_instruction(self) -> str:
        if self.phrasing == "terse":
            return ""
        return "Give the answer as a numbered list with one line for each person, such as: (1) NAME is a ROLE."

    def thinks(self, thinking: str, problem: Problem) -> bool | None:
        """Terse: a case is checked. English: all people are named, with at least as many reasoning words."""
        if problem.meta["phrasing"] == "terse":
            return bool(re.search(r"\bcase\d+\b.*\b(ok|bad)\b", thinking, re.DOTALL))
        own_words = re.sub(r'"[^"]*"', "", thinking)
        named = all(re.search(rf"\b{re.escape(name)}\b", own_words) for name in problem.meta["names"])
        return named and len(_REASONING.findall(own_words)) >= problem.meta["people"]

    def space(self) -> str:
        """How many distinct puzzles there are, up to renaming and reordering (some hundredths of a second)."""
        parts = (f"{estimate_space(people, self.grammar)} with {people} people" for people in self.counts)
        return "about " + ", ".join(parts)

    def _new_puzzle(self, rng: random.Random, people: int, split: Split, seen: set[str]) -> Puzzle | None:
        names, roles = self.name_pool, self.role_pairs
        for _ in range(PATIENCE):
            try:
                puzzle = draw_puzzle(rng, people, self.grammar, names, roles)
            except SpaceError as error:
                raise SpaceError(f"domain {self.name or self.type!r}: {error}") from None
            key = canonical_key(puzzle.statements)
            if key not in seen and split_of(key) == split:
                seen.add(key)
                return puzzle
        return None
