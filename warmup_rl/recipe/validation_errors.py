"""pydantic's validation errors in a recipe's words: where, what was given, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from warmup_rl.base.config import Config, descriptions
from warmup_rl.base.errors import shown
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.plugins import Plugin, suggestion
from warmup_rl.recipe.annotations import WORDS, models_at, needed
from warmup_rl.recipe.yaml_source import Address, value_at

_TYPES = {"string": "str", "mapping": "dict", "path": "Path", "none": "NoneType", "frozen": "frozenset"}
"""Python's names of types that pydantic's error types begin with, where they differ."""
_LIMITS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-' only, a letter or digit first",
    "string_too_short": "must not be empty",
    "too_short": "at least {min_length} needed",
    "too_long": "at most {max_length} items allowed",
    "value_error": "{error}",
    "assertion_error": "{error}",
}


def complaints(error: ValidationError, model: type[BaseModel], given: Any) -> Iterator[tuple[Address, str]]:
    """Address (relative to `given`) and message of everything that is wrong; alternatives of a union are joined.

    Args:
        model: what `given` was to be read as; of plug-ins the base class will do.
    """
    found: dict[Address, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        found.setdefault(_inside(details, given), []).append(details)
    for address, all_details in found.items():
        all_details = _of_the_meant_alternative(address, all_details, found)
        if not all_details:
            continue
        kind, value = all_details[0]["type"], value_at(given, address)
        if kind == "plugin" and isinstance(value, dict):
            if old := next((key for key in _renamed(model, given, address) if key in value), None):
                yield (*address, old), _unknown_key(model, given, (*address, old))
                continue
        message = _message(model, given, address, all_details)
        key, colon, rest = message.partition(": ")  # a validator of a whole model names the key itself
        names_key = bool(colon) and kind == "value_error" and key in allowed_keys(model, given, address)
        yield ((*address, key), rest) if names_key else (address, message)


def _of_the_meant_alternative(
    address: Address, all_details: list[ErrorDetails], found: Iterable[Address]
) -> list[ErrorDetails]:
    """Without the types of a union's other alternatives where one has the right type and is wrong further inside."""
    further = [details for details in all_details if not details["type"].endswith("_type")]
    below = any(len(other) > len(address) and other[: len(address)] == address for other in found)
    return further if below or any(details["type"] in _LIMITS for details in further) else all_details


def _message(model: type[BaseModel], given: Any, address: Address, all_details: list[ErrorDetails]) -> str:
    value, first = value_at(given, address), all_details[0]
    if first["type"] == "extra_forbidden":
        return _unknown_key(model, given, address)
    if first["type"] == "missing" and isinstance(around := value_at(given, address[:-1]), list):
        return f"missing (got {shown(around)})."
    if first["type"] == "missing":
        about = _documentation(model, given, address)
        return f"missing. {about}" if about else "missing."
    texts = list(dict.fromkeys(_text(details) for details in all_details))
    if first["type"] in ("plugin", "value_error") and len(texts) == 1:
        is_whole = texts[0].endswith(".") or isinstance(value, dict) or "got " in texts[0]
        return f"{texts[0].removesuffix('.')}." if is_whole else f"{texts[0]} (got {shown(value)})."
    options = [option for details in all_details for option in _options(details)]
    hint = suggestion(value, options) if isinstance(value, str) else ""
    if len(texts) > 1:
        bare = [re.sub("^(allowed:|must be) ", "", text).removesuffix(" is needed") for text in texts]
        texts = [f"{' or '.join(bare)} is needed"]
    wraps = texts == [needed([WORDS["list"]])] and address != ("stages",) and isinstance(value, int | float | str)
    example = f", e.g. [{value}]" if wraps else ""
    return f"{texts[0]} (got {shown(value)}){example}.{hint}"


def _unknown_key(model: type[BaseModel], given: Any, address: Address) -> str:
    allowed, key = sorted(allowed_keys(model, given, address[:-1])), str(address[-1])
    hint = suggestion(key, allowed) or f" Allowed: {', '.join(allowed)}."
    if new := _renamed(model, given, address[:-1]).get(key):
        hint = f" This key was renamed: use '{new}'."
    return f"unknown key (got {shown(value_at(given, address))}).{hint}"


def _text(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in ("literal_error", "enum"):
        return f"allowed: {context['expected']}"
    if kind in _LIMITS:
        text = _LIMITS[kind].format(**context)
        return re.sub(r"got \((.*)\)$", r"got [\1]", text)  # a list of the recipe is a tuple to validators
    start = kind.partition("_")[0]
    word = "a mapping of keys" if start == "model" else WORDS.get(_TYPES.get(start, start))
    return needed([word]) if word else details["msg"][:1].lower() + details["msg"][1:]


def _options(details: ErrorDetails) -> list[str]:
    return str(details.get("ctx", {}).get("expected", "")).split("'")[1::2]


def _inside(details: ErrorDetails, given: Any) -> Address:
    """The address of an error without what pydantic adds for unions and validators."""
    address: Address = ()
    steps = details["loc"]
    for position, step in enumerate(steps):
        inside = value_at(given, address)
        known = step in inside if isinstance(inside, dict) else isinstance(inside, list) and isinstance(step, int)
        if known or (details["type"] == "missing" and position == len(steps) - 1):
            address = (*address, step)
    return address


def allowed_keys(model: type[BaseModel], given: Any, address: Address) -> set[str]:
    """The keys that the mapping at an address may have."""
    found = set[str]()
    for one in models_at(model, given, address):
        hidden = {"name"} if issubclass(one, Domain) else set()
        found |= {*one.model_fields, *(["type"] if issubclass(one, Plugin) else [])} - hidden
    return found


def _renamed(model: type[BaseModel], given: Any, address: Address) -> dict[str, str]:
    """Keys that the mapping at an address had in earlier versions, and their names today."""
    models = (one for one in models_at(model, given, address) if issubclass(one, Config))
    return {old: new for one in models for old, new in one.renamed_keys.items()}


def _documentation(model: type[BaseModel], given: Any, address: Address) -> str:
    for found in models_at(model, given, address[:-1]):
        if str(address[-1]) in found.model_fields:
            return descriptions(found).get(str(address[-1]), "").split("\n")[0]
    return ""
