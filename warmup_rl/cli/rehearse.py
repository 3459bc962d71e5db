"""`--rehearse`: two steps of each training with the real model, and what they say about the whole run."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

from warmup_rl.base.console import counted, duration, quiet_libraries, size_in_words
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.machine import cores
from warmup_rl.base.types import Score, Trace, to_json
from warmup_rl.cli.check import preview_of
from warmup_rl.cli.command import Command, selection
from warmup_rl.cli.disk import tokens_of
from warmup_rl.data.traces import read_traces
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Artifacts, Context, Stage, Tracking, artifact_path
from warmup_rl.recipe.schema import Recipe
from warmup_rl.run.pipeline import TrialRunner
from warmup_rl.run.trial import PlannedStage, Trial

STEPS = 2
_MOST_TRACES = 256
LIMIT = 280
"""Seconds for all trainings together."""


class TimeUp(Exception):
    """The time of the rehearsal is over."""


@dataclass
class Measured:
    """What a rehearsed training has shown.

    Attributes:
        seconds: by phase; rollouts and grading lie inside the training step.
        ends: time at the end of each step of the recipe, the first entry that of their beginning.
        steps: steps of the recipe that the whole training has.
        longest: tokens of the longest sequence in training.
        tokens: generated in all rehearsed steps.
    """

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    ends: list[float] = field(default_factory=list)
    steps: int = 0
    peak: int = 0
    tokens: int = 0
    longest: int | None = None
    truncated: float | None = None
    planned: float | None = None

    @property
    def a_step(self) -> float | None:
        """Seconds of the last step; the first one holds what is done once."""
        return self.ends[-1] - self.ends[-2] if len(self.ends) > 1 else None


def rehearse(recipe: Recipe, command: Command) -> None:
    """Runs two steps of each kind of training in a temporary folder and prints what the whole run takes. Raises
    `UserError` if the recipe has no training, and as a run does where a training cannot start."""
    import torch

    from warmup_rl.run.launch_env import launch_id, read_launch_env
    from warmup_rl.stages.training.base import TrainerStage

    env = read_launch_env()
    torch.set_num_threads(command.threads or cores())
    arms, seeds, folds = selection(command, recipe)
    trials = [Trial(recipe, arm, seed, fold) for seed in seeds for arm in arms for fold in folds]
    folder = Path(recipe.output_dir) / f".rehearsal-{launch_id()}"
    each = LIMIT // max(1, len({one.id for one in recipe.stages if isinstance(one, TrainerStage)}))
    found: dict[str, Measured] = {}
    began = time.monotonic()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with quiet_libraries(folder / f"log-{env.rank}.txt") as say:
            for name, stage, context in _trainings(trials, folder):
                if env.is_main:
                    say(f"{name}: {STEPS} steps")
                found[name] = Measured()
                try:
                    with watched(found[name], stage), _alarm(each):
                        stage.run(context)
                except TimeUp:
                    pass
                finally:
                    finish(found[name], stage, context)
        if env.is_main:
            for line in _summary(trials, found, env.size, time.monotonic() - began):
                print(line, flush=True)
    finally:
        if env.is_main:
            shutil.rmtree(folder, ignore_errors=True)


def _trainings(trials: Sequence[Trial], folder: Path) -> Iterator[tuple[str, Stage, Context]]:
    """The distinct trainings of the first seed, with contexts in the folder; each reads a model that exists."""
    from warmup_rl.run.launch_env import read_launch_env
    from warmup_rl.stages.training.base import TrainerStage

    done, model = set[str](), trials[0].recipe.model
    trainings = [
        (trial, planned)
        for trial in trials
        if trial.place[1:] == trials[0].place[1:]
        for planned in trial.stages
        if isinstance(planned.stage, TrainerStage)
    ]
    if not trainings:
        raise UserError("--rehearse: the recipe trains nothing.")
    for trial, planned in trainings:
        name = planned.stage.id
        if name in done:
            continue
        done.add(name)
        own = folder / name
        own.mkdir(exist_ok=True)
        revision = trial.recipe.model_revision if model == trial.recipe.model else None
        traces = own / "traces.jsonl" if "traces" in planned.stage.inputs else None
        runner = TrialRunner(trial, read_launch_env(), lambda line: None)
        context = runner.context(planned, own, Artifacts(model, revision, traces=traces))
        layout = context.response_format.under("free") if context.response_format.think == "auto" else None
        context = replace(
            context,
            response_format=layout or context.response_format,
            evaluation=context.evaluation.model_copy(update={"every": 0}),
            tracking=Tracking(),
        )
        if traces is not None and context.launch_env.is_main:
            write_jsonl(traces, map(to_json, _longest_traces(trial, planned, context.response_format)))
        yield name, planned.stage, context
        model = model or str(context.model_folder)


def _longest_traces(trial: Trial, planned: PlannedStage, layout: ResponseFormat) -> list[Trace]:
    """The longest traces of the stage, if they are made already; else reference answers of its domain's problems."""
    maker = next((one for one in trial.stages if one.key == planned.inputs.get("traces")), None)
    if maker is not None and trial.entry(maker).done:
        found = list(read_traces(artifact_path(trial.entry(maker).folder, "traces")))
    else:
        distill = next((one.stage for one in trial.stages if "traces" in one.stage.outputs), None)
        domain = trial.recipe.domains[getattr(distill, "domain", next(iter(trial.recipe.domains)))]
        count = getattr(distill, "problems", None)
        problems = islice(domain.problems("train", trial.seed), count if isinstance(count, int) else _MOST_TRACES)
        score = Score("correct", "", True)
        found = [
            Trace(one.id, domain.name, domain.prompt(one), domain.reference(one), one.gold, score, "rehearsal")
            for one in problems
        ]
    return sorted(found, key=lambda trace: -len(trace.thinking))


