"""`warmup-rl COMMAND` and `python -m warmup_rl COMMAND`: training, recipes, data and reports."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from warmup_rl import __version__
from warmup_rl.base.console import run_command
from warmup_rl.base.errors import UserError
from warmup_rl.interfaces.plugins import suggestion

COMMANDS: dict[str, tuple[str, str]] = {
    "train": ("warmup_rl.train:main", "RECIPE [KEY=VALUE ...]: runs all arms and seeds of a recipe, then the report"),
    "recipes": ("warmup_rl.cli.command:recipes", "lists the recipes and launch files that come with the package"),
    "check": ("warmup_rl.cli.check:main", "RECIPE [KEY=VALUE ...]: checks a recipe and prints its plan"),
    "report": (
        "warmup_rl.cli.command:report",
        "RUN_FOLDER [OTHER]: makes the page, summary, tables and plots of a run, or two",
    ),
    "watch": ("warmup_rl.cli.watch:main", "RUN_FOLDER: shows a run in the terminal while it goes on, from its files"),
    "sync": ("warmup_rl.cli.sync:main", "RUN_FOLDER: uploads the W&B runs of a run that was tracked"),
    "dashboard": (
        "warmup_rl_extras.dashboard:main",
        "RUN_FOLDER: saves a W&B workspace of its arms",
    ),
    "verify": ("warmup_rl.cli.verify:main", "RUN_FOLDER: checks the files of a run and grades its completions again"),
    "export": ("warmup_rl.cli.export:main", "FOLDER --to DIR: copies a trained model for a server, merges an adapter"),
    "puzzles": ("warmup_rl.cli.puzzles:main", "--out FILE: makes or checks a file of Knights & Knaves puzzles"),
    "clean": ("warmup_rl.cli.clean:main", "--in TRACES --out TRACES: cleans traces with DLCoT and other steps"),
    "grade": ("warmup_rl.cli.grade:main", "--domain NAME --in ROWS --out VERDICTS: grades rows; --self-test: a grader"),
    "init": ("warmup_rl_extras.init:main", "FILE: looks at a file of yours, tries a grader on it, writes a recipe"),
    "contamination": (
        "warmup_rl_extras.contamination:main",
        "--model M --domain NAME: does a model know the data?",
    ),
    "conformance": (
        "warmup_rl.cli.conformance:main",
        "PLUGIN [KEY=VALUE ...]: checks a plug-in of your own",
    ),
    "doctor": ("warmup_rl.cli.doctor:main", "shows what this machine has and what is missing"),
    "help": ("warmup_rl.cli.command:explain", "[TOPIC]: explains the keys of a recipe, e.g. evaluation, sft.args, kk"),
}
"""Where the function of each command is (`module:function`, imported when it is called), and what the command does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        The exit code: 0 done, 1 a test failed, 2 something given was wrong (printed once on stderr), 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return run_command(lambda: _run(*(given or [""])))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(name: str, *rest: str) -> int:
    if name in ("", "-h", "--help"):
        print(_overview())
        return 0 if name else 2
    if name == "--version":
        print(f"warmup_rl {__version__}")
        return 0
    if name not in COMMANDS:
        raise UserError(f"unknown command {name!r}.{suggestion(name, COMMANDS)} Commands: {', '.join(COMMANDS)}.")
    module, _, function = COMMANDS[name][0].partition(":")
    return getattr(import_module(module), function)(list(rest)) or 0


def _overview() -> str:
    commands = [f"  {name:<15}{about}" for name, (_, about) in COMMANDS.items()]
    usage = "usage: warmup-rl COMMAND ...   (or: python -m warmup_rl COMMAND ...)"
    launch = "RECIPE is a file or a name that `recipes` lists. Several GPUs: warmup-rl train RECIPE --gpus N"
    return "\n".join([usage, "", *commands, "", launch])


if __name__ == "__main__":
    sys.exit(main())
