"""Domains over files: splits frozen by content, golds checked before they are used, near-duplicates on one side."""

import json
import time
from pathlib import Path

import pytest

from tests.rows_data import OWN_GRADERS, math_rows, sandbox_or_skip, settings, write_rows
from warmup_rl.base.errors import DataError, Unscorable
from warmup_rl.base.types import SPLITS, Problem
from warmup_rl.domains.code import HumanEvalPlus, MbppPlus
from warmup_rl.domains.jsonl import UserRows, similar_groups
from warmup_rl.domains.math import Gsm8k, Math
from warmup_rl.domains.mmlu_pro import MmluPro
from warmup_rl.interfaces.domain import each_fold

DATA = Path("../shared/data")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the benchmark files are not beside the repository")


def ids(domain, split):
    return {problem.id for problem in domain.table().problems[split]}


def test_a_problem_of_train_that_stands_in_test_is_measured_only(tmp_path):
    train = write_rows(tmp_path / "train.jsonl", math_rows(0, 40))
    test = write_rows(tmp_path / "test.jsonl", math_rows(30, 20))
    domain = Math(train=train, test=test)
    assert not ids(domain, "test") & (ids(domain, "train") | ids(domain, "validation"))
    assert domain.table().left_out == {"also in test": 10}


def test_levels_and_subjects_choose_rows(tmp_path):
    given, _ = settings(tmp_path)["math"]
    domain = Math(**given, levels=(2, 3), subjects=["algebra"])
    metas = [problem.meta for split in SPLITS for problem in domain.table().problems[split]]
    assert {meta["group"] for meta in metas} == {"level=2", "level=3"}
    assert {meta["subject"] for meta in metas} == {"Algebra"}


def test_a_gold_that_cannot_be_used_is_named_and_can_be_dropped(tmp_path):
    rows = [*math_rows(0, 30), {"problem": "Broken?", "answer": "\\frac{1}{"}, {"problem": "None?", "answer": None}]
    test = write_rows(tmp_path / "e.jsonl", math_rows(50, 9))
    files = {"train": write_rows(tmp_path / "t.jsonl", rows), "test": test}
    with pytest.raises(DataError, match="t.jsonl:32"):
        Math(**files).take("train", 0, 5)
    dropping = Math(**files, drop_bad_golds=True)
    drawn = list(dropping.problems("train", 0)) + list(dropping.problems("validation", 0))
    assert len(drawn) == 30 and dropping.table().left_out == {"unusable": 1}
    broken = Math(train=write_rows(tmp_path / "u.jsonl", rows[:31]), test=files["test"])
    with pytest.raises(DataError, match=r"u.jsonl:31: the reference answer .* cannot be used"):
        [*broken.problems("train", 0), *broken.problems("validation", 0)]


def test_the_split_of_a_row_does_not_depend_on_the_order_of_the_file(tmp_path):
    given, _ = settings(tmp_path)["jsonl"]
    lines = Path(given["file"]).read_text().splitlines()
    other = tmp_path / "reversed.csv"
    other.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    turned = UserRows.model_validate({**given, "file": str(other)})
    assert ids(UserRows.model_validate(given), "test") == ids(turned, "test")


def test_folds_measure_every_row_once_and_never_train_on_it(tmp_path):
    given, _ = settings(tmp_path)["jsonl"]
    folds = each_fold(UserRows.model_validate({**given, "validation": 0, "folds": 4}))
    measured = [problem for fold in folds for problem in ids(fold, "test")]
    assert len(measured) == len(set(measured)) == 80
    assert all(not ids(fold, "test") & ids(fold, "train") for fold in folds)
    whole = UserRows.model_validate({**given, "validation": 0, "folds": 4})
    assert len(ids(whole, "train")) == 80 and not ids(whole, "test")


def test_questions_that_are_nearly_the_same_stay_together():
    questions = [
        "How far is it to the old station at the end of the road?",
        "Something else entirely.",
        "How far is it to the old station at the end of the road ?",
        "A third thing.",
    ]
    assert similar_groups(range(4), questions, 0.95) == [[0, 2], [1], [3]]


@pytest.mark.parametrize(
    ("grader", "gold", "right", "wrong"),
    [*OWN_GRADERS, ({"type": "exact", "alternatives": True}, ["May 2008", "2008"], "The answer is 2008.", "2009")],
    ids=["number", "number with unit", "exact", "set", "json", "math", "alternatives"],
)
def test_graders_of_own_rows(tmp_path, grader, gold, right, wrong):
    rows = [{"question": f"Question number {n}, what is it?", "answer": gold} for n in range(8)]
    domain = UserRows(file=write_rows(tmp_path / "own.jsonl", rows), grader=grader, alike=1.0)
    problem = domain.take("train", 0, 1)[0]
    assert [domain.grade(answer, problem).verdict for answer in (right, wrong)] == ["correct", "wrong"]


