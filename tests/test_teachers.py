"""The distill stage: every (problem, sample) pair exactly once whatever happens, and nothing lost without a count."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from tests import distilling
from tests.scripted_server import Answer, said, serving
from tests.tiny import Adding, tiny_model
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import DataError, RunError, Unscorable, UserError
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.types import Completion
from warmup_rl.data.indexed_log import IndexedLog
from warmup_rl.data.traces import read_traces
from warmup_rl.interfaces.engine import Engine, EngineContext, Session
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Artifacts, Context
from warmup_rl.recipe.load import load_recipe
from warmup_rl.run.trial import Trial
from warmup_rl.stages.distill import Distill

HERE, ROOT = __name__, Path(__file__).parent.parent
CHAOS = [
    Answer(b"", status=429, headers={"Retry-After": "0"}), Answer(b"", status=500), Answer(reset=True), Answer(b""),
    Answer(b"<html>", headers={"Content-Type": "text/html"}), Answer(b'{"choices": ['), Answer(b"[" * 9, cut=True),
]  # fmt: skip


def deterministic(body, count=1):
    """An answer that the request alone decides: right for most, in R1's layout."""
    rng = random.Random(body["seed"])
    last = body["messages"][0]["content"]
    return said(f"<think>\nLet me see {last} ({rng.random()})\n</think>\n\nThe final answer is **{rng.randrange(6)}**")


def files(folder):
    return {name: (folder / name).read_bytes() for name in ("traces.jsonl", "problems.jsonl")}


