"""Recipes that cannot run, each refused by `check` with a message that names the key; and odd ones that run."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from rich.console import Console

from tests.test_given_models import plan_of
from tests.tiny import tiny_model
from tests.training_case import RLVR, case, context
from warmup_rl.base.errors import UserError
from warmup_rl.cli import check
from warmup_rl.cli.check import plan
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.recipe.load import load_recipe
from warmup_rl.run.pipeline import TrialRunner
from warmup_rl.run.trial import Trial
from warmup_rl.stages.training import base

ARGS = "stages.rlvr.args"
LORA = "stages.rlvr.lora"
SFT = "stages.sft"
BROKEN = [
    # packages that are not installed
    (f"{ARGS}.use_vllm=true", r"use_vllm: not allowed here: use `rollout_engine: vllm`"),
    ("stages.rlvr.rollout_engine=vllm", r"rollout_engine: the package vllm is not installed"),
    (f"{ARGS}.use_liger_kernel=true", r"use_liger_kernel: the package liger_kernel is not"),
    (f"{SFT}.args.use_liger_kernel=true", r"use_liger_kernel: the package liger_kernel is not"),
    (f"{ARGS}.optim=paged_adamw_8bit", r"optim: the package bitsandbytes is not installed"),
    (f"{SFT}.args.optim=adamw_bnb_8bit", r"optim: the package bitsandbytes is not installed"),
    (f"{ARGS}.optim=galore_adamw", r"rlvr.*(galore|optim)"),
    (f"{ARGS}.model_init_kwargs={{load_in_4bit: true}}", r"load_in_4bit: the package bitsandbytes is not"),
    (f"{ARGS}.model_init_kwargs={{load_in_8bit: true}}", r"load_in_8bit: the package bitsandbytes is not"),
    (f"{ARGS}.model_init_kwargs={{attn_implementation: flash_attention_2}}", r"cannot be built: FlashAttention2"),
    # adapters
    (f"{LORA}={{target_modules: [q_proj, foo]}}", r"lora\.target_modules: .* no module 'foo'.*q_proj"),
    (f"{LORA}={{target_modules: 'foo.*bar'}}", r"rlvr\.lora: peft refuses it: .*Linear modules"),
    (f"{LORA}={{modules_to_save: [head]}}", r"lora\.modules_to_save: .* no module 'head'"),
    (f"{LORA}={{init_lora_weights: nonsense}}", r"rlvr.*lora.*nonsense"),
    (f"{LORA}={{r: 0}}", r"lora\.r: must be at least 1"),
    (f"{LORA}={{rank: 4}}", r"lora\.rank: unknown key .* 'r'"),
    (f"{LORA}={{lora_dropout: 2.0}}", r"rlvr.*dropout"),
    (f"{LORA}={{trainable_token_indices: [5, 100000]}}", r"token_indices: the model has tokens 0 to .*got 100000"),
    (f"{LORA}={{trainable_token_indices: {{embed_tokens: [-1]}}}}", r"token_indices: .*got -1"),
    # names that do not exist
    (f"{ARGS}.loss_type=nonsense", r"loss_type: allowed: grpo"),
    (f"{ARGS}.loss_type=gspo", r"loss_type: no such value .*importance_sampling_level: sequence"),
    (f"{SFT}.args.loss_type=nonsense", r"loss_type: allowed: nll"),
    (f"{ARGS}.optim=adamw9", r"optim: allowed"),
    (f"{ARGS}.lr_scheduler_type=cosines", r"lr_scheduler_type: allowed"),
    (f"{ARGS}.scale_rewards=sometimes", r"scale_rewards: allowed"),
    (f"{ARGS}.model_init_kwargs={{attn_implementation: quick}}", r"model_init_kwargs: the model cannot be built"),
    (f"{ARGS}.model_init_kwargs={{dtype: float12}}", r"model_init_kwargs: the model cannot be built: .*float12"),
    (f"{ARGS}.model_init_kwargs={{colour: blue}}", r"model_init_kwargs\.colour: .*no such option"),
    (f"{ARGS}.replay_buffer_size=4", r"replay_buffer_size: unknown key"),
    ("stages.rlvr.health={entropies: stop}", r"health.*no rule 'entropies'"),
    ("stages.rlvr.trainer=./nowhere.py:Trainer", r"trainer: no such file"),
    # values and combinations that a trainer refuses when it is built
    (f"{ARGS}.logging_steps=0", r"rlvr.*logging_steps"),
    (f"{ARGS}={{bf16: true, fp16: true}}", r"rlvr.*fp16"),
    (f"{ARGS}.sync_ref_model=true", r"rlvr: .*sync_ref_model"),
    (f"{ARGS}.adam_beta1=2.0", r"rlvr.*beta"),
    (f"{ARGS}.dataloader_num_workers=-1", r"rlvr.*num_workers"),
    (f"{ARGS}.lr_scheduler_kwargs={{speed: 3}}", r"rlvr.*speed"),
    (f"{ARGS}.learning_rate=-1.0", r"learning_rate: must be at least 0"),
    (f"{ARGS}.gradient_accumulation_steps=2", r"gradient_accumulation_steps: not allowed here"),
    (f"{SFT}.args={{packing: true, packing_strategy: wrapped}}", r"packing_strategy: wrapped cuts traces"),
    # room
    ("stages.rlvr.sampling.max_tokens=250", r"sampling\.max_tokens: the longest prompt .* context of 256"),
    ("stages.rlvr.sampling.max_tokens=400", r"max_tokens: 400 tokens and a prompt do not fit"),
    (f"{SFT}.max_tokens=5000", r"sft\.max_tokens: 5000 is more than the model's context of 256"),
    ("evaluation.samplings.greedy.max_tokens=300", r"max_tokens: 300 tokens and a prompt do not fit"),
    ("stages.rlvr.updates_per_step=3", r"updates_per_step: 3 does not divide"),
    ("stages.rlvr.problems=4000", r"problems: at most 100"),
]  # fmt: skip
ODD = [
    f"{SFT}.args.logging_steps=100",
    f"{SFT}.args={{dataloader_drop_last: true}}",
    f"{SFT}.args.packing=true",
    f"{ARGS}.logging_strategy=no",
    f"{ARGS}={{importance_sampling_level: sequence, loss_type: grpo}}",
    f"{ARGS}={{beta: 0.1, sync_ref_model: true}}",
    f"{LORA}={{r: 2, use_dora: true}}",
    "stages.rlvr.health=off",
]


FROM_SCRATCH = [
    # the model that a stage of the recipe builds
    ("stages.pretrain.model.model_type=qwen99", r"pretrain\.model: .*Unrecognized model identifier: qwen99"),
    ("stages.pretrain.model.model_type=t5", r"pretrain\.model\.intermediate_size: T5Config has no such field"),
    ("stages.pretrain.model.num_attention_heads=3", r"pretrain\.model: transformers refuses it: .*size of tensor"),
    ("stages.pretrain.model.head_dim=7", r"pretrain\.model: .*validate_rope.*an even rotary dimension"),
    ("stages.pretrain.model.hidden_act=quick", r"pretrain\.model: transformers refuses it: unknown 'quick'"),
    ("stages.pretrain.model.hiden_size=32", r"pretrain\.model\.hiden_size: .* 'hidden_size'"),
    ("stages.pretrain.muon=0", r"pretrain\.muon: must be more than 0"),
    ("stages.pretrain.corpus.chat_lengths=[0, 0]", r"corpus\.chat_lengths: .*more than 0"),
    ("stages.pretrain.corpus.textbook_lengths=[-1, 2]", r"corpus\.textbook_lengths\.0: must be at least 0"),
    ("evaluation.domains=[]", r"evaluation\.domains"),
    ("stages.pretrain.model.vocab_size=10", r"pretrain\.model: .*vocab_size"),
    ("stages.pretrain.args.adam_beta2=1.0", r"pretrain: Trainer refuses it: Invalid beta"),
    # what the stages after it do to that model
    (f"{LORA}={{target_modules: [foo]}}", r"lora\.target_modules: the model has no module 'foo'.*q_proj"),
    (f"{LORA}={{target_modules: '('}}", r"rlvr\.lora: peft refuses it"),
    (f"{ARGS}={{bf16: true, fp16: true}}", r"rlvr.*fp16"),
    (f"{ARGS}.lr_scheduler_type=cosine_with_min_lr", r"rlvr: .*min_lr"),
    # options that are read at the first step
    (f"{LORA}={{r: 2, alora_invocation_tokens: [1]}}", r"rlvr\.lora: such an adapter cannot be merged \(aLoRA"),
    (f"{ARGS}.min_p=2.0", r"rlvr: a step with these options fails: `min_p`"),
    (f"{ARGS}.repetition_penalty=-1.0", r"rlvr: a step with these options fails: `penalty`"),
    (f"{ARGS}={{beta: 0.1, sync_ref_model: true, ref_model_sync_steps: 0}}", r"a step .*fails: .*zero"),
    (f"{SFT}.args.neftune_noise_alpha=-5", r"sft: a step with these options fails"),
    (
        f"{SFT}.args={{gradient_checkpointing: true, gradient_checkpointing_kwargs: {{reentrant: false}}}}",
        r"sft: a step with these options fails: .*reentrant",
    ),
    ("seeds=[4294967296]", r"seeds\.0: must be less than 4294967296"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model(tmp_path_factory.mktemp("models") / "model"))


@pytest.mark.parametrize(("override", "message"), BROKEN, ids=[override for override, _ in BROKEN])
def test_check_refuses_what_cannot_run(model: str, tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        plan_of(tmp_path, model, override)
    assert "Traceback" not in str(caught.value)


def plan_from_scratch(folder: Path, *overrides: str) -> str:
    """What `check` prints of a recipe that pretrains its model."""
    (folder / "recipe.yaml").write_text(
        f"run_name: x\noutput_dir: {folder}\n"
        "domains: {sums: {phrasing: terse, operations: [2, 3]}, kk: {people: [2, 2], phrasing: terse}}\n"
        "evaluation: {problems: 4, samplings: {greedy: {temperature: 0, max_tokens: 8}}}\n"
        "stages:\n  - type: pretrain\n    corpus: {type: nano, share: 0.01}\n"
        "    model: {model_type: qwen3, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1,\n"
        "      num_attention_heads: 2, num_key_value_heads: 2, head_dim: 16, max_position_embeddings: 256}\n"
        "  - {type: distill, domain: kk, problems: 4, teacher: {type: solver}}\n  - sft\n"
        "  - {type: rlvr, domain: sums, steps: 2, problems: 4, sampling: {max_tokens: 8}}\n  - evaluate\n"
    )
    console = Console(file=StringIO(), width=200)
    plan(load_recipe(folder / "recipe.yaml", list(overrides)), console=console)
    return console.file.getvalue()


@pytest.mark.parametrize(("override", "message"), FROM_SCRATCH, ids=[override for override, _ in FROM_SCRATCH])
def test_check_refuses_what_cannot_run_on_a_model_that_does_not_exist_yet(
    tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        plan_from_scratch(tmp_path, override)
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml"}


def test_what_has_passed_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    prepare = check.prepare
    monkeypatch.setattr(check, "prepare", lambda *given: built.append(1) or prepare(*given))
    first = plan_from_scratch(tmp_path, f"{ARGS}={{min_p: 0.1}}")
    assert plan_from_scratch(tmp_path, f"{ARGS}={{min_p: 0.1}}") == first and built == [1]
    plan_from_scratch(tmp_path, f"{ARGS}={{min_p: 0.2}}")
    assert built == [1, 1]


def test_a_trial_builds_no_trainer_that_check_or_another_trial_has_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    require = base.require_trainer
    monkeypatch.setattr(base, "require_trainer", lambda *given: built.append(given[-1]) or require(*given))
    plan_from_scratch(tmp_path)
    assert built == ["pretrain", "sft", "rlvr"]
    warmer = "arms={main: {}, warmer: {set: {rlvr.sampling.temperature: 1.2}}}"
    for overrides, arm, expected in (
        ([], "main", []),
        ([warmer], "warmer", ["rlvr"]),
        ([warmer], "warmer", []),
        (["stages.rlvr.checkpoint.keep=3"], "main", ["rlvr"]),
    ):
        built.clear()
        trial = Trial(load_recipe(tmp_path / "recipe.yaml", overrides), arm, 0)
        with TemporaryDirectory() as drafts:
            TrialRunner(trial, LaunchEnv(), print).prepare(trial.stages, Path(drafts))
        assert built == expected


@pytest.mark.parametrize(
    "override",
    [
        f"{LORA}={{r: 2, init_lora_weights: pissa}}",  # reads the weights, which `check` does not have
        f"{ARGS}={{beta: 0.1, sync_ref_model: true}}",
        f"{ARGS}={{min_p: 0.1, repetition_penalty: 1.1}}",
        "stages.pretrain.model={model_type: gpt2, n_embd: 32, n_layer: 1, n_head: 2, n_positions: 256}",
        "stages.pretrain.model={model_type: qwen3_moe, hidden_size: 32, num_experts: 4, num_experts_per_tok: 2, "
        "num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 2, moe_intermediate_size: 16}",
    ],
)
def test_check_passes_what_runs_on_a_model_that_does_not_exist_yet(tmp_path: Path, override: str) -> None:
    assert "rlvr" in plan_from_scratch(tmp_path, override)


@pytest.mark.parametrize("override", ODD)
def test_check_passes_what_is_odd_and_runs(model: str, tmp_path: Path, override: str) -> None:
    assert "rlvr" in plan_of(tmp_path, model, override)


def test_check_refuses_a_run_that_the_disk_cannot_hold(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warmup_rl.cli import disk

    monkeypatch.setattr(disk, "parameters", lambda recipe: 10**15)
    with pytest.raises(UserError, match=r"output_dir: .* free, .* or more are needed for 2 models and a checkpoint"):
        plan_of(tmp_path, model)


@pytest.mark.parametrize(
    "args",
    [
        {"logging_steps": 100},
        {"logging_strategy": "no"},
        {"dataloader_drop_last": True},
        {"importance_sampling_level": "sequence", "loss_type": "grpo"},
        {"beta": 0.1, "sync_ref_model": True},
    ],
    ids=str,
)
def test_what_check_passes_trains(tmp_path: Path, args: dict[str, Any]) -> None:
    folder = case(tmp_path)
    given = context(folder, "rlvr", folder / "base", every=0)
    stage = RLVR.model_copy(update={"steps": 1, "args": {**args, "learning_rate": 1e-4}})
    stage.prepare(given)
    assert stage.run(given)["steps"] == 1
