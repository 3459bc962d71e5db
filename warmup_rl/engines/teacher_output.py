"""Separates thinking and answer in a teacher's text, whatever its layout, so that they can be rendered again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from warmup_rl.interfaces.format import ResponseFormat

TeacherFormat = Literal["recipe", "tags", "plain", "boxed", "auto"]
"""The layout of a teacher's text.

`recipe`: the recipe's format. `tags`: thinking up to the last closing think tag, with or without an opening one, then
prose or answer tags. `plain`: no tags; all of it is thinking, which ends in the answer. `boxed`: the answer is the last
balanced `\\boxed{}`. `auto`: chosen for each completion by its content.
"""

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
_ANNOUNCEMENT = re.compile(
    r"(?:\bfinal\s+answer\b|\b(?:answer|solution)\b(?=\s+(?:is|are)\b|\W*:)"
    r"|^[#*_ \t]*(?:answer|solution|conclusion)[#*_: \t]*$)"
    r"(?:\s+(?:is|are)\b)?[\s*_:#]*",
    re.I | re.M,
)
"""`Final Answer:`, `the answer is`, a heading."""
_MARK = re.compile(r"<\|(?:end|return|start|channel|call|im_start|im_end)\|>(?:assistant)?|<channel\|>")
_CHANNEL = re.compile(
    r"<\|(?:channel\|?|im_start\|(?=>(?:think|answer)\b))>[ \t]*(\w+)(?:[^\n]{0,100}?<\|message\|>|[ \t]*\n)"
    rf"(.*?)(?={_MARK.pattern}|\Z)",
    re.DOTALL,
)
"""A message in a channel: its name and its text."""
_FINAL = ("final", "answer")
_WITHOUT_MARKS = re.compile(r"analysis(?=\S)(.*)assistantfinal(.*)", re.DOTALL)
"""Channels of gpt-oss as they are decoded without special tokens."""
_PARAGRAPH = re.compile(r"\n\s*\n")
_ITEM = re.compile(r"[ \t]*(?:[-*•]|\(?\d+[.)]|\*\*|\|)\s*\S")


@dataclass(frozen=True, slots=True)
class ParsedCompletion:
    """A completion without tags: the thinking, which is the whole text if there is no answer, and candidates for the
    answer, the most explicit first; use the first that the grader can read."""

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
        text: what the teacher wrote; only the answer part if `thinking` is given separately.
        truncated: the token budget ended it: only the recipe's own format can then show an answer.
    """
    if thinking is None:
        text, thinking = of_channels(text)
    whole = text if thinking is None else f"{thinking}\n{text}"
    if teacher_format == "recipe":
        parts = response_format.split(text)
        found = [(parts.answer or "") if thinking is None else _inside_tags(text)]
        head = (parts.thinking or "") if thinking is None else thinking
        answers = tuple(filter(None, map(without_tags, found)))
        return ParsedCompletion(without_tags(head if answers else whole), answers)
    head, closed, tail = (thinking, True, text) if thinking is not None else _split_at_closing_tag(text)
    explicit = closed or bool(_ANSWER_OPEN.search(text))
    if teacher_format == "auto":
        teacher_format = "tags" if explicit else "boxed" if last_box(text) else "plain"
    found = []
    if truncated:
        pass
    elif teacher_format == "boxed":
        found = [last_box(tail)]
    elif teacher_format == "plain" and thinking is None:
        head, found = whole, list(_candidates(without_tags(text), whole_text=False))
    elif explicit:
        found = list(_candidates(tail))
    answers = tuple(dict.fromkeys(filter(None, map(_plain, found))))
    return ParsedCompletion(without_tags(head if answers else whole), answers)


def of_channels(text: str) -> tuple[str, str | None]:
    """Answer and thinking of a text in channels, such as gpt-oss's `<|channel|>analysis<|message|>...<|end|>`, Gemma's
    `<|channel>thought ...<channel|>` or s1's `<|im_start|>think ...`; other texts unchanged, without thinking.

    The answer is in the last channel `final` or `answer`, else behind the last one; the thinking is in all others.
    """
    if stripped := _WITHOUT_MARKS.fullmatch(text.strip()):
        return stripped[2].strip(), stripped[1].strip()
    found = [*_CHANNEL.finditer(text)]
    if not found:
        return text, None
    final = [message[2] for message in found if message[1] in _FINAL]
    thinking = "\n\n".join(message[2].strip() for message in found if message[1] not in _FINAL)
    return (final[-1] if final else _MARK.sub("", text[found[-1].end() :])).strip(), thinking


def without_tags(text: str) -> str:
    """The text without think and answer tags, so that it can be put between such tags."""
    while _TAG.search(text):
        text = _TAG.sub("", text).strip()
    return text.strip()


def last_box(text: str) -> str:
    """The content of the last balanced `\\boxed{}`; empty if there is none."""
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


def _split_at_closing_tag(text: str) -> tuple[str, bool, str]:
    """The text before and after the last closing think tag, otherwise before and from the first answer tag on."""
    if closing := [*_THINK_CLOSE.finditer(text)]:
        return text[: closing[-1].start()], True, text[closing[-1].end() :]
    opening = _ANSWER_OPEN.search(text)
    return (text[: opening.start()], False, text[opening.start() :]) if opening else (text, False, text)


def _candidates(text: str, *, whole_text: bool = True) -> Iterator[str]:
    """Possible answers in a text that ends with the answer, the most explicit first."""
    if _ANSWER_OPEN.search(text):
        yield _inside_tags(text)
        return
    announced = [text[match.end() :].strip() for match in _ANNOUNCEMENT.finditer(text)]
    if last := next(filter(None, reversed(announced)), ""):
        yield last
        yield _PARAGRAPH.split(last)[0]
    yield last_box(text)
    yield _last_list(text)
    if whole_text:
        yield text.strip()
    yield _PARAGRAPH.split(text.strip())[-1]


def _last_list(text: str) -> str:
    """The last consecutive lines that are items of a list, at least two."""
    lines = text.splitlines()
    end = len(lines)
    while end and not _ITEM.match(lines[end - 1]):
        end -= 1
    start = end
    while start and _ITEM.match(lines[start - 1]):
        start -= 1
    return "\n".join(lines[start:end]) if end - start > 1 else ""


def _plain(text: str) -> str:
    """A candidate without tags, and without bold marks around it or cut off from their partners."""
    text = without_tags(text)
    if text.count("**") == 2 and text.startswith("**") and text.endswith("**"):
        return text.strip("*").strip()
    if text.count("**") % 2:
        text = (text.removesuffix("**") if text.endswith("**") else text.removeprefix("**")).strip()
    return text


def _inside_tags(text: str) -> str:
    """The content of the last answer tags, of which the closing one may be missing; the text itself without tags."""
    opening = [*_ANSWER_OPEN.finditer(text)]
    if not opening:
        return text
    rest = text[opening[-1].end() :]
    closing = _ANSWER_CLOSE.search(rest)
    return rest[: closing.start()] if closing else rest
