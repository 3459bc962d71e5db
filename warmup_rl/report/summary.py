"""The report's numbers as JSON for scripts, and the JSON schema of that file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from warmup_rl.interfaces.measurement import Cell
from warmup_rl.report import narrative
from warmup_rl.report.claims import Unit, Verdict
from warmup_rl.report.evidence import Cost, Samples, contamination, registration
from warmup_rl.report.findings import Findings, Labels, Meeting, Outcome, Provenance
from warmup_rl.report.load import Run
from warmup_rl.report.measures import Gain
from warmup_rl.report.models import Row
from warmup_rl.report.outputs import Reading

Interval = tuple[float, float]


class ClaimJson(TypedDict):
    """A difference, left minus right, paired by seed."""

    id: str
    part: str
    question: str
    where: str
    unit: Unit
    untestable: str
    notes: list[str]
    estimate: float | None
    bound: Literal["", "at least", "at most", "open"]
    interval: Interval | None
    no_interval: str
    verdict: Verdict
    values: dict[int, float]
    seeds: list[int]
    sides: list[dict[str, Any]]


class TestJson(ClaimJson):
    """A claim on one domain with its corrected p-value, and the interval over the problems of these models alone."""

    p: float | None
    within: Interval | None


class DomainJson(TypedDict):
    lenient: float
    interval: Interval
    by_seed: dict[int, Cell]


class ModelJson(TypedDict):
    name: str
    sampling: str
    domains: dict[str, DomainJson]


class InstrumentJson(TypedDict):
    """The main claims under one sampling and one reading of the answers."""

    sampling: str
    reading: Reading
    claims: list[ClaimJson]


class Summary(TypedDict):
    """`summary.json`. Accuracies are shares of 1, also in differences in points."""

    run: str
    seeds: list[int]
    unfinished: list[str]
    provenance: Provenance
    headline: str
    first_line: str | None
    thin: list[str]
    registration: str | None
    set_up: str
    sentences: dict[str, str]
    claims: list[ClaimJson]
    arms_meet: Meeting
    models: list[ModelJson]
    gains: list[Gain]
    domains: list[TestJson]
    instruments: list[InstrumentJson]
    samples: list[Samples]
    costs: list[Cost]
    labels: list[Labels]
    contamination: list[str]
    ablation: list[dict[str, Any]]


def schema() -> dict[str, Any]:
    """The JSON schema of `summary.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(Summary).json_schema()}


def summary(found: Findings) -> dict[str, Any]:
    """The report's numbers as JSON values, for scripts."""
    run = found.run
    return {
        "run": run.recipe.run_name,
        "seeds": list(run.seeds),
        "unfinished": list(run.unfinished),
        "provenance": asdict(found.provenance),
        "headline": run.headline,
        "first_line": " ".join(narrative.verdict(found)) or None,
        "thin": narrative.thin(found),
        "registration": str(registration(run) or "") or None,
        "set_up": narrative.set_up(run),
        "sentences": narrative.sentences(found),
        "claims": [claim.to_json() for claim in found.claims],
        "arms_meet": asdict(found.meeting),
        "models": [_model(found, row, sampling) for row in found.rows for sampling in run.samplings],
        "gains": [asdict(gain) for gain in found.gains],
        "domains": [{**one.claim.to_json(), "p": one.p, "within": one.within} for one in found.domains],
        "instruments": [
            {
                "sampling": one.sampling,
                "reading": one.reading,
                "claims": [each.to_json() for each in one.claims.values()],
            }
            for one in found.instruments
        ],
        "samples": [asdict(one) for one in found.samples],
        "costs": [asdict(one) for one in found.costs],
        "labels": [asdict(one) for one in found.labels],
        "contamination": contamination(run),
        "ablation": [_outcome(run, outcome) for outcome in found.outcomes],
    }


def _outcome(run: Run, outcome: Outcome) -> dict[str, Any]:
    accuracy = outcome.transfer
    names = {"to_base": run.claims.base, "to_reference": run.claims.warmup}
    claims = {key: outcome.differences.get(other) for key, other in names.items()}
    return {
        **{key: value for key, value in asdict(outcome).items() if key != "differences"},
        "transfer": accuracy.value,
        "interval": [accuracy.low, accuracy.high],
        "by_seed": accuracy.by_seed,
        "puzzles": outcome.puzzles.value if outcome.puzzles else None,
        **{key: claim.to_json() if claim else None for key, claim in claims.items()},
    }


def _model(found: Findings, row: Row, sampling: str) -> dict[str, Any]:
    domains = {}
    for name in found.run.measured:
        accuracy = row.accuracy([name], sampling)
        if accuracy:
            cells = {seed: asdict(cell) for seed, cell in row.cells(name, sampling).items()}
            domains[name] = {"lenient": accuracy.value, "interval": [accuracy.low, accuracy.high], "by_seed": cells}
    return {"name": row.name, "sampling": sampling, "domains": domains}
