"""The published perturbations (arXiv 2410.23123): a puzzle with one change, and its new solution."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

from warmup_rl.knights.english import ROLES, Quiz
from warmup_rl.knights.grammar import Grammar, Puzzle, Roles, draw_statement
from warmup_rl.knights.solver import consistent, solutions
from warmup_rl.knights.statements import TRUTHFUL, Statement, is_leaf, leaves

Perturbation = Literal["statement", "leaf", "roles", "names", "reordered", "flipped"]
PERTURBATIONS: tuple[Perturbation, ...] = get_args(Perturbation)
CHANGES_ANSWER: frozenset[Perturbation] = frozenset(("statement", "leaf"))
"""Perturbations that change the solution; the others change at most the words of the answer."""
UNCOMMON_NAMES = tuple(
    "Aldric Anselm Aoife Artemisia Baltasar Bertrand Brunhild Calixta Casimir Clotilde Corentin Cosmo Dagmar Deodatus "
    "Eilidh Emeric Euphemia Evaristo Fenella Ferelith Gawain Ghislaine Godric Gwendal Hadewych Hesper Hyacinth Ignace "
    "Iolanthe Isambard Jocasta Kasimira Leocadia Ludmila Marzena Melchior Nikephoros Odalys Ottokar Parthenope "
    "Perpetua Quirin Radegund Sidonius Sunniva Tancred Theodora Ulrika Valdemar Wendeline Xaverius Yseult "
    "Zdenka Zenon".split()
)
"""Rare names."""

_TRIES = 20_000
"""Statements drawn before a puzzle counts as having no such variant."""


def perturb(
    quiz: Quiz,
    kind: Perturbation,
    rng: random.Random,
    *,
    grammar: Grammar | None = None,
    names: Sequence[str] = UNCOMMON_NAMES,
    accept: Callable[[Puzzle], bool] = lambda puzzle: True,
) -> Quiz | None:
    """Makes a variant that differs from the original in one way; all other words stay. None if there is none.

    - `statement`: one person makes another statement; the variant has exactly one solution, which is different.
    - `leaf`: one "X is a ROLE" inside one statement is replaced; the solution is different, as above.
    - `roles`: another pair of role words.
    - `names`: other names, rare ones by default.
    - `reordered`: people speak in another order.
    - `flipped`: the two role words swap their meaning: knaves tell the truth, knights lie.

    Args:
        grammar: of new statements; default: `grammar_of` the puzzle.
        names: pool of new names; names of the puzzle are not used.
        accept: whether a puzzle may be the variant; candidates are tried until one is accepted.
    """
    puzzle = quiz.puzzle
    if kind in CHANGES_ANSWER:
        found = _statements(puzzle, grammar or grammar_of(puzzle), rng) if kind == "statement" else _leaves(puzzle, rng)
        variant = next(filter(accept, _other_answers(puzzle, found)), None)
        return None if variant is None else quiz._replace(puzzle=variant)
    if kind == "reordered":
        order = quiz.speeches
        while order == quiz.speeches and puzzle.people > 1:
            order = tuple(rng.sample(quiz.speeches, len(quiz.speeches)))
        return quiz._replace(speeches=order) if puzzle.people > 1 else None
    if kind == "names":
        pool = [name for name in names if name not in puzzle.names]
        if len(pool) < puzzle.people:
            return None
        return quiz._replace(puzzle=puzzle._replace(names=tuple(rng.sample(pool, puzzle.people))))
    if kind == "flipped":
        roles = Roles(puzzle.roles.liar, puzzle.roles.truthful)
    else:
        words = {puzzle.roles.truthful, puzzle.roles.liar}
        roles = rng.choice([pair for pair in ROLES if {pair.truthful, pair.liar} != words])
    return quiz._replace(puzzle=puzzle._replace(roles=roles))


def grammar_of(puzzle: Puzzle) -> Grammar:
    """The smallest grammar, at least the published one, that can produce all statements of a puzzle."""
    depth, width = max(map(_height, puzzle.statements)), max(map(_width, puzzle.statements))
    return Grammar(max(2, depth), max(2, width))


def _other_answers(puzzle: Puzzle, variants: Iterator[tuple[Statement, ...]]) -> Iterator[Puzzle]:
    for statements in variants:
        found = solutions(statements)
        if len(found) == 1 and found[0] != puzzle.solution:
            yield puzzle._replace(statements=statements, solution=found[0])


def _said(puzzle: Puzzle, speaker: int, statement: Statement) -> tuple[Statement, ...]:
    """The puzzle's statements with another one of one speaker."""
    return (*puzzle.statements[:speaker], statement, *puzzle.statements[speaker + 1 :])


def _statements(puzzle: Puzzle, grammar: Grammar, rng: random.Random) -> Iterator[tuple[Statement, ...]]:
    # "I tell the truth" rules nothing out: what is left then is what another statement can single out.
    movable = [
        speaker
        for speaker in range(puzzle.people)
        if consistent(_said(puzzle, speaker, (TRUTHFUL, speaker))).bit_count() > 1
    ]
    for _ in range(_TRIES if movable else 0):
        speaker = rng.choice(movable)
        yield _said(puzzle, speaker, draw_statement(rng, speaker, puzzle.people, grammar))


def _leaves(puzzle: Puzzle, rng: random.Random) -> Iterator[tuple[Statement, ...]]:
    """Every replacement of one leaf that the grammar allows, in random order."""
    found = [
        _said(puzzle, speaker, variant)
        for speaker, statement in enumerate(puzzle.statements)
        for variant in _exchanged(statement, leaves(speaker, puzzle.people))
    ]
    rng.shuffle(found)
    yield from found


def _exchanged(statement: Statement, allowed: Sequence[Statement]) -> Iterator[Statement]:
    if is_leaf(statement):
        yield from (leaf for leaf in allowed if leaf != statement)
        return
    for position in range(1, len(statement)):
        for part in _exchanged(statement[position], allowed):
            if part not in statement[1:]:
                yield (*statement[:position], part, *statement[position + 1 :])


def _height(statement: Statement) -> int:
    return 1 if is_leaf(statement) else 1 + max(_height(part) for part in statement[1:])


def _width(statement: Statement) -> int:
    return 1 if is_leaf(statement) else max(len(statement) - 1, *(_width(part) for part in statement[1:]))
