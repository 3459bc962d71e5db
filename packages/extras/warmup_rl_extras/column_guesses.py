"""Guesses about a file of unknown meaning: which column is the question, which the answer, and how to grade it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmup_rl.base.errors import DataError
from warmup_rl.data.columns import COLUMNS, find_column, plain_name
from warmup_rl.domains.graders import ChoiceGrader
from warmup_rl.grading.label import plain_label
from warmup_rl.grading.math_normalize import normalize, rational
from warmup_rl.knights.english import ROLES

SUGGESTIVE = ("label", "output", "response", "result", "correct", "key")
"""Column names that only suggest a reference answer; they count where no column has one of its usual names."""
MOST_LABELS, MOST_NUMBER_LABELS = 100, 5
"""More different answers than this are no set of labels; fewer count as such where they recur."""
MOST_LABEL_WORDS = 5
MOST_WORDS = 10
"""Answers with more words than this on average are prose, which no grader can judge."""
_INDEX = re.compile(r"unnamed.*|__index.*|index|idx|id|uid|uuid|no|nr|number|row|split|")
_OPTION = re.compile(r"(?:option|choice|opt|op|answer)?[ _-]?([a-j]|\d)")
_COMMA_NUMBER = re.compile(r"[^\d,;]*\d[\d.]*(?:,\d+)?[^\d,;]*")
_DECIMAL_COMMA = re.compile(r"(?<!\d)0,\d|,\d{1,2}(?!\d)|,\d{4}")
_KK = re.compile(rf"\bis an? (?:{'|'.join(word for pair in ROLES for word in (pair.truthful, pair.liar))})\b")
_LATEX = re.compile(r"\\[a-zA-Z]+|\^|_\{|\bsqrt\b|[a-z]\s*[=+*/-]\s*\d|\d\s*[a-z]\b")


@dataclass(frozen=True, slots=True)
class Column:
    """What one column holds.

    Attributes:
        kind: number, text, list, mixed or empty.
        filled: share of rows that have a value.
        length: mean characters of a value.
        sample: the first value, shortened.
        varies: whether its values differ and are not just the numbers of the rows.
    """

    name: str
    kind: str
    filled: float
    length: float
    sample: str
    varies: bool = True


def describe_columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns in the order of their first appearance."""
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    return [_column(name, [row.get(name) for row in rows]) for name in names]


def propose_question(columns: Sequence[Column]) -> str | None:
    """The column with a usual name, else the one with the longest text."""
    texts = [column for column in columns if column.kind == "text" and column.filled == 1 and column.varies]
    named = find_column((column.name for column in columns), "question")
    return named or (max(texts, key=lambda column: column.length).name if texts else None)


def propose_answer(columns: Sequence[Column], question: str) -> str | None:
    """The column with a usual name, else the shortest one that can be an answer: not an option or a row number."""
    options = option_columns(columns)
    taken = {question, *(options if isinstance(options, list) else [options])}
    not_answers = {*COLUMNS["options"], *COLUMNS["tests"]}
    others = [one for one in columns if one.name not in taken and plain_name(one.name) not in not_answers]
    filled = {plain_name(column.name): column.name for column in others if column.kind != "empty"}
    named = find_column(filled.values(), "gold") or next((filled[name] for name in SUGGESTIVE if name in filled), None)
    varying = [one for one in others if one.filled == 1 and one.varies and not _INDEX.fullmatch(plain_name(one.name))]
    return named or (min(varying, key=lambda column: column.length).name if varying else None)


def option_columns(columns: Sequence[Column]) -> str | list[str] | None:
    """The column with the options of multiple choice, or the columns with one option each, such as `A` to `D`."""
    if one := find_column((column.name for column in columns), "options"):
        return one
    found = {match[1]: column.name for column in columns if (match := _OPTION.fullmatch(plain_name(column.name)))}
    first = next((start for start in "a01" if start in found), None)
    if first is None:
        return None
    names: list[str] = []
    while (mark := chr(ord(first) + len(names))) in found:
        names.append(found[mark])
    return names if len(names) > 1 else None


