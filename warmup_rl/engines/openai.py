"""Completions from an OpenAI-compatible endpoint: vLLM, SGLang, a hosted service. Settings and request bodies."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from warmup_rl.base.config import Sampling, runtime_only
from warmup_rl.base.errors import UserError
from warmup_rl.base.types import Message, Problem, Request
from warmup_rl.interfaces.engine import Engine, EngineContext, Session
from warmup_rl.interfaces.format import ResponseFormat

Mode = Literal["chat", "completion"]

_OWNED = ("model", "messages", "prompt", "stream", "n")
_SECRET_KEY = re.compile(r"api[-_]?key|authori[sz]ation|secret|password|bearer|(?:access|auth)[-_]?token", re.I)
_SECRET = re.compile(r"(?<![A-Za-z0-9])(?:sk|pk|rk|hf|gsk|xai|nvapi|pplx|r8|ghp|glpat|AIza)[-_A-Za-z0-9]{16,}")


class OpenAI(Engine):
    """A model behind an OpenAI-compatible endpoint.

    At most `concurrency` requests are in flight or not yet consumed, so a killed run loses no more than these.
    Unusable answers are requested again (429, 408, 409, 5xx, broken connections, timeouts, HTML, invalid or empty
    bodies). What concerns all requests ends the run at once (401, 402, 403, 404). Any other 4xx (a prompt that is too
    long, a content filter) is a refusal of this request alone if another one was answered; where none was yet, a short
    question is asked with the same settings, and the run ends if that is refused, too. An empty answer and one stopped
    by a content filter are completions without an answer.
    """

    type: ClassVar[str] = "openai"
    costs: ClassVar[bool] = True

    base_url: str = runtime_only()
    """Address up to `/v1`, e.g. `http://localhost:8000/v1`."""
    model: str = Field(min_length=1)
    """Name of the model as the server knows it."""
    api_key_env: str | None = runtime_only(None)
    """NAME of the environment variable with the key; leave it out for servers that need none. The key itself must not
    appear anywhere in a recipe."""
    mode: Mode = "chat"
    """`chat`: messages; `completion`: the prompt as plain text (`User: ...`, `Assistant: `), for base models."""
    concurrency: int = runtime_only(32, gt=0, le=1000)
    """Requests in flight at once."""
    timeout: float = runtime_only(600.0, gt=0)
    """Seconds that an answer may take."""
    retries: int = runtime_only(8, ge=0)
    """Retries of a request before the server counts as out of service; rate limits (429) count only while no other
    request is answered."""
    backoff: float = runtime_only(1.0, ge=0)
    """Seconds before the first retry, with jitter; doubled for each further one, up to 60. A longer Retry-After is
    respected."""
    price_in: float = runtime_only(0.0, ge=0)
    """US dollars per million prompt tokens."""
    price_out: float = runtime_only(0.0, ge=0)
    """US dollars per million completion tokens."""
    extra: dict[str, Any] = {}
    """More keys for the body of each request, as the server knows them: `{min_p: 0.05, reasoning_effort: low}`; null
    omits a key that is sent by default, such as `seed`."""

    @model_validator(mode="before")
    @classmethod
    def _no_key_inside(cls, given: Any) -> Any:
        if isinstance(given, dict) and (place := _secret_place({k: v for k, v in given.items() if k != "api_key_env"})):
            raise ValueError(
                f"{place}: a key must not appear in a recipe. Put it into an environment variable and give the "
                "variable's name: `api_key_env: NAME`."
            )
        return given

    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is not None and (not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) or _SECRET.search(name)):
            raise ValueError(
                "the NAME of an environment variable is needed, in capitals, such as OPENAI_API_KEY, not the key."
            )
        return name

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an address with http:// or https:// is needed, such as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "an address without user, password, query or fragment is needed; a key is given by "
                "`api_key_env`, the name of an environment variable."
            )
        if end := re.search(r"/(chat/)?completions/?$", parts.path):
            raise ValueError(f"leave out {end[0].rstrip('/')!r}: it is added")
        return url.rstrip("/")

    @field_validator("extra")
    @classmethod
    def _is_free(cls, extra: dict[str, Any]) -> dict[str, Any]:
        if owned := [key for key in _OWNED if key in extra]:
            raise ValueError(f"{owned[0]!r} is set by the engine itself")
        return extra

    def check(self, problem: Problem) -> None:
        self.ready()

    def ready(self) -> None:
        self._key()

    def usage(self, completions: int, sampling: Sampling) -> Mapping[str, int | float | str]:
        tokens = completions * sampling.max_tokens
        dollars = f"${tokens * self.price_out / 1e6:,.2f} and the prompts"
        return {"generated tokens, at most": tokens, **({"cost, at most": dollars} if self.price_out else {})}

    def open(self, context: EngineContext) -> AbstractContextManager[Session]:
        """Raises `UserError` if the environment variable with the key is not set."""
        from warmup_rl.engines.openai_client import connected

        return connected(self, self._key(), context)

    def _key(self) -> str:
        """The key; empty if none is needed."""
        key = os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""
        if self.api_key_env and not key:
            raise UserError(
                f"engine 'openai': the environment variable {self.api_key_env} is not set. Set it to the key of "
                f"{self.base_url} (export {self.api_key_env}=...), or leave out `api_key_env` for a server that needs "
                "none."
            )
        if not (key.isascii() and key.isprintable()):
            raise UserError(f"engine 'openai': {self.api_key_env} holds characters that no key has. Set it again.")
        return key


def request_body(
    request: Request, sampling: Sampling, *,
    mode: Mode, seed: int, response_format: ResponseFormat, extra: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The body of a request, without the model; a key of `extra` with the value None omits the key.

    The seed sent depends on the run's seed, the problem and the sample number, so samples differ and are reproducible.
    """
    body: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "seed": request_seed(f"{seed}/{request.problem.id}/{request.sample}"),
    }
    if sampling.top_p < 1:
        body["top_p"] = sampling.top_p
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if mode == "chat":
        body["messages"] = list(request.messages)
    else:
        body |= {"prompt": prompt_text(request.messages, response_format), "stop": ["\nUser:"]}
    return {key: value for key, value in {**body, **extra}.items() if value is not None}


def request_seed(name: str) -> int:
    """A seed of 31 bits for a completion with a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1


def prompt_text(messages: Sequence[Message], response_format: ResponseFormat) -> str:
    """Messages as plain text for a model without a chat template: `User: ...`, `Assistant: ...`, system messages as
    they are, separated by blank lines; ends with the assistant's turn, and with the think tag if that starts open."""
    turns = [
        message["content"] if message["role"] == "system" else f"{message['role'].capitalize()}: {message['content']}"
        for message in response_format.ask(messages)
    ]
    return "\n\n".join([*turns, f"Assistant: {response_format.opening()}"])


def _secret_place(value: Any, place: str = "") -> str:
    """Address of a key, or of what looks like one, in a config; empty if there is none."""
    if isinstance(value, dict):
        for key, inside in value.items():
            here = f"{place}.{key}" if place else str(key)
            if _SECRET_KEY.search(str(key)) and inside is not None:
                return here
            if found := _secret_place(inside, here):
                return found
    elif isinstance(value, list):
        return next(filter(None, (_secret_place(inside, place) for inside in value)), "")
    elif isinstance(value, str) and _SECRET.search(value):
        return place
    return ""
