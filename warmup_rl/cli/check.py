"""`python -m warmup_rl check`: the plan of a recipe (arms, stages, counts, files, disk) and warnings, without a run."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from warmup_rl.base.console import counted, open_console, size_in_words
from warmup_rl.base.errors import UserError
from warmup_rl.base.stats import MIN_SEEDS
from warmup_rl.cli.command import Command, explain, parse, selection
from warmup_rl.cli.power import folds, left_out_rows, resolution
from warmup_rl.cli.prompts import show_problem
from warmup_rl.interfaces.domain import each_fold
from warmup_rl.interfaces.engine import Engine
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.measurement import recorded_cells, without_signal
from warmup_rl.interfaces.stage import Context, Stage, StagePreview
from warmup_rl.recipe import Recipe, load_recipe
from warmup_rl.run.cache import RECORD
from warmup_rl.run.pipeline import PlannedStage, Trial
from warmup_rl.stages.training.checkpoints import BYTES_PER_TRAINED, BYTES_PER_WEIGHT

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WORLD_SIZES = (1, 2, 4, 8)
"""Numbers of processes for which the plan checks the batch sizes."""
_SMALL_VOCABULARY = 1024
_BYTES_PER_TOKEN = 5
"""A token is about 4 characters of English; a row of completions repeats the question and the score."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command. Raises `UserError` where the command line or the recipe is wrong."""
    command = parse(arguments, "python -m warmup_rl check")
    if command.help is not None:
        explain([command.help])
        return
    size = command.gpus or 1
    plan(load_recipe(command.recipe, command.overrides, world_size=size, draw=True), size, command=command)


def prepare(
    trials: Sequence[Trial],
) -> tuple[PreTrainedTokenizerBase | None, list[str], list[tuple[Stage, Context]]]:
    """Prepares every stage as a run does before its first one, for recipes that name a model.

    Returns:
        The model's tokenizer; None, with a warning, where a hub model cannot be reached from here. And the stages that
        were prepared.

    Raises:
        UserError: the model or a stage cannot be used; `ContractError` where the model was trained on another format.
    """
    from warmup_rl.base.models import require_finite
    from warmup_rl.interfaces import chat
    from warmup_rl.run.launch_env import read_launch_env
    from warmup_rl.run.pipeline import TrialRunner

    recipe = trials[0].recipe
    if not recipe.model:
        return None, [], []
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
    prepared, env = dict[str, tuple[Stage, Context]](), read_launch_env()
    for trial in trials:  # the problems of evaluations were drawn when the recipe was loaded
        runner = TrialRunner(trial, env, lambda line: None)
        stages = [one for one in trial.stages if one.key not in prepared and one.stage.role != "evaluation"]
        stages = [one for one in stages if not trial.entry(one).done]
        runner.prepare(stages)
        prepared |= {planned.key: (planned.stage, runner.context(planned)) for planned in stages}
    return tokenizer, [], list(prepared.values())


def memory(prepared: Sequence[tuple[Stage, Context]], command: Command) -> Iterator[tuple[str, list[str]]]:
    """What each training takes on a device of the launch, and what helps where it does not fit."""
    if not prepared:  # without a model torch is not needed
        return
    from warmup_rl.recipe.shipped import find_launch_file
    from warmup_rl.run.launch_env import read_launch_env
    from warmup_rl.stages.training.base import TrainerStage
    from warmup_rl.stages.training.memory import launch_of, verdict

    file = find_launch_file(command.launch) if command.launch else None
    launch = launch_of(file, command.gpus, command.gpu_memory, read_launch_env())
    for stage, given in prepared:
        context = replace(given, launch_env=launch.env)
        if isinstance(stage, TrainerStage) and (found := stage.memory(context, launch)) is not None:
            line, fits = verdict(found, launch)
            yield f"{stage.id}: {line}", [] if fits else list(stage.remedies(context))


def require_disk(trials: Sequence[Trial]) -> None:
    """Raises `UserError` if the disk has no room for the models of a run and a checkpoint."""
    recipe = trials[0].recipe
    weights, folder = parameters(recipe), Path(recipe.output_dir).absolute()
    todo = {(trial.seed, one.key): one.stage for trial in trials for one in trial.stages if not trial.entry(one).done}
    whole = (stage for stage in todo.values() if getattr(stage, "save", None) != "adapter")
    models = [stage for stage in whole if "model" in stage.outputs]
    if weights is None or not models:
        return
    full = any(getattr(stage, "checkpoint", None) and getattr(stage, "lora", None) is None for stage in models)
    widths = [BYTES_PER_WEIGHT if getattr(stage, "dtype", "float32") == "float32" else 2 for stage in models]
    needed = weights * (sum(widths) + (BYTES_PER_TRAINED if full else 0))
    free = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
    if needed > free:
        raise UserError(
            f"output_dir: {folder} has {size_in_words(free)} free, {size_in_words(needed)} or more are needed for "
            f"{counted(len(models), 'model')}{' and a checkpoint' if full else ''}. Make room, choose another disk, "
            "run fewer seeds or arms, or train adapters (lora)."
        )


