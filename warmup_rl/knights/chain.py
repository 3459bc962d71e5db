"""The solver's terse chain of thought: cases one by one until one fits, with needless re-checks as noise."""

from __future__ import annotations

import random

from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import CLEAN, Noise
from warmup_rl.knights.terse import NEXT, RECHECK, SO, WAIT, answer_terse, case_number, case_sentences, solved_sentence


def terse_chain(puzzle: Puzzle, rng: random.Random, noise: Noise = CLEAN) -> list[str]:
    """The sentences of a chain: all cases up to the solution, `solved`, and at last `so` with the answer.

    A re-checked case stands directly after the case itself: `next recheck case2 ...`, all its sentences again; `next
    wait` may stand before it.
    """
    sentences = []
    for case in range(1, case_number(puzzle) + 1):
        checked = case_sentences(puzzle, case)
        sentences += checked
        if noise.recheck and rng.random() < noise.recheck:
            if noise.hesitate and rng.random() < noise.hesitate:
                sentences.append(f"{NEXT} {WAIT}")
            sentences += [f"{NEXT} {RECHECK}{checked[0].removeprefix(NEXT)}", *checked[1:]]
    return [*sentences, solved_sentence(puzzle), f"{SO} {answer_terse(puzzle)}"]
