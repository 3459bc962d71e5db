"""vLLM: what it is given, with a stand-in for it; and the real one, where it is installed (`make test-vllm`)."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tiny import tiny_model, tiny_tokenizer
from tests.training_case import DOMAIN, RLVR, SFT, case, context
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.models import load_model
from warmup_rl.engines import vllm as engine
from warmup_rl.engines.openai import request_seed
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.stages.evaluate import Evaluate
from warmup_rl.stages.rlvr import Rlvr
from warmup_rl.stages.training.vllm_rollouts import model_options, training_model

UNDER_VLLM = RLVR.model_copy(update={"rollout_engine": "vllm", "args": {"learning_rate": 1e-3}, "steps": 2})


class Llm:
    """Stands where `vllm.LLM` does: completes with the words `so` and `<|end|>`, or `so` alone up to the budget."""

    made: list[Llm] = []

    def __init__(self, **options: Any) -> None:
        self.options, self.calls = options, []
        config = SimpleNamespace(
            max_model_len=64,
            try_get_generation_config=lambda: {"eos_token_id": tiny_tokenizer().convert_tokens_to_ids(["+"])},
        )
        core = SimpleNamespace(shutdown=lambda: self.calls.append("shutdown"))
        self.llm_engine = SimpleNamespace(model_config=config, engine_core=core)
        self.made.append(self)

    def generate(self, prompts: list[Any], params: list[Any], *, use_tqdm: bool) -> list[Any]:
        self.calls.append((prompts, params))
        so, end = tiny_tokenizer().convert_tokens_to_ids(["so", "<|end|>"])
        ids = [(so, end) if number else (so,) * params[0].max_tokens for number in range(len(prompts))]
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=one)]) for one in ids]


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Llm]]:
    fake = SimpleNamespace(LLM=Llm, SamplingParams=lambda **given: SimpleNamespace(**given))
    monkeypatch.setitem(__import__("sys").modules, "vllm", fake)
    Llm.made = []
    yield Llm


def test_an_evaluation_gives_vllm_ids_seeds_and_the_contracts_ends(tmp_path: Path, llm: type[Llm]) -> None:
    model, tokenizer = tiny_model(tmp_path / "model"), tiny_tokenizer()
    given = context(tmp_path, "evaluate", model)
    given = replace(given, evaluation=given.evaluation.model_copy(update={"engine": "vllm", "vllm": {"dtype": "half"}}))
    Evaluate(id="evaluate").run(given)
    (made,) = llm.made
    assert made.options == {"model": str(model), "revision": None, "seed": 3, "dtype": "half"}
    (prompts, params), last = made.calls
    assert last == "shutdown"
    rows = list(read_jsonl(given.folder / "completions.jsonl"))
    assert [one["prompt_token_ids"] for one in prompts] == tokenizer([row["prompt_text"] for row in rows]).input_ids
    (end,) = tokenizer.convert_tokens_to_ids(["<|end|>"])
    assert {tuple(one.stop_token_ids) for one in params} == {(end,)}  # not the ordinary one that is declared
    assert [one.seed for one in params] == [request_seed(f"3/{row['problem_id']}/0") for row in rows]
    assert [(row["text"], row["tokens"], row["truncated"]) for row in rows[:2]] == [
        (" ".join(["so"] * 12), 12, True), ("so", 2, False)
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_vllm_runs_a_model_in_the_type_that_it_was_saved_in(dtype: str, tmp_path: Path, llm: type[Llm]) -> None:
    model = str(tiny_model(tmp_path / "model", dtype=dtype))
    given = context(tmp_path, "evaluate", Path(model))
    Evaluate(id="evaluate").run(replace(given, evaluation=given.evaluation.model_copy(update={"engine": "vllm"})))
    teacher = EngineContext({}, given.response_format, 3, launch_env=LaunchEnv(size=2))
    for asked in ("auto", "float16"):
        with engine.Vllm(model=model, dtype=asked).open(teacher):
            pass
    assert [made.options["dtype"] for made in llm.made] == [dtype, dtype, "float16"]
    executor = [made.options.get("distributed_executor_backend") for made in llm.made]
    assert executor == [None, "external_launcher", "external_launcher"]


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A model folder of a training with `save: adapter`."""
    folder = case(tmp_path)
    sft = context(folder, "sft", folder / "base")
    SFT.model_copy(update={"epochs": 1, "lora": {"r": 4}, "save": "adapter", "dtype": "bfloat16"}).run(sft)
    return sft.model_folder


