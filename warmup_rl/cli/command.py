"""The command line: recipe, overrides and flags, the same for every verb."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from warmup_rl.base.errors import UserError
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.recipe import Recipe
from warmup_rl.recipe.schema import LAST_FOLD

_ADDRESS = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+)*")


@dataclass(frozen=True)
class Command:
    """A parsed command line.

    Attributes:
        recipe: path of the recipe; empty only where `help` is set.
        overrides: `address=value` each, later ones win.
        only: id of the one stage to run.
        until: id of the last stage to run.
        arms, seeds, folds: what to run; empty means all that the recipe has. A fold None is the last model.
        jobs: trials side by side at most; None is as many as fit.
        threads: threads of a trial.
        reuse_stale: take outputs that code of another version has made.
        trial: this process runs one trial of a run that another one began.
        help: None, or what help is wanted on; empty for all.
    """

    recipe: str = ""
    overrides: tuple[str, ...] = ()
    only: str | None = None
    until: str | None = None
    arms: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    folds: tuple[int | None, ...] = ()
    jobs: int | None = None
    threads: int | None = None
    dry_run: bool = False
    trial: bool = False
    reuse_stale: bool = False
    help: str | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """An option of the command line.

    Attributes:
        kind: what its value must be; `switch` has none.
        repeats: it may be given several times, and its values are gathered.
        shown: whether help lists it.
    """

    field: str
    kind: Literal["text", "count", "number", "fold", "switch"]
    value: str
    about: str
    repeats: bool = False
    shown: bool = True


FLAGS: dict[str, Flag] = {
    "--config": Flag("recipe", "text", "RECIPE", "the recipe, where it is not given by its bare name"),
    "--arm": Flag("arms", "text", "NAME", "run this arm only; may be repeated", repeats=True),
    "--seed": Flag("seeds", "number", "N", "run this seed instead of the recipe's; may be repeated", repeats=True),
    "--fold": Flag("folds", "fold", "K", "run this fold only, or the last model: last; may be repeated", repeats=True),
    "--only": Flag("only", "text", "ID", "run this stage only, on what the stages before it have left"),
    "--until": Flag("until", "text", "ID", "run the stages up to and with this one"),
    "--jobs": Flag("jobs", "count", "N", "run at most N arms and seeds side by side"),
    "--threads": Flag("threads", "count", "N", "threads of each arm and seed"),
    "--dry-run": Flag("dry_run", "switch", "", "check the recipe, print the plan, run nothing"),
    "--reuse-stale": Flag(
        "reuse_stale",
        "switch",
        "",
        "take finished outputs with equal settings though the code or a library has changed since; the report says so",
    ),
    "--trial": Flag("trial", "switch", "", "", shown=False),
}
_SHORT = {"-h": "--help"}


def parse(arguments: Sequence[str], *, usage: str) -> Command:
    """Reads a command line.

    Args:
        usage: how the program is called, for messages.

    Raises:
        UserError: an unknown flag, a missing or wrong value, no recipe or two.
    """
    reader = _Arguments(list(arguments), usage)
    while reader.rest:
        reader.take(reader.rest.pop(0))
    if not reader.found.get("recipe") and "help" not in reader.found:
        raise UserError(f"no recipe given. Usage: {usage}   (--help explains every key)")
    return Command(overrides=tuple(reader.overrides), **reader.found)


def selection(command: Command, recipe: Recipe) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The arms and seeds that a command runs. With `--only` and `--until`, arms without that stage run nothing.

    Raises:
        UserError: no such arm or stage, or an arm was asked for that does not have the stage.
    """
    for name in command.arms:
        recipe.arm(name)
    arms = tuple(dict.fromkeys(command.arms)) or tuple(recipe.arms)
    seeds = tuple(dict.fromkeys(command.seeds)) or tuple(recipe.seeds)
    wanted, flag = command.only or command.until, "--only" if command.only else "--until"
    if wanted is None:
        return arms, seeds
    ids = [stage.id for stage in recipe.stages]
    if wanted not in ids:
        raise UserError(f"{flag}: no stage {wanted!r}.{suggestion(wanted, ids)} Stages: {', '.join(ids)}.")
    having = [arm for arm in recipe.arms if wanted in (stage.id for stage in recipe.arm(arm))]
    lacking = [arm for arm in command.arms if arm not in having]
    if lacking or not having:
        who = f"arm {lacking[0]!r}" if lacking else "every arm"
        fix = f" Arms that have it: {', '.join(having)}." if having else ""
        raise UserError(f"{flag}: {who} leaves out the stage {wanted!r}.{fix}")
    return tuple(arm for arm in arms if arm in having), seeds


