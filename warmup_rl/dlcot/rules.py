"""The backend without a model: discourse markers, the domain's grader, likeness of words; for puzzles the solver."""

from __future__ import annotations

from dataclasses import dataclass

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Problem, Trace
from warmup_rl.dlcot.arithmetic import false_sums
from warmup_rl.dlcot.clusters import clusters, method_of
from warmup_rl.dlcot.kk_segmenter import read_puzzle_trace
from warmup_rl.dlcot.labels import label_of, label_text, loose_answers
from warmup_rl.dlcot.markers import DEAD_END
from warmup_rl.dlcot.outline import Outline, outline, read_sentences
from warmup_rl.dlcot.repeats import Rechecks, repeats
from warmup_rl.dlcot.structure import Approach, Label, Span, Structure
from warmup_rl.dlcot.terse import is_terse, read_terse
from warmup_rl.interfaces.domain import Domain
from warmup_rl.knights.text import from_meta

_OPENING = 2
"""Sentences in which an approach says what it will do."""
_VALUES = 8
"""Last values of an approach among which the right one may be."""
_ENDING = 300
"""Last characters of an approach in which a contradiction ends its hypothesis."""


class Rules:
    """Implements `structure.Backend`."""

    def read(self, trace: Trace, problem: Problem, domain: Domain) -> Structure:
        """The structure of a trace, by the phrasing of its thinking and the kind of its problem.

        Raises:
            Ambiguous: it is not clear.
        """
        if is_terse(trace.thinking):
            return read_terse(trace.thinking, problem, domain)
        try:
            puzzle, _ = from_meta(problem.meta)
        except DataError:
            return _Prose(trace.thinking, problem, domain).read()
        return read_puzzle_trace(trace.thinking, problem.question, puzzle)


@dataclass(frozen=True)
class _Prose:
    """A chain of thought in prose about any problem."""

    text: str
    problem: Problem
    domain: Domain

    def read(self) -> Structure:
        text, question = self.text, self.problem.question
        said = read_sentences(text)
        rechecks = Rechecks(text, question, said)
        outlined = outline(text, question, said, repeats=rechecks.end)
        stretches = outlined.approaches()
        found = [self._label(outlined, first, end) for first, end in stretches]
        repaired, end = 0, outlined.explored
        if found[-1] == ("incomplete", False):
            found[-1], repaired, end = self._completed(outlined)
            stretches[-1] = (stretches[-1][0], end)
        texts = [self._said(outlined, first, last) for first, last in stretches]
        openings = [self._said(outlined, first, min(first + _OPENING, last)) for first, last in stretches]
        numbers = clusters(texts, openings, question=question, gold=self.problem.gold)
        approaches = tuple(
            Approach(
                outlined.span(first, last),
                outlined.steps(first, last),
                label,
                method_of(opening),
                cluster,
                self._errors(outlined, first, last),
                repaired if last == end else 0,
                settles,
            )
            for (first, last), (label, settles), opening, cluster in zip(
                stretches, found, openings, numbers, strict=True
            )
        )
        return outlined.structure(end, approaches, repeats(text, outlined, end, rechecks))

    def _label(self, outlined: Outline, first: int, end: int) -> tuple[Label, bool]:
        """The label of these sentences, and whether they settle a case or a hypothesis without coming to the answer."""
        text = self._said(outlined, first, end)
        label = label_text(text, self.problem, self.domain)
        opens = {sentence.move for sentence in outlined.sentences[first : min(first + _OPENING, end)]}
        ends = bool(DEAD_END.search(text[-_ENDING:].lower()))
        settled = ends if "suppose" in opens else ends or label == "incorrect" if "case" in opens else False
        if label != "correct" and settled:
            return "incomplete", True
        if label == "incomplete" and self._comes_by_the_answer(text):
            return "incomplete", True
        return label, False

    def _comes_by_the_answer(self, text: str) -> bool:
        """Whether the right value is found on the way, as in `so x + 3 = 35. Wait, is it ...`."""
        values = [value for _, value in loose_answers(text)[-_VALUES:]]
        return "\n" not in self.problem.gold.strip() and label_of(values, self.problem, self.domain) == "correct"

    def _completed(self, outlined: Outline) -> tuple[tuple[Label, bool], int, int]:
        """Completeness repair (arXiv 2503.16385, step 2.3): the label of the last approach together with the shortest
        prefix of the verification that brings it to an answer, the number of steps in it, and where it ends.

        Where none does, the conclusion's answer is the approach's.
        """
        first, explored, verified = outlined.openings[-1], outlined.explored, outlined.verified
        for steps, end in outlined.completions():
            label, settles = self._label(outlined, first, end)
            if label != "incomplete":
                return (label, settles), steps, end
        if verified == len(outlined.sentences):
            return ("incomplete", False), 0, explored
        conclusion = self._said(outlined, verified, len(outlined.sentences))
        return (label_text(conclusion, self.problem, self.domain), False), 0, explored

    def _errors(self, outlined: Outline, first: int, end: int) -> tuple[Span, ...]:
        """The sentences with a sum that does not come out."""
        span = outlined.span(first, end)
        places = [wrong.start for wrong in false_sums(self.text, span.start, span.end)]
        return tuple(
            Span(sentence.start, sentence.end)
            for sentence in outlined.sentences[first:end]
            if any(sentence.start <= place < sentence.end for place in places)
        )

    def _said(self, outlined: Outline, first: int, end: int) -> str:
        span = outlined.span(first, end)
        return self.text[span.start : span.end]
