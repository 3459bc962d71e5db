"""What a run says in plain words, put together from the computed claims and never from an expected result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from warmup_rl.base.stats import MIN_SEEDS, mean
from warmup_rl.report.claims import MEET, Meeting
from warmup_rl.report.difference import Claim, Side, share
from warmup_rl.report.gains import Gain
from warmup_rl.report.load import Run
from warmup_rl.report.models import Shown, best_prompt, own_is_best
from warmup_rl.report.tables import amount, brief

NANO = (
    "The base model of this run was pretrained from scratch{setting}. Nano is a controlled miniature that tests "
    "elicitation: it is built so that the effect can exist in one setting and cannot in another. It shows whether the "
    "method and its measurement work; evidence for real models has to come from runs on real models."
)
STARTS = {"base": "from base", "warmup": "after warmup"}


def first_line(run: Run, claims: Sequence[Claim], gains: Sequence[Gain], rows: Sequence[Shown]) -> str | None:
    """What a report must begin with: that warmup gains nothing over a better prompt. None where it does, or unknown."""
    claim = _by_id(claims).get("transfer.best_prompt")
    if claim is None or claim.estimate is None or claim.estimate > 0:
        return None
    explained = f"the prompt style that does best on validation problems: {best_prompt(run)}"
    line = f"**Warmup does not beat the base with its best prompt here ({explained}): {amount(claim)}, {claim.where}.**"
    return " ".join(part for part in (line, _broken_form(run, gains, rows)) if part)


def sentences(run: Run, claims: Sequence[Claim], met: Meeting, gains: Sequence[Gain]) -> dict[str, str]:
    """One short paragraph for each claim, by its name."""
    found = _by_id(claims)
    if "end" in found:
        return {
            "Transfer": _transfer(run, found, gains),
            "End point, retention and sample efficiency": f"These are {_cannot(found['end'])}.",
        }
    return {
        "Transfer": _transfer(run, found, gains),
        "End point": _end_point(run, found),
        "Retention": _retention(found),
        "Sample efficiency": _efficiency(run, found, met),
    }


def seeds_note(run: Run, claims: Sequence[Claim]) -> str:
    """How far the numbers carry, given the seeds that have both sides of a difference."""
    count = max((len(claim.values) for claim in claims), default=0) or len(run.seeds)
    seeds = f"{count} seed{'s' * (count != 1)}"
    if count < len(run.seeds):
        seeds = f"{count} of {len(run.seeds)} seeds have both sides of a difference"
    if count < MIN_SEEDS:
        return (
            f"{seeds}. Differences are in points. No interval over seeds is given below "
            f"{MIN_SEEDS}: a difference of a few points may be chance. Run more seeds before believing one."
        )
    return f"{seeds}. Differences are in points, with 95% t-intervals over seeds, paired by seed."


def about(run: Run) -> str:
    """What kind of experiment this was; empty unless the base was pretrained by the recipe."""
    stages: list[Mapping[str, Any]] = [row for row in run.recipe.get("stages") or () if isinstance(row, Mapping)]
    pretrain = next((row for row in stages if row.get("type") == "pretrain"), None)
    made = any(
        stage.type == "pretrain"
        for trials in run.trials.values()
        for trial in trials.values()
        for stage in trial.stages
    )
    if pretrain is None and not made:
        return ""
    corpus = (pretrain or {}).get("corpus")
    setting = corpus.get("setting") if isinstance(corpus, Mapping) else None
    return NANO.format(setting=f" in the setting `{setting}`" if setting else "")


def _transfer(run: Run, found: Mapping[str, Claim], gains: Sequence[Gain]) -> str:
    if not run.transfer:
        return f"This is {_cannot(found['transfer.recipe_prompt'])}."
    against = {
        "recipe_prompt": "the base under the same prompt",
        "best_prompt": "the base under its best prompt",
        "format_only": "the format-only control",
    }
    if own_is_best(run):
        del against["best_prompt"]
        against["recipe_prompt"] += ", which is its best"
    tested = {name: other for name, other in against.items() if not found[f"transfer.{name}"].untestable}
    parts = [_position(found[f"transfer.{name}"], other) for name, other in tested.items()]
    where = found["transfer.recipe_prompt"].where
    where = f"the {where}" if where.startswith("mean of ") else where
    said = [f"Before RLVR, on {where}, warmup is {'; '.join(parts)}."] if parts else []
    said += [
        f"Against {other}: {_cannot(found[f'transfer.{name}'])}."
        for name, other in against.items() if name not in tested
    ]  # fmt: skip
    return " ".join([*said, *_shares_of_lift(run, gains)])


def _lift(run: Run, gains: Sequence[Gain]) -> dict[str, float]:
    """Parts of warmup's difference to base, mean over the transfer domains, in points; empty where not measured."""
    found = [gain for gain in gains if gain.name == "warmup - base" and gain.domain in run.transfer]
    if not found:
        return {}
    parts = ("total", "format", "truncation", "rest")
    return {part: 100 * mean([getattr(gain, part) for gain in found]) for part in parts}


