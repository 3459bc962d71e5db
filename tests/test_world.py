"""The world that was asked for is read from the launcher's command line, whatever its spelling."""

import pytest

from warmup_rl.run.launch_env import asked_processes

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
