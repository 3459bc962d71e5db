"""`python -m warmup_rl verify RUN`: checks the files of a run and grades its completions with the current graders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from warmup_rl.base.console import counted
from warmup_rl.base.errors import DataError, RunError
from warmup_rl.base.jsonl import read_json, read_jsonl
from warmup_rl.base.types import Problem, Score, to_json, trace_from_json
from warmup_rl.cli.arguments import Arguments
from warmup_rl.data.datasets import file_digest
from warmup_rl.interfaces.domain import Answered, Domain, score_all
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.measurement import cells
from warmup_rl.recipe.load import load_recipe
from warmup_rl.run.cache import CacheEntry
from warmup_rl.run.provenance import (
    TrialRecord,
    claims_digest,
    missing_outputs,
    require_run_folder,
    trial_records,
)
from warmup_rl.run.trial import PlannedStage, Trial

_CHUNK = 512
_FIGURES = ("lenient", "strict", "well_formed")
Problems = Mapping[tuple[str, str], Problem]
"""By domain and id."""
Place = tuple[str, int, int | None]
"""Arm, seed and fold."""
Output = tuple[Place, str, CacheEntry]
"""A finished output: that of the stage with this id of a trial."""


@dataclass
class Regraded:
    """The result of grading one file of completions again.

    Attributes:
        rows, skipped: graded again; without a problem in the recipe, or with a grader error.
        changed, example: rows with another verdict or form than stored, and the first of them.
        figures: a line for each figure of the stage summary that would change.
    """

    rows: int = 0
    skipped: int = 0
    changed: int = 0
    example: str = ""
    figures: tuple[str, ...] = ()


def main(arguments: Sequence[str]) -> int:
    """Returns 1 where files are damaged, data files have changed, or figures would change. Raises `UserError` if it is
    not a run folder, or its recipe can no longer be loaded."""
    parser = Arguments("verify", "Checks the files of a run, and grades its stored completions again.")
    parser.add_argument("run", type=Path, help="folder of a run, such as outputs/kk-warmup")
    parser.add_argument("--files-only", action="store_true", help="check sizes and hashes, grade nothing again")
    given = parser.read(arguments)
    require_run_folder(given.run)
    records = trial_records(given.run)
    missing = missing_outputs(given.run, records)
    if missing:
        print(missing)
    outputs = list(_outputs(given.run, records))
    wrong = bool(missing)
    for line in (*_registered_otherwise(given.run), *_of_others(records)):
        wrong = True
        print(line)
    if outputs:
        wrong = _check_files(outputs) or wrong
    if not wrong:
        wrong = _check_data(outputs)
        wrong = (not given.files_only and _grade_again(given.run, outputs)) or wrong
    return 1 if wrong else 0


def _outputs(run: Path, records: Mapping[Path, TrialRecord]) -> Iterator[Output]:
    """The finished outputs of all trials, each once, with the first trial that uses it. Raises `RunError` if there is
    no trial."""
    if not records:
        raise RunError(f"{run}: no trial has begun (no ARM/seed-N/run.json).")
    seen: set[Path] = set()
    for path, record in records.items():
        for stage in record["stages"]:
            entry = CacheEntry((path.parent / stage["folder"]).resolve())
            if stage["done"] and entry.done and entry.folder not in seen:
                seen.add(entry.folder)
                yield (record["arm"], record["seed"], record.get("fold")), stage["id"], entry


def _registered_otherwise(run: Path) -> Iterator[str]:
    """A line if the claims that a run registered were edited."""
    registered = read_json(run / "run.json", delete=run).get("registered") or {}
    if registered and claims_digest(registered.get("claims") or {}) != registered.get("sha256"):
        yield f"{run / 'run.json'}: the registered claims do not match their SHA-256"


def _of_others(records: Mapping[Path, TrialRecord]) -> Iterator[str]:
    """A line for each finished stage of a trial whose output is not the recorded one."""
    for path, record in records.items():
        for stage in record["stages"]:
            entry = CacheEntry((path.parent / stage["folder"]).resolve())
            if stage["done"] and entry.done:
                with suppress(DataError):  # which is said with the file
                    made = entry.record()
                    if (made["key"], made.get("inputs")) != (stage["key"], stage["inputs"]):
                        yield f"{path}: {stage['id']}: {entry.folder} holds another output than was recorded"


def _check_files(outputs: Sequence[Output]) -> bool:
    """Compares all files with the stage records and prints the result; returns whether something is wrong."""
    count, size, damaged = 0, 0, False
    for _, name, entry in outputs:
        try:
            files = entry.record().get("files", {})
        except DataError as error:
            damaged = True
            print(f"{name}: {error}")
            continue
        count += len(files)
        size += sum(found["size"] for found in files.values())
        lines = entry.damage()
        for line in lines:
            print(f"{name}: {line}")
        if lines:
            damaged = True
            print(f"{name}: to make the output again, delete {entry.folder} and run the recipe")
    state = "DAMAGED" if damaged else "all intact"
    print(f"files: {count:,} in {counted(len(outputs), 'output')}, {size / 1e6:,.1f} MB; {state}")
    print("not checked: logs of trials, cards of models, and the report, which is made again from these files")
    return damaged


def _check_data(outputs: Iterable[Output]) -> bool:
    """Prints the data files that have changed since stages read them, with these; returns whether there are any."""
    readers: dict[tuple[str, str], list[str]] = {}
    for _, name, entry in outputs:
        for place in entry.record().get("data", {}).items():
            readers.setdefault(place, []).append(name)
    changed = False
    for (file, digest), names in readers.items():
        path = Path(file).expanduser()
        if not path.is_file() or file_digest(path) != digest:
            changed = True
            how = "was changed" if path.is_file() else f"is not there any more (looked from {Path.cwd()})"
            print(f"data: {file} {how} since it was read by {', '.join(dict.fromkeys(names))}")
    return changed


def _grade_again(run: Path, outputs: Iterable[Output]) -> bool:
    """Grades stored completions again and prints the differences; returns whether a figure would change."""
    recipe = load_recipe(str(run / "recipe.yaml"), [f"output_dir={run.resolve().parent}"])
    trials: dict[Place, Trial] = {}
    changes = False
    for place, stage, entry in outputs:
        trial = trials.setdefault(place, Trial(recipe, *place))
        planned = next((planned for planned in trial.stages if planned.stage.id == stage), None)
        if planned is None:
            continue
        record = entry.record()
        if record["key"] != planned.current:
            print(f"{trial.name}: {stage}: made by other code, library versions, data or inputs than are here")
        for file, found in _regrade(trial, planned, entry, record):
            differ = f"{found.changed:,} differ" if found.changed else "all the same"
            skipped = f", {found.skipped:,} cannot be graded here" if found.skipped else ""
            print(f"{trial.name}: {stage}: {file}: {found.rows:,} graded again, {differ}{skipped}")
            for line in (*([f"first: {found.example}"] if found.example else []), *found.figures):
                print(f"  {line}")
            changes = changes or bool(found.changed or found.figures)
    print("figures: " + ("some would change with today's graders" if changes else "none would change"))
    return changes


def _regrade(
    trial: Trial, planned: PlannedStage, entry: CacheEntry, record: Mapping[str, Any]
) -> Iterator[tuple[str, Regraded]]:
    """The result of grading each file of scored completions of a stage again."""
    named = ["rollouts.jsonl", "curve_completions.jsonl", "traces.jsonl"]
    named = ["completions.jsonl", *named] if "cells" in record.get("summary", {}) else named
    if not (files := [entry.folder / name for name in named if (entry.folder / name).is_file()]):
        return
    domains, _ = trial.recipe.seen_by(planned.stage, trial.fold)
    problems = _problems(trial, planned, entry)
    for file in files:
        found, rows = Regraded(), []
        for row, score in _scored(read_jsonl(file), domains, problems, trial.recipe.format):
            if score is None:
                found.skipped += 1
                rows.append(row)
                continue
            found.rows += 1
            new = to_json(score)
            if any(row["score"][key] != new[key] for key in ("verdict", "well_formed")):
                found.changed += 1
                found.example = found.example or _example(row, new)
            rows.append({**row, "score": new})
        if file.name == "completions.jsonl":
            found.figures = tuple(_changed_figures(record.get("summary", {})["cells"], rows))
        yield file.name, found


def _problems(trial: Trial, planned: PlannedStage, entry: CacheEntry) -> Problems:
    """The problems that a stage asks for, and those stored beside its traces."""
    requests = trial.recipe.asked_by(planned.stage, *trial.place)
    drawn = [problem for asked in requests for problem in asked.problems()]
    beside = entry.folder / "problems.jsonl"
    stored = [Problem(**row) for row in read_jsonl(beside)] if beside.is_file() else []
    return {(problem.domain, problem.id): problem for problem in (*stored, *drawn)}


def _scored(
    rows: Iterable[dict[str, Any]], domains: Mapping[str, Domain], problems: Problems, response_format: ResponseFormat
) -> Iterator[tuple[dict[str, Any], Score | None]]:
    """Each row with its score by the current grader, or None if it cannot be graded."""
    for prompt, mine in groupby(rows, key=lambda row: row.get("prompt")):
        form = response_format if prompt is None else response_format.under(prompt)
        while chunk := list(islice(mine, _CHUNK)):
            known = [row for row in chunk if row["score"] and (row["domain"], row["problem_id"]) in problems]
            items = []
            for row in known:
                domain, problem = domains[row["domain"]], problems[row["domain"], row["problem_id"]]
                items.append(Answered(domain, problem, _text(row, form), bool(row.get("truncated"))))
            scores = {id(row): score for row, score in zip(known, score_all(items, form), strict=True)}
            for row in chunk:
                score = scores.get(id(row))
                yield row, score if isinstance(score, Score) else None


def _text(row: dict[str, Any], response_format: ResponseFormat) -> str:
    if "text" in row:
        return str(row["text"])
    trace = trace_from_json(row)
    return response_format.render(thinking=trace.thinking, answer=trace.answer)


def _example(row: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    def summary(score: Mapping[str, Any]) -> str:
        return f"{score['verdict']}{'' if score['well_formed'] else ', not well formed'}"

    return f"{row['domain']} {row['problem_id']}: {summary(row['score'])} → {summary(new)} ({new['extracted']!r})"


def _changed_figures(stored: Sequence[Mapping[str, Any]], rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A line for each figure of an evaluation that its own completions, graded today, do not give."""
    place = ("split", "prompt", "sampling", "domain")
    today = {tuple(cell[key] for key in place): cell for cell in map(asdict, cells(rows))}
    for cell in stored:
        new = today.get(tuple(cell[key] for key in place))
        name = "{domain}, {split}, prompt {prompt}, {sampling}".format(**cell)
        if new is None:
            yield f"{name}: its completions are missing"
            continue
        changed = [f"{key} {cell[key]:.3f} → {new[key]:.3f}" for key in _FIGURES if abs(cell[key] - new[key]) > 1e-9]
        if changed:
            yield f"{name}: {', '.join(changed)}"
