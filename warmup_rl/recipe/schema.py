"""The keys of a recipe as a pydantic model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from warmup_rl.base.config import Config, is_runtime_only
from warmup_rl.base.errors import DataError, UserError, first_line
from warmup_rl.base.jsonl import read_text
from warmup_rl.base.untrusted import parse_yaml
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import Plugin, name_of, plugin_field, suggestion
from warmup_rl.interfaces.stage import Stage, Tracker
from warmup_rl.recipe.leaks import StageRequest

CACHE_FOLDER = "cache"
"""Folder of stage outputs under `output_dir`."""


def _free(*taken: str) -> AfterValidator:
    """Refuses names of files and folders that something else writes to, whatever the letter case."""

    def check(name: str) -> str:
        if name.lower() in taken:
            raise ValueError(f"{name!r} is the name of a folder or file that every run has. Choose another.")
        return name

    return AfterValidator(check)


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
RunName = Annotated[Name, _free(CACHE_FOLDER, "contamination")]
ArmName = Annotated[Name, _free("report", "recipe.yaml", "run.json", "wandb", "tensorboard")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what numpy takes
Source = Literal["world", "examples", "sft", "rlvr", "eval"]
SOURCES: Mapping[str, Source] = {
    "pretraining": "world", "traces": "examples", "warmup": "sft", "target": "rlvr", "evaluation": "eval",
}  # fmt: skip
"""What the seed of a stage varies, by the stage's role; of other stages, their examples."""
LAST_FOLD = "last"
"""Name, on the command line, of the model that is trained on all rows of a domain with folds."""


class Arm(Config):
    """One side of a comparison: the recipe's stages, some left out, some keys replaced."""

    leave_out: list[str] = []
    """Ids of stages that this arm does not have."""
    set: dict[str, Any] = {}
    """Keys replaced in this arm, by address relative to the stages: `rlvr.reward`, `sft.args.learning_rate`."""
    format: ResponseFormat | None = None
    """The arm's own format of completions, so that a base model may train under the prompt that it does best with."""


class TrackingSettings(Config):
    """Live metrics in addition to the files; `tracking: wandb` is short for `tracking: {to: wandb}`."""

    to: Tracker = "wandb"
    """Tracker: wandb (one W&B run an arm and seed), trackio, tensorboard, or none. None of them needs an account."""
    project: str = Field(default="warmup-rl", min_length=1)
    """Project of W&B or Trackio; in W&B the run's name is the group of its arms and seeds."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        return {"to": given or "none"} if given is None or isinstance(given, str) else given


class ClaimSettings(Config):
    """What the report's claims compare; fixed before a run."""

    warmup: str = "warmup"
    """The arm with both stages."""
    base: str = "base"
    """The arm without warmup."""
    format_only: str = "format_only"
    """The control arm without warmup whose RLVR rewards the format only, whether the answer is right or wrong."""
    step: int | None = Field(default=None, gt=0)
    """RLVR step at which arms are compared; default: the last one."""
    threshold: float = Field(default=0.6, gt=0, lt=1)
    """Held-out accuracy that sample efficiency is measured to. The base must start below it; a warmup that starts above
    it counts as 0 steps."""


class ReferenceFigure(Config):
    """A published figure: the accuracy of an arm on a domain, or the difference of a claim."""

    value: float = Field(ge=-1, le=1)
    """As a share of 1, also for differences in points."""
    source: str = Field(min_length=1)
    """Where it stands, and what was derived."""
    arm: str | None = None
    """Arm whose model it is beside."""
    trained: bool = False
    """Whether it is of the model after the target stage (RLVR)."""
    domain: str | None = None
    """Domain of the accuracy."""
    claim: str | None = None
    """Id of a claim of the report such as `end.steps.target`, in place of `arm` and `domain`."""

    @model_validator(mode="after")
    def _of_one_thing(self) -> ReferenceFigure:
        if (self.claim is None) == (self.arm is None or self.domain is None):
            raise ValueError("give `arm` and `domain`, or `claim`")
        return self


class ReferenceSettings(Config):
    """Published figures that the report shows as targets; they decide nothing."""

    model: str = Field(min_length=1)
    """The model and the work that the figures are of, e.g. `Qwen2.5-3B, arXiv 2505.13718`."""
    figures: list[ReferenceFigure] = Field(min_length=1)
    """One row each."""


