"""The plan of a recipe, printed before anything runs: arms, stages, counts, files, disk, and what to look at twice."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from warmup_rl.command import Command, running, selected_folds, selection
from warmup_rl.domain import each_fold
from warmup_rl.engine import Engine
from warmup_rl.recipe import Recipe
from warmup_rl.run import Lane, Step
from warmup_rl.scarce import folds, resolution, short_training
from warmup_rl.stage import Facts, Stage
from warmup_rl.stats import MIN_SEEDS

WORLD_SIZES = (1, 2, 4, 8)
"""Numbers of processes that the plan says the batch sizes fit or do not."""
_BYTES_A_WEIGHT = 4
_SMALL_VOCABULARY = 1024
_BYTES_A_TOKEN = 5
"""A token is about 4 characters of English; a row of completions repeats the question and the score."""


def plan(
    recipe: Recipe, world_size: int = 1, console: Console | None = None, command: Command | None = None
) -> None:
    """Prints what a run of the recipe will do, without doing any of it.

    Args:
        world_size: processes of this launch.
        console: where to print; the terminal where not given.
        command: what of the recipe is run; all of it where not given.

    Raises:
        UserError: the command asks for an arm or a stage that is not there.
    """
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    command = command or Command()
    arms, seeds = selection(command, recipe)
    recipe = recipe.model_copy(update={"seeds": list(seeds)})
    chosen = selected_folds(command, recipe)
    every = [Lane(recipe, arm, seeds[0], fold, command.reuse_stale) for arm in arms for fold in chosen]
    lanes = {lane.arm: lane for lane in every if lane.fold == chosen[0]}
    run = {arm: _running(command, lane) for arm, lane in lanes.items()}
    planned = [(lane, step) for lane in every for step in _running(command, lane)]
    made = {step.key: step.stage for _, step in planned}
    facts = {step.key: _facts(lane, step) for lane in every for step in lane.steps}
    console.print(_headline(recipe, [step for _, step in planned], len(arms), len(chosen)), style="bold")
    console.print(_stages(recipe, lanes, run, facts))
    marks = "● made   = shared with the arm named   – left out   ✓ done before"
    marks += "   · not in this run" if command.only or command.until else ""
    console.print(Text(f"{marks}\n", style="dim"))
    console.print(_settings(recipe, lanes, _disk(recipe, made, facts)))
    moved = (line for lane in every for line in lane.moved())
    for warning in dict.fromkeys([*moved, *_warnings(recipe, made, facts, world_size), *short_training(recipe)]):
        console.print(Text(f"! {warning}", style="yellow"))


def _running(command: Command, lane: Lane) -> list[Step]:
    ids = running(command, [step.stage.id for step in lane.steps])
    return [step for step in lane.steps if step.stage.id in ids]


def _facts(lane: Lane, step: Step) -> Facts:
    domains, evaluation = lane.recipe.seen_by(step.stage, lane.fold)
    return step.stage.facts(evaluation, domains)


def _headline(recipe: Recipe, steps: Sequence[Step], arms: int, folds: int) -> str:
    distinct = len({step.key for step in steps})
    seeds = len(recipe.seeds)
    shared = f" of which {distinct} are made and {len(steps) - distinct} shared" if distinct < len(steps) else ""
    each = " for each seed" if seeds > 1 else ""
    lanes = f", {_count(folds - 1, 'fold')} and the last model" if recipe.folded and folds == len(recipe.folds) else ""
    counts = f"{_count(arms, 'arm')}, {_count(seeds, 'seed')}{lanes}; {_count(len(steps), 'stage')}"
    return f"{recipe.run_name}: {counts}{shared}{each}."


def _stages(
    recipe: Recipe, lanes: dict[str, Lane], run: dict[str, list[Step]], facts: dict[str, Facts]
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "stage", *lanes):
        table.add_column(title, no_wrap=True)
    table.add_column("what it does", overflow="fold")
    steps = {arm: {step.stage.id: step for step in lane.steps} for arm, lane in lanes.items()}
    first: dict[str, str] = {}
    for index, stage in enumerate(recipe.stages):
        name = stage.id if stage.id == stage.type else f"{stage.id} ({stage.type})"
        cells = [_cell(lanes[arm], steps[arm].get(stage.id), run[arm], first) for arm in lanes]
        told = dict.fromkeys(_told(facts[of[stage.id].key]) for of in steps.values() if stage.id in of)
        table.add_row(str(index), name, *cells, Text("\n".join(told)))
    return table


def _cell(lane: Lane, step: Step | None, run: list[Step], first: dict[str, str]) -> str:
    if step is None:
        return "–"
    if step not in run:
        return "✓" if lane.slot(step).done else "·"
    maker = first.setdefault(step.key, lane.arm)
    if maker != lane.arm:
        return f"= {maker}"
    return "✓" if lane.slot(step).done else "●"


def _told(facts: Facts) -> str:
    return " · ".join(f"{name} {_number(value)}" for name, value in facts.counts.items())


def _settings(recipe: Recipe, lanes: dict[str, Lane], disk: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    folder = Path(recipe.output_dir) / recipe.run_name
    for name in lanes:
        for address, value in recipe.arms[name].set.items():
            table.add_row("arm", Text(f"{name}: {address} = {value}"))
    if recipe.model:
        table.add_row("model", Text(recipe.model + (f" at {recipe.model_revision}" if recipe.model_revision else "")))
    for name, domain in recipe.domains.items():
        space = getattr(domain, "space", None)
        kind = "" if domain.type == name else f" ({domain.type})"
        table.add_row("domain", Text(f"{name}{kind}{f': {space()}' if space else ''}"))
    for line in folds(recipe, len(lanes), len(recipe.seeds)):
        table.add_row("folds", Text(line))
    for line in _measured(recipe):
        table.add_row("measured", Text(line))
    for line in resolution(recipe):
        table.add_row("resolves", Text(line))
    where = "[/fold-<k>]" if recipe.folded else ""
    table.add_row("files", Text(f"{folder}/ recipe.yaml, run.json, report/, <arm>/seed-<n>{where}/NN-<stage>"))
    table.add_row("", Text(f"{recipe.output_dir}/store/ stage outputs, once each: models, traces, completions"))
    table.add_row("disk", Text(disk))
    table.add_row("wandb", Text(f"project {recipe.wandb.project}, group {recipe.run_name}" if recipe.wandb else "off"))
    return table


def _measured(recipe: Recipe) -> Iterator[str]:
    evaluation = recipe.evaluation
    sizes: dict[int, list[str]] = {}
    for name in evaluation.measured(recipe.domains):
        rows = [part.rows_in("test") for part in each_fold(recipe.domains[name])]
        size = sum(min(size or 0, evaluation.problems) for size in rows) or evaluation.problems
        sizes.setdefault(size, []).append(name)
    yield "; ".join(
        f"{_count(size, 'test problem')} of {'each of ' * (len(names) > 1)}{', '.join(names)}"
        for size, names in sizes.items()
    )
    for name, sampling in evaluation.samplings.items():
        decoding = f"temperature {sampling.temperature:g}, at most {_number(sampling.max_tokens)} tokens"
        yield f"{name}: {decoding}, {_count(sampling.samples, 'sample')} a problem"
    if evaluation.every:
        most = min(evaluation.curve_problems, max(sizes))
        yield f"curve: every {evaluation.every} RLVR steps on at most {_count(most, 'test problem')}"


def _warnings(
    recipe: Recipe, made: dict[str, Stage], facts: dict[str, Facts], world_size: int
) -> Iterator[str]:
    for key, stage in made.items():
        teacher = getattr(stage, "teacher", None)
        notes = teacher.notes(parameters(recipe)) if isinstance(teacher, Engine) else ()
        yield from (f"{stage.id}: {note}" for note in (*facts[key].notes, *notes))
    sizes = sorted({world_size, *WORLD_SIZES})
    unfit: dict[str, list[int]] = {}
    for stage in made.values():
        for size in sizes:
            for line in stage.check(world_size=size):
                unfit.setdefault(f"{stage.id}: {line.partition(': ')[0]}", []).append(size)
    for key, wrong in unfit.items():
        fit = [size for size in sizes if size not in wrong]
        others = [size for size in sizes if size in wrong]
        yield f"{key} fits {_listed(fit)} process{'es' * (fit != [1])}, not {_listed(others)}."
    if len(recipe.arms) > 1 and len(recipe.seeds) < MIN_SEEDS:
        yield f"{_count(len(recipe.seeds), 'seed')}: below {MIN_SEEDS} the report gives differences without intervals."


def _disk(recipe: Recipe, made: dict[str, Stage], facts: dict[str, Facts]) -> str:
    """An upper estimate of what stage outputs take: weights of every model made, and the text of all completions."""
    models = len(recipe.seeds) * sum("model" in stage.gives for stage in made.values())
    tokens = len(recipe.seeds) * sum(_tokens(facts[key]) for key in made)
    weights = parameters(recipe)
    texts = tokens * _BYTES_A_TOKEN
    if weights is None:
        return f"at most about {_size(texts)} of text, and {_count(models, 'model')}"
    size = weights * _BYTES_A_WEIGHT
    return f"at most about {_size(models * size + texts)}: {_count(models, 'model')} of {_size(size)}, and text"


def _tokens(facts: Facts) -> int:
    counts = facts.counts.items()
    return sum(int(value) for name, value in counts if "tokens" in name and isinstance(value, int | float))


def parameters(recipe: Recipe) -> int | None:
    """Parameters of the model, from its files, its name or its shape; None where they do not tell."""
    if recipe.model:
        files = [*Path(recipe.model).expanduser().glob("*.safetensors")]
        billions = re.search(r"(\d+(?:\.\d+)?)\s*([bm])\b", recipe.model.lower())
        guess = int(float(billions[1]) * {"b": 1e9, "m": 1e6}[billions[2]]) if billions else None
        return sum(map(_weights, files)) if files else guess
    shape = next((getattr(stage, "model", None) for stage in recipe.stages if "model" in stage.gives), None)
    if not isinstance(shape, dict) or not {"hidden_size", "num_hidden_layers"} <= shape.keys():
        return None
    width, inner = shape["hidden_size"], shape.get("intermediate_size", 4 * shape["hidden_size"])
    layers = shape["num_hidden_layers"] * (4 * width * width + 3 * width * inner)
    return int(layers + width * shape.get("vocab_size", _SMALL_VOCABULARY))


def _weights(file: Path) -> int:
    """Numbers in a safetensors file, by its header; where that is broken, by its size."""
    try:
        with file.open("rb") as opened:
            header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError):
        return file.stat().st_size // _BYTES_A_WEIGHT


def _count(number: int, what: str) -> str:
    return f"{_number(number)} {what}{'' if number == 1 else 's'}"


def _number(value: int | float | str) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
