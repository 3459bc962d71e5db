"""Files of puzzles: the command, the published columns, public wordings read and checked, the measure of difficulty."""

import gc
import json
import random
import re
from itertools import combinations, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_knights import PUBLISHED, puzzles, renumbered
from warmup_rl.__main__ import main
from warmup_rl.base.errors import DataError
from warmup_rl.data.datasets import Source
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.domains.kk_puzzles import Drawn
from warmup_rl.interfaces.domain import split_of
from warmup_rl.knights import english
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.difficulty import Difficulty, difficulty
from warmup_rl.knights.grammar import Grammar, Roles, draw_puzzle
from warmup_rl.knights.parse_quiz import parse_english, parse_quiz
from warmup_rl.knights.parse_statement import parse_statement
from warmup_rl.knights.published import assumption_chain, check_file, read_puzzles, to_rows
from warmup_rl.knights.space import all_keys

KNOWS = Roles("knight", "knave")
NAMES = ["Ann", "Bob", "Cy"]
T, L = "telling-truth", "lying"


def rows_of(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()


def make(tmp_path, *options, name="kk.jsonl"):
    """Exit code and rows of the file that the command wrote."""
    out = tmp_path / name
    code = main(["puzzles", "--out", str(out), *options])
    return code, rows_of(out) if out.exists() else None


# What is said


STATEMENTS = {
    "Bob is a knave": (L, 1),
    "Bob is an knave": (L, 1),
    "Bob is not a knight": ("not", (T, 1)),
    "Bob isn't a knight": ("not", (T, 1)),
    "I am a knight": (T, 0),
    "I'm not a knave": ("not", (L, 0)),
    "Bob is lying": (L, 1),
    "Bob always tells the truth": (T, 1),
    "Ann and Bob are knaves": ("and", (L, 0), (L, 1)),
    "Bob and I are both knights": ("and", (T, 1), (T, 0)),
    "both Bob and Cy are knights": ("and", (T, 1), (T, 2)),
    "Ann, Bob, and Cy are knights": ("and", (T, 0), (T, 1), (T, 2)),
    "Bob or Cy is a knave": ("or", (L, 1), (L, 2)),
    "either Bob or Cy is a knave": ("or", (L, 1), (L, 2)),
    "either Bob is a knave or Cy is a knight": ("or", (L, 1), (T, 2)),
    "neither Bob nor Cy is a knight": ("and", ("not", (T, 1)), ("not", (T, 2))),
    "neither Bob nor I are knaves": ("and", ("not", (L, 1)), ("not", (L, 0))),
    "at least one of us is a knave": ("or", (L, 0), (L, 1), (L, 2)),
    "all of us are knights": ("and", (T, 0), (T, 1), (T, 2)),
    "Bob and Cy are the same kind": ("<=>", (T, 1), (T, 2)),
    "Bob and Cy are different": ("<=>", (T, 1), (L, 2)),
    "Bob is a knight and Cy is a knave": ("and", (T, 1), (L, 2)),
    "Bob is a knight, and Cy is a knave": ("and", (T, 1), (L, 2)),
    "Bob is a knight but Cy is a knave": ("and", (T, 1), (L, 2)),
    "Bob is a knight and Cy is a knave or Ann is a knave": ("or", ("and", (T, 1), (L, 2)), (L, 0)),
    "If Bob is a knight then Cy is a knave": ("->", (T, 1), (L, 2)),
    "if Bob is a knight, then Cy is a knave": ("->", (T, 1), (L, 2)),
    "if Bob is a knight, Cy is a knave": ("->", (T, 1), (L, 2)),
    "Cy is a knave if Bob is a knight": ("->", (T, 1), (L, 2)),
    "Bob is a knight only if Cy is a knave": ("->", (T, 1), (L, 2)),
    "Bob is a knight if and only if Cy is a knave": ("<=>", (T, 1), (L, 2)),
    "Bob is a knight iff Cy is a knave": ("<=>", (T, 1), (L, 2)),
    "it is not the case that (Bob is a knight and Cy is a knave)": ("not", ("and", (T, 1), (L, 2))),
    "It is not the case that Bob is a knight": ("not", (T, 1)),
    "(if Bob is a knight then (Cy is a knave)) and (it is not the case that (Ann is a knave))": (
        "and", ("->", (T, 1), (L, 2)), ("not", (L, 0)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), STATEMENTS.items())
def test_statements_are_read_as_they_are_meant(text, expected):
    assert parse_statement(text, NAMES, KNOWS, 0) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "Bob", "Bob is", "Bob is a", "Bob is a fool", "Zed is a knight", "Bob is a knight and",
        "and Bob is a knight", "Bob is a knight Cy is a knave", "(Bob is a knight", "Bob is a knight)",
        "if Bob is a knight", "Bob was a knave",
        "Bob and Cy are not knights", "if Bob is a knight then", "not", "we are both knaves", "Bob is a knight?",
        "Bob is probably a knight", "(" * 5000, "it is not the case that " * 3000,
    ],
)  # fmt: skip
def test_what_is_no_statement_is_refused(text):
    with pytest.raises(DataError):
        parse_statement(text, NAMES, KNOWS, 0)