def _shares_of_lift(run: Run, gains: Sequence[Gain]) -> list[str]:
    lift = _lift(run, gains)
    if not lift or not any(round(value, 1) for value in lift.values()):
        return []
    return [
        f"Of the {lift['total']:+.1f} points against the base under the same prompt, {lift['format']:+.1f} are format "
        f"(no answer can be found), {lift['truncation']:+.1f} truncation, {lift['rest']:+.1f} the answers themselves."
    ]


def _broken_form(run: Run, gains: Sequence[Gain], rows: Sequence[Shown]) -> str:
    """How much of what warmup loses against base is form; empty where form is less than half of it."""
    lift = _lift(run, gains)
    lost = lift["format"] + lift["truncation"] if lift else 0.0
    if not lift or round(lift["total"], 1) >= 0 or lost > lift["total"] / 2:
        return ""
    shares = {row.role: _well_formed(run, row) for row in rows if row.role in ("base", "warmup") and not row.rlvr}
    form = ""
    if shares.get("base") is not None and shares.get("warmup") is not None:
        form = f"; well-formed answers: base {share(shares['base'])}, warmup {share(shares['warmup'])}"
    return (
        f"Against the base under the same prompt, {lost:+.1f} of {lift['total']:+.1f} points are form, not reasoning: "
        f"{lift['format']:+.1f} no answer can be found, {lift['truncation']:+.1f} cut off{form}."
    )


def _well_formed(run: Run, row: Shown) -> float:
    cells = [cell for domain in run.transfer for cell in row.cells(domain, run.headline).values()]
    return mean([cell.well_formed for cell in cells]) if cells else 0.0


def _end_point(run: Run, found: Mapping[str, Claim]) -> str:
    at = {
        "steps.target": "at equal steps",
        "tokens.target": "at equal generated tokens",
        "compute.target": "at equal compute with warmup charged",
    }
    target, whole = found["end.steps.target"].where, found["end.steps.mean"]
    if run.transfer and run.transfer != (target,):
        at["steps.mean"] = f"at equal steps over the {whole.where}"
    by_how = {how: found[f"end.{name}"] for name, how in at.items()}
    parts = [f"{how} {_position(claim)}" for how, claim in by_how.items() if not claim.untestable]
    said = [f"On {target}, warmup + RLVR is {'; '.join(parts)}."] if parts else []
    whys: dict[str, list[str]] = {}
    for how, claim in by_how.items():
        if claim.untestable:
            whys.setdefault(claim.untestable, []).append(how)
    said += [f"{_capital(_joined(hows))}: not testable, because {why}." for why, hows in whys.items()]
    return " ".join([*said, _increment(found["increment.target"])])


def _increment(claim: Claim) -> str:
    if claim.untestable:
        return f"Whether RLVR gains more after warmup than from base is {_cannot(claim)}."
    if claim.verdict == "unclear":
        return f"Whether RLVR gains more after warmup than from base on {claim.where} stays open ({brief(claim)})."
    more = "more" if (claim.estimate or 0) > 0 else "less"
    return f"RLVR itself gains {more} after warmup than from base on {claim.where} ({brief(claim)})."


def _retention(found: Mapping[str, Claim]) -> str:
    target = found["retention.base.trained"].where
    trained = {start: found[f"retention.{label}.trained"] for label, start in STARTS.items()}
    kept = {start: found[f"retention.{label}.mean"] for label, start in STARTS.items()}
    return f"Change by RLVR on {target}, which it trains: {_changes(trained)}. On untrained domains: {_changes(kept)}."


def _changes(claims: Mapping[str, Claim]) -> str:
    whys = {claim.untestable for claim in claims.values()}
    if len(whys) == 1 and "" not in whys:
        return f"not testable here ({whys.pop()})"
    return "; ".join(f"{start} {_change(claim)}" for start, claim in claims.items())


def _change(claim: Claim) -> str:
    if claim.untestable:
        return _cannot(claim)
    level = ", not to be told apart from 0" if claim.verdict == "unclear" else ""
    where = f" ({claim.where})" if claim.id.endswith(".mean") else ""
    return f"{brief(claim)}{level}{where}"


def _efficiency(run: Run, found: Mapping[str, Claim], met: Meeting) -> str:
    claim = found["efficiency.steps"]
    meets = f"{_capital(met.why)}."
    if met.step is not None:
        meets = (
            f"From step {met.step} on base + RLVR has caught up with warmup + RLVR (within {MEET * 100:.0f} points)."
        )
    if claim.untestable:
        return f"This is {_cannot(claim)}. {meets}"
    if all(side.values and len(side.censored) == len(side.values) for side in (claim.left, claim.right)):
        last = min(value for side in (claim.left, claim.right) for value in side.values.values())
        none = (
            f"Neither warmup nor base comes to {share(run.claims.threshold)} on {claim.where} within {last:.0f} steps"
        )
        return f"{none}: what warmup saves stays open. {meets}"
    goal = f"To come to {share(run.claims.threshold)} on {claim.where}, {_needs(claim.right)} and {_needs(claim.left)}"
    return f"{goal}; saved by warmup: {brief(claim)}. {meets}"


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


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _joined(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _by_id(claims: Sequence[Claim]) -> dict[str, Claim]:
    return {claim.id: claim for claim in claims}
