"""Where the puzzles of the kk domain come from: the generator, a file, and variants of either."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Split
from warmup_rl.data.datasets import Source
from warmup_rl.interfaces.domain import problem_id, split_of
from warmup_rl.knights import english, terse, text
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.difficulty import difficulty
from warmup_rl.knights.digests import Digests
from warmup_rl.knights.grammar import Puzzle, draw_puzzle
from warmup_rl.knights.perturb import CHANGES_ANSWER, UNCOMMON_NAMES, perturb
from warmup_rl.knights.published import PublishedPuzzle, read_puzzles
from warmup_rl.knights.reading import parse_told

if TYPE_CHECKING:
    from warmup_rl.domains.kk import KnightsKnaves

PATIENCE = 10_000
"""Draws in a row without a new puzzle after which a split counts as exhausted for a number of people."""


@dataclass(slots=True)
class Tally:
    """Counts of a drawing so far.

    Attributes:
        made: puzzles generated, by number of people.
        repeated: puzzles discarded because their canonical form was drawn before, by number of people.
        without: puzzles left out because they have no such variant.
    """

    made: Counter[int] = field(default_factory=Counter)
    repeated: Counter[int] = field(default_factory=Counter)
    without: int = 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """A puzzle with the text that asks for it.

    Attributes:
        index: its number in the file that it comes from, or in the order of drawing, from 0.
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


def draw(domain: KnightsKnaves, split: Split | None, seed: int, tally: Tally) -> Iterator[Drawn]:
    """The puzzles of a split in an order by seed; with None those of all splits (of a file: in its order).

    Raises:
        SpaceError: the settings allow no puzzle at all.
        DataError: the file is missing or invalid.
    """
    drawn = _generated(domain, split, seed, tally) if domain.file is None else _from_file(domain, split, seed)
    return _varied(drawn, domain, tally) if domain.perturb else drawn


def _generated(domain: KnightsKnaves, split: Split | None, seed: int, tally: Tally) -> Iterator[Drawn]:
    """New puzzles until there are no more; each number of people is drawn equally often."""
    rng = random.Random(f"kk/{split or 'all'}/{seed}")
    settings = domain.grammar, domain.name_pool, domain.role_pairs
    phrasing, bounds = domain.phrasing, domain.difficulty
    seen = Digests()
    counts = list(domain.counts)
    while counts:
        people = rng.choice(counts)
        for _ in range(PATIENCE):
            puzzle = draw_puzzle(rng, people, *settings)
            key = canonical_key(puzzle.statements)
            of_split = split_of(key)
            if split not in (None, of_split) or not _within(puzzle, bounds):
                continue
            if seen.add(key):
                break
            tally.repeated[people] += 1
        else:
            counts.remove(people)
            continue
        tally.made[people] += 1
        tale = text.told(puzzle, phrasing, rng)
        yield Drawn(tale, text.render(tale, phrasing), of_split, len(seen) - 1)


def _from_file(domain: KnightsKnaves, split: Split | None, seed: int) -> Iterator[Drawn]:
    assert domain.file is not None
    rows = [
        (row, of_split)
        for row, of_split in _rows(domain.file, domain.file.digest())
        if split in (None, of_split) and _within(row.puzzle, domain.difficulty)
    ]
    if split is not None:
        random.Random(f"kk/{split}/{seed}").shuffle(rows)
    for row, of_split in rows:
        tale = english.Told(row.puzzle, ())
        yield Drawn(tale, row.quiz, of_split, row.index, row.original, row.perturbation)


def _varied(originals: Iterator[Drawn], domain: KnightsKnaves, tally: Tally) -> Iterator[Drawn]:
    """A variant in place of each puzzle that has one.

    Variants with another solution are not in the file, and by their own canonical form they belong to the split of the
    original, unless the file puts the original into a split of its choice.
    """
    kind, phrasing, file = domain.perturb, domain.phrasing, domain.file
    assert kind is not None
    seen, misses = Digests(), 0
    names = terse.NAMES if phrasing == "terse" else UNCOMMON_NAMES
    grammar = domain.grammar if file is None else None
    if file is not None and kind in CHANGES_ANSWER:
        for row, _ in _rows(file, file.digest()):
            seen.add(canonical_key(row.puzzle.statements))
    for original in originals:
        own = kind in CHANGES_ANSWER and split_of(canonical_key(original.puzzle.statements)) == original.split

        def accept(puzzle: Puzzle, split: Split | None = original.split if own else None) -> bool:
            if kind not in CHANGES_ANSWER:
                return True
            key = canonical_key(puzzle.statements)
            return split in (None, split_of(key)) and seen.add(key)

        rng = random.Random(f"kk/perturb/{kind}/{original.id}")
        tale = perturb(_as_told(original, phrasing, rng), kind, rng, grammar=grammar, names=names, accept=accept)
        if tale:
            misses = 0
            yield Drawn(tale, text.render(tale, phrasing), original.split, original.index, original.id, kind)
            continue
        tally.without += 1
        misses += 1
        if misses == PATIENCE:
            return


def _within(puzzle: Puzzle, bounds: tuple[int, int] | None) -> bool:
    return bounds is None or bounds[0] <= difficulty(puzzle.statements).hypotheses <= bounds[1]


def _as_told(drawn: Drawn, phrasing: text.Phrasing, rng: random.Random) -> english.Told:
    """The puzzle with the ways of speaking in its text; with new ones if the text of a file cannot be read."""
    if drawn.tale.speeches or phrasing == "terse":
        return drawn.tale
    try:
        tale = parse_told(drawn.question)
    except DataError:
        return english.told(drawn.puzzle, rng)
    return tale if tale.puzzle == drawn.puzzle else english.told(drawn.puzzle, rng)


@lru_cache(maxsize=4)
def _rows(source: Source, digest: str) -> tuple[tuple[PublishedPuzzle, Split], ...]:
    """The puzzles of a file with their splits, each question once; read again when the file's digest changes."""
    rows = {row.quiz: row for row in read_puzzles(source)}.values()
    return tuple((row, cast(Split, row.split or split_of(canonical_key(row.puzzle.statements)))) for row in rows)


@lru_cache(maxsize=8)
def count_by_split(file: Source, digest: str, bounds: tuple[int, int] | None) -> Counter[Split]:
    """Number of puzzles of a file within bounds of the difficulty."""
    return Counter(split for row, split in _rows(file, digest) if _within(row.puzzle, bounds))
