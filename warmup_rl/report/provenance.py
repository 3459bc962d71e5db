"""What made the figures of a run: revisions, library versions and reused outputs of all its stages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from warmup_rl.report.load import Run
from warmup_rl.report.outputs import StageOutput

UNKNOWN = "not recorded"
DIRTY = "-dirty"


@dataclass(frozen=True)
class Provenance:
    """What the records of a run's finished stages say.

    Attributes:
        revisions: by git revision (`-dirty`: with uncommitted changes; without git the package's version), how many
            stages of each type it made.
        versions: by library, its versions.
        stale: `ARM, seed N: STAGE` of outputs made by code that has changed since, reused under `--reuse-stale`.
        warnings: what a reader must know before the figures.
    """

    revisions: dict[str, dict[str, int]]
    versions: dict[str, list[str]]
    stale: list[str]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """For summary.json."""
        return asdict(self)

    @property
    def line(self) -> str:
        """Revisions and versions in one sentence; empty where no stage is done."""
        libraries = ", ".join(f"{name} {' and '.join(found)}" for name, found in self.versions.items())
        revisions = ", ".join(self.revisions)
        return f"Made by revision {revisions}" + (f" with {libraries}." if libraries else ".") if revisions else ""


def provenance(run: Run) -> Provenance:
    """Reads the records of all finished stages, each output once."""
    made: dict[str, Counter[str]] = defaultdict(Counter)
    versions: dict[str, dict[str, None]] = {}
    for stage in {stage.folder: stage for _, stage in _stages(run)}.values():
        made[_revision(stage)][stage.type] += 1
        for name, version in stage.versions.items():
            if name not in ("git", "warmup_rl"):
                versions.setdefault(name, {})[version] = None
    revisions = {revision: dict(types) for revision, types in sorted(made.items())}
    libraries = {name: sorted(found) for name, found in versions.items()}
    stale = list(dict.fromkeys(f"{where}: {stage.id}" for where, stage in _stages(run) if stage.stale))
    return Provenance(revisions, libraries, stale, list(_warnings(revisions, libraries, stale)))


def _warnings(revisions: dict[str, dict[str, int]], versions: dict[str, list[str]], stale: list[str]) -> Iterator[str]:
    if len(revisions) > 1:
        made = "; ".join(
            f"{revision} ({', '.join(f'{count} {type}' for type, count in types.items())})"
            for revision, types in revisions.items()
        )
        yield f"The stages were made by {len(revisions)} revisions of the code: {made}."
    dirty = [revision for revision in revisions if revision.endswith(DIRTY)]
    if dirty:
        yield f"Stages were made with uncommitted changes, which no revision records: {', '.join(dirty)}."
    mixed = [f"{name} ({', '.join(found)})" for name, found in versions.items() if len(found) > 1]
    if mixed:
        yield f"The stages were made with several versions of {', '.join(mixed)}."
    if stale:
        yield f"Reused although the code that made them has changed since (--reuse-stale): {'; '.join(stale)}."


def _stages(run: Run) -> Iterator[tuple[str, StageOutput]]:
    for trial in run.every_trial:
        for one in (trial, *trial.folds.values()):
            yield from ((f"{one.arm}, seed {one.seed}", stage) for stage in one.stages)


def _revision(stage: StageOutput) -> str:
    package = stage.versions.get("warmup_rl")
    return stage.versions.get("git") or (f"warmup_rl {package}" if package else UNKNOWN)
