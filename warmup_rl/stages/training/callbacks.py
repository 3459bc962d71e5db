"""Trainer callbacks: progress lines and `log.jsonl`, the health rules."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerState

from warmup_rl.base.console import duration
from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import append_jsonl
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.training.health import MOST_STEPS, HealthSettings, Rule, action, figures, raised
from warmup_rl.stages.training.tracking import alert, by_step, track

if TYPE_CHECKING:
    from transformers import Trainer

Describe = Callable[[Mapping[str, Any]], str]
_LINES = 20


def describe_loss(row: Mapping[str, Any]) -> str:
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
    """Appends every logged step to `log.jsonl` and prints about twenty lines per training: what `describe` makes of the
    latest value of everything that was logged."""

    def __init__(self, context: Context, describe: Describe = describe_loss, *, steps_each: int = 1) -> None:
        self._context, self._describe, self._each = context, describe, steps_each
        self._latest: dict[str, Any] = {}
        self._start, self._first, self._twentieths = time.monotonic(), 0, 0

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self._start, self._first = time.monotonic(), state.global_step
        self._twentieths = _LINES * self._first // state.max_steps

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        row = {"step": state.global_step, "of": state.max_steps, "at": round(time.time(), 1), **(logs or {})}
        if self._context.launch_env.is_main:  # JSON has no NaN
            broken = {key: str(value) for key, value in row.items() if isinstance(value, float) and not isfinite(value)}
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


class Tracked(TrainerCallback):
    """Sends all that is logged to the W&B run of the trial, with the axes on which arms are laid over each other."""

    def __init__(self, context: Context, trainer: Trainer, *, steps_each: int = 1) -> None:
        self._context, self._trainer, self._each = context, trainer, steps_each

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        by_step(self._context.stage_id)

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if self._context.launch_env.is_main:
            track(self._context.stage_id, {**(logs or {}), **self._axes(state.global_step)})

    def _axes(self, step: int) -> dict[str, float]:
        axes = {"step": step / self._each}
        if (rewarder := getattr(self._trainer, "rewarder", None)) is not None:
            axes |= rewarder.spent(self._trainer)
            axes["flops"] += self._context.tracking.spent
        return axes


class Health(TrainerCallback):
    """Applies the health rules to every logged step.

    An alarm is printed, appended to `log.jsonl`, sent to the open W&B run, and kept for the stage's record.

    Attributes:
        alarms: step, rule and text of each alarm so far.
    """

    def __init__(
        self, context: Context, settings: HealthSettings, trainer: Trainer, *, is_control: bool = False
    ) -> None:
        self._context, self._settings, self._trainer, self._is_control = context, settings, trainer, is_control
        self._rows: list[dict[str, float]] = []
        self._figures: list[dict[str, Any]] = []
        self.alarms: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self._rows, "figures": self._figures, "alarms": self.alarms}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rows, self._figures, self.alarms = state["rows"], state["figures"], state["alarms"]

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Raises `RunError` on all ranks at an alarm that the recipe wants to stop at."""
        if self._settings == "off" or "loss" not in (logs or {}):
            return
        row = {key: float(value) for key, value in logs.items() if isinstance(value, int | float)}
        curve = next((one for one in self._trainer.callback_handler.callbacks if hasattr(one, "points")), None)
        last = max(curve.points, default=-1) if curve else -1
        if curve and last > max((one.get("curve_step", -1) for one in self._rows), default=-1):
            row |= {"curve_step": last, "held_out": curve.points[last]}
        self._rows.append(row)
        most = self._context.evaluation.curve_problems if curve else 0
        latest = figures(self._rows, budget=getattr(args, "max_completion_length", None), held_out=most)
        self._figures = [*self._figures, latest][-MOST_STEPS:]
        for rule in raised(self._figures, is_control=self._is_control):
            self._raise(rule, state.global_step)

    def _raise(self, rule: Rule, step: int) -> None:
        wanted = action(self._settings, rule.name)
        if wanted == "off":
            return
        text = f"{rule.cause} ({rule.shown}). {rule.remedy}"
        self.alarms.append({"step": step, "rule": rule.name, "text": text})
        if self._context.launch_env.is_main:
            append_jsonl(self._context.folder / "log.jsonl", [{"step": step, "alarm": rule.name, "text": text}])
            alert(f"{self._context.stage_id}: {rule.name}", text)
        if wanted == "stop":
            raise RunError(
                f"{self._context.stage_id}: stopped at optimizer step {step} by the health rule {rule.name}: {text} "
                f"`health: {{{rule.name}: warn}}` goes on from the last checkpoint."
            )
        self._context.say(f"health, step {step}, {rule.name}: {text}")
