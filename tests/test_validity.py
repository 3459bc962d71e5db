"""Step validity of terse chains: the solver's are wholly valid, changed ones are not; scores."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmup_rl.base.types import Trace, Validity, to_json, trace_from_json
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.knights import terse
from warmup_rl.knights.chain import terse_chain
from warmup_rl.knights.grammar import Grammar, Puzzle, draw_puzzle, make_puzzle
from warmup_rl.knights.reasoning import Noise
from warmup_rl.knights.statements import AND, LIAR
from warmup_rl.knights.validity import judge, step_validity

NOISY = Noise(recheck=0.2, hesitate=0.5, second_method=0.5, abandon=0.2)
SWAPPED = {"true": "false", "false": "true", "ok": "bad", "bad": "ok", "knight": "knave", "knave": "knight",
           "and": "or", "or": "and", "implies": "iff", "iff": "implies"}  # fmt: skip


def chain(seed: int, people: int, noise: Noise = NOISY) -> tuple[Puzzle, str]:
    rng = random.Random(seed)
    puzzle = draw_puzzle(rng, people, Grammar(width=3, deeper=0.3), terse.NAMES)
    return puzzle, " ".join(terse_chain(puzzle, rng, noise))


def swapped(text: str, words: str, rng: random.Random, swap: dict[str, str]) -> tuple[int, str]:
    """The text with one of the words turned into its opposite, and where."""
    found = rng.choice(list(re.finditer(rf"(?<![\w])(?:{words})(?!\w)", text)))
    return found.start(), text[: found.start()] + swap[found[0]] + text[found.end() :]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.integers(2, 6))
def test_every_step_of_a_terse_chain_is_valid(seed: int, people: int) -> None:
    puzzle, text = chain(seed, people)
    found = step_validity(text, puzzle)
    assert (found.invalid, found.unparsed, found.first_invalid) == (0, 0, None)
    assert found.valid > 2 * puzzle.people


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(2, 5), st.sampled_from([
    "true|false", "ok|bad", "and|or|implies|iff", r"(?<==)knight|(?<==)knave",
]))  # fmt: skip
def test_a_changed_word_of_a_terse_chain_is_found_where_it_stands(seed: int, people: int, words: str) -> None:
    puzzle, text = chain(seed, people)
    if not re.search(rf"(?<!\w)(?:{words})(?!\w)", text):
        return
    at, changed = swapped(text, words, random.Random(seed), SWAPPED)
    judged = judge(changed, puzzle)
    assert "".join(changed[judgement.start : judgement.end] for judgement in judged) == changed
    assert next(judgement.label for judgement in judged if judgement.start <= at < judgement.end) == "invalid"
    assert step_validity(changed, puzzle).first_invalid is not None


def test_a_slip_that_is_put_right_is_one_invalid_step() -> None:
    found = [step_validity(text, puzzle) for puzzle, text in (chain(seed, 3, Noise(slip=0.2)) for seed in range(30))]
    slips = [text.count("next wait") for _, text in (chain(seed, 3, Noise(slip=0.2)) for seed in range(30))]
    assert [validity.invalid for validity in found] == slips
    assert any(slips)


TERSE = (
    "next case1 p1 Hal=knight p2 Bob=knight next #1 knave(Bob) Bob=knight false next #2 says(Hal) false Hal=knight bad"
)


def test_each_sentence_is_judged() -> None:
    puzzle = make_puzzle(("Hal", "Bob"), [(LIAR, 1), (AND, (LIAR, 0), (LIAR, 1))])
    judged = judge(f"{TERSE} next wait next recheck case1 p1 Hal=knight p2 Bob=knight next banana", puzzle)
    assert [judgement.label for judgement in judged] == ["valid", "valid", "valid", None, "valid", "unparsed"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("next #1 knave(Bob) Bob=knight false", ["invalid"]),
        ("next case2 p1 Hal=knight p2 Bob=knight", ["invalid"]),
        ("next case1 p1 Hal=knight next #1 knave(Bob) Bob=knight false", ["invalid", "invalid"]),
        ("next case1 p1 Hal=knight p2 Bob=knight next #1 knave(Hal) Bob=knight false", ["valid", "invalid"]),
        ("so Hal=knight Bob=knave", ["invalid"]),
        ("next banana so Hal=knight Bob=knave", ["unparsed", "unparsed"]),
        ("next banana so Hal=knave Bob=knave", ["unparsed", "invalid"]),
    ],
    ids=[
        "a check in no case",
        "a wrong number",
        "a role is missing",
        "a wrong citation",
        "a guess",
        "a right answer after what could not be read",
        "a wrong one",
    ],
)
def test_what_does_not_hold_or_was_not_shown_is_not_valid(text: str, expected: list[str]) -> None:
    puzzle = make_puzzle(("Hal", "Bob"), [(LIAR, 1), (AND, (LIAR, 0), (LIAR, 1))])
    assert [judgement.label for judgement in judge(text, puzzle)] == expected


@pytest.mark.parametrize("text", ["", " ", "\n\n", "next", "so", "#", "next case1", "next #1", "Suppose", "so Hal="])
def test_scraps_are_judged_without_complaint(text: str) -> None:
    puzzle = make_puzzle(("Hal", "Bob"), [(LIAR, 1), (AND, (LIAR, 0), (LIAR, 1))])
    assert step_validity(text, puzzle).valid == 0


def test_a_terse_case_that_was_not_checked_shows_nothing() -> None:
    puzzle, text = chain(5, 3, Noise())
    opening, _, checks = text[text.rindex("next case", 0, text.index("next solved")) :].partition(" next ")
    solved = text[text.index("next solved") :]
    assert step_validity(f"{opening} next {checks}", puzzle).invalid == 0
    assert step_validity(f"{opening} {solved}", puzzle).invalid == 2


DOMAIN = KnightsKnaves(name="kk", people=2, phrasing="terse")
FORM = ResponseFormat()


def test_english_thinking_is_not_judged() -> None:
    domain = KnightsKnaves(name="kk", people=2)
    problem = domain.take("train", 0, 1)[0]
    said = FORM.render(thinking="So everyone is a knight.", answer=problem.gold)
    assert domain.score(said, problem, FORM).steps is None


def test_a_score_carries_the_steps_and_comes_back_from_json() -> None:
    problem = DOMAIN.take("train", 0, 1)[0]
    thinking = "next case1 p1 Hal=knight p2 Bob=knight"
    score = DOMAIN.score(FORM.render(thinking=thinking, answer=problem.gold), problem, FORM)
    assert score.steps is not None
    trace = Trace(problem.id, "kk", DOMAIN.prompt(problem), thinking, problem.gold, score, "test")
    row = json.loads(json.dumps(to_json(trace)))
    assert trace_from_json(row) == trace
    row["score"]["steps"]["leaps"] = 2
    assert trace_from_json(row) == trace, "rows written when leaps were counted"
    del row["score"]["steps"]
    assert trace_from_json(row).score.steps is None, "rows written before there were steps"


def test_thinking_that_never_ends_is_judged_too() -> None:
    problem = DOMAIN.take("train", 0, 1)[0]
    score = DOMAIN.score("next banana next #1", problem, FORM)
    assert score.verdict == "none" and score.steps == Validity(valid=0, invalid=0, unparsed=2)
