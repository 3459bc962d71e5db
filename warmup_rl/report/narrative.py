"""The results of a run in sentences, built from the computed claims only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

from warmup_rl.base.console import counted, shortened
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.stats import MIN_SEEDS, detectable, mean, resolvable
from warmup_rl.recipe.schema import Source
from warmup_rl.report.claims import MEET, Claim, Meeting, Side, Verdict, share
from warmup_rl.report.document import Section
from warmup_rl.report.findings import Findings, Outcome
from warmup_rl.report.load import Run
from warmup_rl.report.measures import PARTS
from warmup_rl.report.models import average, best_prompt, own_is_best
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
PLACES: dict[Verdict, str] = {
    "above": "ahead",
    "below": "behind",
    "unclear": "not distinguishable",
    "no interval": "without an interval",
    "not testable": "not testable",
}
FEW_PROBLEMS = 50
"""Fewer test problems in a domain are called thin evidence."""


def verdict(found: Findings) -> tuple[str, ...]:
    """The answer with its uncertainty, and what it hides; empty for a run that compares nothing."""
    run, claims = found.run, found.by_id
    if not run.compares:
        return ()
    best = claims["transfer.best_prompt"]
    lift = claims["transfer.recipe_prompt"] if best.untestable else best
    if lift.estimate is None:
        return (f"Whether warmup helps is {_cannot(lift)}.",)
    prompt = f"the prompt style that does best on validation problems: {best_prompt(run)}"
    few = ", too few seeds to tell" if len(lift.values) < MIN_SEEDS else ""
    if lift is best and lift.estimate <= 0:
        place = "is behind" if lift.estimate else "is level with"
        verb = place if few else "is not shown to beat" if lift.verdict == "unclear" else "does not beat"
        line = f"Warmup {verb} the base with its best prompt here{few} ({prompt}): {amount(lift)}, {lift.where}."
        return tuple(part for part in (line, _broken_form(found)) if part)
    word = {"above": "helps here", "below": "hurts here", "unclear": "may or may not help here"}.get(lift.verdict)
    before = f", before {run.method}" if run.stages("target") else ""
    under = f"under {prompt}" if lift is best else "under the same prompt"
    place = "ahead" if lift.estimate > 0 else "behind" if lift.estimate < 0 else "level"
    word = word or f"is {place} here{few}"
    line = f"Warmup {word}: {amount(lift)} against the base {under} ({lift.where}{before})"
    end = claims.get("end.steps.target")
    if end is None or end.estimate is None:
        return (f"{line}.",)
    return (f"{line}; after {run.method} on {end.where} it is {_position(f'base + {run.method}', end)}.",)


def thin(found: Findings) -> list[str]:
    """Where the evidence is too thin to decide by, one sentence each."""
    run, texts = found.run, list[str]()
    if run.unfinished and run.compares:
        texts.append(f"Not finished: {counted(len(run.unfinished), 'trial')}.")
    if run.compares and found.rows:
        both = [claim for claim in found.claims if not claim.id.startswith("retention.")]
        pairs = max((len(claim.values) for claim in both), default=0)
        if pairs < MIN_SEEDS:
            texts.append(f"{counted(pairs, 'seed')} with both arms: {MIN_SEEDS} are needed for an interval.")
        if (why := found.by_id["transfer.best_prompt"].untestable) and run.transfer:
            texts.append(f"Warmup was not compared with the base under its best prompt: {why}.")
        if run.claims.format_only not in run.trials:
            texts.append("No format-only control: what form alone gains is not known.")
    sizes = [cell.problems for stage in run.stages("evaluation") for cell in stage.cells if cell.split == "test"]
    if sizes and min(sizes) < FEW_PROBLEMS:
        points = 100 * resolvable(min(sizes))
        texts.append(f"With {min(sizes)} problems in a domain, differences below about {points:.0f} points are lost.")
    return texts


def sentences(found: Findings) -> dict[str, str]:
    """One short paragraph for each claim, by its name."""
    run, claims = found.run, found.by_id
    if not run.compares:
        return {"Comparison": f"The recipe has one arm, {next(iter(run.recipe.arms))}, so there is nothing to compare."}
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
    """The number of seeds that have both sides of a difference, and what follows for intervals."""
    run = found.run
    count = max((len(claim.values) for claim in found.claims), default=0) or len(run.seeds)
    seeds = counted(count, "seed")
    if count < len(run.seeds):
        seeds = f"{count} of {len(run.seeds)} seeds have both sides of a difference"
    kept = [source for source in get_args(Source) if source not in run.recipe.vary]
    if kept:
        seeds += (
            f" that vary {', '.join(run.recipe.vary)} only, with {', '.join(kept)} as in seed {run.recipe.seeds[0]}"
        )
    if count < MIN_SEEDS:
        return (
            f"{seeds}. Differences are in points. No interval over seeds is given below {MIN_SEEDS}: a difference of a "
            "few points may be chance. Run more seeds before believing one."
        )
    return (
        f"{seeds}. Differences are in points, with 95% t-intervals over seeds, paired by seed. {_power(found)}".strip()
    )


def _power(found: Findings) -> str:
    """What the seeds could have found, given how much they differ."""
    names = {"transfer.recipe_prompt": "in transfer", "end.steps.target": "at the end point"}
    claims = {words: found.by_id[id] for id, words in names.items() if id in found.by_id}
    parts = [
        f"{100 * detectable(list(claim.values.values())):.1f} points {words}"
        for words, claim in claims.items()
        if len(claim.values) >= MIN_SEEDS and len(set(claim.values.values())) > 1
    ]
    return (
        f"With their spread, 4 of 5 such runs would tell a difference of {' and '.join(parts)} from 0." if parts else ""
    )


def about(run: Run) -> str:
    """The kind of experiment; empty unless the recipe pretrained the base."""
    made = run.stages("pretraining")
    corpus = made[0].config.get("corpus") if made else None
    setting = corpus.get("setting") if isinstance(corpus, Mapping) else None
    return NANO.format(setting=f" in the setting `{setting}`" if setting else "") if made else ""


def set_up(run: Run) -> str:
    """Sizes of model, data, training and evaluation in one line, read from finished stages."""
    warmups = [stage for trial in run.trials.get(run.claims.warmup, {}).values() for stage in trial.stages]
    trained, corpus = ([one for one in warmups if one.role == role] for role in ("warmup", "traces"))
    targets = run.stages("target")
    cells = [cell for stage in run.stages("evaluation") for cell in stage.cells if cell.split == "test"]
    points = [point for stage in targets for point in stage.curve]
    budget = run.recipe.evaluation.samplings[run.headline].max_tokens
    each = f" in each of {len(run.measured)} domains" * (len(run.measured) > 1)
    evaluated = f"problems{each} ({', '.join(run.measured)}), at most {budget:,} tokens per answer"
    folds = f"{run.fold_count} on {run.folded}, each row measured by a model not trained on it; the last model uses all"
    parts = {
        "model": _sizes(run.stages(), "parameters"),
        f"warmup{_on(corpus)}": _sizes(trained, "examples", "epochs"),
        f"{run.method}{_on(targets)}": _sizes(
            targets, "problems", "steps", "prompts_per_step", "generations", "max_tokens"
        ),
        "held-out curve": f"{_range([point.problems for point in points])} problems" if points else "",
        "evaluation": f"{_range([cell.problems for cell in cells])} {evaluated}" if cells else "",
        "folds": folds if run.folded else "",
        "seeds": ", ".join(map(str, run.seeds)),
    }
    return f"Set-up. {_capital('; '.join(f'{name}: {sizes}' for name, sizes in parts.items() if sizes))}."


def _on(stages: Iterable[StageOutput]) -> str:
    names = dict.fromkeys(stage.domain for stage in stages if stage.domain)
    return f" on {', '.join(names)}" if names else ""


def _sizes(stages: Sequence[StageOutput], *names: str) -> str:
    """`100 problems, 20 to 30 steps`, without what no stage records."""
    found = {name: [stage.get(name) for stage in stages] for name in names}
    numbers = {name: [value for value in values if isinstance(value, int | float)] for name, values in found.items()}
    return ", ".join(
        f"{_range(values)} {(name.removesuffix('s') if set(values) == {1} else name).replace('_', ' ')}"
        for name, values in numbers.items()
        if values
    )


def _range(values: Sequence[float]) -> str:
    return " to ".join(f"{round(value, 2):,.10g}" for value in dict.fromkeys([min(values), max(values)]))


def asked(run: Run) -> Section:
    """A test problem of each domain as the last evaluated model was asked it: prompt, reference answer, completion."""
    evaluations = run.stages("evaluation")
    rows: dict[str, dict[str, Any]] = {}
    for row in read_jsonl(evaluations[-1].folder / "completions.jsonl") if evaluations else ():
        if row.get("split") == "test" and "prompt_text" in row:  # evaluations of users' own may write other rows
            rows.setdefault(row["domain"], row)
        if len(rows) == len(run.measured):
            break
    blocks = [
        f"**{row['domain']}**, graded {row['score']['verdict']}, reference answer{_inline(str(row['gold']))}\n\n"
        f"Prompt:\n\n{_quoted(row['prompt_text'])}\n\nCompletion:\n\n{_quoted(row['text'])}"
        for row in rows.values()
    ]
    return Section("What the model is asked", blocks)


def _inline(text: str) -> str:
    """A text at the end of a line: inline code, or a code block where it has several lines or marks of its own."""
    return f":\n\n{_quoted(text)}" if "\n" in text or "`" in text else f" `{text}`"


def _quoted(text: str) -> str:
    """A text as a Markdown code block, whatever is in it; long ones are shortened."""
    return "\n".join(f"    {line}" for line in shortened(text.strip()).splitlines() or [""])


def _ablation(run: Run, outcomes: Sequence[Outcome]) -> str:
    """Which arms are ahead of, behind, or not distinguishable from the reference arm and base, by the intervals."""
    texts = []
    for other in (run.claims.warmup, run.claims.base):
        places: dict[str, list[str]] = {}
        for outcome in outcomes:
            if claim := outcome.differences.get(other):
                difference = f"{outcome.arm} {100 * (claim.estimate or 0):+z.1f}"
                places.setdefault(PLACES[claim.verdict], []).append(difference)
        if places:
            parts = (f"{place}: {', '.join(arms)}" for place, arms in sorted(places.items()))
            texts.append(f"Against {other}, in points: {'; '.join(parts)}.")
    alike: dict[str, list[str]] = {}
    for outcome in outcomes:
        alike.setdefault(outcome.taught, []).append(outcome.arm)
    for arms in (arms for taught, arms in alike.items() if taught and len(arms) > 1):
        texts.append(f"No difference in training: {', '.join(arms)} have the same traces and settings.")
    return " ".join(texts) or "No two arms can be compared yet."


def _transfer(found: Findings, by_id: Mapping[str, Claim]) -> str:
    run = found.run
    if not run.transfer:
        return f"This is {_cannot(by_id['transfer.recipe_prompt'])}."
    claims = {
        "the base under the same prompt": by_id["transfer.recipe_prompt"],
        "the base under its best prompt": by_id["transfer.best_prompt"],
        "the format-only control": by_id["transfer.format_only"],
    }
    if own_is_best(run, run.claims.warmup):
        del claims["the base under its best prompt"]
        claims = {f"{other}, which is its best" if "same" in other else other: claims[other] for other in claims}
    where = by_id["transfer.recipe_prompt"].where.replace("mean of", "the mean of")
    texts = [_paragraph(f"Before {run.method}, on {where}, warmup is", claims, _position)]
    lift = _lift(found)
    if any(round(value, 1) for value in lift.values()):
        texts.append(
            f"Of the {lift['total']:+z.1f} points against the base under the same prompt, {lift['format']:+z.1f} are "
            f"format (no answer can be found), {lift['truncation']:+z.1f} truncation, {lift['rest']:+z.1f} the answers "
            "themselves."
        )
    return " ".join(filter(None, texts))


def _lift(found: Findings) -> dict[str, float]:
    """Parts of warmup's difference to base, mean over the transfer domains, in points; empty if not measured."""
    gains = [gain for gain in found.gains if gain.name == "warmup - base" and gain.domain in found.run.transfer]
    return {part: 100 * mean([getattr(gain, part) for gain in gains]) for part in PARTS} if gains else {}


