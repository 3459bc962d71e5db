"""What pydantic finds wrong, said in the recipe's words: what was given, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from warmup_rl.base.errors import UserError, shown
from warmup_rl.interfaces.cleaner import Cleaner
from warmup_rl.interfaces.corpus import Corpus
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.engine import Engine
from warmup_rl.interfaces.plugins import Kind, load, suggestion
from warmup_rl.interfaces.stage import Stage
from warmup_rl.recipe.yaml_source import Address, value_at

_BASES: dict[Kind, type[BaseModel]] = {
    "domain": Domain, "engine": Engine, "cleaner": Cleaner, "corpus": Corpus, "stage": Stage
}  # fmt: skip
_TYPES = {
    "int": "a whole number is needed",
    "float": "a number is needed",
    "bool": "true or false is needed",
    "string": "text is needed",
    "list": "a list is needed",
    "tuple": "a list is needed",
    "set": "a list is needed",
    "dict": "a mapping is needed",
    "mapping": "a mapping is needed",
    "model": "a mapping of keys is needed",
    "path": "a path is needed",
    "none": "null",
}
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
    """Address (relative to `given`) and message of everything that is wrong; alternatives of a union are joined."""
    found: dict[Address, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        found.setdefault(_inside(details, given), []).append(details)
    for address, all_details in found.items():
        all_details = _of_the_meant_alternative(address, all_details, found)
        if not all_details:
            continue
        message = _message(model, given, address, all_details)
        key, colon, rest = message.partition(": ")  # a validator of a whole model names the key itself
        of_model = bool(colon) and all_details[0]["type"] == "value_error"
        names_key = of_model and key in allowed_keys(model, given, address)
        yield ((*address, key), rest) if names_key else (address, message)


def _of_the_meant_alternative(
    address: Address, all_details: list[ErrorDetails], found: Iterable[Address]
) -> list[ErrorDetails]:
    """Without the types of a union's other alternatives where one has the right type and is wrong further inside."""
    further = [details for details in all_details if not _is_type(details)]
    below = any(len(other) > len(address) and other[: len(address)] == address for other in found)
    return further if below or any(details["type"] in _LIMITS for details in further) else all_details


def _is_type(details: ErrorDetails) -> bool:
    return details["type"].endswith(("_type", "_parsing", "_from_float"))


def coercions(given: Any, built: Any) -> Iterator[tuple[Address, str]]:
    """Address and message of every scalar that was read as another type: `'60'` or `true` as number, `yes` as true.

    Args:
        given: as written.
        built: the same, validated and dumped.
    """
    if isinstance(given, dict) and isinstance(built, dict) or isinstance(given, list) and isinstance(built, list):
        for key in given if isinstance(given, dict) else range(len(given)):
            inside = value_at(built, (key,))
            yield from (((key, *address), message) for address, message in coercions(value_at(given, (key,)), inside))
    elif isinstance(given, bool | str) and isinstance(built, bool | int | float) and type(given) is not type(built):
        yield (), f"{_TYPES[type(built).__name__]} (got {shown(given)})."


def _message(model: type[BaseModel], given: Any, address: Address, all_details: list[ErrorDetails]) -> str:
    value, first = value_at(given, address), all_details[0]
    if first["type"] == "extra_forbidden":
        allowed = sorted(allowed_keys(model, given, address[:-1]))
        hint = suggestion(str(address[-1]), allowed) or f" Allowed: {', '.join(allowed)}."
        return f"unknown key (got {shown(value)}).{hint}"
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
    wraps = texts == [_TYPES["list"]] and address != ("stages",) and isinstance(value, int | float | str)
    example = f", e.g. [{value}]" if wraps else ""
    return f"{texts[0]} (got {shown(value)}){example}.{hint}"


def _text(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in ("literal_error", "enum"):
        return f"allowed: {context['expected']}"
    if kind in _LIMITS:
        text = _LIMITS[kind].format(**context)
        return re.sub(r"got \((.*)\)$", r"got [\1]", text)  # a list of the recipe is a tuple to validators
    return _TYPES.get(kind.partition("_")[0], details["msg"][:1].lower() + details["msg"][1:])


def _options(details: ErrorDetails) -> list[str]:
    expected = str(details.get("ctx", {}).get("expected", ""))
    return [part for part in expected.split("'")[1::2]]


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
    return {key for found in _models_at(model, given, address) for key in _yaml_keys(found)}


def _yaml_keys(model: type[BaseModel]) -> set[str]:
    hidden = {"name"} if issubclass(model, Domain) else set()
    named = {"type"} if issubclass(model, Domain | Engine | Cleaner | Corpus) else set()
    return {*model.model_fields, *named, *({"name"} if issubclass(model, Stage) else ())} - hidden


def _documentation(model: type[BaseModel], given: Any, address: Address) -> str:
    for found in _models_at(model, given, address[:-1]):
        if field := found.model_fields.get(str(address[-1])):
            return (field.description or "").split("\n")[0]
    return ""


def _models_at(model: type[BaseModel], given: Any, address: Address) -> list[type[BaseModel]]:
    """The models that the value at an address may be read as, going down annotations and chosen plug-ins."""
    annotations: list[Any] = [model]
    for position, step in enumerate(address):
        below: list[Any] = []
        for annotation in annotations:
            for found in _leaves(annotation):
                if isinstance(found, type) and issubclass(found, BaseModel):
                    field = found.model_fields.get(str(step))
                    below += [field.annotation] if field else []
                else:
                    below += get_args(found)[-1:] if get_origin(found) is dict else get_args(found)
        annotations = [_chosen(leaf, value_at(given, address[: position + 1])) for a in below for leaf in _leaves(a)]
    return [found for found in annotations if isinstance(found, type) and issubclass(found, BaseModel)]


def _leaves(annotation: Any) -> list[Any]:
    """The alternatives of a union, `Annotated` taken off."""
    if hasattr(annotation, "__metadata__"):
        return _leaves(get_args(annotation)[0])
    origin = get_origin(annotation)
    if origin is not None and origin not in (dict, list, tuple, set, frozenset) and get_args(annotation):
        return [leaf for inside in get_args(annotation) for leaf in _leaves(inside)]
    return [annotation]


def _chosen(annotation: Any, given: Any) -> Any:
    """The plug-in that a value names, for an annotation that is a plug-in's base class."""
    kind = next((kind for kind, base in _BASES.items() if annotation is base), None)
    name = given.get("type") if isinstance(given, dict) else given
    if kind is None or not isinstance(name, str):
        return annotation
    try:
        return load(kind, name)
    except UserError:
        return annotation
