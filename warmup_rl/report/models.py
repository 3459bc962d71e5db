"""The models that tables and plots show, by name, and their accuracies with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from warmup_rl.base.console import counted
from warmup_rl.base.stats import mean, t_interval, wilson
from warmup_rl.interfaces.measurement import Cell
from warmup_rl.report import measures
from warmup_rl.report.load import Run
from warmup_rl.report.measures import models
from warmup_rl.report.outputs import Graded, Model

Role = Literal["base", "prompt", "best prompt", "control", "warmup", "other"]
STYLES = {
    "open": "think tag open",
    "free": "tags asked for",
    "plain": "tags not mentioned",
    "few_shot": "few-shot",
    "few_shot_cot": "few-shot with solutions",
}


@dataclass(frozen=True)
class Accuracy:
    """A mean over seeds with its interval: t over 3 or more seeds, otherwise Wilson over the problems of one seed."""

    value: float
    low: float
    high: float
    by_seed: Mapping[int, float]


@dataclass(frozen=True)
class Row:
    """One model, in all seeds that have it.

    Attributes:
        trained: it has been through the target stage.
        sources: model and prompt style (None: that of its arm) by seed.
    """

    name: str
    role: Role
    trained: bool
    sources: Mapping[int, tuple[Model, str | None]]

    def cells(self, domain: str, sampling: str) -> dict[int, Cell]:
        """Test measurements by seed."""
        found = {seed: model.cell(domain, sampling, prompt=style) for seed, (model, style) in self.sources.items()}
        return {seed: cell for seed, cell in found.items() if cell}

    def graded(self, domain: str, sampling: str) -> dict[int, Graded]:
        """Verdicts of its test completions by seed."""
        found = {
            seed: model.graded.get((sampling, style or model.style, domain))
            for seed, (model, style) in self.sources.items()
        }
        return {seed: rows for seed, rows in found.items() if rows}

    def accuracy(self, domains: Sequence[str], sampling: str) -> Accuracy | None:
        """Lenient accuracy, mean over domains; None if no seed has all of them."""
        by_domain = [self.cells(domain, sampling) for domain in domains]
        seeds = [seed for seed in self.sources if by_domain and all(seed in cells for cells in by_domain)]
        if not seeds:
            return None
        by_seed = {seed: mean([cells[seed].lenient for cells in by_domain]) for seed in seeds}
        return with_interval(by_seed, min(sum(cells[seed].problems for cells in by_domain) for seed in seeds))

    def groups(self, domain: str, sampling: str) -> dict[str, Accuracy]:
        """Lenient accuracy by group of problems (`people=2`)."""
        cells = self.cells(domain, sampling)
        found = {}
        for group in dict.fromkeys(name for cell in cells.values() for name in cell.by):
            parts = {seed: cell.by[group] for seed, cell in cells.items() if group in cell.by}
            problems = min(int(part["problems"]) for part in parts.values())
            found[group] = with_interval({seed: part["lenient"] for seed, part in parts.items()}, problems)
        return found


def average(cells: Sequence[Cell], name: str) -> float | None:
    """Mean of one figure over the cells that have it."""
    values = [value for value in (getattr(cell, name) for cell in cells) if value is not None]
    return mean(values) if values else None


def with_interval(by_seed: Mapping[int, float], problems: int) -> Accuracy:
    """The mean of accuracies over seeds, each measured on the same `problems`, with the interval cut to [0, 1]."""
    value = mean(list(by_seed.values()))
    low, high = t_interval(list(by_seed.values())) or wilson(value, problems)
    return Accuracy(value, max(0.0, low), min(1.0, high), by_seed)


def model_rows(run: Run) -> tuple[Row, ...]:
    """Base, base under other prompts, controls and warmup, then all models after the target stage; those with data."""
    base, control = run.claims.base, run.claims.format_only
    base_models = models(run, base, "start")
    rows: list[Row] = []
    for arm in arms_in_order(run):
        found = models(run, arm, "final" if arm == control else "start")
        if arm == base or not run.compares:
            rows += [_row(run, arm, found), *_other_prompts(run, arm, found)]
        elif any(seed not in base_models or base_models[seed].key != model.key for seed, model in found.items()):
            rows.append(_row(run, arm, found))
    after = [arm for arm in arms_in_order(run) if arm != control]
    rows += [_row(run, arm, models(run, arm, "end"), trained=True) for arm in after]
    return tuple(row for row in rows if row.sources)


def arm_row(run: Run, arm: str, *, trained: bool) -> Row:
    """An arm before or after the target stage, measured or not."""
    return _row(run, arm, models(run, arm, "end" if trained else "start"), trained=trained)


def arms_in_order(run: Run) -> list[str]:
    """Arms that have been run, as tables and plots list them: base, control, others, warmup."""
    names = run.claims
    others = [arm for arm in run.trials if arm not in (names.base, names.format_only, names.warmup)]
    return [arm for arm in (names.base, names.format_only, *others, names.warmup) if arm in run.trials]


def trained_name(run: Run, arm: str) -> str:
    """Name of an arm after the target stage, with the tags of its models; the control keeps its name."""
    name, role = _named(run, arm)
    targets = [trial.target for trial in run.trials.get(arm, {}).values() if trial.target]
    tags = dict.fromkeys(f"{tag}: {why}" for one in targets for tag, why in (one.get("tags") or {}).items())
    tagged = f" ({'; '.join(tags)})" if tags else ""
    return name if role == "control" else f"{name} + {run.method}{tagged}"


def best_prompt(run: Run) -> str:
    """What the base's best prompt style, picked on validation, is called; counts seeds where they differ."""
    picked = _picked(run).items()
    own = arm_styles(run, run.claims.base)
    counts = Counter(STYLES.get(style, style) + ", the arm's own" * (style == own.get(seed)) for seed, style in picked)
    return "; ".join(f"{name} in {counted(n, 'seed')}" if len(counts) > 1 else name for name, n in counts.most_common())


