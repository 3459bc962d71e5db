"""Knights & Knaves without the rest of the package: solver, generator, canonical key, texts, chains of thought."""

import ast
import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmup_rl.base.errors import DataError, SpaceError
from warmup_rl.knights import english, solver, terse
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.chain import terse_chain
from warmup_rl.knights.grammar import Grammar, Puzzle, Roles, draw_puzzle, make_puzzle
from warmup_rl.knights.parse_quiz import parse_english
from warmup_rl.knights.reasoning import Noise, think, truth_of
from warmup_rl.knights.solver import assignment, assignment_index, solutions
from warmup_rl.knights.space import count_statements, estimate_space
from warmup_rl.knights.statements import COMMUTATIVE, evaluate, is_leaf, relabel, statement_from_json
from warmup_rl.knights.story import tell
from warmup_rl.knights.text import from_meta, to_meta

PUBLISHED = sorted((Path(__file__).parents[2] / "shared" / "data").glob("kk_logicrl_*.parquet"))
NAMES = terse.NAMES + ("Jo", "Joanna")


def statements_about(people):
    leaves = st.tuples(st.sampled_from(("telling-truth", "lying")), st.integers(0, people - 1))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(st.just("not"), inner),
            st.tuples(st.sampled_from(("->", "<=>")), inner, inner),
            st.tuples(st.sampled_from(("and", "or")), st.lists(inner, min_size=2, max_size=4)).map(
                lambda pair: (pair[0], *pair[1])
            ),
        ),
        max_leaves=5,
    )


islands = st.integers(1, 6).flatmap(lambda n: st.lists(statements_about(n), min_size=n, max_size=n))
small_islands = islands.filter(lambda island: len(island) < 5)
puzzles = st.builds(
    lambda seed, people, depth, width, deeper: draw_puzzle(
        random.Random(seed), people, Grammar(depth, width, deeper), NAMES, english.ROLES
    ),
    st.integers(0, 10**6),
    st.integers(2, 7),
    st.integers(2, 3),
    st.integers(2, 4),
    st.sampled_from((0.0, 0.3)),
)
knight_puzzles = puzzles.map(lambda p: Puzzle(p.names, p.statements, p.solution))


def by_brute_force(statements):
    people = len(statements)
    return {
        roles
        for roles in itertools.product((True, False), repeat=people)
        if all(evaluate(said, roles) == honest for said, honest in zip(statements, roles, strict=True))
    }


def swap_operands(rng, statement):
    if is_leaf(statement):
        return statement
    parts = [swap_operands(rng, part) for part in statement[1:]]
    if statement[0] in COMMUTATIVE:
        rng.shuffle(parts)
    return (statement[0], *parts)


def renumbered(rng, statements):
    order = list(range(len(statements)))
    rng.shuffle(order)
    moved = [None] * len(statements)
    for person, statement in enumerate(statements):
        moved[order[person]] = swap_operands(rng, relabel(statement, order))
    return tuple(moved)


def key_by_brute_force(statements):
    def tidy(statement):
        if is_leaf(statement):
            return repr(statement)
        parts = [tidy(part) for part in statement[1:]]
        return f"{statement[0]}{sorted(parts) if statement[0] in COMMUTATIVE else parts}"

    keys = []
    for order in itertools.permutations(range(len(statements))):
        moved = [None] * len(statements)
        for person, statement in enumerate(statements):
            moved[order[person]] = tidy(relabel(statement, order))
        keys.append(moved)
    return min(keys)


@given(islands)
def test_solver_finds_exactly_what_trying_everything_finds(statements):
    found = solutions(statements)
    assert len(found) == len(set(found))
    assert set(found) == by_brute_force(statements)


@given(st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 2**n - 1))))
def test_assignments_are_numbered_both_ways(case):
    people, index = case
    assert assignment_index(assignment(index, people)) == index


@given(puzzles)
def test_generated_puzzles_have_exactly_one_solution(puzzle):
    assert by_brute_force(puzzle.statements) == {puzzle.solution}


def test_nobody_calls_himself_a_liar_outright():
    rng = random.Random(0)
    for _ in range(300):
        statements = draw_puzzle(rng, 3, Grammar(), NAMES).statements
        assert all(statement != ("lying", speaker) for speaker, statement in enumerate(statements))


