"""The training command: `accelerate launch -m warmup_rl.train RECIPE` runs all arms and seeds of a recipe.

`warmup-rl train RECIPE` and `python -m warmup_rl train RECIPE` do the same in one process, and start several with
`--gpus N`.
"""

from __future__ import annotations

import math
import os
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from warmup_rl.base.console import duration, quiet_libraries, run_command
from warmup_rl.base.errors import RunError, UserError
from warmup_rl.base.machine import cores
from warmup_rl.base.stopping import EXIT_STOPPED, Stopped, listen, stop_with
from warmup_rl.cli.command import Command, explain, parse, selection
from warmup_rl.recipe.load import load_recipe
from warmup_rl.recipe.schema import Recipe
from warmup_rl.recipe.shipped import find_launch_file

if TYPE_CHECKING:
    from warmup_rl.interfaces.stage import LaunchEnv
    from warmup_rl.run.trial import Trial


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        The exit code: 0 done, 2 something given was wrong or a trial failed, 75 stopped by a signal, 130 interrupted.
    """
    listen()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return run_command(lambda: _run(parse(given), given), quiet=not _is_main())
    except Stopped as stop:
        if _is_main():
            print(f"stopped {stop}; the same command continues", file=sys.stderr)
        return EXIT_STOPPED
    except KeyboardInterrupt:
        print("stopped; the same command continues from the first unfinished stage", file=sys.stderr)
        return 130


def _run(command: Command, given: Sequence[str]) -> int:
    world_size = int(os.environ.get("WORLD_SIZE", command.gpus or 1))
    if not _is_main() and (command.help is not None or command.dry_run):
        return 0
    if command.help is not None:
        explain([command.help])
        return 0
    recipe = load_recipe(command.recipe, command.overrides, world_size=world_size, draw=command.dry_run)
    if command.dry_run:
        from warmup_rl.cli.check import plan
        from warmup_rl.run.launch_env import read_launch_env

        read_launch_env()  # what a run would refuse of the launch
        plan(recipe, world_size=world_size, command=command)
        return 0
    if command.gpus and command.gpus_per_run:
        raise UserError("--gpus starts processes for one arm after the other, --gpus-per-run side by side. Give one.")
    if command.gpus and "WORLD_SIZE" not in os.environ:
        if command.gpus > 1:
            launch = launch_command(command, recipe, given)
            os.execv(launch[0], launch)  # so that signals reach the launcher
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    if command.rehearse:
        from warmup_rl.cli.rehearse import rehearse

        rehearse(recipe, command)
        return 0
    return _train(command, recipe)


def launch_command(command: Command, recipe: Recipe, given: Sequence[str]) -> list[str]:
    """The command that starts a process for each GPU, with ZeRO-3 where a model does not fit on one of them.

    Args:
        given: the command line of this process.
    """
    import torch

    from warmup_rl.cli.disk import parameters
    from warmup_rl.stages.training.checkpoints import BYTES_PER_TRAINED, BYTES_PER_WEIGHT

    name = command.launch
    if name is None:
        memory = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else math.inf
        full = any(getattr(stage, "lora", 0) is None for stage in recipe.stages)
        needed = (parameters(recipe) or 0) * (BYTES_PER_TRAINED if full else BYTES_PER_WEIGHT)
        name = "zero3" if needed > memory / 2 else "ddp"
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(find_launch_file(name))]
    return [*launch, "--num_processes", str(command.gpus), "-m", "warmup_rl.train", *given]


def _train(command: Command, recipe: Recipe) -> int:
    from warmup_rl.cli.disk import require_disk
    from warmup_rl.cli.power import resolution
    from warmup_rl.run.launch_env import is_launched, read_launch_env
    from warmup_rl.run.parallel import device_groups
    from warmup_rl.run.provenance import await_claim, claim_run_folder, refuse_leaks
    from warmup_rl.run.trial import Trial

    parent, run = os.getppid(), command.trial
    ancestors = ([parent] if is_launched() and parent != run else []) + ([run] if run is not None else [])
    if ancestors:
        stop_with(ancestors)
    arms, seeds, folds = selection(command, recipe)
    trials = [Trial(recipe, arm, seed, fold, command.reuse_stale) for seed in seeds for arm in arms for fold in folds]
    trials = [trial for trial in trials if trial.chosen(command.only, command.until)]
    start = time.monotonic()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if _is_main() and not command.trial:
        for line in sorted({line for trial in trials for line in trial.moved()}):
            print(line, flush=True)
    if waiting := [trial for trial in trials if not trial.finished]:
        launch_env = read_launch_env()
        if not command.trial:  # the run that started this trial has checked for leaks and claimed the folder
            if launch_env.is_main:
                refuse_leaks(recipe, [trial.place for trial in trials])
                require_disk(trials)
                claim_run_folder(recipe, seeds)
                for line in resolution(recipe):
                    print(line, flush=True)
            else:
                await_claim(recipe)
        several = not (launch_env.size > 1 or command.gpus or command.trial or command.only or command.until)
        on_gpus = several and (launch_env.device == "cuda" or command.gpus_per_run)
        devices = device_groups(command.gpus_per_run or 1) if on_gpus else []
        most = min(len(devices) or len(waiting), len(waiting)) if several else 1
        workers = min(command.jobs or len(devices) or cores(), most)
        if workers > 1 or command.gpus_per_run:
            _side_by_side(command, trials, workers, devices)
        else:
            _in_this_process(command, trials, launch_env)
        if not launch_env.is_main or command.trial:
            return 0
        print(f"All stages done in {duration(time.monotonic() - start)}.", flush=True)
    if not command.trial and not command.only and _is_main():
        _report(trials[0].run_folder)
    return 0


def _report(run_folder: Path) -> None:
    """Writes the report. Raises `RunError` where that fails; the outputs of the stages are kept."""
    from warmup_rl.report.main import report

    try:
        report(run_folder, final=True)
    except UserError:
        raise
    except Exception as error:
        traceback.print_exc()
        raise RunError(
            f"all stages are done and kept; the report failed ({type(error).__name__}: {error}). To write it again: "
            f"warmup-rl report {run_folder}"
        ) from None


def _is_main() -> bool:
    """Whether this is the process that prints; known from the environment, before torch is imported."""
    return os.environ.get("RANK", "0") == "0"


def _side_by_side(command: Command, trials: Sequence[Trial], workers: int, devices: Sequence[str]) -> None:
    from warmup_rl.run.parallel import run_side_by_side

    what, logs = ("arm, seed and fold", "<n>/fold-<k>") if trials[0].recipe.folded else ("arm and seed", "<n>")
    where = f" on GPUs {' | '.join(devices[:workers])}" if devices else ""
    print(f"{len(trials)} trials ({what}), {workers} at a time{where}. Logs: ", end="")
    print(f"{trials[0].run_folder}/<arm>/seed-{logs}/run.log")
    arguments = [command.recipe, *command.overrides, *(["--reuse-stale"] if command.reuse_stale else [])]
    arguments += ["--launch", command.launch] if command.launch else []
    failed = run_side_by_side(trials, arguments, workers, lambda line: print(line, flush=True), devices)
    if failed:
        names = ", ".join(f"{trial.name.replace(',', '')} (exit {code})" for trial, code in failed)
        raise RunError(
            f"failed: {names}. Their last lines are printed above; the whole log of the first is "
            f"{failed[0][0].folder}/run.log. Finished stages are kept; the same command continues from there."
        )


def _in_this_process(command: Command, trials: Sequence[Trial], launch_env: LaunchEnv) -> None:
    """Runs trials one after the other. One that fails does not stop the others; the error is raised at the end."""
    import torch

    from warmup_rl.run.launch_env import leave_together
    from warmup_rl.run.provenance import failed_before

    torch.set_num_threads(command.threads or cores())
    last = failed_before(trials[0].run_folder)
    failed: list[str] = []
    for trial in sorted(trials, key=lambda trial: trial.name in last):
        try:
            _run_trial(command, trial, launch_env)
        except Exception as error:
            if len(trials) == 1:
                raise
            failed.append(trial.name)
            if launch_env.is_main:
                print(f"{trial.name}: {error}", file=sys.stderr, flush=True)
            leave_together(trial.folder, launch_env)
    if failed:
        raise RunError(f"failed: {'; '.join(failed)}. Finished stages are kept; the same command continues from there.")


def _run_trial(command: Command, trial: Trial, launch_env: LaunchEnv) -> None:
    from warmup_rl.run.cache import sole_process
    from warmup_rl.run.parallel import trial_label
    from warmup_rl.run.pipeline import TrialRunner

    log = Path(trial.folder) / ("run.log" if launch_env.is_main else f"run.rank{launch_env.rank}.log")
    label = "" if command.trial else trial_label(*trial.place)
    lock = sole_process(trial.folder) if launch_env.is_main else nullcontext()
    with quiet_libraries(log, label) as say, lock:
        run = TrialRunner(trial, launch_env, say if launch_env.is_main else lambda line: None)
        try:
            run.run(only=command.only, until=command.until)
        except UserError:
            raise
        except Exception:
            traceback.print_exc()
            raise


if __name__ == "__main__":
    sys.exit(main())
