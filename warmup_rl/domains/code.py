"""Python functions to write: HumanEval+ and MBPP+ (arXiv 2305.01210), graded by running them in a sandbox."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import Field

from warmup_rl.base.errors import DataError, Unscorable
from warmup_rl.base.types import Grade, Problem
from warmup_rl.data.datasets import Source
from warmup_rl.domains.graders import CodeGrader
from warmup_rl.domains.rows import OneSplitDomain, Row, RowDomain, question_id, text_of
from warmup_rl.grading.code import SECONDS, Oracle, Tests, expected_values, grade_program, shown_before, too_large

_NOT_NONE = {"737", "787", "794"}
"""MBPP tasks with published tests that ask only whether something is found."""
_COMPLEX = re.compile(r"\(?(?:[+-]?\d[\d.]*(?:e[+-]?\d+)?)?[+-]?\d[\d.]*(?:e[+-]?\d+)?j\)?")
_ROOT_TOLERANCE = 1e-4
"""How far from 0 a polynomial may be at a root, as published."""


@dataclass(frozen=True, eq=False)
class Cases:
    """The inputs of a function, and the expected results.

    Attributes:
        expected: published results, one per input; None if they come from running the reference solution.
    """

    inputs: Sequence[Sequence[Any]]
    expected: Sequence[Any] | None
    tolerance: float
    oracle: Oracle


@dataclass(frozen=True, eq=False)
class Task:
    """A row's function to write.

    Attributes:
        solution: the reference solution, a whole program.
        cases: reads them, which may take a while; raises `DataError` if the row's tests are invalid.
        prompt: the beginning of a program that an answer may continue; empty if there is none.
    """

    function: str
    solution: str
    preamble: str
    cases: Callable[[], Cases]
    prompt: str = ""


class _Functions(OneSplitDomain):
    """What HumanEval+ and MBPP+ have in common.

    Inputs on which the reference solution itself returns more than a megabyte are left out: some of the published ones
    return hundreds, which no sandbox should carry for each completion.
    """

    REWARDS: ClassVar[Mapping[str, Any]] = {**RowDomain.REWARDS, "wrong": -1.0}
    """The table of arXiv 2505.13718 for HumanEval+: -1 for a program that fails, crashes or runs out of time."""

    max_tests: int | None = Field(default=None, gt=0)
    """Most inputs that a program is run on; default: all published ones."""

    def answer_grader(self) -> CodeGrader:
        return CodeGrader()

    def grade(self, answer: str, problem: Problem) -> Grade:
        return grade_program(answer, self.tests(problem))

    def read(self, row: Row, place: str) -> Problem:
        if not isinstance(row.get("problem"), Mapping):
            raise DataError(f"{place}: the data set's own row is needed under 'problem': prompt, tests and solution.")
        return super().read(row, place)

    def adversarial_answers(self, problem: Problem) -> Iterator[tuple[str, str]]:
        name = problem.meta["function"]
        equal = "class E:\n    def __eq__(self, other): return True\n    def __hash__(self): return 0"
        yield "ends the process", f"```python\nimport os\ndef {name}(*a): return None\nos._exit(0)\n```"
        yield "equal to all", f"```python\n{equal}\ndef {name}(*a): return E()\n```"
        yield "no function", "```python\nprint('all tests passed')\n```"
        yield "raises", f"```python\ndef {name}(*a): raise SystemExit(0)\n```"
        yield "runs forever", f"```python\ndef {name}(*a):\n    while True: pass\n```"

    def tests(self, problem: Problem) -> Tests:
        """The tests of a problem; expected values that are not published are computed once per process."""
        if problem.id not in _TASKS:
            self.table()
        return _tests(problem.id, _TASKS[problem.id], self.max_tests)

    def fault(self, problem: Problem) -> str:
        try:
            self.tests(problem)
        except (Unscorable, DataError) as error:
            return str(error)
        return ""

    def _problem(self, question: str, task: Task) -> Problem:
        problem_id = question_id(self.type, question)
        _TASKS[problem_id] = task
        meta = {"function": task.function}
        return Problem(problem_id, self.name or self.type, question, task.solution.strip("\n"), meta)


class HumanEvalPlus(_Functions):
    """Functions to complete from signature and docstring; 50 to train on and 114 to measure, as in the paper."""

    type: ClassVar[str] = "humaneval_plus"

    data: Source = Source(path="evalplus/humanevalplus", split="test")
    """All rows: prompt, canonical_solution, entry_point, and test or base_input and plus_input."""
    train: int = Field(default=50, ge=0)

    def read_row(self, row: Row, place: str) -> Problem:
        prompt, function = text_of(row, "prompt", place), text_of(row, "entry_point", place)
        solution = f"{prompt}{text_of(row, 'canonical_solution', place)}"
        preamble = shown_before(prompt, function)
        root = function == "find_zero"  # many roots are correct, and the published test compares with one
        if "base_input" in row:
            inputs = [*_given(row, "base_input", place), *_given(row, "plus_input", place)]
            cases = Cases(inputs, None, float(row.get("atol") or 0), "root" if root else "equal")
            task = Task(function, solution, preamble, lambda: cases, prompt)
        else:
            test = text_of(row, "test", place)
            task = Task(function, solution, preamble, lambda: _published(test, place, root=root), prompt)
        return self._problem(f"```python\n{prompt.strip()}\n```", task)

    def default_instruction(self) -> str:
        return "Write the whole function, with its imports, in one Python code block."


class MbppPlus(_Functions):
    """Small functions described in a sentence with an example."""

    type: ClassVar[str] = "mbpp_plus"

    data: Source = Source(path="evalplus/mbppplus", split="test")
    """All rows: prompt, code, test_list and test; or prompt, canonical_solution, base_input and plus_input."""
    train: int = Field(default=100, ge=0)

    def read_row(self, row: Row, place: str) -> Problem:
        prompt, number = text_of(row, "prompt", place), str(row.get("task_id", "")).rpartition("/")[2]
        if "base_input" in row:
            function, solution = text_of(row, "entry_point", place), text_of(row, "canonical_solution", place)
            cases = _from_inputs(row, function, prompt, number, place)
            task = Task(function, solution, "", lambda: cases)
            question = prompt.strip().strip('"').strip()
        else:
            test, solution = text_of(row, "test", place), text_of(row, "code", place)
            task = Task(_called(test, place), solution, "", lambda: _published(test, place))
            question = "\n".join([prompt.strip(), *[str(line) for line in row.get("test_list") or ()][:1]])
        return self._problem(question, task)

    def default_instruction(self) -> str:
        return "Write the function, named as in the example, with its imports, in one Python code block."


_TASKS: dict[str, Task] = {}
"""Tasks read so far by problem id: their tests may take a megabyte, too much to put into a problem's meta."""


