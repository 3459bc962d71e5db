"""From global batches and `args` to trainer options: arithmetic, errors with the nearest legal values, ownership."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training_case import RLVR, SFT, context
from warmup_rl.base.errors import RunError, UserError
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.stages.rlvr import Rlvr
from warmup_rl.stages.training.options import Batch, split_batch, trainer_options


@given(
    share=st.integers(1, 64),
    size=st.integers(1, 16),
    device=st.sampled_from(["cpu", "cuda"]),
    largest=st.none() | st.integers(1, 70),
)
def test_a_batch_is_shared_out_completely_in_the_fewest_passes(
    share: int, size: int, device: str, largest: int | None
) -> None:
    batch = split_batch(share * size, LaunchEnv(size=size, device=device), largest=largest)  # type: ignore[arg-type]
    assert batch.micro * batch.accumulation * size == share * size
    limit = largest or (8 if device == "cuda" else share)
    assert batch.micro <= limit
    assert not any(share % micro == 0 for micro in range(batch.micro + 1, min(limit, share) + 1))


@pytest.mark.parametrize(
    ("sequences", "size", "says"),
    [
        (12, 5, "10 or 15 sequences with 5 processes, or 4 or 6 processes with 12 sequences"),
        (2, 4, "4 sequences with 4 processes, or 2 processes with 2 sequences"),
        (7, 2, "6 or 8 sequences with 2 processes, or 1 or 7 processes with 7 sequences"),
    ],
)
def test_processes_that_do_not_divide_a_batch_are_refused_with_the_nearest_legal_values(
    sequences: int, size: int, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        split_batch(sequences, LaunchEnv(size=size))


def test_stages_find_a_batch_that_does_not_divide_before_anything_is_loaded() -> None:
    assert "3 processes" in SFT.check(world_size=3)[0]
    assert "prompts_per_step × generations" in RLVR.check(world_size=3)[0]
    assert not SFT.check(world_size=4) and not RLVR.check(world_size=8)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"problems": 101}, "allow_more: true"),
        ({"sampling": {"temperature": 0.0}}, "sampling.temperature"),
        ({"sampling": {"samples": 4}}, "use `generations`"),
        ({"updates_per_step": 3}, "updates_per_step: 3 does not divide"),
    ],
)
def test_rlvr_settings_that_cannot_work_are_named(keys: dict, says: str) -> None:
    [message] = Rlvr.model_validate({"domain": "adding", "steps": 1, **keys}).check(world_size=1)
    assert says in message


def test_rlvr_samples_at_temperature_one_unless_told() -> None:
    given = {"domain": "adding", "steps": 1, "sampling": {"max_tokens": 7}}
    assert Rlvr.model_validate(given).sampling.temperature == 1.0
    assert Rlvr(domain="adding", steps=1).sampling.temperature == 1.0


def test_more_than_a_hundred_problems_need_to_be_asked_for() -> None:
    assert not Rlvr(domain="adding", steps=1, problems=200, allow_more=True).check(world_size=1)


def test_options_come_from_defaults_then_args_then_the_stage(tmp_path: Path) -> None:
    from trl import SFTConfig

    given = {"learning_rate": 3e-4, "logging_steps": 5, "output_dir": "elsewhere"}
    options = trainer_options(SFTConfig, given, context(tmp_path, "sft", tmp_path), Batch(2, 4), num_train_epochs=3)
    assert (options.per_device_train_batch_size, options.gradient_accumulation_steps) == (2, 4)
    assert (options.learning_rate, options.logging_steps, options.num_train_epochs) == (3e-4, 5, 3)
    assert options.output_dir == str(tmp_path / "sft" / "trainer")
    assert options.report_to == [] and options.save_strategy == "no" and options.seed == options.data_seed == 3
    assert options.use_cpu and not options.bf16 and not options.gradient_checkpointing


def test_half_precision_and_checkpointing_are_as_asked_for(tmp_path: Path) -> None:
    from trl import SFTConfig

    given = {"bf16": True, "gradient_checkpointing": True}
    options = trainer_options(SFTConfig, given, context(tmp_path, "sft", tmp_path), Batch(1, 1))
    assert options.bf16 and options.gradient_checkpointing


def test_plain_training_arguments_can_be_built_too(tmp_path: Path) -> None:
    from transformers import TrainingArguments

    options = trainer_options(TrainingArguments, {}, context(tmp_path, "pretrain", tmp_path), Batch(3, 1), max_steps=7)
    assert (options.max_steps, options.per_device_train_batch_size) == (7, 3)


@pytest.mark.parametrize("args", [{"learnin_rate": 1.0}, {"lr_scheduler_type": "sideways"}])
def test_what_the_config_class_refuses_is_an_error_with_the_stage(args: dict, tmp_path: Path) -> None:
    from trl import SFTConfig

    with pytest.raises(UserError, match="sft.args: SFTConfig refuses"):
        trainer_options(SFTConfig, args, context(tmp_path, "sft", tmp_path), Batch(1, 1))


def test_a_world_that_the_trainer_does_not_see_is_refused(tmp_path: Path) -> None:
    from trl import SFTConfig

    for launch_env in (LaunchEnv(size=2, distribution="ddp"), LaunchEnv(distribution="zero2")):
        with pytest.raises(RunError):
            trainer_options(SFTConfig, {}, context(tmp_path, "sft", tmp_path, launch_env=launch_env), Batch(1, 1))


@pytest.mark.parametrize(("trainer", "stage"), [("SFTConfig", SFT), ("GRPOConfig", RLVR)])
def test_what_a_stage_calls_its_own_are_options_of_its_trainer(trainer: str, stage: Any) -> None:
    import dataclasses

    import trl

    assert not set(stage.owned_options) - {field.name for field in dataclasses.fields(getattr(trl, trainer))}


def test_stages_load_without_torch() -> None:
    program = "import sys, warmup_rl.stages.sft, warmup_rl.stages.rlvr; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
