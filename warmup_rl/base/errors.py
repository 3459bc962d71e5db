"""Errors that a user can fix: one base class, printed without a traceback, exit code 2."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


class UserError(Exception):
    """Invalid input; the message says where it is, what was given, what is allowed and how to fix it."""


class RecipeError(UserError):
    """All errors in a recipe, a printable line each, e.g. ``recipe.yaml:12: stages.2.domain: ...``."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(UserError):
    """A data file or one of its rows is invalid; the message starts with ``file:line``."""


class NoGold(DataError):
    """A row with a question has no reference answer."""


class RowLeftOut(DataError):
    """A row that is sound but cannot be used: readers of a data set leave it out and count it under `reason`."""

    def __init__(self, message: str, reason: str) -> None:
        self.reason = reason
        super().__init__(message)


class SpaceError(UserError):
    """A generator has fewer distinct problems than requested."""


class RunError(UserError):
    """A run directory, lock, world size or stage output does not fit the run."""


class ContractError(UserError):
    """A model folder does not follow the chat contract of the recipe."""


class Unscorable(Exception):
    """The grader failed, not the answer. It never becomes an outcome: RLVR skips the rollout, evaluation stops."""


def first_line(error: BaseException) -> str:
    """The first line of a library's message, with the next one where it only announces that; the error's class where
    there is none."""
    if isinstance(error, KeyError) and " " not in str(error):
        return f"unknown {error}"  # its text is the key alone
    first, *rest = str(error).strip().splitlines() or [type(error).__name__]
    return f"{first} {rest[0].strip()}" if first.endswith(":") and rest else first


@contextmanager
def refused(before: str, after: str = "", *, control: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Raises `UserError` for whatever a library raises, whose kinds nobody can list: its first line between two parts
    of a message.

    Args:
        control: does the same with nothing of the user's in it. Where that fails as well, the fault is not the user's,
            and the error stays as it is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        control()
        raise UserError(f"{before}{first_line(error)}{after}") from None


def listed(names: Iterable[object], most: int = 20) -> str:
    """Names as displayed in messages: at most so many of them."""
    every = list(map(str, names))
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def shown(value: Any) -> str:
    """A value as displayed in messages: as in YAML, at most 60 characters."""
    if isinstance(value, dict):
        return f"a mapping with {', '.join(map(str, list(value)[:5]))}" if value else "an empty mapping"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
