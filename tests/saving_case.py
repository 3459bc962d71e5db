"""Trainings in bfloat16 whose changes are far below its steps, as a program that a launcher starts."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.training_case import SFT, context, wait_for
from warmup_rl.interfaces.stage import LaunchEnv

SHORT = SFT.model_copy(update={"epochs": 1})
LORA = {"lora": {"r": 16, "lora_alpha": 32}, "args": {"learning_rate": 1e-5, "bf16": True}}
FULL = {"args": {"learning_rate": 1e-5, "bf16": True}}


def run_all(folder: Path, launch_env: LaunchEnv) -> None:
    for name, update in (("lora", LORA), ("full", FULL)):
        given = context(folder, name, folder / "base", launch_env=launch_env)
        SHORT.model_copy(update=update).run(given)
        wait_for(given.model_folder / "chat_contract.json")


if __name__ == "__main__":
    from warmup_rl.run.launch_env import read_launch_env

    run_all(Path(sys.argv[1]), read_launch_env())
