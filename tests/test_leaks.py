"""What was trained on is not measured: leaks are found before anything runs, and named; splits are written down."""

import csv
import functools
import json
import random
from pathlib import Path

import pytest

from tests.rows_data import math_rows, write_rows
from warmup_rl.base.errors import RecipeError, RunError
from warmup_rl.base.types import Problem
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.domains.math import Math
from warmup_rl.domains.mmlu_pro import MmluPro
from warmup_rl.domains.overlap import Evaluated
from warmup_rl.interfaces.domain import problem_id
from warmup_rl.interfaces.stage import DataRequest, LaunchEnv
from warmup_rl.recipe.leaks import StageRequest, leaks, refuse
from warmup_rl.recipe.load import load_recipe
from warmup_rl.run.pipeline import PROBLEMS, TrialRunner
from warmup_rl.run.provenance import refuse_leaks
from warmup_rl.run.trial import Trial
from warmup_rl.train import main as train

STAGES, TINY = (Path(__file__).with_name(name) for name in ("fold_stages.py", "tiny.py"))
DATA = Path("../shared/data")
LONG = (
    "A train leaves the old station at seven in the morning with {n} passengers, of whom a third get off in Arden and "
    "twice as many get on there. How many passengers are on the train when it comes to Belton?"
)


def recipe(tmp_path, domains, evaluated, trains="mine"):
    file = tmp_path / "recipe.yaml"
    file.write_text(f"""
run_name: leaky
output_dir: {tmp_path / "outputs"}
domains: {json.dumps(domains)}
evaluation: {{domains: {json.dumps(evaluated)}, problems: 20, samplings: {{greedy: {{max_tokens: 8}}}}}}
arms: {{long: {{}}, short: {{leave_out: [learn]}}}}
stages:
  - {{type: "{STAGES}:Begin", id: begin}}
  - {{type: "{STAGES}:Measure", id: before}}
  - {{type: "{STAGES}:Learn", id: learn, domain: {trains}, problems: 5}}
  - {{type: "{STAGES}:Measure", id: after}}
""")
    return file


def table(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["question", "answer"], *rows])
    return str(path)


def asked(stage, domain, split, count=50, use=None):
    return StageRequest("", stage, DataRequest(domain.name, split, count, "problems", use=use), domain, 0)


def found(*stages):
    return list(leaks([[[one] for one in stages]]))


def test_a_file_whose_puzzles_are_evaluated_in_other_names_is_refused(tmp_path):
    evaluated = KnightsKnaves(name="kk", people=3)
    other = KnightsKnaves(name="warm", people=3, perturb="names")
    same = found(asked("distill", _as_training(other), "train"), asked("after", evaluated, "test"))
    assert len(same) == 50 and {leak.found.why for leak in same} == {"same puzzle"}
    with pytest.raises(RunError) as caught:
        refuse(same)
    told = str(caught.value).splitlines()
    assert told[0] == (
        "stage 'distill' trains on 50 problems of domain 'warm' that stage 'after' evaluates on (domain 'kk'):"
    )
    assert len(told) == 6 and told[4] == "  and 47 more" and same[0].problem.id in told[1]


def _as_training(domain):
    """The domain with its test problems for training."""

    class Turned(type(domain)):
        def problems(self, split, seed):
            return super().problems({"train": "test", "test": "train"}.get(split, split), seed)

    return Turned.model_validate({**domain.model_dump(exclude_unset=True), "name": domain.name})


def test_published_puzzles_do_not_leak_into_generated_ones(tmp_path):
    english = KnightsKnaves(name="kk", people=(3, 5))
    assert not found(asked("distill", english, "train", 200), asked("after", english, "test", 100))


def test_what_is_measured_before_the_training_alone_is_no_leak():
    domain = KnightsKnaves(name="kk", people=3, phrasing="terse")
    train, test = asked("learn", _as_training(domain), "train"), asked("measure", domain, "test")
    assert not found(test, train) and len(found(train, test)) == 50


