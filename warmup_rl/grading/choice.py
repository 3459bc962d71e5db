"""Grades a multiple-choice answer: the letter must be claimed as the answer, not just be the last capital of a text.

A claim is read in a window of a few words before and a sentence behind it. In doubt there is no claim.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from warmup_rl.base.types import Grade
from warmup_rl.grading.final_answer import said_lines, without_chat_marks
from warmup_rl.grading.letters import option_texts, plain_option, told, with_letters
from warmup_rl.grading.reported import REASON, is_reported, is_taken_back, without_quotations

MAX_LENGTH = 20_000
"""Last characters of an answer that are read."""
_BEFORE, _BEHIND = 80, 300
"""Characters around a claim that are read."""
_MARKUP = re.compile(
    r"\\(?:text|textbf|textit|mathrm|mathbf|textsf|mathsf|rm|bf)\s?(?=\{)|</?[a-z]{1,6}>|[*_`$\"\u201c\u201d\u300c-\u300f]"
    r"|[\u2611\u2705\u2713\u2714]\ufe0f?"
)
"""Emphasis, quotation marks and ticks."""
_EDGES = " \t\n({[])}.,:;'!-"
_NAMED = r"(?i:(?:option|choice|answer)\s{0,3})?"
_ADVERBS = (
    r"(?:,?\s(?!(?:unlike|hard|wrong|false|incorrect|mistaken|alleged|reported|supposed|possib|initial)ly)"
    r"(?:[a-z]{2,16}ly|most|so|then|therefore|thus|hence|indeed|still|just|again)\b,?){0,3}"
)
"""Up to three adverbs, each after a space; none that denies or reports."""
_CLAIM = re.compile(
    r"\b(?i:(?:(answer|(?-i:(?<![^\n])A(?=:)))\b(?:\s(?:choice|option|letter)\b)?|(option|choice)\b"
    r"|(?:correct|right|best) (?!answer|option|choice)[a-z]{3,20}(?= (?:is|must|should|would)\b))"
    r"(?:\s(?:here|(?:(?:to|for)\s(?:the|this|that)|in\sthis)(?:\s[\w-]{1,20}){1,5}?)(?=\s))?"
    rf"{_ADVERBS}\s{{0,3}}(is|(?:must|should|would){_ADVERBS}\sbe|[a-z]{{2,9}}s(?:\sout)?\sto\sbe|[:=-])?{_ADVERBS}"
    r"(?::?\s{0,3}(?:the\s)?(?:(?:correct|right|best)\s)?(?:option|choice|answer|letter)\b){0,2}\s{0,3}:?)"
    r"[\s'({\[-]{0,6}(?:\\boxed\s?\{{1,2})?[\s({]{0,4}(?:([A-Z])(?!\w|'\w|[+?]|\s?=)|([a-z])(?=[\s'\])}.]{0,6}\Z|(?<=\(\w)\)))"
)
_NO_OPTION = re.compile(
    r"\b(?:answer\s{0,3}(?:is|:)\s{0,3}(?:not|none|neither|nothing|unclear|unknown)"
    r"|none\s(?:of\s(?:these|those|them|the\s(?:answers|options|choices))\s)?(?:is|are)\s(?:correct|right)"
    r"|unable\sto\s[^.\n]{1,60}\s(?:answer|option|choice|letter))\b",
    re.IGNORECASE,
)
_BOX = re.compile(
    rf"\\boxed\s?\{{[\s{{(\[]{{0,4}}{_NAMED}[\s{{(\[]{{0,4}}([A-Za-z])[\s)}}\]]{{0,4}}(?:[.:)]\s?([^{{}}]{{0,200}}))?\}}"
)
_LISTED = re.compile(
    rf"{_NAMED}(?:[({{\[]{{1,2}}\s?([A-Z])\s?[)}}\]]{{1,2}}[.:]?|([A-Z])(?:\s?[.):=]|\s-(?=\s)|(?=\s?\()))\s{{0,3}}(?=\S)"
)
_RIGHT = r"(?i:correct|right|the (?:only |correct |right |best )?(?:answer|option|choice))"
_CALLED_RIGHT = re.compile(
    rf"(?<![\w'])\(?([A-Z])\)?(?:\s(?:is|must be))?{_ADVERBS}\s{_RIGHT}"
    r"(?=[\s.!]{0,3}$|[,.:]|\s(?:because|since|as)\b)"
    r"|(?i:\b(?:so|therefore|thus|hence|choose|pick|select|go(?:ing)? with|it(?: is|'s| must be)|fits is))[\s,:]{1,3}"
    rf"(?={_NAMED}\(?([A-Z])(?![\w']))"
)
"""A letter that is called right, or that ends a text as a choice."""
_LEFT_OVER = re.compile(
    rf"(?i:\b(?:(?:that|this|it|which)\s(?:only\s|just\s)?leaves|,\sleaving|(?:left|remains) is|left with)"
    rf"(?:\s(?:us|me|you|only|just|with))*)\s(?:the\s)?{_NAMED}\(?([A-Z])(?![\w'])"
    r"|(?i:\bonly (?:answer|option|choice|one|candidate|possibility) (?:left|remaining|standing) is\s)"
    r"\(?([A-Z])(?![\w'])"
    r"|(?<![\w'])\(?([A-Z])\)?\s(?:alone\s)?(?:remains|survives|(?:is|being)\s(?:the\s(?:only|last|one)\s(?:\w+\s)?)?"
    r"(?:left|remaining|standing))(?!\w)"
)
"""A letter that is left when the others are ruled out."""
_CLOSED = re.compile(r"[\s)\]}'.!]*(?:$|[,;:\n]|\.\s|\s(?:because|since|as)\b)")
_OPEN = re.compile(r"\b(?:if|unless|whether|suppos\w+|assum\w+|would|could|might|may)\b", re.IGNORECASE)
_REFUSED = re.compile(r"\b(?:not(?!\s\(?[A-Z]\b)|wrong|false|incorrect|impossible)\b|n't\b", re.IGNORECASE)
_LAST_LINE = 400
"""Characters of the last line in which a letter is called right."""
_CLAUSE = re.compile(
    r"[.,;:!?\n]|\b(?:so|then|therefore|thus|hence|but|(?:answer|option|choice)\s(?:is|would\sbe)(?=\sthe\s(?:\w+\s)?$))\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:not|no|false|doubt|nobody|never|if|whether|wrong|unlikely|cannot|eliminat\w+|exclud\w+|reject\w*|rul\w+ out|"
    r"suppose|assume|unless|neither|is the|discard\w*)\b|n't\b",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(r"\bto\s\w+\s(?:that\s)?(?:the\s)?(?:[a-z]+\s)?$|\b(?:would|could|might|may)\b", re.IGNORECASE)
_SPEAKER = re.compile(r"\b(?:I|[Ww]e|me|us)\b")
"""Who claims; without them `some would say` and `it is tempting to say` report what others might."""
_DESCRIBED = re.compile(
    r"\b(?:an?|the|my|our|this|each|every|one|another|other)\s(?:[\w-]+\s){0,3}$|([\w-]+)\s$", re.IGNORECASE
)
_PRAISE = frozenset(
    "correct right best final true only most likely appropriate accurate suitable closest nearest the my our this is "
    "so overall probable reasonable plausible single actual remaining valid logical and".split()
)
"""Words between `the` and `answer` that leave a claim one; behind `most` and `best` any word does."""
_SENTENCE_END = re.compile(r"(?<!\.)[.!?](?=\s|$)|\n")
_NEXT = r"[^.!\n]{0,200}[.!\n]\s{0,3}"
_SECOND_THOUGHTS = "actually|wait|hmm|sorry|correction|oops|on second"
_CORRECTED = re.compile(rf"{_NEXT}(?:{_SECOND_THOUGHTS}|no)\b", re.IGNORECASE)
_WITHDRAWN = re.compile(rf"{_NEXT}(?:{_SECOND_THOUGHTS})\b", re.IGNORECASE)
"""What takes a claim back where another follows; a bare "No" between two claims leaves both."""
_DASH = re.compile(r"[\s)\]}'.:]*(?:-\s)?\s*")
_LONE = re.compile(r"^\W*(?:(?:option|choice)\W+)?[a-z]\W*$", re.MULTILINE | re.IGNORECASE)
_ARTICLE = re.compile(r"\s+(?!(?:is|because|since|as|or|and|with|which|if|unless|to|rather)\b)[a-z]")
_FINAL_START = re.compile(r"[^\w\n]*(?:[A-Za-z]+,? ){0,6}")
_FINAL_MARK = re.compile(r"(?i:answer)\s{0,3}[:=-][^:=]*")
"""What begins a line such as `FINAL ANSWER: B`, and its mark."""


class _Claim(NamedTuple):
    """A claim.

    Attributes:
        letters: those that are claimed; empty for none of the options.
        behind: the text behind the letter.
        final: whether the next sentence leaves it as it is.
    """

    letters: str
    behind: str = ""
    final: bool = True


class _Said(NamedTuple):
    """A claim and its place; `final_line` if it is a box, or stands in a line that begins with `Answer:` or is but the
    claim; `denied` is the letter that it takes back."""

    start: int
    end: int
    claim: _Claim
    final_line: bool = False
    denied: str = ""


def choose(*, gold: str, answer: str, letters: str, question: str = "") -> Grade:
    """Grades `answer` against the letter `gold`.

    A letter counts if it is boxed, follows "answer is" or "answer:", stands alone, is the first paragraph, or starts
    the answer, as in `B. south` or `B (south)`; where no letter does, the whole text of an option counts as its letter.
    Two different letters claimed in the same way are wrong; so are a letter that is not an option, and a letter before
    the text of another option. Claims that are denied, hypothetical, quoted, reported or taken back do not count, nor
    do options that are listed behind the answer, nor claims before a last box or line such as `Answer: B`.

    Args:
        letters: the letters of the options, e.g. `ABCD`.
        question: contains a line such as `B. south` for each option, if their texts are to be compared.
    """
    text = _plain_text(answer)
    options = option_texts(_MARKUP.sub("", question))
    claims = _claims(text, letters, options)
    if not any(claim.letters for claim in claims) and (lettered := with_letters(text, options)) != text:
        claims = _claims(lettered, letters, options)
    back = [place for place, claim in enumerate(claims[:-1], start=1) if _WITHDRAWN.match(claim.behind)]
    claims = claims[back[-1] if back else 0 :]
    claimed = list(dict.fromkeys("".join(claim.letters for claim in claims)))
    if not claims or not claims[-1].letters or len(claimed) == 1 and not claims[-1].final:
        return Grade("none", None, "no option letter")
    if len(claimed) > 1:
        return Grade("wrong", ", ".join(claimed), "more than one letter")
    letter = claimed[0]
    if letter not in letters:
        return Grade("wrong", letter, f"not one of {', '.join(letters)}")
    for claim in claims:
        wording = _wording(claim.behind)
        others = [one for one, option in options.items() if wording and option == wording]
        if others and letter not in others:
            return Grade("wrong", letter, f"the letter {letter} before the text of {', '.join(others)}")
    return Grade("correct" if letter == gold else "wrong", letter)


def final_choice(text: str, question: str = "") -> str:
    """The part of a text that states its choice: all of it where a letter, or the text of an option in the question, is
    boxed or called the answer, or where it only lists options, or a letter is the first paragraph and the last line
    claims none; else the last line, unless that is one of several options and not called right."""
    plain, options = _plain_text(text), option_texts(_MARKUP.sub("", question))
    for said in (plain, with_letters(plain, options)):
        if not said or _stated(said, string.ascii_uppercase, options):
            return text
    lines = said_lines(plain) or [""]
    judged = any(_REFUSED.search(line) or re.search(_RIGHT, line) for line in lines)
    listed = len(lines) > 1 and all(map(_LISTED.match, lines)) and not judged
    claims = _alone(lines[-1], options) or _called_right(lines[-1], string.ascii_uppercase, options)
    if listed or _heading(plain) and not claims:
        return text
    before, last = (_LISTED.match(line) for line in ["", *lines][-2:])
    in_list = before and last and _letter(before) < _letter(last)
    right = re.search(_RIGHT, lines[-1]) and not _REFUSED.search(lines[-1])
    return "" if in_list and not right else lines[-1]


def _plain_text(text: str) -> str:
    text = unicodedata.normalize("NFKC", without_chat_marks(text[-MAX_LENGTH:]))
    text = "".join(one for one in text if one.isascii() or unicodedata.category(one) != "Cf")
    return _MARKUP.sub("", without_quotations(text, _says_an_answer)).strip()


def _says_an_answer(quotation: str) -> bool:
    said = _MARKUP.sub("", quotation)
    return any(pattern.search(said) for pattern in (_CLAIM, _BOX, _CALLED_RIGHT))


def _claims(text: str, letters: str, options: dict[str, str]) -> list[_Claim]:
    found = _stated(text, letters, options) or _alone(text, options) or _called_right(text, letters, options)
    return found or _heading(text)


def _boxed(text: str) -> Iterator[_Said]:
    for match in _BOX.finditer(text):
        if not is_reported(_before(text, match)):
            behind = text[match.end() : match.end() + _BEHIND]
            claim = _Claim(match[1].upper(), behind if _WITHDRAWN.match(behind) else match[2] or "")
            yield _Said(match.start(), match.end(), claim, final_line=True)


def _stated(text: str, letters: str, options: dict[str, str]) -> list[_Claim]:
    """What is boxed or follows "answer is" and the like, in the order of the text; from the last box or line such as
    `Answer: B` on, if there is one."""
    found = [*_boxed(text), *(_Said(match.start(), match.end(), _Claim("")) for match in _NO_OPTION.finditer(text))]
    for match in _CLAIM.finditer(text):
        head, before = match[0], _before(text, match)
        if (box := head.find("\\boxed")) >= 0 and _BOX.match(text, match.start() + box):
            continue
        letter, behind = (match[4] or match[5]).upper(), text[match.end() : match.end() + _BEHIND]
        own = options.get(letter, "")
        whole = _is_whole(behind, own)
        if match[1] == "A" and (not whole or "\n" in behind.rstrip()):
            continue
        right = _CALLED_RIGHT.match(text, match.start(match.lastindex or 0))
        if match[5] and not whole:
            continue
        if match[1] and not (match[3] or whole or right or _CLOSED.match(behind)):  # `answer B is unlikely`
            continue
        if not match[1] and (not match[3] or "\n" in head):  # "option" and "choice" need a verb
            continue
        if letter in "AI" and _ARTICLE.match(behind) or not _affirmed(before, behind):
            continue
        if is_taken_back(behind[told(behind, own) :]):
            found.append(_Said(match.start(), match.end(), _Claim(""), denied=letter))
            continue
        claimed = letter + "".join(_further(letter, behind, letters, options))
        final = not _CORRECTED.match(behind) or told(behind, own) > 0
        start = before.rpartition("\n")[2]
        ends = match[1] and (_FINAL_MARK.fullmatch(head) or match[3] and whole and not _OPEN.search(start + head))
        last_line = bool(ends and _FINAL_START.fullmatch(start))
        found.append(_Said(match.start(), match.end(), _Claim(claimed, behind, final), last_line))
    return _from_final_line(text, sorted(found, key=lambda said: said.start))


def _from_final_line(text: str, found: Sequence[_Said]) -> list[_Claim]:
    """The claims from the last final line on, and from those before it that no other line separates from it."""
    lines = [said for said in found if said.final_line]
    if not lines:
        return [said.claim for said in found]
    first = last = lines[-1]
    for line in reversed(lines[:-1]):
        if any(map(str.strip, text[line.end : first.start].split("\n")[1:-1])):
            break
        first = line
    others = (said for said in found if said.start >= first.start)
    return [said.claim for said in others if not said.denied or said.denied in last.claim.letters]


def _before(text: str, match: re.Match[str]) -> str:
    return text[max(0, match.start() - _BEFORE) : match.start()]


def _affirmed(before: str, behind: str) -> bool:
    """Whether what stands before "answer is" in its clause neither denies, reports nor belittles it."""
    clause = _clause(before)
    denied = _DENIED.search(clause) or _REFUSED.search(clause)
    if denied or _SUPPOSED.search(clause) and not _SPEAKER.search(clause):
        return False
    if is_reported(before, behind):
        return False
    described = _DESCRIBED.search(clause)
    words = described[0].lower().split() if described else []
    return all(word in _PRAISE for word in takewhile(lambda word: word not in ("most", "best"), words))


def _clause(before: str) -> str:
    """The last clause of a text."""
    return before[max((match.end() for match in _CLAUSE.finditer(before)), default=0) :]


def _further(letter: str, behind: str, letters: str, options: dict[str, str]) -> Iterator[str]:
    """Other letters that are claimed with a letter: in its sentence before any reason, or in the next line."""
    sentence, *_ = _SENTENCE_END.split(behind, maxsplit=1)
    rest = behind[len(sentence) :]
    own = options.get(letter, "")
    if end := told(sentence, own):
        sentence = sentence[end:]
    elif rest[:1] == "." and not sentence.strip(_EDGES):  # `B. south, C. east`
        sentence, *_ = _SENTENCE_END.split(rest[1:], maxsplit=1)
        sentence = sentence[end:] if (end := told(sentence, own)) else ""
    if reason := REASON.search(sentence):  # `B for some, C for others`
        yield from re.findall(rf"[,;]\s(?:and\s|or\s)?\(?([A-Z])\)?\s{reason[0]}\b", sentence[reason.end() :])
        sentence = sentence[: reason.start()]
    for found in re.finditer(r"(?<!\w)([A-Z])(?![\w'])", sentence):
        excluded = re.search(
            r"(?:,\s*not|rather than|instead of|unlike)[\s(]*(?:option |choice )?$", sentence[: found.start()]
        )
        pronoun = found[1] == "I" and _ARTICLE.match(sentence, found.end())
        if found[1] in letters and not pronoun and not excluded:
            yield found[1]
    lines = behind.split("\n", 2)
    if len(lines) > 1 and (listed := _LISTED.match(lines[1])) and not lines[0].rstrip().endswith((".", ":")):
        yield _letter(listed)


def _called_right(text: str, letters: str, options: dict[str, str]) -> list[_Claim]:
    """The letters that the last line calls right; none where it takes one back."""
    line, found = text[-_LAST_LINE:].rpartition("\n")[2], list[_Claim]()
    for match in _CALLED_RIGHT.finditer(line):
        letter, behind = match[1] or match[2], line[max(match.end(), match.end(2)) :]
        before = _before(line, match)
        if match[2] and not _is_whole(behind, options.get(letter, "")):
            continue
        if letter in letters and not _DENIED.search(_clause(before)) and not is_reported(before, behind):
            claimed = letter + "".join(_further(letter, behind, letters, options))
            found.append(_Claim("" if is_taken_back(behind) else claimed, behind, not _CORRECTED.match(behind)))
    return found or _left_over(line, letters, options)


def _left_over(line: str, letters: str, options: dict[str, str]) -> list[_Claim]:
    """The letter of a last sentence such as `That leaves B.` or `So only B remains.`"""
    match = [*_LEFT_OVER.finditer(line)][-1:]
    if not match:
        return []
    letter, behind = next(filter(None, match[0].groups())), line[match[0].end() :]
    before = line[: match[0].start()]
    sentence = before[max((end.end() for end in _SENTENCE_END.finditer(before)), default=0) :]
    own = options.get(letter, "")
    closed = _CLOSED.match(behind) or told(behind, own)
    reason = REASON.split(behind, maxsplit=1)[0]
    if letter not in letters or not closed or _OPEN.search(sentence) or _REFUSED.search(reason):
        return []
    if _DENIED.search(_clause(sentence)) or is_reported(sentence[-_BEFORE:], behind):
        return []
    claimed = letter + "".join(_further(letter, behind, letters, options))
    return [_Claim(claimed, behind, not _CORRECTED.match(behind))]


def _alone(text: str, options: dict[str, str]) -> list[_Claim]:
    """The letter if it is the whole text, or starts it before words that choose it."""
    inner = text.strip(_EDGES)
    inner = re.sub(r"(?i)^(?:option|choice|answer)\b", "", inner).strip(_EDGES)
    if len(inner) == 1 and inner.isascii() and inner.isalpha() and "?" not in text:
        return [_Claim(inner.upper())]
    if match := _LISTED.match(text):
        letter, behind = _letter(match), text[match.end() : match.end() + _BEHIND]
        others = re.findall(r"(?:^|[\s(])\(?([A-Z])[).](?=\s|$)", behind.partition("\n\n")[0])
        if (below := _LISTED.match(text.partition("\n")[2].lstrip())) and _letter(below) > letter:
            others.append(_letter(below))
        return [_Claim(letter + "".join(others), behind)] if _chosen(letter, behind, options.get(letter, "")) else []
    return []


def _letter(listed: re.Match[str]) -> str:
    return str(listed[1] or listed[2])


def _chosen(letter: str, behind: str, own: str) -> bool:
    """Whether the words behind a letter that starts a text choose it: in one sentence with the text of the option
    stands at most a reason, or that it is right; with other words nothing that denies it."""
    rest = behind[told(behind, own) :]
    sentence, *_ = _SENTENCE_END.split(rest, maxsplit=1)
    if rest[len(sentence) : len(sentence) + 1] == "?" and "?" not in own:
        return False
    if rest == behind:
        return bool(_REFUSED.search(own)) or not (_REFUSED.search(sentence) or _DENIED.search(sentence))
    bare = all(unicodedata.category(one)[0] in "PZ" for one in sentence)
    return bool(bare or REASON.match(sentence.lstrip(" ,")) or _CALLED_RIGHT.match(letter + sentence))


def _heading(text: str) -> list[_Claim]:
    """The letter that is the first paragraph, where no other line is a letter, nor the text a question."""
    first, _, rest = text.partition("\n\n")
    alone = _alone(first, {}) if _LONE.fullmatch(first) and not _LONE.search(rest) and "?" not in text else []
    return [_Claim(claim.letters, "\n" + rest[:_BEHIND], not _CORRECTED.match("\n" + rest)) for claim in alone]


def _is_whole(behind: str, own: str) -> bool:
    """Whether nothing but the text of the option stands behind a letter in its line."""
    return plain_option(behind.partition("\n")[0].strip(_EDGES)) in ("", own)


def _wording(behind: str) -> str:
    """The text of an option behind its letter, to the end of the line or sentence."""
    start = _DASH.match(behind)
    assert start is not None
    line = behind[start.end() :].partition("\n")[0]
    return plain_option(re.split(r"\.\s", line, maxsplit=1)[0])
