"""`python -m warmup_rl init FILE`: looks at a user's file, tries a grader on it, and writes a recipe for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Template
from rich.console import Console
from rich.table import Table

from warmup_rl.base.errors import DataError, Unscorable, UserError
from warmup_rl.base.types import Problem
from warmup_rl.cli.arguments import Arguments, built
from warmup_rl.cli.columns import (
    AFTER,
    MISSING,
    TESTS,
    Column,
    columns_of,
    decimal_comma,
    propose_answer,
    propose_grader,
    propose_question,
)
from warmup_rl.cli.perturbed import perturbed
from warmup_rl.cli.power import told
from warmup_rl.data.datasets import Source
from warmup_rl.domains.jsonl import UserRows
from warmup_rl.domains.rows import text_of
from warmup_rl.interfaces.domain import each_fold, score_all
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.recipe import load_recipe
from warmup_rl.stages.rlvr import MOST_PROBLEMS

_LOOKED_AT = 2_000
_FORM = ResponseFormat()


def main(arguments: Sequence[str]) -> int:
    """Raises `UserError` where the file or the command line is wrong, or a recipe is in the way."""
    given = _arguments().read(arguments)
    source = Source(path=given.file)
    out = given.out or Path(f"{Path(given.file).name.partition('.')[0]}.yaml")
    if out.exists():
        raise UserError(f"{out}: exists already. Move it, or give another name with --out.")
    rows = [row for _, row in islice(source.rows(), _LOOKED_AT)]
    if len(rows) < 4:
        raise DataError(f"{given.file}: {len(rows)} rows; at least 4 are needed to train on some and measure others.")
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    columns = columns_of(rows)
    console.print(_shown(columns))
    block = _block(given, columns, rows)
    domain = built(UserRows, block, given.file).model_copy(update={"name": "mine"})
    after = f" (after {block['answer_after']!r})" if "answer_after" in block else ""
    grader = _flow(block["grader"])
    console.print(f"\nquestion: {block['question']}   answer: {block['answer']}{after}   grader: {grader}")
    if block.get("drop_bad_golds"):
        console.print("Rows without an answer are left out (drop_bad_golds).")
    table = domain.table()
    console.print(f"{domain.space()}")
    problems = [problem for split in table.problems.values() for problem in split]
    if domain.drop_bad_golds:
        problems = [problem for problem in problems if not domain.fault(problem)]
    sound = _tried(domain, problems, console)
    measured = len(problems) if given.folds else len(table.problems["test"])
    _tell_power(measured, console)
    least = min(part.rows_in("train") or 0 for part in each_fold(domain))
    train = "all" if (domain.rows_in("train") or 0) <= MOST_PROBLEMS else min(MOST_PROBLEMS, least)
    out.write_text(_recipe(out, block, given.model, str(train), measured), encoding="utf-8")
    load_recipe(out, [])
    console.print(f"\nwrote {out}. Next: python -m warmup_rl check {out}")
    return 0 if sound else 1


def _arguments() -> Arguments:
    parser = Arguments("init", "Looks at a file of yours, tries a grader on its answers, and writes a recipe.")
    parser.add_argument("file", metavar="FILE", help="CSV, JSON lines, JSON or Parquet, one problem a row")
    parser.add_argument("--out", type=Path, metavar="RECIPE", help="FILE with the ending .yaml where not given")
    parser.add_argument("--question", metavar="COLUMN", help="or a template with columns in braces")
    parser.add_argument("--answer", metavar="COLUMN")
    parser.add_argument("--grader", metavar="NAME", help="name or YAML, such as '{type: number, tolerance: 0.1}'")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--holdout", type=int, metavar="N", help="rows that are measured and never trained on")
    group.add_argument("--folds", type=int, metavar="K", help="measure every row, each by a model that did not see it")
    parser.add_argument("--model", default="Qwen/Qwen2.5-3B", metavar="ID", help="hub id or folder of the base model")
    return parser


def _shown(columns: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("column", "holds", "filled", "characters", "first value"):
        table.add_column(title, overflow="fold")
    for column in columns:
        table.add_row(column.name, column.kind, f"{column.filled:.0%}", f"{column.length:.0f}", column.sample)
    return table


def _block(given: Any, columns: Sequence[Column], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The keys of the domain, as given or proposed."""
    names = [column.name for column in columns]
    question: str = given.question or propose_question(columns) or ""
    answer: str = given.answer or propose_answer(columns, question) or ""
    for key, column in (("question", question), ("answer", answer)):
        if "{" not in column and column not in names:
            found = ", ".join(names)
            if column:
                raise UserError(f"{given.file}: no column {column!r}.{suggestion(column, names)} Columns: {found}.")
            code = " Tests alone are not enough: a reference solution shows that they can be passed."
            hint = code if key == "answer" and any(name in TESTS for name in names) else ""
            raise UserError(f"{given.file}: which column is the {key}? Give --{key} COLUMN. Columns: {found}.{hint}")
    if answer == question:
        raise UserError(f"{given.file}: {answer!r} cannot be both question and answer. Give another --answer.")
    filled = (row for row in rows if row.get(answer) is not None)
    answered = [row for row in filled if str(row[answer]).strip().lower() not in MISSING]
    golds = [text_of(row, answer, "") for row in answered]
    after = AFTER if golds and all(AFTER in gold for gold in golds) else ""
    golds = [gold.rpartition(after)[2].strip() for gold in golds] if after else golds
    grader = yaml.safe_load(given.grader) if given.grader else propose_grader(golds, columns, answered)
    if not given.grader and (written := decimal_comma(golds)):
        raise UserError(
            f"{given.file}: {answer!r} holds numbers with a decimal comma, such as {written!r}; graders read a decimal "
            "point. Write 0.5 for 0,5, or give the --grader."
        )
    if grader is None:
        raise UserError(
            f"{given.file}: {answer!r} holds prose, such as {golds[0][:60]!r}, which no grader by name can judge. Name "
            "a column of short answers with --answer, or give a rule of your own: --grader 'python: my_rules.py:grade'."
        )
    block = {"file": given.file, "question": question, "answer": answer, "grader": grader}
    block |= {"answer_after": after} if after else {}
    block |= {"drop_bad_golds": True} if len(answered) < len(rows) else {}
    if given.folds:
        block["folds"] = given.folds
    elif given.holdout:
        block["holdout"] = given.holdout
    return block


