"""Failures of the sandbox: without a verdict on one program, and an error for the user where none can be run at all."""

import math
import os

import pytest

from program_sandbox import Call, Program, Sandbox, SandboxError, SandboxUnavailable
from program_sandbox.backends import Backend
from tests.rows_data import sandbox_or_skip
from warmup_rl.base.errors import Unscorable, UserError
from warmup_rl.base.types import Problem
from warmup_rl.domains.graders import CodeGrader
from warmup_rl.grading import code
from warmup_rl.grading.code import extract_code

PROGRAM = Program("def f():\n    return 1\n", [Call("f")])


@pytest.fixture
def opened(monkeypatch):
    """Replaces what opens the sandbox."""

    def replace(open_sandbox):
        monkeypatch.setattr(code, "open_sandbox", open_sandbox)

    code._sandbox.cache_clear()
    yield replace
    code._sandbox.cache_clear()


def test_a_sandbox_that_fails_gives_no_verdict_and_then_ends_the_run(opened):
    opened(lambda: Sandbox(Backend("bwrap", "a wrapper that is none", ("/bin/false",), {})))
    for _ in range(4):
        with pytest.raises(Unscorable, match="ended before it was ready") as caught:
            code.run_program(PROGRAM)
        assert isinstance(caught.value.__cause__, SandboxUnavailable)
    with pytest.raises(UserError, match=r"failed on 5 programs in a row(.|\n)*\nSee `python -m warmup_rl doctor`\.$"):
        code.run_program(PROGRAM)


def test_no_sandbox_is_an_error_for_the_user_that_names_the_doctor(opened):
    def fails():
        raise SandboxError("no sandbox works on this machine")

    opened(fails)
    with pytest.raises(UserError, match=r"^no sandbox works on this machine\nSee `python -m warmup_rl doctor`\.$"):
        code.run_program(PROGRAM)
    assert code.sandbox_used() is None


def test_what_was_used_is_known_after_the_first_program(opened):
    sandbox_or_skip()
    assert code.sandbox_used() is None
    assert code.run_program(PROGRAM).values == (1,)
    assert code.sandbox_used() == {"backend": code._sandbox(os.getpid()).backend, "how": code._sandbox(os.getpid()).how}


@pytest.mark.parametrize(
    ("value", "expected", "same"),
    [(0.0, math.inf, False), (7, math.inf, False), (-math.inf, math.inf, False), (math.inf, math.inf, True),
     ([0.0, 5.0], [math.inf, 5.0], False), ([math.inf, 5.0000001], [math.inf, 5.0], True), (1.0, -math.inf, False),
     (math.nan, math.nan, True), (10**400, math.inf, False)],
)  # fmt: skip
def test_where_infinity_is_expected_no_other_number_is_right(value, expected, same):
    assert code.same_value(value, expected, 1e-4) is same
    assert code.same_value(value, expected, 0.0) is same


@pytest.mark.parametrize("fence", ["```\npython\n{}\n```", "```\n  py \n{}\n```", "```python\n{}\n```", "```\n{}\n```"])
def test_the_language_may_stand_below_a_fence(fence: str) -> None:
    code = "def double(x):\n    return 2 * x"
    assert extract_code(fence.format(code), "double") == code


def test_an_interactive_session_counts_for_what_was_typed():
    session = "```python\n>>> def double(x):\n...     return 2 * x\n>>> double(3)\n6\n```"
    assert extract_code(session, "double") == "def double(x):\n    return 2 * x\ndouble(3)\n# Expected:\n## 6"


LAST = "def total(xs):\n    return sum(xs)"


def blocks_of(*code):
    return "Then:\n".join(f"```python\n{one}\n```\n" for one in code)


@pytest.mark.parametrize(
    "before",
    ["@cache\ndef other(n):\n    return n", "import numpy\n\ndef total(xs):\n    return numpy.sum(xs)",
     "class Other(Base):\n    pass", "sum = 0\nfor x in xs:\n    sum += x", "raise SystemExit", "def broken(:"],
    ids=["decorator", "import", "base class", "a loop", "exit", "no Python"],
)  # fmt: skip
def test_a_block_that_does_not_need_the_ones_before_it_runs_alone(before):
    assert extract_code(blocks_of(before, LAST), "total") == LAST


@pytest.mark.parametrize(
    ("before", "last"),
    [(["def add(a, b):\n    return a + b"], "def total(xs):\n    return reduce(add, xs)\nfrom functools import reduce"),
     (["MOD = 10", "def add(a, b):\n    return (a + b + MOD) - MOD\n\nprint(add(1, 2))\nadd(1, 'x')"],
      "def total(xs):\n    s = 0\n    for x in xs:\n        s = add(s, x)\n    return s"),
     (["import numpy, functools as ft\nimport os.path\nimport os"],
      "def total(xs):\n    os.path; return ft.reduce(add, xs)\n"
      "def add(a, b):\n    return a + b"),
     (["from operator import *"], "def total(xs):\n    t = 0\n    for x in xs:\n        t = add(t, x)\n    return t"),
     (["from typing import List"], "from __future__ import annotations\ndef total(xs: List[int]):\n    return sum(xs)"),
     (["def add(a, b):\n    return missing", "def add(a, b):\n    return a + b"],
      "class Adder:\n    def run(self, xs):\n        t = 0\n        for x in xs:\n            t = add(t, x)\n"
      "        return t\n"
      "def total(xs):\n    return Adder().run(xs)")],
    ids=["helper", "constant", "one of several", "star", "future", "last of two"],
)  # fmt: skip
def test_what_a_block_needs_of_those_before_it_is_there(before, last):
    sandbox_or_skip()
    tests = code.Tests("total", [([1, 2, 3],), ([5],)], [6, 5])
    grade = code.grade_program(blocks_of(*before, last), tests)
    assert grade.verdict == "correct", (grade.note, grade.extracted)


STUB = (
    "from typing import List\nimport numpy\n\ndef twice(x):\n    return 2 * x\n\n\ndef total(xs: List[int]) -> int:\n"
)
WRITTEN = "def total(xs: List[int]) -> int:\n    return twice(sum(xs)) // 2"


@pytest.mark.parametrize(
    "question", [STUB, f"Add the numbers\nfrom a list.\n\n```python\n{STUB}    ...\n```\nShow the code."]
)
def test_what_a_question_shows_before_the_function_may_be_used(question):
    sandbox_or_skip()
    problem = Problem("p", "mine", question, LAST, {"tests": "assert total([1, 2]) == 3\nassert total([4]) == 4"})
    for answer in (WRITTEN, f"from __future__ import annotations\n{WRITTEN}", LAST):
        grade = CodeGrader().grade(blocks_of(answer), problem)
        assert grade.verdict == "correct", (grade.note, grade.extracted)
    assert CodeGrader().grade(blocks_of("import os"), problem).verdict == "none"


@pytest.mark.parametrize(
    "question",
    ["def total(xs):", "from here on: total", "Look:\nfrom a list\ndef total(xs):", "def other(x):\n    pass"],
)
def test_a_question_that_shows_nothing_before_the_function_adds_nothing(question):
    assert code.shown_before(question, "total") == ""
