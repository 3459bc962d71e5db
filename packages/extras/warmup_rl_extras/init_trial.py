"""Trial of a proposed domain for `init`: rows that fall out, golds in questions, verdicts, and prompts as shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from rich.console import Console

from warmup_rl.base.errors import DataError, Unscorable
from warmup_rl.base.types import Problem
from warmup_rl.base.untrusted import literal
from warmup_rl.cli.check import show_problem
from warmup_rl.data.columns import COLUMNS, plain_name, value_at
from warmup_rl.domains.jsonl import UserRows, filled, template_columns
from warmup_rl.domains.rows import Row
from warmup_rl.domains.text_graders import LabelGrader, SqlGrader
from warmup_rl.grading.label import plain_label
from warmup_rl.grading.math_value import rational
from warmup_rl.interfaces.domain import Answered, score_all
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl_extras.column_guesses import CONTEXTS
from warmup_rl_extras.grader_guesses import label_set, lists_options, stands_in
from warmup_rl_extras.wrong_answers import right_answers, wrong_answers

MOST_LEFT_OUT = 1 / 3
"""Share of rows that may fall out."""
FEW, RECURRING = 10, 3
"""Values of a question column that are no questions of their own: so few, each in so many rows on average."""
GOLD_SHOWN = 1 / 2
"""Share of questions that may hold their reference answer."""
ROWS_SHOWN = 3
ROWS_TRIED = 200
"""Most rows whose answers are tried in other forms; the reference answers of all rows are graded."""
_FORM = ResponseFormat()
_TABLE = re.compile(r"\b(?:from|join)\s+[`\"]?(\w+)", re.IGNORECASE)


def require_most_rows(domain: UserRows, unused: Sequence[str], file: str) -> None:
    """Raises `DataError` if more than a third of the rows falls out."""
    table = domain.table()
    kept = sum(len(problems) for problems in table.problems.values())
    lost = sum(table.left_out.values())
    if lost <= MOST_LEFT_OUT * (kept + lost):
        return
    reasons = ", ".join(f"{count} {why}" for why, count in table.left_out.items())
    columns = f" Columns that are not used: {', '.join(unused)}." if unused else ""
    example = f"--question '{{{unused[0]}}}\\n\\n{{{domain.question}}}'" if unused else "--question"
    template = f" or a template such as {example}" if unused and "{" not in domain.question else ""
    raise DataError(
        f"{file}: {lost} of {kept + lost} rows fall out ({reasons}). Is {domain.question!r} the whole question, and "
        f"{domain.answer!r} its answer? Give another --question,{template} or --answer.{columns} "
        "--anyway takes the remaining rows."
    )


def require_hidden_golds(domain: UserRows, rows: Sequence[Row], file: str) -> None:
    """Raises `DataError` if the reference answer stands in most questions. Passages, schemas and the like do not count,
    as answers are often taken from them; nor do letters of the options that a question lists."""
    if domain.grader.type in ("choice", "kk", "code"):
        return
    fitted = domain.answer_grader()
    fields = template_columns(domain.question)
    if len(fields) > 1:
        fields = [name for name in fields if plain_name(name) not in CONTEXTS]
    labels = {plain_label(label) for label in (fitted.labels or ())} if isinstance(fitted, LabelGrader) else set()
    shown, counted = list[str](), 0
    for row in rows:
        with suppress(DataError):
            gold, text = domain.written(row, ""), "\n".join(str(value_at(row, name) or "") for name in fields)
            counted += 1
            others = any(stands_in(text, label) for label in labels - {plain_label(gold)})
            if stands_in(text, gold) and not others and not lists_options([row], [gold]):
                shown.append(gold)
    if len(shown) > GOLD_SHOWN * counted:
        raise DataError(
            f"{file}: the answer stands in the question in {len(shown)} of {counted} rows, such as {shown[0][:60]!r}. "
            f"Does {domain.question!r} hold the answer? Give another --question (a path such as 'messages[user]' takes "
            "one turn) or --answer; --anyway writes the recipe if the task is to find the answer in the text."
        )


def open_questions(domain: UserRows, rows: Sequence[Row], golds: Sequence[str]) -> Iterator[str]:
    """What the rows do not say and only their owner knows, each as a sentence that names the key to set."""
    grader, numbers = domain.grader, [rational(gold) for gold in golds]
    labels = [rational(label) for label in label_set(golds)] if grader.type == "set" else numbers
    if labels and None not in labels and grader.type in ("label", "set"):
        yield "The labels are bare numbers: say in `instruction` what each of them means."
    elif None not in numbers and len(golds) >= RECURRING * len(set(golds)) and any(one and one % 1 for one in numbers):
        yield "The answers are fractions that recur, as ratings do: say in `instruction` what they measure."
    columns = template_columns(domain.question)
    for name in columns:
        values = {str(value_at(row, name)).strip() for row in rows} - {""}
        if plain_name(name) in COLUMNS["question"] and 1 < len(values) <= FEW and len(rows) >= RECURRING * len(values):
            found = ", ".join(map(repr, sorted(values)))
            yield f"{name!r} holds only {found}: say in `instruction` what is asked for with each of them."
        paths = [value for value in values if re.fullmatch(r"\S*[/.]\w+", value)]
        if paths and len(paths) == len(values):
            yield f"{name!r} names files, such as {paths[0]!r}: put their text, which a model needs, into the rows."
    lists = all(isinstance(literal(gold), list) for gold in golds)
    if lists and grader.type == "exact":
        yield "Any text of a list counts as right. If all are wanted: --grader set."
    elif lists and grader.type == "set":
        yield "All texts of a list are wanted. If one is enough: --grader '{type: exact, alternatives: true}'."
    if isinstance(grader, SqlGrader) and _unknown_tables(domain, rows) > len(rows) / 2:
        yield "Most questions do not name the tables of their query: put the schema into the rows or `instruction`."
    if not domain.instruction:
        yield "The grader does not say how to answer: say so in `instruction`."


def holds_golds(rows: Sequence[Row], column: str, answer: str) -> bool:
    """Whether a column holds the reference answer in most rows, where that is long enough to tell."""
    found = []
    for row in rows:
        with suppress(DataError):
            if row.get(column) and len(gold := filled(row, answer, "").strip()) >= 4:
                found.append(stands_in(str(row[column]), gold))
    return 2 * sum(found) > len(found)


def show_rows(domain: UserRows, problems: Sequence[Problem], console: Console) -> None:
    """Prints a few problems as a model is asked them, with their reference answers."""
    form = _FORM.asks(terse=False)
    for number, problem in enumerate(problems[:ROWS_SHOWN], start=1):
        show_problem(console, f"row {number} as the model sees it", domain, problem, form)


def try_grader(domain: UserRows, problems: Sequence[Problem], console: Console) -> bool:
    """Grades golds, golds written otherwise and wrong answers, and prints the verdicts.

    Returns:
        Whether each gold is correct and no wrong answer is.
    """
    tried = problems[:ROWS_TRIED]
    cases = [(problem, "gold", domain.reference(problem), True) for problem in problems]
    cases += [(problem, name, text, True) for problem in tried for name, text in right_answers(domain, problem)]
    wrong = [(problem, name, text) for problem in tried for name, text in wrong_answers(domain, problem, problems)]
    cases += [(problem, name, text, False) for problem, name, text in wrong]
    answers = [Answered(domain, one, _FORM.render(thinking="so", answer=text)) for one, _, text, _ in cases]
    counts: dict[tuple[str, bool], list[int]] = {}
    faults: list[str] = []
    unread: dict[str, str] = {}
    for (problem, name, text, right), score in zip(cases, score_all(answers, _FORM), strict=True):
        correct = not isinstance(score, Unscorable) and score.verdict == "correct"
        tally = counts.setdefault((name, right), [0, 0])
        tally[0] += 1
        tally[1] += correct
        if correct == right:
            continue
        note = str(score) if isinstance(score, Unscorable) else score.note
        where, verdict = domain.table().places[problem.id], "correct" if correct else "wrong"
        line = f"  {where}: {name} {text[:60]!r} grades {verdict} {note}".rstrip()
        if right and name != "gold":
            unread.setdefault(name, line)
        else:
            faults.append(line)
    for (name, right), (number, correct_answers) in counts.items():
        should = "all should be" if right else "none should be"
        console.print(f"  {name}: {correct_answers} of {number} correct ({should})")
    for line in (*faults[:8], *unread.values()):
        console.print(line, markup=False)
    if unread:
        console.print("Right answers in these forms count as wrong: say in `instruction` which form is wanted.")
    if faults:
        console.print("Check these rows, or choose another --grader. The recipe is written anyway.")
    return not faults


def _unknown_tables(domain: UserRows, rows: Sequence[Row]) -> int:
    """How many questions leave out a table that their query reads."""
    count = 0
    for row in rows:
        asked = "\n".join(str(value_at(row, name)) for name in template_columns(domain.question))
        tables = _TABLE.findall(str(value_at(row, template_columns(domain.answer)[0])))
        count += any(not stands_in(asked, table) for table in tables)
    return count
