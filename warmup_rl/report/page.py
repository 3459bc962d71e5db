"""The report as one self-contained HTML page: the document, its plots, and a browser of completions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_rl.base.console import counted, duration
from warmup_rl.base.jsonl import json_line
from warmup_rl.base.page import embedded, packed, template
from warmup_rl.base.stats import mean
from warmup_rl.base.untrusted import printable
from warmup_rl.report.claims import Claim
from warmup_rl.report.document import Document, Picture, Table
from warmup_rl.report.findings import Findings
from warmup_rl.report.models import Row, shown
from warmup_rl.report.outputs import became
from warmup_rl.report.plots import FAINT, GREY, INK
from warmup_rl.report.tables import brief

if TYPE_CHECKING:
    from markupsafe import Markup

MAX_BYTES = 3_000_000
"""Limit of the compressed completions; beyond it the page shows a part of the problems, half of them flips."""
LONGEST = 20_000
"""Characters of a completion that the page holds."""
COLUMNS = 8
_THEME = {INK: "var(--ink)", GREY: "var(--soft)", FAINT: "var(--line)", "#ffffff": "var(--page)"}
"""Colours of the page in place of those of the plots; matplotlib writes them in lower case."""
Problem = dict[str, Any]


def write(document: Document, folder: Path, *runs: Findings) -> None:
    """Writes `report.md`, `tables.tex` and `report.html` into the folder that holds the plots."""
    (folder / "report.md").write_text(document.markdown() + "\n", encoding="utf-8")
    (folder / "tables.tex").write_text(document.latex(), encoding="utf-8")
    _write_html(document, folder, *runs)


def _write_html(document: Document, folder: Path, *runs: Findings) -> None:
    """The completions are those of all runs."""
    found, several = runs[0], len(runs) > 1
    columns = [
        replace(row, name=f"{one.run.recipe.run_name}: {row.name}") if several else row
        for one in runs
        for row in browsed_models(one)
    ][:COLUMNS]
    problems = browsed_problems(found.run.headline, columns)
    text, kept = _fitting(problems)
    sections = [
        {"id": f"s{number}", "title": section.title, "blocks": [_html(block, folder) for block in section.blocks]}
        for number, section in enumerate(document.sections)
    ]
    page = template("warmup_rl.report", "report.html").render(
        title=document.title,
        verdict=[_inline(one) for one in document.verdict],
        warnings=[_inline(one) for one in document.warnings],
        thin=[_inline(one) for one in document.thin],
        figures=[] if several else _figures(found),
        claims={} if several else _strips(found.claims),
        sections=sections,
        recipe=printable("\n".join((one.run.folder / "recipe.yaml").read_text(encoding="utf-8") for one in runs)),
        rows=text,
        settings=embedded({"columns": [printable(row.name) for row in columns], "sides": _sides(columns),
                           "kept": kept, "all": len(problems)}),
    )  # fmt: skip
    (folder / "report.html").write_text(page, encoding="utf-8")


def _html(block: str | Table | Picture, folder: Path) -> Any:
    """A block for the template: rendered Markdown, a table as it is, or an inline SVG with the page's own colours."""
    from markupsafe import Markup

    if isinstance(block, Table):
        cells = [[printable(cell) for cell in line] for line in (block.header, *block.rows)]
        return {"kind": "table", "header": cells[0], "rows": cells[1:], "caption": _inline(block.caption)}
    if isinstance(block, Picture):
        drawn = (folder / f"{block.name}.svg").read_text(encoding="utf-8")
        drawn = re.sub(r' (width|height)="[\d.]+pt"', "", drawn[drawn.index("<svg") :], count=2)
        drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
        drawn = re.sub("|".join(_THEME), lambda found: _THEME[found[0]], drawn)
        return {"kind": "picture", "svg": Markup(drawn), "name": block.name, "caption": block.caption}
    return {"kind": "text", "html": _markdown(block)}