@pytest.mark.parametrize(
    ("people", "grammar", "names"),
    [(1, Grammar(), NAMES), (0, Grammar(), NAMES), (3, Grammar(depth=1), NAMES), (3, Grammar(), ("Hal", "Bob"))],
    ids=["one person", "nobody", "no operator: solutions come in pairs", "too few names"],
)
def test_impossible_settings_end_with_a_clear_error(people, grammar, names):
    with pytest.raises(SpaceError, match="people"):
        draw_puzzle(random.Random(0), people, grammar, names)


@given(puzzles, st.integers(0, 10**6))
def test_key_is_shared_by_renamed_reordered_and_swapped_puzzles(puzzle, seed):
    assert canonical_key(renumbered(random.Random(seed), puzzle.statements)) == canonical_key(puzzle.statements)


@given(small_islands, small_islands, st.integers(0, 99))
def test_key_agrees_with_trying_all_numberings(one, other, seed):
    pairs = [(one, other), (one, renumbered(random.Random(seed), one))]
    for left, right in pairs:
        same = len(left) == len(right) and key_by_brute_force(left) == key_by_brute_force(right)
        assert (canonical_key(left) == canonical_key(right)) == same


def test_key_tells_apart_all_small_puzzles_that_differ():
    leaves = [(kind, person) for kind in ("telling-truth", "lying") for person in range(2)]
    said = [*leaves, *(("not", leaf) for leaf in leaves)]
    said += [(op, *pair) for op in ("and", "->", "<=>") for pair in itertools.permutations(leaves, 2)]
    islands = list(itertools.product(said, repeat=2))
    assert len({canonical_key(island) for island in islands}) == len({str(key_by_brute_force(i)) for i in islands})


@pytest.mark.parametrize(
    "statements",
    [
        [("lying", (person + 1) % 9) for person in range(9)],
        [("telling-truth", 0)] * 12,
        [("<=>", ("lying", person ^ 1), ("telling-truth", person)) for person in range(8)],
    ],
    ids=["a ring", "all say the same", "pairs"],
)
def test_key_of_symmetric_islands_is_found_in_time(statements):
    assert canonical_key(renumbered(random.Random(1), statements)) == canonical_key(statements)


@given(knight_puzzles)
def test_terse_text_reads_back_as_the_same_puzzle(puzzle):
    assert terse.parse_terse(terse.render_terse(puzzle)) == puzzle


@given(puzzles, st.integers(0, 10**6))
def test_english_text_reads_back_as_the_same_puzzle(puzzle, seed):
    assert parse_english(english.render_quiz(english.draw_quiz(puzzle, random.Random(seed)))) == puzzle


@given(puzzles)
def test_puzzle_survives_json_values(puzzle):
    assert from_meta(to_meta(puzzle, "english")) == (puzzle, "english")


@given(knight_puzzles, st.integers(0, 99))
def test_terse_words_all_stand_in_the_vocabulary(puzzle, seed):
    words = terse.terse_vocabulary(puzzle.people, terse.anchors(puzzle), NAMES, max_width=4)
    assert len(words) == len(set(words))
    chain = terse_chain(puzzle, random.Random(seed), Noise(0.5, 0.5))
    text = " ".join([terse.render_terse(puzzle), *chain, terse.answer_terse(puzzle)])
    assert set(text.split()) <= set(words)


