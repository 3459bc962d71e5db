"""Trainer callbacks: progress lines and `log.jsonl`, the check for a signal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from transformers import TrainerCallback, TrainerState

from warmup_rl.base.console import duration
from warmup_rl.base.jsonl import append_jsonl
from warmup_rl.interfaces.stage import Context

Describe = Callable[[Mapping[str, Any]], str]
_LINES = 20
_PATIENCE = 5


def describe_loss(row: Mapping[str, Any]) -> str:
    """The progress line of a supervised training."""
    return f"loss {row['loss']:.3f}  lr {row.get('learning_rate', 0.0):.1e}"


def describe_rollouts(curve: Mapping[int, float]) -> Describe:
    """The progress line of an RLVR training; `curve` is held-out accuracy by step, filled during training."""

    def describe(row: Mapping[str, Any]) -> str:
        values = [
            ("reward", row.get("reward")),
            ("correct", row.get("correct")),
            ("signal", 1 - row["frac_reward_zero_std"] if "frac_reward_zero_std" in row else None),
            ("truncated", row.get("completions/clipped_ratio")),
        ]
        words = [f"{name} {value:.2f}" for name, value in values if value is not None]
        words.append(f"tokens {row.get('completions/mean_length', 0):.0f}")
        if (gap := row.get("sampling/sampling_logp_difference/mean")) is not None:
            words.append(f"logp gap {gap:.3f}")
        if curve:
            accuracies = list(curve.values())
            words.append(f"held-out {accuracies[0]:.2f} → {accuracies[-1]:.2f}")
        return "  ".join(words)

    return describe


class Progress(TrainerCallback):
    """Appends every logged step to `log.jsonl` and prints about twenty lines per training.

    Args:
        describe: the text between step and time left, given the latest value of everything that was logged.
        steps_each: optimizer steps per step of the recipe.
    """

    def __init__(self, context: Context, describe: Describe = describe_loss, *, steps_each: int = 1) -> None:
        self._context, self._describe, self._each = context, describe, steps_each
        self._latest: dict[str, Any] = {}
        self._start, self._first, self._twentieths = time.monotonic(), 0, 0

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self._start, self._first = time.monotonic(), state.global_step
        self._twentieths = _LINES * self._first // state.max_steps

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        row = {"step": state.global_step, **(logs or {})}
        if self._context.launch_env.is_main:
            broken = {key: str(value) for key, value in row.items() if _is_not_finite(value)}  # JSON has no NaN
            append_jsonl(self._context.folder / "log.jsonl", [row | broken])
        self._latest |= row
        if "loss" in row and self._is_due(state):
            self._context.say(self._line(state))

    def _is_due(self, state: TrainerState) -> bool:
        if state.global_step % self._each:
            return False
        before, self._twentieths = self._twentieths, _LINES * state.global_step // state.max_steps
        return state.global_step == self._each or self._twentieths > before

    def _line(self, state: TrainerState) -> str:
        taken = time.monotonic() - self._start
        left = taken / (state.global_step - self._first) * (state.max_steps - state.global_step)
        steps = f"step {state.global_step // self._each}/{state.max_steps // self._each}"
        return f"{steps}  {self._describe(self._latest)}  {duration(left)} left"


class SignalCheck(TrainerCallback):
    """Warns when no group has had different rewards for five optimizer steps, so that nothing is learned."""

    def __init__(self, context: Context) -> None:
        self._context, self._silent = context, 0

    def state_dict(self) -> dict[str, Any]:
        return {"silent": self._silent}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._silent = state["silent"]

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not logs or "frac_reward_zero_std" not in logs:
            return
        self._silent = self._silent + 1 if logs["frac_reward_zero_std"] == 1 else 0
        if self._silent == _PATIENCE:
            self._context.say(f"no group had a signal for {_PATIENCE} steps: {_reason(logs)}")


def _reason(logs: Mapping[str, Any]) -> str:
    """Why no group of a step has a signal, and how to fix it."""
    correct, truncated = logs.get("correct", 0.0), logs.get("completions/clipped_ratio", 0.0)
    if truncated > 0.95:
        return "all completions are truncated. Raise sampling.max_tokens."
    if correct == 1:
        return "all answers are right. Use harder problems or fewer steps."
    if correct == 0:
        return "all answers are wrong. Use easier problems, more generations, or a longer warmup."
    return "every group is all right or all wrong. Raise generations or sampling.temperature."


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
