"""Stage `clean`: passes raw traces through cleaning steps, and records and counts everything changed or dropped."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby, islice, product, repeat
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from warmup_rl.base.console import progress
from warmup_rl.base.errors import DataError, RunError, Unscorable, UserError
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import Problem, Trace, to_json, trace_from_json
from warmup_rl.data.datasets import file_digest
from warmup_rl.data.indexed_log import IndexedLog
from warmup_rl.data.ranks import RankFolder, await_main, gather
from warmup_rl.data.traces import PROBLEMS_FILE, open_problems, read_traces
from warmup_rl.dlcot.audit import write_page
from warmup_rl.interfaces.chat import load_tokenizer
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped, LooksAhead
from warmup_rl.interfaces.domain import Domain, each_fold, grading
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import name_of, plugin_field
from warmup_rl.interfaces.stage import Context, LaunchEnv, Stage, StagePreview

TRACES, DROPPED, AUDIT = "traces.jsonl", "dropped.jsonl", "audit.jsonl"
DEFAULT_STEPS: tuple[Any, ...] = ("correct", "duplicates", "dlcot", {"type": "length", "max_tokens": 8192})

LOG = "cleaned.jsonl"
_PHASE = "phase-"
_AHEAD = 256
"""Traces that pass the steps together if a step looks ahead; otherwise each passes alone."""

_ALONE = LaunchEnv()

Row = dict[str, Any]
Done = Callable[[int], Callable[[int], None]]
Placed = tuple[int, Cleaner]
"""A step and its place among all."""


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

    def on_every_rank(self) -> bool:
        return any(step.per_rank() for step in self.steps)

    def recover(self, folder: Path) -> None:
        for phase in folder.glob(f"{_PHASE}*/"):
            gather(phase)

    def run(self, context: Context) -> dict[str, Any]:
        source, revision, traces = str(context.inputs.model), context.inputs.model_revision, context.inputs["traces"]
        split = context.launch_env.size > 1 and self.on_every_rank()
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
            if not split:
                counts = clean(traces, self.steps, cleaning)
            elif rows := _Phases(traces, self.steps, cleaning, context.launch_env, context.peers).run():
                counts = _write(lambda: read_jsonl(rows), cleaning)
            else:
                return {}
        dropped = f"; dropped: {counts.reasons()}" if counts.dropped else ""
        context.say(f"{counts.kept:,} of {counts.read:,} traces kept, {counts.changed:,} of them changed{dropped}")
        write_audit(counts, self.steps, context.folder, subtitle=f"arm {context.arm}, seed {context.seed}")
        for left in (*context.folder.glob(LOG), *context.folder.glob(f"{_PHASE}*")):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
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
    total = _checked(traces, context)
    with closing(_open_log(context, steps, [str(traces), file_digest(traces)])) as log:
        if finished := len(log) - 1:
            context.say(f"{finished:,} of {total:,} traces cleaned by an earlier run")
        step = done(total) if done else progress(context.say, "traces", total)
        step(finished)
        items = (_Item(number, trace, trace) for number, trace in enumerate(read_traces(traces), start=1))
        _Cleaning(list(enumerate(steps)), context, log).run(items, step)
        return _write(lambda: islice(log.values(), 1, None), context)


def _write(rows: Callable[[], Iterator[Row]], context: CleanContext) -> Counts:
    """Writes the files of the stage, given the rows of all traces in order. Raises `RunError` if no trace is left."""
    assert context.folder is not None
    counts, used = Counts(), {}  # type: Counts, dict[str, None]

    def kept() -> Iterator[Row]:
        for row in rows():
            counts.add(row)
            if trace := row["kept"]:
                used[trace["problem_id"]] = None
                yield trace

    write_jsonl(context.folder / TRACES, kept())
    if not counts.kept:
        raise RunError(
            f"clean: none of {counts.read} traces is left ({counts.reasons()}). Loosen `steps`, or distill more "
            "problems."
        )
    write_jsonl(context.folder / DROPPED, (row["dropped"] for row in rows() if row["dropped"]))
    write_jsonl(context.folder / AUDIT, (audited for row in rows() for audited in row["audit"]))
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


def _checked(traces: Path, context: CleanContext, env: LaunchEnv = _ALONE) -> int:
    """Checks that the domain and problem of each trace are known, or of each in this rank's part; returns how many."""
    checked = 0
    for trace in read_traces(traces, first=env.rank, every=env.size):
        checked += 1
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
    return checked


def _open_log(context: CleanContext, steps: Sequence[Cleaner], source: Any) -> IndexedLog[int, Row]:
    """The rows of the traces cleaned so far. Row 0 holds everything that decides the others; if it differs, the log is
    started anew."""
    fields = [[name_of(type(step)), step.model_dump(mode="json", serialize_as_any=True)] for step in steps]
    domains = {name: domain.model_dump(mode="json") for name, domain in context.domains.items()}
    layout = context.response_format.model_dump(mode="json")
    header = {"trace": 0, "of": [source, fields, domains, layout, context.model, context.model_revision, context.seed]}
    assert context.folder is not None
    path = context.folder / LOG
    log = _log(path)
    if log and log[0] != header:
        log.close()
        path.unlink()
        log = _log(path)
    if not log:
        log.add(header)
    return log


def _log(path: Path) -> IndexedLog[int, Row]:
    return IndexedLog(path, lambda row: int(row["trace"]))


