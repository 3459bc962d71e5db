"""The domain, grader, teacher and cleaner under `examples/` work together in a recipe that the command line runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from warmup_rl.base.config import Sampling
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import Request, Score, Trace
from warmup_rl.interfaces.cleaner import CleanContext, Dropped
from warmup_rl.interfaces.conformance import assert_conforms, run_checks
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import load
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.recipe.load import load_recipe
from warmup_rl.run.pipeline import TrialRunner
from warmup_rl.run.trial import Trial

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def example(kind, name, **settings):
    return load(kind, f"{EXAMPLES}/{name}").model_validate(settings)


def test_the_domain_grades_its_own_answers_and_no_others():
    domain = example("domain", "domain.py:Parity")
    for problem in domain.take("test", 0, 20):
        assert domain.grade(domain.reference(problem), problem).verdict == "correct"
        assert domain.grade("even" if problem.gold == "odd" else "Odd.", problem).verdict == "wrong"
        assert domain.grade("both", problem).verdict == "none"


def test_the_teacher_answers_every_problem_right():
    domain, teacher = example("domain", "domain.py:Parity"), example("engine", "teacher_engine.py:Enumerator")
    problems = {problem.id: problem for problem in domain.take("train", 0, 20)}
    requests = [Request(problem, domain.prompt(problem)) for problem in problems.values()]
    with teacher.open(EngineContext({"parity": domain}, ResponseFormat(), 0)) as session:
        made = list(session.complete(iter(requests), Sampling()))
    assert len(made) == 20
    assert all(domain.grade(one.text, problems[one.problem_id]).verdict == "correct" for one in made)


def test_the_cleaner_drops_long_repetitions_and_goes_on_where_it_was():
    step, kept = example("cleaner", "cleaner.py:PreferShort"), []

    def trace(words):
        return Trace("p", "d", (), "word " * words, "x", Score("correct", "x", True), "t")

    context = {"domains": {}, "problems": {}, "count_tokens": lambda text: len(text.split())}
    clean = step.start(CleanContext(**context, remember=kept.append))
    assert [isinstance(clean(trace(words)), Dropped) for words in (10, 15, 16, 8)] == [False, False, True, False]
    again = step.start(CleanContext(**context, remembered=json.loads(json.dumps(kept))))
    assert isinstance(again(trace(16)), Dropped)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [("1:30", "correct"), ("89 min", "correct"), ("1 h 30", "correct"), ("2 h", "wrong"), ("soon", "none")],
)
def test_the_grader_reads_durations(tmp_path, answer, verdict):
    rows = [{"question": f"How long {n}?", "answer": f"1:{n:02d}"} for n in range(10, 50)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    settings = {"file": str(tmp_path / "rows.jsonl"), "question": "question", "answer": "answer", "holdout": 5}
    domain = load("domain", "jsonl").model_validate({**settings, "grader": f"python: {EXAMPLES}/grader.py:grade"})
    problem = next(one for one in domain.problems("train", 0) if one.gold == "1:30")
    assert domain.grade(answer, problem).verdict == verdict


ORDERS = [
    {"question": f"Sort {n} things by size: ant, cat, elephant", "answer": "ant > cat > elephant"} for n in range(12)
]


def order_rows(folder):
    write_jsonl(
        folder / "rows.jsonl", [*ORDERS, {"question": "Sort by weight: feather, brick", "answer": "Feather>brick"}]
    )
    grader = {"type": f"{EXAMPLES}/order_grader.py:Order", "separator": ">"}
    return load("domain", "jsonl").model_validate({"file": str(folder / "rows.jsonl"), "grader": grader, "alike": 1})


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [("ant > cat > elephant", "correct"), ("Ant>cat >elephant.", "correct"), ("cat > ant > elephant", "wrong"),
     ("ant > cat", "none"), ("ant, cat, elephant", "none")],
)  # fmt: skip
def test_the_grader_class_reads_orders(tmp_path, answer, verdict):
    domain = order_rows(tmp_path)
    problem = next(one for one in domain.problems("train", 0) if "ant" in one.gold)
    assert domain.grade(answer, problem).verdict == verdict
    assert domain.chance_accuracy(problem) == pytest.approx(1 / 6)
    assert domain.prompt(problem)[0]["content"].endswith("Answer with the list in its order, and nothing else.")


def test_the_grader_class_conforms_and_a_row_that_it_cannot_use_is_named_once(tmp_path):
    assert_conforms(order_rows(tmp_path))
    write_jsonl(tmp_path / "rows.jsonl", [*ORDERS, {"question": "Which is heavier?", "answer": "brick"}])
    grader = {"type": f"{EXAMPLES}/order_grader.py:Order", "separator": ">"}
    domain = load("domain", "jsonl")(file=str(tmp_path / "rows.jsonl"), grader=grader)
    failed = [result.note for result in run_checks(domain) if result.status == "failed"]
    assert failed[0].endswith("rows.jsonl:13: an order of two or more things is needed (got 'brick').")
    assert set(failed[1:]) == {'the same as "there are problems to train on and to measure"'}


def test_a_recipe_takes_all_of_them(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    for name in ("domain.py", "teacher_engine.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    recipe.write_text(
        f"""
run_name: parity
output_dir: {tmp_path}/out
domains: {{parity: {{type: {tmp_path}/domain.py:Parity}}}}
stages:
  - {{type: distill, domain: parity, problems: 20, teacher: {{type: "{tmp_path}/teacher_engine.py:Enumerator"}}}}
"""
    )
    trial = Trial(load_recipe(str(recipe)), "main", 0)
    TrialRunner(trial, LaunchEnv(), lambda line: None).run()
    traces = list(read_jsonl(trial.entry(trial.stages[0]).folder / "traces.jsonl"))
    assert len(traces) == 20 and all(row["score"]["verdict"] == "correct" for row in traces)
