"""The key of a stage's output: what decides it, as a hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from warmup_rl.interfaces.plugins import data_digests, data_files
from warmup_rl.interfaces.stage import Stage
from warmup_rl.recipe import dump
from warmup_rl.run.cache import key_of
from warmup_rl.run.code_digest import code_digest
from warmup_rl.run.provenance import addresses

if TYPE_CHECKING:
    from warmup_rl.run.trial import Trial


def stage_key(trial: Trial, stage: Stage, inputs: Mapping[str, str], judged: str) -> tuple[str, dict[str, str]]:
    """The key of a stage's output, and the digests of the data files in it. `judged` is the key of the evaluation
    before it that decides a prompt style `auto`."""
    wanted = trial.recipe.format_of(trial.arm)
    domains, evaluation = trial.recipe.seen_by(stage, trial.fold)
    used = {name: domains[name] for name in sorted(stage.domains_used(evaluation, domains))}
    own, examples = trial.seed_of(stage), trial.recipe.seed_of("examples", trial.seed)
    data = data_files([stage, *used.values()])
    settings = key_of(
        {
            "type": stage.type,
            "config": dump(stage, runtime_only=False),
            "inputs": dict(inputs),
            "seed": own if own == examples else [own, examples],
            "domains": {name: dump(domain, runtime_only=False) for name, domain in used.items()},
            "data": [data, data_digests([stage, *used.values()])],
            "format": [stage.format_settings(wanted), judged if wanted.think == "auto" else ""],
            "evaluation": dump(evaluation) if stage.reads_evaluation() else None,
        }
    )
    made_by = code_digest([stage, *used.values()], stage.code())
    if places := list(addresses(dump(stage))):  # equal names at two addresses may be two models
        made_by = key_of([made_by, places])[: len(made_by)]
    return f"{settings}-{made_by}", data
