"""Completions from a local transformers model: the plain function `generate`, and the engine around it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from warmup_rl.base.config import ModelName, Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.models import load_model
from warmup_rl.base.types import Completion, Request
from warmup_rl.interfaces.chat import check, load_tokenizer, render_prompt, stop_ids
from warmup_rl.interfaces.engine import Engine, EngineContext, Session

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Generated:
    """A completion of one prompt: its text, its length in tokens (end token included), whether the budget ended it."""

    text: str
    tokens: int
    truncated: bool


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    sampling: Sampling,
    *,
    batch_size: int,
    seed: int,
    synced_gpus: bool = False,
    names: Sequence[str] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> list[Generated]:
    """One completion a prompt, in the order of the prompts; `sampling.samples` is the caller's affair.

    No global random state is touched, the model's mode is as before afterwards, and nothing of its generation config is
    used but the tokens that end a completion.

    Args:
        model: the bare model (not wrapped by DDP or DeepSpeed), on the device to use.
        tokenizer: as `contract.load_tokenizer` gives it.
        prompts: rendered texts.
        synced_gpus: all ranks of the process group call this together on parts of the prompts while the weights are
            spread over them (ZeRO-3): every rank then takes as many steps as the slowest.
        names: a name for each prompt that, with the seed, decides what is drawn for it, whatever else is asked for at
            the same time; its place in the list where not given.
        on_batch: called with the number of completions of each batch that is done.

    Raises:
        UserError: a prompt and the completion budget together exceed the model's context.
    """
    from warmup_rl.engines.decoding import decode

    prompts_ids: list[list[int]] = tokenizer(list(prompts)).input_ids if prompts else []
    _require_room(model, prompts_ids, sampling.max_tokens)
    stops = stop_ids(tokenizer, model.generation_config.eos_token_id)
    names = names or [str(index) for index in range(len(prompts))]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts_ids[index]), reverse=True)
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if synced_gpus:
        batches += [[]] * (_most_over_ranks(len(batches), model.device) - len(batches))
    found: dict[int, Generated] = {}
    with _evaluating(model):
        for batch in batches:
            completions_ids = decode(
                model,
                [prompts_ids[index] for index in batch] or [[tokenizer.pad_token_id]],
                sampling,
                stops=stops,
                pad_id=tokenizer.pad_token_id,
                synced=synced_gpus,
                data_requests=[random.Random(f"{seed}/{names[index]}").random for index in batch] or [lambda: 0.0],
            )
            for index, completion_ids in zip(batch, completions_ids, strict=False):
                found[index] = _generated(completion_ids, stops, tokenizer)
            if on_batch and batch:
                on_batch(len(batch))
    return [found[index] for index in range(len(prompts))]


class HuggingFace(Engine):
    """A model folder or hub model that completes on this machine."""

    type: ClassVar[str] = "hf"
    model: ModelName
    """Folder or hub id."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the weights; `auto` is the one they were saved in."""
    batch_size: int = Field(default=64, gt=0)
    """Completions generated at once."""

    def usage(self, completions: int, sampling: Sampling) -> Mapping[str, int | float | str]:
        return {"generated tokens, at most": completions * sampling.max_tokens}

    @contextmanager
    def open(self, context: EngineContext) -> Iterator[Session]:
        """Loads the model, on a GPU where there is one.

        Raises:
            UserError: it cannot be loaded, or was saved with another chat contract.
        """
        check(self.model, context.response_format, self.revision)
        tokenizer = load_tokenizer(self.model, self.revision)
        yield _Session(load_model(self.model, self.revision, self.dtype), tokenizer, context, self.batch_size)


class _Session:
    """An open model."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EngineContext, batch_size: int
    ) -> None:
        self.model, self.tokenizer, self.context, self.batch_size = model, tokenizer, context, batch_size

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Completions in the order of the requests, a batch at a time."""
        iterator = iter(requests)
        while chunk := list(islice(iterator, self.batch_size)):
            form = self.context.response_format
            prompts = [render_prompt(self.tokenizer, request.messages, form) for request in chunk]
            results = generate(
                self.model,
                self.tokenizer,
                prompts,
                sampling,
                batch_size=self.batch_size,
                seed=self.context.seed,
                names=[f"{request.problem.id}/{request.sample}" for request in chunk],
            )
            for request, result in zip(chunk, results, strict=True):
                reason = "length" if result.truncated else "stop"
                yield Completion(
                    request.problem.id,
                    request.sample,
                    result.text,
                    result.tokens,
                    result.truncated,
                    finish_reason=reason,
                )


def _require_room(model: PreTrainedModel, prompts_ids: list[list[int]], max_tokens: int) -> None:
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    longest = max(map(len, prompts_ids), default=0)
    if limit is None or not prompts_ids or longest + max_tokens <= limit:
        return
    fix = f"Set `max_tokens` to at most {limit - longest}, or make" if longest < limit else "Make"
    raise UserError(
        f"the longest prompt has {longest} tokens and the completion budget is {max_tokens}: {longest + max_tokens} "
        f"tokens do not fit into the model's context of {limit}. {fix} the prompts shorter (fewer shots, easier "
        "problems)."
    )


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode, in which gradient checkpointing rests too, and back."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _generated(completion_ids: list[int], stops: tuple[int, ...], tokenizer: PreTrainedTokenizerBase) -> Generated:
    ended = completion_ids[-1] in stops
    text = tokenizer.decode(completion_ids[:-1] if ended else completion_ids, skip_special_tokens=True)
    return Generated(text, len(completion_ids), not ended)


def _most_over_ranks(count: int, device: Any) -> int:
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        return count
    most = torch.tensor(count, device=device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    return int(most.item())
