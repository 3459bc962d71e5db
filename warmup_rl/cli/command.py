"""The command line of `train` and `check`: recipe, overrides and flags; and the commands `help` and `report`."""

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
        recipe: path of the recipe; empty only if `help` is set.
        overrides: `address=value` each; later ones win.
        only: id of the one stage to run.
        until: id of the last stage to run.
        arms, seeds, folds: what to run; empty means all of the recipe. Fold None is the last model.
        jobs: how many trials run in parallel at most; None for as many as fit.
        threads: threads of a trial.
        reuse_stale: reuse outputs that were made by another version of the code.
        trial: this process runs one trial of a run that another process started.
        help: None, or the topic to explain; empty for all topics.
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
        kind: type of its value; a `switch` has none.
        repeats: may be given several times; the values are collected.
        shown: whether help lists it.
    """

    field: str
    kind: Literal["text", "count", "number", "fold", "switch"]
    value: str
    about: str
    repeats: bool = False
    shown: bool = True


FLAGS: dict[str, Flag] = {
    "--config": Flag("recipe", "text", "RECIPE", "the recipe, if it is not given by its bare name"),
    "--arm": Flag("arms", "text", "NAME", "run this arm only; may be repeated", repeats=True),
    "--seed": Flag("seeds", "number", "N", "run this seed instead of the recipe's; may be repeated", repeats=True),
    "--fold": Flag("folds", "fold", "K", "run this fold only, or the last model: last; may be repeated", repeats=True),
    "--only": Flag("only", "text", "ID", "run this stage only, on the outputs of the stages before it"),
    "--until": Flag("until", "text", "ID", "run the stages up to and including this one"),
    "--jobs": Flag("jobs", "count", "N", "run at most N arms and seeds in parallel"),
    "--threads": Flag("threads", "count", "N", "threads of each arm and seed"),
    "--dry-run": Flag("dry_run", "switch", "", "check the recipe, print the plan, run nothing"),
    "--reuse-stale": Flag("reuse_stale", "switch", "", "reuse finished outputs with equal settings although the code "
                          "or a library has changed since; the report says so"),
    "--trial": Flag("trial", "switch", "", "", shown=False),
}  # fmt: skip
_SHORT = {"-h": "--help"}


def parse(arguments: Sequence[str], *, usage: str) -> Command:
    """Reads a command line.

    Args:
        usage: how the program is called, for error messages.

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
    """The arms and seeds that a command runs. With `--only` and `--until`, arms without that stage are left out.

    Raises:
        UserError: no such arm or stage, or a requested arm does not have the stage.
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
        folds = f"Folds: {', '.join(map(str, recipe.folds[:-1]))}, {LAST_FOLD}."
        have = folds if recipe.folded else "No domain has folds."
        raise UserError(f"--fold: no fold {wrong[0] if wrong else LAST_FOLD}. {have}")
    return tuple(dict.fromkeys(command.folds)) or recipe.folds


def running(command: Command, ids: Sequence[str]) -> tuple[str, ...]:
    """Those of an arm's stage ids, in order, that a command runs."""
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


def explain(arguments: Sequence[str]) -> None:
    """The command `help`: explains a key of a recipe, or all of them."""
    from warmup_rl.cli.help import help_text

    topic = next(iter(arguments), "")
    usage = "accelerate launch -m warmup_rl.train RECIPE [KEY=VALUE ...]"
    print(help_text("" if topic in ("-h", "--help") else topic, usage=usage))


def report(arguments: Sequence[str]) -> None:
    """The command `report`: writes the report of a run folder."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UserError("the folder of one run is needed. Usage: python -m warmup_rl report outputs/RUN_NAME")
    from warmup_rl.report.main import report

    report(Path(arguments[0]))
