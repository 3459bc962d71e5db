"""Decodes a batch of prompts; on small models several times faster than `generate` of transformers.

`generate` copies the whole cache at every token and computes finished rows until the last one finishes. Here the cache
has spare capacity, and finished rows leave the batch. Models for which that is not known to be right are left to
`generate`, one prompt at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, LogitsProcessor
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer, LinearAttentionLayer

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.models import bare, positions, takes
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

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        super().reorder_cache(beam_idx)  # unlike `batch_select_indices`, layers with other states have it, too
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

    Raises:
        UserError: `synced`, and the model can only be decoded by `generate`.
    """
    if not _takes_batches(bare(model)):
        if synced:
            raise UserError(
                f"a {type(bare(model)).__name__} draws one prompt at a time, which processes cannot do in step while "
                "the weights are split over them. Launch with launch/zero2.yaml."
            )
        yield from _one_by_one(bare(model), prompts_ids, sampling, stops, pad_id, draws, on_step)
        return
    width, device = max(map(len, prompts_ids)), model.device
    places = {tuple(ids): place for place, ids in enumerate(dict.fromkeys(map(tuple, prompts_ids)))}
    inputs = torch.tensor([[pad_id] * (width - len(ids)) + list(ids) for ids in places], device=device)
    mask = torch.ones(len(places), width + sampling.max_tokens, dtype=torch.long, device=device)
    for row, ids in enumerate(places):
        mask[row, : width - len(ids)] = 0
    places_BT = positions(mask[:, :width])
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
            position_ids=places_BT,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **options,
        ).logits[:, -1]
        if not step and len(places) < len(prompts_ids):  # equal prompts are read once
            each = torch.tensor([places[tuple(ids)] for ids in prompts_ids], device=device)
            logits, places_BT, mask = logits[each], places_BT[each], mask[each]
            cache.reorder_cache(each)
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
        inputs, places_BT = tokens[:, None], places_BT[:, -1:] + 1
        if 0 < sum(live) < _COMPACT_BELOW * len(live):
            kept = torch.tensor([index for index, alive in enumerate(live) if alive], device=device)
            inputs, places_BT, mask = inputs[kept], places_BT[kept], mask[kept]
            cache.reorder_cache(kept)
            rows, live = [row for row, alive in zip(rows, live, strict=True) if alive], [True] * len(kept)


def _takes_batches(model: PreTrainedModel) -> bool:
    """Whether the rows of a batch with padding before shorter prompts are known to be decoded as if each were alone."""
    if not takes(model, "position_ids", "past_key_values", "logits_to_keep"):
        return False
    layers = DynamicCache(config=model.config).layers
    known = all(
        type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) or isinstance(layer, LinearAttentionLayer)
        for layer in layers
    )
    return known and model._supports_default_dynamic_cache()


class _Draw(LogitsProcessor):
    """Leaves one token to `generate`: that of `_next_tokens`."""

    def __init__(self, sampling: Sampling, draw: Callable[[], float], on_step: Callable[[int], None] | None) -> None:
        self._sampling, self._draw, self._on_step = sampling, draw, on_step

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if self._on_step:
            self._on_step(1)
        token = _next_tokens(scores, self._sampling, [self._draw])
        return torch.full_like(scores, -torch.inf).index_fill_(-1, token, 0.0)  # type: ignore[return-value]


def _one_by_one(
    model: PreTrainedModel,
    prompts_ids: Sequence[Sequence[int]],
    sampling: Sampling,
    stops: Collection[int],
    pad_id: int,
    draws: Sequence[Callable[[], float]],
    on_step: Callable[[int], None] | None,
) -> Iterator[dict[int, list[int]]]:
    own = GenerationConfig(
        max_new_tokens=sampling.max_tokens,
        eos_token_id=sorted(stops),
        pad_token_id=pad_id,
        do_sample=False,
        use_cache=True,  # which a model in training has switched off
    )
    for row, ids in enumerate(prompts_ids):
        prompt = torch.tensor([ids], device=model.device)
        declared, model.generation_config = model.generation_config, GenerationConfig()  # else fills in what is unset
        try:
            found = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                generation_config=own,
                logits_processor=[_Draw(sampling, draws[row], on_step)],
            )
        finally:
            model.generation_config = declared
        yield {row: found[0, len(ids) :].tolist()}


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
