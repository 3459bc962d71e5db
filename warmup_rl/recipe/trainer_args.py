"""The options of TRL's and transformers' trainer configs, read from their installed sources without importing them."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from warmup_rl.base.errors import UserError, shown
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.recipe.trainer_spellings import LATE_CHOICES, LEAST, MODEL_KEYWORDS, OLD_SPELLINGS

Trainer = Literal["hf", "sft", "grpo", "dpo"]
"""Whose options: transformers' TrainingArguments, TRL's SFTConfig, GRPOConfig, DPOConfig."""

CLASSES: dict[Trainer, str] = {
    "hf": "TrainingArguments", "sft": "SFTConfig", "grpo": "GRPOConfig", "dpo": "DPOConfig"
}  # fmt: skip
_BASE = ("transformers", "training_args.py")
_FILES: dict[Trainer, tuple[tuple[str, str], ...]] = {
    "hf": (_BASE,),
    "sft": (_BASE, ("trl", "trainer/base_config.py"), ("trl", "trainer/sft_config.py")),
    "grpo": (_BASE, ("trl", "trainer/base_config.py"), ("trl", "trainer/grpo_config.py")),
    "dpo": (_BASE, ("trl", "trainer/base_config.py"), ("trl", "trainer/dpo_config.py")),
}
_PLAIN: dict[str, tuple[type, ...]] = {
    "int": (int,), "float": (int, float), "str": (str,), "bool": (bool,), "dict": (dict,), "list": (list,)
}  # fmt: skip
_WORDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "dict": "a mapping",
          "list": "a list", "None": "null"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Option:
    """A field of a trainer config.

    Attributes:
        annotation: its type as written in the source.
        default: its default as written in the source.
        choices: all values that are allowed; empty where the type says everything.
        home: the class that declares it.
    """

    name: str
    annotation: str
    default: str
    help: str
    choices: tuple[Any, ...]
    home: str


def trainer_of(config: str) -> Trainer | None:
    """The trainer whose config class an import string names, such as `trl:SFTConfig`; None for one unknown here."""
    return next((trainer for trainer, name in CLASSES.items() if config.rpartition(":")[2] == name), None)


@cache
def options(trainer: Trainer) -> dict[str, Option]:
    """All options of a trainer config by name. Raises `UserError` where its package is not installed."""
    found: dict[str, Option] = {}
    for package, file in _FILES[trainer]:
        for config in _classes(package, file):
            if config.name in (CLASSES[trainer], "_BaseConfig", "TrainingArguments"):
                found |= {option.name: option for option in _fields(config, trainer)}
    return found


def wrong_options(
    trainer: Trainer, args: Mapping[str, Any], owned: Mapping[str, str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Keys (relative to `args`) and messages of what a trainer config would refuse, ignore, or not decide.

    Args:
        owned: options that the stage sets itself: the recipe's key to use, or a sentence that says why not.
    """
    known = options(trainer)
    for name, value in args.items():
        if name in owned:
            yield (name,), f"not here: {instead(owned[name])}"
        elif name not in known:
            yield (name,), f"unknown key (got {shown(value)}).{_hint(name, trainer, owned)}"
        elif message := _wrong_value(known[name], value):
            yield (name,), message
    inner = args.get("model_init_kwargs")
    if isinstance(inner, dict):
        for name in MODEL_KEYWORDS.keys() & inner:
            yield ("model_init_kwargs", name), f"unknown key (got {shown(inner[name])}). {MODEL_KEYWORDS[name]}"


def instead(owner: str) -> str:
    """What to do about an option that a stage sets itself, from its entry in the stage's `owned_options`."""
    return f"{owner.removesuffix('.')}." if " " in owner else f"use {owner!r}."


def _hint(name: str, trainer: Trainer, owned: Mapping[str, str]) -> str:
    """What is written today for an unknown option; what the stage sets itself leads on to the recipe's key."""
    known = options(trainer)
    hint = f" {OLD_SPELLINGS[name]}" if name in OLD_SPELLINGS else suggestion(name, known)
    meant = re.match(r" (?:Use|Did you mean) '(\w+)", hint)
    if meant and meant[1] in owned:
        return f" {meant[1]!r} is not here either: {instead(owned[meant[1]])}"
    if not hint or meant and meant[1] not in known:
        return f" {CLASSES[trainer]} has no such option."
    return hint


