"""Which problems an RLVR training draws, other than each equally often: what `selection` of `rlvr` names.

A class here stands before a GRPOTrainer and replaces the prompts of the schedule. All ranks choose alike, from the
record that they share and from the step, so that a resumed training chooses the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import pad_sequence

from warmup_rl.base.errors import UserError

if TYPE_CHECKING:
    from warmup_rl.stages.training.grpo import PlannedGRPOTrainer as _Trainer
else:
    _Trainer = object

_FLOOR = 1 / 40
"""Weight of a problem that was always or never solved; one that was solved every second time has 1/4."""


class Frontier(_Trainer):
    """Draws a problem with weight p(1 - p), where p is its pass rate when it was drawn last.

    Problems not drawn yet count as p = 1/2, so they come first; those with p of 0 or 1 are revisited about a tenth as
    often as those in the middle. A step has no problem twice if there are enough.
    """

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        size, rank = self.num_generations, self.accelerator.process_index
        count = len(inputs) * self.accelerator.num_processes // size
        record, step = self.rewarder.record, self.state.global_step
        rates = [rate if seen else 0.5 for rate, seen in zip(record.last_rate, record.groups, strict=True)]
        chosen = weighted_draw(
            [max(rate * (1 - rate), _FLOOR) for rate in rates],
            count,
            random.Random(f"frontier/{self.args.seed}/{step}"),
        )
        places = range(rank * len(inputs), (rank + 1) * len(inputs))
        return super()._generate_and_score_completions([self.train_dataset[chosen[place // size]] for place in places])


class Active(_Trainer):
    """Replaces groups whose rewards are all equal, which have no gradient, by groups of other problems.

    It draws at most `redraws` times a step, always whole batches over all ranks; what then still has no signal stays.
    All rollouts count. After dynamic sampling (DAPO, arXiv 2503.14476).
    """

    redraws = 2

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        size = self.num_generations
        if len(inputs) % size:
            raise UserError(f"prompts_per_step: give a multiple of the {self.accelerator.num_processes} processes.")
        rank, step = self.accelerator.process_index, self.state.global_step
        draw = random.Random(f"active/{self.args.seed}/{step}/{rank}")
        for _ in range(self.redraws):
            silent = (batch["advantages"].abs() < 1e-6).view(-1, size).all(dim=1).nonzero().flatten().tolist()
            own = torch.tensor([len(silent)], device=batch["advantages"].device)
            count = int(self.accelerator.gather(own).max())  # TRL gathers equal shapes, so all processes draw as many
            if count == 0:
                break
            last = self.rewarder.record.last_step
            order = sorted(range(len(last)), key=lambda index: (last[index] == max(last), draw.random()))
            prompts = [self.train_dataset[order[place % len(order)]] for place in range(count) for _ in range(size)]
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


def weighted_draw(weights: Sequence[float], count: int, draw: random.Random) -> list[int]:
    """Indices drawn by weight without replacement, in random order (Efraimidis and Spirakis, 2006).

    Where more are asked for than there are, all are drawn again.
    """
    drawn: list[int] = []
    while len(drawn) < count:
        keys = {index: draw.random() ** (1 / weight) for index, weight in enumerate(weights)}
        drawn += sorted(keys, key=lambda index: -keys[index])[: count - len(drawn)]
    return drawn
