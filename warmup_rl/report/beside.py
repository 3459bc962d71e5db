"""Two runs laid over each other: answers, claims, accuracies, curves and completions in one report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from warmup_rl.base.stats import mean, t_interval
from warmup_rl.report import narrative, page, tables
from warmup_rl.report.claims import Claim
from warmup_rl.report.document import Block, Document, Picture, Section
from warmup_rl.report.findings import Findings, compute
from warmup_rl.report.load import load
from warmup_rl.report.models import shown
from warmup_rl.report.plots import PLOTS, curves, save
from warmup_rl.run.provenance import differences


def beside(first: Path, second: Path) -> Path:
    """Writes the report of two runs to `report/beside-SECOND` of the first; returns the page. Raises as `load` does."""
    loaded = [load(folder) for folder in (first, second)]
    names = [run.recipe.run_name for run in loaded]
    folder = first / "report" / f"beside-{names[1]}"
    if names[0] == names[1]:
        names = [str(run.folder) for run in loaded]
    runs = [
        compute(replace(run, recipe=run.recipe.model_copy(update={"run_name": name})))
        for run, name in zip(loaded, names, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    drawn = save("curve", lambda: curves([found.run for found in runs]), folder)
    caption = f"{PLOTS['curve']} Dashed: {runs[1].run.recipe.run_name}."
    document = compose(runs, [Picture("curve", caption)] if drawn else [])
    page.write(document, folder, *runs)
    return folder / "report.html"


def compose(runs: Sequence[Findings], pictures: Sequence[Block] = ()) -> Document:
    """The text of a report on two runs."""
    named = {found.run.recipe.run_name: found for found in runs}
    one, other = (found.run.recipe.model_dump(mode="json") for found in runs)
    changed = [place for place in differences(one, other) if place != "run_name"]
    changed += [f"claims.{key}" for key in differences(one["claims"], other["claims"])]
    sections = [
        Section("", [f"The recipes differ in: {', '.join(changed)}." if changed else "The recipes do not differ."]),
        _claims(runs, list(named)),
        Section("Training", pictures),
        _accuracies(named),
    ]
    return Document(
        " and ".join(named),
        [f"{name}: {' '.join(narrative.verdict(found))}" for name, found in named.items()],
        [f"{name}: {line}" for name, found in named.items() for line in found.provenance.warnings],
        [f"{name}: {line}" for name, found in named.items() for line in narrative.thin(found)],
        [one for one in sections if one.blocks],
    )


def _claims(runs: Sequence[Findings], names: Sequence[str]) -> Section:
    """The claims that one of the runs tested, and how they differ in the seeds that both have."""
    pairs: dict[tuple[str, str], list[Claim | None]] = {}
    for place, found in enumerate(runs):
        for claim in (one for one in found.claims if not one.untestable):
            pairs.setdefault((claim.question, claim.where), [None, None])[place] = claim
    body = [
        (*what, *(tables.brief(one) if one else tables.NOTHING for one in pair), _between(*pair))
        for what, pair in pairs.items()
    ]
    seeds = sorted(set(runs[0].run.seeds) & set(runs[1].run.seeds))
    caption = (
        f"Difference: {names[1]} - {names[0]} in points [95% t-interval], on domains of the same name, paired by the "
        f"seeds that both have: {', '.join(map(str, seeds)) or 'none'}."
    )
    return tables.section("Claims", ("left - right", "where", *names, "difference"), body, caption)


def _between(left: Claim | None, right: Claim | None) -> str:
    if not left or not right or left.unit != "points" or not (seeds := left.values.keys() & right.values.keys()):
        return tables.NOTHING
    changes = [100 * (right.values[seed] - left.values[seed]) for seed in sorted(seeds)]
    interval = t_interval(changes)
    return f"{mean(changes):+z.1f}" + (f" [{interval[0]:z.1f}, {interval[1]:z.1f}]" if interval else "")


def _accuracies(named: dict[str, Findings]) -> Section:
    first, second = named.values()
    domains = [name for name in first.run.measured if name in second.run.measured]
    body = [
        (f"{name}: {row.name}", *(tables.accuracy_text(row.accuracy([one], found.run.headline)) for one in domains))
        for name, found in named.items()
        for row in shown(found.run, found.rows)
    ]
    return tables.section(f"Accuracy, {first.run.headline}, lenient", ("model", *domains), body if domains else [])
