"""`python -m warmup_rl init FILE`: proposes columns and a grader for a file, tries them, and writes a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Template
from rich.console import Console
from rich.table import Table

from warmup_rl.base.console import counted, open_console
from warmup_rl.base.errors import DataError, Unscorable, UserError
from warmup_rl.base.types import Problem
from warmup_rl.cli.arguments import Arguments, build
from warmup_rl.cli.power import describe_power
from warmup_rl.data.columns import find_column
from warmup_rl.data.datasets import Source
from warmup_rl.domains.jsonl import UserRows
from warmup_rl.domains.rows import text_of
from warmup_rl.interfaces.domain import Answered, each_fold, score_all
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.recipe import load_recipe
from warmup_rl.stages.rlvr import MOST_PROBLEMS
from warmup_rl_extras.column_guesses import (
    Column,
    decimal_comma,
    describe_columns,
    propose_answer,
    propose_grader,
    propose_question,
)
from warmup_rl_extras.wrong_answers import wrong_answers

ROWS_READ = 2_000
"""Rows from which columns and grader are proposed."""
MARK = "####"
"""What comes before the final answer in solutions such as those of GSM8K."""
MISSING = ("", "n/a", "na", "nan", "null", "-", "?")
"""What a cell without an answer holds, in lower case."""
_FORM = ResponseFormat()


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Returns:
        The exit code: 1 if the grader calls a gold wrong or a changed gold correct.

    Raises:
        UserError: the file or the command line is wrong, or the recipe exists already.
    """
    given = _arguments().read(arguments)
    source = Source(path=given.file)
    out = given.out or Path(f"{Path(given.file).name.partition('.')[0]}.yaml")
    if out.exists():
        raise UserError(f"{out}: exists already. Move it, or give another name with --out.")
    rows = [row for _, row in islice(source.rows(), ROWS_READ)]
    if len(rows) < 4:
        raise DataError(f"{given.file}: {len(rows)} rows; at least 4 are needed to train on some and measure others.")
    console = open_console(markup=False)
    columns = describe_columns(rows)
    console.print(_column_table(columns))
    block = _domain_keys(given, columns, rows)
    domain = build(UserRows, block, given.file).model_copy(update={"name": "mine"})
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
    sound = _try_grader(domain, problems, console)
    measured = len(problems) if given.folds else len(table.problems["test"])
    console.print(f"With {counted(measured, 'problem')} measured, {describe_power(measured)}.")
    least = min(part.rows_in("train") or 0 for part in each_fold(domain))
    train = "all" if (domain.rows_in("train") or 0) <= MOST_PROBLEMS else min(MOST_PROBLEMS, least)
    out.write_text(_recipe(out, block, given.model, str(train), measured), encoding="utf-8")
    load_recipe(out, [])
    console.print(f"\nwrote {out}. Next: python -m warmup_rl check {out}")
    return 0 if sound else 1


def _arguments() -> Arguments:
    parser = Arguments("init", "Proposes columns and a grader for a file, tries them, and writes a recipe.")
    parser.add_argument("file", metavar="FILE", help="CSV, JSON lines, JSON or Parquet, one problem a row")
    parser.add_argument("--out", type=Path, metavar="RECIPE", help="(FILE with the ending .yaml)")
    parser.add_argument("--question", metavar="COLUMN", help="or a template with columns in braces")
    parser.add_argument("--answer", metavar="COLUMN")
    parser.add_argument("--grader", metavar="NAME", help="name or YAML, such as '{type: number, tolerance: 0.1}'")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--holdout", type=int, metavar="N", help="rows that are measured and never trained on")
    group.add_argument("--folds", type=int, metavar="K", help="cross-validation: every row is measured")
    parser.add_argument("--model", default="Qwen/Qwen2.5-3B", metavar="ID", help="hub id or folder of the base model")
    return parser


def _column_table(columns: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("column", "holds", "filled", "characters", "first value"):
        table.add_column(title, overflow="fold")
    for column in columns:
        table.add_row(column.name, column.kind, f"{column.filled:.0%}", f"{column.length:.0f}", column.sample)
    return table


def _domain_keys(given: Any, columns: Sequence[Column], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The keys of the domain in the recipe, as given or proposed."""
    names = [column.name for column in columns]
    question: str = given.question or propose_question(columns) or ""
    answer: str = given.answer or propose_answer(columns, question) or ""
    for key, column in (("question", question), ("answer", answer)):
        if "{" not in column and column not in names:
            found = ", ".join(names)
            if column:
                raise UserError(f"{given.file}: no column {column!r}.{suggestion(column, names)} Columns: {found}.")
            tests = " Tests alone are not enough: a reference solution must show that they can be passed."
            hint = tests if key == "answer" and find_column(names, "tests") else ""
            raise UserError(f"{given.file}: which column is the {key}? Give --{key} COLUMN. Columns: {found}.{hint}")
    if answer == question:
        raise UserError(f"{given.file}: {answer!r} cannot be both question and answer. Give another --answer.")
    filled = (row for row in rows if row.get(answer) is not None)
    answered = [row for row in filled if str(row[answer]).strip().lower() not in MISSING]
    golds = [text_of(row, answer, "") for row in answered]
    after = MARK if golds and all(MARK in gold for gold in golds) else ""
    golds = [gold.rpartition(after)[2].strip() for gold in golds] if after else golds
    grader = yaml.safe_load(given.grader) if given.grader else propose_grader(golds, columns, answered)
    if not given.grader and (number := decimal_comma(golds)):
        raise UserError(
            f"{given.file}: {answer!r} holds numbers with a decimal comma, such as {number!r}; graders read a decimal "
            "point. Write 0.5 for 0,5, or give the --grader."
        )
    if grader is None:
        raise UserError(
            f"{given.file}: {answer!r} holds prose, such as {golds[0][:60]!r}, which none of the graders can judge. "
            "Name a column of short answers with --answer, or give a rule of your own: --grader "
            "'python: my_rules.py:grade'."
        )
    block = {"file": given.file, "question": question, "answer": answer, "grader": grader}
    block |= {"answer_after": after} if after else {}
    block |= {"drop_bad_golds": True} if len(answered) < len(rows) else {}
    if given.folds:
        block["folds"] = given.folds
    elif given.holdout:
        block["holdout"] = given.holdout
    return block


def _try_grader(domain: UserRows, problems: Sequence[Problem], console: Console) -> bool:
    """Grades golds and changed golds, prints the verdicts, and returns whether all are as they should be."""
    cases = [(problem, "gold", domain.reference(problem)) for problem in problems]
    cases += [(problem, name, text) for problem in problems for name, text in wrong_answers(domain, problem, problems)]
    scores = score_all([Answered(domain, p, _FORM.render(thinking="so", answer=text)) for p, _, text in cases], _FORM)
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
        console.print("Check these rows, or choose another --grader. The recipe is written anyway.")
    return not examples


def _flow(value: Any) -> str:
    """A value as one line of YAML."""
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