@pytest.mark.parametrize(
    ("grader", "answer"),
    [("math", "\\frac{7}{2}"), ({"type": "choice", "options": "choices"}, "B")],
    ids=["math", "choice"],
)
def test_adversarial_answers_of_a_grader_are_not_correct(tmp_path, grader, answer):
    rows = [{"question": f"Which is {n}?", "choices": ["x", str(n)], "answer": answer} for n in range(8)]
    domain = UserRows(file=write_rows(tmp_path / "own.jsonl", rows), grader=grader, alike=1.0)
    problem = domain.take("train", 0, 1)[0]
    verdicts = {name: domain.grade(text, problem).verdict for name, text in domain.adversarial_answers(problem)}
    assert len(verdicts) > 3 and "correct" not in verdicts.values()


def test_choices_with_a_column_of_options(tmp_path):
    rows = [{"question": f"Which is {n}?", "choices": ["x", "y", str(n)], "answer": "C"} for n in range(8)]
    domain = UserRows(file=write_rows(tmp_path / "o.jsonl", rows), grader={"type": "choice", "options": "choices"})
    problem = domain.take("train", 0, 1)[0]
    assert problem.question.splitlines()[1] == "A. x"
    assert [domain.grade(answer, problem).verdict for answer in ("C", "B", "D")] == ["correct", "wrong", "wrong"]


def test_a_users_own_rule_runs_in_the_sandbox(tmp_path):
    sandbox_or_skip()
    rules = tmp_path / "my_rules.py"
    rules.write_text("def grade(question, answer, gold):\n    return None if not answer else answer[::-1] == gold\n")
    rows = [{"question": f"Reverse word number {n}", "answer": "abc"} for n in range(8)]
    domain = UserRows(file=write_rows(tmp_path / "o.jsonl", rows), grader=f"python: {rules}:grade", drop_bad_golds=True)
    problem = domain.table().problems["train"][0]
    assert [domain.grade(answer, problem).verdict for answer in ("cba", "abc", "")] == ["correct", "wrong", "none"]


def test_a_rule_that_fails_on_an_answer_only_finds_it_wrong(tmp_path):
    sandbox_or_skip()
    rules = tmp_path / "my_rules.py"
    rules.write_text(
        "def near(question, answer, gold):\n    return abs(float(answer) - float(gold)) < 0.1\n"
        "def number(question, answer, gold):\n    return float(answer)\n"
    )
    rows = [{"question": f"How many, {n}?", "answer": "5"} for n in range(8)]
    file = write_rows(tmp_path / "o.jsonl", rows)
    near, number = (
        UserRows(file=file, grader=f"python: {rules}:{name}").answer_grader() for name in ("near", "number")
    )
    problem = Problem("p", "jsonl", "How many?", "5")
    grades = [near.grade(answer, problem) for answer in ("5.05", "7", "about five")]
    assert [grade.verdict for grade in grades] == ["correct", "wrong", "wrong"]
    assert grades[-1].note.endswith("near raised ValueError")
    with pytest.raises(Unscorable, match=r"raised ValueError \(on the reference answer too\)"):
        near.grade("about five", Problem("p", "jsonl", "How many?", "five"))
    with pytest.raises(Unscorable, match=r"returned 5.0: True, False, or None .* \(on the reference answer too\)"):
        number.grade("5", problem)


def test_tested_functions_of_a_user(tmp_path):
    sandbox_or_skip()
    rows = [
        {
            "question": f"Write add{n}.",
            "answer": f"def add{n}(a, b):\n    return a + b",
            "tests": f"assert add{n}(1, 2) == 3\nassert add{n}(0, 0) == 0",
        }
        for n in range(4)
    ]
    domain = UserRows(file=write_rows(tmp_path / "o.jsonl", rows), grader="code")
    problem = domain.take("train", 0, 1)[0]
    name = problem.meta["tests"].split("(")[0].removeprefix("assert ")
    wrong = f"```python\ndef {name}(a, b):\n    return 3\n```"
    assert [domain.grade(a, problem).verdict for a in (domain.reference(problem), wrong)] == ["correct", "wrong"]


def test_a_template_joins_columns(tmp_path):
    rows = [{"context": f"Ann has {n} pears.", "ask": "How much?", "value": n, "unit": "J"} for n in range(8)]
    file = write_rows(tmp_path / "o.jsonl", rows)
    domain = UserRows(file=file, question="{context}\n\n{ask}", answer="{value} {unit}", grader="number")
    problem = domain.take("train", 0, 1)[0]
    assert "pears.\n\nHow much?" in problem.question
    number = problem.gold.removesuffix(" J")
    answers = (f"{number} J", number, f"{number} K")
    assert [domain.grade(answer, problem).verdict for answer in answers] == ["correct", "correct", "none"]


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path):
    file = write_rows(tmp_path / "o.jsonl", [{"q": "x", "answer": 1}])
    with pytest.raises(DataError, match=r"o.jsonl:1: no 'question' \(fields: q, answer\)"):
        UserRows(file=file, grader="number").table()


