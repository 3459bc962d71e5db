"""Segments a terse chain: each case, and each re-check of one, is an approach."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Problem
from warmup_rl.dlcot.labels import label_of
from warmup_rl.dlcot.structure import Ambiguous, Approach, Part, Span, Structure
from warmup_rl.dlcot.text import sentences
from warmup_rl.interfaces.domain import Domain
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.terse import NEXT, RECHECK, SO, WAIT, case_sentences
from warmup_rl.knights.text import from_meta

_CASE, _SOLVED, _BAD = "case", "solved", "bad"
_WAIT = [NEXT, WAIT]
Words = list[list[str]]
"""The words of each sentence."""


def is_terse(thinking: str) -> bool:
    """Whether the text is a chain of sentences that begin with `next`."""
    return thinking.split(maxsplit=1)[:1] == [NEXT]


def read_terse(thinking: str, problem: Problem, domain: Domain) -> Structure:
    """The structure of a terse chain.

    A case that ends in `bad` is refuted: it reaches no answer and settles that case. One that ends in `wait` is given
    up. Cases form a cluster if they agree word for word, apart from `wait`, `recheck` and slips that are corrected at
    once. A chain without cases is one approach.

    Raises:
        Ambiguous: something is tried after the conclusion, or nothing before it.
    """
    spans = sentences(thinking)
    words = [thinking[span.start : span.end].split() for span in spans]
    end = next((i for i, sentence in enumerate(words) if _concludes(sentence)), len(words))
    if any(not _concludes(sentence) for sentence in words[end:]):
        raise Ambiguous("something is tried after the conclusion")
    if end == 0:
        raise Ambiguous("a conclusion without any work before it")
    said = " ".join(word for sentence in words[end : end + 1] for word in sentence[1 if sentence[0] == SO else 2 :])
    puzzle: Puzzle | None = None
    with suppress(DataError):
        puzzle = from_meta(problem.meta)[0]
    clusters: dict[tuple[tuple[str, ...], ...], int] = {}
    approaches = []
    starts = _openings(words[:end])
    for first, last in zip(starts, [*starts[1:], end], strict=True):
        same = tuple(tuple(sentence) for sentence in _bare(words[first:last]))
        cluster = clusters.setdefault(same, len(clusters))
        approaches.append(_approach(words[first:last], spans[first:last], cluster, said, puzzle, problem, domain))
    parts: list[tuple[Part, Span]] = [("exploration", Span(0, spans[end - 1].end))]
    if end < len(words):
        parts.append(("conclusion", Span(spans[end].start, len(thinking))))
    return Structure(tuple(parts), tuple(approaches))


def _approach(
    words: Words,
    spans: Sequence[Span],
    cluster: int,
    said: str,
    puzzle: Puzzle | None,
    problem: Problem,
    domain: Domain,
) -> Approach:  # fmt: skip
    bare = _bare(words)
    opening, ending = bare[0], bare[-1]
    case = opening[1] if len(opening) > 1 and opening[1].startswith(_CASE) else ""
    refuted = bool(case) and ending[-1] == _BAD
    given_up = bool(case) and words[-1] == _WAIT
    answer = " ".join(word for word in opening if "=" in word) if case else said
    label = "incomplete" if refuted or given_up else label_of([answer], problem, domain)
    errors = _errors(words, spans, case, puzzle) if puzzle and case else ()
    method, span = f"tries {case}" if case else "goes step by step", Span(spans[0].start, spans[-1].end)
    return Approach(span, tuple(spans), label, method, cluster, errors, settles=refuted)


def _errors(words: Words, spans: Sequence[Span], case: str, puzzle: Puzzle) -> tuple[Span, ...]:
    """The sentences that are false in this case, each with the `wait` that takes it back."""
    number = case.removeprefix(_CASE)
    if not number.isdecimal() or not 1 <= int(number) <= 2**puzzle.people:
        return ()
    right = set(case_sentences(puzzle, int(number)))
    wrong = [i for i, sentence in enumerate(words) if sentence != _WAIT and " ".join(_unmarked(sentence)) not in right]
    return tuple(Span(spans[i].start, spans[i + _slips(words, i)].end) for i in wrong)


def _slips(words: Words, index: int) -> bool:
    """Whether the sentence is corrected at once: a `wait` follows, and the same check with another result."""
    after = words[index + 1 : index + 3]
    return len(after) == 2 and after[0] == _WAIT and after[1][:-1] == words[index][:-1]


def _openings(words: Words) -> list[int]:
    """The sentences that begin approaches; `wait` belongs to a re-check after it, else to the case before."""
    starts = [0]
    for index, sentence in enumerate(words):
        opens = len(sentence) > 1 and (sentence[1].startswith(_CASE) or sentence[1] == RECHECK)
        if opens and index:
            starts.append(index - 1 if words[index - 1] == _WAIT and sentence[1] == RECHECK else index)
    return sorted(set(starts))


def _bare(words: Words) -> Words:
    """The sentences without slips, `next wait` and the word `recheck`."""
    rest = [sentence for i, sentence in enumerate(words) if sentence != _WAIT and not _slips(words, i)] or words
    return [_unmarked(rest[0]), *rest[1:]]


def _unmarked(sentence: list[str]) -> list[str]:
    return [NEXT, *sentence[2:]] if sentence[1:2] == [RECHECK] else sentence


def _concludes(sentence: list[str]) -> bool:
    return sentence[0] == SO or sentence[1:2] == [_SOLVED]
