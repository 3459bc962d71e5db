"""Knights & Knaves in a user's rows: puzzle and roles from the question, the reference answer in any form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import yaml

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Grade, Problem
from warmup_rl.interfaces.domain import fields_of
from warmup_rl.interfaces.grader import Grader
from warmup_rl.knights.answers import final_statement, read_answer
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.english import ROLES, with_article
from warmup_rl.knights.grammar import KNIGHTS, Roles
from warmup_rl.knights.statements import relabel
from warmup_rl.knights.text import Phrasing, from_meta, parse, to_meta

_OPENING = "a very special island"
"""What every question in the published wording begins with."""


class KkGrader(Grader):
    """Knights & Knaves: who is what, all or nothing; names and role words come from the question."""

    type: ClassVar[str] = "kk"
    instruction: ClassVar[str] = "Give the answer as a numbered list with one line for each person."

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        """A list of truth values or a mapping becomes a sentence, which is a correct answer too."""
        meta = read_inhabitants({"question": row["question"], "gold": written}, place)[1]
        return as_sentence(meta) if written.lstrip()[:1] in ("[", "{") else written.strip(), meta

    def grade(self, answer: str, problem: Problem) -> Grade:
        names, roles = problem.meta["names"], Roles(*problem.meta["roles"])
        reading = read_answer(answer, names, roles)
        if reading.truthful is None:
            return Grade("wrong" if reading.found else "none", None, reading.note)
        people = zip(names, reading.truthful, strict=True)
        extracted = ", ".join(f"{name}={roles.of(truthful)}" for name, truthful in people)
        return Grade("correct" if list(reading.truthful) == problem.meta["solution"] else "wrong", extracted)

    def final_answer(self, text: str, problem: Problem, *, truncated: bool = False) -> str | None:
        """The last lines and sentences that give roles, as many as it takes to give everybody one."""
        statement = final_statement(text, problem.meta["names"], Roles(*problem.meta["roles"]))
        return super().final_answer(text, problem, truncated=True) or (None if truncated else statement)

    def canonical(self, problem: Problem) -> str | None:
        """None if the problem's meta has no statements."""
        if problem.meta.get("statements"):
            with suppress(DataError):
                return f"kk/{canonical_key(from_meta(problem.meta)[0].statements)}"
        return None


def read_inhabitants(row: Mapping[str, Any], place: str) -> tuple[str, dict[str, Any]]:
    """Question and meta of a row with `question` and `gold`, or with the published columns under `problem`.

    The gold is a sentence, a list of booleans in the order of the people, or a mapping from names to booleans or role
    words, the latter two also as text; the puzzle's solution replaces a missing one. Names and role words come from the
    question; if that is not a puzzle in the published wording, names come from the gold and role words from the known
    pairs.

    Raises:
        DataError: neither question nor gold names the inhabitants, or the gold is not the puzzle's solution.
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
        raise DataError(f"{place}: the gold {str(gold)[:80]!r} is not the solution of the puzzle. Fix the row.")
    return question, to_meta(puzzle, phrasing)


def as_sentence(meta: Mapping[str, Any]) -> str:
    """The solution in a problem's meta as a sentence, which is a correct answer."""
    roles = Roles(*meta["roles"])
    people = zip(meta["names"], meta["solution"], strict=True)
    return ", ".join(f"{name} is {with_article(roles.of(truthful))}" for name, truthful in people)


def question_key(text: str) -> str | None:
    """See `Domain.question_key`; None if no puzzle in the published wording can be read."""
    start = text.lower().find(_OPENING)
    if start < 0:
        return None
    try:
        puzzle = parse(text[start : text.rfind("?") + 1], "english")
    except DataError:
        return None
    order = sorted(range(puzzle.people), key=lambda person: puzzle.names[person])
    ranks = [order.index(person) for person in range(puzzle.people)]
    statements = [relabel(puzzle.statements[person], ranks) for person in order]
    return json.dumps([sorted(puzzle.names), puzzle.roles.truthful, puzzle.roles.liar, statements])


def _from_gold(gold: Any, question: str, place: str) -> dict[str, Any]:
    """Meta for a question that is not a puzzle in a known wording."""
    roles = next(
        (pair for pair in ROLES if _contains(question, pair.truthful) and _contains(question, pair.liar)), KNIGHTS
    )
    either = f"{re.escape(roles.truthful)}|{re.escape(roles.liar)}"
    named = re.findall(rf"(\w+)\s*(?:is|:|=)\s*(?:an?\s+)?(?:{either})\b", str(gold), re.IGNORECASE)
    names = list(gold) if isinstance(gold, Mapping) else list(dict.fromkeys(named))
    if not names:
        raise DataError(f"{place}: neither the question nor the gold {str(gold)[:80]!r} says who is on the island.")
    solution = _truthful(gold, names, roles, place)
    meta = {"people": len(names), "names": names, "roles": [roles.truthful, roles.liar], "statements": []}
    return {**meta, "solution": list(solution), "phrasing": "english"}


def _unpacked(gold: Any) -> Any:
    """The list or mapping in a text such as `[true, false]`; anything else unchanged."""
    if isinstance(gold, str) and gold.lstrip()[:1] in ("[", "{"):
        with suppress(yaml.YAMLError):
            return yaml.safe_load(gold)
    return gold


def _contains(text: str, word: str) -> bool:
    return bool(re.search(rf"\b{re.escape(word)}s?\b", text, re.IGNORECASE))


def _truthful(gold: Any, names: Sequence[str], roles: Roles, place: str) -> tuple[bool, ...]:
    """Who tells the truth, from a gold in one of its forms."""
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
