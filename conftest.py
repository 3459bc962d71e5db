"""Test tiers by file (see `markers` in pyproject.toml): what is not named here tests pure code."""

import pytest

TRAIN = (
    "ablation cache clean_stage conformance distill_clean evaluate example_plugins examples folds generation golden "
    "main_job math_grading report run self_teacher teachers training"
)
"""Files that train, start processes, or take whole runs through the program."""
TIERS = {
    **{f"test_{name}.py": "train" for name in TRAIN.split()},
    "test_distributed.py": "dist",
    "test_program_grading.py": "sandbox",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        of_sandbox = "packages/sandbox" in item.path.as_posix()
        item.add_marker("sandbox" if of_sandbox else TIERS.get(item.path.name, "unit"))
