"""The memory plan: parts split as the launch splits them, and lengths that fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.test_given_models import plan_of
from tests.tiny import tiny_model
from warmup_rl.interfaces.stage import Distribution, LaunchEnv
from warmup_rl.recipe.shipped import find_launch_file
from warmup_rl.stages.training.layout import Launch
from warmup_rl.stages.training.memory import Load, Shape, launch_of, need, shape_of, verdict

SHAPE = Shape(
    1_000_000_000, 1_000_000_000, 20, layer=40_000, kept=4_000, outside=10_000, cache=50_000, vocabulary=50_000
)
OPTIONS: Any = SimpleNamespace(bf16=False, fp16=False, optim="adamw_torch", gradient_checkpointing=False)
LOAD = Load(4, 1000, rollouts=64)


def parts(distribution: Distribution, size: int, **changed: Any) -> dict[str, float]:
    launch = Launch(LaunchEnv(size=size, distribution=distribution, device="cuda"), **changed)
    return need(SHAPE, LOAD, launch, OPTIONS).parts


@pytest.mark.parametrize(
    ("distribution", "weights", "gradients", "optimizer"),
    [("single", 4, 4, 8), ("ddp", 4, 4, 8), ("zero1", 4, 4, 2), ("zero2", 4, 1, 2), ("zero3", 1, 1, 2)],
)
def test_zero_splits_optimizer_gradients_and_weights(
    distribution: Distribution, weights: float, gradients: float, optimizer: float
) -> None:
    found = parts(distribution, 4)
    assert [found[name] / 1e9 for name in ("weights", "gradients", "optimizer")] == [weights, gradients, optimizer]
    assert bool(found["reduction buckets"]) == (distribution == "ddp")


def test_what_is_offloaded_is_not_on_the_gpu() -> None:
    zero = {"offload_optimizer": {"device": "cpu"}, "offload_param": {"device": "cpu"}}
    found = parts("zero3", 4, deepspeed={"zero_optimization": zero})
    assert found["weights"] == found["optimizer"] == 0 and found["gradients"] == 1e9


def test_adapters_checkpointing_and_half_precision_take_less() -> None:
    launch = Launch(LaunchEnv(device="cuda"))
    whole = need(SHAPE, LOAD, launch, OPTIONS)
    adapter = need(replace(SHAPE, trained=10_000_000), LOAD, launch, OPTIONS)
    saving = need(SHAPE, LOAD, launch, SimpleNamespace(**{**vars(OPTIONS), "gradient_checkpointing": True}))
    assert adapter.total(1000) < whole.total(1000) - 11e9
    assert saving.per_token < whole.per_token / 4
    assert need(SHAPE, LOAD, launch, SimpleNamespace(**{**vars(OPTIONS), "bf16": True})).per_token < whole.per_token


def test_the_verdict_names_the_longest_traces_that_fit() -> None:
    found = need(SHAPE, Load(4, None), Launch(LaunchEnv(device="cuda")), OPTIONS)
    for budget in (20_000_000_000, 30_000_000_000):
        longest = found.longest(budget)
        assert found.total(longest) <= budget < found.total(longest + 2)
    line, fits = verdict(found, Launch(LaunchEnv(device="cuda"), capacity=30_000_000_000))
    assert fits and f"traces of up to {found.longest(30_000_000_000):,} tokens fit" in line
    assert verdict(found, Launch(LaunchEnv(device="cuda"), capacity=8_000_000_000))[1] is False


@pytest.mark.parametrize(("name", "distribution"), [("ddp", "ddp"), ("zero2", "zero2"), ("zero3", "zero3")])
def test_a_launch_file_says_what_is_split(name: str, distribution: str) -> None:
    launch = launch_of(find_launch_file(name), 8, 24, LaunchEnv())
    assert (launch.env.distribution, launch.env.size, launch.env.device) == (distribution, 8, "cuda")
    assert launch.budget == 24_000_000_000 and not launch.offload


def test_a_model_is_counted_without_its_weights(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    for file in folder.glob("*.safetensors"):
        file.unlink()
    shape = shape_of(str(folder), None, 10, 10)
    assert shape.layers == 2 and shape.layer > shape.kept > 0
    assert shape.cache == 2 * 2 * 4 * _cached(folder)


def _cached(folder: Path) -> int:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(folder))
    return int(config.num_key_value_heads * config.head_dim)


def test_check_says_what_a_training_needs_and_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from warmup_rl.stages.training import memory

    model = str(tiny_model(tmp_path / "model"))
    assert "; it fits" in plan_of(tmp_path, model)
    monkeypatch.setattr(memory, "_capacity", lambda env: 1_000_000)
    text = plan_of(tmp_path, model)
    assert "! rlvr: the memory is not enough. What helps:" in text
    assert (
        text.index("per_device_train_batch_size") < text.index("activation_checkpointing") < text.index("lora: {r: 16}")
    )


def test_a_rehearsal_measures_two_steps_of_each_training_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from warmup_rl.cli.command import Command
    from warmup_rl.cli.rehearse import rehearse
    from warmup_rl.recipe.load import load_recipe

    plan_of(tmp_path, str(tiny_model(tmp_path / "model", context=1024)))
    before = sorted(path.name for path in tmp_path.iterdir())
    overrides = ["stages.rlvr.steps=50", "stages.distill.problems=16", "stages.sft.batch_size=4"]
    rehearse(load_recipe(tmp_path / "recipe.yaml", overrides), Command(threads=1))
    text = capfd.readouterr().out
    assert "sft: peak memory" in text and "rlvr: peak memory" in text
    assert "2 steps: rollouts" in text and "the whole: 50 steps of" in text
    assert "estimate of the whole run: " in text and "device-hours on 1 device" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == before
