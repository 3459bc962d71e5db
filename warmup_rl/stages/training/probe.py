"""Measures a warmup while it trains: held-out trace loss and accuracy, and which of the measured models to keep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from transformers import TrainerCallback, TrainerState

from warmup_rl.base.jsonl import append_jsonl
from warmup_rl.base.models import evaluating
from warmup_rl.base.stats import mean
from warmup_rl.base.types import Problem
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.training import IGNORED
from warmup_rl.stages.training.checkpoints import KEPT_WEIGHTS
from warmup_rl.stages.training.evaluator import complete_held_out
from warmup_rl.stages.training.saving import keep_weights

if TYPE_CHECKING:
    from trl import SFTTrainer

Keep = Literal["last", "heldout_loss", "retention"]
PROBE_LOG = "probe.jsonl"


class Probe(TrainerCallback):
    """Measures at the start and at so many points at equal distances up to the last step, and saves each model that is
    the best so far. Retention is the mean accuracy on other domains than those that are `trained`, where there are any.

    Attributes:
        rows: the measurements, as in `probe.jsonl`.
    """

    def __init__(
        self,
        context: Context,
        trainer: SFTTrainer,
        problems: list[Problem],
        trained: Collection[str],
        *,
        points: int,
        keep: Keep,
    ) -> None:
        self._context, self._trainer, self._problems, self._trained = context, trainer, problems, trained
        self._points, self._keep = points, keep
        self._sampling = context.evaluation.greedy()
        self.rows: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = state["rows"]

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if not state.global_step:
            self._measure(0)

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        done, step = state.max_steps, state.global_step
        if step * self._points // done > (step - 1) * self._points // done:
            self._measure(step)
            if self._keep != "last" and self.kept == self.rows[-1]:
                keep_weights(self._trainer, self._context.folder / KEPT_WEIGHTS)

    @property
    def kept(self) -> Mapping[str, Any]:
        """The measurement of the model that is kept; of equal ones the later. The start is never kept."""
        trained = self.rows[1:]
        if self._keep == "last":
            return trained[-1]
        better = (lambda row: -row["loss"]) if self._keep == "heldout_loss" else (lambda row: row["retention"])
        return max(reversed(trained), key=better)

    def chosen(self) -> Path | None:
        """The file of the weights to keep; None for the last ones."""
        return None if self.kept == self.rows[-1] else self._context.folder / KEPT_WEIGHTS

    def harm(self) -> str:
        """The accuracies of the kept model if they are below those of the start on every domain; else empty."""
        start, kept = self.rows[0]["accuracy"], self.kept["accuracy"]
        if not start or any(kept[name] >= start[name] for name in start):
            return ""
        return ", ".join(f"{name} {start[name]:.2f} before, {kept[name]:.2f} after" for name in start)

    def _held_out_loss(self) -> float:
        """Mean loss of a trained token of the held-out traces. Trainer.evaluate has a mean over batches in its place,
        which depends on the number of processes."""
        trainer, model, env = self._trainer, self._trainer.model_wrapped, self._context.launch_env
        size, rows = trainer.args.per_device_eval_batch_size, list(trainer.eval_dataset)
        total = torch.zeros(2, dtype=torch.float64, device=trainer.args.device)
        with torch.no_grad(), evaluating(model):
            for start in range(0, len(rows), size * env.size):  # as many passes on each rank, as ZeRO-3 wants it
                mine = rows[start + env.rank : start + size * env.size : env.size]
                inputs = trainer._prepare_inputs(trainer.data_collator(mine or rows[:1]))
                tokens = (inputs["labels"][:, 1:] != IGNORED).sum() * bool(mine)
                total += torch.stack([model(**inputs).loss * tokens, tokens]).to(total.dtype)
        loss, tokens = trainer.accelerator.reduce(total).tolist()
        return float(loss / tokens)

    def _measure(self, step: int) -> None:
        """Adds a measurement. All ranks call it together."""
        trainer, correct = self._trainer, defaultdict[str, list[bool]](list)
        loss = self._held_out_loss()
        for row in complete_held_out(trainer, self._context, self._problems, self._sampling):
            correct[row["domain"]].append(row["score"]["verdict"] == "correct")
        accuracy = {name: mean([float(one) for one in found]) for name, found in correct.items()}
        others = [value for name, value in accuracy.items() if name not in self._trained]
        retention = mean(others or list(accuracy.values()))
        self.rows.append({"step": step, "loss": loss, "accuracy": accuracy, "retention": retention})
        if self._context.launch_env.is_main:
            append_jsonl(self._context.folder / PROBE_LOG, self.rows[-1:])
        named = {"loss": loss, "retention": retention, **accuracy}
        logs = {f"probe/{name}": value for name, value in named.items()}
        trainer.callback_handler.call_event("on_log", trainer.args, trainer.state, trainer.control, logs=logs)
        shown = "  ".join(f"{name} {value:.2f}" for name, value in accuracy.items())
        self._context.say(f"step {step}: held-out trace loss {loss:.3f}  {shown}")
