"""The clean stage: everything counted, one trace in memory at a time, and the same files whenever it was killed."""

import json
import multiprocessing
import os
import signal
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from tests.raw_traces import KK, raw_traces, write_raw
from tests.tiny import Adding, tiny_model
from warmup_rl.base.errors import Unscorable
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.types import Trace
from warmup_rl.data.traces import open_problems, read_traces
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Artifacts, Context
from warmup_rl.stages.clean import AUDIT, DROPPED, TRACES, Clean, clean, held_out

HERE = __name__
FILES = (TRACES, DROPPED, AUDIT, "problems.jsonl", "audit.html")


class Dies(Cleaner):
    """Notes the traces that it is called on in the file `$SEEN`; kills its process at number `$DIES_AT`."""

    type: ClassVar[str] = "dies"

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        def step(trace: Trace) -> Trace:
            with open(os.environ["SEEN"], "a+") as seen:
                seen.write(f"{trace.problem_id} {trace.sample}\n")
                seen.seek(0)
                if len(seen.readlines()) == int(os.environ["DIES_AT"]):
                    seen.close()
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        return step


class Told(Cleaner):
    """Passes a trace on if it was told that it comes."""

    type: ClassVar[str] = "told"

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        return _Told()


class _Told:
    def __init__(self) -> None:
        self.coming: list[Trace] = []
        self.chunks: list[int] = []

    def ahead(self, traces: Sequence[Trace]) -> None:
        assert not self.coming
        self.coming = list(traces)

    def __call__(self, trace: Trace) -> Trace | Dropped:
        return trace if trace == self.coming.pop(0) else Dropped("came unannounced")


class Echo(Cleaner):
    """Says in the audit what it got, and doubles the thinking."""

    type: ClassVar[str] = "echo"

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        def step(trace: Trace) -> Trace:
            context.audit({"cleaner": "echo", "outcome": "doubled", "why": "on request", "thinking": trace.thinking})
            return replace(trace, thinking=trace.thinking * 2)

        return step


class Reads(Cleaner):
    """Needs to know what is evaluated on."""

    type: ClassVar[str] = "reads"
    reads_evaluation: ClassVar[bool] = True

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        known = {problem.id for problem in context.held_out()}
        return lambda trace: Dropped("held out") if trace.problem_id in known else trace


class Breaking(Adding):
    """Cannot grade what is longer than it was."""

    def grade(self, answer, problem):
        raise Unscorable("broken")


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return write_raw(tmp_path_factory.mktemp("raw"), *raw_traces(40, per_problem=3))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("model")))


def context(folder, raw, model=None, **more):
    folder.mkdir(exist_ok=True)
    return Context(
        folder=folder, inputs=Artifacts(model=model, traces=raw), domains={"kk": KK}, response_format=ResponseFormat(),
        evaluation=EvaluationSettings(problems=5, validation=3, curve_problems=4), seed=0, **more,
    )  # fmt: skip


def made(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def rows(folder, name):
    return list(read_jsonl(folder / name))


def cleaned(folder, raw, steps, **fields):
    """Cleans without a model, characters for tokens."""
    folder.mkdir(exist_ok=True)
    problems = open_problems(raw.with_name("problems.jsonl"))
    where = CleanContext({"kk": KK}, problems, len, folder=folder, **fields)
    return clean(raw, Clean(steps=steps).steps, where)


STEPS = ["correct", {"type": "duplicates", "per_problem": 2}, {"type": f"{HERE}:Dies"}, "dlcot",
         {"type": "length", "max_tokens": 400}]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, raw, model):
    where = context(tmp_path_factory.mktemp("whole"), raw, model)
    os.environ.update(SEEN=str(where.folder / "seen"), DIES_AT="-1")
    return Clean(steps=STEPS).run(where), made(where.folder), (where.folder / "seen").read_text()


