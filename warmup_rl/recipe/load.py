"""From a recipe file and overrides to a checked recipe, or to everything that is wrong with it at once."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from warmup_rl.domain import Domain
from warmup_rl.errors import RecipeError, UserError, shown
from warmup_rl.evaluation import EvaluationSettings
from warmup_rl.plugins import Kind, load
from warmup_rl.recipe.addresses import override, set_in_arm, stage_id, stage_index
from warmup_rl.recipe.checks import Draft, chain_checks, cross_checks, stage_checks
from warmup_rl.recipe.document import Address, Document, read_document, value_at
from warmup_rl.recipe.friendly import coercions, complaints
from warmup_rl.recipe.schema import Arm, Recipe, dump, stage_row
from warmup_rl.stage import Stage
from warmup_rl.trainer_options import wrong_options

M = TypeVar("M", bound=BaseModel)

_ID = re.compile(r"[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*")


def load_recipe(path: str | Path, overrides: Sequence[str] = (), *, world_size: int = 1) -> Recipe:
    """Reads, overrides and checks a recipe; imports neither torch nor trl.

    Args:
        path: the YAML file; `recipes/NAME.yaml` of an installed package where no such file is here.
        overrides: `address=value` each, e.g. `stages.sft.args.learning_rate=1e-6`.
        world_size: processes that batch sizes must fit.

    Raises:
        RecipeError: everything that is wrong, one line each.
    """
    shipped = Path(__file__).parent.parent / path
    document = read_document(shipped if shipped.is_file() and not Path(path).exists() else Path(path))
    problems = override(document, overrides)
    if problems:
        raise RecipeError(problems)
    return Loading(document, world_size).recipe()


@dataclass
class Loading:
    """One document on its way to a recipe; problems are gathered as they are found."""

    document: Document
    world_size: int
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
        for name, fields in arms.items() if isinstance(arms, dict) else ():
            if arm := _attempt(Arm, {} if fields is None else fields):
                self._arm(str(name), arm, draft)
        if self.problems:
            raise RecipeError(sorted(dict.fromkeys(self.problems), key=self._line_number))
        assert recipe is not None
        return recipe

    def _top(self, draft: Draft) -> Recipe | None:
        """The recipe of what could be built; None, with problems noted, where its own keys are wrong."""
        data = dict(draft.data)
        for key, parts in (("domains", draft.domains), ("stages", draft.stages)):
            built = _built(parts)
            if built or not data.get(key):
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
        if isinstance(fields.get("args"), dict) and (trainer := getattr(plugin, "TRAINER", None)):
            for key, message in wrong_options(trainer, fields["args"], getattr(plugin, "OWNED", {})):
                self._problem(document, (*address, "args", *key), message)
        return self._build(document, plugin, {"id": row["name"], **fields}, address)

    def _plugin(self, document: Document, kind: Kind, name: Any, base: type, address: Address) -> Any:
        try:
            if not isinstance(name, str):
                raise UserError(f"the name of a {kind} is needed (got {shown(name)}).")
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
            elif own in ids[:index]:
                first = self.document.line(("stages", ids.index(own)), "")
                fix = f"Give this stage an id of its own, e.g. {{name: {own}, id: {own}_{index}}}."
                self._problem(self.document, address, f"the id {own!r} is taken already ({first}). {fix}")
        return ids

    def _arm(self, name: str, arm: Arm, draft: Draft) -> None:
        """Checks an arm: its addresses, the changed stages, and whether each stage gets what it needs."""
        rows = [stage_row(s) if s else draft.data["stages"][i] for i, s in enumerate(draft.stages)]
        left_out = self._left_out(name, arm, rows)
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
        kept = [index for index in range(len(stages)) if index not in left_out]
        for address, message in chain_checks(draft, kept, name):
            self._problem(self.document, address, message)

    def _left_out(self, name: str, arm: Arm, rows: list[Any]) -> set[int]:
        found = set()
        for position, key in enumerate(arm.leave_out):
            try:
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
