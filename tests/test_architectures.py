"""Models of other architectures: trained as if each row were alone, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BloomConfig,
    GPT2Config,
    GptOssConfig,
    GraniteMoeHybridConfig,
    Lfm2Config,
    Llama4TextConfig,
    LlamaConfig,
    MambaConfig,
    PhimoeConfig,
    RwkvConfig,
)

from tests.tiny import Adding, tiny_tokenizer
from tests.training_case import EVALUATE, FORMAT, RLVR, SFT, case, context
from warmup_rl.base.errors import UserError
from warmup_rl.base.types import Problem, Split
from warmup_rl.interfaces import chat
from warmup_rl.stages.training.grpo import PlannedGRPOTrainer
from warmup_rl.stages.training.preflight import few_layers, require_rows_apart

TOKENIZER = chat.fit_tokenizer(tiny_tokenizer())
WIDTH: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2}
HEADS: dict[str, Any] = {**WIDTH, "intermediate_size": 48, "num_attention_heads": 2, "num_key_value_heads": 2}
IDS: dict[str, Any] = {
    "vocab_size": len(TOKENIZER),
    "bos_token_id": None,
    "eos_token_id": TOKENIZER.eos_token_id,
    "pad_token_id": TOKENIZER.pad_token_id,
    "initializer_range": 0.3,
}
NO_DROPOUT: dict[str, Any] = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
GPT2 = GPT2Config(**IDS, n_embd=32, n_layer=2, n_head=2, n_positions=256, **NO_DROPOUT)
BLOOM = BloomConfig(**IDS, hidden_size=32, n_layer=2, n_head=2)
CONV = ["conv", "full_attention"]
PUT = ("packed", "left-padded", "right-padded")
REFUSED = [
    (LlamaConfig(**IDS, **HEADS), set()),
    (GPT2, set()),
    (BLOOM, {"packed"}),
    (GptOssConfig(**IDS, **HEADS, head_dim=16, num_local_experts=4, num_experts_per_tok=2), {"packed"}),
    (Lfm2Config(**IDS, **HEADS, layer_types=CONV), {"packed"}),
    (MambaConfig(**IDS, **WIDTH, state_size=4), {"packed"}),
    (RwkvConfig(**IDS, **WIDTH, attention_hidden_size=32), {"packed", "left-padded"}),
    (BertConfig(**IDS, **HEADS), {"packed", "right-padded"}),
]


EXPERTS: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16}
MIXER: dict[str, Any] = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_chunk_size": 8}
GRANITE = GraniteMoeHybridConfig(**IDS, **HEADS, **EXPERTS, **MIXER, layer_types=["linear_attention", "full_attention"])
LLAMA4 = Llama4TextConfig(**{**IDS, **HEADS, **EXPERTS, "num_hidden_layers": 16, "num_experts_per_tok": 1})
PHI = PhimoeConfig(**IDS, **HEADS, **EXPERTS)
DECODER = BertConfig(**IDS, **HEADS, is_decoder=True)
NO_BALANCE = r"args\.router_aux_loss_coef: 0\.0 \(the loss that balances experts\)"
OTHER = "Take a model of another architecture"
STEPS: list[tuple[Any, dict[str, Any], str, dict[str, Any] | None]] = [
    (GRANITE, {}, rf"GraniteMoeHybridForCausalLM fails: .*'num_experts'\. Set {NO_BALANCE}\.", {}),
    (
        PHI,
        {"r": 2},
        rf"'dtype'\. Set lora\.exclude_modules: \['router'\] and {NO_BALANCE}\.",
        {"exclude_modules": ["router"]},
    ),
    (LLAMA4, {}, rf"Llama4ForCausalLM fails: .*'last_hidden_state'\. {OTHER}\.", None),
    (DECODER, {}, rf"BertLMHeadModel fails: TRL does not know its output layer, .*\. {OTHER}\.", None),
]
"""Models of which a training step fails, with an adapter or without, what is said, and options of the adapter with
which it trains as told."""


def model_of(config: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).eval()


def folder_of(config: Any, folder: Path) -> Path:
    model_of(config).save_pretrained(str(folder))
    chat.stamp(folder, tiny_tokenizer(), FORMAT)
    return folder


@pytest.mark.parametrize(("config", "refused"), REFUSED, ids=[config.model_type for config, _ in REFUSED])
def test_a_model_is_refused_where_rows_that_are_put_together_change_each_other(config: Any, refused: set[str]) -> None:
    whole = model_of(config)
    for model in (whole, few_layers(whole)):
        if model is None:
            continue
        for put in PUT:
            if put in refused:
                with pytest.raises(UserError, match=r"stage: .*(packed|padding|behind)"):
                    require_rows_apart(model, put, "stage")
            else:
                require_rows_apart(model, put, "stage")


def test_what_would_mix_packed_rows_is_found_before_anything_runs(tmp_path: Path) -> None:
    folder = case(tmp_path)
    given = context(folder, "sft", folder_of(BLOOM, folder / "bloom"))
    with pytest.raises(UserError, match=r"sft: a BloomForCausalLM lets packed rows see each other.*Leave `packing`"):
        SFT.model_copy(update={"args": {"packing": True}}).prepare(given)
    SFT.prepare(given)


def test_the_first_layers_of_each_kind_stand_for_a_model() -> None:
    small = few_layers(model_of(LLAMA4))
    assert small is not None
    assert small.config.layer_types == [*["chunked_attention"] * 3, "full_attention"]
    assert small.config.no_rope_layers == [1, 1, 1, 0] and small.config.moe_layers == [0, 1, 2, 3]
    dense_first = LLAMA4.to_dict() | {"moe_layers": [6, 10], "layer_types": None, "no_rope_layers": [1] * 16}
    small = few_layers(model_of(Llama4TextConfig(**dense_first)))
    assert small is not None and small.config.num_hidden_layers == 7


@pytest.mark.parametrize("stage", [SFT, RLVR], ids=lambda stage: stage.id)
@pytest.mark.parametrize(("config", "lora", "said", "helps"), STEPS, ids=[row[0].model_type for row in STEPS])
def test_what_the_first_step_of_a_model_raises_is_said_before_anything_runs(
    tmp_path: Path, stage: Any, config: Any, lora: dict[str, Any], said: str, helps: dict[str, Any] | None
) -> None:
    folder = case(tmp_path)
    given = context(folder, stage.id, folder_of(config, folder / "model"), every=0)
    with pytest.raises(UserError, match=rf"^{stage.id}: a training step of a .*{said}$"):
        stage.model_copy(update={"lora": lora or None}).prepare(given)
    if helps is not None:
        args = {**stage.args, "router_aux_loss_coef": 0.0}
        mended = stage.model_copy(update={"lora": {**lora, **helps} or None, "args": args, "steps": 1})
        mended.prepare(given)
        assert mended.run(given)["steps"] == 1


@pytest.mark.parametrize("stage", [SFT, RLVR, EVALUATE], ids=lambda stage: stage.id)
def test_a_model_with_an_encoder_is_refused(tmp_path: Path, stage: Any) -> None:
    layers = {f"{side}_{what}": 2 for side in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    config = BartConfig(vocab_size=len(TOKENIZER), d_model=32, encoder_ffn_dim=48, decoder_ffn_dim=48, **layers)
    folder = case(tmp_path)
    BartForConditionalGeneration(config).save_pretrained(str(folder / "bart"))
    chat.stamp(folder / "bart", tiny_tokenizer(), FORMAT)
    given = context(folder, stage.id, folder / "bart")
    with pytest.raises(UserError, match=r"bart: a model of type bart reads prompts with an encoder\."):
        stage.run(given) if stage is EVALUATE else stage.prepare(given)


class Uneven(Adding):
    """Questions of different lengths."""

    type: ClassVar[str] = "uneven"

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        for count, problem in enumerate(super().problems(split, seed)):
            yield replace(problem, question="so " * (count % 4) + problem.question)


class Alone(PlannedGRPOTrainer):
    """Compares log-probabilities with those of each row by itself."""

    furthest: ClassVar[float] = 0.0
    padded: ClassVar[int] = 0

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *given: Any, **named: Any
    ) -> Any:
        found = super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, logits_to_keep, *given, **named
        )
        for row, (ids, mask) in enumerate(zip(input_ids, attention_mask, strict=True)):
            before = len(ids) - logits_to_keep
            start, end = int(mask[:before].logical_not().sum()), before + int(mask[before:].sum())
            with torch.no_grad():
                logps = model(input_ids=ids[None, start:end]).logits[0, :-1].log_softmax(-1)
            wanted = logps.gather(1, ids[start + 1 : end, None])[before - start - 1 :, 0]
            error = (found[0][row, : len(wanted)].detach() - wanted).abs().max().item()
            type(self).furthest, type(self).padded = max(self.furthest, error), self.padded + (start > 0)
        return found


def test_learned_positions_are_those_of_the_row_and_not_of_its_padding(tmp_path: Path) -> None:
    folder = case(tmp_path)
    update = {"steps": 1, "trainer": f"{__name__}:Alone", "args": {"beta": 0.02, "per_device_train_batch_size": 4}}
    given = context(folder, "rlvr", folder_of(GPT2, folder / "gpt2"), every=0)
    given = replace(given, domains={"adding": Uneven(name="adding", below=10)})
    RLVR.model_copy(update=update).run(given)
    assert Alone.padded > 0 and Alone.furthest < 1e-4
