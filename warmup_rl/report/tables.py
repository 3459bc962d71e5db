"""Tables of a report, once as values, shown as Markdown in the file and with rich on the console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from warmup_rl.base.stats import MIN_SEEDS, mean
from warmup_rl.report.difference import Claim, Side, share
from warmup_rl.report.gains import Gain
from warmup_rl.report.load import Run
from warmup_rl.report.models import Accuracy, Shown, with_interval

if TYPE_CHECKING:
    import rich.table

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names the row."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    def markdown(self) -> str:
        """A pipe table, numbers to the right, the caption under it."""
        rule = [":--"] + ["--:"] * (len(self.header) - 1)
        lines = [self.header, rule, *self.rows]
        text = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        return text + (f"\n\n{self.caption}" if self.caption else "")

    def rich(self) -> rich.table.Table:
        """For the console."""
        from rich.box import SIMPLE_HEAD
        from rich.markup import escape
        from rich.table import Table as RichTable

        table = RichTable(
            title=escape(self.title), title_justify="left", title_style="bold", caption=escape(self.caption),
            caption_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False,
        )  # fmt: skip
        for position, name in enumerate(self.header):
            lines = escape(name.replace(" (chance ", "\nchance ").replace(" without", "\nwithout").rstrip(")"))
            table.add_column(lines, justify="right" if position else "left", no_wrap=bool(position), overflow="fold")
        for row in self.rows:
            table.add_row(*(escape(cell.replace(" [", "\n[")) for cell in row))
        return table


def accuracy_table(run: Run, rows: Sequence[Shown], sampling: str) -> Table:
    """Lenient accuracy with intervals: models by domains, and the mean over the transfer domains."""
    header = ["model", *(f"{name} (chance {_chance(rows, name, sampling)})" for name in run.measured)]
    with_mean = len(run.transfer) > 1
    body = []
    for row in rows:
        found = [row.accuracy([name], sampling) for name in run.measured]
        if any(found):
            found += [row.accuracy(run.transfer, sampling)] if with_mean else []
            body.append((row.name, *map(accuracy_text, found)))
    apart = f" without {', '.join(run.puzzles)}" if run.puzzles else ""
    return Table(
        f"Accuracy, {sampling}, lenient", (*header, *([f"mean{apart}"] if with_mean else [])), tuple(body),
        f"Mean over {_seeds(run)} [95% interval: {_interval_kind(run)}].",
    )  # fmt: skip


def form_table(run: Run, rows: Sequence[Shown]) -> Table:
    """What lies behind lenient accuracy: form, truncation, thinking and length, under the headline sampling."""
    body = []
    for row in (row for row in rows if row.role != "best prompt"):
        for domain in run.measured:
            cells = list(row.cells(domain, run.headline).values())
            if not cells:
                continue
            shows_work = [cell.shows_work for cell in cells if cell.shows_work is not None]
            shares = [
                mean([getattr(cell, name) for cell in cells])
                for name in ("lenient", "strict", "well_formed", "truncated")
            ]
            tokens = f"{mean([cell.tokens for cell in cells]):,.0f}"
            body.append(
                (row.name, domain, *map(share, shares), share(mean(shows_work)) if shows_work else NOTHING, tokens)
            )
    header = ("model", "domain", "lenient", "strict", "well formed", "truncated", "shows_work", "tokens")
    return Table(f"Form and length, {run.headline}", header, tuple(body), f"Mean over {_seeds(run)}.")


def claims_table(claims: Sequence[Claim]) -> Table:
    """Every claim with estimate, interval and seeds, or why it is not testable."""
    body = []
    part = ""
    for claim in claims:
        lead = (claim.part if claim.part != part else "", claim.question, claim.where)
        part = claim.part
        if claim.untestable:
            body.append((*lead, NOTHING, NOTHING, f"not testable here: {claim.untestable}", NOTHING))
            continue
        sides = (_side_text(claim, claim.left), _side_text(claim, claim.right))
        body.append((*lead, *sides, amount(claim), _by_seed(claim)))
    header = ("claim", "left - right", "where", "left", "right", "difference [95% interval]", "by seed")
    notes: dict[str, list[str]] = {}
    for claim in claims:
        for note in claim.notes:
            notes.setdefault(note, []).append(claim.id)
    caption = " ".join(f"{', '.join(ids)}: {note}." for note, ids in notes.items())
    return Table("Claims", header, tuple(body), caption)


def gains_table(gains: Sequence[Gain]) -> Table:
    """Gains split into format, truncation and rest, in points."""
    body = tuple(
        (
            gain.name,
            gain.domain,
            *(f"{value * 100:+.1f}" for value in (gain.total, gain.format, gain.truncation, gain.rest)),
        )
        for gain in gains
    )
    caption = (
        "Points, mean over seeds; the parts add up. By single problems: what became correct counts as truncation where "
        "the old completion was cut off, as format where no answer could be found in it, else as rest; losses likewise."
    )
    return Table("Where gains come from", ("gain", "domain", "total", "format", "truncation", "rest"), body, caption)


def groups(run: Run, rows: Sequence[Shown], domain: str) -> dict[str, dict[str, Accuracy]]:
    """Lenient accuracy by group of problems (`people=2`), then model name, under the headline sampling."""
    found: dict[str, dict[str, Accuracy]] = {}
    for row in rows:
        cells = row.cells(domain, run.headline)
        for group in dict.fromkeys(name for cell in cells.values() for name in cell.by):
            parts = {seed: cell.by[group] for seed, cell in cells.items() if group in cell.by}
            by_seed = {seed: part["lenient"] for seed, part in parts.items()}
            problems = min(int(part["problems"]) for part in parts.values())
            found.setdefault(group, {})[row.name] = with_interval(by_seed, problems)
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))


def groups_table(run: Run, rows: Sequence[Shown], domain: str) -> Table:
    """A domain by group of problems, e.g. Knights & Knaves by number of people."""
    by_group = groups(run, rows, domain)
    body = tuple(
        (row.name, *(accuracy_text(models.get(row.name)) for models in by_group.values()))
        for row in rows
        if any(row.name in models for models in by_group.values())
    )
    header = ("model", *map(group_name, by_group))
    return Table(f"{domain} by difficulty, {run.headline}, lenient", header, body, f"Mean over {_seeds(run)}.")


def group_name(group: str) -> str:
    """`people=2` as `2 people`."""
    key, _, value = group.partition("=")
    return f"{value} {key}" if value else key


def accuracy_text(found: Accuracy | None) -> str:
    """`.45 [.38, .52]`."""
    return f"{share(found.value)} [{share(found.low)}, {share(found.high)}]" if found else NOTHING


def amount(claim: Claim) -> str:
    """The estimate with its unit and interval, or why there is none: `+12.0 points [4.1, 19.9]`."""
    if claim.estimate is None:
        return f"open ({claim.no_interval})"
    bound = f"{claim.bound} " if claim.bound else ""
    text = f"{bound}{_number(claim, claim.estimate, sign=True)} {claim.unit}"
    if claim.interval is None:
        return f"{text} (no interval: {claim.no_interval})"
    return f"{text} {_interval_text(claim)}"


def brief(claim: Claim) -> str:
    """The estimate for running text: `+12.0 points [4.1, 19.9]`."""
    if claim.estimate is None:
        return "open"
    text = f"{claim.bound} {_number(claim, claim.estimate, sign=True)} {claim.unit}".strip()
    if claim.interval:
        return f"{text} {_interval_text(claim)}"
    count = len(claim.values)
    return text if claim.bound else f"{text}, {count} seed{'s' * (count > 1)}"


def _interval_text(claim: Claim) -> str:
    assert claim.interval is not None
    low, high = (_number(claim, value) for value in claim.interval)
    return f"[{low}, {high}]"


def _side_text(claim: Claim, side: Side) -> str:
    value = side.mean
    if value is None:
        return NOTHING
    if claim.unit == "points":
        return share(value) if not claim.id.startswith(("increment", "retention.difference")) else f"{value * 100:+.1f}"
    return f"{'over ' if side.censored else ''}{value:,.{_digits(claim)}f}"


def _by_seed(claim: Claim) -> str:
    texts = []
    for seed, value in claim.values.items():
        low, high = seed in claim.left.censored, seed in claim.right.censored
        mark = "≥" if low else "≤" if high else ""
        texts.append("censored" if low and high else mark + _number(claim, value, sign=True))
    return ", ".join(texts)


def _number(claim: Claim, value: float, *, sign: bool = False) -> str:
    scaled = value * 100 if claim.unit == "points" else value
    digits = 1 if claim.unit == "points" else _digits(claim)
    return f"{scaled:+,.{digits}f}" if sign else f"{scaled:,.{digits}f}"


def _digits(claim: Claim) -> int:
    return 1 if claim.unit == "steps" else 0


def _chance(rows: Sequence[Shown], domain: str, sampling: str) -> str:
    cells = [cell for row in rows for cell in row.cells(domain, sampling).values()]
    return share(mean([cell.chance for cell in cells])) if cells else NOTHING


def _seeds(run: Run) -> str:
    count = len(run.seeds)
    return f"{count} seed{'s' * (count != 1)} ({', '.join(map(str, run.seeds))})"


def _interval_kind(run: Run) -> str:
    if len(run.seeds) >= MIN_SEEDS:
        return "Student's t over seeds; Wilson over the problems where a row has fewer than 3"
    return "Wilson over the problems of one seed; it says nothing about other seeds"
