"""Failures of the sandbox: without a verdict on one program, and an error for the user where none can be run at all."""

import math
import os

import pytest

from program_sandbox import Call, Program, Sandbox, SandboxError, SandboxUnavailable
from program_sandbox.backends import Backend
from tests.rows_data import sandbox_or_skip
from warmup_rl.base.errors import Unscorable, UserError
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
