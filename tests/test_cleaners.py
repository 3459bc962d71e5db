"""Cleaners keep, change or drop traces for counted reasons."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from warmup_rl.cleaner import CleanContext, Dropped
from warmup_rl.cleaners.basic import Correct, Duplicates, Length
from warmup_rl.cleaners.rechecks import Rechecks, cut_rechecks
from warmup_rl.knights.chain import terse_chain
from warmup_rl.knights.english import NAMES, ROLES
from warmup_rl.knights.grammar import Grammar, Puzzle, draw_puzzle
from warmup_rl.knights.reasoning import Noise, think
from warmup_rl.knights.story import tell
from warmup_rl.types import Score, Trace

CONTEXT = CleanContext({}, {}, lambda text: len(text.split()))
puzzles = st.builds(
    lambda seed, people: draw_puzzle(random.Random(seed), people, Grammar(deeper=0.2), NAMES, ROLES),
    st.integers(0, 10**6),
    st.integers(2, 5),
)


def trace(thinking="a b c", answer="d", verdict="correct", well_formed=True, problem="p", sample=0):
    score = Score(verdict, answer, well_formed)
    return Trace(problem, "kk", ({"role": "user", "content": "?"},), thinking, answer, score, "solver", sample)


def run(cleaner, traces):
    clean = cleaner.start(CONTEXT)
    return [clean(item) for item in traces]


def is_subsequence(words, source):
    rest = iter(source)
    return all(word in rest for word in words)


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


@given(puzzles, st.integers(0, 999), st.sampled_from((0.0, 0.5, 1.0)))
def test_terse_rechecks_are_cut_to_the_clean_chain(puzzle, seed, doubt):
    puzzle = Puzzle(puzzle.names, puzzle.statements, puzzle.solution)
    noisy = " ".join(terse_chain(puzzle, random.Random(seed), Noise(0.5, doubt)))
    clean, cut = cut_rechecks(noisy)
    assert clean == " ".join(terse_chain(puzzle, random.Random(seed)))
    assert cut == noisy.split().count("recheck")
    assert is_subsequence(clean.split(), noisy.split())


@given(puzzles, st.integers(0, 999), st.sampled_from((0.0, 0.5, 1.0)), st.sampled_from(("search", "cases")))
def test_english_rechecks_are_cut_and_all_else_stays(puzzle, seed, doubt, method):
    rng = random.Random(seed)
    steps = think(puzzle, rng, method=method, noise=Noise(0.4, doubt, 0.5))
    noisy = tell(puzzle, steps, rng, hesitate=doubt)
    clean, cut = cut_rechecks(noisy)
    assert cut == sum(step.again for step in steps)
    assert is_subsequence(clean.split(), noisy.split())
    assert [p for p in noisy.split("\n\n") if p in clean.split("\n\n")] == clean.split("\n\n")
    assert cut_rechecks(clean) == (clean, 0)


@pytest.mark.parametrize(
    "thinking",
    [
        "", "plain words", "next", "so x", "next case1 p1 A=knight next #1 knight(A) A=knight true so A=knight",
        "next case1 p1 A=knight next #1 x bad next recheck case1 p1 A=knight next #1 x ok next solved case1",
        "next case1 p1 A=knight next #1 x bad next recheck case2 p1 A=knave next #1 x bad next solved case1",
        "next recheck case1 p1 A=knight next #1 x bad",
        "next case1 p1 A=knight next #1 x bad next wait next case2 p1 A=knave next #1 x ok so A=knave",
        "Wait, let me double-check that. No, that was wrong: Bob is a knave.",
        "I said: Wait, let me double-check that. Yes, that still holds.",
    ],
)  # fmt: skip
def test_what_is_no_plain_repetition_stays(thinking):
    assert cut_rechecks(thinking) == (thinking, 0)


def test_rechecks_count_what_they_cut_and_touch_nothing_else():
    noisy = trace("A.\n\nLet me re-check this. A. Yes, that still holds.\n\nB.", answer="d")
    changed, same = run(Rechecks(), [noisy, trace("A.\n\nB.")])
    assert changed.thinking == "A.\n\nB."
    assert changed.meta == {"rechecks_cut": 1, "tokens_before": 11, "tokens_after": 2}
    assert (changed.answer, changed.score, changed.messages) == (noisy.answer, noisy.score, noisy.messages)
    assert same == trace("A.\n\nB.")
