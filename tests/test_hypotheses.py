"""Prose about a puzzle read for its segments: who is said to be what, what is assumed, where it meets an end."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmup_rl.dlcot.hypotheses import Note, take_notes
from warmup_rl.dlcot.judge_reply import sentences
from warmup_rl.dlcot.markers import lowered, move
from warmup_rl.dlcot.outline import Sentence
from warmup_rl.knights.english import NAMES, ROLES
from warmup_rl.knights.grammar import Grammar, Puzzle, Roles, draw_puzzle, make_puzzle
from warmup_rl.knights.reasoning import Noise, think
from warmup_rl.knights.statements import AND, LIAR, OR, TRUTHFUL
from warmup_rl.knights.story import tell

PUZZLE = make_puzzle(
    ("Zoey", "Oliver", "Ethan"),
    [(LIAR, 1), (AND, (TRUTHFUL, 0), (LIAR, 2)), (OR, (LIAR, 1), (TRUTHFUL, 0))],
)
PAIR = make_puzzle(("Hal", "Bob"), [(LIAR, 1), (AND, (LIAR, 0), (LIAR, 1))], Roles("angel", "devil"))
ZOEY, OLIVER, ETHAN = ((person, True) for person in range(3))
NOT_ZOEY, NOT_OLIVER, NOT_ETHAN = ((person, False) for person in range(3))


def notes(text: str, puzzle: Puzzle = PUZZLE) -> list[Note]:
    low, begins, said = lowered(text), True, []
    for span in sentences(text):
        said.append(Sentence(span.start, span.end, move(low, span.start, span.end), begins))
        begins = text[span.start : span.end].endswith("\n\n")
    read = take_notes(text, said, puzzle)
    assert len(read) == len(said)
    return read


CLAIMS = {
    "plain": ("Oliver is a knave.", [NOT_OLIVER]),
    "must": ("So Oliver must be a knave.", [NOT_OLIVER]),
    "denied": ("Oliver isn't a knight.", [NOT_OLIVER]),
    "cannot": ("So Zoey can't be a knave.", [ZOEY]),
    "could not": ("Ethan could not be a knave.", [ETHAN]),
    "equals": ("Zoey = knight", [ZOEY]),
    "colon": ("- **Oliver**: knave", [NOT_OLIVER]),
    "bracket": ("Oliver (knave) said so.", [NOT_OLIVER]),
    "two": ("Zoey and Ethan are knights.", [ZOEY, ETHAN]),
    "both": ("Zoey and Ethan are both knights.", [ZOEY, ETHAN]),
    "everybody": ("So everyone is a knight.", [ZOEY, OLIVER, ETHAN]),
    "premise": ("Since Zoey is a knight, Ethan must be a knight.", [ZOEY, ETHAN]),
    "pronoun beside": ("Then her statement is true, so Oliver must be a knave.", [NOT_OLIVER]),
    "quoted": ('Zoey says "Oliver is a knave", which is true.', []),
    "curly quotes": ("Zoey says “Oliver is a knave,” which is true.", []),
    "reported": ("Zoey says that Oliver is a knave, which must be false.", []),
    "listed": ("Zoey: Oliver is a knave.", []),
    "claim that": ("Then Oliver's statement that Zoey is a knave would be true.", []),
    "definition": ("- Z = Zoey is a knight", []),
    "either": ("Either Zoey is a knave or Oliver is a knave.", []),
    "if and only if": ("Zoey is a knight if and only if Oliver is a knave.", []),
    "neither": ("Neither Zoey nor Ethan is a knave.", []),
    "either role": ("Zoey is a knight or a knave.", []),
    "question": ("Is Oliver a knight?", []),
    "question of a role": ("So Oliver is a knight?", []),
    "maybe": ("Ethan could be a knave.", []),
    "whether": ("I need to find out whether Zoey is a knight.", []),
    "role alone": ("That makes two knights.", []),
    "stranger": ("So Harry is a knave.", []),
}


@pytest.mark.parametrize(("text", "claimed"), CLAIMS.values(), ids=CLAIMS)
def test_roles_count_where_they_are_told_plainly(text: str, claimed: list[tuple[int, bool]]) -> None:
    (note,) = notes(text)
    assert list(note.claimed) == claimed and not note.frames


@pytest.mark.parametrize("text", ["So she is a knave.", "They are all knights.", "He must be honest: he is a knight."])
def test_roles_of_somebody_unclear_are_noticed(text: str) -> None:
    (note,) = notes(text)
    assert note.unread and not note.claimed


ASSUMES = {
    "suppose": "Suppose Zoey is a knight.",
    "let's say": "Let's say Zoey is a knight, and see where it leads.",
    "hypothesis": "Try the hypothesis that Zoey is a knight.",
    "case": "**Case 1:** Zoey is a knight.",
    "case with if": "Case 1: If Zoey is a knight",
    "start by": "Let's start by assuming Zoey is a knight.",
    "another way": "Alternatively, let me try assuming Zoey is a knight.",
    "with what follows": "Assuming Zoey is a knight, Oliver must be a knave.",
}


@pytest.mark.parametrize("text", ASSUMES.values(), ids=ASSUMES)
def test_assumptions_are_read(text: str) -> None:
    (note,) = notes(text)
    assert note.opens == note.frames == ((ZOEY,),)


@pytest.mark.parametrize("end", ["That's a contradiction.", "This can't be.", "That is impossible.", "Contradiction!"])
def test_a_contradiction_ends_an_assumption_and_its_opposite_gives_it_up(end: str) -> None:
    supposed = "Suppose Zoey is a knave. Then Oliver is a knight."
    read = notes(f"{supposed} {end} So Zoey can't be a knave. Ethan is a knight.")
    assert [note.ended for note in read] == [False, False, True, False, False]
    assert [note.gives_up for note in read] == [False, False, False, True, False]
    assert [len(note.frames) for note in read] == [1, 1, 1, 0, 0]
    assert read[-1].known == {0: True, 2: True}


@pytest.mark.parametrize("text", ["There is no contradiction.", "This does not lead to any contradiction."])
def test_a_contradiction_that_is_denied_ends_nothing(text: str) -> None:
    assert not notes(f"Suppose Zoey is a knave. {text}")[-1].ended


def test_a_second_look_at_a_contradiction_stays_inside() -> None:
    read = notes("Suppose Zoey is a knave. Contradiction. Wait, let me double-check that. Oliver is a knight.")
    assert [len(note.frames) for note in read] == [1, 1, 1, 1]
    assert read[-1].roles == {0: False, 1: True} and read[-1].known == {}


def test_assumptions_nest_and_replace_each_other() -> None:
    read = notes(
        "Suppose Zoey is a knight. Suppose also that Oliver is a knave. Now suppose Oliver is a knight. "
        "Alternatively, suppose that Ethan is a knave. "
        "Suppose that Zoey is a knave, Oliver is a knave and Ethan is a knave."
    )
    assert [note.frames for note in read] == [
        ((ZOEY,),), ((ZOEY,), (NOT_OLIVER,)), ((ZOEY,), (OLIVER,)), ((NOT_ETHAN,),),
        ((NOT_ZOEY, NOT_OLIVER, NOT_ETHAN),),
    ]  # fmt: skip


def test_what_is_found_under_a_condition_is_not_known() -> None:
    text = "If Zoey is a knave, then Oliver is a knight. So Ethan is a knave.\n\nEthan is a knight."
    first, second, third = notes(text)
    assert first.frames == second.frames == ((NOT_ZOEY,),) and third.frames == ()
    assert second.roles == {0: False, 1: True, 2: False} and second.known == {} and third.known == {2: True}


def test_the_opposite_of_a_condition_settles_it() -> None:
    read = notes("If Zoey were a knave, her statement would fit neither role. So Zoey is a knight.")
    assert read[-1].frames == () and read[-1].known == {0: True}


def test_an_assumption_that_cannot_be_read_is_empty() -> None:
    read = notes("Suppose her statement is true. Then Zoey is a knight.")
    assert read[0].opens == ((),) and read[1].known == {}


def test_role_words_are_the_puzzles_own() -> None:
    assert notes("Both are devils.", PAIR)[0].claimed == ((0, False), (1, False))
    assert notes("Hal is an angel.", PAIR)[0].claimed == ((0, True),)
    assert notes("Hal is a knight.", PAIR)[0].claimed == ()


@given(st.integers(0, 10**9), st.integers(2, 8))
def test_the_solvers_assumptions_are_read_as_what_they_are(seed: int, people: int) -> None:
    rng = random.Random(seed)
    puzzle = draw_puzzle(rng, people, Grammar(width=3, deeper=0.3), NAMES, ROLES)
    steps = think(puzzle, rng, noise=Noise(recheck=0.2, second_method=0.5))
    read = notes(tell(puzzle, steps, rng, hesitate=0.5), puzzle)
    assumed = [step.hypotheses for step in steps if step.kind == "assume"]
    assert [tuple(fact for frame in note.opens for fact in frame) for note in read if note.opens] == assumed
    told = [(step.person, step.truthful) for step in steps if step.kind == "backtrack"]
    assert [note.claimed[0] for note in read if note.gives_up] == told
    assert read[-1].roles == dict(enumerate(puzzle.solution))


SCRAPS = ["", " ", "\n\n", "next", "so", "#", '"', "Suppose", "if if if", "next case1", "PPP", "Zoey is", "Zoey:" * 99]


@pytest.mark.parametrize("text", SCRAPS)
def test_scraps_are_read_without_complaint(text: str) -> None:
    assert not any(note.claimed for note in notes(text))


def test_names_of_any_kind_are_read() -> None:
    puzzle = make_puzzle(("Anna and Co", "O'Neil"), [(LIAR, 1), (AND, (LIAR, 0), (LIAR, 1))])
    assert notes("O'Neil is a knave, so Anna and Co must be a knight.", puzzle)[0].claimed[0] == (1, False)


ANY = """next so case1 #1 Zoey knight is a . if says " suppose not contradiction and or true Oliver""".split()


@given(st.lists(st.sampled_from([*ANY, "\n\n"]), max_size=30))
def test_any_words_in_any_order_are_read(words: list[str]) -> None:
    notes(" ".join(words))
