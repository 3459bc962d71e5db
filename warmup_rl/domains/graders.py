"""The graders that a recipe names for the rows of a file."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from program_sandbox import Call, Program, Raised
from warmup_rl.base.errors import DataError, Unscorable, UserError
from warmup_rl.base.types import Grade, Problem
from warmup_rl.base.untrusted import literal, parse_json
from warmup_rl.data.datasets import file_digest
from warmup_rl.domains.assertions import read_assertions
from warmup_rl.grading.choice import choose, final_choice
from warmup_rl.grading.code import extract_code, grade_program, run_program, shown_before
from warmup_rl.grading.final_answer import boxed, last_block, stated, stated_mathematics
from warmup_rl.grading.letters import letters_in, option_letters
from warmup_rl.grading.math import final_answer, said_in_words, same_answer, unusable
from warmup_rl.grading.math_value import rational
from warmup_rl.grading.math_words import read_answer
from warmup_rl.grading.plain import final_items, same_json, same_number, same_set, same_text
from warmup_rl.interfaces.grader import Grader
from warmup_rl.interfaces.plugins import plugin_field

ANSWER_IS = re.compile(r"\banswer\s*(?:is\b|:)", re.IGNORECASE)
"""Marks an answer that is a sentence."""
_COMMA_NUMBER = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?:,\d+)?(?!\d|\.\d)|(?<![\d.,])\d*,\d+(?!\d|\.\d)")
_WITH_UNIT = re.compile(r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?\s+([^\W\d].*)")
_ROMAN = re.compile(r"\\(?:mathrm|text)\s*\{~?([^{}]*)\}|[$~]")


def _of_sentence(answer: str, compared: Callable[[str], Grade], inner: Callable[[str], str | None] = stated) -> Grade:
    """The grade of an answer as it is, or, for one line, of what it boxes or states, as in `The answer is Paris.`"""
    whole = compared(answer)
    if whole.verdict == "correct" or "\n" in answer.strip() or not (boxed(answer) or ANSWER_IS.search(answer)):
        return whole
    said = compared(boxed(answer) or inner(answer) or "")
    return whole if said.verdict == "none" else said


class MathGrader(Grader):
    """Answers as mathematics: fractions, sets, intervals, expressions."""

    type: ClassVar[str] = "math"
    instruction: ClassVar[str] = "Put the final answer into \\boxed{}."

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        return final_answer(written) or written.strip(), {}

    def grade(self, answer: str, problem: Problem) -> Grade:
        return same_answer(gold=problem.gold, answer=answer, question=problem.question)

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """The last box, else the last formula or number in what is stated as the answer or in the last line; where the
        reference is words and there is none, a statement of no more words."""
        return stated_mathematics(text) or said_in_words(text, problem.gold)

    def reference(self, problem: Problem) -> str:
        return f"\\boxed{{{problem.gold}}}"

    def fault(self, problem: Problem) -> str:
        return unusable(problem.gold)

    def adversarial_answers(self, problem: Problem) -> Iterator[tuple[str, str]]:
        gold = problem.gold
        yield "a giant power in a box", "\\boxed{9^{9^9}}"
        yield "a giant factorial", "\\boxed{(10^7)!}"
        yield "a sum over millions", "\\boxed{\\sum_{i=1}^{100000000} i}"
        yield "two boxes, the last one another", f"\\boxed{{{gold}}} or \\boxed{{{gold}+1}}"
        yield "two values in a box", f"\\boxed{{{gold} \\text{{ or }} 123456789}}"
        yield "an equation that holds the answer", f"\\boxed{{{gold}=123456789}}"
        yield "an unclosed box", f"\\boxed{{{gold}"


class NumberGrader(Grader):
    """One number, within a tolerance, with or without its unit."""

    type: ClassVar[str] = "number"
    instruction: ClassVar[str] = "Give the answer as one number."

    tolerance: float = Field(default=0.0, ge=0)
    """How far from the reference an answer may be."""
    relative: float = Field(default=0.0, ge=0)
    """The same as a share of the reference."""
    units: list[str] | dict[str, list[str]] = Field(default=[])
    """Spellings of the unit that may follow the number, such as `[km, kilometers]`; for several units a mapping of each
    to its other spellings, such as `{kWh: [], Pa: [pascal]}`. Common units are known without this key."""
    decimal: Literal["point", "comma"] = "point"
    """The decimal sign of the file and of answers: with `comma`, 1.234,5 is 1234.5."""

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        """The number and its unit, without the LaTeX around a unit."""
        return (_ROMAN.sub(r"\1", written) if "\\mathrm" in written or "\\text" in written else written).strip(), {}

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """The last box, else the last number in what is stated as the answer or in the last line."""
        text = self._with_point(text)
        line = stated(text)
        is_number = boxed(text) is None and rational(read_answer(line).text) is not None
        return line if is_number else stated_mathematics(text)

    def grade(self, answer: str, problem: Problem) -> Grade:
        gold, answer = self._with_point(problem.gold), self._with_point(answer)
        units = self._spellings(gold)
        return _of_sentence(answer, lambda text: self._compare(gold, text, units, problem.question), stated_mathematics)

    def value(self, gold: str) -> Fraction | None:
        """The number in a reference answer, without its unit; None if there is none."""
        found = re.match(r"\s*[-+]?[\d.,]+", self._with_point(gold))
        return rational(read_answer(found[0] if found else self._with_point(gold)).text)

    def _compare(self, gold: str, answer: str, units: list[str], question: str) -> Grade:
        near = {"tolerance": self.tolerance, "relative": self.relative}
        return same_number(gold=gold, answer=answer, units=units, question=question, **near)

    def _spellings(self, gold: str) -> list[str]:
        """All spellings of the unit of a reference answer, which may be a word that only the file knows."""
        known = self.units
        if isinstance(known, dict):
            found = ([unit, *others] for unit, others in known.items())
            known = next((names for names in found if any(gold.strip().endswith(name) for name in names)), [])
        written = _WITH_UNIT.fullmatch(gold.strip())
        return [*known, written[1]] if written and rational(read_answer(gold).text) is None else known

    def _with_point(self, text: str) -> str:
        if self.decimal == "point":
            return text
        return _COMMA_NUMBER.sub(lambda found: found[0].replace(".", "").replace(",", "."), text)


class ChoiceGrader(Grader):
    """Multiple choice by letter. The file may name the correct option by letter, label, number or its own text."""

    type: ClassVar[str] = "choice"
    instruction: ClassVar[str] = "Answer with the letter of the right option."

    options: str | list[str] | None = None
    """Column with the options, as a list or as text with one per line, or several columns with one option each;
    default: those of the question that begin with `A.`, `B.` and so on, best on lines of their own."""
    counted_from: Literal[0, 1] | None = None
    """The file names the correct option by its number, counted from 0 or 1."""

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        """The letter of the correct option; the options are in `meta` unless they are part of the question."""
        if isinstance(self.options, list) and not set(self.options) & row.keys():
            raise DataError(
                f"{place}: `options` names columns, and there is no column {', '.join(map(repr, self.options))}. For "
                "answers that are one of a set of labels: grader: {type: label, labels: [...]}."
            )
        labels: list[str] = []
        if self.options is None:
            text = "\n".join(str(value) for value in row.values())
            options = option_letters(text)
        else:
            options, labels = row_options(self.options, row)
        letters, name = string.ascii_uppercase[: len(options)], written.strip().strip("().")
        known = {**dict(zip(map(str.casefold, labels), letters, strict=False)), **{one.lower(): one for one in letters}}
        if self.counted_from is not None:
            known = {str(number): letter for number, letter in enumerate(letters, start=self.counted_from)}
        letter = known.get(name.casefold())
        if letter is None and self.counted_from is None and self.options:
            named = [one for one, text in zip(letters, options, strict=True) if text.strip() == written.strip()]
            letter = named[0] if len(named) == 1 else None
        if not 2 <= len(options) <= len(string.ascii_uppercase) or letter is None:
            kind = "letter" if self.counted_from is None else f"number (counted from {self.counted_from})"
            raise DataError(
                f"{place}: the answer {written!r} is not the {kind} of one of {len(options)} options found."
            )
        return letter, {"letters": letters, **({"options": options} if self.options else {})}

    def grade(self, answer: str, problem: Problem) -> Grade:
        letters, question = problem.meta["letters"], problem.question
        return choose(gold=problem.gold, answer=answer, letters=letters, question=question)

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """All of a text that boxes an option or calls one the answer, else its last line."""
        return final_choice(text, problem.question)

    def chance_accuracy(self, problem: Problem) -> float:
        return 1 / len(problem.meta["letters"])

    def adversarial_answers(self, problem: Problem) -> Iterator[tuple[str, str]]:
        letters = problem.meta["letters"]
        yield "all options", ", ".join(letters)
        yield "a letter beyond the options", f"{string.ascii_uppercase}?"[len(letters)]
        yield "two letters", f"The answer is {letters[0]} or {letters[1]}"
        yield "a pronoun", "I think that it depends"


def row_options(options: str | list[str], row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The options of a row and, if the file has them, their labels.

    Args:
        options: the column with all options, or the columns with one each.
    """
    if isinstance(options, list):
        return [str(row[name]) for name in options if str(row.get(name) or "").strip()], []
    return listed_options(row.get(options))


