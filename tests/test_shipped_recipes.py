"""Shipped recipes: each prints its plan; the overrides that headers and docs name work; a recipe lies over its base."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from importlib.machinery import ModuleSpec
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from warmup_rl.base.errors import RecipeError
from warmup_rl.base.jsonl import write_jsonl
from warmup_rl.cli.check import plan
from warmup_rl.interfaces.stage import Artifacts, Context
from warmup_rl.recipe.load import load_recipe
from warmup_rl.recipe.shipped import shipped
from warmup_rl.stages.rlvr import Rlvr

ROOT = Path(__file__).parent.parent
RECIPES = shipped("recipes")
PROCESSES = {"paper": 4}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine with vLLM and much space, without a network."""
    importlib.import_module("trl.trainer.grpo_trainer")  # while it can see that vLLM is not there
    find = importlib.util.find_spec
    spec = ModuleSpec("vllm", None, origin="vllm/__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: spec if name == "vllm" else find(name, *rest))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(total=10**15, used=0, free=10**15))


def files(folder: Path) -> list[str]:
    """Overrides that give the published data sets small files of the same columns."""
    letters = "first second third fourth".split()
    math = [{"problem": f"What is {n} plus {n * n + 1}?", "answer": str(n * n + n + 1), "level": 1} for n in range(260)]
    code = [
        {
            "prompt": f'def add_{n}(x: int) -> int:\n    """Add {n} to x."""\n',
            "entry_point": f"add_{n}",
            "canonical_solution": f"    return x + {n}\n",
            "base_input": [[n]],
            "plus_input": [[n + 1]],
        }
        for n in range(164)
    ]
    choice = [
        {"question": f"Which word of {kind} stands at place {n}?", "options": letters, "answer": "A", "category": kind}
        for kind in ("physics", "history") for n in range(160)
    ]  # fmt: skip
    for name, rows in {"train": math[:200], "test": math[200:], "code": code, "choice": choice}.items():
        write_jsonl(folder / f"{name}.jsonl", rows)
    return [
        f"domains.math.train={folder}/train.jsonl", f"domains.math.test={folder}/test.jsonl",
        f"domains.humaneval_plus.data={folder}/code.jsonl",
        f"domains.physics.data={folder}/choice.jsonl", f"domains.history.data={folder}/choice.jsonl",
    ]  # fmt: skip


def processes(name: str) -> int:
    return next((count for start, count in PROCESSES.items() if name.startswith(start)), 1)


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_prints_its_plan(name: str, tmp_path: Path) -> None:
    declared = load_recipe(name).domains
    local = [one for one in files(tmp_path) if one.split(".")[1] in declared]
    recipe = load_recipe(name, [f"output_dir={tmp_path}", *local], world_size=processes(name))
    console = Console(file=StringIO(), width=400)
    plan(recipe, processes(name), console)
    shown = console.file.getvalue()
    assert recipe.run_name in shown and all(stage.id in shown for stage in recipe.stages)
    kept = tmp_path / "recipe.yaml"
    kept.write_text(yaml.safe_dump(recipe.resolved(), sort_keys=False, allow_unicode=True), encoding="utf-8")
    assert load_recipe(kept, world_size=processes(name)) == recipe


@pytest.mark.parametrize("name", [name for name in RECIPES if "type: pretrain" not in RECIPES[name].read_text()])
def test_a_header_says_what_a_recipe_is_and_how_it_is_run(name: str) -> None:
    header = "".join(line for line in RECIPES[name].open() if line.startswith("#"))
    assert f"-m warmup_rl.train recipes/{name}.yaml" in header
    assert re.search(r"(?i)estimate|hours", header)


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith(("paper", "one_gpu"))])
def test_the_overrides_in_a_header_load(name: str) -> None:
    lines = [line[1:].split("   (")[0] for line in RECIPES[name].open() if line.startswith("#   ")]
    given = [re.findall(r"((?:stages|model|evaluation|domains)[\w.]*=(?:'[^']*'|\S+))", line) for line in lines]
    for overrides in filter(None, given):
        size = 8 if "Qwen2.5-14B" in overrides[0] else processes(name)
        load_recipe(name, [one.replace("'", "") for one in overrides], world_size=size, files=False)


