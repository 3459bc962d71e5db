"""Cuts needless re-checks out of solver traces, by their explicit marks, and leaves everything else as it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from warmup_rl.cleaner import CleanContext, Cleaner, Dropped
from warmup_rl.knights.story import DOUBT_OPENERS, RECHECK_CLOSERS, RECHECK_OPENERS
from warmup_rl.knights.terse import NEXT, RECHECK, SO, WAIT
from warmup_rl.types import Trace


class Rechecks(Cleaner):
    """Removes re-checks that only repeat what was just found; where that is in doubt the text stays.

    A changed trace carries `rechecks_cut`, `tokens_before` and `tokens_after` (of the thinking) in its `meta`.
    """

    type: ClassVar[str] = "rechecks"

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        def clean(trace: Trace) -> Trace | Dropped:
            thinking, cut = cut_rechecks(trace.thinking)
            if not cut:
                return trace
            counts = {
                "rechecks_cut": cut,
                "tokens_before": context.count_tokens(trace.thinking),
                "tokens_after": context.count_tokens(thinking),
            }
            return replace(trace, thinking=thinking, meta={**trace.meta, **counts})

        return clean


def cut_rechecks(thinking: str) -> tuple[str, int]:
    """The thinking without needless re-checks, and how many were cut; words that stay keep their order."""
    return _cut_terse(thinking) if thinking.split()[:1] == [NEXT] else _cut_english(thinking)


def _cut_english(thinking: str) -> tuple[str, int]:
    """A re-check is a paragraph between an opener and a closer that the solver uses for nothing else."""
    paragraphs = thinking.split("\n\n")
    kept = [paragraph for paragraph in paragraphs if not _is_recheck(paragraph)]
    return "\n\n".join(kept), len(paragraphs) - len(kept)


def _is_recheck(paragraph: str) -> bool:
    text = paragraph.strip()
    return text.startswith(RECHECK_OPENERS + DOUBT_OPENERS) and text.endswith(RECHECK_CLOSERS)


def _cut_terse(thinking: str) -> tuple[str, int]:
    """A re-check is `recheck` and a case in the very words of the case before it; a `next wait` before it goes too."""
    kept: list[list[str]] = []
    case: list[list[str]] = []
    cut = 0
    blocks = _blocks(thinking)
    for block in blocks:
        opening = block[0]
        again = [[NEXT, *opening[2:]], *block[1:]]
        if opening[1:2] == [RECHECK] and again == case:
            cut += 1
            if kept[-1] == [NEXT, WAIT]:
                kept.pop()
            continue
        if opening != [NEXT, WAIT]:
            case = block
        kept += block
    return (" ".join(word for sentence in kept for word in sentence), cut) if cut else (thinking, 0)


def _blocks(thinking: str) -> list[list[list[str]]]:
    """The sentences, as words, in groups: a sentence that is no numbered check begins a new one."""
    blocks: list[list[list[str]]] = []
    for word in thinking.split():
        if word in (NEXT, SO) or not blocks:
            blocks.append([[word]])
        else:
            blocks[-1][-1].append(word)
    grouped: list[list[list[str]]] = []
    for (sentence,) in blocks:
        if grouped and sentence[0] == NEXT and sentence[1:2] and sentence[1].startswith("#"):
            grouped[-1].append(sentence)
        else:
            grouped.append([sentence])
    return grouped
