"""The three target domains: disjoint splits, golds that grade correct, worked steps that lead to the gold, chance."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from tests.answer_cases import HEADING_LETTERS, REGISTERS
from warmup_rl.base.errors import SpaceError
from warmup_rl.base.types import SPLITS, Problem
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.nano.compass import HEADINGS, TURNS, Compass
from warmup_rl.nano.registers import Registers
from warmup_rl.nano.sums import Sums

TERSE: list[Any] = [
    Sums(phrasing="terse", modulus=6, operations=(1, 7)),
    Registers(phrasing="terse", modulus=6, registers=4, updates=(1, 6)),
    Compass(phrasing="terse", turns=(1, 7)),
]
ENGLISH: list[Any] = [Sums(), Registers(), Compass()]
EVERY = pytest.mark.parametrize("domain", TERSE + ENGLISH, ids=lambda d: f"{d.type}-{d.phrasing}")
EACH_TERSE = pytest.mark.parametrize("domain", TERSE, ids=lambda d: d.type)


def some(domain: Domain, split: Any = "train", seed: int = 0, count: int = 60) -> list[Problem]:
    return list(islice(domain.problems(split, seed), count))


@EVERY
def test_problems_depend_on_split_and_seed_alone(domain: Domain) -> None:
    assert some(domain) == some(domain)
    assert some(domain) != some(domain, seed=1)


@EVERY
def test_splits_are_disjoint_for_all_seeds(domain: Domain) -> None:
    ids = [{p.id for seed in range(3) for p in some(domain, split, seed, 150)} for split in SPLITS]
    assert not (ids[0] & ids[1] or ids[0] & ids[2] or ids[1] & ids[2])


@EVERY
def test_problems_of_a_split_are_distinct(domain: Domain) -> None:
    problems = some(domain, count=200)
    assert len({p.id for p in problems}) == len({p.question for p in problems}) == 200


def test_sums_that_differ_in_order_alone_share_a_split() -> None:
    domain = Sums(phrasing="terse", modulus=3, operations=(2, 2))
    split_of_operands: dict[Any, str] = {}
    for split in SPLITS:
        for seed in range(4):
            for problem in some(domain, split, seed, 10_000):
                key = (problem.meta["start"], tuple(sorted(problem.meta["operands"])))
                assert split_of_operands.setdefault(key, split) == split


def test_renamed_registers_share_a_split() -> None:
    domain = Registers(phrasing="terse", modulus=2, registers=2, updates=(1, 1))
    splits: dict[Any, str] = {}
    for split in SPLITS:
        for seed in range(4):
            for problem in some(domain, split, seed):
                target, sign, source = problem.meta["program"][0]
                key = (problem.meta["start"][target], sign, problem.meta["start"][source])
                assert splits.setdefault(key, split) == split
    assert len(splits) == 4  # those that change nothing are left out


@EVERY
def test_the_gold_and_the_reference_are_correct(domain: Domain) -> None:
    for problem in some(domain):
        assert domain.grade(problem.gold, problem).verdict == "correct"
        assert domain.grade(domain.reference(problem), problem).verdict == "correct"


@EVERY
def test_no_answer_is_correct_that_is_empty_or_echoes_the_question(domain: Domain) -> None:
    for problem in some(domain):
        for answer in ("", "   ", "…", problem.question):
            assert domain.grade(answer, problem).verdict != "correct"


@EVERY
def test_another_gold_is_wrong(domain: Domain) -> None:
    problems = some(domain, count=40)
    for problem in problems:
        for other in problems:
            expected = "correct" if other.gold == problem.gold else "wrong"
            assert domain.grade(domain.reference(other), problem).verdict == expected


@EVERY
def test_the_gold_in_the_response_format_is_well_formed_and_correct(domain: Domain) -> None:
    response_format = ResponseFormat()
    for problem in some(domain, count=10):
        text = response_format.render(thinking="hm", answer=domain.reference(problem))
        assert domain.score(text, problem, response_format).outcome == "correct"


def test_chance_is_one_over_the_answer_space() -> None:
    sums, registers, compass = TERSE
    assert sums.chance_accuracy(some(sums)[0]) == 1 / 6
    assert registers.chance_accuracy(some(registers)[0]) == 1 / 1296
    assert compass.chance_accuracy(some(compass)[0]) == 1 / 4


@EACH_TERSE
def test_steps_begin_with_next_visit_every_anchor_and_reach_the_gold(domain: Any) -> None:
    for problem in some(domain, count=200):
        steps = domain.steps(problem)
        assert all(step.startswith("next ") for step in steps)
        assert problem.question.count("#") == sum("#" in step for step in steps)
        last = steps[-1]
        assert last.endswith(problem.gold) or f"{problem.gold}=" in last


@EACH_TERSE
def test_every_step_follows_from_the_one_before(domain: Any) -> None:
    for problem in some(domain, count=100):
        for step in domain.steps(problem):
            words = step.split()
            if words[1] == "solved":
                assert step == domain.steps(problem)[-1]
            elif domain.type == "compass":
                assert HEADINGS[(HEADINGS.index(words[2]) + TURNS[words[3]]) % 4] == words[4]
            elif domain.type == "sums":
                assert (int(words[2]) + int(words[3])) % 6 == int(words[4])
            elif domain.type == "registers":
                assert (int(words[3]) + int(words[4])) % 6 == int(words[5])
                assert f"{words[2][0]}={words[5]}" in words[6:]


@EACH_TERSE
def test_thinking_counts_from_half_of_the_steps_on(domain: Any) -> None:
    for problem in some(domain, count=50):
        steps = domain.steps(problem)
        assert domain.shows_work(" ".join(steps), problem)
        assert not domain.shows_work("so", problem)
        needed = problem.question.count("#")
        assert domain.shows_work(" ".join(steps[: (needed + 1) // 2]), problem)
        if needed > 2:
            assert not domain.shows_work(steps[0], problem)


def test_thinking_in_english_cannot_be_told() -> None:
    assert [domain.shows_work("first this, then that", some(domain)[0]) for domain in ENGLISH] == [None] * 3


def test_the_difficulty_range_is_kept() -> None:
    problems = some(Sums(operations=(2, 4)), count=200)
    assert {len(p.meta["operands"]) for p in problems} == {2, 3, 4}


@pytest.mark.parametrize("span", [(0, 3), (4, 3)])
def test_an_impossible_range_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="min <= max"):
        Sums(operations=span)


def test_an_exhausted_split_ends_and_says_so() -> None:
    with pytest.raises(SpaceError, match="exist with these"):
        Sums(modulus=2, operations=(1, 1)).take("test", 0, 50)


@pytest.mark.parametrize(("answer", "verdict"), REGISTERS)
def test_registers_are_graded_all_or_nothing(answer: str, verdict: str) -> None:
    problem = Problem("p", "registers", "?", "a=1 b=2", {"final": {"a": 1, "b": 2}})
    assert Registers(registers=2, modulus=3).grade(answer, problem).verdict == verdict


@pytest.mark.parametrize(("answer", "verdict"), HEADING_LETTERS)
def test_choices_are_read_strictly(answer: str, verdict: str) -> None:
    problem = Problem("p", "compass", "?", "B", {})
    assert Compass().grade(answer, problem).verdict == verdict
