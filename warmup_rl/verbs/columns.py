"""What a user's file seems to hold: its columns, which of them is the question, which the answer, and how to grade."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmup_rl.grading.latex import clean
from warmup_rl.grading.numbers import rational
from warmup_rl.knights.english import ROLES

QUESTIONS = ("question", "problem", "prompt", "input", "instruction", "query", "text", "quiz")
ANSWERS = ("answer", "solution", "gold", "label", "target", "output", "response", "expected", "result")
OPTIONS = ("options", "choices")
TESTS = ("tests", "test_list", "test", "assertions")
_KK = re.compile(rf"\bis an? (?:{'|'.join(word for pair in ROLES for word in (pair.truthful, pair.liar))})\b")
_LATEX = re.compile(r"\\[a-zA-Z]+|\^|_\{|\bsqrt\b|[a-z]\s*[=+*/-]\s*\d|\d\s*[a-z]\b")


@dataclass(frozen=True, slots=True)
class Column:
    """What one column holds.

    Attributes:
        kind: number, text, list or mixed.
        filled: share of rows that have a value.
        length: mean characters of a value.
        sample: the first value, shortened.
    """

    name: str
    kind: str
    filled: float
    length: float
    sample: str


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns in the order of their first appearance."""
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    return [_column(name, [row.get(name) for row in rows]) for name in names]


def propose_question(columns: Sequence[Column]) -> str | None:
    """By name, else the column with the longest text."""
    named = _named(columns, QUESTIONS)
    texts = [column for column in columns if column.kind == "text" and column.filled == 1]
    return named or (max(texts, key=lambda column: column.length).name if texts else None)


def propose_answer(columns: Sequence[Column], question: str) -> str | None:
    """By name, else the shortest filled column that is neither the question nor a running number."""
    others = [column for column in columns if column.name != question and column.filled == 1]
    others = [column for column in others if column.name.lower() not in ("id", "index", "split", *OPTIONS, *TESTS)]
    return _named(others, ANSWERS) or (min(others, key=lambda column: column.length).name if others else None)


def propose_grader(golds: Sequence[str], columns: Sequence[Column]) -> dict[str, Any]:
    """The narrowest grader that fits all golds, as the keys of a recipe."""
    tests, options = _named(columns, TESTS), _named(columns, OPTIONS)
    if tests and all("def " in gold for gold in golds):
        return {"type": "code", "tests": tests}
    if all(re.fullmatch(r"\s*[A-Z]\s*", gold) for gold in golds):
        return {"type": "choice", "options": options} if options else {"type": "choice"}
    if all(_KK.search(gold) for gold in golds):
        return {"type": "kk"}
    if all(_is_structured(gold) for gold in golds):
        return {"type": "json"}
    cleaned = [clean(gold) for gold in golds]
    if all(rational(one.body) is not None for one in cleaned):
        units = sorted({one.unit for one in cleaned} - {""})
        decimals = any("." in one.body for one in cleaned)
        return {"type": "number", **({"relative": 0.01} if decimals else {}), **({"units": units} if units else {})}
    if any(_LATEX.search(gold) for gold in golds):
        return {"type": "math"}
    if sum("," in gold or ";" in gold for gold in golds) > len(golds) / 2 and max(map(len, golds)) < 200:
        return {"type": "set"}
    return {"type": "exact"}


def _column(name: str, values: Sequence[Any]) -> Column:
    given = [value for value in values if value is not None and str(value).strip()]
    texts = [value if isinstance(value, str) else json.dumps(value, default=str) for value in given]
    kinds = {_kind(value) for value in given}
    sample = " ".join(texts[0].split()) if texts else ""
    return Column(
        name, kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "empty", len(given) / max(len(values), 1),
        sum(map(len, texts)) / max(len(texts), 1), sample if len(sample) <= 60 else f"{sample[:57]}...",
    )


def _kind(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "list"
    return "number" if rational(str(value)) is not None else "text"


def _named(columns: Sequence[Column], names: Sequence[str]) -> str | None:
    by_name = {column.name.lower(): column.name for column in columns}
    return next((by_name[name] for name in names if name in by_name), None)


def _is_structured(gold: str) -> bool:
    try:
        return isinstance(json.loads(gold), dict | list)
    except json.JSONDecodeError:
        return False
