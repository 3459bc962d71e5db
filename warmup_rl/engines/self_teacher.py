"""The student as its own teacher: its graded attempts, wrong and right, stitched into chains that mend a mistake."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import append_jsonl, read_jsonl
from warmup_rl.base.types import Completion, Problem, Request
from warmup_rl.engines.hf import HuggingFace
from warmup_rl.engines.stitching import CHECK_REQUEST, Attempt, own_verdict, stitch
from warmup_rl.interfaces.chat import load_tokenizer
from warmup_rl.interfaces.engine import Engine, EngineContext, Session

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ATTEMPTS_FILE = "attempts.jsonl"
"""In the stage's folder: every attempt and reflection of the student, with its grade."""


class SelfMade(Engine):
    """For those who have no teacher (after arXiv 2512.04072): attempts of the student itself, each graded.

    A trace is wrong attempts, each followed by a reflection that says so, and a right one with its confirmation. Where
    no attempt is right the completion is a wrong attempt as it stands, and the stage counts it. The stage's
    `sampling.max_tokens`, `top_p` and `top_k` hold for each attempt, its temperature does not.
    """

    type: ClassVar[str] = "self"
    reads_model: ClassVar[bool] = True

    attempts: int = Field(default=8, gt=0)
    """Attempts at each problem."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the attempts: they must differ to be wrong and right."""
    mistakes: int = Field(default=2, ge=0)
    """Wrong attempts before the right one, at most; how many is drawn for each trace, from one on where there are.
    No two have the same answer, and mere guesses are used only where no wrong attempt thinks step by step."""
    without_mistakes: bool = True
    """Use a right attempt even where there is no wrong one to put before it."""
    guesses: bool = False
    """Use right answers whose thinking does not go step by step, where the domain can tell."""
    reflection: Literal["words", "student"] = "words"
    """`words`: neutral sentences of ours say what the grader found; `student`: the student reflects on each attempt,
    and its words are used where its verdict is the grader's (not for terse phrasings)."""
    reasons: bool = True
    """Knights & Knaves: say which statement a wrong answer breaks, found by evaluating it; a help from outside."""
    batch_size: int = Field(default=64, gt=0)
    """Attempts generated at once."""

    def usage(self, completions: int, sampling: Sampling) -> Mapping[str, int | float | str]:
        attempts = completions // sampling.samples * self.attempts
        each = 2 if self.reflection == "student" else 1
        return {"attempts": attempts, "generated tokens, at most": each * attempts * sampling.max_tokens}

    @contextmanager
    def open(self, context: EngineContext) -> Iterator[Session]:
        """Loads the student as the stages before left it.

        Raises:
            UserError: no stage before gives a model, or it cannot be loaded.
        """
        if context.model is None:
            raise UserError(
                "teacher 'self': there is no student yet. Put a stage that gives a model before, or name "
                "one under `model:`."
            )
        student = HuggingFace(model=context.model, revision=context.model_revision, batch_size=self.batch_size)
        with student.open(context) as session:
            yield _SelfSession(self, context, session, load_tokenizer(context.model, context.model_revision))


@dataclass(frozen=True, slots=True)
class _Graded:
    """An attempt as it lies on disk."""

    problem_id: str
    attempt: int
    text: str
    tokens: int
    truncated: bool
    verdict: str
    extracted: str | None
    shows_work: bool | None