def _broken_form(found: Findings) -> str:
    """The share of format in what warmup loses against base; empty if format is less than half of it."""
    run, lift = found.run, _lift(found)
    lost = lift["format"] + lift["truncation"] if lift else 0.0
    if not lift or round(lift["total"], 1) >= 0 or lost > lift["total"] / 2:
        return ""
    well_formed = []
    for row in (row for row in found.rows if row.role in ("base", "warmup") and not row.trained):
        cells = [cell for domain in run.transfer for cell in row.cells(domain, run.headline).values()]
        well_formed.append(f"{row.name} {share(average(cells, 'well_formed') or 0.0)}")
    return (
        f"Against the base under the same prompt, {lost:+z.1f} of {lift['total']:+z.1f} points are form, not "
        f"reasoning: {lift['format']:+z.1f} no answer can be found, {lift['truncation']:+z.1f} cut off; "
        f"well-formed answers: {', '.join(well_formed)}."
    )


def _end_point(run: Run, by_id: Mapping[str, Claim]) -> str:
    names = {
        "at equal steps": "end.steps.target",
        "at equal generated tokens": "end.tokens.target",
        "at equal compute, warmup included": "end.compute.target",
    }
    target = by_id["end.steps.target"].where
    if run.transfer and run.transfer != (target,):
        names[f"at equal steps over the {by_id['end.steps.mean'].where}"] = "end.steps.mean"
    claims = {how: by_id[name] for how, name in names.items()}

    def position(how: str, claim: Claim) -> str:
        return _position(f"base + {run.method} {how}", claim)

    gain = by_id["increment.target"]
    texts = [_paragraph(f"On {target}, warmup + {run.method} is", claims, position)]
    question = f"whether {run.method} gains more after warmup than from base"
    if gain.untestable:
        texts.append(_untested({question: gain}))
    elif gain.verdict == "unclear":
        texts.append(f"{_capital(question)} on {gain.where} remains open ({brief(gain)}).")
    else:
        change = round(100 * (gain.estimate or 0.0), 1)
        more = f"{'more' if change > 0 else 'less'} after warmup than" if change else "as much after warmup as"
        texts.append(f"{run.method} itself gains {more} from base on {gain.where} ({brief(gain)}).")
    return " ".join(filter(None, texts))


