"""The label budget: how many problems with a reference answer each arm touched, and what for.

Problems count once a domain and use in each seed, whatever the number of stages and folds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warmup_rl.interfaces.stage import Use
from warmup_rl.report.load import Run, Trial
from warmup_rl.report.tables import NOTHING, Table

USES: dict[Use, str] = {
    "training": "training", "examples": "examples", "choice": "prompt choice", "curve": "held-out curve",
    "measurement": "measurement",
}  # fmt: skip


@dataclass(frozen=True)
class Labels:
    """What one arm touched of one domain: distinct problems by use, and in all, by seed."""

    arm: str
    domain: str
    by_use: Mapping[str, Mapping[int, int]]
    in_all: Mapping[int, int]

    def to_json(self) -> dict[str, Any]:
        """For summary.json."""
        uses = {use: dict(counts) for use, counts in self.by_use.items()}
        return {"arm": self.arm, "domain": self.domain, "uses": uses, "in_all": dict(self.in_all)}


def labels(run: Run) -> tuple[Labels, ...]:
    """By domain, in the recipe's order, then arm; empty where the run has no record of its problems."""
    found: dict[tuple[str, str], dict[int, dict[str, set[str]]]] = defaultdict(dict)
    for arm, trials in run.trials.items():
        for seed, trial in trials.items():
            for domain, uses in _touched(trial).items():
                found[domain, arm][seed] = uses
    order = [*run.domains, *sorted({domain for domain, _ in found} - set(run.domains))]
    return tuple(
        _labels(arm, domain, by_seed)
        for domain in order for (name, arm), by_seed in found.items() if name == domain
    )  # fmt: skip


def labels_table(found: tuple[Labels, ...]) -> Table:
    """One row for arms that touched as many of a domain."""
    uses = [use for use in USES if any(use in one.by_use for one in found)]
    arms: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        cells = (one.domain, *(_range(one.by_use.get(use, {})) for use in uses), _range(one.in_all))
        arms.setdefault(cells, []).append(one.arm)
    body = tuple((domain, ", ".join(names), *counts) for (domain, *counts), names in arms.items())
    return Table(
        "Labels", ("domain", "arm", *(USES[use] for use in uses), "in all"), body,
        "Distinct problems whose reference answers one seed of an arm used, and what for.",
    )  # fmt: skip


def _touched(trial: Trial) -> dict[str, dict[str, set[str]]]:
    found: dict[str, dict[str, set[str]]] = {}
    for stage in (stage for one in (trial, *trial.folds.values()) for stage in one.stages):
        for use, by_domain in stage.touched.items():
            for domain, ids in by_domain.items():
                found.setdefault(domain, {}).setdefault(use, set()).update(ids)
    return found


def _labels(arm: str, domain: str, by_seed: Mapping[int, Mapping[str, set[str]]]) -> Labels:
    uses = dict.fromkeys(use for touched in by_seed.values() for use in touched)
    by_use = {use: {seed: len(touched.get(use, ())) for seed, touched in by_seed.items()} for use in uses}
    return Labels(arm, domain, by_use, {seed: len(set().union(*t.values())) for seed, t in by_seed.items()})


def _range(counts: Mapping[int, int]) -> str:
    if not counts:
        return NOTHING
    least, most = min(counts.values()), max(counts.values())
    return f"{least:,}" if least == most else f"{least:,}-{most:,}"
