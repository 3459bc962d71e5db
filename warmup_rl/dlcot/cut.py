"""Applies cuts by character offsets, so that the result is a subsequence of the source; refuses in doubt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence, Set

from warmup_rl.base.types import Problem, Trace
from warmup_rl.dlcot.labels import label_last, label_text
from warmup_rl.dlcot.markers import CORRECTS, affirms, at_words
from warmup_rl.dlcot.repeats import DOUBTS, MOSTLY_NEW, RECENT
from warmup_rl.dlcot.structure import Cut, Span
from warmup_rl.dlcot.text import Text, prose_sentences, read_text, values_in
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ResponseFormat

_HESITATES = r"(?:[\W_]*\b(?:but|and|wait|okay|ok|hm+|now|well|yes|oh|hold on|actually)\b)*[\W_]*"
_ANNOUNCED = at_words(
    "let me", "let['’]s", "i['’]ll", "i (?:will|should|need to|want to|have to|can|could)", "alternatively",
    "another (?:way|approach|method)", "different (?:way|approach|method)", "maybe", "perhaps", "double-?check",
    "verify", "to be (?:safe|sure)", "to check", "to confirm",
)  # fmt: skip
_ANNOUNCES = re.compile(rf"(?:{_ANNOUNCED})\b[^=]*$")
"""A sentence, in lower case, that announces what comes next."""
_TURNS_TO = re.compile(
    r"\W*(?:(?:but|so|wait|now|and|okay|hmm+)\W+)*let(?: me|['’]s) (?:\w+ )?(?:check|verify|confirm|see|double"
    r"|make sure|consider)\b[^:;]*$"
)
"""The same, where it is all that the sentence says."""
_POINTS_BACK = re.compile(
    rf"{_HESITATES}(?:so\b\W*)?(?:(?:also|too|then|similarly|likewise|again|in the same way|the same|same|these|those"
    r"|they|both|neither|which|the (?:other|latter|former|second|third|remaining)|as (?:before|above)"
    r"|(?:going|coming|getting) back|returning|given (?:that|this)|(?:what|how) about)\b"
    r"|(?:this|that)\b(?! works out\b)|[^.,:;]*\bwhich (?:one|of|is)\b)",
    re.IGNORECASE,
)
"""The beginning of a sentence that points back to the one before it."""
_DOUBTS_ON = re.compile(
    r"\W*(?:wait|hmm)\b\W*(?:but|so)\b(?!\W*(?:i )?(?:let|just|is|are|does|did|to|should|what|how)\b)", re.IGNORECASE
)
"""The beginning of a doubt that goes on, and not of another check."""
_OBJECTS = re.compile(r"\W*(?:but|however)\b(?!\W*(?:wait|let)\b)", re.IGNORECASE)
"""A sentence that speaks against the one before it."""
_ANOTHER = re.compile(rf"{_HESITATES}another\b", re.IGNORECASE)
_VARIES = re.compile(rf"{_HESITATES}alternatively\b", re.IGNORECASE)
_DEAD_END = re.compile(r"\bbut (?:that|this|it)\b.{0,12}?(?:\bnot\b|n['’]t\b)")
"""What a sentence, in lower case, gives up."""
_LATER = re.compile(rf"{_HESITATES}(?:(?:the|my) )?(?:second|third|fourth|next|last|other|remaining)\b", re.IGNORECASE)
"""The beginning of a later part of what was announced as several."""
_FOLLOWS = re.compile(rf"{_HESITATES}(?:so|therefore|thus|hence|then)\b", re.IGNORECASE)
_ITEM = re.compile(rf"{_HESITATES}(\w+)\s+(?:\d+|[A-Z])\b", re.IGNORECASE)
"""A numbered or lettered thing, such as `Layer 6` or `Option F`."""
_LISTED = re.compile(r"^[ \t]*\(?(\d+|[a-zA-Z])[.)]\s", re.MULTILINE)
_LATER_ITEM = re.compile(r"\s*(?:[-*•+]\s|\(?(?:[2-9]|\d\d|[b-z])[.)]\s)")
_LABEL = re.compile(r"^(?:[-*•] +)?[A-Z][\w'’]*(?: [\w'’]+){0,3}:", re.MULTILINE)
"""What names the part of a list, such as `Friday:` or `Second method:`, at the beginning of a line."""
_SEVERAL = ("ways", "methods", "approaches", "checks", "results", "calculations")
_ALL = at_words(
    "both", "all (?:three|four|these|of these|the)?", "the (?:two|three)", "my (?:two|three)", "these (?:two|three)"
)
_MENTION = re.compile(rf"(?:{_ALL}) ?(?:of (?:these|them|my) )?(?:different )?(?:{'|'.join(_SEVERAL)})\b")
_NOUN = re.compile(r"\b(?:the|this|that|these|those|our|my|same) (?:\w+ )?([a-z]{5,})\b")
_ANSWERS = re.compile(r"answer(?: \w+)? (?:is|be)|\\boxed")
"""What a sentence, in lower case, states as the answer."""
_NEAR = 600
"""Characters after a seam in which a noun may point back into what was cut."""
_REST_OF_WORD = re.compile(r"(?<=[^\W\d_])[^\W\d_]+")
_FEW = 3
"""Values up to which a passage is compared by its words."""
_STATED = 3
"""Last sentences before a verification, besides the lines of an answer, that must state the answer."""
_LITTLE_NEW = 0.25
"""Share of the words of a confirmation that may be new where words after it may point back."""


class Refused(Exception):
    """The cuts cannot be applied and the original stays; the message is a short, countable reason."""


def cut_out(text: str, cuts: Sequence[Cut]) -> str:
    """The text without the spans of the cuts; white space changes at the seams only.

    Raises:
        Refused: spans overlap or lie outside the text, or nothing is left.
    """
    spans = [cut.span for cut in cuts]
    edges = [0, *(edge for span in spans for edge in (span.start, span.end)), len(text)]
    if edges != sorted(edges):
        raise Refused("cuts overlap")
    kept = list(zip(edges[::2], edges[1::2], strict=True))
    pieces = [text[start:end] for start, end in kept if start < end or start in (0, len(text))]
    left = pieces[0]
    for piece in pieces[1:]:
        left = _joined(left, piece)
    if not left.strip():
        raise Refused("nothing would be left")
    return left


def coherent(
    text: str, cuts: Sequence[Cut], question: str, *, repeats: bool = True
) -> tuple[tuple[Cut, ...], list[tuple[Span, str]]]:
    """The cuts of prose that leave coherent text, and the places that are left alone, each with a short reason.

    Adjacent cuts stand or fall together.

    Args:
        repeats: whether cuts called redundant claim to repeat something, and not only to come after an answer.
    """
    groups: list[list[Cut]] = []
    for cut in cuts:
        if groups and not text[groups[-1][-1].span.end : cut.span.start].strip():
            groups[-1].append(cut)
        else:
            groups.append([cut])
    source, asked = read_text(text), read_text(question)
    mentioned = _last_mention(source.low)
    given, known_words = asked.hard(0, len(question)), asked.words(0, len(question))
    known = set(given)
    read, made, left = 0, list[Cut](), list[tuple[Span, str]]()
    for group in groups:
        span = Span(group[0].span.start, group[-1].span.end)
        known |= source.hard(read, span.start)
        known_words |= source.words(read, span.start)
        said, words, read = source.hard(*span), source.words(*span), span.end
        repeated = repeats and all(cut.reason == "redundant" for cut in group)
        ends = not repeats or all(cut.reason != "redundant" for cut in group)
        fault = _seam_fault(source, span, made[-1].span.end if made else 0, said, words, ends=ends)
        fault = fault or _reference_fault(source, span, said - known, words - known_words)
        if not fault and repeated:
            facts, old = (said, known) if len(said) > _FEW else (words, known_words)
            fault = _use_fault(source, span, said, given)
            fault = fault or _answer_fault(source, span, said)
            fault = fault or (len(facts - old) > MOSTLY_NEW * len(facts)) * "it says something new"
        if not fault and group[0].reason == "verification" and CORRECTS.search(source.low, *span):
            fault = "it corrects something"
        if not fault and mentioned >= span.end:
            fault = "what remains speaks of it"
        if fault:
            left.append((span, fault))
            known |= said
            known_words |= words
        else:
            made += group
    return tuple(made), left


def _last_mention(low: str) -> int:
    """Where a text speaks for the last time of several ways or results; -1 if it never does."""
    if not any(f" {word}" in low for word in _SEVERAL):
        return -1
    return max(map(re.Match.start, _MENTION.finditer(low)), default=-1)


def _reference_fault(source: Text, span: Span, new: Set[str], new_words: Set[str]) -> str:
    """Whether what remains uses a value, a symbol or a noun that only what goes introduces."""
    if any(source.last_uses.get(value, 0) >= span.end for value in new if len(value) > 1 or value.isalpha()):
        return "a value or symbol of it is used after it"
    near = source.low[span.end : span.end + _NEAR]
    points = any(word in near for word in new_words) and not new_words.isdisjoint(_NOUN.findall(near))
    return "a word after it points back" if points else ""


def _use_fault(source: Text, span: Span, said: Set[str], asked: Set[str]) -> str:
    """Whether the sentence after a repetition uses a value of it, or follows from any, that does not stand near; what
    comes as an alternative and uses any but those of the question varies it."""
    first_end = source.first_end(span.end, min(len(source.text), span.end + _NEAR))
    used = set(source.values(span.end, first_end))
    used = used if _FOLLOWS.match(source.text, span.end, first_end) else used & said
    far = used and used - source.hard(*_recent(source, span))
    if used and _VARIES.match(source.text, span.end, first_end):
        far |= used - asked
    return "a value or symbol of it is used after it" if far else ""


def _answer_fault(source: Text, span: Span, said: Set[str]) -> str:
    """Whether the last answer before a repetition is another than that of the whole text, which stands in it."""
    end = len(source.text)
    before, last = _answer(source, *_recent(source, span)), _answer(source, max(span.end, end - RECENT), end)
    return "the answer changes in it" if before and last and last <= said and last.isdisjoint(before) else ""


def _answer(source: Text, start: int, end: int) -> set[str]:
    """The values of a stretch from the last sentence on that speaks of the answer and has some."""
    for said in reversed([*_ANSWERS.finditer(source.low, start, end)]):
        begun = source.last_start(start, said.end())
        if source.values(begun, source.first_end(said.start(), end)):
            return set(source.values(begun, end))
    return set()


def _recent(source: Text, span: Span) -> tuple[int, int]:
    """What stands right before it, from the beginning of a word on."""
    start = max(0, span.start - RECENT)
    rest = _REST_OF_WORD.match(source.low, start, span.start)
    return rest.end() if rest else start, span.start


def _seam_fault(source: Text, span: Span, since: int, said: Set[str], words: Set[str], *, ends: bool) -> str:
    """What breaks the text at a seam; empty if nothing does.

    Args:
        since: where the text before the seam begins.
        said, words: of what goes.
        ends: whether the text may end with the cut.
    """
    text, since = source.text, max(since, span.start - _NEAR)
    if not text[since : span.start].strip():
        return "nothing would stand before it"
    last_start = source.last_start(since, span.start)
    last, low = text[last_start : span.start].strip(), source.low[last_start : span.start].strip()
    first_end = source.first_end(span.end, min(len(text), span.end + _NEAR))
    first, gone = text[span.end : first_end], text[slice(*span)]
    if not first.strip() and not ends:
        return "nothing would stand after it"
    if last.endswith((":", ",", ";", "=", "(")):
        return "a sentence before it breaks off"
    if last.startswith("#") or last.startswith("**") and last.endswith("**"):
        return "a heading before it would be empty"
    if _ANNOUNCES.search(low) or _TURNS_TO.match(low):
        return "a sentence before it announces it"
    if DOUBTS.search(low) or _DEAD_END.search(low) or _OBJECTS.match(last) and _FOLLOWS.match(first):
        return "a doubt before it would stay open"
    item, listed = _ITEM.match(first), _LISTED.search(gone)
    goes_on = listed and listed[1] not in ("1", "a", "A", "i", "I") and _LISTED.search(text, since, span.start)
    if goes_on or _LATER.match(gone):
        return "a list before it goes on in it"
    if _LATER_ITEM.match(first) or item and re.search(rf"\b{item[1]}\s+(?:\d+|[A-Z])\b", gone, re.IGNORECASE):
        return "a list goes on after it"
    if _LABEL.match(first) and not _FOLLOWS.match(first) and _LABEL.search(gone):
        return "a list goes on after it"
    if first[:1].islower() or affirms(source.low[span.end : first_end]) or _ANOTHER.match(first):
        return "a sentence after it points back"
    points = _POINTS_BACK.match(first) or _OBJECTS.match(first) or _DOUBTS_ON.match(first)
    return "a sentence after it points back" if points and not _confirms(source, span, said, words) else ""


def _confirms(source: Text, span: Span, said: Set[str], words: Set[str]) -> bool:
    """Whether what goes only says what stands right before it, so that words after it may point back."""
    return (
        affirms(source.low[source.last_start(*span) : span.end])
        and said <= source.hard(*_recent(source, span))
        and len(words - source.words(*_recent(source, span))) <= _LITTLE_NEW * len(words)
    )


def require_answer(
    trace: Trace, thinking: str, problem: Problem, domain: Domain, response_format: ResponseFormat
) -> None:
    """Raises `Refused` if the answer of the rendered trace is graded otherwise, or its format would be broken."""
    shown = response_format.split(response_format.render(thinking=thinking, answer=trace.answer))
    verdict = domain.grade(shown.answer, problem).verdict if shown.answer else "none"
    if verdict != trace.score.verdict:
        raise Refused(f"the answer would be graded {verdict}")
    if trace.score.well_formed and not shown.well_formed:
        raise Refused("the format would be broken")


def require_derivation(before: str, after: str, problem: Problem, domain: Domain) -> None:
    """Checks that the thinking of a cut trace in prose still derives its last answer.

    Raises:
        Refused: the last answer is less right than before, its values no longer stand before it, or most values of the
            thinking would be gone.
    """
    was, left = (label_last(text, problem, domain) for text in (before, after))
    if was != left and was != "incomplete":
        raise Refused("the last answer of the thinking would be another")
    last = after[read_text(after).last_start(0, len(after)) :]
    ending = set(values_in(last)) - set(values_in(problem.question))
    old, new = (Counter(values_in(text)) if ending else {} for text in (before, after))
    if any(old[value] > 1 and new[value] < 2 for value in ending):
        raise Refused("the last answer of the thinking would not be derived")


def require_stated(before: str, trace: Trace, problem: Problem, domain: Domain) -> None:
    """Raises `Refused` unless the last sentences before a verification state an answer, as right as that of the trace.

    What is called a verification may else be the reasoning itself, or reach the answer only at its end.
    """
    spans = prose_sentences(before.rstrip())[-_STATED - problem.gold.strip().count("\n") :]
    label = label_text(before[spans[0].start :], problem, domain)
    if label == "incomplete" or label == "incorrect" and trace.score.verdict == "correct":
        raise Refused("no answer stands before the verification")


def require_repeats(before: str, after: str, question: str) -> None:
    """Raises `Refused` if most values of a thinking would vanish with what only repeats."""
    old = set(values_in(before)) - set(values_in(question))
    if old and len(old.difference(values_in(after))) > MOSTLY_NEW * len(old):
        raise Refused("most values would be gone")


def require_length(before: str, after: str, *, least: float, most: float) -> None:
    """Raises `Refused` unless the length in characters is between these shares of the original."""
    share = len(after) / len(before)
    if share < least:
        raise Refused(f"less than {least:g} of the thinking would be left")
    if share > most:
        raise Refused(f"more than {most:g} of the thinking would be left")


def _joined(left: str, right: str) -> str:
    """Joins two pieces by one of the two runs of white space at the seam: the one with more line breaks."""
    head, tail = left.rstrip(), right.lstrip()
    if not head or not tail:
        return head or tail
    runs = left[len(head) :], right[: len(right) - len(tail)]
    return head + max(runs, key=lambda run: (run.count("\n"), len(run))) + tail
