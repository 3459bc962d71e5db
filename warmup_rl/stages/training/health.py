"""Watches an RLVR run for groups that teach nothing and says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from warmup_rl.interfaces.stage import Context

_PATIENCE = 5


class Health(TrainerCallback):
    """Says so when no group has had two different rewards for five optimizer steps: nothing is learned then."""

    def __init__(self, context: Context) -> None:
        self._context, self._silent = context, 0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not logs or "frac_reward_zero_std" not in logs:
            return
        self._silent = self._silent + 1 if logs["frac_reward_zero_std"] == 1 else 0
        if self._silent == _PATIENCE:
            self._context.say(f"no group had a signal for {_PATIENCE} steps: {reason(logs)}")


def reason(logs: Mapping[str, Any]) -> str:
    """Why no group of a step has a signal, and what would help."""
    correct, truncated = logs.get("correct", 0.0), logs.get("completions/clipped_ratio", 0.0)
    if truncated > 0.95:
        return "all completions are truncated. Raise sampling.max_tokens."
    if correct == 1:
        return "all answers are right. Take harder problems or fewer steps."
    if correct == 0:
        return "all answers are wrong. Take easier problems, more generations, or a longer warmup."
    return "every group is all right or all wrong. Raise generations or sampling.temperature."
