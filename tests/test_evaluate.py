"""The evaluate stage and the figures it makes out of completions."""

import json
from dataclasses import asdict

import pytest
from pydantic import ValidationError

from tests.tiny import Adding, tiny_model
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import ContractError, SpaceError, UserError
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.measurement import cells, summarize, without_signal
from warmup_rl.interfaces.stage import Artifacts, Context, LaunchEnv
from warmup_rl.stages.evaluate import Evaluate

DOMAINS = {"small": Adding(name="small"), "large": Adding(name="large", below=20)}
SETTINGS = EvaluationSettings(
    problems=4,
    validation=3,
    batch_size=4,
    samplings={"greedy": Sampling(max_tokens=8), "drawn": Sampling(temperature=1.0, max_tokens=8, samples=2)},
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))


ALONE, OPEN = LaunchEnv(), ResponseFormat()


def context(folder, model, *, launch_env=ALONE, seed=0, settings=SETTINGS, form=OPEN, lines=None):
    folder.mkdir(exist_ok=True)
    return Context(
        folder=folder,
        inputs=Artifacts(model=str(model)),
        domains=DOMAINS,
        response_format=form,
        evaluation=settings,
        seed=seed,
        launch_env=launch_env,
        say=(lines if lines is not None else []).append,
    )


def completions(folder):
    return list(read_jsonl(folder / "completions.jsonl"))


def test_every_problem_is_completed_under_every_sampling(tmp_path, model):
    lines: list[str] = []
    summary = Evaluate().run(context(tmp_path / "out", model, lines=lines))
    rows = completions(tmp_path / "out")
    assert len(rows) == 2 * (4 + 4 * 2)
    shown = ("split", "prompt", "sampling", "domain")
    assert {tuple(cell[key] for key in shown) for cell in summary["cells"]} == {
        ("test", "open", sampling, domain) for sampling in ("greedy", "drawn") for domain in DOMAINS
    }
    assert summary["cells"] == [asdict(cell) for cell in cells(rows)]
    assert json.loads(json.dumps(summary)) == summary
    assert lines[0].startswith("test, prompt open, greedy: small 0.") and lines[1].startswith(
        "test, prompt open, drawn"
    )
    assert len(lines) == 2
    assert {"question", "gold", "text", "tokens", "truncated", "chance", "group", "score"} <= rows[0].keys()


def test_several_prompts_are_measured_on_validation_too(tmp_path, model):
    summary = Evaluate(prompts=["open", "free", "few_shot"]).run(context(tmp_path / "out", model))
    found = {(cell["split"], cell["prompt"], cell["sampling"]) for cell in summary["cells"]}
    styles = ("open", "free", "few_shot")
    assert found == {("test", style, sampling) for style in styles for sampling in ("greedy", "drawn")} | {
        ("validation", style, "greedy") for style in styles
    }
    ids = {
        split: {
            row["problem_id"]
            for row in completions(tmp_path / "out")
            if row["split"] == split and row["domain"] == "large"
        }
        for split in ("test", "validation")
    }
    assert not ids["test"] & ids["validation"]


def test_number_of_ranks_and_batch_size_change_nothing(tmp_path, model):
    stage = Evaluate(prompts=["open", "few_shot"])
    alone = stage.run(context(tmp_path / "alone", model))
    settings = SETTINGS.model_copy(update={"batch_size": 3})
    for rank in (2, 1, 0):
        launch_env = LaunchEnv(rank=rank, size=3, local_rank=rank, distribution="ddp")
        together = stage.run(context(tmp_path / "together", model, launch_env=launch_env, settings=settings))
        assert rank == 0 or together == {}
    assert together == alone
    assert completions(tmp_path / "together") == completions(tmp_path / "alone")
    assert [path.name for path in (tmp_path / "together").iterdir()] == ["completions.jsonl"]


def test_seed_changes_what_is_drawn_but_neither_problems_nor_greedy_completions(tmp_path, model):
    rows = {}
    for seed in (0, 1):
        Evaluate().run(context(tmp_path / str(seed), model, seed=seed))
        rows[seed] = completions(tmp_path / str(seed))
    assert [row["problem_id"] for row in rows[0]] == [row["problem_id"] for row in rows[1]]
    texts = {
        seed: {name: [row["text"] for row in rows[seed] if row["sampling"] == name] for name in SETTINGS.samplings}
        for seed in rows
    }
    assert texts[0]["greedy"] == texts[1]["greedy"] and texts[0]["drawn"] != texts[1]["drawn"]