def test_terse_example_of_the_documentation():
    statements = (("->", ("lying", 1), ("telling-truth", 0)), ("lying", 0))
    puzzle = make_puzzle(["Hal", "Bob"], statements)
    assert terse.render_terse(puzzle) == (
        "kk : p1 Hal p2 Bob . #1 knave(Bob) #2 knight(Hal) #3 implies #4 says(Hal) #5 knave(Hal) #6 says(Bob) who ?"
    )
    assert terse.case_sentences(puzzle, 1) == [
        "next case1 p1 Hal=knight p2 Bob=knight",
        "next #1 knave(Bob) Bob=knight false",
        "next #2 knight(Hal) Hal=knight true",
        "next #3 implies false true true",
        "next #4 says(Hal) true Hal=knight ok",
        "next #5 knave(Hal) Hal=knight false",
        "next #6 says(Bob) false Bob=knight bad",
    ]
    assert terse_chain(puzzle, random.Random(0))[-2:] == [
        "next solved case3 p1 Hal=knight p2 Bob=knave",
        "so Hal=knight Bob=knave",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "", "kk", "kk : p1 Hal . who ?", "kk : p1 Hal p2 Hal . #1 knight(Hal) #2 says(Hal) who ?",
        "kk : p1 Hal p2 Bob . #1 knave(Bob) #2 says(Hal) who ?", "kk : p1 Hal p2 Bob . #1 and #2 says(Hal) who ?",
        "kk : p1 Hal p3 Bob . #1 knave(Bob) #2 says(Hal) #3 knave(Hal) #4 says(Bob) who ?",
        "kk : p1 Hal p2 Bob . #1 knave(Zed) #2 says(Hal) #3 knave(Hal) #4 says(Bob) who ?",
        "kk : p1 Hal p2 Bob . #1 knave(Bob) #2 says(Hal) #3 knave(Hal) #4 says(Bob) who ?",
    ],
)  # fmt: skip
def test_broken_terse_text_is_refused(text):
    with pytest.raises(DataError):
        terse.parse_terse(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Bob is a knave", "Zed is a knave"),
        ("Bob is a knave", "Bob is a fool"),
        ("Bob is a knave", "Bob was a knave"),
        ("Hal said", "Somebody said"),
        ("Hal said", "Hal never said"),
        ("Hal said", "Hal and Bob said"),
        ("always lie", "sometimes lie"),
        ("So who is a knight", "So who is a hero"),
        ("Hal, and Bob", "Hal, Ann, and Bob"),
    ],
)
def test_broken_english_text_is_refused(old, new):
    text = (
        "A very special island is inhabited only by knights and knaves. Knights always tell the truth, and knaves "
        'always lie. You meet 2 inhabitants: Hal, and Bob. Hal said, "If Bob is a knave then Hal is a knight." '
        '"Hal is a knave" - Bob. '
        "So who is a knight and who is a knave?"
    )
    assert parse_english(text).solution == (True, False)
    with pytest.raises(DataError):
        parse_english(text.replace(old, new))


@pytest.mark.parametrize(
    "value",
    [[], "x", ["and", ["lying", 0]], ["lying", 2], ["lying", True], ["xor", ["lying", 0], ["lying", 1]], ["not"]],
)
def test_broken_statements_are_refused(value):
    with pytest.raises(DataError):
        statement_from_json(value, 2)


@pytest.mark.skipif(not PUBLISHED, reason="published puzzle files are not there")
def test_published_puzzles_are_solved_from_statements_and_from_text():
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = 0
    for path in PUBLISHED:
        for row in parquet.read_table(path, columns=["quiz", "names", "solution", "statements"]).to_pylist():
            statements = ast.literal_eval(row["statements"])
            assert solutions(statements) == [tuple(row["solution"])]
            assert parse_english(row["quiz"]) == make_puzzle(row["names"], statements)
            rows += 1
    assert rows == 4500


@pytest.mark.parametrize(("people", "depth", "width"), [(2, 2, 2), (2, 2, 3), (3, 2, 2)])
def test_statements_are_counted_exactly(people, depth, width):
    rng, seen = random.Random(0), set()

    def tidy(statement):
        parts = [part if is_leaf(statement) else tidy(part) for part in statement[1:]]
        return (statement[0], *(sorted(parts, key=repr) if statement[0] in COMMUTATIVE else parts))

    for _ in range(3000):
        seen.add(tidy(draw_puzzle(rng, people, Grammar(depth, width), NAMES).statements[0]))
    assert len(seen) <= count_statements(people, depth, width)
    assert len(seen) > 0.8 * count_statements(people, depth, width)


def test_space_estimate_is_near_the_puzzles_that_exist():
    rng = random.Random(0)
    exist = {canonical_key(draw_puzzle(rng, 2, Grammar(), NAMES).statements) for _ in range(5000)}
    assert abs(int(estimate_space(2, Grammar())) - len(exist)) < 0.25 * len(exist)


def check_terse_sentence(words, puzzle, roles):
    """One numbered sentence of a case, judged by evaluating the statement behind it."""
    value = {"true": True, "false": False}
    told = dict(zip((f"{name}={puzzle.roles.of(role)}" for name, role in roles.items()), roles, strict=True))
    word, *seen = words
    if word.startswith("says("):
        speaker = word[5:-1]
        truth = evaluate(puzzle.statements[puzzle.names.index(speaker)], list(roles.values()))
        assert value[seen[0]] == truth
        assert told[seen[1]] == speaker
        assert (seen[2] == "ok") == (truth == roles[speaker])
    elif "(" in word:
        name = word[:-1].partition("(")[2]
        assert told[seen[0]] == name
        assert value[seen[1]] == (roles[name] == word.startswith("knight"))
    else:
        *operands, result = (value[part] for part in seen)
        operator = {"implies": "->", "iff": "<=>"}.get(word, word.rstrip("0123456789"))
        facts = [("telling-truth", i) for i in range(len(operands))]
        assert result == evaluate((operator, *facts), operands)


