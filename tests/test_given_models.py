"""Models as users bring them: pad equal to the end token, half precision, NaN weights, adapters."""

from __future__ import annotations

import json
from io import StringIO
from itertools import islice
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from tests.tiny import tiny_model, tiny_tokenizer
from tests.training_case import DOMAIN, FORMAT, RLVR, SFT, case, context
from warmup_rl.base.config import existing_model
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.models import base_of, load_model, pickled_only, require_finite, with_adapter
from warmup_rl.cli.check import plan
from warmup_rl.cli.command import Command
from warmup_rl.data.traces import read_traces
from warmup_rl.interfaces import chat
from warmup_rl.recipe.load import load_recipe
from warmup_rl.run.cache import model_key
from warmup_rl.stages.evaluate import Evaluate
from warmup_rl.stages.sft import IGNORED, encode

SHORT = SFT.model_copy(update={"epochs": 1})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case(tmp_path_factory.mktemp("models"))


def plan_of(folder: Path, model: str, *overrides: str, command: Command | None = None) -> str:
    """What `check` prints of a recipe that starts from a model."""
    (folder / "recipe.yaml").write_text(
        f"run_name: x\nmodel: {model}\noutput_dir: {folder}\n"
        "domains: {sums: {phrasing: terse, operations: [2, 3]}, kk: {people: [2, 2], phrasing: terse}}\n"
        "evaluation: {problems: 4, samplings: {greedy: {temperature: 0, max_tokens: 8}}}\n"
        "stages:\n  - {type: distill, domain: kk, problems: 4, teacher: {type: solver, solver_ok: true}}\n  - sft\n"
        "  - {type: rlvr, domain: sums, steps: 2, problems: 4, sampling: {max_tokens: 8}}\n  - evaluate\n"
    )
    console = Console(file=StringIO(), width=200)
    plan(load_recipe(folder / "recipe.yaml", list(overrides)), console=console, command=command)
    return console.file.getvalue()


def test_check_shows_the_prompt_and_gold_of_each_domain(tmp_path: Path) -> None:
    text = plan_of(tmp_path, str(tiny_model(tmp_path / "model")))
    assert "--- sums, as the model is asked it (prompt style open) ---" in text
    assert "<|user|> sums :" in text and "<|assistant|> <think>" in text and "--- gold: " in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.rlvr.lora={target_modules: [q_proj, foo]}", r"rlvr\.lora\.target_modules: .* no module 'foo'.*q_proj"),
        ("stages.rlvr.lora={target_modules: 'foo.*bar'}", r"rlvr\.lora: peft refuses it: .*Linear modules"),
        (
            "stages.rlvr.args.use_liger_kernel=true",
            r"args\.use_liger_kernel: the package liger_kernel is not",
        ),
        ("stages.rlvr.rollout_engine=vllm", r"rollout_engine: the package vllm is not installed"),
        ("stages.rlvr.args.optim=paged_adamw_8bit", r"args\.optim: the package bitsandbytes is not installed"),
        ("stages.rlvr.args.optim=galore_adamw", r"rlvr: PlannedGRPOTrainer refuses it: .*galore"),
        ("stages.rlvr.args.model_init_kwargs={load_in_4bit: true}", r"load_in_4bit: the package bitsandbytes is not"),
        (
            "stages.rlvr.args.model_init_kwargs={attn_implementation: flash_attention_2}",
            r"rlvr\.args\.model_init_kwargs: the model cannot be built: FlashAttention2",
        ),
    ],
)
def test_check_finds_what_would_stop_the_trainer(tmp_path: Path, override: str, message: str) -> None:
    model = str(tiny_model(tmp_path / "model"))
    with pytest.raises(UserError, match=message):
        plan_of(tmp_path, model, override)


def test_check_says_when_a_hub_model_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    text = plan_of(tmp_path, "someone/some-model-1b")
    assert "someone/some-model-1b: neither a folder here nor a hub model that is cached or can be reached" in text
    assert "--- sums, as the model is asked it" in text


def dtypes(folder: Path) -> set[torch.dtype]:
    return {tensor.dtype for file in folder.glob("*.safetensors") for tensor in load_file(str(file)).values()}