class RecipeRecord(Config):
    """The keys of a recipe, with domains and stages as a run folder's `recipe.yaml` has them.

    Its plug-ins are not loaded, since their files may be gone by the time a report is made.
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {"wandb": "tracking"}

    run_name: RunName
    """Name of the run's folder under `output_dir`."""
    seeds: list[Seed] = Field(default=[0], min_length=1)
    """A whole run for each: the seed varies base model, traces, prompts and sampling, never the evaluation problems."""
    vary: list[Source] = Field(default=list(get_args(Source)), min_length=1)
    """What a seed varies: the pretrained `world`, the `examples` (puzzles, traces, RLVR problems), the order of `sft`,
    the sampling of `rlvr`, that of `eval`. All else is as under the first of `seeds`."""
    output_dir: Path = Path("outputs")
    """Folder for runs, and for the cache of stage outputs that runs share."""
    model: str | None = Field(default=None, min_length=1)
    """Hub id or folder of the model to start from; left out if the first stage is `pretrain`."""
    model_revision: str | None = None
    """Branch, tag or commit of a hub model."""
    format: ResponseFormat = ResponseFormat()
    """How completions are laid out; one for teacher, reward and evaluation."""
    domains: dict[Name, Any] = Field(min_length=1)
    evaluation: EvaluationSettings = EvaluationSettings()
    """How models are measured, everywhere in the recipe."""
    arms: dict[ArmName, Arm] = Field(default={"main": Arm()}, min_length=1)
    """Sides of a comparison; stages that two arms share run once."""
    stages: list[Any] = Field(min_length=1)
    tracking: TrackingSettings = TrackingSettings(to="none")
    """Live metrics: wandb, trackio, tensorboard or none; by default nothing leaves the machine."""
    claims: ClaimSettings = ClaimSettings()
    """What the report's claims compare."""
    reference: ReferenceSettings | None = None
    """Published figures, which the report shows beside ours as those of another run."""

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("each seed once")
        return seeds


