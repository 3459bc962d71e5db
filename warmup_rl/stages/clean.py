"""Stage `clean`: passes raw traces through cleaning steps, and records and counts everything changed or dropped."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from warmup_rl.base.console import progress
from warmup_rl.base.errors import RunError, UserError
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import Problem, to_json
from warmup_rl.data.datasets import file_digest
from warmup_rl.data.ranks import gather
from warmup_rl.data.traces import PROBLEMS_FILE, open_problems, read_traces
from warmup_rl.dlcot.audit import write_page
from warmup_rl.interfaces.chat import load_tokenizer
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner
from warmup_rl.interfaces.domain import Domain, each_fold
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import name_of, plugin_field
from warmup_rl.interfaces.stage import Context, Stage, StagePreview
from warmup_rl.stages.cleaning import LOG, PHASE, Cleaning, Item, Phases, Row, checked, open_log

TRACES, DROPPED, AUDIT = "traces.jsonl", "dropped.jsonl", "audit.jsonl"
UNLIMITED: tuple[Any, ...] = ("correct", "duplicates", "dlcot")
DEFAULT_STEPS = (*UNLIMITED, {"type": "length", "max_tokens": 8192})
"""Of a stage, whose student has a context; the command, which may know no student, has those without a limit."""

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

    def on_every_rank(self) -> bool:
        return any(step.per_rank() for step in self.steps)

    def recover(self, folder: Path) -> None:
        for phase in folder.glob(f"{PHASE}*/"):
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
            elif rows := Phases(traces, self.steps, cleaning, context.launch_env, context.peers).run():
                counts = _write(lambda: read_jsonl(rows), cleaning)
            else:
                return {}
        dropped = f"; dropped: {counts.reasons()}" if counts.dropped else ""
        context.say(f"{counts.kept:,} of {counts.read:,} traces kept, {counts.changed:,} of them changed{dropped}")
        write_audit(counts, self.steps, context.folder, subtitle=f"arm {context.arm}, seed {context.seed}")
        for left in (*context.folder.glob(LOG), *context.folder.glob(f"{PHASE}*")):
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
    total = checked(traces, context)
    with closing(open_log(context, steps, [str(traces), file_digest(traces)])) as log:
        if finished := len(log) - 1:
            context.say(f"{finished:,} of {total:,} traces cleaned by an earlier run")
        step = done(total) if done else progress(context.say, "traces", total)
        step(finished)
        items = (Item(number, trace, trace) for number, trace in enumerate(read_traces(traces), start=1))
        Cleaning(list(enumerate(steps)), context, log).run(items, step)
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
