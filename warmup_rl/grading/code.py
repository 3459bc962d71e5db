"""Grades a program by what its function returns: it runs in a sandbox, and the values are compared outside."""

from __future__ import annotations

import ast
import builtins
import cmath
import doctest
import math
import os
import random
import re
import symtable
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Literal

from program_sandbox import (
    Call,
    Program,
    Raised,
    Ran,
    Refused,
    Sandbox,
    SandboxError,
    SandboxUnavailable,
    as_set,
    open_sandbox,
)
from warmup_rl.base.errors import Unscorable, UserError
from warmup_rl.base.types import Grade
from warmup_rl.grading.final_answer import blocks

Oracle = Literal["equal", "set", "not_none", "root"]

SECONDS = 3.0
"""Minimum time limit of a program; higher if the reference solution takes more than a quarter of it."""
MAX_LENGTH = 60_000
"""Characters of a program; longer ones are not run."""
_REFERENCE_SECONDS = 120.0
_RELATIVE_TOLERANCE = 1e-7
_TOP_LEVEL_RETURN = re.compile(r"^return\b", re.MULTILINE)
_RETURN = re.compile(r"^\s*(?:.*:\s+)?return\b", re.MULTILINE)
_PYTHON = ("", "py", "python", "python3")
_LANGUAGE_BELOW = re.compile(r"\A\s*(?:py|python3?)[ \t]*\n")
"""The name of the language on the line after a fence instead of beside it."""
_SPECIAL = re.compile(r"<\|[\w/ ]{2,40}\|>|</?s>|<[be]os>")
"""Begins or ends a text: a token that a tokenizer left in it."""
_FIRST_LINE = re.compile(r"^(?:import |from |def |class |async def |@)", re.MULTILINE)
_PROSE_CUTS = 5
_COMPARED = "value_to_compare"
_BUILTINS = frozenset(dir(builtins))
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


@dataclass(frozen=True)
class Tests:
    """Inputs of a function and the values that it must return.

    Attributes:
        function: its name.
        inputs: positional arguments of each call.
        expected: return value of each call.
        tolerance: absolute, for numbers; 1e-6 for floats if it is 0.
        oracle: `equal`: equality, with numbers within the tolerance; `set`: the same elements; `not_none`: whether a
            value is returned; `root`: a root of the polynomial with the coefficients in the argument.
        preamble: source whose definitions a program may use, such as imports that the question shows.
        seconds: time limit of a program.
        prompt: signature and docstring that precede an answer that is only a function body.
        expression: what is compared in place of `function(*arguments)`, such as `sorted(function(*arguments))`, or
            `function().method(*arguments)` of a class.
    """

    function: str
    inputs: Sequence[Sequence[Any]]
    expected: Sequence[Any]
    tolerance: float = 0.0
    oracle: Oracle = "equal"
    preamble: str = ""
    seconds: float = SECONDS
    prompt: str = ""
    expression: str = ""


def grade_program(answer: str, tests: Tests) -> Grade:
    """Grades the last fenced block of an answer, or the whole answer if it has none.

    The calls are shuffled, in an order that depends only on the inputs.

    Raises:
        Unscorable: the sandbox failed, not the program.
        UserError: there is no sandbox on this machine.
    """
    source = extract_code(answer, tests.function)
    if source and tests.prompt and _is_body(source, tests.function):
        source = f"{tests.prompt.rstrip()}\n{textwrap.indent(textwrap.dedent(source), '    ')}"
    source = _with_needed([tests.preamble], source) if source else source
    if source is None or not re.search(rf"\b{re.escape(tests.function)}\b", source):
        return Grade("none", None, f"no code that defines {tests.function}")
    if len(source) > MAX_LENGTH:
        return Grade("wrong", source[:200], f"longer than {MAX_LENGTH} characters")
    order = list(range(len(tests.inputs)))
    random.Random(repr(tests.inputs[:3])).shuffle(order)
    called = _COMPARED if tests.expression else tests.function
    compared = f"\n\n\ndef {called}(*arguments):\n    return {tests.expression}\n" if tests.expression else ""
    calls = [Call(called, tests.inputs[i]) for i in order]
    ran = run_program(Program(source + compared, calls, timeout_s=tests.seconds))
    if ran.status == "timeout":
        return Grade("timeout", source, f"not finished within {tests.seconds:g} s")
    for place, value in zip(order, ran.values, strict=False):
        if note := _fault(value, tests.expected[place], tests.inputs[place], tests):
            return Grade("wrong", source, note)
    if ran.status != "done":
        return Grade("wrong", source, ran.note or ran.status)
    return Grade("correct", source)


