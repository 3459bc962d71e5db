"""Test tiers by file (see `markers` in pyproject.toml): what is not named here tests pure code; pretrained models."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from warmup_rl.base.machine import share_cores

share_cores()

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # a busy machine is no fault of the code

TRAIN = (
    "ablation architectures batches cache clean_command clean_stage conformance contamination distill_clean "
    "evaluate example_plugins examples export folds generation given_models golden gpu_benchmark grade_command "
    "init kills leaks live_report main_job math_grading openai_engine puzzles report resume run scaling_benchmark "
    "self_teacher shipped_recipes muon split_clean teachers tracking training vllm"
)
"""Files that train, start processes, or take whole commands and runs through the program."""
TIERS = {
    **{f"test_{name}.py": "train" for name in TRAIN.split()},
    "test_distributed.py": "dist",
    "test_program_grading.py": "sandbox",
    "test_row_domains.py": "sandbox",
}


def tier(path: Path) -> str:
    return "sandbox" if "packages/sandbox" in path.as_posix() else TIERS.get(path.name, "unit")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Under `-m TIER` files of other tiers are not even imported: many of them load torch."""
    wanted = config.option.markexpr
    of_other = (
        wanted in {"unit", *TIERS.values()} and collection_path.suffix == ".py" and tier(collection_path) != wanted
    )
    return True if of_other and collection_path.name.startswith("test_") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(tier(item.path))


@pytest.fixture
def pretrained(request: pytest.FixtureRequest) -> Path:
    """The folder of a pretrained model, named by `@pytest.mark.pretrained("smollm2-135m")`.

    The environment variable WARMUP_RL_PRETRAINED names a folder with one sub-folder a model.
    """
    marker = request.node.get_closest_marker("pretrained")
    home = os.environ.get("WARMUP_RL_PRETRAINED")
    if not home:
        pytest.skip("WARMUP_RL_PRETRAINED is not set: the folder with a sub-folder for each pretrained model")
    folder = Path(home) / marker.args[0]
    if not (folder / "config.json").is_file():
        pytest.skip(f"no pretrained model in {folder}")
    return folder
