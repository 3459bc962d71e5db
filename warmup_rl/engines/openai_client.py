"""The client of an OpenAI-compatible endpoint: concurrent requests with retries."""

from __future__ import annotations

import asyncio
import json
import math
import queue
import random
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from warmup_rl.base.config import Sampling
from warmup_rl.base.console import counted, duration
from warmup_rl.base.errors import UserError
from warmup_rl.base.types import Completion, Problem, Refusal, Request
from warmup_rl.base.untrusted import parse_json
from warmup_rl.engines.openai import OpenAI, request_body
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.plugins import suggestion

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_LONGEST_WAIT, _LONGEST_BACKOFF = 900.0, 60.0
"""Seconds; a server that asks to wait for longer counts as out of service."""
_SECONDS_BETWEEN_MESSAGES = 20.0
_CHARACTERS_PER_TOKEN, _MOST_TOKENS = 4, 10**9
_SHORT = "Say ok."
_CONTROL = Request(Problem("control", "", _SHORT, ""), ({"role": "user", "content": _SHORT},))
"""A request that only wrong settings can have refused."""
MAX_BODY = 1 << 26
"""Bytes of an answer."""


class _Unreadable(Exception):
    """A body that is packed or too large."""


class _Abandoned(Exception):
    """A request that was not retried because the server is out of service."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A usable answer of an endpoint, with the reasoning apart if the server returns it so; `tokens` count it too, and
    are estimated from the text if the server does not say."""

    text: str
    thinking: str | None
    finish_reason: str
    tokens: int
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt without a usable answer, which may be retried, also because the server limits the rate; `empty` is the
    completion to use if retries do not help, None if the answer is not from a model at all."""

    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)
    limited: bool = False
    empty: Reply | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that refuses a request, for what is in it or for its settings."""

    reason: str


