"""Types of config fields: their names in messages and `--help`, and the models in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from warmup_rl.base.errors import UserError
from warmup_rl.interfaces.plugins import Plugin, load
from warmup_rl.recipe.yaml_source import Address, value_at

WORDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "Path": "a path",
    "list": "a list", "tuple": "a list", "set": "a list", "frozenset": "a list", "dict": "a mapping",
    "NoneType": "null", "Any": "any value",
}  # fmt: skip
"""Types by their Python names."""


def needed(words: Iterable[str]) -> str:
    """`a whole number or null is needed`."""
    return f"{' or '.join(dict.fromkeys(words))} is needed"


def word(annotation: Any) -> str:
    """One type in words, without what is inside it: `a list` for `list[int]`."""
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
    """The models that the value at an address may be read as; of plug-ins, those that the value names."""
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
