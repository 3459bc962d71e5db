"""Grades a program by what its function returns: it runs in a sandbox, and values are compared outside of it."""

from __future__ import annotations

import math
import os
import random
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
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

Oracle = Literal["equal", "set", "not_none", "root"]

SECONDS = 3.0
"""Least time a program has; more where the reference solution takes more than a quarter of it."""
MAX_LENGTH = 60_000
"""Characters of a program; longer ones are not run."""
_REFERENCE_SECONDS = 120.0
_RELATIVE = 1e-7
_OUTSIDE = re.compile(r"^return\b", re.MULTILINE)
"""A `return` that stands in no function, whatever is defined before it."""
_RETURN = re.compile(r"^\s*(?:.*:\s+)?return\b", re.MULTILINE)
_FENCE = re.compile(r"^```[ \t]*(?:python3?|py)?[ \t]*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Tests:
    """Inputs of a function and what must come out.

    Attributes:
        function: its name.
        inputs: positional arguments of each call.
        expected: what each call must return.
        tolerance: absolute, for numbers; floats have 1e-6 where it is 0.
        oracle: `equal`: as `==` says, numbers within the tolerance; `set`: the same elements; `not_none`: whether
            anything is returned; `root`: a root of the polynomial whose coefficients are the argument.
        preamble: source that stands before every program, such as imports that the prompt shows.
        seconds: what a program may take.
        prompt: a signature and docstring that an answer which is a bare function body goes on with.
    """

    function: str
    inputs: Sequence[Sequence[Any]]
    expected: Sequence[Any]
    tolerance: float = 0.0
    oracle: Oracle = "equal"
    preamble: str = ""
    seconds: float = SECONDS
    prompt: str = ""


def grade_program(answer: str, tests: Tests) -> Grade:
    """Grades the last fenced block of an answer, or all of it where it has none.

    The calls come in an order that the inputs alone decide, and not as they are listed.

    Raises:
        Unscorable: the sandbox failed, not the program.
        UserError: there is no sandbox on this machine.
    """
    source = extract_code(answer)
    if source and tests.prompt and _is_body(source, tests.function):
        source = f"{tests.prompt.rstrip()}\n{textwrap.indent(textwrap.dedent(source), '    ')}"
    if source is None or not re.search(rf"\b{re.escape(tests.function)}\b", source):
        return Grade("none", None, f"no code that defines {tests.function}")
    if len(source) > MAX_LENGTH:
        return Grade("wrong", source[:200], f"longer than {MAX_LENGTH} characters")
    order = list(range(len(tests.inputs)))
    random.Random(repr(tests.inputs[:3])).shuffle(order)
    inputs = [tests.inputs[i] for i in order]
    ran = run_calls(f"{tests.preamble}\n{source}", tests.function, inputs, tests.seconds)
    if ran.status == "timeout":
        return Grade("timeout", source, f"not done within {tests.seconds:g} s")
    for place, value in zip(order, ran.values, strict=False):
        if note := _fault(value, tests.expected[place], tests.inputs[place], tests):
            return Grade("wrong", source, note)
    if ran.status != "done":
        return Grade("wrong", source, ran.note or ran.status)
    return Grade("correct", source)


def extract_code(answer: str) -> str | None:
    """The last fenced block, by fences at the beginning of a line; the whole answer without one; None where empty.

    A fence that is indented, as in a docstring, is text. An unclosed block goes to the end.
    """
    text = textwrap.dedent(answer.expandtabs(4) if "\t```" in answer else answer).strip("\n")
    fences = list(_FENCE.finditer(text))
    if not fences:
        return text if text.strip() else None
    opening = fences[-2] if len(fences) % 2 == 0 else fences[-1]
    closing = fences[-1].start() if len(fences) % 2 == 0 else len(text)
    code = text[opening.end() : closing].strip("\n")
    return code if code.strip() else None


def _is_body(source: str, function: str) -> bool:
    """Whether code is the inside of a function: it returns outside of any, and does not define the one asked for."""
    if re.search(rf"\bdef\s+{re.escape(function)}\b", source):
        return False
    nested = re.search(r"\b(?:def|class)\s", source)
    return bool((_OUTSIDE if nested else _RETURN).search(textwrap.dedent(source)))


def run_calls(source: str, function: str, inputs: Sequence[Sequence[Any]], seconds: float) -> Ran:
    """Calls a function of a program on each of the inputs, in one process."""
    return run_program(Program(source, [Call(function, arguments) for arguments in inputs], timeout_s=seconds))


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
    """What kept programs in so far in this process, for a run's record; None where none was run."""
    if not _sandbox.cache_info().currsize:
        return None
    opened = _sandbox(os.getpid())
    return {"backend": opened.backend, "how": opened.how}


def expected_values(
    source: str, function: str, inputs: Sequence[Sequence[Any]], *, plain: bool = True
) -> tuple[list[Any], float]:
    """What a reference solution returns, and the seconds it took; see `too_large` for what cannot be carried.

    Args:
        plain: values must be plain data, else it is enough that something is returned.

    Raises:
        Unscorable: it does not run to the end, or returns what cannot be compared.
    """
    ran = run_calls(source, function, inputs, seconds=_REFERENCE_SECONDS)
    odd = (Raised, Refused) if plain else (Raised,)
    bad = next((value for value in ran.values if isinstance(value, odd) and not too_large(value)), None)
    if ran.status != "done" or bad is not None:
        raise Unscorable(f"the reference solution of {function} fails: {bad or ran.note or ran.status}")
    return list(ran.values), ran.seconds


def too_large(value: Any) -> bool:
    """Whether a call came to more than a program may hold or return (megabytes): it cannot be tested."""
    if isinstance(value, Raised):
        return value.kind == "MemoryError"
    return isinstance(value, Refused) and value.why == "too large"


def same_value(value: Any, expected: Any, tolerance: float) -> bool:
    """Equality as Python has it, numbers in lists within a tolerance; a tuple is no list."""
    if _equal(value, expected):
        return True
    if tolerance == 0 and _is_floats(expected):
        tolerance = 1e-6
    return tolerance > 0 and _close(value, expected, tolerance)


def _fault(value: Any, expected: Any, arguments: Sequence[Any], tests: Tests) -> str:
    """What is wrong with a returned value; empty where it is right."""
    if isinstance(value, Raised):
        return f"{tests.function}{_shown(arguments)} raises {value.kind}"
    if tests.oracle == "not_none":
        right = _found(value) == _found(expected)
    elif isinstance(value, Refused):
        return f"{tests.function}{_shown(arguments)} returns no plain data ({value.why})"
    elif tests.oracle == "set":
        right = as_set(value) is not None and as_set(value) == as_set(expected)
    elif tests.oracle == "root":
        right = _is_root(arguments[0], value, tests.tolerance)
    else:
        right = same_value(value, expected, tests.tolerance)
    return "" if right else f"{tests.function}{_shown(arguments)} does not return what it must"


def _found(value: Any) -> bool:
    return value if isinstance(value, bool) else value is not None


def _equal(value: Any, expected: Any) -> bool:
    try:
        return bool(value == expected)
    except (RecursionError, OverflowError):
        return False


def _is_root(coefficients: Sequence[float], value: Any, tolerance: float) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        result = sum(c * math.pow(value, power) for power, c in enumerate(coefficients))
        return math.isfinite(value) and abs(result) <= tolerance
    except OverflowError:
        return False


def _is_floats(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(part, float) for part in value)
    return isinstance(value, float)


def _close(value: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, list | tuple) and isinstance(value, list | tuple):
        return len(value) == len(expected) and all(
            _close(one, other, tolerance) for one, other in zip(value, expected, strict=True)
        )
    if not all(isinstance(number, int | float | complex) for number in (value, expected)):
        return False
    try:
        if isinstance(value, float) and isinstance(expected, float) and math.isnan(value) and math.isnan(expected):
            return True
        return bool(abs(value - expected) <= tolerance + _RELATIVE * abs(expected))
    except OverflowError:
        return False


def _shown(arguments: Sequence[Any]) -> str:
    try:
        text = ", ".join(map(repr, arguments))
    except ValueError:  # integers too long to be written in decimal
        text = "..."
    return f"({text if len(text) <= 80 else text[:77] + '...'})"
