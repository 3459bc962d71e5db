"""What a run shows in plain words, put together from the computed claims and never from an expected result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from warmup_rl.base.stats import MIN_SEEDS, mean
from warmup_rl.report.claims import MEET, Claim, Meeting, Side, Verdict, share
from warmup_rl.report.findings import Findings, Outcome
from warmup_rl.report.load import Run
from warmup_rl.report.models import best_prompt, own_is_best
from warmup_rl.report.outputs import StageOutput
from warmup_rl.report.tables import amount, brief

NANO = (
    "The base model of this run was pretrained from scratch{setting}. Nano is a controlled miniature that tests "
    "elicitation: it is built so that the effect can exist in one setting and cannot in another. It shows whether the "
    "method and its measurement work; evidence for real models has to come from runs on real models."
)
LIMITS = (
    "Accuracy is lenient: a correct answer counts whatever its form. The unit of replication is the seed: all "
    "differences are paired by seed, and the evaluation problems are the same for all seeds and arms. Values at equal "
    "tokens or compute, and at a step before the last, are read off the held-out curve, which has its own number of "
    "problems, and interpolated between its points: they can differ from the accuracy table."
)
STARTS = {"base": "from base", "warmup": "after warmup"}
PLACES: dict[Verdict, str] = {
    "above": "ahead",
    "below": "behind",
    "unclear": "not distinguishable",
    "no interval": "too few seeds to tell",
    "not testable": "not testable",
}


def first_sentences(found: Findings) -> tuple[str, ...]:
    """What a report must begin with: that warmup gains nothing over a better prompt. Empty if it does, or unknown."""
    claim = _by_id(found.claims).get("transfer.best_prompt")
    if claim is None or claim.estimate is None or claim.estimate > 0:
        return ()
    prompt = f"the prompt style that does best on validation problems: {best_prompt(found.run)}"
    line = f"Warmup does not beat the base with its best prompt here ({prompt}): {amount(claim)}, {claim.where}."
    return tuple(part for part in (line, _broken_form(found)) if part)


def sentences(found: Findings) -> dict[str, str]:
    """One short paragraph for each claim, by its name."""
    run, claims = found.run, _by_id(found.claims)
    texts = {"Ablation": _ablation(run, found.outcomes)} if found.outcomes else {}
    texts["Transfer"] = _transfer(found, claims)
    if "end" in claims:
        return {**texts, "End point, retention and sample efficiency": f"These are {_cannot(claims['end'])}."}
    return {
        **texts,
        "End point": _end_point(run, claims),
        "Retention": _retention(run, claims),
        "Sample efficiency": _efficiency(run, claims, found.meeting),
    }


def seeds_note(found: Findings) -> str:
    """How far the numbers carry, given the seeds that have both sides of a difference."""
    run = found.run
    count = max((len(claim.values) for claim in found.claims), default=0) or len(run.seeds)
    seeds = f"{count} seed{'s' * (count != 1)}"
    if count < len(run.seeds):
        seeds = f"{count} of {len(run.seeds)} seeds have both sides of a difference"
    if count < MIN_SEEDS:
        return (
            f"{seeds}. Differences are in points. No interval over seeds is given below {MIN_SEEDS}: a difference of a "
            "few points may be chance. Run more seeds before believing one."
        )
    return f"{seeds}. Differences are in points, with 95% t-intervals over seeds, paired by seed."


def about(run: Run) -> str:
    """What kind of experiment this was; empty unless the base was pretrained by the recipe."""
    made = run.stages("pretraining")
    corpus = made[0].config.get("corpus") if made else None
    setting = corpus.get("setting") if isinstance(corpus, Mapping) else None
    return NANO.format(setting=f" in the setting `{setting}`" if setting else "") if made else ""


def set_up(run: Run) -> str:
    """Model, data, training and evaluation in one line, read from what was done; what is not done yet is left out."""
    warmups = [stage for trial in run.trials.get(run.claims.warmup, {}).values() for stage in trial.stages]
    corpus = ", ".join(dict.fromkeys(stage.domain for stage in warmups if stage.role == "traces" and stage.domain))
    trained = [stage.summary for stage in warmups if stage.role == "warmup"]
    traces, epochs = (_range(summary.get(key) for summary in trained) for key in ("examples", "epochs"))
    points = [point for stage in run.stages("target") for point in stage.curve]
    cells = [cell for stage in run.stages("evaluation") for cell in stage.cells if cell.split == "test"]
    parameters = _range(stage.summary.get("parameters") for stage in run.stages())
    problems = _range(cell.problems for cell in cells)
    where = f"{problems} {', '.join(run.measured)} problems"
    if len(run.measured) > 1:
        where = f"{problems} problems in each of {len(run.measured)} domains ({', '.join(run.measured)})"
    budget = run.recipe.evaluation.samplings[run.headline].max_tokens
    folds = (
        f"{run.folded} in {run.fold_count} folds: each row was measured once, by a model that was not trained on it; "
        "the last model was trained on all rows"
    )
    parts = {
        f"model of {parameters} parameters": parameters,
        f"warmup on {' '.join(filter(None, (traces, corpus)))} traces" + f" ({epochs} epochs)" * bool(epochs): traces,
        _target(run.method, run.stages("target")): run.stages("target"),
        f"held-out curve on {_range(point.problems for point in points)} problems": points,
        f"evaluation on {where}, answers of at most {budget} tokens": cells,
        folds: run.folded,
        f"{len(run.seeds)} seed{'s' * (len(run.seeds) != 1)}": True,
    }
    return f"Set-up: {'; '.join(text for text, known in parts.items() if known)}."


def _target(method: str, done: Sequence[StageOutput]) -> str:
    domains = ", ".join(dict.fromkeys(stage.domain for stage in done if stage.domain))
    problems, steps = (_range(stage.summary.get(key) for stage in done) for key in ("problems", "steps"))
    prompts, answers = (_range(stage.config.get(key) for stage in done) for key in ("prompts_per_step", "generations"))
    budget = _range((stage.config.get("sampling") or {}).get("max_tokens") for stage in done)
    text = f"{method} on {' '.join(filter(None, (problems, domains)))} problems"
    text += f", {steps} steps" if steps else ""
    text += f" of {prompts} prompts x {answers} generations" if prompts and answers else ""
    return text + (f" of at most {budget} tokens" if budget else "")


def _range(values: Iterable[Any]) -> str:
    """The value that all share, or the range; empty where none is known."""
    found = sorted({value for value in values if value is not None})
    return " to ".join(f"{value:,.10g}" for value in dict.fromkeys([found[0], found[-1]])) if found else ""


def _ablation(run: Run, outcomes: Sequence[Outcome]) -> str:
    """Which arms are ahead of, behind, or not distinguishable from the reference arm and base, by the intervals."""
    texts = []
    for other, field in ((run.claims.warmup, "to_reference"), (run.claims.base, "to_base")):
        places: dict[str, list[str]] = {}
        for outcome in outcomes:
            claim: Claim | None = getattr(outcome, field)
            if claim is not None:
                found = f"{outcome.arm} {100 * (claim.estimate or 0):+.1f}"
                places.setdefault(PLACES[claim.verdict], []).append(found)
        if places:
            parts = (f"{place}: {', '.join(arms)}" for place, arms in sorted(places.items()))
            texts.append(f"Against {other}, in points: {'; '.join(parts)}.")
    return " ".join(texts) or "No two arms can be compared yet."


def _transfer(found: Findings, by_id: Mapping[str, Claim]) -> str:
    run = found.run
    if not run.transfer:
        return f"This is {_cannot(by_id['transfer.recipe_prompt'])}."
    against = {
        "recipe_prompt": "the base under the same prompt",
        "best_prompt": "the base under its best prompt",
        "format_only": "the format-only control",
    }
    if own_is_best(run):
        del against["best_prompt"]
        against["recipe_prompt"] += ", which is its best"
    claims = {other: by_id[f"transfer.{name}"] for name, other in against.items()}
    parts = [_position(claim, other) for other, claim in claims.items() if not claim.untestable]
    where = by_id["transfer.recipe_prompt"].where
    where = f"the {where}" if where.startswith("mean of ") else where
    texts = [f"Before {run.method}, on {where}, warmup is {'; '.join(parts)}."] if parts else []
    texts += [f"Against {other}: {_cannot(claim)}." for other, claim in claims.items() if claim.untestable]
    lift = _lift(found)
    if any(round(value, 1) for value in lift.values()):
        texts.append(
            f"Of the {lift['total']:+.1f} points against the base under the same prompt, {lift['format']:+.1f} are "
            f"format (no answer can be found), {lift['truncation']:+.1f} truncation, {lift['rest']:+.1f} the answers "
            "themselves."
        )
    return " ".join(texts)


def _lift(findings: Findings) -> dict[str, float]:
    """Parts of warmup's difference to base, mean over the transfer domains, in points; empty where not measured."""
    transfer = findings.run.transfer
    found = [gain for gain in findings.gains if gain.name == "warmup - base" and gain.domain in transfer]
    parts = ("total", "format", "truncation", "rest")
    return {part: 100 * mean([getattr(gain, part) for gain in found]) for part in parts} if found else {}