def listed_options(given: Any) -> tuple[list[str], list[str]]:
    """Options and their labels in a list, a mapping with `text` and `label`, or a text of either or of lines."""
    given = literal(given)
    labels: Any = ()
    if isinstance(given, Mapping):
        given, labels = (given["text"], given.get("label", ())) if "text" in given else (given.values(), given.keys())
    if not isinstance(given, str) and given is not None:
        return [str(one) for one in given if one is not None], [str(label) for label in labels]
    return [line for line in str(given or "").splitlines() if line.strip()], []


class ExactGrader(Grader):
    """The same text, regardless of white space and closing punctuation."""

    type: ClassVar[str] = "exact"

    ignore_case: bool = True
    """Whether `Paris` and `paris` are the same."""
    alternatives: bool = False
    """The answer column holds lists of texts, any of which is right; a text alone is a list of one."""

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        listed = literal(written) if self.alternatives else None
        right = [str(text) for text in listed] if isinstance(listed, list) and listed else [written.strip()]
        return right[0], {"alternatives": right} if self.alternatives else {}

    def grade(self, answer: str, problem: Problem) -> Grade:
        """The answer is compared as it is, and one line also without what is around it in a box or a sentence such as
        `The answer is Paris.`"""
        return _of_sentence(answer, lambda text: self._compare(problem, text))

    def _compare(self, problem: Problem, text: str) -> Grade:
        right = problem.meta.get("alternatives", [problem.gold])
        grades = (same_text(gold=gold, answer=text, ignore_case=self.ignore_case) for gold in right)
        return max(grades, key=lambda grade: grade.verdict == "correct")


