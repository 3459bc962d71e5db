"""The response format of a recipe: the one place where think and answer tags are asked for, joined and split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from warmup_rl.base.config import Config
from warmup_rl.base.types import Message

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"

_PAIR = re.compile(f"{ANSWER_OPEN}(?:((?:(?!{ANSWER_OPEN}).)*?){ANSWER_CLOSE})?", re.DOTALL)
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
_ANSWER_LINE = re.compile(r"^[^\w\n]*(?:[A-Za-z]+ ){0,2}answer\W{0,3}:", re.MULTILINE | re.IGNORECASE)
_NEAR = 40
"""Characters around tags in which words are looked for."""
_GOES_ON = re.compile(r",? [a-z]")

Style = Literal["open", "free", "plain"]
"""How a prompt treats the tags. `open`: it asks for them and ends with the think tag open, as in the paper; `free`: it
asks for them and leaves them to the model; `plain`: it does not mention them."""
STYLES: tuple[Style, ...] = get_args(Style)

_INSTRUCTIONS: dict[Style, str] = {
    "open": f"First reason, and close the reasoning with {THINK_CLOSE}. "
    f"Then write only the final answer between {ANSWER_OPEN} and {ANSWER_CLOSE}.",
    "free": f"First reason between {THINK_OPEN} and {THINK_CLOSE}. "
    f"Then write only the final answer between {ANSWER_OPEN} and {ANSWER_CLOSE}.",
    "plain": "",
}


@dataclass(frozen=True, slots=True)
class ResponseParts:
    """A completion taken apart.

    Attributes:
        thinking: None where no think block was closed.
        answer: None where there is no answer part at all (the thinking never ended); `tagged` if it has an answer tag.
        well_formed: exactly the recipe's format, nothing beside it but white space.
    """

    thinking: str | None
    answer: str | None
    well_formed: bool
    tagged: bool = False


class ResponseFormat(Config):
    """How a completion is laid out; one for traces, RLVR and evaluation of an arm."""

    think: Style | Literal["auto"] = "open"
    """`open`: the prompt asks for the tags and ends with the think tag open, as in the paper; `free`: it asks for them
    and leaves them to the model; `plain`: it does not mention them; `auto`: the one of these under which the untouched
    model does best on validation problems."""
    instruction: str | None = None
    """Sentence after the question that asks for the tags; an empty text for none. Default: a sentence of our own, none
    for `plain` and where questions are terse."""

    def under(self, style: str) -> ResponseFormat:
        """The format of completions under a prompt style of `evaluate`: few-shot prompts do not mention the tags.

        An instruction of the recipe stays, except under `plain`; ours follows the style.
        """
        think: Style = style if style in STYLES else "plain"  # type: ignore[assignment]
        own = self.instruction is None or self.instruction in filter(None, _INSTRUCTIONS.values())
        asked = "" if think == "plain" else _INSTRUCTIONS[think] if own else self.instruction
        return self.model_copy(update={"think": think, "instruction": asked})

    def asks(self, *, terse: bool) -> ResponseFormat:
        """The format with its instruction written out; none where questions are terse."""
        if self.instruction is not None:
            return self
        if terse:
            return self.model_copy(update={"instruction": ""})
        return self if self.think == "auto" else self.under(self.think)

    def ask(self, messages: Sequence[Message]) -> list[Message]:
        """The messages with the instruction after the last question."""
        if not self.instruction:
            return list(messages)
        *before, last = messages
        return [*before, {**last, "content": f"{last['content']}\n\n{self.instruction}"}]

    def opening(self) -> str:
        """What the prompt ends with after the chat template's generation prompt."""
        return f"{THINK_OPEN}\n" if self.think == "open" else ""

    def render(self, *, thinking: str, answer: str) -> str:
        """The completion that follows the prompt; the end token is added by the chat template."""
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
            return ResponseParts(None, None if unclosed else inside_answer(text), False, tagged(text))
        thinking = head if self.think == "open" else head.strip().removeprefix(THINK_OPEN)
        formed = self._well_formed(head, tail)
        return ResponseParts(thinking.strip(), inside_answer(tail), formed, tagged(tail))

    def _well_formed(self, head: str, tail: str) -> bool:
        opened = head.count(THINK_OPEN)
        start_ok = opened == 0 if self.think == "open" else opened == 1 and head.lstrip().startswith(THINK_OPEN)
        body = tail.strip()
        tags_ok = body.startswith(ANSWER_OPEN) and body.endswith(ANSWER_CLOSE)
        counts = [(head + tail).count(tag) for tag in (THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE)]
        return start_ok and tags_ok and counts == [0, 1, 1] and THINK_OPEN not in tail


def without_tags(text: str) -> str:
    """The text without think and answer tags, such as a closing one that was never opened."""
    text = _without_mentions(text)
    for tag in (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE):
        text = text.replace(tag, "\n")
    return text.strip()


def inside_answer(text: str) -> str:
    """The text inside the last answer tags that are its own, or all of it where there are none.

    Tags are not its own but mentioned where they stand in quotation marks or code ticks and words follow, or where
    they stand in a sentence and a line such as `Final answer: B` follows, or the sentence goes on and another paragraph
    follows.
    """
    own = [pair for pair, mentioned in _pairs(text) if not mentioned]
    if not own:
        return _without_mentions(text).replace(ANSWER_CLOSE, "").strip()
    return (text[own[-1].end() :] if own[-1][1] is None else own[-1][1]).strip()


def tagged(text: str) -> bool:
    """Whether the text has answer tags of its own."""
    return not all(mentioned for _, mentioned in _pairs(text))


def _without_mentions(text: str) -> str:
    """The text without tags that are only mentioned, nor what is quoted in them."""
    parts, end = list[str](), 0
    for pair, mentioned in _pairs(text):
        if mentioned:
            parts += [text[end : pair.start()], "..." if _quoted(text, pair) else pair[1] or ""]
            end = pair.end()
    return "".join([*parts, text[end:]])


def _pairs(text: str) -> Iterator[tuple[re.Match[str], bool]]:
    """Each pair of answer tags, or opening one without the other, and whether it is only mentioned."""
    last_paragraph = text.rstrip().rfind("\n\n")
    last_line = max((found.start() for found in _ANSWER_LINE.finditer(text)), default=-1)
    for pair in _PAIR.finditer(text):
        end, line = pair.end(), text[max(0, pair.start() - _NEAR) : pair.start()].rpartition("\n")[2]
        quoted = _quoted(text, pair) and (pair[1] is None or any(map(str.isalnum, text[end : end + _NEAR])))
        answered_later = last_line >= end and any(map(str.isalnum, line))
        goes_on = last_paragraph >= end and bool(_GOES_ON.match(text, end))
        yield pair, quoted or pair[1] is not None and (answered_later or goes_on)


def _quoted(text: str, pair: re.Match[str]) -> bool:
    return {text[pair.start() - 1 : pair.start()], text[pair.end() : pair.end() + 1]} <= {*_QUOTES}
