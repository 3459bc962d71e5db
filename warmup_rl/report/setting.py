"""What a run was set up as, in one line: sizes that a reader needs to judge its numbers, read from what was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from warmup_rl.report.load import Run, Trial
from warmup_rl.report.outputs import Cell, StageOutput


def set_up(run: Run) -> str:
    """Model, data, RLVR, evaluation; what is not done yet is left out."""
    stages = [stage for trials in run.trials.values() for trial in trials.values() for stage in trial.stages]
    parameters = _each(stage.summary.get("parameters") for stage in stages)
    parts = [f"model of {parameters} parameters" if parameters else "", _warmup(run), _rlvr(stages)]
    parts += [_curve(stages), _evaluation(run, stages), _folds(run)]
    parts.append(f"{len(run.seeds)} seed{'s' * (len(run.seeds) != 1)}")
    return f"Set-up: {'; '.join(part for part in parts if part)}."


def _warmup(run: Run) -> str:
    trials: list[Trial] = list(run.trials.get(run.claims.warmup, {}).values())
    stages = [stage for trial in trials for stage in trial.stages]
    traces = _each(stage.summary.get("examples") for stage in stages if stage.type == "sft")
    domains = ", ".join(dict.fromkeys(str(s.summary.get("domain")) for s in stages if s.type == "distill"))
    epochs = _each(stage.summary.get("epochs") for stage in stages if stage.type == "sft")
    passes = f" ({epochs} epochs)" if epochs else ""
    return f"warmup on {traces} {domains} traces{passes}".replace("  ", " ") if traces else ""


def _rlvr(stages: Iterable[StageOutput]) -> str:
    done = [stage for stage in stages if stage.type == "rlvr"]
    if not done:
        return ""
    domains = ", ".join(dict.fromkeys(str(stage.summary.get("domain")) for stage in done))
    text = f"RLVR on {_each(s.summary.get('problems') for s in done)} {domains} problems"
    text += f", {_each(s.summary.get('steps') for s in done)} steps"
    prompts, answers = (_each(s.config.get(key) for s in done) for key in ("prompts_per_step", "generations"))
    text += f" of {prompts} prompts x {answers} generations" if prompts and answers else ""
    budget = _each((s.config.get("sampling") or {}).get("max_tokens") for s in done)
    return text + (f" of at most {budget} tokens" if budget else "")


def _curve(stages: Iterable[StageOutput]) -> str:
    points = [point for stage in stages if stage.type == "rlvr" for point in stage.curve]
    return f"held-out curve on {_each(point.problems for point in points)} problems" if points else ""


def _evaluation(run: Run, stages: Iterable[StageOutput]) -> str:
    cells: list[Cell] = [cell for stage in stages if stage.type == "evaluate" for cell in stage.cells]
    problems = _each(cell.problems for cell in cells if cell.split == "test")
    if not problems:
        return ""
    samplings: Mapping[str, Any] = (run.recipe.get("evaluation") or {}).get("samplings") or {}
    budget = (samplings.get(run.headline) or {}).get("max_tokens")
    count = len(run.measured)
    text = f"evaluation on {problems} problems in each of {count} domains ({', '.join(run.measured)})"
    text = text if count > 1 else f"evaluation on {problems} {run.measured[0]} problems"
    return text + (f", answers of at most {budget} tokens" if budget else "")


def _folds(run: Run) -> str:
    if not run.folded:
        return ""
    each = "each row was measured once, by a model that was not trained on it"
    return f"{run.folded} in {run.fold_count} folds: {each}; the last model was trained on all rows"


def _each(values: Iterable[Any]) -> str:
    """The value that all share, or the range; empty where none is known."""
    found = sorted({value for value in values if value is not None})
    return " to ".join(f"{value:,.10g}" for value in dict.fromkeys([found[0], found[-1]])) if found else ""
