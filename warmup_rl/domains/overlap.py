"""Which problems are the same as, or nearly, those that are evaluated on: by id, by statements, by runs of words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Problem
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.text import from_meta

WORDS = 13
"""Length of the runs of words that are compared."""
HALF = 0.5
"""A question with this share of the runs of an evaluated one is the same exercise, with a number changed at most."""
COMMON_PROBLEMS, COMMON_SHARE = 5, 0.01
"""Words in a row are boilerplate where at least so many problems, and this share of all, hold them, and more than one
that is evaluated on: what many problems share with a single one of those is a leak."""
OWN_SHARE = 0.5
"""A problem of whose runs fewer are its own, boilerplate aside, cannot be told by them: it is compared as a whole."""

_WORD = re.compile(r"\w+|[+\-*/^=<>]")


@dataclass(frozen=True, slots=True)
class Found:
    """An evaluated problem that another one repeats."""

    problem_id: str
    domain: str
    why: str


@dataclass
class Evaluated:
    """The problems that are evaluated on. Runs of words are held as 64-bit hashes of word numbers."""

    given: Iterable[Problem]
    size: int = WORDS
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
        """Takes out the runs that too many problems hold, these and the given ones together; to be called once."""
        held: Counter[int] = Counter()
        total = 0
        for problem in others:
            if problem.id not in self.ids:
                total += 1
                held.update(self.known_runs(problem.question))
        self._settle(held, total)

    def repeated(
        self, others: Iterable[Problem], share: float = HALF,
        comparable: Callable[[Problem, str], bool] = lambda problem, domain: True,
    ) -> Iterator[tuple[Problem, Found]]:  # fmt: skip
        """Those of other problems that repeat an evaluated one: the same, or with that share of its runs.

        They are gone through once, and only those with runs of evaluated ones are held. To be called once.

        Args:
            comparable: whether the words of a problem may be held against those of evaluated ones of a domain.
        """
        held: Counter[int] = Counter()
        seen: set[str] = set()
        near: list[tuple[Problem, set[int]]] = []
        for problem in others:
            if found := self.same(problem):
                yield problem, found
            elif problem.id not in seen:
                seen.add(problem.id)
                runs = self.known_runs(problem.question)
                held.update(runs)
                near += [(problem, runs)] if runs else []
        self._settle(held, len(seen))
        for problem, runs in near:
            if found := self._most_like(problem, runs, share, comparable):
                yield problem, found

    def same(self, problem: Problem) -> Found | None:
        """Whether a problem is evaluated on, by id, words or statements."""
        if found := self.ids.get(problem.id):
            return Found(*found, "same problem")
        words = tuple(self.numbers.get(word, -1) for word in _words(problem.question))
        if found := self.texts.get(words):
            return Found(*found, "same question")
        key = _statements(problem)
        if found := self.puzzles.get(key) if key else None:
            return Found(*found, "same puzzle")
        return None

    def like(self, problem: Problem, thinking: str, share: float) -> Found | None:
        """The evaluation problem whose words question and thinking hold most of, where that is the share or more."""
        return self._most_like(problem, self.known_runs(problem.question, thinking), share)

    def known_runs(self, *texts: str) -> set[int]:
        """The runs of texts that evaluation problems hold."""
        found: set[int] = set()
        for text in texts:
            words = [self.numbers.get(word, -1) for word in _words(text)]
            found.update(run for run in _runs(words, self.size) if run in self.runs)
        return found

    def _settle(self, held: Counter[int], total: int) -> None:
        """Takes out boilerplate.

        Args:
            held: how many other problems hold each run.
            total: how many other problems there are.
        """
        most = max(COMMON_PROBLEMS, COMMON_SHARE * (total + len(self.problems)))
        every = Counter(place for places in self.runs.values() for place in places)
        self.runs = {
            run: places for run, places in self.runs.items()
            if len(places) == 1 or len(places) + held[run] < most
        }  # fmt: skip
        self.own_runs = Counter(place for places in self.runs.values() for place in places)
        vague = {place for place, own in self.own_runs.items() if own < OWN_SHARE * every[place]}
        self.runs = {run: [place for place in places if place not in vague] for run, places in self.runs.items()}

    def _most_like(
        self, problem: Problem, runs: set[int], share: float,
        comparable: Callable[[Problem, str], bool] = lambda problem, domain: True,
    ) -> Found | None:  # fmt: skip
        hits = Counter(place for run in runs for place in self.runs.get(run, ()))
        puzzle = bool(hits) and _statements(problem) is not None
        shares = {
            place: count / self.own_runs[place] for place, count in hits.items()
            if not (puzzle and self.is_puzzle[place]) and comparable(problem, self.problems[place][1])
        }  # fmt: skip
        if not shares or max(shares.values()) < share:
            return None
        return Found(*self.problems[max(shares, key=lambda place: shares[place])], "words of an evaluation problem")


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
    if not problem.meta.get("statements"):
        return None
    try:
        return canonical_key(from_meta(problem.meta)[0].statements)
    except DataError:
        return None
