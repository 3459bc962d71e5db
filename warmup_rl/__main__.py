"""`python -m warmup_rl VERB`: what one does with recipes and runs beside training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from warmup_rl.base.errors import UserError
from warmup_rl.interfaces.plugins import suggestion

USAGE = "python -m warmup_rl"
TRAINING = "accelerate launch -m warmup_rl.train"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code: 0 done, 1 a test failed, 2 a wrong argument or file, named on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not given or given[0] in ("-h", "--help"):
            print(_overview())
            return 0 if given else 2
        if given[0] not in COMMANDS:
            raise UserError(
                f"unknown command {given[0]!r}.{suggestion(given[0], COMMANDS)} Commands: {', '.join(COMMANDS)}."
            )
        return COMMANDS[given[0]][1](given[1:]) or 0
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0


def _check(arguments: Sequence[str]) -> None:
    from warmup_rl.cli.command import parse

    usage = f"{USAGE} check RECIPE [KEY=VALUE ...]"
    command = parse(arguments, usage=usage)
    if command.help is not None:
        _help([command.help] if command.help else [], usage=usage)
        return
    from warmup_rl.cli.check import plan
    from warmup_rl.recipe import load_recipe

    plan(load_recipe(command.recipe, command.overrides, draw=True), command=command)


def _report(arguments: Sequence[str]) -> None:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UserError(f"the folder of one run is needed. Usage: {USAGE} report outputs/RUN_NAME")
    from warmup_rl.report.main import report

    report(Path(arguments[0]))


def _help(arguments: Sequence[str], usage: str = f"{TRAINING} RECIPE [KEY=VALUE ...]") -> None:
    from warmup_rl.cli.help import help_text

    topic = arguments[0] if arguments else ""
    print(help_text("" if topic in ("-h", "--help") else topic, usage=usage))


def _lazy(command: str) -> Callable[[Sequence[str]], int | None]:
    """A command with a file of its own under `warmup_rl/cli`, imported when it is called."""

    def call(arguments: Sequence[str]) -> int | None:
        code: int | None = import_module(f"warmup_rl.cli.{command}").main(arguments)
        return code

    return call


COMMANDS: dict[str, tuple[str, Callable[[Sequence[str]], int | None]]] = {
    "check": ("RECIPE [KEY=VALUE ...]: checks a recipe and prints its plan, without running anything", _check),
    "report": ("RUN_FOLDER: makes summary, tables and pictures of a run from its files", _report),
    "verify": ("RUN_FOLDER: checks the files of a run and grades its completions again", _lazy("verify")),
    "puzzles": (
        "--out FILE: makes Knights & Knaves puzzles in the columns of the published data, or checks a file",
        _lazy("puzzles"),
    ),
    "clean": ("--in TRACES --out TRACES: cleans traces with DLCoT, and shows what was done", _lazy("clean")),
    "grade": ("--domain NAME --in ROWS --out VERDICTS: grades rows, or tests a grader (--self-test)", _lazy("grade")),
    "init": ("FILE: looks at a file of yours, tries a grader on its answers, and writes a recipe", _lazy("init")),
    "contamination": (
        "--model M --domain NAME: whether a model has met a domain's questions in pretraining",
        _lazy("contamination"),
    ),
    "doctor": ("tells what this machine has and what is missing", _lazy("doctor")),
    "help": ("[TOPIC]: explains the keys of a recipe, e.g. evaluation, rlvr, sft.args, kk", _help),
}


def _overview() -> str:
    commands = [f"  {name:<14}{about}" for name, (about, _) in COMMANDS.items()]
    return "\n".join([f"usage: {USAGE} VERB ...", "", *commands, "", f"Training: {TRAINING} RECIPE"])


if __name__ == "__main__":
    sys.exit(main())
