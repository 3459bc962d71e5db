"""Completions from a model in this process under vLLM: the engine for teachers, and the model of an evaluation."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from warmup_rl.base.config import ADAPTER_FILE, ModelName, Sampling, runtime_only
from warmup_rl.base.errors import UserError, first_line, refused
from warmup_rl.base.models import dtype_of
from warmup_rl.base.types import Completion, Problem, Request
from warmup_rl.engines.hf import Generated, generated, require_room
from warmup_rl.engines.openai import Mode, request_body, request_seed
from warmup_rl.interfaces.chat import stop_ids
from warmup_rl.interfaces.engine import Engine, EngineContext, Session
from warmup_rl.interfaces.stage import LaunchEnv

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_OWNED = {"model": "model", "revision": "revision", "dtype": "dtype", "tensor_parallel_size": "tensor_parallel"}
NOT_INSTALLED = "the package vllm is not installed here. Install it (pip install 'warmup_rl[vllm]')"
_AT_ONCE = 1024
"""Completions that an evaluation asks for in one call; a killed run loses those of the current one."""
Draw = Callable[[list[list[int]], Sampling, list[int]], list[list[int]]]
"""Token ids of one completion for each prompt's, given a seed for each."""


def is_installed() -> bool:
    """Whether the package vllm can be imported; a folder of that name in the working directory is not the package."""
    spec = importlib.util.find_spec("vllm")
    return spec is not None and spec.origin is not None


def on_each_rank(launch_env: LaunchEnv) -> dict[str, Any]:
    """Arguments of `vllm.LLM` for a model of its own on each process of a launch."""
    return {"distributed_executor_backend": "external_launcher"} if launch_env.size > 1 else {}


@contextmanager
def opened(model: str, revision: str | None, seed: int, options: Mapping[str, Any], *, says: str) -> Iterator[Any]:
    """A `vllm.LLM` with its options, which `says` is the place of in a recipe, and the class `vllm.SamplingParams`.
    Raises `UserError` if vLLM is missing or cannot load the model."""
    with refused("vLLM cannot be imported (", "). Install it: pip install 'warmup_rl[vllm]'."):
        from vllm import LLM, SamplingParams  # type: ignore[import-not-found, unused-ignore]
    with refused(f"{model}: vLLM cannot load the model (", f"). See {says}."):
        llm = LLM(model=model, revision=revision, seed=seed, **options)
    try:
        yield llm, SamplingParams
    finally:
        llm.llm_engine.engine_core.shutdown()
        gc.collect()


@dataclass(frozen=True)
class VllmModel:
    """A model under vLLM where evaluation has one of transformers: tokens that end a completion, the longest prompt and
    completion together, in tokens, and prompts a call of `draw`."""

    draw: Draw
    stops: tuple[int, ...]
    context: int | None
    at_once: int = _AT_ONCE

    def stream(
        self,
        tokenizer: PreTrainedTokenizerBase,
        prompts: Sequence[str],
        sampling: Sampling,
        *,
        seed: int,
        names: Sequence[str],
    ) -> Iterator[dict[int, Generated]]:
        """Completions by index of their prompt, a call at a time; see `engines.hf.stream`."""
        prompts_ids: list[list[int]] = tokenizer(list(prompts)).input_ids if prompts else []
        require_room(self.context, prompts_ids, sampling.max_tokens)
        for start in range(0, len(prompts_ids) or 1, self.at_once):
            part = prompts_ids[start : start + self.at_once]
            seeds = [request_seed(f"{seed}/{name}") for name in names[start : start + len(part)]]
            made = self.draw(part, sampling, seeds)
            yield {start + place: generated(ids, self.stops, tokenizer) for place, ids in enumerate(made)}


@contextmanager
def evaluated(
    model: str, revision: str | None, tokenizer: PreTrainedTokenizerBase, seed: int, options: Mapping[str, Any]
) -> Iterator[VllmModel]:
    """A model folder or hub model for `complete_and_score`, with more arguments of `vllm.LLM`. Raises as `opened`."""
    with opened(model, revision, seed, options, says="`evaluation.vllm`") as (llm, sampling_params):
        config = llm.llm_engine.model_config
        stops = stop_ids(tokenizer, config.try_get_generation_config().get("eos_token_id"))

        def draw(prompts_ids: list[list[int]], sampling: Sampling, seeds: list[int]) -> list[list[int]]:
            own = sampling.model_dump(include={"temperature", "top_p", "top_k", "max_tokens"})
            common = {**own, "stop_token_ids": list(stops), "detokenize": False}
            params = [sampling_params(**common, seed=one) for one in seeds]
            made = llm.generate([{"prompt_token_ids": ids} for ids in prompts_ids], params, use_tqdm=False)
            return [list(one.outputs[0].token_ids) for one in made]

        yield VllmModel(draw, stops, config.max_model_len)


