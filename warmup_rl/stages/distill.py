"""Stage `distill`: a teacher solves train problems of a domain; its scored completions become traces."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from warmup_rl.base.config import Sampling
from warmup_rl.base.console import progress
from warmup_rl.base.errors import RunError, Unscorable, UserError
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import Completion, Problem, Refusal, Request, Score, Trace, to_json, trace_from_json
from warmup_rl.data.indexed_log import IndexedLog
from warmup_rl.data.ranks import RankFolder, gather
from warmup_rl.data.traces import PROBLEMS_FILE, open_problems
from warmup_rl.engines.teacher_output import ParsedCompletion, TeacherFormat, parse_completion
from warmup_rl.interfaces.domain import Domain, grading
from warmup_rl.interfaces.engine import Engine, EngineContext, Session
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import name_of, plugin_field
from warmup_rl.interfaces.stage import Context, DataRequest, LaunchEnv, Stage, StagePreview

COMPLETIONS_FILE = "completions.jsonl"
Pair = tuple[str, int]
"""A problem's id and a sample number."""


class Distill(Stage):
    """Collects chains of thought from a teacher on train problems, each scored by the domain's own grader."""

    type: ClassVar[str] = "distill"
    role: ClassVar[str] = "traces"
    outputs: ClassVar[frozenset[str]] = frozenset({"traces"})
    resumes: ClassVar[bool] = True

    domain: str
    """Name of the domain whose train problems the teacher solves."""
    problems: Annotated[int, Field(gt=0)] | Literal["all"]
    """Number of train problems (drawn with the run's seed), or `all` train problems of a data set."""
    teacher: Annotated[Engine, plugin_field("engine")]
    """The engine that writes the chains of thought: its name, or a mapping with `type` and its keys."""
    teacher_format: TeacherFormat = "recipe"
    """Layout of the teacher's completions: `recipe` (the recipe's format), `tags` (thinking up to the closing think
    tag, then prose), `plain` (no tags), `boxed`, or `auto`. Traces are always written in the recipe's format."""
    sampling: Sampling = Sampling()
    """Sampling of the teacher's completions, and their number per problem."""
    enough: int | None = Field(default=None, gt=0)
    """Stop drawing for a problem after this many correct traces; samples are drawn one per round, `sampling.samples` at
    most. Default: all samples are drawn."""
    keep_wrong: bool = False
    """Also output traces with a wrong answer. All completions stay in `completions.jsonl` either way."""

    def required_inputs(self) -> frozenset[str]:
        return frozenset({"model"}) if self.teacher.reads_model else self.inputs

    def data_requests(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[DataRequest]:
        return (self._request,)

    @property
    def _request(self) -> DataRequest:
        count = sys.maxsize if self.problems == "all" else self.problems
        whole = self.problems == "all"
        return DataRequest(self.domain, "train", count, "problems", whole=whole, fits=self.teacher.check)

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        domain = domains.get(self.domain)
        problems = self.problems if self.problems != "all" else (domain and domain.rows_in("train")) or 1
        completions = problems * self.sampling.samples
        name = "completions" if self.enough is None else "completions, at most"
        return StagePreview({"problems": problems, name: completions, **self.teacher.usage(completions, self.sampling)})

    def drawn(self, context: Context) -> Iterator[Problem]:
        """The problems that the teacher solves. Raises as `DataRequest.problems` does."""
        return self._request.problems(context.domains[self.domain], context.examples_seed)

    def prepare(self, context: Context) -> None:
        """Raises `UserError` if the domain has too few train problems, or the teacher cannot complete them."""
        problems = self.drawn(context)
        self.teacher.check(next(problems))
        for _ in problems:
            pass

    def on_every_rank(self) -> bool:
        return self.teacher.per_rank()

    def recover(self, folder: Path) -> None:
        gather(folder)

    def run(self, context: Context) -> dict[str, Any]:
        env = context.launch_env
        split = env.size > 1 and self.teacher.per_rank()
        if split:
            part = RankFolder(context.folder, rank=env.rank, size=env.size)
            _Distillation(self, replace(context, folder=part.path)).draw()
            part.close()
            if not env.is_main:
                return {}
            part.gather(context.peers)
        return _Distillation(self, replace(context, launch_env=LaunchEnv())).run(gathered=split)


class _Distillation:
    """One run of the stage. Only the problems and completions in progress are held in memory."""

    def __init__(self, stage: Distill, context: Context) -> None:
        self._stage, self._context = stage, context
        self._domain, self._teacher = context.domains[stage.domain], name_of(type(stage.teacher))
        self._log_file = context.folder / COMPLETIONS_FILE
        self._correct: Counter[str] = Counter()
        self._usage = Usage()

    def run(self, *, gathered: bool = False) -> dict[str, Any]:
        """The whole stage; a log `gathered` from several processes is brought into the order of one."""
        stage, context, usage = self._stage, self._context, self._usage
        if gathered:
            with self._opened():
                write_jsonl(self._log_file, map(dict, self._in_order()))
        with self._opened():
            self._complete(again=not gathered)
            kept = write_jsonl(context.traces_file, map(to_json, self._traces()))
        context.say(usage.describe())
        if not kept:
            context.traces_file.unlink()
            raise self._no_traces()
        return {"domain": stage.domain, "problems": len(self._problems), "traces": kept, **usage.summary()}

    def draw(self) -> None:
        with self._opened():
            self._complete()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        folder = self._context.folder
        write_jsonl(folder / PROBLEMS_FILE, map(to_json, self._stage.drawn(self._context)))
        with closing(open_problems(folder / PROBLEMS_FILE)) as self._problems:
            fix = f"Delete {folder} and run the stage again."
            with closing(IndexedLog(self._log_file, self._pair, fix=fix)) as self._log:
                yield

    def _in_order(self) -> Iterator[Mapping[str, Any]]:
        for some in self._rounds:
            for problem in self._problems:
                yield from (self._log[problem, sample] for sample in some if (problem, sample) in self._log)

    @property
    def _rounds(self) -> Sequence[Sequence[int]]:
        """Sample numbers that are asked for together, for all problems."""
        samples = range(self._stage.sampling.samples)
        return [samples] if self._stage.enough is None else [[sample] for sample in samples]

    def _pair(self, row: Mapping[str, Any]) -> Pair:
        """The key of a completion. Raises ValueError if the stage does not ask for it."""
        problem_id, sample = row["problem_id"], row["sample"]
        if problem_id not in self._problems or not 0 <= sample < self._stage.sampling.samples:
            raise ValueError(f"sample {sample} of problem {problem_id} is not asked for")
        return problem_id, sample

    def _no_traces(self) -> RunError:
        count = self._usage.completions
        if not count and self._usage.refused:
            return RunError(
                f"distill: teacher {self._teacher!r} refused all {self._usage.refused} requests. See the first reason "
                "above; the same command asks again."
            )
        if not any(row["text"] or row["thinking"] for row in read_jsonl(self._log_file)):
            self._log_file.unlink()
            return RunError(
                f"distill: all {count} completions of teacher {self._teacher!r} are empty, so none is kept. Check the "
                "teacher; the same command asks it again."
            )
        return RunError(
            f"distill: none of {count} completions of teacher {self._teacher!r} is correct. See {self._log_file}; set "
            "`teacher_format` if the teacher lays out its answers in another way, give it more tokens "
            "(sampling.max_tokens), easier problems, or another teacher."
        )

    def _complete(self, *, again: bool = True) -> None:
        """Requests the completions that the log does not have yet; each is stored as it arrives. Raises `RunError` if
        the teacher gives up; `again`: those in the log are from an earlier run."""
        stage, context, log = self._stage, self._context, self._log
        if stage.enough:
            rows = ((problem.id, row["score"] or {}) for problem, row in self._rows())
            self._correct.update(name for name, score in rows if score.get("verdict") == "correct")
        if log and again:
            context.say(f"{len(log)} completions from an earlier run")
        elif not log and stage.teacher.costs:
            for line in _left_behind(self._log_file):
                context.say(line)
        env, missing = context.launch_env, len(self._problems) * stage.sampling.samples - len(log)
        step = progress(context.say, "completions", -(-missing // env.size))
        student = context.inputs.model, context.inputs.model_revision
        engine_context = EngineContext(
            context.domains, context.response_format, context.seed, *student, context.folder, context.say, env
        )
        with ExitStack() as stack:
            session: Session | None = None
            for some in self._rounds:
                requests = self._missing(some)
                if (first := next(requests, None)) is None:
                    continue
                session = session or stack.enter_context(stage.teacher.open(engine_context))
                try:
                    self._collect(session, chain([first], requests), step)
                except UserError as error:
                    if not log:
                        raise
                    raise RunError(
                        f"{error}\n{len(log)} completions are kept in {self._log_file}: run the same command again to "
                        "resume."
                    ) from None

    def _missing(self, samples: Iterable[int]) -> Iterator[Request]:
        env = self._context.launch_env
        for problem in islice(self._problems.values(), env.rank, None, env.size):
            if self._stage.enough is None or self._correct[problem.id] < self._stage.enough:
                for sample in samples:
                    if (problem.id, sample) not in self._log:
                        yield Request(problem, self._domain.prompt(problem), sample)

    def _collect(self, session: Session, requests: Iterator[Request], step: Callable[[int], None]) -> None:
        waiting: set[Pair] = set()

        def asked() -> Iterator[Request]:
            for request in requests:
                waiting.add((request.problem.id, request.sample))
                yield request

        for completion in session.complete(asked(), self._stage.sampling):
            pair = completion.problem_id, completion.sample
            if pair not in waiting:
                raise RunError(
                    f"teacher {self._teacher!r} returned sample {completion.sample} of problem {completion.problem_id} "
                    "twice, or without a request for it. This is a bug in the engine."
                )
            waiting.remove(pair)
            step(1)
            if isinstance(completion, Refusal):
                if not self._usage.refused:
                    problem, reason = completion.problem_id, completion.finish_reason
                    self._context.say(f"the teacher refused problem {problem}, which is left out: {reason}")
                self._usage.refused += 1
            else:
                self._log.add(self._scored(completion, self._problems[completion.problem_id]))
        self._usage.not_completed += len(waiting) + sum(1 for _ in requests)

    def _scored(self, completion: Completion, problem: Problem) -> dict[str, Any]:
        """A row of the log: the unchanged completion with its answer and score."""
        row = asdict(completion)
        try:
            with grading(problem):
                answer, score = self._answer_and_score(completion, problem)
        except Unscorable as error:
            return {**row, "answer": None, "score": None, "unscorable": str(error)}
        self._correct[problem.id] += score.verdict == "correct"
        return {**row, "answer": answer, "score": to_json(score)}

    def _answer_and_score(self, completion: Completion, problem: Problem) -> tuple[str, Score]:
        """The answer and score of the completion in the student's format. Raises `Unscorable` if the grader fails."""
        form, parsed = self._context.response_format, self._parse(completion)
        if not parsed.answers:
            reason = "" if completion.finish_reason == "stop" else f" ({completion.finish_reason})"
            shows_work = self._domain.shows_work(parsed.thinking, problem)
            return "", Score("none", None, False, f"no answer{reason}", shows_work)
        answer = parsed.answers[0]
        if len(parsed.answers) > 1:
            answer = next((a for a in parsed.answers if self._domain.grade(a, problem).extracted is not None), answer)
        return answer, self._domain.score(form.render(thinking=parsed.thinking, answer=answer), problem, form)

    def _parse(self, completion: Completion) -> ParsedCompletion:
        layouts = self._stage.teacher_format, self._context.response_format
        return parse_completion(completion.text, *layouts, thinking=completion.thinking, truncated=completion.truncated)

    def _rows(self) -> Iterator[tuple[Problem, Mapping[str, Any]]]:
        """The completions so far, in the order of problems and samples."""
        for problem in self._problems.values():
            for sample in range(self._stage.sampling.samples):
                if (row := self._log.get((problem.id, sample))) is not None:
                    yield problem, row

    def _traces(self) -> Iterator[Trace]:
        """The traces to output; counts every completion."""
        for problem, row in self._rows():
            completion = Completion(**{field.name: row[field.name] for field in fields(Completion)})
            if row["score"] is None:  # the grader may have recovered
                row = self._scored(completion, problem)
            if row["score"] is None:
                self._usage.add(completion, None)
                continue
            trace = trace_from_json(
                {
                    "problem_id": problem.id,
                    "domain": problem.domain,
                    "messages": self._domain.prompt(problem),
                    "thinking": self._parse(completion).thinking,
                    "answer": row["answer"],
                    "score": row["score"],
                    "teacher": self._teacher,
                    "sample": completion.sample,
                    "meta": {"tokens": completion.tokens, "truncated": completion.truncated, "cost": completion.cost},
                }
            )
            self._usage.add(completion, trace.score)
            if trace.score.verdict == "correct" or self._stage.keep_wrong and (trace.thinking or trace.answer):
                yield trace


@dataclass
class Usage:
    """Counts over the completions of a distill stage, including those of an interrupted run.

    Attributes:
        unscorable: completions that were not scored because the grader failed.
        not_completed: requests that the teacher did not answer.
        refused: requests that the teacher refused for what is in them; a resumed run asks them again.
        requests: all attempts; `retries` are those after a request's first.
        cost: in US dollars.
        valid_steps, invalid_steps: of the thinking, if the domain judges steps.
    """

    completions: int = 0
    correct: int = 0
    no_answer: int = 0
    unscorable: int = 0
    not_completed: int = 0
    refused: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    requests: int = 0
    retries: int = 0
    cost: float = 0.0
    valid_steps: int = 0
    invalid_steps: int = 0

    def add(self, completion: Completion, score: Score | None) -> None:
        """Counts a completion; its score is None if the grader failed."""
        self.completions += 1
        self.tokens += completion.tokens
        self.prompt_tokens += completion.prompt_tokens
        self.requests += completion.attempts
        self.retries += completion.attempts - 1
        self.cost += completion.cost
        if score is None:
            self.unscorable += 1
            return
        self.correct += score.verdict == "correct"
        self.no_answer += score.verdict == "none"
        if score.steps:
            self.valid_steps += score.steps.valid
            self.invalid_steps += score.steps.invalid

    def summary(self) -> dict[str, Any]:
        return {**asdict(self), "cost": round(self.cost, 6)}

    def describe(self) -> str:
        """A line such as `40 completions: 36 correct, 3 wrong, 1 without answer; 51,200 tokens`."""
        parts = {
            "correct": self.correct,
            "wrong": self.completions - self.correct - self.no_answer - self.unscorable,
            "without answer": self.no_answer,
            "not scored because the grader failed": self.unscorable,
            "not completed by the teacher": self.not_completed,
            "refused by the teacher": self.refused,
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


def _left_behind(mine: Path) -> Iterator[str]:
    """A line for each unfinished distillation with other settings or another version of the code."""
    for other in sorted(mine.parent.parent.glob(f"{Distill.type}-*.part/{mine.name}")):
        if other != mine and (count := sum(1 for _ in other.open("rb"))):
            yield (
                f"{count:,} completions of an unfinished distillation with other settings, or by another version of "
                f"the code, are in {other}. To resume from them, stop now, copy the file to {mine}, and start again."
            )
