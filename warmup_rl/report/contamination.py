"""What is known of a domain's questions in the pretraining of the base model, for the report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from warmup_rl.report.difference import share
from warmup_rl.report.load import Run
from warmup_rl.report.outputs import StageOutput


def contamination(run: Run) -> list[str]:
    """What is known of each published domain's questions in the pretraining of the base model, one sentence each."""
    files = sorted(run.folder.parent.glob("contamination/*.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    mine = [record for record in records if _is_base(run, record)]
    public = run.record.get("public") or ()
    said = []
    for name in run.measured:
        about = [_seen(name, record) for record in mine if record["domain"] == run.domains.get(name)]
        said += about
        if not about and name in public:
            command = f"python -m warmup_rl contamination --model {_base(run) or 'MODEL'} --domain {run.domains[name]}"
            said.append(f"Whether the base model met questions of {name} in pretraining was not measured: `{command}`.")
    return said


def _base(run: Run) -> str:
    return str(run.recipe.get("model") or "")


def _is_base(run: Run, record: Mapping[str, Any]) -> bool:
    """Whether a measurement is of the model that the run starts from, or that its first stage made."""
    if _base(run):
        revisions = {record.get("revision"), run.recipe.get("model_revision")}
        return record["model"] == _base(run) and len(revisions) == 1
    made = {stage.folder / "model" for stage in _pretrained(run)}
    return Path(record["model"]).resolve() in {folder.resolve() for folder in made}


def _pretrained(run: Run) -> Iterator[StageOutput]:
    for trials in run.trials.values():
        for trial in trials.values():
            yield from (stage for stage in trial.stages if stage.type == "pretrain")


def _seen(name: str, record: Mapping[str, Any]) -> str:
    found, control = record["found"], record["control"]
    settings = f" with {', '.join(record['settings'])}" if record["settings"] else ""
    return (
        f"The base model finishes {found['whole']} of {found['questions']} {record['split']} questions of "
        f"{name}{settings} word for word from their first {record['shown']:.0%} ({_interval(found)}; of generated ones "
        f"{_interval(control)}). {record['verdict']}"
    )


def _interval(kind: Mapping[str, Any]) -> str:
    return f"{share(kind['share'])} [{share(kind['low'])}, {share(kind['high'])}]"
