"""What a text says that others say (a claim inside a quotation, or one whose verb of saying has another subject), and
what it takes back."""

from __future__ import annotations

import re
from collections.abc import Callable

_SPEECH = (
    r"sa(?:ys?|id|ying)|(?<=to )state|state(?=\s(?:that|the)\b)|stat(?:es|ed|ing)|claim\w*|assert\w*|told|declar\w+|"
    r"mention\w*|insist\w*|argu(?:es?|ed|ing)|hint\w*|think\w*|thought|believ\w+|guess\w*|opinions?|"
    r"statements?(?=\W{1,3}(?:that\s)?(?:the\s)?(?:[a-z]+\s)?$)"
)
"""Saying and thinking; `shows`, `means` and `implies` are inferences, whoever their subject is."""
_EVIDENCE = r"suggest\w*|indicat\w+|reveal\w*|tell(?:s|ing)?"
"""What `this` may do as well, as part of the writer's reasoning."""
_ADVERBS = r"(?:(?:[a-z]+ly|would|could|can|will|must|should|may|might|now|also|to|have|had|do)\s){0,3}"
_VERB = rf"(?<![\w/<])(?:({_EVIDENCE})|{_SPEECH})\b"
_SAID = re.compile(_VERB, re.IGNORECASE)
_SAID_NEXT = re.compile(rf"[\s)\].'*]*,\s(?:((?:[\w'-]+\s){{1,3}}){_VERB}(?=[.!,]|$)|{_VERB})", re.IGNORECASE)
_OWN = re.compile(
    rf"(?:\b(?:I|we|us|let me|let)(?:['\u2019][a-z]+)?|\b(?:my|our)(?:\s[\w-]+){{0,3}}|\b(this|that|these|those))\s"
    rf"{_ADVERBS}$",
    re.IGNORECASE,
)
_ENDED = re.compile(
    r"[.;!?\n]|,(?!(?:[^,]*,)?\s*that\b)|\b(?:so|then|therefore|thus|hence|but|and (?:I|we))\b", re.IGNORECASE
)
_QUOTED = re.compile(
    r"(?<!\w)(?:\"([^\"\n]{1,300})\"|\u201c([^\u201c\u201d\n]{1,300})\u201d|`([^`\n]{1,300})`"
    r"|['\u2018](?=\S)((?:[^'\u2018\u2019\n]|(?<=\w)['\u2019](?=\w)){1,300})(?<=\S)['\u2019])(?!\w)"
    r"|[\u300c\u300e]([^\u300c-\u300f\n]{1,300})[\u300d\u300f]"
)
REASON = re.compile(r"\b(?:because|since|(?<!well )as(?! well)|due|for|whereas|while|where)\b", re.IGNORECASE)
_TAKEN_BACK = re.compile(
    r"[\s')\]}]*(?:(?:is|was)\s(?:wrong|false|incorrect|not)|if|unless)\b"
    r"|[^.(\n]*\b(?:but|however)\b[^.(\n]*(?:\b(?:not|wrong|incorrect|false)\b|n't\b)",
    re.IGNORECASE,
)
_TAKEN_BACK_LATER = re.compile(
    r"[^.\n]{0,80}[.,;]\s+(?:but|however),?\s+(?:this|that|it)\b[^.,\n]{0,20}"
    r"\b(?:wrong|incorrect|false|not (?:right|correct))\b(?!\s+(?:to|that)\b)",
    re.IGNORECASE,
)
_EDGES = " \t\n*_>.:!"
_CONCLUDED = re.compile(
    r"(?:^|[,;]\s)\W*(?:(?:so|then|therefore|thus|hence)\b,?\s?"
    r"|(?:(?:the|my)\s)?(?:[a-z]+,?\s){0,3}(?:answer|choice)\s(?:is|would be)\b){1,2}\W*$",
    re.IGNORECASE,
)
"""The writer's own conclusion, before a quotation that is all of it."""


def is_reported(before: str, behind: str = "") -> bool:
    """Whether the text around a claim gives it to somebody else: `The note says that the answer is`. A verb of saying
    counts up to the end of its clause, unless the writer is its subject: `I would say the answer is`."""
    if (next_said := _SAID_NEXT.match(behind)) and not (next_said[1] and _OWN.search(next_said[1])):
        return True
    said = [*_SAID.finditer(before)][-1:]
    if not said or _ENDED.search(before, said[0].end()):
        return False
    own = _OWN.search(before[: said[0].start()])
    return not own or bool(own[1]) and not said[0][1]


def is_taken_back(behind: str) -> bool:
    """Whether what stands behind a claim takes it back: `but that is wrong`. Its reason may deny anything else."""
    return bool(_TAKEN_BACK.match(REASON.split(behind, maxsplit=1)[0]) or _TAKEN_BACK_LATER.match(behind))


def without_quotations(text: str, claims: Callable[[str], object]) -> str:
    """The text with `...` for each quotation, in quotation marks or code ticks, that claims something; not for one that
    ends the text, where it is the whole line, which no colon announces, or the writer concludes with it."""

    def shortened(quotation: re.Match[str]) -> str:
        if not claims(next(filter(None, quotation.groups()))):
            return quotation[0]
        if len(text) - quotation.end() > 8 or text[quotation.end() :].strip(_EDGES):
            return "..."
        lines, _, line = text[: quotation.start()].rpartition("\n")
        sentence = re.split(r"[.!?\n]\s", text[max(0, quotation.start() - 80) : quotation.start()].strip())[-1]
        own = not line.strip(_EDGES) and not lines.rstrip().endswith(":")
        return quotation[0] if own or _CONCLUDED.search(sentence) and not _SAID.search(sentence) else "..."

    return _QUOTED.sub(shortened, text)
