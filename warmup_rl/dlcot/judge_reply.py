"""A judge's reply about numbered sentences: its schema, its validation, and the structure that it describes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from warmup_rl.dlcot.structure import Approach, Label, Part, Span, Structure
from warmup_rl.interfaces.format import THINK_CLOSE, THINK_OPEN

MAX_FAULTS = 5
"""Faults reported to the judge at once."""
_METHOD_LENGTH = 100


class Unusable(Exception):
    """A reply that cannot be used; `faults` give the reasons, phrased for the judge."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults[:MAX_FAULTS])
        super().__init__("; ".join(self.faults))


def _as_range(value: Any) -> Any:
    """`4` and `[4]` mean the range from 4 to 4."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return [value, value] if isinstance(value, int) else value


def _as_label(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


Range = Annotated[tuple[int, int], BeforeValidator(_as_range)]


class ReadApproach(BaseModel):
    """An approach by the numbers of its sentences, from 1 (see `prompts/read.jinja`)."""

    model_config = ConfigDict(frozen=True)

    steps: tuple[int, ...] = Field(min_length=1)
    method: str = ""
    same_as: int | None = None
    answer: Range | None = None
    label: Annotated[Label, BeforeValidator(_as_label)] = "incomplete"
    settles: bool = False
    errors: tuple[Range, ...] = ()


class Reading(BaseModel):
    """A whole reply; other keys are ignored."""

    model_config = ConfigDict(frozen=True)

    understanding: int | None = None
    approaches: tuple[ReadApproach, ...] = Field(min_length=1)
    verification: tuple[int, ...] = ()
    conclusion: int | None = None
    repeats: tuple[Range, ...] = ()

    @property
    def anchors(self) -> list[int]:
        """All first sentences, in the order that they must have in the text."""
        parts = [self.understanding, *(step for approach in self.approaches for step in approach.steps)]
        return [anchor for anchor in (*parts, *self.verification, self.conclusion) if anchor is not None]


def read_reply(text: str, count: int) -> Reading:
    """The last JSON object with approaches in a reply, which may be fenced, or follow prose or thinking; not one inside
    a thinking that was not closed.

    Args:
        count: number of sentences.

    Raises:
        Unusable: there is none, or it does not match the schema or the sentences.
    """
    said = text.rpartition(THINK_CLOSE)[2].partition(THINK_OPEN)[0]
    found = [value for value in _objects(said) if "approaches" in value]
    if not found:
        raise Unusable(["there is no complete JSON object with the key `approaches` in the reply"])
    try:
        reading = Reading.model_validate(found[-1])
    except ValidationError as error:
        raise Unusable([f"{_place(item['loc'])}: {item['msg']}" for item in error.errors()]) from None
    if faults := _faults(reading, count):
        raise Unusable(faults)
    return reading


def structure_of(
    reading: Reading, found: Sequence[Span], judged: Callable[[str, Label], Label], thinking: str
) -> Structure:
    """The structure that a validated reading describes.

    If the last approach gets its answer from the verification, the shortest prefix of the verification's steps that
    contains the answer moves into it (completeness repair, arXiv 2503.16385, step 2.3).

    Args:
        found: the sentences that the reading points at.
        judged: the label of an approach, given the text of its answer and the judge's label.
    """
    moved = _moved(reading)
    verification = reading.verification[moved:]
    after = [*verification[:1], *([reading.conclusion] if reading.conclusion else []), len(found) + 1]
    clusters: list[int] = []
    approaches = []
    for index, read in enumerate(reading.approaches):
        last = index + 1 == len(reading.approaches)
        steps = [*read.steps, *(reading.verification[:moved] if last else ())]
        end = after[0] if last else reading.approaches[index + 1].steps[0]
        clusters.append(clusters[read.same_as - 1] if read.same_as else max(clusters, default=-1) + 1)
        answer = _span(found, read.answer[0], read.answer[1] + 1) if read.answer else None
        approaches.append(
            Approach(
                _span(found, steps[0], end), _spans(found, steps, end),
                judged(thinking[answer.start : answer.end], read.label) if answer else "incomplete",
                " ".join(read.method.split())[:_METHOD_LENGTH], clusters[-1],
                errors=tuple(_span(found, first, to + 1) for first, to in read.errors),
                repaired=moved * last, settles=read.settles and answer is None,
            )
        )  # fmt: skip
    checks_end = reading.conclusion or len(found) + 1
    return Structure(
        _parts(reading, verification, found),
        tuple(approaches),
        _spans(found, verification, checks_end) if verification else (),
        tuple(_span(found, first, to + 1) for first, to in sorted(reading.repeats)),
    )


def _parts(reading: Reading, verification: Sequence[int], found: Sequence[Span]) -> tuple[tuple[Part, Span], ...]:
    starts: list[tuple[Part, int | None]] = [
        ("restatement", 1 if reading.anchors[0] > 1 else None),
        ("understanding", reading.understanding),
        ("exploration", reading.approaches[0].steps[0]),
        ("verification", verification[0] if verification else None),
        ("conclusion", reading.conclusion),
    ]
    there = [(part, start) for part, start in starts if start is not None]
    ends = [start for _, start in there[1:]] + [len(found) + 1]
    return tuple((part, _span(found, start, end)) for (part, start), end in zip(there, ends, strict=True))


def _moved(reading: Reading) -> int:
    """Number of verification steps up to the one that ends the last approach's answer."""
    answer = reading.approaches[-1].answer
    if answer is None or (reading.conclusion and answer[1] >= reading.conclusion):
        return 0
    return sum(1 for step in reading.verification if step <= answer[1])


