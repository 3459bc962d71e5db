"""Loads a recipe file with overrides: a checked recipe, or all of its errors at once."""

from __future__ import annotations

import copy
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from warmup_rl.base.config import existing_model
from warmup_rl.base.errors import RecipeError
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import Plugin, build, data_digests, describe_exception
from warmup_rl.interfaces.stage import Stage
from warmup_rl.recipe.checks import Draft, arm_checks, cross_checks, stage_checks
from warmup_rl.recipe.data_requests import Drawing, with_validation
from warmup_rl.recipe.document import (
    Address,
    Document,
    override,
    read_document,
    set_value,
    stage_id,
    stage_index,
    value_at,
)
from warmup_rl.recipe.leaks import leaks, refuse
from warmup_rl.recipe.schema import Arm, Recipe, stage_row
from warmup_rl.recipe.shipped import find_recipe
from warmup_rl.recipe.validation_errors import chosen, complaints, new_name

_ID = re.compile(r"[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*")


def load_recipe(
    path: str | Path, overrides: Sequence[str] = (), *, world_size: int = 1, draw: bool = False, files: bool = True
) -> Recipe:
    """Reads, overrides and checks a recipe; imports neither torch nor trl.

    Relative paths of files that exist are taken from the working directory, else from the recipe's folder. Raises
    `RecipeError` with all errors, one line each.

    Args:
        path: the YAML file, or the name of a recipe that comes with the package.
        overrides: `address=value` each, e.g. `stages.sft.args.learning_rate=1e-6`.
        world_size: processes that batch sizes must fit.
        draw: whether to check too that the domains have the problems asked for, in some tenths of a second each.
        files: whether the data files must exist.
    """
    document = _read_with_base(find_recipe(path))
    problems = override(document, overrides)
    _find_beside(document.data, Path(document.name).parent)
    return _Loading(document, world_size, draw, files, problems).recipe()


def _read_with_base(path: Path, above: tuple[Path, ...] = ()) -> Document:
    """A recipe file, laid over the one that its key `base` names; `above` are files that are based on this one.

    Its other keys are then addresses, as on the command line, whose values it replaces: `stages.rlvr.steps: 125`.
    Raises `RecipeError` if a file cannot be read, an address is not in the base, or a file is its own base.
    """
    own = read_document(path)
    _find_beside(own.data, path.parent)
    if "base" not in own.data:
        return own
    name = own.data.pop("base")
    try:
        base = find_recipe(name) if isinstance(name, str) else None
    except RecipeError as error:
        raise RecipeError([own.line(("base",), problem) for problem in error.problems]) from None
    if base is None or base.resolve() in (one.resolve() for one in (*above, path)):
        raise RecipeError([own.line(("base",), f"the file of another recipe is needed (got {name!r}).")])
    document, problems = _read_with_base(base, (*above, path)), []
    for key, value in own.data.items():
        try:
            address = set_value(document, key, value, own.origins[(key,)])
        except ValueError as error:
            problems.append(own.line((key,), str(error)))
            continue
        inside = {known[1:]: origin for known, origin in own.origins.items() if known[:1] == (key,)}
        document.origins.update({(*address, *rest): origin for rest, origin in inside.items()})
    if problems:
        raise RecipeError(problems)
    return Document(own.name, document.data, document.origins)


