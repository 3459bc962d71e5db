"""The tables of a report, each as a section, and the format of figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from warmup_rl.base.console import counted, duration
from warmup_rl.base.stats import MIN_SEEDS, MIN_SEEDS_P, mean
from warmup_rl.interfaces.stage import Use
from warmup_rl.report.claims import Claim, Side, share
from warmup_rl.report.document import Section, Table
from warmup_rl.report.evidence import Cost, DomainTest, Instrument, Samples
from warmup_rl.report.findings import Course, Labels, Outcome
from warmup_rl.report.load import Run
from warmup_rl.report.measures import PARTS, Gain
from warmup_rl.report.models import Accuracy, Row, arm_row, average

NOTHING = "–"
USES = {"choice": "choice of prompt or model", "curve": "held-out curve"}


def section(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", brief: bool = False
) -> Section:
    """A heading and a table; nothing below the heading if there are no rows."""
    return Section(title, [Table(header, rows, caption)] if rows else [], brief)


def accuracy_table(run: Run, rows: Sequence[Row], sampling: str, brief: bool = False) -> Section:
    """Lenient accuracy with intervals: models by domains, and the mean over the transfer domains."""
    chances = [
        average([cell for row in rows for cell in row.cells(name, sampling).values()], "chance")
        for name in run.measured
    ]
    header = [f"{name} (chance {_share(chance)})" for name, chance in zip(run.measured, chances, strict=True)]
    columns: list[Sequence[str]] = [(name,) for name in run.measured]
    body = []
    if len(run.transfer) > 1:
        header.append(f"mean{without_puzzles(run)}")
        columns.append(run.transfer)
    seeds: dict[str, Iterable[int]] = {}
    for row in rows:
        found = [row.accuracy(domains, sampling) for domains in columns]
        if any(found):
            body.append((row.name, *map(accuracy_text, found)))
            seeds[row.name] = {seed for one in found if one for seed in one.by_seed}
    kind = "Wilson over the problems of one seed; it says nothing about other seeds"
    if len(run.seeds) >= MIN_SEEDS:
        kind = "Student's t over seeds; Wilson over the problems where a row has fewer than 3"
    caption = f"{_averaged(seeds)} 95% interval: {kind}."
    return section(f"Accuracy, {sampling}, lenient", ("model", *header), body, caption, brief)


def form_table(run: Run, rows: Sequence[Row]) -> Section:
    """Form, truncation, thinking and length of completions under the headline sampling."""
    names, body = ("lenient", "strict", "well_formed", "truncated", "shows_work"), []
    seeds: dict[str, set[int]] = {}
    for row in (row for row in rows if row.role != "best prompt"):
        for domain in run.measured:
            by_seed = row.cells(domain, run.headline)
            if cells := list(by_seed.values()):
                seeds.setdefault(row.name, set()).update(by_seed)
                shares = (_share(average(cells, name)) for name in names)
                body.append((row.name, domain, *shares, f"{average(cells, 'tokens'):,.0f}"))
    header = ("model", "domain", *(name.replace("_", " ") for name in names), "tokens")
    return section(f"Form and length, {run.headline}", header, body, _averaged(seeds))


def claims_table(claims: Sequence[Claim]) -> Section:
    """All claims with estimate, interval and seeds, or the reason why they are not testable."""
    body, part = [], ""
    notes = dict.fromkeys(f"{note[:1].upper()}{note[1:]}." for claim in claims for note in claim.notes)
    for claim in claims:
        lead = (claim.part if claim.part != part else "", claim.question, claim.where)
        part = claim.part
        if claim.untestable:
            body.append((*lead, NOTHING, NOTHING, f"not testable here: {claim.untestable}", NOTHING))
        else:
            sides = (_side_text(claim, claim.left), _side_text(claim, claim.right))
            body.append((*lead, *sides, amount(claim), _by_seed(claim)))
    header = ("claim", "left - right", "where", "left", "right", "difference [95% interval]", "by seed")
    return section("Claims", header, body, " ".join(notes))


def gains_table(gains: Sequence[Gain]) -> Section:
    """Gains split into format, truncation and rest, in points."""
    body = [(gain.name, gain.domain, *(f"{100 * getattr(gain, part):+z.1f}" for part in PARTS)) for gain in gains]
    caption = (
        "Points, mean over seeds; the parts add up. Counted by problem: one that became correct counts as truncation "
        "if the old completion was cut off, as format if no answer could be found in it, otherwise "
        "as rest; losses likewise."
    )
    return section("Where gains come from", ("gain", "domain", *PARTS), body, caption)


def groups_table(run: Run, rows: Sequence[Row], domain: str) -> Section:
    """A domain by group of problems, e.g. Knights & Knaves by number of people."""
    by_row = {row.name: row.groups(domain, run.headline) for row in rows}
    groups = group_names(by_row.values())
    body = [(name, *(accuracy_text(found.get(one)) for one in groups)) for name, found in by_row.items() if found]
    title = f"{domain} by difficulty, {run.headline}, lenient"
    seeds = {name: {seed for one in found.values() for seed in one.by_seed} for name, found in by_row.items() if found}
    return section(title, ("model", *groups.values()), body, _averaged(seeds))


def group_names(found: Iterable[Mapping[str, Accuracy]]) -> dict[str, str]:
    """Groups of problems in order, with their names in tables: `people=2` as `2 people`."""
    groups = sorted({group for by_group in found for group in by_group}, key=lambda name: (len(name), name))
    parts = {group: group.partition("=") for group in groups}
    return {group: f"{value} {key}" if value else key for group, (key, _, value) in parts.items()}


def ablation_table(run: Run, outcomes: Sequence[Outcome]) -> Section:
    """Arms by accuracy, differences and cost."""
    reference, base = run.claims.warmup, run.claims.base
    mean_name = f"mean{without_puzzles(run)}"
    header = ("arm", mean_name, f"- {base}", f"- {reference}", *run.puzzles[:1])
    costs = ("tokens per answer", "cut off", "steps", "trained tokens")
    body = []
    for one in outcomes:
        claims = (one.differences.get(other) for other in (base, reference))
        differences = (brief(claim).replace(" points", "") if claim else NOTHING for claim in claims)
        accuracies = [accuracy_text(found) for found in (one.transfer, *([one.puzzles] if run.puzzles else []))]
        spent = (f"{number:,.0f}" if number else NOTHING for number in (one.steps, one.trained_tokens))
        answers = (f"{one.tokens_per_answer:,.0f}", f"{one.cut_off:.0%}")
        body.append((one.arm, accuracies[0], *differences, *accuracies[1:], *answers, *spent))
    caption = (
        f"Before {run.method}, {run.headline}. Differences in points of the {mean_name}, paired by seed [95% "
        "t-interval]. Tokens per answer, and the share cut off by the token budget: mean over the same domains. "
        "Trained tokens carry loss, over all epochs. Steps and trained tokens: mean over seeds."
        + (f" Arm {reference} is called warmup above." if reference != "warmup" else "")
    )
    return section("Ablation", (*header, *costs), body, caption, brief=True)


def courses_table(run: Run, courses: Sequence[Course]) -> Section:
    """What was measured during the warmups, from their start to their end."""
    points = max((len(one.loss) for one in courses), default=0)
    body = []
    for one in courses:
        kinds = {f"mean{without_puzzles(run)}": run.transfer, **{name: (name,) for name in run.puzzles}}
        for name, domains in kinds.items():
            if measured := [one.accuracy[domain] for domain in domains if domain in one.accuracy]:
                body.append((one.arm, name, *(share(mean(values)) for values in zip(*measured, strict=True))))
        body.append((one.arm, "loss", *(f"{value:.2f}" for value in one.loss)))
    shares = (f"{place / (points - 1):.0%}" for place in range(1, points))
    caption = (
        "By share of the training; accuracy on held-out problems, loss of held-out traces, mean over seeds. "
        "Accuracy that falls and rises again is the dip that arXiv 2604.06628 reports. The probe has few problems: a "
        "few points from one column to the next may be chance."
    )
    header = ("arm", "measured", "start", *shares)
    rows = [(*row, *[NOTHING] * (len(header) - len(row))) for row in body]
    return section("During the warmup", header, rows, caption)


def labels_table(found: Sequence[Labels]) -> Section:
    """One row for arms that used equally many problems of a domain."""
    uses = [use for use in get_args(Use) if any(use in one.uses for one in found)]
    arms: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        counts = [*(one.uses.get(use, {}) for use in uses), one.in_all]
        arms.setdefault((one.domain, *map(_range, counts)), []).append(one.arm)
    body = [(domain, ", ".join(names), *counts) for (domain, *counts), names in arms.items()]
    caption = "Number of distinct labelled problems that one seed of an arm used, by use."
    return section("Labels", ("domain", "arm", *(USES.get(use, use) for use in uses), "in all"), body, caption)


def domains_table(tests: Sequence[DomainTest]) -> Section:
    """Differences by domain, with p-values that are corrected for the number of domains."""
    body, few = [], any(one.within for one in tests)
    for one in tests:
        claim = one.claim
        p = NOTHING if one.p is None else f"{one.p:.3f}".removeprefix("0") if one.p >= 0.001 else "< .001"
        sides = (_side_text(claim, claim.left), _side_text(claim, claim.right))
        ends = one.within and f"[{', '.join(f'{100 * end:+z.1f}' for end in one.within)}]"
        body.append((claim.question, claim.where, *sides, amount(claim), *([ends or NOTHING] if few else []), p))
    caption = (
        f"p: paired t-test over seeds, Holm's correction over the domains of a comparison; none below {MIN_SEEDS_P} "
        "seeds."
    )
    if few:
        caption += (
            " These models alone: bootstrap over the problems of the models that were trained, paired by problem; it "
            "says nothing about other seeds."
        )
    alone = ["these models alone [95%]"] if few else []
    header = ("left - right", "domain", "left", "right", "difference [95% interval]", *alone, "p (Holm)")
    return section("By domain", header, body, caption)


def instruments_table(found: Sequence[Instrument]) -> Section:
    """The main differences under other readings of the answers and other samplings."""
    body = []
    for id, own in found[0].claims.items() if found else ():
        claims = [one.claims[id] for one in found]
        if not own.untestable and not all(claim.untestable for claim in claims[1:]):
            cells = (NOTHING if one.untestable or one.where != own.where else brief(one) for one in claims)
            body.append((own.question, own.where, *cells))
    caption = (
        "The same differences, measured otherwise: a right answer counts only in the form that was asked for (strict), "
        "or only where the last number of a completion is the reference answer, or the completion ends in its words "
        "(last words, as coarse as the extraction of public harnesses; not for long answers). A difference that one "
        "column alone shows is a matter of the instrument. A gain that training brings at a high temperature and not "
        "at 0 sharpens what the model could do before."
    )
    header = ("left - right", "where", *(one.name for one in found))
    return section("Under other instruments", header, body, caption)


def samples_table(found: Sequence[Samples]) -> Section:
    """Several completions a problem: their mean, the answer of the majority, and whether any is correct."""
    body = [
        (one.model, one.domain, one.sampling, str(one.samples), f"{share(one.average)} ± {share(one.error)}",
         share(one.majority), share(one.cover), NOTHING if one.any is None else share(one.any))
        for one in found
    ]  # fmt: skip
    caption = (
        "avg@k: mean over completions and seeds ± standard error (over seeds from 3 seeds on, else over the problems "
        "of one model, which says nothing about other seeds). maj@k: the most frequent answer is correct. cover@.50: "
        "at least half of a problem's answers are correct (Cover@τ, arXiv 2510.08325). pass@k: any is correct; left "
        "out where guessing alone would reach .50."
    )
    header = ("model", "domain", "sampling", "k", "avg@k", "maj@k", "cover@.50", "pass@k")
    return section("Several completions a problem", header, body, caption)


def costs_table(found: Sequence[Cost]) -> Section:
    """What an arm costs after the base model, one seed."""
    body = [
        (one.arm, *(f"{value:,.0f}" if value else NOTHING for value in (one.taught, one.trained, one.generated)),
         duration(one.seconds), f"{one.flops:.2g}" if one.flops else NOTHING)
        for one in found
    ]  # fmt: skip
    header = ("arm", "teacher tokens", "tokens trained on", "tokens generated", "time", "FLOPs")
    caption = (
        "Mean over seeds, without pretraining and evaluation. Tokens trained on carry loss, over all epochs; tokens "
        "generated are rollouts. FLOPs include a teacher that is a model, at the student's size; a solver costs none. "
        "Time: wall clock of the stages, with whatever else ran on the machine."
    )
    return section("Cost of an arm", header, body, caption)


def reference_table(run: Run, claims: Sequence[Claim]) -> Section:
    """Published figures as targets beside what was measured here."""
    given, by_id, body = run.recipe.reference, {claim.id: claim for claim in claims}, []
    for figure in given.figures if given else ():
        if figure.claim is not None:
            claim = by_id.get(figure.claim)
            named = (claim.question, claim.where) if claim else (figure.claim, NOTHING)
            here = NOTHING if claim is None or claim.untestable else brief(claim)
            body.append((*named, here, f"{100 * figure.value:+z.1f} points", figure.source))
        elif figure.arm is not None and figure.domain is not None:
            row = arm_row(run, figure.arm, trained=figure.trained)
            here = accuracy_text(row.accuracy([figure.domain], run.headline))
            body.append((row.name, figure.domain, here, share(figure.value), figure.source))
    model = given.model if given else ""
    caption = (
        f"Targets, not results: figures of {model}, measured elsewhere with other prompts, budgets and graders. "
        "They decide nothing here."
    )
    return section(
        "Beside published figures", ("", "where", "this run", f"published: {model}", "source"), body, caption
    )


def without_puzzles(run: Run) -> str:
    """The domains that a mean over the transfer domains leaves out."""
    return f" without {', '.join(run.puzzles)}" if run.puzzles else ""


def accuracy_text(found: Accuracy | None) -> str:
    """`.45 [.38, .52]`."""
    return f"{share(found.value)} [{share(found.low)}, {share(found.high)}]" if found else NOTHING


def amount(claim: Claim) -> str:
    """The estimate with its interval, or the reason why there is none: `+12.0 points [4.1, 19.9]`."""
    if claim.estimate is None or claim.interval:
        return brief(claim) + (f" ({claim.no_interval})" if claim.no_interval else "")
    return f"{_estimate(claim)} (no interval: {claim.no_interval})"


def brief(claim: Claim) -> str:
    """The estimate for running text: `+12.0 points [4.1, 19.9]`, `+12.0 points in 1 seed, too few to tell`."""
    if claim.estimate is None:
        return "open"
    if claim.interval:
        return f"{_estimate(claim)} [{', '.join(_number(claim, value) for value in claim.interval)}]"
    count = len(claim.values)
    seeds = f"{counted(count, 'seed')}, too few to tell" if count < MIN_SEEDS else f"each of {count} seeds"
    return _estimate(claim) + ("" if claim.bound else f" in {seeds}")


def _estimate(claim: Claim) -> str:
    return f"{claim.bound} {_number(claim, claim.estimate or 0.0, '+')} {claim.unit}".strip()


def _share(value: float | None) -> str:
    return NOTHING if value is None else share(value)


def _side_text(claim: Claim, side: Side) -> str:
    value = side.mean
    if value is None:
        return NOTHING
    if claim.unit == "points":
        gains = claim.id.startswith(("increment", "retention.difference"))
        return f"{value * 100:+z.1f}" if gains else share(value)
    return f"{'over ' if side.censored else ''}{_number(claim, value)}"


def _by_seed(claim: Claim) -> str:
    marks = {(False, False): "", (True, False): "≥", (False, True): "≤"}
    texts = []
    for seed, value in claim.values.items():
        mark = marks.get((seed in claim.left.censored, seed in claim.right.censored))
        texts.append("censored" if mark is None else mark + _number(claim, value, "+"))
    return ", ".join(texts)


def _number(claim: Claim, value: float, sign: str = "") -> str:
    digits = 1 if claim.unit in ("points", "steps") else 0
    return f"{value * 100 if claim.unit == 'points' else value:{sign}z,.{digits}f}"


def _range(counts: Mapping[int, int]) -> str:
    ends = dict.fromkeys([min(counts.values()), max(counts.values())] if counts else [])
    return "-".join(f"{end:,}" for end in ends) or NOTHING


def _averaged(seeds: Mapping[str, Iterable[int]]) -> str:
    """`Mean over 2 seeds (0, 1).`, given the seeds of each row; with the names of the rows where these differ."""
    rows: dict[tuple[int, ...], list[str]] = {}
    for name, mine in seeds.items():
        rows.setdefault(tuple(sorted(mine)), []).append(name)
    texts = []
    for one, names in rows.items():
        of = f": {'; '.join(names)}" if len(rows) > 1 else ""
        texts.append(f"Mean over {counted(len(one), 'seed')} ({', '.join(map(str, one))}){of}.")
    return " ".join(texts)
