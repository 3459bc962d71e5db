"""The solver's terse chain of thought: cases one by one up to the solution, with optional noise."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import CLEAN, Noise
from warmup_rl.knights.terse import NEXT, RECHECK, SO, WAIT, answer_terse, case_number, case_sentences, solved_sentence

HESITATION = f"{NEXT} {WAIT}"
"""Follows an abandoned case or a slip, and precedes some re-checks."""
_FLIPPED = {"true": "false", "false": "true"}


def terse_chain(puzzle: Puzzle, rng: random.Random, noise: Noise = CLEAN) -> list[str]:
    """The sentences of a chain: all cases up to the solution, `solved`, and finally `so` with the answer.

    There are three kinds of noise, none of which changes the answer. A re-check repeats a case directly after it:
    `next recheck case2 ...`, sometimes after `next wait`. An abandoned case precedes the case that is due: the opening
    of a later case and some of its checks, never the last one, then `next wait`. A slip is a check with the wrong truth
    value, then `next wait` and the correct check.
    """
    sentences: list[str] = []
    for case in range(1, case_number(puzzle) + 1):
        if noise.abandon and case < 2**puzzle.people and rng.random() < noise.abandon:
            later = case_sentences(puzzle, rng.randint(case + 1, 2**puzzle.people))
            sentences += [*later[: rng.randrange(1, len(later))], HESITATION]
        checked = case_sentences(puzzle, case)
        sentences += _with_slips(checked, rng, noise) if noise.slip else checked
        if noise.recheck and rng.random() < noise.recheck:
            if noise.hesitate and rng.random() < noise.hesitate:
                sentences.append(HESITATION)
            sentences += [f"{NEXT} {RECHECK}{checked[0].removeprefix(NEXT)}", *checked[1:]]
    return [*sentences, solved_sentence(puzzle), f"{SO} {answer_terse(puzzle)}"]


def _with_slips(sentences: Sequence[str], rng: random.Random, noise: Noise) -> Iterator[str]:
    """Only checks that end in a truth value can be wrong, not openings and verdicts."""
    for sentence in sentences:
        check, _, value = sentence.rpartition(" ")
        if value in _FLIPPED and rng.random() < noise.slip:
            yield from (f"{check} {_FLIPPED[value]}", HESITATION)
        yield sentence
