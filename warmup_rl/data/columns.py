"""Usual column names in data files, by content: the table for all readers of rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

COLUMNS: dict[str, tuple[str, ...]] = {
    "question": (
        "question", "quiz", "problem", "prompt", "instruction", "input", "query", "stem", "messages",
    ),
    "gold": (
        "gold", "gold_answer", "final_answer", "ground_truth", "correct_answer", "correct_option", "answer_key",
        "answerkey", "reference", "target", "expected", "answer", "solution",
    ),
    "response": ("response", "completion", "output", "generation", "trace", "text", "content", "messages"),
    "thinking": ("thinking", "reasoning", "reasoning_content"),
    "options": ("options", "choices"),
    "tests": ("tests", "test_list", "test", "assertions"),
    "teacher": ("teacher", "model"),
}  # fmt: skip
"""Column names by content, the most explicit first."""


def find_column(columns: Iterable[str], content: str, taken: Collection[str] = ()) -> str | None:
    """The column with this content by its usual names; upper case, spaces and hyphens do not matter.

    Args:
        columns: names of the existing columns (or a row).
        content: a key of `COLUMNS`.
        taken: columns with other content.
    """
    return _find(tuple(columns), content, frozenset(taken))


def plain_name(column: str) -> str:
    """`ground_truth` for `Ground Truth`."""
    return column.strip().lower().replace(" ", "_").replace("-", "_")


@lru_cache(maxsize=256)
def _find(columns: tuple[str, ...], content: str, taken: frozenset[str]) -> str | None:
    found = {plain_name(str(column)): column for column in columns if column not in taken}
    return next((found[name] for name in COLUMNS[content] if name in found), None)
