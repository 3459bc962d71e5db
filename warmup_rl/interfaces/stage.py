"""The interface of stages: configs that turn artifacts (a model folder, a traces file) into new ones, as files."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from warmup_rl.base.errors import UserError
from warmup_rl.base.types import Problem, Split
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import Kind, Plugin

Distribution = Literal["single", "ddp", "zero0", "zero1", "zero2", "zero3"]
Tracker = Literal["wandb", "trackio", "tensorboard", "none"]
SCRATCH = "trainer"
"""Folder for what a stage needs only until its output is finished, such as checkpoints; deleted then."""
Use = Literal["training", "examples", "choice", "curve", "measurement"]
"""Use of labelled problems: training, solved examples in a prompt, choice of a prompt or model, curve, measurement."""


@dataclass(frozen=True)
class LaunchEnv:
    """This process among those of the launch."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    distribution: Distribution = "single"
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def is_main(self) -> bool:
        return self.rank == 0


@dataclass(frozen=True)
class Tracking:
    """Where live metrics go in addition to files.

    Attributes:
        to: the tracker; the run of W&B, which is one of the trial, is open when a stage runs.
        group, folder: name and folder of the run.
        spent: FLOPs of the trial's trainings before this stage, without pretraining.
    """

    to: Tracker = "none"
    project: str = ""
    group: str = ""
    folder: Path = Path()
    spent: float = 0.0


class Artifacts(dict[str, Path]):
    """Paths of the artifacts that a stage reads, by kind: `context.inputs["pairs"]`.

    A kind is any word: the stage that makes an artifact names it in `outputs` and writes it to `context.output(kind)`,
    stages that read it name it in `inputs`. `model` may be a hub id, with `model_revision`; `traces` is a file with
    `problems.jsonl` beside it. Those that are None do not exist.
    """

    def __init__(self, model: str | None = None, model_revision: str | None = None, **others: Path | None) -> None:
        self.model, self.model_revision = model, model_revision
        self.origin = model  # another one where `model` is a temporary form of it
        paths = {"model": Path(model) if model else None, **others}
        super().__init__({kind: path for kind, path in paths.items() if path is not None})


def artifact_path(folder: Path, kind: str) -> Path:
    """Where a stage with this folder puts an artifact: a file or a folder named by its kind."""
    return folder / ("traces.jsonl" if kind == "traces" else kind)


@dataclass(frozen=True)
class Context:
    """What a stage may use while it runs.

    Attributes:
        folder: the stage's own folder, for all of its files.
        inputs: artifacts of the stages before it.
        seed: of all that the stage draws but its problems.
        drawn_with: seed of the problems; None for the same.
        say: prints a line for the user, on the main process only.
        peers: raises `RunError` where another process of the launch has failed; for a stage that waits for it.
    """

    folder: Path
    inputs: Artifacts
    domains: Mapping[str, Domain]
    response_format: ResponseFormat
    evaluation: EvaluationSettings
    seed: int
    arm: str = "main"
    stage_id: str = ""
    launch_env: LaunchEnv = LaunchEnv()
    tracking: Tracking = Tracking()
    drawn_with: int | None = None
    say: Callable[[str], None] = field(default=lambda line: None)
    peers: Callable[[], None] = field(default=lambda: None)

    @property
    def examples_seed(self) -> int:
        """Seed of the training problems and puzzles."""
        return self.seed if self.drawn_with is None else self.drawn_with

    def output(self, kind: str) -> Path:
        """Where the stage writes an artifact that it declares in `outputs`: a file, or a folder that it makes."""
        return artifact_path(self.folder, kind)

    @property
    def model_folder(self) -> Path:
        return self.output("model")

    @property
    def traces_file(self) -> Path:
        return self.output("traces")