def own_is_best(run: Run, arm: str) -> bool:
    """Whether the base's best prompt style is an arm's own in every seed."""
    picked, own = _picked(run), arm_styles(run, arm)
    return bool(picked) and all(own.get(seed) == style for seed, style in picked.items())


def arm_styles(run: Run, arm: str) -> dict[int, str]:
    """The prompt style of an arm by seed, where one of its models was measured under it."""
    found = [*models(run, arm, "end").items(), *models(run, arm, "start").items()]
    return {seed: model.style for seed, model in found if model.style in model.prompts()}


def shown(run: Run, rows: Sequence[Row]) -> list[Row]:
    """The measured rows that pictures show: without single prompt styles, unless these are all there is to compare."""
    measured = [row for row in rows if any(row.cells(name, run.headline) for name in run.measured)]
    models_only = [row for row in measured if row.role != "prompt"]
    return models_only if len(models_only) > 1 else measured


def _picked(run: Run) -> dict[int, str]:
    return measures.by_seed(run, partial(measures.best_prompt, run))


def _named(run: Run, arm: str) -> tuple[str, Role]:
    names = run.claims
    known: dict[str, tuple[str, Role]] = {
        names.base: ("base", "base"),
        names.format_only: ("format-only control", "control"),
        names.warmup: ("warmup", "warmup"),
    }
    return known.get(arm, (arm, "other"))


def _row(run: Run, arm: str, found: Mapping[int, Model], *, trained: bool = False) -> Row:
    name, role = _named(run, arm)
    sources = {seed: (model, None) for seed, model in found.items()}
    return Row(trained_name(run, arm) if trained else name, role, trained, sources)


def _other_prompts(run: Run, arm: str, base: Mapping[int, Model]) -> list[Row]:
    tested = dict.fromkeys(style for model in base.values() for style in model.prompts())
    rows = []
    own = {model.style for model in base.values()}
    for style in (style for style in tested if own != {style}):
        sources = {seed: (model, style) for seed, model in base.items() if style in model.prompts()}
        rows.append(Row(f"{_named(run, arm)[0]}, {STYLES.get(style, style)}", "prompt", False, sources))
    picked = _picked(run)
    if not picked or own_is_best(run, run.claims.base):  # it has a row already
        return rows
    name = f"base, best prompt (picked on validation: {best_prompt(run)})"
    return [*rows, Row(name, "best prompt", False, {seed: (base[seed], style) for seed, style in picked.items()})]
