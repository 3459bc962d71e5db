"""Typed values between parent and child: packs arguments, and decodes results as if an attacker had written them."""

from __future__ import annotations

import json
import marshal
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from program_sandbox.child import MAX_DEPTH, MAX_KEYS, MAX_RANGE, SMALL
from program_sandbox.program import Call

MAX_SAME_HASH = 16
MAX_NOTE = 80
_HEX = re.compile(r"-?[0-9a-f]+")
_PLAIN = (type(None), bool, int, float, complex, str, bytes)


class Malformed(ValueError):
    """A message that the child's own code never writes."""


def pack(call: Call) -> bytes:
    """Positional and keyword arguments of a call, for the child. Raises TypeError where one is not plain data."""
    packed = tuple(call.arguments), dict(call.keywords)
    _check(packed, call.function, 0)
    return marshal.dumps(packed)


def decode(line: bytes) -> tuple[str, Any]:
    """The message of a line: its word, and what it carries (decoded where the word is `value`, else text or None).

    Raises:
        Malformed: the line is not JSON of this form, nests too deep, or is made to be slow to read.
    """
    try:
        message = json.loads(line, parse_int=_small, parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not a message ({type(error).__name__})") from None
    if not isinstance(message, list) or not 1 <= len(message) <= 2 or not isinstance(message[0], str):
        raise Malformed("not a message")
    word, body = message[0], message[1] if len(message) == 2 else None
    if word == "value" and len(message) == 2:
        return word, _value(body, 0)
    if body is not None and not isinstance(body, str):
        raise Malformed(f"{word[:20]!r} needs text")
    return word, body if body is None else _note(_text(body))


def as_set(values: Any) -> set[Any] | None:
    """The distinct ones among values that came back; None where they are not several, cannot be hashed, were made to
    collide, or are more than `MAX_KEYS`.

    For callers that compare without order: `set(values)` of numbers picked for their hashes takes minutes.
    """
    try:
        listed = list(values)
        return None if _costly(listed) else set(listed)
    except TypeError:
        return None


def _value(item: Any, depth: int) -> Any:
    if item is None or isinstance(item, (bool, int)):
        return item
    if isinstance(item, str):
        return _text(item)
    if depth > MAX_DEPTH:
        raise Malformed("nested too deep")
    if not isinstance(item, list) or not item or not isinstance(item[0], str):
        raise Malformed("not a value")
    tag, *rest = item
    if tag in _SCALARS:
        arity, build = _SCALARS[tag]
        if len(rest) != arity or not all(isinstance(part, str) for part in rest):
            raise Malformed(f"{tag!r} needs {arity} texts")
        try:
            return build(*rest)
        except (ValueError, OverflowError):
            raise Malformed(f"not a {tag!r}") from None
    return _container(tag, [_value(part, depth + 1) for part in rest])


def _container(tag: str, parts: list[Any]) -> Any:
    match tag:
        case "l":
            return parts
        case "t":
            return tuple(parts)
        case "s" | "z":
            return (set if tag == "s" else frozenset)(_keys(parts))
        case "d" if len(parts) % 2 == 0:
            return dict(zip(_keys(parts[::2]), parts[1::2], strict=True))
        case "r" if len(parts) == 3 and all(type(part) is int and abs(part) <= SMALL for part in parts) and parts[2]:
            if len(range(*parts)) <= MAX_RANGE:
                return range(*parts)
    raise Malformed(f"no value is written as {tag[:20]!r}")


def _keys(parts: list[Any]) -> list[Any]:
    """Parts that may become keys: hashable, all different, at most `MAX_KEYS`, and with hashes that do not collide."""
    try:
        if _costly(parts):
            raise Malformed("too many keys, or keys made to collide")
    except TypeError:
        raise Malformed("a key cannot be hashed") from None
    if len(set(parts)) != len(parts):
        raise Malformed("a key comes twice")
    return parts


def _costly(parts: list[Any]) -> bool:
    """Whether many different parts have one hash, or there are so many that other collisions take long: a program can
    pick keys that a dictionary probes in the same order. Raises TypeError where a part has no hash."""
    alike: dict[int, list[Any]] = {}
    for part in parts:
        same = alike.setdefault(hash(part), [])
        if part not in same:
            same.append(part)
        if len(same) > MAX_SAME_HASH or len(alike) > MAX_KEYS:
            return True
    return False


def _text(item: str) -> str:
    """Text that can be written down."""
    try:
        item.encode()
    except UnicodeEncodeError:
        raise Malformed("a lone surrogate") from None
    return item


def _note(text: str) -> str:
    """The beginning of a text, with escapes for what a terminal would act on."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[:MAX_NOTE])[:MAX_NOTE]


def _hex(text: str) -> int:
    if not _HEX.fullmatch(text):
        raise ValueError
    return int(text, 16)


def _float(text: str) -> float:
    if len(text) > 40:
        raise ValueError
    return float.fromhex(text)


_SCALARS: dict[str, tuple[int, Callable[..., Any]]] = {
    "i": (1, _hex),
    "f": (1, _float),
    "c": (2, lambda real, imaginary: complex(_float(real), _float(imaginary))),
    "b": (1, bytes.fromhex),
    "y": (1, bytearray.fromhex),
}


def _small(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a number too long")
    return int(digits)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"no number is written as {text[:20]}")


def _check(value: Any, function: str, depth: int) -> None:
    if type(value) in _PLAIN:
        return
    if depth > 10 * MAX_DEPTH:
        raise TypeError(f"an argument of {function} is nested too deep")
    for part in _parts(value, function):
        _check(part, function, depth + 1)


def _parts(value: Any, function: str) -> Iterator[Any]:
    if type(value) in (list, tuple, set, frozenset):
        yield from value
    elif type(value) is dict:
        yield from value.keys()
        yield from value.values()
    else:
        raise TypeError(
            f"an argument of {function} is of type {type(value).__name__}: only plain data enters the sandbox"
        )
