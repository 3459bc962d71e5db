"""The answer that a whole text states, for completions whose answer stands in no tags.

One rule for all kinds of answers, which graders of special kinds refine: the last box; else what follows the last
`answer is`, `answer:` or `####`; else the last line.
"""

from __future__ import annotations

import re

_STATED = re.compile(r"####|\banswer\s*(?:\b(?:is|should be|must be|would be|equals)\b\s*:?|[:=])", re.IGNORECASE)
_EMPHASIS = re.compile(r"\*\*|__|`")
FORMULA = re.compile(r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<![\w\\$])\$([^$\n]*[^\s$])\$(?!\d)", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\$?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?(?:e[-+]?\d+)?(?![\w])%?", re.IGNORECASE)
_WORDS = re.compile(r"(?<!\\)\b(?:[^\W\d_]{3,}|[A-Z][a-z])\b")


def boxed(text: str) -> str | None:
    """The content of the last balanced `\\boxed{}` or `\\fbox{}`; None where there is none or it is empty."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    depth, opening = 0, text.index("{", start)
    for position in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[opening + 1 : position].strip() or None
    return None


def stated(text: str) -> str:
    """What follows the last `answer is`, `answer:` or `####`, up to the end of its line; else the last line.

    Markdown emphasis and a final full stop are removed. Empty where the text is.
    """
    text = _EMPHASIS.sub("", text).strip()
    found = [match.end() for match in _STATED.finditer(text)]
    after = text[found[-1] :].strip() if found else ""
    line = after.splitlines()[0] if after else (text.splitlines() or [""])[-1]
    return line.strip().removesuffix(".").strip()


def stated_mathematics(text: str) -> str | None:
    """As `stated`, with formulas and numbers taken out of the sentence around them; None where there are none.

    The last box comes first; then the last formula between dollars or `\\(...\\)` in what is stated; then, where words
    stand around it, its last number.
    """
    if (content := boxed(text)) is not None:
        return content
    line = stated(text)
    if formulas := [next(filter(None, groups)) for groups in FORMULA.findall(line)]:
        return str(formulas[-1]).strip()
    if not _WORDS.search(line):
        return line or None
    numbers = _NUMBER.findall(line)
    return numbers[-1].replace("$", "").strip() if numbers else None
