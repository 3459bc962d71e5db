"""How a launch splits a training, by its file and in its environment; DeepSpeed's values against those of a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from trl import SFTConfig

from tests.test_given_models import plan_of
from tests.test_memory import LOAD, OPTIONS, SHAPE
from tests.tiny import tiny_model
from warmup_rl.base.errors import RunError, UserError
from warmup_rl.cli.command import Command
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.recipe.shipped import find_launch_file
from warmup_rl.stages.training.layout import contradictions, layout_of
from warmup_rl.stages.training.memory import launch_of, need

OFFLOADED = {"stage": 3, "offload_optimizer": {"device": "cpu"}, "offload_param": {"device": "nvme"}}


def own(folder: Path, settings: dict[str, Any], **launch: Any) -> Path:
    """A launch file with a configuration of DeepSpeed of its own."""
    (folder / "ds.json").write_text(json.dumps(settings))
    file = folder / "own.yaml"
    named = {"deepspeed_config": {"deepspeed_config_file": str(folder / "ds.json")}}
    file.write_text(yaml.safe_dump({"distributed_type": "DEEPSPEED", "num_processes": 4, **named, **launch}))
    return file


@pytest.mark.parametrize(
    ("settings", "distribution", "offload"),
    [
        ({}, "zero0", set()),
        ({"zero_optimization": {"stage": 0}}, "zero0", set()),
        ({"zero_optimization": {"stage": 2}}, "zero2", set()),
        ({"zero_optimization": OFFLOADED}, "zero3", {"optimizer", "weights"}),
    ],
)
def test_a_users_own_configuration_of_deepspeed_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], distribution: str, offload: set[str]
) -> None:
    found = layout_of(own(tmp_path, settings, num_machines=2))
    split = found.env.distribution, found.offload, found.env.size, found.nodes, found.local
    assert split == (distribution, offload, 4, 2, 2)
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(tmp_path / "ds.json"))
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    assert layout_of() == found


@pytest.mark.parametrize("name", ["single", "ddp", "zero1", "zero2", "zero3", "zero3-offload"])
def test_a_launch_file_splits_as_accelerate_tells_its_processes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    file = str(find_launch_file(name))
    words = ["--config_file", file, "--num_processes", "1" if name == "single" else "4", "train.py"]
    args, *_ = _validate_launch_command(launch_command_parser().parse_args(words))
    args.deepspeed_fields_from_accelerate_config = ""
    env = prepare_deepspeed_cmd_env(args)[1] if args.use_deepspeed else prepare_multi_gpu_env(args)
    for key, value in env.items():
        if key.startswith("ACCELERATE_"):
            monkeypatch.setenv(key, value)
    monkeypatch.setenv("WORLD_SIZE", words[3])
    found, planned = layout_of(), layout_of(Path(file), int(words[3]))
    assert (found.env, found.offload) == (planned.env, planned.offload)
    assert found.env.distribution == name.removesuffix("-offload") and bool(found.offload) == ("offload" in name)


def test_without_sharding_deepspeed_takes_what_ddp_takes(tmp_path: Path) -> None:
    launch = launch_of(own(tmp_path, {"zero_optimization": {"stage": 0}}), None, 24, LaunchEnv())
    found = need(SHAPE, LOAD, launch, OPTIONS).parts
    assert [found[name] / 1e9 for name in ("weights", "gradients", "optimizer", "reduction buckets")] == [4, 4, 8, 4]


@pytest.mark.parametrize("kind", ["FSDP", "MEGATRON_LM", "XLA"])
def test_what_splits_in_another_way_is_refused(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(f"distributed_type: {kind}\nnum_processes: 2\n")
    with pytest.raises(RunError, match=f"{kind} is not supported"):
        layout_of(file)
    with pytest.raises(RunError, match="nowhere.json is no readable JSON"):
        layout_of(own(tmp_path, {}, deepspeed_config={"deepspeed_config_file": "nowhere.json"}))


AGREES = {"gradient_clipping": "auto", "train_micro_batch_size_per_gpu": "auto", "gradient_accumulation_steps": "auto"}
ADAM = {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto"}


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({}, []),
        ({"train_batch_size": 64, "bf16": {"enabled": "auto"}, "zero_optimization": {"stage": 1}}, []),
        ({"gradient_clipping": 1, "gradient_accumulation_steps": "4"}, []),
        ({"optimizer": {"type": "AdamW", "params": ADAM}}, []),
        ({"optimizer": {"type": "Adam", "params": {**ADAM, "betas": [0.9, 0.999], "lr": 1e-3}}}, []),
        ({"train_batch_size": 16}, ["train_batch_size is 16, by the recipe 64. Set it to 'auto'."]),
        ({"train_micro_batch_size_per_gpu": 1}, ["train_micro_batch_size_per_gpu is 1, by the recipe 4."]),
        ({"gradient_accumulation_steps": 1}, ["gradient_accumulation_steps is 1, by the recipe 4."]),
        ({"gradient_clipping": 0.5}, ["gradient_clipping is 0.5, by the recipe 1.0."]),
        ({"gradient_clipping": None}, ["gradient_clipping is missing, by the recipe 1.0."]),
        ({"bf16": {"enabled": True}}, ["bf16.enabled is True, by the recipe False."]),
        ({"fp16": {"enabled": True}, "train_batch_size": 1}, ["train_batch_size is 1", "fp16.enabled is True"]),
        ({"optimizer": {"type": "Lamb", "params": ADAM}}, ["optimizer.type is Lamb, the recipe's args.optim adamw"]),
        ({"optimizer": {"type": "Adam", "params": {}}}, [f"optimizer.params.{key} is missing" for key in ADAM]),
        ({"scheduler": {"type": "WarmupLR"}}, ["scheduler.type is WarmupLR, the recipe's args.lr_scheduler_type"]),
    ],
    ids=str,
)
def test_every_value_that_contradicts_the_recipe_is_named(
    settings: dict[str, Any], wrong: list[str], tmp_path: Path
) -> None:
    options = SFTConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, learning_rate=1e-3, per_device_train_batch_size=4,
        gradient_accumulation_steps=4,
    )  # fmt: skip
    lines = list(contradictions({**AGREES, **settings}, options, 4))
    assert len(lines) == len(wrong)
    assert all(line.startswith(one) for line, one in zip(lines, wrong, strict=True)), lines


def test_check_refuses_a_configuration_of_deepspeed_that_contradicts_the_recipe(tmp_path: Path) -> None:
    model = str(tiny_model(tmp_path / "model"))
    file = own(tmp_path, {"train_batch_size": 3, "optimizer": {"type": "Lion"}, "gradient_clipping": 0})
    with pytest.raises(UserError) as caught:
        plan_of(tmp_path, model, command=Command(launch=str(file)))
    for line in ("sft: the configuration of DeepSpeed contradicts", "train_batch_size is 3", "Lion", "clipping is 0"):
        assert line in str(caught.value)


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_disk_of_this_machine_decides_only_about_runs_that_can_be_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warmup_rl.cli import disk
    from warmup_rl.stages.training import memory

    monkeypatch.setattr(disk, "parameters", lambda recipe: 10**15)
    model = str(tiny_model(tmp_path / "model"))
    with pytest.raises(UserError, match="Make room"):
        plan_of(tmp_path, model)
    note = "for 2 models and a checkpoint. That is no fault where the run is for another machine."
    for command in (Command(gpu_memory=80), Command(gpus=4), Command(launch="zero3"), Command(gpus_per_run=8)):
        assert note in words(plan_of(tmp_path, model, command=command))
    monkeypatch.setattr(memory, "_capacity", lambda env: 1_000_000)
    assert note in words(plan_of(tmp_path, model))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- 1\n- 2\n", "accelerate cannot read it"),
        (b": : :\n", "accelerate cannot read it"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"distributed_type: FOO\n", "'FOO' is not a valid DistributedType"),
        (b"distributed_type: MULTI_GPU\nfoo: bar\n", "unknown keys"),
        (b"distributed_type: MULTI_GPU\nnum_processes: many\n", r"num_processes: .*\(got 'many'\)"),
        (b"distributed_type: MULTI_GPU\nnum_machines: -1\n", r"num_machines: "),
        (b"distributed_type: MULTI_GPU\ndynamo_backend: FOO\n", "launcher refuses it: Unknown dynamo backend: FOO"),
        (b"distributed_type: 'NO'\nmixed_precision: fp99\n", "launcher refuses it: Unknown mixed_precision mode: fp99"),
        (b"distributed_type: DEEPSPEED\ndeepspeed_config: 5\n", r"deepspeed_config: .*\(got 5\)"),
    ],
)
def test_a_launch_file_that_is_none_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"^.*own.yaml: .*{message}[^\n]*$"):
        layout_of(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "a JSON object is needed"), ("{", "not JSON"), ('{"zero_optimization": 3}', "zero_optimization: ")],
)
def test_a_configuration_of_deepspeed_that_is_none_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    file = own(tmp_path, {})
    (tmp_path / "ds.json").write_text(content)
    with pytest.raises(UserError, match=rf"ds.json: {message}"):
        layout_of(file)