def test_names_may_be_unusual():
    names = ["A", "I", "Jean-Luc", "O'Hara", "Mary Ann", "Ann"]
    text = "A is a knight and I is a knave and Jean-Luc is a knight and O'Hara is a knave and Mary Ann is a knight"
    leaves = ((T, 0), (L, 1), (T, 2), (L, 3), (T, 4))
    assert parse_statement(text, names, KNOWS) == ("and", *leaves)


# How it is told


def quiz(speeches, rules=None, people="Ann, Bob, and Cy", question="So who is a knight and who is a knave?"):
    rules = rules or "Knights always tell the truth, and knaves always lie."
    island = "A very special island is inhabited only by knights and knaves."
    return f"{island} {rules} You meet {people.count(',') + 1} inhabitants: {people}. {speeches} {question}"


REST = 'Bob said, "Ann is a knave." Cy said, "Bob is a knave."'
ANN_SAYS = (
    *english.SPEECH, 'According to {name}, {what}.', "{name}'s statement: \"{what}\".", '{name} claimed that {what}.',
    '{name} says that {what}.', '{name} says, "{what}"', '{name} tells you that {what}.', '"{what}", says {name}.',
    '"{what}," said {name}.', "{name}: {what}.", '{name}: "{what}"', "As {name} put it, {what}.",
    "{name} swears {what}.",
    '(1) {name} said: "{what}"', '{name} replied with a smile: "{what}!"', '“{what},” {name} declared.',
    '{name} said that “{what}”.',
)  # fmt: skip


@pytest.mark.parametrize("form", ANN_SAYS)
@pytest.mark.parametrize("what", ["Cy is a knave and Bob is a knave", "If Bob is a knight then Cy is a knave"])
@pytest.mark.parametrize("place", [0, 1])
def test_every_way_of_speaking_is_read_wherever_it_stands(form, what, place):
    speech = form.replace("{name}", "Ann").replace("{what}", what)
    speeches = [speech, REST] if place == 0 else [REST, speech]
    puzzle = parse_english(quiz(" ".join(speeches)))
    assert puzzle.statements == (parse_statement(what, NAMES, KNOWS), (L, 0), (L, 1))


def test_all_published_ways_of_speaking_follow_each_other():
    for first, second in combinations(english.SPEECH, 2):
        puzzle = draw_puzzle(random.Random(first + second), 2, Grammar(), english.NAMES)
        for order in (((0, first), (1, second)), ((1, second), (0, first))):
            asked = english.Quiz(puzzle, order)
            assert parse_quiz(english.render_quiz(asked)) == asked, "the way of telling is read too"


