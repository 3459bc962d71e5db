"""A pretrained model on the processor: evaluation, rollouts and SFT in tokens/s, beside generate and a bare loop.

SmolLM2-135M-Instruct from the hub, or the model folder in BENCH_MODEL, with the settings of recipes/smollm2_cpu.yaml:
evaluation in the type that the model was saved in, rollouts and SFT with bfloat16 arithmetic on float32 weights. Both
ways take turns in one process, on all cores and by the clock, so nothing else should run.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figure import Figure, at_least
from benchmarks.training import drawn_by_transformers, prompts_of, stage_of, timed_training
from benchmarks.trials import RECIPE

NEEDS = ("torch", "transformers", "trl")
_RECIPE = RECIPE.with_name("smollm2_cpu.yaml")
_MODEL = os.environ.get("BENCH_MODEL", "HuggingFaceTB/SmolLM2-135M-Instruct")
_ROUNDS, _PROMPTS, _GENERATIONS = int(os.environ.get("BENCH_ROUNDS", "3")), 40, 4
_STEPS = 2
"""Updates of an SFT round."""
Timed = Callable[[], tuple[int, float]]
"""Does some work; returns its tokens, and its seconds."""


def figures() -> Iterator[Figure]:
    """Tokens a second of both ways, and the share of the processor's products that ours has."""
    import torch

    from warmup_rl.base.config import Sampling
    from warmup_rl.base.models import load_model

    saved, trained = load_model(_MODEL, device="cpu"), load_model(_MODEL, dtype="float32", device="cpu")
    bandwidth, products = _bandwidth(), _products()
    weights = sum(weight.numel() for weight in saved.parameters())
    yield Figure("weights are read, for a step of decoding", 1e3 * 2 * weights / bandwidth, "ms")
    yield Figure(f"products of such a step with {_PROMPTS} rows", 1e3 * 2 * weights * _PROMPTS / products, "ms")
    _, context = stage_of("before", [f"model={_MODEL}"], {"model": _MODEL}, recipe=_RECIPE)
    tokenizer, prompts = prompts_of(_MODEL, context, _PROMPTS // len(context.domains))
    groups = [prompt for prompt in prompts[: _PROMPTS // _GENERATIONS] for _ in range(_GENERATIONS)]
    mixed = partial(torch.autocast, "cpu", torch.bfloat16)
    for name, goal, model, asked, sampling, around in (
        ("evaluation", 2.0, saved, prompts, Sampling(max_tokens=512), nullcontext),
        ("rollouts", None, trained, groups, Sampling(temperature=1.0, max_tokens=320), mixed),
    ):
        ours, theirs = (
            partial(_timed, partial(way, model, tokenizer, asked, sampling, around)) for way in (_ours, _theirs)
        )
        read = sum(map(len, tokenizer(list(dict.fromkeys(asked))).input_ids))
        yield from _compared(name, "generate", goal, ours, theirs, read, 2 * weights / products)
    yield from _compared("SFT", "a bare loop", None, *_sft_ways(trained), 0, 6 * weights / products)


def _compared(
    name: str, other: str, goal: float | None, ours: Timed, theirs: Timed, read: int, a_token: float
) -> Iterator[Figure]:
    """Figures of the two ways, with the prompt tokens that are `read` and the seconds that `a_token` takes at least."""
    rounds = [(ours(), theirs()) for _ in range(_ROUNDS)]
    rates = [tuple(tokens / seconds for tokens, seconds in one) for one in rounds]
    for who, each in zip(("ours", other), zip(*rates, strict=True), strict=True):
        yield Figure.over(f"{name}: {who}", each, "tokens/s")
    ratios, what = [one / two for one, two in rates], f"{name}: times as fast"
    found = at_least(what, median(ratios), "times", goal) if goal else Figure(what, median(ratios), "times")
    yield found.within(ratios)
    shares = [100 * (read + tokens) * a_token / seconds for (tokens, seconds), _ in rounds]
    yield Figure.over(f"{name}: ours, of its time in products at the processor's best", shares, "%")


def _timed(work: Callable[[], int]) -> tuple[int, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def _best(work: Callable[[], float]) -> float:
    """What some work returns, a second, in the fastest of five turns."""
    turns = []
    for _ in range(5):
        began = time.perf_counter()
        done = work()
        turns.append(done / (time.perf_counter() - began))
    return max(turns)


def _bandwidth() -> float:
    """Bytes a second at which a large array is read."""
    import torch

    array = torch.ones(2**27)
    return _best(lambda: int(array.sum()) and 4 * array.numel())


def _products() -> float:
    """Floating-point operations a second of a product of two large matrices."""
    import torch

    left, right = (torch.ones(1_024, 1_024, dtype=torch.bfloat16) for _ in range(2))
    return _best(lambda: len([left @ right for _ in range(20)]) * 2 * 1_024**3)


def _ours(model: Any, tokenizer: Any, prompts: Sequence[str], sampling: Any, around: Any) -> int:
    from warmup_rl.engines.hf import generate

    with around():
        made = generate(model, tokenizer, prompts, sampling, batch_size=len(prompts), seed=0)
    return sum(one.tokens for one in made)


def _theirs(model: Any, tokenizer: Any, prompts: Sequence[str], sampling: Any, around: Any) -> int:
    """The same batch; what is drawn differs, and so the number of tokens."""
    import torch

    torch.manual_seed(0)
    with around():
        return drawn_by_transformers(model, tokenizer, prompts, sampling)


def _sft_ways(model: Any) -> tuple[Timed, Timed]:
    """The stage `sft` on traces of the solver, and a loop over the same rows in padded micro batches."""
    import torch
    from transformers import DataCollatorForSeq2Seq

    from benchmarks.solved import solved
    from warmup_rl.base.jsonl import write_jsonl
    from warmup_rl.base.types import to_json
    from warmup_rl.engines.solver import Solver
    from warmup_rl.interfaces import chat
    from warmup_rl.stages.sft import encode

    changes = [f"model={_MODEL}", f"stages.sft.steps={_STEPS}", "stages.sft.checkpoint=null"]
    file = Path(tempfile.mkdtemp()) / "traces.jsonl"
    stage, context = stage_of("sft", changes, {"model": _MODEL, "traces": file}, recipe=_RECIPE)
    domain, layout = context.domains["kk"], context.response_format
    problems = domain.take("train", 0, _STEPS * stage.batch_size)
    traces = [trace for _, trace in solved(Solver(recheck=0.0, second_method=0.0), domain, problems, layout)]
    write_jsonl(file, map(to_json, traces))
    tokenizer = chat.load_tokenizer(_MODEL)
    padded = DataCollatorForSeq2Seq(tokenizer)
    rows = [encode(tokenizer, trace, layout) for trace in traces]
    tokens, micro = sum(len(row["input_ids"]) for row in rows), stage.args["per_device_train_batch_size"]

    def ours() -> tuple[int, float]:
        fresh = replace(context, folder=Path(tempfile.mkdtemp()))
        return tokens, timed_training(lambda: stage.run(fresh), time.perf_counter)

    def theirs() -> int:
        model.train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=stage.args["learning_rate"])
        order = random.Random(0).sample(rows, len(rows))
        for start in range(0, len(order), micro):
            part = [{key: row[key] for key in ("input_ids", "labels")} for row in order[start : start + micro]]
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(**padded(part)).loss
            loss.backward()
            if (start + micro) % stage.batch_size == 0:
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
        return tokens

    return ours, partial(_timed, theirs)
