"""The command line of `train` and `check`: recipe, overrides and options; and the commands `help` and `report`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import UserError
from warmup_rl.cli.arguments import Arguments
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.recipe.schema import LAST_FOLD, Recipe
from warmup_rl.recipe.shipped import first_comment, shipped

TRAIN = "accelerate launch -m warmup_rl.train"
_ADDRESS = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+)*")
_KEYS = (
    "KEY=VALUE sets a key of the recipe, also as --KEY VALUE: stages.sft.args.learning_rate=1e-6. A stage is addressed "
    "by its index, its id, or its type where only one stage has it."
)


@dataclass(frozen=True)
class Command:
    """A parsed command line, with what the options of `options` say; None is the default.

    Attributes:
        recipe: empty only if `help` is set.
        overrides: `address=value` each; later ones win.
        arms, seeds, folds: empty means all of the recipe. Fold None is the last model.
        gpus: None to run in this process, or as one that a launcher started.
        trial: this process runs one trial of a run that the process with this pid started.
        help: the topic to explain; empty for all topics.
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
    gpus: int | None = None
    gpus_per_run: int | None = None
    launch: str | None = None
    gpu_memory: float | None = None
    dry_run: bool = False
    rehearse: bool = False
    trial: int | None = None
    reuse_stale: bool = False
    help: str | None = None


def options(prog: str = TRAIN) -> Arguments:
    """The parser of the options; overrides of the recipe's keys that look like options are not among them."""
    about, usage = "Runs all arms and seeds of a recipe.", f"{prog} RECIPE [KEY=VALUE ...]"
    parser = Arguments(
        "train", about, prog=prog, usage=usage, epilog=_KEYS, add_help=False, argument_default=argparse.SUPPRESS
    )
    add = parser.add_argument
    add("words", nargs="*", help=argparse.SUPPRESS)
    add("--config", action="append", metavar="RECIPE", help="the recipe, if it is not given by its bare name")
    for name, kind, value, about in (
        ("--arm", str, "NAME", "run this arm only; may be repeated"),
        ("--seed", _whole_number(0, 2**32 - 1), "N", "run this seed instead of the recipe's; may be repeated"),
        ("--fold", _fold, "K", "run this fold only, or the last model: last; may be repeated"),
    ):
        add(name, dest=f"{name[2:]}s", action="append", type=kind, metavar=value, help=about)
    add("--only", metavar="ID", help="run this stage only, on the outputs of the stages before it")
    add("--until", metavar="ID", help="run the stages up to and including this one")
    add("--jobs", type=_whole_number(1), metavar="N", help="run at most N arms and seeds in parallel")
    add("--threads", type=_whole_number(1), metavar="N", help="threads of each arm and seed")
    add("--gpus", type=_whole_number(1), metavar="N", help="start N processes with accelerate; 1: this process alone")
    each = "run arms and seeds side by side on all GPUs, N for each; default: 1, unless --gpus or a launcher says more"
    add("--gpus-per-run", type=_whole_number(1), metavar="N", help=each)
    add("--launch", metavar="NAME", help="launch file for --gpus (ddp, zero1, zero2, zero3, or a path); default: zero3 "
        "where weights and optimizer do not fit on one GPU, else ddp")  # fmt: skip
    add("--gpu-memory", type=_gigabytes, metavar="GB", help="check and --dry-run: plan for GPUs with so much memory")
    add("--rehearse", action="store_true", help="two steps of each training, longest samples first: "
        "peak memory, seconds by phase, and an estimate of the whole run")  # fmt: skip
    add("--dry-run", action="store_true", help="check the recipe, print the plan, run nothing")
    stale = "reuse finished outputs with equal settings though code, a library or an endpoint has changed"
    add("--reuse-stale", action="store_true", help=stale)
    add("--trial", type=_whole_number(1), metavar="PID", help=argparse.SUPPRESS)
    topic = "this text, or help on a key, a plug-in (rlvr, kk) or a trainer's options (sft.args)"
    add("-h", "--help", nargs="?", const="", metavar="TOPIC", help=topic)
    return parser


def _whole_number(least: int, most: int = 10**18) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or len(text) > 18 or not least <= int(text) <= most:
            limit = f" and at most {most:,}" if text.isdecimal() and int(text[:19]) > most else ""
            raise argparse.ArgumentTypeError(f"a whole number of at least {least}{limit} is needed (got {text!r}).")
        return int(text)

    return read


def _gigabytes(text: str) -> float:
    number = text.upper().removesuffix("GB")
    if not number.replace(".", "", 1).isdigit() or float(number) <= 0:
        raise argparse.ArgumentTypeError(f"a number of GB is needed, such as 24 (got {text!r}).")
    return float(number)


def _fold(text: str) -> int | None:
    return None if text == LAST_FOLD else _whole_number(0)(text)


