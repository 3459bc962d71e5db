"""The answer that a whole text states, for completions whose answer stands in no tags.

One rule for all kinds of answers, which graders of special kinds refine: the last box; else what follows the last
`answer is`, `answer:` or `#### 18`; else the last line.
"""

from __future__ import annotations

import re
import textwrap

from warmup_rl.grading.reported import is_reported, is_taken_back

_LINE = 2_000
"""Characters of a line that are read."""
_BEFORE, _BEHIND = 80, 300
"""Characters around a mark that say whose answer it is."""
MARK = re.compile(
    r"####(?=[^\w\n]{0,9}(?:(?<=\\)[a-z]{1,20}[^\w\n]{0,9}){0,2}\d)(?![^\w\n]{0,9}\d{1,3}[.):][^\S\n]+\S)"
    r"(?!(?<=^####)(?>[^\n]*?(?<!\\)\b[^\W\d_]{3})(?>[^\n]*)\n\s*\n)|^####(?=[^\n]*\Z)",
    re.MULTILINE,
)
"""The mark of GSM8K before a number, unless that numbers a heading or begins one of a paragraph; or before the last
line."""
_STATED = re.compile(
    rf"{MARK.pattern}|\banswer\s{{0,3}}(?:\b(?:is|should be|must be|would be|equals)\b\s{{0,3}}:?|[:=])",
    re.IGNORECASE | re.MULTILINE,
)
_CHAT = re.compile(r"<[|\uff5c][^<>\n]{1,40}[|\uff5c]>")
"""A mark of a chat template, such as `<|im_end|>`."""
_NO_LINE = re.compile(r"[-*_=~\s]*|</?\w{1,20}>")
"""A line that is empty, a rule, or a tag."""
_LABEL = re.compile(r"\A[^\x00-\u03ff](?:[^\x00-\u03ff]|\s){0,40}?[:\uff1a]\s*")
"""Words in a script other than Latin or Greek before a colon, which are no mathematics."""
_OR_THE = re.compile(
    r"\bor\s{1,3}(?:[a-z]{1,20}\s{1,3})?(?:the\s{1,3})?(?:[a-z]{1,20}\s{1,3})?answer\s{0,3}(?:\w{2,6}(?:\sbe)?)?\s{0,3}:?$"
)
"""The mark of a second answer in one sentence: `it is 11, or else the answer is 12`."""
_EMPHASIS = re.compile(r"\*\*|__|`")
_JOINED = re.compile(
    r"(?:\s|,|;|\$|\\[()\[\]]|\\q?quad|\\text|\b[a-zA-Z](?:_\w|_\{\w{1,3}\})?\s?=|\{|\}|\b(?:and|or)\b)*"
)
"""What stands between boxes that are members of one list."""
_SEPARATES = re.compile(r"[,;]|\b(?:and|or)\b")
_REFUTED = re.compile(r"\bnot[\s$(*]*$", re.IGNORECASE)
_OR = re.compile(r",?\s{1,3}(?:or|and)\s{1,3}")
_COMMA_OR = re.compile(rf"{_OR.pattern}|,\s{{1,3}}")
_STEP = re.compile(r"[^\W\d]{1,20} 1:\s")
"""Begins the first of several steps."""
_MAX_BOXES, _NEAR = 20, 40
_DISPLAY = re.compile(
    r"\$\$(?:[^$]{0,300})\$\$|\\\[(?:[^\]]{0,300})\\\]|\\begin\{(\w{1,20})\}.{0,300}?\\end\{\1\}", re.DOTALL
)
FORMULA = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<![\w\\$])\$([^$\n]*[^\s$])\$(?!\d)"
    r"|(?<![\w\\$])\$(?=\s[^$\n]*\\)\s([^$\n]*\S)\s\$(?!\d)",
    re.DOTALL,
)
"""A formula in a text, in one of five groups."""
_OF_SYMBOL = re.compile(r"\W{0,6}(?:is|are|equals)\s{1,3}(?=[-+$]?\d)")
"""What stands between a symbol and its value."""
_NUMBER = re.compile(
    r"(?<![\w.])[-+]?\$?(?>\d[\d,]*(?:\.\d+)?(?:\s?/\s?\d+|(?::\d+)+)?(?:e[-+]?\d+)?)"
    r"(?:(?!st\b|nd\b|rd\b|th\b|s\b)[^\W\d_]{1,4}[\u00b2\u00b3]?)?(?!\w)%?",
    re.IGNORECASE,
)
_WORDS = re.compile(r"(?<!\\)\b(?:[^\W\d_]{3,}|[A-Z][a-z])\b")
_REMARK = re.compile(r"(?<=\w)\s{1,3}\([^()]{0,200}(?<![\\\w])[^\W\d_]{3}[^()]{0,200}\)\W{0,3}$")
"""Words in brackets behind an answer."""
_FENCE = re.compile(r"^( {0,3})```[ \t]{0,4}([\w.+#-]{0,40})[ \t]{0,4}$", re.MULTILINE)


def without_chat_marks(text: str) -> str:
    """The text with a line break for each mark of a chat template, such as `<|im_end|>`."""
    return _CHAT.sub("\n", text)


def said_lines(text: str) -> list[str]:
    """The lines of a text, stripped, without those that are empty, a rule such as `---`, or a tag."""
    return [line for line in map(str.strip, text.splitlines()) if not _NO_LINE.fullmatch(line)]


def boxed(text: str) -> str | None:
    """The content of the last balanced `\\boxed{}` or `\\fbox{}`; None where there is none or it is empty."""
    found = last_box(text)
    return found[1] if found else None


