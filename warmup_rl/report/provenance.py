"""What made the figures of a run: revisions, library versions and reused outputs of all its stages."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from warmup_rl.report.load import Run


@dataclass(frozen=True)
class Provenance:
    """What the records of a run's finished stages say.

    Attributes:
        revisions: by git revision (`...-dirty` with uncommitted changes), how many stages of each type it made.
        versions: by library, its versions; without a git revision the package's own counts as the revision.
        stale: `ARM, seed N: STAGE` of outputs that were reused though the code that made them has changed since.
        warnings: what a reader must know before the figures.
    """

    revisions: dict[str, dict[str, int]]
    versions: dict[str, list[str]]
    stale: list[str]
    warnings: list[str]

    def __str__(self) -> str:
        libraries = ", ".join(f"{name} {' and '.join(found)}" for name, found in self.versions.items())
        made = f"Made by revision {', '.join(self.revisions)} with {libraries}. " if self.revisions else ""
        return f"{made}The recipe is `recipe.yaml` beside this folder."


def provenance(run: Run) -> Provenance:
    """Reads the records of all finished stages, each output once."""
    trials = [one for trial in run.every_trial for one in (trial, *trial.folds.values())]
    outputs = {stage.folder: stage for trial in trials for stage in trial.stages}
    made: dict[str, Counter[str]] = defaultdict(Counter)
    libraries: dict[str, set[str]] = defaultdict(set)
    for stage in outputs.values():
        versions = dict(stage.versions)
        package = versions.pop("warmup_rl", "not recorded")
        made[versions.pop("git", package)][stage.type] += 1
        for name, version in versions.items():
            libraries[name].add(version)
    stale = dict.fromkeys(f"{t.arm}, seed {t.seed}: {stage.id}" for t in trials for stage in t.stages if stage.stale)
    revisions = {revision: dict(types) for revision, types in sorted(made.items())}
    listed = [f"{one} ({', '.join(f'{count} {type}' for type, count in of.items())})" for one, of in revisions.items()]
    mixed = [f"{name} ({', '.join(sorted(found))})" for name, found in libraries.items() if len(found) > 1]
    dirty = [revision for revision in revisions if revision.endswith("-dirty")]
    warnings: dict[str, Any] = {
        f"The stages were made by {len(revisions)} revisions of the code: {'; '.join(listed)}.": len(revisions) > 1,
        f"Made with uncommitted changes, which no revision records: {', '.join(dirty)}.": dirty,
        f"The stages were made with several versions of {', '.join(mixed)}.": mixed,
        f"Reused though the code that made them has changed since (--reuse-stale): {'; '.join(stale)}.": stale,
    }
    every = {name: sorted(found) for name, found in libraries.items()}
    return Provenance(revisions, every, list(stale), [text for text, holds in warnings.items() if holds])
