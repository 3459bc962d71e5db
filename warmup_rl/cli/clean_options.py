"""The command line of `clean`: what is cleaned how, from options, a recipe and the fields of the step `dlcot`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from warmup_rl.base.errors import UserError
from warmup_rl.cleaners.dlcot import DLCoT
from warmup_rl.cli.arguments import Arguments
from warmup_rl.cli.given_traces import COLUMNS
from warmup_rl.data.traces import PROBLEMS_FILE
from warmup_rl.interfaces.cleaner import Cleaner
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import name_of
from warmup_rl.recipe.validation_errors import complaints
from warmup_rl.stages.clean import Clean

if TYPE_CHECKING:
    import argparse

_ABOUT = (
    "Cleans traces: wrong and repeated ones are dropped, and what DLCoT finds needless is cut out of the rest, each "
    "answer verified again. Reads traces.jsonl of a run with problems.jsonl beside it, or rows (JSONL, JSON, CSV, "
    "Parquet, .gz) with a question, a reference answer and a response. A killed command goes on when called again."
)


@dataclass(frozen=True)
class Setting:
    """What a recipe says, or the defaults where there is none."""

    steps: tuple[Cleaner, ...] = tuple(Clean().steps)
    domains: Mapping[str, Domain] = field(default_factory=dict)
    response_format: ResponseFormat = ResponseFormat()
    evaluation: EvaluationSettings | None = None
    seed: int = 0
    model: str | None = None


def parser() -> Arguments:
    parser = Arguments("clean", _ABOUT)
    add = parser.add_argument
    add("--in", dest="source", type=Path, required=True, metavar="TRACES", help="the file to clean; it stays as it is")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help=".jsonl, with the fields of the input; dropped traces go to FILE with .dropped before its ending",
    )
    add("--audit", type=Path, metavar="PAGE", help=".html: what was done to each trace; the same as .jsonl beside it")
    add(
        "--steps",
        metavar="STEP,...",
        help="cleaners in order, by name or as {type: length, max_tokens: 4096} "
        f"({', '.join(name_of(type(step)) for step in Clean().steps)})",
    )
    add("--recipe", metavar="RECIPE", help="steps, domains and format of a recipe, and the problems it evaluates on")
    add("--stage", metavar="ID", help="which clean stage of the recipe, where it has several")
    add(
        "--domain",
        metavar="NAME",
        help="what grades the answers: kk, math, ... or ./file.py:Class (by the traces; kk "
        "where the first question is a Knights & Knaves puzzle)",
    )
    add("--columns", metavar="KEY=NAME,...", help=f"names of columns, keys are {', '.join(COLUMNS)} (usual names)")
    add(
        "--model",
        metavar="MODEL",
        help="the student, a folder or a hub id: its tokens are counted (else words), and "
        "the step naturalness asks it (the recipe's)",
    )
    group = parser.add_argument_group("the step dlcot")
    for name, info in DLCoT.model_fields.items():
        text = " ".join((info.description or "").split()).replace("%", "%%")
        if info.annotation is bool:
            group.add_argument(_option(name), dest=f"dlcot.{name}", action="store_true", default=None, help=text)
        else:
            shown = "" if info.default is None else f" ({info.default})"
            value = _metavar(info.annotation)
            group.add_argument(_option(name), dest=f"dlcot.{name}", metavar=value, help=text + shown)
    return parser


def _option(field_name: str) -> str:
    return f"--{field_name.replace('_', '-')}"


def _metavar(annotation: Any) -> str:
    """`NUMBER`, or `YAML` for what has keys of its own."""
    if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in (annotation, *get_args(annotation))):
        return "YAML"
    return "NUMBER" if annotation in (int, float) else "VARIANT"


def check_paths(given: argparse.Namespace) -> None:
    for option, path, suffix in (("--out", given.out, ".jsonl"), ("--audit", given.audit, ".html")):
        if path is not None and path.suffix != suffix:
            raise UserError(f"clean: {option} must end with {suffix}, got {path}.")
    mine = {given.source.resolve(), given.source.with_name(PROBLEMS_FILE).resolve()}
    for path in (given.out, dropped_file(given.out)):
        if path.resolve() in mine:
            raise UserError(f"clean: {path} would overwrite the input. Give another --out.")


def audit_rows(given: argparse.Namespace) -> Path:
    """Where the rows of the audit go: beside the page, under its name where no other file has it."""
    page: Path = given.audit
    taken = {path.resolve() for path in (given.source, given.out, dropped_file(given.out))}
    beside = page.with_suffix(".jsonl")
    return page.with_suffix(".audit.jsonl") if beside.resolve() in taken else beside


def read_setting(given: argparse.Namespace) -> Setting:
    setting = _from_recipe(given.recipe, given.stage) if given.recipe else Setting()
    if given.stage and not given.recipe:
        raise UserError("clean: --stage names a stage of a recipe: give --recipe too.")
    steps = setting.steps if given.steps is None else _steps(given.steps)
    options = {name.removeprefix("dlcot."): value for name, value in vars(given).items() if name.startswith("dlcot.")}
    steps = _with_options(steps, {name: value for name, value in options.items() if value is not None})
    if given.audit and not any(isinstance(step, DLCoT) for step in steps):
        raise UserError("clean: --audit shows what the step dlcot did, which is not among the steps. Add it.")
    blind = [name_of(type(step)) for step in steps if step.reads_evaluation]
    if blind and setting.evaluation is None:
        raise UserError(f"clean: the step {blind[0]!r} needs the problems that a recipe evaluates on: give --recipe.")
    return replace(setting, steps=steps, model=given.model or setting.model)


def _from_recipe(path: str, stage_id: str | None) -> Setting:
    from warmup_rl.recipe import load_recipe

    recipe = load_recipe(path)
    stages = {stage.id: stage for stage in recipe.stages if isinstance(stage, Clean)}
    if not stages:
        raise UserError(f"clean: {path} has no clean stage.")
    if len(stages) > 1 and stage_id is None or stage_id is not None and stage_id not in stages:
        raise UserError(f"clean: which clean stage of {path}? Give --stage, one of: {', '.join(stages)}.")
    stage = stages[stage_id or next(iter(stages))]
    seed = min(recipe.seeds, default=0)
    return Setting(tuple(stage.steps), recipe.domains, recipe.format, recipe.evaluation, seed, recipe.model)


def _steps(text: str) -> tuple[Cleaner, ...]:
    try:
        given = {"steps": yaml.safe_load(f"[{text}]")}
    except yaml.YAMLError:
        raise UserError(
            f"clean: --steps: names or {{type: NAME, key: value}}, separated by commas, got {text!r}."
        ) from None
    try:
        return tuple(Clean.model_validate(given).steps)
    except ValidationError as error:
        raise _complaint(error, Clean, given) from None


def _with_options(steps: tuple[Cleaner, ...], options: Mapping[str, Any]) -> tuple[Cleaner, ...]:
    """The steps with options of the command line in the step `dlcot`."""
    if options and not any(isinstance(step, DLCoT) for step in steps):
        raise UserError(f"clean: {_option(next(iter(options)))} is for the step dlcot, which is not among --steps.")
    try:
        values = {name: yaml.safe_load(value) if isinstance(value, str) else value for name, value in options.items()}
    except yaml.YAMLError as error:
        raise UserError(f"clean: no YAML: {' '.join(str(error).split())}") from None
    return tuple(_changed(step, values) if isinstance(step, DLCoT) else step for step in steps)


def _changed(step: DLCoT, values: Mapping[str, Any]) -> DLCoT:
    """The step with other values of some keys; what they hold as text is read where it is given."""
    given = {**{key: getattr(step, key) for key in step.model_fields_set}, **values}
    try:
        return type(step).model_validate(given)
    except ValidationError as error:
        raise _complaint(error, type(step), given) from None


def _complaint(error: ValidationError, model: type[BaseModel], given: dict[str, Any]) -> UserError:
    """All that is wrong with the fields of a model, by the options that set them."""
    lines = []
    for (first, *rest), message in complaints(error, model, given):
        places = [f"step {part + 1}" if isinstance(part, int) else str(part) for part in rest]
        lines.append(": ".join(["clean", _option(str(first)), *places, message]))
    return UserError("\n".join(dict.fromkeys(lines)))


def dropped_file(out: Path) -> Path:
    """Where dropped traces go."""
    return out.with_name(f"{out.stem}.dropped{out.suffix}")
