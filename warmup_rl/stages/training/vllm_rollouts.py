"""Rollouts drawn by vLLM: the recipe's settings as options of TRL's GRPOConfig, and the curve under the same engine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from warmup_rl.base.config import Config, Sampling
from warmup_rl.engines.hf import most_over_ranks
from warmup_rl.engines.vllm import NOT_INSTALLED, VllmModel, is_installed
from warmup_rl.interfaces.chat import render_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import GRPOTrainer

    from warmup_rl.interfaces.chat import ChatContract
    from warmup_rl.interfaces.stage import Context
    from warmup_rl.stages.rlvr import Rlvr
    from warmup_rl.stages.training.rewards import Task

ENGINE = "use `rollout_engine: vllm`"
OWNED_VLLM: Mapping[str, str] = {
    "use_vllm": ENGINE,
    "vllm_mode": "vllm.mode",
    "vllm_server_base_url": "vllm.base_url",
    "vllm_server_host": "vllm.base_url",
    "vllm_server_port": "vllm.base_url",
    "vllm_gpu_memory_utilization": "vllm.gpu_memory",
    "vllm_tensor_parallel_size": "vllm.tensor_parallel",
    "vllm_enable_sleep_mode": "vllm.sleep",
    "vllm_max_model_length": "the longest prompt and `sampling.max_tokens` decide",
}
"""Options that are not allowed in `args`, as in `training.base.OWNED`."""


class VllmRollouts(Config):
    """The `vllm:` keys of `rlvr`. Other options of TRL, such as `vllm_importance_sampling_mode`, stay in `args`."""

    mode: Literal["colocate", "server"] = "colocate"
    """`colocate`: in the processes and on the GPUs that train; `server`: `vllm serve` on GPUs of its own."""
    base_url: str | None = None
    """Address of the server, such as `http://node7:8000`."""
    gpu_memory: float = Field(default=0.3, gt=0, lt=1)
    """colocate: share of a GPU's memory for vLLM's copy of the weights and its KV cache."""
    tensor_parallel: int = Field(default=1, gt=0)
    """colocate: GPUs that a copy of the weights is split over; divides the number of processes."""
    sleep: bool = False
    """colocate: vLLM gives its memory back while the model trains, which takes some seconds a step."""

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("an address with http:// is needed, such as http://localhost:8000")
        return url

    @model_validator(mode="after")
    def _fits_the_mode(self) -> VllmRollouts:
        if (self.mode == "server") != (self.base_url is not None):
            raise ValueError("base_url is the address of the server: give it under `mode: server`, and only there")
        return self

    def wrong(self, args: Mapping[str, Any], world_size: int) -> Iterator[str]:
        """Lines about what vLLM cannot do here, each beginning with the stage's key."""
        if not is_installed():
            yield f"rollout_engine: {NOT_INSTALLED}, or leave the key out."
        if world_size % self.tensor_parallel:
            yield f"vllm.tensor_parallel: {self.tensor_parallel} does not divide {world_size} processes."
        by_token = str(args.get("vllm_importance_sampling_mode")).startswith("token")
        if args.get("loss_type") == "vespo" and args.get("vllm_importance_sampling_correction", True) and not by_token:
            yield "args.vllm_importance_sampling_mode: loss_type vespo needs token_truncate or token_mask."

    def options(self) -> dict[str, Any]:
        return {
            "use_vllm": True,
            "vllm_mode": self.mode,
            "vllm_server_base_url": self.base_url,
            "vllm_gpu_memory_utilization": self.gpu_memory,
            "vllm_tensor_parallel_size": self.tensor_parallel,
            "vllm_enable_sleep_mode": self.sleep,
        }


def model_options(
    stage: Rlvr, contract: ChatContract, context: Context, tokenizer: PreTrainedTokenizerBase, task: Task
) -> dict[str, Any]:
    """The options of GRPOConfig that depend on model and prompts: room for rollouts and curve, and end tokens, without
    which vLLM stops only at the one that the model's folder declares, for many base models not that of a turn."""
    given, evaluation = stage.args.get("generation_kwargs") or {}, context.evaluation
    stops = sorted({*contract.stop_ids, *given.get("stop_token_ids", ())})
    length = max(task.lengths) + stage.sampling.max_tokens
    if evaluation.every:
        problems = task.domain.take("test", evaluation.seed, evaluation.curve_problems)
        prompts = [render_prompt(tokenizer, task.domain.prompt(one), context.response_format) for one in problems]
        budget = evaluation.greedy().max_tokens
        length = max(length, *(len(ids) + budget for ids in tokenizer(prompts).input_ids))
    return {"generation_kwargs": {**given, "stop_token_ids": stops}, "vllm_max_model_length": length}


@contextmanager
def training_model(trainer: GRPOTrainer) -> Iterator[VllmModel]:
    """The model in training with its present weights, under the engine of its rollouts; all ranks call it together."""
    engine, pad_id = trainer.vllm_generation, trainer.processing_class.pad_token_id
    before = {name: getattr(engine, name) for name in ("temperature", "top_p", "top_k", "max_completion_length")}

    def draw(prompts_ids: list[list[int]], sampling: Sampling, seeds: list[int]) -> list[list[int]]:
        engine.temperature, engine.top_p, engine.top_k = sampling.temperature, sampling.top_p, sampling.top_k
        engine.max_completion_length = sampling.max_tokens
        most = most_over_ranks(len(prompts_ids), trainer.accelerator.device)  # vLLM wants as many from every rank
        filled = [*prompts_ids, *[[pad_id]] * (most - len(prompts_ids))]
        _, completions_ids, _, _ = engine.generate(prompts=filled, images=None, num_generations=1)
        return [list(ids) for ids in completions_ids[: len(prompts_ids)]]

    engine.sync_weights()
    try:
        yield VllmModel(draw, tuple(trainer.eos_token_ids), None, at_once=sys.maxsize)
    finally:
        for name, value in before.items():
            setattr(engine, name, value)
