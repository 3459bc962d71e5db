"""Which rows a training takes together: the order in which they are drawn, and passes with little padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Sampler

from warmup_rl.stages.training import IGNORED

if TYPE_CHECKING:
    from datasets import Dataset

Rows = dict[str, Any]
"""Inputs of a pass of GRPOTrainer by name: tensors with a row for each completion, and totals without rows."""


class PlanSampler(Sampler[int]):
    """Dataset indices as GRPOTrainer reads them: every prompt `generations` times in a row, every step `repeats` times.

    The trainer fetches a generation batch for each micro step and uses the first (see its `_get_train_sampler`).
    """

    def __init__(self, plan_SP: Sequence[Sequence[int]], *, generations: int, repeats: int) -> None:
        self._plan_SP, self._generations, self._repeats = plan_SP, generations, repeats

    def __iter__(self) -> Iterator[int]:
        for step in self._plan_SP:
            for _ in range(self._repeats):
                for index in step:
                    yield from [index] * self._generations

    def __len__(self) -> int:
        return sum(map(len, self._plan_SP)) * self._generations * self._repeats


class SortedSteps(Sampler[int]):
    """Shuffled as by accelerate, then sorted by length within each optimizer step, longest first.

    So the passes of a step, and the ranks, have rows of nearly equal length. The rows of a step stay the same. The last
    step of an epoch is filled up with the row behind them, which has no labels: accelerate fills up the passes of its
    ranks with other rows, which would be trained on twice.

    Args:
        lengths: tokens of each row of the dataset but the last.
        step: rows in an optimizer step, over all ranks.
        drop_last: leave out the last step of an epoch if it is not full.
    """

    def __init__(self, lengths: Sequence[int], *, step: int, seed: int, drop_last: bool) -> None:
        self._lengths, self._step, self._seed, self._epoch = lengths, step, seed, 0
        self.steps = len(lengths) // step if drop_last else -(-len(lengths) // step)

    def set_epoch(self, epoch: int) -> None:
        """Decides the order; called by accelerate, also when a training is resumed."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        order = torch.randperm(len(self._lengths), generator=generator).tolist()
        for start in range(0, len(self), self._step):
            rows = sorted(order[start : start + self._step], key=lambda index: -self._lengths[index])
            yield from rows + [len(self._lengths)] * (self._step - len(rows))

    def __len__(self) -> int:
        return self.steps * self._step


def with_filler(rows: Dataset, count: int = 1) -> Dataset:
    """The rows of a supervised training, and behind them the shortest `count` times without labels.

    For `SortedSteps`; and where several processes take the rows in another order, as many as fill up the last step:
    accelerate fills it up with rows that were trained on already.
    """
    from datasets import Dataset, concatenate_datasets

    shortest = min(rows, key=lambda row: len(row["input_ids"]))
    filler = {**shortest, "labels": [IGNORED] * len(shortest["labels"])}
    return concatenate_datasets([rows, Dataset.from_list([filler] * count, features=rows.features)])


def passes_over(update: Rows, live: torch.Tensor, count: int, loss_type: str) -> list[Rows]:
    """Splits the live rows [rows] of an update into `count` passes, sorted by length; one that would be empty gets a
    row without loss.

    TRL averages over the passes of an update as if each had the same number of rows. Losses that divide by the rows or
    tokens of their pass get advantages that make up for it: all of TRL's losses are proportional to those.
    """
    order = by_length(update)
    tokens = _loss_mask(update).sum()
    passes = []
    for part in order[live[order]].tensor_split(count):
        rows = taken(update, part if len(part) else order[:1])
        weight: Any = 1 if len(part) else 0
        if loss_type in ("grpo", "sapo", "dr_grpo", "luspo"):
            weight = len(part) * count / len(order)
        elif loss_type == "bnpo":
            weight *= _loss_mask(rows).sum().clamp(min=1) * count / tokens.clamp(min=1)
        rows["advantages"] = rows["advantages"] * weight
        passes.append(trimmed(rows))
    return passes


def _loss_mask(rows: Rows) -> torch.Tensor:
    mask: torch.Tensor = rows["completion_mask"]
    return mask * rows["tool_mask"] if "tool_mask" in rows else mask


def merged(passes: list[Rows]) -> Rows:
    """The rows of several passes together; totals are the same in each."""
    return {
        name: torch.cat([one[name] for one in passes]) if value.dim() else value for name, value in passes[0].items()
    }


def by_length(rows: Rows) -> torch.Tensor:
    """Indices of the rows, those with the shortest completion first."""
    return rows["completion_mask"].sum(1).argsort(stable=True)  # type: ignore[no-any-return]


def taken(rows: Rows, indices: torch.Tensor) -> Rows:
    return {name: value[indices] if value.dim() else value for name, value in rows.items()}


def trimmed(rows: Rows) -> Rows:
    """The rows without columns that are padding in all of them: before the prompts, and after the completions."""
    widths = {side: rows[f"{side}_mask"].shape[1:] for side in ("prompt", "completion")}
    used = {side: max(1, int(rows[f"{side}_mask"].any(0).sum())) for side in widths}
    kept = dict(rows)
    for name, value in rows.items():
        if name.startswith("prompt_") and value.shape[1:] == widths["prompt"]:
            kept[name] = value[:, -used["prompt"] :]
        elif value.dim() and value.shape[1:] == widths["completion"]:
            kept[name] = value[:, : used["completion"]]
    return kept
