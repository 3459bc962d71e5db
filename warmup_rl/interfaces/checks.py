"""What the conformance suite checks of any plug-in: settings and import. Suites of a kind extend `Checks`."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Literal

from warmup_rl.base.types import Problem, Score, Trace
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import describe_exception

FORM = ResponseFormat()
"""The response format of all checks."""
_IMPORT = """
import importlib, os, runpy, sys
sys.path[:0] = [os.path.dirname(sys.argv[1])] if sys.argv[2] == "file" else []
importlib.import_module(sys.argv[1]) if sys.argv[2] == "module" else runpy.run_path(sys.argv[1])
sys.exit(9 if "torch" in sys.modules else 0)
"""


class Skipped(Exception):
    """A check is not possible here; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Result:
    """One check of a plug-in; `note` is the fault, or why the check was skipped."""

    name: str
    status: Literal["passed", "failed", "skipped"]
    note: str = ""


@dataclass
class Checks:
    """Checks of any plug-in. Each public method, named by what it checks, asserts or raises `Skipped`."""

    plugin: Any
    domain: Domain
    model: str | None
    folder: Path
    count: int

    def results(self) -> Iterator[Result]:
        names = [name for kind in reversed(type(self).__mro__) for name in vars(kind)]
        for name in dict.fromkeys(names):
            method = getattr(type(self), name)
            if inspect.isfunction(method) and not name.startswith("_") and name != "results":
                yield result_of(name.replace("_", " "), partial(method, self))

    def settings_are_frozen_and_unknown_ones_refused(self) -> None:
        config = type(self.plugin).model_config
        assert config.get("frozen") and config.get("extra") == "forbid", "keep the `model_config` of the base class"

    def settings_are_json_values(self) -> None:
        require_json(self.plugin.model_dump(mode="json", serialize_as_any=True))

    def importing_it_does_not_import_torch(self) -> None:
        module = type(self.plugin).__module__
        file = getattr(sys.modules.get(module), "__file__", None)
        if not file:
            raise Skipped("its source file is not known")
        target = [module, "module"] if PathFinder.find_spec(module.partition(".")[0]) else [file, "file"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
        command = [sys.executable, "-c", _IMPORT, *target]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode != 9, "import torch inside the functions that use it: recipes are checked without it"
        assert done.returncode == 0, f"it cannot be imported in a new process: {done.stderr.strip().splitlines()[-1:]}"

    def _model(self) -> str:
        if self.model is None:
            raise Skipped("it works with a model: give --model")
        return self.model

    @cached_property
    def _problems(self) -> list[Problem]:
        return self.domain.take("train", 0, 3)

    @cached_property
    def _traces(self) -> list[Trace]:
        """A right trace of each of two problems, a wrong one of the first, and the second trace once more."""
        first, second = map(self._right_trace, self._problems[:2])
        wrong = replace(first, answer="?", score=Score("wrong", "?", True), sample=1)
        return [first, second, wrong, replace(second, sample=1)]

    def _right_trace(self, problem: Problem) -> Trace:
        answer = self.domain.reference(problem)
        thinking = f"so the answer is {answer}"
        score = self.domain.score(FORM.render(thinking=thinking, answer=answer), problem, FORM)
        return Trace(problem.id, problem.domain, self.domain.prompt(problem), thinking, answer, score, "test")


def require_json(value: Any) -> None:
    json.dumps(value)


def result_of(name: str, check: Callable[[], Any]) -> Result:
    try:
        check()
    except Skipped as reason:
        return Result(name, "skipped", str(reason))
    except AssertionError as error:
        return Result(name, "failed", str(error))
    except Exception as error:  # code of a plug-in may raise anything
        return Result(name, "failed", describe_exception(error))
    return Result(name, "passed")
