"""Warmups that are measured while they train, and on-policy distillation, as a program that a launcher starts."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from tests.training_case import SFT, context, wait_for
from warmup_rl.base.config import Sampling
from warmup_rl.base.jsonl import write_json
from warmup_rl.interfaces.stage import Artifacts, LaunchEnv
from warmup_rl.stages.sft import ProbeSettings
from warmup_rl_extras.on_policy import OnPolicyDistillation

PROBE = ProbeSettings(points=4, traces=5, problems=3)
DIVERGES = {"learning_rate": 1.0, "lr_scheduler_type": "constant"}
STAGES = {
    "heldout_loss": SFT.model_copy(update={"probe": PROBE, "keep": "heldout_loss", "args": DIVERGES}),
    "retention": SFT.model_copy(update={"probe": PROBE, "keep": "retention", "epochs": 16}),
}
OPD = OnPolicyDistillation(
    id="opd",
    domain="adding",
    problems=10,
    steps=4,
    batch_size=8,
    sampling=Sampling(temperature=1.0, max_tokens=12),
    args={"learning_rate": 1e-2, "lr_scheduler_type": "constant"},
)


def run_all(folder: Path, launch_env: LaunchEnv) -> None:
    for name, stage in {**STAGES, "opd": OPD}.items():
        given = context(folder, name, folder / "base", launch_env=launch_env)
        inputs = Artifacts(str(folder / "base"), traces=folder / "traces.jsonl", teacher=folder / "teacher")
        summary = stage.run(replace(given, inputs=inputs))
        write_json(folder / f"{name}.rank{launch_env.rank}.json", summary)
        wait_for(given.model_folder / "chat_contract.json")


if __name__ == "__main__":
    from warmup_rl.run.launch_env import read_launch_env

    run_all(Path(sys.argv[1]), read_launch_env())
