"""What `--help` prints: every key of a recipe with type, default and documentation, and the options of the trainers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from warmup_rl.base.config import descriptions
from warmup_rl.base.errors import UserError
from warmup_rl.cli.command import options as command_options
from warmup_rl.interfaces.plugins import TABLE, Kind, Plugin, import_class, load, suggestion
from warmup_rl.interfaces.stage import Stage
from warmup_rl.recipe.schema import Recipe, dump
from warmup_rl.recipe.trainer_args import Option, instead, options
from warmup_rl.recipe.validation_errors import in_words, models_in

_WIDTH = 110
_PLURAL: dict[Kind, str] = {
    "stage": "stages", "domain": "domains", "engine": "engines", "cleaner": "cleaners", "corpus": "corpora",
    "grader": "graders",
}  # fmt: skip
_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def help_text(topic: str) -> str:
    """Help on everything (an empty topic), or on a key, a plug-in (`rlvr`, `kk`, `solver`) or a trainer (`sft.args`).
    Raises `UserError` if there is no such topic."""
    lines = _everything() if not topic else _on(topic.removeprefix("stages.").removeprefix("domains."))
    return "\n".join(lines)


def topics() -> str:
    """What `help` can be asked about, by kind."""
    lines = ["usage: warmup-rl help TOPIC   (a path leads further: sft.args, jsonl.grader.choice)"]
    kinds = [
        ("keys of a recipe", [*Recipe.model_fields]),
        *((_PLURAL[kind], [*names]) for kind, names in TABLE.items()),
    ]
    for title, names in kinds:
        lines += [
            "",
            f"{title}:",
            *textwrap.wrap(", ".join(names), _WIDTH, initial_indent="  ", subsequent_indent="  "),
        ]
    return "\n".join([*lines, "", "warmup-rl train --help prints all of it."])


def _everything() -> Iterator[str]:
    yield from command_options().format_help().splitlines()
    yield from ("", "Keys of a recipe")
    yield from _keys(Recipe, "  ")
    for kind in TABLE:
        yield from ("", f"{_PLURAL[kind].capitalize()} (also pkg.module:Class and ./file.py:Class)")
        yield from _every(kind, "  ")


def _on(topic: str) -> Iterator[str]:
    name, _, rest = topic.partition(".")
    kinds = [kind for kind, names in TABLE.items() if name in names]
    if not kinds and ":" in topic:
        found = import_class(topic, repr(topic))
        if not issubclass(found, Plugin):
            raise UserError(f"no help on {topic!r}: it is not a plug-in. Plug-ins are {', '.join(_PLURAL.values())}.")
        return _plugin(found.plugin_kind, topic, "")
    if kind := next((kind for kind in _PLURAL if kind == topic), None):
        return _every(kind)
    if not kinds and name not in Recipe.model_fields:
        plugins = (name for names in TABLE.values() for name in names)
        topics = [*_PLURAL, *Recipe.model_fields, *_PLURAL.values(), *plugins]
        if topic not in topics:
            raise _no_help(topic, topic, topics)
    if not kinds:
        return _within(Recipe, topic, topic)
    if not rest:
        return (line for kind in kinds for line in _plugin(kind, name, ""))
    plugin = load(kinds[0], name)
    if rest.partition(".")[0] == "args" and issubclass(plugin, Stage):
        return _trainer(name, plugin, rest.removeprefix("args").removeprefix("."))
    return _within(plugin, rest, topic)


def _within(model: type[BaseModel], address: str, topic: str) -> Iterator[str]:
    """Help on the key at a dotted address below a model."""
    if kind := next((kind for kind, plural in _PLURAL.items() if plural == address), None):
        yield f"{address.capitalize()} (--help NAME for the keys of one)"
        yield from (f"  {name:<12}{_summary(load(kind, name))}" for name in TABLE[kind])
        return
    key, _, rest = address.partition(".")
    if key not in model.model_fields:
        raise _no_help(topic, key, model.model_fields)
    field = model.model_fields[key]
    inner = _inner_model(field.annotation)
    held = next((one for one in models_in(field.annotation) if issubclass(one, Plugin)), None)
    if rest and held is not None:
        name, _, below = rest.partition(".")
        plugin = load(held.plugin_kind, name)
        yield from _within(plugin, below, topic) if below else _plugin(held.plugin_kind, name, "")
    elif rest and inner is not None:
        yield from _within(inner, rest, topic)
    else:
        default = _default(field, None)
        yield from _key(key, field, default, descriptions(model).get(key, ""), "")
        if inner is not None:
            yield from _keys(inner, "  ", defaults=default)


def _every(kind: Kind, indent: str = "") -> Iterator[str]:
    """All plug-ins of a kind with their keys."""
    return (line for name in TABLE[kind] for line in ("", *_plugin(kind, name, indent)))


def _plugin(kind: Kind, name: str, indent: str) -> Iterator[str]:
    plugin = load(kind, name)
    yield f"{indent}{kind} {name}: {_summary(plugin)}"
    yield from _keys(plugin, f"{indent}  ")


def _keys(model: type[BaseModel], indent: str, prefix: str = "", defaults: Any = None) -> Iterator[str]:
    """All keys of a model; those of models inside it follow with dotted names."""
    about = descriptions(model)
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        default = _default(field, getattr(defaults, name, None))
        yield from _key(f"{prefix}{name}", field, default, about.get(name, ""), indent)
        inner = _inner_model(field.annotation)
        if inner is not None:
            between = "<name>." if _holds_mapping(field.annotation) else ""
            yield from _keys(inner, indent, f"{prefix}{name}.{between}", default)


def _key(name: str, field: FieldInfo, default: Any, about: str, indent: str) -> Iterator[str]:
    is_shown = default is not None and not (_inner_model(field.annotation) and default)
    value = yaml.safe_dump(dump(default), default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    needed = ", needed" if field.is_required() else ""
    yield f"{indent}{name}{f' = {value}' if is_shown else ''}  ({in_words(field.annotation)}{_bounds(field)}{needed})"
    yield from _wrapped(about, f"{indent}      ")


def _trainer(name: str, stage: type[Stage], only: str) -> Iterator[str]:
    """The options of the trainer that a stage passes its `args` to, or one of them."""
    known, config = options(stage.trainer_config) if stage.trainer_config else {}, stage.trainer_config
    if not known:
        reason = f"the sources of {config} cannot be read" if config else f"{name} passes no options to a trainer"
        raise UserError(f"no help on '{name}.args': {reason}.")
    if only:
        if only not in known:
            raise _no_help(f"{name}.args.{only}", only, known)
        yield from _option(known[only], stage.owned_options.get(only))
        return
    config = config.rpartition(":")[2]
    yield f"{name}.args: options of {config}, as installed"
    homes = dict.fromkeys(option.home for option in known.values())
    for home in sorted(homes, key=lambda home: home != config):
        yield from ("", f"from {home.lstrip('_')}")
        for option in known.values():
            if option.home == home:
                yield from _option(option, stage.owned_options.get(option.name))


def _option(option: Option, owned: str | None) -> Iterator[str]:
    choices = f" [{', '.join(map(str, option.choices))}]" if 0 < len(option.choices) <= 12 else ""
    yield f"  {option.name} = {option.default}  ({option.annotation}){choices}"
    yield from _wrapped(f"Not allowed here: {instead(owned)}" if owned else option.help, "        ")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _summary(plugin: Any) -> str:
    return (plugin.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The one model that a field holds, by itself, in a list or in a mapping; none for plug-ins."""
    return next((model for model in models_in(annotation) if not issubclass(model, Plugin)), None)


def _holds_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(_holds_mapping(inside) for inside in get_args(annotation))


def _bounds(field: FieldInfo) -> str:
    limits = [(sign, getattr(limit, name, None)) for limit in field.metadata for name, sign in _BOUNDS.items()]
    found = [f"{sign} {value}" for sign, value in limits if value is not None]
    return f" {' and '.join(found)}" if found else ""


def _default(field: FieldInfo, inherited: Any) -> Any:
    """The default of a key: that of the model around it, otherwise the field's own."""
    if inherited is not None or field.is_required():
        return inherited
    return field.get_default(call_default_factory=True)


def _no_help(topic: str, word: str, known: Iterable[str]) -> UserError:
    names = list(dict.fromkeys(known))
    near = suggestion(word, names)
    listed = "" if len(names) > 60 else f" Topics: {', '.join(names)}."
    return UserError(f"no help on {topic!r}.{near}{listed}")
