"""Guesses about a file of unknown meaning: which columns are the question, and which is the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, takewhile
from typing import Any

from warmup_rl.data.columns import COLUMNS, find_column, is_conversation, plain_name, value_at
from warmup_rl.grading.math_value import rational

ANSWERS = (
    "answers", "final_decision", "decision", "answer_number", "answer_letter", "answer_index", "answer_idx", "label",
    "labels", "sql", "sql_query", "query", "code", "category", "class", "intent", "sentiment", "topic", "tag", "output",
    "response", "result", "correct", "key", "completion",
)  # fmt: skip
"""Column names that only suggest a reference answer; they count where no column has one of its usual names."""
QUESTIONS = (
    "question_text", "problem_text", "problem_statement", "task", "nl", "utterance", "sentence", "message", "text",
    "body", "review", "tweet", "email", "description", "content", "hypothesis", "sentence2", "claim", "statement",
)  # fmt: skip
"""The same for the question."""
CONTEXTS = (
    "context", "contexts", "passage", "passages", "paragraph", "article", "document", "abstract", "background", "story",
    "instructions", "premise", "sentence1", "facts", "evidence", "input", "body", "schema", "db_schema",
    "database_schema", "ddl",
    "create_table", "create_table_statement", "table_schema", "table",
)  # fmt: skip
"""Columns that belong to a question beside its own."""
OTHERS = ("gold", "tests", "options", "response")
"""Contents of columns that are not part of a question."""
MOSTLY = 0.9
"""Share of rows that have a question."""
UNITS = ("unit", "units", "answer_unit")
"""Columns with the unit in which an answer is asked for."""
LONG_NAME = 80
"""A column name longer than this is a value: the file has no line with names."""
LONG_CHARACTERS, LONG_WORDS = 60, 10
"""An unused column of texts this long on average belongs to the question."""
_NO_CONTEXT = re.compile(
    r".*(?:answer|solution|explan|rational|reason|thought|response|output|completion|reference|gold|target|distract|"
    r"feedback|comment|url|link|_id|_cot|code|sql|query|instructions|decision|canary|test).*|cot|id|source|author"
)
_INDEX = re.compile(r"unnamed.*|__index.*|index|idx|id|uid|uuid|no|nr|number|row|split|")
OPTION_STEMS = ("", "option", "choice", "opt", "op", "answer")
"""What comes before the letters or numbers of two columns with options; three columns may share any name."""
_OPTION = re.compile(r"(.*?)[ _-]?([a-j]|\d)")
_TEXT_KEYS = ("text", "value", "answer", "ground_truth")
"""Keys under which a nested value holds its text."""


@dataclass(frozen=True, slots=True)
class Column:
    """What one column holds, or what a path into a nested one leads to.

    Attributes:
        kind: number, text, list, mixed or empty.
        filled: share of rows that have a value.
        length: mean characters of a value.
        sample: the first value, shortened.
        varies: whether its values differ and are not just the numbers of the rows.
        words: mean words of a value.
    """

    name: str
    kind: str
    filled: float
    length: float
    sample: str
    varies: bool = True
    words: float = 0.0

    @property
    def base(self) -> str:
        """The plain name of the column in the file."""
        return plain_name(re.split(r"[.\[]", self.name)[0] or self.name)


def describe_columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns in the order of their first appearance, each followed by the texts inside of it."""
    names = dict.fromkeys(str(name) for row in rows for name in row)
    paths = [path for name in names for path in (name, *_texts_in(name, rows))]
    return [_column(path, [value_at(row, path) for row in rows]) for path in paths]


def propose_question(columns: Sequence[Column]) -> str | None:
    """The column with a usual name, else the last user turn, else the one with the longest text that is no context."""
    candidates = [one for one in columns if one.kind in ("text", "mixed") and not one.name.endswith("[assistant]")]
    named = [
        *(name for name in COLUMNS["question"] if name not in ("messages", "conversations")),
        *(one.base for one in candidates if "question" in one.base and not _is_row_number(one)),
    ]
    varying = [one for one in candidates if one.varies]
    user_turn = next((one.name for one in candidates if one.name.endswith("[user]")), None)
    texts = [one for one in varying if one.filled >= MOSTLY and one.kind in ("text", "mixed")]
    no_question = {*CONTEXTS, *ANSWERS}
    others = [one for one in texts if one.base not in no_question and not _NO_CONTEXT.fullmatch(one.base)] or texts
    return (
        _first_named(varying, named)
        or user_turn
        or _first_named(varying, QUESTIONS)
        or _first_named(candidates, named)
        or (max(others, key=lambda column: column.length).name if others else None)
    )


def propose_answer(columns: Sequence[Column], question: str) -> str | None:
    """The column with a usual name, else the shortest one that can be an answer: no option, context or row number."""
    options = option_columns(columns)
    taken = {question, *(options if isinstance(options, list) else [options])}
    not_answers = {*COLUMNS["options"], *COLUMNS["tests"], *CONTEXTS}
    others = [
        one
        for one in columns
        if one.name not in taken and one.base not in not_answers and not one.name.endswith("[user]")
    ]
    filled = [column for column in others if column.kind != "empty"]
    varying = [
        one for one in others if one.filled == 1 and one.varies and one.kind != "list" and not _is_row_number(one)
    ]
    endings = [one for one in varying if re.fullmatch(r".*_(?:label|class|category|answer|intent)", one.base)]
    shortest = min(endings or varying, key=lambda column: column.length, default=None)
    replies = next((one.name for one in filled if one.name.endswith("[assistant]")), None)
    return (
        _first_named(filled, COLUMNS["gold"])
        or _first_named([one for one in filled if one.kind != "list"], ANSWERS)
        or _first_named(filled, ANSWERS)
        or replies
        or (shortest.name if shortest else None)
    )


