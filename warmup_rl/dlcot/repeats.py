"""Finds the passages of a chain of thought that repeat a derivation, and abstains unless that is certain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set

from warmup_rl.dlcot.markers import CORRECTS, SECOND_LOOK, affirms
from warmup_rl.dlcot.passages import Passage
from warmup_rl.dlcot.text import Content, Text, read_text

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
_SATURATED, _SAME_WORDING = 0.12, 0.4
"""Share of all possible pairs of the values so far from which on a pair proves little; share of the phrases that must
then stand before a repetition."""
MOSTLY_NEW, _FEWEST_WORDS = 0.5, 6
"""Share of what a repetition says, such as its longer words if it has so many, above which it is none."""
_LONGEST = 12
"""Most passages of a repetition."""


def repetitions(text: str, question: str, passages: Sequence[Passage]) -> list[tuple[int, int]]:
    """Runs of passages, as (first, end), that say nothing but what was derived before.

    A run is a passage that stands before nearly word for word; or it announces a second look or another attempt, and
    all values, and most runs of successive values, stand before it and not in the question, and most words, too; or it
    checks the step in the passage before it with the same words, and confirms it. It has no correction in it and ends
    in a result or a confirmation. The passage after it is no further part of it: it opens something else, or has no
    values. What stands before a hypothesis or a case does not count after it.
    """
    source, asked = read_text(text), read_text(question).content(0, len(question))
    contents = [source.content(passage.start, passage.end) for passage in passages]
    found: list[tuple[int, int]] = []
    seen = Content()
    index = 0
    while index < len(passages):
        passage = passages[index]
        if passage.move in ("case", "suppose") or _SUPPOSES.search(text, passage.start, passage.end):
            seen = Content()
        seen.words |= asked.words
        said = text[passage.start : passage.end]
        same = _share(contents[index].phrases, seen.phrases) >= _SAME_TEXT and len(said) >= _SHORTEST
        same = same and index + 1 < len(passages) and passages[index + 1].move in _ANOTHER
        end = index + 1 if same and _BEGINS.match(said) else index
        if end == index and passage.move in ("verify", "alternative"):
            runs = _runs(source, passages, contents, index, seen, asked.pairs)
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
    for span in read_text(text).sentences(max(0, start - RECENT), start)[:0:-1][:_DOUBTING]:
        said = text[slice(*span)]
        doubts = DOUBTS.search(said.strip()) or _RECHECKS.search(said)
        if not doubts or "=" in said or '"' in said:
            break
        start = span.start
    return start


def _runs(
    source: Text,
    passages: Sequence[Passage],
    contents: Sequence[Content],
    first: int,
    seen: Content,
    asked: Set[tuple[str, ...]],
) -> Iterator[int]:
    """The ends of the runs from a passage on that repeat what was seen; pairs of values that were asked are no proof of
    it."""
    run, start, before = Content(), passages[first].start, contents[first - 1] if first else Content()
    values = {value for pair in seen.pairs for value in pair}
    saturated = len(seen.pairs) > _SATURATED * len(values) ** 2
    for place in range(first, min(first + _LONGEST, len(passages) - 1)):
        passage, after = passages[place], passages[place + 1]
        if place > first and passage.move in ("alternative", "case", "suppose", "conclude"):
            return
        run.add(contents[place])
        if run.hard - seen.hard or not _is_whole(source, passage, opens=place == first):
            return
        fewest = _FEWEST_PAIRS * (2 if passages[first].move == "alternative" else 1)
        pairs = run.pairs - asked
        again = len(pairs) >= fewest and _share(pairs, seen.pairs) >= _SAME_PAIRS
        again = again and _share(run.triples, seen.triples) >= _SAME_TRIPLES
        again = again and (len(run.words) < _FEWEST_WORDS or _share(run.words, seen.words) >= 1 - MOSTLY_NEW)
        again = again and (not saturated or _share(run.phrases, seen.phrases) >= _SAME_WORDING)
        if place == first and len(run.phrases) >= _FEWEST_PHRASES:
            again = again or _share(run.phrases, seen.phrases) >= _SAME_PHRASES
        step = place == first and _confirms_step(source, passage, run, before)
        new = after.move or _BEGINS.match(source.text, after.start) or _ASKS.match(source.text, after.start)
        goes_on = not new and contents[place + 1].pairs
        if goes_on or not (again or step):
            continue
        last = source.last_start(passage.start, passage.end)
        result, said = set(source.values(last, passage.end)), source.low[last : passage.end]
        states = result and _CONCLUDES.match(said) and not _PLANS.search(said)
        states = states and result.issubset(source.values(max(0, start - RECENT), start))
        names = any(map(str.isalpha, result))  # as in `This matches option C`, which is a conclusion
        if affirms(said) and not names or states and after.move in _ANOTHER:
            yield place + 1


def _confirms_step(source: Text, passage: Passage, content: Content, before: Content) -> bool:
    """Whether a passage is a second look at what the one before it says, with the same words, and confirms it."""
    spans = source.sentences(passage.start, passage.end)
    last, opening = spans[-1].start, spans[min(1, len(spans) - 1)].end
    first = spans[0].end if len(spans) > 2 and not source.hard(*spans[0]) else passage.start
    return (
        bool(SECOND_LOOK.search(source.low[passage.start : opening]))
        and affirms(source.low[last : passage.end])
        and content.hard <= before.hard
        and _share(content.pairs, before.pairs) >= _SAME_PAIRS
        and _share(source.words(first, last), before.words) >= _SAME_WORDS
    )


def _is_whole(source: Text, passage: Passage, *, opens: bool) -> bool:
    """Whether nothing is corrected or asked in a passage of a run, apart from the doubt that opens the run."""
    start, end = passage.start, passage.end
    if opens:
        spans = source.sentences(start, end)[:_DOUBTING]
        start = next((span.start for span in spans if source.values(*span)), spans[-1].end)
    said = source.low[start:end]
    return "?" not in said and not CORRECTS.search(said)


def _share(part: Set[object], whole: Set[object]) -> float:
    """Share of a set that is in another one; 1 for an empty set."""
    return len(part & whole) / len(part) if part else 1.0
