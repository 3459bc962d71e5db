"""The student as its own teacher: its graded attempts, wrong and right, joined into chains that correct a mistake."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import DataError, UserError
from warmup_rl.base.jsonl import append_jsonl, read_jsonl
from warmup_rl.base.types import Completion, Problem, Request
from warmup_rl.engines.hf import HuggingFace
from warmup_rl.interfaces.chat import load_tokenizer
from warmup_rl.interfaces.engine import Engine, EngineContext, Session
from warmup_rl.knights.answers import read_answer
from warmup_rl.knights.english import role_text, statement_text
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.solver import assignment_index
from warmup_rl.knights.statements import evaluate
from warmup_rl.knights.terse import NEXT, RECHECK, SO, WAIT, case_sentences
from warmup_rl.knights.text import from_meta

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ATTEMPTS_FILE = "attempts.jsonl"
"""In the stage's folder: every attempt and reflection of the student, with its grade."""
CHECK_REQUEST = (
    "Go through this solution once more and check it. Do not solve the problem anew. End with a line that says either "
    "`Verdict: right` or `Verdict: wrong`."
)
"""The request for a reflection of the student."""

_COMES_TO = ("That gives:", "So I get:", "This would mean:", "With this the answer would be:")
_CHECKING = ("Let me check that before I go on.", "Does this hold?", "Wait, let me check this answer.")
_FAILS = ("No, this is not right.", "This does not hold, so the answer is wrong.", "So this cannot be the answer.")
_AGAIN = ("Let me try again.", "I will start over.", "Let me take another run at it.")
_HOLDS = ("Yes, this holds.", "It fits, so I am done.", "This is right.")
_VERDICT = re.compile(r"\bverdict\W{0,8}(right|correct|wrong|incorrect)\b", re.IGNORECASE)


class SelfTeacher(Engine):
    """For those without a teacher (after arXiv 2512.04072): graded attempts of the student itself.

    A trace consists of wrong attempts, each followed by a reflection that says so, and a correct one with its
    confirmation. If no attempt is correct, the completion is an unchanged wrong attempt, which the stage counts. The
    stage's `sampling.max_tokens`, `top_p` and `top_k` apply to each attempt, its temperature does not.
    """

    type: ClassVar[str] = "self"
    reads_model: ClassVar[bool] = True

    attempts: int = Field(default=8, gt=0)
    """Attempts at each problem."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the attempts, which must differ so that some are wrong and some correct."""
    mistakes: int = Field(default=2, ge=0)
    """Most wrong attempts before the correct one; the number is drawn for each trace, at least one if there are any. No
    two have the same answer, and guesses are used only if no wrong attempt works step by step."""
    without_mistakes: bool = True
    """Use a correct attempt even if there is no wrong one to put before it."""
    guesses: bool = False
    """Use correct answers that were not worked out step by step, if the domain can tell."""
    reflection: Literal["words", "student"] = "words"
    """`words`: fixed neutral sentences state the grader's verdict; `student`: the student reflects on each attempt, and
    its words are used if its verdict agrees with the grader's (not for terse phrasings)."""
    reasons: bool = True
    """Knights & Knaves: name the statement that a wrong answer violates, found by evaluating it: outside help."""
    batch_size: int = Field(default=64, gt=0)
    """Attempts generated at once."""

    def usage(self, completions: int, sampling: Sampling) -> Mapping[str, int | float | str]:
        attempts = completions // sampling.samples * self.attempts
        each = 2 if self.reflection == "student" else 1
        return {"attempts": attempts, "generated tokens, at most": each * attempts * sampling.max_tokens}

    def per_rank(self) -> bool:
        return True

    @contextmanager
    def open(self, context: EngineContext) -> Iterator[Session]:
        """Loads the student as the previous stages left it.

        Raises:
            UserError: no previous stage outputs a model, or it cannot be loaded.
        """
        if context.model is None:
            raise UserError(
                "teacher 'self': there is no student yet. Put a stage that outputs a model before this one, or set "
                "`model:`."
            )
        student = HuggingFace(model=context.model, revision=context.model_revision, batch_size=self.batch_size)
        with student.open(context) as session:
            yield _SelfSession(self, context, session, load_tokenizer(context.model, context.model_revision))


