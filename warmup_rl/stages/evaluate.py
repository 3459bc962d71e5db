"""Stage `evaluate`: how well a model does on each domain, under the recipe's own prompt and under others."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from warmup_rl.base.config import Sampling
from warmup_rl.base.console import counted
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.types import Message, Problem, Split
from warmup_rl.data.ranks import RankFiles
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ANSWER_CLOSE, ANSWER_OPEN, STYLES, ResponseFormat
from warmup_rl.interfaces.measurement import Cell, cells
from warmup_rl.interfaces.stage import Context, DataRequest, Stage, StagePreview
from warmup_rl.stages.training.evaluator import Progress, complete_and_score, opened_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from warmup_rl.engines.vllm import VllmModel

PromptStyle = Literal["open", "free", "plain", "few_shot", "few_shot_cot"]
COMPLETIONS = "completions.jsonl"
"""The file of the scored completions, in the folder of a stage."""
_FEW_SHOT = ("few_shot", "few_shot_cot")
_TIMEOUT = 3600.0
_SYNC_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """Problems measured under one prompt style and one sampling, `drawn`; `examples` are turns before each question, by
    domain."""

    split: Split
    prompt: str
    sampling: str
    problems: Sequence[Problem]
    drawn: Sampling
    layout: ResponseFormat
    examples: Mapping[str, Sequence[Message]] = field(default_factory=dict)


class Evaluate(Stage):
    """Completes held-out problems of every domain and scores them; nothing is trained."""

    type: ClassVar[str] = "evaluate"
    role: ClassVar[str] = "evaluation"
    inputs: ClassVar[frozenset[str]] = frozenset({"model"})
    every_rank: ClassVar[bool] = True
    measures: ClassVar[bool] = True
    resumes: ClassVar[bool] = True

    prompts: list[PromptStyle] | None = Field(default=None, min_length=1)
    """Prompt styles, the recipe's own where not given. `open`: the prompt asks for the tags and ends with the think tag
    open; `free`: it asks for them and leaves them to the model; `plain`: it does not mention them; `few_shot`: plain,
    after solved problems with their bare answers; `few_shot_cot`: the same with their worked solutions in the recipe's
    layout, where the problems have any. Several are measured on validation problems too."""
    shots: int = Field(default=2, gt=0)
    """Solved train problems before each question under `few_shot` and `few_shot_cot`."""

    def data_requests(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[DataRequest]:
        styles = self.prompts or []
        for name in evaluation.measured(domains):
            yield DataRequest(name, "test", evaluation.problems, "evaluation.problems", evaluation.seed)
            if len(styles) > 1:
                yield DataRequest(name, "validation", evaluation.validation, "evaluation.validation", evaluation.seed)
            if set(styles) & set(_FEW_SHOT):
                yield DataRequest(name, "train", self.shots, "shots", evaluation.seed, use="examples")

    def compared_styles(self) -> Collection[str]:
        styles = self.prompts or []
        return [style for style in styles if style in STYLES] if len(styles) > 1 else ()

    def format_settings(self, response_format: ResponseFormat) -> Any:
        """Where `prompts` name the styles, that of the arm decides nothing."""
        return response_format.under("open").instruction if self.prompts else super().format_settings(response_format)

    def check(self, *, world_size: int) -> list[str]:
        if self.prompts and len(set(self.prompts)) < len(self.prompts):
            return [f"prompts: each style once (got {', '.join(self.prompts)})"]
        return []

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        headline, styles = evaluation.samplings[evaluation.headline], len(self.prompts or [""])
        counts: dict[Split, int] = {"test": evaluation.problems, "validation": evaluation.validation}
        measured = [domains[name] for name in evaluation.measured(domains)]
        held = {split: sum(min(one.rows_in(split) or n, n) for one in measured) for split, n in counts.items()}
        drawn = [(held["test"] * way.samples, way.max_tokens) for way in evaluation.samplings.values()]
        drawn.append((held["validation"] * headline.samples if styles > 1 else 0, headline.max_tokens))
        return StagePreview(
            {
                **({"prompt styles": ", ".join(self.prompts)} if self.prompts else {}),
                "completions": styles * sum(count for count, _ in drawn),
                "generated tokens, at most": styles * sum(count * budget for count, budget in drawn),
            }
        )

    def prepare(self, context: Context) -> None:
        self._jobs(context)

    def run(self, context: Context) -> dict[str, Any]:
        if not complete(context, self._jobs(context)):
            return {}
        found = cells(read_jsonl(context.folder / COMPLETIONS))
        for line in _lines(found):
            context.say(line)
        return {"cells": [asdict(cell) for cell in found]}

    def _jobs(self, context: Context) -> list[Job]:
        settings, own = context.evaluation, context.response_format
        think: PromptStyle = own.think if own.think != "auto" else "open"  # undecided only while the run is prepared
        styles = self.prompts or [think]
        examples = {style: self._examples(context, style) for style in styles}

        def job(split: Literal["test", "validation"], style: PromptStyle, name: str) -> Job:
            layout = own.under(style) if self.prompts else own
            problems = self._problems(context, split)
            return Job(split, style, name, problems, settings.samplings[name], layout, examples[style])

        jobs = [job("test", style, name) for style, name in product(styles, settings.samplings)]
        if len(styles) > 1:
            jobs += [job("validation", style, settings.headline) for style in styles]
        return jobs

    def _problems(self, context: Context, split: Literal["test", "validation"]) -> tuple[Problem, ...]:
        settings = context.evaluation
        count = settings.problems if split == "test" else settings.validation
        measured = [context.domains[name] for name in settings.measured(context.domains)]
        return tuple(problem for domain in measured for problem in domain.take(split, settings.seed, count))

    def _examples(self, context: Context, style: PromptStyle) -> dict[str, tuple[Message, ...]]:
        """Solved train problems of each domain as turns; empty for a style without any."""
        if style not in _FEW_SHOT:
            return {}
        layout = context.response_format.under("free") if "cot" in style else None
        used = {name: context.domains[name] for name in context.evaluation.measured(context.domains)}
        return {
            name: tuple(
                turn
                for problem in domain.take("train", context.evaluation.seed, self.shots)
                for turn in (*domain.prompt(problem), _solved(domain, problem, layout))
            )
            for name, domain in used.items()
        }


def complete(context: Context, jobs: Sequence[Job]) -> bool:
    """Completes and scores the problems of all jobs with the stage's model, into `completions.jsonl`.

    All ranks call it, each on its part; what an earlier run has left is not drawn again. Returns whether this is the
    main process, which then has the whole file.
    """
    source, revision, env = str(context.inputs.model), context.inputs.model_revision, context.launch_env
    own = context.response_format
    chat.check(source, own.under(jobs[0].prompt) if own.think == "auto" else own, revision)
    tokenizer = chat.load_tokenizer(source, revision)
    files = RankFiles(context.folder / COMPLETIONS, rank=env.rank, size=env.size, resume=True)
    if done := files.done():
        context.say(f"{counted(len(done), 'completion')} from an earlier run")
    with opened_model(context, tokenizer) as model:
        for number, job in enumerate(jobs):
            _measure(number, job, model, tokenizer, context, files, done)
    files.close()
    if env.is_main:
        files.merge(timeout=_TIMEOUT)
    return env.is_main


def _measure(
    number: int,
    job: Job,
    model: PreTrainedModel | VllmModel,
    tokenizer: PreTrainedTokenizerBase,
    context: Context,
    files: RankFiles,
    done: Collection[tuple[int, ...]],
) -> None:
    """Completes and scores this rank's part of a job; rows reach the disk at most a second after they are made."""
    env, domains = context.launch_env, context.domains
    places = {(problem.domain, problem.id): place for place, problem in enumerate(job.problems)}
    wanted = [
        (problem, sample)
        for problem in job.problems[env.rank :: env.size]
        for sample in range(job.drawn.samples)
        if (number, places[problem.domain, problem.id], sample) not in done
    ]
    name = f"{job.split}, prompt {job.prompt}, {job.sampling}"
    rows = complete_and_score(
        model,
        tokenizer,
        wanted,
        domains,
        job.layout,
        job.drawn,
        batch_size=context.evaluation.batch_size,
        seed=context.seed,
        messages_of=lambda problem: (*job.examples.get(problem.domain, ()), *domains[problem.domain].prompt(problem)),
        progress=Progress(context.say, name, len(wanted), job.drawn.max_tokens),
    )
    waiting, written = [], time.monotonic()
    for row in rows:
        place = (number, places[row["domain"], row["problem_id"]], row["sample"])
        waiting.append((place, {"split": job.split, "prompt": job.prompt, "sampling": job.sampling, **row}))
        if (now := time.monotonic()) - written > _SYNC_SECONDS:
            files.append(waiting)
            waiting, written = [], now
    files.append(waiting)


def _solved(domain: Domain, problem: Problem, layout: ResponseFormat | None) -> Message:
    """The answer turn of a solved problem: its worked solution in a layout, or the bare answer."""
    answer = domain.reference(problem)
    content = f"{ANSWER_OPEN} {answer} {ANSWER_CLOSE}"
    if layout and (worked := domain.solution(problem)):
        content = layout.render(thinking=worked, answer=answer)
    return {"role": "assistant", "content": content}


def _lines(found: Sequence[Cell]) -> list[str]:
    """A line for each prompt style, split and sampling: lenient accuracy by domain."""
    lines: dict[str, list[str]] = {}
    for cell in found:
        name = f"{cell.split}, prompt {cell.prompt}, {cell.sampling}:"
        lines.setdefault(name, []).append(f"{cell.domain} {cell.lenient:.2f}")
    return [f"{name} {'  '.join(shown)}" for name, shown in lines.items()]
