"""The prompt plan: equal use, no repeats inside a step, decided by its arguments alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmup_rl.base.errors import UserError
from warmup_rl.stages.training.prompt_plan import prompt_plan, use_counts

SHAPES = {
    "problems": st.integers(1, 40),
    "prompts_per_step": st.integers(1, 50),
    "steps": st.integers(1, 12),
    "seed": st.integers(0, 5),
}


@given(**SHAPES)
def test_use_counts_differ_by_at_most_one_at_every_moment(
    problems: int, prompts_per_step: int, steps: int, seed: int
) -> None:
    plan_SP = prompt_plan(problems=problems, prompts_per_step=prompts_per_step, steps=steps, seed=seed)
    counts = [0] * problems
    for index in (index for step in plan_SP for index in step):
        counts[index] += 1
        assert max(counts) - min(counts) <= 1
    assert counts == use_counts(plan_SP, problems)


@given(**SHAPES)
def test_a_step_holds_no_prompt_twice_where_that_can_be(
    problems: int, prompts_per_step: int, steps: int, seed: int
) -> None:
    for step in prompt_plan(problems=problems, prompts_per_step=prompts_per_step, steps=steps, seed=seed):
        assert len(step) == prompts_per_step
        assert len(set(step)) == min(prompts_per_step, problems)


@given(**SHAPES)
def test_a_longer_plan_begins_with_the_shorter_one(problems: int, prompts_per_step: int, steps: int, seed: int) -> None:
    longer = prompt_plan(problems=problems, prompts_per_step=prompts_per_step, steps=steps + 3, seed=seed)
    assert longer[:steps] == prompt_plan(problems=problems, prompts_per_step=prompts_per_step, steps=steps, seed=seed)


def test_seeds_give_different_orders() -> None:
    first, second = (prompt_plan(problems=50, prompts_per_step=10, steps=5, seed=seed) for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize("zero", ["problems", "prompts_per_step", "steps"])
def test_a_plan_that_would_train_nothing_is_refused(zero: str) -> None:
    arguments = {"problems": 4, "prompts_per_step": 2, "steps": 3} | {zero: 0}
    with pytest.raises(UserError, match=f"{zero}: 0"):
        prompt_plan(**arguments, seed=0)
