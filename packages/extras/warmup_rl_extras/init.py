"""`python -m warmup_rl init FILE`: proposes columns and a grader for a file, tries them, and writes a recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Template
from rich.console import Console
from rich.table import Table

from warmup_rl.base.console import counted, open_console
from warmup_rl.base.errors import DataError, UserError, listed
from warmup_rl.base.files import aside
from warmup_rl.cli.arguments import Arguments, build
from warmup_rl.cli.power import describe_power
from warmup_rl.data.columns import find_column, value_at
from warmup_rl.data.datasets import Source
from warmup_rl.domains.jsonl import UserRows, filled, template_columns
from warmup_rl.interfaces.domain import each_fold
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.recipe.document import parse_value
from warmup_rl.recipe.load import load_recipe
from warmup_rl.stages.rlvr import MOST_PROBLEMS
from warmup_rl_extras.column_guesses import (
    Column,
    describe_columns,
    field,
    option_columns,
    propose_answer,
    propose_question,
    propose_template,
    unit_column,
    value_as_name,
)
from warmup_rl_extras.grader_guesses import odd_golds, propose_grader, propose_instruction
from warmup_rl_extras.init_trial import (
    holds_golds,
    open_questions,
    require_hidden_golds,
    require_most_rows,
    show_rows,
    try_grader,
)

ROWS_READ = 2_000
"""Rows from which columns and grader are proposed."""
HELD_OUT = 200
"""Most rows that are measured by default; training takes a hundred."""
MARK = "####"
"""What comes before the final answer in solutions such as those of GSM8K."""
MISSING = ("", "n/a", "na", "nan", "null", "-", "?")
"""What a cell without an answer holds, in lower case."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Returns:
        The exit code: 1 if the grader calls a gold wrong or a changed gold correct.

    Raises:
        UserError: the file or the command line is wrong, or the recipe exists already.
    """
    given = _arguments().read(arguments)
    source = Source(path=given.file)
    out = given.out or Path(f"{Path(given.file.removesuffix('.gz')).stem}.yaml")
    if out.exists():
        raise UserError(f"{out}: exists already. Move it, or give another name with --out.")
    rows = [row for _, row in islice(source.rows(), ROWS_READ)]
    if len(rows) < 4:
        raise DataError(f"{given.file}: {len(rows)} rows; at least 4 are needed to train on some and measure others.")
    console = open_console(markup=False)
    columns = describe_columns(rows)
    if (value := value_as_name(columns, rows)) and not given.anyway:
        raise DataError(
            f"{given.file}: {value[:60]!r} names a column and looks like a value: is the first line a row? Put a line "
            "with the names of the columns before it; --anyway takes it for a name."
        )
    if note := source.note():
        console.print(f"{given.file}: {note}.")
    console.print(_column_table(columns))
    block = _domain_keys(given, columns, rows)
    domain = build(UserRows, block, given.file).model_copy(update={"name": "mine"})
    golds = _golds(block, rows)
    instruction = propose_instruction(block["grader"], golds) or domain.default_instruction()
    block |= {"instruction": instruction} if instruction else {}
    domain = domain.model_copy(update={"instruction": instruction or None})
    unused = _print_choice(block, columns, console)
    if not given.anyway:
        require_most_rows(domain, unused, given.file)
        require_hidden_golds(domain, rows, given.file)
    if not given.folds and not given.holdout:
        distinct = sum(map(len, domain.table().problems.values()))
        domain = domain.model_copy(update={"holdout": max(1, min(HELD_OUT, distinct // 4))})
    table = domain.table()
    console.print(f"{domain.space()}")
    for question in open_questions(domain, rows, golds):
        console.print(question)
    problems = [problem for split in table.problems.values() for problem in split]
    if domain.drop_bad_golds:
        problems = [problem for problem in problems if not domain.fault(problem)]
    sound = try_grader(domain, problems, console)
    show_rows(domain, problems, console)
    measured = len(problems) if given.folds else len(table.problems["test"])
    console.print(f"\nWith {counted(measured, 'problem')} measured, {describe_power(measured)}.")
    least = min(part.rows_in("train") or 0 for part in each_fold(domain))
    train = "all" if (domain.rows_in("train") or 0) <= MOST_PROBLEMS else min(MOST_PROBLEMS, least)
    with aside(out) as part:
        part.write_text(_recipe(out, block, given.model, str(train), measured), encoding="utf-8")
    load_recipe(out, [])
    console.print(f"\nwrote {out}. Next: python -m warmup_rl check {out}")
    return 0 if sound else 1


def _print_choice(block: dict[str, Any], columns: Sequence[Column], console: Console) -> list[str]:
    """Prints question, answer, grader and the unused columns; returns the names of the latter."""
    after = f" (after {block['answer_after']!r})" if "answer_after" in block else ""
    console.print(f"\nquestion: {_flow(block['question'])}   answer: {_flow(block['answer'])}{after}")
    console.print(f"grader: {_flow(block['grader'])}")
    fields = {*template_columns(block["question"]), *template_columns(block["answer"])}
    known = str(block["grader"])
    unused = [
        one.name
        for one in columns
        if one.name not in fields
        and not any(name.startswith((f"{one.name}[", f"{one.name}.")) for name in fields)
        and f"'{one.name}'" not in known
    ]
    if unused:
        console.print(f"not used: {', '.join(name or '(a column without a name)' for name in unused)}")
    if block.get("drop_bad_golds"):
        console.print("Rows whose answer is missing or of another kind are left out (drop_bad_golds).")
    return [one.name for one in columns if one.name in unused and one.kind == "text" and one.varies]


def _arguments() -> Arguments:
    parser = Arguments("init", "Proposes columns and a grader for a file, tries them, and writes a recipe.")
    parser.add_argument("file", metavar="FILE", help="CSV, JSON lines, JSON or Parquet, one problem a row")
    parser.add_argument("--out", type=Path, metavar="RECIPE", help="(FILE with the ending .yaml)")
    parser.add_argument("--question", metavar="COLUMN", help="or a template with columns in braces")
    parser.add_argument("--answer", metavar="COLUMN")
    parser.add_argument("--grader", metavar="NAME", help="name or YAML, such as '{type: number, tolerance: 0.1}'")
    text = "take the file although many rows fall out or answers stand in questions"
    parser.add_argument("--anyway", action="store_true", help=text)
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
        if not ("{" in column or column in names or any(value_at(row, column) is not None for row in rows)):
            found = listed(names)
            if column:
                raise UserError(f"{given.file}: no column {column!r}.{suggestion(column, names)} Columns: {found}.")
            tests = " Tests alone are not enough: a reference solution must show that they can be passed."
            hint = tests if key == "answer" and find_column(names, "tests") else ""
            nested = [name for name in rows[0] if isinstance(value_at(rows[0], f"{name}[0]"), dict)]
            several = f" Lists of objects are in {', '.join(nested)}: if each is a problem, write one row for each."
            hint = hint or (several if nested else "")
            raise UserError(f"{given.file}: which column is the {key}? Give --{key} COLUMN. Columns: {found}.{hint}")
    if answer == question:
        raise UserError(f"{given.file}: {answer!r} cannot be both question and answer. Give another --answer.")
    asked = question
    if not given.question:
        question = propose_template(columns, question, answer, lambda name: holds_golds(rows, name, answer))
    block = {"file": given.file, "question": question, "answer": answer}
    answered = _answered(rows, answer)
    if not answered:
        raise UserError(f"{given.file}: {answer!r} holds no answer. Give another --answer.")
    if all(MARK in filled(row, answer, "") for row in answered):
        block["answer_after"] = MARK
    golds = _golds(block, rows)
    if odd := odd_golds(golds):
        golds = [gold for place, gold in enumerate(golds) if place not in odd]
        answered = [row for place, row in enumerate(answered) if place not in odd]
    grader = parse_value(given.grader, "--grader") if given.grader else propose_grader(golds, columns, answered)
    if grader is None:
        raise UserError(
            f"{given.file}: {answer!r} holds prose, such as {golds[0][:60]!r}, which none of the graders can judge. "
            "Name a column of short answers with --answer, take --grader exact where every answer has one spelling, or "
            "give a rule of your own: --grader 'python: my_rules.py:grade'."
        )
    if (options := option_columns(columns)) and not (given.grader or given.question or "options" in grader):
        shown = "\\n".join(f"{{{name}}}" for name in (options if isinstance(options, list) else [options]))
        raise UserError(
            f"{given.file}: {options!r} looks like options, and answers such as {golds[0][:60]!r} name none of them. "
            f"Give another --answer; or, if the options belong to the question, --question '{{{asked}}}\\n{shown}', "
            f"else --question '{asked}'."
        )
    if isinstance(grader, dict) and grader.get("type") == "code" and not given.question:
        block["question"] = _with_example(question, grader["tests"], answered)
    if (unit := unit_column(columns)) and not given.answer and not given.grader and grader["type"] == "number":
        block["answer"] = f"{{{answer}}} {field(unit)}"
    block |= {"grader": grader}
    if len(answered) < len(rows):
        block["drop_bad_golds"] = True
    return block | {key: value for key in ("folds", "holdout") if (value := getattr(given, key))}


def _with_example(question: str, tests: str, rows: Sequence[dict[str, Any]]) -> str:
    """The question with the first test, where most questions do not name the function that is tested."""
    calls = [re.search(r"(?:\(|\s)(\w+)\(", str(value_at(row, f"{tests}[0]") or "")) for row in rows]
    named = [call and call[1] in str(row.get(question)) for call, row in zip(calls, rows, strict=True)]
    if not all(value_at(row, f"{tests}[0]") for row in rows) or sum(map(bool, named)) > len(rows) / 2:
        return question
    return f"{question if '{' in question else f'{{{question}}}'}\n\n{{{tests}[0]}}"


def _answered(rows: Sequence[dict[str, Any]], answer: str) -> list[dict[str, Any]]:
    """The rows that have an answer."""
    values = ((row, value_at(row, template_columns(answer)[0])) for row in rows)
    return [row for row, value in values if value is not None and str(value).strip().lower() not in MISSING]


def _golds(block: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[str]:
    """The reference answers as the grader will get them."""
    golds = [filled(row, block["answer"], "") for row in _answered(rows, block["answer"])]
    after = block.get("answer_after")
    return [gold.rpartition(after)[2].strip() for gold in golds] if after else golds


def _flow(value: Any) -> str:
    """A value as one line of YAML."""
    if isinstance(value, str) and "\n" in value:
        return json.dumps(value, ensure_ascii=False)
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000, allow_unicode=True)
    return text.strip().removesuffix("...").strip()


def _recipe(out: Path, block: dict[str, Any], model: str, train: str, measured: int) -> str:
    template = Path(__file__).with_name("recipe.yaml.jinja").read_text(encoding="utf-8")
    return Template(template, keep_trailing_newline=True).render(
        recipe=out.name,
        name=re.sub(r"[^A-Za-z0-9_]+", "-", out.stem).strip("-_")[:100] or "mine",
        model=_flow(model),
        measured=measured,
        block={key: value if key == "folds" else _flow(value) for key, value in block.items()},
        train=train,
        problems=max(measured, 100),
    )
