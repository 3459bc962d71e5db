"""Applies cuts by character offsets, so that the result is a subsequence of the source; refuses in doubt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence, Set

from warmup_rl.base.types import Problem, Trace
from warmup_rl.dlcot.labels import label_last, label_text
from warmup_rl.dlcot.markers import CORRECTS, DENIES, affirms, at_words, move
from warmup_rl.dlcot.repeats import DOUBTS, GUESSES, MOSTLY_NEW, RECENT
from warmup_rl.dlcot.structure import Cut, Span
from warmup_rl.dlcot.text import Text, prose_sentences, read_text, values_in
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ResponseFormat

_UNDECIDED = re.compile(
    r"\b(?:i|me|my|let|may|might|could|maybe|perhaps|however|though|although)\b|[:,;=(]$|^#|^\*\*.*\*\*$"
)
"""What leaves a sentence, in lower case, open: the first person, which plans or doubts; a guess, an objection; the end
of a line that announces the next one."""
_HESITATES = r"(?:[\W_]*\b(?:but|and|so|wait|okay|ok|hm+|now|well|yes|oh|hold on|actually)\b)*[\W_]*"
_LEANS = re.compile(
    r"\b(?:these|those|they|them|their|both|n?either|others?|also|too|same|similarly|likewise|earlier|previous(?:ly)?"
    r"|second|third|fourth|next|last|remaining|former|latter)\b"
)
"""Words by which a sentence, in lower case, leans on another one: pronouns, and what compares, adds or counts."""
_POINTS = re.compile(rf"{_HESITATES}(?:this|that|it|its|then|again|another|such|which|given|as|what|how)\b")
"""The same at its beginning."""
_ITEM = re.compile(r"[ \t]*(?:[-*•+]\s|\(?(?:\d+|[a-zA-Z])[.)]\s|[a-z])")
"""The beginning of an item of a list, or of what is no whole sentence."""
_FOLLOWS = re.compile(rf"{_HESITATES}(?:so|therefore|thus|hence)\b|[#*\s]*final answer|[\W_]*\\boxed")
_SO = re.compile(r", (?:so|therefore|thus|hence)\b")
_QUOTED = re.compile(r"[\"“][^\"”\n]*[\"”]")
_STARTS = ("verify", "conclude", "suppose", "case")
"""What a sentence opens that goes on with nothing."""
_SEVERAL = ("ways", "methods", "approaches", "checks", "results", "calculations")
_ALL = at_words(
    "both", "all (?:three|four|these|of these|the)?", "the (?:two|three)", "my (?:two|three)", "these (?:two|three)"
)
_MENTION = re.compile(rf"(?:{_ALL}) ?(?:of (?:these|them|my) )?(?:different )?(?:{'|'.join(_SEVERAL)})\b")
_NOUN = re.compile(r"\b(?:the|this|that|these|those|our|my|same) (?:\w+ )?([a-z]{5,})\b")
_NEAR = 600
"""Characters after a seam in which a noun may point back into what was cut."""
_REST_OF_WORD = re.compile(r"(?<=[^\W\d_])[^\W\d_]+")
_FEW = 3
"""Numbers up to which a passage is compared by its words."""
_STATED = 3
"""Last sentences before a verification, besides the lines of an answer, that must state the answer."""
_LITTLE_NEW = 0.25
"""Share of the words that may be new in a confirmation, or where few numbers tell."""


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
    known, known_words = asked.hard(0, len(question)), asked.words(0, len(question))
    read, made, left = 0, list[Cut](), list[tuple[Span, str]]()
    for group in groups:
        span = Span(group[0].span.start, group[-1].span.end)
        known |= source.hard(read, span.start)
        known_words |= source.words(read, span.start)
        said, words, read = source.hard(*span), source.words(*span), span.end
        repeated = repeats and all(cut.reason == "redundant" for cut in group)
        ends = not repeats or all(cut.reason != "redundant" for cut in group)
        confirms = _confirms(source, span, said)
        fault = _before_fault(source, span, made[-1].span.end if made else 0, confirms=confirms)
        fault = fault or _after_fault(source, span, said, asked, ends=ends, confirms=confirms)
        fault = fault or _reference_fault(source, span, said - known, words - known_words)
        if not fault and repeated:
            fault = _says_more(said, known, words, known_words) * "it says something new"
            fault = fault or (not confirms) * _repeat_fault(source, span)
        if not fault and group[0].reason == "verification":
            fault = "it corrects something" if CORRECTS.search(source.low, *span) else _check_fault(source, span, asked)
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


def _recent(source: Text, span: Span, most: int = RECENT) -> tuple[int, int]:
    """The last characters before it, from the beginning of a word on."""
    start = max(0, span.start - most)
    rest = _REST_OF_WORD.match(source.low, start, span.start)
    return rest.end() if rest else start, span.start


def _says_more(said: Set[str], known: Set[str], words: Set[str], known_words: Set[str]) -> bool:
    """Whether much of what goes is new: its values, or, where few are numbers, its words."""
    if sum(any(map(str.isdigit, value)) for value in said) > _FEW:
        return len(said - known) > MOSTLY_NEW * len(said)
    return len(words - known_words) > _LITTLE_NEW * len(words)


def _confirms(source: Text, span: Span, said: Set[str]) -> bool:
    """Whether what goes only says what stands right before it, so that what follows it can follow that as well."""
    near, words = _recent(source, span, 2 * (span.end - span.start)), source.words(*span)
    return (
        affirms(source.low[source.last_start(*span) : span.end])
        and said <= source.hard(*near)
        and len(words - source.words(*near)) <= _LITTLE_NEW * len(words)
    )


def _repeat_fault(source: Text, span: Span) -> str:
    """Whether a repetition begins as a further part of what stands before it, or ends in another result."""
    first = Span(span.start, source.first_end(*span))
    if _ITEM.match(source.text, *first) or _LEANS.search(source.low, *first):
        return "it adds to what stands before it"
    return "" if _ends_alike(source, span) else "it ends in something else"


def _check_fault(source: Text, span: Span, asked: Text) -> str:
    """Whether a verification does not begin as a check of the result before it, or is no repetition of it."""
    first = Span(span.start, source.first_end(*span))
    given = asked.hard(0, len(asked.text)).union(_result(source, *_recent(source, span)))
    if move(source.low, *first) != "verify" or not given.issuperset(source.values(*first)):
        return "it does not begin as a check of what stands before it"
    announced = source.low.find(":", *first) + 1
    return _repeat_fault(source, Span(announced or span.start, span.end))


def _ends_alike(source: Text, span: Span) -> bool:
    """Whether what goes comes to the result that stands right before it."""
    near = _recent(source, span)
    if _is_open(source, *span):
        return False
    before, gone = _result(source, *near), _result(source, *span)
    if before and gone:
        return gone[-1] in before and before[-1] in gone
    return before == gone and source.words(source.last_start(*span), span.end) <= source.words(*near)


def _result(source: Text, start: int, end: int) -> list[str]:
    """The values of the last sentence of a stretch that has any."""
    said = (source.values(*sentence) for sentence in reversed(source.sentences(start, end)))
    return next(filter(None, said), [])


def _is_open(source: Text, start: int, end: int, *, denies: bool = True) -> bool:
    """Whether the last sentence of a stretch, or its conclusion, doubts, guesses, plans, breaks off, or denies."""
    said = _SO.split(_QUOTED.sub("", source.low[source.last_start(start, end) : end]))[-1].strip()
    faults = (_UNDECIDED, DOUBTS, DENIES)[: 2 + denies]
    return not affirms(said) and any(fault.search(said) for fault in faults)


def _before_fault(source: Text, span: Span, since: int, *, confirms: bool) -> str:
    """Whether the sentence before a seam leaves something open; the text before it begins at `since`."""
    if not source.text[since : span.start].strip():
        return "nothing would stand before it"
    opens_up = _is_open(source, max(since, span.start - _NEAR), span.start, denies=not confirms)
    return "the sentence before it leaves something open" if opens_up else ""


def _after_fault(source: Text, span: Span, said: Set[str], asked: Text, *, ends: bool, confirms: bool) -> str:
    """Whether the sentence after a seam leans on what goes. It has to begin something, or to say nothing but what the
    question and the text right before the seam say.

    Args:
        said: the values of what goes.
        ends: whether the text may end with the cut.
        confirms: whether what goes says nothing of its own.
    """
    stop = min(len(source.text), span.end + _NEAR)
    first = Span(span.end, source.first_end(span.end, stop))
    low = source.low[slice(*first)]
    if not low.strip():
        return "" if ends else "nothing would stand after it"
    leans = _ITEM.match(source.text, *first) or affirms(low)
    leans = leans or not confirms and (_LEANS.search(low) or _needs(source, span, first, said, asked))
    return "the sentence after it leans on it" if leans else ""


def _needs(source: Text, span: Span, first: Span, said: Set[str], asked: Text) -> bool:
    """Whether the sentence after a seam has values or words that stand neither in the question nor near before it."""
    near, whole = _recent(source, span), (0, len(asked.text))
    values, given = source.hard(*near), asked.hard(*whole)
    used, opened = set(source.values(*first)), move(source.low, *first)
    if used and _FOLLOWS.match(source.low, *first):
        return not used <= values | given
    if _POINTS.match(source.low, *first):
        return True
    if opened == "alternative":
        return not used & said <= given or bool(GUESSES.search(source.low, *span))
    if opened in _STARTS:
        return not used & said <= values | given
    words = source.words(*first)
    return not words or not words <= source.words(*near) | asked.words(*whole) or _is_open(source, *first)


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
