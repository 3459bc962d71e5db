"""Where the puzzles of the kk domain come from: the generator, a file, and variants of either."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Split
from warmup_rl.data.datasets import Source
from warmup_rl.interfaces.domain import problem_id, split_of
from warmup_rl.knights import english, terse, text
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.difficulty import difficulty
from warmup_rl.knights.digests import Digests
from warmup_rl.knights.grammar import Grammar, Puzzle, Roles, draw_puzzle
from warmup_rl.knights.perturb import CHANGES_ANSWER, UNCOMMON_NAMES, Perturbation, perturb
from warmup_rl.knights.published import PublishedPuzzle, read_puzzles
from warmup_rl.knights.reading import parse_told

PATIENCE = 10_000
"""Draws in a row without a new puzzle after which a split counts as exhausted for a number of people."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which puzzles are generated.

    Attributes:
        counts: numbers of people, each met equally often.
        names: the pool of names.
        bounds: the least and the most hypotheses (see `knights.difficulty`); None for any.
    """

    counts: range
    grammar: Grammar
    names: Sequence[str]
    roles: Sequence[Roles]
    phrasing: text.Phrasing
    bounds: tuple[int, int] | None = None


@dataclass(slots=True)
class Tally:
    """What happened so far.

    Attributes:
        made: puzzles generated, by number of people.
        repeated: puzzles refused as known in canonical form, by number of people.
        without: puzzles left out since they have no such variant.
    """

    made: Counter[int] = field(default_factory=Counter)
    repeated: Counter[int] = field(default_factory=Counter)
    without: int = 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """A puzzle with the text that asks for it.

    Attributes:
        index: its number in the file that it comes from, else in what was drawn, from 0.
        original: id of the puzzle that it is a variant of.
    """

    tale: english.Told
    question: str
    split: Split
    index: int
    original: str | None = None
    perturbation: str | None = None

    @property
    def puzzle(self) -> Puzzle:
        return self.tale.puzzle

    @property
    def id(self) -> str:
        return problem_id(["kk", self.question])


def generate(wanted: Wanted, split: Split | None, seed: int, tally: Tally) -> Iterator[Drawn]:
    """New puzzles of a split (None: of all) until there are no more.

    Raises:
        SpaceError: the grammar holds no puzzle.
    """
    rng = random.Random(f"kk/{split or 'all'}/{seed}")
    seen = Digests()
    open_counts = list(wanted.counts)
    while open_counts:
        people = rng.choice(open_counts)
        found = _new_puzzle(wanted, rng, people, split, seen, tally)
        if found is None:
            open_counts.remove(people)
            continue
        puzzle, of_split = found
        tale = text.told(puzzle, wanted.phrasing, rng)
        yield Drawn(tale, text.render(tale, wanted.phrasing), of_split, len(seen) - 1)


def from_file(source: Source, split: Split | None, seed: int, bounds: tuple[int, int] | None) -> Iterator[Drawn]:
    """The puzzles of a file: those of a split in an order of the seed's, or all in the order of the file.

    Raises:
        DataError: the file is missing or broken.
    """
    rows = [
        (row, of_split)
        for row, of_split in _rows(source, source.digest())
        if split in (None, of_split) and _within(row.puzzle, bounds)
    ]
    if split is not None:
        random.Random(f"kk/{split}/{seed}").shuffle(rows)
    for row, of_split in rows:
        tale = english.Told(row.puzzle, ())
        yield Drawn(tale, row.quiz, of_split, row.index, row.original, row.perturbation)


def vary(
    source: Iterator[Drawn], kind: Perturbation, phrasing: text.Phrasing, of: Grammar | Source, tally: Tally
) -> Iterator[Drawn]:
    """A variant in place of each puzzle that has one: no puzzle of the file, and by its own canonical form in the split
    of the original, unless the file has given that one a split of its own.

    Args:
        of: the grammar of generated puzzles, or the file that they come from.
    """
    seen, without = Digests(), 0
    names = terse.NAMES if phrasing == "terse" else UNCOMMON_NAMES
    grammar = None if isinstance(of, Source) else of
    if isinstance(of, Source) and kind in CHANGES_ANSWER:
        for row, _ in _rows(of, of.digest()):
            seen.add(canonical_key(row.puzzle.statements))
    for original in source:
        own = kind in CHANGES_ANSWER and split_of(canonical_key(original.puzzle.statements)) == original.split

        def accept(puzzle: Puzzle, split: Split | None = original.split if own else None) -> bool:
            if kind not in CHANGES_ANSWER:
                return True
            key = canonical_key(puzzle.statements)
            return split in (None, split_of(key)) and seen.add(key)

        rng = random.Random(f"kk/perturb/{kind}/{original.id}")
        tale = perturb(_as_told(original, phrasing, rng), kind, rng, grammar=grammar, names=names, accept=accept)
        if tale:
            without = 0
            yield Drawn(tale, text.render(tale, phrasing), original.split, original.index, original.id, kind)
            continue
        tally.without += 1
        without += 1
        if without == PATIENCE:
            return


def _new_puzzle(
    wanted: Wanted, rng: random.Random, people: int, split: Split | None, seen: Digests, tally: Tally
) -> tuple[Puzzle, Split] | None:
    for _ in range(PATIENCE):
        puzzle = draw_puzzle(rng, people, wanted.grammar, wanted.names, wanted.roles)
        key = canonical_key(puzzle.statements)
        of_split = split_of(key)
        if split not in (None, of_split) or not _within(puzzle, wanted.bounds):
            continue
        if seen.add(key):
            tally.made[people] += 1
            return puzzle, of_split
        tally.repeated[people] += 1
    return None


def _within(puzzle: Puzzle, bounds: tuple[int, int] | None) -> bool:
    return bounds is None or bounds[0] <= difficulty(puzzle.statements).hypotheses <= bounds[1]


def _as_told(drawn: Drawn, phrasing: text.Phrasing, rng: random.Random) -> english.Told:
    """With the ways of speaking of its text; with others where those of a file's text cannot be read."""
    if drawn.tale.speeches or phrasing == "terse":
        return drawn.tale
    try:
        tale = parse_told(drawn.question)
    except DataError:
        return english.told(drawn.puzzle, rng)
    return tale if tale.puzzle == drawn.puzzle else english.told(drawn.puzzle, rng)


@lru_cache(maxsize=4)
def _rows(source: Source, digest: str) -> tuple[tuple[PublishedPuzzle, Split], ...]:
    """The puzzles of a file with their splits, each question once; read anew when the digest of the file changes."""
    rows = {row.quiz: row for row in read_puzzles(source)}.values()
    return tuple((row, cast(Split, row.split or split_of(canonical_key(row.puzzle.statements)))) for row in rows)
