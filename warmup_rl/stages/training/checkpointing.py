"""Trainer callbacks that keep a training alive: checkpoints, stops at a step, steps without a finite gradient."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import reduce
from torch.distributed.checkpoint.stateful import Stateful
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from warmup_rl.base.console import size_in_words
from warmup_rl.base.errors import RunError
from warmup_rl.base.files import free_bytes
from warmup_rl.base.stopping import Stopped, asked_to_stop
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.training.checkpoints import (
    BYTES_PER_TRAINED,
    BYTES_PER_WEIGHT,
    CheckpointSettings,
    checkpoints,
    finish_checkpoint,
    last_in_words,
    step_of,
)

if TYPE_CHECKING:
    from transformers import Trainer

_LOOSE = ("_total_train_tokens", "_tr_loss", "_total_loss_scalar", "_globalstep_last_logged")
"""Counters of trl's and transformers' trainers that their checkpoints do not hold."""
_PATIENCE, _FP16_PATIENCE = 3, 30
"""Steps in a row without a finite gradient before a training ends; float16 begins by finding its scale."""


class AlreadyTrained(Exception):
    """The checkpoint that a training was resumed from is that of its last step."""


class Checkpoints(TrainerCallback):
    """Saves checkpoints when they are due, at the last step, and when the process is asked to stop.

    It must be the last callback. Steps between which a batch of rollouts is reused are skipped, since trainers do not
    save those.

    Args:
        carried: objects whose state goes on, by name, those of the trainer's own excepted.
    """

    def __init__(
        self,
        settings: CheckpointSettings | None,
        context: Context,
        trainer: Trainer,
        carried: Mapping[str, Stateful],
        *,
        steps_each: int,
    ) -> None:
        self._settings, self._context, self._trainer = settings, context, trainer
        self._carried, self._each = carried, steps_each
        self._last = time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self._require_finite_weights()
        if state.global_step:
            self._restore(checkpoints(self._context.folder)[-1])
        self._last = time.monotonic()

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps:
            raise AlreadyTrained

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        step, rest = divmod(state.global_step, self._each)
        if rest:
            return
        last = state.global_step >= state.max_steps
        timed = self._settings is not None and self._settings.is_due(step, time.monotonic() - self._last)
        main = self._context.launch_env.is_main
        stops, due = self._agree(bool(asked_to_stop()), main and (timed or last))
        if stops or due:
            self._require_finite_weights()
            control.should_save = self._settings is not None and not any(self._agree(main and not self._has_room()))
            self._last = time.monotonic()
            if stops and not control.should_save:
                raise Stopped(f"after step {step}, without a checkpoint")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        assert self._settings is not None
        written = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        torch.save(self._state(), written / f"carried-{self._context.launch_env.rank}.pt")
        self._trainer.accelerator.wait_for_everyone()
        if self._context.launch_env.is_main:
            finish_checkpoint(written, state.global_step, self._context, self._settings.keep)
        self._trainer.accelerator.wait_for_everyone()
        if any(self._agree(bool(asked_to_stop()))):
            step = state.global_step // self._each
            self._context.say(f"stopped after step {step}, with a checkpoint")
            raise Stopped(f"after step {step}, with a checkpoint")

    def _agree(self, *asked: bool) -> list[bool]:
        """Whether any process answers yes, for each question."""
        if self._context.launch_env.size == 1:
            return list(asked)
        votes = reduce(torch.tensor([float(yes) for yes in asked], device=self._trainer.accelerator.device), "sum")
        return [bool(count) for count in votes.tolist()]

    def _require_finite_weights(self) -> None:
        weights = (getattr(weight, "ds_tensor", weight) for weight in self._trainer.model.parameters())
        if any(self._agree(not all(bool(torch.isfinite(weight).all()) for weight in weights))):
            raise RunError(
                f"{self._context.stage_id}: the weights have values that are not finite after optimizer step "
                f"{self._trainer.state.global_step}. {last_in_words(self._context)} Lower args.learning_rate."
            )

    def _has_room(self) -> bool:
        """Whether the disk has room for a checkpoint; if need be, older ones are deleted, except the newest."""
        found = checkpoints(self._context.folder)
        needed = checkpoint_bytes(self._trainer)
        while (free := free_bytes(self._context.folder)) < needed and len(found) > 1:
            shutil.rmtree(found.pop(0))
        if free < needed:
            self._context.say(
                f"no checkpoint at step {self._trainer.state.global_step}: {self._context.folder} has "
                f"{size_in_words(free)} free, about {size_in_words(needed)} are needed. {last_in_words(self._context)}"
            )
        return free >= needed

    def _state(self) -> dict[str, Any]:
        trainer = self._trainer
        return {
            "trainer": {name: getattr(trainer, name) for name in _LOOSE if hasattr(trainer, name)},
            "metrics": {mode: dict(values) for mode, values in getattr(trainer, "_metrics", {}).items()},
            "reference": [weight.detach() for weight in self._moving_reference()],
            **{name: carried.state_dict() for name, carried in self._carried.items()},
        }

    def _restore(self, checkpoint: Path) -> None:
        state = torch.load(checkpoint / f"carried-{self._context.launch_env.rank}.pt", weights_only=True)
        for name, value in state["trainer"].items():
            setattr(self._trainer, name, value.to(self._trainer.args.device) if torch.is_tensor(value) else value)
        for mode, values in state["metrics"].items():
            self._trainer._metrics[mode].update(values)
        for weight, value in zip(self._moving_reference(), state["reference"], strict=True):
            weight.data.copy_(value)
        for name, carried in self._carried.items():
            carried.load_state_dict(state[name])

    def _moving_reference(self) -> list[torch.Tensor]:
        """This rank's part of the weights of a reference model that follows the policy, which no checkpoint holds."""
        moves = getattr(self._trainer.args, "sync_ref_model", False)
        weights = self._trainer.ref_model.parameters() if moves else ()
        return [getattr(weight, "ds_tensor", weight) for weight in weights]