def test_an_adapter_saved_alone_is_merged_for_an_evaluation_and_refused_as_a_teacher(
    tmp_path: Path, adapter: Path, llm: type[Llm], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = context(tmp_path, "evaluate", adapter)
    given = replace(given, evaluation=given.evaluation.model_copy(update={"engine": "vllm"}))
    for _ in range(2):  # as when the first was killed
        Evaluate(id="evaluate").run(given)
    for made in llm.made:
        folder = Path(made.options["model"])
        merged, wanted = load_model(str(folder)), load_model(str(adapter), dtype="float32")
        assert not (folder / "adapter_config.json").exists() and made.options["dtype"] == "bfloat16"
        assert all((one == merged.state_dict()[name]).all() for name, one in wanted.state_dict().items())
    monkeypatch.setattr(engine, "is_installed", lambda: True)
    with pytest.raises(UserError, match="a model with its adapter apart, which vLLM cannot load. Merge them"):
        engine.Vllm(model=str(adapter)).check(next(DOMAIN.problems("train", 0)))


def test_a_prompt_that_does_not_fit_is_said_before_vllm_is_asked() -> None:
    model = engine.VllmModel(lambda *given: [], (2,), 8)
    with pytest.raises(UserError, match="do not fit into the model's context of 8. Set `max_tokens` to at most 5"):
        list(model.stream(tiny_tokenizer(), ["+ + +"], Sampling(max_tokens=7), seed=0, names=["a"]))


def test_evaluations_are_cut_into_calls_and_ranks_without_prompts_take_part() -> None:
    asked: list[int] = []

    def draw(prompts: list[list[int]], sampling: Sampling, seeds: list[int]) -> list[list[int]]:
        asked.append(len(prompts))
        return [[5, 2] for _ in prompts]

    model, tokenizer = engine.VllmModel(draw, (2,), None, at_once=2), tiny_tokenizer()
    parts = list(model.stream(tokenizer, ["+", "=", "."], Sampling(), seed=0, names=["a", "b", "c"]))
    assert asked == [2, 1] and [sorted(part) for part in parts] == [[0, 1], [2]]
    assert list(model.stream(tokenizer, [], Sampling(), seed=0, names=[])) == [{}] and asked[-1] == 0


def test_a_model_that_vllm_cannot_load_is_named(llm: type[Llm], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(**options: Any) -> None:
        raise RuntimeError("No available memory\nfor the cache blocks")

    monkeypatch.setattr("vllm.LLM", refuses, raising=False)
    with pytest.raises(UserError, match="m: vLLM cannot load the model .No available memory.*See `evaluation.vllm`"):
        with engine.evaluated("m", None, tiny_tokenizer(), 0, {}):
            pass


def test_a_folder_named_vllm_is_not_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(__import__("sys").modules, "vllm", raising=False)
    (tmp_path / "vllm").mkdir()
    assert importlib.util.find_spec("vllm") is not None and not engine.is_installed()


def test_the_recipes_keys_become_options_of_trl(tmp_path: Path) -> None:
    stage = Rlvr.model_validate({
        **UNDER_VLLM.model_dump(exclude={"id", "type", "reward"}),
        "vllm": {"gpu_memory": 0.4, "sleep": True},
        "args": {"generation_kwargs": {"min_tokens": 2, "stop_token_ids": [9]}},
    })  # fmt: skip
    given = context(tmp_path, "rlvr", tiny_model(tmp_path / "base"), every=2)
    tokenizer = chat.load_tokenizer(str(given.inputs.model))
    contract = chat.check(str(given.inputs.model), given.response_format)
    task = stage._task(given, tokenizer, contract)
    config = stage.config(given, **model_options(stage, contract, given, tokenizer, task))
    assert (config.use_vllm, config.vllm_mode, config.vllm_gpu_memory_utilization) == (True, "colocate", 0.4)
    assert config.vllm_enable_sleep_mode and config.vllm_importance_sampling_correction
    assert config.generation_kwargs == {"min_tokens": 2, "stop_token_ids": sorted({9, *contract.stop_ids})}
    assert config.vllm_max_model_length == max(task.lengths) + 12
    longer = replace(given, evaluation=given.evaluation.model_copy(update={"samplings": {"greedy": Sampling()}}))
    assert model_options(stage, contract, longer, tokenizer, task)["vllm_max_model_length"] >= 512 + min(task.lengths)
    server = stage.model_copy(update={"vllm": type(stage.vllm)(mode="server", base_url="http://x:1")}).config(given)
    assert (server.vllm_mode, server.vllm_server_base_url) == ("server", "http://x:1")


def test_the_curve_draws_greedily_with_the_present_weights_and_restores_the_rollouts_settings() -> None:
    said: list[Any] = []

    def generate(prompts: list[list[int]], images: None, num_generations: int) -> Any:
        said.append((prompts, rollouts.temperature, rollouts.max_completion_length))
        return prompts, [(5, 2) for _ in prompts], None, None

    rollouts = SimpleNamespace(
        temperature=0.7, top_p=0.9, top_k=50, max_completion_length=12, generate=generate,
        sync_weights=lambda: said.append("sync"),
    )  # fmt: skip
    trainer: Any = SimpleNamespace(
        vllm_generation=rollouts, eos_token_ids=[2], processing_class=tiny_tokenizer(),
        accelerator=SimpleNamespace(device="cpu"),
    )  # fmt: skip
    with training_model(trainer) as model:
        (part,) = model.stream(tiny_tokenizer(), ["+"], Sampling(max_tokens=30), seed=0, names=["a"])
    assert [one.truncated for one in part.values()] == [False]
    assert said == ["sync", ([tiny_tokenizer()("+").input_ids], 0.0, 30)]
    assert (rollouts.temperature, rollouts.top_p, rollouts.top_k, rollouts.max_completion_length) == (0.7, 0.9, 50, 12)


def as_from_a_hub(folder: Path) -> Path:
    """A tiny model as base models come: another end token declared than the one that ends a turn, and no contract."""
    tiny_model(folder, head_dim=32)  # vLLM has no smaller heads on a CPU
    (folder / chat.CONTRACT_FILE).unlink()
    for name in ("config.json", "generation_config.json"):
        file = folder / name
        file.write_text(json.dumps({**json.loads(file.read_text()), "eos_token_id": 0}))
    return folder


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets weights be loaded again on a CPU, where vLLM packs linear layers into another form and drops the first."""
    from torch.nn.functional import linear
    from trl.generation import vllm_generation
    from vllm.model_executor.layers import utils

    def keep(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = linear

    monkeypatch.setattr(utils, "dispatch_cpu_unquantized_gemm", keep)
    monkeypatch.setattr(vllm_generation, "LLM", partial(vllm_generation.LLM, enforce_eager=True))  # compiles nothing
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "WARNING")


def trained(folder: Path, stage: Rlvr, seed: int, **fields: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rollouts and logged rows of an RLVR stage under real vLLM."""
    folder.mkdir()
    given = replace(context(folder, "rlvr", as_from_a_hub(folder / "base"), **fields), seed=seed)
    stage.run(given)
    return list(read_jsonl(given.folder / "rollouts.jsonl")), list(read_jsonl(given.folder / "log.jsonl"))


@pytest.mark.vllm
@pytest.mark.skipif(not engine.is_installed(), reason="vLLM is not installed: `make test-vllm` installs its CPU build")
@pytest.mark.usefixtures("cpu")
class TestReal:
    def test_rollouts_end_where_a_turn_ends_and_the_mismatch_is_logged(self, tmp_path: Path) -> None:
        stage = UNDER_VLLM.model_copy(update={"sampling": Sampling(temperature=1.0, max_tokens=48)})
        rollouts, log = trained(tmp_path / "a", stage, 3, every=1)
        assert len(rollouts) == 32 and {row["truncated"] for row in rollouts} == {True, False}
        assert all(row["tokens"] == 48 for row in rollouts if row["truncated"])
        assert all("<|end|>" not in row["text"] for row in rollouts)
        steps = [row for row in log if "loss" in row]
        gaps = [row["sampling/sampling_logp_difference/mean"] for row in steps]
        assert len(gaps) == 2 and all(0 < gap < 0.1 for gap in gaps)
        assert all("sampling/importance_sampling_ratio/mean" in row for row in steps)
        curve = list(read_jsonl(tmp_path / "a/rlvr/curve.jsonl"))
        assert [row["step"] for row in curve] == [0, 1, 2]

    def test_seeds_draw_different_rollouts(self, tmp_path: Path) -> None:
        first, second = (trained(tmp_path / str(seed), UNDER_VLLM, seed, every=0)[0] for seed in (1, 2))
        texts = [{(row["problem_id"], row["text"]) for row in rows} for rows in (first, second)]
        assert len(texts[0] & texts[1]) < len(texts[0]) / 2

    def test_an_evaluation_finds_what_transformers_finds(self, tmp_path: Path) -> None:
        given = context(tmp_path, "evaluate", as_from_a_hub(tmp_path / "base"))
        own = given.evaluation.model_copy(update={"problems": 7})
        found = {}
        for name, options in (("transformers", {}), ("vllm", {"dtype": "float32", "enforce_eager": True})):
            (tmp_path / name).mkdir()
            settings = own.model_copy(update={"engine": name, "vllm": options})
            Evaluate(id="evaluate").run(replace(given, folder=tmp_path / name, evaluation=settings))
            rows = read_jsonl(tmp_path / name / "completions.jsonl")
            found[name] = [(row["text"], row["tokens"], row["truncated"]) for row in rows]
        same = sum(one == two for one, two in zip(found["transformers"], found["vllm"], strict=True))
        assert same >= 6  # greedy choices between nearly equal logits may differ