@lru_cache(maxsize=4096)
def _tests(problem_id: str, task: Task, most: int | None) -> Tests:
    cases = task.cases()
    chosen = sorted(range(len(cases.inputs)), key=lambda i: hashlib.sha256(f"{problem_id}/{i}".encode()).digest())
    chosen = chosen if most is None else chosen[:most]
    inputs = [cases.inputs[place] for place in chosen]
    plain = cases.expected is None and cases.oracle != "not_none"
    returned, seconds = expected_values(task.solution, task.function, inputs, plain=plain)
    values = returned if cases.expected is None else [cases.expected[place] for place in chosen]
    kept = [place for place, value in enumerate(returned) if not too_large(value)]
    inputs, values = [inputs[place] for place in kept], [values[place] for place in kept]
    limit = max(SECONDS, 4 * seconds)
    return Tests(task.function, inputs, values, cases.tolerance, cases.oracle, task.preamble, limit, task.prompt)


def _from_inputs(row: Row, function: str, prompt: str, number: str, place: str) -> Cases:
    """Cases of an MBPP+ row with inputs in JSON; its assertions show which lists are tuples or sets."""
    assertion = str(row.get("assertion") or "")
    shapes = _argument_shapes(assertion, function)
    inputs = [*_given(row, "base_input", place), *_given(row, "plus_input", place)]
    complex_numbers = any(_is_complex(value) for arguments in inputs for value in arguments)
    typed = [
        [
            _shaped(complex(value) if complex_numbers and _is_number(value) else value, shapes.get(i))
            for i, value in enumerate(arguments)
        ]
        for arguments in inputs
    ]
    in_sets = f"set({function}(" in f"{prompt}\n{assertion}".replace(" ", "")
    oracle: Oracle = "not_none" if number in _NOT_NONE else "set" if in_sets else "equal"
    return Cases(typed, None, float(row.get("atol") or 0), oracle)


