"""Finds the passages of a chain of thought that repeat a derivation, and abstains unless that is certain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from warmup_rl.dlcot.markers import CORRECTS, SECOND_LOOK, affirms, lowered
from warmup_rl.dlcot.passages import Passage, prose_sentences

VALUE = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|(?<![^\W_]|[\\'’])[b-hj-zB-HJ-Z](?![\w'’])")
"""A number or a symbol of one letter; `a`, `A`, `i` and `I` are mostly words."""
_QUOTED = re.compile(r"[\"“]([^\"”\n]{6,}?)[.,]?[\"”]")
_SPEAKER = re.compile(
    r"\b([A-Z]\w+)(?:, [^,.]{1,30},|['’]s)? (?:says|said|claims|claimed|states|stated|statement|claim)\b"
)
_WORD, _ANY_WORD = re.compile(r"[^\W\d_]{4,}"), re.compile(r"\w+")
_SMALL_TALK = frozenset(
    "wait double check verify sure right correct again once more that this step just okay really make back quickly does"
    " hold with then recheck confirm still same before good consistent which fits should given hence thus therefore"
    " however being would not yes now case holds".split()
)
_PLANS = re.compile(r"\b(?:let me|let['’]s|consider|need to|can be|try|maybe|perhaps)\b")
_BEGINS = re.compile(r"[\W_]*(?:wait|hm+|hold on|alternatively|another)\b", re.IGNORECASE)
"""The beginning of a passage that does not go on with what stands before it."""
_ASKS = re.compile(r"[^.!?\n]*\?")
_SUPPOSES = re.compile(
    r"\b(?:[Ss]uppose|[Aa]ssum(?:e|ing)|[Tt]ry the hypothesis|[Ll]et['’]s say|[Aa]lternatively, (?:\w+ ){0,3}if)\b"
)
"""Words that open a hypothesis or another case."""
_CONCLUDES = re.compile(r"[\W_]*(?:so|therefore|thus|hence|total|altogether)\b", re.IGNORECASE)
_ANOTHER = ("alternative", "case", "conclude")
"""What the passage after a repetition opens, unless the repetition ends in a confirmation."""
DOUBTS = re.compile(
    r"\b(?:mistakes?|errors?|(?<!something is )wrong|not sure|unsure|doubt|confus\w+|strange|odd|misread|messy|unless"
    r"|hm+|wait|hold on|seems? (?:off|high|low|a lot|too|like a lot|quite a lot))\b|\?\W*$",
    re.IGNORECASE,
)
"""A doubt that a re-check after it answers."""
_RECHECKS = re.compile(
    r"\blet(?: me|['’]s) (?:just |also |quickly )*(?:re|check|verify|double|make sure|confirm)", re.I
)
_SHORTEST = 160
"""Fewest characters of a passage that counts as a repetition if it stands again word for word."""
RECENT = 1_200
"""Characters before a repetition in which its result stands."""
_FEWEST_PAIRS = 4
"""Fewest pairs of successive values by which a derivation is known again."""
_SAME_PAIRS, _SAME_TRIPLES, _SAME_WORDS = 0.8, 0.75, 0.75
"""Share of the pairs, or of the longer words, of a repetition that must stand before it; all values must."""
_DOUBTING = 3
"""Most sentences of doubt that go with a re-check."""
_FEWEST_PHRASES, _SAME_PHRASES, _SAME_TEXT = 12, 0.8, 0.95
"""Fewest runs of four words by which a second look is known again; share of them that must stand before it; the same
for a passage that announces nothing."""
_LONGEST = 12
"""Most passages of a repetition."""


@dataclass
class Content:
    """What a text says: its values, quotations and speakers; runs of two and three successive values, and of
    four words; longer words."""

    hard: set[str] = field(default_factory=set)
    pairs: set[tuple[str, ...]] = field(default_factory=set)
    triples: set[tuple[str, ...]] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    phrases: set[tuple[str, ...]] = field(default_factory=set)

    @classmethod
    def of(cls, text: str) -> Content:
        low, values = text.lower(), values_in(text)
        hard = {*values, *_QUOTED.findall(low), *(f"{name} says" for name in _SPEAKER.findall(text))}
        words, every = set(_WORD.findall(low)) - _SMALL_TALK, _ANY_WORD.findall(low)
        return cls(hard, _runs_of(values, 2), _runs_of(values, 3), words, _runs_of(every, 4))

    def add(self, other: Content) -> None:
        self.hard |= other.hard
        self.pairs |= other.pairs
        self.triples |= other.triples
        self.words |= other.words
        self.phrases |= other.phrases


def _runs_of(items: list[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(items[start : start + length]) for start in range(len(items) - length + 1)}


def values_in(text: str) -> list[str]:
    """The numbers and symbols of a text, in order."""
    return [value.replace(",", "") for value in VALUE.findall(text)]


def repetitions(text: str, question: str, passages: Sequence[Passage]) -> list[tuple[int, int]]:
    """Runs of passages, as (first, end), that say nothing but what was derived before.

    A run is a passage that stands before nearly word for word; or it announces a second look or another attempt, and
    all values, and most runs of successive values, stand before it; or it checks the step in the passage before it with
    the same words, and confirms it. It has no correction in it and ends in a result or a confirmation. The passage
    after it is no further part of it: it opens something else, or has no values. What stands before a hypothesis or a
    case does not count after it.
    """
    asked = Content.of(question)
    contents = [Content.of(text[passage.start : passage.end]) for passage in passages]
    found: list[tuple[int, int]] = []
    seen = Content()
    index = 0
    while index < len(passages):
        passage = passages[index]
        if passage.move in ("case", "suppose") or _SUPPOSES.search(text, passage.start, passage.end):
            seen = Content()
        seen.hard |= asked.hard
        said = text[passage.start : passage.end]
        same = _share(contents[index].phrases, seen.phrases) >= _SAME_TEXT and len(said) >= _SHORTEST
        same = same and index + 1 < len(passages) and passages[index + 1].move in _ANOTHER
        end = index + 1 if same and _BEGINS.match(said) else index
        if end == index and passage.move in ("verify", "alternative"):
            runs = _runs(text, passages, contents, index, seen, contents[index - 1] if index else Content())
            end = max(runs, default=index)
        if index < end < len(passages):
            joined = found and found[-1][1] == index
            found[-1:] = [(found[-1][0] if joined else index, end)] if joined else [*found[-1:], (index, end)]
        if end <= index:
            seen.add(contents[index])
        index = max(end, index + 1)
    return found


def doubt_before(text: str, start: int) -> int:
    """Where the sentences begin that only doubt what comes before, or announce the re-check at `start`."""
    spans = prose_sentences(text[max(0, start - RECENT) : start])
    offset = max(0, start - RECENT)
    for span in spans[:0:-1][:_DOUBTING]:
        said = text[offset + span.start : offset + span.end]
        doubts = DOUBTS.search(said.strip()) or _RECHECKS.search(said)
        if not doubts or "=" in said or '"' in said:
            break
        start = offset + span.start
    return start


def _runs(
    text: str, passages: Sequence[Passage], contents: Sequence[Content], first: int, seen: Content, before: Content
) -> Iterator[int]:
    """The ends of the runs from a passage on that repeat what was seen."""
    run, start = Content(), passages[first].start
    for place in range(first, min(first + _LONGEST, len(passages) - 1)):
        passage, after = passages[place], passages[place + 1]
        if place > first and passage.move in ("alternative", "case", "suppose", "conclude"):
            return
        run.add(contents[place])
        if run.hard - seen.hard or not _is_whole(text, passage, opens=place == first):
            return
        fewest = _FEWEST_PAIRS * (2 if passages[first].move == "alternative" else 1)
        again = len(run.pairs) >= fewest and _share(run.pairs, seen.pairs) >= _SAME_PAIRS
        again = again and _share(run.triples, seen.triples) >= _SAME_TRIPLES
        if place == first and len(run.phrases) >= _FEWEST_PHRASES:
            again = again or _share(run.phrases, seen.phrases) >= _SAME_PHRASES
        step = place == first and _confirms_step(text[passage.start : passage.end], run, before)
        new = after.move or _BEGINS.match(text, after.start) or _ASKS.match(text, after.start)
        goes_on = not new and contents[place + 1].pairs
        if goes_on or not (again or step):
            continue
        last = text[passage.start : passage.end]
        last = last[prose_sentences(last)[-1].start :]
        result, recent = set(values_in(last)), set(values_in(text[max(0, start - RECENT) : start]))
        states = result and result <= recent and _CONCLUDES.match(last) and not _PLANS.search(lowered(last))
        if affirms(lowered(last)) or states and after.move in _ANOTHER:
            yield place + 1


def _confirms_step(said: str, content: Content, before: Content) -> bool:
    """Whether a passage is a second look at what the one before it says, with the same words, and confirms it."""
    spans = prose_sentences(said)
    last = spans[-1].start
    first = spans[0].end if len(spans) > 2 and not Content.of(said[: spans[0].end]).hard else 0
    return (
        bool(SECOND_LOOK.search(lowered(said[: spans[min(1, len(spans) - 1)].end])))
        and affirms(lowered(said[last:]))
        and content.hard <= before.hard
        and _share(content.pairs, before.pairs) >= _SAME_PAIRS
        and _share(Content.of(said[first:last]).words, before.words) >= _SAME_WORDS
    )


def _is_whole(text: str, passage: Passage, *, opens: bool) -> bool:
    """Whether nothing is corrected or asked in a passage of a run, apart from the doubt that opens the run."""
    said = text[passage.start : passage.end]
    if opens:
        for span in prose_sentences(said)[:_DOUBTING]:
            if values_in(said[span.start : span.end]):
                said = said[span.start :]
                break
        else:
            said = said[span.end :]
    return "?" not in said and not CORRECTS.search(lowered(said))


def _share(part: Set[object], whole: Set[object]) -> float:
    """Share of a set that is in another one; 1 for an empty set."""
    return len(part & whole) / len(part) if part else 1.0
