"""Errors that a user can mend: one root, printed once without a traceback, exit code 2."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


class UserError(Exception):
    """Something given from outside is wrong; the message says where, what was given, what is allowed, how to fix it."""


class RecipeError(UserError):
    """Everything that is wrong with a recipe, all at once.

    Args:
        problems: one line each, ready to print, e.g. ``recipe.yaml:12: stages.2.domain: ...``.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(UserError):
    """A data file or a row of one is broken; the message starts with ``file:line``."""


class SpaceError(UserError):
    """A generator cannot give as many distinct problems as asked for."""


class RunError(UserError):
    """A run directory, a lock, a world size or a stage output is not what the run needs."""


class ContractError(UserError):
    """A model folder does not follow the chat contract that the recipe asks for."""


class Unscorable(Exception):
    """A verifier broke (not the answer). Never turned into an outcome: RLVR skips the rollout, evaluation stops."""


def shown(value: Any) -> str:
    """A value as a message shows it: as in YAML, at most 60 characters."""
    if isinstance(value, dict):
        return f"a mapping with {', '.join(map(str, list(value)[:5]))}" if value else "an empty mapping"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def json_fault(error: json.JSONDecodeError) -> str:
    """What is wrong with JSON, and where in its line."""
    return f"{error.msg.removesuffix(' at')} at column {error.colno}"
