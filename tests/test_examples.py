"""The stages and trainers under `examples/` do what they say, in recipes that the command line runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import tiny_model
from tests.training_case import RLVR, SFT, case, context
from warmup_rl.base.errors import RecipeError, UserError
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.recipe.load import load_recipe
from warmup_rl.run.trial import Trial

ROOT = Path(__file__).resolve().parent.parent
TESTS, EXAMPLES = ROOT / "tests", ROOT / "examples"
HEAD = f"""
run_name: example
output_dir: OUTPUTS
model: MODEL
format: {{instruction: ""}}
domains:
  adding: {{type: {TESTS}/tiny.py:Adding, below: 10}}
evaluation: {{problems: 5, batch_size: 8, samplings: {{greedy: {{max_tokens: 12}}}}}}
"""


def write(folder: Path, text: str) -> Path:
    """A recipe with a tiny random model."""
    tiny_model(folder / "model")
    recipe = folder / "recipe.yaml"
    recipe.write_text((HEAD + text).replace("OUTPUTS", str(folder / "out")).replace("MODEL", str(folder / "model")))
    return recipe


def train(recipe: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "warmup_rl.train", str(recipe), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def stages(folder: Path, arm: str) -> dict[str, dict[str, Any]]:
    """The stages of an arm as its run record has them, with their summaries and folders."""
    place = folder / "out" / "example" / arm / "seed-0"
    found = {stage["id"]: stage for stage in json.loads((place / "run.json").read_text())["stages"]}
    for stage in found.values():
        stage["folder"] = (place / stage["folder"]).resolve()
        stage["summary"] = json.loads((stage["folder"] / "stage.json").read_text())["summary"]
    return found


DPO = f"""
arms: {{warmup: {{}}}}
stages:
  - {{type: distill, domain: adding, problems: 12, teacher: "{TESTS}/flaky.py:Flaky", sampling: {{samples: 2}},
     keep_wrong: true}}
  - {{type: "{EXAMPLES}/dpo_stage.py:Dpo", id: dpo, batch_size: 4, epochs: 4, args: {{learning_rate: 0.003}}}}
  - evaluate
"""


def test_dpo_learns_to_prefer_right_traces_and_its_model_is_reported(tmp_path: Path) -> None:
    recipe = write(tmp_path, DPO)
    done = train(recipe)
    assert done.returncode == 0, done.stdout + done.stderr
    dpo = stages(tmp_path, "warmup")["dpo"]
    assert (dpo["role"], dpo["summary"]["pairs"], dpo["summary"]["steps"]) == ("warmup", 12, 12)
    assert dpo["summary"]["last_loss"] < dpo["summary"]["first_loss"]
    log = [row for row in read_jsonl(dpo["folder"] / "log.jsonl") if "rewards/accuracies" in row]
    assert sum(row["rewards/accuracies"] for row in log[-3:]) > 2.5
    assert (dpo["folder"] / "model" / "chat_contract.json").is_file()
    text = (tmp_path / "out" / "example" / "report" / "report.md").read_text()
    assert "| warmup |" in text.split("## Accuracy")[1].split("##")[0]


def test_the_options_of_a_stage_of_ones_own_are_checked_before_it_runs(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"args\.max_length: not allowed here: drop long traces"):
        load_recipe(write(tmp_path, DPO), ["stages.dpo.args.max_length=100"])
    with pytest.raises(RecipeError, match=r"args\.loss_typ: unknown key .* Did you mean 'loss_type'"):
        load_recipe(write(tmp_path, DPO), ["stages.dpo.args.loss_typ=sigmoid"])


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model after SFT, so that some of its answers are right."""
    folder = case(tmp_path_factory.mktemp("case"))
    SFT.run(context(folder, "sft", folder / "base"))
    return folder


def test_hard_groups_learn_from_groups_that_were_mostly_missed(warm: Path) -> None:
    given = context(warm, "hard", warm / "sft" / "model", every=0)
    stage = RLVR.model_copy(
        update={"trainer": f"{EXAMPLES}/hard_groups.py:HardGroups", "args": {**RLVR.args, "beta": 0.0}}
    )
    stage.prepare(given)
    assert stage.run(given)["equal_use"]
    groups: dict[tuple[int, int], list[float]] = {}
    for row in read_jsonl(given.folder / "rollouts.jsonl"):
        groups.setdefault((row["step"], row["place"] // 4), []).append(row["reward"])
    log = [row for row in read_jsonl(given.folder / "log.jsonl") if "grad_norm" in row]
    for row in log:
        learns = any(0 < sum(group) <= 2 for (step, _), group in groups.items() if step == row["step"])
        assert (row["grad_norm"] > 0) == learns


TRAINER = """
from trl import GRPOTrainer

class Mine(GRPOTrainer):
    pass
"""


def test_a_trainer_named_in_a_recipe_follows_the_plan_and_its_source_counts_in_the_key(
    warm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "[{type: rlvr, domain: adding, problems: 10, steps: 2, trainer: ./mine.py:Mine, sampling: {max_tokens: 12}}]"
    recipe = write(tmp_path, f"stages: {rows}")
    (tmp_path / "mine.py").write_text(TRAINER)
    keys = []
    for text in (TRAINER, TRAINER + "CHANGED = 1\n"):
        (tmp_path / "mine.py").write_text(text)
        keys.append(Trial(load_recipe(recipe), "main", 0).stages[0].key)
    assert keys[0] != keys[1]
    given = context(warm, "mine", warm / "sft" / "model", every=0)
    stage = RLVR.model_copy(update={"steps": 1, "trainer": f"{tmp_path}/mine.py:Mine"})
    summary = stage.run(given)
    assert (summary["groups"], summary["equal_use"]) == (4, True)


@pytest.mark.parametrize(
    ("trainer", "message"),
    [("Mine", "give pkg.module:Class"), ("./nowhere.py:Mine", "no such"), ("trl:SFTConfig", "not a subclass of")],
)
def test_a_trainer_that_is_not_one_is_refused_before_training(
    warm: Path, tmp_path: Path, trainer: str, message: str
) -> None:
    stage = RLVR.model_copy(update={"trainer": trainer})
    with pytest.raises(UserError, match=message):
        stage.prepare(context(warm, "refused", warm / "sft" / "model"))
    if ":" not in trainer or ".py" in trainer:
        assert message in stage.check(world_size=1)[0]
