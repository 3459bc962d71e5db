"""Knights & Knaves in a user's rows: names and roles from the question, the reference answer in several forms."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Grade, Problem
from warmup_rl.base.untrusted import literal
from warmup_rl.grading.final_answer import boxed
from warmup_rl.interfaces.domain import fields_of
from warmup_rl.interfaces.grader import Grader
from warmup_rl.knights.answers import final_statement, read_answer, read_solution
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.english import ROLES
from warmup_rl.knights.grammar import KNIGHTS, Puzzle, Roles
from warmup_rl.knights.statements import relabel
from warmup_rl.knights.text import Phrasing, answer, from_meta, parse, to_meta

_OPENING = "a very special island"
"""Beginning of each question in the published wording."""


class KkGrader(Grader):
    """Knights & Knaves: correct if all roles are; names and role words come from the question."""

    type: ClassVar[str] = "kk"
    instruction: ClassVar[str] = "Give the answer as a numbered list with one line for each person."

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        meta = read_inhabitants({"question": row["question"], "gold": written}, place)[1]
        return solution_text(meta), meta

    def grade(self, answer: str, problem: Problem) -> Grade:
        names, roles = problem.meta["names"], Roles(*problem.meta["roles"])
        reading = read_answer(answer, names, roles)
        if reading.truthful is None:
            return Grade("wrong" if reading.found else "none", None, reading.note)
        people = zip(names, reading.truthful, strict=True)
        extracted = ", ".join(f"{name}={roles.of(truthful)}" for name, truthful in people)
        return Grade("correct" if list(reading.truthful) == problem.meta["solution"] else "wrong", extracted)

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """The last box, else the last lines and sentences with roles, as many as it takes to give everybody one."""
        return boxed(text) or final_statement(text, problem.meta["names"], Roles(*problem.meta["roles"]))

    def canonical(self, problem: Problem) -> str | None:
        """None if the problem's meta has no statements."""
        if problem.meta.get("statements"):
            with suppress(DataError):
                return f"kk/{canonical_key(from_meta(problem.meta)[0].statements)}"
        return None


def read_inhabitants(row: Mapping[str, Any], place: str) -> tuple[str, dict[str, Any]]:
    """Question and meta of a row with `question` and `gold`, or with the published columns under `problem`.

    The gold has one of the forms of `read_solution`; if it is missing, it is the solution of the puzzle. Names and role
    words come from the question; if the question is not a puzzle in a known wording, names come from the gold, and role
    words from the published pairs.

    Raises:
        DataError: neither question nor gold names the people, or the gold is not the solution of the puzzle.
    """
    own = row.get("problem")
    fields: Mapping[str, Any] = own if isinstance(own, Mapping) else row
    question = fields.get("quiz") or fields.get("question")
    if not isinstance(question, str):
        raise DataError(f"{place}: 'question' is needed, or 'quiz' under 'problem' ({fields_of(row)}).")
    golds = [row.get("gold"), *(fields.get(key) for key in ("gold", "solution", "solution_text_format"))]
    gold = literal(next((value for value in golds if value is not None), None))
    try:
        return question, _meta(question, gold)
    except DataError as error:
        raise DataError(f"{place}: {error}") from None


def _meta(question: str, gold: Any) -> dict[str, Any]:
    phrasing: Phrasing = "terse" if question.split()[:2] == ["kk", ":"] else "english"
    try:
        puzzle = parse(question, phrasing)
    except DataError:
        if gold is None:
            raise
        return _from_gold(gold, question)
    if gold is not None and read_solution(gold, puzzle.names, puzzle.roles) != puzzle.solution:
        raise DataError(f"the gold {str(gold)[:80]!r} is not the solution of the puzzle. Fix the row.")
    return to_meta(puzzle, phrasing)


def solution_text(meta: Mapping[str, Any]) -> str:
    """The solution in the meta of a problem, in the form that the instruction asks for."""
    puzzle = Puzzle(tuple(meta["names"]), (), tuple(meta["solution"]), Roles(*meta["roles"]))
    return answer(puzzle, meta["phrasing"])


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


def _from_gold(gold: Any, question: str) -> dict[str, Any]:
    """Meta for a question that is not a puzzle in a known wording."""
    known = (pair for pair in ROLES if _contains(question, pair.truthful) and _contains(question, pair.liar))
    roles = next(known, KNIGHTS)
    either = f"{re.escape(roles.truthful)}|{re.escape(roles.liar)}"
    named = re.findall(rf"(\w+)\s*(?:is|:|=)\s*(?:an?\s+)?(?:{either})\b", str(gold), re.IGNORECASE)
    names = list(gold) if isinstance(gold, Mapping) else list(dict.fromkeys(named))
    if not names:
        raise DataError(f"neither the question nor the gold {str(gold)[:80]!r} names the people.")
    solution = read_solution(gold, names, roles)
    meta = {"people": len(names), "names": names, "roles": [roles.truthful, roles.liar], "statements": []}
    return {**meta, "solution": list(solution), "phrasing": "english"}


def _contains(text: str, word: str) -> bool:
    return bool(re.search(rf"\b{re.escape(word)}s?\b", text, re.IGNORECASE))
