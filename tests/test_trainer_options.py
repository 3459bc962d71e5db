"""Trainer options read from source: the same as the imported classes have, and checked without importing them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from warmup_rl.recipe.trainer_args import CLASSES, Trainer, options, wrong_options
from warmup_rl.recipe.trainer_spellings import LATE_CHOICES, OLD_SPELLINGS


@pytest.mark.parametrize("trainer", CLASSES)
def test_names_and_defaults_are_those_of_the_class(trainer: Trainer) -> None:
    import transformers
    import trl

    config: Any = getattr(trl, CLASSES[trainer], None) or getattr(transformers, CLASSES[trainer])
    fields = {field.name: field for field in dataclasses.fields(config)}
    assert options(trainer).keys() == fields.keys()
    for name, option in options(trainer).items():
        if fields[name].default is not dataclasses.MISSING and not option.default.isidentifier():
            assert repr(fields[name].default) == repr(eval(option.default)), name  # noqa: S307


@pytest.mark.parametrize("trainer", CLASSES)
def test_every_default_is_accepted_and_every_option_is_documented(trainer: Trainer) -> None:
    import ast

    for option in options(trainer).values():
        assert option.help, option.name
        try:
            default = ast.literal_eval(option.default)
        except ValueError:
            continue
        assert list(wrong_options(trainer, {option.name: default}, {})) == [], option


def test_what_the_table_says_of_a_trainer_is_about_options_that_it_has() -> None:
    assert all(name in options(trainer) for trainer, name in LATE_CHOICES if trainer in CLASSES)  # type: ignore[index]
    assert not OLD_SPELLINGS.keys() & options("sft").keys() - {"chat_template"}
    assert not OLD_SPELLINGS.keys() & options("grpo").keys()


CASES: list[tuple[str, Trainer, dict[str, Any], str]] = [
    ("misspelt", "grpo", {"betaa": 0.5}, "unknown key (got 0.5). Did you mean 'beta'?"),
    ("nothing near", "sft", {"zzzzzzzz": None}, "unknown key (got null). SFTConfig has no such option."),
    ("option of another trainer", "hf", {"beta": 0.1}, "unknown key (got 0.1). TrainingArguments has no such option."),
    ("warmup_ratio", "grpo", {"warmup_ratio": 0.1},
     "unknown key (got 0.1). Use 'warmup_steps': a value below 1 is a share of all steps."),
    ("max_seq_length", "sft", {"max_seq_length": 10}, "unknown key (got 10). Use 'max_length'."),
    ("max_prompt_length", "grpo", {"max_prompt_length": 10},
     "unknown key (got 10). There is no such option any more: prompts are never cut."),
    ("torch_dtype", "sft", {"torch_dtype": "auto"}, "unknown key (got 'auto'). Use 'model_init_kwargs: {dtype: ...}'."),
    ("torch_dtype inside", "sft", {"model_init_kwargs": {"torch_dtype": "auto"}},
     "unknown key (got 'auto'). Use 'dtype'."),
    ("vllm_max_model_len", "grpo", {"vllm_max_model_len": 9}, "unknown key (got 9). Use 'vllm_max_model_length'."),
    ("number as text", "sft", {"learning_rate": "1e-6"}, "a number is needed (got '1e-6')."),
    ("fraction for a whole number", "hf", {"save_total_limit": 1.5}, "a whole number or null is needed (got 1.5)."),
    ("switch as text", "hf", {"tf32": "yes"}, "true or false or null is needed (got 'yes')."),
    ("true for a number", "grpo", {"beta": True}, "a number is needed (got true)."),
    ("text in a list of numbers", "grpo", {"reward_weights": [1, "a"]}, "a list or null is needed (got [1, 'a'])."),
    ("scheduler", "sft", {"lr_scheduler_type": "cosin"}, "allowed: linear, cosine, "),
    ("packing", "sft", {"packing_strategy": "bfdd"},
     "allowed: bfd, bfd_split, wrapped (got 'bfdd'). Did you mean 'bfd'?"),
    ("loss of the other trainer", "sft", {"loss_type": "dapo"}, "allowed: nll, dft"),
    ("level", "grpo", {"importance_sampling_level": "seq"}, "allowed: token, sequence (got 'seq')."),
    ("scaling", "grpo", {"scale_rewards": "std"}, "allowed: group, batch, none, true, false (got 'std')."),
    ("owned by a key", "sft", {"max_steps": 3}, "not here: use 'epochs'."),
    ("old spelling of an owned option", "sft", {"evaluation_strategy": "no"},
     "unknown key (got 'no'). 'eval_strategy' is not here either: measured elsewhere."),
    ("misspelt owned option", "grpo", {"max_step": 3},
     "unknown key (got 3). 'max_steps' is not here either: use 'epochs'."),
    ("old spelling of another trainer's", "hf", {"max_seq_length": 3},
     "unknown key (got 3). TrainingArguments has no such option."),
    ("below the least", "sft", {"learning_rate": -1}, "must be at least 0 (got -1)."),
    ("owned outright", "sft", {"seed": 3}, "not here: the recipe's seeds decide."),
]  # fmt: skip


@pytest.mark.parametrize(("trainer", "args", "message"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_a_wrong_option_is_refused(trainer: Trainer, args: dict[str, Any], message: str) -> None:
    owned = {"max_steps": "epochs", "seed": "the recipe's seeds decide", "eval_strategy": "measured elsewhere"}
    ((_, found),) = wrong_options(trainer, args, owned)
    assert found.startswith(message)


@pytest.mark.parametrize(("trainer", "args"), [
    ("grpo", {"scale_rewards": False, "loss_type": "dr_grpo", "reward_weights": [1, 0.5], "beta": 0, "bf16": None}),
    ("sft", {"warmup_steps": 0.1, "max_length": None, "model_init_kwargs": {"dtype": "auto"}, "optim": "adamw_torch"}),
    ("sft", {"gradient_checkpointing_kwargs": {"use_reentrant": False}, "lr_scheduler_kwargs": {"num_cycles": 1}}),
    ("hf", {"learning_rate": 1, "lr_scheduler_type": "cosine", "logging_steps": 0.5}),
])  # fmt: skip
def test_right_options_pass(trainer: Trainer, args: dict[str, Any]) -> None:
    assert list(wrong_options(trainer, args, {})) == []
