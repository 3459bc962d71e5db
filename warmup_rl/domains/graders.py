"""How rows of a user's file are graded: one config a grader, chosen by name in a recipe."""

from __future__ import annotations

import ast
import json
import re
import string
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Literal

import regex
from pydantic import BeforeValidator, Field, SerializeAsAny

from warmup_rl.base.errors import DataError, json_fault
from warmup_rl.base.types import Grade, Problem
from warmup_rl.domains.kk_rows import as_sentence, grade_islanders, read_islanders
from warmup_rl.grading.choice import choose
from warmup_rl.grading.math import final_answer, same_answer, unusable
from warmup_rl.grading.plain import matches, same_json, same_number, same_set, same_text
from warmup_rl.interfaces.plugins import Kind, Plugin, plugin_field


class Grader(Plugin, ABC):
    """Grades answers to rows of a user's file; `columns` are those it reads beside question and answer."""

    plugin_kind: ClassVar[Kind] = "grader"
    is_slow: ClassVar[bool] = False
    """Whether grading waits for other processes."""
    instruction: ClassVar[str] = ""
    """Text after the question where the user gives none."""

    @property
    def columns(self) -> tuple[str, ...]:
        return ()

    def gold(self, row: Mapping[str, Any], given: str, place: str) -> str:
        """The reference answer as `grade` takes it. Raises `DataError` for a broken row."""
        return given.strip()

    def meta(self, row: Mapping[str, Any], gold: str, place: str) -> dict[str, Any]:
        """What grading needs of a row beside its gold (JSON values). Raises `DataError` for a broken row."""
        return {}

    @abstractmethod
    def grade(self, answer: str, problem: Problem) -> Grade:
        """Grades a bare answer."""

    def reference(self, problem: Problem) -> str:
        """An answer that must grade correct."""
        return problem.gold

    def fault(self, problem: Problem) -> str:
        """What is wrong with a gold; empty where it grades correct."""
        grade = self.grade(self.reference(problem), problem)
        return "" if grade.verdict == "correct" else grade.note or f"it grades {grade.verdict}"


class MathGrader(Grader):
    """Answers as mathematics: fractions, sets, intervals, expressions."""

    type: ClassVar[str] = "math"
    is_slow: ClassVar[bool] = True
    instruction: ClassVar[str] = "Put the final answer into \\boxed{}."

    def gold(self, row: Mapping[str, Any], given: str, place: str) -> str:
        return final_answer(given) or given.strip()

    def grade(self, answer: str, problem: Problem) -> Grade:
        return same_answer(gold=problem.gold, answer=answer)

    def reference(self, problem: Problem) -> str:
        return f"\\boxed{{{problem.gold}}}"

    def fault(self, problem: Problem) -> str:
        return unusable(problem.gold)


class NumberGrader(Grader):
    """One number, within a tolerance, with or without its unit."""

    type: ClassVar[str] = "number"
    instruction: ClassVar[str] = "Give the answer as one number."

    tolerance: float = Field(default=0.0, ge=0)
    """How far from the gold an answer may be."""
    relative: float = Field(default=0.0, ge=0)
    """The same as a share of the gold."""
    units: list[str] = Field(default=[])
    """Spellings of the unit that may follow the number, such as km and kilometers."""

    def grade(self, answer: str, problem: Problem) -> Grade:
        return same_number(
            gold=problem.gold, answer=answer, tolerance=self.tolerance, relative=self.relative, units=self.units
        )