class Recipe(RecipeRecord):
    """A checked recipe: what is trained on what, and how it is measured. Made by `load_recipe`."""

    _arm_stages: dict[str, tuple[Stage, ...]] = PrivateAttr(default_factory=dict)

    domains: dict[Name, Annotated[Domain, plugin_field("domain")]] = Field(min_length=1)
    """Families of problems by name, each with its plug-in's keys and `type` (default: the name itself)."""
    stages: list[Annotated[Stage, plugin_field("stage")]] = Field(min_length=1)
    """The stages in order: a stage's type, or a mapping with `type`, its keys, and an `id` where types repeat."""

    def seed_of(self, source: Source, seed: int) -> int:
        """The seed that something is drawn with in the trials of a seed."""
        return seed if source in self.vary else self.seeds[0]

    @property
    def folded(self) -> str | None:
        """Name of the domain that the run cross-validates on."""
        return next((name for name, domain in self.domains.items() if domain.fold_count), None)

    @property
    def folds(self) -> tuple[int | None, ...]:
        """The folds that each arm and seed runs, then None for training on all rows; only None without folds."""
        folds = self.domains[self.folded].fold_count if self.folded else 0
        return (*range(folds), None)

    def format_of(self, arm: str) -> ResponseFormat:
        """The format of an arm's completions with its instruction written out; `think` may still be `auto`."""
        terse = any(domain.is_terse for domain in self.domains.values())
        return (self.arms[arm].format or self.format).asks(terse=terse)

    def seen_by(self, stage: Stage, fold: int | None) -> tuple[Mapping[str, Domain], EvaluationSettings]:
        """The domains and the evaluation as a stage sees them in a fold.

        A fold measures only the domain that has folds; the last model (None), trained on all of it, measures the
        others. Stages that do not use that domain are the same in all folds, and run once.
        """
        evaluation, name = self.evaluation, self.folded
        if name is None or stage.all_folds or name not in stage.domains_used(evaluation, self.domains):
            return self.domains, evaluation
        if fold is not None:
            part = self.domains[name].model_copy(update={"fold": fold})
            return {**self.domains, name: part}, evaluation.model_copy(update={"domains": [name]})
        others = [other for other in evaluation.measured(self.domains) if other != name]
        return self.domains, evaluation.model_copy(update={"domains": others, "every": 0})

    def stages_of(self, arm: str, fold: int | None = None) -> tuple[Stage, ...]:
        """The stages of an arm that do anything in a fold. Raises `UserError` as `arm` does."""

        def idle(stage: Stage) -> bool:
            domains, evaluation = self.seen_by(stage, fold)
            return stage.measures and not stage.outputs and not evaluation.measured(domains)

        return tuple(stage for stage in self.arm(arm) if not idle(stage))

    def asked(self, arm: str, seed: int, fold: int | None = None) -> list[list[StageRequest]]:
        """The problems that each stage asks for, in order."""
        return [self.asked_by(stage, arm, seed, fold) for stage in self.stages_of(arm, fold)]

    def asked_by(self, stage: Stage, arm: str, seed: int, fold: int | None = None) -> list[StageRequest]:
        """The problems that a stage asks for."""
        domains, evaluation = self.seen_by(stage, fold)
        name, own = trial_name(arm, seed, fold), self.seed_of("examples", seed)
        return [
            StageRequest(name, stage.id, draw, domains[draw.domain], own if draw.seed is None else draw.seed)
            for draw in stage.data_requests(evaluation, domains)
        ]

    def arm(self, name: str) -> tuple[Stage, ...]:
        """The stages of an arm in order. Raises `UserError` for an arm that the recipe does not have."""
        if name not in self.arms:
            raise UserError(f"no arm {name!r}.{suggestion(name, self.arms)} Arms: {', '.join(self.arms)}.")
        return self._arm_stages[name]

    def with_arms(self, stages: Mapping[str, Sequence[Stage]]) -> Recipe:
        """The recipe with the stages of each arm, which `load_recipe` built and checked."""
        recipe = self.model_copy()
        recipe._arm_stages = {name: tuple(own) for name, own in stages.items()}
        return recipe

    def resolved(self) -> dict[str, Any]:
        """The recipe with every default written out, as JSON values; it loads again to an equal recipe."""
        return {**dump(self), "stages": [stage_row(stage) for stage in self.stages]}


def read_recipe_record(path: Path) -> RecipeRecord:
    """The resolved recipe of a run folder. Raises `DataError` if the file is not one of this version."""
    try:
        given = parse_yaml(read_text(path))
        if isinstance(given, dict):
            given.pop("wandb", None)  # of earlier versions; it decides nothing that a report shows
        return RecipeRecord.model_validate(given)
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not YAML ({first_line(error)}). Run the recipe again to rewrite it.") from None
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise DataError(
            f"{path}: not a resolved recipe ({'; '.join(faults)}). Run the recipe again to rewrite it."
        ) from None


def trial_name(arm: str, seed: int, fold: int | None = None) -> str:
    """Name of an arm with a seed, and maybe a fold, in messages."""
    return f"{arm}, seed {seed}" + ("" if fold is None else f", fold {fold}")


def stage_row(stage: Stage) -> dict[str, Any]:
    """A stage as it is in a resolved recipe: `type`, `id` and all keys."""
    row = dump(stage)
    return {"type": row.pop("type"), "id": stage.id, **row}


def dump(value: Any, *, runtime_only: bool = True) -> Any:
    """JSON values for a config, plug-ins inside it with their `type`; cache keys are hashes of it.

    A stage's id and a domain's name, which do not affect outputs, are left out, other fields that do not only without
    `runtime_only` (see `warmup_rl.base.config.runtime_only`).
    """
    if isinstance(value, BaseModel):
        kept = {
            name: dump(getattr(value, name), runtime_only=runtime_only)
            for name, field in type(value).model_fields.items()
            if not field.exclude and (runtime_only or not is_runtime_only(field))
        }
        return {"type": name_of(type(value)), **kept} if isinstance(value, Plugin) else kept
    if isinstance(value, Mapping):
        return {str(key): dump(inside, runtime_only=runtime_only) for key, inside in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(dump(inside, runtime_only=runtime_only) for inside in value)
    if isinstance(value, list | tuple):
        return [dump(inside, runtime_only=runtime_only) for inside in value]
    return str(value) if isinstance(value, Path) else value
