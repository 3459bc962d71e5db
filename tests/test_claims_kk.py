"""Thinking about a puzzle read as claims: free prose as models write it, the solver's own wording, terse chains."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmup_rl.knights.claims import Claim, read_claims
from warmup_rl.knights.english import NAMES, ROLES
from warmup_rl.knights.grammar import Grammar, Puzzle, Roles, draw_puzzle, make_puzzle
from warmup_rl.knights.reasoning import Noise, think
from warmup_rl.knights.statements import AND, IFF, IMPLIES, LIAR, NOT, OR, TRUTHFUL
from warmup_rl.knights.story import tell

PUZZLE = make_puzzle(
    ("Zoey", "Oliver", "Ethan"),
    [(LIAR, 1), (AND, (TRUTHFUL, 0), (LIAR, 2)), (OR, (LIAR, 1), (TRUTHFUL, 0))],
)
PAIR = make_puzzle(("Hal", "Bob"), [(LIAR, 1), (AND, (LIAR, 0), (LIAR, 1))], Roles("angel", "devil"))
ZOEY, OLIVER, ETHAN = ((TRUTHFUL, person) for person in range(3))
NOT_ZOEY, NOT_OLIVER, NOT_ETHAN = ((LIAR, person) for person in range(3))


def claims(text: str, puzzle: Puzzle = PUZZLE) -> list[Claim]:
    read = read_claims(text, puzzle)
    assert "".join(text[claim.start : claim.end] for claim in read) == text
    return [claim for claim in read if text[claim.start : claim.end].strip()]


def only(text: str, puzzle: Puzzle = PUZZLE) -> Claim:
    (claim,) = claims(text, puzzle)
    return claim


SAYS = {
    "plain": ("Oliver is a knave.", [NOT_OLIVER]),
    "must": ("So Oliver must be a knave.", [NOT_OLIVER]),
    "denied": ("Oliver isn't a knight.", [NOT_OLIVER]),
    "cannot": ("So Zoey can't be a knave.", [ZOEY]),
    "could not": ("Ethan could not be a knave.", [ETHAN]),
    "equals": ("Zoey = knight", [ZOEY]),
    "colon": ("- **Oliver**: knave", [NOT_OLIVER]),
    "lying": ("Then Oliver is lying.", [NOT_OLIVER]),
    "tells the truth": ("Ethan is telling the truth.", [ETHAN]),
    "two": ("Zoey and Ethan are knights.", [ZOEY, ETHAN]),
    "both": ("Zoey and Ethan are both knights.", [ZOEY, ETHAN]),
    "neither": ("Neither Zoey nor Ethan is a knave.", [ZOEY, ETHAN]),
    "either": ("Either Zoey is a knave or Oliver is a knave.", [(OR, NOT_ZOEY, NOT_OLIVER)]),
    "or": ("Zoey or Oliver is a knave.", [(OR, NOT_ZOEY, NOT_OLIVER)]),
    "at least one": ("At least one of Zoey and Oliver is a knight.", [(OR, ZOEY, OLIVER)]),
    "if and only if": ("Zoey is a knight if and only if Oliver is a knave.", [(IFF, ZOEY, NOT_OLIVER)]),
    "same": ("Zoey and Ethan are the same type.", [(IFF, ZOEY, ETHAN)]),
    "truth": ("Zoey's statement is true.", [NOT_OLIVER]),
    "lie": ("What Zoey says is false.", [(NOT, NOT_OLIVER)]),
    "quoted": ('Zoey says "Oliver is a knave", which is true.', [NOT_OLIVER]),
    "reported": ("Zoey says that Oliver is a knave, which must be false.", [(NOT, NOT_OLIVER)]),
    "curly quotes": ("Zoey says “Oliver is a knave,” which is true.", [NOT_OLIVER]),
    "pronoun beside": ("Then her statement is true, so Oliver must be a knave.", [NOT_OLIVER]),
    "since": ("Since Zoey is a knight, Ethan must be a knight.", [ZOEY, ETHAN]),
    "everybody": ("So everyone is a knight.", [ZOEY, OLIVER, ETHAN]),
}


@pytest.mark.parametrize(("text", "said"), SAYS.values(), ids=SAYS)
def test_what_is_said_plainly_is_read(text: str, said: list) -> None:
    assert [formula for formula, _ in only(text).said] == said


UNREAD = {
    "pronoun": "So she is a knave.",
    "they": "They are all knights.",
    "both of three": "So both are knights.",
    "not true that": "It is not true that Ethan is a knave.",
    "one of": "Exactly one of Zoey and Oliver is a knave.",
    "only if": "Zoey is a knight only if Ethan is a knave.",
    "his statement": "His statement is false.",
    "says he": "Oliver says that he is a knight.",
    "role alone": "That makes two knights.",
    "stranger": "So Harry is a knave.",
}


@pytest.mark.parametrize("text", UNREAD.values(), ids=UNREAD)
def test_what_is_not_plain_is_left_unparsed(text: str) -> None:
    claim = only(text)
    assert (claim.kind, claim.said) == ("unparsed", ())


TALK = {
    "question": "Is Oliver a knight?",
    "maybe": "Maybe Oliver is a knave.",
    "could": "Ethan could be a knave.",
    "whether": "I need to find out whether Zoey is a knight.",
    "who": "Let me see who is a knight and who is a knave.",
    "no claim": "Let me verify each statement.",
    "either role": "Zoey is a knight or a knave.",
    "no contradiction": "No contradiction is found in their claim that Oliver is a knave.",
}


@pytest.mark.parametrize("text", TALK.values(), ids=TALK)
def test_questions_and_possibilities_claim_nothing(text: str) -> None:
    assert only(text).kind == "talk"


ASSUMES = {
    "suppose": "Suppose Zoey is a knight.",
    "let's say": "Let's say Zoey is a knight, and see where it leads.",
    "hypothesis": "Try the hypothesis that Zoey is a knight.",
    "case": "**Case 1:** Zoey is a knight.",
    "start by": "Let's start by assuming Zoey is a knight.",
}


@pytest.mark.parametrize("text", ASSUMES.values(), ids=ASSUMES)
def test_assumptions_open_a_frame(text: str) -> None:
    claim = only(text)
    assert (claim.kind, claim.facts, claim.frames) == ("assume", ((0, True),), (((0, True),),))


def test_an_assumption_and_what_follows_from_it_are_two_claims() -> None:
    first, second = claims("Assuming Oliver is a knight, Zoey must be a knight.")
    assert (first.kind, second.kind, second.hypotheses) == ("assume", "assert", ((1, True),))
    assert [formula for formula, _ in second.said] == [ZOEY]


@pytest.mark.parametrize("end", ["That's a contradiction.", "This can't be.", "That is impossible.", "Contradiction!"])
def test_after_a_contradiction_the_assumption_is_gone(end: str) -> None:
    found = "Suppose Zoey is a knave. Then Oliver is a knight."
    read = claims(f"{found} {end} So Zoey can't be a knave. Ethan is a knight.")
    assert [claim.kind for claim in read] == ["assume", "assert", "contradiction", "backtrack", "assert"]
    assert [len(claim.frames) for claim in read] == [1, 1, 1, 0, 0]


def test_a_second_look_at_a_contradiction_stays_inside() -> None:
    found = "Suppose Zoey is a knave. Contradiction."
    read = claims(f"{found} Wait, let me double-check that. Oliver is a knight. So Zoey is a knight.")
    assert [(claim.kind, len(claim.frames)) for claim in read] == [
        ("assume", 1), ("contradiction", 1), ("talk", 1), ("assert", 1), ("assert", 1),
    ]  # fmt: skip


def test_assumptions_nest_and_replace_each_other() -> None:
    read = claims(
        "Suppose Zoey is a knight. Suppose also that Oliver is a knave. Now suppose Oliver is a knight. "
        "Suppose instead that Ethan is a knave. Suppose that Zoey is a knave, Oliver is a knave and Ethan is a knave."
    )
    assert [claim.hypotheses for claim in read] == [
        ((0, True),), ((0, True), (1, False)), ((0, True), (1, True)), ((2, False),),
        ((0, False), (1, False), (2, False)),
    ]  # fmt: skip


def test_a_condition_may_still_be_meant_until_the_paragraph_ends() -> None:
    text = "If Zoey is a knave, then Oliver is a knight. So Ethan is a knave.\n\nEthan is a knight."
    first, second, third = claims(text)
    assert first.hypotheses == ((0, False),) and not first.loose
    assert second.loose and second.hypotheses == ((0, False),)
    assert third.frames == ()


def test_a_condition_that_is_no_role_makes_an_implication() -> None:
    claim = only("If Oliver's statement is true, then Ethan is a knave.")
    assert [formula for formula, _ in claim.said] == [(IMPLIES, PUZZLE.statements[1], NOT_ETHAN)]


def test_a_wrong_quotation_is_noticed() -> None:
    assert only('Zoey says "Oliver is a knave".').cites is True
    assert only('Zoey says "Oliver is a knight".').cites is False
    assert only("Oliver says that Zoey is a knight.").cites is True, "one of two things that Oliver says"


def test_a_role_for_everybody_concludes() -> None:
    claim = only("So the answer is: Zoey is a knight, Oliver is a knave, and Ethan is a knight.")
    assert (claim.kind, dict(claim.facts)) == ("conclude", {0: True, 1: False, 2: True})


def test_role_words_are_the_puzzles_own() -> None:
    assert only("Both are devils.", PAIR).facts == ((0, False), (1, False))
    assert only("Hal is an angel.", PAIR).facts == ((0, True),)
    assert only("Hal is a knight.", PAIR).kind == "talk"


@given(st.integers(0, 10**9), st.integers(2, 8))
def test_every_step_of_the_solver_is_read_as_what_it_is(seed: int, people: int) -> None:
    rng = random.Random(seed)
    puzzle = draw_puzzle(rng, people, Grammar(width=3, deeper=0.3), NAMES, ROLES)
    steps = think(puzzle, rng, noise=Noise(recheck=0.2, second_method=0.5))
    read = claims(tell(puzzle, steps, rng, hesitate=0.5), puzzle)
    assert not [claim for claim in read if claim.kind == "unparsed"]
    for kind, others in (("assume", ("assume",)), ("backtrack", ("backtrack",)), ("conclude", ("solved", "conclude"))):
        told = [set(step.given or ((step.person, step.truthful),)) for step in steps if step.kind in others]
        found = [set(claim.facts) for claim in read if claim.kind == kind]
        assert found == told
    assumed = [step.hypotheses for step in steps if step.kind == "assume"]
    assert [claim.hypotheses for claim in read if claim.kind == "assume"] == assumed


TERSE = (
    "next case1 p1 Hal=knight p2 Bob=knight next #1 knave(Bob) Bob=knight false next #2 says(Hal) false Hal=knight bad"
)


def test_terse_sentences_are_claims() -> None:
    puzzle = make_puzzle(("Hal", "Bob"), PAIR.statements)
    read = claims(TERSE + " next wait next recheck case1 p1 Hal=knight p2 Bob=knight next banana", puzzle)
    assert [claim.kind for claim in read] == ["assume", "check", "contradiction", "talk", "assume", "unparsed"]
    assert read[1].frames == (((0, True), (1, True)),)
    assert [formula for formula, _ in read[1].said] == [(TRUTHFUL, 1), (NOT, (LIAR, 1))]


@pytest.mark.parametrize("text", ["", " ", "\n\n", "next", "so", "#", '"', "Suppose", "if if if", "next case1", "PPP"])
def test_scraps_are_read_without_complaint(text: str) -> None:
    assert all(not claim.said for claim in claims(text))


ANY = """next so case1 #1 Zoey knight is a . if says " suppose not contradiction and or true Oliver""".split()


@given(st.lists(st.sampled_from([*ANY, "\n\n"]), max_size=30))
def test_any_words_in_any_order_are_covered(words: list[str]) -> None:
    claims(" ".join(words))


@pytest.mark.parametrize(
    "said", ["both are knaves", "we are both knaves", '"Both of us are knaves"', "that both are knaves"]
)
def test_what_is_said_of_everybody_is_a_statement(said):
    puzzle = make_puzzle(["Zoey", "Riley"], [("lying", 1), ("and", ("lying", 0), ("lying", 1))])
    (claim,) = read_claims(f"Riley says {said}.", puzzle)
    assert (claim.kind, claim.cites) == ("restate", True)
    (wrong,) = read_claims(f"Zoey says {said}.", puzzle)
    assert wrong.cites is False
