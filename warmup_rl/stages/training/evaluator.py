"""The evaluator of `evaluate` and of the RLVR curve: completes problems with a model in memory and scores them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from warmup_rl.base.config import Sampling
from warmup_rl.base.console import REPORT_SECONDS, duration
from warmup_rl.base.errors import Unscorable, UserError
from warmup_rl.base.models import dtype_of, evaluating, load_model
from warmup_rl.base.types import Message, Problem, to_json
from warmup_rl.engines.hf import Generated, stream
from warmup_rl.engines.vllm import VllmModel, evaluated, on_each_rank
from warmup_rl.interfaces.chat import render_prompt
from warmup_rl.interfaces.domain import Answered, Domain, score_all
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.training.saving import whole_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer


@contextmanager
def generating(trainer: Trainer) -> Iterator[PreTrainedModel | VllmModel]:
    """The model of a trainer as it draws completions: under vLLM where rollouts are, else the bare model with whole
    weights, in evaluation mode and without gradients."""
    import torch
    from trl.models import unwrap_model_for_generation

    if getattr(trainer, "use_vllm", False):
        with trainer.under_vllm() as model:
            yield model
        return
    with (
        torch.no_grad(),
        unwrap_model_for_generation(
            trainer.model_wrapped,
            trainer.accelerator,
            gather_deepspeed3_params=_gathers(trainer),
            gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
        ) as model,
        evaluating(model),
        trainer.accelerator.autocast(),  # around all steps: weights are cast once, not for every token
    ):
        yield model


def is_sharded(trainer: Trainer) -> bool:
    """Whether weights stay split over the ranks while tokens are drawn, so that all ranks must take each step."""
    plugin = trainer.args.deepspeed_plugin
    return plugin is not None and plugin.zero_stage == 3 and not _gathers(trainer)


def _gathers(trainer: Trainer) -> bool:
    return bool(getattr(trainer.args, "ds3_gather_for_generation", True))


@contextmanager
def opened_model(context: Context, tokenizer: PreTrainedTokenizerBase) -> Iterator[PreTrainedModel | VllmModel]:
    """The model that a stage reads, under the recipe's `evaluation.engine`, on this rank's device, in the data type
    that it was saved in (vLLM by itself would run float32 weights in a half type). Raises `UserError` if it cannot be
    loaded."""
    source, revision, env = str(context.inputs.model), context.inputs.model_revision, context.launch_env
    if context.evaluation.engine == "transformers":
        yield load_model(source, revision, device=f"cuda:{env.local_rank}" if env.device == "cuda" else "cpu")
        return
    whole = whole_model(context).inputs
    options = {"dtype": dtype_of(source, revision), **on_each_rank(env), **context.evaluation.vllm}
    with evaluated(str(whole.model), whole.model_revision, tokenizer, context.seed, options) as model:
        yield model


def complete_and_score(
    model: PreTrainedModel | VllmModel,
    tokenizer: PreTrainedTokenizerBase,
    wanted: Sequence[tuple[Problem, int]],
    domains: Mapping[str, Domain],
    response_format: ResponseFormat,
    sampling: Sampling,
    *,
    batch_size: int,
    seed: int,
    synced_gpus: bool = False,
    messages_of: Callable[[Problem], Sequence[Message]] | None = None,
    progress: Progress | None = None,
) -> Iterator[dict[str, Any]]:
    """Completions with their scores as rows ready for `completions.jsonl`, in the order in which they are finished.

    Keys: domain, problem_id, sample, question, gold, prompt_text, text, tokens, truncated, chance, group (None where
    the problem has none), score.

    Args:
        wanted: problems with the number of the sample to draw.
        messages_of: the prompt of a problem, where it is not the domain's own.

    Raises:
        UserError: a prompt and the budget exceed the model's context, or a grader failed.
    """
    messages_of = messages_of or (lambda problem: domains[problem.domain].prompt(problem))
    prompts = [render_prompt(tokenizer, messages_of(problem), response_format) for problem, _ in wanted]
    names = [f"{problem.id}/{sample}" for problem, sample in wanted]
    parts: Iterator[dict[int, Generated]]
    if isinstance(model, VllmModel):
        parts = model.stream(tokenizer, prompts, sampling, seed=seed, names=names)
    else:
        on_step = progress.step if progress else None
        parts = stream(
            model, tokenizer, prompts, sampling,
            batch_size=batch_size, seed=seed, synced_gpus=synced_gpus, names=names, on_step=on_step,
        )  # fmt: skip
    if synced_gpus:  # no rank may keep the others waiting for its grader
        parts = iter([{index: one for part in parts for index, one in part.items()}])
    for part in parts:
        items = [
            Answered(domains[wanted[index][0].domain], wanted[index][0], one.text, one.truncated)
            for index, one in part.items()
        ]
        if progress:
            progress.finished(one.tokens for one in part.values())
        for (index, one), score in zip(part.items(), score_all(items, response_format), strict=True):
            problem, sample = wanted[index]
            if isinstance(score, Unscorable):
                answer = f"{'...' * (len(one.text) > 200)}{one.text[-200:]!r}"
                raise UserError(
                    f"domain {problem.domain!r}, problem {problem.id}: not graded: {score}. It said: {answer}"
                )
            yield {
                "domain": problem.domain,
                "problem_id": problem.id,
                "sample": sample,
                "question": problem.question,
                "gold": problem.gold,
                "prompt_text": prompts[index],
                "text": one.text,
                "tokens": one.tokens,
                "truncated": one.truncated,
                "chance": domains[problem.domain].chance_accuracy(problem),
                "group": problem.meta.get("group"),
                "score": to_json(score),
            }


class Progress:
    """Prints, at most every 20 seconds, how many completions are done, how fast tokens are drawn, and the time left: a
    completion that is being drawn is taken to go on to half of what its budget leaves, one that waits to be as long as
    the mean of the others."""

    def __init__(self, say: Callable[[str], None], name: str, total: int, max_tokens: int) -> None:
        self._say, self._name, self._total, self._budget = say, name, total, max_tokens
        self._start = self._last = 0.0
        self._done = self._done_tokens = self._drawn = 0

    def step(self, tokens: int) -> None:
        """Counts the tokens of one decoding step."""
        self._drawn += tokens
        if not self._start:  # reading the prompts is no measure of how fast tokens are drawn
            self._start = self._last = time.monotonic()
        if (now := time.monotonic()) - self._last < REPORT_SECONDS:
            return
        self._last = now
        rate = self._drawn / (now - self._start)
        drawing, waiting = self._drawn - self._done_tokens, self._total - self._done - tokens
        half_left = (tokens * self._budget - drawing) / 2
        each = (self._drawn + half_left) / (self._done + tokens)
        left = (half_left + waiting * each) / rate
        self._say(f"{self._name}: {self._done} of {self._total}, {rate:,.0f} tokens/s, about {duration(left)} left")

    def finished(self, lengths: Iterator[int]) -> None:
        for length in lengths:
            self._done += 1
            self._done_tokens += length


def complete_held_out(
    trainer: Trainer, context: Context, problems: Sequence[Problem], sampling: Sampling
) -> list[dict[str, Any]]:
    """Scored completions of problems by the model that is being trained, in their order, on every rank; all call it
    together. Random state, mode and generation config of the model stay as they were."""
    from accelerate.utils import gather_object

    launch_env = context.launch_env
    mine = problems[launch_env.rank :: launch_env.size]
    with generating(trainer) as model:
        rows = complete_and_score(
            model,
            trainer.processing_class,
            [(problem, 0) for problem in mine],
            context.domains,
            context.response_format,
            sampling,
            batch_size=context.evaluation.batch_size,
            seed=context.evaluation.seed,
            synced_gpus=is_sharded(trainer),
        )
        scored = list(rows)
    found = {(row["domain"], row["problem_id"]): row for row in gather_object(scored)}
    return [found[problem.domain, problem.id] for problem in problems]
