"""Computes all claims: transfer, end point, retention, sample efficiency, or why they are not testable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Literal

from warmup_rl.base.console import counted
from warmup_rl.base.stats import MIN_SEEDS, Reached, first_reached, mean, t_interval
from warmup_rl.interfaces.measurement import CurvePoint
from warmup_rl.report import measures
from warmup_rl.report.load import Run
from warmup_rl.report.measures import NotMeasured, When

CEILING = 0.92
"""A start above it leaves no room to gain: the increment is not testable there."""
FLOOR = 0.10
"""A start at most this far above chance has nothing to lose: retention is not testable there."""
MEET = 0.02
"""The arms have met where base stays at most this far below warmup on average."""

Unit = Literal["points", "steps", "rollouts", "tokens"]
Verdict = Literal["above", "below", "unclear", "no interval", "not testable"]
Value = Callable[[int], float]
"""What a side measures in one seed; raises `NotMeasured`."""
Named = tuple[str, Value]
"""A side of a difference: label and value."""
PARTS = {"increment": "end point", "end": "end point", "ablation": "transfer"}
"""Parts of the report by the first word of a claim's id, where the two differ."""
SPENT: dict[Unit, Callable[[CurvePoint], float]] = {
    "steps": lambda point: point.step,
    "rollouts": lambda point: point.rollouts,
    "tokens": lambda point: point.generated_tokens,
}


@dataclass(frozen=True)
class Side:
    """One side of a difference, by seed; for a `censored` seed the value is the last one measured, a lower bound."""

    label: str
    values: Mapping[int, float] = field(default_factory=dict)
    censored: tuple[int, ...] = ()

    @property
    def mean(self) -> float | None:
        return mean(list(self.values.values())) if self.values else None