def test_an_end_token_is_trained_where_padding_is_the_same_token(data: Path) -> None:
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    tokenizer = chat.fit_tokenizer(tiny_tokenizer(pad_token="<|end|>", unk_token=None))
    assert tokenizer.pad_token == tokenizer.eos_token
    rows = [encode(tokenizer, trace, FORMAT) for trace in islice(read_traces(data / "traces.jsonl"), 4)]
    rows[0] = {key: ids[:2] + ids for key, ids in rows[0].items()}
    batch = DataCollatorForLanguageModeling(tokenizer.pad_token_id)(rows)
    for row, ids, labels, mask in zip(rows, batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
        length = len(row["input_ids"])
        assert labels[length - 1] == ids[length - 1] == tokenizer.eos_token_id
        assert mask.sum() == length and set(labels[length:].tolist()) <= {IGNORED}


def test_a_model_with_pad_equal_to_end_trains_and_learns_to_stop(data: Path) -> None:
    tokenizer = tiny_tokenizer(pad_token="<|end|>", unk_token=None)
    tiny_model(data / "pad_is_end", tokenizer=tokenizer)
    sft = context(data, "pad-sft", data / "pad_is_end")
    SFT.run(sft)
    assert chat.check(sft.model_folder, FORMAT).pad_id == tokenizer.eos_token_id
    rlvr = context(data, "pad-rlvr", sft.model_folder)
    RLVR.model_copy(update={"steps": 1}).run(rlvr)
    from warmup_rl.base.config import Sampling
    from warmup_rl.base.models import load_model
    from warmup_rl.engines.hf import generate

    loaded = chat.load_tokenizer(rlvr.model_folder)
    prompts = [chat.render_prompt(loaded, DOMAIN.prompt(problem), FORMAT) for problem in DOMAIN.take("test", 0, 5)]
    made = generate(load_model(str(rlvr.model_folder)), loaded, prompts, Sampling(max_tokens=12), batch_size=5, seed=0)
    assert not any(one.truncated for one in made)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("lora", [None, {"r": 2}])
def test_a_model_is_saved_in_the_data_type_of_the_recipe(data: Path, dtype: str, lora: dict[str, int] | None) -> None:
    source = tiny_model(data / "half", dtype="bfloat16")
    given = context(data, f"sft-{dtype}-{lora}", source)
    SHORT.model_copy(update={"lora": lora} | ({} if dtype == "float32" else {"dtype": dtype})).run(given)
    assert dtypes(given.model_folder) == {getattr(torch, dtype)}
    assert AutoConfig.from_pretrained(str(given.model_folder)).dtype == getattr(torch, dtype)
    assert load_model(str(given.model_folder)).dtype == getattr(torch, dtype), "evaluation runs in what is saved"


LORA = {"lora": {"r": 16, "lora_alpha": 32}, "args": {"learning_rate": 1e-5}}


@pytest.mark.parametrize("kept", ["merged", "adapter", "both"])
def test_what_an_adapter_has_learned_on_a_half_precision_base_survives_saving(data: Path, kept: str) -> None:
    source = tiny_model(data / "half", dtype="bfloat16")
    both, given = context(data, "lora-both", source), context(data, f"lora-{kept}", source)
    SHORT.model_copy(update=LORA).run(both)
    SHORT.model_copy(update={**LORA, "save": kept}).run(given)
    assert (given.folder / "adapter").is_dir() == (kept == "both")
    assert (given.model_folder / "adapter_config.json").is_file() == (kept == "adapter")
    share, cosine = surviving(source, both.folder / "adapter", load_model(str(given.model_folder)).state_dict())
    assert share == pytest.approx(1, abs=0.01) and cosine > 0.99


def test_an_adapter_alone_is_evaluated_and_trained_on_like_its_whole_model(data: Path) -> None:
    found = []
    for kept in ("adapter", "merged"):
        sft = context(data, f"chain-{kept}", data / "base")
        SHORT.model_copy(update={**LORA, "save": kept}).run(sft)
        rlvr = context(data, f"chain-rlvr-{kept}", sft.model_folder)
        RLVR.model_copy(update={**LORA, "steps": 1, "save": kept}).run(rlvr)
        evaluate = context(data, f"chain-evaluate-{kept}", rlvr.model_folder)
        cells = Evaluate(id="evaluate").run(evaluate)
        rows = [row["text"] for row in read_jsonl(rlvr.folder / "rollouts.jsonl")]
        found.append((cells, rows, load_model(str(rlvr.model_folder)).state_dict()))
    assert found[0][:2] == found[1][:2]
    assert all(torch.allclose(one, found[1][2][name], atol=1e-6) for name, one in found[0][2].items())
    base, _ = base_of(data / "chain-rlvr-adapter" / "model")
    assert base == str((data / "chain-adapter" / "model").resolve()), "not the merged one, which is gone"


def surviving(base: Path, adapter: Path, saved: dict[str, torch.Tensor]) -> tuple[float, float]:
    """The share of the change that an adapter makes to its base that is in saved weights, and its cosine with it."""
    before = load_model(str(base), dtype="float32").state_dict()
    trained = with_adapter(load_model(str(base), dtype="float32"), adapter).state_dict()
    wanted = torch.cat([(trained[name] - before[name]).flatten() for name in before]).double()
    found = torch.cat([(saved[name].float() - before[name]).flatten() for name in before]).double()
    assert wanted.norm() > 0
    return float(found.norm() / wanted.norm()), float(torch.cosine_similarity(wanted, found, dim=0))


def test_a_saved_model_is_ready_to_use(data: Path) -> None:
    given = context(data, "ready", data / "base")
    SHORT.run(given)
    config = AutoConfig.from_pretrained(str(given.model_folder))
    tokenizer = chat.load_tokenizer(given.model_folder)
    assert (config.use_cache, config.eos_token_id) == (True, tokenizer.eos_token_id)
    assert not (given.model_folder / "training_args.bin").exists()


def test_weights_that_are_pickled_or_torn_are_one_line(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    (file,) = folder.glob("*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    for load in (require_finite, lambda place: load_model(str(place))):
        with pytest.raises(UserError, match="model") as caught:
            load(folder)
        assert "Traceback" not in str(caught.value)
    file.rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"are pickled \(pytorch_model.bin\), and reading a pickle can run code"):
        require_finite(folder)
    assert pickled_only(folder)
    file.write_bytes(whole)
    assert not pickled_only(folder)


def test_a_weight_that_is_not_finite_is_named_before_anything_runs(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    require_finite(folder)
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    weights[name][3, 4] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=f"{name} have values that are not finite"):
        require_finite(folder)


def adapter_of(base: Path, folder: Path) -> Path:
    """A random LoRA adapter on a model, saved as peft does."""
    from peft import LoraConfig, get_peft_model

    model = AutoModelForCausalLM.from_pretrained(str(base))
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(str(folder))
    return folder


def test_an_adapter_folder_is_taken_with_its_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from warmup_rl.engines.hf import HuggingFace

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base = tiny_model(tmp_path / "base")
    adapter = adapter_of(base, tmp_path / "adapter")
    taken = Path(HuggingFace(model=str(adapter)).model)
    assert (
        HuggingFace(model=str(adapter)).model == str(taken) != str(adapter) and not (adapter / "config.json").exists()
    )
    assert chat.load_tokenizer(taken).get_vocab() == chat.load_tokenizer(base).get_vocab()
    merged = with_adapter(load_model(str(base), dtype="float32"), adapter).state_dict()
    for name, weight in load_model(str(taken), dtype="float32").state_dict().items():
        assert torch.equal(weight, merged[name])
    key = model_key(str(taken), None)
    (base / "generation_config.json").write_text('{"temperature": 0.5}')
    assert model_key(str(taken), None) != key, "the base is part of what the model is"


@pytest.mark.parametrize(("name", "message"), [("gone/base", "its base gone/base: "), ("", "names no base model")])
def test_an_adapter_whose_base_cannot_be_found_says_so(tmp_path: Path, name: str, message: str) -> None:
    adapter = adapter_of(tiny_model(tmp_path / "base"), tmp_path / "adapter")
    settings = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": name}))
    with pytest.raises(ValueError, match=f"{message}.*warmup-rl export .*adapter --to DIR"):
        existing_model(str(adapter))


@pytest.mark.pretrained("smollm2-135m")
def test_a_pretrained_model_with_pad_equal_to_end_is_taken(pretrained: Path, tmp_path: Path) -> None:
    """As SmolLM2 comes: pad is `<|im_end|>`, the end of its turns."""
    tokenizer = chat.load_tokenizer(pretrained)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    chat.check(pretrained, FORMAT)
    require_finite(pretrained)
