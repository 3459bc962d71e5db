"""Talks to an OpenAI-compatible endpoint: many requests at once, each repeated until it is answered or hopeless."""

from __future__ import annotations

import asyncio
import json
import math
import queue
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from warmup_rl.base.config import Sampling
from warmup_rl.base.console import duration
from warmup_rl.base.errors import UserError
from warmup_rl.base.types import Completion, Request
from warmup_rl.engines import openai_endpoint as endpoint
from warmup_rl.engines.openai_endpoint import Mode, Reply, Unusable
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.plugins import suggestion

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_SPEAK_SECONDS = 20.0


@dataclass(frozen=True)
class Connection:
    """Where to and how, see `warmup_rl.engines.openai.OpenAI`; the key is not shown when this is printed."""

    base_url: str
    model: str
    key: str = field(repr=False)
    key_name: str | None
    mode: Mode
    concurrency: int
    timeout: float
    retries: int
    backoff: float
    price_in: float
    price_out: float
    extra: Mapping[str, Any]


@contextmanager
def connected(connection: Connection, context: EngineContext) -> Iterator[Client]:
    """A client with an event loop in a thread of its own; requests under way are dropped at the end."""
    from openai import AsyncOpenAI

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="openai", daemon=True)
    thread.start()
    client = AsyncOpenAI(  # repeating is our affair: every attempt is counted
        api_key=connection.key or "none", base_url=connection.base_url, max_retries=0, timeout=connection.timeout
    )
    try:
        yield Client(connection, context, client, loop)
    finally:
        asyncio.run_coroutine_threadsafe(_closed(client), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Client:
    """A client in a thread of its own, so that answers come in while completions are being judged and written."""

    def __init__(
        self, config: Connection, context: EngineContext, client: AsyncOpenAI, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._config, self._context, self._client, self._loop, self._key = config, context, client, loop, config.key
        self._jitter = random.Random(f"openai/{context.seed}")
        self._stopped, self._refusal = asyncio.Event(), None  # type: asyncio.Event, UserError | None
        self._answered, self._spoken = 0, -_SPEAK_SECONDS

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Completions as they come.

        Raises:
            UserError: the server refuses, or is out of service; all that was finished before has been given by then.
        """
        source, done = iter(requests), queue.SimpleQueue[Future[Completion]]()
        under_way: set[Future[Completion]] = set()
        refusal: UserError | None = None
        try:
            while True:
                while refusal is None and len(under_way) < self._config.concurrency:
                    if (request := next(source, None)) is None:
                        break
                    future = asyncio.run_coroutine_threadsafe(self._complete(request, sampling), self._loop)
                    under_way.add(future)
                    future.add_done_callback(done.put)
                if not under_way:
                    break
                future = done.get()
                under_way.remove(future)
                try:
                    completion = future.result()
                except _GivenUp:
                    refusal = refusal or self._refusal
                    continue
                except UserError as error:
                    refusal = self._refusal = refusal or error
                    self._loop.call_soon_threadsafe(self._stopped.set)
                    continue
                yield completion
        finally:
            for future in under_way:
                future.cancel()
        if refusal:
            self._loop.call_soon_threadsafe(self._stopped.clear)
            raise refusal

    async def _complete(self, request: Request, sampling: Sampling) -> Completion:
        failures, attempts, answered = 0, 0, self._answered
        while not self._stopped.is_set():
            attempts += 1
            reply = await self._ask(request, sampling)
            if isinstance(reply, _Failure):
                failures = 1 if reply.limited and self._answered > answered else failures + 1
                answered = self._answered
                if failures <= self._config.retries:
                    await self._wait(reply, failures)
                    continue
                if reply.empty is None:
                    raise self._out_of_service(reply.what, attempts)
                reply = reply.empty
            self._answered += 1
            return self._completion(request, reply, attempts)
        raise _GivenUp

    async def _ask(self, request: Request, sampling: Sampling) -> Reply | _Failure:
        """One attempt; a failure may go better next time. Raises `UserError` for what will not.

        Nothing is raised while an error of the client is being handled: that would carry the error along, which knows
        what was sent.
        """
        import openai

        config = self._config
        body = endpoint.request_body(
            request,
            sampling,
            mode=config.mode,
            seed=self._context.seed,
            extra=config.extra,
            response_format=self._context.response_format,
        )
        try:
            return endpoint.read_reply(await asyncio.wait_for(self._post(body), config.timeout))
        except Unusable as unusable:
            return _Failure(str(unusable), empty=unusable.empty)
        except (TimeoutError, openai.APITimeoutError):
            return _Failure(f"no answer within {duration(config.timeout)}")
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            return _Failure(self._clean(f"{type(cause).__name__}: {cause}".rstrip(": ")))
        except openai.APIStatusError as error:
            status, headers = error.status_code, error.response.headers
            said, code = self._clean(endpoint.error_text(error.response.content)), error.response.text
        if (status in (408, 409, 429) or status >= 500) and "insufficient_quota" not in code:
            return _Failure(f"status {status}: {said}", headers, limited=status == 429)
        raise UserError(await self._refused(status, said, request))

    async def _post(self, body: dict[str, Any]) -> bytes:
        """The raw body of a successful answer, without the key should the server repeat it."""
        config = self._config
        if config.mode == "chat":
            given = {"messages": body.pop("messages"), "model": config.model, "extra_body": body}
            raw = await self._client.chat.completions.with_raw_response.create(**given)
        else:
            given = {"prompt": body.pop("prompt"), "model": config.model, "extra_body": body}
            raw = await self._client.completions.with_raw_response.create(**given)
        content = raw.http_response.content
        return content.replace(self._key.encode(), b"***") if self._key else content

    async def _wait(self, failure: _Failure, failures: int) -> None:
        seconds = endpoint.wait_seconds(
            failures, failure.headers, backoff=self._config.backoff, draw=self._jitter.random(), now=time.time()
        )
        if seconds > endpoint.LONGEST_WAIT:
            raise UserError(f"{self._config.base_url} asks to wait for {duration(seconds)} ({failure.what}).")
        if time.monotonic() - self._spoken >= _SPEAK_SECONDS:
            self._spoken = time.monotonic()
            again = duration(math.ceil(seconds))
            self._context.say(f"{self._config.base_url}: {failure.what}; asking again in {again}")
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            pass

    def _completion(self, request: Request, reply: Reply, attempts: int) -> Completion:
        config = self._config
        return Completion(
            problem_id=request.problem.id,
            sample=request.sample,
            text=reply.text,
            tokens=reply.tokens,
            truncated=reply.finish_reason in ("length", "max_tokens"),
            thinking=reply.thinking,
            finish_reason=reply.finish_reason,
            cost=(reply.prompt_tokens * config.price_in + reply.tokens * config.price_out) / 1e6,
            prompt_tokens=reply.prompt_tokens,
            attempts=attempts,
        )

    def _out_of_service(self, what: str, attempts: int) -> UserError:
        times = f"{attempts} time{'s' * (attempts != 1)}"
        return UserError(
            f"{self._config.base_url} gave no usable answer to a request, asked {times}; the last time: {what}. See to "
            "the server, or set `retries`, `timeout` and `concurrency` to what it can bear."
        )

    async def _refused(self, status: int, said: str, request: Request) -> str:
        config = self._config
        fix = f"It was asked for problem {request.problem.id}. Mend what it names, under `sampling` or `extra`."
        if status in (401, 403):
            named = f"the key in {config.key_name}" if config.key_name else "`api_key_env` (none is given)"
            fix = f"Check {named}, and whether it may use model {config.model!r}."
        elif status == 404:
            models = await self._models()
            served = f"{suggestion(config.model, models)} It serves: {', '.join(models[:20])}." if models else ""
            fix = f"Check `model` ({config.model!r}) and `base_url`, which mostly ends in /v1.{served}"
        elif status in (402, 429):
            fix = "The account has no credit left."
        return f"{config.base_url} refuses: status {status}, {said.rstrip('.') or 'no reason given'}. {fix}"

    async def _models(self) -> list[str]:
        """Names of the models that the server lists; none where it does not."""
        import openai

        try:
            raw = await asyncio.wait_for(self._client.models.with_raw_response.list(), 10)
            found = json.loads(raw.http_response.content)["data"]
            return [endpoint.plain(model["id"]) for model in found]
        except (openai.OpenAIError, TimeoutError, ValueError, KeyError, TypeError):
            return []

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


class _GivenUp(Exception):
    """A request that was not repeated since the server is out of service."""


@dataclass(frozen=True)
class _Failure:
    """Why a request may be repeated; `empty` is what to take it for if that does not help."""

    what: str
    headers: Mapping[str, str] = field(default_factory=dict)
    limited: bool = False
    empty: Reply | None = None


async def _closed(client: AsyncOpenAI) -> None:
    """Ends what is still under way, then the client."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await client.close()
