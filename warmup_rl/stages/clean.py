"""Stage `clean`: the warmup corpus out of raw traces; what is dropped is counted by reason and kept aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

from pydantic import Field

from warmup_rl.cleaner import CleanContext, Cleaner, Dropped
from warmup_rl.contract import load_tokenizer
from warmup_rl.domain import Domain
from warmup_rl.errors import DataError, RunError
from warmup_rl.evaluation import EvaluationSettings
from warmup_rl.format import ResponseFormat
from warmup_rl.jsonl import write_jsonl
from warmup_rl.plugins import name_of, plugin_field
from warmup_rl.stage import Artifact, Context, Facts, Stage
from warmup_rl.stages.distill import PROBLEMS_FILE, read_problems, read_traces
from warmup_rl.types import Problem, Trace, to_json

DEFAULT_STEPS: tuple[Any, ...] = ("correct", "duplicates", "rechecks", {"type": "length", "max_tokens": 8192})


@dataclass
class _Result:
    kept: list[Trace] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    changed: int = 0


class Clean(Stage):
    """Passes traces through cleaning steps in order; a trace goes on as it comes out of the last."""

    type: ClassVar[str] = "clean"
    needs: ClassVar[frozenset[Artifact]] = frozenset({"model", "traces"})
    gives: ClassVar[frozenset[Artifact]] = frozenset({"traces"})

    steps: list[Annotated[Cleaner, plugin_field("cleaner")]] = Field(
        default_factory=lambda: list(DEFAULT_STEPS), min_length=1, validate_default=True
    )
    """Cleaners by name, or mappings with `type` and keys: correct, duplicates, rechecks, length (student's tokens)."""

    def facts(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> Facts:
        return Facts({"steps": ", ".join(name_of(type(step)) for step in self.steps)})

    def run(self, context: Context) -> dict[str, Any]:
        assert context.inputs.model is not None and context.inputs.traces is not None
        tokenizer = load_tokenizer(context.inputs.model, context.inputs.model_revision)

        def count_tokens(text: str) -> int:
            return len(tokenizer(text, add_special_tokens=False).input_ids)

        problems = read_problems(context.inputs.traces)
        traces = list(read_traces(context.inputs.traces))
        for trace in traces:
            _require_known(trace, problems, context)
        result = self._clean(traces, problems, CleanContext(context.domains, problems, count_tokens), context)
        if not result.kept:
            reasons = Counter(row["reason"] for row in result.dropped)
            raise RunError(f"clean: none of {len(traces)} traces is left ({_counted(reasons)}). Loosen `steps`, or "
                           "distill more problems.")
        _write(result, problems, context)
        dropped = dict(Counter(row["reason"] for row in result.dropped).most_common())
        context.say(f"{len(result.kept)} of {len(traces)} traces kept, {result.changed} of them changed"
                    + (f"; dropped: {_counted(dropped)}" if dropped else ""))

        def tokens(some: Iterable[Trace]) -> int:
            return sum(count_tokens(context.response_format.render(thinking=trace.thinking, answer=trace.answer))
                       for trace in some)

        return {
            "read": len(traces),
            "kept": len(result.kept),
            "dropped": dropped,
            "changed": result.changed,
            "tokens_before": tokens(traces),
            "tokens_after": tokens(result.kept),
        }

    def _clean(
        self, traces: Iterable[Trace], problems: Mapping[str, Problem], cleaning: CleanContext, context: Context
    ) -> _Result:
        steps = [(name_of(type(step)), step.start(cleaning)) for step in self.steps]
        result = _Result()
        for original in traces:
            trace = original
            for name, step in steps:
                outcome = step(trace)
                if isinstance(outcome, Dropped):
                    result.dropped.append({**to_json(original), "reason": outcome.reason, "step": name})
                    break
                trace = outcome
            else:
                if _words(trace) != _words(original):
                    trace = _rescored(trace, problems, context.domains, context.response_format)
                    result.changed += 1
                result.kept.append(trace)
        return result


def _require_known(trace: Trace, problems: Mapping[str, Problem], context: Context) -> None:
    file = context.inputs.traces
    if trace.domain not in context.domains:
        raise DataError(f"{file}: a trace is of domain {trace.domain!r}, which the recipe does not declare (declared: "
                        f"{', '.join(context.domains)}).")
    if trace.problem_id not in problems:
        raise DataError(f"{file}: a trace is of problem {trace.problem_id!r}, which is not in {PROBLEMS_FILE} beside "
                        "it. Run the stage that made both again.")


def _words(trace: Trace) -> tuple[str, str]:
    return trace.thinking, trace.answer


def _rescored(
    trace: Trace, problems: Mapping[str, Problem], domains: Mapping[str, Domain], response_format: ResponseFormat
) -> Trace:
    """The score of what the student will be shown, where cleaning changed that."""
    text = response_format.render(thinking=trace.thinking, answer=trace.answer)
    return replace(trace, score=domains[trace.domain].score(text, problems[trace.problem_id], response_format))


def _write(result: _Result, problems: Mapping[str, Problem], context: Context) -> None:
    write_jsonl(context.traces_file, map(to_json, result.kept))
    write_jsonl(context.folder / "dropped.jsonl", result.dropped)
    kept_ids = dict.fromkeys(trace.problem_id for trace in result.kept)
    write_jsonl(context.folder / PROBLEMS_FILE, (to_json(problems[problem_id]) for problem_id in kept_ids))


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items())
