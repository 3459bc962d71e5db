"""RLVR steps, SFT steps and evaluation of the nano recipe, beside TRL's own trainers and transformers' generate.

Rollouts of RLVR are drawn by another loop than TRL's, from other random numbers: over eight seeds their rewards and
lengths must not differ. Ours and theirs take turns, each in a process of its own with one thread. Seconds are those of
the processor, so that other work on the machine counts little.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.figure import Figure, at_least
from benchmarks.trials import RECIPE
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.stats import t_interval

NEEDS = ("torch", "transformers", "trl")
_ROUNDS, _SEEDS = int(os.environ.get("BENCH_ROUNDS", "3")), 8
_RLVR_STEPS, _SFT_STEPS, _PROBLEMS = 10, 20, 100


def figures() -> Iterator[Figure]:
    """Each ratio is the median over the rounds of theirs / ours, with the smallest and the largest."""
    start = [sys.executable, "-m", "warmup_rl.train", str(RECIPE), "--arm", "warmup", "--seed", "0", "--until", "sft"]
    subprocess.run(start, check=True)
    for name, what, model, goal in (
        ("RLVR, base model", "rlvr", "base", 2.3),
        ("RLVR, after SFT", "rlvr", "warm", 1.8),
        ("SFT", "sft", "base", 1.3),
        ("evaluation, after SFT", "evaluate", "warm", 2.0),
    ):
        seeds = _SEEDS if (what, model) == ("rlvr", "warm") else _ROUNDS
        rounds = [tuple(_child(f"{who}_{what}", model, seed) for who in ("ours", "theirs")) for seed in range(seeds)]
        ours, theirs = zip(*rounds, strict=True)
        for who, measured in (("ours", ours), ("theirs", theirs)):
            yield Figure.over(f"{name}: {who}", [one["each"] for one in measured], ours[0]["unit"])
        ratios = [other["each"] / own["each"] for own, other in rounds]
        ratios = [1 / ratio for ratio in ratios] if ours[0]["unit"] == "tokens/s" else ratios
        yield at_least(f"{name}: times as fast", median(ratios), "times", goal).within(ratios)
        yield Figure.over(f"{name}: share of their peak memory", [a["mb"] / b["mb"] for a, b in rounds], "times")
        if seeds == _SEEDS:
            yield _alike(f"{name}: reward, ours less theirs", "", [a["reward"] - b["reward"] for a, b in rounds])
            yield _alike(f"{name}: length, ours less theirs", "tokens", [a["length"] - b["length"] for a, b in rounds])


def _alike(name: str, unit: str, differences: Sequence[float]) -> Figure:
    """A mean difference over seeds that should be none, with its 95% interval."""
    low, high = t_interval(differences) or (float("nan"),) * 2
    return Figure(name, mean(differences), unit, "95% interval holds 0", low <= 0 <= high, (low, high))


def _child(what: str, model: str, seed: int) -> dict[str, Any]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", "benchmarks.training", what, model, str(seed)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def stage_of(
    name: str, changes: list[str], artifacts: Mapping[str, Any], seed: int = 0, recipe: Path = RECIPE
) -> tuple[Any, Any]:
    """A stage of a recipe's warmup arm with settings changed, and its context in a new folder."""
    from warmup_rl.interfaces.stage import Artifacts, Context
    from warmup_rl.recipe.load import load_recipe

    loaded = load_recipe(str(recipe), changes, world_size=1)
    stage = next(one for one in loaded.arm("warmup") if one.id == name)
    return stage, Context(
        folder=Path(tempfile.mkdtemp()),
        inputs=Artifacts(**artifacts),
        domains=loaded.domains,
        response_format=loaded.format_of("warmup"),
        evaluation=loaded.evaluation,
        seed=seed,
        stage_id=name,
    )


def _found(kind: str) -> Path:
    from warmup_rl.recipe.load import load_recipe
    from warmup_rl.run.trial import Trial

    trial = Trial(load_recipe(str(RECIPE), [], world_size=1), "warmup", 0)
    return next(trial.entry(planned).folder for planned in trial.stages if planned.stage.type == kind)


def _model(name: str) -> str:
    return str(_found("sft" if name == "warm" else "pretrain") / "model")


