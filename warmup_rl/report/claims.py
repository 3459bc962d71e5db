"""The one file that computes the claims: transfer, end point, retention, sample efficiency; or why not testable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from warmup_rl.base.stats import Reached, first_reached, mean
from warmup_rl.report import measures
from warmup_rl.report.difference import Claim, Side, Unit, Value, compare, share
from warmup_rl.report.load import Run
from warmup_rl.report.measures import NotMeasured
from warmup_rl.report.outputs import Point

CEILING = 0.92
"""A start above it leaves RLVR no room to gain: the increment is not testable there."""
FLOOR = 0.10
"""A start at most this far above chance has nothing to lose: retention is not testable there."""
MEET = 0.02
"""The arms have met where base stays at most this far below warmup."""

SPENT: dict[Unit, Callable[[Point], float]] = {
    "steps": lambda point: point.step,
    "rollouts": lambda point: point.rollouts,
    "tokens": lambda point: point.generated_tokens,
}


@dataclass(frozen=True)
class Meeting:
    """Where the mean curves of warmup and base come together for good, or why that cannot be said."""

    step: int | None
    why: str = ""


def claims(run: Run) -> tuple[Claim, ...]:
    """All claims, in the order in which a report shows them."""
    found = _transfer(run)
    try:
        target = measures.target(run)
    except NotMeasured as error:
        nothing = Side("warmup"), Side("base")
        return (
            *found,
            Claim("end", "end point", "warmup + RLVR - base + RLVR", "", *nothing, untestable=str(error)),
            Claim("retention", "retention", "after RLVR - before", "", *nothing, untestable=str(error)),
            Claim("efficiency", "efficiency", "saved by warmup", "", *nothing, untestable=str(error)),
        )
    return (*found, *_end_points(run, target), *_increments(run, target), *_retention(run, target),
            *_efficiency(run, target))  # fmt: skip


def meeting(run: Run) -> Meeting:
    """The first measured step from which on base is at most `MEET` behind; means over seeds that have both curves."""
    arms = run.claims.warmup, run.claims.base
    pairs = [[run.trials.get(arm, {}).get(seed) for arm in arms] for seed in run.seeds]
    curves = [[trial.rlvr.curve for trial in pair if trial and trial.rlvr and trial.rlvr.curve] for pair in pairs]
    both = [[{point.step: point.lenient for point in curve} for curve in pair] for pair in curves if len(pair) == 2]
    if not both:
        return Meeting(None, "no seed has held-out curves of both arms")
    steps = sorted(set.intersection(*(set(curve) for pair in both for curve in pair)))
    behind = [round(mean([warmup[step] - base[step] for warmup, base in both]), 9) > MEET for step in steps]
    if not behind or not behind[0]:
        return Meeting(None, "warmup is not ahead when RLVR starts")
    if behind[-1]:
        return Meeting(None, f"the curves do not meet within {steps[-1]} steps")
    return Meeting(steps[max(index for index, is_behind in enumerate(behind) if is_behind) + 1])


def _transfer(run: Run) -> list[Claim]:
    names, domains = run.claims, run.transfer
    warmup = ("warmup", _start(run, names.warmup, domains))

    def best(seed: int) -> float:
        style = measures.best_prompt(run, seed)
        return measures.accuracy(run, measures.start(run, names.base, seed), domains, style)

    def control(seed: int) -> float:
        return measures.accuracy(run, measures.final(run, names.format_only, seed), domains)

    against = {
        "recipe_prompt": ("warmup - base, same prompt", ("base", _start(run, names.base, domains))),
        "best_prompt": ("warmup - base under its best prompt (picked on validation)", ("base, best prompt", best)),
        "format_only": ("warmup - format-only control", ("control", control)),
    }
    return [
        compare(run.seeds, f"transfer.{name}", "transfer", question, _mean_of(domains), warmup, other)
        for name, (question, other) in against.items()
    ]


def _end_points(run: Run, target: str) -> list[Claim]:
    """Warmup + RLVR against base + RLVR: at the step fixed beforehand, and where both have spent the same."""

    def on_target(arm: str, seed: int) -> float:
        if measures.ends_at_claim_step(run, seed):
            return measures.accuracy(run, measures.end(run, arm, seed), (target,))
        return measures.read_off(measures.curve(run, arm, seed), SPENT["steps"], measures.claim_step(run, seed))

    def on_all(arm: str, seed: int) -> float:
        if not measures.ends_at_claim_step(run, seed):
            raise NotMeasured(
                "all domains are measured where RLVR ends, which is not the step of the claim in both arms"
            )
        return measures.accuracy(run, measures.end(run, arm, seed), run.transfer)

    def claim(name: str, at_equal: str, where: str, value: Callable[[str, int], float]) -> Claim:
        left = ("warmup + RLVR", lambda seed: value(run.claims.warmup, seed))
        right = ("base + RLVR", lambda seed: value(run.claims.base, seed))
        question = f"warmup + RLVR - base + RLVR, at equal {at_equal}"
        return compare(run.seeds, f"end.{name}", "end point", question, where, left, right)

    steps = "RLVR steps" if run.claims.step is None else f"RLVR steps ({run.claims.step})"
    return [
        claim("steps.target", steps, target, on_target),
        claim("steps.mean", steps, _mean_of(run.transfer), on_all),
        claim("tokens.target", "generated tokens", target, partial(measures.at_equal_tokens, run)),
        claim("compute.target", "compute, warmup charged", target, partial(measures.at_equal_compute, run)),
    ]


def _increments(run: Run, target: str) -> list[Claim]:
    """Does RLVR gain more after warmup than from base?"""
    above = f"a start is above {share(CEILING)}"
    full = [name for name in run.measured if max(_mean_starts(run, name).values(), default=0) > CEILING]
    room = [name for name in run.transfer if name not in full]
    left_out = [name for name in run.transfer if name in full]

    def claim(name: str, domains: Sequence[str], closed: str, *notes: str) -> Claim:
        left = ("after warmup", _gain(run, run.claims.warmup, domains))
        right = ("from base", _gain(run, run.claims.base, domains))
        where = _mean_of(domains) if name == "mean" else target
        question = "gain by RLVR after warmup - gain by RLVR from base"
        return compare(
            run.seeds, f"increment.{name}", "end point", question, where, left, right, closed=closed, notes=notes
        )

    return [
        claim("target", (target,), f"{above}: {_listed(_mean_starts(run, target))}" if target in full else ""),
        claim(
            "mean", room or run.transfer, f"{above} in every domain" if run.transfer and not room else "",
            *([f"without {', '.join(left_out)}: {above}"] if left_out and room else []),
        ),
    ]  # fmt: skip


def _retention(run: Run, target: str) -> list[Claim]:
    """Change by RLVR on each domain that it did not train, in both arms, with the trained one beside it."""
    untrained = [name for name in run.measured if name != target]
    arms = {"base": run.claims.base, "warmup": run.claims.warmup}
    found, open_domains = [], {}
    for label, arm in arms.items():

        def claim(name: str, question: str, where: str, domains: Sequence[str], closed: str = "", *, of: str = label,
                  arm: str = arm) -> Claim:  # fmt: skip
            left, right = (f"{of} + RLVR", _end(run, arm, domains)), (of, _start(run, arm, domains))
            return compare(
                run.seeds, f"retention.{of}.{name}", "retention", f"{of}: {question}", where, left, right, closed=closed
            )

        closed = {name: _near_chance(run, arm, name) for name in untrained}
        open_domains[label] = [name for name in untrained if not closed[name]]
        found.append(claim("trained", "gain by RLVR on the domain it trained", target, (target,)))
        found += [
            claim(name, "change by RLVR on an untrained domain", name, (name,), closed[name]) for name in untrained
        ]
        none = "" if open_domains[label] else _none_to_keep(untrained)
        domains = open_domains[label] or untrained
        found.append(claim("mean", "change by RLVR, mean of untrained domains", _mean_of(domains), domains, none))
    both = [name for name in open_domains["base"] if name in open_domains["warmup"]]
    return [*found, _retention_difference(run, both, untrained)]


def _retention_difference(run: Run, both: Sequence[str], untrained: Sequence[str]) -> Claim:
    closed = "" if both else _none_to_keep(untrained, " in both arms")
    domains = both or untrained
    return compare(
        run.seeds, "retention.difference", "retention", "change on untrained domains: after warmup - from base",
        _mean_of(domains), ("after warmup", _gain(run, run.claims.warmup, domains)),
        ("from base", _gain(run, run.claims.base, domains)), closed=closed,
    )  # fmt: skip


def _none_to_keep(untrained: Sequence[str], where: str = "") -> str:
    return f"no untrained domain starts clear of chance{where}" if untrained else "no untrained domain was measured"


def _efficiency(run: Run, target: str) -> list[Claim]:
    """What RLVR spends until held-out accuracy comes to the threshold; a run that never does is censored at its end."""
    return [_saved(run, target, unit) for unit in ("steps", "rollouts", "tokens")]


def _saved(run: Run, target: str, unit: Unit) -> Claim:
    threshold, base, warmup = run.claims.threshold, run.claims.base, run.claims.warmup

    def reached(arm: str, seed: int) -> Reached:
        points = measures.curve(run, arm, seed)
        return first_reached([SPENT[unit](point) for point in points], [point.lenient for point in points], threshold)

    claim = compare(
        run.seeds, f"efficiency.{unit}", "efficiency",
        f"{unit} to accuracy {share(threshold)} saved by warmup (base - warmup)", target,
        ("base", lambda seed: reached(base, seed).x), ("warmup", lambda seed: reached(warmup, seed).x),
    )  # fmt: skip
    starts = [(arm, seed, measures.curve(run, arm, seed)[0].lenient) for arm in (base, warmup) for seed in claim.values]
    high = [f"{arm} starts at {share(value)} in seed {seed}" for arm, seed, value in starts if value >= threshold]
    return replace(
        claim,
        unit=unit,
        untestable=f"the threshold is not above both starts: {'; '.join(high)}" if high else claim.untestable,
        left=replace(claim.left, censored=frozenset(seed for seed in claim.values if reached(base, seed).censored)),
        right=replace(claim.right, censored=frozenset(seed for seed in claim.values if reached(warmup, seed).censored)),
    )


def _start(run: Run, arm: str, domains: Sequence[str]) -> Value:
    return lambda seed: measures.accuracy(run, measures.start(run, arm, seed), domains)


def _end(run: Run, arm: str, domains: Sequence[str]) -> Value:
    return lambda seed: measures.accuracy(run, measures.end(run, arm, seed), domains)


def _gain(run: Run, arm: str, domains: Sequence[str]) -> Value:
    return lambda seed: _end(run, arm, domains)(seed) - _start(run, arm, domains)(seed)


def _mean_starts(run: Run, domain: str, arms: Sequence[str] | None = None) -> dict[str, float]:
    """Accuracy before RLVR by arm, mean over the seeds that have it."""
    found = {}
    for arm in arms or (run.claims.warmup, run.claims.base):
        values = []
        for seed in run.seeds:
            with suppress(NotMeasured):
                values.append(_start(run, arm, (domain,))(seed))
        if values:
            found[arm] = mean(values)
    return found


def _near_chance(run: Run, arm: str, domain: str) -> str:
    """Why retention is not testable on a domain; empty where it is."""
    start = _mean_starts(run, domain, (arm,)).get(arm)
    trials = run.trials.get(arm, {}).values()
    cells = [trial.start.cell(domain, run.headline) for trial in trials if trial.start]
    chances = [cell.chance for cell in cells if cell]
    if start is None or not chances:
        return "not measured before RLVR"
    if round(start - mean(chances), 9) > FLOOR:
        return ""
    return f"the start ({share(start)}) is within {FLOOR * 100:.0f} points of chance ({share(mean(chances))})"


def _listed(starts: Mapping[str, float]) -> str:
    return ", ".join(f"{arm} {share(value)}" for arm, value in starts.items())


def _mean_of(domains: Sequence[str]) -> str:
    if not domains:
        return "other domains"
    return domains[0] if len(domains) == 1 else f"mean of {', '.join(domains)}"
