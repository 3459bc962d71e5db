"""The reward of an RLVR step: grades completions with the domain's own function and keeps every one of them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from warmup_rl.base.config import Config
from warmup_rl.base.errors import Unscorable, UserError
from warmup_rl.base.types import Problem, Score, to_json
from warmup_rl.data.ranks import RankFiles
from warmup_rl.interfaces.domain import Answered, Domain, score_all
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.training.problem_record import ProblemRecord
from warmup_rl.stages.training.saving import parameter_count

if TYPE_CHECKING:
    from trl import GRPOTrainer

Control = Literal["random", "flipped", "format"]


class Reward(Config):
    """A number for every outcome, and what is added to it; each part is logged by itself."""

    form: Literal["ignored", "required"] = "ignored"
    """`ignored`: the form does not matter; `required`: a completion that is not well formed is `bad_format`."""
    correct: float = 1.0
    """The answer is right."""
    wrong: float = 0.0
    """There is an answer, and it is not right."""
    no_answer: float = 0.0
    """No answer can be found."""
    bad_format: float = 0.0
    """The completion does not follow the response format; only where form is required."""
    timeout: float = 0.0
    """The grader ran out of time."""
    well_formed: float = 0.0
    """Added where the completion follows the response format."""
    overlong: float = Field(default=0.0, ge=0)
    """Largest deduction for length: it grows from 0 over the last `overlong_tokens` of the budget, and cut completions
    get all of it (soft overlong punishment, DAPO, arXiv 2503.14476)."""
    overlong_tokens: int | None = Field(default=None, gt=0)
    """Tokens at the end of the budget over which the deduction grows; a fifth of the budget where not given."""
    control: Control | None = None
    """A control without information about the answer. `random`: a coin decides between `correct` and `wrong`;
    `flipped`: the two are exchanged; `format`: well-formed completions are paid as correct, others as wrong. Models
    trained with one are tagged, and exported only on request."""

    @model_validator(mode="after")
    def _bad_format_can_happen(self) -> Reward:
        if self.form == "ignored" and self.bad_format:
            raise ValueError("bad_format has no effect while form is ignored. Set `form: required`, or leave it out.")
        return self

    @property
    def control_name(self) -> Control | None:
        """The control that this reward is, by name or by numbers that do not pay correct answers more than wrong."""
        if self.control or self.correct > self.wrong:
            return self.control
        return "flipped" if self.correct < self.wrong else "format"

    @property
    def is_constant(self) -> bool:
        """Whether it pays the same for every answer, which is no control but a mistake."""
        outcomes = {self.correct, self.wrong, self.no_answer, *([self.bad_format] if self.form == "required" else [])}
        return len(outcomes) == 1 and not (self.control or self.well_formed or self.overlong)

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of the parts that are logged; empty where the outcome is all that counts."""
        added = tuple(name for name in ("well_formed", "overlong") if getattr(self, name))
        return ("outcome", *added) if added else ()

    def parts(self, score: Score, *, tokens: int, budget: int, coin: bool) -> dict[str, float]:
        """The parts of a completion's reward by name, which are summed; only those that the recipe asks for. The coin
        decides under `control: random`."""
        parts = {"outcome": self._controlled(score, coin)}
        if self.well_formed:
            parts["well_formed"] = self.well_formed * score.well_formed
        if self.overlong:
            buffer = self.overlong_tokens or max(budget // 5, 1)
            parts["overlong"] = -self.overlong * min(max(tokens - (budget - buffer), 0) / buffer, 1.0)
        return parts

    def _controlled(self, score: Score, coin: bool) -> float:
        if self.control == "flipped":
            return self.model_copy(update={"correct": self.wrong, "wrong": self.correct}).of(score)
        if self.control is None:
            return self.of(score)
        return self.correct if (coin if self.control == "random" else score.well_formed) else self.wrong

    def of(self, score: Score) -> float:
        """The number of a scored completion's outcome."""
        outcome = score.outcome if self.form == "required" else replace(score, well_formed=True).outcome
        value: float = getattr(self, outcome)
        return value

    def describe(self) -> str:
        """The table in a line, without the outcomes that pay nothing."""
        paid = [
            f"{name} {-value if name == 'overlong' else value:+g}"
            for name, value in self
            if isinstance(value, float) and value
        ]
        named = [f"control {self.control_name}"] if self.control_name else []
        return ", ".join([*named, *paid, *(["well formed only"] if self.form == "required" else [])])


@dataclass(frozen=True)
class Task:
    """What an RLVR stage trains on: problems and their prompts in the order of the plan's indices.

    Attributes:
        lengths: tokens of the prompts.
        generations: completions a prompt.
        max_tokens: budget of a completion.
    """

    domain: Domain
    problems: Sequence[Problem]
    prompts: Sequence[str]
    lengths: Sequence[int]
    reward: Reward
    generations: int
    max_tokens: int
    stop_ids: Collection[int]


@dataclass
class Costs:
    """Totals over all ranks of what rollouts have cost so far."""

    rollouts: int = 0
    unscorable: int = 0
    generated_tokens: int = 0
    prompt_tokens: int = 0

    def flops(self, parameters: int, iterations: int) -> int:
        """Floating point operations: all tokens are drawn once and trained on `iterations` times."""
        return (2 + 6 * iterations) * parameters * (self.generated_tokens + self.prompt_tokens)


class Rewarder:
    """The reward function that GRPOTrainer calls once a generation on every rank; appends the rollouts to their file.

    Args:
        steps_each: optimizer steps to one RLVR step.

    Attributes:
        costs, record: of all ranks so far, the same on each.
    """

    __name__ = "outcome"

    def __init__(self, context: Context, task: Task, files: RankFiles, *, steps_each: int) -> None:
        self._context, self._task, self._files, self._steps_each = context, task, files, steps_each
        self._step = self._places = 0
        self.costs = Costs()
        self.record = ProblemRecord(len(task.problems))

    def state_dict(self) -> dict[str, Any]:
        return {"costs": asdict(self.costs), "record": asdict(self.record)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.costs, self.record = Costs(**state["costs"]), ProblemRecord(**state["record"])

    def spent(self, trainer: GRPOTrainer) -> dict[str, int]:
        """What the training has cost so far: rollouts, generated tokens, floating point operations."""
        costs = self.costs
        flops = costs.flops(parameter_count(trainer.model), trainer.num_iterations)
        return {"rollouts": costs.rollouts, "generated_tokens": costs.generated_tokens, "flops": flops}

    def __call__(
        self,
        prompts: Sequence[str],
        completions: Sequence[str],
        completion_ids: Sequence[Sequence[int]],
        index: Sequence[int],
        trainer_state: Any,
        log_metric: Any = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Rewards in the order of the completions; None where the grader failed, so that the rollout is left out."""
        step = trainer_state.global_step // self._steps_each + 1
        first = self._first_place(step, len(completions))
        problems = [self._task.problems[number] for number in index]
        items = [
            Answered(self._task.domain, problem, text, self._is_cut(ids))
            for problem, text, ids in zip(problems, completions, completion_ids, strict=True)
        ]
        scores = score_all(items, self._context.response_format)
        rows = [
            self._row(step, first + place, problem, completions[place], completion_ids[place], scores[place])
            for place, problem in enumerate(problems)
        ]
        self._files.append(((step, row["place"]), row) for row in rows)
        self._count(step, rows, index)
        if log_metric is not None:
            found, right = [row["score"] or {} for row in rows], defaultdict[str, set[bool]](set)
            for row, score in zip(rows, found, strict=True):
                right[row["problem_id"]].add(score.get("verdict") == "correct")
            log_metric("correct", sum(score.get("verdict") == "correct" for score in found) / len(rows))
            log_metric("groups_right", sum(group == {True} for group in right.values()) / len(right))
            log_metric("groups_wrong", sum(group == {False} for group in right.values()) / len(right))
            log_metric("well_formed", sum(bool(score.get("well_formed")) for score in found) / len(rows))
            for part in self._task.reward.part_names:
                log_metric(f"reward/{part}", sum(row.get("parts", {}).get(part, 0.0) for row in rows) / len(rows))
        return [row["reward"] for row in rows]

    def _first_place(self, step: int, count: int) -> int:
        """The place of this rank's first completion among all of the step; a trainer may draw more than once a step."""
        launch_env = self._context.launch_env
        if step != self._step:
            self._step, self._places = step, 0
        self._places += launch_env.size * count
        return self._places - (launch_env.size - launch_env.rank) * count

    def _row(
        self, step: int, place: int, problem: Problem, text: str, ids: Sequence[int], score: Score | Unscorable
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "step": step,
            "place": place,
            "problem_id": problem.id,
            "domain": problem.domain,
            "sample": place % self._task.generations,
            "text": text,
            "tokens": len(ids),
            "truncated": self._is_cut(ids),
        }
        if isinstance(score, Unscorable):
            return {**row, "reward": None, "score": None, "unscorable": str(score)}
        reward = self._task.reward
        coin = random.Random(f"coin/{self._context.seed}/{step}/{place}").random() < 0.5
        parts = reward.parts(score, tokens=len(ids), budget=self._task.max_tokens, coin=coin)
        named = {"parts": parts} if reward.part_names else {}
        return {**row, "reward": sum(parts.values()), **named, "score": to_json(score)}

    def _is_cut(self, ids: Sequence[int]) -> bool:
        return not ids or ids[-1] not in self._task.stop_ids

    def _count(self, step: int, rows: Sequence[Mapping[str, Any]], index: Sequence[int]) -> None:
        """Adds the rollouts of all ranks to costs and record."""
        import torch
        from accelerate import PartialState
        from accelerate.utils import reduce

        broken = [row for row in rows if row["score"] is None]
        if broken and not self.costs.unscorable:
            self._context.say(
                f"the grader failed on {broken[0]['problem_id']}, the rollout is left out: {broken[0]['unscorable']}"
            )
        read = sum(self._task.lengths[problem] for problem in index)
        mine = len(rows), len(broken), sum(row["tokens"] for row in rows), read
        own = ProblemRecord(len(self._task.problems))
        for problem, row in zip(index, rows, strict=True):
            own.add(problem, row["score"]["verdict"] if row["score"] else None)
        counts = reduce(torch.tensor([*mine, *own.counts()], device=PartialState().device), "sum").tolist()
        self.costs = Costs(*(before + new for before, new in zip(astuple(self.costs), counts[:4], strict=True)))
        self.record.update(step, counts[4:], self._task.generations)


def require_sound_golds(domain: Domain, problems: Sequence[Problem]) -> None:
    """Raises `UserError` where a reference answer does not grade correct: its rewards would always be wrong."""
    wrong = [problem for problem in problems if domain.grade(domain.reference(problem), problem).verdict != "correct"]
    if wrong:
        raise UserError(
            f"domain {domain.name!r}: the reference answers of {len(wrong)} of {len(problems)} training problems do "
            f"not grade correct, first {wrong[0].id} (gold {wrong[0].gold!r}). Fix these rows, or the domain's grader."
        )


def mean_reward(rows: Sequence[Mapping[str, Any]], step: int) -> float | None:
    """Mean reward of a step's rollouts; None where none of them could be scored."""
    rewards = [row["reward"] for row in rows if row["step"] == step and row["reward"] is not None]
    return sum(rewards) / len(rewards) if rewards else None