def _wrong_value(option: Option, value: Any) -> str | None:
    alternatives = list(_alternatives(ast.parse(option.annotation, mode="eval").body))
    if option.choices:
        nullable = value is None and any(_base(node) == "None" for node in alternatives)
        if nullable or any(value == choice and type(value) is type(choice) for choice in option.choices):
            return None
        hint = suggestion(value, [c for c in option.choices if isinstance(c, str)]) if isinstance(value, str) else ""
        allowed = ", ".join(shown(choice).strip("'") for choice in option.choices)
        return f"allowed: {allowed} (got {shown(value)}).{hint}"
    if any(_fits(node, value) for node in alternatives):
        least = LEAST.get(option.name)
        is_less = least is not None and isinstance(value, int | float) and value < least
        return f"must be at least {least} (got {shown(value)})." if is_less else None
    return f"{' or '.join(_WORDS[_base(node)] for node in alternatives)} is needed (got {shown(value)})."


def _fits(node: ast.expr, value: Any) -> bool:
    base = _base(node)
    if base == "None" or base not in _PLAIN:
        return value is None or base != "None"
    if isinstance(value, bool) and base != "bool":
        return False
    if base == "list" and isinstance(value, list) and isinstance(node, ast.Subscript):
        return all(any(_fits(inner, item) for inner in _alternatives(node.slice)) for item in value)
    return isinstance(value, _PLAIN[base])


def _alternatives(node: ast.expr) -> Iterator[ast.expr]:
    """The members of a union; a string annotation is parsed."""
    if isinstance(node, ast.BinOp):
        yield from _alternatives(node.left)
        yield from _alternatives(node.right)
    elif isinstance(node, ast.Subscript) and _base(node) in ("Optional", "Union"):
        members: list[ast.expr] = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for member in members:
            yield from _alternatives(member)
        if _base(node) == "Optional":
            yield ast.Constant(None)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _alternatives(ast.parse(node.value, mode="eval").body)
    else:
        yield node


def _base(node: ast.expr) -> str:
    return ast.unparse(node.value if isinstance(node, ast.Subscript) else node)


def _fields(config: ast.ClassDef, trainer: Trainer) -> Iterator[Option]:
    for statement in config.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name, annotation = statement.target.id, ast.unparse(statement.annotation)
        if annotation.startswith("ClassVar"):
            continue
        parts = _field_call(statement.value)
        default = parts.get("default") or parts.get("default_factory")
        yield Option(
            name=name,
            annotation=annotation,
            default=ast.unparse(default) if default is not None else "",
            help=" ".join(str(_constant(_metadata(parts, "help")) or "").replace("%%", "%").split()),
            choices=LATE_CHOICES.get((trainer, name)) or _choices(parts, statement.annotation),
            home=config.name,
        )


def _field_call(value: ast.expr | None) -> dict[str, ast.expr]:
    if isinstance(value, ast.Call) and _base(value.func) == "field":
        return {keyword.arg: keyword.value for keyword in value.keywords if keyword.arg}
    return {"default": value} if value is not None else {}


def _metadata(parts: dict[str, ast.expr], key: str) -> ast.expr | None:
    metadata = parts.get("metadata")
    if not isinstance(metadata, ast.Dict):
        return None
    pairs = zip(metadata.keys, metadata.values, strict=True)
    return next((value for name, value in pairs if isinstance(name, ast.Constant) and name.value == key), None)


def _constant(node: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else None
    except ValueError:
        return None


def _choices(parts: dict[str, ast.expr], annotation: ast.expr) -> tuple[Any, ...]:
    """Choices that the field's metadata lists, or those of an enumeration in its type."""
    listed = _constant(_metadata(parts, "choices"))
    if listed:
        return tuple(listed)
    alternatives = list(_alternatives(annotation))
    if any(_base(node) == "list" for node in alternatives):
        return ()
    return next((values for node in alternatives if (values := _enumerations().get(_base(node)))), ())


@cache
def _enumerations() -> dict[str, tuple[str, ...]]:
    files = ("training_args.py", "trainer_utils.py")
    classes = [found for file in files for found in _classes("transformers", file)]
    return {
        found.name: tuple(
            statement.value.value
            for statement in found.body
            if isinstance(statement, ast.Assign)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
        )
        for found in classes
        if any(_base(base) == "ExplicitEnum" for base in found.bases)
    }


@cache
def _classes(package: str, file: str) -> tuple[ast.ClassDef, ...]:
    """The classes at the top of a file of an installed package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{package} is not installed, so trainer options cannot be checked: pip install {package}")
    path = Path(spec.submodule_search_locations[0]) / file
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"{package} has no {file}: this version is unknown here. See pyproject.toml.") from None
    return tuple(node for node in tree.body if isinstance(node, ast.ClassDef))
