"""Plug-ins of every kind with nothing in them but keys, so that recipe tests do not depend on real stages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from warmup_rl.base.config import Sampling
from warmup_rl.base.types import Grade, Problem
from warmup_rl.interfaces.cleaner import Cleaner
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.plugins import plugin_field
from warmup_rl.interfaces.stage import Stage, StagePreview


class Toy(Domain):
    """Problems of a toy."""

    type: ClassVar[str] = "toy"
    size: int = Field(default=3, gt=0)
    """How large the toy is."""

    def problems(self, split: str, seed: int) -> Iterator[Problem]:
        for number in range(1000):
            yield Problem(f"{split}/{seed}/{number}", self.name, "?", "!", {})

    def grade(self, answer: str, problem: Problem) -> Grade:
        return Grade("none")

    def chance_accuracy(self, problem: Problem) -> float:
        return 0.5


class Shorter(Cleaner):
    """Drops long traces."""

    type: ClassVar[str] = "shorter"
    limit: int = 10
    """Longest trace."""

    def start(self, context: Any) -> Any:
        return lambda trace: trace


class Make(Stage):
    """Makes a model."""

    type: ClassVar[str] = "make"
    outputs: ClassVar[frozenset[Any]] = frozenset({"model"})

    def run(self, context: Any) -> dict[str, Any]:
        return {}


class Write(Stage):
    """Writes traces."""

    type: ClassVar[str] = "write"
    outputs: ClassVar[frozenset[Any]] = frozenset({"traces"})
    domain: str
    """Whose problems."""
    cleaners: list[Annotated[Cleaner, plugin_field("cleaner")]] = []
    sampling: Sampling = Sampling()

    def domains_used(self, evaluation: Any, domains: Any) -> tuple[str, ...]:
        return (self.domain,)

    def run(self, context: Any) -> dict[str, Any]:
        return {}


class Learn(Stage):
    """Trains on rewards."""

    type: ClassVar[str] = "learn"
    trainer_config: ClassVar[str] = "trl:GRPOConfig"
    owned_options: ClassVar[dict[str, str]] = {"max_steps": "steps", "seed": "the recipe's seeds decide"}
    inputs: ClassVar[frozenset[Any]] = frozenset({"model"})
    outputs: ClassVar[frozenset[Any]] = frozenset({"model"})
    steps: int = Field(gt=0)
    """Optimizer steps."""
    problems: int = Field(default=100, gt=0)
    allow_more: bool = False
    args: dict[str, Any] = {}

    def check(self, *, world_size: int) -> list[str]:
        return [f"steps: {self.steps} is odd for {world_size} processes"] if self.steps % world_size else []

    def preview(self, evaluation: Any, domains: Any) -> StagePreview:
        notes = ("longer than any before",) if self.steps > 90 else ()
        return StagePreview({"steps": self.steps, "tokens, at most": self.steps * 1000}, notes)

    def run(self, context: Any) -> dict[str, Any]:
        return {}


class Imitate(Learn):
    """Trains on traces."""

    type: ClassVar[str] = "imitate"
    trainer_config: ClassVar[str] = "trl:SFTConfig"
    inputs: ClassVar[frozenset[Any]] = frozenset({"model", "traces"})


class Measure(Stage):
    """Measures a model."""

    type: ClassVar[str] = "measure"
    inputs: ClassVar[frozenset[Any]] = frozenset({"model"})

    def run(self, context: Any) -> dict[str, Any]:
        return {}
