"""How answers are graded: each case of the graders' tests, and for each domain its own traps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.answer_cases import (
    HEADING_LETTERS,
    LETTER_SAID,
    NONE_SAID,
    OTHER_SAID,
    OWN,
    PLACES,
    QUESTION,
    REGISTERS,
    REPORTED,
    SAID,
    UNSAID,
)
from tests.golden.digest import digest
from tests.golden.problems import generated
from tests.islander_answers import CORRECT, NOTHING, REFUSED, WRONG, island
from tests.math_cases import DIFFERENT, LAYOUTS_SAME, NO_ANSWERS, NO_MATHEMATICS, PLAINLY_OTHER, SAME
from tests.rows_data import OWN_GRADERS, settings, write_rows
from warmup_rl.base.types import Grade, Problem
from warmup_rl.grading.choice import choose
from warmup_rl.grading.math import same_answer
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.plugins import load

ROLES = (("angel", "devil"), ("knave", "knight"))


def mathematics() -> dict[str, Any]:
    """Same or not: all pairs of a reference and an answer."""
    pairs = [*SAME, *DIFFERENT, *LAYOUTS_SAME, *PLAINLY_OTHER, *(("5", answer) for answer in NO_ANSWERS)]
    pairs += [(gold, answer) for gold in ("5", "x+1", "(1,2)", "\\{1,2\\}") for answer in NO_MATHEMATICS]
    with ThreadPoolExecutor(4) as threads:
        grades = threads.map(lambda pair: same_answer(gold=pair[0], answer=pair[1]), pairs)
        return {f"{gold} <- {answer}": _told(grade) for (gold, answer), grade in zip(pairs, grades, strict=True)}


def answers() -> dict[str, Any]:
    """Letters, puzzles, registers, a user's own rows, and what each domain says of references and traps."""
    return dict([*_letters(), *_puzzles(), *_own(), *_traps()])


def _letters() -> Iterator[tuple[str, str]]:
    colours = [(answer, gold) for answer in (*LETTER_SAID, *OTHER_SAID, *NONE_SAID) for gold in "AC"]
    for question, letters, table in ((QUESTION, "ABCD", colours), (PLACES, "ABCDE", [*SAID, *UNSAID, *OWN, *REPORTED])):
        for answer, gold in table:
            grade = choose(gold=gold, answer=answer, letters=letters, question=question)
            yield f"choice {letters} / {gold} <- {answer}", _told(grade)
    compass = Problem("p", "compass", "?", "B", {})
    for answer, _ in HEADING_LETTERS:
        yield f"compass / B <- {answer}", _told(load("domain", "compass")().grade(answer, compass))
    registers = Problem("p", "registers", "?", "a=1 b=2", {"final": {"a": 1, "b": 2}})
    for answer, _ in REGISTERS:
        grade = load("domain", "registers")(registers=2, modulus=3).grade(answer, registers)
        yield f"registers / a=1 b=2 <- {answer}", _told(grade)


def _puzzles() -> Iterator[tuple[str, str]]:
    domain = load("domain", "kk")()
    for table in (CORRECT, WRONG, REFUSED, NOTHING):
        for name, answer in table.items():
            yield f"kk / {name}", _told(domain.grade(answer, island()))
            for roles in ROLES:
                said = answer.replace("knight", "#").replace("knave", roles[1]).replace("#", roles[0])
                yield f"kk / {name} / {roles[0]}", _told(domain.grade(said, island(roles)))


def _own() -> Iterator[tuple[str, str]]:
    with TemporaryDirectory() as folder:
        for number, (grader, gold, right, wrong) in enumerate(OWN_GRADERS):
            rows = [{"question": f"Question number {n}, what is it?", "answer": gold} for n in range(8)]
            file = write_rows(Path(folder) / f"{number}.jsonl", rows)
            domain = load("domain", "jsonl")(file=file, grader=grader, alike=1.0)
            problem = domain.take("train", 0, 1)[0]
            for answer in (right, wrong, gold, "", f"{right} or {wrong}"):
                yield f"own {grader} / {gold} <- {answer}", _told(domain.grade(answer, problem))


def _traps() -> Iterator[tuple[str, str]]:
    for name, domain in _graded_here():
        problems = list(islice(domain.problems("test", 0), 3))
        for problem, other in zip(problems, problems[1:], strict=False):
            texts = {"reference": domain.reference(problem), "gold": problem.gold, "question": problem.question,
                     "of another": domain.reference(other), **dict(domain.adversarial_answers(problem))}  # fmt: skip
            for trap, text in texts.items():
                yield f"{name} / {problem.id[:6]} / {trap}", _told(domain.grade(text, problem))


def _graded_here() -> Iterable[tuple[str, Domain]]:
    """Domains whose graders need no sandbox."""
    yield from ((name, domain) for name, domain, _ in generated())
    with TemporaryDirectory() as folder:
        for name, (given, _) in settings(Path(folder)).items():
            if not name.endswith("_plus"):
                yield name, load("domain", name).model_validate(given)


def _told(grade: Grade) -> str:
    extracted = str(grade.extracted)
    return f"{grade.verdict}: {extracted if len(extracted) <= 30 else digest(extracted)}"
