"""`accelerate launch -m tests.epoch_case FOLDER`: the rows of an epoch that each rank of SFT and pretraining takes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.training_case import SFT, context
from warmup_rl.base.jsonl import write_json
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.run.launch_env import read_launch_env
from warmup_rl.stages.pretrain import Pretrain
from warmup_rl.stages.training import IGNORED
from warmup_rl.stages.training.base import TrainerStage

GROUPED = SFT.model_copy(update={"epochs": 1, "batch_size": 10, "args": {"train_sampling_strategy": "group_by_length"}})
MODEL = {"model_type": "qwen3", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
         "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8}  # fmt: skip
PRETRAIN = Pretrain(id="pretrain", corpus={"type": "nano", "share": 0.002}, model=MODEL, row_length=288, batch_size=8)


def trained_on(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Rows that carry loss, by their tokens."""
    return [str(list(row["input_ids"])) for row in rows if any(label != IGNORED for label in row["labels"])]


def watched(stage: TrainerStage, folder: Path, launch_env: LaunchEnv) -> None:
    """Runs a stage and writes what its collator was given on this rank."""
    fit, found = TrainerStage.fit, {"rows": [], "seen": [], "step": stage.sequences_per_update}

    def watching(self: TrainerStage, trainer: Any, *rest: Any, **keys: Any) -> Any:
        collate, found["rows"] = trainer.data_collator, trained_on(trainer.train_dataset)
        trainer.data_collator = lambda rows: found["seen"].extend(trained_on(rows)) or collate(rows)
        return fit(self, trainer, *rest, **keys)

    TrainerStage.fit = watching  # type: ignore[method-assign]
    stage.run(context(folder, stage.id, folder / "base", launch_env=launch_env))
    TrainerStage.fit = fit  # type: ignore[method-assign]
    write_json(folder / f"{stage.id}-{launch_env.rank}.json", found)


def main() -> None:
    folder, launch_env = Path(sys.argv[1]), read_launch_env()
    for stage in (GROUPED, PRETRAIN):
        watched(stage, folder, launch_env)


if __name__ == "__main__":
    main()