class ChoiceGrader(Grader):
    """Multiple choice by letter. The file may name the right option by letter, label, number or its own text."""

    type: ClassVar[str] = "choice"
    instruction: ClassVar[str] = "Answer with the letter of the right option."

    options: str | list[str] | None = None
    """Column with the options, as a list or as text with one a line, or several columns with one option each; where not
    given, the lines of the question that begin with `A.`, `B.` and so on."""
    counted_from: Literal[0, 1] | None = None
    """The file names the right option by its number, counted from 0 or 1."""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.options) if isinstance(self.options, list) else (self.options,) if self.options else ()

    def gold(self, row: Mapping[str, Any], given: str, place: str) -> str:
        options, labels = self._options(row)
        letters, said = string.ascii_uppercase[: len(options)], given.strip().strip("().")
        known = {**dict(zip(map(str.casefold, labels), letters, strict=False)), **{one.lower(): one for one in letters}}
        if self.counted_from is not None:
            known = {str(number): letter for number, letter in enumerate(letters, start=self.counted_from)}
        letter = known.get(said.casefold())
        if letter is None and self.counted_from is None and self.options:
            named = [one for one, text in zip(letters, options, strict=True) if text.strip() == given.strip()]
            letter = named[0] if len(named) == 1 else None
        if not 2 <= len(options) <= len(string.ascii_uppercase) or letter is None:
            kind = "letter" if self.counted_from is None else f"number (counted from {self.counted_from})"
            raise DataError(f"{place}: the answer {given!r} is not the {kind} of one of {len(options)} options found.")
        return letter

    def meta(self, row: Mapping[str, Any], gold: str, place: str) -> dict[str, Any]:
        options, _ = self._options(row)
        return {"letters": string.ascii_uppercase[: len(options)], **({"options": options} if self.options else {})}

    def grade(self, answer: str, problem: Problem) -> Grade:
        letters, question = problem.meta["letters"], problem.question
        return choose(gold=problem.gold, answer=answer, letters=letters, question=question)

    def _options(self, row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Options and, where the file has them, their labels."""
        if self.options is None:
            text = "\n".join(str(value) for value in row.values())
            return list(dict.fromkeys(re.findall(r"^\s*\(?([A-Z])[.):]\s", text, re.MULTILINE))), []
        if isinstance(self.options, list):
            return [str(row[name]) for name in self.options if str(row.get(name) or "").strip()], []
        return listed_options(row.get(self.options))


def listed_options(given: Any) -> tuple[list[str], list[str]]:
    """Options and their labels out of a list, a mapping with `text` and `label`, or a text of either or of lines."""
    if isinstance(given, str) and given.lstrip()[:1] in ("[", "{"):
        with suppress(ValueError, SyntaxError):
            given = ast.literal_eval(given.strip())
    labels: Any = ()
    if isinstance(given, Mapping):
        given, labels = (given["text"], given.get("label", ())) if "text" in given else (given.values(), given.keys())
    if not isinstance(given, str) and given is not None:
        return [str(one) for one in given if one is not None], [str(label) for label in labels]
    return [line for line in str(given or "").splitlines() if line.strip()], []


class ExactGrader(Grader):
    """The same text, white space and closing punctuation aside."""

    type: ClassVar[str] = "exact"

    ignore_case: bool = True
    """Whether `Paris` and `paris` are the same."""

    def grade(self, answer: str, problem: Problem) -> Grade:
        return same_text(gold=problem.gold, answer=answer, ignore_case=self.ignore_case)


class SetGrader(Grader):
    """The same members in any order, separated by commas, semicolons or lines."""

    type: ClassVar[str] = "set"
    instruction: ClassVar[str] = "Give the answer as a list separated by commas."

    ignore_case: bool = True
    """Whether `Paris` and `paris` are the same."""

    def grade(self, answer: str, problem: Problem) -> Grade:
        return same_set(gold=problem.gold, answer=answer, ignore_case=self.ignore_case)


class JsonGrader(Grader):
    """An equal JSON value, fenced or bare."""

    type: ClassVar[str] = "json"
    instruction: ClassVar[str] = "Give the answer as JSON."

    def meta(self, row: Mapping[str, Any], gold: str, place: str) -> dict[str, Any]:
        try:
            json.loads(gold)
        except json.JSONDecodeError as error:
            raise DataError(f"{place}: the answer is not JSON ({json_fault(error)}).") from None
        return {}

    def grade(self, answer: str, problem: Problem) -> Grade:
        return same_json(gold=problem.gold, answer=answer)


class RegexGrader(Grader):
    """A pattern that the whole answer must match: the gold is the pattern."""

    type: ClassVar[str] = "regex"

    example: str
    """Column with an answer that matches, so that the pattern can be tested."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.example,)

    def meta(self, row: Mapping[str, Any], gold: str, place: str) -> dict[str, Any]:
        try:
            regex.compile(gold)
        except regex.error as error:
            raise DataError(f"{place}: the answer is no pattern ({error}).") from None
        return {"example": str(row.get(self.example) or "")}

    def grade(self, answer: str, problem: Problem) -> Grade:
        return matches(pattern=problem.gold, answer=answer)

    def reference(self, problem: Problem) -> str:
        return str(problem.meta["example"])


class KkGrader(Grader):
    """Knights & Knaves: who is what, all or nothing; names and role words come from the question."""

    type: ClassVar[str] = "kk"
    instruction: ClassVar[str] = "Give the answer as a numbered list with one line for each person."

    def gold(self, row: Mapping[str, Any], given: str, place: str) -> str:
        """A list of truth values or a mapping as a sentence, which is a correct answer too."""
        if given.lstrip()[:1] not in ("[", "{"):
            return given.strip()
        return as_sentence(read_islanders({"question": row["question"], "gold": given}, place)[1])

    def meta(self, row: Mapping[str, Any], gold: str, place: str) -> dict[str, Any]:
        return read_islanders({"question": row["question"], "gold": gold}, place)[1]

    def grade(self, answer: str, problem: Problem) -> Grade:
        return grade_islanders(answer, problem.meta)


def _python_grader(given: Any) -> Any:
    """Writes `python: my_rules.py:grade`, as text or as a mapping, out as `{type: python, function: ...}`."""
    if isinstance(given, str) and given.startswith("python:"):
        given = {"python": given.removeprefix("python:").strip()}
    if isinstance(given, dict) and "type" not in given and isinstance(given.get("python"), str):
        rest = {key: value for key, value in given.items() if key != "python"}
        return {"type": "python", "function": given["python"], **rest}
    return given


OwnGrader = Annotated[SerializeAsAny[Grader], plugin_field("grader"), BeforeValidator(_python_grader)]
"""A field that takes a grader by name, as a mapping with `type` and its keys, or `python: my_rules.py:grade`."""
