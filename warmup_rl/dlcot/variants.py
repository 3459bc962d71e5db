"""Chooses the cuts of a chain of thought: the variants of arXiv 2503.16385 as pure functions of its structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from warmup_rl.dlcot.structure import Approach, Cut, Reason, Span, Structure

Redundancy = Literal[
    "none", "delete_multi_1", "delete_multi_2", "delete_multi_all", "delete_multi_incorrect_incomplete", "keep_first",
    "earliest_correct",
]  # fmt: skip
"""Which repeats are cut: approaches of a cluster (one method) after its first one; see `DLCoT.redundancy`. The names
are those of the paper's code (`redundancy_deduction.py`; there `delete_multi_incorrect_incomplete` and `keep_first` by
name only)."""
Verification = Literal["keep", "drop"]
"""`drop` also cuts re-checks: arXiv 2505.14582 reports that it helps in every setting, and that other pruning harms."""
Errors = Literal["none", "delete_solution", "delete_all"]
"""Which errors are cut (`incorrectness_deduction.py`; in the paper none of this helped). The main path is all
approaches up to the first correct one; if none is correct, nothing is cut.

- `none`: no errors.
- `delete_solution`: whole wrong approaches off the main path.
- `delete_all`: these, and the erroneous spans of approaches on the main path and of correct ones off it. The rules find
  false sums and, in terse chains, sentences that are false in their case; a judge finds errors of any kind.
"""

_RANK = {"correct": 3, "incorrect": 1, "incomplete": 1}


def simplify(
    structure: Structure,
    *,
    redundancy: Redundancy = "delete_multi_all",
    unsolvable: bool = False,
    errors: Errors = "none",
    verification: Verification = "keep",
) -> tuple[Cut, ...]:
    """The cuts of a variant, in the order of the text, none inside another.

    Where the labels of a structure are not sure, `unsolvable` and `errors` cut nothing.

    The approach that the conclusion rests on (the last correct one, else the last) is cut as a repeat only if the last
    kept approach before it is correct or says the same. So if any approach is correct, a correct one is kept.

    Args:
        unsolvable: cut approaches that reach no answer and settle nothing (the paper's "unsolvable solutions").
    """
    approaches = structure.approaches
    if not structure.sure:
        unsolvable, errors = False, "none"
    cuts = _repeats(approaches, redundancy)
    gone = {cut.approach for cut in cuts}
    rests_on = _rests_on(approaches)
    rests_on = next((cut.like for cut in cuts if cut.approach == rests_on and cut.like is not None), rests_on)
    if unsolvable:
        cuts += [
            Cut(approach.span, "unsolvable", index)
            for index, approach in enumerate(approaches)
            if approach.label == "incomplete" and not approach.settles and index != rests_on and index not in gone
        ]
        gone = {cut.approach for cut in cuts}
    cuts += _wrong(approaches, errors, gone)
    if redundancy != "none" or verification == "drop":
        cuts += _needless(structure)
    answered = _first_correct(approaches)
    if redundancy == "earliest_correct" and answered is not None:
        cuts += [Cut(step, "after the answer") for step in structure.verification]
    elif verification == "drop":
        cuts += [Cut(step, "verification") for step in structure.verification]
    return _outermost(cuts)


def _needless(structure: Structure) -> list[Cut]:
    """Re-checks and repeated paragraphs; an approach that consists of nothing else is kept."""
    within: dict[int | None, list[Span]] = {}
    for span in structure.repeats:
        inside = (i for i, a in enumerate(structure.approaches) if a.span.start <= span.start < a.span.end)
        within.setdefault(next(inside, None), []).append(span)
    cuts = []
    for index, spans in within.items():
        whole = structure.approaches[index].span if index is not None else None
        if whole is None or sum(span.end - span.start for span in spans) < whole.end - whole.start:
            cuts += [Cut(span, "redundant", index, index) for span in spans]
    return cuts


def _repeats(approaches: Sequence[Approach], redundancy: Redundancy) -> list[Cut]:
    if redundancy == "none":
        return []
    if redundancy in ("keep_first", "earliest_correct"):
        first = _first_correct(approaches)
        if first is None:
            return []
        reason: Reason = "redundant" if redundancy == "keep_first" else "after the answer"
        return [Cut(approaches[i].span, reason, i, first) for i in range(first + 1, len(approaches))]
    found = _removable(approaches)
    if redundancy == "delete_multi_incorrect_incomplete":
        return [cut for cut in found if cut.approach is not None and approaches[cut.approach].label != "correct"]
    return found if redundancy == "delete_multi_all" else found[-1:] if redundancy == "delete_multi_1" else found[-2:]


def _removable(approaches: Sequence[Approach]) -> list[Cut]:
    """All repeats. A correct approach repeats only a correct one, one that settles something only one that does too."""
    kept: list[int] = []
    cuts: list[Cut] = []
    rests_on = _rests_on(approaches)
    for index, approach in enumerate(approaches):
        alike = (i for i in kept if approaches[i].cluster == approach.cluster)
        like = next((i for i in alike if _rank(approaches[i]) >= _rank(approach)), None)
        before = approaches[kept[-1]] if kept else approach
        stands = before.label == "correct" or (before.cluster, before.label) == (approach.cluster, approach.label)
        if like is None or index == rests_on and not stands:
            kept.append(index)
        else:
            cuts.append(Cut(approach.span, "redundant", index, like))
    return cuts


def _wrong(approaches: Sequence[Approach], errors: Errors, gone: set[int | None]) -> list[Cut]:
    end = _first_correct(approaches)
    if errors == "none" or end is None:
        return []
    cuts = []
    for index, approach in enumerate(approaches):
        if index in gone:
            continue
        if index > end and approach.label != "correct":
            if approach.label == "incorrect" or approach.errors and not approach.settles:
                cuts.append(Cut(approach.span, "wrong approach", index))
        elif errors == "delete_all":
            whole = approach.span if approach.label == "correct" else None
            cuts += [Cut(span, "wrong span", index) for span in approach.errors if span != whole]
    return cuts


def _rank(approach: Approach) -> int:
    return 2 if approach.settles else _RANK[approach.label]


def _first_correct(approaches: Sequence[Approach]) -> int | None:
    return next((index for index, approach in enumerate(approaches) if approach.label == "correct"), None)


def _rests_on(approaches: Sequence[Approach]) -> int:
    last = len(approaches) - 1
    return next((index for index in range(last, -1, -1) if approaches[index].label == "correct"), last)


def _outermost(cuts: Sequence[Cut]) -> tuple[Cut, ...]:
    """The cuts in order, without those that overlap an earlier or a longer one."""
    found: list[Cut] = []
    for cut in sorted(cuts, key=lambda cut: (cut.span.start, -cut.span.end)):
        if cut.span.start < cut.span.end and (not found or cut.span.start >= found[-1].span.end):
            found.append(cut)
    return tuple(found)