def test_the_curve_of_a_training_counts_and_so_do_examples_in_a_prompt():
    domain = KnightsKnaves(name="kk", people=3, phrasing="terse")
    own = _as_training(domain)
    assert list(leaks([[[asked("rlvr", own, "train"), asked("rlvr", domain, "test", use="curve")]]]))
    shown = asked("before", own, "train", 2, "examples")
    assert len(list(leaks([[[shown, asked("before", domain, "test")]]]))) == 2
    assert not list(leaks([[[shown], [asked("after", domain, "test")]]]))


def two_files(tmp_path, question):
    """A recipe that trains on all but one row of a file with the question, and evaluates on another with LONG."""
    other = [[f"Which number comes {n} after the one that is {n} more than {n * n}?", n] for n in range(20)]
    mine = table(tmp_path / "mine.csv", [*other[:10], [question, 3]])
    theirs = table(tmp_path / "theirs.csv", [*other[10:], [LONG.format(n=90), 150]])
    own = {"type": "jsonl", "grader": "number"}
    domains = {"mine": {**own, "file": mine, "holdout": 1}, "theirs": {**own, "file": theirs, "holdout": 10}}
    return recipe(tmp_path, domains, ["theirs"])


@pytest.mark.parametrize(
    ("question", "why"),
    [(LONG.format(n=90).upper() + " ", "same problem"), (LONG.format(n=90).replace(",", ";"), "same question"),
     (LONG.format(n=96), "words of an evaluation problem")],
    ids=["in capitals", "other commas", "another number"],
)  # fmt: skip
def test_a_problem_of_one_data_set_in_another_is_found_before_anything_runs(tmp_path, question, why):
    with pytest.raises(RunError) as caught:
        load_recipe(two_files(tmp_path, question), ["stages.learn.problems=10"], draw=True)
    told = str(caught.value)
    assert "stage 'learn' trains on 1 problem of domain 'mine' that stage 'after' evaluates on" in told
    assert "(domain 'theirs')" in told and why in told


def test_another_problem_of_the_same_kind_is_no_leak(tmp_path):
    load_recipe(two_files(tmp_path, "How many legs have two dogs and a hen?"), ["stages.learn.problems=10"], draw=True)


def test_a_run_with_a_leak_is_refused_and_leaves_nothing(tmp_path, capsys):
    rows = [[LONG.format(n=n).replace("train", f"train number {n * n}"), n] for n in range(12)]
    mine = table(tmp_path / "mine.csv", rows)
    theirs = table(tmp_path / "theirs.csv", rows)
    own = {"type": "jsonl", "grader": "number", "alike": 1.0}
    domains = {"mine": {**own, "file": mine, "holdout": 1}, "theirs": {**own, "file": theirs, "holdout": 11}}
    file = recipe(tmp_path, domains, ["theirs"])
    assert train([str(file), "--jobs", "1"]) == 2
    assert "long, seed 0: stage 'learn' trains on 5 problems of domain 'mine'" in capsys.readouterr().err
    assert not (tmp_path / "outputs" / "leaky").exists()
    assert train([str(file), "--arm", "short", "--dry-run"]) == 2


def test_trials_without_leaks_are_compared_again_only_if_something_has_changed(tmp_path, monkeypatch):
    compared = []

    @functools.wraps(leaks)
    def counted(trials):
        compared.append(len(held := list(trials)))
        return leaks(held)

    def look(*seeds):
        refuse_leaks(load_recipe(str(file)), [("long", seed, None) for seed in seeds])

    monkeypatch.setattr("warmup_rl.run.provenance.leaks", counted)
    file = two_files(tmp_path, "How many legs do five spiders and two ants have together?")
    for seeds in ((0,), (0, 1), (0, 1)):
        look(*seeds)
    assert compared == [1, 1, 0]
    two_files(tmp_path, "How many legs do six spiders and two ants have together?")
    look(0, 1)
    assert compared[3:] == [2]
    two_files(tmp_path, LONG.format(n=90))
    for _ in range(2):  # what was refused is refused again
        with pytest.raises(RunError, match="trains on"):
            refuse_leaks(load_recipe(str(file), ["stages.learn.problems=10"]), [("long", 0, None)])


