"""Completions from a model in this process under vLLM."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, ClassVar

from pydantic import Field, field_validator

from warmup_rl.base.config import ModelName, Sampling, runtime_only
from warmup_rl.base.errors import UserError, first_line
from warmup_rl.base.types import Completion, Problem, Request
from warmup_rl.engines.openai import Mode, request_body
from warmup_rl.interfaces.engine import Engine, EngineContext, Session

_OWNED = {"model": "model", "revision": "revision", "dtype": "dtype", "tensor_parallel_size": "tensor_parallel"}


class Vllm(Engine):
    """A hub model or model folder under vLLM's offline interface; needs a GPU to itself while the stage runs."""

    type: ClassVar[str] = "vllm"

    model: ModelName = Field(min_length=1)
    """Folder or hub id."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    dtype: str = "auto"
    """Data type of the weights, as vLLM names it."""
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

    def check(self, problem: Problem) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise UserError(
                "teacher 'vllm': vLLM is not installed here. Install it (pip install 'warmup_rl[vllm]'), or serve the "
                "model elsewhere (vllm serve MODEL) and use the teacher `openai` with its address."
            )

    def usage(self, completions: int, sampling: Sampling) -> Mapping[str, int | float | str]:
        return {"generated tokens, at most": completions * sampling.max_tokens}

    @contextmanager
    def open(self, context: EngineContext) -> Iterator[Session]:
        """Loads the model. Raises `UserError` if vLLM is missing or cannot load it."""
        try:
            from vllm import LLM, SamplingParams  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            raise UserError(
                f"teacher 'vllm': vLLM cannot be imported ({error}). Install it: pip install 'warmup_rl[vllm]'."
            ) from None
        try:
            llm = LLM(
                model=self.model, revision=self.revision, dtype=self.dtype, seed=context.seed,
                tensor_parallel_size=self.tensor_parallel, **self.args,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            reason = first_line(error)
            raise UserError(f"{self.model}: vLLM cannot load the model ({reason}). See `model` and `args`.") from None
        yield VllmSession(self, context, llm, SamplingParams)
        del llm
        gc.collect()


class VllmSession:
    """An open model.

    Args:
        llm: a `vllm.LLM`, of which `chat` and `generate` are used.
        sampling_params: the class `vllm.SamplingParams`.
    """

    def __init__(self, config: Vllm, context: EngineContext, llm: Any, sampling_params: Any) -> None:
        self._config, self._context, self._llm, self._sampling_params = config, context, llm, sampling_params

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Completions in the order of the requests, a batch at a time."""
        iterator = iter(requests)
        config, context = self._config, self._context
        while batch := list(islice(iterator, config.batch_size)):
            bodies = [
                request_body(
                    request,
                    sampling,
                    mode=config.mode,
                    seed=context.seed,
                    extra=config.extra,
                    response_format=context.response_format,
                )  # fmt: skip
                for request in batch
            ]
            prompts = [body.pop("messages" if config.mode == "chat" else "prompt") for body in bodies]
            complete = self._llm.chat if config.mode == "chat" else self._llm.generate
            try:
                results = complete(prompts, [self._sampling_params(**body) for body in bodies], use_tqdm=False)
            except (ValueError, TypeError) as error:
                reason = first_line(error)
                raise UserError(
                    f"teacher 'vllm': vLLM refuses the requests ({reason}). See `sampling`, `extra` and `args` "
                    "(max_model_len holds prompt and completion)."
                ) from None
            for request, result in zip(batch, results, strict=True):
                made = result.outputs[0]  # of a `vllm.RequestOutput`
                reason = made.finish_reason or "stop"
                yield Completion(
                    request.problem.id, request.sample, made.text, len(made.token_ids), truncated=reason == "length",
                    finish_reason=reason, prompt_tokens=len(result.prompt_token_ids or ()),
                )  # fmt: skip
