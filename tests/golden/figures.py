"""The figures of the report on made-up runs: numbers and verdicts, no words."""

from __future__ import annotations

import json
import re
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from matplotlib.pyplot import Figure

from tests.golden.digest import digest
from tests.synthetic_run import BASE_CURVE, Trial, base_trial, flat, pair, warmup_trial, write_run
from warmup_rl.report.main import report

CLAIM = ("unit", "estimate", "bound", "interval", "verdict", "seeds", "values")
STYLES = {"free": (flat(0.5, kk=0.3), flat(0.35, kk=0.3)), "few_shot": (flat(0.3, kk=0.2), flat(0.6, kk=0.2))}
TABLES = "numbers in the tables"
"""Entry that is only a hint: it changes with the layout of the report, too."""


def runs() -> dict[str, Any]:
    """Claims, models and gains of each run; pictures are not drawn."""
    further = [
        Trial(arm, seed, flat(value + 0.01 * seed, kk=0.3), warmup_flops=1e9)
        for arm, value in {"format_only": 0.45, "emptied": 0.1}.items()
        for seed in range(3)
    ]
    styled = [replace(trial, prompts=STYLES, failing="none") if trial.arm == "base" else trial for trial in pair()]
    taught = replace(warmup_trial(), distill={"teacher": {"type": "hf", "model": "some/teacher"}}, tokens=2000)
    late = replace(base_trial(), failing="truncated", curve={**BASE_CURVE, 16: 0.9, 20: 0.9})
    made = {
        "all arms": ([*styled, *further], {"threshold": 0.9}, ("greedy",)),
        "one seed": ([taught, late], {"step": 10}, ("greedy", "sampled")),
    }
    entries = {}
    for name, (trials, claims, samplings) in made.items():
        with TemporaryDirectory() as folder, redirect_stdout(StringIO()), patch.object(Figure, "savefig"):
            path = report(write_run(Path(folder), trials, claims=claims, samplings=samplings))
            found = json.loads((path.parent / "summary.json").read_text(encoding="utf-8"))
            entries |= {f"{name} / {key}": rounded(value) for key, value in _figures(found).items()}
            rows = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|"))
            entries[f"{name} / {TABLES}"] = digest(sorted(re.findall(r"[-+]?\d*\.?\d+", rows)))
    return entries


def rounded(value: Any) -> Any:
    """The same value with floats to nine places."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, 9) if isinstance(value, float) else value


def _figures(found: Any) -> dict[str, Any]:
    entries = {key: found[key] for key in ("seeds", "headline")}
    for claim in found["claims"]:
        sides = [[side["values"], side["censored"]] for side in claim["sides"]]
        entries[f"claim {claim['id']}"] = {key: claim[key] for key in CLAIM} | {"sides": sides}
    for place, model in enumerate(found["models"]):
        for domain, cell in model["domains"].items():
            seeds = {seed: [one["lenient"], one["strict"]] for seed, one in cell["by_seed"].items()}
            key = f"model {place}, {model['sampling']}, {domain}"
            entries[key] = {"lenient": cell["lenient"], "interval": cell["interval"], "by_seed": seeds}
    entries |= {f"gain {place}, {gain['domain']}": _numbers(gain) for place, gain in enumerate(found["gains"])}
    entries |= {f"labels {place}": _numbers(one) for place, one in enumerate(found["labels"])}
    entries |= {f"ablation {place}": _numbers(one) for place, one in enumerate(found["ablation"])}
    return entries | {"arms_meet": _numbers(found["arms_meet"])}


def _numbers(value: Any) -> Any:
    """The value without texts."""
    if isinstance(value, dict):
        return {key: _numbers(part) for key, part in value.items() if not isinstance(part, str)}
    return [_numbers(part) for part in value if not isinstance(part, str)] if isinstance(value, list) else value
