"""The evaluation settings of a recipe, used by every `evaluate` stage and by the RLVR curve."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from warmup_rl.base.config import Config, Sampling


class EvaluationSettings(Config):
    """The `evaluation:` block of a recipe."""

    domains: Annotated[list[str], Field(min_length=1)] | Literal["all"] = "all"
    """Domains measured: names under `domains:`, or all of them."""
    problems: int = Field(default=200, gt=0)
    """Test problems per domain; the same for all seeds and arms."""
    validation: int = Field(default=100, gt=0)
    """Validation problems per domain, used to choose the best prompt of a base model; no more than `problems` unless
    this key is given."""
    seed: int = 0
    """Decides which problems are drawn; independent of the run's seed."""
    samplings: dict[str, Sampling] = Field(default_factory=lambda: {"greedy": Sampling()})
    """Sampling settings by name; each is measured."""
    headline: str = "greedy"
    """The sampling that tables and claims use."""
    every: int = Field(default=0, ge=0)
    """RLVR steps between measurements of held-out accuracy on the target domain; 0 is off."""
    curve_problems: int = Field(default=100, gt=0)
    """Test problems of the target domain for each point of the curve; no more than `problems` unless this key is
    given."""
    batch_size: int = Field(default=128, gt=0)
    """Completions generated at once on one device."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """What draws the completions of `evaluate` stages; the curve of `rlvr` follows its `rollout_engine`."""
    vllm: dict[str, Any] = Field(default_factory=dict)
    """More arguments of `vllm.LLM`: `{max_model_len: 8192, gpu_memory_utilization: 0.8}`."""

    _UP_TO_PROBLEMS: ClassVar[tuple[str, ...]] = ("validation", "curve_problems")

    @model_validator(mode="before")
    @classmethod
    def _no_more_than_problems(cls, given: Any) -> Any:
        """What is measured beside the test problems follows their number down."""
        problems = given.get("problems") if isinstance(given, Mapping) else None
        if isinstance(problems, bool) or not isinstance(problems, int | float) or problems < 1:
            return given
        defaults = {key: min(cls.model_fields[key].default, int(problems)) for key in cls._UP_TO_PROBLEMS}
        return {**defaults, **given}

    def greedy(self) -> Sampling:
        """How completions are drawn while a stage trains: greedily, with the headline's budget."""
        return Sampling(temperature=0.0, max_tokens=self.samplings[self.headline].max_tokens)

    def measured(self, declared: Collection[str]) -> tuple[str, ...]:
        """Names of the domains measured, given those that the recipe declares."""
        return tuple(declared) if self.domains == "all" else tuple(self.domains)
