"""The values that stages exchange, all frozen; `to_json` converts them to JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Split = Literal["train", "validation", "test"]
Verdict = Literal["correct", "wrong", "none", "timeout"]
Outcome = Literal["correct", "wrong", "no_answer", "bad_format", "timeout"]
Message = dict[str, str]

SPLITS: tuple[Split, ...] = get_args(Split)
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its reference answer.

    Attributes:
        id: content hash, the same in all runs and on all machines (see `warmup_rl.interfaces.domain.problem_id`).
        domain: name under which the recipe declares the domain.
        question: the text that a model reads, without the instruction.
        meta: what grading, teachers and reports need (JSON values only), so that they need not parse the question.
    """

    id: str
    domain: str
    question: str
    gold: str
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grade:
    """A grader's verdict on an answer, the answer as understood, and a note with the reason if it is not obvious.

    Raises ValueError if there is no such verdict.
    """

    verdict: Verdict
    extracted: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"{self.verdict!r} is not a verdict. Allowed: {', '.join(VERDICTS)}.")


@dataclass(frozen=True, slots=True)
class Validity:
    """How many steps of a chain of thought are valid, invalid or could not be read, and the character offset of the
    first invalid one in the thinking."""

    valid: int
    invalid: int
    unparsed: int
    first_invalid: int | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Verdict (lenient) and format of one completion, as separate fields.

    Attributes:
        verdict: by lenient extraction; `none` if no answer is found.
        extracted: the answer as understood.
        well_formed: whether the completion follows the recipe's response format exactly.
        shows_work, steps: whether the thinking goes step by step, and their validity; None if the domain cannot tell.
    """

    verdict: Verdict
    extracted: str | None
    well_formed: bool
    note: str = ""
    shows_work: bool | None = None
    steps: Validity | None = None

    @property
    def outcome(self) -> Outcome:
        """Strict outcome, the key of a reward table: format first, then verdict."""
        if not self.well_formed:
            return "bad_format"
        return "no_answer" if self.verdict == "none" else self.verdict


@dataclass(frozen=True, slots=True)
class Request:
    """A problem to complete: `messages` is the whole prompt, `sample` the number of the completion."""

    problem: Problem
    messages: tuple[Message, ...]
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """Text that an engine generated for a request.

    Attributes:
        text: everything after the prompt; only the answer if the engine returns `thinking` (without tags) by itself.
        tokens: completion length in tokens, including the end token.
        truncated: whether it reached the token limit.
        finish_reason: why it stopped, as named by the engine.
        cost: in US dollars, 0 for local engines.
        prompt_tokens: 0 if the engine does not count them.
        attempts: number of requests, including failed ones.
    """

    problem_id: str
    sample: int
    text: str
    tokens: int
    truncated: bool
    thinking: str | None = None
    finish_reason: str = "stop"
    cost: float = 0.0
    prompt_tokens: int = 0
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Refusal(Completion):
    """The empty completion of a request that the engine refuses for what is in it, such as a prompt longer than the
    model's context, while it completes others; `finish_reason` says why."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A teacher's completion with its score: the unit of the warmup corpus. `thinking` and `answer` are without tags;
    `meta` is added by cleaners and audits (JSON values only)."""

    problem_id: str
    domain: str
    messages: tuple[Message, ...]
    thinking: str
    answer: str
    score: Score
    teacher: str
    sample: int = 0
    meta: dict[str, Any] = field(default_factory=dict)


def to_json(value: Any) -> dict[str, Any]:
    """A dataclass of this module as a dict of JSON values; scores include their outcome."""
    row = asdict(value)
    if isinstance(value, Score):
        row["outcome"] = value.outcome
    elif isinstance(value, Trace):
        row["score"]["outcome"] = value.score.outcome
    return row


def trace_from_json(row: dict[str, Any]) -> Trace:
    """Inverse of `to_json` for traces. Raises KeyError or TypeError if a field is missing or unknown."""
    score = {key: value for key, value in row["score"].items() if key != "outcome"}
    if score.get("steps"):
        # Rows of older versions also count `leaps`.
        score["steps"] = Validity(**{key: value for key, value in score["steps"].items() if key != "leaps"})
    return Trace(**{**row, "messages": tuple(row["messages"]), "score": Score(**score)})