def rlvr(overrides: list[str], tmp_path: Path) -> tuple[Rlvr, Any]:
    """The RLVR stage of the demo with overrides, and its GRPOConfig."""
    recipe = load_recipe("kk_warmup", [f"output_dir={tmp_path}", *(f"stages.rlvr.{one}" for one in overrides)])
    stage = next(stage for stage in recipe.arm("warmup") if isinstance(stage, Rlvr))
    given = Context(tmp_path, Artifacts(), recipe.domains, recipe.format, recipe.evaluation, 0, stage_id="rlvr")
    return stage, stage.config(given)


EFFECTS = {
    "Dr. GRPO": {"loss_type": "dr_grpo", "scale_rewards": "none"},
    "DAPO": {"loss_type": "dapo", "epsilon_high": 0.28, "mask_truncated_completions": True, "num_generations": 16},
    "GSPO": {"importance_sampling_level": "sequence", "epsilon": 3e-4, "steps_per_generation": 4, "loss_type": "grpo"},
    "CISPO": {"loss_type": "cispo", "epsilon_high": 5.0, "scale_rewards": "batch"},
    "1-shot": {"temperature": 0.6, "beta": 0.001, "num_generations": 8},
    "2-GRPO": {"num_generations": 2, "generation_batch_size": 128},
}


@pytest.mark.parametrize("algorithm", EFFECTS)
def test_an_algorithm_of_the_table_is_what_trl_gets(algorithm: str, tmp_path: Path) -> None:
    table = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| {re.escape(algorithm)} .*$", table, re.MULTILINE)
    stage, config = rlvr(re.findall(r"`([\w.]+=[^`]+)`", row), tmp_path)
    assert {key: getattr(config, key) for key in EFFECTS[algorithm]} == pytest.approx(EFFECTS[algorithm])
    assert stage.sequences_per_update == config.per_device_train_batch_size * config.gradient_accumulation_steps
    assert algorithm != "1-shot" or (stage.problems, stage.rollouts_per_step) == (1, 128)


BASE = """\
run_name: mine
base: recipes/kk_warmup.yaml
stages.rlvr.steps: 3
domains.kk:
  people: 2
  depth: 1
stages.rlvr.problem: 9
stages.nope.x: 1
"""


def test_a_recipe_is_laid_over_its_base_and_a_mistake_keeps_its_line(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(BASE.replace("  depth: 1\n", "").replace("stages.rlvr.problem: 9\nstages.nope.x: 1\n", ""))
    recipe, base = load_recipe(own), load_recipe("kk_warmup")
    assert (recipe.run_name, recipe.domains["kk"].people) == ("mine", 2)
    assert [stage.steps for stage in recipe.stages if isinstance(stage, Rlvr)] == [3]
    assert recipe.evaluation == base.evaluation and list(recipe.arms) == list(base.arms)
    own.write_text(BASE)
    with pytest.raises(RecipeError) as caught:
        load_recipe(own)
    assert list(caught.value.problems) == [
        f"{own}:8: stages.nope.x: no such stage. "
        "Stages: pretrain, before, distill, clean, sft, after_warmup, rlvr, after_rlvr."
    ]
    own.write_text(BASE.replace("stages.nope.x: 1\n", ""))
    with pytest.raises(RecipeError) as caught:
        load_recipe(own, ["stages.sft.epochs=x"])
    found = "\n".join(caught.value.problems)
    assert f"{own}:6: domains.kk.depth: " in found
    assert f"{own}:7: stages.rlvr.problem: unknown key (got 9). Did you mean 'problems'?" in found
    assert "command line: stages.sft.epochs: " in found


@pytest.mark.parametrize(
    ("base", "message"),
    [("mine.yaml", "the file of another recipe is needed"), ("7", "another recipe is needed (got 7)"),
     ("kk_warmpu", "no such recipe file. Did you mean 'kk_warmup'?")],
)  # fmt: skip
def test_a_base_that_is_none_is_refused_with_its_line(tmp_path: Path, base: str, message: str) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(f"run_name: mine\nbase: {base}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(own)
    assert caught.value.problems[0].startswith(f"{own}:2: base: ") and message in caught.value.problems[0]


def test_paths_beside_a_base_are_found_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    files(tmp_path / "shared")
    (tmp_path / "shared/base.yaml").write_text(json.dumps({
        "run_name": "b", "model": "some/model", "stages": ["evaluate"],
        "domains": {"math": {"train": "train.jsonl", "test": "test.jsonl"}},
    }))  # fmt: skip
    (tmp_path / "mine.yaml").write_text("base: shared/base.yaml\nrun_name: mine\n")
    recipe = load_recipe(tmp_path / "mine.yaml")
    assert recipe.domains["math"].test.path == str(tmp_path / "shared/test.jsonl")