@dataclass(frozen=True)
class Claim:
    """Left minus right, paired by seed: the seed is the unit of replication, evaluation problems are the same for all.

    Attributes:
        id: stable name for scripts, e.g. ``transfer.best_prompt``.
        where: the domain, or what is averaged over.
        unit: accuracies are shares of 1, printed as points; the others are counts.
        untestable: the reason; empty if the claim is tested.
        notes: remarks for readers, e.g. on seeds that are left out.
    """

    id: str
    question: str
    where: str
    left: Side
    right: Side
    unit: Unit = "points"
    untestable: str = ""
    notes: tuple[str, ...] = ()

    @property
    def part(self) -> str:
        """Part of the report: transfer, end point, retention or efficiency."""
        first = self.id.partition(".")[0]
        return PARTS.get(first, first)

    @property
    def values(self) -> dict[int, float]:
        """The difference by seed; empty if not testable."""
        if self.untestable:
            return {}
        return {seed: value - self.right.values[seed] for seed, value in self.left.values.items()}

    @property
    def bound(self) -> Literal["", "at least", "at most", "open"]:
        """Whether censored seeds make the estimate a bound; `open` if both sides are censored."""
        if self.left.censored and self.right.censored:
            return "open"
        return "at least" if self.left.censored else "at most" if self.right.censored else ""

    @property
    def estimate(self) -> float | None:
        """Mean over seeds; None if not testable or censored on both sides."""
        return None if self.untestable or self.bound == "open" else mean(list(self.values.values()))

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% t-interval over seeds; None for the reason in `no_interval`."""
        return None if self.no_interval else t_interval(list(self.values.values()))

    @property
    def no_interval(self) -> str:
        """Why there is no interval; empty if there is one."""
        if self.untestable:
            return "not testable here"
        if self.bound:
            return "censored: some runs never reach the threshold"
        count = len(self.values)
        if count < MIN_SEEDS:
            return f"{counted(count, 'seed')}, {MIN_SEEDS} are needed"
        # equal seeds say that the measure is coarse, not that the difference is known exactly
        return f"the same in all {count} seeds" if self.estimate and len(set(self.values.values())) == 1 else ""

    @property
    def verdict(self) -> Verdict:
        """Position of the interval relative to 0."""
        if self.untestable:
            return "not testable"
        if self.interval is None:
            return "no interval"
        low, high = self.interval
        return "above" if low > 0 else "below" if high < 0 else "unclear"

    def to_json(self) -> dict[str, Any]:
        """For summary.json."""
        names = ("part", "estimate", "bound", "interval", "no_interval", "verdict", "values")
        fields = {key: value for key, value in asdict(self).items() if key not in ("left", "right")}
        derived = {name: getattr(self, name) for name in names}
        return {**fields, **derived, "seeds": sorted(self.values), "sides": [asdict(self.left), asdict(self.right)]}


def compare(
    run: Run, id: str, question: str, where: str, left: Named, right: Named, closed: str = "", notes: Sequence[str] = ()
) -> Claim:
    """Measures both sides in all seeds that have both; the notes name the other seeds. `closed` says why the claim is
    not testable although both sides may be measured."""
    lefts: dict[int, float] = {}
    rights: dict[int, float] = {}
    absent: dict[str, list[int]] = {}
    for seed in run.seeds:
        try:
            lefts[seed], rights[seed] = left[1](seed), right[1](seed)
        except NotMeasured as error:
            lefts.pop(seed, None)
            absent.setdefault(str(error), []).append(seed)
    left_out = tuple(
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))} left out: {why}" for why, seeds in absent.items()
    )
    untestable = closed or ("" if lefts else _once(absent) or "no seed has been run")
    sides = Side(left[0], lefts), Side(right[0], rights)
    return Claim(id, question, where, *sides, untestable=untestable, notes=(*notes, *(left_out if lefts else ())))


@dataclass(frozen=True)
class Meeting:
    """The step from which base stays level with warmup on the mean curves, or why there is none."""

    step: int | None
    why: str = ""


def claims(run: Run) -> tuple[Claim, ...]:
    """All claims, in the order in which a report shows them."""
    try:
        target = measures.target_domain(run)
    except NotMeasured as error:
        after = f"after {run.method} - before"
        questions = {
            "end": f"warmup + {run.method} - base + {run.method}", "retention": after, "efficiency": "saved by warmup",
        }  # fmt: skip
        sides = Side("warmup"), Side("base")
        nothing = (Claim(id, question, "", *sides, untestable=str(error)) for id, question in questions.items())
        return (*_transfer(run), *nothing)
    parts = (part(run, target) for part in (_end_points, _increments, _retention, _efficiency))
    return (*_transfer(run), *(claim for part in parts for claim in part))


def meeting(run: Run) -> Meeting:
    """The first measured step at which, and from which on on average, base is at most `MEET` behind; means over the
    seeds that have both curves. The last step alone does not count: no step after it bears it out."""

    def curves(seed: int) -> list[dict[int, float]]:
        return [{p.step: p.lenient for p in measures.curve(run, arm, seed)} for arm in measures.compared(run)]

    both = list(measures.by_seed(run, curves).values())
    if not both:
        return Meeting(None, "no seed has held-out curves of both arms")
    steps = sorted(set.intersection(*(set(curve) for pair in both for curve in pair)))
    gaps = [round(mean([warmup[step] - base[step] for warmup, base in both]), 9) for step in steps]
    if not gaps or gaps[0] <= MEET:
        return Meeting(None, f"warmup is not ahead when {run.method} starts")
    for index, step in enumerate(steps[:-1]):
        if max(gaps[index], mean(gaps[index:])) <= MEET:
            return Meeting(step)
    if gaps[-1] <= MEET:
        return Meeting(None, f"the mean curves meet at step {steps[-1]}, the last one, and may part again")
    return Meeting(None, f"the curves do not meet within {steps[-1]} steps")


def _transfer(run: Run) -> list[Claim]:
    names, domains = run.claims, run.transfer

    def base(seed: int, prompt: str) -> float:
        return measures.accuracy(run, measures.model(run, names.base, seed, "start"), domains, prompt)

    def same(seed: int) -> float:
        return base(seed, measures.model(run, names.warmup, seed, "start").style)

    def best(seed: int) -> float:
        return base(seed, measures.best_prompt(run, seed))

    against = {
        "recipe_prompt": ("warmup - base, same prompt", "base", same),
        "best_prompt": ("warmup - base under its best prompt (picked on validation)", "base, best prompt", best),
        "format_only": ("warmup - format-only control", "control", _of(run, names.format_only, "final", domains)),
    }
    warmup = ("warmup", _of(run, names.warmup, "start", domains))
    return [
        compare(run, f"transfer.{name}", question, mean_of(domains), warmup, (label, value))
        for name, (question, label, value) in against.items()
    ]


def _end_points(run: Run, target: str) -> list[Claim]:
    """Both arms after training: at a fixed step, and at equal tokens or compute."""

    def on_target(arm: str, seed: int) -> float:
        step, is_end = measures.claim_step(run, seed)
        if is_end:
            return measures.arm_accuracy(run, arm, "end", (target,), seed)
        if run.sampling or run.reading != "lenient":
            raise NotMeasured("the held-out curve has one sampling and one reading")
        return measures.read_off(measures.curve(run, arm, seed), SPENT["steps"], step)

    def on_all(arm: str, seed: int) -> float:
        if measures.claim_step(run, seed)[1]:
            return measures.arm_accuracy(run, arm, "end", run.transfer, seed)
        raise NotMeasured(
            f"all domains are measured where {run.method} ends, which is not the step of the claim in both arms"
        )

    def claim(name: str, at_equal: str, where: str, value: Callable[[str, int], float]) -> Claim:
        left, right = f"warmup + {run.method}", f"base + {run.method}"
        question = f"{left} - {right}, at equal {at_equal}"
        warmup, base = partial(value, run.claims.warmup), partial(value, run.claims.base)
        return compare(run, f"end.{name}", question, where, (left, warmup), (right, base))

    steps = f"{run.method} steps" if run.claims.step is None else f"{run.method} steps ({run.claims.step})"
    return [
        claim("steps.target", steps, target, on_target),
        claim("steps.mean", steps, mean_of(run.transfer), on_all),
        claim("tokens.target", "generated tokens", target, partial(measures.at_equal_tokens, run)),
        claim("compute.target", "compute, warmup included", target, partial(measures.at_equal_compute, run)),
    ]


def _increments(run: Run, target: str) -> list[Claim]:
    """Does the target stage gain more after warmup than from base?"""
    above = f"a start is above {share(CEILING)}"
    starts = {name: _mean_starts(run, name, measures.compared(run)) for name in dict.fromkeys((*run.measured, target))}
    full = [name for name in run.measured if max(starts[name].values(), default=0) > CEILING]
    room = [name for name in run.transfer if name not in full]
    left_out = [name for name in run.transfer if name in full]

    def claim(name: str, where: str, domains: Sequence[str], closed: str, notes: Sequence[str] = ()) -> Claim:
        sides = (
            ("after warmup", _gain(run, run.claims.warmup, domains)),
            ("from base", _gain(run, run.claims.base, domains)),
        )
        question = f"gain by {run.method} after warmup - gain by {run.method} from base"
        return compare(run, f"increment.{name}", question, where, *sides, closed=closed, notes=notes)

    listed = ", ".join(f"{arm} {share(value)}" for arm, value in starts[target].items())
    everywhere = f"{above} in every domain" if run.transfer and not room else ""
    notes = [f"gains are without {', '.join(left_out)}: {above}"] if left_out and room else []
    return [
        claim("target", target, (target,), f"{above}: {listed}" if target in full else ""),
        claim("mean", mean_of(room or run.transfer), room or run.transfer, everywhere, notes),
    ]


def _retention(run: Run, target: str) -> list[Claim]:
    """Change on each untrained domain in both arms, next to the gain on the trained domain."""
    untrained = [name for name in run.measured if name != target]
    nothing = "no untrained domain starts clear of chance" if untrained else "no untrained domain was measured"
    arms = {"base": run.claims.base, "warmup": run.claims.warmup}
    closed = {label: {name: _near_chance(run, arm, name) for name in untrained} for label, arm in arms.items()}
    kept = {label: [name for name in untrained if not whys[name]] for label, whys in closed.items()}

    def claim(label: str, name: str, question: str, domains: Sequence[str], closed: str = "") -> Claim:
        arm = arms[label]
        after, before = _of(run, arm, "end", domains), _of(run, arm, "start", domains)
        sides = (f"{label} + {run.method}", after), (label, before)
        return compare(
            run, f"retention.{label}.{name}", f"{label}: {question}", mean_of(domains), *sides, closed=closed
        )

    found = []
    for label in arms:
        found.append(claim(label, "trained", f"gain by {run.method} on the domain it trained", (target,)))
        change = f"change by {run.method} on an untrained domain"
        found += [claim(label, name, change, (name,), closed[label][name]) for name in untrained]
        mean_change = f"change by {run.method}, mean of untrained domains"
        found.append(claim(label, "mean", mean_change, kept[label] or untrained, "" if kept[label] else nothing))
    both = [name for name in kept["base"] if name in kept["warmup"]]
    in_both = "" if both else nothing + " in both arms" * bool(untrained)
    sides = ("after warmup", "warmup"), ("from base", "base")
    left, right = ((label, _gain(run, arms[arm], both or untrained)) for label, arm in sides)
    question = "change on untrained domains: after warmup - from base"
    difference = compare(run, "retention.difference", question, mean_of(both or untrained), left, right, closed=in_both)
    return [*found, difference]


def _efficiency(run: Run, target: str) -> list[Claim]:
    """Steps, rollouts and tokens until held-out accuracy reaches the threshold; censored if it never does.

    A warmup that starts above it needs none. A base that does has nothing to reach, which nothing can be saved of.
    """
    threshold, base, warmup = run.claims.threshold, run.claims.base, run.claims.warmup

    def reached(unit: Unit, arm: str, seed: int) -> Reached:
        points = measures.curve(run, arm, seed)
        return first_reached([SPENT[unit](point) for point in points], [point.lenient for point in points], threshold)

    def saved(unit: Unit) -> Claim:
        question = f"{unit} to accuracy {share(threshold)} saved by warmup (base - warmup)"
        claim = compare(run, f"efficiency.{unit}", question, target, ("base", lambda seed: reached(unit, base, seed).x),
                        ("warmup", lambda seed: reached(unit, warmup, seed).x))  # fmt: skip
        left, right = (
            replace(side, censored=tuple(seed for seed in claim.values if reached(unit, arm, seed).censored))
            for arm, side in ((base, claim.left), (warmup, claim.right))
        )
        high = {
            arm: [
                f"{arm} starts at {share(start)} in seed {seed}"
                for seed in claim.values
                if (start := measures.curve(run, arm, seed)[0].lenient) >= threshold
            ]
            for arm in (base, warmup)
        }
        why = f"the threshold is not above the start: {'; '.join(high[base])}" if high[base] else claim.untestable
        there = f"above the threshold from the start, so nothing is needed: {'; '.join(high[warmup])}"
        notes = (*claim.notes, *([there] if high[warmup] and not why else []))
        return replace(claim, unit=unit, untestable=why, left=left, right=right, notes=notes)

    return [saved("steps"), saved("rollouts"), saved("tokens")]


def _of(run: Run, arm: str, when: When, domains: Sequence[str]) -> Value:
    return partial(measures.arm_accuracy, run, arm, when, domains)


def _gain(run: Run, arm: str, domains: Sequence[str]) -> Value:
    return lambda seed: _of(run, arm, "end", domains)(seed) - _of(run, arm, "start", domains)(seed)


def _mean_starts(run: Run, domain: str, arms: Sequence[str]) -> dict[str, float]:
    """Accuracy before the target stage by arm, mean over the seeds that have it."""
    found = {arm: measures.by_seed(run, _of(run, arm, "start", (domain,))) for arm in arms}
    return {arm: mean(list(values.values())) for arm, values in found.items() if values}


def _near_chance(run: Run, arm: str, domain: str) -> str:
    """Why retention is not testable on a domain; empty if it is."""
    start = _mean_starts(run, domain, (arm,)).get(arm)
    models = [trial.start for trial in run.trials.get(arm, {}).values() if trial.start]
    chances = [cell.chance for cell in (model.cell(domain, run.headline) for model in models) if cell]
    if start is None or not chances:
        return f"not measured before {run.method}"
    if round(start - mean(chances), 9) > FLOOR:
        return ""
    return f"the start ({share(start)}) is within {FLOOR * 100:.0f} points of chance ({share(mean(chances))})"


def share(value: float) -> str:
    """A share of 1 with two digits: `.07`, `.93`, `1.00`."""
    return f"{value:.2f}".removeprefix("0")


def mean_of(domains: Sequence[str]) -> str:
    """Name of an average over domains in messages."""
    if not domains:
        return "other domains"
    return domains[0] if len(domains) == 1 else f"mean of {', '.join(domains)}"


def _once(reasons: Iterable[str]) -> str:
    """Reasons of single seeds without repeats that differ only in their numbers."""
    alike: dict[str, list[str]] = {}
    for reason in reasons:
        alike.setdefault(re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "", reason), []).append(reason)
    return "; ".join(f"{first}{', likewise in the other seeds' * bool(rest)}" for first, *rest in alike.values())
