"""The command line: what is read, what is refused, and how commands end."""

from __future__ import annotations

import io
import re
import tomllib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.test_recipe import write  # noqa: F401
from warmup_rl.__main__ import COMMANDS, main
from warmup_rl.base.errors import UserError
from warmup_rl.cli.check import plan
from warmup_rl.cli.command import Command, parse, selection
from warmup_rl.cli.help import help_text
from warmup_rl.interfaces.plugins import TABLE, Kind, load
from warmup_rl.recipe.load import load_recipe
from warmup_rl.recipe.schema import Recipe

READ: list[tuple[str, str, Command]] = [
    ("bare recipe", "r.yaml", Command("r.yaml")),
    ("--config", "--config r.yaml", Command("r.yaml")),
    ("--config=", "--config=r.yaml", Command("r.yaml")),
    ("bare override", "r.yaml stages.sft.args.learning_rate=1e-6",
     Command("r.yaml", ("stages.sft.args.learning_rate=1e-6",))),
    ("override before the recipe", "seeds=[1,2] r.yaml", Command("r.yaml", ("seeds=[1,2]",))),
    ("dashed override", "r.yaml --stages.sft.args.learning_rate 1e-6",
     Command("r.yaml", ("stages.sft.args.learning_rate=1e-6",))),
    ("dashed override with =", "r.yaml --stages.sft.args.learning_rate=1e-6",
     Command("r.yaml", ("stages.sft.args.learning_rate=1e-6",))),
    ("negative value", "r.yaml --stages.rlvr.reward.wrong -1", Command("r.yaml", ("stages.rlvr.reward.wrong=-1",))),
    ("key at the top", "r.yaml --run_name other --tracking.project p",
     Command("r.yaml", ("run_name=other", "tracking.project=p"))),
    ("overrides keep their order", "r.yaml seeds=1 --seeds 2 seeds=3",
     Command("r.yaml", ("seeds=1", "seeds=2", "seeds=3"))),
    ("value with =", "r.yaml domains.x.text=a=b", Command("r.yaml", ("domains.x.text=a=b",))),
    ("flags", "r.yaml --only rlvr --arm warmup --arm=base --seed 3 --seed 0 --jobs 2 --dry-run",
     Command("r.yaml", only="rlvr", arms=("warmup", "base"), seeds=(3, 0), jobs=2, dry_run=True)),
    ("trial", "r.yaml --arm base --seed 1 --until clean --threads 2 --trial 7",
     Command("r.yaml", arms=("base",), seeds=(1,), until="clean", threads=2, trial=7)),
    ("help", "--help", Command(help="")),
    ("short help", "-h", Command(help="")),
    ("help on a topic", "--help sft.args", Command(help="sft.args")),
    ("help beside a recipe", "r.yaml --help", Command("r.yaml", help="")),
    ("help before a recipe", "--help r.yaml", Command("r.yaml", help="")),
    ("help before a flag", "--help --dry-run", Command(help="", dry_run=True)),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_a_command_line_is_read(line: str, expected: Command) -> None:
    assert parse(line.split(), "program") == expected


REFUSED: list[tuple[str, str, str]] = [
    ("nothing", "", "no recipe given (--help explains every key)."),
    ("two recipes", "a.yaml b.yaml", "one recipe at a time (got 'a.yaml', 'b.yaml')"),
    ("two recipes, one named", "a.yaml --config b.yaml", "one recipe at a time (got 'a.yaml', 'b.yaml')"),
    ("misspelt flag", "r.yaml --dryrun", "unknown argument '--dryrun'. Did you mean '--dry-run'?"),
    ("misspelt key", "r.yaml --stage.sft.x 1", "unknown argument '--stage.sft.x'. Did you mean '--stages'?"),
    ("misspelt top key", "r.yaml --run-name x", "unknown argument '--run-name'. Did you mean '--run_name'?"),
    ("one dash", "r.yaml -only x", "unknown argument '-only'. Did you mean '--only'?"),
    ("no value", "r.yaml --only", "argument --only: expected one argument"),
    ("a flag for a value", "r.yaml --arm --dry-run", "argument --arm: expected one argument"),
    ("override without value", "r.yaml --stages.sft.epochs", "--stages.sft.epochs needs a value after it."),
    ("seed is no number", "r.yaml --seed x", "argument --seed: a whole number of at least 0 is needed (got 'x')."),
    ("no jobs", "r.yaml --jobs 0", "argument --jobs: a whole number of at least 1 is needed (got '0')."),
    ("value for a switch", "r.yaml --dry-run=yes", "argument --dry-run: ignored explicit argument 'yes'"),
]


@pytest.mark.parametrize(("line", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_wrong_command_line_is_refused(line: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(line.split(), "program")
    assert str(caught.value).startswith(f"program: {message}")
    assert str(caught.value).endswith("usage: program RECIPE [KEY=VALUE ...]")


@pytest.mark.parametrize(("arguments", "message"), [
    (["chek"], f"unknown command 'chek'. Did you mean 'check'? Commands: {', '.join(COMMANDS)}."),
    (["check", "none.yaml"], "none.yaml: no such recipe file."),
    (["check", "kk-warmup"], "kk-warmup: no such recipe file. Did you mean 'kk_warmup'? Shipped recipes: ablation, "),
    (["train", "kk_warmup", "--gpus", "2", "--launch", "zero9"], "--launch: no such file: zero9. Did you mean 'zero"),
    (["check"], "python -m warmup_rl check: no recipe given"),
    (["report"], "python -m warmup_rl report: the following arguments are required: RUN_FOLDER"),
    (["help", "rlrv"], "no help on 'rlrv'. Did you mean 'rlvr'?"),
])  # fmt: skip
def test_what_is_wrong_is_printed_once_and_ends_with_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(message) and printed.err.count(message) == 1


def test_every_command_of_the_table_can_be_called_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for name, (target, about) in COMMANDS.items():
        module, _, function = target.partition(":")
        assert callable(getattr(import_module(module), function)), name
        assert f"  {name:<15}{about}\n" in printed


def test_help_alone_lists_the_topics(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: warmup-rl help TOPIC") and len(printed.splitlines()) < 60
    assert {*Recipe.model_fields, *(name for names in TABLE.values() for name in names)} <= {
        *re.findall(r"[\w-]+", printed)
    }


def test_the_console_script_is_the_module() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"warmup-rl": "warmup_rl.__main__:main"}


def test_train_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "none.yaml"]) == 2 and "none.yaml: no such recipe file." in capsys.readouterr().err
    assert main(["train", "--help", "sft.args.learning_rate"]) == 0
    assert "learning_rate = 2e-05" in capsys.readouterr().out


def test_check_prints_the_plan_of_a_good_recipe(write: Any, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert main(["check", str(write()), "stages.learn.steps=96"]) == 0
    printed = capsys.readouterr().out
    assert "toy: 2 arms, 1 seed; 9 stages of which 8 are made and 1 shared." in printed
    assert "base: learn.args.learning_rate = 1e-05" in printed
    assert "! learn: longer than any before" in printed
    assert "small (toy)" in printed and "200 test problems of small" in printed


def test_a_plan_shows_for_each_arm_what_it_makes_shares_and_leaves_out(write: Any) -> None:  # noqa: F811
    written = io.StringIO()
    plan(load_recipe(write()), console=Console(file=written, width=120))
    rows = [line.split()[:5] for line in written.getvalue().splitlines()]
    assert ["0", "make", "●", "=", "warmup"] in rows
    assert ["2", "imitate", "●", "–", "steps"] in rows
    assert ["4", "learn", "●", "●", "steps"] in rows


@pytest.mark.parametrize(("line", "arms", "seeds"), [
    ("", ("warmup", "base"), (0,)),
    ("--arm base --seed 3 --seed 4 --seed 3", ("base",), (3, 4)),
    ("--only imitate", ("warmup",), (0,)),
    ("--until learn", ("warmup", "base"), (0,)),
])  # fmt: skip
def test_a_command_selects_arms_and_seeds(write: Any, line: str, arms: Any, seeds: Any) -> None:  # noqa: F811
    command = parse(["recipe.yaml", *line.split()])
    assert selection(command, load_recipe(write()))[:2] == (arms, seeds)


@pytest.mark.parametrize(("line", "message"), [
    ("--arm bas", "no arm 'bas'. Did you mean 'base'? Arms: warmup, base."),
    ("--until lern",
     "--until: no stage 'lern'. Did you mean 'learn'? Stages: make, write, imitate, after, learn, end."),
    ("--arm base --only imitate", "--only: arm 'base' leaves out the stage 'imitate'. Arms that have it: warmup."),
])  # fmt: skip
def test_check_refuses_a_selection_that_is_not_there(
    write: Any,  # noqa: F811
    line: str,
    message: str,
    capsys: pytest.CaptureFixture[str],  # noqa: F811
) -> None:
    assert main(["check", str(write()), *line.split()]) == 2
    assert capsys.readouterr().err == f"{message}\n"


def test_a_plan_counts_and_marks_what_is_selected(write: Any) -> None:  # noqa: F811
    written = io.StringIO()
    command = parse("recipe.yaml --seed 3 --seed 4 --only imitate".split())
    plan(load_recipe(write()), console=Console(file=written, width=120), command=command)
    lines = written.getvalue().splitlines()
    assert lines[0] == "toy: 1 arm, 2 seeds; 1 stage for each seed."
    marks = {row.split()[1]: next(word for word in row.split() if word in "·●") for row in lines[2:8]}
    assert marks == {"make": "·", "write": "·", "imitate": "●", "after": "·", "learn": "·", "end": "·"}


def test_a_plan_names_the_key_that_does_not_fit_other_numbers_of_processes(write: Any) -> None:  # noqa: F811
    written = io.StringIO()
    plan(load_recipe(write()), console=Console(file=written, width=120))
    assert "! imitate: steps fits 1, 2, 4 processes, not 8." in written.getvalue()


def test_help_explains_a_plug_in_that_has_no_name_of_its_own() -> None:
    text = help_text("tests.recipe_plugins:Toy")
    assert text.startswith("domain tests.recipe_plugins:Toy: Problems of a toy.")
    assert "size = 3  (whole number > 0)" in text


def test_help_documents_every_key_of_every_plug_in() -> None:
    text = help_text("")
    for name in Recipe.model_fields:
        assert f"\n  {name}  (" in text or f"\n  {name} = " in text
    for kind, names in TABLE.items():
        assert all(f"\n  {kind} {name}: " in text for name in names)


@pytest.mark.parametrize(("topic", "expected"), [
    ("sft.args", "learning_rate = 2e-05  (float)"),
    ("rlvr.args.beta", "beta = 0.0  (float)"),
    ("rlvr.args.max_steps", "Not allowed here: use 'steps'."),
    ("evaluation", "samplings.<name>.temperature = 0.0  (number >= 0)"),
    ("stages.rlvr.steps", "steps  (whole number > 0, needed)"),
    ("kk", "domain kk: "),
    ("engines", "solver"),
    ("choice", "grader choice: "),
    ("jsonl.grader.choice", "counted_from  (0 or 1 or null)"),
    ("jsonl.grader.number.tolerance", "How far from the reference an answer may be."),
    ("distill.teacher.openai", "engine openai: "),
])  # fmt: skip
def test_help_has_topics(topic: str, expected: str) -> None:
    assert expected in help_text(topic)


@pytest.mark.parametrize("kind", TABLE)
def test_help_on_a_kind_documents_every_plug_in_of_it_with_its_keys(kind: Kind) -> None:
    text = help_text(kind)
    for name in TABLE[kind]:
        assert f"{kind} {name}: " in text
        for key, field in load(kind, name).model_fields.items():
            assert field.exclude or f"  {key}" in text


def test_shipped_recipes_and_launch_files_are_listed_and_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["recipes"]) == 0
    printed = capsys.readouterr().out
    for kind in ("recipes", "launch"):
        for file in (Path(__file__).parents[1] / kind).glob("*.yaml"):
            if file.stem == "skypilot":  # no file of accelerate
                assert file.stem not in printed
                continue
            assert any(line.startswith(f"  {file.stem} ") and len(line) > 30 for line in printed.splitlines())
    for given in ("kk_warmup", "kk_warmup.yaml", "recipes/kk_warmup.yaml"):
        assert load_recipe(given).run_name == "kk-warmup"
    Path("kk_warmup").write_text("run_name: mine", encoding="utf-8")
    with pytest.raises(UserError, match="kk_warmup: domains"):
        load_recipe("kk_warmup")


@pytest.mark.parametrize(("memory", "options", "file"), [
    (80e9, [], "zero3.yaml"),
    (200e9, [], "ddp.yaml"),
    (80e9, ["--launch", "zero2"], "zero2.yaml"),
    (80e9, ["stages.sft.lora={r: 8}", "stages.rlvr.lora={r: 8}"], "ddp.yaml"),
])  # fmt: skip
def test_processes_start_with_a_launch_file_that_fits_the_model(
    memory: float, options: list[str], file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from warmup_rl.train import launch_command

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=memory))
    given = ["qwen_3b", "--gpus", "8", *options]
    command = parse(given, "program")
    words = launch_command(command, load_recipe(command.recipe, command.overrides, world_size=8), given)
    assert Path(words[words.index("--config_file") + 1]).name == file
    assert words[-len(given) - 4 :] == ["--num_processes", "8", "-m", "warmup_rl.train", *given]


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "warmup_rl 0.1.0\n"
