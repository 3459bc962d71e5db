"""Usual column names in data files, by content: the table for all readers of rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

COLUMNS: dict[str, tuple[str, ...]] = {
    "question": (
        "question", "quiz", "problem", "prompt", "instruction", "input", "query", "stem", "messages",
    ),
    "gold": (
        "gold", "gold_answer", "final_answer", "ground_truth", "correct_answer", "right_answer", "correct_option",
        "answer_key", "answerkey", "reference", "target", "expected", "answer", "solution",
    ),
    "response": ("response", "completion", "output", "generation", "trace", "text", "content", "messages"),
    "thinking": ("thinking", "reasoning", "reasoning_content"),
    "options": ("options", "choices", "classes", "answer_choices"),
    "tests": ("tests", "test_list", "test", "assertions"),
    "teacher": ("teacher", "model"),
}  # fmt: skip
"""Column names by content, the most explicit first."""
_STEP = re.compile(r"\.([^.\[\]]+)|\[(-?\d+|[a-z]+)\]")
_ROLES = {"user": ("user", "human"), "assistant": ("assistant", "gpt", "model"), "system": ("system",)}


def find_column(columns: Iterable[str], content: str, taken: Collection[str] = ()) -> str | None:
    """The column with this content by its usual names; upper case, spaces and hyphens do not matter.

    Args:
        columns: names of the existing columns (or a row).
        content: a key of `COLUMNS`.
        taken: columns with other content.
    """
    return _find(tuple(columns), content, frozenset(taken))


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """The value of a column, or of what a path names inside one; None if it is not there.

    Args:
        path: a column, followed by keys and positions, as in `answers.text[0]`; `messages[user]` is the text of the
            last turn of that role in a conversation.
    """
    if path in row or path.strip() in row:
        return row.get(path, row.get(path.strip()))
    start = min((place for mark in ".[" if (place := path.find(mark)) > 0), default=len(path))
    name, rest = path[:start], path[start:]
    if name not in row or _STEP.sub("", rest):
        return None
    value = row[name]
    for key, place in _STEP.findall(rest):
        if key:
            value = value.get(key) if isinstance(value, Mapping) else None
        elif not isinstance(value, list | tuple):
            return None
        elif place in _ROLES:
            value = next((text for role, text in map(_turn, reversed(value)) if role in _ROLES[place]), None)
        else:
            value = (
                value[int(place)] if place.lstrip("-").isdecimal() and -len(value) <= int(place) < len(value) else None
            )
    return value


def is_conversation(value: Any) -> bool:
    """Whether a value is a list of chat turns."""
    return isinstance(value, list | tuple) and bool(value) and all(_turn(turn)[0] is not None for turn in value)


def _turn(turn: Any) -> tuple[Any, Any]:
    """Role and text of a chat turn, in either of its usual forms."""
    found = turn if isinstance(turn, Mapping) else {}
    return found.get("role", found.get("from")), found.get("content", found.get("value"))


def plain_name(column: str) -> str:
    """`ground_truth` for `Ground Truth`."""
    return column.strip().lower().replace(" ", "_").replace("-", "_")


@lru_cache(maxsize=256)
def _find(columns: tuple[str, ...], content: str, taken: frozenset[str]) -> str | None:
    found = {plain_name(str(column)): column for column in columns if column not in taken}
    return next((found[name] for name in COLUMNS[content] if name in found), None)
