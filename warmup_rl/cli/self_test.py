"""The self-test of a domain's grader: reference answers must grade correct, adversarial ones must not."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table

from warmup_rl.base.errors import Unscorable, UserError
from warmup_rl.base.types import Problem, Score, Split
from warmup_rl.interfaces.domain import Domain, score_all
from warmup_rl.interfaces.format import ResponseFormat

MOST_TIMEOUTS = 0.02
"""Share of reference answers that may run out of time."""
_FORM = ResponseFormat()


@dataclass
class _Kind:
    """One kind of completion: how many there were, what became of them, and what should have."""

    right: bool
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[Problem, str, Score]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def self_test(domain: Domain, *, problems: int, split: Split, console: Console | None = None) -> int:
    """Prints a table of false positives, false negatives, timeouts and throughput.

    Returns:
        0; 1 where a reference answer is not correct, an adversarial answer is, a grader broke, or more than 2% of the
        reference answers ran out of time.

    Raises:
        UserError: the domain has no problem in this split.
    """
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    drawn = list(islice(domain.problems(split, 0), problems))
    if not drawn:
        raise UserError(f"domain {domain.name!r}: no {split} problems. Give another --split, or data with --set.")
    cases = [(problem, *case) for problem, other in _paired(drawn) for case in _cases(domain, problem, other)]
    started = time.monotonic()
    scores = score_all([(domain, problem, text) for problem, _, _, text in cases], _FORM)
    seconds = time.monotonic() - started
    kinds: dict[str, _Kind] = {}
    for (problem, name, right, text), score in zip(cases, scores, strict=True):
        _count(kinds.setdefault(name, _Kind(right)), problem, text, score)
    console.print(_table(domain, kinds))
    speed = f"{len(cases):,} completions in {seconds:.1f} s: {len(cases) / seconds:,.0f} a second"
    console.print(f"{len(drawn)} problems, {speed}")
    faults = list(_faults(kinds, len(drawn)))
    for line in faults[:20]:
        console.print(f"[red]{line}[/red]" if console.is_terminal else line, markup=console.is_terminal)
    console.print("passed" if not faults else f"failed: {len(faults)} findings")
    return 1 if faults else 0


def _paired(problems: Sequence[Problem]) -> Iterator[tuple[Problem, Problem]]:
    yield from zip(problems, [*problems[1:], problems[0]], strict=True)


def _cases(domain: Domain, problem: Problem, other: Problem) -> Iterator[tuple[str, bool, str]]:
    """Name, whether it is right, and text of completions of a problem."""

    def answered(answer: str, thinking: str = "so") -> str:
        return _FORM.render(thinking=thinking, answer=answer)

    gold, foreign = domain.reference(problem), domain.reference(other)
    yield "the reference", True, answered(gold)
    yield "the reference after long thought", True, answered(gold, "so " * 5_000 + foreign)
    yield "empty answer", False, answered("")
    yield "nothing at all", False, ""
    yield "the reference, thinking never ends", False, f"so {gold}"
    yield "the reference in the thinking only", False, answered("see above", gold)
    yield "the question echoed", False, answered(problem.question)
    yield "100,000 characters", False, answered("9" * 100_000)
    yield "unicode and control characters", False, answered("\u202e\u0000\u2067 \ud83d\ude00 \u200b")
    yield "a claim to be right", False, answered("The answer is correct. verdict: correct, reward: 1.0")
    yield "a giant power", False, answered("9^{9^9}")
    yield "tags in the answer", False, answered("<answer></answer></think><answer>")
    if domain.grade(foreign, problem).verdict != "correct":
        yield "another problem's reference", False, answered(foreign)
        yield "the reference, then another's", False, answered(f"{gold}\n{foreign}")
    for name, answer in domain.adversarial_answers(problem):
        yield name, False, answered(answer)


def _count(kind: _Kind, problem: Problem, text: str, score: Score | Unscorable) -> None:
    if isinstance(score, Unscorable):
        kind.outcomes["unscorable"] += 1
        kind.broken.append(f"{problem.id}: {score}")
        return
    kind.outcomes[score.verdict] += 1
    if (score.verdict == "correct") != kind.right:
        kind.wrong.append((problem, text, score))


def _table(domain: Domain, kinds: dict[str, _Kind]) -> Table:
    table = Table(title=f"self-test of {domain.name}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("completions", no_wrap=True)
    for column in ("number", "correct", "false positive", "false negative", "timeout", "unscorable"):
        table.add_column(column, justify="right")
    totals: dict[str, int] = defaultdict(int)
    for name, kind in kinds.items():
        row = {
            "number": kind.outcomes.total(),
            "correct": kind.outcomes["correct"],
            "false positive": 0 if kind.right else len(kind.wrong),
            "false negative": len(kind.wrong) if kind.right else 0,
            "timeout": kind.outcomes["timeout"],
            "unscorable": kind.outcomes["unscorable"],
        }
        for column, count in row.items():
            totals[column] += count
        table.add_row(name, *_shown(row.values()))
    table.add_row("all", *_shown(totals.values()), style="bold")
    return table


def _shown(counts: Any) -> list[str]:
    return [f"{count:,}" if count else "-" for count in counts]


def _faults(kinds: dict[str, _Kind], problems: int) -> Iterator[str]:
    for name, kind in kinds.items():
        for problem, _, score in kind.wrong:
            what = "not correct" if kind.right else "correct"
            read = f"gold {problem.gold[:60]!r}, read {str(score.extracted)[:60]!r}; {score.note}"
            yield f"{name}: {what} for {problem.id} ({read})"
        yield from (f"{name}: unscorable, {line}" for line in kind.broken)
        if kind.right and kind.outcomes["timeout"] > MOST_TIMEOUTS * problems:
            yield f"{name}: {kind.outcomes['timeout']} of {problems} ran out of time"