def propose_template(columns: Sequence[Column], question: str, answer: str, holds_gold: Callable[[str], bool]) -> str:
    """The question, after the unused columns that belong to it: contexts by name and other long texts.

    Args:
        holds_gold: whether the reference answer stands in a column in most rows: such a column may be a solution.
    """
    if "{" in question:
        return question
    options = option_columns(columns)
    base, asked = (next((one.base for one in columns if one.name == name), name) for name in (answer, question))
    taken = {question, *(options if isinstance(options, list) else [options])}
    contexts = []
    for one in columns:
        if one.name in taken or one.base in (base, asked) or not one.base or "[" in one.name or "." in one.name:
            continue
        is_context = one.base in CONTEXTS and one.kind in ("text", "list", "mixed")
        is_long = one.kind == "text" and one.length >= LONG_CHARACTERS and one.words >= LONG_WORDS and one.varies
        known = one.base not in QUESTIONS and one.base in (*(name for key in OTHERS for name in COLUMNS[key]), *ANSWERS)
        if is_context or is_long and not known and not _NO_CONTEXT.fullmatch(one.base) and not holds_gold(one.name):
            contexts.append(one)
    unit = unit_column(columns)
    fields = [*map(field, contexts), f"{{{question}}}", *([f"Unit of the answer: {field(unit)}"] if unit else [])]
    return "\n\n".join(fields) if len(fields) > 1 else question


def value_as_name(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> str:
    """The name of a column that must be a value, so that the first line of the file is a row; else empty. It is too
    long for a name, or, where no column has a usual name, the column holds it, too."""
    usual = {*QUESTIONS, *ANSWERS, *CONTEXTS, *chain(*COLUMNS.values())}
    unnamed = usual.isdisjoint(one.base for one in columns)
    for one in columns:
        if len(one.name) > LONG_NAME or unnamed and any(str(row.get(one.name)) == one.name for row in rows):
            return one.name
    return ""


def unit_column(columns: Sequence[Column]) -> Column | None:
    """The column with the unit of each answer."""
    return next((one for one in columns if one.base in UNITS and one.kind == "text"), None)


def field(column: Column) -> str:
    """A column as a template names it, with a question mark if some rows have no value."""
    return f"{{{column.name}{'?' if column.filled < 1 else ''}}}"


def option_columns(columns: Sequence[Column]) -> str | list[str] | None:
    """The column with the options of multiple choice, or the columns with one option each, such as `A` to `D`."""
    whole = [column.name for column in columns if "[" not in column.name]
    if named := find_column(whole, "options"):
        return named
    stems: dict[str, dict[str, str]] = {}
    for one in columns:
        if one.name in whole and (match := _OPTION.fullmatch(plain_name(one.name))):
            if match[1] in OPTION_STEMS or one.kind in ("text", "mixed"):
                stems.setdefault(match[1], {})[match[2]] = one.name
    for stem, found in stems.items():
        first = ord(next((start for start in "a01" if start in found), "a"))
        names = [found[mark] for mark in takewhile(found.__contains__, map(chr, count(first)))]
        if len(names) >= (2 if stem in OPTION_STEMS else 3):
            return names
    return None


def _first_named(columns: Sequence[Column], names: Sequence[str]) -> str | None:
    """The column with the first of these names that there is; a text inside of a column goes before the column."""
    by_name = {one.base: one.name for one in sorted(columns, key=lambda one: one.name.count(".") + one.name.count("["))}
    return next((by_name[name] for name in names if name in by_name), None)


def _is_row_number(column: Column) -> bool:
    return bool(_INDEX.fullmatch(column.base)) or column.base.endswith("_id")


def _texts_in(name: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Paths to the texts inside a nested column: chat turns, and what stands under `text`, `value` or `answer`."""
    value = next((row[name] for row in rows if row.get(name)), None)
    if plain_name(name) in (*COLUMNS["options"], *COLUMNS["tests"]):
        return
    if is_conversation(value):
        yield from (f"{name}[user]", f"{name}[assistant]")
    elif isinstance(value, Mapping):
        for key in _TEXT_KEYS:
            if isinstance(value.get(key), str):
                yield f"{name}.{key}"
            elif isinstance(texts := value.get(key), list) and all(isinstance(text, str) for text in texts):
                several = any(len(value_at(row, f"{name}.{key}") or ()) > 1 for row in rows)
                yield f"{name}.{key}{'' if several else '[0]'}"
    elif isinstance(value, list) and isinstance(value[0], Mapping):
        yield from (f"{name}[0].{key}" for key in _TEXT_KEYS if isinstance(value[0].get(key), str))
    elif isinstance(value, list) and all(len(row.get(name) or ()) == 1 for row in rows):
        yield f"{name}[0]"


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
        words=sum(len(text.split()) for text in texts) / max(len(texts), 1),
    )


def _is_running(texts: Sequence[str]) -> bool:
    """Whether the values are consecutive numbers."""
    if not all(text.strip().isdecimal() for text in texts):
        return False
    numbers = [int(text) for text in texts]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _kind(value: Any) -> str:
    if isinstance(value, list | tuple | Mapping):
        return "list"
    return "number" if rational(str(value)) is not None else "text"
