"""Finds the passages of a chain of thought that repeat a derivation, and abstains unless that is certain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from typing import Any, Literal

from warmup_rl.dlcot.markers import CORRECTS, SECOND_LOOK, affirms, at_words
from warmup_rl.dlcot.passages import Passage
from warmup_rl.dlcot.structure import Span
from warmup_rl.dlcot.text import Contents, Text, read_text

_PLANS = re.compile(r"\b(?:let me|let['’]s|consider|need to|can be|try|maybe|perhaps)\b")
_BEGINS = re.compile(r"[\W_]*(?:wait|hm+|hold on|alternatively|another)\b", re.IGNORECASE)
"""The beginning of a passage that does not go on with what stands before it."""
GUESSES = re.compile(r"\b(?:alternatively|maybe|perhaps|another|different)\b")
"""What announces another guess or way, in lower case."""
_ASKS = re.compile(r"[^.!?\n]*\?")
_HYPOTHESES = (
    "suppose", "assum(?:e|ing)", "try the hypothesis", "let['’]s say", r"alternatively, (?:\w+ ){0,3}if",
)  # fmt: skip
_SUPPOSES = re.compile(rf"(?:{at_words(*_HYPOTHESES, *(word[0].upper() + word[1:] for word in _HYPOTHESES))})\b")
"""Words that open a hypothesis or another case."""
_CONCLUDES = re.compile(r"[\W_]*(?:so|therefore|thus|hence|total|altogether)\b", re.IGNORECASE)
_ANOTHER = ("alternative", "case", "conclude")
"""What the passage after a repetition opens, unless the repetition ends in a confirmation."""
_DOUBT = at_words(
    "mistakes?", "errors?", "wrong(?<!something is wrong)", "not sure", "unsure", "doubt", r"confus\w+", "strange",
    "odd", "misread", "messy", "unless", "hm+", "wait", "hold on",
    "seems? (?:off|high|low|a lot|too|like a lot|quite a lot)",
)  # fmt: skip
DOUBTS = re.compile(rf"(?:{_DOUBT})\b|\?\W*$")
"""A doubt that a re-check after it answers, in lower case."""
_RECHECKS = re.compile(
    at_words("let(?: me|['’]s) (?:just |also |quickly )*(?:re|check|verify|double|make sure|confirm)")
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

Kind = Literal["hard", "pairs", "triples", "words", "phrases"]
"""What is compared of passages."""


def repetitions(text: str, question: str, passages: Sequence[Passage]) -> list[tuple[int, int]]:
    """Runs of passages, as (first, end), that say nothing but what was derived before.

    A run is a passage that stands before nearly word for word; or it announces a second look or another attempt, and
    all values, and most runs of successive values, stand before it and not in the question, and most words, too; or it
    checks the step in the passage before it with the same words, and confirms it. It has no correction in it and ends
    in a result or a confirmation. The passage after it is no further part of it: it opens something else, or has no
    values. What stands before a hypothesis or a case does not count after it.
    """
    source = read_text(text)
    contents = Contents(source, [Span(passage.start, passage.end) for passage in passages])
    asked = Contents(read_text(question), [Span(0, len(question))])
    found: list[tuple[int, int]] = []
    seen = _Gathered(contents, asked)
    index = 0
    while index < len(passages):
        passage = passages[index]
        if passage.move in ("case", "suppose") or _SUPPOSES.search(text, passage.start, passage.end):
            seen = _Gathered(contents, asked)
        end = index
        if _stands_again(passages, index, seen):
            end = index + 1
        elif passage.move in ("verify", "alternative"):
            end = max(_runs(passages, index, seen), default=index)
        if index < end < len(passages):
            joined = found and found[-1][1] == index
            found[-1:] = [(found[-1][0] if joined else index, end)] if joined else [*found[-1:], (index, end)]
        if end <= index:
            seen.places.append(index)
        index = max(end, index + 1)
    return found


def doubt_before(text: str, start: int) -> int:
    """Where the sentences begin that only doubt what comes before, or announce the re-check at `start`."""
    source, since = read_text(text), max(0, start - RECENT)
    for _ in range(_DOUBTING):
        begin = source.last_start(since, start)
        said = source.low[begin:start]
        states = begin == since or '"' in said or source.values(begin, start)
        if states or not (DOUBTS.search(said.strip()) or _RECHECKS.search(said)):
            break
        start = begin
    return start


class _Gathered:
    """What several passages say together; each kind of it is gathered where it is asked for.

    Attributes:
        contents: what each passage says.
        asked: what the question says.
        places: the passages.
    """

    def __init__(self, contents: Contents, asked: Contents) -> None:
        self.contents, self.asked, self.places = contents, asked, list[int]()
        self._found: dict[Kind, tuple[set[Any], int]] = {}

    def all(self, kind: Kind) -> Set[Any]:
        """All that they say of a kind."""
        found, count = self._found.get(kind) or (set(), 0)
        if count < len(self.places):
            found.update(*map(getattr(self.contents, kind).__getitem__, self.places[count:]))
            self._found[kind] = found, len(self.places)
        return found

    def share(self, kind: Kind, part: Set[Any]) -> float:
        """The share of a set of that kind that they say; 1 for an empty set."""
        return _share(part, self.all(kind))


def _stands_again(passages: Sequence[Passage], index: int, seen: _Gathered) -> bool:
    """Whether a passage stands before nearly word for word, and something else follows."""
    start, end, _ = passages[index]
    return (
        index + 1 < len(passages)
        and passages[index + 1].move in _ANOTHER
        and end - start >= _SHORTEST
        and bool(_BEGINS.match(seen.contents.source.text, start, end))
        and seen.share("phrases", seen.contents.phrases[index]) >= _SAME_TEXT
    )


def _runs(passages: Sequence[Passage], first: int, seen: _Gathered) -> Iterator[int]:
    """The ends of the runs from a passage on that repeat what was seen."""
    contents, source, start = seen.contents, seen.contents.source, passages[first].start
    run = _Gathered(contents, seen.asked)
    fewest = _FEWEST_PAIRS * (2 if passages[first].move == "alternative" else 1)
    for place in range(first, min(first + _LONGEST, len(passages) - 1)):
        if place > first and passages[place].move in ("alternative", "case", "suppose", "conclude"):
            return
        if not contents.hard[place] <= seen.all("hard"):
            return
        if not _ends(source, passages[place], passages[place + 1], start):
            continue
        for part in range(first + len(run.places), place + 1):
            if not _is_whole(source, passages[part], opens=part == first):
                return
            run.places.append(part)
        if _derived(run, seen, fewest) or place == first and _said_before(place, seen):
            yield place + 1


def _ends(source: Text, passage: Passage, after: Passage, start: int) -> bool:
    """Whether a run that begins at `start` may end with a passage: in a confirmation, or in a result that stands before
    it, and the passage after it does not go on."""
    last, switches = source.last_start(passage.start, passage.end), after.move in _ANOTHER
    said = source.low[last : passage.end]
    confirms = affirms(said)
    if not confirms and not switches:
        return False
    result = set(source.values(last, passage.end))
    if not confirms or any(map(str.isalpha, result)):  # `This matches option C` is a conclusion, too
        concludes = switches and result and _CONCLUDES.match(said) and not _PLANS.search(said)
        if not concludes or not result.issubset(source.values(max(0, start - RECENT), start)):
            return False
    begins = _BEGINS.match(source.text, after.start) or _ASKS.match(source.text, after.start)
    new = begins or after.move not in ("", "restate", "plan")
    return bool(new) or not source.pairs(after.start, after.end)


def _derived(run: _Gathered, seen: _Gathered, fewest: int) -> bool:
    """Whether most of what is derived in a run stands before it; pairs of values that were asked are no proof of it.

    Another guess or way may come to the same values, so that one needs the same wording, too.
    """
    pairs = run.all("pairs") - seen.asked.pairs[0]
    if len(pairs) < fewest or seen.share("pairs", pairs) < _SAME_PAIRS:
        return False
    if seen.share("triples", run.all("triples")) < _SAME_TRIPLES:
        return False
    words = run.all("words")
    if len(words) >= _FEWEST_WORDS and len(words - seen.all("words") - seen.asked.words[0]) > MOSTLY_NEW * len(words):
        return False
    values = {value.lstrip("-") for pair in seen.all("pairs") for value in pair}
    saturated = len(seen.all("pairs")) > _SATURATED * len(values) ** 2
    source, opening = run.contents.source, run.contents.spans[run.places[0]]
    guesses = GUESSES.search(source.low, opening.start, source.first_end(*opening))
    wording = _SAME_PHRASES if guesses else _SAME_WORDING if saturated else 0
    return not wording or seen.share("phrases", run.all("phrases")) >= wording


def _said_before(place: int, seen: _Gathered) -> bool:
    """Whether a passage is a second look at what the one before it says; or has the wording of what was seen."""
    if _confirms(seen.contents, place):
        return True
    phrases = seen.contents.phrases[place]
    return len(phrases) >= _FEWEST_PHRASES and seen.share("phrases", phrases) >= _SAME_PHRASES


def _confirms(contents: Contents, place: int) -> bool:
    """Whether a passage looks again at what the one before it says, with the same words, and confirms it."""
    source = contents.source
    before = contents.spans[place - 1] if place else Span(0, 0)
    if not contents.hard[place] <= source.hard(*before):
        return False
    if _share(contents.pairs[place], source.pairs(*before)) < _SAME_PAIRS:
        return False
    start, end = contents.spans[place]
    spans = source.sentences(start, end)
    last, opening = spans[-1][0], spans[min(1, len(spans) - 1)][1]
    first = spans[0][1] if len(spans) > 2 and not source.hard(*spans[0]) else start
    return (
        bool(SECOND_LOOK.search(source.low, start, opening))
        and affirms(source.low[last:end])
        and _share(source.words(first, last), source.words(*before)) >= _SAME_WORDS
    )


def _is_whole(source: Text, passage: Passage, *, opens: bool) -> bool:
    """Whether nothing is corrected or asked in a passage of a run, apart from the doubt that opens the run."""
    start, end = passage.start, passage.end
    if opens:
        doubted = source.sentences(start, end, _DOUBTING)[-1][1]
        value = source.first_value(start, doubted)
        start = source.last_start(start, value + 1) if value < doubted else doubted
    return source.low.find("?", start, end) < 0 and not CORRECTS.search(source.low, start, end)


def _share(part: Set[object], whole: Set[object]) -> float:
    """Share of a set that is in another one; 1 for an empty set."""
    return len(part & whole) / len(part) if part else 1.0