def parse(arguments: Sequence[str], prog: str = TRAIN) -> Command:
    """Reads a command line of `prog`. Raises `UserError` for an unknown option, a missing or wrong value, no recipe or
    two."""
    parser = options(prog)
    rest, words = list(arguments), list[str]()
    while rest:  # overrides with dashes become such without
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        address = name.removeprefix("--")
        if word.startswith("--") and _ADDRESS.fullmatch(address) and address.split(".")[0] in Recipe.model_fields:
            if not equals and (not rest or rest[0].startswith("--")):
                parser.error(f"{name} needs a value after it.")
            word = f"{address}={value if equals else rest.pop(0)}"
        words.append(word)
    found = vars(parser.read(words, [f"--{key}" for key in Recipe.model_fields]))
    given = [*found.pop("words", []), *found.pop("config", [])]
    if "=" in (topic := found.get("help", "")) or topic.endswith((".yaml", ".yml")):
        given.append(topic)
        found["help"] = ""
    overrides = tuple(word for word in given if _is_override(word))
    recipes = [word for word in given if word not in overrides]
    if len(recipes) > 1:
        parser.error(f"one recipe at a time (got {', '.join(map(repr, recipes))}); an override is KEY=VALUE.")
    if not recipes and "help" not in found:
        parser.error("no recipe given (--help explains every key).")
    fields: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in found.items()}
    return Command("".join(recipes), overrides, **fields)


def _is_override(word: str) -> bool:
    address, equals, _ = word.partition("=")
    return bool(equals and _ADDRESS.fullmatch(address) and not os.path.exists(word))


def selection(command: Command, recipe: Recipe) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int | None, ...]]:
    """The arms, seeds and folds that a command runs; under `--only` and `--until` only arms that have that stage.
    Raises `UserError` for one that the recipe does not have."""
    for name in command.arms:
        recipe.arm(name)
    wrong = [fold for fold in command.folds if fold not in recipe.folds or not recipe.folded]
    if wrong:
        listed = ", ".join(map(str, recipe.folds[:-1]))
        have = f"Folds: {listed}, {LAST_FOLD}." if recipe.folded else "No domain has folds."
        raise UserError(f"--fold: no fold {LAST_FOLD if wrong[0] is None else wrong[0]}. {have}")
    arms = tuple(dict.fromkeys(command.arms)) or tuple(recipe.arms)
    seeds = tuple(dict.fromkeys(command.seeds)) or tuple(recipe.seeds)
    folds = tuple(dict.fromkeys(command.folds)) or recipe.folds
    wanted, flag = command.only or command.until, "--only" if command.only else "--until"
    if wanted is None:
        return arms, seeds, folds
    ids = [stage.id for stage in recipe.stages]
    if wanted not in ids:
        raise UserError(f"{flag}: no stage {wanted!r}.{suggestion(wanted, ids)} Stages: {', '.join(ids)}.")
    having = [arm for arm in recipe.arms if wanted in (stage.id for stage in recipe.arm(arm))]
    lacking = [arm for arm in command.arms if arm not in having]
    if lacking or not having:
        who = f"arm {lacking[0]!r}" if lacking else "every arm"
        fix = f" Arms that have it: {', '.join(having)}." if having else ""
        raise UserError(f"{flag}: {who} leaves out the stage {wanted!r}.{fix}")
    return tuple(arm for arm in arms if arm in having), seeds, folds


def explain(arguments: Sequence[str]) -> None:
    """The command `help`: explains a key of a recipe, or lists the topics."""
    from warmup_rl.cli.help import help_text, topics

    topic = next(iter(arguments), "")
    print(topics() if topic in ("", "-h", "--help") else help_text(topic))


def recipes(arguments: Sequence[str]) -> None:
    """The command `recipes`: lists the shipped recipes and launch files with the first line of each."""
    Arguments("recipes", "Lists the recipes and launch files that come with the package.").read(arguments)
    for kind, use in (("recipes", "warmup-rl train NAME"), ("launch", "warmup-rl train RECIPE --gpus N --launch NAME")):
        files = shipped(kind)  # type: ignore[arg-type]
        width = max(map(len, files)) + 1
        print(f"{kind} ({use}), in {next(iter(files.values())).parent}")
        for name, file in files.items():
            print(f"  {name:<{width}}{first_comment(file)}")


def report(arguments: Sequence[str]) -> None:
    """The command `report`: writes the report of a run folder, or of two."""
    parser = Arguments("report", "Makes the page, summary, tables and plots of a run from its files.")
    parser.add_argument("run", type=Path, metavar="RUN_FOLDER", help="folder of a run, such as outputs/kk-warmup")
    parser.add_argument("other", type=Path, nargs="?", metavar="OTHER_RUN", help="another run to lay over it")
    parser.add_argument("--again", action="store_true", help=argparse.SUPPRESS)
    given = parser.read(arguments)
    if given.other:
        from warmup_rl.report.beside import beside

        print(f"Both runs: {beside(given.run, given.other)}")
        return
    from warmup_rl.report.main import report

    if given.again:  # beside a run that goes on
        os.nice(19)
    report(given.run, again=given.again)
