"""Traces from a teacher to a clean corpus: scored by the domain, counted, and resumed without repeating anything."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import ClassVar

import pytest
from pydantic import ValidationError

from tests.tiny import Adding, tiny_model
from warmup_rl.__main__ import main
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import DataError, RunError, SpaceError, UserError
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import Completion, Request, Trace, trace_from_json
from warmup_rl.data.traces import open_problems
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped
from warmup_rl.interfaces.engine import Engine, EngineContext, Session
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Artifacts, Context
from warmup_rl.nano.sums import Sums
from warmup_rl.stages.clean import Clean
from warmup_rl.stages.distill import Distill

HERE = __name__
OPEN, FREE = ResponseFormat(think="open"), ResponseFormat(think="free")


class Adder(Engine):
    """Adds; is wrong on every third problem it meets, and dies after `dies_after` completions."""

    type: ClassVar[str] = "adder"
    apart: bool = True
    dies_after: int | None = None

    asked: ClassVar[list[tuple[str, int]]] = []

    @contextmanager
    def open(self, context: EngineContext) -> Iterator[Session]:
        yield _AdderSession(self, context)


class _AdderSession:
    def __init__(self, config: Adder, context: EngineContext) -> None:
        self.config, self.context = config, context

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        for count, request in enumerate(requests):
            if self.config.dies_after is not None and count >= self.config.dies_after:
                raise KeyboardInterrupt
            problem = request.problem
            Adder.asked.append((problem.id, request.sample))
            wrong = int(problem.id, 16) % 3 == 0
            thinking, answer = f"so {problem.question} {problem.gold}", "99" if wrong else problem.gold
            if self.config.apart:
                yield Completion(problem.id, request.sample, answer, 9, False, thinking=thinking)
            else:
                text = self.context.response_format.render(thinking=thinking, answer=answer)
                cut = text.partition("</think>")[0] if wrong else text
                yield Completion(problem.id, request.sample, cut, 9, wrong)


class Shorten(Cleaner):
    """Cuts the first word of the thinking."""

    type: ClassVar[str] = "shorten"

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        return lambda trace: replace(trace, thinking=trace.thinking.partition(" ")[2])


def context(folder, *, form=OPEN, seed=0, **inputs):
    folder.mkdir(exist_ok=True)
    return Context(
        folder=folder,
        inputs=Artifacts(**inputs),
        domains={"sums": Adding(name="sums")},
        response_format=form,
        evaluation=EvaluationSettings(),
        seed=seed,
    )


def distill(**fields):
    teacher = {"type": f"{HERE}:Adder", **fields.pop("teacher", {})}
    return Distill(domain="sums", problems=fields.pop("problems", 12), teacher=teacher, **fields)


def read_problems(traces_file):
    return dict(open_problems(traces_file.with_name("problems.jsonl")))


def traces(folder):
    return [trace_from_json(row) for row in read_jsonl(folder / "traces.jsonl")]


@pytest.mark.parametrize("form", [OPEN, FREE], ids=["open", "free"])
@pytest.mark.parametrize("apart", [True, False], ids=["thinking apart", "thinking in tags"])
def test_traces_are_what_the_domain_scores_correct(tmp_path, form, apart):
    where = context(tmp_path / "out", form=form)
    summary = distill(teacher={"apart": apart}).run(where)
    kept, every = traces(where.folder), list(read_jsonl(where.folder / "completions.jsonl"))
    problems = read_problems(where.traces_file)
    assert len(every) == 12 and 0 < len(kept) == summary["traces"] == summary["correct"] < 12
    assert {key: value for key, value in summary.items() if value} == {
        "domain": "sums", "problems": 12, "completions": 12, "traces": len(kept), "correct": len(kept), "tokens": 108,
        "requests": 12, **({} if apart else {"no_answer": 12 - len(kept)}),
    }  # fmt: skip
    for trace in kept:
        problem = problems[trace.problem_id]
        text = form.render(thinking=trace.thinking, answer=trace.answer)
        assert trace.score == where.domains["sums"].score(text, problem, form)
        assert (trace.score.outcome, trace.answer, trace.messages) == (
            "correct",
            problem.gold,
            where.domains["sums"].prompt(problem),
        )


def test_problems_are_train_problems_of_the_seed(tmp_path):
    found = {}
    for seed in (0, 1):
        where = context(tmp_path / str(seed), seed=seed)
        distill().run(where)
        found[seed] = list(read_problems(where.traces_file))
        assert found[seed] == [problem.id for problem in where.domains["sums"].take("train", seed, 12)]
    assert found[0] != found[1]


class Mute(Adder):
    """Says nothing, as a server does that is not what it seems to be; costs money."""

    type: ClassVar[str] = "mute"
    costs: ClassVar[bool] = True

    @contextmanager
    def open(self, context: EngineContext) -> Iterator[Session]:
        session = _AdderSession(self, context)
        yield SimpleNamespace(
            complete=lambda requests, sampling: (
                replace(completion, text="", thinking=None) for completion in session.complete(requests, sampling)
            )
        )


def test_nothing_is_kept_of_a_teacher_that_says_nothing_at_all(tmp_path):
    where = context(tmp_path / "out")
    with pytest.raises(RunError, match="all 12 completions of teacher '.*' are empty"):
        Distill(domain="sums", problems=12, teacher={"type": f"{HERE}:Mute"}).run(where)
    assert not (where.folder / "completions.jsonl").exists()
    distill().run(where)
    assert len(list(read_jsonl(where.folder / "completions.jsonl"))) == 12


def test_completions_that_other_settings_left_behind_are_told_of(tmp_path):
    left = tmp_path / "distill-0123.part"
    left.mkdir()
    (left / "completions.jsonl").write_text("{}\n{}\n")
    said = []
    where = replace(context(tmp_path / "distill-4567.part"), say=said.append)
    with pytest.raises(RunError):
        Distill(domain="sums", problems=12, teacher={"type": f"{HERE}:Mute"}).run(where)
    assert any(line.startswith("2 completions of an unfinished distillation") and str(left) in line for line in said)
    said.clear()
    distill().run(where)
    assert not any("unfinished" in line for line in said), "what costs nothing is made anew"


def test_all_problems_of_a_file_are_thought_through_and_an_endless_domain_has_none(tmp_path):
    puzzles = tmp_path / "kk.jsonl"
    assert main(["puzzles", "--people", "2", "--size", "30", "--out", str(puzzles)]) == 0
    kk = KnightsKnaves(name="kk", file=puzzles)
    where = replace(context(tmp_path / "out"), domains={"kk": kk})
    stage = Distill(domain="kk", problems="all", teacher={"type": "solver"})
    train = list(kk.problems("train", 0))
    assert stage.run(where)["traces"] == len(train) == kk.rows_in("train") < 30
    with pytest.raises(UserError, match="Give a number"):
        distill(problems="all").run(context(tmp_path / "endless"))


def test_wrong_traces_are_handed_on_where_asked_for(tmp_path):
    where = context(tmp_path / "out")
    summary = distill(keep_wrong=True, teacher={"apart": False}).run(where)
    assert summary["traces"] == 12 > summary["correct"]
    cut = [trace for trace in traces(where.folder) if trace.meta["truncated"]]
    assert cut and all(trace.answer == "" and trace.thinking and trace.score.verdict == "none" for trace in cut)


@pytest.mark.parametrize("torn", [b"", b'{"problem_id": "to'], ids=["whole lines", "torn last line"])
def test_a_killed_stage_goes_on_where_it_stopped(tmp_path, torn):
    whole = context(tmp_path / "whole")
    distill(problems=40, sampling=Sampling(samples=3)).run(whole)
    where = context(tmp_path / "killed")
    Adder.asked.clear()
    with pytest.raises(KeyboardInterrupt):
        distill(problems=40, sampling=Sampling(samples=3), teacher={"dies_after": 70}).run(where)
    with (where.folder / "completions.jsonl").open("ab") as file:
        file.write(torn)
    before = list(Adder.asked)
    distill(problems=40, sampling=Sampling(samples=3)).run(where)
    assert len(before) == 70 and len(Adder.asked) == len(set(Adder.asked)) == 120
    pairs = [(row["problem_id"], row["sample"]) for row in read_jsonl(where.folder / "completions.jsonl")]
    assert len(pairs) == len(set(pairs)) == 120
    assert where.traces_file.read_bytes() == whole.traces_file.read_bytes()


def test_a_finished_journal_asks_the_teacher_nothing(tmp_path):
    where = context(tmp_path / "out")
    first = distill().run(where)
    assert distill(teacher={"dies_after": 0}).run(where) == first


def test_teacher_that_is_never_right_is_an_error(tmp_path):
    seed = next(seed for seed in range(100) if int(Adding(name="sums").take("train", seed, 1)[0].id, 16) % 3 == 0)
    with pytest.raises(RunError, match="none of 1 completions"):
        distill(problems=1).run(context(tmp_path / "out", seed=seed))


def test_more_problems_than_there_are_is_found_when_the_stage_is_prepared(tmp_path):
    with pytest.raises(SpaceError):
        distill(problems=1000).prepare(context(tmp_path))


@pytest.mark.parametrize(
    ("teacher", "message"),
    [("sover", "Did you mean 'solver'"), ({"type": f"{HERE}:Adder", "apar": 1}, "apar"), (3, "mapping with 'type'")],
    ids=["unknown name", "unknown key", "neither name nor mapping"],
)
def test_bad_teachers_are_named(teacher, message):
    with pytest.raises(ValidationError, match=message):
        Distill(domain="sums", problems=1, teacher=teacher)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    where = context(folder / "distill")
    distill(keep_wrong=True, problems=10, sampling=Sampling(samples=2)).run(where)
    return where.traces_file


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("model")))


def test_everything_read_is_kept_or_dropped_with_a_counted_reason(tmp_path, raw, model):
    where = context(tmp_path / "clean", model=model, traces=raw)
    summary = Clean().run(where)
    dropped = list(read_jsonl(where.folder / "dropped.jsonl"))
    assert summary["read"] == 20 == summary["kept"] + len(dropped) == summary["kept"] + sum(summary["dropped"].values())
    assert set(summary["dropped"]) == {"answer wrong", "duplicate"}
    found = {(row["step"], row["reason"]) for row in dropped}
    assert found == {("correct", "answer wrong"), ("duplicates", "duplicate")}
    kept = traces(where.folder)
    assert {trace.score.verdict for trace in kept} == {"correct"}
    assert set(read_problems(where.traces_file)) == {trace.problem_id for trace in kept}


def test_a_changed_trace_is_counted_and_scored_anew(tmp_path, raw, model):
    where = context(tmp_path / "clean", model=model, traces=raw)
    summary = Clean(steps=["correct", {"type": f"{HERE}:Shorten"}]).run(where)
    assert summary["changed"] == summary["kept"] > 0 and summary["tokens_after"] < summary["tokens_before"]
    assert {trace.score.shows_work for trace in traces(where.folder)} == {False}


def test_tokens_are_the_students(tmp_path, raw, model):
    where = context(tmp_path / "clean", model=model, traces=raw)
    summary = Clean(steps=[{"type": "length", "max_tokens": 7}]).run(where)
    assert summary["dropped"] == {} and summary["tokens_before"] == summary["tokens_after"] == 20 * (6 + 1 + 3)
    with pytest.raises(RunError, match="20 longer than 6 tokens"):
        Clean(steps=[{"type": "length", "max_tokens": 6}]).run(where)


def test_cleaning_twice_changes_nothing(tmp_path, raw, model):
    first, second = context(tmp_path / "a", model=model, traces=raw), None
    Clean().run(first)
    second = context(tmp_path / "b", model=model, traces=first.traces_file)
    assert Clean().run(second)["dropped"] == {}
    assert second.traces_file.read_bytes() == first.traces_file.read_bytes()


def _without_problems(rows, folder):
    (folder / "problems.jsonl").unlink()


def _broken_row(rows, folder):
    write_jsonl(folder / "traces.jsonl", [*rows, {"problem_id": "x"}])


def _other_domain(rows, folder):
    write_jsonl(folder / "traces.jsonl", [{**rows[0], "domain": "logic"}])


def _unknown_problem(rows, folder):
    write_jsonl(folder / "traces.jsonl", [{**rows[0], "problem_id": "nobody"}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_problems, "problems.jsonl: no such file"),
        (_broken_row, "not a valid trace"),
        (_other_domain, "domain 'logic'"),
        (_unknown_problem, "problem 'nobody'"),
    ],
)
def test_broken_input_is_named(tmp_path, raw, model, change, message):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("traces.jsonl", "problems.jsonl"):
        (copy / name).write_bytes(raw.with_name(name).read_bytes())
    change(list(read_jsonl(raw)), copy)
    with pytest.raises(DataError, match=message):
        Clean().run(context(tmp_path / "clean", model=model, traces=copy / "traces.jsonl"))


def test_problem_files_hold_whole_problems(raw):
    rows = [json.loads(line) for line in raw.with_name("problems.jsonl").read_text().splitlines()]
    assert [asdict(problem) for problem in read_problems(raw).values()] == rows


def test_a_teacher_that_cannot_do_the_domain_is_refused_before_the_run(tmp_path) -> None:
    stage = Distill.model_validate({"domain": "sums", "problems": 4, "teacher": "solver"})
    context = Context(
        folder=tmp_path,
        inputs=Artifacts(),
        domains={"sums": Sums(name="sums")},
        response_format=ResponseFormat(),
        evaluation=EvaluationSettings(),
        seed=0,
    )
    with pytest.raises(UserError, match="not a Knights & Knaves puzzle"):
        stage.prepare(context)
