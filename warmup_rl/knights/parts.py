"""What a sentence about a puzzle says, taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from warmup_rl.errors import DataError
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import Facts
from warmup_rl.knights.solver import table
from warmup_rl.knights.statements import AND, LIAR, NOT, TRUTHFUL, Statement
from warmup_rl.knights.wording import statement_from_text

How = Literal["role", "truth", "must", "given"]
PartKind = Literal["say", "assume", "contradiction", "backtrack", "still", "rules", "talk", "unparsed"]


class Said(NamedTuple):
    """Something that is held to be true, as a formula in the notation of statements.

    Attributes:
        how: `role`: concluded of somebody; `truth`: of a statement, or whether it fits its speaker; `must`: truth that
            is concluded ("so ...", "must be true"), perhaps from the speaker's role alone; `given`: a premise, known
            before ("given that", "since").
    """

    formula: Statement
    how: How


@dataclass(slots=True)
class Part:
    """What a sentence, or one part of it, does.

    Attributes:
        start, end: its characters.
        kind: `say` claims `said`; `still` repeats what is assumed; `rules` are the puzzle's own.
        said: what it holds to be true, in order; of an `assume`, what it assumes.
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
    said: list[Said] = field(default_factory=list)
    speakers: set[int] = field(default_factory=set)
    named: set[int] = field(default_factory=set)
    condition: Facts = ()
    cites: bool | None = None
    checks: bool = False
    lists: bool = True
    further: bool = False
    instead: bool = False
    again: bool = False
    paragraph: bool = False


class Quotations:
    """What is quoted in a text from people of a puzzle."""

    def __init__(self, text: str, puzzle: Puzzle) -> None:
        self._text, self._puzzle = text, puzzle
        self._read: dict[str, Statement | None] = {}

    def read(self, start: int, end: int) -> Statement | None:
        """The statement between two characters; None where it is none."""
        text = self._text[start:end]
        if text not in self._read:
            try:
                plain = text.strip("\"' .,;:").replace(", then ", " then ")
                self._read[text] = statement_from_text(plain, self._puzzle.names, self._puzzle.roles)
            except DataError:
                self._read[text] = None
        return self._read[text]

    def right(self, speaker: int, quote: Statement) -> bool:
        """Whether somebody says this, in whatever words, or as one of the things said."""
        said, people = self._puzzle.statements[speaker], self._puzzle.people
        return quote == said or (said[0] == AND and quote in said[1:]) or table(quote, people) == table(said, people)

    def speakers(self, quote: Statement) -> set[int]:
        """Who says exactly this."""
        return {speaker for speaker, said in enumerate(self._puzzle.statements) if said == quote}


def as_fact(formula: Statement) -> tuple[int, bool] | None:
    """The person and the role that a formula is about; None where it is no single role."""
    if formula[0] == NOT:
        inner = as_fact(formula[1])
        return (inner[0], not inner[1]) if inner else None
    return (formula[1], formula[0] == TRUTHFUL) if formula[0] in (TRUTHFUL, LIAR) else None
