"""Decodes a batch of prompts; on small models several times faster than `generate` of transformers.

`generate` copies the whole cache at every token and computes finished rows until the last one finishes. Here the cache
has spare capacity, and finished rows leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from warmup_rl.base.config import Sampling
from warmup_rl.engines.hf import most_over_ranks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_COMPACT_BELOW = 0.75
"""Finished rows are removed if the share of the others drops below this; each removal copies the cache once."""


class _RoomyLayer(DynamicLayer):
    """Keys and values of one layer: views into larger buffers [batch, heads, capacity, head size]."""

    keys: torch.Tensor
    values: torch.Tensor
    _room = 128
    _buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> tuple[Any, Any]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old = self.get_seq_length()
        new = old + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < new:
            self._buffers = self._grown(self.keys, key_states, new), self._grown(self.values, value_states, new)
        keys, values = self._buffers
        keys[:, :, old:new] = key_states
        values[:, :, old:new] = value_states
        self.keys, self.values = keys[:, :, :new], values[:, :, :new]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices)
        self._buffers = None

    def _grown(self, held: torch.Tensor, states: torch.Tensor, length: int) -> torch.Tensor:
        batch, heads, _, size = states.shape
        buffer = states.new_empty(batch, heads, length + self._room, size)
        if held.numel():
            buffer[:, :, : held.shape[-2]] = held
        return buffer


@torch.no_grad()
def decode(
    model: PreTrainedModel,
    prompts_ids: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    stops: Collection[int],
    pad_id: int,
    draws: Sequence[Callable[[], float]],
    synced: bool = False,
    on_step: Callable[[int], None] | None = None,
) -> Iterator[dict[int, list[int]]]:
    """Completion ids by index of the prompt, as they are finished: up to and including the first stop id, at most
    `sampling.max_tokens`.

    Args:
        model: in evaluation mode.
        prompts_ids: non-empty.
        draws: for each prompt a source of uniform numbers in [0, 1), one per sampled token, so that a completion does
            not depend on the rest of the batch, up to rounding.
        on_step, synced: as `on_step` and `synced_gpus` of `engines.hf.stream`.
    """
    width, device = max(map(len, prompts_ids)), model.device
    places = {tuple(ids): place for place, ids in enumerate(dict.fromkeys(map(tuple, prompts_ids)))}
    inputs = torch.tensor([[pad_id] * (width - len(ids)) + list(ids) for ids in places], device=device)
    mask = torch.ones(len(places), width + sampling.max_tokens, dtype=torch.long, device=device)
    for row, ids in enumerate(places):
        mask[row, : width - len(ids)] = 0
    positions = (mask[:, :width].cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    cache.layers = [_RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    # TRL switches on the loss of a mixture's routers, which expects a mask as long as the input.
    routed = hasattr(model.config.get_text_config(), "output_router_logits")
    options = {"output_router_logits": False} if routed else {}
    completions: list[list[int]] = [[] for _ in prompts_ids]
    rows, live = list(range(len(prompts_ids))), [True] * len(prompts_ids)
    for step in range(sampling.max_tokens):
        logits = model(
            input_ids=inputs,
            attention_mask=mask[:, : width + step],
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **options,
        ).logits[:, -1]
        if not step and len(places) < len(prompts_ids):  # equal prompts are read once
            each = torch.tensor([places[tuple(ids)] for ids in prompts_ids], device=device)
            logits, positions, mask = logits[each], positions[each], mask[each]
            cache.batch_select_indices(each)
        tokens = _next_tokens(logits, sampling, [draws[row] for row in rows])
        if on_step:
            on_step(sum(live))
        finished = {}
        for index, token in enumerate(tokens.tolist()):
            if live[index]:
                completion = completions[rows[index]]
                completion.append(token)
                live[index] = token not in stops and len(completion) < sampling.max_tokens
                if not live[index]:
                    finished[rows[index]] = completion
        if finished:
            yield finished
        goes_on = int(any(live))
        if not (most_over_ranks(goes_on, device) if synced else goes_on):
            break
        inputs, positions = tokens[:, None], positions[:, -1:] + 1
        if 0 < sum(live) < _COMPACT_BELOW * len(live):
            kept = torch.tensor([index for index, alive in enumerate(live) if alive], device=device)
            inputs, positions, mask = inputs[kept], positions[kept], mask[kept]
            cache.batch_select_indices(kept)
            rows, live = [row for row, alive in zip(rows, live, strict=True) if alive], [True] * len(kept)


def _next_tokens(logits_BV: torch.Tensor, sampling: Sampling, draws: list[Callable[[], float]]) -> torch.Tensor:
    """One token per row [B]: the most likely one, or the one at a uniform number in the cumulative distribution."""
    if sampling.temperature == 0:
        return logits_BV.argmax(-1)
    probs = (logits_BV.float() / sampling.temperature).softmax(-1)
    ranked: torch.Tensor | None = None
    if sampling.top_k or sampling.top_p < 1:
        probs, ranked = probs.sort(-1, descending=True)
        if sampling.top_k:
            probs[:, sampling.top_k :] = 0
            probs /= probs.sum(-1, keepdim=True)
        probs[probs.cumsum(-1) - probs >= sampling.top_p] = 0
    cumulative = probs.cumsum(-1)
    total = cumulative[:, -1:]
    uniform = torch.tensor([[draw()] for draw in draws], device=probs.device)
    target = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    chosen = torch.searchsorted(cumulative, target, right=True)
    chosen = chosen.clamp(max=probs.shape[-1] - 1)  # of probabilities that are not finite the last token is taken
    return (chosen if ranked is None else ranked.gather(-1, chosen))[:, 0]
