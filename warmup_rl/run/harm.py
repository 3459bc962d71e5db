"""What evaluations say of the trainings around them: whether a warmup has cost accuracy, by the health rule
`after_warmup`, and whether RLVR starts without a signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from warmup_rl.base.errors import RunError
from warmup_rl.interfaces.measurement import drops, recorded_cells, without_signal
from warmup_rl.run.cache import RECORD
from warmup_rl.stages.training.health import AFTER_WARMUP, HealthSettings, action

if TYPE_CHECKING:
    from warmup_rl.run.trial import PlannedStage, Trial


def warmup_alarms(trial: Trial, planned: PlannedStage, summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The alarm, for its record, of the first evaluation after a warmup and before RLVR, given its summary."""
    before = next((one for one in trial.stages[: planned.number - 1] if one.stage.role == "evaluation"), None)
    settings = _settings(trial, planned)
    if before is None or settings is None or action(settings, AFTER_WARMUP.name) == "off":
        return []
    old = trial.entry(before).cells()
    new = recorded_cells({"summary": summary}, trial.entry(planned).folder / RECORD)
    lines = [
        f"{cell.domain} {was.lenient:.2f} → {cell.lenient:.2f} ({cell.sampling}, prompt style {cell.prompt})"
        for was, cell, errors in drops(old, new)
        if AFTER_WARMUP.broken_by(errors)
    ]
    text = f"{AFTER_WARMUP.cause}: {'; '.join(lines)} ({AFTER_WARMUP.shown}). {AFTER_WARMUP.remedy}"
    return [{"rule": AFTER_WARMUP.name, "text": text}] if lines else []


def stop_after_harm(trial: Trial, planned: PlannedStage) -> None:
    """Raises `RunError` after an evaluation with that alarm, where the recipe wants to stop at it."""
    settings = _settings(trial, planned)
    if settings is None or action(settings, AFTER_WARMUP.name) != "stop":
        return
    for alarm in trial.entry(planned).record()["summary"].get("alarms", ()):
        raise RunError(
            f"{planned.stage.id}: stopped by the health rule {alarm['rule']}: {alarm['text']} "
            f"`health: {{{alarm['rule']}: warn}}` of the warmup goes on."
        )


def silent_starts(trial: Trial, planned: PlannedStage) -> list[str]:
    """A line for each domain of an RLVR of which finished evaluations of its model found no correct answer."""
    if planned.stage.role != "target":
        return []
    trained = planned.stage.domains_used(trial.recipe.evaluation, trial.recipe.domains)
    found = (
        cell
        for one in trial.stages
        if one.stage.role == "evaluation" and one.inputs.get("model") == planned.inputs.get("model")
        if trial.entry(one).done
        for cell in trial.entry(one).cells()
        if cell.domain in trained
    )
    return without_signal(found)


def _settings(trial: Trial, planned: PlannedStage) -> HealthSettings | None:
    """The health settings of the warmup that an evaluation measures; None where it does not measure one."""
    done = [one.stage for one in trial.stages[: planned.number - 1]]
    roles = [stage.role for stage in done]
    if planned.stage.role != "evaluation" or "evaluation" not in roles or "target" in roles:
        return None
    warmups = [stage for stage in done[roles.index("evaluation") :] if stage.role == "warmup"]
    return getattr(warmups[-1], "health", "warn") if warmups else None