def test_few_shot_prompts_show_solved_train_problems():
    stage, where = (
        Evaluate(prompts=["few_shot"], shots=3),
        Context(
            folder=None,
            inputs=Artifacts(),
            domains=DOMAINS,
            response_format=ResponseFormat(),
            evaluation=SETTINGS,
            seed=0,
        ),
    )
    turns = stage._examples(where, "few_shot")["large"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 3
    train = {problem.question: problem.gold for problem in DOMAINS["large"].problems("train", 0)}
    for asked, answered in zip(turns[::2], turns[1::2], strict=True):
        assert answered["content"] == f"<answer> {train[asked['content']]} </answer>"


def test_model_of_another_format_is_refused_before_it_is_loaded(tmp_path, model):
    with pytest.raises(ContractError, match="response_format"):
        Evaluate().run(context(tmp_path / "out", model, form=ResponseFormat(think="free")))


def test_too_few_problems_are_found_when_the_stage_is_prepared(tmp_path, model):
    with pytest.raises(SpaceError, match="'small': 100 test problems"):
        Evaluate().prepare(context(tmp_path, model, settings=SETTINGS.model_copy(update={"problems": 100})))


def test_budget_beyond_the_context_is_a_clear_error(tmp_path, model):
    settings = SETTINGS.model_copy(update={"samplings": {"greedy": Sampling(max_tokens=1000)}})
    with pytest.raises(UserError, match="model's context of 256"):
        Evaluate().run(context(tmp_path / "out", model, settings=settings))


def test_prompts_are_checked():
    assert Evaluate(prompts=["open", "open"]).check(world_size=1)[0].startswith("prompts: ")
    assert Evaluate(prompts=["open", "free"]).check(world_size=4) == []
    with pytest.raises(ValidationError):
        Evaluate(prompts=["closed"])


def row(**changes):
    score = {"verdict": "correct", "extracted": "1", "well_formed": True, "shows_work": True, "outcome": "correct"}
    base = {
        "split": "test",
        "prompt": "open",
        "sampling": "greedy",
        "domain": "a",
        "problem_id": "p",
        "sample": 0,
        "tokens": 10,
        "truncated": False,
        "chance": 0.25,
        "group": None,
    }
    return {
        **base,
        **{key: value for key, value in changes.items() if key in base},
        "score": {**score, **{key: value for key, value in changes.items() if key in score}},
    }


def test_figures_keep_form_and_answer_apart():
    rows = [
        row(problem_id="p1"),
        row(problem_id="p2", well_formed=False, outcome="bad_format", shows_work=False),
        row(problem_id="p3", verdict="none", outcome="no_answer", tokens=30, truncated=True),
        row(problem_id="p4", verdict="wrong", outcome="wrong"),
    ]
    assert summarize(rows) == {
        "problems": 4,
        "samples": 1,
        "lenient": 0.5,
        "strict": 0.25,
        "well_formed": 0.75,
        "truncated": 0.25,
        "shows_work": 0.75,
        "tokens": 15.0,
        "chance": 0.25,
        "outcomes": {"bad_format": 1, "correct": 1, "no_answer": 1, "wrong": 1},
    }


def test_thinking_is_unknown_where_no_domain_can_tell():
    assert summarize([row(shows_work=None)])["shows_work"] is None


def test_accuracy_is_broken_down_by_group_within_a_cell():
    rows = [
        row(problem_id="p1", group="people=2"),
        row(problem_id="p2", group="people=2", verdict="wrong"),
        row(problem_id="p3", group="people=3"),
        row(domain="b", problem_id="p4"),
    ]
    first, second = cells(rows)
    assert first.by == {"people=2": {"problems": 2, "lenient": 0.5}, "people=3": {"problems": 1, "lenient": 1.0}}
    assert (second.domain, second.by) == ("b", {})


def test_samples_of_a_problem_count_once_as_problem():
    found = summarize([row(problem_id=name, sample=sample) for name in "pq" for sample in range(3)])
    assert (found["problems"], found["samples"]) == (2, 3)


def test_a_killed_evaluation_goes_on_at_the_completion_where_it_stopped(tmp_path, model, monkeypatch):
    import warmup_rl.stages.evaluate as module

    whole = context(tmp_path / "whole", model)
    Evaluate().run(whole)
    rows, lines = completions(tmp_path / "whole"), []
    complete = module.complete_and_score
    calls = []

    def dies(*args, **options):
        calls.append(len(args[2]))
        for number, row in enumerate(complete(*args, **options)):
            yield row
            if number == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(module, "complete_and_score", dies)
    monkeypatch.setattr(module, "_SYNC_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        Evaluate().run(context(tmp_path / "out", model))
    monkeypatch.setattr(module, "complete_and_score", complete)
    Evaluate().run(context(tmp_path / "out", model, lines=lines))
    assert "3 completions from an earlier run" in lines
    assert completions(tmp_path / "out") == rows
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["completions.jsonl"]


def test_solved_examples_show_worked_solutions_where_there_are_any(tmp_path):
    from warmup_rl.nano.sums import Sums

    where = Context(
        folder=None, inputs=Artifacts(), domains={"sums": Sums(name="sums")}, response_format=ResponseFormat(),
        evaluation=SETTINGS.model_copy(update={"domains": ["sums"]}), seed=0,
    )  # fmt: skip
    bare = Evaluate(prompts=["few_shot"])._examples(where, "few_shot")["sums"][1]["content"]
    worked = Evaluate(prompts=["few_shot_cot"])._examples(where, "few_shot_cot")["sums"][1]["content"]
    assert bare.startswith("<answer>") and worked.startswith("<think>") and "remainder" in worked
    assert worked.endswith(bare)


def test_a_domain_without_a_correct_answer_is_said_to_have_no_signal():
    rows = [row(problem_id=f"p{n}", verdict="wrong", outcome="wrong") for n in range(3)]
    (line,) = without_signal(cells(rows))
    assert line.startswith("a: none of 3 answers is correct under any prompt style")
    assert without_signal(cells([*rows, row(problem_id="p9")])) == []
