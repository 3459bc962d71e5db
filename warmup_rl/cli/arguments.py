"""Command lines of commands: argparse with `UserError`s that end with the usage, and plug-ins configured by options."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from warmup_rl.base.errors import UserError
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.plugins import TABLE, describe_exception, load, suggestion
from warmup_rl.recipe.document import Document, Origin, parse_value, set_value
from warmup_rl.recipe.validation_errors import complaints

Model = TypeVar("Model", bound=BaseModel)


class Arguments(argparse.ArgumentParser):
    """An argument parser for `python -m warmup_rl COMMAND`, given a sentence about what it does."""

    def __init__(self, command: str, about: str, **options: Any) -> None:
        prog = options.pop("prog", f"python -m warmup_rl {command}")
        super().__init__(prog, description=about, allow_abbrev=False, **options)

    def read(self, arguments: Sequence[str], known: Iterable[str] = ()) -> argparse.Namespace:
        """The parsed command line; `known` names are suggested for an unknown option too. Raises `UserError` if it is
        wrong, or one of the arguments is empty."""
        if "" in arguments:
            self.error("an argument is empty, as a variable of the shell without a value is. Give it a value.")
        found, unknown = self.parse_known_intermixed_args(list(arguments))
        if unknown:
            options = [name for action in self._actions for name in action.option_strings]
            word = unknown[0].partition("=")[0]
            hint = suggestion(word.partition(".")[0], [*options, *known])
            self.error(f"unknown argument {word!r}.{hint}")
        return found

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}\n{self.format_usage().strip()}")


def build(model: type[Model], given: dict[str, Any], where: str, *, by_option: bool = False) -> Model:
    """Builds a config from keys. Raises `UserError` with everything that is wrong with them, and what is allowed.

    Args:
        where: prefix of the messages.
        by_option: each key was given as an option of the command line (`max_ratio` as `--max-ratio`).
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        lines = []
        for address, message in complaints(error, model, given):
            key = ".".join(map(str, address))
            if by_option:
                items = (f"item {part + 1}" if isinstance(part, int) else str(part) for part in address[1:])
                key = ": ".join([option(str(address[0])), *items])
            lines.append(f"{where}: {key}: {message}")
        raise UserError("\n".join(dict.fromkeys(lines))) from None
    except UserError:
        raise
    except Exception as error:  # a plug-in's own validators may raise anything
        raise UserError(f"{where}: {describe_exception(error)}") from None


def option(key: str) -> str:
    """`--max-ratio` for `max_ratio`."""
    return f"--{key.replace('_', '-')}"


def read_settings(settings: Iterable[str], option: str = "") -> dict[str, Any]:
    """Keys from `KEY=VALUE` each, as overrides of a recipe are written. Raises `UserError`."""
    document = Document(option, {})
    for setting in settings:
        key, equals, value = setting.partition("=")
        where = f"{option} {key}".strip()
        try:
            if not equals:
                raise ValueError("KEY=VALUE is needed, such as levels=[3,5].")
            set_value(document, key, parse_value(value, where), Origin(option, key))
        except ValueError as error:
            raise UserError(f"{where}: {error}") from None
    return document.data


def configured_domain(name: str, settings: Iterable[str] = (), file: Path | str | None = None) -> Domain:
    """A domain by its plug-in name, with settings as `KEY=VALUE`. Raises `UserError` if they are wrong.

    Args:
        file: the rows at hand, for a domain that needs a `file` and is given none.
    """
    kind, given = load("domain", name), read_settings(settings, "--set")
    needed = kind.model_fields.get("file")
    if file and needed and needed.is_required():
        given.setdefault("file", str(file))
    found: Domain = build(kind, given, f"domain {name}")
    return found.model_copy(update={"name": name if name in TABLE["domain"] else found.type})
