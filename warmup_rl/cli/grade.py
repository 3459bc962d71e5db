"""`python -m warmup_rl grade`: grades rows of a file with a domain's own grader, or tests the grader itself."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from warmup_rl.base.errors import DataError, Unscorable, UserError
from warmup_rl.base.jsonl import write_jsonl
from warmup_rl.base.types import Problem, Score
from warmup_rl.cli.arguments import Arguments, built
from warmup_rl.data.datasets import Source
from warmup_rl.interfaces.domain import Domain, fields_of
from warmup_rl.interfaces.format import THINK_OPEN, ResponseFormat
from warmup_rl.interfaces.plugins import TABLE, load

_CHUNK = 256


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 1 where a self-test breaks a threshold.

    Raises:
        UserError: the command line or a row is wrong.
    """
    given = _arguments().read(arguments)
    domain = configured(given.domain, given.set)
    if given.self_test:
        from warmup_rl.cli.self_test import self_test

        return self_test(domain, problems=given.problems, split=given.split)
    if given.rows is None or given.out is None:
        raise UserError("python -m warmup_rl grade: --in ROWS and --out VERDICTS are needed, or --self-test.")
    rows = Source(path=given.rows)
    if not rows.is_file:
        raise DataError(f"{given.rows}: no such file (looked from {Path.cwd()}).")
    if given.out.resolve() == Path(rows.path).expanduser().resolve():
        raise UserError("--out is the file that is read. Give another name.")
    _check(domain, rows, "answer" if given.answers else "completion")
    counts: Counter[str] = Counter()
    started = time.monotonic()
    write_jsonl(given.out, _counted(_verdicts(domain, rows, given.answers, given.think), counts))
    seconds = time.monotonic() - started
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.most_common()) or "no rows"
    print(f"{told}; {counts.total() / max(seconds, 1e-9):,.0f} a second. {given.out}", file=sys.stderr)
    return 0


def _check(domain: Domain, rows: Source, key: str) -> None:
    """Raises `DataError` before anything is graded: for a row without text to grade, or where no row is a problem."""
    broken: list[DataError] = []
    total = 0
    for place, row in rows.rows():
        total += 1
        _text(row, key, place)
        try:
            domain.read(row, place)
        except DataError as error:
            broken.append(error)
    if broken and len(broken) == total:
        raise broken[0]
    if broken:
        print(f"{len(broken):,} of {total:,} rows cannot be graded, the first: {broken[0]}", file=sys.stderr)


def configured(name: str, settings: Iterable[str]) -> Domain:
    """A domain by its plug-in name, with settings as `KEY=VALUE` (YAML). Raises `UserError` where they are wrong."""
    fields: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UserError(f"--set {setting}: KEY=VALUE is needed, such as --set levels=[3,5].")
        part: dict[str, Any] = fields
        *parents, last = key.split(".")
        for parent in parents:
            part = part.setdefault(parent, {})
        part[last] = yaml.safe_load(value)
    found: Domain = built(load("domain", name), fields, f"domain {name}")
    return found.model_copy(update={"name": name if name in TABLE["domain"] else found.type})


def _arguments() -> Arguments:
    parser = Arguments("grade", "Grades rows with a domain's own grader, in their order, or tests the grader itself.")
    parser.add_argument("--domain", required=True, metavar="NAME", help="math, kk, ..., or ./mine.py:Mine")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the domain")
    parser.add_argument("--in", dest="rows", metavar="ROWS", help="question, gold and completion")
    parser.add_argument("--out", type=Path, metavar="VERDICTS", help="where verdicts are written, as JSON lines")
    parser.add_argument("--answers", action="store_true", help="grade the bare answers in the column `answer`")
    parser.add_argument(
        "--think",
        choices=("auto", "open", "free"),
        default="auto",
        help="whether prompts ended with the think tag open; auto: where a completion does not open it",
    )
    parser.add_argument("--self-test", action="store_true", help="golds must be correct, adversarial answers must not")
    parser.add_argument("--problems", type=int, default=100, metavar="N", help="problems of the self-test")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test", help="of the self-test")
    return parser


def _counted(verdicts: Iterable[dict[str, Any]], counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for verdict in verdicts:
        counts[verdict["outcome"]] += 1
        yield verdict


def _verdicts(domain: Domain, rows: Source, answers: bool, think: str) -> Iterator[dict[str, Any]]:
    """Verdicts in the order of the rows, some at a time; several at once where grading waits for other processes."""

    def verdict(placed: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        return _verdict(domain, *placed, answers, think)

    source = rows.rows()
    with ThreadPoolExecutor((os.cpu_count() or 1) if domain.is_slow else 1) as threads:
        while chunk := list(islice(source, _CHUNK)):
            yield from threads.map(verdict, chunk)


def _verdict(domain: Domain, place: str, row: Mapping[str, Any], answers: bool, think: str) -> dict[str, Any]:
    text = _text(row, "answer" if answers else "completion", place)
    started = time.perf_counter()
    try:
        problem = domain.read(row, place)
        score = _bare(domain, text, problem) if answers else _whole(domain, text, problem, think)
        found = {"outcome": score.outcome, "verdict": score.verdict, "extracted": score.extracted, "note": score.note}
    except (DataError, Unscorable) as error:
        found = {"outcome": "unscorable", "verdict": "unscorable", "extracted": None, "note": str(error)}
    named = {"id": row["id"]} if "id" in row else {}
    return {**named, **found, "ms": round(1000 * (time.perf_counter() - started), 2)}


def _text(row: Mapping[str, Any], key: str, place: str) -> str:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        hint = " (--answers grades `answer`)" if key == "completion" and "answer" in row else ""
        raise DataError(f"{place}: {key!r} is needed as text{hint} ({fields_of(row)}).")
    return str(value)


def _bare(domain: Domain, answer: str, problem: Problem) -> Score:
    if not answer.strip():
        return Score("none", None, True, "empty answer")
    grade = domain.grade(answer, problem)
    return Score(grade.verdict, grade.extracted, True, grade.note)


def _whole(domain: Domain, text: str, problem: Problem, think: str) -> Score:
    if think == "auto":
        think = "free" if text.lstrip().startswith(THINK_OPEN) else "open"
    return domain.score(text, problem, ResponseFormat.model_validate({"think": think}))
