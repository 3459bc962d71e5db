"""A trial: one arm with one seed, its stages with the keys of their outputs, and what of them is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from warmup_rl.base.jsonl import read_json
from warmup_rl.interfaces.format import STYLES, ResponseFormat
from warmup_rl.interfaces.measurement import best_style
from warmup_rl.interfaces.plugins import data_digests, data_files
from warmup_rl.interfaces.stage import Stage
from warmup_rl.recipe.schema import CACHE_FOLDER, SOURCES, Recipe, dump, trial_name
from warmup_rl.run.cache import CacheEntry, key_of, model_key, stale_key
from warmup_rl.run.code_digest import code_digest
from warmup_rl.run.provenance import addresses


@dataclass(frozen=True)
class PlannedStage:
    """A stage of one arm and seed, with the key of its output and of what it reads.

    Attributes:
        key: `SETTINGS-CODE`: hashes of the stage's settings and inputs, and of its code and its endpoints' addresses.
        current: the key with what is current of these; differs from `key` only if an older output is reused.
        inputs: keys of the artifacts that the stage reads, by kind.
        data: digests of the data files that the stage and its domains name, by path.
    """

    number: int
    stage: Stage
    key: str
    current: str
    inputs: Mapping[str, str]
    data: Mapping[str, str]

    @property
    def stale(self) -> bool:
        """Whether the output was made by older code or another endpoint (only under `--reuse-stale`)."""
        return self.key != self.current

    @property
    def name(self) -> str:
        return f"{self.number:02d}-{self.stage.id}"


@dataclass(frozen=True)
class Trial:
    """One arm with one seed, the unit that runs independently; with cross-validation, one fold or the last model.

    Attributes:
        fold: None for the last model, which is trained on all rows, and without cross-validation.
        reuse_stale: reuse finished outputs with equal settings and inputs although the code or an endpoint has changed.
    """

    recipe: Recipe
    arm: str
    seed: int
    fold: int | None = None
    reuse_stale: bool = False

    @property
    def run_folder(self) -> Path:
        return Path(self.recipe.output_dir) / self.recipe.run_name

    @property
    def folder(self) -> Path:
        folder = self.run_folder / self.arm / f"seed-{self.seed}"
        return folder if self.fold is None else folder / f"fold-{self.fold}"

    @property
    def place(self) -> tuple[str, int, int | None]:
        """Arm, seed and fold."""
        return self.arm, self.seed, self.fold

    @property
    def name(self) -> str:
        return trial_name(*self.place)

    def seed_of(self, stage: Stage) -> int:
        """The seed of what a stage draws, its problems aside."""
        return self.recipe.seed_of(SOURCES.get(stage.role, "examples"), self.seed)

    @cached_property
    def stages(self) -> tuple[PlannedStage, ...]:
        """The stages of the arm with their keys, known before anything runs."""
        recipe = self.recipe
        given: dict[str, str] = {"model": model_key(recipe.model, recipe.model_revision)} if recipe.model else {}
        stages: list[PlannedStage] = []
        judged = ""
        for number, stage in enumerate(recipe.stages_of(self.arm, self.fold), start=1):
            inputs: dict[str, str] = {kind: given[kind] for kind in sorted(stage.required_inputs())}
            current, data = self._key(stage, inputs, judged)
            key = stale_key(self._cache, stage.type, current) if self.reuse_stale else current
            planned = PlannedStage(number, stage, key, current, inputs, data)
            given |= {kind: planned.key for kind in stage.outputs}
            stages.append(planned)
            if not judged and stage.compared_styles():
                judged = key
        return tuple(stages)

    def _key(self, stage: Stage, inputs: Mapping[str, str], judged: str) -> tuple[str, dict[str, str]]:
        """The key of a stage's output: what decides it, as a hash; and the digests of the data files in it. `judged` is
        the key of the evaluation before it that decides a prompt style `auto`."""
        wanted = self.recipe.format_of(self.arm)
        domains, evaluation = self.recipe.seen_by(stage, self.fold)
        used = {name: domains[name] for name in sorted(stage.domains_used(evaluation, domains))}
        own = self.seed_of(stage)
        examples = self.recipe.seed_of("examples", self.seed) if used else own
        data = data_files([stage, *used.values()])
        settings = key_of(
            {
                "type": stage.type,
                "config": dump(stage, runtime_only=False),
                "inputs": dict(inputs),
                "seed": own if own == examples else [own, examples],
                "domains": {name: dump(domain, runtime_only=False) for name, domain in used.items()},
                "data": [data, data_digests([stage, *used.values()])],
                "format": [stage.format_settings(wanted), judged if wanted.think == "auto" else ""],
                "evaluation": dump(evaluation) if stage.reads_evaluation() else None,
            }
        )
        made_by = code_digest([stage, *used.values()], stage.code())
        places = list(addresses(dump(stage)))
        if places:  # equal names at two addresses may be two models
            made_by = key_of([made_by, places])[: len(made_by)]
        return f"{settings}-{made_by}", data

    def chosen(self, only: str | None = None, until: str | None = None) -> tuple[PlannedStage, ...]:
        """The stages to run: all, `only` one, or those up to and including `until`; none where the arm has no such."""
        wanted = only or until
        if wanted is None:
            return self.stages
        named = [planned for planned in self.stages if planned.stage.id == wanted]
        return tuple(named) if only or not named else self.stages[: named[0].number]

    @property
    def format(self) -> ResponseFormat:
        """How the arm's completions are laid out; `auto` until the evaluation that decides it is done."""
        wanted = self.recipe.format_of(self.arm)
        judge = next((planned for planned in self.stages if planned.stage.compared_styles()), None)
        if wanted.think != "auto" or judge is None or not self.entry(judge).done:
            return wanted
        styles = [style for style in STYLES if style in judge.stage.compared_styles()]
        return wanted.under(best_style(self.entry(judge).cells(), styles))

    @property
    def _cache(self) -> Path:
        return Path(self.recipe.output_dir) / CACHE_FOLDER

    def entry(self, planned: PlannedStage) -> CacheEntry:
        return CacheEntry(self._cache / f"{planned.stage.type}-{planned.key}")

    @property
    def done(self) -> bool:
        return all(self.entry(planned).done for planned in self.stages)

    @property
    def finished(self) -> bool:
        """Whether all is done and linked into the trial's folder; what is done may have been made by other runs."""
        path = self.folder / "run.json"
        if not self.done or not path.is_file():
            return False
        record = read_json(path, delete=self.folder)
        linked = [(stage["key"], stage.get("stale", False)) for stage in record["stages"]]
        return record["state"] == "finished" and linked == [(planned.key, planned.stale) for planned in self.stages]

    @cached_property
    def outdated(self) -> set[str]:
        """Ids of stages of which there is an output with equal settings by code or an endpoint that has changed since,
        in the stage or in one before it: it is made anew, or reused under `--reuse-stale`."""
        older = replace(self, reuse_stale=True)
        return {
            before.stage.id
            for before, now in zip(older.stages, self.stages, strict=True)
            if before.stale or (older.entry(before).done and not self.entry(now).done)
        }

    def moved(self) -> Iterator[str]:
        """A line for each stage of which there is only an output that was made with another endpoint's address."""
        for planned in replace(self, reuse_stale=True).stages:
            entry = self.entry(planned)
            before = dict(addresses(entry.record()["config"])) if entry.done else {}
            for place, address in addresses(dump(planned.stage)):
                if before.get(place, address) != address:
                    again = "it is reused" if self.reuse_stale else "it is made again (--reuse-stale reuses it)"
                    yield f"{planned.stage.id}: made with {place} {before[place]}, not {address}: {again}."