class SetGrader(Grader):
    """The same members in any order, separated by commas, semicolons or lines."""

    type: ClassVar[str] = "set"

    ignore_case: bool = True
    """Whether `Paris` and `paris` are the same."""
    options: str | list[str] | None = None
    """Several of these options are right: as the key of `choice`; reference answers such as `A, C` name them by
    letter."""

    @property
    def instruction(self) -> str:  # type: ignore[override]
        if self.options:
            return "Answer with the letters of all right options, separated by commas."
        return "Give the answer as a list separated by commas."

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        if self.options is None:
            return written.strip(), {}
        return ", ".join(letters_in(written)) or written.strip(), {"options": row_options(self.options, row)[0]}

    def grade(self, answer: str, problem: Problem) -> Grade:
        if self.options and (letters := letters_in(problem.gold)):
            return same_set(gold=", ".join(letters), answer=", ".join(letters_in(answer)) or answer)
        return _of_sentence(answer, lambda text: same_set(gold=problem.gold, answer=text, ignore_case=self.ignore_case))

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """The items of a list that ends the text, else as for every grader."""
        return final_items(text) or super().final_answer(text, problem)


class JsonGrader(Grader):
    """An equal JSON value, fenced or bare."""

    type: ClassVar[str] = "json"
    instruction: ClassVar[str] = "Give the answer as JSON."

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        gold = written.strip()
        try:
            parse_json(gold)
        except ValueError as error:
            raise DataError(f"{place}: the answer is not JSON ({error}).") from None
        return gold, {}

    def grade(self, answer: str, problem: Problem) -> Grade:
        return _of_sentence(answer, lambda text: same_json(gold=problem.gold, answer=text))

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """The last code block, else as for every grader."""
        return last_block(text) or super().final_answer(text, problem)


