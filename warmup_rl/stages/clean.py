"""Stage `clean`: the warmup corpus out of raw traces; what is cut, changed or dropped is counted and kept aside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice, product
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from warmup_rl.base.errors import DataError, RunError, UserError
from warmup_rl.base.jsonl import write_jsonl
from warmup_rl.base.progress import progress
from warmup_rl.base.types import Problem, to_json
from warmup_rl.data.problem_file import ProblemFile
from warmup_rl.dlcot.page import write_page
from warmup_rl.interfaces.chat import load_tokenizer
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner
from warmup_rl.interfaces.domain import Domain, each_fold
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import name_of, plugin_field
from warmup_rl.interfaces.stage import Artifact, Context, Stage, StagePreview
from warmup_rl.stages.cleaning_steps import AUDIT, TRACES, Cleaning, Counts, by_count, counted
from warmup_rl.stages.distill import PROBLEMS_FILE, read_traces

DEFAULT_STEPS: tuple[Any, ...] = ("correct", "duplicates", "dlcot", {"type": "length", "max_tokens": 8192})

Done = Callable[[int], Callable[[int], None]]


class Clean(Stage):
    """Passes traces through cleaning steps in order; a trace goes on as it comes out of the last."""

    type: ClassVar[str] = "clean"
    role: ClassVar[str] = "traces"
    inputs: ClassVar[frozenset[Artifact]] = frozenset({"model", "traces"})
    outputs: ClassVar[frozenset[Artifact]] = frozenset({"traces"})
    resumes: ClassVar[bool] = True
    all_folds: ClassVar[bool] = True

    steps: list[Annotated[Cleaner, plugin_field("cleaner")]] = Field(
        default_factory=lambda: list(DEFAULT_STEPS), min_length=1, validate_default=True
    )
    """Cleaners by name, or mappings with `type` and keys, in the order in which a trace passes them."""

    def reads_evaluation(self) -> bool:
        return any(step.reads_evaluation for step in self.steps)

    def domains_used(self, evaluation: EvaluationSettings, domains: Collection[str]) -> tuple[str, ...]:
        """Those that the recipe evaluates on, where a step reads their problems."""
        if not self.reads_evaluation():
            return ()
        return tuple(domains) if evaluation.every else evaluation.measured(domains)

    def check(self, *, world_size: int) -> list[str]:
        wrong = []
        for place, step in enumerate(self.steps):
            try:
                step.ready()
            except UserError as error:
                wrong.append(f"steps.{place}: {error}")
        return wrong

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        return StagePreview({"steps": ", ".join(name_of(type(step)) for step in self.steps)})

    def run(self, context: Context) -> dict[str, Any]:
        assert context.inputs.model is not None and context.inputs.traces is not None
        tokenizer = load_tokenizer(context.inputs.model, context.inputs.model_revision)
        with closing(ProblemFile(context.inputs.traces.with_name(PROBLEMS_FILE))) as problems:
            cleaning = CleanContext(
                domains=context.domains,
                problems=problems,
                count_tokens=lambda text: len(tokenizer(text, add_special_tokens=False).input_ids),
                response_format=context.response_format,
                held_out=lambda: held_out(context.evaluation, context.domains),
                model=context.inputs.model,
                model_revision=context.inputs.model_revision,
                folder=context.folder,
                seed=context.seed,
                say=context.say,
            )
            counts = clean(context.inputs.traces, self.steps, cleaning)
        dropped = f"; dropped: {counted(counts.dropped)}" if counts.dropped else ""
        context.say(f"{counts.kept:,} of {counts.read:,} traces kept, {counts.changed:,} of them changed{dropped}")
        write_audit(counts, self.steps, context.folder, subtitle=f"arm {context.arm}, seed {context.seed}")
        return summary(counts)


def clean(traces: Path, steps: Sequence[Cleaner], context: CleanContext, done: Done | None = None) -> Counts:
    """Cleans a traces file into the folder of `context`, beside what a killed run left there.

    Args:
        done: called with the number of all traces, gives what is to be called with numbers of finished ones.

    Raises:
        DataError: a row is no trace, or one of a problem or domain that is not there; found before cleaning begins.
        RunError: no trace is left.
    """
    total = _checked(traces, context)
    status = traces.stat()
    work = Cleaning(steps, context, [str(traces), status.st_size, status.st_mtime_ns])
    if work.counts.read:
        context.say(f"{work.counts.read:,} of {total:,} traces from before")
    counts = work.run(read_traces(traces), done(total) if done else progress(context.say, "traces", total))
    if not counts.kept:
        raise RunError(
            f"clean: none of {total} traces is left ({counted(counts.dropped)}). Loosen `steps`, or "
            "distill more problems."
        )
    outcomes = by_count(counts.outcomes.get("dlcot", {}))
    if outcomes and not {"cut", "unchanged"} & outcomes.keys():
        (reason, count), *_ = outcomes.items()
        context.say(f"dlcot could take no trace apart; {count:,} of {sum(outcomes.values()):,} times: {reason}")
    assert context.folder is not None
    write_jsonl(context.folder / PROBLEMS_FILE, _problems(context.folder / TRACES, context.problems))
    return counts


def write_audit(
    counts: Counts, steps: Sequence[Cleaner], folder: Path, *, subtitle: str, unit: str = "tokens"
) -> Path | None:
    """Writes `audit.html` beside `audit.jsonl`; nothing where no step takes traces apart."""
    if "dlcot" not in counts.outcomes:
        return None
    page = folder / "audit.html"
    named = ", ".join(map(_described, steps))
    write_page(
        page, folder / AUDIT, summary(counts), title="DLCoT audit", subtitle=f"{subtitle} · steps {named}", unit=unit
    )
    return page


def summary(counts: Counts) -> dict[str, Any]:
    """Counts as `stage.json` keeps them: what is more frequent comes first."""
    return {
        "read": counts.read,
        "kept": counts.kept,
        "dropped": by_count(counts.dropped),
        "changed": counts.changed,
        "tokens_before": counts.tokens_before,
        "tokens_dropped": counts.tokens_dropped,
        "tokens_after": counts.tokens_after,
        "outcomes": {cleaner: by_count(outcomes) for cleaner, outcomes in counts.outcomes.items()},
    }


def held_out(evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> Iterator[Problem]:
    """The problems that a recipe evaluates on: both splits of all domains measured, and the held-out curve of any."""
    measured = evaluation.measured(domains)
    for name, domain in domains.items():
        counts = {"test": evaluation.problems, "validation": evaluation.validation} if name in measured else {}
        if evaluation.every:
            counts["test"] = max(counts.get("test", 0), evaluation.curve_problems)
        for part, (split, count) in product(each_fold(domain), counts.items()):
            yield from islice(part.problems(split, evaluation.seed), count)  # type: ignore[arg-type]


def _described(step: Cleaner) -> str:
    """A step with the keys that are not at their defaults: `length (max_tokens 8192)`."""
    keys = step.model_dump(mode="json", exclude_defaults=True, serialize_as_any=True)
    plain = {key: value for key, value in keys.items() if not isinstance(value, dict | list)}
    told = ", ".join(key if value is True else f"{key} {value}" for key, value in plain.items())
    return f"{name_of(type(step))} ({told})" if told else name_of(type(step))


def _checked(traces: Path, context: CleanContext) -> int:
    """How many traces there are, each of a known domain and problem."""
    count = 0
    for trace in read_traces(traces):
        count += 1
        if trace.domain not in context.domains:
            raise DataError(
                f"{traces}: a trace is of domain {trace.domain!r}, which the recipe does not declare "
                f"(declared: {', '.join(context.domains)})."
            )
        if trace.problem_id not in context.problems:
            raise DataError(
                f"{traces}: a trace is of problem {trace.problem_id!r}, which is not in {PROBLEMS_FILE} "
                "beside it. Run the stage that made both again."
            )
    return count


def _problems(traces: Path, problems: Mapping[str, Problem]) -> Iterator[dict[str, Any]]:
    """Problems of a traces file, in the order of their first traces."""
    for problem_id in dict.fromkeys(trace.problem_id for trace in read_traces(traces)):
        yield to_json(problems[problem_id])
