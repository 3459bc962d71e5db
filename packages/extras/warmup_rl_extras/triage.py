"""Stage `triage`: how often an untrained model solves each problem of a pool, and orders of the pool to pick from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from warmup_rl.base.config import Sampling
from warmup_rl.base.jsonl import read_jsonl, write_json
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.stage import Context, DataRequest, Stage, StagePreview
from warmup_rl.stages.evaluate import COMPLETIONS, Job, complete
from warmup_rl.stages.training.rewards import require_sound_golds


class Triage(Stage):
    """Draws a few answers to each problem of a pool with the model before it, and orders the pool by pass rate.

    A later `rlvr` takes its problems from an order with `pick: NAME`. All labels of the pool count as training labels,
    since they decide what is trained on. Place it before the warmup, so that the untouched model is asked and all arms
    share one pass.
    """

    type: ClassVar[str] = "triage"
    inputs: ClassVar[frozenset[str]] = frozenset({"model"})
    outputs: ClassVar[frozenset[str]] = frozenset({"triage"})
    every_rank: ClassVar[bool] = True
    resumes: ClassVar[bool] = True

    domain: str
    """Name of the target domain."""
    pool: int = Field(default=400, gt=0)
    """Training problems to pick from."""
    sampling: Sampling = Sampling(temperature=1.0, samples=8)
    """How answers are drawn; `samples` for each problem."""

    def data_requests(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[DataRequest]:
        yield DataRequest(self.domain, "train", self.pool, "pool")

    def check(self, *, world_size: int) -> list[str]:
        if self.sampling.samples > 1 and self.sampling.temperature == 0:
            return ["sampling.temperature: 0 draws the same answer every time. Give a number above 0."]
        return []

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        count = self.pool * self.sampling.samples
        return StagePreview({"completions": count, "generated tokens, at most": count * self.sampling.max_tokens})

    def prepare(self, context: Context) -> None:
        domain = context.domains[self.domain]
        require_sound_golds(domain, domain.take("train", context.examples_seed, self.pool))

    def run(self, context: Context) -> dict[str, Any]:
        problems = context.domains[self.domain].take("train", context.examples_seed, self.pool)
        layout = context.response_format
        if not complete(context, [Job("train", layout.think, "triage", problems, self.sampling, layout)]):
            return {}
        correct: dict[str, list[bool]] = defaultdict(list)
        for row in read_jsonl(context.folder / COMPLETIONS):
            correct[row["problem_id"]].append(row["score"]["verdict"] == "correct")
        rates = {problem.id: sum(correct[problem.id]) / len(correct[problem.id]) for problem in problems}
        made = {name: order(rates) for name, order in ORDERS.items()}
        write_json(
            context.output("triage"),
            {"domain": self.domain, "pool": len(problems), "samples": self.sampling.samples, "rates": rates}
            | {"orders": made},
        )
        never, always = (sum(rate == end for rate in rates.values()) for end in (0, 1))
        context.say(f"{len(rates)} problems, {never} never and {always} always solved")
        return {"problems": len(rates), "never_solved": never, "always_solved": always}


Rates = Mapping[str, float]
"""Pass rate by problem id, in the random order in which the pool was drawn."""


def hard(rates: Rates) -> list[str]:
    """The lowest pass rate above zero first, those never solved last (after arXiv 2508.14094)."""
    return sorted(rates, key=lambda one: rates[one] or 2.0)


def medium(rates: Rates) -> list[str]:
    """The middle third of the pool by pass rate in random order, then by distance from it (arXiv 2605.28388)."""
    ranked = sorted(rates, key=lambda one: rates[one])
    middle, reach = (len(ranked) - 1) / 2, len(ranked) / 6
    distance = {one: max(abs(place - middle) - reach, 0.0) for place, one in enumerate(ranked)}
    return sorted(rates, key=lambda one: distance[one])


def mixed(rates: Rates) -> list[str]:
    """In turn one of the hardest, the middle and the easiest third of the pool, each in random order (2604.18381)."""
    ranked = sorted(rates, key=lambda one: rates[one])
    third = {one: 3 * place // len(ranked) for place, one in enumerate(ranked)}
    return _in_turn([[one for one in rates if third[one] == part] for part in range(3)])


def paired(rates: Rates) -> list[str]:
    """In turn a hard problem that was solved and an easy one that was missed, rarest first (arXiv 2602.03452)."""
    uncertain = [one for one in rates if 0 < rates[one] < 1]
    low = sorted((one for one in uncertain if rates[one] <= 0.5), key=lambda one: rates[one])
    high = sorted((one for one in uncertain if rates[one] > 0.5), key=lambda one: -rates[one])
    return _in_turn([low, high]) + [one for one in rates if not 0 < rates[one] < 1]


def variance(rates: Rates) -> list[str]:
    """The highest variance p(1 - p) of the outcome first (after arXiv 2504.20571)."""
    return sorted(rates, key=lambda one: -rates[one] * (1 - rates[one]))


ORDERS: dict[str, Callable[[Rates], list[str]]] = {
    "random": list,
    "hard": hard,
    "medium": medium,
    "mixed": mixed,
    "paired": paired,
    "variance": variance,
}


def _in_turn(lists: Sequence[Sequence[str]]) -> list[str]:
    longest = max(map(len, lists))
    return [one[place] for place in range(longest) for one in lists if place < len(one)]