def test_which_problems_a_stage_touched_is_written_down(tmp_path):
    rows = table(tmp_path / "m.csv", [[f"{n} and {n * n}?", n] for n in range(12)])
    own = {"type": "jsonl", "file": rows, "grader": "number", "holdout": 4}
    domains = {"mine": own, "adding": {"type": f"{TINY}:Adding", "below": 20}}
    loaded = load_recipe(str(recipe(tmp_path, domains, ["mine", "adding"])), ["evaluation.every=1"], draw=True)
    trial = Trial(loaded, "long", 0)
    TrialRunner(trial, LaunchEnv(), lambda line: None).run()
    touched = {step.stage.id: json.loads((trial.entry(step).folder / PROBLEMS).read_text()) for step in trial.stages}
    mine = loaded.domains["mine"]
    test = [problem.id for problem in mine.problems("test", 0)]
    assert touched["begin"] == {}
    assert touched["learn"] == {
        "training": {"mine": [problem.id for problem in mine.take("train", 0, 5)]},
        "curve": {"mine": test},
    }
    assert touched["after"]["measurement"]["mine"] == test and len(touched["after"]["measurement"]["adding"]) == 20


def test_rows_of_a_published_train_split_that_repeat_a_test_problem_are_left_out(tmp_path):
    near = {"problem": LONG.format(n=96), "answer": "1", "level": "Level 1", "subject": "Algebra"}
    train = write_rows(tmp_path / "train.jsonl", [*math_rows(0, 30), near])
    test = write_rows(tmp_path / "test.jsonl", [*math_rows(40, 9), {**near, "problem": LONG.format(n=90)}])
    tab = Math(train=train, test=test).table()
    assert tab.left_out == {"like a test problem": 1} and len(tab.problems["test"]) == 10


@pytest.mark.skipif(not DATA.is_dir(), reason="the benchmark files are not beside the repository")
def test_splits_of_published_data_do_not_leak():
    maths = Math(train=f"{DATA}/math_train.jsonl", test=f"{DATA}/math500.jsonl", drop_bad_golds=True)
    choices = MmluPro(data=f"{DATA}/mmlu_pro_test_questions.jsonl.gz", categories=["physics"])
    for domain in (maths, choices):
        table = domain.table().problems
        assert not list(Evaluated(table["test"], domain.canonical).repeated([*table["train"], *table["validation"]]))


def test_boilerplate_is_no_leak_and_a_repeat_among_it_is():
    rng = random.Random(3)
    start = "You are given a list of numbers. Your task is to say which of them is the largest, and nothing else: "

    def problem(domain):
        question = start + " ".join(str(rng.randrange(10**6)) for _ in range(20))
        return Problem(problem_id([domain, question]), domain, question, "1")

    evaluated, others = [problem("a") for _ in range(30)], [problem("b") for _ in range(30)]
    copy = Problem("copy", "b", evaluated[4].question + " 17", "1")
    repeated = list(Evaluated(evaluated, lambda problem: None).repeated([*others, copy]))
    assert [(one.id, found.problem_id) for one, found in repeated] == [("copy", evaluated[4].id)]


def test_everything_else_that_is_wrong_comes_first(tmp_path):
    domains = {"adding": {"type": f"{TINY}:Adding"}}
    with pytest.raises(RecipeError, match="stages.learn.problems|5000 train problems"):
        load_recipe(str(recipe(tmp_path, domains, ["adding"], "adding")), ["stages.learn.problems=5000"], draw=True)
