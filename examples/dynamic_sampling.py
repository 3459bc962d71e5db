"""A variant of RLVR: dynamic sampling (DAPO, arXiv 2503.14476). Groups without a signal are drawn again.

A group with equal rewards has no gradient. This trainer replaces such groups by groups of other prompts, drawn at
random, up to `redraws` times a step; what then still has no signal stays. In a recipe:

    - {type: rlvr, domain: kk, steps: 100, trainer: examples/dynamic_sampling.py:DynamicSampling}

All rollouts count in the stage's summary, those that are thrown away too. Prompts are no longer used equally often.
"""

from __future__ import annotations

import random
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from trl import GRPOTrainer

from warmup_rl.base.errors import UserError


class DynamicSampling(GRPOTrainer):
    """GRPOTrainer that draws again where all rewards of a group are equal."""

    redraws = 2

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        size = self.num_generations
        if len(inputs) % size:
            raise UserError(f"prompts_per_step: give a multiple of the {self.accelerator.num_processes} processes.")
        rank, step = self.accelerator.process_index, self.state.global_step
        draw = random.Random(f"dynamic sampling/{self.args.seed}/{step}/{rank}")
        for _ in range(self.redraws):
            silent = (batch["advantages"].abs() < 1e-6).view(-1, size).all(dim=1).nonzero().flatten().tolist()
            own = torch.tensor([len(silent)], device=batch["advantages"].device)
            count = int(self.accelerator.gather(own).max())  # TRL gathers equal shapes, so all processes draw as many
            if count == 0:
                break
            indices = [draw.randrange(len(self.train_dataset)) for _ in range(count)]
            prompts = [self.train_dataset[index] for index in indices for _ in range(size)]
            new = super()._generate_and_score_completions(prompts)
            rows = [group * size + place for group in silent for place in range(size)]
            batch = {key: self._replace(key, value, new[key], rows) for key, value in batch.items()}
            batch["num_items_in_batch"] = self.accelerator.gather(batch["completion_mask"].sum()).sum()
        return batch

    def _replace(self, key: str, old: torch.Tensor, new: torch.Tensor, rows: list[int]) -> torch.Tensor:
        """`old` with the first rows of `new` at `rows`, both padded to one length: prompts left, completions right."""
        if old.dim() == 0:
            return old
        if old.dim() == 2:
            side = "left" if key.startswith("prompt") else "right"
            fill = self.processing_class.pad_token_id if key.endswith("_ids") else 0
            both = pad_sequence([*old, *new], batch_first=True, padding_value=fill, padding_side=side)
            old, new = both[: len(old)], both[len(old) :]
        result = old.clone()
        result[rows] = new[: len(rows)]
        return result