class _SelfSession:
    def __init__(
        self, config: SelfMade, context: EngineContext, student: Session, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self._config, self._context, self._student, self._tokenizer = config, context, student, tokenizer
        self._journal = _Journal(context.folder / ATTEMPTS_FILE if context.folder else None, config.batch_size)

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Completions in the order of the requests; prints at the end how many problems could be used."""
        iterator, told = iter(requests), Counter[str]()
        while chunk := list(islice(iterator, self._config.batch_size)):
            asked = {request.problem.id: request for request in chunk}
            self._attempt(asked.values(), sampling)
            if self._config.reflection == "student":
                self._reflect(asked.values(), sampling)
            for request in chunk:
                completion = self._completion(request)
                told[completion.finish_reason] += 1
                yield completion
        if told:
            counts = ", ".join(f"{count} {reason}" for reason, count in told.most_common())
            self._context.say(f"self: {self._config.attempts} attempts a problem; of {told.total()} traces {counts}")

    def _attempt(self, requests: Iterable[Request], sampling: Sampling) -> None:
        """Draws the attempts that the journal does not hold yet."""
        drawn = sampling.model_copy(update={"temperature": self._config.temperature, "samples": 1})
        problems = {request.problem.id: request.problem for request in requests}
        missing = [
            Request(request.problem, request.messages, number)
            for request in requests
            for number in range(self._config.attempts)
            if (request.problem.id, number) not in self._journal.attempts
        ]
        rows = (self._graded(made, problems[made.problem_id]) for made in self._student.complete(missing, drawn))
        self._journal.add(rows)

    def _graded(self, made: Completion, problem: Problem) -> dict[str, Any]:
        score = self._context.domains[problem.domain].score(made.text, problem, self._context.response_format)
        return {
            "problem_id": made.problem_id,
            "attempt": made.sample,
            "text": made.text,
            "tokens": made.tokens,
            "truncated": made.truncated,
            "verdict": score.verdict,
            "extracted": score.extracted,
            "shows_work": score.shows_work,
        }

    def _reflect(self, requests: Iterable[Request], sampling: Sampling) -> None:
        """Lets the student judge its answered attempts; the names of the draws differ from those of the attempts."""
        drawn = sampling.model_copy(update={"temperature": self._config.temperature, "samples": 1})
        missing = []
        for request in requests:
            for made in self._answered(request.problem):
                key = (made.problem_id, made.attempt)
                if key not in self._journal.reflections and not self._terse(request.problem):
                    turns = ({"role": "assistant", "content": made.text}, {"role": "user", "content": CHECK_REQUEST})
                    missing.append(
                        Request(request.problem, (*request.messages, *turns), self._config.attempts + made.attempt)
                    )
        self._journal.add(
            {"problem_id": made.problem_id, "attempt": made.sample - self._config.attempts, "reflection": made.text}
            for made in self._student.complete(missing, drawn)
        )

    def _completion(self, request: Request) -> Completion:
        problem, sample, config = request.problem, request.sample, self._config
        made = self._answered(problem)
        right = [one for one in made if one.verdict == "correct" and (config.guesses or one.shows_work is not False)]
        wrong = [one for one in made if one.verdict == "wrong"]
        wrong = [one for one in wrong if one.shows_work is not False] or wrong
        wrong = list({one.extracted or one.text: one for one in wrong}.values())
        if not right:
            guessed = any(one.verdict == "correct" for one in made)
            return self._failed(request, "right by a guess alone" if guessed else "without right attempt")
        if not wrong and not config.without_mistakes:
            return self._failed(request, "without mistake")
        random.Random(f"self/{self._context.seed}/{problem.id}").shuffle(right)
        rng = random.Random(f"self/{self._context.seed}/{problem.id}/{sample}")
        most = min(config.mistakes, len(wrong))
        before = rng.sample(wrong, rng.randint(1, most)) if most else []
        attempts = [self._parts(one) for one in (*before, right[sample % len(right)])]
        thinking = stitch(attempts, problem, rng, terse=self._terse(problem), reasons=config.reasons)
        answer = attempts[-1].answer
        text = self._context.response_format.render(thinking=thinking, answer=answer)
        tokens = len(self._tokenizer(text, add_special_tokens=False).input_ids) + 1
        reason = f"with {_counted(before)} mended" if before else "right at once"
        return Completion(problem.id, sample, answer, tokens, False, thinking, finish_reason=reason)

    def _failed(self, request: Request, reason: str) -> Completion:
        """An attempt that is not right as it stands, or no text where all are right but cannot be used."""
        attempts = [self._journal.attempts[request.problem.id, number] for number in range(self._config.attempts)]
        for one in attempts:
            if one.verdict != "correct":
                return Completion(
                    request.problem.id, request.sample, one.text, one.tokens, one.truncated, finish_reason=reason
                )
        return Completion(request.problem.id, request.sample, "", 0, False, finish_reason=reason)

    def _answered(self, problem: Problem) -> list[_Graded]:
        """The attempts that came to an answer and an end, each text once."""
        attempts = [self._journal.attempts[problem.id, number] for number in range(self._config.attempts)]
        return list(
            {one.text: one for one in attempts if not one.truncated and one.verdict in ("correct", "wrong")}.values()
        )

    def _parts(self, one: _Graded) -> Attempt:
        parts = self._context.response_format.split(one.text)
        right = one.verdict == "correct"
        found = own_verdict(self._journal.reflections.get((one.problem_id, one.attempt), ""))
        own = found[0] if found and found[1] == right else ""
        return Attempt(parts.thinking or "", parts.answer or "", right, own)

    def _terse(self, problem: Problem) -> bool:
        return getattr(self._context.domains[problem.domain], "phrasing", None) == "terse"


class _Journal:
    """Attempts and reflections by problem and number; what is added is on disk before it is used."""

    def __init__(self, path: Path | None, chunk: int) -> None:
        self.attempts: dict[tuple[str, int], _Graded] = {}
        self.reflections: dict[tuple[str, int], str] = {}
        self._path, self._chunk = path, chunk
        if path is not None:
            append_jsonl(path, [])
            self._know(read_jsonl(path))

    def add(self, rows: Iterator[dict[str, Any]]) -> None:
        """Takes rows of either kind, some at a time."""
        while chunk := list(islice(rows, self._chunk)):
            if self._path is not None:
                append_jsonl(self._path, chunk)
            self._know(chunk)

    def _know(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            key = (row["problem_id"], row["attempt"])
            if "reflection" in row:
                self.reflections[key] = row["reflection"]
            else:
                self.attempts[key] = _Graded(**row)


def _counted(mistakes: Sequence[Any]) -> str:
    return "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
