"""Stage `evaluate`: how well a model does on each domain, under the recipe's own prompt and under others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from warmup_rl.base.config import Sampling
from warmup_rl.base.console import progress
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.models import load_model
from warmup_rl.base.types import Message, Problem, Split
from warmup_rl.data.rank_files import RankFiles
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ANSWER_CLOSE, ANSWER_OPEN, ResponseFormat
from warmup_rl.interfaces.measurement import Cell, cells
from warmup_rl.interfaces.stage import Context, DataRequest, Stage, StagePreview
from warmup_rl.stages.training.evaluator import complete_and_score

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PromptStyle = Literal["open", "free", "few_shot"]
_TIMEOUT = 3600.0


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

    prompts: list[PromptStyle] | None = Field(default=None, min_length=1)
    """Prompt styles: `open` (the prompt ends with the think tag open), `free` (the tag is left to the model),
    `few_shot` (free, after solved problems); the recipe's own where not given. Several are measured on validation
    problems too."""
    shots: int = Field(default=2, gt=0)
    """Solved train problems before each question under `few_shot`, as turns with the bare reference answer."""

    def domains_used(self, evaluation: EvaluationSettings, domains: Collection[str]) -> tuple[str, ...]:
        return evaluation.measured(domains)

    def data_requests(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[DataRequest]:
        styles = self.prompts or []
        for name in self.domains_used(evaluation, domains):
            yield DataRequest(name, "test", evaluation.problems, "evaluation.problems", evaluation.seed)
            if len(styles) > 1:
                yield DataRequest(name, "validation", evaluation.validation, "evaluation.validation", evaluation.seed)
            if "few_shot" in styles:
                yield DataRequest(name, "train", self.shots, "shots", evaluation.seed, use="examples")

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
        self._examples(context)

    def run(self, context: Context) -> dict[str, Any]:
        source, revision, env = str(context.inputs.model), context.inputs.model_revision, context.launch_env
        chat.check(source, context.response_format, revision)
        tokenizer = chat.load_tokenizer(source, revision)
        device = f"cuda:{env.local_rank}" if env.device == "cuda" else "cpu"
        model = load_model(source, revision, device=device)
        output = context.folder / "completions.jsonl"
        files = RankFiles(output, rank=env.rank, size=env.size)
        for number, job in enumerate(self._jobs(context)):
            places = {(problem.domain, problem.id): place for place, problem in enumerate(job.problems)}
            rows = self._measure(job, model, tokenizer, context)
            files.append(((number, places[row["domain"], row["problem_id"]], row["sample"]), row) for row in rows)
        files.close()
        if not env.is_main:
            return {}
        files.merge(timeout=_TIMEOUT)
        found = cells(read_jsonl(output), own_prompt=context.response_format.think)
        for line in _lines(found):
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
        return self.prompts or [context.response_format.think]

    def _problems(self, context: Context, split: Literal["test", "validation"]) -> tuple[Problem, ...]:
        settings = context.evaluation
        count = settings.problems if split == "test" else settings.validation
        names = self.domains_used(settings, context.domains)
        return tuple(problem for name in names for problem in context.domains[name].take(split, settings.seed, count))

    def _examples(self, context: Context) -> dict[str, tuple[Message, ...]]:
        """Solved train problems of each domain as turns; empty where no style wants them."""
        if "few_shot" not in self._styles(context):
            return {}
        turns: dict[str, tuple[Message, ...]] = {}
        for name in self.domains_used(context.evaluation, context.domains):
            domain = context.domains[name]
            turns[name] = tuple(
                turn
                for problem in domain.take("train", context.evaluation.seed, self.shots)
                for turn in (*domain.prompt(problem), _solved(domain, problem))
            )
        return turns

    def _measure(
        self, job: _Job, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: Context
    ) -> list[dict[str, Any]]:
        launch_env, domains = context.launch_env, context.domains
        mine = job.problems[launch_env.rank :: launch_env.size]
        examples = self._examples(context) if job.prompt == "few_shot" else {}
        sampling: Sampling = context.evaluation.samplings[job.sampling]
        name = f"{job.split}, prompt {job.prompt}, {job.sampling}"
        rows = complete_and_score(
            model,
            tokenizer,
            mine,
            domains,
            ResponseFormat.for_prompt(job.prompt),
            sampling,
            batch_size=context.evaluation.batch_size,
            seed=context.seed,
            messages_of=lambda problem: (*examples.get(problem.domain, ()), *domains[problem.domain].prompt(problem)),
            on_batch=progress(context.say, name, len(mine) * sampling.samples),
        )
        return [{"split": job.split, "prompt": job.prompt, "sampling": job.sampling, **row} for row in rows]


def _solved(domain: Domain, problem: Problem) -> Message:
    return {"role": "assistant", "content": f"{ANSWER_OPEN} {domain.reference(problem)} {ANSWER_CLOSE}"}


def _lines(found: Sequence[Cell]) -> list[str]:
    """A line for each prompt style, split and sampling: lenient accuracy by domain."""
    lines: dict[str, list[str]] = {}
    for cell in found:
        name = f"{cell.split}, prompt {cell.prompt}, {cell.sampling}:"
        lines.setdefault(name, []).append(f"{cell.domain} {cell.lenient:.2f}")
    return [f"{name} {'  '.join(shown)}" for name, shown in lines.items()]
