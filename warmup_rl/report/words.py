"""What a run says in plain words, put together from the computed claims and never from an expected result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from warmup_rl.report.claims import MEET, Meeting
from warmup_rl.report.difference import Claim, Side, share
from warmup_rl.report.load import Run
from warmup_rl.report.tables import amount, brief
from warmup_rl.stats import MIN_SEEDS, mean

NANO = (
    "The base model of this run was pretrained from scratch{world}. Nano is a controlled miniature that tests "
    "elicitation: it is built so that the effect can exist in one world and cannot in another. It shows whether the "
    "method and its measurement work; evidence for real models has to come from runs on real models."
)
STARTS = {"base": "from base", "warmup": "after warmup"}


def first_line(claims: Sequence[Claim]) -> str | None:
    """What a report must begin with: that warmup gains nothing over a better prompt. None where it does, or unknown."""
    claim = _by_id(claims).get("transfer.best_prompt")
    if claim is None or claim.estimate is None or claim.estimate > 0:
        return None
    return f"**Warmup does not beat the base with its best prompt here: {amount(claim)}, {claim.where}.**"


def sentences(run: Run, claims: Sequence[Claim], met: Meeting) -> dict[str, str]:
    """One short paragraph for each claim, by its name."""
    found = _by_id(claims)
    return {
        "Transfer": _transfer(found),
        "End point": _end_point(found),
        "Retention": _retention(found),
        "Sample efficiency": _efficiency(run, found, met),
    }


def seeds_note(run: Run) -> str:
    """How far the numbers carry, given the seeds."""
    count = len(run.seeds)
    if count < MIN_SEEDS:
        return (
            f"{count} seed{'s' * (count != 1)}. Differences are in points. No interval over seeds is given below "
            f"{MIN_SEEDS}: a difference of a few points may be chance. Run more seeds before believing one."
        )
    return f"{count} seeds. Differences are in points, with 95% t-intervals over seeds, paired by seed."


def about(run: Run) -> str:
    """What kind of experiment this was; empty unless the base was pretrained by the recipe."""
    stages: list[Mapping[str, Any]] = [row for row in run.recipe.get("stages") or () if isinstance(row, Mapping)]
    pretrain = next((row for row in stages if row.get("name") == "pretrain"), None)
    made = any(
        stage.type == "pretrain" for lanes in run.lanes.values() for lane in lanes.values() for stage in lane.stages
    )
    if pretrain is None and not made:
        return ""
    corpus = (pretrain or {}).get("corpus")
    world = corpus.get("world") if isinstance(corpus, Mapping) else None
    return NANO.format(world=f" in the world `{world}`" if world else "")


def _transfer(found: Mapping[str, Claim]) -> str:
    against = {
        "recipe_prompt": "the base under the same prompt",
        "best_prompt": "the base under its best prompt",
        "format_only": "the format-only control",
    }
    parts = [_position(found[f"transfer.{name}"], other) for name, other in against.items()]
    return f"Before RLVR, on the {found['transfer.recipe_prompt'].where}, warmup is {'; '.join(parts)}."


def _end_point(found: Mapping[str, Claim]) -> str:
    if "end" in found:
        return f"This is {_cannot(found['end'])}."
    at = {
        "steps.target": "at equal steps",
        "tokens.target": "at equal generated tokens",
        "compute.target": "at equal compute with warmup charged",
    }
    parts = [f"{how} {_position(found[f'end.{name}'])}" for name, how in at.items()]
    target, whole = found["end.steps.target"].where, found["end.steps.mean"]
    parts.append(f"at equal steps over the {whole.where} {_position(whole)}")
    return f"On {target}, warmup + RLVR is {'; '.join(parts)}. {_increment(found['increment.target'])}"


def _increment(claim: Claim) -> str:
    if claim.untestable:
        return f"Whether RLVR gains more after warmup than from base is {_cannot(claim)}."
    if claim.verdict == "unclear":
        return f"Whether RLVR gains more after warmup than from base on {claim.where} stays open ({brief(claim)})."
    more = "more" if (claim.estimate or 0) > 0 else "less"
    return f"RLVR itself gains {more} after warmup than from base on {claim.where} ({brief(claim)})."


def _retention(found: Mapping[str, Claim]) -> str:
    if "retention" in found:
        return f"This is {_cannot(found['retention'])}."
    target = found["retention.base.trained"].where
    trained = [f"{start} {_change(found[f'retention.{label}.trained'])}" for label, start in STARTS.items()]
    kept = [(start, found[f"retention.{label}.mean"]) for label, start in STARTS.items()]
    rest = [f"{start} {_change(claim)}" + ("" if claim.untestable else f" ({claim.where})") for start, claim in kept]
    return (
        f"Change by RLVR on {target}, which it trains: {', '.join(trained)}; on untrained domains: {', '.join(rest)}."
    )


def _change(claim: Claim) -> str:
    return _cannot(claim) if claim.untestable else brief(claim)


def _efficiency(run: Run, found: Mapping[str, Claim], met: Meeting) -> str:
    if "efficiency" in found:
        return f"This is {_cannot(found['efficiency'])}."
    claim = found["efficiency.steps"]
    meets = f"{met.why[:1].upper()}{met.why[1:]}."
    if met.step is not None:
        meets = (
            f"From step {met.step} on base + RLVR has caught up with warmup + RLVR (within {MEET * 100:.0f} points)."
        )
    if claim.untestable:
        return f"This is {_cannot(claim)}. {meets}"
    goal = f"To come to {share(run.claims.threshold)} on {claim.where}, {_needs(claim.right)} and {_needs(claim.left)}"
    return f"{goal}; steps saved by warmup: {brief(claim)}. {meets}"


def _needs(side: Side) -> str:
    reached = [value for seed, value in side.values.items() if seed not in side.censored]
    last = max((side.values[seed] for seed in side.censored), default=0)
    if not reached:
        return f"{side.label} never gets there within {last:.0f} steps"
    never = f" where it gets there (in {len(side.censored)} of {len(side.values)} seeds not within {last:.0f})"
    return f"{side.label} needs {mean(reached):.1f} steps{never if side.censored else ''}"


def _position(claim: Claim, other: str = "base + RLVR") -> str:
    """`ahead of base + RLVR (+12.0 [4.1, 19.9])`: as much as the seeds allow to be said and no more."""
    if claim.untestable:
        return f"not compared with {other}: {_cannot(claim)}"
    estimate = claim.estimate or 0.0
    place = "ahead of" if estimate > 0 else "behind" if estimate < 0 else "level with"
    return f"{'not to be told apart from' if claim.verdict == 'unclear' else place} {other} ({brief(claim)})"


def _cannot(claim: Claim) -> str:
    return f"not testable here ({claim.untestable})"


def _by_id(claims: Sequence[Claim]) -> dict[str, Claim]:
    return {claim.id: claim for claim in claims}