def _tried(domain: UserRows, problems: Sequence[Problem], console: Console) -> bool:
    """Grades golds against themselves and against changed golds; prints what became of them."""
    cases = [(problem, "gold", domain.reference(problem)) for problem in problems]
    cases += [(problem, name, text) for problem in problems for name, text in perturbed(domain, problem, problems)]
    scores = score_all([(domain, p, _FORM.render(thinking="so", answer=text)) for p, _, text in cases], _FORM)
    counts: dict[str, list[int]] = {}
    examples: list[str] = []
    for (problem, name, text), score in zip(cases, scores, strict=True):
        correct = not isinstance(score, Unscorable) and score.verdict == "correct"
        tally = counts.setdefault(name, [0, 0])
        tally[0] += 1
        tally[1] += correct
        if correct != (name == "gold"):
            note = str(score) if isinstance(score, Unscorable) else score.note
            where, verdict = domain.table().places[problem.id], "correct" if correct else "wrong"
            examples.append(f"  {where}: {name} {text[:60]!r} grades {verdict} {note}".rstrip())
    for name, (number, right) in counts.items():
        should = "all should be" if name == "gold" else "none should be"
        console.print(f"  {name}: {right} of {number} correct ({should})")
    for line in examples[:8]:
        console.print(line, markup=False)
    if examples:
        console.print("Look at these rows, or choose another --grader. The recipe is written all the same.")
    return not examples


def _tell_power(measured: int, console: Console) -> None:
    console.print(f"With {measured} problem{'s' * (measured != 1)} measured, {told(measured)}.")


def _flow(value: Any) -> str:
    """A value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000, allow_unicode=True)
    return text.strip().removesuffix("...").strip()


def _recipe(out: Path, block: dict[str, Any], model: str, train: str, measured: int) -> str:
    template = Path(__file__).with_name("recipe.yaml.jinja").read_text(encoding="utf-8")
    return Template(template, keep_trailing_newline=True).render(
        recipe=out.name,
        name=out.name.partition(".")[0],
        model=_flow(model),
        measured=measured,
        block={key: value if key == "folds" else _flow(value) for key, value in block.items()},
        train=train,
        problems=max(measured, 100),
    )
