"""What an OpenAI-compatible endpoint is sent, what its answer must hold, and how long to wait after a failure."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from warmup_rl.base.config import Sampling
from warmup_rl.base.types import Message, Request
from warmup_rl.interfaces.format import ResponseFormat

Mode = Literal["chat", "completion"]

LONGEST_WAIT = 900.0
"""Seconds; a server that asks to wait for longer is taken as out of service."""
_LONGEST_BACKOFF = 60.0
_CHARACTERS_A_TOKEN = 4
_TURN = "\nUser:"


@dataclass(frozen=True, slots=True)
class Reply:
    """A usable answer of an endpoint.

    Attributes:
        thinking: the reasoning, where the server returns it apart.
        tokens: of the completion, the reasoning included; estimated from the text where the server does not say.
    """

    text: str
    thinking: str | None
    finish_reason: str
    tokens: int
    prompt_tokens: int


class Unusable(Exception):
    """An answer that holds no completion; the message says what it is instead.

    Attributes:
        empty: what to take it for if asking again does not help; None for what is no answer of a model at all.
    """

    def __init__(self, message: str, empty: Reply | None = None) -> None:
        super().__init__(message)
        self.empty = empty


def request_body(
    request: Request,
    sampling: Sampling,
    *,
    mode: Mode,
    seed: int,
    response_format: ResponseFormat,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """The body of a request, without the model; a key of `extra` that is None leaves the key out.

    The seed sent follows from the run's seed, problem and sample, so that repeated draws differ and can be had again.
    """
    named = hashlib.sha256(f"{seed}/{request.problem.id}/{request.sample}".encode()).digest()
    body: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "seed": int.from_bytes(named[:4], "big") >> 1,
    }
    if sampling.top_p < 1:
        body["top_p"] = sampling.top_p
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if mode == "chat":
        body["messages"] = list(request.messages)
    else:
        body |= {"prompt": prompt_text(request.messages, response_format), "stop": [_TURN]}
    return {key: value for key, value in {**body, **extra}.items() if value is not None}


def prompt_text(messages: Sequence[Message], response_format: ResponseFormat) -> str:
    """Messages as plain text for a model without chat template: `User: ...`, `Assistant: ...`, a blank line between
    them, system messages as they are; it ends with the assistant's turn, where the think tag stands if it is open."""
    turns = [
        message["content"] if message["role"] == "system" else f"{message['role'].capitalize()}: {message['content']}"
        for message in messages
    ]
    return "\n\n".join([*turns, f"Assistant: {response_format.opening()}"])


def read_reply(content: bytes) -> Reply:
    """Reads the body of an answer of either mode. Raises `Unusable` for everything that holds no completion."""
    if not content.strip():
        raise Unusable("an empty body")
    try:
        body = json.loads(content)
    except ValueError:
        kind = "HTML" if content.lstrip()[:1] == b"<" else "broken JSON"
        raise Unusable(f"{kind} instead of an answer ({plain(content)})") from None
    if not isinstance(body, dict):
        raise Unusable(f"JSON of another kind ({plain(content)})")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Unusable(f"an answer without choices ({error_text(content)})")
    choice = choices[0]
    message = choice.get("message", choice)
    if not isinstance(message, dict):
        raise Unusable("an answer without message")
    reason = choice.get("finish_reason") or "stop"
    thinking = _first_text(message, "reasoning_content", "reasoning")
    text = _text(message.get("content", message.get("text")))
    if not isinstance(reason, str) or (text is None and message.get("content", message.get("text")) is not None):
        raise Unusable(f"an answer of other types ({plain(content)})")
    reply = Reply(text or "", thinking, reason, *_tokens(body.get("usage"), (thinking or "") + (text or "")))
    if text is None and not thinking and reason != "content_filter" and not message.get("refusal"):
        raise Unusable("an answer whose content is null", reply)
    return reply


def wait_seconds(failures: int, headers: Mapping[str, str], *, backoff: float, draw: float, now: float) -> float:
    """Seconds before a request is repeated: twice as long after each failure, with jitter, and at least what the server
    asks for.

    Args:
        failures: in a row, from 1 on.
        headers: of the answer, in lower case or case-insensitive.
        draw: uniform in [0, 1).
        now: seconds since the epoch.
    """
    doubled = min(_LONGEST_BACKOFF, backoff * 2.0 ** min(failures - 1, 32))
    return max(doubled * (0.5 + draw / 2), _retry_after(headers.get("retry-after", ""), now))


def error_text(content: bytes) -> str:
    """What an error body says, in one short line."""
    try:
        body = json.loads(content)
    except ValueError:
        return plain(content)
    for key in ("error", "detail", "message"):
        said = body.get(key) if isinstance(body, dict) else None
        said = said.get("message", said) if isinstance(said, dict) else said
        if said:
            return plain(said if isinstance(said, str) else json.dumps(said))
    return plain(content)


def plain(content: bytes | str) -> str:
    """The beginning of a text on one line, without tags."""
    text = content.decode(errors="replace") if isinstance(content, bytes) else content
    text = " ".join(re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", text[:5000], flags=re.S | re.I).split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def _retry_after(value: str, now: float) -> float:
    """Seconds, given as a number or as a date; 0 for what is neither."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, TypeError):
            return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _first_text(message: Mapping[str, Any], *keys: str) -> str | None:
    return next((message[key] for key in keys if isinstance(message.get(key), str) and message[key]), None)


def _text(content: Any) -> str | None:
    """Content as text: a string, or a list of parts of which those with text count; None for anything else."""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content if isinstance(content, str) else None


def _tokens(usage: Any, text: str) -> tuple[int, int]:
    """Tokens of completion and prompt."""
    counts = usage if isinstance(usage, dict) else {}
    given = [counts.get(key) for key in ("completion_tokens", "prompt_tokens")]
    completion, prompt = (n if isinstance(n, int) and not isinstance(n, bool) and n >= 0 else None for n in given)
    return -(-len(text) // _CHARACTERS_A_TOKEN) if completion is None else completion, prompt or 0
