"""The response format of a recipe: the one place where think and answer tags are joined and split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from warmup_rl.base.config import Config

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"


@dataclass(frozen=True, slots=True)
class ResponseParts:
    """A completion taken apart.

    Attributes:
        thinking: None where no think block was closed.
        answer: None where there is no answer part at all (the thinking never ended).
        well_formed: exactly the recipe's format, nothing beside it but white space.
        tagged: whether the answer part has an answer tag.
    """

    thinking: str | None
    answer: str | None
    well_formed: bool
    tagged: bool = False


class ResponseFormat(Config):
    """How a completion is laid out; one a recipe, for traces, RLVR and evaluation alike."""

    think: Literal["open", "free"] = "open"
    """`open`: every prompt ends with the think tag open, as in the paper; `free`: the tag is left to the model."""

    @classmethod
    def for_prompt(cls, style: str) -> ResponseFormat:
        """The format of completions under a prompt style of `evaluate`: only `open` opens the think tag."""
        return cls(think="open" if style == "open" else "free")

    def opening(self) -> str:
        """What the prompt ends with after the chat template's generation prompt."""
        return f"{THINK_OPEN}\n" if self.think == "open" else ""

    def render(self, *, thinking: str, answer: str) -> str:
        """The completion that follows the prompt; the end token is the chat template's affair."""
        opening = "" if self.think == "open" else f"{THINK_OPEN}\n"
        return f"{opening}{thinking.strip()}\n{THINK_CLOSE}\n{ANSWER_OPEN} {answer.strip()} {ANSWER_CLOSE}"

    def split(self, text: str) -> ResponseParts:
        """Takes a completion apart.

        The lenient answer is the text after the last closing think tag, inside the last pair of answer tags there if
        a pair is there. A completion without think tags is all answer when the tag is left to the model, and has no
        answer when the prompt opened the tag (the thinking never ended).
        """
        head, closed, tail = text.rpartition(THINK_CLOSE)
        if not closed:
            unclosed = self.think == "open" or THINK_OPEN in text
            return ResponseParts(None, None if unclosed else inside_answer(text), False, ANSWER_OPEN in text)
        thinking = head.strip().removeprefix(THINK_OPEN) if self.think == "free" else head
        formed = self._well_formed(head, tail)
        return ResponseParts(thinking.strip(), inside_answer(tail), formed, ANSWER_OPEN in tail)

    def _well_formed(self, head: str, tail: str) -> bool:
        opened = head.count(THINK_OPEN)
        if self.think == "free":
            start_ok = opened == 1 and head.lstrip().startswith(THINK_OPEN)
        else:
            start_ok = opened == 0
        body = tail.strip()
        tags_ok = body.startswith(ANSWER_OPEN) and body.endswith(ANSWER_CLOSE)
        once = all(
            (head + tail).count(tag) == number
            for tag, number in ((THINK_CLOSE, 0), (ANSWER_OPEN, 1), (ANSWER_CLOSE, 1))
        )
        return start_ok and tags_ok and once and THINK_OPEN not in tail


def inside_answer(text: str) -> str:
    """The text inside the last answer tags, or all of it where there are none."""
    _, opened, rest = text.rpartition(ANSWER_OPEN)
    if not opened:
        return text.replace(ANSWER_CLOSE, "").strip()
    return rest.partition(ANSWER_CLOSE)[0].strip()