def _markdown(text: str, inline: bool = False) -> Markup:
    """Markdown as HTML; tags in it stay text, and links lead nowhere but to files."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    parser = MarkdownIt("commonmark", {"html": False})
    parser.validateLink = lambda url: not re.match(r"\s*[a-z][a-z0-9+.-]*:", url, re.IGNORECASE)  # type: ignore[method-assign]
    parser.disable("image")
    return Markup((parser.renderInline if inline else parser.render)(printable(text)))


def _inline(text: str) -> Markup:
    return _markdown(text, inline=True)


def _figures(found: Findings) -> list[dict[str, str]]:
    """The few numbers at the top."""
    names = {"transfer.best_prompt": "Before {}, against the base's best prompt",
             "transfer.recipe_prompt": "Before {}, same prompt", "end.steps.target": "After {}, at equal steps",
             "efficiency.steps": "Steps saved"}  # fmt: skip
    claims = {name.format(found.run.method): found.by_id.get(id) for id, name in names.items()}
    tested = {name: claim for name, claim in claims.items() if claim and not claim.untestable}
    figures = [{"name": name, "value": brief(claim), "note": claim.where} for name, claim in tested.items()]
    seconds = sum(stage.seconds for stage in {stage.folder: stage for stage in found.run.stages()}.values())
    size = f"{counted(len(found.run.trials), 'arm')}, {counted(len(found.run.seeds), 'seed')}"
    return [*figures[:3], {"name": "All stages, one after the other", "value": duration(seconds), "note": size}]


def _strips(claims: Sequence[Claim]) -> dict[str, list[dict[str, Any]]]:
    """The tested claims by part of the report; those of a part in one unit have one scale."""
    parts: dict[str, list[dict[str, Any]]] = {}
    scales: dict[tuple[str, str], list[float]] = {}
    tested = [claim for claim in claims if not claim.untestable]
    for claim in tested:
        scales.setdefault((claim.part, claim.unit), [0.0]).extend((*_dots(claim), *(claim.interval or ())))
    for claim in tested:
        parts.setdefault(claim.part, []).append(_strip(claim, scales[claim.part, claim.unit]))
    return parts


def _dots(claim: Claim) -> list[float]:
    """The values of seeds, without those that are censored on both sides."""
    no_value = set(claim.left.censored) & set(claim.right.censored)
    return [value for seed, value in claim.values.items() if seed not in no_value]


def _strip(claim: Claim, shown: Sequence[float]) -> dict[str, Any]:
    """A claim as a line of words and a strip that holds all values `shown`: 0, a dot for each seed that has a value,
    the mean and its interval."""
    values, estimate, interval = _dots(claim), claim.estimate, claim.interval or ()
    low, high = min(shown), max(shown)
    room = 0.06 * (high - low) or 1.0
    low, high = low - room, high + room

    def place(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}"

    return {
        "question": claim.question,
        "where": claim.where,
        "text": brief(claim),
        "verdict": claim.verdict.replace(" ", "-"),
        "zero": place(0.0),
        "seeds": [place(value) for value in values],
        "mean": None if estimate is None else place(estimate),
        "interval": [place(value) for value in interval],
    }


def _sides(columns: Sequence[Row]) -> tuple[int, int]:
    """The two models that the browser shows first: base and warmup, or the first two."""
    roles = [row.role for row in columns if not row.trained]
    if "base" in roles and "warmup" in roles:
        return roles.index("base"), roles.index("warmup")
    return 0, min(1, max(0, len(columns) - 1))


def browsed_models(found: Findings) -> list[Row]:
    return [row for row in shown(found.run, found.rows) if row.role != "control"]


def browsed_problems(headline: str, columns: Sequence[Row]) -> list[Problem]:
    """Each measured problem with the completions of the models under the headline sampling, `a`, as [column, seed,
    sample, what became of it, tokens, text]; those first that warmup changed most."""
    problems: dict[tuple[str, str], Problem] = {}
    for number, row in enumerate(columns):
        for seed, (model, style) in row.sources.items():
            for one in model.completions(headline, style):
                asked = str(one.get("question") or one.get("prompt_text") or "")
                new = {"d": one["domain"], "id": str(one["problem_id"]), "q": printable(asked),
                       "g": printable(str(one.get("gold") or "")), "a": []}  # fmt: skip
                problem = problems.setdefault((one["domain"], new["id"]), new)
                text = str(one.get("text") or "")
                shown = printable(text[:LONGEST]) + "…" * (len(text) > LONGEST)
                problem["a"].append([number, seed, one["sample"], became(one), one.get("tokens"), shown])
    sides = _sides(columns)
    return sorted(problems.values(), key=lambda problem: _flip(problem, *sides), reverse=True)


def _flip(problem: Problem, left: int, right: int) -> float:
    """How much more often one side is right than the other."""
    sides = ([one[3] == "correct" for one in problem["a"] if one[0] == side] for side in (left, right))
    rates = [mean(side) for side in sides if side]
    return abs(rates[0] - rates[1]) if len(rates) == 2 else 0.0


def _fitting(problems: Sequence[Problem]) -> tuple[str, int]:
    """As many problems as fit the page, compressed: the greatest flips, and others evenly spread."""
    chosen = list(problems)
    while True:
        text = packed(map(json_line, chosen))
        if len(text) <= MAX_BYTES or len(chosen) < 2:
            return text, len(chosen)
        count = max(1, int(0.9 * len(chosen) * MAX_BYTES / len(text)))
        flips, others = problems[: count // 2], problems[count // 2 :]
        chosen = [*flips, *(others[place * len(others) // (count - len(flips))] for place in range(count - len(flips)))]