def killed(where, **environment):
    """Runs the stage in a process of its own that has to die by SIGKILL."""

    def run():
        os.environ.update(environment)
        Clean(steps=STEPS).run(where)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("points", "torn"), [((1,), b""), ((40,), b'{"half": "a ro'), ((75,), b""), ((30, 70, 80), b"torn")], ids=str
)
def test_a_killed_stage_goes_on_and_makes_the_same_files(tmp_path, raw, model, undisturbed, points, torn):
    summary, files, all_seen = undisturbed
    where = context(tmp_path / "clean", raw, model)
    seen = tmp_path / "seen"
    for point in points:
        killed(where, SEEN=str(seen), DIES_AT=str(point))
        for name in (TRACES, DROPPED, AUDIT):
            with (where.folder / name).open("ab") as file:
                file.write(torn)
    os.environ.update(SEEN=str(seen), DIES_AT="-1")
    assert Clean(steps=STEPS).run(where) == summary
    assert made(where.folder) == files
    again = len(seen.read_text().splitlines()) - len(all_seen.splitlines())
    assert again == len(points), "only the trace in hand is cleaned again"


def test_a_stage_killed_after_its_last_trace_cleans_nothing_again(tmp_path, raw, model, undisturbed):
    summary, files, all_seen = undisturbed

    def die(line):
        os.kill(os.getpid(), signal.SIGKILL)

    seen = tmp_path / "seen"
    killed(context(tmp_path / "clean", raw, model, say=die), SEEN=str(seen), DIES_AT="-1")
    os.environ.update(SEEN=str(seen), DIES_AT="-1")
    where = context(tmp_path / "clean", raw, model)
    assert Clean(steps=STEPS).run(where) == summary
    assert made(where.folder) == files and seen.read_text() == all_seen


def test_a_folder_of_other_traces_or_steps_is_begun_anew(tmp_path, raw):
    cleaned(tmp_path / "a", raw, ["correct"])
    other = write_raw(tmp_path / "other", *raw_traces(4))
    assert cleaned(tmp_path / "a", other, ["correct"]).read == len(rows(tmp_path / "other", TRACES))
    assert cleaned(tmp_path / "a", raw, ["duplicates"]).dropped.keys() == {"duplicate"}


def test_everything_is_counted_and_the_counts_fit_the_files(undisturbed, raw):
    summary, files, _ = undisturbed
    count = {name: len(text.splitlines()) for name, text in files.items()}
    assert summary["read"] == len(list(read_traces(raw))) == summary["kept"] + sum(summary["dropped"].values())
    assert (count[TRACES], count[DROPPED]) == (summary["kept"], sum(summary["dropped"].values()))
    dropped = [json.loads(line) for line in files[DROPPED].splitlines()]
    assert Counter(row["reason"] for row in dropped) == summary["dropped"]
    assert {"answer wrong", "duplicate", "more than 2 a problem", "longer than 400 tokens"} == set(summary["dropped"])
    assert {row["step"] for row in dropped} == {"correct", "duplicates", "length"}
    audited = [json.loads(line) for line in files[AUDIT].splitlines()]
    outcomes = Counter(f"{row['outcome']}: {row['why']}" if row["why"] else row["outcome"] for row in audited)
    assert outcomes == summary["outcomes"]["dlcot"]
    assert sum(row["outcome"] == "cut" and row["dropped"] is None for row in audited) == summary["changed"] > 0
    saved = sum(row["tokens_before"] - row["tokens_after"] for row in audited if row["dropped"] is None)
    assert summary["tokens_before"] == summary["tokens_dropped"] + saved + summary["tokens_after"]


def test_audit_rows_say_what_became_of_the_trace(undisturbed, raw):
    _, files, _ = undisturbed
    traces = list(read_traces(raw))
    kept = {(row["problem_id"], row["sample"]) for row in map(json.loads, files[TRACES].splitlines())}
    for row in map(json.loads, files[AUDIT].splitlines()):
        trace = traces[row["trace"] - 1]
        assert (row["problem_id"], row["sample"], row["thinking"]) == (trace.problem_id, trace.sample, trace.thinking)
        assert (row["dropped"] is None) == ((row["problem_id"], row["sample"]) in kept)
        assert row["verdict_after"] == (None if row["dropped"] else "correct") and row["verdict_before"] == "correct"


def test_rows_of_any_cleaner_reach_the_audit_and_are_counted(tmp_path, raw):
    counts = cleaned(tmp_path / "a", raw, ["correct", {"type": f"{HERE}:Echo"}])
    assert counts.outcomes == {"echo": {"doubled: on request": counts.kept}}
    assert [row["cleaner"] for row in rows(tmp_path / "a", AUDIT)] == ["echo"] * counts.kept


