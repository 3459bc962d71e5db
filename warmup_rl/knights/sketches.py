"""What all sentences of one shape say: the same words in the same order, whoever and whatever they are about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from warmup_rl.knights.statements import Statement

How = Literal["role", "truth", "must", "given"]
PartKind = Literal["say", "assume", "contradiction", "backtrack", "still", "rules", "talk", "unparsed"]

QUOTED, OWN = "quoted", "own"
"""Stand-ins in formulas: `("quoted", i)` for the i-th quotation, `("own", p)` for the statement of a person."""
BEFORE = -1
"""The quotation that is still remembered from the sentences before."""


class Said(NamedTuple):
    """Something that is held to be true, as a formula in the notation of statements.

    Attributes:
        how: `role`: concluded of somebody; `truth`: of a statement, or whether it fits its speaker; `must`: truth that
            is concluded ("so ...", "must be true"), perhaps from the speaker's role alone; `given`: a premise, known
            before ("given that", "since").
    """

    formula: Statement
    how: How


class Shape(NamedTuple):
    """All that the reading of a sentence depends on.

    Attributes:
        letters: its words.
        values: behind each `P`, `R` and `U` of it: a person, or whether a role is truthful. Persons are numbered in the
            order of their appearance.
        people: how many people there are.
        speaker, voice: who was named last, and who spoke last, before it; -1 for nobody or where that is of no use.
        quoted: whether a quotation is remembered from before.
        unread: its own quotations that are no statements.
    """

    letters: str
    values: tuple[int, ...]
    people: int
    speaker: int = -1
    voice: int = -1
    quoted: bool = True
    unread: tuple[int, ...] = ()


@dataclass(slots=True)
class Sketch:
    """A part of a sentence, as `parts.Part`; persons are numbered as in its shape.

    Attributes:
        begin: its first token in the sentence.
        conditions: under what `said` is claimed.
        cited: who is quoted, with what.
        echoed: what is quoted without its speaker.
    """

    begin: int = 0
    kind: PartKind = "talk"
    said: list[Said] = field(default_factory=list)
    conditions: list[Said] = field(default_factory=list)
    speakers: set[int] = field(default_factory=set)
    named: set[int] = field(default_factory=set)
    cited: list[tuple[int, Statement]] = field(default_factory=list)
    echoed: list[Statement] = field(default_factory=list)
    cites: bool | None = None
    checks: bool = False
    lists: bool = True


class Plan(NamedTuple):
    """What a sentence says, and what is remembered after it.

    Attributes:
        assumes: one of the parts does.
        quotations: first and last token of each quotation.
        speaker, voice: who was named last, and who spoke last; -1 for the same as before.
        quote: the last quotation; None for one that is no statement.
    """

    sketches: tuple[Sketch, ...]
    assumes: bool
    quotations: tuple[tuple[int, int], ...]
    speaker: int
    voice: int
    quote: Statement | None
