"""What `python -m warmup_rl contamination` has measured of a run's base model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warmup_rl.report.claims import share
from warmup_rl.report.load import Run, read_json


def contamination(run: Run) -> list[str]:
    """What is known of each published domain's questions in the pretraining of the base model, one sentence each."""
    records = [read_json(path) for path in sorted(run.folder.parent.glob("contamination/*.json"))]
    mine = [record for record in records if _is_base(run, record)]
    texts = []
    for name in run.measured:
        domain = run.recipe.domains[name].get("type", name)
        measured = [_text(name, record) for record in mine if record["domain"] == domain]
        texts += measured
        if not measured and name in run.public:
            command = f"python -m warmup_rl contamination --model {run.recipe.model or 'MODEL'} --domain {domain}"
            texts.append(
                f"Whether the base model has seen questions of {name} in pretraining was not measured: `{command}`."
            )
    return texts


def _is_base(run: Run, record: Mapping[str, Any]) -> bool:
    """Whether a measurement is of the model that the run starts from, or that its first stage made."""
    if run.recipe.model:
        wanted = (run.recipe.model, run.recipe.model_revision)
        return (record["model"], record.get("revision")) == wanted
    made = {(stage.folder / "model").resolve() for stage in run.stages("pretraining")}
    return Path(record["model"]).resolve() in made


def _text(name: str, record: Mapping[str, Any]) -> str:
    found, control = record["found"], record["control"]
    settings = f" with {', '.join(record['settings'])}" if record["settings"] else ""
    shares = [f"{share(kind['share'])} [{share(kind['low'])}, {share(kind['high'])}]" for kind in (found, control)]
    return (
        f"The base model completes {found['whole']} of {found['questions']} {record['split']} questions of "
        f"{name}{settings} word for word from their first {record['shown']:.0%} ({shares[0]}; of generated ones "
        f"{shares[1]}). {record['verdict']}"
    )
