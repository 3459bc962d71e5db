"""`python -m warmup_rl check`: the plan of a recipe (arms, stages, counts, files, disk) and warnings, without a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from warmup_rl.base.console import counted, open_console, shortened
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import read_json
from warmup_rl.base.stats import MIN_SEEDS
from warmup_rl.base.types import Problem
from warmup_rl.cli.command import Command, explain, parse, selection
from warmup_rl.cli.disk import disk_estimate, disk_lack, parameters, require_disk
from warmup_rl.cli.power import folds, left_out_rows, resolution
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.domain import Domain, each_fold
from warmup_rl.interfaces.engine import Engine
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Context, Stage, StagePreview
from warmup_rl.recipe.load import load_recipe
from warmup_rl.recipe.schema import Recipe
from warmup_rl.recipe.shipped import find_launch_file
from warmup_rl.run.cache import keep_note
from warmup_rl.run.drafts import checked_note
from warmup_rl.run.harm import silent_starts
from warmup_rl.run.trial import PlannedStage, Trial
from warmup_rl.stages.training.layout import layout_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WORLD_SIZES = (1, 2, 4, 8)
"""Numbers of processes for which the plan checks the batch sizes."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command. Raises `UserError` where the command line or the recipe is wrong."""
    command = parse(arguments, "python -m warmup_rl check")
    if command.help is not None:
        explain([command.help])
        return
    size = layout_of(_launch_file(command), command.gpus).env.size
    plan(load_recipe(command.recipe, command.overrides, world_size=size, draw=True), size, command=command)


def _launch_file(command: Command) -> Path | None:
    return find_launch_file(command.launch) if command.launch else None


def prepare(
    trials: Sequence[Trial], drafts: Path
) -> tuple[PreTrainedTokenizerBase | None, list[str], list[tuple[Stage, Context]]]:
    """Prepares every stage as a run does before its first one, unless no stage sets an option that it takes a library
    to check.

    Returns the recipe's tokenizer (None, with a warning, where a hub model cannot be reached from here, and for a model
    from scratch) and the stages that were prepared, with drafts of models in a folder. Raises `UserError` if the model
    or a stage cannot be used; `ContractError` where the model was trained on another format.
    """
    recipe = trials[0].recipe
    if not recipe.model:
        stages = [planned.stage for trial in trials for planned in trial.stages]
        return None, [], _prepared(trials, drafts) if any(stage.sets_options() for stage in stages) else []
    from warmup_rl.base.models import require_finite

    folder = Path(recipe.model).expanduser()
    try:
        tokenizer = chat.load_tokenizer(recipe.model, recipe.model_revision)
    except UserError as error:
        if folder.is_dir():
            raise
        return None, [f"model: {error} A run stops there; what depends on the model was not checked."], []
    require_finite(folder)
    for layout in dict.fromkeys(trial.format for trial in trials):
        if layout.think != "auto":
            chat.check(recipe.model, layout, recipe.model_revision)
    return tokenizer, [], _prepared(trials, drafts)


def _checked(
    trials: Sequence[Trial], command: Command, drafts: Path
) -> tuple[PreTrainedTokenizerBase | None, list[str], dict[str, list[str]]]:
    """Prepares the stages and plans their memory: `prepare`'s tokenizer and warnings, and what helps for each line
    about memory.

    That takes seconds. For a model from scratch the cache notes the result, until a setting, the launch, the code or a
    library is another.
    """
    launch = [repr(layout_of(_launch_file(command), command.gpus)), command.gpu_memory]
    stages = [planned for trial in trials for planned in trial.stages]
    note = None if trials[0].recipe.model else checked_note(trials[0].recipe, stages, launch)
    if note and note.is_file():
        return None, [], dict(read_json(note))
    tokenizer, unreachable, prepared = prepare(trials, drafts)
    needs = dict(memory(prepared, command))
    if note and prepared:
        keep_note(note, needs)
    return tokenizer, unreachable, needs