@contextmanager
def connected(config: OpenAI, key: str, context: EngineContext) -> Iterator[Client]:
    """A client with an event loop in its own thread; requests in flight are dropped at the end."""
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="openai", daemon=True)
    thread.start()
    client = AsyncOpenAI(  # we retry ourselves, to count every attempt
        api_key=key or "none", base_url=config.base_url, max_retries=0, timeout=config.timeout,
        default_headers={"Accept-Encoding": "identity"},
        http_client=DefaultAsyncHttpxClient(follow_redirects=False, event_hooks={"response": [_limit]}),
    )  # fmt: skip
    try:
        yield Client(config, key, context, client, loop)
    finally:
        asyncio.run_coroutine_threadsafe(_close(client), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Client:
    """Runs requests in a thread, so that answers arrive while completions are graded and written."""

    def __init__(
        self, config: OpenAI, key: str, context: EngineContext, client: AsyncOpenAI, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._config, self._key, self._context, self._client, self._loop = config, key, context, client, loop
        self._jitter = random.Random(f"openai/{context.seed}")
        self._stopped, self._refusal = asyncio.Event(), None  # type: asyncio.Event, UserError | None
        self._answered, self._last_message = 0, -_SECONDS_BETWEEN_MESSAGES
        self._control = asyncio.Lock()

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Completions as they arrive. Raises `UserError` if the server refuses or is out of service, after everything
        that finished before has been yielded."""
        source, done = iter(requests), queue.SimpleQueue[Future[Completion]]()
        in_flight: set[Future[Completion]] = set()
        refusal: UserError | None = None
        try:
            while True:
                while refusal is None and len(in_flight) < self._config.concurrency:
                    if (request := next(source, None)) is None:
                        break
                    future = asyncio.run_coroutine_threadsafe(self._complete(request, sampling), self._loop)
                    in_flight.add(future)
                    future.add_done_callback(done.put)
                if not in_flight:
                    break
                future = done.get()
                in_flight.remove(future)
                try:
                    completion = future.result()
                except _Abandoned:
                    refusal = refusal or self._refusal
                    continue
                except UserError as error:
                    refusal = self._refusal = refusal or error
                    self._loop.call_soon_threadsafe(self._stopped.set)
                    continue
                yield completion
        finally:
            for future in in_flight:
                future.cancel()
        if refusal:
            self._loop.call_soon_threadsafe(self._stopped.clear)
            raise refusal

    async def _complete(self, request: Request, sampling: Sampling) -> Completion:
        """The completion of a request, which may be a `Refusal`. Raises `UserError` for what concerns all requests."""
        reply, attempts = await self._settled(request, sampling)
        if isinstance(reply, Reply):
            return self._completion(request, reply, attempts)
        async with self._control:
            if not self._answered and isinstance((await self._settled(_CONTROL, sampling))[0], Refused):
                raise UserError(
                    f"{self._config.base_url} refused the request: {reply.reason}. It refuses {_SHORT!r}, too: fix the "
                    "setting that it names, in `sampling` or `extra`."
                )
        return Refusal(request.problem.id, request.sample, "", 0, False, finish_reason=reply.reason, attempts=attempts)

    async def _settled(self, request: Request, sampling: Sampling) -> tuple[Reply | Refused, int]:
        """The first usable answer, and after how many attempts."""
        failures, attempts, answered = 0, 0, self._answered
        while not self._stopped.is_set():
            attempts += 1
            reply = await self._ask(request, sampling)
            if isinstance(reply, Failure):
                failures = 1 if reply.limited and self._answered > answered else failures + 1
                answered = self._answered
                if failures <= self._config.retries:
                    await self._wait(reply, failures)
                    continue
                if reply.empty is None:
                    raise UserError(
                        f"{self._config.base_url} gave no usable answer to a request in {counted(attempts, 'attempt')};"
                        f" the last error: {reply.reason}. Check the server, or adjust `retries`, `timeout` and "
                        "`concurrency` to its capacity."
                    )
                reply = reply.empty
            self._answered += isinstance(reply, Reply)
            return reply, attempts
        raise _Abandoned

    async def _ask(self, request: Request, sampling: Sampling) -> Reply | Failure | Refused:
        """One attempt; a failure may succeed when retried. Raises `UserError` for what concerns all requests.

        Nothing is raised while an error of the client is being handled: it would be chained to that error, which
        contains the request.
        """
        import openai

        config, context = self._config, self._context
        body = request_body(
            request, sampling, mode=config.mode, seed=context.seed, extra=config.extra,
            response_format=context.response_format,
        )  # fmt: skip
        try:
            found = read_reply(await asyncio.wait_for(self._post(body), config.timeout), self._without_key)
            return replace(found, reason=self._without_key(found.reason)) if isinstance(found, Failure) else found
        except (TimeoutError, openai.APITimeoutError):
            return Failure(f"no answer within {duration(config.timeout)}")
        except _Unreadable as error:
            return Failure(str(error))
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            return Failure(self._without_key(f"{type(cause).__name__}: {cause}".rstrip(": ")))
        except openai.APIStatusError as error:
            status, headers = error.status_code, error.response.headers
            message, code = self._without_key(error_text(error.response.content)), error.response.text
            target = _one_line(self._without_key(headers.get("location", "")))
        if (status in (408, 409, 429) or status >= 500) and "insufficient_quota" not in code:
            return Failure(f"status {status}: {message}", headers, limited=status == 429)
        if 300 <= status < 400:
            raise UserError(
                f"{config.base_url} redirects to {target or 'nowhere'}. If you trust that address, give it."
            )
        reason = f"status {status}, {message.rstrip('.') or 'no reason given'}"
        if status in (401, 402, 403, 404) or "insufficient_quota" in code:
            raise UserError(f"{config.base_url} refused the request: {reason}. {await self._fix(status)}")
        return Refused(reason)

    async def _post(self, body: dict[str, Any]) -> bytes:
        chat = self._config.mode == "chat"
        endpoint, prompt = (self._client.chat.completions, "messages") if chat else (self._client.completions, "prompt")
        arguments: Any = {prompt: body.pop(prompt), "model": self._config.model, "extra_body": body}
        raw = await endpoint.with_raw_response.create(**arguments)
        return raw.http_response.content

    async def _wait(self, failure: Failure, failures: int) -> None:
        config = self._config
        draw = self._jitter.random()
        seconds = wait_seconds(failures, failure.headers, backoff=config.backoff, draw=draw, now=time.time())
        if seconds > _LONGEST_WAIT:
            raise UserError(f"{config.base_url} asks to wait {duration(seconds)} ({failure.reason}).")
        if time.monotonic() - self._last_message >= _SECONDS_BETWEEN_MESSAGES:
            self._last_message = time.monotonic()
            self._context.say(f"{config.base_url}: {failure.reason}; retrying in {duration(math.ceil(seconds))}")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    def _completion(self, request: Request, reply: Reply, attempts: int) -> Completion:
        return Completion(
            problem_id=request.problem.id,
            sample=request.sample,
            text=reply.text,
            tokens=reply.tokens,
            truncated=reply.finish_reason in ("length", "max_tokens"),
            thinking=reply.thinking,
            finish_reason=reply.finish_reason,
            cost=(reply.prompt_tokens * self._config.price_in + reply.tokens * self._config.price_out) / 1e6,
            prompt_tokens=reply.prompt_tokens,
            attempts=attempts,
        )

    async def _fix(self, status: int) -> str:
        """How to mend what has the server refuse all requests."""
        config = self._config
        if status in (401, 403):
            key = f"the key in {config.api_key_env}" if config.api_key_env else "`api_key_env` (none is given)"
            return f"Check {key}, and whether it may use model {config.model!r}."
        if status == 404:
            models = await self._models()
            served = f"{suggestion(config.model, models)} It serves: {', '.join(models[:20])}." if models else ""
            return f"Check `model` ({config.model!r}) and `base_url`, which usually ends in /v1.{served}"
        return "The account has no credit left."

    async def _models(self) -> list[str]:
        """Names of the models that the server lists; empty if it does not."""
        import openai

        try:
            raw = await asyncio.wait_for(self._client.models.with_raw_response.list(), 10)
            found = parse_json(raw.http_response.content, repair=True)["data"]
            return [_one_line(model["id"]) for model in found]
        except (openai.OpenAIError, TimeoutError, ValueError, KeyError, TypeError):
            return []

    def _without_key(self, text: str) -> str:
        """A decoded text without the key, which some servers repeat: in JSON it can be written in many ways."""
        return text.replace(self._key, "***") if self._key else text


async def _close(client: AsyncOpenAI) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await client.close()


async def _limit(response: Any) -> None:
    """Limits the body of a response and refuses a packed one, which can fill the memory."""
    if packed := response.headers.get("content-encoding", "").replace("identity", ""):
        raise _Unreadable(f"a body packed with {packed}, which was not asked for")
    stream = response.stream

    class Limited(type(stream)):  # type: ignore[misc]
        def __init__(self) -> None:
            self.__dict__.update(stream.__dict__)

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in stream:
                if (size := size + len(part)) > MAX_BODY:
                    raise _Unreadable(f"a body of more than {MAX_BODY:,} bytes")
                yield part

    response.stream = Limited()


def read_reply(content: bytes, mask: Callable[[str], str] = str) -> Reply | Failure:
    """Reads the body of an answer in either mode; a body without a completion is a failure. `mask` is applied to all
    texts of the completion."""
    if not content.strip():
        return Failure("an empty body")
    try:
        body = parse_json(content, repair=True)
    except ValueError:
        kind = "HTML" if content.lstrip()[:1] == b"<" else "broken JSON"
        return Failure(f"{kind} instead of an answer ({_one_line(content)})")
    if not isinstance(body, dict):
        return Failure(f"JSON of another kind ({_one_line(content)})")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Failure(f"an answer without choices ({error_text(content)})")
    choice = choices[0]
    message = choice.get("message", choice)
    if not isinstance(message, dict):
        return Failure("an answer without message")
    reason = choice.get("finish_reason") or "stop"
    found = (message.get(key) for key in ("reasoning_content", "reasoning"))
    thinking = next((text for text in found if isinstance(text, str) and text), None)
    content_field = message.get("content", message.get("text"))
    text = _text(content_field)
    if not isinstance(reason, str) or (text is None and content_field is not None):
        return Failure(f"an answer of other types ({_one_line(content)})")
    tokens = _tokens(body.get("usage"), (thinking or "") + (text or ""))
    reply = Reply(mask(text or ""), thinking and mask(thinking), mask(reason), *tokens)
    if text is None and not thinking and reason != "content_filter" and not message.get("refusal"):
        return Failure("an answer with null content", empty=reply)
    return reply


def wait_seconds(failures: int, headers: Mapping[str, str], *, backoff: float, draw: float, now: float) -> float:
    """Seconds before a retry: doubled after each of the failures in a row, with jitter, and at least what the server
    asks for, given a draw from [0, 1) and the seconds since the epoch."""
    doubled = min(_LONGEST_BACKOFF, backoff * 2.0 ** min(failures - 1, 32))
    return max(doubled * (0.5 + draw / 2), _retry_after(headers.get("retry-after", ""), now))


def error_text(content: bytes) -> str:
    """The message in an error body, on one short line."""
    try:
        body = parse_json(content, repair=True)
    except ValueError:
        return _one_line(content)
    for key in ("error", "detail", "message"):
        found = body.get(key) if isinstance(body, dict) else None
        found = found.get("message", found) if isinstance(found, dict) else found
        if found:
            return _one_line(found if isinstance(found, str) else json.dumps(found))
    return _one_line(content)


def _one_line(content: bytes | str) -> str:
    """The beginning of a text on one line, without HTML tags."""
    text = content.decode(errors="replace") if isinstance(content, bytes) else content
    text = " ".join(re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", text[:5000], flags=re.S | re.I).split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def _retry_after(value: str, now: float) -> float:
    """Seconds, from a number or a date; 0 for anything else."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, TypeError):
            return 0.0
    return min(seconds, 1e7) if math.isfinite(seconds) and seconds > 0 else 0.0


def _text(content: Any) -> str | None:
    """A string, or the texts in a list of parts; None for anything else."""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content if isinstance(content, str) else None


def _tokens(usage: Any, text: str) -> tuple[int, int]:
    counts = usage if isinstance(usage, dict) else {}
    given = [counts.get(key) for key in ("completion_tokens", "prompt_tokens")]
    completion, prompt = (n if type(n) is int and 0 <= n <= _MOST_TOKENS else None for n in given)
    return -(-len(text) // _CHARACTERS_PER_TOKEN) if completion is None else completion, prompt or 0
