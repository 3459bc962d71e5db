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
from warmup_rl.interfaces.plugins import Kind, load
from warmup_rl.interfaces.stage import Stage
from warmup_rl.recipe.addresses import override, set_in_arm, stage_id, stage_index
from warmup_rl.recipe.checks import Draft, chain_checks, cross_checks, stage_checks
from warmup_rl.recipe.data_requests import Drawing
from warmup_rl.recipe.leaks import leaks, refuse
from warmup_rl.recipe.schema import Arm, Recipe, dump, stage_row
from warmup_rl.recipe.trainer_args import trainer_of, wrong_options
from warmup_rl.recipe.validation_errors import coercions, complaints
from warmup_rl.recipe.yaml_source import Address, Document, read_document, value_at

M = TypeVar("M", bound=BaseModel)

_ID = re.compile(r"[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*")


def load_recipe(path: str | Path, overrides: Sequence[str] = (), *, world_size: int = 1, draw: bool = False) -> Recipe:
    """Reads, overrides and checks a recipe; imports neither torch nor trl.

    Args:
        path: the YAML file; `recipes/NAME.yaml` of an installed package where no such file is here.
        overrides: `address=value` each, e.g. `stages.sft.args.learning_rate=1e-6`.
        world_size: processes that batch sizes must fit.
        draw: whether to try that the domains hold the problems asked for too, some tenths of a second each.

    Raises:
        RecipeError: everything that is wrong, one line each.
    """
    shipped = Path(__file__).parent.parent / path
    document = read_document(shipped if shipped.is_file() and not Path(path).exists() else Path(path))
    problems = override(document, overrides)
    if problems:
        raise RecipeError(problems)
    _find_beside(document.data, Path(document.name).parent)
    return Loading(document, world_size, draw).recipe()