@dataclass
class _Loading:
    """Loads one document; collects problems as they are found."""

    document: Document
    world_size: int
    draw: bool
    files: bool
    problems: list[str]
    places: set[str] = field(default_factory=set)

    def recipe(self) -> Recipe:
        while self._rename_old_keys():
            pass
        data = _explicit(self.document.data)
        recipe: Recipe | None = self._read(self.document, Recipe.model_validate, data, Recipe)
        recipe = recipe and recipe.model_copy(update={"domains": with_validation(recipe)})
        infinite = (
            (address, f"must be a finite number (got {value}).")
            for address, value in _leaves(self.document.data)
            if isinstance(value, float) and not math.isfinite(value)
        )
        self._once(self.document, infinite)
        draft = self._draft(data, recipe)
        self._once(self.document, cross_checks(draft, self.world_size))
        arms = data.get("arms", {"main": {}})
        stages = self._arms(arms, draft) if draft.ids and all(draft.ids) and isinstance(arms, dict) else {}
        recipe = recipe and recipe.with_arms(stages)
        unread = self._unreadable(draft) if self.files else ()
        if (self.draw or self.problems) and draft.evaluation is not None:
            drawing = Drawing()
            seed = recipe.seeds[0] if recipe else 0
            readable = {name: None if name in unread else domain for name, domain in draft.domains.items()}
            for address, message in drawing.checks(draft.stages, readable, draft.evaluation, seed):
                self._problem(self.document, address, message)
            if recipe and not self.problems:
                refuse(leaks((recipe.asked(arm, seed, fold) for arm in arms for fold in recipe.folds), drawing.take))
        if self.problems:
            raise RecipeError(sorted(dict.fromkeys(self.problems), key=self._line_number))
        assert recipe is not None
        return recipe.model_copy(update={"model": existing_model(recipe.model)}) if recipe.model else recipe

    def _rename_old_keys(self) -> bool:
        """Reports keys of earlier versions and gives them today's names, so that what is inside is checked too."""
        data = _explicit(self.document.data)
        try:
            Recipe.model_validate(data)
        except ValidationError as error:
            for address, message in complaints(error, Recipe, data):
                if new := new_name(Recipe, data, address):
                    self._problem(self.document, address, message)
                    self.document.rename(address, new)
                    return True
        return False

    def _draft(self, data: dict[str, Any], recipe: Recipe | None) -> Draft:
        """The parts of the recipe; if it could not be built, those that can be built by themselves."""
        domains = data["domains"] if isinstance(data.get("domains"), dict) else {}
        rows = data["stages"] if isinstance(data.get("stages"), list) else []
        for name in domains:
            if value_at(self.document.data, address := ("domains", name, "name")) is not None:
                self._problem(self.document, address, "unknown key: a domain's name is its key under 'domains'.")
        kinds = [chosen(Stage, row) for row in rows]
        return Draft(
            data=data,
            domains=recipe.domains if recipe else {name: _attempt(Domain, given) for name, given in domains.items()},
            stages=recipe.stages if recipe else [_attempt(Stage, row) for row in rows],
            kinds=[kind if kind is not Stage else None for kind in kinds],
            ids=self._ids(self.document.data["stages"] if rows else []),
            evaluation=_attempt(EvaluationSettings, data.get("evaluation", {})),
        )

    def _unreadable(self, draft: Draft) -> set[str | int]:
        """Reports plug-ins with data files that cannot be read; returns the names of such domains."""
        plugins: dict[Address, Any] = {("domains", name): domain for name, domain in draft.domains.items()}
        plugins |= {("stages", index): stage for index, stage in enumerate(draft.stages)}
        found = set()
        for address, value in plugins.items():
            try:
                data_digests(value)
            except Exception as error:  # a plug-in's own code may raise anything
                message = describe_exception(error)
                leaves = _leaves(value_at(self.document.data, address), address)
                file = next((inside for inside, text in leaves if message.startswith(f"{text}:")), address)
                self._problem(self.document, file, message)
                found |= {address[1]} if address[0] == "domains" else set()
        return found

    def _read(
        self, document: Document, read: Callable[[Any], Any], given: Any, model: type[BaseModel], address: Address = ()
    ) -> Any:
        """The result of `read`; None if the value at the address is invalid, after noting what is wrong."""
        try:
            return read(given)
        except ValidationError as error:
            for inner, message in complaints(error, model, given):
                place = (*address, *inner)
                unwritten = place[-1:] == ("type",) and value_at(document.data, place) is None
                self._problem(document, place[:-1] if unwritten else place, message)
        return None

    def _ids(self, rows: list[Any]) -> list[str]:
        """Ids of the stages as written; reports those that are invalid or not unique."""
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
        stages: dict[str, list[Stage]] = {}
        left_out: dict[str, set[int]] = {}
        for name, fields in arms.items():
            keys = fields.get("leave_out") if isinstance(fields, dict) else None
            out = left_out[name] = self._left_out(name, keys if isinstance(keys, list) else [], rows)
            arm = _attempt(Arm, fields)
            changed = self._changed(name, arm, draft, rows, out) if arm else draft.stages
            stages[name] = [stage for index, stage in enumerate(changed) if stage and index not in out]
        for address, message in arm_checks(draft, stages, left_out):
            self._problem(self.document, address, message)
        return stages

    def _changed(self, name: str, arm: Arm, draft: Draft, rows: list[Any], left_out: set[int]) -> list[Stage | None]:
        """Applies an arm's `set` and checks the stages that it changes; returns all stages as the arm has them.

        Addresses of `set` start at a stage: `rlvr.reward`, `after_sft.problems`.
        """
        document = Document(self.document.name, {"stages": copy.deepcopy(rows)}, dict(self.document.origins))
        stages, changed = list(draft.stages), set[int]()
        for written, value in arm.set.items():
            origin = self.document.origin(home := ("arms", name, "set", written))
            try:
                _, index, key, *_ = set_value(document, f"stages.{written}", copy.deepcopy(value), origin)
                if key in ("type", "id"):
                    raise ValueError("an arm cannot replace a stage. Leave it out in some arms instead.")
                if index in left_out:
                    raise ValueError(f"stage {draft.ids[int(index)]!r} is left out in this arm.")
                changed.add(int(index))
            except ValueError as error:
                self._problem(self.document, home, str(error))
        for index in changed:
            row = document.data["stages"][index]
            stages[index] = self._read(document, partial(build, "stage"), row, Stage, ("stages", index))
            self._once(document, stage_checks(draft, index, row, stages[index], self.world_size))
        return stages

    def _left_out(self, name: str, keys: list[Any], rows: list[Any]) -> set[int]:
        """Indices of the stages that an arm leaves out; items that are not text are reported with the arm's keys."""
        found = set()
        for position, key in enumerate(keys):
            try:
                if isinstance(key, str):
                    found.add(stage_index(rows, key))
            except ValueError as error:
                self._problem(self.document, ("arms", name, "leave_out", position), f"{key!r}: {error}")
        return found

    def _line_number(self, problem: str) -> int:
        """Sort key: the line in the file; problems outside the file come last."""
        match = re.match(r":(\d+)", problem.removeprefix(self.document.name))
        return int(match[1]) if match else sys.maxsize

    def _once(self, document: Document, found: Iterable[tuple[Address, str]]) -> None:
        """Reports the problems of keys that have none yet."""
        for address, message in found:
            if document.line(address, "") not in self.places:
                self._problem(document, address, message)

    def _problem(self, document: Document, address: Address, message: str) -> None:
        self.problems.append(document.line(address, message))
        self.places.add(document.line(address, ""))