def _retention(run: Run, by_id: Mapping[str, Claim]) -> str:
    starts = {"from base": "retention.base", "after warmup": "retention.warmup"}
    places = {"trained": f"on {by_id['retention.base.trained'].where}, which it trains", "mean": "on untrained domains"}
    return " ".join(
        _paragraph(
            f"Change by {run.method} {where}:", {start: by_id[f"{id}.{name}"] for start, id in starts.items()}, _change
        )
        for name, where in places.items()
    )


def _change(start: str, claim: Claim) -> str:
    unclear = ", not distinguishable from 0" if claim.verdict == "unclear" else ""
    where = f" ({claim.where})" if claim.id.endswith(".mean") else ""
    return f"{start} {brief(claim)}{unclear}{where}"


def _efficiency(run: Run, by_id: Mapping[str, Claim], met: Meeting) -> str:
    claim, method = by_id["efficiency.steps"], run.method
    meets = f"{_capital(met.why)}."
    if met.step is not None:
        far = f"at most {MEET * 100:.0f} points below warmup + {method} on average"
        meets = f"From step {met.step} on, base + {method} is {far}."
    if claim.untestable:
        return f"This is {_cannot(claim)}. {meets}"
    goal, sides = f"{share(run.claims.threshold)} on {claim.where}", (claim.left, claim.right)
    if all(len(side.censored) == len(side.values) for side in sides):
        last = min(value for side in sides for value in side.values.values())
        return (
            f"Neither warmup nor base reaches {goal} within {last:.0f} steps: what warmup saves remains open. {meets}"
        )
    needs = f"To reach {goal}, {_needs(claim.right)} and {_needs(claim.left)}"
    return f"{needs}; saved by warmup: {brief(claim)}. {meets}"