@dataclass
class Loading:
    """One document on its way to a recipe; problems are gathered as they are found."""

    document: Document
    world_size: int
    draw: bool = False
    problems: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)

    def recipe(self) -> Recipe:
        data = self.document.data
        given = data.get("stages")
        rows = given if isinstance(given, list) else []
        draft = Draft(
            data=data,
            domains=self._domains(data.get("domains")),
            stages=[self._stage(self.document, index, row) for index, row in enumerate(rows)],
            kinds=[_kind(row) for row in rows],
            ids=self._ids(rows),
            evaluation=_attempt(EvaluationSettings, data.get("evaluation", {})),
        )
        recipe = self._top(draft)
        self._once(self.document, cross_checks(draft, self.world_size))
        arms = data.get("arms", {"main": {}})
        if rows and all(draft.ids) and isinstance(arms, dict):
            self._arms(arms, draft)
        if self.draw and draft.evaluation is not None:
            seed = recipe.seeds[0] if recipe else 0
            drawing = Drawing()
            for address, message in drawing.checks(draft.stages, draft.domains, draft.evaluation, seed):
                self._problem(self.document, address, message)
            if recipe and not self.problems:
                trials = (recipe.asked(arm, seed, fold) for arm in recipe.arms for fold in recipe.folds)
                refuse(leaks(trials, drawing.take))
        if self.problems:
            raise RecipeError(sorted(dict.fromkeys(self.problems), key=self._line_number))
        assert recipe is not None
        return recipe

    def _top(self, draft: Draft) -> Recipe | None:
        """The recipe of what could be built; None, with problems noted, where its own keys are wrong."""
        data = dict(draft.data)
        for key, parts in (("domains", draft.domains), ("stages", draft.stages)):
            built = _built(parts)
            if built or key in data and not data[key]:
                data[key] = built
            elif parts:
                del data[key]  # all broken, each reported already
        if isinstance(data.get("arms"), dict):
            data["arms"] = {name: {} if fields is None else fields for name, fields in data["arms"].items()}
        try:
            recipe = Recipe.model_validate(data)
            apart = {"domains", "stages"}
            rest = {key: value for key, value in data.items() if key not in apart}
            for address, message in coercions(rest, dump(recipe)):
                self._problem(self.document, address, message)
            return recipe
        except ValidationError as error:
            for address, message in complaints(error, Recipe, data):
                if address[0] in data or address[0] not in draft.data:
                    self._problem(self.document, address, message)
            return None

    def _domains(self, given: Any) -> dict[str, Domain | None]:
        if not isinstance(given, dict):
            return {}
        return {name: self._domain(name, {} if fields is None else fields) for name, fields in given.items()}

    def _domain(self, name: str, fields: Any) -> Domain | None:
        address: Address = ("domains", name)
        if not isinstance(fields, dict):
            return self._nothing(self.document, address, f"a mapping of keys is needed (got {shown(fields)}).")
        where = (*address, "type") if "type" in fields else address
        plugin = self._plugin(self.document, "domain", fields.get("type", name), Domain, where)
        rest = {key: value for key, value in fields.items() if key != "type"}
        if "name" in rest:
            self._problem(self.document, (*address, "name"), "unknown key: a domain's name is its key under 'domains'.")
            del rest["name"]
        return self._build(self.document, plugin, rest, address, name=name) if plugin else None

    def _stage(self, document: Document, index: int, given: Any) -> Stage | None:
        address: Address = ("stages", index)
        row = {"name": given} if isinstance(given, str) else given
        if not isinstance(row, dict) or "name" not in row:
            message = f"a stage's name, or a mapping with 'name', is needed (got {shown(given)})."
            return self._nothing(document, address, message)
        plugin = self._plugin(document, "stage", row["name"], Stage, (*address, "name") if row is given else address)
        if plugin is None:
            return None
        fields = {key: value for key, value in row.items() if key != "name"}
        if isinstance(fields.get("args"), dict) and (trainer := trainer_of(plugin.trainer_config)):
            for key, message in wrong_options(trainer, fields["args"], plugin.owned_options):
                self._problem(document, (*address, "args", *key), message)
        return self._build(document, plugin, {"id": row["name"], **fields}, address)

    def _plugin(self, document: Document, kind: Kind, name: Any, base: type, address: Address) -> Any:
        try:
            if not isinstance(name, str):
                raise UserError(f"the name of a {kind} is needed (got {shown(name)}).")
            if name.endswith(".py"):
                raise UserError(f"a file may hold several classes: add the one that is the {kind}, {name}:NAME.")
            plugin = load(kind, name)
            if not (isinstance(plugin, type) and issubclass(plugin, base)):
                raise UserError(f"{name!r} is no {kind}: it does not inherit from {base.__module__}:{base.__name__}.")
            return plugin
        except UserError as error:
            return self._nothing(document, address, str(error))

    def _build(self, document: Document, plugin: Any, fields: dict[str, Any], address: Address, **own: str) -> Any:
        try:
            built = plugin.model_validate({**fields, **own})
            for inner, message in coercions(fields, dump(built)):
                self._problem(document, (*address, *inner), message)
            return built
        except ValidationError as error:
            for inner, message in complaints(error, plugin, fields):
                self._problem(document, (*address, *inner), message)
        except UserError as error:
            self._problem(document, address, str(error))
        return None

    def _ids(self, rows: list[Any]) -> list[str]:
        """Ids of the stages as written; notes those that are no ids or not unique."""
        ids = [stage_id(row) for row in rows]
        for index, own in enumerate(ids):
            written = isinstance(rows[index], dict) and "id" in rows[index]
            address: Address = ("stages", index, "id") if written else ("stages", index)
            if written and isinstance(rows[index]["id"], str) and not _ID.fullmatch(own):
                self._problem(self.document, address, f"letters, digits, '_' and '-', not digits alone (got {own!r}).")
            elif own and own in ids[:index]:
                first = self.document.line(("stages", ids.index(own)), "")
                name = rows[index].get("name") if isinstance(rows[index], dict) else own
                fix = f"Give this stage an id of its own, e.g. {{name: {name}, id: {own}_{index}}}."
                self._problem(self.document, address, f"the id {own!r} is taken already ({first}). {fix}")
        return ids

    def _arms(self, arms: dict[str, Any], draft: Draft) -> None:
        """Checks the arms, and whether each stage is given what it needs in each of them."""
        rows = [stage_row(s) if s else draft.data["stages"][i] for i, s in enumerate(draft.stages)]
        left_out: dict[str, set[int]] = {}
        for name, fields in arms.items():
            keys = fields.get("leave_out") if isinstance(fields, dict) else None
            left_out[name] = self._left_out(name, keys if isinstance(keys, list) else [], rows)
            if arm := _attempt(Arm, {} if fields is None else fields):
                self._arm(name, arm, draft, rows, left_out[name])
        for address, message in chain_checks(draft, left_out):
            self._problem(self.document, address, message)

    def _arm(self, name: str, arm: Arm, draft: Draft, rows: list[Any], left_out: set[int]) -> None:
        """Checks an arm's addresses and the stages that it changes."""
        document, changes = set_in_arm(self.document, name, arm.set, rows)
        stages = list(draft.stages)
        for written, (index, problem) in changes.items():
            if problem or index in left_out:
                message = problem or f"stage {draft.ids[index]!r} is left out in this arm."
                self._problem(self.document, ("arms", name, "set", written), message)
        for index in {index for index, problem in changes.values() if not problem}:
            stages[index] = self._stage(document, index, value_at(document.data, ("stages", index)))
        for index, stage in enumerate(stages):
            if stage and stage is not draft.stages[index]:
                self._once(document, stage_checks(draft, index, stage, self.world_size))

    def _left_out(self, name: str, keys: list[Any], rows: list[Any]) -> set[int]:
        """Indices of the stages that an arm leaves out; what is no text is reported with the arm's keys."""
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
        """Notes problems of keys of which nothing is known yet."""
        for address, message in found:
            if document.line(address, "") not in self.places:
                self._problem(document, address, message)

    def _nothing(self, document: Document, address: Address, message: str) -> Any:
        """Notes a problem; None stands for what could not be built."""
        self._problem(document, address, message)
        return None

    def _problem(self, document: Document, address: Address, message: str) -> None:
        self.problems.append(document.line(address, message))
        self.places.add(document.line(address, ""))


