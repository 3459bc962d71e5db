"""The kk domain: grading by a table of answers, splits, exhaustion, settings, and the solver as its teacher."""

import json
import random
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.islander_answers import CORRECT, NAMES, NOTHING, REFUSED, WRONG, island
from tests.test_knights import PUBLISHED
from warmup_rl.__main__ import main
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import SpaceError, UserError
from warmup_rl.base.types import SPLITS, Problem, Request
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.domains.kk_rows import KkGrader
from warmup_rl.engines.solver import Solver
from warmup_rl.interfaces.conformance import assert_conforms
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.knights.answers import read_answer
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.grammar import Roles
from warmup_rl.knights.text import from_meta


def verdict(answer, **keys):
    return KnightsKnaves().grade(answer, island(**keys)).verdict


@pytest.mark.parametrize("answer", CORRECT.values(), ids=CORRECT)
def test_right_answers_are_correct_in_any_layout(answer):
    grade = KnightsKnaves().grade(answer, island())
    assert grade.verdict == "correct", grade.note


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_wrong_answers_are_read_and_wrong(answer):
    grade = KnightsKnaves().grade(answer, island())
    assert (grade.verdict, bool(grade.extracted)) == ("wrong", True)


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
def test_unclear_answers_are_refused_with_a_reason(answer):
    grade = KnightsKnaves().grade(answer, island())
    assert (grade.verdict, grade.extracted) == ("wrong", None)
    assert grade.note


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Jack is a knight, as is Ann. Jackson is a knave.", "correct"),
        ("Ann is a knight, as is Jack, and Jackson is a knave.", "correct"),
        ("Jackson is a knave. Jack is a knight, and so is Ann.", "correct"),
        ("Jackson is a knave. Jack is a knight. So is Ann.", "correct"),
        ("Jack is a knight, and so are Jackson and Ann.", "wrong"),
        ("Ann is a knight. Jackson is a knave, as is Jack.", "wrong"),
        ("Jack is a knight, as is Ann a knave, and Jackson is a knave.", "wrong"),
        ("Jack is a knight, as is clear. Jackson is a knave.", "wrong"),
    ],
)
def test_a_role_that_is_given_by_comparison_counts(answer, found):
    assert verdict(answer) == found


@pytest.mark.parametrize("part", ["Ann ", "Ann is ", "Ann, ", "is ", ". "])
def test_long_answers_take_linear_time(part):
    started = time.process_time()
    read_answer(f"Jack is a knight. {part * 20_000}", NAMES, Roles())
    assert time.process_time() - started < 5, "milliseconds; a quadratic scan takes minutes"


@pytest.mark.parametrize("answer", NOTHING.values(), ids=NOTHING)
def test_texts_without_role_words_are_no_answer(answer):
    assert verdict(answer) == "none"


@pytest.mark.parametrize(
    ("roles", "answer"),
    [
        (("hero", "villain"), "Jack and Ann are heroes, Jackson is a villain"),
        (("angel", "devil"), "Jack is an angel, Jackson is a devil, Ann is an angel."),
        (("knave", "knight"), "Jack is a knave, Jackson is a knight, Ann is a knave"),
        (("altruist", "egoist"), "Altruists: Jack, Ann; Egoist: Jackson"),
    ],
)
def test_role_words_are_those_of_the_puzzle(roles, answer):
    assert verdict(answer, roles=roles) == "correct"
    assert verdict("Jack is a saint, Jackson is a sinner, Ann is a saint", roles=roles) == "none"


def test_a_name_that_is_also_a_small_word_is_read():
    assert verdict("A is a knight, Will is a knave, An is a knight", names=["A", "Will", "An"]) == "correct"


@given(st.text(max_size=60), st.permutations(NAMES))
def test_reading_never_breaks_and_never_invents(noise, names):
    reading = read_answer(noise, names, Roles())
    assert reading.truthful is None or all(name.lower() in noise.lower() for name in names)


