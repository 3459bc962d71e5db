"""From a recipe file and overrides to a checked recipe, or to everything that is wrong with it at once."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from warmup_rl.base.errors import RecipeError, UserError, shown
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import Kind, base_class, build
from warmup_rl.interfaces.stage import Stage
from warmup_rl.recipe.addresses import override, set_in_arm, stage_id, stage_index
from warmup_rl.recipe.annotations import models_at
from warmup_rl.recipe.checks import Draft, arm_checks, cross_checks, stage_checks
from warmup_rl.recipe.data_requests import Drawing
from warmup_rl.recipe.leaks import leaks, refuse
from warmup_rl.recipe.schema import Arm, Recipe, stage_row
from warmup_rl.recipe.trainer_args import wrong_options
from warmup_rl.recipe.validation_errors import complaints
from warmup_rl.recipe.yaml_source import Address, Document, read_document, value_at

M = TypeVar("M", bound=BaseModel)

_ID = re.compile(r"[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*")


def load_recipe(path: str | Path, overrides: Sequence[str] = (), *, world_size: int = 1, draw: bool = False) -> Recipe:
    """Reads, overrides and checks a recipe; imports neither torch nor trl.

    Args:
        path: the YAML file; `recipes/NAME.yaml` of the installed package where there is no such file here.
        overrides: `address=value` each, e.g. `stages.sft.args.learning_rate=1e-6`.
        world_size: processes that batch sizes must fit.
        draw: whether to check too that the domains have the problems asked for, which takes some tenths of a second
            for each domain.

    Raises:
        RecipeError: everything that is wrong, one line each.
    """
    shipped = Path(__file__).parent.parent / path
    document = read_document(shipped if shipped.is_file() and not Path(path).exists() else Path(path))
    problems = override(document, overrides)
    if problems:
        raise RecipeError(problems)
    _find_beside(document.data, Path(document.name).parent)
    return _Loading(document, world_size, draw).recipe()


@dataclass
class _Loading:
    """One document on its way to a recipe; problems are collected as they are found."""

    document: Document
    world_size: int
    draw: bool
    problems: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)

    def recipe(self) -> Recipe:
        data = self.document.data
        given = data.get("stages")
        rows = given if isinstance(given, list) else []
        kinds = [next(iter(models_at(Stage, row, ()))) for row in rows]
        draft = Draft(
            data=data,
            domains=self._domains(data.get("domains")),
            stages=[self._stage(self.document, index, row) for index, row in enumerate(rows)],
            kinds=[None if kind is Stage else kind for kind in kinds],  # type: ignore[misc]
            ids=self._ids(rows),
            evaluation=_attempt(EvaluationSettings, data.get("evaluation", {})),
        )
        recipe = self._top(draft)
        self._once(self.document, cross_checks(draft, self.world_size))
        arms = data.get("arms", {"main": {}})
        stages = self._arms(arms, draft) if rows and all(draft.ids) and isinstance(arms, dict) else {}
        if self.draw and draft.evaluation is not None:
            drawing = Drawing()
            seed = recipe.seeds[0] if recipe else 0
            for address, message in drawing.checks(draft.stages, draft.domains, draft.evaluation, seed):
                self._problem(self.document, address, message)
            if recipe and not self.problems:
                recipe = recipe.with_arms(stages)
                refuse(leaks((recipe.asked(arm, seed, fold) for arm in arms for fold in recipe.folds), drawing.take))
        if self.problems:
            raise RecipeError(sorted(dict.fromkeys(self.problems), key=self._line_number))
        assert recipe is not None
        return recipe.with_arms(stages)

    def _top(self, draft: Draft) -> Recipe | None:
        """The recipe of what could be built; None, with problems noted, where its own keys are wrong."""
        data = dict(draft.data)
        domains = {name: domain for name, domain in draft.domains.items() if domain is not None}
        for key, built in (("domains", domains), ("stages", [stage for stage in draft.stages if stage is not None])):
            if built or key in data and not data[key]:
                data[key] = built
            elif draft.domains if key == "domains" else draft.stages:
                del data[key]  # none could be built, and each has been reported
        if isinstance(data.get("arms"), dict):
            data["arms"] = {name: {} if fields is None else fields for name, fields in data["arms"].items()}
        try:
            return Recipe.model_validate(data)
        except ValidationError as error:
            for address, message in complaints(error, Recipe, data):
                if address[0] in data or address[0] not in draft.data:
                    self._problem(self.document, address, message)
            return None

    def _domains(self, given: Any) -> dict[str, Domain | None]:
        return {name: self._domain(name, fields) for name, fields in given.items()} if isinstance(given, dict) else {}

    def _domain(self, name: str, fields: Any) -> Domain | None:
        address: Address = ("domains", name)
        fields = {} if fields is None else fields
        if not isinstance(fields, dict):
            self._problem(self.document, address, f"a mapping of keys is needed (got {shown(fields)}).")
            return None
        if "name" in fields:
            self._problem(self.document, (*address, "name"), "unknown key: a domain's name is its key under 'domains'.")
        domain: Domain | None = self._build(self.document, "domain", {"type": name, **fields, "name": name}, address)
        return domain

    def _stage(self, document: Document, index: int, row: Any) -> Stage | None:
        address: Address = ("stages", index)
        args = row.get("args") if isinstance(row, dict) else None
        kind = next(iter(models_at(Stage, row, ())))
        if isinstance(args, dict) and issubclass(kind, Stage) and kind.trainer_config:
            for key, message in wrong_options(kind.trainer_config, args, kind.owned_options):
                self._problem(document, (*address, "args", *key), message)
        stage: Stage | None = self._build(document, "stage", row, address)
        return stage.model_copy(update={"id": stage_id(row)}) if stage and not stage.id else stage

    def _build(self, document: Document, kind: Kind, given: Any, address: Address) -> Any:
        """The plug-in at an address; None, with problems noted, where it cannot be built."""
        try:
            return build(kind, given)
        except ValidationError as error:
            for inner, message in complaints(error, base_class(kind), given):
                written = value_at(document.data, (*address, *inner)) is not None or inner != ("type",)
                self._problem(document, (*address, *inner) if written else address, message)
        except UserError as error:
            self._problem(document, address, str(error))
        return None

    def _ids(self, rows: list[Any]) -> list[str]:
        """Ids of the stages as written; notes those that are not valid or not unique."""
        ids = [stage_id(row) for row in rows]
        for index, own in enumerate(ids):
            row = rows[index]
            written = isinstance(row, dict) and "id" in row
            address: Address = ("stages", index, "id") if written else ("stages", index)
            if written and isinstance(row["id"], str) and not _ID.fullmatch(own):
                self._problem(self.document, address, f"letters, digits, '_' and '-', not digits alone (got {own!r}).")
            elif own and own in ids[:index]:
                first = self.document.line(("stages", ids.index(own)), "")
                kind = row.get("type") if isinstance(row, dict) else row
                fix = f"Give this stage an id of its own, e.g. {{type: {kind}, id: {own}_{index}}}."
                self._problem(self.document, address, f"the id {own!r} is taken already ({first}). {fix}")
        return ids

    def _arms(self, arms: dict[str, Any], draft: Draft) -> dict[str, list[Stage]]:
        """Checks the arms and builds the stages that they change; returns the stages of each arm."""
        rows = [stage_row(stage) if stage else draft.data["stages"][i] for i, stage in enumerate(draft.stages)]
        stages: dict[str, list[Stage | None]] = {}
        left_out: dict[str, set[int]] = {}
        for name, fields in arms.items():
            keys = fields.get("leave_out") if isinstance(fields, dict) else None
            left_out[name] = self._left_out(name, keys if isinstance(keys, list) else [], rows)
            arm = _attempt(Arm, {} if fields is None else fields)
            changed = self._changed(name, arm, draft, rows, left_out[name]) if arm else draft.stages
            stages[name] = [stage for index, stage in enumerate(changed) if index not in left_out[name]]
        for address, message in arm_checks(draft, stages, left_out):
            self._problem(self.document, address, message)
        return {name: [stage for stage in own if stage] for name, own in stages.items()}

    def _changed(
        self, name: str, arm: Arm, draft: Draft, rows: list[Any], left_out: set[int]
    ) -> list[Stage | None]:  # fmt: skip
        """Checks an arm's addresses and the stages that it changes; returns all stages as the arm has them."""
        document, changes = set_in_arm(self.document, name, arm.set, rows)
        stages = list(draft.stages)
        for written, (index, problem) in changes.items():
            if problem or index in left_out:
                message = problem or f"stage {draft.ids[index]!r} is left out in this arm."
                self._problem(self.document, ("arms", name, "set", written), message)
        for index in {index for index, problem in changes.values() if not problem}:
            stage = self._stage(document, index, value_at(document.data, ("stages", index)))
            stages[index] = stage
            if stage:
                self._once(document, stage_checks(draft, index, stage, self.world_size))
        return stages

    def _left_out(self, name: str, keys: list[Any], rows: list[Any]) -> set[int]:
        """Indices of the stages that an arm leaves out; what is not text is reported with the arm's keys."""
        found = set()
        for position, key in enumerate(keys):
            try:
                if isinstance(key, str):
                    found.add(stage_index(rows, key))
            except ValueError as error:
                self._problem(self.document, ("arms", name, "leave_out", position), f"{key!r}: {error}")
        return found

    def _line_number(self, problem: str) -> int:
        """For sorting: the line in the file; what is not in the file comes last."""
        match = re.match(r":(\d+)", problem.removeprefix(self.document.name))
        return int(match[1]) if match else sys.maxsize

    def _once(self, document: Document, found: Iterable[tuple[Address, str]]) -> None:
        """Notes problems of keys that have none yet."""
        for address, message in found:
            if document.line(address, "") not in self.places:
                self._problem(document, address, message)

    def _problem(self, document: Document, address: Address, message: str) -> None:
        self.problems.append(document.line(address, message))
        self.places.add(document.line(address, ""))


def _find_beside(data: Any, folder: Path) -> None:
    """Rewrites files of plug-ins (`./file.py:Class`) that are beside the recipe, and not here, as seen from here."""
    for key, value in list(data.items() if isinstance(data, dict) else enumerate(data)):
        if isinstance(value, dict | list):
            _find_beside(value, folder)
        elif isinstance(value, str) and (file := re.fullmatch(r"((?:python: ?)?)(\S+\.py):(\w+)", value)):
            if not Path(file[2]).exists() and (folder / file[2]).is_file():
                data[key] = f"{file[1]}{folder / file[2]}:{file[3]}"


def _attempt(model: type[M], given: Any) -> M | None:
    """The model, or None where it is wrong, which the recipe as a whole reports."""
    try:
        return model.model_validate(given)
    except ValidationError:
        return None
