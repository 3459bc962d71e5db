"""Sources of the kk domain's puzzles: the generator, files, and variants of both."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Split
from warmup_rl.data.datasets import Source
from warmup_rl.interfaces.domain import problem_id, split_of
from warmup_rl.knights import english, terse, text
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.difficulty import difficulty
from warmup_rl.knights.grammar import Puzzle, draw_puzzle
from warmup_rl.knights.parse_quiz import parse_quiz
from warmup_rl.knights.perturb import CHANGES_ANSWER, UNCOMMON_NAMES, perturb
from warmup_rl.knights.published import read_puzzles

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
        without: puzzles left out because they have no variant of the required kind.
    """

    made: Counter[int] = field(default_factory=Counter)
    repeated: Counter[int] = field(default_factory=Counter)
    without: int = 0


class Drawn(NamedTuple):
    """A puzzle with what its question is made of.

    Attributes:
        number: in the file, or in the order of drawing, from 0.
        told: the question, where a file gives it.
        original: id of the puzzle that this one is a variant of.
    """

    quiz: english.Quiz
    phrasing: text.Phrasing
    split: Split
    number: int
    told: str | None = None
    original: str | None = None
    perturbation: str | None = None

    @property
    def puzzle(self) -> Puzzle:
        return self.quiz.puzzle

    @property
    def question(self) -> str:
        return self.told or text.render(self.quiz, self.phrasing)

    @property
    def id(self) -> str:
        return _id(self.question)

    @property
    def columns(self) -> dict[str, Any]:
        """What a row of a file holds besides the puzzle."""
        question = self.question
        own = {"quiz": question, "index": self.number, "id": _id(question), "split": self.split}
        return own | ({"original": self.original, "perturbation": self.perturbation} if self.original else {})


def draw(domain: KnightsKnaves, split: Split | None, seed: int, tally: Tally) -> Iterator[Drawn]:
    """The puzzles of a split in an order by seed; if None, those of all splits (of a file: in its order).

    Raises:
        SpaceError: the settings allow no puzzle.
        DataError: the file is missing or invalid.
    """
    drawn = _generated(domain, split, seed, tally) if domain.file is None else _from_file(domain, split, seed)
    return _variants(drawn, domain, tally) if domain.perturb else drawn


def _generated(domain: KnightsKnaves, split: Split | None, seed: int, tally: Tally) -> Iterator[Drawn]:
    """New puzzles until there are no more; each number of people is drawn with the same probability."""
    rng = random.Random(f"kk/{split or 'all'}/{seed}")
    settings = domain.grammar, domain.name_pool, domain.role_pairs
    seen, counts = set[int](), list(domain.counts)
    while counts:
        people = rng.choice(counts)
        for _ in range(PATIENCE):
            puzzle = draw_puzzle(rng, people, *settings)
            key = canonical_key(puzzle.statements)
            of_split = split_of(key)
            if split not in (None, of_split) or not _within(puzzle, domain.difficulty):
                continue
            if hash(key) not in seen:
                break
            tally.repeated[people] += 1
        else:
            counts.remove(people)
            continue
        seen.add(hash(key))
        tally.made[people] += 1
        quiz = text.quiz_of(puzzle, domain.phrasing, rng)
        yield Drawn(quiz, domain.phrasing, of_split, len(seen) - 1)


def _from_file(domain: KnightsKnaves, split: Split | None, seed: int) -> Iterator[Drawn]:
    assert domain.file is not None
    rows = [
        row
        for row in _rows(domain.file, domain.file.digest())
        if split in (None, row.split) and _within(row.puzzle, domain.difficulty)
    ]
    if split is not None:
        random.Random(f"kk/{split}/{seed}").shuffle(rows)
    yield from rows


def _variants(originals: Iterator[Drawn], domain: KnightsKnaves, tally: Tally) -> Iterator[Drawn]:
    """Replaces each puzzle by a variant; leaves out puzzles without one.

    Variants with another solution are not in the file. Their canonical form belongs to the split of the original,
    unless the file assigns the original to another split than its canonical form.
    """
    kind, phrasing, file = domain.perturb, domain.phrasing, domain.file
    assert kind is not None
    seen, misses = set[int](), 0
    names = terse.NAMES if phrasing == "terse" else UNCOMMON_NAMES
    grammar = domain.grammar if file is None else None
    if file is not None and kind in CHANGES_ANSWER:
        seen = {hash(canonical_key(row.puzzle.statements)) for row in _rows(file, file.digest())}
    for original in originals:
        by_key = kind in CHANGES_ANSWER and split_of(canonical_key(original.puzzle.statements)) == original.split

        def accept(puzzle: Puzzle, split: Split | None = original.split if by_key else None) -> bool:
            key = canonical_key(puzzle.statements)
            if split not in (None, split_of(key)) or hash(key) in seen:
                return False
            seen.add(hash(key))
            return True

        rng = random.Random(f"kk/perturb/{kind}/{original.id}")
        quiz = perturb(_quiz(original, phrasing, rng), kind, rng, grammar=grammar, names=names, accept=accept)
        if quiz:
            misses = 0
            yield Drawn(quiz, phrasing, original.split, original.number, original=original.id, perturbation=kind)
            continue
        tally.without += 1
        misses += 1
        if misses == PATIENCE:
            return


def _id(question: str) -> str:
    return problem_id(["kk", question])


def _within(puzzle: Puzzle, bounds: tuple[int, int] | None) -> bool:
    return bounds is None or bounds[0] <= difficulty(puzzle.statements).hypotheses <= bounds[1]


def _quiz(drawn: Drawn, phrasing: text.Phrasing, rng: random.Random) -> english.Quiz:
    """The puzzle with the speeches in its question; with new ones if the question of a file cannot be read."""
    if drawn.quiz.speeches or phrasing == "terse":
        return drawn.quiz
    try:
        quiz = parse_quiz(drawn.question)
    except DataError:
        return english.draw_quiz(drawn.puzzle, rng)
    return quiz if quiz.puzzle == drawn.puzzle else english.draw_quiz(drawn.puzzle, rng)


@lru_cache(maxsize=4)
def _rows(source: Source, digest: str) -> tuple[Drawn, ...]:
    """The puzzles of a file, each question once; read again when the digest of the file changes."""
    found = []
    for row in {row.question: row for row in read_puzzles(source)}.values():
        split = cast(Split, row.split or split_of(canonical_key(row.puzzle.statements)))
        quiz = english.Quiz(row.puzzle)
        found.append(Drawn(quiz, "english", split, row.index, row.question, row.original, row.perturbation))
    return tuple(found)


@lru_cache(maxsize=8)
def count_by_split(file: Source, digest: str, bounds: tuple[int, int] | None) -> Counter[Split]:
    """Number of puzzles of a file with a difficulty within bounds, by split."""
    return Counter(row.split for row in _rows(file, digest) if _within(row.puzzle, bounds))