ANN = 'Ann said, "Cy is a knave and Bob is a knave."'
PLAIN = quiz(f"{ANN} {REST}")
FRAMES = {
    "plain": PLAIN,
    "liars first": quiz(f"{ANN} {REST}", "Knaves always lie, and knights always tell the truth."),
    "no comma in the rules": quiz(f"{ANN} {REST}", "Knights always tell the truth and knaves always lie."),
    "singular rules": quiz(f"{ANN} {REST}", "Every knight always tells the truth. Every knave always lies."),
    "a format hint after the question": f'{PLAIN} (Format your answer like: "Ann is a knight/knave")',
    "another question": quiz(f"{ANN} {REST}", question="Can you tell who is what?"),
    "a task in place of a question": quiz(f"{ANN} {REST}", question="Determine who is what."),
    "no question": quiz(f"{ANN} {REST}", question=""),
    "line breaks": PLAIN.replace(". ", ".\n\n"),
    "single quotation marks": PLAIN.replace('"', "'"),
    "curly quotation marks": re.sub('"(.+?)"', r"“\1”", PLAIN),
    "numbers as words": PLAIN.replace("meet 3", "meet three"),
    "no comma before and": PLAIN.replace("Bob, and Cy", "Bob and Cy"),
    "listed in brackets": (
        "A very special island is inhabited only by knights and knaves. Knights always tell the truth, and knaves "
        'always lie. Three residents (Ann, Bob, and Cy) made the following statements: (1) Ann said: "Cy is a knave '
        'and Bob is a knave." (2) Bob said: "Ann is a knave." (3) Cy said: "Bob is a knave." So who is a knight and '
        "who is a knave?"
    ),
}


@pytest.mark.parametrize("text", FRAMES.values(), ids=FRAMES)
def test_other_frames_around_the_speeches_are_read(text):
    puzzle = parse_english(text)
    assert (puzzle.names, puzzle.roles) == (("Ann", "Bob", "Cy"), KNOWS)
    assert puzzle.statements == (("and", (L, 2), (L, 1)), (L, 0), (L, 1))


@pytest.mark.parametrize("asked", ["So who is a knave and who is a knight?", "So who is a knight and who is a knave?"])
def test_role_words_of_swapped_meaning_mean_what_the_rules_say(asked):
    swapped = re.sub("knight|knave|Knight|Knave", lambda word: {"k": "knave", "K": "Knave"}[word[0][0]]
                     if word[0][2] == "i" else {"k": "knight", "K": "Knight"}[word[0][0]], PLAIN)  # fmt: skip
    puzzle = parse_english(swapped[: swapped.index("So who")] + asked)
    assert puzzle.roles == Roles("knave", "knight")
    assert (puzzle.statements, puzzle.solution) == (parse_english(PLAIN).statements, parse_english(PLAIN).solution)


@pytest.mark.parametrize("roles", english.ROLES)
@pytest.mark.parametrize("flipped", [False, True])
def test_all_published_role_words_are_read_also_with_a_plain_s(roles, flipped):
    roles = Roles(roles.liar, roles.truthful) if flipped else roles
    puzzle = draw_puzzle(random.Random(1), 4, Grammar(), english.NAMES, (roles,))
    text = english.render_quiz(english.draw_quiz(puzzle, random.Random(2)))
    assert parse_english(text) == puzzle
    assert parse_english(text.replace("heroes", "heros").replace("Heroes", "Heros")) == puzzle


def test_names_and_words_stand_in_a_statement_as_they_are():
    statement = ("and", ("not", ("and", (L, 0), (L, 1))), ("->", (L, 1), ("not", (L, 0))))
    said = english.statement_text(statement, ["If", "{Bo}"], Roles("{0}", "a{}b"))
    assert said == (
        "(it is not the case that (If is an a{}b and {Bo} is an a{}b)) and (if {Bo} is an a{}b then If is not an a{}b)"
    )


