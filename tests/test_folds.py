"""Cross-validation on few rows: each is measured once, by a model that did not see it; the last model sees all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import tiny_model
from warmup_rl.base.errors import RecipeError, UserError
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.cli.check import plan
from warmup_rl.cli.command import Command, parse, selection
from warmup_rl.interfaces.domain import each_fold
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.recipe.load import load_recipe
from warmup_rl.report.load import load
from warmup_rl.report.main import report
from warmup_rl.run.pipeline import TrialRunner
from warmup_rl.run.trial import Trial

STAGES, TINY = (Path(__file__).with_name(name) for name in ("fold_stages.py", "tiny.py"))
RECIPE = f"""
run_name: few
domains:
  adding: {{type: "{TINY}:Adding"}}
  mine: {{type: jsonl, file: FILE, grader: number, folds: 3}}
evaluation: {{problems: 6, curve_problems: 6, every: 1, samplings: {{greedy: {{max_tokens: 8}}}}}}
claims: {{warmup: long, base: short}}
arms: {{long: {{}}, short: {{leave_out: [warm]}}}}
stages:
  - {{type: "{STAGES}:Begin", id: begin}}
  - {{type: "{STAGES}:Learn", id: warm, domain: adding, problems: 20}}
  - {{type: "{STAGES}:Measure", id: before}}
  - {{type: "{STAGES}:Learn", id: learn, domain: mine}}
  - {{type: "{STAGES}:Measure", id: after}}
