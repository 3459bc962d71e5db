"""The reward of an RLVR step: grades completions with the domain's own function and keeps every one of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any, Literal

from pydantic import model_validator

from warmup_rl.base.config import Config
from warmup_rl.base.errors import Unscorable, UserError
from warmup_rl.base.types import Problem, Score, to_json
from warmup_rl.data.rank_files import RankFiles
from warmup_rl.interfaces.domain import Answered, Domain, score_all
from warmup_rl.interfaces.stage import Context


class Reward(Config):
    """A number for every outcome."""

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

    @model_validator(mode="after")
    def _bad_format_can_happen(self) -> Reward:
        if self.form == "ignored" and self.bad_format:
            raise ValueError("bad_format has no effect while form is ignored. Set `form: required`, or leave it out.")
        return self

    def of(self, score: Score) -> float:
        """The reward of a scored completion."""
        outcome = score.outcome if self.form == "required" else replace(score, well_formed=True).outcome
        value: float = getattr(self, outcome)
        return value

    def describe(self) -> str:
        """The table in a line, without the outcomes that pay nothing."""
        paid = [f"{name} {value:+g}" for name, value in self if isinstance(value, float) and value]
        return ", ".join([*paid, *(["well formed only"] if self.form == "required" else [])])


@dataclass(frozen=True)
class Task:
    """What an RLVR stage trains on: problems and their prompts in the order of the plan's indices.

    Attributes:
        lengths: tokens of the prompts.
        generations: completions a prompt.
        stop_ids: tokens that end a completion.
    """

    domain: Domain
    problems: Sequence[Problem]
    prompts: Sequence[str]
    lengths: Sequence[int]
    reward: Reward
    generations: int
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
        costs: so far; the same on all ranks.
    """

    __name__ = "outcome"

    def __init__(self, context: Context, task: Task, files: RankFiles, *, steps_each: int) -> None:
        self._context, self._task, self._files, self._steps_each = context, task, files, steps_each
        self._step = self._places = 0
        self.costs = Costs()

    def state_dict(self) -> dict[str, Any]:
        return asdict(self.costs)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.costs = Costs(**state)

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
        self._count(rows, index)
        if log_metric is not None:
            found = [row["score"] or {} for row in rows]
            log_metric("correct", sum(score.get("verdict") == "correct" for score in found) / len(rows))
            right = {row["problem_id"]: set[bool]() for row in rows}
            for row in rows:
                right[row["problem_id"]].add((row["score"] or {}).get("verdict") == "correct")
            log_metric("groups_right", sum(group == {True} for group in right.values()) / len(right))
            log_metric("groups_wrong", sum(group == {False} for group in right.values()) / len(right))
            log_metric("well_formed", sum(bool(score.get("well_formed")) for score in found) / len(rows))
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
        return {**row, "reward": self._task.reward.of(score), "score": to_json(score)}

    def _is_cut(self, ids: Sequence[int]) -> bool:
        return not ids or ids[-1] not in self._task.stop_ids

    def _count(self, rows: Sequence[Mapping[str, Any]], index: Sequence[int]) -> None:
        import torch
        from accelerate import PartialState
        from accelerate.utils import reduce

        broken = [row for row in rows if row["score"] is None]
        if broken and not self.costs.unscorable:
            self._context.say(
                f"the grader failed on {broken[0]['problem_id']}, the rollout is left out: {broken[0]['unscorable']}"
            )
        mine = (
            len(rows),
            len(broken),
            sum(row["tokens"] for row in rows),
            sum(self._task.lengths[problem] for problem in index),
        )
        counts = reduce(torch.tensor(mine, device=PartialState().device), "sum")
        self.costs = Costs(*(before + new for before, new in zip(astuple(self.costs), counts.tolist(), strict=True)))


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