def plan(recipe: Recipe, world_size: int = 1, console: Console | None = None, command: Command | None = None) -> None:
    """Prints what a run of the recipe will do, without doing it.

    Args:
        world_size: processes of this launch.
        console: where to print; stdout by default.
        command: which part of the recipe is run; all of it by default.

    Raises:
        UserError: the command asks for an arm or a stage that the recipe does not have, or the model in a folder
            cannot be used.
    """
    console = console or open_console()
    command = command or Command()
    arms, seeds, chosen = selection(command, recipe)
    recipe = recipe.model_copy(update={"seeds": list(seeds)})
    every = [Trial(recipe, arm, seeds[0], fold, command.reuse_stale) for arm in arms for fold in chosen]
    trials = {trial.arm: trial for trial in every if trial.fold == chosen[0]}
    tokenizer, unreachable, prepared = prepare(every)
    if command.gpu_memory is None:  # else the plan is for another machine
        require_disk([replace(trial, seed=seed) for trial in every for seed in seeds])
    needs = dict(memory(prepared, command))
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
    console.print(_settings(recipe, trials, _disk(recipe, made, preview), list(needs)))
    signal = (line for trial in every for line in _signal(trial))
    moved = (line for trial in every for line in trial.moved())
    for warning in dict.fromkeys(
        [*unreachable, *moved, *signal, *_warnings(recipe, made, preview, world_size), *left_out_rows(recipe)]
    ):
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


def _signal(trial: Trial) -> Iterator[str]:
    """What finished evaluations say of the starts of trainings with rewards."""
    evaluations = [one for one in trial.stages if one.stage.role == "evaluation" and trial.entry(one).done]
    for planned in (one for one in trial.stages if one.stage.role == "target"):
        trained = planned.stage.domains_used(trial.recipe.evaluation, trial.recipe.domains)
        found = (
            cell
            for one in evaluations
            if one.inputs.get("model") == planned.inputs.get("model")
            for cell in recorded_cells(trial.entry(one).record(), trial.entry(one).folder / RECORD)
            if cell.domain in trained
        )
        yield from (f"{trial.name}, {planned.stage.id}: {line}" for line in without_signal(found))


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
    named = f", project {project}, group {recipe.run_name}" if to in ("wandb", "trackio") else ""
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


def _disk(recipe: Recipe, made: dict[str, Stage], preview: dict[str, StagePreview]) -> str:
    """An upper estimate of the size of the stage outputs: weights of all models, and the text of all completions."""
    models = len(recipe.seeds) * sum("model" in stage.outputs for stage in made.values())
    tokens = len(recipe.seeds) * sum(tokens_of(preview[key]) for key in made)
    weights = parameters(recipe)
    texts = tokens * _BYTES_PER_TOKEN
    if weights is None:
        return f"at most about {size_in_words(texts)} of text, and {counted(models, 'model')}"
    size = weights * BYTES_PER_WEIGHT
    total = size_in_words(models * size + texts + (BYTES_PER_TRAINED * weights if models else 0))
    return f"at most about {total}: {counted(models, 'model')} of {size_in_words(size)}, a checkpoint, and text"


def tokens_of(preview: StagePreview) -> int:
    """Tokens that a stage writes at most, as far as its preview counts them."""
    counts = preview.counts.items()
    return sum(int(value) for name, value in counts if "tokens" in name and isinstance(value, int | float))


def parameters(recipe: Recipe) -> int | None:
    """Number of parameters of the model, from its files, its name or its shape; None if unknown."""
    if recipe.model:
        files = [*Path(recipe.model).expanduser().glob("*.safetensors")]
        billions = re.search(r"(\d+(?:\.\d+)?)\s*([bm])\b", recipe.model.lower())
        guess = int(float(billions[1]) * {"b": 1e9, "m": 1e6}[billions[2]]) if billions else None
        return sum(map(_weights, files)) if files else guess
    shape = next((getattr(stage, "model", None) for stage in recipe.stages if "model" in stage.outputs), None)
    if not isinstance(shape, dict) or not {"hidden_size", "num_hidden_layers"} <= shape.keys():
        return None
    width, inner = shape["hidden_size"], shape.get("intermediate_size", 4 * shape["hidden_size"])
    layers = shape["num_hidden_layers"] * (4 * width * width + 3 * width * inner)
    return int(layers + width * shape.get("vocab_size", _SMALL_VOCABULARY))


def _weights(file: Path) -> int:
    """Number of parameters in a safetensors file, from its header, or from its size if the header is broken."""
    try:
        with file.open("rb") as opened:
            header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError):
        return file.stat().st_size // BYTES_PER_WEIGHT


def _number(value: int | float | str) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