"""
ROWS = 11


def rows_file(folder, count=ROWS):
    lines = [f"{n} + {n * n % 80} =,{n + n * n % 80}" for n in range(20, 20 + count)]
    file = folder / "mine.csv"
    file.write_text("\n".join(["question,answer", *lines]) + "\n")
    return file


@pytest.fixture
def recipe_file(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE.replace("FILE", str(rows_file(tmp_path))))
    return file


def loaded(file, *overrides):
    return load_recipe(str(file), [f"output_dir={file.parent / 'outputs'}", *overrides], draw=True)


def trials(recipe):
    return [Trial(recipe, arm, 0, fold) for arm in recipe.arms for fold in recipe.folds]


def run(recipe, folds=(0, 1, 2, None)):
    for trial in trials(recipe):
        if trial.fold in folds:
            TrialRunner(trial, LaunchEnv(), lambda line: None).run()
    folder = Path(recipe.output_dir) / "few"
    (folder / "recipe.yaml").write_text(json.dumps(recipe.resolved()))
    (folder / "run.json").write_text(json.dumps({"public": [], "for_warmup": []}))
    return folder


def output(trial, stage):
    return next(trial.entry(step).folder for step in trial.stages if step.stage.id == stage)


def completed(trial, domain="mine"):
    rows = read_jsonl(output(trial, "after") / "completions.jsonl")
    return [row["problem_id"] for row in rows if row["domain"] == domain]


def trained(trial):
    return set(json.loads((output(trial, "learn") / "model" / "trained.json").read_text()))


def every_id(recipe):
    return {problem.id for problem in recipe.domains["mine"].table().problems["train"]}


def test_every_row_is_measured_once_by_a_model_that_did_not_see_it(recipe_file):
    recipe = loaded(recipe_file)
    run(recipe)
    for arm in recipe.arms:
        folds = [Trial(recipe, arm, 0, fold) for fold in range(3)]
        measured = [completed(trial) for trial in folds]
        assert sorted(sum(measured, [])) == sorted(every_id(recipe)) and len(every_id(recipe)) == ROWS
        for trial, ids in zip(folds, measured, strict=True):
            assert not trained(trial) & set(ids)
            assert trained(trial) >= every_id(recipe) - set(ids)


def test_the_last_model_is_trained_on_all_rows_and_measures_the_other_domains(recipe_file):
    recipe = loaded(recipe_file)
    run(recipe)
    last = Trial(recipe, "long", 0)
    assert trained(last) >= every_id(recipe)
    assert {row["domain"] for row in read_jsonl(output(last, "after") / "completions.jsonl")} == {"adding"}
    assert not (output(last, "learn") / "curve.jsonl").exists()
    assert last.folder == Path(recipe.output_dir) / "few" / "long" / "seed-0"
    assert Trial(recipe, "long", 0, 1).folder == last.folder / "fold-1"


def test_stages_that_do_not_read_the_folded_domain_are_made_once(recipe_file):
    recipe = loaded(recipe_file)
    keys = {
        name: [{step.stage.id: step.key for step in trial.stages}.get(name) for trial in trials(recipe)]
        for name in ("begin", "warm", "before", "learn", "after")
    }
    assert [len(set(keys[name]) - {None}) for name in keys] == [1, 1, 8, 8, 8]


def test_folds_go_side_by_side_and_the_report_pools_them(recipe_file):
    folder = recipe_file.parent / "outputs"
    settings = [f"output_dir={folder}", "domains.mine.folds=2", "--arm", "long"]
    command = [sys.executable, "-m", "warmup_rl.train", str(recipe_file), *settings]
    done = subprocess.run([*command, "--jobs", "2"], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 trials (arm, seed and fold), 2 at a time" in done.stdout
    assert "mine: 11 problems measured in 2 folds; differences of about 46 points" in done.stdout
    assert done.stdout.count("warm: starts") == 1
    text = (folder / "few" / "report" / "report.md").read_text()
    assert "folds: 2 on mine, each row measured by a model not trained on it; the last model uses all" in text
    assert "| mine | long | 11 | 11 | 11 | 11 |" in text


def test_the_report_pools_every_row_once(recipe_file):
    recipe = loaded(recipe_file)
    found = load(run(recipe))
    trial = found.trials["long"][0]
    cell = trial.end.cell("mine", "greedy")
    assert (cell.problems, cell.samples, cell.lenient) == (ROWS, 1, 1.0)
    assert trial.end.cell("adding", "greedy").problems == 6
    assert len([row for row in trial.end.completions("greedy") if row["domain"] == "mine"]) == ROWS
    assert [(point.step, point.problems, point.lenient) for point in trial.target.curve] == [
        (0, ROWS, 0.0),
        (1, ROWS, pytest.approx(0.1)),
        (2, ROWS, pytest.approx(0.2)),
    ]
    assert found.unfinished == () and found.measured == ("adding", "mine")


def test_a_missing_fold_is_reported_as_such_and_nothing_is_pooled_without_it(recipe_file):
    recipe = loaded(recipe_file)
    folder = run(recipe, folds=(0, 2, None))
    found = load(folder)
    assert found.trials["long"][0].end.cell("mine", "greedy") is None
    assert found.measured == ("adding",)
    assert found.unfinished == ("long, seed 0, fold 1: not started", "short, seed 0, fold 1: not started")
    assert "- long, seed 0, fold 1: not started" in report(folder).read_text()


def test_folds_are_pooled_where_the_last_model_is_missing(recipe_file):
    recipe = loaded(recipe_file)
    found = load(run(recipe, folds=(0, 1, 2)))
    assert found.trials["short"][0].end.cell("mine", "greedy").problems == ROWS
    assert "short, seed 0: not started" in found.unfinished


def test_the_plan_says_what_folds_do(recipe_file, capsys):
    plan(loaded(recipe_file), command=Command("recipe.yaml"))
    told = " ".join(capsys.readouterr().out.split())
    assert "2 arms, 1 seed, 3 folds and the last model" in told
    assert "mine: 3 folds of 3 to 4 rows; each of 11 rows is measured once, by a model that was not trained" in told
    assert "8 trials: 2 arms x 1 seed x (3 folds + the last)" in told
    assert "mine: 11 problems measured in 3 folds; differences of about 46 points" in told


def test_a_fold_can_be_run_alone(recipe_file):
    recipe = loaded(recipe_file)

    def chosen(*flags):
        return selection(parse(["r.yaml", *flags]), recipe)[2]

    assert chosen() == (0, 1, 2, None)
    assert chosen("--fold", "1", "--fold", "last") == (1, None)
    with pytest.raises(UserError, match="--fold: no fold 3. Folds: 0, 1, 2, last."):
        chosen("--fold", "3")
    with pytest.raises(UserError, match="--fold: a whole number"):
        chosen("--fold", "first")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["domains.other={type: jsonl, file: FILE, grader: number, folds: 2}"], "domain 'mine' has folds already"),
        (["evaluation.domains=[adding]"], "nothing measures domain 'mine'"),
        (["stages.learn.problems=9"], "7 exist with these settings. Ask for at most 7 in every fold."),
        (["domains.mine.folds=12"], "12 folds need as many rows that are not alike; there are 11"),
        (["domains.mine.holdout=3"], "give either holdout or folds"),
        (["stages.after.prompts=[open, free]"], "Set `validation` of domain 'mine', or measure one prompt style."),
    ],
    ids=["two domains", "not measured", "too many to train on", "too few rows", "holdout", "validation"],
)
def test_what_cannot_be_cross_validated_is_refused(recipe_file, overrides, says):
    file = str(recipe_file.parent / "mine.csv")
    with pytest.raises(RecipeError) as caught:
        loaded(recipe_file, *(text.replace("FILE", file) for text in overrides))
    assert says in str(caught.value)


def test_a_cross_validation_of_some_rows_is_planned_with_a_warning(recipe_file, capsys):
    recipe = loaded(recipe_file, "evaluation.problems=3")
    plan(recipe)
    printed = " ".join(capsys.readouterr().out.split())
    assert "9 of 11 rows are measured, each once" in printed
    assert "! evaluation.problems: 3 of the 4 rows of a fold are measured; 4 measures each row once." in printed


def test_rows_for_validation_are_in_no_fold(recipe_file):
    recipe = loaded(recipe_file, "domains.mine.validation=3")
    parts = each_fold(recipe.domains["mine"])
    kept = {problem.id for problem in parts[0].table().problems["validation"]}
    assert len(kept) == 3
    for part in [*parts, recipe.domains["mine"]]:
        table = part.table().problems
        assert {problem.id for problem in table["validation"]} == kept
        assert not kept & {problem.id for problem in (*table["train"], *table["test"])}


def test_real_stages_cross_validate(tmp_path):
    model = tiny_model(tmp_path / "model", response_format=ResponseFormat().asks(terse=False))
    file = tmp_path / "recipe.yaml"
    file.write_text(f"""
