"""Messages for pydantic's validation errors (place, given value, allowed values), and names of types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from warmup_rl.base.config import Config, descriptions
from warmup_rl.base.errors import UserError, shown
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.plugins import Plugin, load, suggestion
from warmup_rl.recipe.document import Address, value_at

WORDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "Path": "a path",
    "list": "a list", "tuple": "a list", "set": "a list", "frozenset": "a list", "dict": "a mapping",
    "NoneType": "null", "Any": "any value",
}  # fmt: skip
"""Types by their Python names."""
_TYPES = {"string": "str", "mapping": "dict", "path": "Path", "none": "NoneType", "frozen": "frozenset"}
"""Python's names of types that pydantic's error types begin with, where they differ."""
_LIMITS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-' only, a letter or digit first, at most 100",
    "string_too_short": "must not be empty",
    "too_short": "at least {min_length} needed",
    "too_long": "at most {max_length} items allowed",
    "value_error": "{error}",
    "assertion_error": "{error}",
}


def complaints(error: ValidationError, model: type[BaseModel], given: Any) -> Iterator[tuple[Address, str]]:
    """Address (relative to `given`) and message of every error of the model (for plug-ins, the base class is enough);
    errors of a union's alternatives are joined."""
    found: dict[Address, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        found.setdefault(_inside(details, given), []).append(details)
    for address, all_details in found.items():
        further = [details for details in all_details if not details["type"].endswith("_type")]
        below = any(len(other) > len(address) and other[: len(address)] == address for other in found)
        if below or any(details["type"] in _LIMITS for details in further):
            all_details = further  # one alternative of a union has the right type and is wrong further inside
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


def _message(model: type[BaseModel], given: Any, address: Address, all_details: list[ErrorDetails]) -> str:
    value, kind = value_at(given, address), all_details[0]["type"]
    if kind == "extra_forbidden":
        return _unknown_key(model, given, address)
    if kind == "missing":
        if isinstance(around := value_at(given, address[:-1]), list):
            return f"missing (got {shown(around)})."
        return f"missing. {_documentation(model, given, address)}".rstrip()
    texts = list(dict.fromkeys(map(_text, all_details)))
    if kind in ("plugin", "value_error") and len(texts) == 1:
        is_whole = texts[0].endswith(".") or isinstance(value, dict) or "got " in texts[0]
        return f"{texts[0].removesuffix('.')}." if is_whole else f"{texts[0]} (got {shown(value)})."
    options = (str(details.get("ctx", {}).get("expected", "")).split("'")[1::2] for details in all_details)
    hint = suggestion(value, chain(*options)) if isinstance(value, str) else ""
    if len(texts) > 1:
        bare = [re.sub("^(allowed:|must be) ", "", text).removesuffix(" is needed") for text in texts]
        texts = [f"{' or '.join(bare)} is needed"]
    wraps = texts == [needed([WORDS["list"]])] and address != ("stages",) and isinstance(value, int | float | str)
    example = f", e.g. [{value}]" if wraps else ""
    return f"{texts[0]} (got {shown(value)}){example}.{hint}"


def _unknown_key(model: type[BaseModel], given: Any, address: Address) -> str:
    allowed, key = sorted(allowed_keys(model, given, address[:-1])), str(address[-1])
    hint = suggestion(key, allowed) or f" Allowed: {', '.join(allowed)}."
    if new := new_name(model, given, address):
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
    """Keys that are allowed in the mapping at an address."""
    found = set[str]()
    for one in models_at(model, given, address):
        hidden = {"name"} if issubclass(one, Domain) else set()
        found |= {*one.model_fields, *(["type"] if issubclass(one, Plugin) else [])} - hidden
    return found


def _renamed(model: type[BaseModel], given: Any, address: Address) -> dict[str, str]:
    """Keys that the mapping at an address had in earlier versions, and their names today."""
    models = (one for one in models_at(model, given, address) if issubclass(one, Config))
    return {old: new for one in models for old, new in one.renamed_keys.items()}


def new_name(model: type[BaseModel], given: Any, address: Address) -> str | None:
    """The name today of a key of earlier versions; None for any other."""
    return _renamed(model, given, address[:-1]).get(str(address[-1])) if address else None


def _documentation(model: type[BaseModel], given: Any, address: Address) -> str:
    for found in models_at(model, given, address[:-1]):
        if str(address[-1]) in found.model_fields:
            return descriptions(found).get(str(address[-1]), "").split("\n")[0]
    return ""


def needed(words: Iterable[str]) -> str:
    """`a whole number or null is needed`."""
    return f"{' or '.join(dict.fromkeys(words))} is needed"


def word(annotation: Any) -> str:
    """The name of a type in messages, without its arguments: `a list` for `list[int]`."""
    name = getattr(get_origin(annotation) or annotation, "__name__", str(annotation))
    return WORDS.get(name, name)


def in_words(annotation: Any) -> str:
    """A whole annotation in words for `--help`: `list of whole number or null`."""
    return " or ".join(dict.fromkeys(_one_in_words(one) for one in alternatives(annotation)))


def _one_in_words(annotation: Any) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(map(str, inside))
    if origin is tuple and inside[-1] is not ...:
        return f"[{', '.join(map(in_words, inside))}]"
    if origin in (list, set, frozenset, tuple):
        return f"list of {in_words(inside[0])}"
    if origin is dict:
        return f"mapping to {in_words(inside[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Plugin):
        return annotation.plugin_kind
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys"
    return word(annotation).removeprefix("a ")


def alternatives(annotation: Any) -> list[Any]:
    """The members of a union, or the annotation alone; `Annotated` is taken off."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [one for member in get_args(annotation) for one in alternatives(member)]
    return [annotation]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation names, by themselves or inside lists, mappings and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inside in get_args(annotation):
        yield from models_in(inside)


def models_at(annotation: Any, given: Any, address: Address) -> Iterator[type[BaseModel]]:
    """The models that describe the value at an address; for plug-ins, the classes that the value names."""
    for one in alternatives(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel):
            model = chosen(one, given) if issubclass(one, Plugin) else one
            field = model.model_fields.get(str(address[0])) if address else None
            below = [field.annotation] if field else []
            if not address:
                yield model
        else:
            below = list(get_args(one)[-1:] if get_origin(one) is dict else get_args(one)) if address else []
        for inside in below:
            yield from models_at(inside, value_at(given, address[:1]), address[1:])


def chosen(base: type[Any], given: Any) -> type[Any]:
    """The class that a value chooses by `type`; the base class if it chooses none that can be loaded."""
    name = given.get("type") if isinstance(given, dict) else given
    try:
        return load(base.plugin_kind, name) if isinstance(name, str) else base
    except UserError:
        return base
