"""Measures how natural a trace is to the student (surprise and token ranks), and filters by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from warmup_rl.base.config import runtime_only
from warmup_rl.base.errors import UserError
from warmup_rl.base.models import load_model
from warmup_rl.base.types import Trace
from warmup_rl.interfaces.chat import load_tokenizer, render_prompt
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_Key = tuple[str, int, str, str]
Measures = dict[str, Any]
"""`nll`: mean negative log-likelihood of the completion's tokens, in nats. `rank`: mean rank of its tokens, 1 for the
most likely, at most `rank_cap` each. `rank_surprisal_ratio`: rank / nll, which weights the ranks of surprising tokens
most; None if nll is 0. `scored_tokens`: the number of tokens."""

_LOGITS = 2**28
"""Logits in memory at once (1 GiB in float32)."""


class Naturalness(Cleaner):
    """Scores each trace with the student and records `nll`, `rank` and `rank_surprisal_ratio` in its `meta`.

    The completion is scored after its prompt, with tags and without the end token, up to the student's context length.
    A low ratio (unlikely tokens that still rank high) went with better students (arXiv 2601.14249); traces of another
    model family tend to be less natural (arXiv 2503.16385). Without a limit nothing is dropped.
    """

    type: ClassVar[str] = "naturalness"

    max_nll: float | None = Field(default=None, gt=0)
    """Drop traces with a higher mean negative log-likelihood (nats a token)."""
    max_ratio: float | None = Field(default=None, gt=0)
    """Drop traces with a higher ratio of mean rank to mean negative log-likelihood."""
    rank_cap: int = Field(default=100, gt=1)
    """Higher ranks count as this one; otherwise a few very rare tokens would dominate the mean."""
    batch_tokens: int = runtime_only(default=8_192, gt=0)
    """Tokens per batch, including padding."""

    def start(self, context: CleanContext) -> _Reader:
        """Raises `UserError` if there is no student."""
        if context.model is None:
            raise UserError("cleaner 'naturalness' needs the student: set `model` in the recipe, or give --model.")
        return _Reader(self, context, context.model)


@dataclass
class _Reader:
    """The started cleaner, with the measures of the traces that `ahead` was given last."""

    config: Naturalness
    context: CleanContext
    student: str

    def __post_init__(self) -> None:
        self._known: dict[_Key, Measures] = {}

    def ahead(self, traces: Sequence[Trace]) -> None:
        """Scores the traces in batches of similar length."""
        self._known = self._measured(traces)

    def __call__(self, trace: Trace) -> Trace | Dropped:
        found, config = self._known.get(_key(trace)) or self._measured([trace])[_key(trace)], self.config
        if config.max_nll is not None and found["nll"] > config.max_nll:
            return Dropped(f"nll above {config.max_nll:g}")
        ratio = found["rank_surprisal_ratio"]
        if config.max_ratio is not None and ratio is not None and ratio > config.max_ratio:
            return Dropped(f"rank/nll above {config.max_ratio:g}")
        return replace(trace, meta={**trace.meta, **found})

    def _measured(self, traces: Sequence[Trace]) -> dict[_Key, Measures]:
        encoded = {_key(trace): self._encode(trace) for trace in traces}
        keys = sorted(encoded, key=lambda key: sum(map(len, encoded[key])))
        found: dict[_Key, Measures] = {}
        while keys:
            size = 1
            while size < len(keys) and (size + 1) * sum(map(len, encoded[keys[size]])) <= self._most_tokens:
                size += 1
            batch, keys = keys[:size], keys[size:]
            results = measures(
                self._model,
                [encoded[key] for key in batch],
                pad_id=self._tokenizer.pad_token_id,
                rank_cap=self.config.rank_cap,
            )
            found.update(zip(batch, results, strict=True))
        return found

    @cached_property
    def _model(self) -> PreTrainedModel:
        return load_model(self.student, self.context.model_revision)

    @cached_property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(self.student, self.context.model_revision)

    @property
    def _most_tokens(self) -> int:
        return min(self.config.batch_tokens, max(1, _LOGITS // self._model.get_output_embeddings().weight.shape[0]))

    def _encode(self, trace: Trace) -> tuple[list[int], list[int]]:
        """Ids of prompt and completion, tokenized separately as for training."""
        form = self.context.response_format
        prompt = self._tokenizer(render_prompt(self._tokenizer, trace.messages, form)).input_ids
        text = form.render(thinking=trace.thinking, answer=trace.answer)
        completion = self._tokenizer(text, add_special_tokens=False).input_ids
        limit = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if limit is not None and len(prompt) >= limit:
            raise UserError(
                f"cleaner 'naturalness': the prompt of problem {trace.problem_id} has {len(prompt)} "
                f"tokens, the student's context {limit}. Leave such problems out."
            )
        return prompt, completion[: limit - len(prompt)] if limit is not None else completion


def measures(
    model: PreTrainedModel, pairs: Sequence[tuple[list[int], list[int]]], *, pad_id: int, rank_cap: int
) -> list[Measures]:
    """The measures of each (prompt ids, completion ids), neither empty, in one forward pass."""
    import torch

    with torch.no_grad():
        width = max(len(prompt) + len(completion) for prompt, completion in pairs)
        rows = [[*prompt, *completion] for prompt, completion in pairs]
        ids = torch.tensor([row + [pad_id] * (width - len(row)) for row in rows], device=model.device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
        logits_BTV = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        return [
            _of_one(
                logits_BTV[place, len(prompt) - 1 : len(prompt) + len(completion) - 1],
                ids[place, len(prompt) : len(prompt) + len(completion)],
                rank_cap,
            )
            for place, (prompt, completion) in enumerate(pairs)
        ]


def _of_one(logits_TV: torch.Tensor, tokens_T: torch.Tensor, rank_cap: int) -> Measures:
    logits_TV = logits_TV.float()
    chosen_T = logits_TV.gather(-1, tokens_T[:, None])[:, 0]
    nll = float((logits_TV.logsumexp(-1) - chosen_T).double().mean())
    rank = float(((logits_TV > chosen_T[:, None]).sum(-1) + 1).clamp(max=rank_cap).double().mean())
    return {
        "nll": nll,
        "rank": rank,
        "rank_surprisal_ratio": rank / nll if nll > 0 else None,
        "scored_tokens": len(tokens_T),
    }


def _key(trace: Trace) -> _Key:
    return trace.problem_id, trace.sample, trace.thinking, trace.answer
