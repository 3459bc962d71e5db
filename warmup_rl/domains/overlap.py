"""Which problems repeat evaluated ones: the same id, text or canonical key, or many shared runs of words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

from warmup_rl.base.types import Problem

WORDS = 13
"""Length of the runs of words that are compared."""
HALF = 0.5
"""A question with this share of an evaluated question's runs is the same exercise with at most one number changed."""
COMMON_PROBLEMS, COMMON_SHARE = 5, 0.01
"""A run is boilerplate if at least this many problems and this share of all problems contain it, and more than one of
them is evaluated: a run that many problems share with a single evaluated one is a leak."""
OWN_SHARE = 0.5
"""An evaluated problem with a smaller share of runs that are not boilerplate is compared as a whole only."""

_WORD = re.compile(r"\w+|[+\-*/^=<>]")


@dataclass(frozen=True, slots=True)
class Found:
    """An evaluated problem that another one repeats, and why it counts as repeated."""

    problem_id: str
    domain: str
    why: str


class Evaluated:
    """The problems that are evaluated on. Runs of words are kept as 64-bit hashes.

    Args:
        problems: those evaluated on.
        canonical: the canonical key of a problem (see `Domain.canonical`). Two problems of the same family are compared
            by it instead of by runs of words, since the same few phrases make up all of them.
        size: words per run.
    """

    def __init__(
        self, problems: Iterable[Problem], canonical: Callable[[Problem], str | None], size: int = WORDS
    ) -> None:
        self._canonical, self._size = canonical, size
        self._numbers: dict[str, int] = {}  # of all words in evaluated problems
        self._known: dict[tuple[str, Hashable], int] = {}  # index of a problem by its id, text and canonical key
        self._names: list[tuple[str, str]] = []  # id and domain by index
        self._families: list[str] = []
        self._runs: dict[int, list[int]] = {}  # indices of the problems that contain a run
        self._run_counts: Counter[int] = Counter()  # runs per index, without boilerplate
        for problem in problems:
            if ("same problem", problem.id) in self._known:
                continue
            index = len(self._names)
            words = [self._numbers.setdefault(word, len(self._numbers)) for word in _words(problem.question)]
            key = canonical(problem)
            for name in self._keys(problem, words, key):
                self._known.setdefault(name, index)
            for run in set(_runs(words, size)):
                self._runs.setdefault(run, []).append(index)
            self._names.append((problem.id, problem.domain))
            self._families.append(_family(key))

    def find_boilerplate(self, others: Iterable[Problem]) -> None:
        """Removes runs that too many problems contain, evaluated and given ones together; call once."""
        counts: Counter[int] = Counter()
        total = 0
        for problem in others:
            if ("same problem", problem.id) not in self._known:
                total += 1
                counts.update(self._known_runs(problem.question))
        self._remove_boilerplate(counts, total)

    def repeated(
        self, others: Iterable[Problem], comparable: Callable[[Problem, str], bool] = lambda problem, domain: True
    ) -> Iterator[tuple[Problem, Found]]:
        """The given problems that repeat an evaluated one: the same, or with half of its runs.

        Iterates once and keeps only problems that share runs with evaluated ones. Call once.

        Args:
            comparable: whether a problem may be compared by runs of words with evaluated ones of a domain.
        """
        counts: Counter[int] = Counter()
        seen: set[str] = set()
        near: list[tuple[Problem, set[int]]] = []
        for problem in others:
            if found := self.same(problem):
                yield problem, found
            elif problem.id not in seen:
                seen.add(problem.id)
                runs = self._known_runs(problem.question)
                counts.update(runs)
                near += [(problem, runs)] if runs else []
        self._remove_boilerplate(counts, len(seen))
        for problem, runs in near:
            if found := self._most_similar(problem, runs, HALF, comparable):
                yield problem, found

    def same(self, problem: Problem) -> Found | None:
        """The evaluated problem with the same id, words or canonical key."""
        words = [self._numbers.get(word, -1) for word in _words(problem.question)]
        for name in self._keys(problem, words, self._canonical(problem)):
            if (index := self._known.get(name)) is not None:
                return Found(*self._names[index], name[0])
        return None

    def like(self, problem: Problem, thinking: str, share: float) -> Found | None:
        """The evaluated problem with most of its runs in the question and the thinking, if at least `share`."""
        return self._most_similar(problem, self._known_runs(problem.question, thinking), share)

    @staticmethod
    def _keys(problem: Problem, words: list[int], canonical: str | None) -> Iterator[tuple[str, Hashable]]:
        yield "same problem", problem.id
        yield "same question", tuple(words)
        if canonical:
            yield "same puzzle", canonical

    def _known_runs(self, *texts: str) -> set[int]:
        """The runs of texts that evaluated problems contain."""
        found: set[int] = set()
        for text in texts:
            words = [self._numbers.get(word, -1) for word in _words(text)]
            found.update(run for run in _runs(words, self._size) if run in self._runs)
        return found

    def _remove_boilerplate(self, counts: Counter[int], total: int) -> None:
        """Args: counts: how many other problems contain each run; total: how many other problems there are."""
        most = max(COMMON_PROBLEMS, COMMON_SHARE * (total + len(self._names)))
        before = Counter(index for indices in self._runs.values() for index in indices)
        own = {
            run: indices for run, indices in self._runs.items()
            if len(indices) == 1 or len(indices) + counts[run] < most
        }  # fmt: skip
        self._run_counts = Counter(index for indices in own.values() for index in indices)
        vague = {index for index, count in self._run_counts.items() if count < OWN_SHARE * before[index]}
        self._runs = {run: [index for index in indices if index not in vague] for run, indices in own.items()}

    def _most_similar(
        self, problem: Problem, runs: set[int], share: float,
        comparable: Callable[[Problem, str], bool] = lambda problem, domain: True,
    ) -> Found | None:  # fmt: skip
        hits = Counter(index for run in runs for index in self._runs.get(run, ()))
        family = _family(self._canonical(problem)) if hits else ""
        shares = {
            index: count / self._run_counts[index] for index, count in hits.items()
            if not (family and self._families[index] == family) and comparable(problem, self._names[index][1])
        }  # fmt: skip
        if not shares or max(shares.values()) < share:
            return None
        return Found(*self._names[max(shares, key=lambda index: shares[index])], "words of an evaluation problem")


def _family(canonical: str | None) -> str:
    return (canonical or "").partition("/")[0]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _runs(words: list[int], size: int) -> Iterator[int]:
    """Hashes of all runs of known words (numbers from 0); the same in every process."""
    start = 0
    for end, word in enumerate(words, start=1):
        if word < 0:
            start = end
        elif end - start >= size:
            yield hash(tuple(words[end - size : end]))