DOUBTFUL = st.sampled_from(
    ["Will", "An", "or", "not", "*", "\\", "-", "(1)", "\n", "?", "is", "a", "knight", "knave", ","]
)


@given(st.lists(DOUBTFUL, max_size=12), st.sampled_from(["", " "]))
def test_an_answer_with_a_word_of_doubt_is_refused(words, between):
    names, text = ["Will", "An", "Or"], between.join(words)
    doubted = read_answer(f"{text} unless An is a knave", names, Roles())
    assert doubted.found and doubted.truthful is None
    spaced, joined = (read_answer(said, names, Roles()) for said in (text, re.sub(r"\bnot\b|\?", r"\g<0>)", text)))
    assert (spaced.found, spaced.truthful) == (joined.found, joined.truthful)


DOMAINS = [
    KnightsKnaves(people=[2, 4], phrasing="terse", deeper=0.3),
    KnightsKnaves(people=3, roles="all"),
    KnightsKnaves(people=[2, 6], width=3, names=8),
]


@pytest.mark.parametrize("domain", DOMAINS)
def test_splits_are_disjoint_for_all_seeds(domain):
    keys = {split: set() for split in SPLITS}
    for split in SPLITS:
        for seed in range(3):
            drawn = domain.take(split, seed, 60)
            found = [canonical_key(from_meta(p.meta)[0].statements) for p in drawn]
            assert len(set(found)) == len(found), "no puzzle twice under another name"
            keys[split].update(found)
    assert not keys["train"] & keys["test"]
    assert not keys["train"] & keys["validation"]
    assert not keys["validation"] & keys["test"]


@pytest.mark.parametrize("domain", DOMAINS)
def test_gold_is_correct_and_no_other_solution_is(domain):
    for drawn in domain.take("test", 0, 30):
        assert domain.grade(domain.reference(drawn), drawn).verdict == "correct"
        puzzle, _ = from_meta(drawn.meta)
        flipped = drawn.gold.replace(puzzle.roles.truthful, "#").replace(puzzle.roles.liar, puzzle.roles.truthful)
        assert domain.grade(flipped.replace("#", puzzle.roles.liar), drawn).verdict == "wrong"
        assert domain.grade(drawn.question, drawn).verdict != "correct"
        assert domain.chance_accuracy(drawn) == 2.0**-puzzle.people


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_puzzle_from_a_file_is_the_one_that_was_drawn_however_its_solution_is_written(domain):
    for drawn in domain.take("test", 0, 5):
        names, solution = drawn.meta["names"], drawn.meta["solution"]
        golds = (drawn.gold, str(solution), json.dumps(dict(zip(names, solution, strict=True))), None)
        for read in (domain.read({"question": drawn.question, "gold": gold}, "row 1") for gold in golds):
            assert (read.question, read.gold) == (drawn.question, drawn.gold), "traces are labelled by its form"
        written = KkGrader().read({"question": drawn.question}, golds[1], "row 1")
        assert written[0] == drawn.gold


def test_each_number_of_people_is_met_equally_often():
    drawn = KnightsKnaves(people=[3, 5], phrasing="terse").take("train", 0, 600)
    counts = [sum(p.meta["people"] == people for p in drawn) for people in (3, 4, 5)]
    assert min(counts) > 150


