"""Command lines of commands: argparse whose complaints are `UserError`s that end with the usage."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from warmup_rl.base.errors import UserError
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.recipe.validation_errors import complaints

Model = TypeVar("Model", bound=BaseModel)


class Arguments(argparse.ArgumentParser):
    """An argument parser for `python -m warmup_rl VERB`.

    Args:
        verb: its name.
        about: what it does, one sentence.
    """

    def __init__(self, command: str, about: str, **options: Any) -> None:
        super().__init__(prog=f"python -m warmup_rl {command}", description=about, allow_abbrev=False, **options)

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The parsed command line. Raises `UserError` where it is wrong."""
        found, unknown = self.parse_known_args(list(arguments))
        if unknown:
            options = [name for action in self._actions for name in action.option_strings]
            self.error(f"unknown argument {unknown[0]!r}.{suggestion(unknown[0], options)}")
        return found

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}\n{self.format_usage().strip()}")


def built(model: type[Model], given: dict[str, Any], place: str) -> Model:
    """A model out of keys. Raises `UserError` with all that is wrong with them, each with what is allowed."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = complaints(error, model, given)
        lines = [f"{place}: {'.'.join(map(str, address))}: {message}" for address, message in found]
        raise UserError("\n".join(lines)) from None
