"""YAML 1.2 documents whose values remember where they were written, and dotted addresses into them.

Addresses are for overrides on the command line and for `set` of an arm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from warmup_rl.base.errors import RecipeError, shown
from warmup_rl.base.untrusted import MAX_YAML_CHARACTERS, compose_yaml
from warmup_rl.interfaces.plugins import suggestion

COMMAND_LINE = "command line"

Address = tuple[str | int, ...]
"""A place in nested mappings and lists, e.g. `("stages", 2, "args", "beta")`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: `place` is `recipe.yaml:12` or `command line`, `shown` the address given there."""

    place: str
    shown: str


@dataclass(frozen=True)
class Document:
    """Nested mappings, lists and scalars, which overrides change in place, with origins by address; a value without one
    has its parent's."""

    name: str
    data: dict[str, Any]
    origins: dict[Address, Origin] = field(default_factory=dict)

    def origin(self, address: Address) -> Origin:
        """Where a value was written; if that is not known, where the mapping or list around it was."""
        for length in range(len(address), 0, -1):
            if origin := self.origins.get(address[:length]):
                return Origin(origin.place, dotted((origin.shown, *address[length:])))
        return Origin(self.name, dotted(address))

    def line(self, address: Address, message: str) -> str:
        """One line for the user: place, address as written, message."""
        origin = self.origin(address)
        return ": ".join(filter(None, [origin.place, origin.shown, message]))

    def rename(self, address: Address, key: str) -> None:
        """Gives a value another key, which may lie deeper (`chats.kk`), unless that is taken; its origin stays."""
        *above, old = address
        holder = value_at(self.data, tuple(above))
        value, (*between, last) = holder.pop(old), key.split(".")
        for name in between:
            holder = holder.setdefault(name, {})
        if isinstance(holder, dict):
            holder.setdefault(last, value)
        for known, origin in list(self.origins.items()):
            if known[: len(address)] == address:
                self.origins.setdefault((*above, *between, last, *known[len(address) :]), origin)


def dotted(address: Address) -> str:
    """`stages.2.args.beta`."""
    return ".".join(map(str, address))


def value_at(data: Any, address: Address) -> Any:
    """The value at an address; None if there is none."""
    for key in address:
        if isinstance(data, dict) and key in data:
            data = data[key]
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            return None
    return data


def read_document(path: Path) -> Document:
    """Reads a recipe file. Raises `RecipeError` if it cannot be read or is not UTF-8, and as `parse_document` does."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(MAX_YAML_CHARACTERS + 1)
    except IsADirectoryError:
        raise RecipeError([f"{path}: a folder, where a recipe file (.yaml) is needed."]) from None
    except UnicodeDecodeError as error:
        raise RecipeError([f"{path}: not UTF-8 (byte {error.start}). Save the file as UTF-8."]) from None
    except OSError as error:
        raise RecipeError([f"{path}: cannot be read ({error.strerror})."]) from None
    return parse_document(text, str(path))


def parse_document(text: str, name: str) -> Document:
    """Parses a document with a mapping at the top. Raises `RecipeError` with all duplicate keys and unknown tags."""
    node = _compose(text, name)
    if not isinstance(node, yaml.MappingNode):
        found = {yaml.SequenceNode: "a list", yaml.ScalarNode: "text"}.get(type(node), "nothing")
        raise RecipeError([f"{name}: a recipe is a mapping of keys (run_name, domains, stages, ...), found {found}."])
    reader = _Reader(name)
    return Document(name, reader.read(node), reader.origins)


def parse_value(text: str, name: str) -> Any:
    """A value as written after `=` on the command line: a YAML 1.2 scalar, `[...]` or `{...}`.

    There are no comments: `####` and `a #b` are text. Raises `RecipeError` if it is empty or not valid YAML.
    """
    if not (text := text.strip()):
        raise RecipeError([f"{name}: a value is needed after '='; write null for none, '' for an empty text."])
    node = _compose(text, name)
    if node is None or isinstance(node, yaml.ScalarNode) and not node.style and node.end_mark.index < len(text):
        return text
    return _Reader(name).read(node)


class _Loader(yaml.SafeLoader):
    """Composes nodes with the tags of YAML 1.2's core schema: `1e-6` is a float, `no` a string, `012` the number 12."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


_NULL, _BOOL, _INT, _FLOAT, _STR = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str"))
for _tag, _pattern in {
    _NULL: r"~|null|Null|NULL|",
    _BOOL: r"true|True|TRUE|false|False|FALSE",
    _INT: r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    _FLOAT: r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}.items():
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), None)  # type: ignore[no-untyped-call]


class _Reader:
    """Turns nodes into values, noting origins and collecting problems."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.origins: dict[Address, Origin] = {}
        self.problems: list[str] = []
        self._open: list[yaml.Node] = []

    def read(self, node: yaml.Node) -> Any:
        """The value of a whole document. Raises `RecipeError` with all problems."""
        value = self.value(node, ())
        if self.problems:
            raise RecipeError(self.problems)
        return value

    def value(self, node: yaml.Node, address: Address) -> Any:
        self.origins[address] = Origin(self._place(node), dotted(address))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, address)
        if any(node is outer for outer in self._open):
            return self._problem(node, address, "an alias that contains itself.")
        if not node.tag.endswith((":map", ":seq")):
            return self._problem(node, address, f"unknown tag {node.tag!r}. Write plain mappings, lists and scalars.")
        self._open.append(node)
        if isinstance(node, yaml.MappingNode):
            inside: Any = self._mapping(node, address)
        else:
            inside = [self.value(item, (*address, index)) for index, item in enumerate(node.value)]
        self._open.pop()
        return inside

    def _mapping(self, node: yaml.MappingNode, address: Address) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, address, "a key must be plain text.")
                continue
            key = key_node.value
            inner = (*address, key)
            if key in result:
                self._problem(key_node, inner, f"given twice (first at {self.origins[inner].place}). Remove one.")
                continue
            result[key] = self.value(value_node, inner)
            self.origins[inner] = Origin(self._place(key_node), dotted(inner))
        return result

    def _scalar(self, node: yaml.ScalarNode, address: Address) -> Any:
        text = node.value
        try:
            if node.tag == _NULL:
                return None
            if node.tag == _BOOL:
                return text.lower() == "true"
            if node.tag == _INT:
                return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
            if node.tag == _FLOAT:
                return float(re.sub(r"\.(?=[inIN])", "", text))
        except ValueError:
            return self._problem(node, address, f"{shown(text)} is not of type {node.tag.rpartition(':')[2]}.")
        if node.tag == _STR:
            return text
        return self._problem(node, address, f"unknown tag {node.tag!r}. Write a plain value.")

    def _place(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"

    def _problem(self, node: yaml.Node, address: Address, message: str) -> None:
        self.problems.append(": ".join(filter(None, [self._place(node), dotted(address), message])))


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return compose_yaml(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark and "\n" in text.strip() else ""
        hint = " Indent with spaces." if "\\t" in str(error.problem) else ""
        problem = ": ".join(filter(None, [error.context, error.problem]))
        raise RecipeError([f"{name}{line}: not YAML: {problem}.{hint}"]) from None
    except yaml.YAMLError as error:
        raise RecipeError([f"{name}: not YAML: {' '.join(str(error).split())}"]) from None


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
    """Puts a value with its origin at a dotted address; returns the address with stages as indices. Raises ValueError
    if there is no such stage or list item, the stage is ambiguous, or the address is below a plain value."""
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
    """The stage that an index, an id or a unique type addresses. Raises ValueError if there is none, or several: a type
    that several stages have is refused even if it is the default id of one of them."""
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