@dataclass
class _Item:
    """A trace on its way through the steps: its place in the input, counted from 1, the name of the last step that it
    reached, their reports about it, and what they keep of it for later traces."""

    number: int
    original: Trace
    result: Trace | Dropped
    step: str = ""
    audit: list[Mapping[str, Any]] = field(default_factory=list)
    remember: list[Row] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        result, original = self.result, self.original
        return isinstance(result, Trace) and (result.thinking, result.answer) != (original.thinking, original.answer)


class _Phases:
    """The steps on the ranks of a launch: those next to each other that treat each trace by itself are a phase, in
    which each rank has a part of the traces; in other phases the main one has all, and the others wait for its file."""

    def __init__(
        self, traces: Path, steps: Sequence[Cleaner], context: CleanContext, env: LaunchEnv, peers: Callable[[], None]
    ) -> None:
        self._traces, self._context, self._env, self._peers = traces, context, env, peers
        groups = groupby(enumerate(steps), key=lambda placed: placed[1].per_rank())
        self._phases: list[tuple[bool, list[Placed]]] = [(split, list(some)) for split, some in groups]
        if not self._phases[-1][0]:
            self._phases.append((True, []))  # changed texts are graded, and tokens counted

    def run(self) -> Path | None:
        """Passes the traces through all phases that an earlier run has not finished. Returns the file with a row for
        each trace on the main process, None on others. Raises `DataError` as `clean` does."""
        total = _checked(self._traces, self._context, self._env) * self._env.size
        made = None
        for number, (split, steps) in enumerate(self._phases):
            assert self._context.folder is not None
            before, made = made, self._context.folder / f"{_PHASE}{number}.jsonl"
            last = number == len(self._phases) - 1
            if made.exists():
                continue
            if split or self._env.is_main:
                env = self._env if split else _ALONE
                done = progress(self._context.say, f"traces, phase {number + 1}", total // env.size)
                self._make(made, before, steps, env, done, last=last)
            if not self._env.is_main and not last:
                await_main(made, self._peers)
        return made if self._env.is_main else None

    def _make(
        self, made: Path, before: Path | None, steps: Sequence[Placed], env: LaunchEnv, done: Callable[[int], None], *,
        last: bool,
    ) -> None:  # fmt: skip
        """This rank's part of a phase; on the main process, which waits for the others, its file."""
        folder = made.with_suffix("")
        folder.mkdir(exist_ok=True)
        part = RankFolder(folder, rank=env.rank, size=env.size)
        with closing(_log(part.path / LOG)) as log:
            done(len(log))
            _Cleaning(steps, self._context, log, last=last).run(self._items(before, env), done)
        part.close()
        if env.is_main:
            part.gather(self._peers)
            with closing(_log(folder / LOG)) as log:
                write_jsonl(made, (dict(log[number]) for number in sorted(log)))

    def _items(self, before: Path | None, env: LaunchEnv) -> Iterator[_Item]:
        """This rank's part of the traces, as the phase before has left them."""
        traces = read_traces(self._traces, first=env.rank, every=env.size)
        rows = read_jsonl(before, first=env.rank, every=env.size) if before else repeat({})
        for number, (trace, row) in enumerate(zip(traces, rows, strict=False)):
            place = 1 + env.rank + number * env.size
            if before is None:
                yield _Item(place, trace, trace)
            else:
                result = trace_from_json(row["result"]) if row["result"] else Dropped(row["reason"])
                yield _Item(place, trace, result, row["step"], row["audit"])


class _Cleaning:
    """Runs steps on traces, one or a few at a time; each trace is a row of the log, which also has those of an earlier
    run: all that is known of it after the `last` step, else what the next steps need."""

    def __init__(
        self, steps: Sequence[Placed], context: CleanContext, log: IndexedLog[int, Row], *, last: bool = True
    ) -> None:
        self._context = replace(context, count_tokens=lru_cache(maxsize=16)(context.count_tokens))
        self._log, self._last = log, last
        self._frame = self._context.count_tokens(context.response_format.render(thinking="", answer=""))
        self._current: _Item
        self._steps = [(name_of(type(step)), self._start(place, step)) for place, step in steps]

    def run(self, items: Iterable[_Item], done: Callable[[int], None]) -> None:
        """Cleans the traces that are not in the log yet; calls `done` with the numbers of finished ones."""
        chunk = _AHEAD if any(isinstance(step, LooksAhead) for _, step in self._steps) else 1
        rest = (item for item in items if item.number not in self._log)
        while some := list(islice(rest, chunk)):
            self._clean(some)
            for item in some:
                self._log.add(self._row(item) if self._last else _state(item))
            done(len(some))

    def _start(self, place: int, step: Cleaner) -> Callable[[Trace], Trace | Dropped]:
        rows = (self._log[number] for number in self._log if number)
        remembered = (one["value"] for row in rows for one in row["remember"] if one["step"] == place)
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
            if self._last and isinstance(item.result, Trace) and item.changed:
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

    def _row(self, item: _Item) -> Row:
        """What is known of a finished trace; audit rows name its place in the input and what became of it."""
        original, result = item.original, item.result
        kept, reason = (result, None) if isinstance(result, Trace) else (None, result.reason)
        status = {
            "trace": item.number,
            "teacher": original.teacher,
            "dropped": reason,
            "verdict_before": original.score.verdict,
            "verdict_after": kept.score.verdict if kept else None,
        }
        return {
            "trace": item.number,
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


def _state(item: _Item) -> Row:
    """A trace between two phases."""
    kept, reason = (item.result, None) if isinstance(item.result, Trace) else (None, item.result.reason)
    return {
        "trace": item.number,
        "result": kept and to_json(kept),
        "reason": reason,
        "step": item.step,
        "audit": item.audit,
        "remember": item.remember,
    }