run_name: few
model: {model}
domains:
  adding: {{type: "{TINY}:Adding"}}
  mine: {{type: jsonl, file: {rows_file(tmp_path, 6)}, grader: number, folds: 2, alike: 1.0}}
evaluation: {{problems: 4, curve_problems: 4, every: 1, samplings: {{greedy: {{max_tokens: 8}}}}}}
stages:
  - {{type: evaluate, id: before}}
  - {{type: rlvr, domain: mine, problems: all, steps: 1, prompts_per_step: 2, generations: 2,
     sampling: {{max_tokens: 8}}}}
  - {{type: evaluate, id: after}}
""")
    recipe = loaded(file)
    run(recipe)
    files = [output(trial, "rlvr") / "rollouts.jsonl" for trial in trials(recipe)]
    rollouts = [{row["problem_id"] for row in read_jsonl(file)} for file in files]
    measured = [completed(trial) for trial in trials(recipe)]
    assert sorted(measured[0] + measured[1]) == sorted(every_id(recipe)) and measured[2] == []
    for shown, asked in zip(rollouts, measured, strict=True):
        assert shown and not shown & set(asked)
    summary = json.loads((output(trials(recipe)[2], "rlvr") / "stage.json").read_text())["summary"]
    assert summary["problems"] == 6