def _needs(side: Side) -> str:
    reached = [value for seed, value in side.values.items() if seed not in side.censored]
    last = max((side.values[seed] for seed in side.censored), default=0)
    if not reached:
        return f"{side.label} never gets there within {last:.0f} steps"
    if not any(reached) and not side.censored:
        return f"{side.label} needs no step, since it starts above,"
    never = f" where it gets there (in {len(side.censored)} of {len(side.values)} seeds not within {last:.0f})"
    return f"{side.label} needs {mean(reached):.1f} steps{never if side.censored else ''}"


def _paragraph(lead: str, claims: Mapping[str, Claim], text: Callable[[str, Claim], str]) -> str:
    """`LEAD TEXT; TEXT.` of the claims that are tested, and the others by name."""
    tested = "; ".join(text(label, claim) for label, claim in claims.items() if not claim.untestable)
    return " ".join(filter(None, [f"{lead} {tested}." if tested else "", _untested(claims)]))


def _untested(claims: Mapping[str, Claim]) -> str:
    """`Not testable here: A, B (why); C (why).`; empty where all claims are tested."""
    whys: dict[str, list[str]] = {}
    for label, claim in claims.items():
        if claim.untestable:
            whys.setdefault(claim.untestable, []).append(label)
    texts = "; ".join(f"{', '.join(labels)} ({why})" for why, labels in whys.items())
    return f"Not testable here: {texts}." if whys else ""


def _position(other: str, claim: Claim) -> str:
    """`ahead of base + RLVR (+12.0 [4.1, 19.9])`: as much as the seeds support and no more."""
    estimate = claim.estimate or 0.0
    place = "ahead of" if estimate > 0 else "behind" if estimate < 0 else "level with"
    return f"{'not distinguishable from' if claim.verdict == 'unclear' else place} {other} ({brief(claim)})"


def _cannot(claim: Claim) -> str:
    return f"not testable here ({claim.untestable})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
