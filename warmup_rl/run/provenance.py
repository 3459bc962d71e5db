"""Ownership of run folders, leaks before a run, and the versions that made its results."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NotRequired

import yaml
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from warmup_rl import __version__
from warmup_rl.base.console import counted
from warmup_rl.base.errors import DataError, RunError
from warmup_rl.base.jsonl import json_line, read_json, write_json
from warmup_rl.base.untrusted import shaped
from warmup_rl.interfaces.plugins import data_digests, data_files
from warmup_rl.recipe.leaks import leaks, refuse
from warmup_rl.recipe.schema import Recipe, trial_name
from warmup_rl.run.cache import POLL_SECONDS, CacheEntry, keep_note, note_of
from warmup_rl.run.code_digest import LIBRARIES, code_digest, installed_version
from warmup_rl.run.launch_env import launch_id

LISTED = 10
"""Maximum number of missing outputs in a message."""


@with_config(ConfigDict(extra="allow"))
class StageEntry(TypedDict):
    """A stage in the record of a trial; `folder` is relative to that of the trial."""

    id: str
    role: str
    key: str
    folder: str
    outputs: list[str]
    inputs: dict[str, str]
    done: bool
    stale: NotRequired[bool]


@with_config(ConfigDict(extra="allow"))
class TrialRecord(TypedDict):
    """What `run.json` of a trial holds."""

    arm: str
    seed: int
    fold: NotRequired[int]
    style: str
    state: str
    reason: NotRequired[str]
    stages: list[StageEntry]


def refuse_leaks(recipe: Recipe, places: Iterable[tuple[str, int, int | None]]) -> None:
    """Raises `RunError` where a trial, given as arm, seed and fold, evaluates on problems that it trains on.

    Drawing all problems takes seconds. Trials without leaks are noted in the cache, and drawn again if their requests,
    the data, or the code of domains and comparison has changed since.
    """
    domains = list(recipe.domains.values())
    code = code_digest(domains, (f"{leaks.__module__}:{leaks.__name__}",))
    read = [code, data_files(domains), data_digests(domains)]
    unknown = {}
    for place in places:
        asked = recipe.asked(*place)
        wanted = [[(one.draw.used_for, *map(str, one.what)) for one in stage] for stage in asked]
        note = note_of(recipe.output_dir, "no-leaks", read, wanted)
        if not note.is_file():
            unknown[note] = asked
    refuse(leaks(unknown.values()))
    for note in unknown:
        keep_note(note, {})


def claim_run_folder(recipe: Recipe, seeds: Iterable[int] = ()) -> None:
    """Claims the run folder for this recipe and, beside its own seeds, those that the command asks for. Raises
    `RunError`, with nothing changed, if it holds other files, or finished trials of a different recipe."""
    folder = Path(recipe.output_dir) / recipe.run_name
    record, mine = folder / "run.json", recipe.resolved()
    try:
        if record.is_file():
            differing = differences(read_json(record, delete=folder)["recipe"], mine)
            if differing and any(trial["state"] == "finished" for trial in trial_records(folder).values()):
                raise RunError(
                    f"{folder} was made by a recipe that differs in: {', '.join(differing)}. Choose another run_name "
                    f"(finished stages with equal settings are reused), or delete {folder}."
                )
        elif folder.exists() and any(folder.iterdir()):
            raise RunError(f"{folder} is not empty and not a run folder. Choose another run_name or output_dir.")
        folder.mkdir(parents=True, exist_ok=True)
        kinds = {
            "public": [name for name, domain in recipe.domains.items() if domain.public],
            "for_warmup": [name for name, domain in recipe.domains.items() if domain.for_warmup],
        }
        failed = [
            trial_name(trial["arm"], trial["seed"], trial.get("fold"))
            for trial in trial_records(folder).values()
            if trial["state"] == "failed"
        ]
        found = {"recipe": mine, **kinds, "versions": versions(), "launch": launch_id(), "failed": failed}
        found["registered"] = _registered(record, mine, seeds)
        write_json(record, found)
        (folder / "recipe.yaml").write_text(yaml.safe_dump(mine, sort_keys=False, allow_unicode=True), encoding="utf-8")
    except OSError as error:
        raise RunError(f"output_dir: {error.filename or folder} cannot be written ({error.strerror}).") from None


def claims_digest(claims: Mapping[str, Any]) -> str:
    """SHA-256 of what the report's claims compare."""
    return hashlib.sha256(json_line(dict(sorted(claims.items())))).hexdigest()


