"""`python -m warmup_rl grade`: grades the rows of a file with a domain's grader, or tests the grader itself."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import DataError, Unscorable, UserError
from warmup_rl.base.files import real
from warmup_rl.base.jsonl import require_regular, write_jsonl
from warmup_rl.base.machine import cores
from warmup_rl.base.types import Grade, Problem, Score, Split
from warmup_rl.cli.arguments import Arguments, configured_domain
from warmup_rl.data.columns import locate, value_at
from warmup_rl.data.datasets import Source
from warmup_rl.engines.teacher_output import of_channels
from warmup_rl.interfaces.domain import Domain, fields_of, grading
from warmup_rl.interfaces.format import THINK_CLOSE, THINK_OPEN, ResponseFormat
from warmup_rl.interfaces.grading_checks import graded_kinds

_CHUNK = 256


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns 1 if a self-test fails. Raises `UserError` if the command line or a row is wrong."""
    given = _arguments().read(arguments)
    domain, response_format = _grader(given)
    if given.self_test:
        return _self_test(domain, problems=given.problems, split=given.split)
    if given.rows is None or given.out is None:
        raise UserError("python -m warmup_rl grade: --in ROWS and --out VERDICTS are needed, or --self-test.")
    rows = Source(path=given.rows)
    require_regular(Path(given.rows).expanduser())
    if not rows.is_file:
        raise DataError(f"{given.rows}: no such file (looked from {Path.cwd()}).")
    if real(given.out) == real(Path(rows.path)):
        raise UserError("--out is the input file. Give another name.")
    _check(domain, rows, given.answers)
    counts: dict[str, Counter[str]] = {"outcome": Counter(), "verdict": Counter()}
    started = time.monotonic()
    form = None if given.answers else response_format
    write_jsonl(given.out, _verdicts(domain, rows, form, given.think, counts))
    seconds, total = time.monotonic() - started, counts["verdict"].total()
    for about, found in zip(("strict (form and answer)", "lenient (answer alone)"), counts.values(), strict=True):
        summary = ", ".join(f"{count:,} {word}" for word, count in found.most_common()) or "no rows"
        print(f"{about}: {summary}", file=sys.stderr)
    print(f"{total:,} rows, {total / max(seconds, 1e-9):,.0f} a second: {given.out}", file=sys.stderr)
    return 0


def _grader(given: argparse.Namespace) -> tuple[Domain, ResponseFormat]:
    """The domain that grades, and the format: those of a recipe, or a domain by its type and the usual format."""
    if given.recipe is None:
        if given.domain is None:
            raise UserError("python -m warmup_rl grade: --domain NAME or --recipe RECIPE is needed.")
        return configured_domain(given.domain, given.set, given.rows), ResponseFormat()
    if given.set:
        raise UserError("python -m warmup_rl grade: --set is for a --domain by its type; the recipe has its own keys.")
    from warmup_rl.recipe.load import load_recipe

    recipe = load_recipe(given.recipe, files=False)
    names = [given.domain] if given.domain else [*recipe.domains]
    if len(names) != 1 or names[0] not in recipe.domains:
        raise UserError(
            f"python -m warmup_rl grade: which domain of {given.recipe}? Give --domain, one of: "
            f"{', '.join(recipe.domains)}."
        )
    return recipe.domains[names[0]], recipe.format


def _check(domain: Domain, rows: Source, answers: bool) -> None:
    """Raises `DataError` before anything is graded if no row is a problem with a text to grade."""
    broken: list[DataError] = []
    total = 0
    for place, row in rows.rows():
        total += 1
        try:
            _, fields = _text_and_fields(row, answers, place)
            domain.read(fields, place)
        except DataError as error:
            broken.append(error)
    if broken and len(broken) == total:
        raise broken[0]
    if broken:
        print(f"{len(broken):,} of {total:,} rows cannot be graded, the first: {broken[0]}", file=sys.stderr)


def _arguments() -> Arguments:
    parser = Arguments("grade", "Grades rows with a domain's own grader, in their order, or tests the grader itself.")
    named = "math, kk, ..., or ./mine.py:Mine; with --recipe, which of its domains, if it has several"
    parser.add_argument("--domain", metavar="NAME", help=named)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the domain")
    parser.add_argument("--recipe", metavar="RECIPE", help="grade with a domain and the response format of a recipe")
    parser.add_argument("--in", dest="rows", metavar="ROWS", help="file with question, gold and completion")
    parser.add_argument("--out", type=Path, metavar="VERDICTS", help="where verdicts are written, as JSON lines")
    parser.add_argument("--answers", action="store_true", help="grade the bare answers in the column `answer`")
    think = "whether prompts ended with an open think tag; auto: if the completion does not open it"
    parser.add_argument("--think", choices=("auto", "open", "free"), default="auto", help=think)
    test = "test the grader with reference and adversarial answers"
    parser.add_argument("--self-test", action="store_true", help=test)
    parser.add_argument("--problems", type=int, default=100, metavar="N", help="problems of the self-test")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test", help="of the self-test")
    return parser


