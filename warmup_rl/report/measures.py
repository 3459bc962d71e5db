"""What claims are made of: accuracies, prompts, curve values and budgets of a run, or why one is not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from warmup_rl.base.stats import interpolate, mean
from warmup_rl.report.load import Run, Trial
from warmup_rl.report.outputs import Cell, Model, Point, StageOutput


class NotMeasured(Exception):
    """A run lacks what a claim needs; the message says what, ready to print."""


def trial(run: Run, arm: str, seed: int) -> Trial:
    """One arm with one seed."""
    if arm not in run.trials:
        raise NotMeasured(f"this run has no arm {arm!r}")
    if seed not in run.trials[arm]:
        raise NotMeasured(f"arm {arm!r} has not been run with this seed")
    return run.trials[arm][seed]


def start(run: Run, arm: str, seed: int) -> Model:
    """The model that an arm's RLVR takes as input (the last model where there is no RLVR)."""
    return _evaluated(trial(run, arm, seed).start, arm, "before RLVR")


def end(run: Run, arm: str, seed: int) -> Model:
    """The model that an arm's RLVR gave."""
    return _evaluated(trial(run, arm, seed).end, arm, "after RLVR")


def final(run: Run, arm: str, seed: int) -> Model:
    """The last model of an arm, be it after RLVR or without."""
    return _evaluated(trial(run, arm, seed).final, arm, "at its end")


def cell(model: Model, domain: str, sampling: str, prompt: str | None = None, split: str = "test") -> Cell:
    """A model's measurement."""
    found = model.cell(domain, sampling, prompt=prompt, split=split)
    if found is None:
        style = f"the prompt style {prompt!r}" if prompt else "the recipe's prompt"
        raise NotMeasured(f"no {sampling} {split} accuracy on {domain} under {style}")
    return found


def accuracy(run: Run, model: Model, domains: Sequence[str], prompt: str | None = None, split: str = "test") -> float:
    """Lenient accuracy under the headline sampling, mean over domains."""
    if not domains:
        raise NotMeasured("no domain other than Knights & Knaves was measured")
    return mean([cell(model, domain, run.headline, prompt, split).lenient for domain in domains])


def best_prompt(run: Run, seed: int) -> str:
    """The base's best prompt style by mean validation accuracy on the transfer domains; the recipe's own wins ties."""
    base = start(run, run.claims.base, seed)
    tested = set(base.prompts())
    styles = [style for style in base.prompts(split="validation") if style in tested]
    if len(styles) < 2:
        raise NotMeasured("the base was not measured under several prompt styles on validation problems")
    return max(styles, key=lambda style: accuracy(run, base, run.transfer, style, split="validation"))


def rlvr(run: Run, arm: str, seed: int) -> StageOutput:
    """An arm's finished RLVR stage."""
    found = trial(run, arm, seed).rlvr
    if found is None:
        raise NotMeasured(f"RLVR of arm {arm!r} is not done")
    return found


def target(run: Run) -> str:
    """The one domain that RLVR trains on in both compared arms."""
    arms = (run.claims.warmup, run.claims.base)
    trials = [one for arm in arms for one in run.trials.get(arm, {}).values()]
    found = {str(one.rlvr.summary.get("domain")) for one in trials if one.rlvr}
    if len(found) != 1:
        raise NotMeasured(
            f"the arms train on different domains ({', '.join(sorted(found))})" if found else "no RLVR stage is done"
        )
    return found.pop()


def curve(run: Run, arm: str, seed: int) -> tuple[Point, ...]:
    """An arm's held-out curve over RLVR."""
    points = rlvr(run, arm, seed).curve
    if not points:
        raise NotMeasured(f"no held-out curve was measured in arm {arm!r} (evaluation.every is 0)")
    return points


def read_off(points: Sequence[Point], spent: Callable[[Point], float], budget: float) -> float:
    """Lenient accuracy of a curve where `spent` comes to `budget`, linear between measured points."""
    try:
        return interpolate([spent(point) for point in points], [point.lenient for point in points], budget)
    except ValueError:
        raise NotMeasured(f"the curve does not come to {budget:,.0f}") from None


def claim_step(run: Run, seed: int) -> float:
    """The RLVR step at which end points are compared: the recipe's, or the last one that both arms have."""
    if run.claims.step is not None:
        return run.claims.step
    return min(rlvr(run, arm, seed).number("steps") for arm in _compared(run))


def ends_at_claim_step(run: Run, seed: int) -> bool:
    """Whether both arms' RLVR ends at the step of the claim, so that their final evaluations are the end points."""
    return {rlvr(run, arm, seed).number("steps") for arm in _compared(run)} == {claim_step(run, seed)}


def at_equal_tokens(run: Run, arm: str, seed: int) -> float:
    """Held-out accuracy of an arm where it has generated as many tokens in RLVR as the thriftier arm has in all."""
    budget = min(curve(run, one, seed)[-1].generated_tokens for one in _compared(run))
    return read_off(curve(run, arm, seed), lambda point: point.generated_tokens, budget)


def at_equal_compute(run: Run, arm: str, seed: int) -> float:
    """Held-out accuracy of an arm at the smaller arm's total training compute, what came before RLVR charged."""
    before = {one: flops_before_rlvr(run, one, seed) for one in _compared(run)}
    totals = {one: before[one] + curve(run, one, seed)[-1].flops for one in before}
    smaller = min(totals, key=lambda one: totals[one])
    if totals[smaller] < before[arm]:
        spent = "the warmup" if arm == run.claims.warmup else f"what {arm} does before its own"
        raise NotMeasured(
            f"all of {smaller}'s RLVR ({totals[smaller]:.2g} flops) costs less than {spent} ({before[arm]:.2g})"
        )
    return read_off(curve(run, arm, seed), lambda point: before[arm] + point.flops, totals[smaller])


def flops_before_rlvr(run: Run, arm: str, seed: int) -> float:
    """Training compute that one compared arm spends before RLVR and the other does not, in flops.

    A teacher that is a model is charged 2 x parameters x tokens at the student's size (its own is not on record); a
    solver is a program and costs nothing here.
    """
    stage = rlvr(run, arm, seed)
    shared = {one.key for other in _compared(run) if other != arm for one in trial(run, other, seed).stages}
    own = [one for one in trial(run, arm, seed).stages if one.key not in shared and one.key != stage.key]
    trained = sum(one.number("flops") for one in own)
    written = sum(one.number("tokens") for one in own if one.type == "distill" and not _by_solver(one))
    return trained + 2 * stage.number("parameters") * written


def _compared(run: Run) -> tuple[str, str]:
    return run.claims.warmup, run.claims.base


def _by_solver(stage: StageOutput) -> bool:
    teacher = stage.config.get("teacher")
    name = teacher if isinstance(teacher, str) else (teacher or {}).get("type") or (teacher or {}).get("name")
    return name == "solver"


def _evaluated(model: Model | None, arm: str, when: str) -> Model:
    if model is None:
        raise NotMeasured(f"arm {arm!r} has no evaluation of the model {when}")
    return model