@dataclass(frozen=True, slots=True)
class _Graded:
    """An attempt as stored on disk."""

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
        self, config: SelfTeacher, context: EngineContext, student: Session, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self._config, self._context, self._student, self._tokenizer = config, context, student, tokenizer
        self._log = _AttemptLog(context.folder / ATTEMPTS_FILE if context.folder else None, config.batch_size)

    def complete(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Completions in the order of the requests; prints at the end how many problems could be used."""
        iterator, reasons = iter(requests), Counter[str]()
        while chunk := list(islice(iterator, self._config.batch_size)):
            asked = {request.problem.id: request for request in chunk}
            self._attempt(asked.values(), sampling)
            if self._config.reflection == "student":
                self._reflect(asked.values(), sampling)
            for request in chunk:
                completion = self._completion(request)
                reasons[completion.finish_reason] += 1
                yield completion
        if reasons:
            counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
            self._context.say(f"self: {self._config.attempts} attempts a problem; of {reasons.total()} traces {counts}")

    def _attempt(self, requests: Iterable[Request], sampling: Sampling) -> None:
        """Draws the attempts that are not in the log yet."""
        drawn = sampling.model_copy(update={"temperature": self._config.temperature, "samples": 1})
        problems = {request.problem.id: request.problem for request in requests}
        missing = [
            Request(request.problem, request.messages, number)
            for request in requests
            for number in range(self._config.attempts)
            if (request.problem.id, number) not in self._log.attempts
        ]
        rows = (self._graded(made, problems[made.problem_id]) for made in self._student.complete(missing, drawn))
        self._log.add(rows)

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
        """Asks the student to check its answered attempts; sample numbers differ from those of the attempts."""
        drawn = sampling.model_copy(update={"temperature": self._config.temperature, "samples": 1})
        missing = []
        for request in requests:
            for made in self._answered(request.problem):
                key = (made.problem_id, made.attempt)
                if key not in self._log.reflections and not self._terse(request.problem):
                    turns = ({"role": "assistant", "content": made.text}, {"role": "user", "content": CHECK_REQUEST})
                    missing.append(
                        Request(request.problem, (*request.messages, *turns), self._config.attempts + made.attempt)
                    )
        self._log.add(
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
        reason = f"with {_counted(before)} corrected" if before else "right at once"
        return Completion(problem.id, sample, answer, tokens, False, thinking, finish_reason=reason)

    def _failed(self, request: Request, reason: str) -> Completion:
        """An unchanged attempt that is not correct, or no text if all are correct but unusable."""
        attempts = [self._log.attempts[request.problem.id, number] for number in range(self._config.attempts)]
        for one in attempts:
            if one.verdict != "correct":
                return Completion(
                    request.problem.id, request.sample, one.text, one.tokens, one.truncated, finish_reason=reason
                )
        return Completion(request.problem.id, request.sample, "", 0, False, finish_reason=reason)

    def _answered(self, problem: Problem) -> list[_Graded]:
        """The finished attempts with an answer, each text once."""
        attempts = [self._log.attempts[problem.id, number] for number in range(self._config.attempts)]
        return list(
            {one.text: one for one in attempts if not one.truncated and one.verdict in ("correct", "wrong")}.values()
        )

    def _parts(self, one: _Graded) -> Attempt:
        parts = self._context.response_format.split(one.text)
        right = one.verdict == "correct"
        found = own_verdict(self._log.reflections.get((one.problem_id, one.attempt), ""))
        own = found[0] if found and found[1] == right else ""
        return Attempt(parts.thinking or "", parts.answer or "", right, own)

    def _terse(self, problem: Problem) -> bool:
        return self._context.domains[problem.domain].is_terse


class _AttemptLog:
    """Attempts and reflections by problem and number; written to disk before they are used."""

    def __init__(self, path: Path | None, chunk: int) -> None:
        self.attempts: dict[tuple[str, int], _Graded] = {}
        self.reflections: dict[tuple[str, int], str] = {}
        self._path, self._chunk = path, chunk
        if path is not None:
            append_jsonl(path, [])
            self._know(read_jsonl(path))

    def add(self, rows: Iterator[dict[str, Any]]) -> None:
        """Adds rows of either kind, some at a time."""
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


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt with an answer.

    Attributes:
        right: the grader's verdict.
        reflection: the student's own words about it, without the verdict line; empty if they disagree with the grader.
    """

    thinking: str
    answer: str
    right: bool
    reflection: str = ""


def stitch(attempts: Sequence[Attempt], problem: Problem, rng: random.Random, *, terse: bool, reasons: bool) -> str:
    """One chain of thought from attempts: wrong ones, each with the reason for giving it up, then a correct one.

    Args:
        rng: picks among wordings.
        terse: use only words of the terse phrasing.
        reasons: for Knights & Knaves, say what an answer violates (see `reason`).
    """
    if terse:
        return " ".join(part for attempt in attempts for part in _terse(attempt, problem, reasons))
    paragraphs = [part for attempt in attempts for part in _english(attempt, problem, rng, reasons)]
    return "\n\n".join(paragraphs)


def reason(problem: Problem, answer: str) -> str | None:
    """Why an answer to a Knights & Knaves puzzle holds or not, in the puzzle's phrasing, by evaluating the statements.

    English names the first person with a role that contradicts the statement; terse repeats the case. None for other
    problems, for unreadable answers, and in English for correct ones.
    """
    try:
        puzzle, phrasing = from_meta(problem.meta)
    except DataError:
        return None
    truthful = read_answer(answer, puzzle.names, puzzle.roles).truthful
    if truthful is None:
        return None
    if phrasing == "terse":
        first, *others = case_sentences(puzzle, assignment_index(truthful) + 1)
        return " ".join([f"{NEXT} {RECHECK}{first.removeprefix(NEXT)}", *others])
    return _clash(puzzle, truthful)


def own_verdict(reflection: str) -> tuple[str, bool] | None:
    """A student's reflection without its verdict line, and whether it calls the solution right; None if it has none."""
    found = list(_VERDICT.finditer(reflection))
    if not found:
        return None
    said = reflection[: found[-1].start()].rstrip(" \n*#`-_")
    return said, found[-1][1].lower() in ("right", "correct")


def _terse(attempt: Attempt, problem: Problem, reasons: bool) -> list[str]:
    """`THINKING so ANSWER`, and for a wrong one `next wait`; a re-check of the case precedes the last `so`."""
    said = f"{SO} {attempt.answer}"
    again = reason(problem, attempt.answer) if reasons else None
    body = attempt.thinking.strip().removesuffix(said).strip()
    if attempt.right:
        return [part for part in (body, again, said) if part]
    return [part for part in (body, said, f"{NEXT} {WAIT}", again) if part]


def _english(attempt: Attempt, problem: Problem, rng: random.Random, reasons: bool) -> list[str]:
    paragraphs = [attempt.thinking.strip()] if attempt.thinking.strip() else []
    if not _ends_with(attempt.thinking, attempt.answer):
        paragraphs.append(
            f"{rng.choice(_COMES_TO)} {attempt.answer}"
            if "\n" not in attempt.answer
            else f"{rng.choice(_COMES_TO)}\n{attempt.answer}"
        )
    why = attempt.reflection or (reason(problem, attempt.answer) if reasons and not attempt.right else None)
    checking = [rng.choice(_CHECKING), *([why] if why else [])]
    verdict = [rng.choice(_HOLDS)] if attempt.right else [rng.choice(_FAILS), rng.choice(_AGAIN)]
    return [*paragraphs, " ".join([*checking, *verdict])]


def _ends_with(thinking: str, answer: str) -> bool:
    return " ".join(thinking.split()).rstrip(".").endswith(" ".join(answer.split()).rstrip("."))


def _clash(puzzle: Puzzle, truthful: Sequence[bool]) -> str | None:
    for person, statement in enumerate(puzzle.statements):
        true = evaluate(statement, truthful)
        if true != truthful[person]:
            role = role_text(puzzle, person, truthful[person])
            said = statement_text(statement, puzzle.names, puzzle.roles)
            return (
                f'If it were so, then {role}, and yet what {puzzle.names[person]} says ("{said}") would be '
                f"{'true' if true else 'false'}."
            )
    return None
