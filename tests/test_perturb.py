"""The published perturbations: each changes one respect, the solution is checked, pairs are kept."""

import itertools
import json
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.test_knights import NAMES, puzzles
from warmup_rl.__main__ import main
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.interfaces.domain import split_of
from warmup_rl.knights import english
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.english import Quiz, draw_quiz, render_quiz
from warmup_rl.knights.grammar import Grammar, Puzzle, Roles, draw_puzzle, make_puzzle
from warmup_rl.knights.parse_quiz import parse_quiz
from warmup_rl.knights.perturb import CHANGES_ANSWER, PERTURBATIONS, UNCOMMON_NAMES, grammar_of, perturb
from warmup_rl.knights.solver import solutions
from warmup_rl.knights.statements import evaluate, is_leaf
from warmup_rl.knights.text import from_meta


def leaves(statement):
    return [statement] if is_leaf(statement) else [leaf for part in statement[1:] for leaf in leaves(part)]


def shape(statement):
    return "leaf" if is_leaf(statement) else (statement[0], *map(shape, statement[1:]))


def differing(one, other):
    return [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]]


@settings(max_examples=80)
@given(puzzles, st.integers(0, 10**6), st.sampled_from(PERTURBATIONS))
def test_a_variant_is_a_puzzle_that_differs_in_that_respect_alone(puzzle, seed, kind):
    quiz = draw_quiz(puzzle, random.Random(seed))
    variant = perturb(quiz, kind, random.Random(seed))
    if variant is None:
        assert kind in CHANGES_ANSWER
        return
    new = variant.puzzle
    assert solutions(new.statements) == [new.solution]
    assert (new.solution != puzzle.solution) == (kind in CHANGES_ANSWER)
    assert (new.statements != puzzle.statements) == (kind in CHANGES_ANSWER)
    assert (new.names != puzzle.names) == (kind == "names")
    assert (new.roles != puzzle.roles) == (kind in ("roles", "flipped"))
    assert (variant.speeches != quiz.speeches) == (kind == "reordered")
    assert parse_quiz(render_quiz(variant)) == variant, "the text tells the variant"
    assert perturb(quiz, kind, random.Random(seed)) == variant


@settings(max_examples=60)
@given(puzzles, st.integers(0, 10**6))
def test_a_leaf_variant_exchanges_one_leaf(puzzle, seed):
    variant = perturb(draw_quiz(puzzle, random.Random(seed)), "leaf", random.Random(seed))
    if variant:
        ((old, new),) = differing(puzzle.statements, variant.puzzle.statements)
        assert shape(old) == shape(new)
        assert len(differing(leaves(old), leaves(new))) == 1


def another_answer_is_one_statement_away(puzzle):
    def contradicting(roles):
        return sum(evaluate(said, roles) != honest for said, honest in zip(puzzle.statements, roles, strict=True))

    assignments = itertools.product((True, False), repeat=puzzle.people)
    return any(roles != puzzle.solution and contradicting(roles) <= 1 for roles in assignments)


NO_OTHER_STATEMENT = draw_puzzle(random.Random(0), 2, Grammar(3, 2, 0.3), NAMES, english.ROLES)
RARE_STATEMENT = make_puzzle(
    ("Kim", "Joanna", "Jo", "Eve", "Bob"),
    (
        ("not", ("telling-truth", 2)),
        ("->", ("telling-truth", 1), ("lying", 0)),
        ("lying", 3),
        ("lying", 4),
        ("not", ("telling-truth", 0)),
    ),
)


@settings(max_examples=60)
@example(NO_OTHER_STATEMENT, 0)
@example(RARE_STATEMENT, 0)
@given(puzzles, st.integers(0, 10**6))
def test_a_statement_variant_changes_what_one_person_says_within_the_grammar(puzzle, seed):
    variant = perturb(draw_quiz(puzzle, random.Random(seed)), "statement", random.Random(seed))
    assert (variant is not None) == another_answer_is_one_statement_away(puzzle)
    if variant is None:
        return
    assert len(differing(puzzle.statements, variant.puzzle.statements)) == 1
    largest, new = grammar_of(puzzle), grammar_of(variant.puzzle)
    assert new.depth <= largest.depth
    assert new.width <= largest.width