def _published(test: str, place: str, *, root: bool = False) -> Cases:
    """Cases of a published test program: lists of inputs and results, and a loop that compares them."""
    try:
        nodes = list(_statements(ast.parse(test)))
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{place}: 'test' is not valid Python ({error}). Fix or remove the row.") from None
    lists = {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    if "inputs" not in lists:
        raise DataError(f"{place}: 'test' holds no list named inputs. Fix or remove the row.")
    expected = [_literal(value, place) for value in _elements(lists["results"])] if "results" in lists else None
    inputs = [_literal(value, place) for value in _elements(lists["inputs"])]
    if root:
        return Cases(inputs, None, _ROOT_TOLERANCE, "root")
    loop = next((node for node in nodes if isinstance(node, ast.For)), None)
    oracle: Oracle = "set" if "out = set(out)" in test else "not_none" if "(out is not None)" in test else "equal"
    return Cases(inputs, expected, _last_number(loop) if loop else 0.0, oracle)


def _statements(module: ast.Module) -> Iterator[ast.stmt]:
    """The statements of the module and of its function `check`."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name == "check":
            yield from node.body
        yield node


def _elements(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.List | ast.Tuple) else []


def _last_number(loop: ast.For) -> float:
    """The tolerance: the last argument of the call that compares."""
    calls = [node for node in ast.walk(loop) if isinstance(node, ast.Call) and len(node.args) == 3]
    value = calls[0].args[2] if calls else None
    return float(value.value) if isinstance(value, ast.Constant) and isinstance(value.value, int | float) else 0.0


def _called(test: str, place: str) -> str:
    """Name of the function under test: the one that the loop at the end calls on the inputs."""
    found = re.findall(r"\bassert\w*\(?\s*(\w+)\(\*inp\)", test)
    if not found:
        raise DataError(f"{place}: 'test' calls no function on its inputs. Fix or remove the row.")
    return str(found[-1])


class _InfAndNan(ast.NodeTransformer):
    """Replaces the names `inf` and `nan` by their values."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(float(node.id)) if node.id in ("inf", "nan") else node


def _literal(node: ast.expr, place: str) -> Any:
    try:
        return ast.literal_eval(_InfAndNan().visit(node))
    except (ValueError, TypeError) as error:
        raise DataError(f"{place}: 'test' holds a value that is not a literal ({error}).") from None


def _given(row: Row, key: str, place: str) -> list[list[Any]]:
    value = row.get(key) or []
    if not isinstance(value, list) or not all(isinstance(arguments, list) for arguments in value):
        raise DataError(f"{place}: {key!r} must be a list of lists of arguments. Fix or remove the row.")
    return value


def _argument_shapes(assertion: str, function: str) -> dict[int, Any]:
    """The first argument at each position in the published assertions: shows the types that JSON lost."""
    try:
        calls = [node for node in ast.walk(ast.parse(assertion)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return {}
    found: dict[int, Any] = {}
    for call in calls:
        if isinstance(call.func, ast.Name) and call.func.id == function:
            for position, argument in enumerate(call.args):
                try:
                    found.setdefault(position, ast.literal_eval(argument))
                except (ValueError, TypeError):
                    continue
    return found


def _is_complex(value: Any) -> bool:
    """Whether a text is a complex number, such as `(1+2j)`."""
    return isinstance(value, str) and bool(_COMPLEX.fullmatch(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and (_is_complex(value) or bool(re.fullmatch(r"-?[\d.]+(?:e[+-]?\d+)?", value)))


def _shaped(value: Any, like: Any) -> Any:
    """A JSON value with lists converted back to tuples and sets, as in the example `like`."""
    if not isinstance(value, list):
        return value
    examples = list(like) if isinstance(like, list | tuple | set) else []
    containers = [part for part in examples if isinstance(part, list | tuple | set)]
    parts = [
        _shaped(part, next(iter(containers), like) if isinstance(part, list) else next(iter(examples), None))
        for part in value
    ]
    if isinstance(like, tuple):
        return tuple(parts)
    return set(parts) if isinstance(like, set) else parts
