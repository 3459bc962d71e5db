"""Step validity: the solver's chains are wholly valid, changed ones are not; counts and scores."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmup_rl.base.types import Trace, Validity, to_json, trace_from_json
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.knights import terse
from warmup_rl.knights.chain import terse_chain
from warmup_rl.knights.claims import read_claims
from warmup_rl.knights.english import NAMES, ROLES
from warmup_rl.knights.grammar import Grammar, Puzzle, draw_puzzle, make_puzzle
from warmup_rl.knights.reasoning import Noise, think
from warmup_rl.knights.statements import AND, LIAR, OR, TRUTHFUL, statement_from_json
from warmup_rl.knights.story import tell
from warmup_rl.knights.validity import judge, step_validity

DATA = Path(__file__).parents[2] / "shared" / "data"
NOISY = Noise(recheck=0.2, hesitate=0.5, second_method=0.5, abandon=0.2)
SIZES = [(people, "search") for people in range(2, 9)] + [(people, "cases") for people in range(2, 6)]
SWAPPED = {"true": "false", "false": "true", "ok": "bad", "bad": "ok", "knight": "knave", "knave": "knight",
           "and": "or", "or": "and", "implies": "iff", "iff": "implies"}  # fmt: skip
PUZZLE = make_puzzle(
    ("Zoey", "Oliver", "Ethan"),
    [(LIAR, 1), (AND, (TRUTHFUL, 0), (LIAR, 2)), (OR, (LIAR, 1), (TRUTHFUL, 0))],
)


def story(seed: int, people: int, method: str = "search") -> tuple[Puzzle, str]:
    rng = random.Random(seed)
    puzzle = draw_puzzle(rng, people, Grammar(width=3, deeper=0.3), NAMES, ROLES)
    return puzzle, tell(puzzle, think(puzzle, rng, method=method, noise=NOISY), rng, hesitate=0.5)  # type: ignore[arg-type]


def chain(seed: int, people: int, noise: Noise = NOISY) -> tuple[Puzzle, str]:
    rng = random.Random(seed)
    puzzle = draw_puzzle(rng, people, Grammar(width=3, deeper=0.3), terse.NAMES)
    return puzzle, " ".join(terse_chain(puzzle, rng, noise))


def labels(text: str, puzzle: Puzzle = PUZZLE) -> list[str]:
    return [judgement.label or "-" for judgement in judge(read_claims(text, puzzle), puzzle)]


def swapped(text: str, words: str, rng: random.Random, swap: dict[str, str]) -> tuple[int, str]:
    """The text with one of the words turned into its opposite, and where."""
    found = rng.choice(list(re.finditer(rf"(?<![\w])(?:{words})(?!\w)", text)))
    return found.start(), text[: found.start()] + swap[found[0]] + text[found.end() :]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(SIZES))
def test_every_step_of_the_solvers_prose_is_valid(seed: int, kind: tuple[int, str]) -> None:
    puzzle, text = story(seed, *kind)
    found = step_validity(text, puzzle)
    assert (found.invalid, found.unparsed, found.leaps, found.first_invalid) == (0, 0, 0, None)
    assert found.valid > 2 * puzzle.people


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.integers(2, 6))
def test_every_step_of_a_terse_chain_is_valid(seed: int, people: int) -> None:
    puzzle, text = chain(seed, people)
    found = step_validity(text, puzzle)
    assert (found.invalid, found.unparsed, found.leaps) == (0, 0, 0)
    assert found.valid > 2 * puzzle.people


def test_the_published_chains_are_valid() -> None:
    path = DATA / "kk_logicrl_4ppl_train.parquet"
    if not path.is_file():
        pytest.skip("the published puzzles are not here")
    pytest.importorskip("pyarrow")
    import ast

    from pyarrow.parquet import read_table

    claimed = 0
    for row in read_table(path).to_pylist()[:150]:
        statements = [statement_from_json(value, 4) for value in ast.literal_eval(row["statements"])]
        found = step_validity(" ".join([row["cot_head"], *row["cot_repeat_steps"], row["cot_foot"]]),
                              make_puzzle(row["names"], statements))  # fmt: skip
        assert (found.invalid, found.unparsed) == (0, 0)
        claimed += found.valid
    assert claimed > 150


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(2, 5), st.sampled_from([
    "true|false", "ok|bad", "and|or|implies|iff", r"(?<==)knight|(?<==)knave",
]))  # fmt: skip
def test_a_changed_word_of_a_terse_chain_is_found_where_it_stands(seed: int, people: int, words: str) -> None:
    puzzle, text = chain(seed, people)
    if not re.search(rf"(?<!\w)(?:{words})(?!\w)", text):
        return
    at, changed = swapped(text, words, random.Random(seed), SWAPPED)
    read = read_claims(changed, puzzle)
    place = next(index for index, claim in enumerate(read) if claim.start <= at < claim.end)
    assert judge(read, puzzle)[place].label == "not entailed"


def test_nearly_all_changed_words_of_prose_are_found() -> None:
    """Outside quotations; what is missed holds all the same, since much follows within a contradiction."""
    caught, changes = {"role": 0, "truth": 0}, 150
    for seed in range(changes):
        puzzle, text = story(seed, 2 + seed % 6)
        roles, read = puzzle.roles, read_claims(text, puzzle)
        swap = {"true": "false", "false": "true", roles.truthful: roles.liar, roles.liar: roles.truthful}
        for kind, words in (("truth", "true|false"), ("role", f"{roles.truthful}|{roles.liar}")):
            rng, claimed = random.Random(seed), False
            while not claimed:
                at, changed = swapped(text, words, rng, swap)
                where = next(claim for claim in read if claim.start <= at < claim.end)
                claimed = where.kind not in ("assume", "talk") and not text[:at].count('"') % 2
            caught[kind] += step_validity(changed, puzzle).invalid > 0
    assert caught["truth"] >= 0.98 * changes
    assert caught["role"] >= 0.97 * changes


def test_a_slip_that_is_put_right_is_one_invalid_step() -> None:
    found = [step_validity(text, puzzle) for puzzle, text in (chain(seed, 3, Noise(slip=0.2)) for seed in range(30))]
    slips = [text.count("next wait") for _, text in (chain(seed, 3, Noise(slip=0.2)) for seed in range(30))]
    assert [validity.invalid for validity in found] == slips
    assert any(slips)


SUPPOSED = "Suppose Zoey is a knight."
REFUTED = "Suppose Zoey is a knave. Then Oliver is a knight. So Zoey is a knight. Contradiction."
STEPS = {
    "right deduction": (f"{SUPPOSED} Then her statement is true, so Oliver must be a knave.", "- entailed"),
    "wrong deduction": (f"{SUPPOSED} So Oliver must be a knight.", "- not"),
    "pronoun": (f"{SUPPOSED} So he must be a knave.", "- unparsed"),
    "from nothing, and false": ("Ethan is a knave.", "not"),
    "built on what was wrong": (f"{SUPPOSED} So Ethan is a knave. Hence Oliver's statement is true.", "- not not"),
    "contradiction found": (
        "Suppose Oliver is a knight. Then Zoey is a knight. But Zoey says Oliver is a knave, which would be false. "
        "That's a contradiction. So Oliver is a knave.",
        "- entailed entailed entailed entailed",
    ),
    "contradiction made up": (f"{SUPPOSED} That's a contradiction. So Zoey is a knave.", "- not not"),
    "wrong within a contradiction": ("Suppose Oliver is a knight. Then Ethan is a knight.", "- not"),
    "out of a refuted branch": (
        f"{REFUTED} So Zoey is a knight. Oliver is a knight.", "- entailed entailed entailed entailed not",
    ),
    "the condition concluded": ("If Oliver is a knight, then Zoey is a knight. So Oliver is a knight.", "entailed not"),
    "misquoted": ('Zoey says "Oliver is a knight".', "not"),
    "right condition": ("If Zoey is a knave, then Oliver is a knight.", "entailed"),
    "wrong condition": ("If Oliver is a knight, then Ethan is a knight.", "not"),
    "guess": ("So the answer is: Zoey is a knight, Oliver is a knave and Ethan is a knight.", "not"),
    "right answer": (
        f"{SUPPOSED} Oliver is a knave. So Ethan is a knight. So the answer is: Zoey is a knight, Oliver is a knave "
        "and Ethan is a knight.",
        "- entailed entailed entailed",
    ),
    "wrong answer": (
        f"{SUPPOSED} Oliver is a knave. So the answer is: Zoey is a knight, Oliver is a knave and Ethan is a knave.",
        "- entailed not",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), STEPS.values(), ids=STEPS)
def test_single_steps_are_judged_as_a_person_would(text: str, expected: str) -> None:
    assert labels(text) == [{"not": "not entailed"}.get(word, word) for word in expected.split()]


def test_an_answer_after_what_could_not_be_read_is_a_leap() -> None:
    found = step_validity("So she lies. Zoey is a knight, Oliver is a knave and Ethan is a knight.", PUZZLE)
    assert found == Validity(valid=1, invalid=0, unparsed=1, leaps=1)


def test_a_terse_case_that_was_not_checked_shows_nothing() -> None:
    puzzle, text = chain(5, 3, Noise())
    opening, _, checks = text[text.rindex("next case", 0, text.index("next solved")) :].partition(" next ")
    solved = text[text.index("next solved") :]
    assert step_validity(f"{opening} next {checks}", puzzle).invalid == 0
    assert step_validity(f"{opening} {solved}", puzzle).invalid == 2


def test_the_first_invalid_step_is_told_by_its_place() -> None:
    text = "Suppose Zoey is a knight. So Oliver is a knight. So Ethan is a knave."
    assert step_validity(text, PUZZLE).first_invalid == len("Suppose Zoey is a knight.")


def test_the_judgement_is_as_good_with_sixteen_people() -> None:
    puzzle, text = story(3, 12)
    assert step_validity(text, puzzle).invalid == 0


DOMAIN = KnightsKnaves(name="kk", people=2, phrasing="terse")
FORM = ResponseFormat()


def test_a_score_carries_the_steps_and_comes_back_from_json() -> None:
    problem = DOMAIN.take("train", 0, 1)[0]
    thinking = "next case1 p1 Hal=knight p2 Bob=knight"
    score = DOMAIN.score(FORM.render(thinking=thinking, answer=problem.gold), problem, FORM)
    assert score.steps is not None
    trace = Trace(problem.id, "kk", DOMAIN.prompt(problem), thinking, problem.gold, score, "test")
    row = json.loads(json.dumps(to_json(trace)))
    assert trace_from_json(row) == trace
    del row["score"]["steps"]
    assert trace_from_json(row).score.steps is None, "rows written before there were steps"


def test_thinking_that_never_ends_is_judged_too() -> None:
    problem = DOMAIN.take("train", 0, 1)[0]
    score = DOMAIN.score("next banana next #1", problem, FORM)
    assert score.verdict == "none" and score.steps == Validity(valid=0, invalid=0, unparsed=2)


SOUND = [
    "Let me assume Ava is a knight. Then Ben is a knave, so Ben's statement is false and Cal is a knight. But then "
    "Cal's claim that Ava is a knave must be true, which contradicts our assumption. So Ava must be a knave.",
    "Suppose Cal is a knight. Then both Ava and Ben are knaves, which contradicts what Ava says, that Ben is a knave.",
    "Suppose Cal is a knight. Then Ava and Ben are both knaves. But if Ava is a knave, then Ben is a knight. "
    "Contradiction. So Cal is a knave.",
    "Ava: Ben is a knave.\nBen: Cal is a knave.\n\nCould Cal be a knight? Then Ava is a knave and Ben is a knave.",
]


@pytest.mark.parametrize("thinking", SOUND)
def test_sound_arguments_in_a_models_own_words_hold_no_invalid_step(thinking: str) -> None:
    statements = [("lying", 1), ("lying", 2), ("and", ("lying", 0), ("lying", 1))]
    found = step_validity(thinking, make_puzzle(["Ava", "Ben", "Cal"], statements))
    assert found.invalid == 0 and found.valid > 0
