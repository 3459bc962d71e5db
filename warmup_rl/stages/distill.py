"""Stage `distill`: a teacher thinks through train problems of a domain; its scored completions become traces."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, fields
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from warmup_rl.base.config import Sampling
from warmup_rl.base.console import progress
from warmup_rl.base.errors import DataError, RunError, Unscorable, UserError
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import Completion, Problem, Request, Score, Trace, to_json, trace_from_json
from warmup_rl.data.completion_log import CompletionLog
from warmup_rl.data.problem_file import ProblemFile
from warmup_rl.engines.teacher_output import ParsedCompletion, TeacherFormat, parse_completion
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.engine import Engine, EngineContext, Session
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import name_of, plugin_field
from warmup_rl.interfaces.stage import Artifact, Context, DataRequest, Stage, StagePreview
from warmup_rl.stages.usage import Usage

PROBLEMS_FILE = "problems.jsonl"
"""Beside a traces file: the problems that its traces are about."""
_JOURNAL = "completions.jsonl"


class Distill(Stage):
    """Collects chains of thought from a teacher on train problems, each scored by the domain's own grader."""

    type: ClassVar[str] = "distill"
    role: ClassVar[str] = "traces"
    outputs: ClassVar[frozenset[Artifact]] = frozenset({"traces"})
    resumes: ClassVar[bool] = True

    domain: str
    """Name of the domain whose train problems are thought through."""
    problems: Annotated[int, Field(gt=0)] | Literal["all"]
    """Train problems; which ones follows from the run's seed. `all` that a data set has for training."""
    teacher: Annotated[Engine, plugin_field("engine")]
    """What writes the chains of thought: an engine by name, or a mapping with `type` and its keys."""
    teacher_format: TeacherFormat = "recipe"
    """How the teacher lays out what it says: `recipe` (as the recipe's format), `tags` (thinking up to the closing
    think tag, then prose), `plain` (no tags), `boxed`, or `auto`; traces are laid out anew in the recipe's format."""
    sampling: Sampling = Sampling()
    """How the teacher's completions are drawn, and how many a problem."""
    enough: int | None = Field(default=None, gt=0)
    """Correct traces after which no more are drawn for a problem, one sample a round and at most `sampling.samples`;
    all samples are drawn where not given."""
    keep_wrong: bool = False
    """Hand on traces with a wrong answer too. All completions stay in `completions.jsonl` either way."""

    def required_inputs(self) -> frozenset[Artifact]:
        return frozenset({"model"}) if self.teacher.reads_model else self.inputs

    def domains_used(self, evaluation: EvaluationSettings, domains: Collection[str]) -> tuple[str, ...]:
        return (self.domain,)

    def data_requests(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[DataRequest]:
        return (self._draw,)

    @property
    def _draw(self) -> DataRequest:
        whole = self.problems == "all"
        count = sys.maxsize if self.problems == "all" else self.problems
        return DataRequest(self.domain, "train", count, "problems", whole=whole, fits=self.teacher.check)

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        domain = domains.get(self.domain)
        problems = self.problems if self.problems != "all" else (domain and domain.rows_in("train")) or 1
        completions = problems * self.sampling.samples
        name = "completions" if self.enough is None else "completions, at most"
        return StagePreview({"problems": problems, name: completions, **self.teacher.usage(completions, self.sampling)})

    def drawn(self, context: Context) -> Iterator[Problem]:
        """The problems that are thought through.

        Raises:
            SpaceError: there are too few.
            UserError: all were asked for, and there is no end of them.
        """
        return self._draw.problems(context.domains[self.domain], context.seed)

    def prepare(self, context: Context) -> None:
        """Raises `UserError` where the domain has too few train problems, or the teacher cannot do them."""
        problems = self.drawn(context)
        self.teacher.check(next(problems))
        for _ in problems:
            pass

    def run(self, context: Context) -> dict[str, Any]:
        return _Distilling(self, context).run()


class _Distilling:
    """One run of the stage. Problems and completions stay on disk; in memory are those in the teacher's hands."""

    def __init__(self, stage: Distill, context: Context) -> None:
        self._stage, self._context = stage, context
        self._domain, self._teacher = context.domains[stage.domain], name_of(type(stage.teacher))
        self._problems_file, self._journal_file = context.folder / PROBLEMS_FILE, context.folder / _JOURNAL
        self._correct: Counter[str] = Counter()
        self._not_completed = 0

    def run(self) -> dict[str, Any]:
        stage, context = self._stage, self._context
        write_jsonl(self._problems_file, map(to_json, stage.drawn(context)))
        usage = Usage()
        with ExitStack() as files:
            self._problems = files.enter_context(closing(ProblemFile(self._problems_file)))
            places = {problem_id: place for place, problem_id in enumerate(self._problems)}
            log = files.enter_context(closing(CompletionLog(self._journal_file, places, stage.sampling.samples)))
            self._complete(log)
            log.sync()
            kept = write_jsonl(context.traces_file, map(to_json, self._traces(log, usage)))
        usage.not_completed = self._not_completed
        context.say(usage.told())
        if not kept:
            context.traces_file.unlink()
            if not any(row["text"] or row["thinking"] for row in read_jsonl(self._journal_file)):
                self._journal_file.unlink()
                raise RunError(
                    f"distill: all {usage.completions} completions of teacher {self._teacher!r} are empty, so none is "
                    "kept. Look at the teacher; the same command asks it again."
                )
            raise RunError(
                f"distill: none of {usage.completions} completions of teacher {self._teacher!r} is correct. See "
                f"{self._journal_file}; set `teacher_format` if the teacher lays out its answers in another way, give "
                "it more tokens (sampling.max_tokens), easier problems, or another teacher."
            )
        return {"domain": stage.domain, "problems": len(places), "traces": kept, **usage.summary()}

    def _complete(self, log: CompletionLog) -> None:
        """Has the teacher complete what the journal does not hold yet; each completion is kept as it comes.

        Raises:
            RunError: the teacher gives up, or gives what was not asked for.
        """
        stage, context = self._stage, self._context
        if stage.enough:
            self._correct = Counter(self._correct_before(log))
        if log.count:
            context.say(f"{log.count} completions from before")
        elif stage.teacher.costs:
            for line in _left_behind(self._journal_file):
                context.say(line)
        step = progress(context.say, "completions", len(self._problems) * stage.sampling.samples - log.count)
        samples = range(stage.sampling.samples)
        with ExitStack() as stack:
            session: Session | None = None
            for some in [samples] if stage.enough is None else [[sample] for sample in samples]:
                requests = self._missing(log, some)
                if (first := next(requests, None)) is None:
                    continue
                session = session or stack.enter_context(stage.teacher.open(self._engine_context()))
                try:
                    self._collect(session, chain([first], requests), log, step)
                except UserError as error:
                    if not log.count:
                        raise
                    raise RunError(
                        f"{error}\n{log.count} completions are kept in {self._journal_file}: run the same command "
                        "again to go on from there."
                    ) from None

    def _missing(self, log: CompletionLog, samples: Iterable[int]) -> Iterator[Request]:
        for problem in self._problems.values():
            if self._stage.enough is None or self._correct[problem.id] < self._stage.enough:
                for sample in samples:
                    if (problem.id, sample) not in log:
                        yield Request(problem, self._domain.prompt(problem), sample)

    def _collect(
        self, session: Session, requests: Iterator[Request], log: CompletionLog, step: Callable[[int], None]
    ) -> None:
        waiting: set[tuple[str, int]] = set()

        def asked() -> Iterator[Request]:
            for request in requests:
                waiting.add((request.problem.id, request.sample))
                yield request

        for completion in session.complete(asked(), self._stage.sampling):
            if (completion.problem_id, completion.sample) not in waiting:
                raise RunError(
                    f"teacher {self._teacher!r} gave sample {completion.sample} of problem {completion.problem_id}, "
                    "which was not asked for, or twice. This is a fault of the engine."
                )
            waiting.remove((completion.problem_id, completion.sample))
            log.add(self._judged(completion, self._problems[completion.problem_id]))
            step(1)
        self._not_completed += len(waiting) + sum(1 for _ in requests)

    def _judged(self, completion: Completion, problem: Problem) -> dict[str, Any]:
        """A row of the journal: what the teacher said, word for word, with the answer found in it and its score."""
        row = asdict(completion)
        try:
            answer, score = self._answer_and_score(completion, problem)
        except Unscorable as error:
            return {**row, "answer": None, "score": None, "unscorable": str(error)}
        self._correct[problem.id] += score.verdict == "correct"
        return {**row, "answer": answer, "score": to_json(score)}

    def _answer_and_score(self, completion: Completion, problem: Problem) -> tuple[str, Score]:
        """The score of what the student will be shown. Raises `Unscorable` when the grader breaks."""
        form, said = self._context.response_format, self._said(completion)
        if not said.answers:
            reason = "" if completion.finish_reason == "stop" else f" ({completion.finish_reason})"
            return "", Score("none", None, False, f"no answer{reason}", self._domain.shows_work(said.thinking, problem))
        answer = said.answers[0]
        if len(said.answers) > 1:
            answer = next((a for a in said.answers if self._domain.grade(a, problem).extracted is not None), answer)
        return answer, self._domain.score(form.render(thinking=said.thinking, answer=answer), problem, form)

    def _said(self, completion: Completion) -> ParsedCompletion:
        return parse_completion(
            completion.text,
            self._stage.teacher_format,
            self._context.response_format,
            thinking=completion.thinking,
            truncated=completion.truncated,
        )

    def _traces(self, log: CompletionLog, usage: Usage) -> Iterator[Trace]:
        """The traces to hand on, in the order of problems and samples; what becomes of all others is counted."""
        for problem in self._problems.values():
            for sample in range(self._stage.sampling.samples):
                row = log.row(problem.id, sample)
                if row is None:
                    continue
                completion = Completion(**{field.name: row[field.name] for field in fields(Completion)})
                usage.charge(completion)
                if row["score"] is None:  # the grader may be well again
                    row = self._judged(completion, problem)
                if row["score"] is None:
                    usage.unscorable += 1
                    continue
                trace = self._trace(completion, problem, row)
                usage.judge(trace.score)
                if trace.score.verdict == "correct" or self._stage.keep_wrong and (trace.thinking or trace.answer):
                    yield trace

    def _trace(self, completion: Completion, problem: Problem, row: Mapping[str, Any]) -> Trace:
        return trace_from_json(
            {
                "problem_id": problem.id,
                "domain": problem.domain,
                "messages": self._domain.prompt(problem),
                "thinking": self._said(completion).thinking,
                "answer": row["answer"],
                "score": row["score"],
                "teacher": self._teacher,
                "sample": completion.sample,
                "meta": {"tokens": completion.tokens, "truncated": completion.truncated, "cost": completion.cost},
            }
        )

    def _correct_before(self, log: CompletionLog) -> Iterator[str]:
        """The problem of each completion in the journal that is correct."""
        for problem in self._problems.values():
            for sample in range(self._stage.sampling.samples):
                row = log.row(problem.id, sample)
                if row and row["score"] and row["score"]["verdict"] == "correct":
                    yield problem.id

    def _engine_context(self) -> EngineContext:
        context = self._context
        return EngineContext(
            context.domains,
            context.response_format,
            context.seed,
            context.inputs.model,
            context.inputs.model_revision,
            context.folder,
            context.say,
        )


def read_traces(path: Path) -> Iterator[Trace]:
    """Traces of a file in order. Raises `DataError` where the file or a row is broken."""
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            yield trace_from_json(row)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: row {number} is no trace ({type(error).__name__}: {error}). Run the stage that made it again."
            ) from None


def _left_behind(mine: Path) -> Iterator[str]:
    """What to say of unfinished distillations that other settings or another version of the code have left."""
    for other in sorted(mine.parent.parent.glob(f"{Distill.type}-*.part/{mine.name}")):
        if other != mine and (count := sum(1 for _ in other.open("rb"))):
            yield (
                f"{count:,} completions of an unfinished distillation with other settings, or by another version of "
                f"the code, lie in {other}. To go on from them, stop now, copy the file to {mine}, and start again."
            )
