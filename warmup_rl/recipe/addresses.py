"""Dotted addresses into a recipe, as used by overrides on the command line and by `set` of an arm."""

from __future__ import annotations

import copy
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
            address = assign(document.data, written.strip(), value)
        except RecipeError as error:
            problems += error.problems
        except ValueError as error:
            problems.append(f"{COMMAND_LINE}: {written}: {error}")
        else:
            keys = written.strip().split(".")
            for length in range(1, len(keys)):  # mappings made on the way
                document.origins.setdefault(address[:length], Origin(COMMAND_LINE, ".".join(keys[:length])))
            _own(document, address, Origin(COMMAND_LINE, written.strip()))
    return problems


def set_in_arm(
    document: Document, arm: str, settings: dict[str, Any], stages: list[Any]
) -> tuple[Document, dict[str, tuple[int, str]]]:
    """Applies an arm's `set` to a copy of `stages`, the recipe's as mappings.

    Addresses of `set` start at a stage: `rlvr.reward`, `after_sft.problems`.

    Returns:
        A document with the changed stages, and for each address of `set` the stage's index and what is wrong, if any.
    """
    changed = Document(document.name, {"stages": copy.deepcopy(stages)}, dict(document.origins))
    found: dict[str, tuple[int, str]] = {}
    for written, value in settings.items():
        try:
            address = assign(changed.data, f"stages.{written}", copy.deepcopy(value))
            if address[2] in ("name", "id"):
                raise ValueError("an arm cannot make a stage another one. Leave it out in some arms instead.")
        except ValueError as error:
            found[written] = (-1, str(error))
        else:
            home: Address = ("arms", arm, "set", written)
            _own(changed, address, document.origin(home))
            found[written] = (int(address[1]), "")
    return changed, found


def assign(data: dict[str, Any], written: str, value: Any) -> Address:
    """Puts a value at a dotted address, making mappings on the way; returns the address with stages as indices.

    Raises:
        ValueError: no such stage or list item, an ambiguous stage, or a way through a plain value.
    """
    keys = written.split(".")
    if not all(keys):
        raise ValueError("an address is keys joined by single dots.")
    address: Address = ()
    for position, key in enumerate(keys):
        holder = value_at(data, address)
        step: str | int = key
        if address == ("stages",) and isinstance(holder, list):
            step = stage_index(holder, key)
        elif isinstance(holder, list):
            step = _item_index(holder, key, address)
        last = position == len(keys) - 1
        if last and isinstance(step, int) and address == ("stages",):
            raise ValueError("name a key of the stage, e.g. stages.sft.args.learning_rate.")
        _put(holder, step, value) if last else _make_way(holder, step, (*address, step))
        address = (*address, step)
    return address


def stage_index(stages: list[Any], key: str) -> int:
    """The stage that an index, an id or a unique name addresses.

    A name that several stages bear is refused even where one of them has it as its unwritten id.

    Raises:
        ValueError: none or several fit; the message lists the candidates.
    """
    if key.isdigit():
        if int(key) < len(stages):
            return int(key)
        raise ValueError(f"there are {len(stages)} stages, 0 to {len(stages) - 1}.")
    written = [index for index, stage in enumerate(stages) if isinstance(stage, dict) and stage.get("id") == key]
    if len(written) > 1:
        raise ValueError(f"several stages have the id {key!r}. Give each an id of its own.")
    if written and not _shares_name(stages, written[0], key):
        return written[0]
    named = [index for index, stage in enumerate(stages) if _name(stage) == key]
    if len(named) == 1:
        return named[0]
    if named:
        candidates = ", ".join(_unambiguous(stages, index) for index in named)
        raise ValueError(f"{len(named)} stages are named {key!r}. Address one of them by id or index: {candidates}.")
    ids = [own for stage in stages if (own := stage_id(stage))]
    raise ValueError(f"no such stage.{suggestion(key, ids)} Stages: {', '.join(ids)}.")


def stage_id(stage: Any) -> str:
    """The id of a stage as written: `id`, else its name."""
    return str(stage.get("id") or _name(stage)) if isinstance(stage, dict) else str(stage)


def _name(stage: Any) -> str:
    return str(stage.get("name", "")) if isinstance(stage, dict) else str(stage)


def _shares_name(stages: list[Any], index: int, key: str) -> bool:
    return _name(stages[index]) == key and sum(_name(stage) == key for stage in stages) > 1


def _unambiguous(stages: list[Any], index: int) -> str:
    own = stage_id(stages[index])
    unique = own != _name(stages[index]) and [stage_id(stage) for stage in stages].count(own) == 1
    return own if unique else str(index)


def _item_index(items: list[Any], key: str, address: Address) -> int:
    if key.isdigit() and int(key) < len(items):
        return int(key)
    raise ValueError(f"{dotted(address)} is a list of {len(items)}: give an index below {len(items)}, got {key!r}.")


def _put(holder: Any, step: str | int, value: Any) -> None:
    holder[step] = value


def _make_way(holder: Any, step: str | int, address: Address) -> None:
    """Makes holder[step] something to enter: what is missing or null becomes a mapping, a plug-in's bare name too."""
    inside = holder[step] if isinstance(step, int) else holder.get(step)
    if inside is None:
        holder[step] = {}
    elif isinstance(inside, str) and address[0] == "stages":
        holder[step] = {"name": inside} if len(address) == 2 else {"type": inside}
    elif not isinstance(inside, dict | list):
        raise ValueError(f"{dotted(address)} is {inside!r}: there is nothing inside it to set.")


def _own(document: Document, address: Address, origin: Origin) -> None:
    """Gives an address and all below it a new origin."""
    for known in [known for known in document.origins if known[: len(address)] == address]:
        del document.origins[known]
    document.origins[address] = origin