def test_flipped_swaps_the_words_and_names_are_uncommon():
    puzzle = make_puzzle(["Hal", "Bob"], (("lying", 1), ("and", ("telling-truth", 0), ("telling-truth", 1))))
    quiz = Quiz(puzzle, ((0, '{name} said, "{what}."'), (1, "{name} said that {what}.")))
    flipped = perturb(quiz, "flipped", random.Random(0))
    assert flipped.puzzle.roles == Roles("knave", "knight")
    assert "Knaves always tell the truth, and knights always lie." in render_quiz(flipped)
    assert 'Hal said, "Bob is a knight."' in render_quiz(flipped)
    named = perturb(quiz, "names", random.Random(0))
    assert set(named.puzzle.names) <= set(UNCOMMON_NAMES)
    assert perturb(quiz, "names", random.Random(0), names=("Hal", "Bob", "Cy")) is None


def test_a_variant_is_one_that_may_be():
    quiz = draw_quiz(draw_puzzle(random.Random(0), 4, Grammar(), UNCOMMON_NAMES), random.Random(0))
    assert perturb(quiz, "leaf", random.Random(0), accept=lambda found: False) is None
    every = {perturb(quiz, "leaf", random.Random(seed)).puzzle.statements for seed in range(50)}
    for statements in every:
        only = perturb(quiz, "leaf", random.Random(0), accept=lambda found, s=statements: found.statements == s)
        assert only.puzzle.statements == statements


@pytest.mark.parametrize("kind", PERTURBATIONS)
@pytest.mark.parametrize("settings", [{"people": (3, 4)}, {"people": (3, 5), "depth": 3, "width": 3, "roles": "all"}])
def test_variants_of_the_domain_pair_with_their_originals(kind, settings):
    plain, perturbed = KnightsKnaves(**settings), KnightsKnaves(**settings, perturb=kind)
    for split in ("train", "test"):
        originals = {problem.id: problem for problem in plain.take(split, 0, 120)}
        variants = perturbed.take(split, 0, 25)
        assert len({variant.id for variant in variants}) == 25
        for variant in variants:
            original = originals[variant.meta["original"]]
            assert variant.meta["perturbation"] == kind
            assert perturbed.grade(variant.gold, variant).verdict == "correct"
            assert (original.meta["solution"] == variant.meta["solution"]) == (kind not in CHANGES_ANSWER)
            assert split_of(canonical_key(from_meta(variant.meta)[0].statements)) == split


@pytest.mark.parametrize("kind", ["statement", "leaf", "names"])
def test_terse_puzzles_have_variants_too(kind):
    domain = KnightsKnaves(people=3, phrasing="terse", perturb=kind)
    for problem in domain.take("train", 0, 10):
        assert problem.question.startswith("kk :")
        assert domain.grade(problem.gold, problem).verdict == "correct"


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_variants_of_a_file_keep_index_split_and_the_way_of_telling(tmp_path, capsys, kind):
    source, out = tmp_path / "kk.jsonl", tmp_path / "varied.jsonl"
    assert main(["puzzles", "--people", "3-5", "--size", "40", "--out", str(source)]) == 0
    assert main(["puzzles", "--in", str(source), "--perturb", kind, "--out", str(out)]) == 0
    originals = {row["index"]: row for row in map(json.loads, source.read_text().splitlines())}
    variants = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(variants) > 25
    for row in variants:
        original = originals[row["index"]]
        assert (row["original"], row["split"], row["perturbation"]) == (original["id"], original["split"], kind)
        old, new = parse_quiz(original["quiz"]), parse_quiz(row["quiz"])
        assert sorted(old.speeches) == sorted(new.speeches), "the same ways of speaking"
        assert (old.speeches == new.speeches) == (kind != "reordered")
    capsys.readouterr()
    assert main(["puzzles", "--check", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["disagree"] == []


def test_the_grammar_of_a_puzzle_is_the_least_that_makes_it():
    both = ("and", ("telling-truth", 0), ("lying", 1), ("not", ("telling-truth", 1)))
    assert grammar_of(Puzzle(("Hal", "Bob"), (("lying", 1), both), (True, False))) == Grammar(3, 3)