def _find_beside(data: Any, folder: Path) -> None:
    """Rewrites plug-in files (`./file.py:Class`) that lie beside the recipe, and not here, as seen from here."""
    for key, value in list(data.items() if isinstance(data, dict) else enumerate(data)):
        if isinstance(value, dict | list):
            _find_beside(value, folder)
        elif isinstance(value, str) and (file := re.fullmatch(r"(\S+\.py):(\w+)", value)):
            if not Path(file[1]).exists() and (folder / file[1]).is_file():
                data[key] = f"{folder / file[1]}:{file[2]}"


def _built(parts: dict[str, Any] | list[Any]) -> dict[str, Any] | list[Any]:
    if isinstance(parts, list):
        return [part for part in parts if part is not None]
    return {name: part for name, part in parts.items() if part is not None}


def _kind(row: Any) -> type[Stage] | None:
    """The class of a stage as written; None where it cannot be told, which is reported elsewhere."""
    name = row.get("name") if isinstance(row, dict) else row
    try:
        kind = load("stage", name) if isinstance(name, str) else None
    except UserError:
        return None
    return kind if isinstance(kind, type) and issubclass(kind, Stage) else None


def _attempt(model: type[M], given: Any) -> M | None:
    """The model, or None where it is wrong, which the recipe as a whole reports."""
    try:
        return model.model_validate(given)
    except ValidationError:
        return None
