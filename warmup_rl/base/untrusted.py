"""What strangers wrote: JSON, YAML and literals within limits of depth and size, and text that is safe to print."""

from __future__ import annotations

import ast
import json
import re
import sys
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from warmup_rl.base.errors import DataError, shown

T = TypeVar("T")
MAX_NESTING = 100
"""Levels of lists and mappings inside one another."""
MAX_YAML_CHARACTERS, MAX_YAML_VALUES = 1_000_000, 100_000
"""Size of a YAML document as written, and with every alias replaced by what it stands for."""
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TOO_DEEP = f"lists and mappings nested more than {MAX_NESTING} levels deep"


def parse_json(text: str | bytes, *, repair: bool = False) -> Any:
    """A JSON value. Raises ValueError if it is none, nests too deep, or holds an integer that Python does not read; one
    line.

    Args:
        text: bytes that are not UTF-8 become U+FFFD.
        repair: whether halves of surrogate pairs, which no tokenizer takes, become U+FFFD.
    """
    text = text.decode("utf-8-sig", "replace") if isinstance(text, bytes) else text
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg.removesuffix(' at')} at column {error.colno}") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError:
        raise ValueError(f"an integer of more than {sys.get_int_max_str_digits():,} digits") from None
    repair = repair and bool(_LONE_SURROGATE.search(text))
    return _sound(value, repair) if repair or text.count("[") + text.count("{") > MAX_NESTING else value


def shaped(kind: type[T], value: Any, source: object, fix: str) -> T:
    """A JSON value as the type that it should have. Raises `DataError` that begins with `source`, names the key that is
    missing or of another type, and ends with `fix`."""
    try:
        found: T = _adapter(cast(Any, kind)).validate_python(value)
        return found
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place, last = ".".join(map(str, fault["loc"])), fault["loc"][-1:]
        if fault["type"] == "missing":
            raise DataError(f"{source}: {last[0]!r} is missing, so it was written by another version. {fix}") from None
        where = f"{place}: " if place else ""
        raise DataError(f"{source}: {where}{fault['msg']} (got {shown(fault['input'])}). {fix}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _sound(value: Any, repair: bool, depth: int = 0) -> Any:
    if depth > MAX_NESTING:
        raise ValueError(_TOO_DEEP)
    if isinstance(value, str) and repair:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_sound(part, repair, depth + 1) for part in value]
    if isinstance(value, dict):
        return {_sound(key, repair): _sound(part, repair, depth + 1) for key, part in value.items()}
    return value


def parse_yaml(text: str) -> Any:
    """A YAML value of plain types. Raises `yaml.YAMLError` as `compose_yaml` does, and for a value that is none."""
    loader = yaml.SafeLoader("")
    try:
        node = compose_yaml(text)
        return None if node is None else loader.construct_document(node)  # type: ignore[no-untyped-call]
    except (ValueError, OverflowError) as error:  # a date that does not exist, a number too long
        raise yaml.YAMLError(str(error)) from None


def compose_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> yaml.Node | None:
    """The root node of a document; None if it is empty. Raises `yaml.YAMLError` if it is not YAML, too long, nests too
    deep, or has too many values once aliases are replaced."""
    if len(text) > MAX_YAML_CHARACTERS:
        raise yaml.YAMLError(f"longer than {MAX_YAML_CHARACTERS:,} characters")
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_shallow(loader))  # type: ignore[arg-type]
        values, depth = _extent(node, {})
    except RecursionError:
        raise yaml.YAMLError(_TOO_DEEP) from None
    if depth > MAX_NESTING:
        raise yaml.YAMLError(_TOO_DEEP)
    if values > MAX_YAML_VALUES:
        raise yaml.YAMLError(f"more than {MAX_YAML_VALUES:,} values, those that aliases repeat included")
    return node


@cache
def _shallow(loader: type[yaml.SafeLoader]) -> type[yaml.SafeLoader]:
    """A loader that stops at what nests too deep: it looks at all open brackets again at every token."""

    class Shallow(loader):  # type: ignore[valid-type, misc]
        def fetch_flow_collection_start(self, token: Any) -> None:
            if self.flow_level >= MAX_NESTING:
                raise yaml.YAMLError(_TOO_DEEP)
            super().fetch_flow_collection_start(token)

    return Shallow


def _extent(node: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Number of values in a node and its depth, with aliases replaced; one that contains itself counts once."""
    if id(node) not in known:
        known[id(node)] = 1, 0
        parts: Any = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = [one for pair in parts for one in pair] if isinstance(node, yaml.MappingNode) else parts
        inside = [_extent(part, known) for part in parts]
        depth = 1 + max((depth for _, depth in inside), default=0)
        known[id(node)] = 1 + sum(values for values, _ in inside), depth if parts else 0
    return known[id(node)]


def literal(value: Any) -> Any:
    """The list, tuple or mapping in a Python, JSON or YAML text such as `[true, false]`; other values unchanged."""
    opening = value.lstrip()[:1] if isinstance(value, str) and len(value) <= MAX_YAML_CHARACTERS // 10 else ""
    if opening in ("[", "(", "{"):
        for read in (ast.literal_eval, parse_yaml) if opening != "(" else (ast.literal_eval,):
            with suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError, yaml.YAMLError):
                found = read(value.strip())
                return found if isinstance(found, list | tuple | dict) else value
    return value


def printable(text: str) -> str:
    """Text for a terminal: escape sequences, direction marks, lone surrogates and the like as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t\xa0\u3000" else ascii(one)[1:-1] for one in text)