class FiniteSteps(TrainerCallback):
    """Skips optimizer steps whose gradient is not finite, counts them, and ends a training after three in a row.

    DeepSpeed skips such steps itself. Data and schedule move on, so that the next step is another one.
    """

    def __init__(self, context: Context, trainer: Trainer) -> None:
        self._context, self._trainer = context, trainer
        self.skipped = self._row = 0
        self._is_skipped = False

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped, "row": self._row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.skipped, self._row = state["skipped"], state["row"]

    def on_pre_optimizer_step(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        gradients = [weight.grad for weight in self._trainer.model.parameters() if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())
        self._is_skipped = not bool(torch.isfinite(norm))
        if self._is_skipped:
            self._trainer.model.zero_grad(set_to_none=True)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Raises `RunError` on all ranks after three skipped steps in a row."""
        self._is_skipped |= bool(self._trainer.accelerator.optimizer_step_was_skipped)
        self.skipped += self._is_skipped
        self._row = self._row + 1 if self._is_skipped else 0
        patience = _FP16_PATIENCE if args.fp16 else _PATIENCE
        if self._is_skipped and not args.fp16:
            self._context.say(f"optimizer step {state.global_step} is skipped: its gradient is not finite")
        if self._row >= patience:
            raise RunError(
                f"{self._context.stage_id}: loss or gradient was not finite at {patience} optimizer steps in a row, up "
                f"to step {state.global_step}; they were skipped. {last_in_words(self._context)} Lower "
                "args.learning_rate or args.max_grad_norm."
            )


def checkpoint_bytes(trainer: Trainer) -> int:
    """About how many bytes a checkpoint takes, from the number of trained weights."""
    trained = sum(getattr(w, "ds_numel", w.numel()) for w in trainer.model.parameters() if w.requires_grad)
    return BYTES_PER_TRAINED * trained


def require_room(trainer: Trainer, context: Context, settings: CheckpointSettings | None, parameters: int) -> None:
    """Raises `RunError` if the disk has no room for the model that is saved at the end, and a checkpoint of it."""
    model, one = BYTES_PER_WEIGHT * parameters, checkpoint_bytes(trainer) if settings else 0
    free = free_bytes(context.folder)
    if free < model + one:
        what = f"{size_in_words(model)} for the model" + (f" and {size_in_words(one)} for a checkpoint" if one else "")
        raise RunError(
            f"{context.stage_id}: {context.folder} has {size_in_words(free)} free, about {what} are needed. Make room, "
            f"or set output_dir to another disk{', or `checkpoint: null`' if one and free >= model else ''}."
        )


def make_room(context: Context, parameters: int, step: int) -> None:
    """Deletes checkpoints before the last step where the model can only be saved in their place; main process only."""
    needed = BYTES_PER_WEIGHT * parameters
    older = [one for one in checkpoints(context.folder) if step_of(one) < step]
    held = sum(path.stat().st_size for one in older for path in one.rglob("*") if path.is_file())
    if (free := free_bytes(context.folder)) < needed <= free + held:
        for one in older:
            shutil.rmtree(one)


def stateful(objects: Iterable[Any]) -> dict[str, Stateful]:
    """Those of the objects that have a state to carry on, of types that `torch.load` reads with `weights_only`, by
    class name."""
    return {type(one).__name__: one for one in objects if isinstance(one, Stateful)}
