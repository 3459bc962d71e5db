"""The models that tables and pictures show, by name, and their accuracies with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from warmup_rl.base.stats import mean, t_interval, wilson
from warmup_rl.report import measures
from warmup_rl.report.load import Run
from warmup_rl.report.measures import NotMeasured
from warmup_rl.report.outputs import Cell, Model

Role = Literal["base", "prompt", "best prompt", "control", "warmup", "other"]
STYLES = {"open": "think tag open", "free": "tag left to the model", "few_shot": "few-shot"}


@dataclass(frozen=True)
class Accuracy:
    """A mean over seeds with its interval: t over seeds from 3 on, below that Wilson over one seed's problems."""

    value: float
    low: float
    high: float
    by_seed: Mapping[int, float]


@dataclass(frozen=True)
class Shown:
    """A row: one kind of model, in every seed that has it.

    Attributes:
        rlvr: it has been through RLVR.
        sources: model and prompt style (None: the recipe's own) by seed.
    """

    name: str
    role: Role
    rlvr: bool
    sources: Mapping[int, tuple[Model, str | None]]

    def cells(self, domain: str, sampling: str) -> dict[int, Cell]:
        """Test measurements by seed; empty where there are none."""
        found = {seed: model.cell(domain, sampling, prompt=style) for seed, (model, style) in self.sources.items()}
        return {seed: cell for seed, cell in found.items() if cell}

    def accuracy(self, domains: Sequence[str], sampling: str) -> Accuracy | None:
        """Lenient accuracy, mean over domains; None where no seed has them all."""
        by_domain = [self.cells(domain, sampling) for domain in domains]
        seeds = [seed for seed in self.sources if by_domain and all(seed in cells for cells in by_domain)]
        if not seeds:
            return None
        by_seed = {seed: mean([cells[seed].lenient for cells in by_domain]) for seed in seeds}
        problems = min(sum(cells[seed].problems for cells in by_domain) for seed in seeds)
        return with_interval(by_seed, problems)


def with_interval(by_seed: Mapping[int, float], problems: int) -> Accuracy:
    """The mean of accuracies over seeds, each measured on the same `problems`, with the interval cut to [0, 1]."""
    value = mean(list(by_seed.values()))
    low, high = t_interval(list(by_seed.values())) or wilson(value, problems)
    return Accuracy(value, max(0.0, low), min(1.0, high), by_seed)


def shown(run: Run) -> tuple[Shown, ...]:
    """All rows: base, base under other prompts, controls, warmup, then all after RLVR; those without data left out."""
    names, arms = run.claims, arms_in_order(run)
    base_keys = {seed: trial.start.key for seed, trial in run.trials.get(names.base, {}).items() if trial.start}
    rows: list[Shown] = []
    for arm in arms:
        models = {
            seed: trial.final if arm == names.format_only else trial.start for seed, trial in run.trials[arm].items()
        }
        before = {seed: model for seed, model in models.items() if model}
        if arm != names.base and all(base_keys.get(seed) == model.key for seed, model in before.items()):
            continue
        name, role = _named(run, arm)
        rows.append(Shown(name, role, False, {seed: (model, None) for seed, model in before.items()}))
        if arm == names.base:
            rows += _other_prompts(run)
    for arm in (arm for arm in arms if arm != names.format_only):
        after = {seed: (trial.end, None) for seed, trial in run.trials[arm].items() if trial.end}
        rows.append(Shown(after_rlvr(run, arm), _named(run, arm)[1], True, after))
    return tuple(row for row in rows if row.sources)


def arms_in_order(run: Run) -> list[str]:
    """Arms that have been run, as tables and pictures list them: base, control, others, warmup."""
    names = run.claims
    others = [arm for arm in run.trials if arm not in (names.base, names.format_only, names.warmup)]
    return [arm for arm in (names.base, names.format_only, *others, names.warmup) if arm in run.trials]


def after_rlvr(run: Run, arm: str) -> str:
    """What an arm is called after its RLVR, the same in tables and pictures; the control's RLVR is part of its name."""
    name, role = _named(run, arm)
    return name if role == "control" else f"{name} + RLVR"


def own_style(run: Run) -> str:
    """How the recipe's own prompt style is called; empty where nothing was measured."""
    own = _own_styles(run)
    return STYLES.get(own[0], own[0]) if own else ""


def best_prompt(run: Run) -> str:
    """How the base's best prompt style, picked on validation, is called; counts seeds where they differ; may be empty.

    The recipe's own style is marked as such.
    """
    own = _own_styles(run)
    called = [
        STYLES.get(style, style) + (", the recipe's own" if style in own else "") for style in _picked(run).values()
    ]
    counts = Counter(called)
    return "; ".join(f"{name} in {n} seeds" if len(counts) > 1 else name for name, n in counts.most_common())


def own_is_best(run: Run) -> bool:
    """Whether the recipe's own prompt style is the base's best in every seed: it then has no row of its own."""
    picked = set(_picked(run).values())
    return bool(picked) and picked <= set(_own_styles(run))


def _own_styles(run: Run) -> list[str]:
    trials = [trial for trials in run.trials.values() for trial in trials.values()]
    models = [model for trial in trials for model in (trial.start, trial.end) if model]
    return [cell.prompt for model in models for stage in model.evaluations for cell in stage.cells if cell.own]


def _picked(run: Run) -> dict[int, str]:
    found = {}
    for seed in run.trials.get(run.claims.base, {}):
        try:
            found[seed] = measures.best_prompt(run, seed)
        except NotMeasured:
            continue
    return found


def _named(run: Run, arm: str) -> tuple[str, Role]:
    names = run.claims
    known: dict[str, tuple[str, Role]] = {
        names.base: ("base", "base"),
        names.format_only: ("format-only control", "control"),
        names.warmup: ("warmup", "warmup"),
    }
    return known.get(arm, (arm, "other"))


def _other_prompts(run: Run) -> list[Shown]:
    models = {seed: trial.start for seed, trial in run.trials[run.claims.base].items() if trial.start}
    own = {cell.prompt for model in models.values() for stage in model.evaluations for cell in stage.cells if cell.own}
    styles = dict.fromkeys(style for model in models.values() for style in model.prompts() if style not in own)
    rows = [
        Shown(
            f"base, {STYLES.get(style, style)}", "prompt", False,
            {seed: (model, style) for seed, model in models.items() if style in model.prompts()},
        )
        for style in styles
    ]  # fmt: skip
    picked = _picked(run)
    if not picked or own_is_best(run):
        return rows
    name = f"base, best prompt (picked on validation: {best_prompt(run)})"
    return [*rows, Shown(name, "best prompt", False, {seed: (models[seed], style) for seed, style in picked.items()})]
