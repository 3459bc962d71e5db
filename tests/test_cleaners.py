"""Cleaners keep, change or drop traces for counted reasons."""

import pytest
from pydantic import ValidationError

from warmup_rl.base.types import Score, Trace
from warmup_rl.cleaners.basic import Correct, Duplicates, Length
from warmup_rl.interfaces.cleaner import CleanContext, Dropped

CONTEXT = CleanContext({}, {}, lambda text: len(text.split()))


def trace(thinking="a b c", answer="d", verdict="correct", well_formed=True, problem="p", sample=0):
    score = Score(verdict, answer, well_formed)
    return Trace(problem, "kk", ({"role": "user", "content": "?"},), thinking, answer, score, "solver", sample)


def run(cleaner, traces):
    clean = cleaner.start(CONTEXT)
    return [clean(item) for item in traces]


@pytest.mark.parametrize(
    ("verdict", "well_formed", "strict", "reason"),
    [
        ("correct", True, False, None), ("correct", False, False, None), ("correct", True, True, None),
        ("correct", False, True, "not well formed"), ("wrong", True, False, "answer wrong"),
        ("none", True, False, "no answer"), ("timeout", True, False, "answer timeout"),
    ],
)  # fmt: skip
def test_correct_keeps_right_answers_only(verdict, well_formed, strict, reason):
    (result,) = run(Correct(well_formed=strict), [trace(verdict=verdict, well_formed=well_formed)])
    assert result == (Dropped(reason) if reason else trace(verdict=verdict, well_formed=well_formed))


def test_duplicates_are_dropped_whatever_their_white_space_and_sample():
    traces = [trace("a b"), trace("a  b\n", sample=1), trace("a c"), trace("a b", problem="q"), trace("a b", "e")]
    assert [isinstance(r, Dropped) for r in run(Duplicates(), traces)] == [False, True, False, False, False]


def test_duplicates_can_limit_traces_a_problem():
    results = run(Duplicates(per_problem=2), [trace(f"a {i}") for i in range(4)] + [trace(problem="q")])
    assert [isinstance(r, Dropped) for r in results] == [False, False, True, True, False]
    assert results[2].reason == "more than 2 a problem"


def test_cleaners_start_afresh_each_time():
    cleaner = Duplicates()
    assert run(cleaner, [trace()]) == run(cleaner, [trace()]) == [trace()]


@pytest.mark.parametrize(
    ("words", "bounds", "reason"),
    [
        (3, {}, None), (3, {"min_tokens": 4, "max_tokens": 4}, None), (3, {"min_tokens": 5}, "shorter than 5 tokens"),
        (4, {"max_tokens": 4}, "longer than 4 tokens"),
    ],
)  # fmt: skip
def test_length_counts_thinking_and_answer(words, bounds, reason):
    (result,) = run(Length(**bounds), [trace(" ".join("w" * words))])
    assert result == Dropped(reason) if reason else isinstance(result, type(trace()))


def test_length_bounds_that_leave_nothing_are_refused():
    with pytest.raises(ValidationError, match="min_tokens"):
        Length(min_tokens=5, max_tokens=4)