def _faults(reading: Reading, count: int) -> list[str]:
    anchors = reading.anchors
    if wrong := [anchor for anchor in anchors if not 1 <= anchor <= count]:
        return [f"{wrong[0]} is not a sentence number: there are sentences 1 to {count}"]
    for before, anchor in zip(anchors, anchors[1:], strict=False):
        if anchor <= before:
            return [
                f"first sentences must increase from the understanding to the conclusion, but {anchor} comes after "
                f"{before}: parts, approaches and steps cannot overlap"
            ]
    faults = []
    for index, read in enumerate(reading.approaches):
        name, last = f"approaches[{index}]", index + 1 == len(reading.approaches)
        first, end = read.steps[0], _approach_end(reading, index, count)
        for first_error, last_error in read.errors:
            if not first <= first_error <= last_error < end:
                faults.append(
                    f"{name}.errors: [{first_error}, {last_error}] is not inside the approach, which has "
                    f"sentences {first} to {end - 1}"
                )
        if read.answer and not first <= read.answer[0] <= read.answer[1] < (count + 1 if last else end):
            faults.append(
                f"{name}.answer: {list(read.answer)} is not inside the approach, which has sentences {first} "
                f"to {end - 1}"
            )
        if read.same_as is not None and not 1 <= read.same_as <= index:
            faults.append(f"{name}.same_as: {read.same_as} is not the number of an earlier approach")
    answers = [read.answer for read in reading.approaches if read.answer]
    for first, to in reading.repeats:
        if not 1 <= first <= to <= count:
            faults.append(f"repeats: [{first}, {to}] is not a range of sentences from 1 to {count}")
        elif any(first <= answer[1] and answer[0] <= to for answer in answers):
            faults.append(f"repeats: [{first}, {to}] holds an answer that an approach states for the first time")
    return faults


def _approach_end(reading: Reading, index: int, count: int) -> int:
    """The sentence after an approach, before completeness repair."""
    later = reading.approaches[index + 1].steps if index + 1 < len(reading.approaches) else reading.verification
    return later[0] if later else reading.conclusion or count + 1


def _objects(text: str) -> list[dict[str, Any]]:
    """Every JSON object in a text that is not inside another one."""
    found: list[dict[str, Any]] = []
    decoder, place = json.JSONDecoder(), text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except json.JSONDecodeError:
            end = place + 1
        except RecursionError:  # a usable reply is never nested this deep
            return found
        else:
            found.append(value)
        place = text.find("{", end)
    return found


def _place(location: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".") or "reply"


def _spans(found: Sequence[Span], starts: Sequence[int], end: int) -> tuple[Span, ...]:
    ends = [*starts[1:], end]
    return tuple(_span(found, start, to) for start, to in zip(starts, ends, strict=True))


def _span(found: Sequence[Span], first: int, end: int) -> Span:
    """Characters of the sentences from `first` to the one before `end`, numbered from 1."""
    return Span(found[first - 1].start, found[end - 2].end)
