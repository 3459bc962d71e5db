"""Trains with each selection, once whole and once in two parts: `accelerate launch -m tests.selection_case FOLDER`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from tests.resume_case import asked_at, with_checkpoints
from tests.training_case import RLVR, context, wait_for
from warmup_rl.base import stopping
from warmup_rl.run.launch_env import read_launch_env
from warmup_rl_extras.guided import GuidedRlvr

if __name__ == "__main__":
    folder, launch_env = Path(sys.argv[1]), read_launch_env()
    settings = {**RLVR.model_dump(exclude={"type", "checkpoint"}), "steps": 4, "demonstrations_per_pass": 2}
    stages = {name: with_checkpoints(RLVR, selection=name, steps=4) for name in ("active", "frontier")}
    for selection, stage in {**stages, "guided": with_checkpoints(GuidedRlvr(id="guided", **settings))}.items():
        for part in ("whole", "parts"):
            given = context(
                folder, f"{selection}-{part}", folder / "base", launch_env=launch_env, say=lambda line: None
            )
            if part == "parts":
                with asked_at(3, here=launch_env.is_main), suppress(stopping.Stopped):
                    stage.run(given)
                if launch_env.is_main:
                    stage.recover(given.folder)
                    (folder / f"{selection}.recovered").touch()
                wait_for(folder / f"{selection}.recovered")
            stage.run(given)
            wait_for(given.model_folder / "chat_contract.json")
