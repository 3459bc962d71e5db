"""`python -m warmup_rl clean`: cleans a file of traces with DLCoT and other steps, and shows what was done."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import to_json
from warmup_rl.cli.clean_options import Setting, audit_rows, check_paths, dropped_file, parser, read_setting
from warmup_rl.cli.given_traces import COLUMNS, Intake, find_columns, is_own, looks_like_puzzle
from warmup_rl.cli.grade import configured
from warmup_rl.data.datasets import Source
from warmup_rl.data.traces import PROBLEMS_FILE, open_problems
from warmup_rl.interfaces.cleaner import CleanContext
from warmup_rl.interfaces.domain import Domain
from warmup_rl.stages.clean import AUDIT, DROPPED, TRACES, Counts, Done, by_count, clean, held_out, write_audit

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def main(arguments: Sequence[str]) -> None:
    """Runs the verb. Raises `UserError` where the command line or a file is wrong, or no trace is left."""
    given = parser().read(arguments)
    check_paths(given)
    setting = read_setting(given)
    try:
        _run(given, setting)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        raise SystemExit(130) from None


def _run(given: argparse.Namespace, setting: Setting) -> None:
    """Cleans in a folder beside the output, which a killed command leaves for the next; then moves the files out."""
    folder = given.out.with_name(f"{given.out.name}.part")
    for path in (folder, *([given.audit.parent] if given.audit else [])):
        path.mkdir(parents=True, exist_ok=True)
    source = Source(path=str(given.source.resolve()))
    intake = _intake(given, source, setting)
    traces = intake.write(folder / "given") if intake else given.source
    count, unit = _counter(given.model)
    domains = {intake.domain.name: intake.domain} if intake else _domains(given, setting)
    with closing(open_problems(traces.with_name(PROBLEMS_FILE))) as problems, _progress() as done:
        context = CleanContext(
            domains=domains, problems=problems, count_tokens=count, response_format=setting.response_format,
            held_out=lambda: held_out(setting.evaluation, setting.domains) if setting.evaluation else (),
            model=setting.model, folder=folder, seed=setting.seed, say=_say,
        )  # fmt: skip
        counts = clean(traces, setting.steps, context, done)
    if given.audit:
        page = write_audit(counts, setting.steps, folder, subtitle=given.source.name, unit=unit)
        assert page is not None
        page.replace(given.audit)
        (folder / AUDIT).replace(audit_rows(given))
    if intake:
        write_jsonl(dropped_file(given.out), intake.dropped(folder / DROPPED))
        write_jsonl(given.out, intake.restored(folder / TRACES))
    else:
        _add_problems(folder / PROBLEMS_FILE, given)
        (folder / DROPPED).replace(dropped_file(given.out))
        (folder / TRACES).replace(given.out)
    shutil.rmtree(folder)
    print("\n".join(_closing(given, counts, unit)))


def _intake(given: argparse.Namespace, source: Source, setting: Setting) -> Intake | None:
    """How rows become traces; None where they are traces of ours."""
    place, first = next(iter(source.rows()), ("", None))
    if first is None:
        raise UserError(f"clean: {given.source} has no rows.")
    if is_own(first):
        return None
    columns = find_columns(first, _pairs(given.columns), given.source)
    name = given.domain
    if name is None and not looks_like_puzzle(first.get(columns.question)):
        raise UserError(f"clean: {place}: no Knights & Knaves puzzle. Say what grades the answers: --domain math, ...")
    return Intake(source, columns, _domain(name or "kk", setting), setting.response_format)


def _pairs(text: str | None) -> dict[str, str]:
    """`question=Q,gold=G` as a mapping."""
    pairs = [pair.partition("=")[::2] for pair in (text or "").split(",") if pair.strip()]
    found = {key.strip(): value.strip() for key, value in pairs}
    if bad := [key for key, value in found.items() if key not in COLUMNS or not value]:
        raise UserError(f"clean: --columns: KEY=NAME,... with keys {', '.join(COLUMNS)} (got {bad[0]!r}).")
    return found


def _domain(grader: str, setting: Setting, name: str = "") -> Domain:
    """A domain by the name that the recipe declares it under, else by its type; `name` is what the traces call it."""
    if grader in setting.domains:
        return setting.domains[grader]
    return configured(grader, ()).model_copy(update={"name": name or grader})


def _domains(given: argparse.Namespace, setting: Setting) -> dict[str, Domain]:
    """The domains of our own traces, by the names that stand in them."""
    names = dict.fromkeys(row.get("domain") for row in read_jsonl(given.source.with_name(PROBLEMS_FILE)))
    return {str(name): _domain(given.domain or str(name), setting, str(name)) for name in names}


def _counter(model: str | None) -> tuple[Callable[[str], int], str]:
    """What counts tokens, and what it counts."""
    if model is None:
        return lambda text: len(text.split()), "words"
    from warmup_rl.interfaces.chat import load_tokenizer

    tokenizer = load_tokenizer(model)
    return lambda text: len(tokenizer(text, add_special_tokens=False).input_ids), "tokens"


def _add_problems(problems: Path, given: argparse.Namespace) -> None:
    """Puts the problems of the kept traces into the file beside the output, where other ones may be already."""
    target = given.out.with_name(PROBLEMS_FILE)
    if target.resolve() == given.source.with_name(PROBLEMS_FILE).resolve():
        return
    with closing(open_problems(problems)) as mine:
        others = (row for row in read_jsonl(target) if row.get("id") not in mine) if target.is_file() else ()
        write_jsonl(target, chain(others, map(to_json, mine.values())))


def _say(line: str) -> None:
    print(line, file=sys.stderr)


@contextmanager
def _progress() -> Iterator[Done | None]:
    """A bar on stderr where that is a terminal; else None: lines now and then."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("traces"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        def done(total: int) -> Callable[[int], None]:
            task = bar.add_task("traces", total=total)
            return lambda count: bar.advance(task, count)

        yield done


def _closing(given: argparse.Namespace, counts: Counts, unit: str) -> Iterator[str]:
    """What was done, as an aligned table."""

    def line(name: str, number: int, note: str = "") -> str:
        return f"{name:<24}{number:>12,}{note and '   ' + note}"

    before = counts.tokens_before - counts.tokens_dropped
    saved = f"{(counts.tokens_after - before) / before:+.1%}" if counts.tokens_after != before else "unchanged"
    yield line("traces read", counts.read)
    yield line("  kept", counts.kept, f"{counts.changed:,} of them changed")
    yield line("  dropped", counts.read - counts.kept)
    for reason, count in by_count(counts.dropped).items():
        yield line(f"    {reason}", count)
    yield line(f"{unit} of kept traces", before)
    yield line("  after cleaning", counts.tokens_after, saved)
    for outcome, count in by_count(counts.outcomes.get("dlcot", {})).items():
        yield line(f"dlcot {outcome}", count)
    yield f"cleaned: {given.out}"
    yield f"dropped: {dropped_file(given.out)}"
    if given.audit:
        yield f"audit:   {given.audit}, {audit_rows(given)}"
