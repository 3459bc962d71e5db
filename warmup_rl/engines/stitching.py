"""Joins attempts at a problem into one chain of thought: wrong ones, each with why it is given up, then a right one."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Problem
from warmup_rl.knights.answers import read_answer
from warmup_rl.knights.english import role_text, statement_text
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.solver import assignment_index
from warmup_rl.knights.statements import evaluate
from warmup_rl.knights.terse import NEXT, RECHECK, SO, WAIT, case_sentences
from warmup_rl.knights.text import from_meta

CHECK_REQUEST = (
    "Go through this solution once more and check it. Do not solve the problem anew. End with a line that says either "
    "`Verdict: right` or `Verdict: wrong`."
)
"""What the student is asked, where it writes its reflections itself."""

_COMES_TO = ("That gives:", "So I get:", "This would mean:", "With this the answer would be:")
_CHECKING = ("Let me check that before I go on.", "Does this hold?", "Wait, let me check this answer.")
_FAILS = ("No, this is not right.", "This does not hold, so the answer is wrong.", "So this cannot be the answer.")
_AGAIN = ("Let me try again.", "I will start over.", "Let me take another run at it.")
_HOLDS = ("Yes, this holds.", "It fits, so I am done.", "This is right.")
_VERDICT = re.compile(r"\bverdict\W{0,8}(right|correct|wrong|incorrect)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt with an answer.

    Attributes:
        right: what the grader says.
        reflection: the student's own words on it, with the verdict that the grader gave; without verdict line.
    """

    thinking: str
    answer: str
    right: bool
    reflection: str = ""


def stitch(attempts: Sequence[Attempt], problem: Problem, rng: random.Random, *, terse: bool, reasons: bool) -> str:
    """The chain of thought of attempts in their order.

    Args:
        rng: picks among ways to say the same.
        terse: only words of the terse phrasing are used.
        reasons: for Knights & Knaves, say what an answer breaks (see `reason`).
    """
    if terse:
        return " ".join(part for attempt in attempts for part in _terse(attempt, problem, reasons))
    paragraphs = [part for attempt in attempts for part in _english(attempt, problem, rng, reasons)]
    return "\n\n".join(paragraphs)


def reason(problem: Problem, answer: str) -> str | None:
    """Why an answer to a Knights & Knaves puzzle fits or not, in the puzzle's phrasing, by evaluating the statements.

    English names the first person whose role and statement clash; terse goes through the case once more. None for other
    problems, for answers that cannot be read, and in English for those that fit.
    """
    try:
        puzzle, phrasing = from_meta(problem.meta)
    except DataError:
        return None
    truthful = read_answer(answer, puzzle.names, puzzle.roles).truthful
    if truthful is None:
        return None
    if phrasing == "terse":
        first, *others = case_sentences(puzzle, assignment_index(truthful) + 1)
        return " ".join([f"{NEXT} {RECHECK}{first.removeprefix(NEXT)}", *others])
    return _clash(puzzle, truthful)


def own_verdict(reflection: str) -> tuple[str, bool] | None:
    """A student's reflection without its verdict line, and whether it calls the solution right; None without one."""
    found = list(_VERDICT.finditer(reflection))
    if not found:
        return None
    said = reflection[: found[-1].start()].rstrip(" \n*#`-_")
    return said, found[-1][1].lower() in ("right", "correct")


def _terse(attempt: Attempt, problem: Problem, reasons: bool) -> list[str]:
    """`THINKING so ANSWER`, and for a wrong one `next wait`; a re-check of the case stands before the last `so`."""
    said = f"{SO} {attempt.answer}"
    again = reason(problem, attempt.answer) if reasons else None
    body = attempt.thinking.strip().removesuffix(said).strip()
    if attempt.right:
        return [part for part in (body, again, said) if part]
    return [part for part in (body, said, f"{NEXT} {WAIT}", again) if part]


def _english(attempt: Attempt, problem: Problem, rng: random.Random, reasons: bool) -> list[str]:
    paragraphs = [attempt.thinking.strip()] if attempt.thinking.strip() else []
    if not _ends_with(attempt.thinking, attempt.answer):
        paragraphs.append(
            f"{rng.choice(_COMES_TO)} {attempt.answer}"
            if "\n" not in attempt.answer
            else f"{rng.choice(_COMES_TO)}\n{attempt.answer}"
        )
    why = attempt.reflection or (reason(problem, attempt.answer) if reasons and not attempt.right else None)
    checking = [rng.choice(_CHECKING), *([why] if why else [])]
    verdict = [rng.choice(_HOLDS)] if attempt.right else [rng.choice(_FAILS), rng.choice(_AGAIN)]
    return [*paragraphs, " ".join([*checking, *verdict])]


def _ends_with(thinking: str, answer: str) -> bool:
    return " ".join(thinking.split()).rstrip(".").endswith(" ".join(answer.split()).rstrip("."))


def _clash(puzzle: Puzzle, truthful: Sequence[bool]) -> str | None:
    for person, statement in enumerate(puzzle.statements):
        true = evaluate(statement, truthful)
        if true != truthful[person]:
            role = role_text(puzzle, person, truthful[person])
            said = statement_text(statement, puzzle.names, puzzle.roles)
            return (
                f'If it were so, then {role}, and yet what {puzzle.names[person]} says ("{said}") would be '
                f"{'true' if true else 'false'}."
            )
    return None
