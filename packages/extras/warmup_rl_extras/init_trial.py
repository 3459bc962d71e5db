"""Trial of a proposed domain for `init`: rows that fall out, golds in questions, verdicts, and prompts as shown."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from rich.console import Console

from warmup_rl.base.errors import DataError, Unscorable
from warmup_rl.base.types import Problem
from warmup_rl.cli.check import show_problem
from warmup_rl.data.columns import plain_name
from warmup_rl.domains.jsonl import UserRows
from warmup_rl.domains.rows import Row, text_of
from warmup_rl.grading.label import plain_label
from warmup_rl.interfaces.domain import Answered, score_all
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl_extras.column_guesses import CONTEXTS
from warmup_rl_extras.wrong_answers import right_answers, wrong_answers

MOST_LEFT_OUT = 1 / 3
"""Share of rows that may fall out."""
GOLD_SHOWN = 1 / 2
"""Share of questions that may hold their reference answer."""
ROWS_SHOWN = 3
_FORM = ResponseFormat()


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


def require_hidden_golds(domain: UserRows, rows: Sequence[Row], labels: Sequence[str], file: str) -> None:
    """Raises `DataError` if the reference answer stands in most questions. Passages, schemas and the like do not count:
    answers are often taken from them."""
    fields = [domain.question]
    if "{" in domain.question:
        names = [name for _, name, _, _ in string.Formatter().parse(domain.question) if name]
        fields = [name for name in names if plain_name(name) not in CONTEXTS]
    others = {plain_label(label) for label in labels}
    found, counted, example = 0, 0, ""
    for row in rows:
        try:
            gold = domain.written(row, "")
            text = "\n".join(text_of(row, name, "") for name in fields)
        except DataError:
            continue
        counted += 1
        if _names(text, gold) and not any(_names(text, label) for label in others - {plain_label(gold)}):
            found, example = found + 1, example or gold
    if counted and found > GOLD_SHOWN * counted:
        raise DataError(
            f"{file}: the answer stands in the question in {found} of {counted} rows, such as {example[:60]!r}. Does "
            f"{domain.question!r} hold the answer? Give another --question (a path such as 'messages[user]' takes one "
            "turn) or --answer; --anyway writes the recipe if the task is to find the answer in the text."
        )


def holds_golds(rows: Sequence[Row], column: str, answer: str) -> bool:
    """Whether a column holds the reference answer in most rows, where that is long enough to tell."""
    pairs = [(str(row.get(column) or ""), text_of(row, answer, "")) for row in rows if _has(row, answer)]
    long = [(text, gold) for text, gold in pairs if len(gold.strip()) >= 4]
    return bool(long) and sum(_names(text, gold) for text, gold in long) > len(long) / 2


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
    cases = [(problem, "gold", domain.reference(problem), True) for problem in problems]
    cases += [(problem, name, text, True) for problem in problems for name, text in right_answers(domain, problem)]
    wrong = [(problem, name, text) for problem in problems for name, text in wrong_answers(domain, problem, problems)]
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


def _names(text: str, answer: str) -> bool:
    """Whether an answer stands in a text as words of its own."""
    plain = " ".join(answer.split()).casefold()
    pattern = rf"(?<![\w.]){re.escape(plain)}(?![\w])(?!\.\d)"
    return bool(plain) and re.search(pattern, " ".join(text.split()).casefold()) is not None


def _has(row: Row, answer: str) -> bool:
    try:
        return bool(text_of(row, answer, ""))
    except DataError:
        return False