def _registered(record: Path, recipe: Mapping[str, Any], seeds: Iterable[int]) -> dict[str, Any]:
    """The claims and seeds as fixed before the first stage ran: those of the first start of this recipe."""
    old = read_json(record, delete=record.parent) if record.is_file() else {}
    if "registered" in old and not differences(old["recipe"], recipe):
        return dict(old["registered"])
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": versions().get("git", ""),
        "claims": recipe["claims"],
        "seeds": sorted({*recipe["seeds"], *seeds}),
        "sha256": claims_digest(recipe["claims"]),
    }


def await_claim(recipe: Recipe) -> None:
    """For ranks other than the main one: returns when the main one of this launch has claimed the run folder."""
    record = Path(recipe.output_dir) / recipe.run_name / "run.json"
    while not record.is_file() or read_json(record).get("launch") != launch_id():
        time.sleep(POLL_SECONDS)


def failed_before(run_folder: Path) -> list[str]:
    """Names of the trials that had failed when this run was claimed; the same for all ranks."""
    record = run_folder / "run.json"
    return list(read_json(record).get("failed", ())) if record.is_file() else []


@cache
def versions() -> Mapping[str, str]:
    """Versions of this package and its training libraries, and the git revision if run from a checkout; read once."""
    libraries = (*LIBRARIES.values(), "datasets")
    found = {"warmup_rl": __version__, **{name: installed_version(name) for name in libraries}}
    revision = _git_revision()
    return {**found, "git": revision} if revision else found


def trial_records(run_folder: Path) -> dict[Path, TrialRecord]:
    """The records of a run's trials, those of folds included, by their file `run.json`. Raises `DataError`, also where
    one lies in the folder of another trial."""
    paths = [*run_folder.glob("*/seed-*/run.json"), *run_folder.glob("*/seed-*/fold-*/run.json")]
    found: dict[Path, TrialRecord] = {}
    for path in sorted(paths):
        record = shaped(TrialRecord, read_json(path, delete=path.parent), path, "Run the recipe again to rewrite it.")
        mine = record["arm"], f"seed-{record['seed']}"
        if path.relative_to(run_folder).parts[:2] != mine:
            raise DataError(f"{path} is the record of {'/'.join(mine)}. Move the folder there, or out of the run.")
        found[path] = record
    return found


def require_run_folder(folder: Path) -> None:
    """Raises `RunError` if a folder is not that of a run."""
    for name in ("recipe.yaml", "run.json"):
        if not (folder / name).is_file():
            raise RunError(f"{folder}: not a run folder (no {name}). Give the folder of a run: outputs/RUN_NAME.")


def missing_outputs(run_folder: Path, records: Mapping[Path, TrialRecord]) -> str:
    """What to do about outputs of stages that are recorded as done and not there; empty where all are."""
    folders = [
        (f"{path.parent.relative_to(run_folder)}: {stage['id']}", (path.parent / stage["folder"]).resolve())
        for path, record in records.items()
        for stage in record["stages"]
        if stage["done"]
    ]
    missing = [f"\n  {name} ({folder})" for name, folder in folders if not CacheEntry(folder).done]
    if not missing:
        return ""
    more = f"\n  and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
    return (
        f"{run_folder}: outputs of {counted(len(missing), 'finished stage')} are missing:"
        f"{''.join(missing[:LISTED])}{more}\n"
        "A run folder refers to the cache beside it: if it was moved or copied, move the whole output folder "
        "(outputs/ with its cache/). If outputs were deleted, run the recipe again."
    )


def differences(old: Any, new: Any, place: str = "") -> list[str]:
    """Addresses at which two resolved recipes differ, without keys that do not affect results."""
    if place in ("seeds", "output_dir", "tracking", "wandb", "claims", "reference"):
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        join = f"{place}." if place else ""
        return [d for key in keys for d in differences(old.get(key), new.get(key), f"{join}{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [d for i, (a, b) in enumerate(zip(old, new, strict=True)) for d in differences(a, b, f"{place}.{i}")]
    return [] if old == new else [place]


def _git_revision() -> str:
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def addresses(config: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Addresses of endpoints in the settings of a stage, by key."""
    if isinstance(config, dict):
        for key, value in config.items():
            here = f"{place}.{key}" if place else str(key)
            if key == "base_url":
                yield here, value
            yield from addresses(value, here)
    elif isinstance(config, list):
        for number, value in enumerate(config):
            yield from addresses(value, f"{place}.{number}")
