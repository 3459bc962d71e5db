"""The audit of the cleaner `dlcot`: one row for each trace, and all rows as one self-contained HTML page."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from warmup_rl.base.jsonl import json_line
from warmup_rl.base.page import embedded, packed, template
from warmup_rl.base.types import Problem, Trace
from warmup_rl.dlcot.structure import Approach, Cut, Reason, Span, Structure

Row = Mapping[str, Any]
Outcome = Literal["cut", "unchanged", "doubt", "refused"]
"""`cut`: `cuts` were made; `unchanged`: there was nothing to cut; `doubt`: the trace could not be segmented, so that
`parts` and `approaches` are empty; `refused`: a check rejected the result of `cuts`, and the original stays."""

MAX_TRACES, MAX_BYTES = 2_000, 36_000_000
"""Limits of a page, in bytes of the audit's rows, which take a quarter of that when compressed; beyond them it shows a
sample, while its figures count all traces."""

OUTCOMES: dict[str, str] = {
    "cut": "cut", "unchanged": "nothing to cut", "doubt": "left, since in doubt", "refused": "cut refused"
}  # fmt: skip


def audit_row(
    trace: Trace, problem: Problem, *, outcome: Outcome, why: str = "", structure: Structure | None = None,
    cuts: Sequence[Cut] = (), left: Sequence[tuple[Span, str]] = (), notes: Sequence[str] = (), cleaned: str,
    tokens: tuple[int, int],
) -> dict[str, Any]:  # fmt: skip
    """The JSON values that describe what was done to one trace.

    All offsets are characters of `thinking`, end exclusive. `parts` holds the name, start and end of each part;
    `approaches` and `cuts` hold the fields of `structure.Approach` and `structure.Cut`. `verification` lists the steps
    of the verification after completeness repair. `reasons` counts cuts that were made.

    Args:
        why: a short, countable reason for `doubt` and `refused`.
        structure: None if the trace could not be segmented.
        cuts: made for the outcome `cut`, only found for `refused`.
        left: places that were left alone, since the text around them would not be coherent, each with the reason.
        notes: what else was noticed, such as a loop at the end.
        cleaned: the thinking after the cuts.
        tokens: of the thinking under the student's tokenizer, before and after.
    """
    parts = structure.parts if structure else ()
    return {
        "cleaner": "dlcot", "problem_id": trace.problem_id, "sample": trace.sample, "domain": trace.domain,
        "question": problem.question, "gold": problem.gold, "outcome": outcome, "why": why,
        "reasons": dict(Counter(cut.reason for cut in cuts)) if outcome == "cut" else {},
        "tokens_before": tokens[0], "tokens_after": tokens[1],
        "parts": [{"name": name, **span._asdict()} for name, span in parts],
        "approaches": [_fields(approach) for approach in structure.approaches] if structure else [],
        "verification": [list(step) for step in structure.verification] if structure else [],
        "cuts": [_fields(cut) for cut in cuts], "left": [{**span._asdict(), "why": why} for span, why in left],
        "notes": list(notes), "thinking": trace.thinking, "answer": trace.answer, "cleaned": cleaned,
    }  # fmt: skip


def _fields(item: Approach | Cut) -> dict[str, Any]:
    values = {name: getattr(item, name) for name in item.__slots__ if name != "span"}
    spans = {name: [list(span) for span in value] for name, value in values.items() if isinstance(value, tuple)}
    return {**item.span._asdict(), **values, **spans}


def write_page(path: Path, audit: Path, summary: Row, *, title: str, subtitle: str = "", unit: str = "tokens") -> None:
    """Writes the page of an audit.

    Args:
        audit: JSON lines; the rows of the cleaner `dlcot` are shown, with what the clean stage adds to them.
        summary: of the clean stage: `read`, `kept`, `dropped`, `changed` and its tokens.
        unit: the unit of the token counts.
    """
    totals, places = _Totals(), []
    start = 0
    with audit.open("rb") as file:
        for line in file:
            row = json.loads(line)
            if row.get("cleaner") == "dlcot":
                totals.add(row)
                places.append(_Place(start, len(line), (row["outcome"], row["why"])))
            start += len(line)
    chosen = _sample(places)
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.writelines(template("warmup_rl.dlcot", "audit.html").generate(
            title=title,
            subtitle=subtitle,
            figures=_figures(summary, totals, unit),
            bars=[_traces_bar(summary, totals), _tokens_bar(summary, totals, unit)],
            reasons=_reasons(summary, totals),
            notes=_notes(len(chosen), len(places)),
            rows=_embedded(audit, chosen),
            settings=embedded({"unit": unit}),
        ))  # fmt: skip
    part.replace(path)


@dataclass
class _Totals:
    """Counts over all rows of the cleaner `dlcot`."""

    outcomes: Counter[str] = field(default_factory=Counter)
    whys: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    approaches: Counter[str] = field(default_factory=Counter)
    cut_tokens: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    left: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    repaired: int = 0

    def add(self, row: Row) -> None:
        self.outcomes[row["outcome"]] += 1
        if row["why"]:
            self.whys[row["outcome"]][row["why"]] += 1
        self.left.update(place["why"] for place in row["left"])
        self.notes.update(row["notes"])
        self.repaired += any(approach["repaired"] for approach in row["approaches"])
        made = row["cuts"] if row["outcome"] == "cut" else []
        self.approaches.update(_status(approach, made) for approach in row["approaches"])
        if row["dropped"] is not None:
            return
        # Tokens are attributed to the reasons by characters: a span need not consist of whole tokens.
        saved, whole = row["tokens_before"] - row["tokens_after"], sum(cut["end"] - cut["start"] for cut in row["cuts"])
        for cut in row["cuts"]:
            self.cut_tokens[cut["reason"]] += saved * (cut["end"] - cut["start"]) / whole


def _status(approach: Row, cuts: Sequence[Row]) -> str:
    """`merged` into the approach that it repeats, or `cut`; `kept` if a part of it is left."""
    mine = [cut for cut in cuts if cut["start"] < approach["end"] and cut["end"] > approach["start"]]
    gone = sum(min(cut["end"], approach["end"]) - max(cut["start"], approach["start"]) for cut in mine)
    if gone < 0.97 * (approach["end"] - approach["start"]):
        return "kept"
    return "merged" if any(cut["like"] not in (None, cut["approach"]) for cut in mine) else "cut"


class _Place(NamedTuple):
    """The position of a row in the audit file, in bytes, and the group by which rows are sampled."""

    start: int
    length: int
    group: tuple[str, str]


def _sample(places: Sequence[_Place]) -> list[_Place]:
    """All rows if they fit the page, else an equal share of each outcome and reason, evenly spread over the file."""
    groups: dict[tuple[str, str], list[_Place]] = defaultdict(list)
    for place in places:
        groups[place.group].append(place)
    room = min(MAX_TRACES, len(places))
    while True:
        chosen: list[_Place] = []
        for left, group in zip(range(len(groups), 0, -1), sorted(groups.values(), key=len), strict=True):
            share = min(len(group), (room - len(chosen)) // left)
            chosen += [group[index * len(group) // share] for index in range(share)]
        size = sum(place.length for place in chosen)
        if size <= MAX_BYTES or room <= 1:
            return sorted(chosen)
        room = max(1, min(room - 1, room * MAX_BYTES // size))


def _embedded(audit: Path, places: Sequence[_Place]) -> str:
    """The rows as JSON lines, compressed; without the cleaned text, which follows from the cuts."""
    lines = []
    with audit.open("rb") as file:
        for place in places:
            file.seek(place.start)
            row = json.loads(file.read(place.length))
            del row["cleaned"]
            lines.append(json_line(row))
    return packed(lines)


def _figures(summary: Row, totals: _Totals, unit: str) -> list[dict[str, str]]:
    before, after = summary["tokens_before"] - summary["tokens_dropped"], summary["tokens_after"]
    change = f"−{(before - after) / before:.1%}" if before and after < before else "unchanged"
    found, outcomes = totals.approaches, totals.outcomes
    rows = (
        ("Traces kept", f"{summary['kept']:,}", f"of {summary['read']:,}; {summary['changed']:,} changed"),
        (f"{unit.capitalize()} of kept traces", change, f"{before:,} → {after:,}"),
        ("Approaches kept", f"{found['kept']:,}",
         f"of {found.total():,}; {found['merged']:,} merged, {found['cut']:,} cut"),
        ("Changes checked", f"{outcomes['cut']:,} of {outcomes['cut'] + outcomes['refused']:,}",
         "what is left of the thinking still derives its last answer, which is as right as before; "
         f"{totals.left.total():,} cuts were left alone"),
    )  # fmt: skip
    return [{"name": name, "value": value, "note": note} for name, value, note in rows]


def _traces_bar(summary: Row, totals: _Totals) -> dict[str, Any]:
    """All traces read: those that `dlcot` received, by outcome, and those dropped before."""
    counts = {name: (outcome, totals.outcomes[outcome]) for outcome, name in OUTCOMES.items()}
    return _bar("Traces", {**counts, "dropped before": ("dropped", summary["read"] - totals.outcomes.total())})


def _tokens_bar(summary: Row, totals: _Totals, unit: str) -> dict[str, Any]:
    """All tokens read: kept, cut by reason, dropped with their trace, and removed by other steps."""
    cut = {reason: (reason.replace(" ", "-"), round(totals.cut_tokens[reason])) for reason in get_args(Reason)}
    after, dropped = summary["tokens_after"], summary["tokens_dropped"]
    others = summary["tokens_before"] - after - dropped - sum(count for _, count in cut.values())
    parts = {"kept": ("kept", after), **cut, "other steps": ("other", others), "dropped traces": ("dropped", dropped)}
    return _bar(unit.capitalize(), parts)


def _bar(name: str, parts: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    whole = sum(count for _, count in parts.values() if count > 0) or 1
    pieces = [
        {"name": part, "look": look, "share": f"{count / whole:.5f}", "text": f"{count:,} ({count / whole:.1%})"}
        for part, (look, count) in parts.items()
        if count > 0
    ]
    return {"name": name, "pieces": pieces}


def _reasons(summary: Row, totals: _Totals) -> list[dict[str, str]]:
    """Why traces were dropped, left or refused, with counts."""
    lists = {
        "Dropped:": summary["dropped"], "In doubt:": totals.whys["doubt"], "Refused:": totals.whys["refused"],
        "Left alone:": totals.left, "Noticed:": totals.notes,
    }  # fmt: skip
    found = [
        {"name": name, "text": ", ".join(f"{count:,} {why}" for why, count in Counter(counts).most_common())}
        for name, counts in lists.items()
        if counts
    ]
    if totals.repaired:
        traces = f"{totals.repaired:,} trace{'s' * (totals.repaired > 1)}"
        text = f"{traces} whose last approach was completed by steps of the verification"
        found.append({"name": "Repaired:", "text": text})
    return found


def _notes(shown: int, total: int) -> list[str]:
    if shown == total:
        return []
    return [
        f"The figures above count every trace. The list below shows {shown:,} of {total:,}: an equal share of each "
        "outcome and reason, or all if there are fewer, evenly spread over the input."
    ]
