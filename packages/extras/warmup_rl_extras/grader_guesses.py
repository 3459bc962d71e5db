"""Guesses how answers of unknown meaning can be graded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from warmup_rl.base.errors import DataError
from warmup_rl.base.untrusted import literal, parse_json
from warmup_rl.data.columns import find_column
from warmup_rl.domains.graders import ChoiceGrader
from warmup_rl.grading.label import plain_label
from warmup_rl.grading.letters import letters_in
from warmup_rl.grading.math_value import rational
from warmup_rl.grading.math_words import read_answer
from warmup_rl.knights.english import ROLES
from warmup_rl_extras.column_guesses import Column, option_columns

MOST_LABELS, MOST_NUMBER_LABELS = 100, 5
"""More different answers than this are no set of labels; fewer count as such where they recur."""
MOST_LABEL_WORDS = 8
MOST_ODD = 0.02
"""Share of answers of another kind than the rest that may be left out."""
ALIKE = 0.1
"""Share of lists with a text that stands in another one from which lists hold alternatives."""
MOST_WORDS = 10
"""Answers with more words than this on average are prose, which no grader can judge."""
_MONTH = "(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*"
_DATES = (
    (r"\d{4}-\d{2}-\d{2}", "YYYY-MM-DD"),
    (r"\d{4}/\d{2}/\d{2}", "YYYY/MM/DD"),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", "DD.MM.YYYY"),
    (r"(?:0?[1-9]|1[0-2])/\d{1,2}/\d{4}", "MM/DD/YYYY"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "DD/MM/YYYY"),
    (rf"\d{{1,2}} {_MONTH} \d{{4}}", "D Month YYYY"),
    (rf"{_MONTH} \d{{1,2}}, \d{{4}}", "Month D, YYYY"),
    (r"\d{2}:\d{2}", "HH:MM (24 hours)"),
)
"""Patterns of dates and times, and the name of each form."""
_MEASURE = re.compile(r"[-+]?(?:\d[\d.,]*\d|\d|\.\d+)(?:e[-+]?\d+)?\s*([^\d\s.,;:=][^\d,;:=]{0,20}(?:[\d⁻²³^-]{0,4}))")
"""A number with a unit after it."""
_SQL = re.compile(r"\s*(?:select|with|insert|update|delete|create)\b", re.IGNORECASE)
_LETTER = re.compile(r"\s*\(?[A-Z]\)?\s*")
_COMMA_NUMBER = re.compile(r"[^\d,;]*\d[\d.]*(?:,\d+)?[^\d,;]*")
_DECIMAL_COMMA = re.compile(r"(?<!\d)0,\d|,\d{1,2}(?!\d)|,\d{4}")
_KK = re.compile(rf"\bis an? (?:{'|'.join(word for pair in ROLES for word in (pair.truthful, pair.liar))})\b")
_LATEX = re.compile(r"\\[a-zA-Z]+|\^|_\{|\bsqrt\b|[a-z]\s*[=+*/-]\s*\d|\d\s*[a-z]\b")


def odd_golds(golds: Sequence[str]) -> set[int]:
    """Places of the few answers that are of another kind (letter, number, text) than all the others."""
    kinds = [
        "letter" if _LETTER.fullmatch(gold) else "number" if rational(gold) is not None else "text" for gold in golds
    ]
    common, count = Counter(kinds).most_common(1)[0]
    if common == "text" or len(golds) - count > MOST_ODD * len(golds):
        return set()
    return {place for place, kind in enumerate(kinds) if kind != common}


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
    for counted in (None, 0, 1) if options and rows else ():
        if _reads(ChoiceGrader(options=options, counted_from=counted), rows, golds):
            return {"type": "choice", "options": options, **({} if counted is None else {"counted_from": counted})}
    if options and rows and all(map(letters_in, golds)):
        return {"type": "set", "options": options}
    if all(map(_LETTER.fullmatch, golds)):
        if options:
            return {"type": "choice", "options": options}
        return {"type": "choice"} if not rows or lists_options(rows, golds) else {"type": "label"}
    if all(_KK.search(gold) for gold in golds) or _are_puzzles(rows, golds):
        return {"type": "kk"}
    if lists := _text_lists(golds):
        return {"type": "exact", "alternatives": True} if _are_alternatives(lists) else {"type": "set"}
    if all(isinstance(_json(gold), dict | list) for gold in golds):
        return {"type": "json"}
    if all(_SQL.match(gold) for gold in golds):
        return {"type": "sql"}
    if decimal_comma(golds):
        return {"type": "number", "decimal": "comma"}
    if is_label_column(golds):
        return {"type": "label"}
    if number := _number(golds):
        return number
    if all("\\boxed" in gold for gold in golds):
        return {"type": "math"}
    if sum(len(gold.split()) for gold in golds) > MOST_WORDS * len(golds):
        return None
    if any(any(_is_form(pattern, gold) for pattern, _ in _DATES) for gold in golds):
        return {"type": "exact"}
    if any(_LATEX.search(gold) for gold in golds) and sum(map(_is_text, golds)) <= MOST_ODD * len(golds):
        return {"type": "math"}
    if label_set(golds) or sum("," in gold or ";" in gold for gold in golds) > len(golds) / 2:
        return {"type": "set"}
    return {"type": "exact"}


def _number(golds: Sequence[str]) -> dict[str, Any] | None:
    """The grader of numbers; units that normalization does not know are learned from the column."""
    units: Counter[str] = Counter()
    measured = False
    for gold in golds:
        one = read_answer(gold)
        found = _MEASURE.fullmatch(gold.strip())
        if rational(one.text) is None and found is None:
            return None
        if rational(one.text) is None and found:
            units[found[1].strip()] += 1
        measured = measured or re.search(r"\.\d*[1-9]", gold) is not None and one.unit not in ("$", "%")
    if units and len(units) * 2 > units.total():
        return None
    names = sorted(units)
    learned = {"units": {name: [] for name in names} if len(names) > 1 else names} if names else {}
    return {"type": "number", **({"relative": 0.01} if measured else {}), **learned}


def is_label_column(golds: Sequence[str]) -> bool:
    """Whether the answers are short and recur: each label three times on average, each number eight times."""
    labels = {plain_label(gold) for gold in golds}
    if len(labels) < 2 or not all(re.search(r"\w", label) for label in labels):
        return False
    if any(len(label.split()) > MOST_LABEL_WORDS for label in labels):
        return False
    if all(rational(label) is not None for label in labels):
        return len(labels) <= MOST_NUMBER_LABELS and len(golds) >= 8 * len(labels)
    return len(labels) <= MOST_LABELS and len(golds) >= 3 * len(labels) and not any("," in one for one in labels)


def members(gold: str) -> list[str]:
    """The members of an answer: of a list of texts, or what commas, semicolons or lines separate."""
    found = literal(gold)
    parts = found if isinstance(found, list | tuple) else re.split(r"[,;\n]", gold)
    return [text for part in parts if (text := str(part).strip())]


def label_set(golds: Sequence[str]) -> list[str]:
    """The labels, the commonest first, where each answer has any number of them and they recur; else none."""
    counts = Counter(part for gold in golds for part in members(gold))
    recur = counts.total() >= 3 * len(counts) and 1 < len(counts) <= MOST_LABELS
    return [label for label, _ in counts.most_common()] if recur and counts.total() > len(golds) else []


def stands_in(text: str, answer: str) -> bool:
    """Whether an answer stands in a text as words of its own."""
    plain = " ".join(answer.split()).casefold()
    pattern = rf"(?<![\w.]){re.escape(plain)}(?![\w])(?!\.\d)"
    return bool(plain) and re.search(pattern, " ".join(text.split()).casefold()) is not None


def decimal_comma(golds: Sequence[str]) -> bool:
    """Whether all answers are numbers, one of them with a decimal comma, such as `0,5`."""
    return all(map(_COMMA_NUMBER.fullmatch, golds)) and any(map(_DECIMAL_COMMA.search, golds))


def lists_options(rows: Sequence[Mapping[str, Any]], golds: Sequence[str]) -> bool:
    """Whether each row has lines such as `B. south` with the letter of its answer."""
    return _reads(ChoiceGrader(), rows, golds)


def _reads(grader: ChoiceGrader, rows: Sequence[Mapping[str, Any]], golds: Sequence[str]) -> bool:
    try:
        for gold, row in zip(golds, rows, strict=True):
            grader.read(row, gold, "")
    except DataError:
        return False
    return True


def _are_puzzles(rows: Sequence[Mapping[str, Any]], golds: Sequence[str]) -> bool:
    """Whether rows are puzzles in the published form, with lists of truth values as golds."""
    return bool(rows) and all("quiz" in row and "[" in gold for row, gold in zip(rows, golds, strict=True))


def _text_lists(golds: Sequence[str]) -> list[list[str]]:
    """The lists of texts that all answers are; else none."""
    found = [literal(gold) for gold in golds]
    texts = all(isinstance(one, list | tuple) and one and all(isinstance(part, str) for part in one) for one in found)
    return found if texts else []


def _are_alternatives(lists: Sequence[Sequence[str]]) -> bool:
    """Whether the texts of a list say the same more or less fully, as in `2008` and `May 2008`, and do not recur."""
    several = [one for one in lists if len(one) > 1]
    alike = sum(any(one != other and stands_in(one, other) for one in texts for other in texts) for texts in several)
    return not label_set([str(one) for one in lists]) and alike > ALIKE * len(several)


def _json(gold: str) -> Any:
    """The JSON value of an answer; None if it is none."""
    with suppress(ValueError):
        return parse_json(gold)


def propose_instruction(grader: Any, golds: Sequence[str]) -> str:
    """What the question does not say about the form of the answer; empty where the grader's own instruction does."""
    keys = grader if isinstance(grader, dict) else {"type": grader}
    if keys.get("type") == "exact":
        form = next((name for pattern, name in _DATES if all(_is_form(pattern, gold) for gold in golds)), "")
        dated = f"Give the answer in the form {form}, such as {golds[0].strip()}."
        return dated if form else "Give only the answer, in as few words as possible."
    if keys.get("type") == "set" and not keys.get("options") and (labels := label_set(golds)):
        return f"Answer with all that apply of: {', '.join(labels)}; separated by commas."
    if keys.get("type") == "json" and all(isinstance(one, dict) for one in map(_json, golds)):
        names = dict.fromkeys(key for gold in golds for key in _json(gold))
        return f"Give the answer as a JSON object with the keys: {', '.join(names)}."
    units = sorted({_unit_of(gold) for gold in golds} - {""}) if keys.get("type") == "number" else []
    if len(units) == 1:
        return f"Give the answer as one number, in {units[0]}."
    return "Give the answer as one number with its unit." if units else ""


def _is_form(pattern: str, gold: str) -> bool:
    return re.fullmatch(pattern, gold.strip(), re.IGNORECASE) is not None


def _is_text(gold: str) -> bool:
    """Whether an answer has two ordinary words in a row, so that it is no formula."""
    return re.search(r"(?<![\\\w])[^\W\d_]{3,}\s+[^\W\d_]{3,}", re.sub(r"\\text\{[^}]*\}", "", gold)) is not None


def _unit_of(gold: str) -> str:
    found = _MEASURE.fullmatch(gold.strip())
    return found[1].strip() if found else ""
