"""Writes the report of a run, finished or not, as HTML, Markdown, JSON, LaTeX and plots; prints its main tables."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from warmup_rl.base.console import open_console
from warmup_rl.base.jsonl import read_json, write_json
from warmup_rl.report import narrative, page, tables
from warmup_rl.report.dashboard import publish
from warmup_rl.report.document import Block, Document, Picture, Section
from warmup_rl.report.evidence import contamination, registration
from warmup_rl.report.findings import Findings, compute
from warmup_rl.report.load import Run, load
from warmup_rl.report.models import STYLES, arm_styles, best_prompt
from warmup_rl.report.plots import KINDS, PLOTS, draw
from warmup_rl.report.summary import schema, summary


def report(run_folder: Path, *, again: bool = False, final: bool = False) -> Path:
    """Writes `report/` in a run's folder and prints the main tables. Returns the Markdown file.

    A report with measurements is not replaced by one without; a message says so. Processes that write at the same time
    do so one after the other.

    Args:
        again: of a run that goes on: nothing is done where another process is about to write it anyway.
        final: the run has come to its end, so that the report goes to its tracker too.

    Raises as `load`; nothing is written then.
    """
    with _turn(run_folder, give_up=again) as mine:
        return _written(run_folder, final) if mine else run_folder / "report" / "report.md"


@contextmanager
def _turn(run_folder: Path, give_up: bool) -> Iterator[bool]:
    """Waits until no other process writes the report. With `give_up`, yields False where another process waits already:
    it will read what this one would have read."""
    from filelock import FileLock, Timeout

    if not (run_folder / "recipe.yaml").is_file():
        yield True  # which is said where it is read
        return
    waiting, writing = (FileLock(run_folder / f".report-{name}.lock") for name in ("waiting", "writing"))
    try:
        waiting.acquire(timeout=0 if give_up else -1)
    except Timeout:
        yield False
        return
    with writing:
        waiting.release()
        yield True


def _written(run_folder: Path, final: bool) -> Path:
    from rich.markdown import Markdown

    found = compute(load(run_folder))
    folder = run_folder / "report"
    kept = folder / "summary.json"
    if not found.rows and kept.is_file() and read_json(kept).get("models"):
        print(f"This run has no measurements. {folder} shows an earlier state of it and is left unchanged.")
        return folder / "report.md"
    with TemporaryDirectory(prefix="report-", dir=run_folder) as part:
        draw(found, Path(part))
        document = compose(found, {path.stem for path in Path(part).iterdir()})
        write_json(Path(part, "summary.json"), summary(found))
        write_json(Path(part, "summary.schema.json"), schema())
        page.write(document, Path(part), found)
        written = {path.name for path in Path(part).iterdir()}
        folder.mkdir(exist_ok=True)
        for path in Path(part).iterdir():
            path.replace(folder / path.name)
    for name in {f"{name}.{kind}" for name in PLOTS for kind in KINDS} - written:
        (folder / name).unlink(missing_ok=True)
    if final:
        publish(found, document, folder)
    console = open_console()
    console.print(Markdown(document.markdown(brief=True)))
    console.print(f"The whole report: {folder / 'report.html'} (one file, to be mailed), {folder / 'report.md'}",
                  soft_wrap=True)  # fmt: skip
    console.print(
        f"The files that it reads were not checked; python -m warmup_rl verify {run_folder} does.", soft_wrap=True
    )
    return folder / "report.md"


def compose(found: Findings, pictures: Collection[str] = ()) -> Document:
    """The report's text; `pictures` are the names of the plots that were drawn."""
    run, rows = found.run, found.rows
    warnings = found.provenance.warnings
    verdict, thin = narrative.verdict(found), narrative.thin(found)

    def plots(*names: str) -> list[Block]:
        return [Picture(name, PLOTS[name]) for name in names if name in pictures]

    sections = [*_overview(found, plots), tables.claims_table(found.claims if run.compares else ())]
    sections[-1] = sections[-1].and_(narrative.LIMITS)
    sections.append(tables.reference_table(run, found.claims))
    sections.append(tables.courses_table(run, found.courses))
    sections += [tables.domains_table(found.domains), tables.instruments_table(found.instruments)]
    sections += [Section("Retention", plots("retention"))]
    sections += [tables.gains_table(found.gains), Section("Problem by problem", plots("problems"))]
    for domain in run.measured:
        by_group = tables.groups_table(run, rows, domain)
        sections.append(by_group.and_(*plots("people")) if domain in run.puzzles[:1] else by_group)
    sections += [tables.form_table(run, rows).and_(*plots("tokens")), tables.samples_table(found.samples)]
    sections += [tables.accuracy_table(run, rows, sampling) for sampling in run.samplings if sampling != run.headline]
    sections += [tables.costs_table(found.costs), tables.labels_table(found.labels), narrative.asked(run)]
    sections.append(Section("How it was made", (str(registration(run) or ""), _audits(run), str(found.provenance))))
    return Document(run.recipe.run_name, verdict, warnings, thin, [one for one in sections if any(one.blocks)])


def _overview(found: Findings, plots: Callable[..., list[Block]]) -> list[Section]:
    """What the console shows too: set-up, results in words, accuracy, curves and the arms of an ablation."""
    run = found.run
    arms, seeds = ", ".join(run.trials) or "none yet", ", ".join(map(str, run.seeds)) or "none yet"
    first: list[Block] = [f"Arms: {arms}. Seeds: {seeds}."]
    if run.unfinished:
        lines = "\n".join(f"- {line}" for line in run.unfinished)
        first += ["Not finished, so the numbers below are not final:", lines]
    words = "\n".join(f"- **{name}.** {text}" for name, text in narrative.sentences(found).items())
    says: list[Block] = [words, narrative.seeds_note(found) if run.compares else "", narrative.about(run)]
    styles = f"Prompt style: {own}, except where a row names another." if (own := _styles(run)) else ""
    best = best_prompt(run)
    picked = f"The base's best prompt, picked on validation problems: {best}." if best else ""
    notes = " ".join(filter(None, [styles, picked]))
    return [
        Section("", [*first, narrative.set_up(run)], True),
        Section("What this run shows", [*says, " ".join(contamination(run)), *plots("accuracy")], True),
        tables.accuracy_table(run, found.rows, run.headline, brief=True).and_(notes),
        Section("Training", plots("curve", "outcomes"), True),
        tables.ablation_table(run, found.outcomes).and_(*plots("ablation")),
    ]


def _audits(run: Run) -> str:
    """Where the pages are that show what cleaning did to each trace."""
    of = {stage.folder: f"{one.arm} {one.seed}" for one in run.every_trial for stage in one.stages}
    pages = {folder / "audit.html": name for folder, name in of.items() if (folder / "audit.html").is_file()}
    start = run.folder.resolve() / "report"
    links = ", ".join(f"[{name}]({os.path.relpath(page, start)})" for page, name in pages.items())
    return f"What cleaning did to each trace, by arm and seed: {links}." if links else ""


def _styles(run: Run) -> str:
    """The prompt style of each arm, with the number of seeds where they differ; one for all where they do not."""
    by_arm = {}
    for arm in run.trials:
        counts = Counter(STYLES.get(style, style) for style in arm_styles(run, arm).values())
        if counts:
            by_arm[arm] = " or ".join(f"{name} ({n} seeds)" if len(counts) > 1 else name for name, n in counts.items())
    if len(set(by_arm.values())) < 2:
        return next(iter(by_arm.values()), "")
    return "; ".join(f"{arm}: {style}" for arm, style in by_arm.items())
