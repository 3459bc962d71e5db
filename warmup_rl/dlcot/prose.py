"""Reads a chain of thought in prose by its discourse markers, the domain's grader, and the similarity of its words."""

from __future__ import annotations

from collections.abc import Sequence

from warmup_rl.base.types import Problem
from warmup_rl.dlcot.clusters import clusters, method_of
from warmup_rl.dlcot.labels import false_sums, label_of, label_text, loose_answers
from warmup_rl.dlcot.markers import DEAD_END
from warmup_rl.dlcot.outline import Outline, Stretch, marked_openings, outline, read_sentences
from warmup_rl.dlcot.repeats import Rechecks, repeats, supposes
from warmup_rl.dlcot.structure import Approach, Label, Span, Structure
from warmup_rl.interfaces.domain import Domain

_OPENING = 2
"""Sentences in which an approach announces what it will do."""
_VALUES = 8
"""Last values of an approach among which the right one may be."""
_ENDING = 300
"""Last characters of an approach in which a contradiction ends its hypothesis."""


class Prose:
    """A chain of thought in prose about any problem.

    `read` finds the parts and approaches; what the sentences mean is decided by methods that a subclass overrides.
    Sentences are given by their indices, stretches of them as `[first, end)`.

    Raises:
        Ambiguous: the text is not in English, or too unclear to be divided into sentences.
    """

    can_suppose = False
    """Whether a needless re-check may contain a hypothesis."""

    def __init__(self, text: str, problem: Problem, domain: Domain) -> None:
        self.text, self.problem, self.domain = text, problem, domain
        self.sentences = read_sentences(text)

    def read(self) -> Structure:
        """The structure of the text. Raises `Ambiguous` if it is unclear."""
        rechecks = Rechecks(self.text, self.problem.question, self.sentences, self.is_new, self.can_suppose)
        outlined = outline(
            self.text, self.problem.question, self.sentences,
            repeats=rechecks.end, openings=self.openings, working=self.working,
        )  # fmt: skip
        self.require_work(outlined)
        stretches = outlined.approaches()
        labels = [self.label(*stretch) for stretch in stretches]
        repaired, end = 0, outlined.explored
        if labels[-1] == ("incomplete", False):
            label, repaired, end = self._completed(outlined)
            labels[-1], stretches[-1] = (label, False), (stretches[-1][0], end)
        methods, numbers = self.methods(stretches)
        approaches = tuple(
            Approach(
                outlined.span(*stretch), outlined.steps(*stretch), label, method, cluster, self.errors(*stretch),
                repaired if stretch[1] == end else 0, settles or self.supports(label, *stretch),
            )
            for stretch, (label, settles), method, cluster in zip(stretches, labels, methods, numbers, strict=True)
        )  # fmt: skip
        return outlined.structure(end, approaches, repeats(self.text, outlined, end, rechecks, self.apart))

    def require_work(self, outlined: Outline) -> None:
        """Raises `Ambiguous` if nothing in the exploration can be read."""

    def openings(self, first: int, end: int) -> list[int]:
        """The sentences that begin approaches."""
        return marked_openings(self.text, self.sentences, first, end)

    def working(self, index: int) -> bool | None:
        """Whether a sentence works at the problem (true) or only states it (false); None if that is open."""
        return None

    def is_new(self, first: int, end: int) -> bool | None:
        """Whether a re-check says something new; None to decide by its numbers and words."""
        return None

    def apart(self, first: int, later: int) -> bool:
        """Whether two paragraphs that begin with these sentences stand under different hypotheses."""
        return supposes(self.sentences[first : later + 1])

    def label(self, first: int, end: int) -> tuple[Label, bool]:
        """The label of a stretch, and whether it settles a case or a hypothesis without reaching an answer."""
        text = self.part(first, end)
        label = label_text(text, self.problem, self.domain)
        opens = {sentence.move for sentence in self.sentences[first : min(first + _OPENING, end)]}
        ends = bool(DEAD_END.search(text[-_ENDING:].lower()))
        settled = ends if "suppose" in opens else ends or label == "incorrect" if "case" in opens else False
        if label != "correct" and settled:
            return "incomplete", True
        if label == "incomplete" and self._passes_the_answer(text):
            return "incomplete", True
        return label, False

    def conclusion(self, first: int, verified: int) -> Label:
        """The label of the last approach, from `first`, by the conclusion that begins with the sentence `verified`."""
        if verified == len(self.sentences):
            return "incomplete"
        return label_text(self.part(verified, len(self.sentences)), self.problem, self.domain)

    def supports(self, label: Label, first: int, end: int) -> bool:
        """Whether later approaches may build on a stretch that settles nothing by itself."""
        return False

    def methods(self, stretches: Sequence[Stretch]) -> tuple[list[str], list[int]]:
        """For each approach what it does, for readers, and the number of its cluster."""
        texts = [self.part(*stretch) for stretch in stretches]
        openings = [self.part(first, min(first + _OPENING, end)) for first, end in stretches]
        numbers = clusters(texts, openings, question=self.problem.question, gold=self.problem.gold)
        return [method_of(opening) for opening in openings], numbers

    def errors(self, first: int, end: int) -> tuple[Span, ...]:
        """The sentences with a false sum."""
        found = self.sentences[first:end]
        places = [wrong.start for wrong in false_sums(self.text, found[0].start, found[-1].end)]
        return tuple(Span(one.start, one.end) for one in found if any(one.start <= at < one.end for at in places))

    def part(self, first: int, end: int) -> str:
        """The text of a stretch."""
        return self.text[self.sentences[first].start : self.sentences[end - 1].end]

    def _completed(self, outlined: Outline) -> tuple[Label, int, int]:
        """Completeness repair (arXiv 2503.16385, step 2.3) of the last approach.

        Returns its label together with the shortest prefix of the verification that brings it to an answer, the number
        of steps in that prefix, and where it ends. If there is none, the label is that of the conclusion.
        """
        first = outlined.openings[-1]
        for steps, end in outlined.completions():
            label, _ = self.label(first, end)
            if label != "incomplete":
                return label, steps, end
        return self.conclusion(first, outlined.verified), 0, outlined.explored

    def _passes_the_answer(self, text: str) -> bool:
        """Whether the right value is found on the way, as in `so x + 3 = 35. Wait, is it ...`."""
        values = [value for _, value in loose_answers(text)[-_VALUES:]]
        return "\n" not in self.problem.gold.strip() and label_of(values, self.problem, self.domain) == "correct"
