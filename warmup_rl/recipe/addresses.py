"""Dotted addresses into a recipe: for overrides on the command line and for `set` of an arm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from warmup_rl.base.errors import RecipeError
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.recipe.yaml_source import Address, Document, Origin, dotted, parse_value, value_at

COMMAND_LINE = "command line"


def override(document: Document, overrides: Iterable[str]) -> list[str]:
    """Applies `address=value` texts to a document in place; returns one line for each that cannot be applied."""
    problems: list[str] = []
    for text in overrides:
        written, equals, value_text = text.partition("=")
        try:
            if not equals or not written.strip():
                raise ValueError("write it as address=value, e.g. stages.sft.args.learning_rate=1e-6.")
            value = parse_value(value_text, f"{COMMAND_LINE}: {written}")
            set_value(document, written.strip(), value, Origin(COMMAND_LINE, written.strip()))
        except RecipeError as error:
            problems += error.problems
        except ValueError as error:
            problems.append(f"{COMMAND_LINE}: {written}: {error}")
    return problems


def set_value(document: Document, written: str, value: Any, origin: Origin) -> Address:
    """Puts a value with its origin at a dotted address; returns the address with stages as indices.

    Raises:
        ValueError: there is no such stage or list item, the stage is ambiguous, or the address is below a plain value.
    """
    address = _assign(document.data, written, value)
    names = origin.shown.split(".")
    for length in range(1, len(address)):  # mappings made on the way
        around = Origin(origin.place, ".".join(names[: length - len(address)]))
        document.origins.setdefault(address[:length], around)
    for known in [known for known in document.origins if known[: len(address)] == address]:
        del document.origins[known]
    document.origins[address] = origin
    return address


def _assign(data: dict[str, Any], written: str, value: Any) -> Address:
    keys = written.split(".")
    if not all(keys):
        raise ValueError("an address is keys joined by single dots.")
    address: Address = ()
    for position, key in enumerate(keys):
        holder = value_at(data, address)
        step: str | int = key
        if address == ("stages",) and isinstance(holder, list):
            step = stage_index(holder, key)
            if position == len(keys) - 1:
                raise ValueError("name a key of the stage, e.g. stages.sft.args.learning_rate.")
        elif isinstance(holder, list):
            if not (key.isdigit() and int(key) < len(holder)):
                what = f"{dotted(address)} is a list of {len(holder)}"
                raise ValueError(f"{what}: give an index below {len(holder)}, got {key!r}.")
            step = int(key)
        address = (*address, step)
        if position == len(keys) - 1:
            holder[step] = value
        else:
            _make_mapping(holder, step, address)
    return address


def stage_index(stages: list[Any], key: str) -> int:
    """The stage that an index, an id or a unique type addresses.

    A type that several stages have is refused even if it is the default id of one of them.

    Raises:
        ValueError: there is none, or there are several; the message lists the candidates.
    """
    if key.isdigit():
        if int(key) < len(stages):
            return int(key)
        raise ValueError(f"there are {len(stages)} stages, 0 to {len(stages) - 1}.")
    with_id = [index for index, stage in enumerate(stages) if isinstance(stage, dict) and stage.get("id") == key]
    of_type = [index for index, stage in enumerate(stages) if _default_id(stage) == key]
    if len(with_id) > 1:
        raise ValueError(f"several stages have the id {key!r}. Give each an id of its own.")
    if with_id and not (with_id[0] in of_type and len(of_type) > 1):
        return with_id[0]
    if len(of_type) == 1:
        return of_type[0]
    ids = [stage_id(stage) for stage in stages]
    if of_type:
        unique = [ids[index] if ids[index] != key and ids.count(ids[index]) == 1 else str(index) for index in of_type]
        raise ValueError(
            f"{len(of_type)} stages have the type {key!r}. Address one of them by id or index: {', '.join(unique)}."
        )
    raise ValueError(f"no such stage.{suggestion(key, ids)} Stages: {', '.join(filter(None, ids))}.")


def stage_id(stage: Any) -> str:
    """The id of a stage as written: `id`, or its type; for an import string, the name of the class."""
    return str(isinstance(stage, dict) and stage.get("id") or _default_id(stage))


def _default_id(stage: Any) -> str:
    return str(stage.get("type", "") if isinstance(stage, dict) else stage).rpartition(":")[2]


def _make_mapping(holder: Any, step: str | int, address: Address) -> None:
    """Makes holder[step] a mapping if it is missing or the bare name of a plug-in."""
    inside = holder[step] if isinstance(step, int) else holder.get(step)
    if inside is None:
        holder[step] = {}
    elif isinstance(inside, str) and address[0] == "stages":
        holder[step] = {"type": inside}
    elif not isinstance(inside, dict | list):
        raise ValueError(f"{dotted(address)} is {inside!r}: there is nothing inside it to set.")