@settings(max_examples=60)
@given(knight_puzzles.filter(lambda p: p.people < 6), st.integers(0, 99), st.sampled_from((0.0, 0.4)))
def test_every_sentence_of_a_terse_chain_is_true(puzzle, seed, noise):
    chain = terse_chain(puzzle, random.Random(seed), Noise(noise, noise))
    assert chain[-1] == f"so {terse.answer_terse(puzzle)}"
    assert all(sentence.split()[0] == "next" for sentence in chain[:-1])
    roles: dict[str, bool] = {}
    for sentence in chain[:-1]:
        words = [word for word in sentence.split()[1:] if word not in ("recheck", "wait", "solved")]
        if words and words[0].startswith("case"):
            honest = assignment(int(words[0][4:]) - 1, puzzle.people)
            roles = dict(zip(puzzle.names, honest, strict=True))
            expected = [f"p{i} {n}={puzzle.roles.of(r)}" for i, (n, r) in enumerate(roles.items(), start=1)]
            assert " ".join(words[1:]) == " ".join(expected)
        elif words:
            check_terse_sentence(words[1:], puzzle, roles)


@settings(max_examples=100)
@given(puzzles, st.integers(0, 99), st.sampled_from(("search", "cases")), st.sampled_from((0.0, 0.5)))
def test_every_step_of_the_search_is_entailed(puzzle, seed, method, noise):
    everything = by_brute_force(puzzle.statements)
    steps = think(puzzle, random.Random(seed), method=method, noise=Noise(noise, noise, noise))
    assert steps[0].kind == "restate"
    assert steps[-1].given == tuple(enumerate(puzzle.solution))
    assert {step.speaker for step in steps if step.kind == "verify"} == set(range(puzzle.people))
    for step in steps:
        left = [roles for roles in everything if all(roles[person] == honest for person, honest in step.hypotheses)]
        if step.kind == "contradiction":
            assert not left
        if step.reason == "settled":
            said = truth_of(puzzle.statements[step.speaker], dict(step.given))
            assert said == (step.truthful if step.kind == "infer" else not step.truthful)
        if step.reason == "follows":
            assert step.speaker in dict(step.given)
        if step.kind in ("infer", "backtrack"):
            assert all(roles[step.person] == step.truthful for roles in left)
        if step.kind in ("infer", "contradiction", "fits") and method == "search":
            assert all(roles[person] == honest for roles in left for person, honest in step.given)


@settings(max_examples=40)
@given(puzzles, st.integers(0, 99), st.sampled_from(("search", "cases")))
def test_noise_adds_to_a_story_and_nothing_else_changes(puzzle, seed, method):
    noisy = think(puzzle, random.Random(seed), method=method, noise=Noise(recheck=1.0))
    first = [step for step in noisy if not step.again]
    assert len(noisy) > len(first)
    assert first == think(puzzle, random.Random(seed), method=method)
    story = tell(puzzle, noisy, random.Random(seed), hesitate=0.5)
    assert all(name in story for name in puzzle.names)


def test_a_story_is_several_hundred_words_long_and_wordings_vary():
    statements = (("->", ("lying", 1), ("telling-truth", 0)), ("lying", 0))
    puzzle = make_puzzle(["Hal", "Bob"], statements, Roles("sage", "fool"))
    stories = set()
    for seed in range(20):
        rng = random.Random(seed)
        stories.add(tell(puzzle, think(puzzle, rng, noise=Noise(0.2, 0.5, 0.5)), rng, hesitate=0.5))
    assert len(stories) == 20
    assert all(100 < len(story.split()) < 1000 for story in stories)
    assert all("knight" not in story for story in stories)


def test_large_tables_are_not_kept():
    liar = ("lying", 0)
    assert solver.table(liar, 8) is solver.table(liar, 8)
    assert solver.table(liar, 16) is not solver.table(liar, 16), "it has 8 KB"