def propose_grader(
    golds: Sequence[str], columns: Sequence[Column], rows: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any] | None:
    """The narrowest grader that fits all golds, as the keys of a recipe; None for prose.

    Args:
        rows: the rows of the golds, which may hold the options that golds name.
    """
    tests, options = find_column((column.name for column in columns), "tests"), option_columns(columns)
    if tests and all("def " in gold for gold in golds):
        return {"type": "code", "tests": tests}
    if options and (chosen := _chosen(golds, options, rows)) is not None:
        return chosen
    if all(re.fullmatch(r"\s*\(?[A-Z]\)?\s*", gold) for gold in golds):
        return {"type": "choice", "options": options} if options else {"type": "choice"}
    if all(_KK.search(gold) for gold in golds) or _are_puzzles(rows, golds):
        return {"type": "kk"}
    if all(_is_structured(gold) for gold in golds):
        return {"type": "json"}
    if is_label_column(golds):
        return {"type": "label"}
    cleaned = [normalize(gold) for gold in golds]
    if all(rational(one.body) is not None for one in cleaned):
        units = sorted({one.unit for one in cleaned} - {""})
        measured = any("." in one.body for one in cleaned) and not {"$", "%"} & set(units)
        return {"type": "number", **({"relative": 0.01} if measured else {}), **({"units": units} if units else {})}
    if all("\\boxed" in gold for gold in golds):
        return {"type": "math"}
    if sum(len(gold.split()) for gold in golds) > MOST_WORDS * len(golds):
        return None
    if any(_LATEX.search(gold) for gold in golds):
        return {"type": "math"}
    if sum("," in gold or ";" in gold for gold in golds) > len(golds) / 2:
        return {"type": "set"}
    return {"type": "exact"}


def is_label_column(golds: Sequence[str]) -> bool:
    """Whether the answers are short and recur: each label three times on average, each number eight times."""
    labels = {plain_label(gold) for gold in golds}
    if len(labels) < 2 or any(len(label.split()) > MOST_LABEL_WORDS for label in labels):
        return False
    if all(rational(label) is not None for label in labels):
        return len(labels) <= MOST_NUMBER_LABELS and len(golds) >= 8 * len(labels)
    return len(labels) <= MOST_LABELS and len(golds) >= 3 * len(labels) and not any("," in one for one in labels)


def decimal_comma(golds: Sequence[str]) -> str:
    """The first number with a decimal comma, such as `0,5`, if all golds are numbers; else empty."""
    if not all(_COMMA_NUMBER.fullmatch(gold) for gold in golds):
        return ""
    return next((gold for gold in golds if _DECIMAL_COMMA.search(gold)), "")


def _chosen(golds: Sequence[str], options: str | list[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """A multiple-choice grader, if each gold names one of its row's options by letter, number or text."""
    for counted in (None, 0, 1) if rows else ():
        try:
            grader = ChoiceGrader(options=options, counted_from=counted)
            for gold, row in zip(golds, rows, strict=True):
                grader.read(row, gold, "")
        except DataError:
            continue
        return {"type": "choice", "options": options, **({} if counted is None else {"counted_from": counted})}
    return None


def _are_puzzles(rows: Sequence[Mapping[str, Any]], golds: Sequence[str]) -> bool:
    """Whether rows are puzzles in the published form, with lists of truth values as golds."""
    return bool(rows) and all("quiz" in row and "[" in gold for row, gold in zip(rows, golds, strict=True))


def _column(name: str, values: Sequence[Any]) -> Column:
    given = [value for value in values if value is not None and str(value).strip()]
    texts = [value if isinstance(value, str) else json.dumps(value, default=str) for value in given]
    kinds = {_kind(value) for value in given}
    sample = " ".join(texts[0].split()) if texts else ""
    return Column(
        name,
        kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "empty",
        len(given) / max(len(values), 1),
        sum(map(len, texts)) / max(len(texts), 1),
        sample if len(sample) <= 60 else f"{sample[:57]}...",
        varies=len(set(texts)) > 1 and not _is_running(texts),
    )


def _is_running(texts: Sequence[str]) -> bool:
    """Whether the values are consecutive numbers."""
    if not all(text.strip().isdecimal() for text in texts):
        return False
    numbers = [int(text) for text in texts]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _kind(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "list"
    return "number" if rational(str(value)) is not None else "text"


def _is_structured(gold: str) -> bool:
    try:
        return isinstance(json.loads(gold), dict | list)
    except json.JSONDecodeError:
        return False
