"""What teachers write, in whatever layout, taken apart into thinking and answer, so that it can be laid out anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from warmup_rl.interfaces.format import ResponseFormat

TeacherFormat = Literal["recipe", "tags", "plain", "boxed", "auto"]
"""How a teacher lays out what it says.

`recipe`: as the recipe's format asks for. `tags`: thinking up to the last closing think tag, opened or not, then prose
or answer tags. `plain`: no tags; all of it is thinking, which ends in the answer. `boxed`: the answer is the last
balanced `\\boxed{}`. `auto`: each completion by what stands in it.
"""


@dataclass(frozen=True, slots=True)
class ParsedCompletion:
    """A completion taken apart.

    Attributes:
        thinking: all of it where no answer is found.
        answers: readings of the answer, the most explicit first; the first that a grader can read is meant. Empty where
            there is no answer.
    """

    thinking: str
    answers: tuple[str, ...]


def parse_completion(
    text: str,
    teacher_format: TeacherFormat,
    response_format: ResponseFormat,
    *,
    thinking: str | None = None,
    truncated: bool = False,
) -> ParsedCompletion:
    """Thinking and answer of a completion, without any tags.

    Args:
        text: what the teacher wrote; only the answer part where it gives `thinking` apart.
        truncated: the token budget ended it: only the recipe's own format is then trusted to show an answer.
    """
    if teacher_format == "recipe":
        return _recipe(text, response_format, thinking)
    head, closed, tail = (thinking, True, text) if thinking is not None else _at_closing_tag(text)
    explicit = closed or bool(_ANSWER_OPEN.search(text))
    whole = text if thinking is None else f"{thinking}\n{text}"
    if teacher_format == "auto":
        teacher_format = "tags" if explicit else "boxed" if last_box(text) else "plain"
    found: list[str] = []
    if truncated:
        pass
    elif teacher_format == "boxed":
        found = [last_box(tail)]
    elif teacher_format == "plain" and thinking is None:
        head, found = whole, list(_readings(without_tags(text), of_all=False))
    elif explicit:
        found = list(_readings(tail))
    answers = tuple(dict.fromkeys(filter(None, map(_bare, found))))
    return ParsedCompletion(without_tags(head if answers else whole), answers)


def without_tags(text: str) -> str:
    """The text without think and answer tags, so that it can be put between such tags."""
    while _TAG.search(text):
        text = _TAG.sub("", text).strip()
    return text.strip()


def last_box(text: str) -> str:
    """What the last balanced `\\boxed{}` holds; empty where there is none."""
    boxes = {match.end() - 1 for match in _BOX.finditer(text)}
    opened: list[int] = []
    start = end = 0
    for brace in _BRACE.finditer(text) if boxes else ():
        if brace[0] == "{":
            opened.append(brace.start())
        elif opened and (begun := opened.pop()) in boxes and begun >= start:
            start, end = begun, brace.start()
    inside = text[start + 1 : end].strip()
    words = _TEXT_COMMAND.fullmatch(inside)
    return words[1].strip() if words else inside


_THINK_CLOSE = re.compile(r"</(?:think|thinking|thought|reasoning)>|<\|end_of_thought\|>|\[/THINK\]|◁/think▷", re.I)
_ANSWER_OPEN = re.compile(r"<answer>|<\|begin_of_solution\|>", re.I)
_ANSWER_CLOSE = re.compile(r"</answer>|<\|end_of_solution\|>", re.I)
_TAG = re.compile(
    r"</?(?:think|thinking|thought|reasoning|answer)>|<\|(?:begin|end)_of_(?:thought|solution)\|>|\[/?THINK\]|◁/?think▷",
    re.I,
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"(?<!\\)[{}]")
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_SAID = re.compile(
    r"(?:\bfinal\s+answer\b|\b(?:answer|solution)\b(?=\s+(?:is|are)\b|\W*:)"
    r"|^[#*_ \t]*(?:answer|solution|conclusion)[#*_: \t]*$)"
    r"(?:\s+(?:is|are)\b)?[\s*_:#]*",
    re.I | re.M,
)
"""What an answer is announced by: `Final Answer:`, `the answer is`, a heading."""
_PARAGRAPH = re.compile(r"\n\s*\n")
_ITEM = re.compile(r"[ \t]*(?:[-*•]|\(?\d+[.)]|\*\*|\|)\s*\S")


def _recipe(text: str, response_format: ResponseFormat, thinking: str | None) -> ParsedCompletion:
    if thinking is not None:
        answer = without_tags(_inside(text))
        return ParsedCompletion(
            without_tags(thinking if answer else f"{thinking}\n{text}"), (answer,) if answer else ()
        )
    parts = response_format.split(text)
    answer = without_tags(parts.answer or "")
    return ParsedCompletion(without_tags((parts.thinking or "") if answer else text), (answer,) if answer else ())


def _at_closing_tag(text: str) -> tuple[str, bool, str]:
    """What stands before and after the last closing think tag; before and after the answer tag where there is none."""
    closing = [*_THINK_CLOSE.finditer(text)]
    if closing:
        return text[: closing[-1].start()], True, text[closing[-1].end() :]
    opening = _ANSWER_OPEN.search(text)
    return (text[: opening.start()], False, text[opening.start() :]) if opening else (text, False, text)


def _readings(text: str, *, of_all: bool = True) -> Iterator[str]:
    """What the answer may be in a text that ends with it, the most explicit first; the whole text only if `of_all`."""
    if _ANSWER_OPEN.search(text):
        yield _inside(text)
        return
    announced = [text[match.end() :].strip() for match in _SAID.finditer(text)]
    if said := next(filter(None, reversed(announced)), ""):
        yield said
        yield _PARAGRAPH.split(said)[0]
    yield last_box(text)
    yield _last_list(text)
    if of_all:
        yield text.strip()
    yield _PARAGRAPH.split(text.strip())[-1]


def _last_list(text: str) -> str:
    """The last lines in a row that are items of a list, two at least."""
    lines = text.splitlines()
    end = len(lines)
    while end and not _ITEM.match(lines[end - 1]):
        end -= 1
    start = end
    while start and _ITEM.match(lines[start - 1]):
        start -= 1
    return "\n".join(lines[start:end]) if end - start > 1 else ""


def _bare(text: str) -> str:
    """A reading of the answer without tags, and without bold marks around it or cut off from their partners."""
    text = without_tags(text)
    if text.count("**") == 2 and text.startswith("**") and text.endswith("**"):
        return text.strip("*").strip()
    if text.count("**") % 2:
        text = (text.removesuffix("**") if text.endswith("**") else text.removeprefix("**")).strip()
    return text


def _inside(text: str) -> str:
    """What the last pair of answer tags holds, the closing one may be missing; the text itself without such tags."""
    opening = [*_ANSWER_OPEN.finditer(text)]
    if not opening:
        return text
    rest = text[opening[-1].end() :]
    closing = _ANSWER_CLOSE.search(rest)
    return rest[: closing.start()] if closing else rest
