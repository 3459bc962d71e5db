"""Drops traces that show a problem which the recipe evaluates on: the same one, one in other names, or its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import Field

from warmup_rl.cleaner import CleanContext, Cleaner, Dropped
from warmup_rl.errors import DataError
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.text import from_meta
from warmup_rl.types import Problem, Trace

COMMON_PROBLEMS, COMMON_SHARE = 5, 0.01
"""Words in a row are boilerplate where at least so many problems, and this share of all, hold them, and more than one
that is evaluated on: what many traces share with a single one of those is a leak."""
OWN_SHARE = 0.5
"""A problem of whose runs fewer are its own, boilerplate aside, cannot be told by them: it is compared as a whole."""

_WORD = re.compile(r"\w+|[+\-*/^=<>]")


class Decontaminate(Cleaner):
    """Compares question and thinking of each trace with every problem that the recipe evaluates on.

    A trace is dropped where its problem is evaluated on (by id, by its words, or for Knights & Knaves by its statements
    whatever the names and their order), or where it holds a share of what is particular to an evaluation problem: of
    its runs of `words` words, boilerplate aside. Boilerplate are the runs that one problem in a hundred has, those
    evaluated on and those of the traces taken together: the introduction of a puzzle, say. Case and punctuation do not
    count, signs of calculation do. Two puzzles are compared by their statements alone, since the same few phrases make
    up all of them.
    """

    type: ClassVar[str] = "decontaminate"
    reads_evaluation: ClassVar[bool] = True

    words: int = Field(default=13, ge=3)
    """Length of the runs of words. Questions that are shorter, or boilerplate for the most part, are compared whole."""
    share: float = Field(default=0.3, gt=0, le=1)
    """Share of an evaluation problem's own runs that a trace may not reach. 0.3 finds the same exercise with other
    numbers, 0.5 with one number changed; near 0 one run in common is enough."""

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        evaluated = _Evaluated(self.words, context.held_out())
        evaluated.find_boilerplate(context.problems.values())

        def clean(trace: Trace) -> Trace | Dropped:
            problem = context.problems[trace.problem_id]
            found = evaluated.same(problem) or evaluated.like(problem, trace.thinking, self.share)
            if found is None:
                return trace
            context.audit({"cleaner": self.type, "outcome": "dropped", "why": found.why, "problem_id": problem.id,
                           "sample": trace.sample, "evaluated": found.problem_id, "domain": found.domain})
            return Dropped(f"{found.why} ({found.domain})")

        return clean


@dataclass(frozen=True, slots=True)
class _Found:
    """An evaluation problem that a trace shows."""

    problem_id: str
    domain: str
    why: str


@dataclass
class _Evaluated:
    """The problems that are evaluated on. Runs of words are held as 64-bit hashes of word numbers."""

    size: int
    given: Iterable[Problem]
    ids: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Id and domain by id; so are the next two by words and by statements."""
    texts: dict[tuple[int, ...], tuple[str, str]] = field(default_factory=dict)
    puzzles: dict[str, tuple[str, str]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """Of the words that evaluation problems hold; a run with any other word is in none of them."""
    runs: dict[int, list[int]] = field(default_factory=dict)
    """For each run the places in `problems` of those that hold it, boilerplate aside."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    own_runs: Counter[int] = field(default_factory=Counter)
    """By place in `problems` the number of runs, boilerplate aside."""
    is_puzzle: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        for problem in self.given:
            if problem.id in self.ids:
                continue
            name = (problem.id, problem.domain)
            self.ids[problem.id] = name
            words = [self.numbers.setdefault(word, len(self.numbers)) for word in _words(problem.question)]
            self.texts.setdefault(tuple(words), name)
            if key := _statements(problem):
                self.puzzles.setdefault(key, name)
            for run in set(_runs(words, self.size)):
                self.runs.setdefault(run, []).append(len(self.problems))
            self.problems.append(name)
            self.is_puzzle.append(key is not None)

    def find_boilerplate(self, others: Iterable[Problem]) -> None:
        """Takes out the runs that too many problems hold, these and the given ones together."""
        held = Counter({run: len(places) for run, places in self.runs.items()})
        total = len(self.problems)
        for problem in others:
            if problem.id in self.ids:
                continue
            total += 1
            held.update(set(self._known_runs(problem.question)))
        most = max(COMMON_PROBLEMS, COMMON_SHARE * total)
        every = Counter(place for places in self.runs.values() for place in places)
        self.runs = {run: places for run, places in self.runs.items() if held[run] < most or len(places) == 1}
        self.own_runs = Counter(place for places in self.runs.values() for place in places)
        vague = {place for place, own in self.own_runs.items() if own < OWN_SHARE * every[place]}
        self.runs = {run: [place for place in places if place not in vague] for run, places in self.runs.items()}

    def same(self, problem: Problem) -> _Found | None:
        """Whether a problem is evaluated on, by id, words or statements."""
        if found := self.ids.get(problem.id):
            return _Found(*found, "same problem")
        words = tuple(self.numbers.get(word, -1) for word in _words(problem.question))
        if found := self.texts.get(words):
            return _Found(*found, "same question")
        key = _statements(problem)
        if found := self.puzzles.get(key) if key else None:
            return _Found(*found, "same puzzle")
        return None

    def like(self, problem: Problem, thinking: str, share: float) -> _Found | None:
        """The evaluation problem whose words question and thinking hold most of, where that is the share or more."""
        known = {run for text in (problem.question, thinking) for run in self._known_runs(text)}
        hits = Counter(place for run in known for place in self.runs[run])
        puzzle = bool(hits) and _statements(problem) is not None
        shares = {place: count / self.own_runs[place] for place, count in hits.items()
                  if not (puzzle and self.is_puzzle[place])}
        if not shares or max(shares.values()) < share:
            return None
        return _Found(*self.problems[max(shares, key=lambda place: shares[place])], "words of an evaluation problem")

    def _known_runs(self, text: str) -> Iterator[int]:
        """The runs of a text that evaluation problems hold."""
        words = [self.numbers.get(word, -1) for word in _words(text)]
        return (run for run in _runs(words, self.size) if run in self.runs)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _runs(words: list[int], size: int) -> Iterator[int]:
    """Hashes of the runs of words with a number; hashes of numbers are the same in every process."""
    begun = 0
    for end, word in enumerate(words, start=1):
        if word < 0:
            begun = end
        elif end - begun >= size:
            yield hash(tuple(words[end - size : end]))


def _statements(problem: Problem) -> str | None:
    """What two puzzles share that differ in names, order and wording only; None for other problems."""
    if "statements" not in problem.meta:
        return None
    try:
        return canonical_key(from_meta(problem.meta)[0].statements)
    except DataError:
        return None
