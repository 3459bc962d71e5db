"""Which prompts every RLVR step uses, so that each of a few problems is used equally often."""

from __future__ import annotations

import random

from warmup_rl.base.errors import UserError


def prompt_plan(*, problems: int, prompts_per_step: int, steps: int, seed: int) -> list[list[int]]:
    """Problem indices for every step, a pure function of its arguments.

    The plan runs through fresh shuffles of all problems, so that at every moment, in the middle of a step too, use
    counts differ by at most one. A step holds no problem twice where it has at most as many prompts as there are
    problems: the first problems of a new shuffle are then taken from those that the step does not hold yet.

    Returns:
        plan_SP[s][p]: `steps` lists of `prompts_per_step` indices below `problems`.

    Raises:
        UserError: a number is below 1, so that nothing would be trained.
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
    counts = [0] * problems
    for step in plan_SP:
        for index in step:
            counts[index] += 1
    return counts


def _shuffle(problems: int, held: list[int], room: int, draw: random.Random) -> list[int]:
    """All indices in random order, the first `room` of them not in `held` as far as there are such."""
    order = list(range(problems))
    draw.shuffle(order)
    taken = set(held)
    first = [index for index in order if index not in taken][:room]
    chosen = set(first)
    return first + [index for index in order if index not in chosen]