def test_a_step_that_looks_ahead_is_told_of_each_trace_before_it_comes(tmp_path, raw):
    plain = cleaned(tmp_path / "a", raw, ["correct", "duplicates", "dlcot"])
    told = cleaned(tmp_path / "b", raw, ["correct", "duplicates", {"type": f"{HERE}:Told"}, "dlcot"])
    assert told == plain
    for name in (TRACES, DROPPED, AUDIT):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_can_no_longer_be_graded_is_dropped_with_a_reason(tmp_path):
    domain = Breaking(name="kk")
    problem = domain.take("train", 0, 1)[0]
    trace = replace(raw_traces(1)[1][-1], problem_id=problem.id)
    raw = write_raw(tmp_path / "raw", [problem], [trace, replace(trace, thinking="")])
    (tmp_path / "a").mkdir()
    where = CleanContext({"kk": domain}, {problem.id: problem}, len, folder=tmp_path / "a")
    counts = clean(raw, Clean(steps=[{"type": f"{HERE}:Echo"}]).steps, where)
    assert (counts.kept, counts.dropped) == (1, {"changed, and can no longer be graded": 1})


def test_memory_does_not_grow_with_the_number_of_traces(tmp_path):
    problems, (trace, *_) = raw_traces(1)
    peaks = []
    for count in (30, 150):
        many = (replace(trace, thinking=f"{number} {'x' * 20_000}") for number in range(count))
        raw = write_raw(tmp_path / f"raw{count}", problems, many)
        tracemalloc.start()
        cleaned(tmp_path / f"clean{count}", raw, ["duplicates", {"type": f"{HERE}:Echo"}])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 1_000_000 < 120 * 20_000


def test_problems_are_read_from_their_file_when_asked_for(tmp_path):
    problems, traces = raw_traces(5)
    found = open_problems(write_raw(tmp_path / "raw", problems, traces).with_name("problems.jsonl"))
    assert list(found) == [problem.id for problem in problems] and len(found) == 5 and "nobody" not in found
    assert [found[problem.id] for problem in reversed(problems)] == problems[::-1]


def test_half_a_surrogate_pair_comes_through(tmp_path):
    problems, traces = raw_traces(1)
    odd = replace(traces[-1], thinking="a \ud83d b \x00 c \u2028")
    raw = write_raw(tmp_path / "raw", problems, [odd])
    cleaned(tmp_path / "a", raw, ["duplicates"])
    assert list(read_traces(tmp_path / "a" / TRACES)) == [odd]


@pytest.mark.parametrize(("every", "counts"), [(0, {"test": 5, "validation": 3}), (2, {"test": 6, "validation": 3})])
def test_held_out_is_all_that_the_recipe_evaluates_on(every, counts):
    settings = EvaluationSettings(domains=["kk"], problems=5, validation=3, curve_problems=6, every=every, seed=7)
    domains = {"kk": KK, "sums": Adding(name="sums")}
    found = list(held_out(settings, domains))
    expected = [p for split, count in counts.items() for p in KK.take(split, 7, count)]
    expected += domains["sums"].take("test", 7, 6) if every else []
    assert found == expected


def test_a_step_that_reads_evaluation_makes_the_stage_depend_on_it(tmp_path, raw, model):
    blind, reading = Clean(steps=["correct"]), Clean(steps=["correct", {"type": f"{HERE}:Reads"}])
    settings, names = EvaluationSettings(domains=["sums"]), ["kk", "sums"]
    assert not blind.reads_evaluation() and blind.domains_used(settings, names) == ()
    assert reading.reads_evaluation() and reading.domains_used(settings, names) == ("sums",)
    assert reading.domains_used(EvaluationSettings(domains=["sums"], every=1), names) == ("kk", "sums")
    assert reading.run(context(tmp_path / "a", raw, model))["dropped"].keys() == {"answer wrong"}
    held = KK.take("test", 0, 5)
    trace = raw_traces(1)[1][-1]
    mixed = write_raw(tmp_path / "raw", [*held, *raw_traces(1)[0]], [trace, replace(trace, problem_id=held[-1].id)])
    assert reading.run(context(tmp_path / "b", mixed, model))["dropped"] == {"held out": 1}