def pairs(folder):
    return [(row["problem_id"], row["sample"]) for row in read_jsonl(folder / "completions.jsonl")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with serving(deterministic) as (_, url):
        distilling.stage(url).run(distilling.context(folder))
    assert len(pairs(folder)) == 60 and 3 < len(list(read_traces(folder / "traces.jsonl"))) < 30
    return files(folder)


def test_a_hostile_server_changes_nothing_but_the_bill(tmp_path, undisturbed) -> None:
    lines = []

    def script(body, count):
        rng = random.Random(f"{body['seed']}/{count}")
        return rng.choice(CHAOS) if count < 6 and rng.random() < 0.5 else deterministic(body)

    with serving(script) as (server, url):
        summary = distilling.stage(url).run(distilling.context(tmp_path / "out", say=lines.append))
    assert files(tmp_path / "out") == undisturbed
    assert len(pairs(tmp_path / "out")) == len(set(pairs(tmp_path / "out"))) == 60
    assert summary["requests"] == len(server.bodies) == 60 + summary["retries"] > 75
    assert f"{summary['requests']:,} requests, {summary['retries']:,} of them repeated" in lines[-1]


@pytest.mark.parametrize("seed", range(2))
def test_kill_9_at_any_point_loses_and_repeats_nothing(tmp_path, undisturbed, seed) -> None:
    """A real process, killed by the server in the midst of a request, several times over."""
    rng = random.Random(seed)
    deadline, process = 0, None

    def script(body, count):
        nonlocal deadline
        deadline -= 1
        if deadline == 0:
            process.kill()
        return deterministic(body)

    with serving(script) as (server, url):
        for _ in range(5):
            deadline = rng.randrange(1, 16)
            process = distilling.start(tmp_path / "out", url)
            process.join(60)
            assert process.exitcode == -signal.SIGKILL
            journal = tmp_path / "out" / "completions.jsonl"
            if journal.exists() and rng.random() < 0.5:
                with journal.open("ab") as file:
                    file.write(b'{"problem_id": "12", "text": "to')
        deadline = -1
        process = distilling.start(tmp_path / "out", url)
        process.join(60)
    assert process.exitcode == 0
    assert files(tmp_path / "out") == undisturbed
    assert len(pairs(tmp_path / "out")) == len(set(pairs(tmp_path / "out"))) == 60
    assert len(server.bodies) <= 60 + 5 * 4  # what was under way


def test_an_outage_keeps_what_was_made_and_says_how_to_go_on(tmp_path, undisturbed) -> None:
    served = []

    def script(body, count):
        served.append(1)
        return deterministic(body) if len(served) <= 20 else Answer(b"", status=503)

    with serving(script) as (server, url):
        stage = distilling.stage(url, teacher={"retries": 2})
        with pytest.raises(RunError, match=r"(?s)status 503.*20 completions are kept in .*run the same command again"):
            stage.run(distilling.context(tmp_path / "out"))
        assert len(pairs(tmp_path / "out")) == 20
        server.script = deterministic
        stage.run(distilling.context(tmp_path / "out"))
    assert files(tmp_path / "out") == undisturbed


def test_settings_that_have_no_say_in_the_traces_do_not_make_a_stage_run_anew(tmp_path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "run_name: x\nmodel: nobody/tiny-1b\ndomains: {sums: {}}\nstages:\n  - {type: distill, domain: sums, "
        "problems: 2, teacher: {type: openai, base_url: 'http://a/v1', model: m, api_key_env: KEY}}\n"
    )

    def key(*changes):
        return Trial(load_recipe(recipe, [f"stages.distill.{change}" for change in changes]), "main", 0).stages[0].key

    same = key("teacher.concurrency=2", "teacher.timeout=9", "teacher.price_in=3", "teacher.api_key_env=OTHER",
               "teacher.retries=1")  # fmt: skip
    assert same == key()
    settings, made_by = key().split("-")
    assert key("teacher.base_url=http://b/v1").startswith(f"{settings}-") and made_by not in key(
        "teacher.base_url=http://b/v1"
    )
    others = [key("teacher.model=n"), key("teacher.mode=completion"), key("sampling.temperature=1"), key("enough=1"),
              key("teacher_format=tags"), key("teacher.extra.min_p=0.1")]  # fmt: skip
    assert len({key(), *others}) == 7
    resolved = load_recipe(recipe).resolved()["stages"][0]["teacher"]
    assert resolved["base_url"] == "http://a/v1" and resolved["concurrency"] == 32


class Parrot(Engine):
    """Says for each request what `says` holds; `repeats`, `strays` and `skips` are faults of engines."""

    type: ClassVar[str] = "parrot"
    says: str = ""
    fault: str = ""
    asked: ClassVar[list[tuple[str, int]]] = []

    @contextmanager
    def open(self, context: EngineContext) -> Iterator[Session]:
        yield self

    def complete(self, requests, sampling):
        for number, request in enumerate(requests):
            Parrot.asked.append((request.problem.id, request.sample))
            text = self.says or f"so</think><answer>{request.problem.gold if request.sample else 99}</answer>"
            one = Completion(request.problem.id, request.sample, text, 3, False)
            if not (self.fault == "skips" and number % 2):
                yield one
            if self.fault == "repeats":
                yield one
            if self.fault == "strays":
                yield Completion("nobody", 0, text, 3, False)


def adding(folder, say=print):
    folder.mkdir(exist_ok=True)
    return Context(
        folder=folder, inputs=Artifacts(), domains={"sums": Adding(name="sums"), "broken": Broken(name="broken")},
        response_format=ResponseFormat(), evaluation=EvaluationSettings(), seed=0, say=say,
    )  # fmt: skip


def parrot(domain="sums", **fields):
    teacher = {"type": f"{HERE}:Parrot", **fields.pop("teacher", {})}
    return Distill.model_validate({"domain": domain, "problems": 10, "teacher": teacher, **fields})


@pytest.mark.parametrize("fault", ["repeats", "strays"])
def test_an_engine_that_gives_what_was_not_asked_for_is_stopped(tmp_path, fault) -> None:
    with pytest.raises(RunError, match="twice, or without a request"):
        parrot(teacher={"fault": fault}).run(adding(tmp_path / "out"))
    assert len(pairs(tmp_path / "out")) == 1


def test_what_a_teacher_does_not_complete_is_counted(tmp_path) -> None:
    lines = []
    summary = parrot(teacher={"fault": "skips"}, keep_wrong=True).run(adding(tmp_path / "out", lines.append))
    assert (summary["completions"], summary["not_completed"], summary["traces"]) == (5, 5, 5)
    assert "5 not completed by the teacher" in lines[-1]


def test_a_problem_that_the_endpoint_refuses_is_left_out_and_counted(tmp_path, undisturbed) -> None:
    lines = []
    where = distilling.context(tmp_path / "out", say=lines.append)
    hard = where.domains["sums"].take("train", 0, 30)[7].question

    def script(body, count):
        if hard in body["messages"][0]["content"]:
            return Answer({"error": {"message": "flagged by the content filter"}}, status=400)
        return deterministic(body)

    with serving(script) as (server, url):
        summary = distilling.stage(url).run(where)
        others = len(server.bodies)
        assert (summary["completions"], summary["refused"], summary["not_completed"]) == (58, 2, 0)
        assert len(pairs(tmp_path / "out")) == 58 and 60 <= others <= 61
        rest = [row for row in map(json.loads, undisturbed["traces.jsonl"].splitlines()) if hard not in str(row)]
        assert list(read_jsonl(tmp_path / "out" / "traces.jsonl")) == rest
        assert sum("flagged by the content filter" in line for line in lines) == 1
        assert "2 refused by the teacher" in lines[-1]
        server.script = deterministic
        distilling.stage(url).run(where)
    assert files(tmp_path / "out") == undisturbed and len(server.bodies) == others + 2


def test_a_teacher_that_refuses_all_problems_ends_the_stage(tmp_path) -> None:
    def script(body, count):
        return said("ok") if len(body["messages"][0]["content"]) < 10 else Answer({"error": "too long"}, status=413)

    with serving(script) as (_, url), pytest.raises(RunError, match="refused all 60 requests"):
        distilling.stage(url).run(distilling.context(tmp_path / "out"))


class Broken(Adding):
    """Its grader breaks on every other problem until it is mended."""

    type: ClassVar[str] = "broken"
    mended: ClassVar[bool] = False

    def grade(self, answer, problem):
        if not Broken.mended and int(problem.id, 16) % 2:
            raise Unscorable("no sandbox")
        return super().grade(answer, problem)


def test_what_the_grader_cannot_score_is_kept_counted_and_scored_when_it_is_mended(tmp_path, monkeypatch) -> None:
    stage = parrot("broken", sampling=Sampling(samples=2), keep_wrong=True)
    lines = []
    summary = stage.run(adding(tmp_path / "out", lines.append))
    assert 0 < summary["unscorable"] < 20 == summary["completions"]
    assert summary["traces"] == 20 - summary["unscorable"] and "not scored because the grader failed" in lines[-1]
    monkeypatch.setattr(Broken, "mended", True)
    asked = len(Parrot.asked)
    again = stage.run(adding(tmp_path / "out"))
    assert (again["unscorable"], again["traces"], len(Parrot.asked)) == (0, 20, asked)


def test_enough_correct_traces_end_the_drawing_of_a_problem(tmp_path) -> None:
    Parrot.asked.clear()
    summary = parrot(sampling=Sampling(samples=5), enough=2).run(adding(tmp_path / "out"))
    assert Counter(sample for _, sample in Parrot.asked) == {0: 10, 1: 10, 2: 10}
    assert (summary["completions"], summary["correct"], summary["traces"]) == (30, 20, 20)
    Parrot.asked.clear()
    lines = (tmp_path / "out" / "completions.jsonl").read_bytes().splitlines(keepends=True)
    traces = (tmp_path / "out" / "traces.jsonl").read_bytes()
    (tmp_path / "out" / "completions.jsonl").write_bytes(b"".join(lines[:17]))
    parrot(sampling=Sampling(samples=5), enough=2).run(adding(tmp_path / "out"))
    assert len(Parrot.asked) == 13 and (tmp_path / "out" / "traces.jsonl").read_bytes() == traces


@pytest.mark.parametrize("reason", ["content_filter", "stop"])
def test_an_empty_answer_is_no_trace_and_is_not_asked_for_again(tmp_path, reason) -> None:
    texts = iter(["", "so</think><answer>1</answer>"] * 30)
    with serving(lambda body, count: said(next(texts), reason=reason)) as (server, url):
        stage = distilling.stage(url, keep_wrong=True, teacher={"concurrency": 1})
        summary = stage.run(distilling.context(tmp_path / "out"))
    assert len(server.bodies) == 60 and summary["no_answer"] == 30 == summary["traces"]


@pytest.mark.parametrize(
    "row",
    ['{"problem_id": "a", "sample": 0}', '{"problem_id": "x", "sample": 0}', '{"problem_id": "a", "sample": 7}', "{}",
     "[]", '{"problem_id": [], "sample": 0}', "nonsense"],
)  # fmt: skip
def test_a_log_that_does_not_fit_is_refused_with_its_line(tmp_path, row) -> None:
    where = adding(tmp_path / "out")
    known = where.domains["sums"].take("train", where.seed, 1)[0].id
    path = where.folder / "completions.jsonl"
    path.write_text(('{"problem_id": "a", "sample": 0}\n' + row + "\n").replace('"a"', f'"{known}"'))
    with pytest.raises(DataError, match=r"completions.jsonl:2: not a valid row \(.*Delete "):
        Distill(domain="sums", problems=2, sampling=Sampling(samples=2), teacher=Parrot()).run(where)


def test_a_log_survives_a_cut_at_every_byte(tmp_path) -> None:
    path = tmp_path / "completions.jsonl"
    rows = [{"problem_id": name, "sample": sample, "text": "é\u2028\n"} for name, sample in (("b", 1), ("a", 0))]

    def key(row):
        return row["problem_id"], row["sample"]

    with closing(IndexedLog(path, key)) as log:
        for row in rows:
            log.add(row)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with closing(IndexedLog(path, key)) as log:
            assert len(log) == whole[:cut].count(b"\n")
            for row in rows[len(log) :]:
                log.add(row)
            assert [log[key(row)] for row in rows] == rows == list(log.values())
        assert path.read_bytes() == whole


def test_each_completion_is_on_disk_before_the_next_is_awaited(tmp_path) -> None:
    path = tmp_path / "out" / "completions.jsonl"
    kept = []

    class Watching(Parrot):
        type: ClassVar[str] = "watching"

        def complete(self, requests, sampling):
            for one in super().complete(requests, sampling):
                yield one
                kept.append(path.read_bytes().count(b"\n"))

    Distill(domain="sums", problems=10, teacher=Watching(), keep_wrong=True).run(adding(tmp_path / "out"))
    assert kept == list(range(1, 11))


def test_no_key_is_in_any_file_or_on_the_console(tmp_path) -> None:
    """A run as a user starts it, with the client's own debug log on, into an outage; the server repeats the key."""
    key = "sk-TESTKEY0123456789abcdefghij"
    echo = Answer({"error": {"message": f"do you have {key}?"}}, status=500)
    seen = []
    tiny_model(tmp_path / "model")
    with serving(lambda body, count: seen.append(1) or (said(f"{key} 4") if len(seen) < 3 else echo)) as (server, url):
        teacher = {
            "type": "openai", "base_url": url, "model": "m", "api_key_env": "TEACHER_KEY", "retries": 1, "backoff": 0.01
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(json.dumps({
            "run_name": "x", "model": str(tmp_path / "model"), "output_dir": str(tmp_path / "outputs"),
            "domains": {"sums": {"operations": [1, 2], "modulus": 6, "phrasing": "terse"}},
            "stages": [{"type": "distill", "domain": "sums", "problems": 5, "teacher": teacher}],
        }))  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "warmup_rl.train", str(tmp_path / "recipe.yaml")], cwd=ROOT, capture_output=True,
            env={**os.environ, "TEACHER_KEY": key, "OPENAI_LOG": "debug", "PYTHONPATH": str(ROOT)}, timeout=100,
        )  # fmt: skip
    assert done.returncode != 0 and b"2 completions are kept" in done.stdout + done.stderr
    assert all(headers["Authorization"] == f"Bearer {key}" for headers in server.headers)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"Sending HTTP Request" in written and b"do you have ***?" in written
    assert key.encode() not in written + done.stdout + done.stderr