@dataclass(frozen=True)
class StagePreview:
    """Facts about a stage before it runs, for `check`: counts, and `notes` for the user."""

    counts: Mapping[str, int | float | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DataRequest:
    """Problems that a stage asks a domain for.

    Attributes:
        key: the key of the stage that sets the number, or an address that begins with `evaluation`.
        seed: None for the run's own.
        whole: all problems of a data set, at most `count`.
        use: default: by the split.
        fits: raises `UserError` if the stage cannot use problems like this one.
    """

    domain: str
    split: Split
    count: int
    key: str
    seed: int | None = None
    whole: bool = False
    use: Use | None = None
    fits: Callable[[Problem], None] | None = None

    @property
    def used_for(self) -> Use:
        by_split: dict[Split, Use] = {"train": "training", "validation": "choice", "test": "measurement"}
        return self.use or by_split[self.split]

    def problems(self, domain: Domain, seed: int) -> Iterator[Problem]:
        """The problems, given the run's seed. Raises `SpaceError` for too few, `UserError` where all were asked for and
        there are too many, or any number."""
        seed = seed if self.seed is None else self.seed
        if not self.whole:
            return domain.each(self.split, seed, self.count)
        size = domain.rows_in(self.split)
        if size is None or size > self.count:
            what = f"has {size:,}; at most {self.count:,} are allowed" if size else "generates any number"
            raise UserError(
                f"{self.key}: all {self.split} problems of domain {domain.name!r}, which {what}. Give a number."
            )
        return domain.problems(self.split, seed)


class Stage(Plugin, ABC):
    """One step of a recipe. Importing a stage and loading its config must not import torch."""

    plugin_kind: ClassVar[Kind] = "stage"
    renamed_keys: ClassVar[Mapping[str, str]] = {"name": "type"}
    inputs: ClassVar[frozenset[str]] = frozenset()
    outputs: ClassVar[frozenset[str]] = frozenset()
    role: ClassVar[str] = ""
    """The stage's role in a report: `pretraining`, `traces` (makes or changes the warmup corpus), `warmup` (trains on
    it), `target` (trains on the target domain), `evaluation` (its summary holds `cells`); empty for others."""
    every_rank: ClassVar[bool] = False
    """Whether all processes of a launch run the stage together; otherwise the main one runs it and the others wait."""
    measures: ClassVar[bool] = False
    """Whether `evaluation:` affects this stage's output."""
    all_folds: ClassVar[bool] = False
    """Whether the stage is the same in all folds of a cross-validation, though it reads the domain that has them."""
    trainer_config: ClassVar[str] = ""
    """The config class that the stage's `args` are passed to, such as `trl:SFTConfig`; empty without a trainer."""
    owned_options: ClassVar[Mapping[str, str]] = {}
    """Options of that class that are not allowed in `args`: the key to use instead, or a sentence that says why."""
    resumes: ClassVar[bool] = False
    """Whether the stage resumes from what a killed one left in its folder; otherwise the folder is emptied first."""

    id: str = Field(default="", exclude=True)
    """Name of this stage in the recipe; default: its type."""

    def required_inputs(self) -> frozenset[str]:
        """Artifacts that the stage reads as configured: `inputs`, and those that its plug-ins need."""
        return self.inputs

    def reads_evaluation(self) -> bool:
        """`measures` for the stage as configured."""
        return self.measures

    def on_every_rank(self) -> bool:
        """`every_rank` for the stage as configured."""
        return self.every_rank

    def domains_used(self, evaluation: EvaluationSettings, domains: Collection[str]) -> tuple[str, ...]:
        """Names of the domains that the stage reads, given those declared; the recipe checks that they are declared.
        Here: those that it asks for problems."""
        return tuple(dict.fromkeys(request.domain for request in self.data_requests(evaluation, domains)))

    def data_requests(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[DataRequest]:
        """The problems that the stage will ask for, given the declared domains.

        `check` tests that they exist, a run tests that none is both trained and evaluated on, and the report counts
        them.
        """
        return ()

    def compared_styles(self) -> Collection[str]:
        """Prompt styles that the stage measures a model under, on validation problems too; empty for none."""
        return ()

    def format_settings(self, response_format: ResponseFormat) -> Any:
        """The part of an arm's format that decides what the stage makes, as JSON values."""
        return response_format.model_dump(mode="json")

    def code(self) -> Iterable[str]:
        """Import strings of other classes that affect the output: the stage runs again when their source changes."""
        return ()

    def check(self, *, world_size: int) -> list[str]:
        """Errors of this config as `key: message`, found without importing torch or reading data."""
        return []

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        """What the stage will do, without doing it."""
        return StagePreview()

    def model_context(self) -> int | None:
        """Context length in tokens of the model that the stage builds; None if it builds none or that is not known."""
        return None

    def last_step(self) -> int | None:
        """The last step of the curve that a target stage writes; None if that is not known before it runs."""
        return None

    def draft(self, folder: Path) -> bool:
        """Writes config and tokenizer of the model that the stage builds from scratch, without weights, so that later
        stages are prepared on it. Returns whether it builds one. Raises `UserError` if it cannot be built."""
        return False

    def sets_options(self) -> bool:
        """Whether the stage sets options that only a training library can check, which takes seconds to import."""
        return False

    def prepare(self, context: Context) -> None:
        """Builds and checks what can fail before any stage runs (trainer configs, data, golds). Raises `UserError`.

        The context has the recipe's model, or the `draft` of the one that a stage before, or this one, builds."""

    def recover(self, folder: Path) -> None:
        """Prepares what a stopped run has left in the stage's folder for the next `run`; on the main process only."""
        if not self.resumes:
            shutil.rmtree(folder)

    @abstractmethod
    def run(self, context: Context) -> dict[str, Any]:
        """Does the work and returns the summary that `stage.json` keeps (JSON values)."""
