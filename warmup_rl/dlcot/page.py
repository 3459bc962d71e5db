"""The audit as one HTML page: what was cut, merged and refused, as a whole and trace by trace; nothing is fetched."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from warmup_rl.base.jsonl import json_line
from warmup_rl.dlcot.audit_row import Outcome
from warmup_rl.dlcot.structure import Reason

if TYPE_CHECKING:
    from markupsafe import Markup

MAX_TRACES, MAX_BYTES = 2_000, 48_000_000
"""What a page holds at most; beyond that it shows a sample, while its figures count everything."""

_OUTCOMES: dict[Outcome, str] = {
    "cut": "cut", "unchanged": "nothing to cut", "doubt": "left, since in doubt", "refused": "cut refused"
}  # fmt: skip


class _Place(NamedTuple):
    """Where a row lies in the audit, in bytes, and the group of which a sample takes its share."""

    start: int
    length: int
    group: tuple[str, str]


@dataclass
class _Totals:
    """Counts over all rows of the cleaner `dlcot`."""

    outcomes: Counter[str] = field(default_factory=Counter)
    whys: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    approaches: Counter[str] = field(default_factory=Counter)
    cut_tokens: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    repaired: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        outcome = row["outcome"]
        self.outcomes[outcome] += 1
        if row["why"]:
            self.whys[outcome][row["why"]] += 1
        self.repaired += any(approach["repaired"] for approach in row["approaches"])
        is_cut = outcome == "cut"
        for approach in row["approaches"]:
            self.approaches[_fate(approach, row["cuts"] if is_cut else [])] += 1
        if row["dropped"] is None:
            self.verdicts["kept"] += 1
            self.verdicts["before"] += row["verdict_before"] == "correct"
            self.verdicts["after"] += row["verdict_after"] == "correct"
            self._share_out(row)

    def _share_out(self, row: Mapping[str, Any]) -> None:
        """What was cut, over the reasons by characters: spans of text have no whole number of tokens each."""
        characters: Counter[str] = Counter()
        for cut in row["cuts"]:
            characters[cut["reason"]] += cut["end"] - cut["start"]
        saved, whole = row["tokens_before"] - row["tokens_after"], characters.total()
        if saved and whole:
            for reason, count in characters.items():
                self.cut_tokens[reason] += saved * count / whole  # type: ignore[assignment]


def write_page(
    path: Path, audit: Path, summary: Mapping[str, Any], *, title: str, subtitle: str = "", unit: str = "tokens"
) -> None:
    """Writes the page of an audit.

    Args:
        audit: JSON lines; rows of the cleaner `dlcot` are shown (see `audit_row`), with what the clean stage adds.
        summary: of the clean stage: `read`, `kept`, `dropped`, `changed` and its tokens.
        unit: what the token counts count.
    """
    totals, places = _Totals(), []
    for start, line in _lines(audit):
        row = json.loads(line)
        if row.get("cleaner") == "dlcot":
            totals.add(row)
            places.append(_Place(start, len(line), (row["outcome"], row["why"])))
    chosen = _sample(places)
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.writelines(_template().generate(
            title=title,
            subtitle=subtitle,
            figures=_figures(summary, totals, unit),
            bars=[_traces_bar(summary, totals), _tokens_bar(summary, totals, unit)],
            reasons=_reasons(summary, totals),
            notes=_notes(len(chosen), len(places)),
            rows=_embedded(audit, chosen),
            settings=_safe(json_line({"unit": unit})),
        ))  # fmt: skip
    part.replace(path)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    start = 0
    with path.open("rb") as file:
        for line in file:
            yield start, line
            start += len(line)


def _sample(places: Sequence[_Place]) -> list[_Place]:
    """All rows where they fit a page, else an equal share of each outcome and reason, evenly spread over the file."""
    room = min(MAX_TRACES, len(places))
    while True:
        chosen = _shares(places, room)
        size = sum(place.length for place in chosen)
        if size <= MAX_BYTES or room <= 1:
            return chosen
        room = max(1, min(room - 1, room * MAX_BYTES // size))


def _shares(places: Sequence[_Place], room: int) -> list[_Place]:
    groups: dict[tuple[str, str], list[_Place]] = defaultdict(list)
    for place in places:
        groups[place.group].append(place)
    chosen: list[_Place] = []
    for left, group in zip(range(len(groups), 0, -1), sorted(groups.values(), key=len), strict=True):
        share = min(len(group), (room - len(chosen)) // left)
        chosen += [group[index * len(group) // share] for index in range(share)]
    return sorted(chosen)


def _embedded(audit: Path, places: Sequence[_Place]) -> Iterator[Markup]:
    with audit.open("rb") as file:
        for place in places:
            file.seek(place.start)
            yield _safe(file.read(place.length))


def _safe(line: bytes) -> Markup:
    """JSON that no HTML parser takes for a tag: what could begin one is written as an escape of JSON."""
    from markupsafe import Markup

    text = line.decode().strip()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _fate(approach: Mapping[str, Any], cuts: Sequence[Mapping[str, Any]]) -> str:
    """`kept`, `merged` into one that it repeats, or `cut`; an approach of which a part is left is kept."""
    mine = [cut for cut in cuts if cut["start"] < approach["end"] and cut["end"] > approach["start"]]
    gone = sum(min(cut["end"], approach["end"]) - max(cut["start"], approach["start"]) for cut in mine)
    if gone < 0.97 * (approach["end"] - approach["start"]):
        return "kept"
    return "merged" if any(cut["like"] not in (None, cut["approach"]) for cut in mine) else "cut"


def _figures(summary: Mapping[str, Any], totals: _Totals, unit: str) -> list[dict[str, str]]:
    before, after = summary["tokens_before"] - summary["tokens_dropped"], summary["tokens_after"]
    fates, verdicts = totals.approaches, totals.verdicts
    merged = f"of {fates.total():,}; {fates['merged']:,} merged, {fates['cut']:,} cut"
    right = f"right answers before and after, of {verdicts['kept']:,}"
    return [
        _figure("Traces kept", f"{summary['kept']:,}", f"of {summary['read']:,}; {summary['changed']:,} changed"),
        _figure(f"{unit.capitalize()} of kept traces", _change(before, after), f"{before:,} → {after:,}"),
        _figure("Approaches kept", f"{fates['kept']:,}", merged),
        _figure("Verified again", f"{verdicts['before']:,} → {verdicts['after']:,}", right),
    ]


def _figure(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "note": note}


def _change(before: int, after: int) -> str:
    return f"−{(before - after) / before:.1%}" if before and after < before else "unchanged"


def _traces_bar(summary: Mapping[str, Any], totals: _Totals) -> dict[str, Any]:
    """All traces read: those that `dlcot` saw by outcome, and those that never came to it."""
    counts = {name: (outcome, totals.outcomes[outcome]) for outcome, name in _OUTCOMES.items()}
    unseen = summary["read"] - totals.outcomes.total()
    return _bar("Traces", {**counts, "dropped before": ("dropped", unseen)})


def _tokens_bar(summary: Mapping[str, Any], totals: _Totals, unit: str) -> dict[str, Any]:
    """All tokens read: kept, cut by reason, dropped with their trace, and taken out by other steps."""
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


def _reasons(summary: Mapping[str, Any], totals: _Totals) -> list[dict[str, str]]:
    """Why traces were dropped, left or refused, with counts."""
    lists = {"Dropped:": summary["dropped"], "In doubt:": totals.whys["doubt"], "Refused:": totals.whys["refused"]}
    found = [{"name": name, "text": _counted(Counter(counts))} for name, counts in lists.items() if counts]
    if totals.repaired:
        traces = f"{totals.repaired:,} trace{'s' * (totals.repaired > 1)}"
        text = f"{traces} whose last approach was completed by steps of the verification"
        found.append({"name": "Repaired:", "text": text})
    return found


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def _notes(shown: int, there: int) -> list[str]:
    if shown == there:
        return []
    return [
        f"The figures above count every trace. The list below shows {shown:,} of {there:,}: of each outcome and "
        "reason an equal share, or all where there are fewer, evenly spread over the input."
    ]


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        autoescape=True, loader=PackageLoader("warmup_rl.dlcot"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("audit.html")
