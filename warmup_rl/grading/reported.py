"""What a text says that others say: a claim inside a quotation, or one whose verb of saying has another subject."""

from __future__ import annotations

import re
from collections.abc import Callable

_SPEECH = (
    r"sa(?:ys?|id|ying)|(?<=to )state|state(?=\s(?:that|the)\b)|stat(?:es|ed|ing|ements?)|claim\w*|assert\w*|tell(?:s|ing)?|told|"
    r"declar\w+|mention\w*|insist\w*|argu(?:es?|ed|ing)|hint\w*|think\w*|thought|believ\w+|guess\w*|opinions?"
)
"""Saying and thinking; `shows`, `means` and `implies` are inferences, whoever their subject is."""
_EVIDENCE = r"suggest\w*|indicat\w+|reveal\w*"
_ADVERBS = r"(?:(?:[a-z]+ly|would|could|can|will|must|should|may|might|now|also|to|have|had|do)\s){0,3}"
_SAID = re.compile(rf"\b(?:({_EVIDENCE})|{_SPEECH})\b", re.IGNORECASE)
_OWN = re.compile(
    rf"(?:\b(?:I|we|us|let me)|\b(?:my|our)(?:\s(?:own|[\w-]+)){{1,3}}|(this|that|these|those))\s{_ADVERBS}$", re.IGNORECASE
)
_ENDED = re.compile(
    r"[.;!?\n]|,(?!(?:[^,]*,)?\s*that\b)|\b(?:so|then|therefore|thus|hence|but)\b", re.IGNORECASE
)
_SAYS_NEXT = re.compile(r"[\s)\].'\"*]*,?\s*(?:according to (?!my\b|our\b)|says?\b|claims?\b)", re.IGNORECASE)
_QUOTED = re.compile(
    r"(?<!\w)(?:\"([^\"\n]{1,300})\"|\u201c([^\u201c\u201d\n]{1,300})\u201d|`([^`\n]{1,300})`"
    r"|['\u2018](?=\S)((?:[^'\u2018\u2019\n]|(?<=\w)['\u2019](?=\w)){1,300})(?<=\S)['\u2019])(?!\w)"
)
_EDGES = " \t\n*_>.:!"


def is_reported(before: str) -> bool:
    """Whether the text before a claim gives it to somebody else: `The note says that the answer is`. A verb of saying
    counts up to the end of its clause, unless the writer is its subject: `I would say the answer is`."""
    said = [*_SAID.finditer(before)][-1:]
    if not said or _ENDED.search(before, said[0].end()):
        return False
    own = _OWN.search(before[: said[0].start()])
    return not own or bool(own[1]) and not said[0][1]


def without_quotations(text: str, claims: Callable[[str], object]) -> str:
    """The text with `...` for each quotation, in quotation marks or code ticks, that claims something; not for one that
    is the whole text, or the last line where no colon announces it."""

    def shortened(quotation: re.Match[str]) -> str:
        if not claims(next(filter(None, quotation.groups()))):
            return quotation[0]
        line = text.rfind("\n", 0, quotation.start()) + 1
        alone = not text[line : quotation.start()].strip(_EDGES) and len(text) - quotation.end() < 9
        own = alone and not text[quotation.end() :].strip(_EDGES) and not text[:line].rstrip().endswith(":")
        return quotation[0] if own else "..."

    return _QUOTED.sub(shortened, text)
