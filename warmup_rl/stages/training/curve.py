"""Held-out accuracy during RLVR, measured by the evaluator of `evaluate` without affecting the training."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerState

from warmup_rl.base.jsonl import append_jsonl
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.measurement import TRACKED, CurvePoint, summarize
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.training.evaluator import complete_held_out
from warmup_rl.stages.training.rewards import Rewarder

if TYPE_CHECKING:
    from trl import GRPOTrainer


_KEPT = ("problems", "lenient", "strict", "well_formed", "truncated", "shows_work", "tokens")


class Curve(TrainerCallback):
    """Measures the first `curve_problems` test problems greedily, at step 0, every few and the last step.

    A run with the curve has the same rollouts as one without. Problems and completion budget are those of the recipe's
    evaluation, so that the last point agrees with an `evaluate` stage.

    Attributes:
        points: lenient accuracy by step, so far.
    """

    def __init__(
        self, context: Context, domain: Domain, rewarder: Rewarder, trainer: GRPOTrainer, *, steps_each: int
    ) -> None:
        self._context, self._domain, self._rewarder, self._each = context, domain, rewarder, steps_each
        self._trainer = trainer
        self._problems = domain.take("test", context.evaluation.seed, context.evaluation.curve_problems)
        self._sampling = context.evaluation.greedy()
        self._start, self._measuring = time.monotonic(), 0.0
        self.points: dict[int, float] = {}

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self._start = time.monotonic()
        if not state.global_step:
            self.measure(0)

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points, "seconds": time.monotonic() - self._start - self._measuring}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.points |= state["points"]
        self._start = time.monotonic() - state["seconds"]

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        step, rest = divmod(state.global_step, self._each)
        if not rest and (step % self._context.evaluation.every == 0 or state.global_step == state.max_steps):
            self.measure(step)

    def measure(self, step: int) -> None:
        """Adds a point to the curve. All ranks call it together."""
        began = time.monotonic()
        rows = complete_held_out(self._trainer, self._context, self._problems, self._sampling)
        figures = {key: value for key, value in summarize(rows).items() if key in _KEPT}
        seconds = round(began - self._start - self._measuring, 3)
        spent = self._rewarder.spent(self._trainer)
        row = asdict(CurvePoint(step=step, domain=self._domain.name, **figures, **spent, seconds=seconds))
        self.points[step] = row["lenient"]
        if self._context.launch_env.is_main:
            append_jsonl(self._context.folder / "curve.jsonl", [row])
            append_jsonl(self._context.folder / "curve_completions.jsonl", [{"step": step, **kept} for kept in rows])
        logs, trainer = {f"held_out/{key}": row[key] for key in TRACKED}, self._trainer
        trainer.callback_handler.call_event("on_log", trainer.args, trainer.state, trainer.control, logs=logs)
        self._measuring += time.monotonic() - began
