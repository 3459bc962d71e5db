"""Stage `distill`: a teacher thinks through train problems of a domain; its scored completions become traces."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from warmup_rl.config import Sampling
from warmup_rl.domain import Domain
from warmup_rl.engine import Engine, EngineContext
from warmup_rl.errors import DataError, RunError
from warmup_rl.evaluation import EvaluationSettings
from warmup_rl.format import ResponseFormat
from warmup_rl.jsonl import append_jsonl, read_jsonl, write_jsonl
from warmup_rl.plugins import name_of, plugin_field
from warmup_rl.stage import Artifact, Context, Draw, Facts, Stage
from warmup_rl.stages.pace import pace
from warmup_rl.types import Completion, Problem, Request, Trace, to_json, trace_from_json

PROBLEMS_FILE = "problems.jsonl"
"""Beside a traces file: the problems that its traces are about."""
_JOURNAL = "completions.jsonl"
_CHUNK = 64


class Distill(Stage):
    """Collects chains of thought from a teacher on train problems, each scored by the domain's own grader."""

    type: ClassVar[str] = "distill"
    gives: ClassVar[frozenset[Artifact]] = frozenset({"traces"})
    resumes: ClassVar[bool] = True

    domain: str
    """Name of the domain whose train problems are thought through."""
    problems: int = Field(gt=0)
    """Train problems; which ones follows from the run's seed."""
    teacher: Annotated[Engine, plugin_field("engine")]
    """What writes the chains of thought: an engine by name, or a mapping with `type` and its keys."""
    sampling: Sampling = Sampling()
    """How the teacher's completions are drawn, and how many a problem."""
    keep_wrong: bool = False
    """Hand on traces with a wrong answer too. All completions stay in `completions.jsonl` either way."""

    def inputs(self) -> frozenset[Artifact]:
        return frozenset({"model"}) if self.teacher.reads_model else self.needs

    def domains_used(self, evaluation: EvaluationSettings, domains: Collection[str]) -> tuple[str, ...]:
        return (self.domain,)

    def draws(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[Draw]:
        return (Draw(self.domain, "train", self.problems, "problems", fits=self.teacher.check),)

    def facts(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> Facts:
        return Facts({"problems": self.problems, "completions": self.problems * self.sampling.samples})

    def prepare(self, context: Context) -> None:
        """Raises `UserError` where the domain has too few train problems, or the teacher cannot do them."""
        problems = context.domains[self.domain].take("train", context.seed, self.problems)
        self.teacher.check(problems[0])

    def run(self, context: Context) -> dict[str, Any]:
        domain = context.domains[self.domain]
        problems = {problem.id: problem for problem in domain.take("train", context.seed, self.problems)}
        write_jsonl(context.folder / PROBLEMS_FILE, (to_json(problem) for problem in problems.values()))
        journal = context.folder / _JOURNAL
        self._complete(problems, domain, context, journal)
        places = {problem_id: place for place, problem_id in enumerate(problems)}
        traces = sorted(read_traces(journal), key=lambda trace: (places[trace.problem_id], trace.sample))
        correct = [trace for trace in traces if trace.score.verdict == "correct"]
        kept = traces if self.keep_wrong else correct
        if not kept:
            raise RunError(
                f"distill: none of {len(traces)} completions of teacher {name_of(type(self.teacher))!r} is correct. "
                f"See {journal}; give it more tokens (sampling.max_tokens), easier problems, or another teacher."
            )
        write_jsonl(context.traces_file, map(to_json, kept))
        return {
            "domain": self.domain,
            "problems": len(problems),
            "traces": len(kept),
            "correct": len(correct),
            "tokens": sum(trace.meta["tokens"] for trace in traces),
        }

    def _complete(self, problems: Mapping[str, Problem], domain: Domain, context: Context, journal: Path) -> None:
        """Appends the traces that the journal does not hold yet, some at a time."""
        append_jsonl(journal, [])
        done = {(row["problem_id"], row["sample"]) for row in read_jsonl(journal)}
        missing = [
            Request(problem, domain.prompt(problem), sample)
            for problem in problems.values()
            for sample in range(self.sampling.samples)
            if (problem.id, sample) not in done
        ]
        if not missing:
            return
        if done:
            context.say(f"{len(done)} completions from before, {len(missing)} to come")
        teacher, form = name_of(type(self.teacher)), context.response_format
        step = pace(context.say, "completions", len(missing))
        opened = EngineContext(
            context.domains, form, context.seed, context.inputs.model, context.inputs.model_revision, context.folder,
            context.say,
        )
        with self.teacher.open(opened) as session:
            completions = session.complete(missing, self.sampling)
            for chunk in _chunks(completions, _CHUNK):
                traces = (_trace(item, problems[item.problem_id], domain, form, teacher) for item in chunk)
                append_jsonl(journal, map(to_json, traces))
                step(len(chunk))


def read_traces(path: Path) -> Iterator[Trace]:
    """Traces of a file in order. Raises `DataError` where the file or a row is broken."""
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            yield trace_from_json(row)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: row {number} is no trace ({type(error).__name__}: {error}). Run the stage that made it again."
            ) from None


def read_problems(traces: Path) -> dict[str, Problem]:
    """Problems of a traces file by id, from the file beside it. Raises `DataError` where that is missing or broken."""
    path = traces.with_name(PROBLEMS_FILE)
    try:
        return {row["id"]: Problem(**row) for row in read_jsonl(path)}
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: a row is no problem ({error}). Run the distill stage again.") from None


def _trace(
    completion: Completion, problem: Problem, domain: Domain, response_format: ResponseFormat, teacher: str
) -> Trace:
    """Takes a completion apart and scores what the student will be shown; what has no answer is scored as it is."""
    thinking, answer, text = completion.thinking, completion.text, completion.text
    if thinking is None:
        parts = response_format.split(completion.text)
        thinking, answer = (parts.thinking or "", parts.answer or "") if parts.answer else (completion.text, "")
    if answer:
        text = response_format.render(thinking=thinking, answer=answer)
    return Trace(
        problem_id=problem.id,
        domain=problem.domain,
        messages=domain.prompt(problem),
        thinking=thinking,
        answer=answer,
        score=domain.score(text, problem, response_format),
        teacher=teacher,
        sample=completion.sample,
        meta={"tokens": completion.tokens, "truncated": completion.truncated, "cost": completion.cost},
    )


def _chunks(completions: Iterator[Completion], size: int) -> Iterator[list[Completion]]:
    while chunk := list(islice(completions, size)):
        yield chunk
