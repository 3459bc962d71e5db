"""Grades a mathematical answer against a reference: integers at once, everything else by math-verify within bounds."""

from __future__ import annotations

import logging
import re
import threading
from functools import lru_cache
from typing import Any

from warmup_rl.errors import Unscorable
from warmup_rl.types import Grade

MAX_LENGTH, MAX_DIGITS = 300, 40
"""Answers that are longer, or hold a longer number, are not parsed."""
SECONDS = 2
"""Budget of one parse or comparison; kept by an alarm, so on the main thread only. Elsewhere the guards alone hold."""

_INTEGER = re.compile(r"[+-]?\d{1,40}")
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\}|\\,|\\!)(?=\d{3}(?!\d))")
_TOO_HEAVY = re.compile(
    r"\d{41,}"  # long numbers
    r"|\^[^\^]{0,40}\^"  # towers of powers
    r"|\^\s*\{?\s*\(?[+-]?\d{4,}"  # large exponents
    r"|\d{4,}\s*\)?\s*!|!\s*\)*\s*!|\^[^!]{0,40}\)\s*!"  # large or repeated factorials
    r"|\\(?:sum|prod|int|binom|tbinom|dbinom)\b.*\d{4,}"
)

_FAILURES = (
    ValueError, TypeError, ArithmeticError, AttributeError, NotImplementedError, RecursionError, MemoryError,
)  # what sympy raises on expressions that it cannot work with


def same_answer(*, gold: str, answer: str) -> Grade:
    """Whether `answer` means the same as `gold`.

    Where the answer holds a `\\boxed{}`, its last balanced box is the answer, else all of it is; nothing else counts.

    Raises:
        Unscorable: the reference answer itself cannot be parsed.
    """
    extracted = final_answer(answer)
    if extracted is None:
        return Grade("none", None, "an empty or unbalanced box, or no answer")
    reference = _normal(final_answer(gold) or gold)
    given = _normal(extracted)
    if _INTEGER.fullmatch(reference) and _INTEGER.fullmatch(given):
        return Grade("correct" if int(reference) == int(given) else "wrong", given)
    if given == reference:
        return Grade("correct", given)
    refusal = _refusal(given, reference)
    if refusal:
        return Grade("wrong", given[:MAX_LENGTH], refusal)
    return _verify(reference, given)


def final_answer(text: str) -> str | None:
    """The content of the last balanced `\\boxed{}`, or the text itself without a box; None where that is empty."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return text.strip() or None
    depth, opening = 0, text.index("{", start)
    for position in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[opening + 1 : position].strip() or None
    return None


def _normal(text: str) -> str:
    text = text.strip().strip("$").strip()
    text = text.removeprefix("\\(").removesuffix("\\)").removeprefix("\\[").removesuffix("\\]")
    text = text.replace("\\!", "").replace("\\left", "").replace("\\right", "").replace("\\varnothing", "\\emptyset")
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\u2212", "-")
    return _THOUSANDS.sub("", text).strip().rstrip(".,;: ").strip()


def _refusal(given: str, reference: str) -> str:
    """Why an answer is wrong without being parsed; empty where it deserves parsing."""
    if not given:
        return "empty"
    if len(given) > MAX_LENGTH:
        return f"longer than {MAX_LENGTH} characters"
    if _TOO_HEAVY.search(given) and not _TOO_HEAVY.search(reference):
        return "too large to be computed"
    if given.count("{") > 60 or given.count("(") > 60:
        return "nested too deeply"
    if "=" in given and "=" not in reference and not re.fullmatch(r"\\?[A-Za-z]+\s*=[^=]+", given):
        return "an equation where a value is asked for"
    if re.search(r"\d_\{?\d", reference) and not re.search(r"\d_\{?\d", given):
        return "the base is missing"
    if reference[:1] in "([" and reference[-1:] in ")]" and "," in reference and given[:1] not in ("(", "[", "\\"):
        return "a tuple or an interval without its brackets"
    return ""


def _verify(reference: str, given: str) -> Grade:
    from math_verify import verify
    from math_verify.errors import TimeoutException

    _warm_up()
    seconds = _seconds()
    gold_parsed = _parsed_gold(reference)
    if not gold_parsed:
        raise Unscorable(f"the reference answer {reference!r} cannot be parsed as mathematics")
    try:
        answer_parsed = _parse(given, seconds)
        same = bool(answer_parsed) and verify(gold_parsed, answer_parsed, timeout_seconds=seconds, raise_on_error=True)
    except TimeoutException:
        return Grade("timeout", given, f"not compared within {SECONDS} s")
    except _FAILURES as error:
        return Grade("wrong", given, f"cannot be compared ({type(error).__name__})")
    return Grade("correct" if same else "wrong", given, "" if answer_parsed else "not mathematics")


@lru_cache(maxsize=1)
def _warm_up() -> None:
    """Loads what the first parse loads, which takes longer than the budget on a busy machine."""
    _parse("\\frac{1}{2}", None)


@lru_cache(maxsize=4096)
def _parsed_gold(reference: str) -> Any:
    return _parse(reference, _seconds())


def _parse(text: str, seconds: int | None) -> Any:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    configs = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    return parse(f"\\boxed{{{text}}}", configs, parsing_timeout=seconds, raise_on_error=True)  # type: ignore[arg-type]


def _seconds() -> int | None:
    return SECONDS if threading.current_thread() is threading.main_thread() else None