def _broken_form(found: Findings) -> str:
    """How much of what warmup loses against base is form; empty where form is less than half of it."""
    run, lift = found.run, _lift(found)
    lost = lift["format"] + lift["truncation"] if lift else 0.0
    if not lift or round(lift["total"], 1) >= 0 or lost > lift["total"] / 2:
        return ""
    well_formed = {}
    for row in (row for row in found.rows if row.role in ("base", "warmup") and not row.trained):
        cells = [cell for domain in run.transfer for cell in row.cells(domain, run.headline).values()]
        well_formed[row.role] = share(mean([cell.well_formed for cell in cells]) if cells else 0.0)
    form = ", ".join(f"{name} {value}" for name, value in well_formed.items())
    return (
        f"Against the base under the same prompt, {lost:+.1f} of {lift['total']:+.1f} points are form, not reasoning: "
        f"{lift['format']:+.1f} no answer can be found, {lift['truncation']:+.1f} cut off; well-formed answers: {form}."
    )


def _end_point(run: Run, found: Mapping[str, Claim]) -> str:
    at = {
        "steps.target": "at equal steps",
        "tokens.target": "at equal generated tokens",
        "compute.target": "at equal compute with warmup charged",
    }
    target = found["end.steps.target"].where
    if run.transfer and run.transfer != (target,):
        at["steps.mean"] = f"at equal steps over the {found['end.steps.mean'].where}"
    other = f"base + {run.method}"
    claims = {how: found[f"end.{name}"] for name, how in at.items()}
    parts = [f"{how} {_position(claim, other)}" for how, claim in claims.items() if not claim.untestable]
    texts = [f"On {target}, warmup + {run.method} is {'; '.join(parts)}."] if parts else []
    whys: dict[str, list[str]] = {}
    for how, claim in claims.items():
        if claim.untestable:
            whys.setdefault(claim.untestable, []).append(how)
    for why, hows in whys.items():
        listed = " and ".join([", ".join(hows[:-1]), hows[-1]] if len(hows) > 1 else hows)
        texts.append(f"{_capital(listed)}: not testable, because {why}.")
    gain = found["increment.target"]
    question = f"Whether {run.method} gains more after warmup than from base"
    if gain.untestable:
        texts.append(f"{question} is {_cannot(gain)}.")
    elif gain.verdict == "unclear":
        texts.append(f"{question} on {gain.where} remains open ({brief(gain)}).")
    else:
        more = "more" if (gain.estimate or 0) > 0 else "less"
        texts.append(f"{run.method} itself gains {more} after warmup than from base on {gain.where} ({brief(gain)}).")
    return " ".join(texts)


