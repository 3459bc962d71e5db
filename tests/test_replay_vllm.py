"""Teachers that are not asked over a network: traces from files, vLLM in process, and the solver's warning."""

import csv
import json
import random
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tests.tiny import Adding, tiny_model
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import DataError, UserError
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import Request
from warmup_rl.cli import check as checking
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.engines.replay import Replay
from warmup_rl.engines.solver import Solver
from warmup_rl.engines.vllm import Vllm, VllmSession
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Artifacts, Context
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.statements import relabel
from warmup_rl.knights.text import from_meta, quiz_of, render
from warmup_rl.recipe.load import load_recipe
from warmup_rl.stages.distill import Distill

LOGIC_RL = Path(__file__).parent.parent / "../shared/data/kk_logicrl_3ppl_train.parquet"


def context(**fields):
    return EngineContext({"kk": KnightsKnaves(name="kk")}, ResponseFormat(), 0, **fields)


def requests(count=4, samples=1, domain=None):
    domain = domain or Adding(name="sums", instruction="Answer with a number.")
    problems = domain.take("train", 0, count)
    return [Request(problem, domain.prompt(problem), sample) for problem in problems for sample in range(samples)]


def replayed(source, wanted, say=lambda line: None, **fields):
    engine = Replay(source=str(source), **fields)
    engine.check(wanted[0].problem)
    with engine.open(context(say=say)) as session:
        return {(one.problem_id, one.sample): one for one in session.complete(wanted, Sampling())}


