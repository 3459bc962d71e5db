"""Tests given as assertions, such as those of MBPP: function, arguments and expected values."""

from __future__ import annotations

import ast
import builtins
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
    """One test: an expression with the call, the expected value, how both are compared, and the tolerances."""

    found: ast.expr
    expected: ast.expr
    oracle: Oracle = "equal"
    relative: float = 0.0
    absolute: float = 0.0


@lru_cache(maxsize=1024)
def read_assertions(source: str, place: str, seconds: float = 3.0) -> Tests:
    """The tests in lines such as `assert f(1) == 2`, `assert set(f(x)) == {1}`, `assert tuple(f(x)) == (1, 2)`,
    `assert Solution().f(1) == 2`, `assert not f(x)`, `assert abs(f(x) - 0.5) < 1e-6` or
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
    read = [_assertion(node, place) for node in nodes]
    tests, calls = [test for test, _ in read], [call for _, call in read]
    functions = {ast.unparse(call.func) for call in calls}
    if len(functions) != 1:
        found = ", ".join(sorted(functions)) or "none"
        raise DataError(f"{place}: the tests must call one function, found {found}.")
    if len({test.oracle for test in tests}) > 1:
        raise RowLeftOut(f"{place}: some tests compare sets and some do not.", _REASON)
    values = _values([*(ast.List(call.args) for call in calls), *(test.expected for test in tests)], place)
    inputs, expected = values[: len(tests)], values[len(tests) :]
    tolerances = [
        max(test.absolute, test.relative and test.relative * abs(value))
        for test, value in zip(tests, expected, strict=True)
    ]
    for call in calls:
        call.args = [ast.Starred(ast.Name("arguments"))]
    compared = {ast.unparse(test.found) for test in tests}
    if len(compared) > 1:
        raise RowLeftOut(
            f"{place}: the tests must use the value in one way, found {', '.join(sorted(compared))}.", _REASON
        )
    function, expression = functions.pop().partition("(")[0], compared.pop()
    return Tests(
        function, inputs, expected, max(tolerances), tests[0].oracle, seconds=seconds,
        expression=expression if expression != f"{function}(*arguments)" else "",
    )  # fmt: skip


def _assertion(node: ast.stmt, place: str) -> tuple[_Assertion, ast.Call]:
    """A test, and the call in it."""
    test = node.test if isinstance(node, ast.Assert) else None
    found = _compared(test) if test is not None else None
    call = found and _call_in(found.found)
    if found is None or call is None or call.keywords:
        raise RowLeftOut(
            f"{place}: a test must read `assert FUNCTION(...) == VALUE`, found {ast.unparse(node)!r}.", _REASON
        )
    return found, call


def _compared(test: ast.expr) -> _Assertion | None:
    """The parts of a test; None if it has another form."""
    match test:
        case ast.UnaryOp(ast.Not(), ast.Call() as call):
            return _Assertion(call, ast.Constant(False))
        case ast.Call(ast.Name("isclose") | ast.Attribute(ast.Name("math"), "isclose"), [call, expected], keywords):
            given = {key.arg: key.value for key in keywords}
            match given.get("rel_tol", ast.Constant(1e-9)), given.get("abs_tol", ast.Constant(0.0)):
                case ast.Constant(float() | int() as relative), ast.Constant(float() | int() as absolute):
                    return _Assertion(call, expected, relative=relative, absolute=absolute)
        case ast.Call():
            return _Assertion(test, ast.Constant(True))
        case ast.Compare(
            ast.Call(ast.Name("abs"), [ast.BinOp(call, ast.Sub(), expected)]),
            [ast.Lt() | ast.LtE()],
            [ast.Constant(float() | int() as absolute)],
        ):
            call, expected = (call, expected) if isinstance(call, ast.Call) else (expected, call)
            return _Assertion(call, expected, absolute=absolute)
        case ast.Compare(ast.Call(ast.Name("set"), [ast.Call() as call]), [ast.Eq() | ast.Is()], [expected]):
            return _Assertion(call, expected, "set")
        case ast.Compare(ast.Call(), [ast.Eq() | ast.Is()], [expected]):
            return _Assertion(test.left, expected)
    return None


def _call_in(expression: ast.expr) -> ast.Call | None:
    """The call of the function under test in an expression such as `f(1)`, `sorted(f(1))` or `Solution().f(1)`; None in
    others."""
    match expression:
        case ast.Call(ast.Name(name), [inner, *_]) if hasattr(builtins, name):
            return _call_in(inner)
        case ast.Call(ast.Name() | ast.Attribute(ast.Call(ast.Name(), [], []))):
            return expression
    return None


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
