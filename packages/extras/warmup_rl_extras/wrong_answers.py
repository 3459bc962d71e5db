"""Wrong answers near a gold and right answers written otherwise; `init` tries how they are graded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from warmup_rl.base.types import Problem
from warmup_rl.domains.graders import NumberGrader
from warmup_rl.domains.jsonl import UserRows
from warmup_rl.grading.math_value import rational
from warmup_rl.grading.math_words import read_answer
from warmup_rl_extras.grader_guesses import members


def wrong_answers(domain: UserRows, problem: Problem, problems: Sequence[Problem]) -> Iterator[tuple[str, str]]:
    """Names and texts of wrong answers near the gold."""
    gold = problem.gold
    kind = type(domain.grader).type
    others = (one.gold for one in problems if _differ(kind, gold, one.gold))
    other = next((text for text in others if not _near(domain, gold, text)), None)
    if other is not None and kind not in ("regex", "python", "code"):
        yield "another row's gold", domain.reference(replace(problem, gold=other))
    if kind in ("math", "number"):
        texts = ((name, text) for name, text in _numbers(gold) if kind == "math" or not _near(domain, gold, text))
        yield from ((name, domain.reference(replace(problem, gold=text))) for name, text in texts)
    elif kind == "choice":
        letters = problem.meta["letters"]
        yield "the next letter", letters[(letters.index(gold.strip()) + 1) % len(letters)]
    elif kind == "set":
        found = members(gold)
        yield "one member more", ", ".join([*found, "zzz"])
        if len(found) > 1:
            yield "one member less", ", ".join(found[1:])
    elif kind == "json":
        yield "one value more", json.dumps([json.loads(gold), 1])
    elif kind == "code":
        yield "returns nothing", re.sub(r"\breturn\b.*", "return None", domain.reference(problem))
    elif kind in ("label", "sql"):
        yield from domain.adversarial_answers(problem)
    elif kind in ("exact", "kk"):
        yield "a word more", f"{gold} not"
    yield "empty", ""


def right_answers(domain: UserRows, problem: Problem) -> Iterator[tuple[str, str]]:
    """Names and texts of the gold in other forms that mean the same."""
    kind, gold = type(domain.grader).type, problem.gold.strip()
    if kind == "number":
        yield from _number_forms(gold)
    if kind in ("number", "math", "label", "exact", "choice"):
        yield "in a sentence", f"The answer is {gold}."
        yield "in a box", f"\\boxed{{{gold}}}"
    if kind in ("label", "exact"):
        yield "in bold", f"**{gold}**"
    yield from (("another of the list", text) for text in problem.meta.get("alternatives", ())[1:2])
    if kind == "label":
        yield "named as the label", f"The label is {gold}."
    if kind in ("sql", "json"):
        yield "in a code fence", f"```{kind}\n{gold}\n```"
    if kind == "sql":
        yield "without a semicolon", gold.rstrip("; \n")
        yield "on several lines", re.sub(r"(?i)\s+(FROM|WHERE|GROUP BY|ORDER BY|LIMIT)\b", r"\n\1", gold)
    if kind == "set" and len(found := members(gold)) > 1:
        yield "in reverse order", ", ".join(reversed(found))


def _number_forms(gold: str) -> Iterator[tuple[str, str]]:
    found = re.fullmatch(r"([-+]?[$€£]?\s*)(\d[\d,]*)(\.\d+)?(\s*)([^\d,./\\]*(?:/\w+)?)", gold)
    if not found:
        return
    before, whole, decimals, blank, unit = (part or "" for part in found.groups())
    if unit and blank:
        yield "no blank before the unit", f"{before}{whole}{decimals}{unit}"
    if unit:
        yield "no unit", f"{before}{whole}{decimals}"
    yield "a trailing zero", f"{before}{whole}{decimals or '.'}0{blank}{unit}"
    if "," not in whole and len(whole) > 3:
        yield "a thousands comma", f"{before}{int(whole):,}{decimals}{blank}{unit}"


def _numbers(gold: str) -> Iterator[tuple[str, str]]:
    found = list(re.finditer(r"\d+", gold))
    if found:
        last = found[-1]
        yield "a digit more", f"{gold[: last.end()]}7{gold[last.end() :]}"
        yield "one more", f"{gold[: found[0].start()]}{int(found[0][0]) + 1}{gold[found[0].end() :]}"


def _differ(kind: str, gold: str, other: str) -> bool:
    """Whether two golds certainly mean different things: they have other numbers, letters or words."""
    one, two = (rational(read_answer(text).text) for text in (gold, other))
    if kind in ("math", "number") and None not in (one, two):
        return one != two
    return sorted(re.findall(r"\w+", gold.casefold())) != sorted(re.findall(r"\w+", other.casefold()))


def _near(domain: UserRows, gold: str, text: str) -> bool:
    """Whether a changed number is within the tolerance of the grader."""
    grader = domain.grader
    if not isinstance(grader, NumberGrader):
        return False
    value, changed = grader.value(gold), grader.value(text)
    if value is None or changed is None:
        return False
    allowed = max(Fraction(grader.tolerance), Fraction(grader.relative) * abs(value))
    return abs(changed - value) <= allowed
