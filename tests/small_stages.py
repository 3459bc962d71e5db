"""Stages and a domain without a model, for tests of the run: each writes what it was made from."""

import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from warmup_rl.base.config import runtime_only
from warmup_rl.base.types import Grade, Problem, Split
from warmup_rl.interfaces.domain import Domain, problem_id, split_of
from warmup_rl.interfaces.stage import Context, Stage
from warmup_rl.stages.training.health import HealthSettings


class Doubles(Domain):
    type: ClassVar[str] = "doubles"
    rows: str | None = None
    folder: Path | None = None

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        numbers = [n for n in range(1000) if split_of(f"doubles/{n}") == split]
        random.Random(f"doubles/{split}/{seed}").shuffle(numbers)
        for n in numbers:
            yield Problem(problem_id(["doubles", n]), self.name, f"twice {n} ?", str(2 * n))

    def grade(self, answer: str, problem: Problem) -> Grade:
        return Grade("correct" if answer == problem.gold else "wrong", answer)

    def chance_accuracy(self, problem: Problem) -> float:
        return 1 / 1000


class Make(Stage):
    """Gives a model out of nothing, or out of the one before."""

    type: ClassVar[str] = "make"
    outputs: ClassVar[frozenset] = frozenset({"model"})
    note: str = ""
    fails_if_set: str = ""
    blocks_if_set: str = ""

    def run(self, context: Context) -> dict[str, Any]:
        if self.blocks_if_set and self.blocks_if_set in os.environ:
            (context.folder / "half").write_text("made")
            context.say(f"blocked {os.getpid()}")
            signal.pause()
        if self.fails_if_set and self.fails_if_set in os.environ:
            raise RuntimeError(f"{self.fails_if_set} is set")
        history = []
        if context.inputs.model:
            history = json.loads(open(f"{context.inputs.model}/history.json").read())
        context.model_folder.mkdir()
        history.append([self.note, context.seed])
        (context.model_folder / "history.json").write_text(json.dumps(history))
        context.say(f"made {self.note}")
        return {"history": history}


class Train(Make):
    type: ClassVar[str] = "train"
    domain: str = ""
    inputs: ClassVar[frozenset] = frozenset({"model"})

    def domains_used(self, evaluation: Any, domains: Any) -> tuple[str, ...]:
        return (self.domain,) if self.domain else ()


class Warm(Train):
    """Trains as a warmup."""

    type: ClassVar[str] = "warm"
    role: ClassVar[str] = "warmup"
    health: HealthSettings = runtime_only("warn")


class Pair(Stage):
    """Hands on an artifact of a kind of its own."""

    type: ClassVar[str] = "pair"
    outputs: ClassVar[frozenset] = frozenset({"pairs"})

    def run(self, context: Context) -> dict[str, Any]:
        context.output("pairs").write_text("right, wrong")
        return {}


class Read(Stage):
    """Reads it."""

    type: ClassVar[str] = "read"
    inputs: ClassVar[frozenset] = frozenset({"pairs"})

    def run(self, context: Context) -> dict[str, Any]:
        return {"pairs": context.inputs["pairs"].read_text()}


class Measure(Stage):
    """Finds that a model is right on a share of some problems, half of two by default."""

    type: ClassVar[str] = "measure"
    role: ClassVar[str] = "evaluation"
    inputs: ClassVar[frozenset] = frozenset({"model"})
    right: float = 0.5
    of: int = 2

    def run(self, context: Context) -> dict[str, Any]:
        shares = {
            "lenient": self.right,
            "strict": 0.25,
            "well_formed": 0.5,
            "truncated": 0.0,
            "tokens": 3.0,
            "chance": 0.001,
        }
        place = {"split": "test", "prompt": "open", "sampling": "greedy", "domain": "doubles"}
        return {"cells": [{**place, **shares, "problems": self.of, "samples": 1, "shows_work": None}]}