def extract_code(answer: str, function: str, *, closed: bool = False) -> str | None:
    """The program in an answer; None if there is none.

    It is the last fenced Python block that defines `function`, after those imports and definitions of the blocks before
    it that it uses; the last Python block where none defines it; the whole answer where nothing is fenced. Blocks of
    other languages do not count, nor do fences in a docstring.

    Args:
        closed: a block must be closed and define the function; otherwise an unclosed one extends to the end.
    """
    pieces = _SPECIAL.split(answer.replace("\r\n", "\n").replace("\r", "\n"))
    text = next(filter(str.strip, pieces), "")
    text = textwrap.dedent(text.expandtabs(4) if "\t```" in text else text).strip("\n")
    fenced = blocks(text)
    python = [
        _typed(_LANGUAGE_BELOW.sub("", code))
        for language, code, ends in fenced
        if language in _PYTHON and (ends or not closed)
    ]
    defines = re.compile(
        rf"^(?:(?:async\s+)?def|class)\s+{re.escape(function)}\b|^{re.escape(function)}\s*=", re.MULTILINE
    )
    defining = [place for place, block in enumerate(python) if defines.search(textwrap.dedent(block))]
    if defining:
        code = _with_needed(python[: defining[-1]], python[defining[-1]])
    elif closed:
        return None
    else:
        code = python[-1] if python else "" if fenced else _without_prose(text)
    code = code.strip("\n")
    return code if code.strip() else None


def _typed(code: str) -> str:
    """What was typed in an interactive session; other code unchanged."""
    try:
        return doctest.script_from_examples(code) if code.lstrip().startswith(">>> ") else code
    except ValueError:  # lines without the prompt's blank
        return code


def _without_prose(text: str) -> str:
    """The code of a text without fences: from its first definition to where Python ends; all of it if it is code."""
    start = _FIRST_LINE.search(text)
    if start is None or len(text) > MAX_LENGTH or _parsed(text):
        return text
    lines = text[start.start() :].splitlines()
    for _ in range(_PROSE_CUTS):
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            lines = lines[: max(error.lineno or 1, 1) - 1]
        except (ValueError, RecursionError, MemoryError):
            return text
        else:
            break
    return "\n".join(lines)