def _prepared(trials: Sequence[Trial], drafts: Path) -> list[tuple[Stage, Context]]:
    from warmup_rl.run.launch_env import read_launch_env
    from warmup_rl.run.pipeline import TrialRunner

    prepared, env = dict[str, tuple[Stage, Context]](), read_launch_env()
    for trial in trials:  # the problems of evaluations were drawn when the recipe was loaded
        stages = [one for one in trial.stages if one.key not in prepared and one.stage.role != "evaluation"]
        stages = [one for one in stages if not trial.entry(one).done]
        found = TrialRunner(trial, env, lambda line: None).prepare(stages, drafts)
        prepared |= zip((planned.key for planned in stages), found, strict=True)
    return list(prepared.values())


def memory(prepared: Sequence[tuple[Stage, Context]], command: Command) -> Iterator[tuple[str, list[str]]]:
    """What each training takes on a device of the launch, and what helps where it does not fit. Raises `UserError` if
    training is not split as the launch wants, or a DeepSpeed configuration contradicts the recipe."""
    if not prepared:  # torch is not needed
        return
    from warmup_rl.run.launch_env import read_launch_env
    from warmup_rl.stages.training.base import TrainerStage
    from warmup_rl.stages.training.memory import launch_of, verdict

    launch = launch_of(_launch_file(command), command.gpus, command.gpu_memory, read_launch_env())
    for stage, given in prepared:
        if not isinstance(stage, TrainerStage):
            continue
        context = replace(given, launch_env=launch.env)
        stage.require_agreement(context, launch)
        found = stage.memory(context, launch)
        if isinstance(found, str):
            yield f"{stage.id}: {found}", []
        elif found is not None:
            line, fits = verdict(found, launch)
            yield f"{stage.id}: {line}", [] if fits else list(stage.remedies(context))


def _is_for_here(command: Command, needs: Mapping[str, Sequence[str]]) -> bool:
    """Whether the plan can be for this machine: it has the GPUs that the command asks for, and each training fits."""
    if command.gpu_memory or any(needs.values()):
        return False
    asked = command.gpus_per_run or 0
    if command.gpus or command.launch:
        asked = layout_of(_launch_file(command), command.gpus).local
    if not asked:
        return True
    import torch

    return asked <= torch.cuda.device_count()


def plan(recipe: Recipe, world_size: int = 1, console: Console | None = None, command: Command | None = None) -> None:
    """Prints what a run of the recipe, or the part that `command` runs, will do in `world_size` processes.

    Raises `UserError` if there is no such arm or stage, or the model in a folder cannot be used.
    """
    console = console or open_console()
    command = command or Command()
    arms, seeds, chosen = selection(command, recipe)
    recipe = recipe.model_copy(update={"seeds": list(seeds)})
    every = [Trial(recipe, arm, seeds[0], fold, command.reuse_stale) for arm in arms for fold in chosen]
    trials = {trial.arm: trial for trial in every if trial.fold == chosen[0]}
    with console.status("builds each trainer without weights ..."), TemporaryDirectory() as drafts:
        tokenizer, unreachable, needs = _checked(every, command, Path(drafts))
    seeded = [replace(trial, seed=seed) for trial in every for seed in seeds]
    notes = list(unreachable)
    if not unreachable and _is_for_here(command, needs):
        require_disk(seeded)
    elif lack := disk_lack(seeded):
        notes.append(f"{lack} That is no fault where the run is for another machine.")
    run = {arm: trial.chosen(command.only, command.until) for arm, trial in trials.items()}
    chosen_stages = [(trial, planned) for trial in every for planned in trial.chosen(command.only, command.until)]
    made = {planned.key: planned.stage for _, planned in chosen_stages}
    preview = {planned.key: preview_of(trial, planned) for trial in every for planned in trial.stages}
    console.print(_headline(recipe, [planned for _, planned in chosen_stages], len(arms), len(chosen)), style="bold")
    console.print(_stages(recipe, trials, run, preview))
    marks = "● made   = shared with the arm named   – left out   ✓ done before"
    marks += "   · not in this run" if command.only or command.until else ""
    marks += "   * code or endpoint changed since" if any(trial.outdated for trial in trials.values()) else ""
    console.print(Text(f"{marks}\n", style="dim"))
    console.print(_settings(recipe, trials, disk_estimate(recipe, made, preview), list(needs)))
    signal = (
        f"{trial.name}, {one.stage.id}: {line}"
        for trial in every
        for one in trial.stages
        for line in silent_starts(trial, one)
    )
    moved = (line for trial in every for line in trial.moved())
    notes += [*moved, *signal, *_warnings(recipe, made, preview, world_size), *left_out_rows(recipe)]
    for warning in dict.fromkeys(notes):
        console.print(Text(f"! {warning}", style="yellow"))
    for line, helps in ((line, helps) for line, helps in needs.items() if helps):
        steps = "".join(f"\n    {number}. {step}" for number, step in enumerate(helps, start=1))
        console.print(Text(f"! {line.partition(':')[0]}: the memory is not enough. What helps:{steps}", style="yellow"))
    _show_problems(recipe, every[0].format, tokenizer, console)


