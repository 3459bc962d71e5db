"""What a sentence about a puzzle says, taken apart."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from warmup_rl.base.errors import DataError
from warmup_rl.knights.english import plural, statement_text
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.prose import plan
from warmup_rl.knights.reasoning import StagePreview
from warmup_rl.knights.sketches import OWN, QUOTED, PartKind, Plan, Said, Shape, Sketch
from warmup_rl.knights.solver import table
from warmup_rl.knights.statements import AND, IMPLIES, LIAR, NOT, TRUTHFUL, Statement
from warmup_rl.knights.wording import statement_from_text
from warmup_rl.knights.words import Sentence, lowered, places, plain_quotes, sentences

_AGAIN = re.compile(r"double.check|re-?check|once more|check (?:that|this|it) again|\bright\?")
"""Opens a second look at what was just done, in lower case."""
_AGAIN_HINTS = re.compile(r"check|once more|right\?")
"""One of these is in all that it finds, and most sentences are without."""
_FURTHER = re.compile(r"\b(?:also|further|within|additionally|on top)\b")
_INSTEAD = re.compile(r"\b(?:instead|alternatively|conversely|other case|other possibility|opposite)\b")
"""Puts an assumption inside the last one, or in its place; in lower case."""
_QUOTES = re.compile("[SQWYe]")
_SPEAKER, _VOICE, _QUOTE = re.compile("[&,]S"), re.compile("aR[cm]nS|Y"), re.compile("S[,=]*o|aR[cm]nS|Y")
"""Letters that may be about quotations; about who was named, who spoke and what was quoted in the sentences before."""
_QUESTION = re.compile(r"^[^Q]*P[^Q]*\?$")
_LISTED = re.compile("^[&=]?P=(?=[iE]?P(?![=S]))")
"""Letters of `Zoey: Oliver is ...`."""
_EVERYBODY = re.compile(
    r"(?:that )?(?:both(?: of (?:us|them))?(?: are)?|(?:we|they) are(?: both| all)?|(?:everybody|everyone) is|"
    r"all(?: of (?:us|them))?(?: are)?)(?: an?)? (\w+)"
)
_NOBODY: frozenset[int] = frozenset()
_SHAPES = 8_192


class Part(NamedTuple):
    """What a sentence, or one part of it, does.

    Attributes:
        start, end: its characters.
        kind: `say` claims `said`; `still` repeats what is assumed; `rules` are the puzzle's own.
        said: what it holds to be true, in order; of an `assume`, what it assumes.
        facts: the single roles among them.
        speakers: whose statements are quoted, or spoken of.
        named: everybody named.
        condition: roles under which `said` is claimed ("if ...").
        cites: whether a statement is cited as it is; None where none is.
        checks: it comes to a statement's truth, not to somebody's role.
        lists: it only lists roles, without premises or consequences.
        further, instead: words that put an assumption inside the last one, or in its place.
        again: it opens a second look at what was just done.
        paragraph: it begins a paragraph.
    """

    start: int
    end: int
    kind: PartKind = "talk"
    said: tuple[Said, ...] = ()
    facts: StagePreview = ()
    speakers: frozenset[int] = frozenset()
    named: frozenset[int] = frozenset()
    condition: StagePreview = ()
    cites: bool | None = None
    checks: bool = False
    lists: bool = True
    further: bool = False
    instead: bool = False
    again: bool = False
    paragraph: bool = False


def read_parts(thinking: str, puzzle: Puzzle) -> Iterator[Part]:
    """The parts of all sentences, in order; they cover the text."""
    text = plain_quotes(thinking)
    reader = _Reader(text, puzzle)
    for sentence in sentences(text, puzzle):
        yield from reader.read(sentence)


def facts_of(said: Iterable[Said]) -> StagePreview:
    """The single roles among what is said."""
    return tuple([fact for formula, _ in said if (fact := as_fact(formula))])


def as_fact(formula: Statement) -> tuple[int, bool] | None:
    """The person and the role that a formula is about; None where it is no single role."""
    if formula[0] == NOT:
        inner = as_fact(formula[1])
        return (inner[0], not inner[1]) if inner else None
    return (formula[1], formula[0] == TRUTHFUL) if formula[0] in (TRUTHFUL, LIAR) else None


class _Reader:
    """Fills people and quotations in what sentences of a shape say; remembers who was named last, and who said what."""

    def __init__(self, text: str, puzzle: Puzzle) -> None:
        self._low, self._quotations = lowered(text), _Quotations(text, puzzle)
        self._hints = [hint.start() for hint in _AGAIN_HINTS.finditer(self._low)]
        self._people, self._statements = puzzle.people, puzzle.statements
        self._speaker = self._voice = -1
        self._quote: Statement | None = None
        self._asked: StagePreview = ()

    def read(self, sentence: Sentence) -> list[Part]:
        """The parts of a sentence; `Could Zoey be a knave? Then ...` is read as `If Zoey is a knave, then ...`."""
        use = _use(sentence.letters)
        asked = self._asked
        if asked or use.asks:
            self._asked = self._question(sentence) if use.asks else ()
        if use.lists and (listed := self._listed(sentence)):
            return [listed]
        parts = self._parts(sentence, use)
        if asked and sentence.letters[:1] == "t" and not parts[0].condition:
            parts[0] = parts[0]._replace(condition=asked)
        return parts

    def _question(self, sentence: Sentence) -> StagePreview:
        """The one role that a question asks about; empty where it asks about something else, or quotes somebody."""
        told = _plain(f"{sentence.letters[:-1]}.", sentence.values, self._people).parts
        said, facts, _, _, condition, *_ = told[0][1]
        found = facts or condition
        return found if len(told) == len(found) == 1 and len(said) < 2 else ()

    def _parts(self, sentence: Sentence, use: _Use) -> list[Part]:
        if use.quotes:
            told = self._quoting(sentence, use)
        else:
            told = _plain(sentence.letters, sentence.values, self._people)
        self._speaker = told.speaker if told.speaker >= 0 else self._speaker
        start, end = sentence.start, sentence.end
        further = told.assumes and _FURTHER.search(self._low, start, end) is not None
        instead = told.assumes and _INSTEAD.search(self._low, start, end) is not None
        hinted = bisect_left(self._hints, start) < bisect_left(self._hints, end)
        again = hinted and _AGAIN.search(self._low, start, end) is not None
        if len(told.parts) == 1:
            kind, content = told.parts[0]
            return [Part(start, end, kind, *content, further, instead, again, sentence.paragraph)]
        edges = [start, *map(sentence.begin, told.begins), end]
        marks = [(again, sentence.paragraph), *[(False, False)] * len(told.begins)]
        return [
            Part(edges[i], edges[i + 1], kind, *content, further, instead, *marks[i])
            for i, (kind, content) in enumerate(told.parts)
        ]

    def _listed(self, sentence: Sentence) -> Part | None:
        """`Zoey: Oliver is a knave`, where that is what Zoey says; None where it is not."""
        speaker, first = sentence.values[0], sentence.letters.index("P") + 2
        quote = self._quotations.read(sentence.begin(first), sentence.ends[-1])
        if quote is None or not self._quotations.right(speaker, quote):
            return None
        self._speaker = self._voice = speaker
        self._quote = quote
        speakers = frozenset((speaker,))
        return Part(
            sentence.start, sentence.end, "say", speakers=speakers, named=speakers, cites=True, lists=False,
            paragraph=sentence.paragraph,
        )  # fmt: skip

    def _quoting(self, sentence: Sentence, use: _Use) -> _Told:
        """What a sentence says that quotes somebody, or is about a quotation."""
        shape, cast = _shape(
            sentence.letters, sentence.values, self._people,
            speaker=self._speaker if use.speaker else -1,
            voice=self._voice if use.voice else -1,
            quoted=not use.quote or self._quote is not None,
        )  # fmt: skip
        found = plan(shape)
        quotes = [self._quotations.read(sentence.begin(first), sentence.ends[last]) for first, last in found.quotations]
        if None in quotes:
            found = plan(shape._replace(unread=tuple(i for i, quote in enumerate(quotes) if quote is None)))
        filling = _Filling(cast, [*quotes, self._quote], self._statements, self._quotations)
        self._voice = cast[found.voice] if found.voice >= 0 else self._voice
        self._quote = filling.formula(found.quote) if found.quote else None
        return filling.told(found)


class _Use(NamedTuple):
    """What a sentence may be about: quotations; who was named, who spoke and what was quoted before it. Whether it asks
    about somebody, and whether it may list what somebody says."""

    quotes: bool
    speaker: bool
    voice: bool
    quote: bool
    asks: bool
    lists: bool


_Content = tuple[tuple[Said, ...], StagePreview, frozenset[int], frozenset[int], StagePreview, bool | None, bool, bool]
"""The fields of a part from `said` to `lists`."""


class _Told(NamedTuple):
    """What a sentence says of its people: kinds and contents of its parts, where all but the first begin.

    Attributes:
        speaker: who was named last; -1 for nobody.
    """

    parts: tuple[tuple[PartKind, _Content], ...]
    begins: tuple[int, ...]
    assumes: bool
    speaker: int


class _Filling(NamedTuple):
    """Who is who in a sentence, what is quoted there, and then what was quoted before it."""

    cast: Sequence[int]
    quotes: Sequence[Statement | None] = ()
    statements: Sequence[Statement] = ()
    quotations: _Quotations | None = None

    def told(self, found: Plan) -> _Told:
        return _Told(
            tuple([(sketch.kind, self._content(sketch)) for sketch in found.sketches]),
            tuple([sketch.begin for sketch in found.sketches[1:]]),
            found.assumes,
            self.cast[found.speaker] if found.speaker >= 0 else -1,
        )

    def _content(self, sketch: Sketch) -> _Content:
        said = tuple([Said(self.formula(formula), how) for formula, how in sketch.said])
        cast = self.cast
        speakers = frozenset([cast[person] for person in sketch.speakers]) if sketch.speakers else _NOBODY
        named = frozenset([cast[person] for person in sketch.named]) if sketch.named else _NOBODY
        condition: StagePreview = ()
        cites = sketch.cites
        if self.quotations:
            for quote in sketch.echoed:
                speakers |= self.quotations.speakers(self.formula(quote))
            for person, quote in sketch.cited:
                cites = self.quotations.right(cast[person], self.formula(quote)) and cites is not False
        if sketch.conditions:
            said, condition = _under([self.formula(formula) for formula, _ in sketch.conditions], said)
        return said, facts_of(said), speakers, named, condition, cites, sketch.checks, sketch.lists

    def formula(self, formula: Statement) -> Any:
        operator = formula[0]
        if operator == TRUTHFUL or operator == LIAR:
            return (operator, self.cast[formula[1]])
        if operator == QUOTED:
            return self.quotes[formula[1]]
        if operator == OWN:
            return self.statements[self.cast[formula[1]]]
        return (operator, *map(self.formula, formula[1:]))


class _Quotations:
    """What is quoted in a text from people of a puzzle."""

    def __init__(self, text: str, puzzle: Puzzle) -> None:
        self._text, self._puzzle = text, puzzle
        self._read: dict[str, Statement | None] = {
            f'"{statement_text(said, puzzle.names, puzzle.roles)}"': said for said in puzzle.statements
        }

    def read(self, start: int, end: int) -> Statement | None:
        """The statement between two characters; None where it is none."""
        text = self._text[start:end]
        if text not in self._read:
            try:
                plain = text.strip("\"' .,;:").replace(", then ", " then ")
                self._read[text] = statement_from_text(plain, self._puzzle.names, self._puzzle.roles)
            except DataError:
                self._read[text] = self._of_everybody(text)
        return self._read[text]

    def _of_everybody(self, text: str) -> Statement | None:
        """`both are knaves`, `we are both knights`, `everyone is a liar`; None for all else."""
        found = _EVERYBODY.fullmatch(text.strip("\"' .,;:").lower())
        people, roles = self._puzzle.people, self._puzzle.roles
        if not found or (people != 2 and "both" in found[0]):
            return None
        told = {word: truthful for truthful, role in ((TRUTHFUL, roles.truthful), (LIAR, roles.liar))
                for word in (role.lower(), plural(role.lower()))}  # fmt: skip
        return (AND, *((told[found[1]], person) for person in range(people))) if found[1] in told else None

    def right(self, speaker: int, quote: Statement) -> bool:
        """Whether somebody says this, in whatever words, or as one of the things said."""
        said, people = self._puzzle.statements[speaker], self._puzzle.people
        return quote == said or (said[0] == AND and quote in said[1:]) or table(quote, people) == table(said, people)

    def speakers(self, quote: Statement) -> set[int]:
        """Who says exactly this."""
        return {speaker for speaker, said in enumerate(self._puzzle.statements) if said == quote}


@lru_cache(_SHAPES)
def _use(letters: str) -> _Use:
    patterns = (_QUOTES, _SPEAKER, _VOICE, _QUOTE, _QUESTION, _LISTED)
    return _Use(*(pattern.search(letters) is not None for pattern in patterns))


@lru_cache(_SHAPES)
def _plain(letters: str, values: tuple[int, ...], people: int) -> _Told:
    """What a sentence says that quotes nobody."""
    shape, cast = _shape(letters, values, people)
    return _Filling(cast).told(plan(shape))


def _shape(
    letters: str, values: Sequence[int], people: int, speaker: int = -1, voice: int = -1, quoted: bool = True
) -> tuple[Shape, Sequence[int]]:
    """The shape of a sentence, and who is who in it; as in the puzzle where everybody may be meant."""
    if "B" in letters or (people == 2 and "b" in letters):
        return Shape(letters, tuple(values), people, speaker, voice, quoted), range(people)
    cast: list[int] = []
    told = list(values)
    for index, place in enumerate(places(letters)):
        if letters[place] == "P":
            told[index] = _number(values[index], cast)
    speaker, voice = _number(speaker, cast), _number(voice, cast)
    return Shape(letters, tuple(told), people, speaker, voice, quoted), cast


def _under(conditions: Sequence[Statement], said: tuple[Said, ...]) -> tuple[tuple[Said, ...], StagePreview]:
    """What is said, and under which roles; conditions that are more than roles become part of what is said."""
    facts = [as_fact(formula) for formula in conditions]
    if None not in facts:
        return said, tuple(fact for fact in facts if fact)
    when = (AND, *conditions) if len(conditions) > 1 else conditions[0]
    return tuple(Said((IMPLIES, when, formula), "truth") for formula, _ in said), ()


def _number(person: int, cast: list[int]) -> int:
    """The number of a person in the order of appearance; of nobody, -1."""
    if person in cast:
        return cast.index(person)
    if person < 0:
        return -1
    cast.append(person)
    return len(cast) - 1
