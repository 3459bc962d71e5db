"""Quantities that claims compare: accuracies, prompts, curve values, budgets and gains of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeVar

from warmup_rl.base.errors import DataError
from warmup_rl.base.stats import interpolate, mean
from warmup_rl.interfaces.measurement import CurvePoint
from warmup_rl.report.load import Run, Trial
from warmup_rl.report.outputs import Graded, Model, StageOutput

T = TypeVar("T")
When = Literal["start", "end", "final"]
"""Which model of a trial: before the target stage, after it, or the last one with or without such a stage."""
PARTS = ("total", "format", "truncation", "rest")
"""Of a gain; see `Gain`."""


class NotMeasured(Exception):
    """A run lacks a quantity that a claim needs; the message says which one."""


def by_seed(run: Run, value: Callable[[int], T]) -> dict[int, T]:
    """A quantity in the seeds in which it was measured."""
    found = {}
    for seed in run.seeds:
        with suppress(NotMeasured):
            found[seed] = value(seed)
    return found


def trial(run: Run, arm: str, seed: int) -> Trial:
    """One arm with one seed."""
    if arm not in run.trials:
        raise NotMeasured(f"this run has no arm {arm!r}")
    if seed not in run.trials[arm]:
        raise NotMeasured(f"arm {arm!r} has not been run with this seed")
    return run.trials[arm][seed]


def model(run: Run, arm: str, seed: int, when: When) -> Model:
    """A model that was evaluated."""
    found: Model | None = getattr(trial(run, arm, seed), when)
    if found is None:
        place = {"start": f"before {run.method}", "end": f"after {run.method}", "final": "at its end"}[when]
        raise NotMeasured(f"arm {arm!r} has no evaluation of the model {place}")
    return found


def models(run: Run, arm: str, when: When) -> dict[int, Model]:
    """An arm's evaluated models by seed."""
    found = {seed: getattr(trial, when) for seed, trial in run.trials.get(arm, {}).items()}
    return {seed: model for seed, model in found.items() if model}


def accuracy(run: Run, of: Model, domains: Sequence[str], prompt: str | None = None, split: str = "test") -> float:
    """Accuracy under the run's sampling and reading, mean over domains; by default under the recipe's prompt. That on
    validation problems, by which prompts are picked, is lenient."""
    if not domains:
        raise NotMeasured("no domain other than Knights & Knaves was measured")
    values = []
    for domain in domains:
        cell = of.cell(domain, run.headline, prompt=prompt, split=split)
        if cell is None:
            style = f"the prompt style {prompt!r}" if prompt else "the arm's prompt"
            raise NotMeasured(f"no {run.headline} {split} accuracy on {domain} under {style}")
        value = of.accuracy(cell, run.reading if split == "test" else "lenient")
        if value is None:
            raise NotMeasured(f"the reference answers of {domain} are too long to be looked for at the end of a text")
        values.append(value)
    return mean(values)


def arm_accuracy(run: Run, arm: str, when: When, domains: Sequence[str], seed: int) -> float:
    """Accuracy of one of the models of an arm."""
    return accuracy(run, model(run, arm, seed, when), domains)


def best_prompt(run: Run, seed: int) -> str:
    """The base's best prompt style by mean validation accuracy on the transfer domains; the arm's own wins ties."""
    base = model(run, run.claims.base, seed, "start")
    tested = base.prompts()
    styles = [style for style in base.prompts(split="validation") if style in tested]
    if len(styles) < 2:
        raise NotMeasured("the base was not measured under several prompt styles on validation problems")
    return max(styles, key=lambda style: accuracy(run, base, run.transfer, style, split="validation"))


def target_stage(run: Run, arm: str, seed: int) -> StageOutput:
    """An arm's finished training on the target domain."""
    found = trial(run, arm, seed).target
    if found is None:
        raise NotMeasured(f"{run.method} of arm {arm!r} is not done")
    return found


def target_domain(run: Run) -> str:
    """The one domain that both compared arms are trained on."""
    trials = [one for arm in compared(run) for one in run.trials.get(arm, {}).values()]
    found = {one.target.domain or "a domain that is not recorded" for one in trials if one.target}
    if not found:
        raise NotMeasured(f"no {run.method} stage is done")
    if len(found) > 1:
        raise NotMeasured(f"the arms train on different domains ({', '.join(sorted(found))})")
    return found.pop()


def curve(run: Run, arm: str, seed: int) -> tuple[CurvePoint, ...]:
    """An arm's held-out curve."""
    points = target_stage(run, arm, seed).curve
    if not points:
        raise NotMeasured(f"no held-out curve was measured in arm {arm!r} (evaluation.every is 0)")
    return points


def read_off(points: Sequence[CurvePoint], spent: Callable[[CurvePoint], float], budget: float) -> float:
    """Lenient accuracy of a curve where `spent` reaches `budget`, linear between measured points."""
    try:
        return interpolate([spent(point) for point in points], [point.lenient for point in points], budget)
    except ValueError:
        raise NotMeasured(f"the curve does not reach {budget:,.0f}") from None