def _retention(run: Run, found: Mapping[str, Claim]) -> str:
    target = found["retention.base.trained"].where
    trained, kept = (
        _changes({start: found[f"retention.{label}.{name}"] for label, start in STARTS.items()})
        for name in ("trained", "mean")
    )
    return f"Change by {run.method} on {target}, which it trains: {trained}. On untrained domains: {kept}."


def _changes(claims: Mapping[str, Claim]) -> str:
    whys = {claim.untestable for claim in claims.values()}
    if len(whys) == 1 and "" not in whys:
        return f"not testable here ({whys.pop()})"
    return "; ".join(f"{start} {_change(claim)}" for start, claim in claims.items())


def _change(claim: Claim) -> str:
    if claim.untestable:
        return _cannot(claim)
    unclear = ", not distinguishable from 0" if claim.verdict == "unclear" else ""
    where = f" ({claim.where})" if claim.id.endswith(".mean") else ""
    return f"{brief(claim)}{unclear}{where}"


def _efficiency(run: Run, found: Mapping[str, Claim], met: Meeting) -> str:
    claim, method = found["efficiency.steps"], run.method
    meets = f"{_capital(met.why)}."
    if met.step is not None:
        within = f"(within {MEET * 100:.0f} points)"
        meets = f"From step {met.step} on, base + {method} has caught up with warmup + {method} {within}."
    if claim.untestable:
        return f"This is {_cannot(claim)}. {meets}"
    threshold, sides = share(run.claims.threshold), (claim.left, claim.right)
    if all(side.values and len(side.censored) == len(side.values) for side in sides):
        last = min(value for side in sides for value in side.values.values())
        neither = f"Neither warmup nor base reaches {threshold} on {claim.where} within {last:.0f} steps"
        return f"{neither}: what warmup saves remains open. {meets}"
    needs = f"To reach {threshold} on {claim.where}, {_needs(claim.right)} and {_needs(claim.left)}"
    return f"{needs}; saved by warmup: {brief(claim)}. {meets}"


def _needs(side: Side) -> str:
    reached = [value for seed, value in side.values.items() if seed not in side.censored]
    last = max((side.values[seed] for seed in side.censored), default=0)
    if not reached:
        return f"{side.label} never gets there within {last:.0f} steps"
    never = f" where it gets there (in {len(side.censored)} of {len(side.values)} seeds not within {last:.0f})"
    return f"{side.label} needs {mean(reached):.1f} steps{never if side.censored else ''}"


def _position(claim: Claim, other: str) -> str:
    """`ahead of base + RLVR (+12.0 [4.1, 19.9])`: as much as the seeds support and no more."""
    estimate = claim.estimate or 0.0
    place = "ahead of" if estimate > 0 else "behind" if estimate < 0 else "level with"
    return f"{'not distinguishable from' if claim.verdict == 'unclear' else place} {other} ({brief(claim)})"


def _cannot(claim: Claim) -> str:
    return f"not testable here ({claim.untestable})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _by_id(claims: Sequence[Claim]) -> dict[str, Claim]:
    return {claim.id: claim for claim in claims}