def _show_problems(
    recipe: Recipe, chosen: ResponseFormat, tokenizer: PreTrainedTokenizerBase | None, console: Console
) -> None:
    """One train problem of each domain, as the first arm's model is asked it."""
    layout = chosen if chosen.think != "auto" else chosen.under("free")
    for name, domain in recipe.domains.items():
        part = next(iter(each_fold(domain)))
        problem = next(part.unchecked("train", recipe.seeds[0]), None) or next(part.unchecked("test", 0), None)
        if problem is not None:
            title = f"{name}, as the model is asked it (prompt style {layout.think})"
            show_problem(console, title, domain, problem, layout.asks(terse=domain.is_terse), tokenizer)


def show_problem(
    console: Console,
    title: str,
    domain: Domain,
    problem: Problem,
    layout: ResponseFormat,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> None:
    """Prints the prompt, shortened in the middle, and the reference answer. Raises as `render_prompt`.

    Args:
        layout: with its instruction written out (`ResponseFormat.asks`).
        tokenizer: renders the prompt with its chat template; without one the last question is shown.
    """
    messages = domain.prompt(problem)
    prompt = chat.render_prompt(tokenizer, messages, layout) if tokenizer else layout.ask(messages)[-1]["content"]
    console.print(f"\n--- {title} ---\n{shortened(prompt.rstrip())}", markup=False)
    console.print(f"--- gold: {shortened(domain.reference(problem))}", markup=False)


def preview_of(trial: Trial, planned: PlannedStage) -> StagePreview:
    """What a stage of a trial will do, by its recipe."""
    domains, evaluation = trial.recipe.seen_by(planned.stage, trial.fold)
    return planned.stage.preview(evaluation, domains)


def _headline(recipe: Recipe, stages: Sequence[PlannedStage], arms: int, folds: int) -> str:
    distinct = len({planned.key for planned in stages})
    seeds = len(recipe.seeds)
    shared = f" of which {distinct} are made and {len(stages) - distinct} shared" if distinct < len(stages) else ""
    each = " for each seed" if seeds > 1 else ""
    trials = (
        f", {counted(folds - 1, 'fold')} and the last model" if recipe.folded and folds == len(recipe.folds) else ""
    )
    counts = f"{counted(arms, 'arm')}, {counted(seeds, 'seed')}{trials}; {counted(len(stages), 'stage')}"
    return f"{recipe.run_name}: {counts}{shared}{each}."


def _stages(
    recipe: Recipe, trials: dict[str, Trial], run: dict[str, tuple[PlannedStage, ...]], preview: dict[str, StagePreview]
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "stage", *trials):
        table.add_column(title, no_wrap=True)
    table.add_column("what it does", overflow="fold")
    stages = {arm: {planned.stage.id: planned for planned in trial.stages} for arm, trial in trials.items()}
    outdated = {arm: trial.outdated for arm, trial in trials.items()}
    first: dict[str, str] = {}
    for index, stage in enumerate(recipe.stages):
        name = stage.id if stage.id == stage.type else f"{stage.id} ({stage.type})"
        cells = [
            _cell(trials[arm], stages[arm].get(stage.id), run[arm], first) + "*" * (stage.id in outdated[arm])
            for arm in trials
        ]
        counts = [preview[of[stage.id].key].counts for of in stages.values() if stage.id in of]
        lines = (" · ".join(f"{key} {_number(value)}" for key, value in count.items()) for count in counts)
        table.add_row(str(index), name, *cells, Text("\n".join(dict.fromkeys(lines))))
    return table


def _cell(trial: Trial, planned: PlannedStage | None, run: tuple[PlannedStage, ...], first: dict[str, str]) -> str:
    if planned is None:
        return "–"
    if planned not in run:
        return "✓" if trial.entry(planned).done else "·"
    maker = first.setdefault(planned.key, trial.arm)
    if maker != trial.arm:
        return f"= {maker}"
    return "✓" if trial.entry(planned).done else "●"


def _settings(recipe: Recipe, trials: dict[str, Trial], disk: str, needs: Sequence[str]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    folder = Path(recipe.output_dir) / recipe.run_name
    for name in trials:
        for address, value in recipe.arms[name].set.items():
            table.add_row("arm", Text(f"{name}: {address} = {value}"))
    if recipe.model:
        table.add_row("model", Text(recipe.model + (f" at {recipe.model_revision}" if recipe.model_revision else "")))
    for name, domain in recipe.domains.items():
        space = domain.space()
        kind = "" if domain.type == name else f" ({domain.type})"
        table.add_row("domain", Text(f"{name}{kind}{f': {space}' if space else ''}"))
    cross_validation = folds(recipe, len(trials), len(recipe.seeds))
    for name, lines in ("folds", cross_validation), ("measured", _measured(recipe)), ("resolves", resolution(recipe)):
        for line in lines:
            table.add_row(name, Text(line))
    where = "[/fold-<k>]" if recipe.folded else ""
    table.add_row("files", Text(f"{folder}/ recipe.yaml, run.json, report/, <arm>/seed-<n>{where}/NN-<stage>"))
    table.add_row("", Text(f"{recipe.output_dir}/cache/ stage outputs, once each: models, traces, completions"))
    table.add_row("disk", Text(disk))
    for line in needs:
        table.add_row("memory", Text(line))
    to, project = recipe.tracking.to, recipe.tracking.project
    named = {"wandb": f", project {project}, group {recipe.run_name}", "trackio": f", project {project}"}.get(to, "")
    table.add_row("tracking", Text(f"{to}{named}"))
    return table


def _measured(recipe: Recipe) -> Iterator[str]:
    evaluation = recipe.evaluation
    sizes: dict[int, list[str]] = {}
    for name in evaluation.measured(recipe.domains):
        rows = [part.rows_in("test") for part in each_fold(recipe.domains[name])]
        size = sum(min(size or 0, evaluation.problems) for size in rows) or evaluation.problems
        sizes.setdefault(size, []).append(name)
    yield "; ".join(
        f"{counted(size, 'test problem')} of {'each of ' * (len(names) > 1)}{', '.join(names)}"
        for size, names in sizes.items()
    )
    for name, sampling in evaluation.samplings.items():
        decoding = f"temperature {sampling.temperature:g}, at most {_number(sampling.max_tokens)} tokens"
        yield f"{name}: {decoding}, {counted(sampling.samples, 'sample')} a problem"
    if any(stage.compared_styles() for stage in recipe.stages):
        yield f"prompt styles are compared on at most {counted(evaluation.validation, 'validation problem')} of each"
    if evaluation.every:
        most = min(evaluation.curve_problems, max(sizes))
        yield f"curve: every {evaluation.every} RLVR steps on at most {counted(most, 'test problem')}"


def _warnings(
    recipe: Recipe, made: dict[str, Stage], preview: dict[str, StagePreview], world_size: int
) -> Iterator[str]:
    for key, stage in made.items():
        teacher = getattr(stage, "teacher", None)
        notes = teacher.notes(parameters(recipe)) if isinstance(teacher, Engine) else ()
        yield from (f"{stage.id}: {note}" for note in (*preview[key].notes, *notes))
    sizes = sorted({world_size, *WORLD_SIZES})
    unfit: dict[str, list[int]] = {}
    for stage in made.values():
        for size in sizes:
            for line in stage.check(world_size=size):
                unfit.setdefault(f"{stage.id}: {line.partition(': ')[0]}", []).append(size)
    for key, wrong in unfit.items():
        fit = [size for size in sizes if size not in wrong]
        processes = f"process{'es' * (fit != [1])}"
        yield f"{key} fits {', '.join(map(str, fit))} {processes}, not {', '.join(map(str, dict.fromkeys(wrong)))}."
    if len(recipe.arms) > 1 and len(recipe.seeds) < MIN_SEEDS:
        yield f"{counted(len(recipe.seeds), 'seed')}: below {MIN_SEEDS} the report gives differences without intervals."


def _number(value: int | float | str) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
