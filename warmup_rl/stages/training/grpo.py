"""TRL's GRPOTrainer with the prompt schedule instead of its sampler, bound to the chat contract, and faster.

Rollouts are drawn by `engines/decoding.py`, and the rows of an update are trained on without those that cannot change
the weights, sorted by length, with little padding. Both leave the algorithm as it is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from accelerate.utils import set_seed
from torch.utils.data import Dataset
from trl import GRPOTrainer

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.models import evaluating, positions, takes
from warmup_rl.engines.decoding import decode
from warmup_rl.engines.vllm import VllmModel
from warmup_rl.interfaces.chat import ChatContract
from warmup_rl.interfaces.plugins import import_class
from warmup_rl.stages.training.batches import PlanSampler, Rows, by_length, merged, passes_over, taken, trimmed
from warmup_rl.stages.training.evaluator import generating, is_sharded
from warmup_rl.stages.training.rewards import Rewarder
from warmup_rl.stages.training.vllm_rollouts import training_model

_OTHER_SAMPLING = ("min_p", "generation_kwargs", "cache_implementation", "use_transformers_continuous_batching")
"""Options of GRPOConfig under which TRL draws the rollouts, besides vLLM."""

_LOSS = ("compute_loss", "_compute_loss")


class PlannedGRPOTrainer(GRPOTrainer):
    """GRPOTrainer with prompts from a plan, see `warmup_rl.stages.rlvr`.

    Attributes:
        rewarder: its `record` holds what became of each problem so far, the same on all ranks.
    """

    plan_SP: Sequence[Sequence[int]]
    _buffered_inputs: list[Rows] | None
    _drawn = (-1, 0)
    """The optimizer step at which rollouts were last drawn, and how many."""
    rewarder: Rewarder

    def _get_train_sampler(self, dataset: Dataset[Any] | None = None) -> PlanSampler:
        return PlanSampler(
            self.plan_SP,
            generations=self.num_generations,
            repeats=self.num_iterations * self.args.steps_per_generation,
        )

    def bind(self, chat: ChatContract) -> None:
        """Sets the contract's end tokens, and replaces the model's own generation config.

        Options that TRL does not set (e.g. `no_repeat_ngram_size`) would otherwise come from that config.
        """
        from transformers import GenerationConfig

        self.eos_token_ids = list(chat.stop_ids)
        if self.args.use_vllm:  # vLLM has seeded this process with its own number, the same for every run
            set_seed(self.args.seed, device_specific=True)
        else:
            self.generation_config.eos_token_id = list(chat.stop_ids)
            self.generation_config.remove_invalid_values = True  # the step is skipped later, with a message
        model = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        model.generation_config = GenerationConfig(
            eos_token_id=list(chat.stop_ids), pad_token_id=chat.pad_id, bos_token_id=model.config.bos_token_id
        )

    def under_vllm(self) -> AbstractContextManager[VllmModel]:
        """The model with its present weights under the engine of its rollouts; all ranks call it together."""
        return training_model(self)

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, *given: Any, **named: Any
    ) -> tuple[list[list[int]], Any]:
        """Completion ids; what is drawn depends on seed, step and place in the step, not on the number of ranks."""
        args, trl = self.args, super()._generate_single_turn
        other = any(getattr(args, name) for name in _OTHER_SAMPLING) or args.repetition_penalty != 1
        if args.use_vllm or other or images or trl.__func__ is not GRPOTrainer._generate_single_turn:
            with evaluating(self.model):  # no dropout, as in evaluation
                return trl(prompt_ids, images, *given, **named)  # type: ignore[no-any-return]
        sampling = Sampling(
            temperature=args.temperature,
            top_p=args.top_p,
            top_k=args.top_k or 0,
            max_tokens=self.max_completion_length,
        )
        step, rank, ranks = self.state.global_step, self.accelerator.process_index, self.accelerator.num_processes
        before = self._drawn[1] if self._drawn[0] == step else 0
        self._drawn = step, before + ranks * len(prompt_ids)
        first = before + rank * len(prompt_ids)
        places = range(first, first + len(prompt_ids))
        found: dict[int, list[int]] = {}
        with generating(self) as model:
            for finished in decode(
                model,
                prompt_ids,
                sampling,
                stops=set(self.eos_token_ids),
                pad_id=self.processing_class.pad_token_id,
                draws=[random.Random(f"rollout/{args.seed}/{step}/{place}").random for place in places],
                synced=is_sharded(self),
            ):
                found |= finished
        return [found[index] for index in range(len(prompt_ids))], None

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **named: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """As TRL's, with the positions by which the rollouts were drawn; without gradients (the policy that has drawn,
        the reference) in passes sorted by length."""
        plain = super()._get_per_token_logps_and_entropies

        def trl(model: Any, *given: Any, **more: Any) -> Any:
            # TRL gives none, so a model with learned positions would count the padding before a prompt
            return plain(partial(_with_positions, model), *given, **more)

        if not takes(model, "position_ids") or any(isinstance(value, torch.Tensor) for value in named.values()):
            trl = plain
        if torch.is_grad_enabled():
            return trl(model, input_ids, attention_mask, logits_to_keep, batch_size, **named)  # type: ignore[no-any-return]
        if any(value is not None for value in named.values()):
            with evaluating(model):
                return trl(model, input_ids, attention_mask, logits_to_keep, batch_size, **named)  # type: ignore[no-any-return]
        sides = {"prompt": slice(None, -logits_to_keep), "completion": slice(-logits_to_keep, None)}
        rows = {f"{side}_ids": input_ids[:, columns] for side, columns in sides.items()}
        rows |= {f"{side}_mask": attention_mask[:, columns] for side, columns in sides.items()}
        logps = torch.zeros(rows["completion_ids"].shape, device=input_ids.device)
        with evaluating(model):  # those of the policy that has drawn, without dropout
            for part in by_length(rows).split(batch_size or len(input_ids)):
                one = trimmed(taken(rows, part))
                ids, mask = (torch.cat([one[f"prompt_{key}"], one[f"completion_{key}"]], 1) for key in ("ids", "mask"))
                width = one["completion_ids"].shape[1]
                logps[part, :width] = trl(model, ids, mask, width)[0].to(logps.dtype)
        return logps, None, None

    def _prepare_inputs(self, generation_batch: Any) -> Rows:
        held = self._buffered_inputs
        inputs: Rows = super()._prepare_inputs(generation_batch)
        passes = self._buffered_inputs
        only_tensors = all(isinstance(value, torch.Tensor) for value in inputs.values())  # else images, or a variant's
        if not self.model.training or passes is None or passes is held or not only_tensors:
            return inputs
        size = self.args.gradient_accumulation_steps
        updates = [passes[start : start + size] for start in range(0, len(passes), size)]
        arranged = [rows for update in updates for rows in self._arranged(update)]
        self._buffered_inputs = arranged
        return arranged[self._step % len(passes)]

    def _arranged(self, passes: list[Rows]) -> list[Rows]:
        """The same number of passes over an update's rows, on every rank, with the same gradient up to rounding.

        Rows stay where they are if a term of the loss is not a sum over rows, or is not TRL's; all rows are kept if a
        term (KL) does not grow with the advantage.
        """
        over_rows = self.top_entropy_quantile < 1 or self._entropy_bonus_enabled or self.aux_loss_enabled
        per_pass = self.beta and self.loss_type == "bnpo"
        own = any(getattr(type(self), name) is not getattr(GRPOTrainer, name) for name in _LOSS)
        if over_rows or per_pass or own:
            return [trimmed(rows) for rows in passes]
        update = merged(passes)
        live = (update["advantages"] != 0).reshape(len(update["advantages"]), -1).any(1) | bool(self.beta)
        skipped = self.accelerator.gather(1 - live.float().mean()).mean().item()
        self._metrics["train"]["skipped_rows"].append(skipped)
        return passes_over(update, live, len(passes), self.loss_type)


def _with_positions(model: Any, **inputs: Any) -> Any:
    return model(position_ids=positions(inputs["attention_mask"]), **inputs)


def trainer_class(name: str, what: str, variants: Sequence[str] = ()) -> type[PlannedGRPOTrainer]:
    """The GRPOTrainer subclass behind an import string, with prompts from the plan, behind `variants`, which override
    what they change. Raises `UserError`, beginning with `what`, for what is no such class."""
    kind = import_class(name, what)
    if not (isinstance(kind, type) and issubclass(kind, GRPOTrainer)):
        raise UserError(f"{what}: {name} is not a subclass of trl.GRPOTrainer.")
    before = (import_class(one, what) for one in variants)
    bases = (*before, *(() if issubclass(kind, PlannedGRPOTrainer) else (PlannedGRPOTrainer,)), kind)
    return kind if bases == (kind,) else type(kind.__name__, bases, {})