def _verdicts(
    domain: Domain, rows: Source, form: ResponseFormat | None, think: str, counts: Mapping[str, Counter[str]]
) -> Iterator[dict[str, Any]]:
    """Verdicts in the order of the rows, counted; in parallel if grading waits for other processes. `form` is None for
    bare answers."""

    def verdict(placed: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        return _verdict(domain, *placed, form, think)

    source = rows.rows()
    with ThreadPoolExecutor(cores() if domain.is_slow else 1) as threads:
        while chunk := list(islice(source, _CHUNK)):
            for found in threads.map(verdict, chunk):
                for field, counter in counts.items():
                    counter[found[field]] += 1
                yield found


def _verdict(
    domain: Domain, place: str, row: Mapping[str, Any], form: ResponseFormat | None, think: str
) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        text, fields = _text_and_fields(row, form is None, place)
        problem = domain.read(fields, place)
        with grading(problem):
            score = _score(domain, text, problem, form, think)
        found = {"outcome": score.outcome, "verdict": score.verdict, "extracted": score.extracted, "note": score.note}
    except (DataError, Unscorable) as error:
        found = {"outcome": "unscorable", "verdict": "unscorable", "extracted": None, "note": str(error)}
    named = {"id": row["id"]} if "id" in row else {}
    return {**named, **found, "ms": round(1000 * (time.perf_counter() - started), 2)}


def _text_and_fields(row: Mapping[str, Any], answers: bool, place: str) -> tuple[str, dict[str, Any]]:
    """The text to grade, and the other fields, in which the question and the reference answer are looked for."""
    key = "answer" if answers else "completion"
    value, thinking = row.get(key), None
    others = {name: field for name, field in row.items() if name != key}
    if not answers and not isinstance(value, str | int | float):
        paths = locate(row, {})
        others.pop(paths.get("response", ""), None)
        value, thinking = (value_at(row, paths.get(content, "")) for content in ("response", "thinking"))
        named = {content: value_at(row, paths[content]) for content in ("question", "gold") if content in paths}
        others |= {content: found for content, found in named.items() if found is not None}
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        hint = " (--answers grades `answer`)" if key == "completion" and "answer" in row else ""
        raise DataError(f"{place}: {key!r} is needed as text{hint} ({fields_of(row)}).")
    text = str(value)
    if thinking is None and not answers:
        text, thinking = of_channels(text)
    return f"{THINK_OPEN}\n{thinking}\n{THINK_CLOSE}\n{text}" if thinking and text else text, others


def _score(domain: Domain, text: str, problem: Problem, form: ResponseFormat | None, think: str) -> Score:
    """The score of a completion, or of a bare answer where it has no form."""
    if form is None:
        grade = domain.grade(text, problem) if text.strip() else Grade("none", note="empty answer")
        return Score(grade.verdict, grade.extracted, True, grade.note)
    if think == "auto":
        think = "free" if text.lstrip().startswith(THINK_OPEN) else "open"
    return domain.score(text, problem, form.model_copy(update={"think": think}))


def _self_test(domain: Domain, *, problems: int, split: Split) -> int:
    """Prints how each kind of completion is graded, errors and throughput; returns 1 if the grader fails."""
    drawn = list(islice(domain.problems(split, 0), problems))
    if not drawn:
        raise UserError(f"domain {domain.name!r}: no {split} problems. Give another --split, or data with --set.")
    started = time.monotonic()
    kinds = graded_kinds(domain, drawn)
    seconds = time.monotonic() - started
    line = "{:<42}{:<12}{:>8}{:>9}{:>8}{:>9}{:>14}".format
    print(line(f"completions of {domain.name}", "expected", "number", "correct", "errors", "timeout", "not scorable"))
    for name, kind in kinds.items():
        counts = kind.outcomes.total(), kind.outcomes["correct"], len(kind.wrong), kind.outcomes["timeout"]
        print(line(name, "correct" if kind.right else "not correct", *counts, kind.outcomes["not scorable"]))
    graded = sum(kind.outcomes.total() for kind in kinds.values())
    print(f"{len(drawn)} problems, {graded:,} completions in {seconds:.1f} s: {graded / seconds:,.0f} a second")
    faults = [f"{name}: {fault}" for name, kind in kinds.items() for fault in kind.faults(len(drawn))]
    print("\n".join([*faults[:20], f"failed: {len(faults)} findings" if faults else "passed"]))
    return 1 if faults else 0
