"""Stage `clean`: passes raw traces through cleaning steps, and records and counts everything changed or dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice, product
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from warmup_rl.base.console import progress
from warmup_rl.base.errors import DataError, RunError, Unscorable, UserError
from warmup_rl.base.jsonl import write_jsonl
from warmup_rl.base.types import Problem, Trace, to_json
from warmup_rl.data.datasets import file_digest
from warmup_rl.data.indexed_log import IndexedLog
from warmup_rl.data.traces import PROBLEMS_FILE, open_problems, read_traces
from warmup_rl.dlcot.audit import write_page
from warmup_rl.interfaces.chat import load_tokenizer
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped, LooksAhead
from warmup_rl.interfaces.domain import Domain, each_fold, grading
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import name_of, plugin_field
from warmup_rl.interfaces.stage import Context, Stage, StagePreview

TRACES, DROPPED, AUDIT = "traces.jsonl", "dropped.jsonl", "audit.jsonl"
DEFAULT_STEPS: tuple[Any, ...] = ("correct", "duplicates", "dlcot", {"type": "length", "max_tokens": 8192})

LOG = "cleaned.jsonl"
_AHEAD = 256
"""Traces that pass the steps together if a step looks ahead; otherwise each passes alone."""

Row = dict[str, Any]
Done = Callable[[int], Callable[[int], None]]


class Clean(Stage):
    """Passes traces through cleaning steps in order."""

    type: ClassVar[str] = "clean"
    role: ClassVar[str] = "traces"
    inputs: ClassVar[frozenset[str]] = frozenset({"model", "traces"})
    outputs: ClassVar[frozenset[str]] = frozenset({"traces"})
    resumes: ClassVar[bool] = True
    all_folds: ClassVar[bool] = True

    steps: list[Annotated[Cleaner, plugin_field("cleaner")]] = Field(
        default_factory=lambda: list(DEFAULT_STEPS), min_length=1, validate_default=True
    )
    """Cleaners by name, or mappings with `type` and keys, in the order in which traces pass them."""

    def reads_evaluation(self) -> bool:
        return any(step.reads_evaluation for step in self.steps)

    def domains_used(self, evaluation: EvaluationSettings, domains: Collection[str]) -> tuple[str, ...]:
        """Those that the recipe evaluates on, if a step reads their problems."""
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
        source, revision, traces = str(context.inputs.model), context.inputs.model_revision, context.inputs["traces"]
        tokenizer = load_tokenizer(source, revision)
        with closing(open_problems(traces.with_name(PROBLEMS_FILE))) as problems:
            cleaning = CleanContext(
                domains=context.domains,
                problems=problems,
                count_tokens=lambda text: len(tokenizer(text, add_special_tokens=False).input_ids),
                response_format=context.response_format,
                held_out=lambda: held_out(context.evaluation, context.domains),
                model=source,
                model_revision=revision,
                folder=context.folder,
                seed=context.seed,
                say=context.say,
            )
            counts = clean(traces, self.steps, cleaning)
        dropped = f"; dropped: {counts.reasons()}" if counts.dropped else ""
        context.say(f"{counts.kept:,} of {counts.read:,} traces kept, {counts.changed:,} of them changed{dropped}")
        write_audit(counts, self.steps, context.folder, subtitle=f"arm {context.arm}, seed {context.seed}")
        (context.folder / LOG).unlink()
        return counts.summary()


@dataclass
class Counts:
    """Counts of traces and tokens; every trace read is kept or dropped.

    Attributes:
        dropped: traces by reason.
        changed: kept traces whose text differs from the source.
        tokens_before, tokens_dropped: of all traces read, as the student would see them, and of the dropped among them.
        tokens_after: of the kept traces after cleaning.
        outcomes: rows of the audit by cleaner, and by outcome together with its reason, if any; also what was noticed
            about traces, and why cuts were left alone.
    """

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    tokens_before: int = 0
    tokens_dropped: int = 0
    tokens_after: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        before, after = row["tokens"]
        self.read += 1
        self.tokens_before += before
        if row["kept"]:
            self.kept += 1
            self.changed += row["changed"]
            self.tokens_after += after
        else:
            self.dropped[row["dropped"]["reason"]] += 1
            self.tokens_dropped += before
        for audited in row["audit"]:
            for name, found in (("noticed", audited.get("notes")), ("left alone", audited.get("left"))):
                for item in found or ():
                    self.outcomes.setdefault(name, Counter())[item["why"] if isinstance(item, dict) else item] += 1
            if "outcome" in audited:
                reason = f": {audited['why']}" if audited.get("why") else ""
                outcomes = self.outcomes.setdefault(str(audited.get("cleaner", "")), Counter())
                outcomes[f"{audited['outcome']}{reason}"] += 1

    def summary(self) -> dict[str, Any]:
        """The counts for `stage.json`, the most frequent reasons and outcomes first."""
        outcomes = {cleaner: dict(found.most_common()) for cleaner, found in self.outcomes.items()}
        return {**vars(self), "dropped": dict(self.dropped.most_common()), "outcomes": outcomes}

    def reasons(self) -> str:
        """Why traces were dropped: `12 duplicate, 3 no answer`."""
        return ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.most_common())


def clean(traces: Path, steps: Sequence[Cleaner], context: CleanContext, done: Done | None = None) -> Counts:
    """Cleans a traces file into the folder of `context`, continuing where a killed run stopped.

    Writes `traces.jsonl`, `problems.jsonl`, `dropped.jsonl` (traces with reason and step), `audit.jsonl` (the reports
    of the steps) and, while it runs, `cleaned.jsonl`, from which a killed run resumes.

    Args:
        done: given the number of all traces, returns a function to call with the number of finished ones.

    Raises:
        DataError: a row is not a trace, or its problem or domain is unknown; checked before cleaning begins.
        RunError: no trace is left.
    """
    assert context.folder is not None
    total = _checked(traces, context)
    with closing(_open_log(context, steps, [str(traces), file_digest(traces)])) as log:
        work = _Cleaning(steps, context, log)
        if work.counts.read:
            context.say(f"{work.counts.read:,} of {total:,} traces cleaned by an earlier run")
        counts = work.run(read_traces(traces), done(total) if done else progress(context.say, "traces", total))
        if not counts.kept:
            raise RunError(
                f"clean: none of {total} traces is left ({counts.reasons()}). Loosen `steps`, or distill more problems."
            )
        write_jsonl(context.folder / TRACES, (row["kept"] for row in _rows(log) if row["kept"]))
        write_jsonl(context.folder / DROPPED, (row["dropped"] for row in _rows(log) if row["dropped"]))
        write_jsonl(context.folder / AUDIT, (audited for row in _rows(log) for audited in row["audit"]))
        used = dict.fromkeys(row["kept"]["problem_id"] for row in _rows(log) if row["kept"])
    write_jsonl(context.folder / PROBLEMS_FILE, (to_json(context.problems[problem_id]) for problem_id in used))
    outcomes = counts.outcomes.get("dlcot", Counter())
    if outcomes and not {"cut", "unchanged"} & outcomes.keys():
        ((reason, count),) = outcomes.most_common(1)
        context.say(f"dlcot could not segment any trace; {count:,} of {outcomes.total():,} times: {reason}")
    return counts


def write_audit(
    counts: Counts, steps: Sequence[Cleaner], folder: Path, *, subtitle: str, unit: str = "tokens"
) -> Path | None:
    """Writes `audit.html` next to `audit.jsonl`, if a step segments traces."""
    if "dlcot" not in counts.outcomes:
        return None
    page = folder / "audit.html"
    subtitle = f"{subtitle} · steps {', '.join(map(_described, steps))}"
    write_page(page, folder / AUDIT, counts.summary(), title="DLCoT audit", subtitle=subtitle, unit=unit)
    return page


def held_out(evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> Iterator[Problem]:
    """The problems that a recipe evaluates on: both splits of the measured domains, and those of held-out curves."""
    measured = evaluation.measured(domains)
    for name, domain in domains.items():
        counts = {"test": evaluation.problems, "validation": evaluation.validation} if name in measured else {}
        if evaluation.every:
            counts["test"] = max(counts.get("test", 0), evaluation.curve_problems)
        for part, (split, count) in product(each_fold(domain), counts.items()):
            yield from islice(part.problems(split, evaluation.seed), count)  # type: ignore[arg-type]


def _described(step: Cleaner) -> str:
    """A step with its non-default keys: `length (max_tokens 8192)`."""
    keys = step.model_dump(mode="json", exclude_defaults=True, serialize_as_any=True)
    plain = {key: value for key, value in keys.items() if not isinstance(value, dict | list)}
    text = ", ".join(key if value is True else f"{key} {value}" for key, value in plain.items())
    return f"{name_of(type(step))} ({text})" if text else name_of(type(step))


def _checked(traces: Path, context: CleanContext) -> int:
    """Checks that the domain and problem of each trace are known; returns the number of traces."""
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


def _open_log(context: CleanContext, steps: Sequence[Cleaner], source: Any) -> IndexedLog[int, Row]:
    """The rows of the traces cleaned so far. Row 0 holds everything that decides the others; if it differs, the log is
    started anew."""
    fields = [[name_of(type(step)), step.model_dump(mode="json", serialize_as_any=True)] for step in steps]
    domains = {name: domain.model_dump(mode="json") for name, domain in context.domains.items()}
    layout = context.response_format.model_dump(mode="json")
    header = {"trace": 0, "of": [source, fields, domains, layout, context.model, context.model_revision, context.seed]}
    assert context.folder is not None
    path = context.folder / LOG
    log: IndexedLog[int, Row] = IndexedLog(path, lambda row: int(row["trace"]))
    if log and log[0] != header:
        log.close()
        path.unlink()
        log = IndexedLog(path, lambda row: int(row["trace"]))
    if not log:
        log.add(header)
    return log


def _rows(log: IndexedLog[int, Row]) -> Iterator[Row]:
    """The rows of the traces, in order."""
    return islice(log.values(), 1, None)


@dataclass
class _Item:
    """A trace on its way through the steps: the name of the last one that it reached, their reports about it, and what
    they keep of it for later traces."""

    original: Trace
    result: Trace | Dropped
    step: str = ""
    audit: list[Mapping[str, Any]] = field(default_factory=list)
    remember: list[Row] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        result, original = self.result, self.original
        return isinstance(result, Trace) and (result.thinking, result.answer) != (original.thinking, original.answer)


class _Cleaning:
    """Runs the steps on traces, one or a few at a time; each finished trace is a row of the log."""

    def __init__(self, steps: Sequence[Cleaner], context: CleanContext, log: IndexedLog[int, Row]) -> None:
        self._context = replace(context, count_tokens=lru_cache(maxsize=16)(context.count_tokens))
        self._log = log
        self.counts = Counts()
        for row in _rows(log):
            self.counts.add(row)
        self._frame = self._context.count_tokens(context.response_format.render(thinking="", answer=""))
        self._current: _Item
        self._steps = [(name_of(type(step)), self._start(place, step)) for place, step in enumerate(steps)]

    def run(self, traces: Iterable[Trace], done: Callable[[int], None]) -> Counts:
        """Cleans all traces that are not in the log yet; calls `done` with the numbers of finished ones."""
        done(self.counts.read)
        chunk = _AHEAD if any(isinstance(step, LooksAhead) for _, step in self._steps) else 1
        rest = islice(traces, self.counts.read, None)
        while items := [_Item(trace, trace) for trace in islice(rest, chunk)]:
            self._clean(items)
            for item in items:
                row = self._row(item, self.counts.read + 1)
                self._log.add(row)
                self.counts.add(row)
            done(len(items))
        return self.counts

    def _start(self, place: int, step: Cleaner) -> Callable[[Trace], Trace | Dropped]:
        remembered = (one["value"] for row in _rows(self._log) for one in row["remember"] if one["step"] == place)
        return step.start(
            replace(
                self._context,
                audit=lambda row: self._current.audit.append(row),
                remember=lambda value: self._current.remember.append({"step": place, "value": value}),
                remembered=remembered,
            )
        )

    def _clean(self, items: Sequence[_Item]) -> None:
        """Passes the traces through all steps; each step receives them in order, without those that have no text."""
        for item in items:
            if not (item.original.thinking or item.original.answer):
                item.result, item.step = Dropped("no response"), "read"
        for name, step in self._steps:
            left = [(item, item.result) for item in items if isinstance(item.result, Trace)]
            if isinstance(step, LooksAhead):
                step.ahead([trace for _, trace in left])
            for item, trace in left:
                self._current = item
                item.result, item.step = step(trace), name
        for item in items:
            if isinstance(item.result, Trace) and item.changed:
                item.result = self._rescored(item.result)

    def _rescored(self, trace: Trace) -> Trace | Dropped:
        """The trace with the score of its changed text."""
        layout = self._context.response_format
        text = layout.render(thinking=trace.thinking, answer=trace.answer)
        problem = self._context.problems[trace.problem_id]
        try:
            with grading(problem):
                return replace(trace, score=self._context.domains[trace.domain].score(text, problem, layout))
        except Unscorable:
            return Dropped("changed, and can no longer be graded")

    def _row(self, item: _Item, number: int) -> Row:
        """What is known of a finished trace; audit rows name its place in the input and what became of it."""
        original, result = item.original, item.result
        kept, reason = (result, None) if isinstance(result, Trace) else (None, result.reason)
        status = {
            "trace": number,
            "teacher": original.teacher,
            "dropped": reason,
            "verdict_before": original.score.verdict,
            "verdict_after": kept.score.verdict if kept else None,
        }
        return {
            "trace": number,
            "tokens": [self._tokens(original), self._tokens(kept) if kept else 0],
            "changed": item.changed,
            "kept": to_json(kept) if kept else None,
            "dropped": None if kept else {**to_json(original), "reason": reason, "step": item.step},
            "audit": [{**row, **status} for row in item.audit],
            "remember": item.remember,
        }

    def _tokens(self, trace: Trace) -> int:
        count = self._context.count_tokens
        return count(trace.thinking) + count(trace.answer) + self._frame