def test_a_real_server_is_a_teacher(tmp_path) -> None:
    """`transformers serve` with a tiny model; resumed after a kill, it gives the same traces."""
    model = tiny_model(tmp_path / "model")
    with _transformers_serve(model) as url:

        def stage(problems):
            return Distill.model_validate({
                "domain": "sums", "problems": problems, "sampling": {"max_tokens": 16, "samples": 2},
                "keep_wrong": True, "teacher_format": "plain",
                "teacher": {"type": "openai", "base_url": url, "model": str(model), "concurrency": 2, "timeout": 30},
            })  # fmt: skip

        summary = stage(5).run(adding(tmp_path / "out"))
        rows = list(read_jsonl(tmp_path / "out" / "completions.jsonl"))
        assert len(rows) == 10 == summary["requests"] and summary["prompt_tokens"] > 0
        assert all(row["finish_reason"] in ("length", "stop") and 0 < row["tokens"] <= 16 for row in rows)
        journal = tmp_path / "out" / "completions.jsonl"
        traces = (tmp_path / "out" / "traces.jsonl").read_bytes()
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:4]) + b'{"probl')
        stage(5).run(adding(tmp_path / "out"))
        assert (tmp_path / "out" / "traces.jsonl").read_bytes() == traces
        wrong = stage(5).model_copy(update={"teacher": stage(5).teacher.model_copy(update={"model": "nobody"})})
        with pytest.raises(UserError, match="pinned to"):
            wrong.run(adding(tmp_path / "wrong"))


@contextmanager
def _transformers_serve(model):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", model, "--host", "127.0.0.1", "--port", port]
    process = subprocess.Popen(
        [str(part) for part in [*command, "--device", "cpu"]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    try:
        for _ in range(600):
            assert process.poll() is None
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()
