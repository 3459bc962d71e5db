"""Completions from a local transformers model: the function `generate` and the engine around it."""

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
from warmup_rl.base.models import evaluating, load_model
from warmup_rl.base.types import Completion, Request
from warmup_rl.interfaces.chat import check, load_tokenizer, render_prompt, stop_ids
from warmup_rl.interfaces.engine import Engine, EngineContext, Session

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Generated:
    """A completion: its text, its length in tokens (including the end token), and whether the budget ended it."""

    text: str
    tokens: int
    truncated: bool


def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], sampling: Sampling, **more: Any
) -> list[Generated]:
    """One completion per prompt, in their order; arguments and errors as for `stream`."""
    parts = stream(model, tokenizer, prompts, sampling, **more)
    found = {index: one for part in parts for index, one in part.items()}
    return [found[index] for index in range(len(prompts))]


def stream(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    sampling: Sampling,
    *,
    batch_size: int,
    seed: int,
    synced_gpus: bool = False,
    names: Sequence[str] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Iterator[dict[int, Generated]]:
    """Completions by index of their prompt, as they are finished; the caller handles `sampling.samples`.

    Global random state stays untouched, the model's mode is restored, and of its generation config only the tokens that
    end a completion are used.

    Args:
        model: the bare model (not wrapped by DDP or DeepSpeed), on the device to use.
        prompts: rendered texts.
        synced_gpus: all ranks of the process group call this together while the weights are sharded (ZeRO-3): every
            rank then takes as many steps as the slowest.
        names: a name for each prompt (default: its index), which with the seed determines what is drawn for it.
        on_step: called after each step with the number of tokens drawn in it.

    Raises:
        UserError: a prompt and the completion budget together exceed the model's context.
    """
    from warmup_rl.engines.decoding import decode

    prompts_ids: list[list[int]] = tokenizer(list(prompts)).input_ids if prompts else []
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    require_room(limit, prompts_ids, sampling.max_tokens)
    stops = stop_ids(tokenizer, model.generation_config.eos_token_id)
    names = names or [str(index) for index in range(len(prompts))]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts_ids[index]), reverse=True)
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if synced_gpus:
        batches += [[]] * (most_over_ranks(len(batches), model.device) - len(batches))
    with evaluating(model):
        for batch in batches:
            for finished in decode(
                model,
                [prompts_ids[index] for index in batch] or [[tokenizer.pad_token_id]],
                sampling,
                stops=stops,
                pad_id=tokenizer.pad_token_id,
                synced=synced_gpus,
                draws=[random.Random(f"{seed}/{names[index]}").random for index in batch] or [lambda: 0.0],
                on_step=on_step if batch else None,
            ):
                yield {batch[row]: generated(ids, stops, tokenizer) for row, ids in finished.items() if batch}


class HuggingFace(Engine):
    """A model folder or hub model on this machine."""

    type: ClassVar[str] = "hf"
    model: ModelName
    """Folder or hub id."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Data type of the weights; `auto` is the one they were saved in."""
    batch_size: int = Field(default=64, gt=0)
    """Completions generated at once."""

    def usage(self, completions: int, sampling: Sampling) -> Mapping[str, int | float | str]:
        return {"generated tokens, at most": completions * sampling.max_tokens}

    def per_rank(self) -> bool:
        return True

    @contextmanager
    def open(self, context: EngineContext) -> Iterator[Session]:
        """Loads the model, on a GPU if there is one. Raises `UserError` if it cannot be loaded, or does not follow the
        chat contract that it was saved with."""
        check(self.model, context.response_format, self.revision)
        tokenizer = load_tokenizer(self.model, self.revision)
        env = context.launch_env
        device = f"cuda:{env.local_rank}" if env.size > 1 and env.device == "cuda" else None
        yield _Session(load_model(self.model, self.revision, self.dtype, device), tokenizer, context, self.batch_size)


@dataclass(frozen=True)
class _Session:
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    context: EngineContext
    batch_size: int

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        iterator = iter(requests)
        while batch := list(islice(iterator, self.batch_size)):
            prompts = [render_prompt(self.tokenizer, one.messages, self.context.response_format) for one in batch]
            names = [f"{one.problem.id}/{one.sample}" for one in batch]
            results = generate(
                self.model, self.tokenizer, prompts, sampling,
                batch_size=self.batch_size, seed=self.context.seed, names=names,
            )  # fmt: skip
            for one, made in zip(batch, results, strict=True):
                end = "length" if made.truncated else "stop"
                yield Completion(one.problem.id, one.sample, made.text, made.tokens, made.truncated, finish_reason=end)


def require_room(limit: int | None, prompts_ids: list[list[int]], max_tokens: int) -> None:
    """Raises `UserError` if a prompt and the completion budget together exceed a context of `limit` tokens."""
    longest = max(map(len, prompts_ids), default=0)
    if limit is None or not prompts_ids or longest + max_tokens <= limit:
        return
    fix = f"Set `max_tokens` to at most {limit - longest}, or make" if longest < limit else "Make"
    raise UserError(
        f"the longest prompt has {longest} tokens and the completion budget is {max_tokens}: {longest + max_tokens} "
        f"tokens do not fit into the model's context of {limit}. {fix} the prompts shorter (fewer shots, easier "
        "problems)."
    )


def generated(completion_ids: list[int], stops: tuple[int, ...], tokenizer: PreTrainedTokenizerBase) -> Generated:
    """A completion from its token ids, with the end token where it has one."""
    ended = completion_ids[-1] in stops
    text = tokenizer.decode(completion_ids[:-1] if ended else completion_ids, skip_special_tokens=True)
    return Generated(text, len(completion_ids), not ended)


def most_over_ranks(count: int, device: Any) -> int:
    """The largest of the numbers that the ranks of the process group pass; all call it together."""
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        return count
    most = torch.tensor(count, device=device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    return int(most.item())