def last_box(text: str) -> tuple[int, str, int] | None:
    """Start, content, and end of the last box, if it is balanced and not empty."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    depth, opening = 0, text.index("{", start)
    for position in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            content = text[opening + 1 : position].strip()
            return (start, content, position + 1) if content else None
    return None


def boxes(text: str) -> str | None:
    """The content of the last box, joined by commas with those before it that only a comma, a name such as `x=`, or
    `and` separates from it; once where the same box is only written again. None where there is no box, the last one is
    unbalanced or empty, or `not` stands before it."""
    box = last_box(text)
    if box is None or _REFUTED.search(text[max(0, box[0] - _NEAR) : box[0]]):
        return None
    members, listed = [box[1]], False
    while len(members) < _MAX_BOXES and (before := last_box(text[: box[0]])):
        between = text[before[2] : box[0]]
        if len(between) > _NEAR or not _JOINED.fullmatch(between):
            break
        members.insert(0, before[1])
        listed |= bool(_SEPARATES.search(between))
        box = before
    return ", ".join(members) if listed or len(set(members)) > 1 else members[0]


def blocks(text: str) -> list[tuple[str, str, bool]]:
    """Language, content, and whether it is closed, of each fenced block. A fence stands at the beginning of a line,
    behind at most three blanks as in a list; inside a block only one as far in as its first counts. A fence with a
    language opens a block even where the one before is not closed."""
    found: list[tuple[str, str, bool]] = []
    start, language, margin = -1, "", ""
    for fence in _FENCE.finditer(text):
        if start >= 0 and fence[1] != margin:
            continue
        if start >= 0:
            inner = text[start : fence.start()]
            found.append((language, textwrap.dedent(inner) if margin else inner, not fence[2]))
        start, language = (fence.end(), fence[2].lower()) if start < 0 or fence[2] else (-1, "")
        margin = fence[1]
    return [*found, (language, text[start:], False)] if start >= 0 else found


def last_block(text: str) -> str | None:
    """The content of the last closed fenced block; None where there is none."""
    return next((content for _, content, closed in reversed(blocks(text)) if closed), None)


def stated(text: str) -> str:
    """What follows the last `answer is`, `answer:` or `#### 18`, up to the end of its line; else, and where the first
    of several steps follows, the last line that is no rule, tag or mark of a chat template.

    Markdown emphasis and a final full stop are removed; a displayed formula counts as part of the line before. Empty
    where the text is, where `or` joins the last mark to another answer, and where the answer is taken back or, in the
    last line, only reported (`Tom says the answer is 7`).
    """
    text = _DISPLAY.sub(lambda found: found[0].replace("\n", " "), _EMPHASIS.sub("", without_chat_marks(text))).strip()
    marks, end = [*_STATED.finditer(text)], len(text)
    while marks and _is_reported(marks[-1]):
        end = marks.pop().start()
    after = text[marks[-1].end() : end].strip() if marks else ""
    if not after or _STEP.match(after) and "\n" in after:
        *_, line = ["", *said_lines(text)]
        reported = end < len(text) and _STATED.search(line)
        return "" if reported else line.lstrip("# ").removeprefix("A:")[-_LINE:].strip().removesuffix(".").strip()
    start = marks[-1].end()
    hedged = _OR_THE.search(text, max(0, start - _NEAR), start) or is_taken_back(after[:_BEHIND])
    return "" if hedged else after.splitlines()[0][:_LINE].strip().removesuffix(".").strip()


def _is_reported(mark: re.Match[str]) -> bool:
    return mark[0] != "####" and is_reported(mark.string[max(0, mark.start() - _BEFORE) : mark.start()])


def stated_mathematics(text: str) -> str | None:
    """As `stated`, with formulas and numbers taken out of the sentence around them; None where there are none.

    The last box comes first; then the last formula between dollars or `\\(...\\)` in what is stated, with those that
    `and` or `or` joins to it, or the number that a formula without digits is said to be (`the largest $n$ is 34`);
    then, where words stand around it, its last number with a unit written onto it.
    """
    if last_box(text) is not None:
        return boxes(text)
    line = _LABEL.sub("", _REMARK.sub("", stated(text)))
    if formulas := [*FORMULA.finditer(line)]:
        last = formulas[-1]
        formula, behind = _inner(last), line[last.end() :]
        members = formulas[_first(line, formulas, _COMMA_OR) if _first(line, formulas[-2:]) == 0 else -1 :]
        if _REFUTED.search(line[: members[0].start()]):
            return None
        value = _OF_SYMBOL.match(behind)
        number = _NUMBER.match(behind, value.end()) if value and not any(map(str.isdigit, formula)) else None
        return number[0].replace("$", "") if number else ", ".join(map(_inner, members))
    if not _WORDS.search(line):
        return line or None
    return _last_numbers(line)


def _last_numbers(line: str) -> str | None:
    """The last number of a line, with those that `or` or `and` joins to it; None where there is none or `not` stands
    before it."""
    found = [*_NUMBER.finditer(line)]
    first = _first(line, found)
    if not found or _REFUTED.search(line[: found[first].start()]):
        return None
    return line[found[first].start() : found[-1].end()].replace("$", "").strip()


def _first(line: str, found: list[re.Match[str]], joint: re.Pattern[str] = _OR) -> int:
    """The place of the first match from which on only joints stand between them."""
    first = len(found) - 1
    while first > 0 and joint.fullmatch(line[found[first - 1].end() : found[first].start()]):
        first -= 1
    return first


def _inner(formula: re.Match[str]) -> str:
    return str(next(filter(None, formula.groups()))).strip()
