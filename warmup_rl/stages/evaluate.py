"""Stage `evaluate`: how well a model does on each domain, under the recipe's own prompt and under others."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from warmup_rl.base.config import Sampling
from warmup_rl.base.console import counted
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.types import Message, Problem, Split
from warmup_rl.data.rank_files import RankFiles
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ANSWER_CLOSE, ANSWER_OPEN, STYLES, ResponseFormat
from warmup_rl.interfaces.measurement import Cell, cells, without_signal
from warmup_rl.interfaces.stage import Context, DataRequest, Stage, StagePreview
from warmup_rl.stages.training.evaluator import Progress, complete_and_score, opened_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from warmup_rl.engines.vllm import VllmModel

PromptStyle = Literal["open", "free", "plain", "few_shot", "few_shot_cot"]
_FEW_SHOT = ("few_shot", "few_shot_cot")
_TIMEOUT = 3600.0
_SYNC_SECONDS = 1.0


@dataclass(frozen=True)
class _Job:
    """Problems of all domains measured under one prompt style and one sampling."""

    split: Split
    prompt: PromptStyle
    sampling: str
    problems: Sequence[Problem]


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

    def domains_used(self, evaluation: EvaluationSettings, domains: Collection[str]) -> tuple[str, ...]:
        return evaluation.measured(domains)

    def data_requests(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[DataRequest]:
        styles = self.prompts or []
        for name in self.domains_used(evaluation, domains):
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
        """Raises `SpaceError` where a domain has too few problems."""
        self._jobs(context)
        for style in self._styles(context):
            self._examples(context, style)

    def run(self, context: Context) -> dict[str, Any]:
        source, revision, env = str(context.inputs.model), context.inputs.model_revision, context.launch_env
        jobs = self._jobs(context)
        own = context.response_format
        chat.check(source, own.under(jobs[0].prompt) if own.think == "auto" else own, revision)
        tokenizer = chat.load_tokenizer(source, revision)
        output = context.folder / "completions.jsonl"
        files = RankFiles(output, rank=env.rank, size=env.size, resume=True)
        if done := files.done():
            context.say(f"{counted(len(done), 'completion')} from an earlier run")
        with opened_model(context, tokenizer) as model:
            for number, job in enumerate(jobs):
                self._measure(number, job, model, tokenizer, context, files, done)
        files.close()
        if not env.is_main:
            return {}
        files.merge(timeout=_TIMEOUT)
        found = cells(read_jsonl(output))
        for line in (*_lines(found), *without_signal(found)):
            context.say(line)
        return {"cells": [asdict(cell) for cell in found]}

    def _jobs(self, context: Context) -> list[_Job]:
        settings, styles = context.evaluation, self._styles(context)
        test = self._problems(context, "test")
        jobs = [_Job("test", style, name, test) for style, name in product(styles, settings.samplings)]
        if len(styles) > 1:
            validation = self._problems(context, "validation")
            jobs += [_Job("validation", style, settings.headline, validation) for style in styles]
        return jobs

    def _styles(self, context: Context) -> list[PromptStyle]:
        own = context.response_format.think
        return self.prompts or [own if own != "auto" else "open"]  # undecided only while the run is prepared

    def _problems(self, context: Context, split: Literal["test", "validation"]) -> tuple[Problem, ...]:
        settings = context.evaluation
        count = settings.problems if split == "test" else settings.validation
        names = self.domains_used(settings, context.domains)
        return tuple(problem for name in names for problem in context.domains[name].take(split, settings.seed, count))

    def _examples(self, context: Context, style: PromptStyle) -> dict[str, tuple[Message, ...]]:
        """Solved train problems of each domain as turns; empty for a style without any."""
        turns: dict[str, tuple[Message, ...]] = {}
        if style in _FEW_SHOT:
            layout = context.response_format.under("free")
            for name in self.domains_used(context.evaluation, context.domains):
                domain = context.domains[name]
                turns[name] = tuple(
                    turn
                    for problem in domain.take("train", context.evaluation.seed, self.shots)
                    for turn in (*domain.prompt(problem), _solved(domain, problem, layout if "cot" in style else None))
                )
        return turns

    def _measure(
        self,
        number: int,
        job: _Job,
        model: PreTrainedModel | VllmModel,
        tokenizer: PreTrainedTokenizerBase,
        context: Context,
        files: RankFiles,
        done: Collection[tuple[int, ...]],
    ) -> None:
        """Completes and scores this rank's part of a job; rows reach the disk at most a second after they are made."""
        env, domains, evaluation = context.launch_env, context.domains, context.evaluation
        sampling: Sampling = evaluation.samplings[job.sampling]
        places = {(problem.domain, problem.id): place for place, problem in enumerate(job.problems)}
        wanted = [
            (problem, sample)
            for problem in job.problems[env.rank :: env.size]
            for sample in range(sampling.samples)
            if (number, places[problem.domain, problem.id], sample) not in done
        ]
        examples = self._examples(context, job.prompt)
        name = f"{job.split}, prompt {job.prompt}, {job.sampling}"
        rows = complete_and_score(
            model,
            tokenizer,
            wanted,
            domains,
            context.response_format.under(job.prompt) if self.prompts else context.response_format,
            sampling,
            batch_size=evaluation.batch_size,
            seed=context.seed,
            messages_of=lambda problem: (*examples.get(problem.domain, ()), *domains[problem.domain].prompt(problem)),
            progress=Progress(context.say, name, len(wanted), sampling.max_tokens),
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
    worked = domain.solution(problem) if layout else None
    bare = f"{ANSWER_OPEN} {answer} {ANSWER_CLOSE}"
    return {
        "role": "assistant",
        "content": layout.render(thinking=worked, answer=answer) if layout and worked else bare,
    }


def _lines(found: Sequence[Cell]) -> list[str]:
    """A line for each prompt style, split and sampling: lenient accuracy by domain."""
    lines: dict[str, list[str]] = {}
    for cell in found:
        name = f"{cell.split}, prompt {cell.prompt}, {cell.sampling}:"
        lines.setdefault(name, []).append(f"{cell.domain} {cell.lenient:.2f}")
    return [f"{name} {'  '.join(shown)}" for name, shown in lines.items()]
