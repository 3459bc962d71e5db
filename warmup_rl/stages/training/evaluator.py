"""The evaluator of `evaluate` and of the RLVR curve: completes problems with a model in memory and scores them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import Unscorable
from warmup_rl.base.types import Message, Problem, to_json
from warmup_rl.engines.hf import generate
from warmup_rl.interfaces.chat import render_prompt
from warmup_rl.interfaces.domain import Answered, Domain, score_all
from warmup_rl.interfaces.format import ResponseFormat

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def complete_and_score(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Problem],
    domains: Mapping[str, Domain],
    response_format: ResponseFormat,
    sampling: Sampling,
    *,
    batch_size: int,
    seed: int,
    synced_gpus: bool = False,
    messages_of: Callable[[Problem], Sequence[Message]] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """`sampling.samples` completions a problem with their scores, as rows ready for `completions.jsonl`.

    Rows come in the order of the problems, the samples of a problem together. Keys: domain, problem_id, sample,
    question, gold, text, tokens, truncated, chance, group (None where the problem has none), score.

    Args:
        domains: by name; each problem is scored by the one that it names.
        messages_of: the prompt of a problem, where it is not the domain's own.
        on_batch: called with the number of completions of each batch that is done.

    Raises `UserError` where a prompt and the budget exceed the model's context, `Unscorable` where a grader failed.
    """
    messages_of = messages_of or (lambda problem: domains[problem.domain].prompt(problem))
    wanted = [(problem, sample) for problem in problems for sample in range(sampling.samples)]
    prompts = [render_prompt(tokenizer, messages_of(problem), response_format) for problem, _ in wanted]
    results = generate(
        model,
        tokenizer,
        prompts,
        sampling,
        batch_size=batch_size,
        seed=seed,
        synced_gpus=synced_gpus,
        names=[f"{problem.id}/{sample}" for problem, sample in wanted],
        on_batch=on_batch,
    )
    items = [
        Answered(domains[problem.domain], problem, result.text, result.truncated)
        for (problem, _), result in zip(wanted, results, strict=True)
    ]
    scores = score_all(items, response_format)
    if broken := next((score for score in scores if isinstance(score, Unscorable)), None):
        raise broken
    return [
        {
            "domain": problem.domain,
            "problem_id": problem.id,
            "sample": sample,
            "question": problem.question,
            "gold": problem.gold,
            "text": result.text,
            "tokens": result.tokens,
            "truncated": result.truncated,
            "chance": domains[problem.domain].chance_accuracy(problem),
            "group": problem.meta.get("group"),
            "score": to_json(score),
        }
        for (problem, sample), result, score in zip(wanted, results, scores, strict=True)
    ]
