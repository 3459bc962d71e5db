"""Trainer options read from source: the same as the imported classes have, and checked without importing them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from warmup_rl.base.errors import UserError
from warmup_rl.interfaces.plugins import import_class
from warmup_rl.recipe.trainer_args import LATE_CHOICES, OLD_SPELLINGS, options, wrong_options

HF, SFT, GRPO, DPO = "transformers:TrainingArguments", "trl:SFTConfig", "trl:GRPOConfig", "trl:DPOConfig"
CONFIGS = [HF, SFT, GRPO, DPO, "trl:RLOOConfig", "trl.experimental.gold:GOLDConfig", "trl.trainer.kto_config:KTOConfig"]


@pytest.mark.parametrize("config", CONFIGS)
def test_names_and_defaults_are_those_of_the_class(config: str) -> None:
    fields = {field.name: field for field in dataclasses.fields(import_class(config, "config"))}
    assert options(config).keys() == fields.keys()
    for name, option in options(config).items():
        if fields[name].default is not dataclasses.MISSING and not option.default.isidentifier():
            assert repr(fields[name].default) == repr(eval(option.default)), name  # noqa: S307


@pytest.mark.parametrize("config", CONFIGS)
def test_every_default_is_accepted_and_every_option_is_documented(config: str) -> None:
    import ast

    for option in options(config).values():
        assert option.help, option.name
        try:
            default = ast.literal_eval(option.default)
        except ValueError:
            continue
        assert list(wrong_options(config, {option.name: default}, {})) == [], option


def test_what_the_table_says_of_a_trainer_is_about_options_that_it_has() -> None:
    assert all(name in options(f"trl:{config}") for config, name in LATE_CHOICES)
    assert not OLD_SPELLINGS.keys() & options(SFT).keys() - {"chat_template"}
    assert not OLD_SPELLINGS.keys() & options(GRPO).keys()


@pytest.mark.parametrize("config", ["./mine.py:MyConfig", "trl:Unknown", "trl.nowhere:Unknown", "mine"])
def test_of_a_config_without_sources_only_what_the_stage_owns_is_refused(config: str) -> None:
    assert list(wrong_options(config, {"anything": 1, "max_steps": 3}, {"max_steps": "epochs"})) == [
        (("max_steps",), "not allowed here: use 'epochs'.")
    ]


def test_a_config_of_a_package_that_is_missing_is_an_error() -> None:
    with pytest.raises(UserError, match="nowhere_installed is not installed"):
        options("nowhere_installed:Config")


CASES: list[tuple[str, str, dict[str, Any], str]] = [
    ("misspelt", GRPO, {"betaa": 0.5}, "unknown key (got 0.5). Did you mean 'beta'?"),
    ("nothing near", SFT, {"zzzzzzzz": None}, "unknown key (got null). SFTConfig has no such option."),
    ("option of another trainer", HF, {"beta": 0.1}, "unknown key (got 0.1). TrainingArguments has no such option."),
    ("warmup_ratio", GRPO, {"warmup_ratio": 0.1},
     "unknown key (got 0.1). Use 'warmup_steps': a value below 1 is a share of all steps."),
    ("max_seq_length", SFT, {"max_seq_length": 10}, "unknown key (got 10). Use 'max_length'."),
    ("max_prompt_length", GRPO, {"max_prompt_length": 10},
     "unknown key (got 10). There is no such option any more: prompts are never cut."),
    ("torch_dtype", SFT, {"torch_dtype": "auto"}, "unknown key (got 'auto'). Use 'model_init_kwargs: {dtype: ...}'."),
    ("torch_dtype inside", SFT, {"model_init_kwargs": {"torch_dtype": "auto"}},
     "unknown key (got 'auto'). Use 'dtype'."),
    ("vllm_max_model_len", GRPO, {"vllm_max_model_len": 9}, "unknown key (got 9). Use 'vllm_max_model_length'."),
    ("number as text", SFT, {"learning_rate": "1e-6"}, "a number is needed (got '1e-6')."),
    ("fraction for a whole number", HF, {"save_total_limit": 1.5}, "a whole number or null is needed (got 1.5)."),
    ("switch as text", HF, {"tf32": "yes"}, "true or false or null is needed (got 'yes')."),
    ("true for a number", GRPO, {"beta": True}, "a number is needed (got true)."),
    ("text in a list of numbers", GRPO, {"reward_weights": [1, "a"]}, "a list or null is needed (got [1, 'a'])."),
    ("scheduler", SFT, {"lr_scheduler_type": "cosin"}, "allowed: linear, cosine, "),
    ("packing", SFT, {"packing_strategy": "bfdd"},
     "allowed: bfd, bfd_split, wrapped (got 'bfdd'). Did you mean 'bfd'?"),
    ("loss of the other trainer", SFT, {"loss_type": "dapo"}, "allowed: nll, dft"),
    ("level", GRPO, {"importance_sampling_level": "seq"}, "allowed: token, sequence (got 'seq')."),
    ("scaling", GRPO, {"scale_rewards": "std"}, "allowed: group, batch, none, true, false (got 'std')."),
    ("owned by a key", SFT, {"max_steps": 3}, "not allowed here: use 'epochs'."),
    ("old spelling of an owned option", SFT, {"evaluation_strategy": "no"},
     "unknown key (got 'no'). 'eval_strategy' is not allowed here either: measured elsewhere."),
    ("misspelt owned option", GRPO, {"max_step": 3},
     "unknown key (got 3). 'max_steps' is not allowed here either: use 'epochs'."),
    ("old spelling of another trainer's", HF, {"max_seq_length": 3},
     "unknown key (got 3). TrainingArguments has no such option."),
    ("below the least", SFT, {"learning_rate": -1}, "must be at least 0 (got -1)."),
    ("option of DPO", DPO, {"betaa": 0.1}, "unknown key (got 0.1). Did you mean 'beta'?"),
    ("owned outright", SFT, {"seed": 3}, "not allowed here: the recipe's seeds decide."),
]  # fmt: skip


@pytest.mark.parametrize(("config", "args", "message"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_a_wrong_option_is_refused(config: str, args: dict[str, Any], message: str) -> None:
    owned = {"max_steps": "epochs", "seed": "the recipe's seeds decide", "eval_strategy": "measured elsewhere"}
    ((_, found),) = wrong_options(config, args, owned)
    assert found.startswith(message)


@pytest.mark.parametrize(("config", "args"), [
    (GRPO, {"scale_rewards": False, "loss_type": "dr_grpo", "reward_weights": [1, 0.5], "beta": 0, "bf16": None}),
    (SFT, {"warmup_steps": 0.1, "max_length": None, "model_init_kwargs": {"dtype": "auto"}, "optim": "adamw_torch"}),
    (SFT, {"gradient_checkpointing_kwargs": {"use_reentrant": False}, "lr_scheduler_kwargs": {"num_cycles": 1}}),
    (HF, {"learning_rate": 1, "lr_scheduler_type": "cosine", "logging_steps": 0.5}),
])  # fmt: skip
def test_right_options_pass(config: str, args: dict[str, Any]) -> None:
    assert list(wrong_options(config, args, {})) == []
