"""The usual names of columns in files of rows, by what the columns hold: the one table for all readers of rows."""

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
    """The column that usually holds something; upper case, spaces and hyphens in its name do not matter.

    Args:
        columns: names of the columns that there are (a row will do).
        content: a key of `COLUMNS`.
        taken: columns that hold something else.
    """
    return _find(tuple(columns), content, frozenset(taken))


def plain_name(column: str) -> str:
    """`ground_truth` for `Ground Truth`."""
    return column.strip().lower().replace(" ", "_").replace("-", "_")


@lru_cache(maxsize=256)
def _find(columns: tuple[str, ...], content: str, taken: frozenset[str]) -> str | None:
    found = {plain_name(str(column)): column for column in columns if column not in taken}
    return next((found[name] for name in COLUMNS[content] if name in found), None)
