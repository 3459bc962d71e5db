"""Tests given as assertions, such as those of MBPP: function, arguments and expected values."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from program_sandbox import Call, Program, Raised, Refused
from warmup_rl.base.errors import DataError, RowLeftOut, Unscorable
from warmup_rl.grading.code import Oracle, Tests, run_program

_IMPORTS = "import collections, datetime, decimal, fractions, itertools, math, re\nfrom math import inf, nan, pi\n"
"""Names that expressions in tests may use."""
_REASON = "with tests that cannot be used"


class _Assertion(NamedTuple):
    """One test: the call, the expected value, how both are compared, and the relative tolerance."""

    call: ast.Call
    expected: ast.expr
    oracle: Oracle = "equal"
    tolerance: float = 0.0


@lru_cache(maxsize=1024)
def read_assertions(source: str, place: str, seconds: float = 3.0) -> Tests:
    """The tests in lines such as `assert f(1) == 2`, `assert set(f(x)) == {1}`, `assert not f(x)` or
    `assert math.isclose(f(x), 0.5, rel_tol=0.01)`.

    Arguments and expected values that are not literals, such as `list(range(9))`, are evaluated in the sandbox.

    Raises:
        RowLeftOut: the tests cannot be used, for instance since they make objects of a class of the solution.
        DataError: the tests are not Python, or do not call one function.
    """
    try:
        nodes = ast.parse(source).body
    except SyntaxError as error:
        raise DataError(f"{place}: the tests are not valid Python ({error.msg}, line {error.lineno}).") from None
    nodes = [node for node in nodes if not isinstance(node, ast.Import | ast.ImportFrom)]
    tests = [_assertion(node, place) for node in nodes]
    functions = {ast.unparse(test.call.func) for test in tests}
    if len(functions) != 1:
        found = ", ".join(sorted(functions)) or "none"
        raise DataError(f"{place}: the tests must call one function, found {found}.")
    oracles = {test.oracle for test in tests}
    if len(oracles) > 1:
        raise RowLeftOut(f"{place}: some tests compare sets and some do not.", _REASON)
    values = _values([*(ast.List(test.call.args) for test in tests), *(test.expected for test in tests)], place)
    inputs, expected = values[: len(tests)], values[len(tests) :]
    tolerance = max(
        (test.tolerance * abs(value) for test, value in zip(tests, expected, strict=True) if test.tolerance),
        default=0.0,
    )
    return Tests(functions.pop(), inputs, expected, tolerance, oracles.pop(), seconds=seconds)


def _assertion(node: ast.stmt, place: str) -> _Assertion:
    test = node.test if isinstance(node, ast.Assert) else None
    found = _compared(test) if test is not None else None
    if found is None or found.call.keywords:
        raise RowLeftOut(
            f"{place}: a test must read `assert FUNCTION(...) == VALUE`, found {ast.unparse(node)!r}.", _REASON
        )
    return found


def _compared(test: ast.expr) -> _Assertion | None:
    """The parts of a test; None if it has another form."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and isinstance(test.operand, ast.Call):
        return _Assertion(test.operand, ast.Constant(False))
    if isinstance(test, ast.Call):
        name = ast.unparse(test.func)
        if name not in ("math.isclose", "isclose"):
            return _Assertion(test, ast.Constant(True))
        if len(test.args) != 2 or not isinstance(test.args[0], ast.Call):
            return None
        given = {key.arg: key.value for key in test.keywords}
        relative = given.get("rel_tol", ast.Constant(1e-9))
        if not isinstance(relative, ast.Constant) or not isinstance(relative.value, float | int) or "abs_tol" in given:
            return None
        return _Assertion(test.args[0], test.args[1], tolerance=float(relative.value))
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq | ast.Is):
        return None
    left, right = test.left, test.comparators[0]
    if not isinstance(left, ast.Call):
        return None
    inner = left.args[0] if ast.unparse(left.func) == "set" and len(left.args) == 1 else None
    return _Assertion(inner, right, "set") if isinstance(inner, ast.Call) else _Assertion(left, right)


def _values(expressions: Sequence[ast.expr], place: str) -> list[Any]:
    """The values of expressions; those that are not literals are evaluated in the sandbox."""
    try:
        return [ast.literal_eval(expression) for expression in expressions]
    except ValueError:
        pass
    lines = [f"def value_{n}(): return {ast.unparse(one)}" for n, one in enumerate(expressions)]
    calls = [Call(f"value_{n}") for n in range(len(expressions))]
    try:
        ran = run_program(Program(_IMPORTS + "\n".join(lines), calls))
    except Unscorable as error:
        raise RowLeftOut(f"{place}: the tests cannot be evaluated ({error}).", _REASON) from None
    fault = next(
        (one for one, value in zip(expressions, ran.values, strict=False) if isinstance(value, Raised | Refused)), None
    )
    if fault is not None or ran.status != "done":
        where = f" {ast.unparse(fault)!r}" if fault is not None else ""
        raise RowLeftOut(
            f"{place}: arguments and results of tests must be plain values; {where or ran.status} is none.", _REASON
        )
    return list(ran.values)