@needs_data
def test_published_files_are_read_whole():
    math = Math(train=f"{DATA}/math_train.jsonl", test=f"{DATA}/math500.jsonl", drop_bad_golds=True)
    gsm8k = Gsm8k(train=f"{DATA}/gsm8k_train.jsonl", test=f"{DATA}/gsm8k_test.jsonl")
    mmlu = MmluPro(data=f"{DATA}/mmlu_pro_test_questions.jsonl.gz", categories=["physics", "history"])
    assert [len(domain.table().problems["test"]) for domain in (math, gsm8k, mmlu)] == [500, 1319, 1441]
    assert len(mmlu.table().problems["train"]) == 200
    assert len(gsm8k.take("test", 0, 1319)) == 1319


@needs_data
@pytest.mark.parametrize(("kind", "file"), [(HumanEvalPlus, "HumanEvalPlus"), (MbppPlus, "MbppPlus")])
@pytest.mark.parametrize("form", ["", "-OriginFmt"], ids=["inputs", "programs"])
def test_published_solutions_pass_and_mutated_ones_fail(kind, file, form):
    sandbox_or_skip()
    domain = kind(data=f"{DATA}/{file}{form}.jsonl.gz")
    for problem in domain.take("train", 0, 4):
        assert domain.grade(domain.reference(problem), problem).verdict == "correct"
        if kind is HumanEvalPlus and not form:
            body = problem.gold.rpartition('"""' if '"""' in problem.gold else "'''")[2]
            assert domain.grade(f"```python\n{body}\n```", problem).verdict == "correct"
            assert domain.grade(body.replace("return ", "return None and "), problem).verdict == "wrong"
        mutated = domain.reference(problem).replace("return ", "return None and ")
        assert domain.grade(mutated, problem).verdict == "wrong"
    assert json.dumps(problem.meta)


def test_an_optional_column_may_be_empty_and_must_exist(tmp_path):
    rows = [{"question": f"Is {n} odd?", "hint": "Halve it." if n % 2 else None, "answer": n} for n in range(8)]
    file = write_rows(tmp_path / "own.jsonl", rows)

    def questions(template):
        domain = UserRows(file=file, question=template, grader="number")
        return {problem.question for split in SPLITS for problem in domain.table().problems[split]}

    asked = questions("{question}\n\nHint: {hint?}\n\nThink {{well}}.")
    assert "Is 2 odd?\n\nThink {well}." in asked and "Is 3 odd?\n\nHint: Halve it.\n\nThink {well}." in asked
    for template, why in [
        ("{question} {hnt?}", "no row has 'hnt'"),
        ("{hint?}", "nothing in"),
        ("{hint}", "no 'hint'"),
    ]:
        with pytest.raises(DataError, match=why):
            questions(template)


def test_json_lines_may_be_called_json(tmp_path):
    path = tmp_path / "own.json"
    path.write_text("".join(json.dumps({"question": f"What is {n}?", "answer": n}) + "\n" for n in range(8)))
    assert len(UserRows(file={"path": str(path)}, grader="number").table().places) == 8
    path.write_text(path.read_text() + "{")
    with pytest.raises(DataError, match="own.json:9: not JSON"):
        UserRows(file={"path": str(path)}, grader="number").table()


def test_a_row_with_a_bare_comma_is_told_which_sign_to_quote(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("question,answer\nGo, or stay?,stay\n")
    with pytest.raises(DataError, match="own.csv:2: .* Quote fields that contain ',' or line ends"):
        UserRows(file={"path": str(path)}, grader="exact").table()


def test_long_questions_are_grouped_by_their_words():
    words = [f"w{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(3_000)]
    long, other = " ".join(words[:2_000]), " ".join(words[1_000:])
    near, far = long.replace(words[700], "another"), " ".join(words[:1_500] + words[2_000:2_500])
    assert similar_groups(range(4), [long, other, near, far], 0.95) == [[0, 2], [1], [3]]
    edge = long[:4_990]
    assert similar_groups(range(2), [edge, f"{edge} and some more"], 0.95) == [[0, 1]]
    assert similar_groups(range(2), [f"{long} 1", f"{long} 2"], 0.95) == [[0], [1]]
    chinese = "".join(chr(0x4E00 + n % 997) for n in range(6_000))
    assert similar_groups(range(2), [chinese, chinese.replace("一", "丁", 3)], 0.95) == [[0, 1]]


def test_long_questions_take_time_in_proportion_to_their_length():
    texts = [" ".join(f"w{(n * 7 + number) % 9_973:x}".replace("0", "o") for n in range(40_000)) for number in range(8)]
    started = time.process_time()
    similar_groups(texts, texts, 0.95)
    assert time.process_time() - started < 10