def _parsed(code: str) -> list[ast.stmt] | None:
    """The statements of code; None if it is no Python."""
    try:
        return ast.parse(textwrap.dedent(code)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def shown_before(question: str, function: str) -> str:
    """The imports and helpers that a question shows right before the function that it asks for; empty if there are
    none."""
    asked = re.search(rf"^(?:async\s+)?def\s+{re.escape(function)}\b", question, re.MULTILINE)
    shown = question[max(0, asked.start() - MAX_LENGTH) : asked.start()] if asked else ""
    starts = islice(_FIRST_LINE.finditer(shown), _PROSE_CUTS)
    return next((code for start in starts if _parsed(code := shown[start.start() :])), "")


def _with_needed(before: Sequence[str], code: str) -> str:
    """Code after those imports and definitions in other code that it uses, directly or through others of them; the last
    one of a name counts."""
    known = [found for other in before if len(other) <= MAX_LENGTH for found in _definitions(other)]
    body, names = _parsed(code), _names(textwrap.dedent(code)) if known else None
    if body is None or names is None:
        return code
    by_name: dict[str, list[int]] = {}
    for place, (statement, bound, _) in enumerate(known):
        for name in bound:
            several = name == "*" or statement.startswith("import ")
            by_name[name] = [*(by_name.get(name, []) if several else []), place]
    (seen, needed), chosen = names, set[int]()
    while left := needed - seen:
        seen |= left
        places = [by_name.get(name, () if name in _BUILTINS else by_name.get("*", ())) for name in left]
        chosen.update(*places)
        needed = {name for place in chain(*places) for name in known[place][2]}
    if not chosen:
        return code
    lines = textwrap.dedent(code).split("\n")
    first = [node.end_lineno or 0 for node in body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    top = max(first, default=0)
    return "\n".join([*lines[:top], *(known[place][0] for place in sorted(chosen)), "", *lines[top:]])


def _definitions(code: str) -> Iterator[tuple[str, set[str], set[str]]]:
    """Each import and definition at the top of code, with the names that it binds (`*`: any) and uses."""
    for node in _parsed(code) or ():
        single: list[ast.stmt] = [node] if isinstance(node, _DEFINITIONS) else []
        if isinstance(node, ast.Import):
            single = [ast.Import([alias]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            single = [ast.ImportFrom(node.module, [alias], node.level) for alias in node.names]
        for one in single:
            try:
                statement = ast.unparse(one)
            except (ValueError, RecursionError):
                continue
            if names := _names(statement):
                bound = names[0] - _BUILTINS if isinstance(node, ast.Assign | ast.AnnAssign) else names[0]
                yield statement, {"*"} if statement.endswith("import *") else bound, names[1]


def _names(code: str) -> tuple[set[str], set[str]] | None:
    """The global names that code binds, and those that it uses; None if it is no Python."""
    try:
        scopes = [symtable.symtable(code, "program", "exec")]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    bound = {one.get_name() for one in scopes[0].get_symbols() if one.is_assigned() or one.is_imported()}
    for scope in scopes:
        scopes.extend(scope.get_children())
    symbols = ((scope is scopes[0], one) for scope in scopes for one in scope.get_symbols())
    return bound, {one.get_name() for top, one in symbols if one.is_referenced() and (top or one.is_global())}


def _is_body(source: str, function: str) -> bool:
    """Whether code is a function body: it returns outside of any function, and does not define `function`."""
    if re.search(rf"\bdef\s+{re.escape(function)}\b", source):
        return False
    nested = re.search(r"\b(?:def|class)\s", source)
    return bool((_TOP_LEVEL_RETURN if nested else _RETURN).search(textwrap.dedent(source)))


def run_program(program: Program) -> Ran:
    """Runs a program in the sandbox of this process.

    Raises:
        Unscorable: the sandbox failed, not the program.
        UserError: there is no sandbox on this machine, or it failed on several programs in a row.
    """
    try:
        return _sandbox(os.getpid()).run(program)
    except SandboxUnavailable as failure:
        raise Unscorable(str(failure)) from failure
    except SandboxError as error:
        raise UserError(f"{error}\nSee `python -m warmup_rl doctor`.") from error


@lru_cache(maxsize=1)
def _sandbox(process_id: int) -> Sandbox:
    return open_sandbox()


def sandbox_used() -> dict[str, str] | None:
    """The sandbox that this process has used so far, for a run's record; None if no program was run."""
    if not _sandbox.cache_info().currsize:
        return None
    opened = _sandbox(os.getpid())
    return {"backend": opened.backend, "how": opened.how}


def expected_values(
    source: str, function: str, inputs: Sequence[Sequence[Any]], *, plain: bool = True
) -> tuple[list[Any], float]:
    """The values that a reference solution returns (see `too_large` for exceptions), and its time in seconds.

    Args:
        plain: values must be plain data; otherwise any return value is accepted.

    Raises:
        Unscorable: the solution fails, or returns a value that cannot be compared.
    """
    calls = [Call(function, arguments) for arguments in inputs]
    ran = run_program(Program(source, calls, timeout_s=_REFERENCE_SECONDS))
    failures = (Raised, Refused) if plain else (Raised,)
    bad = next((value for value in ran.values if isinstance(value, failures) and not too_large(value)), None)
    if ran.status != "done" or bad is not None:
        raise Unscorable(f"the reference solution of {function} fails: {bad or ran.note or ran.status}")
    return list(ran.values), ran.seconds


def too_large(value: Any) -> bool:
    """Whether a call exceeded the memory or the size of a return value, so that it cannot be used as a test."""
    if isinstance(value, Raised):
        return value.kind == "MemoryError"
    return isinstance(value, Refused) and value.why == "too large"


def same_value(value: Any, expected: Any, tolerance: float) -> bool:
    """Python's equality, with numbers in lists and tuples equal within a tolerance; a list never equals a tuple."""
    if tolerance == 0 and _is_floats(expected):
        tolerance = 1e-6
    try:
        return bool(value == expected) or tolerance > 0 and _close(value, expected, tolerance)
    except (RecursionError, OverflowError):
        return False


def _fault(value: Any, expected: Any, arguments: Sequence[Any], tests: Tests) -> str:
    """What is wrong with a returned value; empty if it is right."""
    if isinstance(value, Raised):
        return f"{tests.function}{_format(arguments)} raises {value.kind}"
    if tests.oracle == "not_none":
        right = _has_value(value) == _has_value(expected)
    elif isinstance(value, Refused):
        return f"{tests.function}{_format(arguments)} does not return plain data ({value.why})"
    elif tests.oracle == "set":
        right = as_set(value) is not None and as_set(value) == as_set(expected)
    elif tests.oracle == "root":
        right = _is_root(arguments[0], value, tests.tolerance)
    else:
        right = same_value(value, expected, tests.tolerance)
    return "" if right else f"{tests.function}{_format(arguments)} returns a wrong value"


def _has_value(value: Any) -> bool:
    return value if isinstance(value, bool) else value is not None


def _is_root(coefficients: Sequence[float], value: Any, tolerance: float) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        result = sum(c * math.pow(value, power) for power, c in enumerate(coefficients))
        return math.isfinite(value) and abs(result) <= tolerance
    except OverflowError:
        return False


def _is_floats(value: Any) -> bool:
    values = value if isinstance(value, list | tuple) else [value]
    return bool(values) and all(isinstance(part, float) for part in values)


def _close(value: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, list | tuple) and isinstance(value, list | tuple):
        pairs = zip(value, expected, strict=False)
        return len(value) == len(expected) and all(_close(one, other, tolerance) for one, other in pairs)
    if not all(isinstance(number, int | float | complex) for number in (value, expected)):
        return False
    if isinstance(value, float) and isinstance(expected, float) and math.isnan(value) and math.isnan(expected):
        return True
    if not (cmath.isfinite(value) and cmath.isfinite(expected)):  # all numbers lie within an infinite tolerance
        return bool(value == expected)
    return bool(abs(value - expected) <= tolerance + _RELATIVE_TOLERANCE * abs(expected))


def _format(arguments: Sequence[Any]) -> str:
    try:
        text = ", ".join(map(repr, arguments))
    except ValueError:  # integers too long to be written in decimal
        text = "..."
    return f"({text if len(text) <= 80 else text[:77] + '...'})"
