"""Statistical power: number of measured problems, and the differences that they can detect."""

from __future__ import annotations

from collections.abc import Iterator

from warmup_rl.base.console import counted
from warmup_rl.base.stats import resolvable
from warmup_rl.interfaces.domain import each_fold
from warmup_rl.recipe.schema import Recipe


def resolution(recipe: Recipe) -> Iterator[str]:
    """One line for each measured data set."""
    for name in recipe.evaluation.measured(recipe.domains):
        parts = each_fold(recipe.domains[name])
        sizes = [part.rows_in("test") for part in parts]
        problems = sum(min(size, recipe.evaluation.problems) for size in sizes if size)
        if problems:
            folds = f" in {len(parts)} folds" if len(parts) > 1 else ""
            yield f"{name}: {problems} problems measured{folds}; {describe_power(problems)}"


def describe_power(problems: int) -> str:
    """The difference that a number of problems can detect, as part of a sentence."""
    return (
        f"differences of about {100 * resolvable(problems):.0f} points or more between two models can be detected "
        "(80% power, if the two differ on 3 of 10 problems)"
    )


def folds(recipe: Recipe, arms: int, seeds: int) -> Iterator[str]:
    """Two lines about the cross-validation; none if no domain has folds."""
    if recipe.folded is None:
        return
    name, parts = recipe.folded, each_fold(recipe.domains[recipe.folded])
    rows = [part.rows_in("test") or 0 for part in parts]
    least, most = min(rows), max(rows)
    size = f"{most}" if least == most else f"{least} to {most}"
    measured = sum(min(count, recipe.evaluation.problems) for count in rows)
    some = f"{measured} of {sum(rows)} rows are measured, each once"
    once = f"each of {measured} rows is measured once" if measured == sum(rows) else some
    yield (
        f"{name}: {len(parts)} folds of {size} rows; {once}, by a model that was not trained on it; the last model is "
        "trained on all and measures the other domains"
    )
    trials = arms * seeds * (len(parts) + 1)
    each = f"{len(parts)} folds + the last"
    yield f"{trials} trials: {counted(arms, 'arm')} x {counted(seeds, 'seed')} x ({each})"


def left_out_rows(recipe: Recipe) -> Iterator[str]:
    """Warnings where a cross-validation measures, or trains the last model on, only some of the rows."""
    if recipe.folded is None:
        return
    most = max(part.rows_in("test") or 0 for part in each_fold(recipe.domains[recipe.folded]))
    if recipe.evaluation.problems < most:
        few = f"evaluation.problems: {recipe.evaluation.problems} of the {most} rows of a fold are measured"
        yield f"{few}; {most} measures each row once."
    rows = recipe.domains[recipe.folded].rows_in("train") or 0
    for stage in recipe.stages:
        for draw in stage.data_requests(recipe.evaluation, recipe.domains):
            mine = draw.domain == recipe.folded and draw.used_for == "training"
            if mine and not draw.whole and draw.count < rows:
                few = f"{stage.id}: the last model is trained on {draw.count} of {rows} rows"
                yield f"{few}; `problems: all` takes all." if stage.type == "rlvr" else f"{few}."
