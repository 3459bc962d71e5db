"""The main job: `accelerate launch -m warmup_rl.train recipes/kk_warmup.yaml` runs all arms and seeds of a recipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from warmup_rl.command import Command, parse, running, selected_folds, selection
from warmup_rl.console import duration, quiet_libraries
from warmup_rl.errors import RunError, UserError
from warmup_rl.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from warmup_rl.run import Lane
    from warmup_rl.stage import World

USAGE = "accelerate launch -m warmup_rl.train RECIPE [KEY=VALUE ...]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code: 0 done, 2 something given was wrong or a lane failed."""
    try:
        return _run(parse(sys.argv[1:] if arguments is None else arguments, usage=USAGE))
    except UserError as error:
        if _is_main():
            print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the first unfinished stage", file=sys.stderr)
        return 130


def _run(command: Command) -> int:
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if not _is_main() and (command.help is not None or command.dry_run):
        return 0
    if command.help is not None:
        from warmup_rl.helping import help_text

        print(help_text(command.help, usage=USAGE))
        return 0
    recipe = load_recipe(command.recipe, command.overrides, world_size=world_size, draw=command.dry_run)
    if command.dry_run:
        from warmup_rl.checking import plan

        plan(recipe, world_size=world_size, command=command)
        return 0
    return _train(command, recipe)


def _train(command: Command, recipe: Recipe) -> int:
    from warmup_rl.leaks import leaks, refuse
    from warmup_rl.manifest import await_claim, claim_run_folder
    from warmup_rl.run import Lane
    from warmup_rl.scarce import resolution

    arms, seeds = selection(command, recipe)
    folds = selected_folds(command, recipe)
    lanes = [Lane(recipe, arm, seed, fold, command.reuse_stale) for seed in seeds for arm in arms for fold in folds]
    lanes = [lane for lane in lanes if running(command, [step.stage.id for step in lane.steps])]
    start = time.monotonic()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if _is_main() and not command.lane:
        for line in sorted({line for lane in lanes for line in lane.moved()}):
            print(line, flush=True)
    if not all(lane.finished for lane in lanes):
        from warmup_rl.world import find_world

        world = find_world()
        if not command.lane:  # the run that began a lane has looked for leaks and claimed the folder for it
            if world.is_main:
                refuse(leaks(recipe.asked(*lane.place) for lane in lanes))
                claim_run_folder(recipe)
                for line in resolution(recipe):
                    print(line, flush=True)
            else:
                await_claim(recipe)
        workers = _workers(command, len(lanes)) if world.size == 1 and world.device == "cpu" else 1
        if workers > 1:
            _side_by_side(command, lanes, workers)
        else:
            _in_this_process(command, lanes, world)
        if not world.is_main or command.lane:
            return 0
        print(f"All stages done in {duration(time.monotonic() - start)}.", flush=True)
    if not command.lane and not command.only and _is_main():
        from warmup_rl.report.main import report

        report(lanes[0].run_folder)
    return 0


def _is_main() -> bool:
    """Whether this is the one process that prints, known before anything of the world is."""
    return os.environ.get("RANK", "0") == "0"


def _workers(command: Command, lanes: int) -> int:
    from warmup_rl.jobs import cores

    return 1 if command.lane or command.only or command.until else min(command.jobs or cores(), lanes)


def _side_by_side(command: Command, lanes: Sequence[Lane], workers: int) -> None:
    from warmup_rl.jobs import run_side_by_side

    what, logs = ("arm, seed and fold", "<n>/fold-<k>") if lanes[0].recipe.folded else ("arm and seed", "<n>")
    print(f"{len(lanes)} lanes ({what}), {workers} at a time. Logs: {lanes[0].run_folder}/<arm>/seed-{logs}/run.log")
    arguments = [command.recipe, *command.overrides, *(["--reuse-stale"] if command.reuse_stale else [])]
    failed = run_side_by_side(lanes, arguments, workers, lambda line: print(line, flush=True))
    if failed:
        names = ", ".join(f"{lane.name.replace(',', '')} (exit {code})" for lane, code in failed)
        raise RunError(
            f"failed: {names}. Their last lines stand above, everything else in {failed[0][0].folder}/run.log; "
            "what is done is kept, the same command goes on from there."
        )


def _in_this_process(command: Command, lanes: Sequence[Lane], world: World) -> None:
    import torch

    from warmup_rl.jobs import cores, exit_with_parent, lane_label
    from warmup_rl.run import LaneRun
    from warmup_rl.store import sole_process

    if command.lane:
        exit_with_parent()
    torch.set_num_threads(command.threads or max(1, cores() // world.size))
    for lane in lanes:
        log = Path(lane.folder) / ("run.log" if world.is_main else f"run.rank{world.rank}.log")
        label = "" if command.lane else lane_label(*lane.place)
        with quiet_libraries(log, label) as say:
            run = LaneRun(lane, world, say if world.is_main else _silent)
            if world.is_main:
                with sole_process(lane.folder):
                    run.run(only=command.only, until=command.until)
            else:
                run.run(only=command.only, until=command.until)


def _silent(line: str) -> None:
    """Ranks other than the main one print nothing."""


if __name__ == "__main__":
    sys.exit(main())
