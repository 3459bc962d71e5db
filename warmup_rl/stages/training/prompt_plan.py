"""Which prompt is drawn at which step of RLVR."""

from __future__ import annotations

import random
from collections import Counter
from itertools import chain, islice

from warmup_rl.base.errors import UserError


def prompt_plan(*, problems: int, prompts_per_step: int, steps: int, seed: int) -> list[list[int]]:
    """plan_SP[step][prompt]: the index of a problem.

    The plan runs through one shuffle of all problems after the other, so that use counts differ by at most one at any
    time. A step does not contain a problem twice if there are enough problems: a new shuffle then starts with problems
    that the step does not contain yet. Raises `UserError` for a number below 1.
    """
    for name, value in (("problems", problems), ("prompts_per_step", prompts_per_step), ("steps", steps)):
        if value < 1:
            raise UserError(f"{name}: {value} would train nothing. Give at least 1.")
    draw = random.Random(f"plan/{seed}")
    queue: list[int] = []
    plan_SP = []
    for _ in range(steps):
        step: list[int] = []
        while len(step) < prompts_per_step:
            if not queue:
                queue = _shuffle(problems, step, prompts_per_step - len(step), draw)
            step.append(queue.pop(0))
        plan_SP.append(step)
    return plan_SP


def use_counts(plan_SP: list[list[int]], problems: int) -> list[int]:
    """How often a plan uses each problem."""
    counts = Counter(chain.from_iterable(plan_SP))
    return [counts[index] for index in range(problems)]


def _shuffle(problems: int, held: list[int], room: int, draw: random.Random) -> list[int]:
    """All indices in random order; the first `room` are not in `held`, as far as possible."""
    order, taken = list(range(problems)), set(held)
    draw.shuffle(order)
    first = dict.fromkeys(islice((index for index in order if index not in taken), room))
    return [*first, *(index for index in order if index not in first)]
