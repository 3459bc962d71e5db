"""Knights & Knaves problems out of a user's row: puzzle and roles from the question, gold in any form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import yaml

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Grade
from warmup_rl.interfaces.domain import fields_of
from warmup_rl.knights.answers import read_answer
from warmup_rl.knights.english import ROLES
from warmup_rl.knights.grammar import KNIGHTS, Roles
from warmup_rl.knights.text import Phrasing, parse, to_meta


def read_islanders(row: Mapping[str, Any], place: str) -> tuple[str, dict[str, Any]]:
    """Question and meta of a row with `question` and `gold`, or with the published columns under `problem`.

    The gold is a sentence, a list of booleans in the order of the people, or a mapping from names to booleans or role
    words, the latter two also as text; where it is missing, the puzzle's solution stands for it. Names and role words
    come from the question, and where that is no puzzle of the published wording, names from the gold and role words
    from the pairs known.

    Raises:
        DataError: neither question nor gold says who is there, or the gold is not the puzzle's solution.
    """
    own = row.get("problem")
    fields: Mapping[str, Any] = own if isinstance(own, Mapping) else row
    question = fields.get("quiz") or fields.get("question")
    if not isinstance(question, str):
        raise DataError(f"{place}: 'question' is needed, or 'quiz' under 'problem' ({fields_of(row)}).")
    golds = [row.get("gold"), *(fields.get(key) for key in ("gold", "solution", "solution_text_format"))]
    gold = _unpacked(next((value for value in golds if value is not None), None))
    phrasing: Phrasing = "terse" if question.split()[:2] == ["kk", ":"] else "english"
    try:
        puzzle = parse(question, phrasing)
    except DataError as error:
        if gold is None:
            raise DataError(f"{place}: {error}") from None
        return question, _from_gold(gold, question, place)
    if gold is not None and _truthful(gold, puzzle.names, puzzle.roles, place) != puzzle.solution:
        raise DataError(f"{place}: the gold {str(gold)[:80]!r} is not the solution of the puzzle. Mend the row.")
    return question, to_meta(puzzle, phrasing)


def as_sentence(meta: Mapping[str, Any]) -> str:
    """The solution in a problem's meta as a sentence, which is a correct answer."""
    roles = Roles(*meta["roles"])
    people = zip(meta["names"], meta["solution"], strict=True)
    return ", ".join(f"{name} is a {roles.of(truthful)}" for name, truthful in people)


def grade_islanders(answer: str, meta: Mapping[str, Any]) -> Grade:
    """Grades who is what against `names`, `roles` and `solution` of a problem's meta, all or nothing."""
    names, roles = meta["names"], Roles(*meta["roles"])
    reading = read_answer(answer, names, roles)
    if reading.truthful is None:
        return Grade("wrong" if reading.found else "none", None, reading.note)
    said = ", ".join(f"{name}={roles.of(truthful)}" for name, truthful in zip(names, reading.truthful, strict=True))
    return Grade("correct" if list(reading.truthful) == meta["solution"] else "wrong", said)


def _from_gold(gold: Any, question: str, place: str) -> dict[str, Any]:
    """Meta of a question that is no puzzle in a known wording."""
    roles = next((pair for pair in ROLES if _holds(question, pair.truthful) and _holds(question, pair.liar)), KNIGHTS)
    either = f"{re.escape(roles.truthful)}|{re.escape(roles.liar)}"
    said = re.findall(rf"(\w+)\s*(?:is|:|=)\s*(?:an?\s+)?(?:{either})\b", str(gold), re.IGNORECASE)
    names = list(gold) if isinstance(gold, Mapping) else list(dict.fromkeys(said))
    if not names:
        raise DataError(f"{place}: who is on the island is neither in the question nor in the gold {str(gold)[:80]!r}.")
    solution = _truthful(gold, names, roles, place)
    meta = {"people": len(names), "names": names, "roles": [roles.truthful, roles.liar], "statements": []}
    return {**meta, "solution": list(solution), "phrasing": "english"}


def _unpacked(gold: Any) -> Any:
    """A list or mapping out of its text, `[true, false]`; all else as it is."""
    if isinstance(gold, str) and gold.lstrip()[:1] in ("[", "{"):
        with suppress(yaml.YAMLError):
            return yaml.safe_load(gold)
    return gold


def _holds(text: str, word: str) -> bool:
    return bool(re.search(rf"\b{re.escape(word)}s?\b", text, re.IGNORECASE))


def _truthful(gold: Any, names: Sequence[str], roles: Roles, place: str) -> tuple[bool, ...]:
    """Who tells the truth, by a gold in one of its forms."""
    if isinstance(gold, str):
        reading = read_answer(gold, names, roles)
        if reading.truthful is not None:
            return reading.truthful
        raise DataError(f"{place}: the gold {gold[:80]!r} cannot be read: {reading.note}.")
    values = [gold.get(name) for name in names] if isinstance(gold, Mapping) else gold
    if not isinstance(values, list | tuple) or len(values) != len(names):
        raise DataError(f"{place}: the gold needs one entry for each of {', '.join(names)}.")
    return tuple(_role(value, roles, place) for value in values)


def _role(value: Any, roles: Roles, place: str) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower().removeprefix("a ").removeprefix("an ")
    words = {roles.truthful.lower(): True, roles.liar.lower(): False}
    if word not in words:
        raise DataError(f"{place}: the gold says {value!r}, allowed are true, false, {', '.join(words)}.")
    return words[word]