def claim_step(run: Run, seed: int) -> tuple[float, bool]:
    """The training step at which end points are compared (the recipe's, or the last one that both arms have), and
    whether both arms end there, so that their final evaluations are the end points."""
    ends = {target_stage(run, arm, seed).number("steps") for arm in compared(run)}
    step = float(run.claims.step or min(ends))
    return step, ends == {step}


def at_equal_tokens(run: Run, arm: str, seed: int) -> float:
    """Held-out accuracy of an arm at the total number of generated tokens of the arm that used fewer."""
    budget = min(curve(run, one, seed)[-1].generated_tokens for one in compared(run))
    return read_off(curve(run, arm, seed), lambda point: point.generated_tokens, budget)


def at_equal_compute(run: Run, arm: str, seed: int) -> float:
    """Held-out accuracy of an arm at the total training compute of the cheaper arm, including earlier stages."""
    before = {one: flops_before(run, one, seed) for one in compared(run)}
    totals = {one: before[one] + curve(run, one, seed)[-1].flops for one in before}
    smaller = min(totals, key=lambda one: totals[one])
    if totals[smaller] < before[arm]:
        spent = "the warmup" if arm == run.claims.warmup else f"what {arm} does before its own"
        raise NotMeasured(
            f"all of {smaller}'s {run.method} ({totals[smaller]:.2g} flops) costs less than {spent} ({before[arm]:.2g})"
        )
    return read_off(curve(run, arm, seed), lambda point: before[arm] + point.flops, totals[smaller])


def flops_before(run: Run, arm: str, seed: int) -> float:
    """Training compute that one compared arm spends before its target stage and the other does not, in flops.

    A teacher that is a model is charged 2 x parameters x tokens at the student's size (its own is not recorded); a
    solver is a program and costs nothing here.
    """
    target = target_stage(run, arm, seed)
    shared = {stage.key for other in compared(run) if other != arm for stage in trial(run, other, seed).stages}
    own = [stage for stage in trial(run, arm, seed).stages if stage.key not in (*shared, target.key)]
    return sum(stage.number("flops") for stage in own) + teacher_flops(own, target.number("parameters"))


def teacher_flops(stages: Sequence[StageOutput], parameters: float) -> float:
    """What teachers that are models spent on the traces of some stages, at a student of so many parameters."""
    written = 0.0
    for stage in (stage for stage in stages if stage.role == "traces"):
        teacher = stage.config.get("teacher")
        if (teacher.get("type") if isinstance(teacher, Mapping) else teacher) != "solver":
            written += stage.number("tokens")
    return 2 * parameters * written


def compared(run: Run) -> tuple[str, str]:
    """The two arms that claims compare."""
    return run.claims.warmup, run.claims.base


@dataclass(frozen=True)
class Gain:
    """Net transitions to correct from one model to another on a domain, mean over seeds, in shares of 1.

    Attributes:
        total: sum of the three parts by cause.
        format: no answer could be found in the old completion, and it was not cut off.
        truncation: the old one was cut off by the token budget.
        rest: the old one had a wrong answer. Losses are attributed by the new completion instead.
    """

    name: str
    domain: str
    seeds: tuple[int, ...]
    total: float
    format: float
    truncation: float
    rest: float


def split_gain(old: Graded, new: Graded) -> dict[str, int]:
    """The parts of a `Gain` as counts. Raises `DataError` if the two models did not answer the same problems and
    samples."""
    if old.keys() != new.keys():
        raise DataError(
            f"two evaluations to compare hold different problems ({len(old)} and {len(new)} completions, "
            f"{len(old.keys() & new.keys())} in both). Evaluate both models with the same settings."
        )
    net = dict.fromkeys(PARTS, 0)
    for key, before in old.items():
        after = new[key]
        change = (after["verdict"] == "correct") - (before["verdict"] == "correct")
        failed = before if change > 0 else after
        cause = "truncation" if failed["truncated"] else "format" if failed["verdict"] == "none" else "rest"
        net["total"] += change
        net[cause] += change
    return net


def gains(run: Run) -> tuple[Gain, ...]:
    """The gains that a report explains, by domain: of warmup, of the format-only control, of training in both arms."""
    base, warmup, control = run.claims.base, run.claims.warmup, run.claims.format_only
    pairs: dict[str, tuple[tuple[str, When], tuple[str, When]]] = {
        "warmup - base": ((base, "start"), (warmup, "start")),
        "format-only control - base": ((base, "start"), (control, "final")),
        f"base + {run.method} - base": ((base, "start"), (base, "end")),
        f"warmup + {run.method} - warmup": ((warmup, "start"), (warmup, "end")),
    }
    found = []
    for name, (old, new) in pairs.items():
        before, after = (models(run, arm, when) for arm, when in (old, new))
        for domain in run.measured:
            shares = {}
            for seed in (seed for seed in before if seed in after):
                style = after[seed].style
                sides = [one[seed].graded.get((run.headline, style, domain)) for one in (before, after)]
                if sides[0] and sides[1]:
                    net = split_gain(sides[0], sides[1])
                    shares[seed] = {part: count / len(sides[0]) for part, count in net.items()}
            if shares:
                means = {part: mean([parts[part] for parts in shares.values()]) for part in PARTS}
                found.append(Gain(name, domain, tuple(shares), **means))
    return tuple(found)