def written(path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        write_jsonl(path, rows)
    return path


@pytest.mark.parametrize("name", ["traces.jsonl", "traces.csv", "traces.parquet"])
def test_traces_are_found_for_their_problems_in_files_of_all_kinds(tmp_path, name) -> None:
    wanted = requests(6, samples=2)
    lines = []
    rows = [{"prompt": f"  {one.problem.question.upper()} ", "response": f'"{one.problem.id}",\n{one.sample}'}
            for one in wanted[:8]] + [{"prompt": "something else", "response": "no"}]  # fmt: skip
    found = replayed(written(tmp_path / name, rows), wanted, lines.append)
    assert {pair: one.text for pair, one in found.items()} == {
        (one.problem.id, one.sample): f'"{one.problem.id}",\n{one.sample}' for one in wanted[:8]
    }  # fmt: skip
    assert lines[-1].endswith("8 of 9 rows are about 4 of the problems; 2 problems have no trace there")


def test_rows_are_found_by_id_by_instructed_prompt_and_by_message_list(tmp_path) -> None:
    one, two, three = requests(3)
    rows = [
        {"problem_id": one.problem.id, "trace": "a"},
        {"problem_id": "", "messages": [*two.messages, {"role": "assistant", "content": "b"}]},
        {"prompt": three.messages[0]["content"], "text": "c", "thinking": "hm", "finish_reason": "length", "tokens": 9},
    ]
    found = list(replayed(written(tmp_path / "x.jsonl", rows), [one, two, three]).values())
    assert [made.text for made in found] == ["a", "b", "c"]
    assert (found[2].thinking, found[2].truncated, found[2].tokens) == ("hm", True, 9)


def test_a_puzzle_is_known_however_it_is_told(tmp_path) -> None:
    domain = KnightsKnaves(name="kk", people=3, phrasing="english")
    wanted = requests(5, domain=domain)
    rows = []
    for request in wanted:
        puzzle, phrasing = from_meta(request.problem.meta)
        order = [2, 0, 1]
        moved = Puzzle(
            tuple(puzzle.names[person] for person in order),
            tuple(relabel(puzzle.statements[person], [1, 2, 0]) for person in order),
            tuple(puzzle.solution[person] for person in order), puzzle.roles,
        )  # fmt: skip
        question = render(quiz_of(moved, phrasing, random.Random(7)), phrasing)
        assert question != request.problem.question
        rows.append({"quiz": f"Solve this.\n{question}\nThink first.", "response": request.problem.id})
    found = replayed(written(tmp_path / "x.jsonl", rows), wanted)
    assert {pair: one.text for pair, one in found.items()} == {(r.problem.id, 0): r.problem.id for r in wanted}


@pytest.mark.parametrize(
    ("rows", "fields", "message"),
    [
        ([{"a": 1, "b": 2}], {}, "x.jsonl:1: no column question or quiz.*Columns: a, b"),
        ([{"quiz": 1, "b": 2}], {}, "no column response or completion"),
        ([{"quiz": 1, "text": 2}], {"response": "txt"}, "no column txt for the response"),
        ([{"quiz": "who?", "text": "x"}], {}, "none of its 1 rows is about one of the 4 problems.*'who\\?'"),
        ([], {}, "holds no rows"),
    ],
)
def test_files_that_do_not_serve_are_named(tmp_path, rows, fields, message) -> None:
    with pytest.raises(UserError, match=message):
        replayed(written(tmp_path / "x.jsonl", rows), requests(), **fields)
    with pytest.raises(DataError, match="no such file"):
        replayed(tmp_path / "y.jsonl", requests())


def test_what_one_run_completed_is_a_teacher_for_the_next(tmp_path) -> None:
    """Say, with another `teacher_format`: nothing is paid twice."""
    domain = Adding(name="sums")

    def stage(**fields):
        return Distill(domain="sums", problems=5, keep_wrong=True, sampling=Sampling(samples=2), **fields)

    def where(name):
        folder = tmp_path / name
        folder.mkdir()
        return Context(folder, Artifacts(), {"sums": domain}, ResponseFormat(), EvaluationSettings(), 0)

    rows = [{"question": one.problem.question, "response": f"so {one.sample}\nThe answer is {one.problem.gold}"}
            for one in requests(5, samples=2)]  # fmt: skip
    source = written(tmp_path / "x.jsonl", rows)
    first = stage(teacher={"type": "replay", "source": str(source)})
    assert first.run(where("one"))["correct"] == 0
    kept = tmp_path / "one" / "completions.jsonl"
    again = stage(teacher={"type": "replay", "source": str(kept)}, teacher_format="plain")
    assert again.run(where("two"))["correct"] == 10
    assert [row["text"] for row in read_jsonl(tmp_path / "two" / "completions.jsonl")] == [r["response"] for r in rows]
    traces = tmp_path / "two" / "traces.jsonl"
    assert stage(teacher={"type": "replay", "source": str(traces)}).run(where("three"))["correct"] == 10
    assert [row["thinking"] for row in read_jsonl(tmp_path / "three" / "traces.jsonl")] == [
        row["thinking"] for row in read_jsonl(traces)
    ]


def test_a_column_without_a_response_is_named(tmp_path):
    wanted = requests(2)
    prompts = [{"messages": list(one.messages), "gold": one.problem.gold} for one in wanted]
    with pytest.raises(DataError, match="no column response or .* for the response. Columns: messages, gold"):
        replayed(written(tmp_path / "x.jsonl", prompts), wanted)
    lines = []
    rows = [{"question": one.problem.question, "response": "", "answer": "3"} for one in wanted]
    replayed(written(tmp_path / "y.jsonl", rows), wanted, lines.append)
    assert lines[-1].endswith("; the column 'response', taken for the response, is empty in 2 of 2")


def test_a_file_of_published_puzzles_with_its_own_solutions_is_replayed_whole() -> None:
    if not LOGIC_RL.exists():
        pytest.skip("no ../shared/data beside the repository")
    domain = KnightsKnaves(name="kk", file=str(LOGIC_RL))
    wanted = requests(200, domain=domain)
    found = replayed(LOGIC_RL, wanted, response="solution_text_format")
    assert len(found) == 200
    assert all(domain.grade(found[one.problem.id, 0].text, one.problem).verdict == "correct" for one in wanted)


class FakeParams(SimpleNamespace):
    """Stands where `vllm.SamplingParams` does."""


class FakeLLM:
    """Stands where `vllm.LLM` does: remembers what it is called with."""

    def __init__(self) -> None:
        self.calls = []

    def chat(self, messages, sampling_params, *, use_tqdm):
        return self._made("chat", messages, sampling_params)

    def generate(self, prompts, sampling_params, *, use_tqdm):
        return self._made("generate", prompts, sampling_params)

    def _made(self, name, prompts, params):
        self.calls.append((name, prompts, params))
        ends = ["stop", "length", None]
        return [
            SimpleNamespace(prompt_token_ids=[1, 2], outputs=[
                SimpleNamespace(text=f"t{number}", token_ids=[0] * (number + 1), finish_reason=ends[number % 3])
            ])
            for number, _ in enumerate(prompts)
        ]  # fmt: skip


@pytest.mark.parametrize("mode", ["chat", "completion"])
def test_vllm_is_given_prompts_and_parameters_batch_by_batch(mode) -> None:
    config = Vllm(model="m", mode=mode, batch_size=3, extra={"min_p": 0.1, "seed": None})
    llm, wanted = FakeLLM(), requests(5)
    sampling = Sampling(temperature=0.6, top_k=40, max_tokens=7)
    found = list(VllmSession(config, context(), llm, FakeParams).complete(wanted, sampling))
    assert [one.problem_id for one in found] == [request.problem.id for request in wanted]
    assert [(one.text, one.tokens, one.truncated, one.prompt_tokens) for one in found[:3]] == [
        ("t0", 1, False, 2), ("t1", 2, True, 2), ("t2", 3, False, 2)
    ]  # fmt: skip
    assert [name for name, _, _ in llm.calls] == [{"chat": "chat", "completion": "generate"}[mode]] * 2
    assert [len(prompts) for _, prompts, _ in llm.calls] == [3, 2]
    name, prompts, params = llm.calls[0]
    stop = {} if mode == "chat" else {"stop": ["\nUser:"]}
    assert vars(params[0]) == {"temperature": 0.6, "top_k": 40, "max_tokens": 7, "min_p": 0.1, **stop}
    assert prompts[0] == list(wanted[0].messages) if mode == "chat" else prompts[0].startswith("User: ")


def test_without_vllm_the_install_line_is_said_before_the_run() -> None:
    pytest.importorskip("importlib.util").find_spec("vllm") and pytest.skip("vllm is installed")
    with pytest.raises(UserError, match=r"pip install 'warmup_rl\[vllm\]'"):
        Vllm(model="m").check(requests(1)[0].problem)


def test_arguments_that_are_keys_of_their_own_are_refused() -> None:
    with pytest.raises(ValueError, match="'tensor_parallel_size' is set by the teacher's key 'tensor_parallel'"):
        Vllm(model="m", args={"tensor_parallel_size": 2})


@pytest.mark.parametrize(
    ("parameters", "fields", "warns"),
    [(3_000_000_000, {}, True), (3_000_000_000, {"solver_ok": True}, False), (600_000, {}, False), (None, {}, False)],
)
def test_the_solver_warns_for_students_that_are_not_nano(parameters, fields, warns) -> None:
    notes = Solver(**fields).notes(parameters)
    assert bool(notes) == warns
    assert not warns or ("2505.13718" in notes[0] and "2606.21884" in notes[0] and "11%" in notes[0])


def test_check_shows_the_warning_unless_it_is_waived(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(checking, "require_disk", lambda trials: None)

    def shown(*changes):
        console = Console(record=True, width=300, file=(tmp_path / "out").open("w"))
        checking.plan(load_recipe("recipes/qwen_3b.yaml", changes), console=console)
        return console.export_text()

    assert "the solver teaches a model of about 3.0 B" in shown()
    assert "the solver teaches" not in shown("stages.distill.teacher={type: solver, solver_ok: true}")


def test_parameters_are_counted_in_the_files_themselves(tmp_path) -> None:
    folder = tiny_model(tmp_path / "model")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({
        "run_name": "x", "model": str(folder), "domains": {"sums": {}},
        "evaluation": {"samplings": {"greedy": {"max_tokens": 64}}}, "stages": [{"type": "evaluate"}],
    }))  # fmt: skip
    from transformers import AutoModelForCausalLM

    assert checking.parameters(load_recipe(recipe)) == AutoModelForCausalLM.from_pretrained(folder).num_parameters()


def test_a_bill_is_part_of_the_plan() -> None:
    stage = Distill.model_validate({
        "domain": "kk", "problems": 10, "sampling": {"samples": 4, "max_tokens": 1000},
        "teacher": {"type": "openai", "base_url": "http://x/v1", "model": "m", "price_out": 5},
    })  # fmt: skip
    counts = stage.preview(EvaluationSettings(), {}).counts
    assert counts == {"problems": 10, "completions": 40, "generated tokens, at most": 40_000,
                      "cost, at most": "$0.20 and the prompts"}  # fmt: skip