class Vllm(Engine):
    """A hub model or model folder under vLLM's offline interface; needs a GPU to itself while the stage runs."""

    type: ClassVar[str] = "vllm"

    model: ModelName = Field(min_length=1)
    """Folder or hub id."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    dtype: str = "auto"
    """Data type of the weights, as vLLM names it; `auto` is the one they were saved in."""
    mode: Mode = "chat"
    """`chat`: messages through the model's chat template; `completion`: the prompt as plain text, for base models."""
    tensor_parallel: int = runtime_only(1, gt=0)
    """GPUs to split the model over."""
    batch_size: int = runtime_only(512, gt=0)
    """Requests per call of vLLM; a killed run loses those of the current call."""
    args: dict[str, Any] = {}
    """More arguments of `vllm.LLM`: `{max_model_len: 16384, gpu_memory_utilization: 0.85}`."""
    extra: dict[str, Any] = {}
    """More arguments of `vllm.SamplingParams`: `{min_p: 0.05, repetition_penalty: 1.05}`; null omits one."""

    @field_validator("args")
    @classmethod
    def _is_free(cls, args: dict[str, Any]) -> dict[str, Any]:
        if owned := [key for key in _OWNED if key in args]:
            raise ValueError(f"{owned[0]!r} is set by the teacher's key {_OWNED[owned[0]]!r}")
        return args

    def per_rank(self) -> bool:
        return self.tensor_parallel == 1

    def check(self, problem: Problem) -> None:
        if (Path(self.model) / ADAPTER_FILE).is_file():
            raise UserError(
                f"teacher 'vllm': {self.model} is a model with its adapter apart, which vLLM cannot load. Merge them, "
                f"`warmup-rl export {self.model} --to DIR`, and give that folder."
            )
        if not is_installed():
            raise UserError(
                f"teacher 'vllm': {NOT_INSTALLED}, or serve the model elsewhere (vllm serve MODEL) and use the teacher "
                "`openai` with its address."
            )

    def usage(self, completions: int, sampling: Sampling) -> Mapping[str, int | float | str]:
        return {"generated tokens, at most": completions * sampling.max_tokens}

    @contextmanager
    def open(self, context: EngineContext) -> Iterator[Session]:
        """Loads the model. Raises `UserError` if vLLM is missing or cannot load it."""
        dtype = dtype_of(self.model, self.revision) if self.dtype == "auto" else self.dtype
        own = {"dtype": dtype, "tensor_parallel_size": self.tensor_parallel, **self.args}
        options = {**on_each_rank(context.launch_env), **own}
        with opened(self.model, self.revision, context.seed, options, says="the teacher's `args`") as (llm, params):
            yield VllmSession(self, context, llm, params)


class VllmSession:
    """An open `vllm.LLM`, of which `chat` and `generate` are used, with the class `vllm.SamplingParams`."""

    def __init__(self, config: Vllm, context: EngineContext, llm: Any, sampling_params: Any) -> None:
        self._config, self._context, self._llm, self._sampling_params = config, context, llm, sampling_params

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        iterator = iter(requests)
        config, context = self._config, self._context
        while batch := list(islice(iterator, config.batch_size)):
            bodies = [
                request_body(
                    request, sampling, mode=config.mode, seed=context.seed, extra=config.extra,
                    response_format=context.response_format,
                )
                for request in batch
            ]  # fmt: skip
            prompts = [body.pop("messages" if config.mode == "chat" else "prompt") for body in bodies]
            complete = self._llm.chat if config.mode == "chat" else self._llm.generate
            try:
                results = complete(prompts, [self._sampling_params(**body) for body in bodies], use_tqdm=False)
            except (ValueError, TypeError) as error:
                raise UserError(
                    f"teacher 'vllm': vLLM refuses the requests ({first_line(error)}). See `sampling`, `extra` and "
                    "`args` (max_model_len holds prompt and completion)."
                ) from None
            for request, result in zip(batch, results, strict=True):
                made = result.outputs[0]  # of a `vllm.RequestOutput`
                reason = made.finish_reason or "stop"
                yield Completion(
                    request.problem.id, request.sample, made.text, len(made.token_ids), truncated=reason == "length",
                    finish_reason=reason, prompt_tokens=len(result.prompt_token_ids or ()),
                )  # fmt: skip