def timed_training(run: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of `Trainer.train` while something runs, of the processor if by no other clock."""
    from transformers import Trainer

    taken, train = [0.0], Trainer.train

    def timed(self: Any, *given: Any, **named: Any) -> Any:
        began = clock()
        result = train(self, *given, **named)
        taken[0] = clock() - began
        return result

    Trainer.train = timed
    run()
    return taken[0]


def ours_rlvr(model: str, seed: int) -> dict[str, Any]:
    changes = [f"stages.rlvr.steps={_RLVR_STEPS}", "evaluation.every=0", "stages.rlvr.checkpoint=null"]
    stage, context = stage_of("rlvr", changes, {"model": model}, seed)
    seconds = timed_training(lambda: stage.run(context))
    return _of_rlvr(seconds, [row for row in read_jsonl(context.folder / "log.jsonl") if "reward" in row])


def _of_rlvr(seconds: float, steps: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What was measured, with the mean of all steps."""
    assert len(steps) == _RLVR_STEPS
    reward, length = (mean(step[key] for step in steps) for key in ("reward", "completions/mean_length"))
    return {"each": seconds / _RLVR_STEPS, "unit": "s/step", "reward": reward, "length": length}


def theirs_rlvr(model: str, seed: int) -> dict[str, Any]:
    """The same problems, prompts, rewards and settings as a script that uses TRL alone."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from warmup_rl.interfaces import chat

    stage, context = stage_of("rlvr", [], {"model": model}, seed)
    tokenizer, domain, layout = chat.load_tokenizer(model), context.domains["registers"], context.response_format
    problems = list(domain.take("train", context.seed, stage.problems))
    rows = [
        {"prompt": chat.render_prompt(tokenizer, domain.prompt(problem), layout), "place": place}
        for place, problem in enumerate(problems)
    ]

    def reward(prompts: list[str], completions: list[str], place: list[int], **_: Any) -> list[float]:
        pairs = zip(completions, place, strict=True)
        return [float(domain.score(text, problems[at], layout).verdict == "correct") for text, at in pairs]

    args = GRPOConfig(
        **_common(context, _RLVR_STEPS),
        **stage.args,
        per_device_train_batch_size=stage.rollouts_per_step,
        num_generations=stage.generations,
        max_completion_length=stage.sampling.max_tokens,
    )
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    seconds = timed_training(lambda: trainer.train())
    return _of_rlvr(seconds, [row for row in trainer.state.log_history if "reward" in row])


def ours_sft(model: str, seed: int) -> dict[str, Any]:
    changes = [f"stages.sft.steps={_SFT_STEPS}", "stages.sft.checkpoint=null"]
    stage, context = stage_of("sft", changes, {"model": model, "traces": _found("clean") / "traces.jsonl"}, seed)
    return {"each": timed_training(lambda: stage.run(context)) / _SFT_STEPS, "unit": "s/step"}


def theirs_sft(model: str, seed: int) -> dict[str, Any]:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from warmup_rl.data.traces import read_traces
    from warmup_rl.interfaces import chat

    stage, context = stage_of("sft", [], {"model": model}, seed)
    tokenizer, layout = chat.load_tokenizer(model), context.response_format
    rows = [
        {
            "prompt": chat.render_prompt(tokenizer, trace.messages, layout),
            "completion": layout.render(thinking=trace.thinking, answer=trace.answer),
        }
        for trace in read_traces(_found("clean") / "traces.jsonl")
    ]
    options = {**_common(context, _SFT_STEPS), **stage.args, "per_device_train_batch_size": stage.batch_size}
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**options, max_length=None),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    return {"each": timed_training(lambda: trainer.train()) / _SFT_STEPS, "unit": "s/step"}


def _common(context: Any, steps: int) -> dict[str, Any]:
    return {
        "output_dir": str(context.folder),
        "max_steps": steps,
        "seed": context.seed,
        "bf16": False,
        "activation_checkpointing": False,
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
    }


def ours_evaluate(model: str, seed: int) -> dict[str, Any]:
    from warmup_rl.base.config import Sampling
    from warmup_rl.engines.hf import generate, load_model

    tokenizer, prompts, context = _test_prompts(model)
    loaded, sampling, size = load_model(model), Sampling(max_tokens=512), context.evaluation.batch_size
    began = time.process_time()
    made = generate(loaded, tokenizer, prompts, sampling, batch_size=size, seed=seed)
    return {"each": sum(one.tokens for one in made) / (time.process_time() - began), "unit": "tokens/s"}


def theirs_evaluate(model: str, seed: int) -> dict[str, Any]:
    from warmup_rl.base.config import Sampling
    from warmup_rl.engines.hf import load_model

    tokenizer, prompts, context = _test_prompts(model)
    loaded, size, sampling = load_model(model), context.evaluation.batch_size, Sampling(max_tokens=512)
    prompts = sorted(prompts, key=len, reverse=True)
    began = time.process_time()
    batches = (prompts[start : start + size] for start in range(0, len(prompts), size))
    tokens = sum(drawn_by_transformers(loaded, tokenizer, batch, sampling) for batch in batches)
    return {"each": tokens / (time.process_time() - began), "unit": "tokens/s"}


def drawn_by_transformers(model: Any, tokenizer: Any, prompts: Sequence[str], sampling: Any) -> int:
    """Draws a batch with transformers' `generate`; returns the number of tokens up to the ends."""
    from transformers import GenerationConfig

    end, pad, drawn = tokenizer.eos_token_id, tokenizer.pad_token_id, sampling.temperature > 0
    how = {"temperature": sampling.temperature, "top_k": 0} if drawn else {}
    config = GenerationConfig(
        max_new_tokens=sampling.max_tokens, do_sample=drawn, eos_token_id=end, pad_token_id=pad, **how
    )
    inputs = tokenizer(list(prompts), return_tensors="pt", padding=True, padding_side="left")
    made = model.generate(inputs.input_ids, attention_mask=inputs.attention_mask, generation_config=config)
    completions = made[:, inputs.input_ids.shape[1] :]
    return int(((completions == end).cumsum(1) <= 1).logical_and(completions != pad).sum())


def _test_prompts(model: str) -> tuple[Any, list[str], Any]:
    _, context = stage_of("after_warmup", [], {"model": model})
    return *prompts_of(model, context, _PROBLEMS), context


def prompts_of(model: str, context: Any, problems: int) -> tuple[Any, list[str]]:
    """A model's tokenizer, and the rendered prompts of so many test problems of each domain."""
    from warmup_rl.interfaces import chat

    tokenizer = chat.load_tokenizer(model)
    asked = [domain.prompt(one) for domain in context.domains.values() for one in domain.take("test", 1, problems)]
    return tokenizer, [chat.render_prompt(tokenizer, prompt, context.response_format) for prompt in asked]


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    ways = {way.__name__: way for way in (ours_rlvr, theirs_rlvr, ours_sft, theirs_sft, ours_evaluate, theirs_evaluate)}
    measured = ways[sys.argv[1]](_model(sys.argv[2]), int(sys.argv[3]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**measured, "mb": peak}))