def selected_folds(command: Command, recipe: Recipe) -> tuple[int | None, ...]:
    """The folds that a command runs. Raises `UserError` for one that the recipe does not have."""
    wrong = [fold for fold in command.folds if fold not in recipe.folds]
    if wrong or command.folds and not recipe.folded:
        have = (
            f"Folds: {', '.join(map(str, recipe.folds[:-1]))}, {LAST_FOLD}."
            if recipe.folded
            else "No domain has folds."
        )
        raise UserError(f"--fold: no fold {wrong[0] if wrong else LAST_FOLD}. {have}")
    return tuple(dict.fromkeys(command.folds)) or recipe.folds


def running(command: Command, ids: Sequence[str]) -> tuple[str, ...]:
    """Of the ids of an arm's stages, in order, those that a command runs."""
    wanted = command.only or command.until
    if wanted is None:
        return tuple(ids)
    if wanted not in ids:
        return ()
    end = ids.index(wanted) + 1
    return tuple(ids[end - 1 : end] if command.only else ids[:end])


@dataclass
class _Arguments:
    rest: list[str]
    usage: str
    overrides: list[str] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)

    def take(self, argument: str) -> None:
        argument = _SHORT.get(argument, argument)
        name, equals, value = argument.partition("=")
        if name == "--help":
            self.found["help"] = value if equals else self._topic()
        elif name in FLAGS:
            self._flag(name, FLAGS[name], value if equals else None)
        elif argument.startswith("-"):
            self._dashed_override(name, value if equals else None)
        elif equals and _ADDRESS.fullmatch(name) and not Path(argument).exists():
            self.overrides.append(argument)
        else:
            self._recipe(argument)

    def _flag(self, name: str, flag: Flag, given: str | None) -> None:
        if flag.kind == "switch":
            if given is not None:
                raise UserError(f"{name} takes no value (got {given!r}).")
            self.found[flag.field] = True
            return
        value = self._value(name, given, flag.value)
        if flag.field == "recipe":
            self._recipe(value)
            return
        typed: Any = value
        if flag.kind != "text":
            last = flag.kind == "fold" and value == LAST_FOLD
            typed = None if last else _whole_number(name, value, least=1 if flag.kind == "count" else 0)
        self.found[flag.field] = (*self.found.get(flag.field, ()), typed) if flag.repeats else typed

    def _dashed_override(self, name: str, given: str | None) -> None:
        """`--a.b V` and `--a.b=V`, and `--key V` for a key at the top of a recipe."""
        address = name.removeprefix("--")
        is_address = name.startswith("--") and _ADDRESS.fullmatch(address)
        if not is_address or address.split(".")[0] not in Recipe.model_fields:
            listed = [*(flag for flag in FLAGS if FLAGS[flag].shown), "--help"]
            hint = suggestion(name.split(".")[0], [*listed, *(f"--{key}" for key in Recipe.model_fields)])
            raise UserError(
                f"unknown option {name!r}.{hint} Options: {', '.join(listed)}; "
                "a recipe's key is set by its address, e.g. stages.sft.args.learning_rate=1e-6."
            )
        self.overrides.append(f"{address}={self._value(name, given, 'a value')}")

    def _value(self, name: str, given: str | None, what: str) -> str:
        if given is not None:
            return given
        if not self.rest or self.rest[0].startswith("--"):
            raise UserError(f"{name} needs {what} after it.")
        return self.rest.pop(0)

    def _topic(self) -> str:
        following = self.rest[0] if self.rest else "-"
        is_topic = not following.startswith("-") and "=" not in following and not following.endswith((".yaml", ".yml"))
        return self.rest.pop(0) if is_topic else ""

    def _recipe(self, path: str) -> None:
        if known := self.found.get("recipe"):
            raise UserError(
                f"one recipe at a time (got {known!r} and {path!r}); an override is KEY=VALUE. Usage: {self.usage}"
            )
        self.found["recipe"] = path


def _whole_number(name: str, text: str, *, least: int) -> int:
    if not text.isdigit() or int(text) < least:
        raise UserError(f"{name}: a whole number of at least {least} is needed (got {text!r}).")
    return int(text)