@pytest.mark.parametrize("form", english.SPEECH)
def test_names_in_a_speech_are_no_part_of_its_form(form):
    puzzle = draw_puzzle(random.Random(0), 2, Grammar(), ["{what}", "{name}"])
    told = english.Quiz(puzzle, ((0, form), (1, form)))
    assert parse_quiz(english.render_quiz(told)).puzzle == puzzle


REFUSED = {
    "one is silent": quiz(REST),
    "one speaks twice": quiz(REST + ' Ann said, "Bob is a knight." Ann said, "Bob is a knight."'),
    "somebody else speaks": quiz(REST + ' Zed said, "Bob is a knight."'),
    "two speak": quiz(REST + ' Ann and Bob said, "Bob is a knight."'),
    "denied": quiz(REST + " Ann denied that Bob is a knight."),
    "not said": quiz(REST + " Ann did not say that Bob is a knight."),
    "a quotation mark is missing": quiz(REST + ' Ann said, "Bob is a knight.'),
    "no speech but a fact": quiz(REST + " If Ann is a knight, Bob is a knave."),
    "no rules": quiz(REST + ' Ann said, "Bob is a knight."', "Some lie."),
    "role words differ": quiz(REST + ' Ann said, "Bob is a knight."', question="Who is a hero and who is a fool?"),
    "another number of people": quiz(REST + ' Ann said, "Bob is a knight."').replace("meet 3", "meet 4"),
    "two solutions": quiz('Ann said, "Bob is a knave." Bob said, "Ann is a knave." Cy said, "Cy is a knight."'),
    "empty": "",
    "something else": "Natalia sold clips to 48 of her friends in April. How many clips did she sell?",
    "too long": quiz(REST + ' Ann said, "' + "Bob is a knight and " * 2000 + 'Bob is a knight."'),
    "too many people": quiz("", people=", ".join(f"N{i}" for i in range(64))),
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_unclear_texts_are_refused(text):
    with pytest.raises(DataError):
        parse_english(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(noise):
    text = quiz(REST + ' Ann said, "Bob is a knight."')
    for broken in (noise, text[: len(noise)] + noise, noise + text):
        try:
            parse_english(broken)
        except DataError:
            pass


def test_puzzles_of_reasoning_gym_are_read_and_solved():
    reasoning_gym = pytest.importorskip("reasoning_gym")
    for people, depth, width in ((2, 2, 2), (3, 2, 3), (4, 3, 2), (3, 4, 4), (6, 2, 2)):
        items = reasoning_gym.create_dataset(
            "knights_knaves", n_people=people, depth_constraint=depth, width_constraint=width, size=25, seed=people
        )
        for item in items:
            puzzle = parse_english(item["question"])
            assert puzzle.solution == tuple(map(bool, item["metadata"]["solution"]))
            roles = zip(puzzle.names, map(puzzle.roles.of, puzzle.solution), strict=True)
            assert items.score_answer(", ".join(f"{name} is a {role}" for name, role in roles), item) == 1.0


# Files


def test_a_file_holds_what_the_domain_draws(tmp_path):
    code, rows = make(tmp_path, "--people", "3-5", "--size", "40", "--seed", "3", "--split", "test")
    assert code == 0
    problems = KnightsKnaves(people=(3, 5)).take("test", 3, 40)
    assert [(row["id"], row["quiz"], row["solution_text_format"]) for row in rows] == [
        (problem.id, problem.question, problem.gold) for problem in problems
    ]
    assert {row["split"] for row in rows} == {"test"}


def test_rows_made_in_other_processes_are_in_order(tmp_path, monkeypatch):
    _, at_once = make(tmp_path, "--people", "4", "--size", "60", name="one.jsonl")
    monkeypatch.setattr("warmup_rl.cli.puzzles.ROWS_PER_BATCH", 7)
    assert make(tmp_path, "--people", "4", "--size", "60", name="many.jsonl")[1] == at_once
    _, table = make(tmp_path, "--people", "4", "--size", "60", name="many.parquet")
    assert [(row["id"], row["cot_repeat_steps"]) for row in table] == [
        (row["id"], row["cot_repeat_steps"]) for row in at_once
    ]


@pytest.mark.parametrize("name", ["kk.jsonl", "kk.parquet"])
def test_a_file_of_all_splits_is_right_throughout(tmp_path, capsys, name):
    code, rows = make(tmp_path, "--people", "3-7", "--size", "200", "--roles", "all", "--deeper", "0.2", name=name)
    assert code == 0
    assert len({canonical_key(p.puzzle.statements) for p in read_puzzles(Source(path=str(tmp_path / name)))}) == 200
    for number, row in enumerate(rows):
        puzzle = parse_english(row["quiz"])
        key = canonical_key(puzzle.statements)
        assert row["index"] == number
        assert row["split"] == split_of(key)
        assert (row["difficulty"], row["depth"]) == difficulty(puzzle.statements)
    assert "duplicates refused" in capsys.readouterr().out
    assert main(["puzzles", "--check", str(tmp_path / name)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"rows": 200, "solved_from_statements": 200, "solved_from_text": 200, "disagree": []}


@pytest.mark.skipif(not PUBLISHED, reason="published puzzle files are not there")
def test_our_columns_are_those_of_the_published_data(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    _, _ = make(tmp_path, "--size", "20", name="kk.parquet")
    ours, theirs = parquet.read_schema(tmp_path / "kk.parquet"), parquet.read_schema(PUBLISHED[0])
    for name in ("quiz", "names", "solution", "solution_text", "solution_text_format", "cot_head", "cot_repeat_steps",
                 "cot_foot", "statements", "index"):  # fmt: skip
        assert ours.field(name).type == theirs.field(name).type, name
    words = {field.name for field in theirs.field("knight_knave").type}
    assert words == {field.name for field in ours.field("knight_knave").type}


@pytest.mark.skipif(not PUBLISHED, reason="published puzzle files are not there")
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_every_published_row_is_solved_from_statements_and_from_text(path, capsys):
    assert main(["puzzles", "--check", str(path)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "rows": 900, "solved_from_statements": 900, "solved_from_text": 900, "disagree": []
    }  # fmt: skip


def row(**changes):
    statements = ((L, 1), ("and", (T, 0), (T, 1)))
    speeches = 'Ann said, "Bob is a knave." Bob told you that Ann is a knight and Bob is a knight.'
    told = quiz(speeches, people="Ann, and Bob")
    return {"quiz": told, "names": ["Ann", "Bob"], "statements": str(statements), "solution": [True, False], **changes}


LIKE_PUBLISHED = {
    "as published": row(),
    "lists for tuples": row(statements=[[L, 1], ["and", [T, 0], [T, 1]]]),
    "JSON text": row(statements='[["lying", 1], ["and", ["telling-truth", 0], ["telling-truth", 1]]]'),
    "people as text": row(statements="(('lying', '1'), ('and', ('telling-truth', '0'), ('telling-truth', '1')))"),
    "text for lists": row(names="['Ann', 'Bob']", solution="[True, False]"),
    "solution as text alone": {**row(solution_text="Ann is a knight, and Bob is a knave."), "solution": None},
    "no names": {key: value for key, value in row().items() if key != "names"},
    "names in another order": row(names=["Bob", "Ann"], solution=[False, True],
                                  statements=str((("and", (T, 1), (T, 0)), (L, 0)))),
}  # fmt: skip
BROKEN = {
    "another solution": row(solution=[True, True]),
    "no solution": row(solution=None),
    "solution too short": row(solution=[True]),
    "solution of words": row(solution=["a", "b"]),
    "no Python": row(statements="(('lying', 1), "),
    "code": row(statements="__import__('os').getcwd()"),
    "unknown operator": row(statements="(('xor', ('lying', 1)), ('lying', 0))"),
    "operator is a list": row(statements="([['and'], 1], ('lying', 0))"),
    "too deep": row(statements="(" + "('not', " * 150 + "('lying', 1)" + ")" * 150 + ", ('lying', 0))"),
    "statements of nobody": row(statements="(('lying', 7), ('lying', 0))"),
    "no text": row(quiz=None),
    "another text": row(quiz="Who?"),
    "names are numbers": row(names=[1, 2]),
    "empty": {},
}


@pytest.mark.parametrize("row", LIKE_PUBLISHED.values(), ids=LIKE_PUBLISHED)
def test_columns_are_read_in_every_common_spelling(tmp_path, row):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    found = check_file(path)
    assert (found.rows, found.solved_from_statements, found.solved_from_text, found.disagree) == (1, 1, 1, [])


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_row_counts_as_unsolved_and_the_others_go_on(tmp_path, broken):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in (row(), broken, row())) + "\n")
    found = check_file(path)
    assert (found.rows, found.disagree) == (3, [1])
    assert 4 <= found.solved_from_statements + found.solved_from_text <= 5
    if found.solved_from_statements == 2:
        with pytest.raises(DataError, match=r"rows.jsonl:2"):
            read_puzzles(Source(path=str(path)))


def test_a_line_that_is_no_json_counts_as_unsolved(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(row())}\nnonsense\n[1]\n\n{json.dumps(row())}\n")
    assert check_file(path).disagree == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out"), (["--out", "x.csv"], r"\.parquet or \.jsonl"), (["--check", "nowhere.jsonl"], "no such file"),
        (["--check", "nowhere.parquet"], "no such file"),
        (["--out", "x.jsonl", "--people", "4-3"], "lower bound must come first"),
        (["--out", "x.jsonl", "--people", "3-"], r"N or N-M is needed \(got 3-\)"), (["--out", ""], "is empty"),
        (["--out", "x.jsonl", "--people", "many"], "whole number"), (["--out", "x.jsonl", "--size", "0"], "at least 1"),
        (["--out", "x.jsonl", "--depth", "1"], "at least 2"), (["--out", "x.jsonl", "--roles", "knight"], "pairs"),
        (["--out", "x.jsonl", "--in", "y.jsonl"], "--perturb"), (["--out", "x.jsonl", "--peple", "3"], "--people"),
        (["--out", "x.jsonl", "--in", "x.jsonl", "--perturb", "leaf"], "same file"),
        (["--out", "x.jsonl", "--in", "y.jsonl", "--perturb", "leaf"], "no such file"),
        (["--out", "x.jsonl", "--in", "y.jsonl", "--perturb", "leaf", "--people", "3"], "leave out people"),
    ],
)  # fmt: skip
def test_wrong_command_lines_end_with_one_clear_message(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["puzzles", *arguments]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert re.search(message, told.err), told.err
    assert not list(tmp_path.iterdir()), "nothing is written"


@pytest.mark.parametrize(
    ("content", "found"),
    [(b'{"question": "?", "quiz": "?"}\n', "question, quiz"), (b"\xff\xfe{", "no row that can be read")],
)
def test_missing_columns_are_named(tmp_path, capsys, content, found):
    path = tmp_path / "other.jsonl"
    path.write_bytes(content)
    assert main(["puzzles", "--check", str(path)]) == 2
    assert re.search(rf"columns missing: .*statements, solution.* Found: {found}\.", capsys.readouterr().err)


def test_an_exhausted_space_keeps_what_exists_and_says_how_much_that_is(tmp_path, capsys):
    code, rows = make(tmp_path, "--people", "2", "--size", "500")
    told = capsys.readouterr()
    exist = len(all_keys(2, Grammar()))
    assert code == 2
    assert len(rows) == exist
    assert f"500 asked for, {exist} found" in told.err
    assert f"0 of {exist} (exact)" in told.out


def test_the_space_left_is_exact_where_it_is_small(tmp_path, capsys):
    make(tmp_path, "--people", "2", "--size", "5", "--split", "test")
    exist = sum(split_of(key) == "test" for key in all_keys(2, Grammar()))
    assert f"{exist - 5} of {exist} (exact)" in capsys.readouterr().out


@pytest.mark.parametrize(("people", "grammar"), [(2, Grammar()), (2, Grammar(width=3))])
def test_enumeration_holds_exactly_what_is_drawn(people, grammar):
    rng = random.Random(0)
    drawn = {canonical_key(draw_puzzle(rng, people, grammar, NAMES).statements) for _ in range(6000)}
    assert drawn == all_keys(people, grammar)
    assert all_keys(8, grammar) is None


# Difficulty


@settings(max_examples=60)
@given(puzzles, st.integers(0, 10**6))
def test_difficulty_knows_neither_names_nor_order(puzzle, seed):
    assert difficulty(renumbered(random.Random(seed), puzzle.statements)) == difficulty(puzzle.statements)


def test_difficulty_of_known_puzzles():
    assert difficulty((("or", (T, 0), (L, 0)), (T, 0))) == Difficulty(0, 0), "a tautology, then a fact"
    assert difficulty(((L, 1), ("and", (T, 0), (T, 1)))) == Difficulty(4, 1), "each role of both, nothing under it"


def test_difficulty_grows_with_people():
    rng = random.Random(0)
    means = []
    for people in (2, 4, 6, 8):
        drawn = [draw_puzzle(rng, people, Grammar(), english.NAMES) for _ in range(60)]
        means.append(sum(difficulty(puzzle.statements).hypotheses for puzzle in drawn) / 60)
    assert means == sorted(means)
    assert means[-1] > 4 * means[0]


# Chains, digests and rows


@settings(max_examples=60)
@given(puzzles)
def test_the_published_chain_ends_at_the_solution(puzzle):
    held = {}
    for step in assumption_chain(puzzle):
        if step.startswith("Suppose "):
            for person in range(puzzle.people):
                for truthful in (True, False):
                    if step.startswith(f"Suppose {english.role_text(puzzle, person, truthful)}."):
                        held[person] = truthful
    assert tuple(held[person] for person in range(puzzle.people)) == puzzle.solution


def test_a_row_of_a_puzzle_is_the_published_one():
    puzzle = parse_english(row()["quiz"])
    (told,) = to_rows([Drawn(english.Quiz(puzzle), "english", "train", 7, told=row()["quiz"])])
    assert {key: told[key] for key in ("names", "solution", "solution_text", "solution_text_format", "index")} == {
        "names": ["Ann", "Bob"],
        "solution": [True, False],
        "solution_text": "Ann is a knight, and Bob is a knave.",
        "solution_text_format": "(1) Ann is a knight\n(2) Bob is a knave",
        "index": 7,
    }
    assert told["quiz"] == row()["quiz"]
    assert told["statements"] == row()["statements"]


def test_rows_are_made_without_reference_cycles():
    puzzles = list(islice(KnightsKnaves(people=5).draw(None, 0), 50))
    to_rows(puzzles)
    gc.collect()
    gc.disable()  # as in the processes that make rows
    try:
        to_rows(puzzles)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_variants_of_a_file_are_no_puzzle_of_it_and_stay_in_their_split(tmp_path):
    assert main(["puzzles", "--people", "3", "--size", "400", "--out", str(tmp_path / "kk.jsonl")]) == 0
    known = {key for key, _ in keys_and_splits(tmp_path / "kk.jsonl")}
    for kind in ("statement", "leaf"):
        out = tmp_path / f"{kind}.jsonl"
        assert main(["puzzles", "--in", str(tmp_path / "kk.jsonl"), "--perturb", kind, "--out", str(out)]) == 0
        made = keys_and_splits(out)
        assert len(made) > 200 and not known & {key for key, _ in made}
        assert all(split == split_of(key) for key, split in made)


def keys_and_splits(path):
    return [(canonical_key(row.puzzle.statements), row.split) for row in read_puzzles(Source(path=str(path)))]
