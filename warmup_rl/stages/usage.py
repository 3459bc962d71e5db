"""What a teacher's completions came to: how many, how good, what they cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from warmup_rl.base.types import Completion, Score


@dataclass
class Usage:
    """Counts over the completions of a distill stage, those before a kill included.

    Attributes:
        no_answer: completions without an answer: cut off, empty, or not understood.
        unscorable: completions that the domain's grader could not score since it broke.
        not_completed: requests that the teacher left open.
        requests: attempts, failed ones included; `retries` are those after a request's first.
        cost: in US dollars.
        valid_steps, invalid_steps: of the thinking, where the domain judges steps.
    """

    completions: int = 0
    correct: int = 0
    no_answer: int = 0
    unscorable: int = 0
    not_completed: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    requests: int = 0
    retries: int = 0
    cost: float = 0.0
    valid_steps: int = 0
    invalid_steps: int = 0

    def charge(self, completion: Completion) -> None:
        """Counts what a completion took."""
        self.completions += 1
        self.tokens += completion.tokens
        self.prompt_tokens += completion.prompt_tokens
        self.requests += completion.attempts
        self.retries += completion.attempts - 1
        self.cost += completion.cost

    def judge(self, score: Score) -> None:
        """Counts what became of a completion."""
        self.correct += score.verdict == "correct"
        self.no_answer += score.verdict == "none"
        if score.steps:
            self.valid_steps += score.steps.valid
            self.invalid_steps += score.steps.invalid

    def summary(self) -> dict[str, Any]:
        return {**asdict(self), "cost": round(self.cost, 6)}

    def told(self) -> str:
        """A line such as `40 completions: 36 correct, 3 wrong, 1 without answer; 51,200 tokens`."""
        parts = {
            "correct": self.correct,
            "wrong": self.completions - self.correct - self.no_answer - self.unscorable,
            "without answer": self.no_answer,
            "not scored, as the grader broke": self.unscorable,
            "not completed by the teacher": self.not_completed,
        }
        line = f"{self.completions:,} completions: "
        line += ", ".join(f"{number:,} {what}" for what, number in parts.items() if number or what == "correct")
        line += f"; {self.tokens:,} tokens"
        if self.prompt_tokens:
            line += f", prompts {self.prompt_tokens:,}"
        if self.retries:
            line += f"; {self.requests:,} requests, {self.retries:,} of them repeated"
        if self.invalid_steps:
            line += f"; {self.valid_steps / (self.valid_steps + self.invalid_steps):.1%} of all steps valid"
        return line + (f"; ${self.cost:,.2f}" if self.cost else "")
