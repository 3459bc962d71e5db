"""The reward of an RLVR step: grades completions with the domain's own function and keeps every one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import model_validator

from warmup_rl.base.config import Config
from warmup_rl.base.errors import Unscorable, UserError
from warmup_rl.base.types import Outcome, Problem, Score, Verdict, to_json
from warmup_rl.interfaces.domain import Domain, score_all
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.training.rank_files import RankFiles

_FORMLESS: dict[Verdict, Outcome] = {"correct": "correct", "wrong": "wrong", "none": "no_answer", "timeout": "timeout"}


class Reward(Config):
    """A number for every outcome."""

    form: Literal["ignored", "required"] = "ignored"
    """`ignored`: a correct answer is correct in whatever form; `required`: what is not well formed is `bad_format`."""
    correct: float = 1.0
    """The answer is right."""
    wrong: float = 0.0
    """There is an answer, and it is not right."""
    no_answer: float = 0.0
    """No answer can be found."""
    bad_format: float = 0.0
    """The completion does not follow the response format; only where form is required."""
    timeout: float = 0.0
    """The verifier ran out of time."""

    @model_validator(mode="after")
    def _bad_format_can_happen(self) -> Reward:
        if self.form == "ignored" and self.bad_format:
            raise ValueError("bad_format has no effect while form is ignored. Set `form: required`, or leave it out.")
        return self

    def of(self, score: Score) -> float:
        """The reward of a scored completion."""
        outcome = score.outcome if self.form == "required" else _FORMLESS[score.verdict]
        value: float = getattr(self, outcome)
        return value

    def told(self) -> str:
        """The table in a line, without the outcomes that pay nothing."""
        paid = [f"{name} {value:+g}" for name, value in self if isinstance(value, float) and value]
        return ", ".join([*paid, *(["in due form"] if self.form == "required" else [])])


class Rewarder:
    """The reward function that GRPOTrainer calls once a generation on every rank; appends the rollouts to their file.

    Args:
        problems: the training problems in the order of the plan's indices.
        generations: completions a prompt.
        steps_each: optimizer steps to one RLVR step.
        stop_ids: tokens that end a completion.

    Attributes:
        rollouts, generated_tokens, prompt_tokens, unscorable: counted so far on this rank.
    """

    __name__ = "outcome"

    def __init__(
        self,
        context: Context,
        domain: Domain,
        problems: Sequence[Problem],
        prompt_lengths: Sequence[int],
        reward: Reward,
        *,
        generations: int,
        steps_each: int,
        stop_ids: Sequence[int],
        parts: RankFiles,
    ) -> None:
        self._context, self._domain, self._problems = context, domain, problems
        self._lengths, self._reward, self._generations = prompt_lengths, reward, generations
        self._steps_each, self._stop_ids, self._parts = steps_each, frozenset(stop_ids), parts
        self.rollouts = self.generated_tokens = self.prompt_tokens = self.unscorable = 0

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
        """Rewards in the order of the completions; None where the verifier broke, so that the rollout is left out."""
        step = trainer_state.global_step // self._steps_each + 1
        first = self._context.launch_env.rank * len(completions)
        problems = [self._problems[number] for number in index]
        items = [(self._domain, problem, text) for problem, text in zip(problems, completions, strict=True)]
        scores = score_all(items, self._context.response_format)
        rows = [
            self._row(step, first + place, problem, completions[place], completion_ids[place], scores[place])
            for place, problem in enumerate(problems)
        ]
        self._parts.append(rows)
        self._count(rows, index, log_metric)
        return [row["reward"] for row in rows]

    def _row(
        self, step: int, place: int, problem: Problem, text: str, ids: Sequence[int], score: Score | Unscorable
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "step": step,
            "place": place,
            "problem_id": problem.id,
            "domain": problem.domain,
            "sample": place % self._generations,
            "text": text,
            "tokens": len(ids),
            "truncated": not ids or ids[-1] not in self._stop_ids,
        }
        if isinstance(score, Unscorable):
            return {**row, "reward": None, "score": None, "unscorable": str(score)}
        return {**row, "reward": self._reward.of(score), "score": to_json(score)}

    def _count(self, rows: Sequence[Mapping[str, Any]], index: Sequence[int], log_metric: Any) -> None:
        self.rollouts += len(rows)
        self.generated_tokens += sum(row["tokens"] for row in rows)
        self.prompt_tokens += sum(self._lengths[problem] for problem in index)
        broken = [row for row in rows if row["score"] is None]
        if broken and not self.unscorable:
            self._context.say(
                f"the verifier broke on {broken[0]['problem_id']}, the rollout is left out: {broken[0]['unscorable']}"
            )
        self.unscorable += len(broken)
        if log_metric is not None:
            scores = [row["score"] or {} for row in rows]
            log_metric("correct", sum(score.get("verdict") == "correct" for score in scores) / len(rows))
            log_metric("well_formed", sum(bool(score.get("well_formed")) for score in scores) / len(rows))


def require_sound_golds(domain: Domain, problems: Sequence[Problem]) -> None:
    """Raises `UserError` where a reference answer does not grade correct: its rewards would be wrong for ever."""
    wrong = [problem for problem in problems if domain.grade(domain.reference(problem), problem).verdict != "correct"]
    if wrong:
        raise UserError(
            f"domain {domain.name!r}: the reference answers of {len(wrong)} of {len(problems)} training problems do "
            f"not grade correct, first {wrong[0].id} (gold {wrong[0].gold!r}). Mend these rows, or the domain's grader."
        )


def training_flops(parameters: int, tokens: int, iterations: int) -> int:
    """Floating point operations for so many tokens (prompts and completions), drawn once, trained on repeatedly."""
    return (2 + 6 * iterations) * parameters * tokens


def mean_reward(rows: Sequence[Mapping[str, Any]], step: int) -> float | None:
    """Mean reward of a step's rollouts; None where none of them could be scored."""
    rewards = [row["reward"] for row in rows if row["step"] == step and row["reward"] is not None]
    return sum(rewards) / len(rewards) if rewards else None
