"""The world that was asked for is read from the launcher's command line, whatever its spelling."""

import json

import pytest

from warmup_rl.base.errors import RunError
from warmup_rl.run.launch_env import asked_processes, read_launch_env

MODULE = ["-m", "warmup_rl.train", "recipe.yaml", "--num_processes", "7"]


@pytest.mark.parametrize(
    ("why", "command", "asked"),
    [
        ("nothing asked", ["python", "/x/bin/accelerate", "launch", *MODULE], None),
        ("asked", ["python", "/x/bin/accelerate", "launch", "--num_processes", "2", *MODULE], 2),
        ("asked with =", ["/x/bin/accelerate", "launch", "--num_processes=4", *MODULE], 4),
        ("a flag before it", ["accelerate", "launch", "--cpu", "--num_processes", "2", *MODULE], 2),
        ("after an option", ["accelerate", "launch", "--mixed_precision", "no", "--num-processes", "3", *MODULE], 3),
        ("torchrun", ["torchrun", "--nproc_per_node", "2", *MODULE], 2),
        ("torchrun, two nodes", ["torchrun", "--nnodes", "2", "--nproc_per_node=4", *MODULE], 8),
        ("torchrun, nodes with =", ["torchrun", "--nproc-per-node", "1", "--nnodes=2", *MODULE], 2),
        ("torchrun, elastic", ["torchrun", "--nnodes=1:4", "--nproc_per_node=8", *MODULE], None),
        ("torchrun, as many as there are", ["torchrun", "--nnodes=2", "--nproc_per_node=gpu", *MODULE], None),
        (
            "accelerate counts all machines",
            ["accelerate", "launch", "--num_machines=2", "--num_processes=16", *MODULE],
            16,
        ),
        ("no launcher", ["make", "demo"], None),
        ("the program's own options are not the launcher's", ["accelerate", "launch", *MODULE], None),
    ],
)
def test_asked_processes(why, command, asked):
    assert asked_processes(command) == asked


def test_the_configuration_file_asks_too(tmp_path):
    config = tmp_path / "ddp.yaml"
    config.write_text("distributed_type: MULTI_GPU\nnum_processes: 2\n")
    assert asked_processes(["accelerate", "launch", "--config_file", str(config), *MODULE]) == 2
    assert asked_processes(["accelerate", "launch", "--config_file", str(config), "--num_processes", "4", *MODULE]) == 4


@pytest.mark.parametrize("stage", [0, 1, 2, 3, None])
def test_the_stage_is_that_of_the_users_own_configuration_of_deepspeed(stage, tmp_path, monkeypatch):
    file = tmp_path / "ds.json"
    file.write_text(json.dumps({} if stage is None else {"zero_optimization": {"stage": stage}}))
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(file))
    assert read_launch_env().distribution == f"zero{stage or 0}"
    file.write_text('{"zero_optimization": {"stage": 4}}')
    with pytest.raises(RunError, match="stage '4' is not supported. Allowed: 0, 1, 2, 3"):
        read_launch_env()


def test_fsdp_is_refused_before_a_plan_is_made(tmp_path, monkeypatch, capsys):
    from warmup_rl.train import main

    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert main(["recipes/kk_warmup.yaml", f"output_dir={tmp_path}", "--dry-run"]) == 2
    assert "FSDP is not supported. launch/zero3.yaml splits" in capsys.readouterr().err