@contextmanager
def watched(measured: Measured, stage: Any) -> Iterator[None]:
    """Times the phases of a training, draws its longest samples first, and ends it after two steps."""
    import torch
    from transformers import Trainer, TrainerCallback
    from trl import GRPOTrainer

    from warmup_rl.stages.training import saving

    class TwoSteps(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            each = getattr(stage, "updates_per_step", 1) * getattr(args, "num_iterations", 1)
            self.each, measured.steps = each, state.max_steps // each
            measured.ends.append(time.monotonic())

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % self.each == 0:
                measured.ends.append(time.monotonic())
            control.should_training_stop = state.global_step >= STEPS * self.each

    def train(trainer: Trainer, *args: Any, **kwargs: Any) -> Any:
        trainer.add_callback(TwoSteps())
        trainer.args.train_sampling_strategy = "sequential"
        if "input_ids" in getattr(trainer.train_dataset, "column_names", ()):
            measured.longest = max(map(len, trainer.train_dataset["input_ids"]))
        if hasattr(trainer, "plan_SP"):
            lengths = [len(text) for text in trainer.train_dataset["prompt"]]
            order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
            size = len(trainer.plan_SP[0])
            trainer.plan_SP = [[order[place % len(order)] for place in range(size)] for _ in trainer.plan_SP]
        return original(trainer, *args, **kwargs)

    original = Trainer.train
    places: list[tuple[Any, str, str]] = [
        (GRPOTrainer, "_generate", "rollouts"),
        (GRPOTrainer, "_calculate_rewards", "grading"),
        (Trainer, "training_step", "passes"),
        (saving, "save", "saving"),
    ]
    _reset_peak()
    with ExitStack() as stack:
        stack.enter_context(patch.object(Trainer, "train", train))
        for owner, name, phase in places:
            timed = _timed(getattr(owner, name), phase, measured.seconds)
            stack.enter_context(patch.object(owner, name, timed))
        yield
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _timed(function: Callable[..., Any], phase: str, seconds: dict[str, float]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[phase] += time.monotonic() - began

    return timed


def finish(measured: Measured, stage: Any, context: Context) -> None:
    """Adds what a training has left behind: its peak, beside the planned one, and its rollouts."""
    from warmup_rl.stages.training.memory import Need, launch_of

    measured.peak = _peak()
    rows = [row for file in context.folder.rglob("rollouts.jsonl*") for row in read_jsonl(file)]
    measured.tokens = sum(row["tokens"] for row in rows)
    measured.truncated = sum(row["truncated"] for row in rows) / len(rows) if rows else None
    found = stage.memory(context, launch_of(None, None, None, context.launch_env))
    if isinstance(found, Need):
        if rows and found.load.length:
            drawn = max(row["tokens"] for row in rows)
            measured.longest = found.load.length - stage.sampling.max_tokens + drawn
        measured.planned = found.total(measured.longest) if measured.longest else None


def _summary(trials: Sequence[Trial], found: dict[str, Measured], devices: int, taken: float) -> Iterator[str]:
    total, unknown = 0.0, []
    for name, one in found.items():
        what = f" (planned for {one.longest} tokens: {{}})"
        planned = what.format(size_in_words(round(one.planned))) if one.planned else ""
        yield f"{name}: peak memory {size_in_words(one.peak)}{planned}"
        phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in one.seconds.items())
        yield f"  {counted(max(0, len(one.ends) - 1), 'step')}: {phases}"
        if one.truncated is not None:
            yield f"  {one.tokens:,} tokens generated, {one.truncated:.0%} of the completions cut off"
        runs = len({p.key for t in trials for p in t.stages if p.stage.id == name and not t.entry(p).done})
        if one.a_step is None:
            unknown.append(name)
            continue
        seconds = runs * (one.steps * one.a_step + one.seconds["saving"])
        total += seconds
        yield f"  the whole: {one.steps:,} steps of {one.a_step:.1f} s, {counted(runs, 'time')}: {duration(seconds)}"
    if unknown:
        yield f"two steps take longer than there was time for: {', '.join(unknown)}; the estimate leaves them out"
    drawing = [one for one in found.values() if one.tokens and one.seconds["rollouts"]]
    if drawing:
        rate = sum(one.tokens for one in drawing) / sum(one.seconds["rollouts"] for one in drawing) * devices
        most = _other_tokens(trials)
        if most:
            total += most / rate
            yield f"evaluations: at most {most:,} tokens at {rate:,.0f} tokens/s: {duration(most / rate)}"
    yield (
        f"estimate of the whole run: {duration(total)}, {total * devices / 3600:.1f} device-hours on "
        f"{counted(devices, 'device')}, teacher and data stages not counted (rehearsed in {duration(taken)})"
    )


def _other_tokens(trials: Sequence[Trial]) -> int:
    """Most tokens of the evaluations that are to be made."""
    seen: dict[str, int] = {}
    for trial in trials:
        for planned in trial.stages:
            if planned.stage.role == "evaluation" and not trial.entry(planned).done:
                seen[planned.key] = tokens_of(preview_of(trial, planned))
    return sum(seen.values())


@contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    def end(number: int, frame: Any) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _reset_peak() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif os.path.exists("/proc/self/clear_refs"):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> int:
    """Most bytes in use since the reset: reserved on the GPU, or resident in main memory."""
    import resource

    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved()
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    peak = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)
    return (peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