def _find_beside(data: Any, folder: Path) -> None:
    """Makes paths relative to here if they exist only beside the recipe: of data, models and plug-in files.

    Values that look like a path are taken for one: with a slash or an ending, or under the key `model`.
    """
    for key, value in list(data.items() if isinstance(data, dict) else enumerate(data)):
        if isinstance(value, dict | list):
            _find_beside(value, folder)
        elif isinstance(value, str) and key != "output_dir":
            plug_in = re.fullmatch(r"((?:python: ?)?)(\S+\.py)(:\w+)", value)
            before, path, after = plug_in.groups() if plug_in else ("", value, "")
            is_path = key == "model" or "/" in path or Path(path).suffix
            if is_path and not os.path.exists(path) and os.path.exists(folder / path):
                data[key] = f"{before}{folder / path}{after}"


def _leaves(value: Any, address: Address = ()) -> Iterator[tuple[Address, Any]]:
    """The plain values inside a value and their addresses."""
    if not isinstance(value, dict | list):
        yield address, value
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(part, (*address, key))


def _explicit(written: dict[str, Any]) -> dict[str, Any]:
    """A copy of a recipe in which domains have `type` and `name`, stages have `type` and `id`, and arms have keys."""
    data = dict(written)
    if isinstance(domains := data.get("domains"), dict):
        data["domains"] = dict(domains)
        for name, given in domains.items():
            fields = {} if given is None else {"type": given} if isinstance(given, str) else given
            data["domains"][name] = {"type": name, **fields, "name": name} if isinstance(fields, dict) else fields
    if isinstance(stages := data.get("stages"), list):
        rows = [{"type": row} if isinstance(row, str) else row for row in stages]
        data["stages"] = [
            {"id": stage_id(row), **row} if isinstance(row, dict) and "type" in row else row for row in rows
        ]
    if isinstance(arms := data.get("arms"), dict):
        data["arms"] = {name: {} if fields is None else fields for name, fields in arms.items()}
    return data


def _attempt(model: type[Any], given: Any) -> Any:
    """The config that a value describes; None if it is invalid, which is reported with the recipe as a whole."""
    try:
        return build(model.plugin_kind, given) if issubclass(model, Plugin) else model.model_validate(given)
    except ValidationError:
        return None