class CodeGrader(Grader):
    """Python functions, tested in the sandbox: the reference answer is a solution, a column has assertions."""

    type: ClassVar[str] = "code"
    is_slow: ClassVar[bool] = True
    instruction: ClassVar[str] = "Write the function, with its imports, in one Python code block."

    tests: str = "tests"
    """Column with lines such as `assert add(1, 2) == 3`, `assert set(f(x)) == {1}`, `assert not f(x)` or
    `assert math.isclose(f(x), 0.5)`, all for one function. Rows whose tests cannot be used are left out and counted."""
    seconds: float = Field(default=3.0, gt=0, le=60)
    """Time limit of a program."""

    def read(self, row: Mapping[str, Any], written: str, place: str) -> tuple[str, dict[str, Any]]:
        given = row.get(self.tests)
        source = "\n".join(map(str, given)) if isinstance(given, list) else str(given or "")
        read_assertions(source, place, self.seconds)
        return written.strip(), {"tests": source}

    def grade(self, answer: str, problem: Problem) -> Grade:
        tests = read_assertions(problem.meta["tests"], problem.id, self.seconds)
        return grade_program(answer, replace(tests, preamble=shown_before(problem.question, tests.function)))

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """All of the text, of which `grade` takes the block that defines the function."""
        return text

    def answer_if_cut(self, text: str, problem: Problem) -> str | None:
        """All of the text where a closed block defines the function."""
        function = problem.meta.get("function") or read_assertions(problem.meta["tests"], problem.id).function
        return text if extract_code(text, function, closed=True) else None

    def reference(self, problem: Problem) -> str:
        return f"```python\n{problem.gold}\n```"


class PythonGrader(Grader):
    """A function of the user's, run in the sandbox."""

    type: ClassVar[str] = "python"
    is_slow: ClassVar[bool] = True

    function: str
    """`my_rules.py:grade`: a function of question, answer and reference answer that returns True, False, or None for no
    answer. It runs in the sandbox, so it has access to the standard library and nothing else."""
    seconds: float = Field(default=3.0, gt=0, le=60)
    """Time limit of a call."""

    def grade(self, answer: str, problem: Problem) -> Grade:
        """A rule that fails on an answer and not on the reference answer, such as `float(answer)`, finds it wrong."""
        extracted, value = answer.strip()[:300], self._returned(answer, problem)
        if value == "timeout":
            return Grade("timeout", extracted, f"{self.function} took more than {self.seconds:g} s")
        if isinstance(value, str):
            if isinstance(self._returned(problem.gold, problem), str):
                raise Unscorable(f"{value} (on the reference answer too)")
            return Grade("wrong", extracted, value)
        return Grade("none" if value is None else "correct" if value else "wrong", extracted)

    def _returned(self, answer: str, problem: Problem) -> bool | str | None:
        """What the function returns; `timeout`, or what went wrong."""
        path, _, name = self.function.rpartition(":")
        call = Call(name, (problem.question, answer, problem.gold))
        ran = run_program(Program(_source(path, self.digest()), [call], timeout_s=self.seconds))
        if ran.status == "timeout":
            return ran.status
        if ran.status != "done":
            return f"{self.function}: {ran.note or ran.status}"
        value = ran.values[0]
        if isinstance(value, Raised):
            return f"{self.function} raised {value.kind}"
        if value is None or isinstance(value, bool):
            return value
        return f"{self.function} returned {value!r}: True, False, or None for no answer is needed."

    def digest(self) -> str:
        path = Path(self.function.rpartition(":")[0])
        if not path.is_file():
            raise UserError(f"grader: no such file {str(path)!r} (looked from {Path.cwd()}). Give my_rules.py:grade.")
        return file_digest(path)


@lru_cache(maxsize=16)
def _source(path: str, digest: str) -> str:
    return Path(path).read_text(encoding="utf-8")


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