def test_a_small_space_ends_and_says_how_many_there_are():
    domain = KnightsKnaves(people=2)
    sizes = [len(list(domain.problems(split, seed=1))) for split in SPLITS]
    assert sizes[0] > sum(sizes[1:]) > 0
    with pytest.raises(SpaceError, match=f"200 test problems asked for, {sizes[2]} exist"):
        domain.take("test", 1, 200)
    assert "2 people" in domain.space()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"people": 1}, "people"), ({"people": [4, 3]}, "lower bound must come first"), ({"people": 17}, "people"),
        ({"depth": 1}, "depth"), ({"width": 1}, "width"), ({"names": 2}, "3 people"), ({"names": 99}, "built in"),
        ({"names": ["Al", "al", "Bo"]}, "distinct"), ({"names": ["Al B", "Bo", "Cy"]}, "single words"),
        ({"names": ["Knave", "Bo", "Cy"]}, "role word"), ({"roles": [["x", "x"]]}, "differ"), ({"roles": []}, "roles"),
        ({"phrasing": "terse", "roles": "all"}, "terse"), ({"peple": 3}, "peple"),
        ({"names": ["Al", "If", "words"]}, "names: with If, words a puzzle is not read"),
        ({"roles": [["knight", ""], ["a", "b"], ["hero", "heroes"]]}, "roles: with knight/, hero/heroes a"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        KnightsKnaves(**settings)


def complete(domain, teacher, problems, seed=0, samples=1):
    context = EngineContext({"kk": domain}, ResponseFormat(), seed)
    requests = [Request(p, domain.prompt(p), sample) for p in problems for sample in range(samples)]
    with teacher.open(context) as session:
        return list(session.complete(requests, Sampling()))


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("teacher", [Solver(recheck=0, second_method=0), Solver(recheck=0.5), Solver(method="cases")])
def test_teacher_is_right_thinks_and_repeats_itself(domain, teacher):
    problems = domain.take("train", 0, 25)
    completions = complete(domain, teacher, problems)
    assert completions == complete(domain, teacher, problems)
    for drawn, completion in zip(problems, completions, strict=True):
        text = ResponseFormat().render(thinking=completion.thinking, answer=completion.text)
        score = domain.score(text, drawn, ResponseFormat())
        assert (score.outcome, score.shows_work, completion.truncated) == ("correct", True, False)
        assert completion.tokens == len(completion.thinking.split()) + len(completion.text.split())


def test_teacher_varies_with_seed_and_sample():
    problems = DOMAINS[1].take("train", 0, 5)
    texts = [c.thinking for seed in (0, 1) for c in complete(DOMAINS[1], Solver(), problems, seed, samples=3)]
    assert len(set(texts)) == len(texts)


def test_teacher_refuses_other_domains():
    sum_problem = Problem("x", "sums", "1 + 1", "2")
    with pytest.raises(UserError, match="sums"):
        complete(DOMAINS[0], Solver(), [sum_problem])


@pytest.mark.parametrize("domain", DOMAINS)
def test_bare_answers_do_not_think(domain):
    drawn = domain.take("train", 0, 1)[0]
    assert domain.shows_work(drawn.gold, drawn) is False
    assert domain.shows_work("", drawn) is False


@pytest.fixture
def puzzle_file(tmp_path):
    path = tmp_path / "kk.jsonl"
    assert main(["puzzles", "--people", "2-4", "--size", "300", "--roles", "all", "--out", str(path)]) == 0
    return path


def test_a_file_gives_its_problems_by_its_column_split(puzzle_file):
    rows = {row["id"]: row for row in map(json.loads, puzzle_file.read_text().splitlines())}
    domain = KnightsKnaves(file=str(puzzle_file))
    found = {split: list(domain.problems(split, 0)) for split in SPLITS}
    assert sum(map(len, found.values())) == 300
    for split, problems in found.items():
        for problem in problems:
            row = rows[problem.id]
            assert (row["split"], row["quiz"], row["solution_text_format"]) == (split, problem.question, problem.gold)
            assert (row["difficulty"], row["depth"]) == (problem.meta["difficulty"], problem.meta["depth"])
    assert_conforms(domain, problems=10)
    assert domain.space().startswith(f"{len(found['train'])} train")
    with pytest.raises(SpaceError, match="test problems asked for"):
        domain.take("test", 0, 300)


def test_a_file_without_splits_is_split_by_canonical_form(puzzle_file):
    rows = [json.loads(line) for line in puzzle_file.read_text().splitlines()]
    keys = ("quiz", "names", "statements", "solution", "knight_knave")
    puzzle_file.write_text("\n".join(json.dumps({key: row[key] for key in keys}) for row in rows))
    for split in SPLITS:
        problems = KnightsKnaves(file=str(puzzle_file)).problems(split, 0)
        assert {problem.id for problem in problems} == {row["id"] for row in rows if row["split"] == split}


def test_a_file_is_read_anew_when_it_changes(puzzle_file):
    domain = KnightsKnaves(file=str(puzzle_file))
    before, digest = len(list(domain.problems("train", 0))), domain.digest()
    puzzle_file.write_text("\n".join(puzzle_file.read_text().splitlines()[:20]))
    assert len(list(domain.problems("train", 0))) < before
    assert domain.digest() != digest


@pytest.mark.skipif(not PUBLISHED, reason="published puzzle files are not there")
def test_a_published_file_is_a_domain():
    domain = KnightsKnaves(file=str(PUBLISHED[0]))
    assert_conforms(domain, problems=20)
    problems = domain.take("train", 0, 50)
    assert all(score.outcome == "correct" for score in solved(domain, problems))
    assert {len(list(domain.problems(split, 0))) > 40 for split in SPLITS} == {True}


def test_a_question_has_the_same_key_with_text_around_it_and_none_where_it_cannot_be_read():
    domain = KnightsKnaves(people=3)
    first, second = (problem.question for problem in domain.take("train", 0, 2))
    key = domain.question_key(first)
    assert key and domain.question_key(f"Solve this.\n{first}\nThink first.") == key != domain.question_key(second)
    assert domain.question_key("A very special island. Who?") is None and domain.question_key("1 + 1?") is None


def solved(domain, problems):
    for problem, completion in zip(problems, complete(domain, Solver(), problems), strict=True):
        text = ResponseFormat().render(thinking=completion.thinking, answer=completion.text)
        yield domain.score(text, problem, ResponseFormat())


def test_difficulty_bounds_what_is_drawn_and_order_changes_the_order_alone(puzzle_file):
    for keys in ({"people": (2, 5)}, {"file": str(puzzle_file)}):
        easy = KnightsKnaves(**keys, difficulty=(0, 0)).take("train", 0, 30)
        hard = KnightsKnaves(**keys, difficulty=(5, 99)).take("train", 0, 30)
        assert {problem.meta["difficulty"] for problem in easy} == {0}
        assert min(problem.meta["difficulty"] for problem in hard) >= 5
        drawn = KnightsKnaves(**keys).take("train", 0, 60)
        ordered = KnightsKnaves(**keys, order="difficulty").take("train", 0, 60)
        assert sorted(p.id for p in ordered) == sorted(p.id for p in drawn)
        hardness = [problem.meta["difficulty"] for problem in ordered]
        assert hardness == sorted(hardness) != [problem.meta["difficulty"] for problem in drawn]


def test_an_impossible_difficulty_ends():
    assert not list(KnightsKnaves(people=2, difficulty=(50, 60)).problems("train", 0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"file": "kk.jsonl", "people": 3}, "leave out people"), ({"difficulty": (3, 1)}, "must come first"),
        ({"perturb": "leafs"}, "perturb"), ({"phrasing": "terse", "perturb": "flipped"}, "terse"),
        ({"order": "hard"}, "order"), ({"difficulty": (-1, 1)}, "difficulty"),
    ],
)  # fmt: skip
def test_settings_of_files_and_curricula_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        KnightsKnaves(**settings)


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match="nowhere.jsonl: no such file"):
        KnightsKnaves(file="nowhere.jsonl").take("train", 0, 1)


def test_english_questions_vary_in_wording_and_roles():
    domain = KnightsKnaves(people=3, roles="all")
    questions = [p.question for p in domain.take("train", 0, 50)]
    assert len({question.split()[8] for question in questions}) == 7
    assert random.Random(0).choice(questions).endswith("?")
