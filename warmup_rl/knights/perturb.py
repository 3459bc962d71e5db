"""The published perturbations (arXiv 2410.23123): a puzzle changed in one respect, with its solution checked anew."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, get_args

from warmup_rl.knights.english import ROLES, Told
from warmup_rl.knights.grammar import Grammar, Puzzle, Roles, draw_statement
from warmup_rl.knights.solver import solutions
from warmup_rl.knights.statements import LIAR, TRUTHFUL, Statement, is_leaf

Perturbation = Literal["statement", "leaf", "roles", "names", "reordered", "flipped"]
PERTURBATIONS: tuple[Perturbation, ...] = get_args(Perturbation)
CHANGES_ANSWER: frozenset[Perturbation] = frozenset(("statement", "leaf"))
"""Perturbations after which the answer is another one; after the others it is the same, in other words at most."""
UNCOMMON_NAMES = tuple(
    "Aldric Anselm Aoife Artemisia Baltasar Bertrand Brunhild Calixta Casimir Clotilde Corentin Cosmo Dagmar Deodatus "
    "Eilidh Emeric Euphemia Evaristo Fenella Ferelith Gawain Ghislaine Godric Gwendal Hadewych Hesper Hyacinth Ignace "
    "Iolanthe Isambard Jocasta Kasimira Leocadia Ludmila Marzena Melchior Nikephoros Odalys Ottokar Parthenope "
    "Perpetua Quirin Radegund Sidonius Sunniva Tancred Theodora Ulrika Valdemar Wendeline Xaverius Yseult "
    "Zdenka Zenon".split()
)
"""Names that are met seldom."""

_TRIES = 1000
"""Statements drawn before a puzzle counts as one without such a variant."""


def perturb(
    tale: Told,
    kind: Perturbation,
    rng: random.Random,
    *,
    grammar: Grammar | None = None,
    names: Sequence[str] = UNCOMMON_NAMES,
    accept: Callable[[Puzzle], bool] = lambda puzzle: True,
) -> Told | None:
    """A variant that differs in one respect from the original, the way of telling included; None where there is none.

    - `statement`: one person says something else; exactly one solution, and another one.
    - `leaf`: one "X is a ROLE" inside one statement is exchanged for another; exactly one solution, and another one.
    - `roles`: another pair of role words.
    - `names`: other names, uncommon ones by default.
    - `reordered`: people speak in another order.
    - `flipped`: the two role words change their meaning: knaves tell the truth, knights lie.

    Args:
        grammar: of new statements; where not given, as deep and wide as those of the puzzle.
        names: the pool of `names`; names of the puzzle are left out.
        accept: whether a puzzle may be the variant; others are tried until one may.
    """
    puzzle = tale.puzzle
    if kind in CHANGES_ANSWER:
        found = _statements(puzzle, grammar or grammar_of(puzzle), rng) if kind == "statement" else _leaves(puzzle, rng)
        changed = (variant for variant in _other_answers(puzzle, found) if accept(variant))
        variant = next(changed, None)
        return None if variant is None else replace(tale, puzzle=variant)
    if kind == "reordered":
        return replace(tale, speeches=_reordered(tale.speeches, rng)) if puzzle.people > 1 else None
    if kind == "names":
        pool = [name for name in names if name not in puzzle.names]
        if len(pool) < puzzle.people:
            return None
        return replace(tale, puzzle=replace(puzzle, names=tuple(rng.sample(pool, puzzle.people))))
    if kind == "flipped":
        roles = Roles(puzzle.roles.liar, puzzle.roles.truthful)
    else:
        roles = rng.choice([pair for pair in ROLES if not _alike(pair, puzzle.roles)])
    return replace(tale, puzzle=replace(puzzle, roles=roles))


def grammar_of(puzzle: Puzzle) -> Grammar:
    """The least grammar, from the published one on, in which all statements of a puzzle can be made."""
    width = max(_width(statement) for statement in puzzle.statements)
    return Grammar(max(2, *(_height(statement) for statement in puzzle.statements)), max(2, width))


def _reordered(speeches: tuple[tuple[int, str], ...], rng: random.Random) -> tuple[tuple[int, str], ...]:
    while (order := tuple(rng.sample(speeches, len(speeches)))) == speeches:
        pass
    return order


def _other_answers(puzzle: Puzzle, variants: Iterator[tuple[Statement, ...]]) -> Iterator[Puzzle]:
    for statements in variants:
        found = solutions(statements)
        if len(found) == 1 and found[0] != puzzle.solution:
            yield replace(puzzle, statements=statements, solution=found[0])


def _statements(puzzle: Puzzle, grammar: Grammar, rng: random.Random) -> Iterator[tuple[Statement, ...]]:
    for _ in range(_TRIES):
        speaker = rng.randrange(puzzle.people)
        statement = draw_statement(rng, speaker, puzzle.people, grammar)
        yield (*puzzle.statements[:speaker], statement, *puzzle.statements[speaker + 1 :])


def _leaves(puzzle: Puzzle, rng: random.Random) -> Iterator[tuple[Statement, ...]]:
    """Every exchange of one leaf, in random order; operands differ and nobody calls himself a liar, as ever."""
    leaves = [(kind, person) for kind in (TRUTHFUL, LIAR) for person in range(puzzle.people)]
    found = []
    for speaker, statement in enumerate(puzzle.statements):
        allowed = [leaf for leaf in leaves if leaf != (LIAR, speaker)]
        for variant in _exchanged(statement, allowed):
            found.append((*puzzle.statements[:speaker], variant, *puzzle.statements[speaker + 1 :]))
    rng.shuffle(found)
    yield from found


def _exchanged(statement: Statement, leaves: Sequence[Statement]) -> Iterator[Statement]:
    if is_leaf(statement):
        yield from (leaf for leaf in leaves if leaf != statement)
        return
    for position in range(1, len(statement)):
        for part in _exchanged(statement[position], leaves):
            if part not in statement[1:]:
                yield (*statement[:position], part, *statement[position + 1 :])


def _alike(one: Roles, other: Roles) -> bool:
    return {one.truthful, one.liar} == {other.truthful, other.liar}


def _height(statement: Statement) -> int:
    return 1 if is_leaf(statement) else 1 + max(_height(part) for part in statement[1:])


def _width(statement: Statement) -> int:
    return 1 if is_leaf(statement) else max(len(statement) - 1, *(_width(part) for part in statement[1:]))
