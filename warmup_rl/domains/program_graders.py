"""How rows of a user's file are graded by running programs in the sandbox: tested functions, and rules of their own."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from program_sandbox import Call, Program, Raised
from warmup_rl.base.errors import DataError, Unscorable, UserError
from warmup_rl.base.types import Grade, Problem
from warmup_rl.domains.graders import Grader
from warmup_rl.grading.code import Tests, grade_program, run_program


class CodeGrader(Grader):
    """Python functions, tested in the sandbox: the gold is a solution, a column holds assertions."""

    type: ClassVar[str] = "code"
    is_slow: ClassVar[bool] = True
    instruction: ClassVar[str] = "Write the function, with its imports, in one Python code block."

    tests: str = "tests"
    """Column with lines such as `assert add(1, 2) == 3`: one function, arguments and results as literals."""
    seconds: float = Field(default=3.0, gt=0, le=60)
    """What a program may take."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.tests,)

    def meta(self, row: Mapping[str, Any], gold: str, place: str) -> dict[str, Any]:
        given = row.get(self.tests)
        source = "\n".join(map(str, given)) if isinstance(given, list) else str(given or "")
        _assertions(source, place)
        return {"tests": source}

    def grade(self, answer: str, problem: Problem) -> Grade:
        function, inputs, expected = _assertions(problem.meta["tests"], problem.id)
        return grade_program(answer, Tests(function, inputs, expected, seconds=self.seconds))

    def reference(self, problem: Problem) -> str:
        return f"```python\n{problem.gold}\n```"


class PythonGrader(Grader):
    """A function of the user's own, run in the sandbox."""

    type: ClassVar[str] = "python"
    is_slow: ClassVar[bool] = True

    function: str
    """`my_rules.py:grade`: a function of question, answer and gold that returns True, False, or None for no answer. It
    runs in the sandbox, so it sees the standard library and nothing else."""
    seconds: float = Field(default=3.0, gt=0, le=60)
    """What one call may take."""

    def grade(self, answer: str, problem: Problem) -> Grade:
        path, _, name = self.function.rpartition(":")
        source = _source(path, self.digest())
        call = Call(name, (problem.question, answer, problem.gold))
        ran = run_program(Program(source, [call], timeout_s=self.seconds))
        if ran.status == "timeout":
            return Grade("timeout", answer[:300], f"{self.function} took more than {self.seconds:g} s")
        if ran.status != "done" or not ran.values:
            raise Unscorable(f"{self.function}: {ran.note or ran.status}")
        value = ran.values[0]
        if isinstance(value, Raised):
            raise Unscorable(f"{self.function} raised {value.kind}")
        if not (value is None or isinstance(value, bool)):
            raise Unscorable(f"{self.function} returned {value!r}: True, False, or None for no answer is needed.")
        return Grade("none" if value is None else "correct" if value else "wrong", answer.strip()[:300])

    def digest(self) -> str:
        path = Path(self.function.rpartition(":")[0])
        if not path.is_file():
            raise UserError(f"grader: no such file {str(path)!r} (looked from {Path.cwd()}). Give my_rules.py:grade.")
        status = path.stat()
        return f"{path.name} {status.st_size} {status.st_mtime_ns}"


@lru_cache(maxsize=1024)
def _assertions(source: str, place: str) -> tuple[str, list[list[Any]], list[Any]]:
    """Function, inputs and results of lines `assert f(...) == value`."""
    try:
        nodes = ast.parse(source).body
    except SyntaxError as error:
        raise DataError(f"{place}: the tests are no Python ({error.msg}, line {error.lineno}).") from None
    functions, inputs, expected = [], [], []
    for node in nodes:
        test = node.test if isinstance(node, ast.Assert) else None
        if not (isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq) and isinstance(test.left, ast.Call)):
            raise DataError(f"{place}: a test must read `assert FUNCTION(...) == VALUE`, found {ast.unparse(node)!r}.")
        try:
            inputs.append([ast.literal_eval(argument) for argument in test.left.args])
            expected.append(ast.literal_eval(test.comparators[0]))
        except ValueError:
            raise DataError(f"{place}: arguments and results must be literals in {ast.unparse(node)!r}.") from None
        functions.append(ast.unparse(test.left.func))
    if len(set(functions)) != 1:
        found = ", ".join(sorted(set(functions))) or "none"
        raise DataError(f"{place}: the tests must call one function, found {found}.")
    return functions[0], inputs, expected


@lru_cache(maxsize=16)
def _source(path: str, digest: str) -> str:
    return Path(path).read_text(encoding="utf-8")
