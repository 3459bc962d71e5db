"""Rivals of the warmup: on-policy distillation, and demonstrations mixed into RLVR."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.resume_case import Killed, dying_at, logs, with_checkpoints
from tests.tiny import tiny_model, tiny_tokenizer
from tests.training_case import RLVR, SFT, case, context
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.interfaces.stage import Artifacts, Context
from warmup_rl.recipe.load import load_recipe
from warmup_rl_extras.guided import Guide, GuidedRlvr
from warmup_rl_extras.on_policy import OnPolicyDistillation, Teacher

OPD = OnPolicyDistillation(
    id="opd",
    domain="adding",
    problems=10,
    steps=24,
    batch_size=16,
    sampling=Sampling(temperature=1.0, max_tokens=12),
    args={"learning_rate": 1e-2, "lr_scheduler_type": "constant"},
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = case(tmp_path_factory.mktemp("rivals"))
    SFT.run(context(folder, "sft", folder / "base"))
    return folder


def taught(start: Path, name: str, teacher: Path) -> Context:
    given = context(start, name, start / "base")
    return replace(given, inputs=Artifacts(str(start / "base"), teacher=teacher))


def test_a_student_comes_closer_to_its_teacher_on_its_own_words_and_resumes_exactly(start: Path) -> None:
    hands_on = context(start, "teacher", start / "sft" / "model")
    Teacher(id="teacher").run(hands_on)
    teacher = hands_on.output("teacher")
    assert OPD.required_inputs() == {"model", "teacher"}
    whole, parts = taught(start, "opd whole", teacher), taught(start, "opd parts", teacher)
    OPD.prepare(whole)
    stage = with_checkpoints(OPD, every=10)
    summary = stage.run(whole)
    losses = [row["loss"] for row in read_jsonl(whole.folder / "log.jsonl") if "loss" in row]
    assert sum(losses[-4:]) < 0.7 * sum(losses[:4])
    assert (summary["answers"], summary["problems"], summary["steps"]) == (384, 10, 24)
    with dying_at(13), pytest.raises(Killed):
        stage.run(parts)
    stage.recover(parts.folder)
    assert stage.run(parts) == summary and logs(parts.folder) == logs(whole.folder)


def test_a_teacher_with_other_tokens_is_refused(start: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["more"])
    other = tiny_model(start / "other", tokenizer=tokenizer)
    with pytest.raises(UserError, match=r"opd\.teacher: .*other has other tokens than the student"):
        OPD.run(replace(taught(start, "opd", other), stage_id="opd"))


def test_demonstrations_are_learned_beside_the_rollouts_with_falling_weight(start: Path) -> None:
    given = context(start, "guided", start / "base", every=0)
    settings: dict[str, Any] = {**RLVR.model_dump(exclude={"type"}), "steps": 6, "weight": 0.8, "until": 0.5}
    settings["args"] = {"learning_rate": 1e-2, "beta": 0.0}
    stage = GuidedRlvr(id="guided", **settings, demonstrations=16)
    stage.prepare(given)
    summary = stage.run(given)
    assert (summary["groups"], summary["equal_use"]) == (24, True)
    rows = [row for row in read_jsonl(given.folder / "log.jsonl") if "reward" in row]
    weights = [row.get("demonstrations/weight", 0.0) for row in rows]
    assert weights == pytest.approx([0.8, 0.8 * 2 / 3, 0.8 / 3, 0, 0, 0])
    told = [row["demonstrations/loss"] for row in rows if "demonstrations/loss" in row]
    assert told[-1] < told[0]
    parts = context(start, "guided parts", start / "base", every=0)
    stage = with_checkpoints(stage)
    with dying_at(4), pytest.raises(Killed):
        stage.run(parts)
    stage.recover(parts.folder)
    assert stage.run(parts) == summary and logs(parts.folder) == logs(given.folder)


def test_a_guide_draws_padded_demonstrations() -> None:
    examples = [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [8, 9], "labels": [-100, 9]}]
    guide = Guide(examples, 2, 1.0, 10.0, pad_id=0)
    assert [guide.weight_at(step) for step in (0, 5, 10, 20)] == [1.0, 0.5, 0.0, 0.0]
    batch = {name: value.tolist() for name, value in guide.batch(random.Random(1)).items()}
    assert sorted(batch["input_ids"]) == [[5, 6, 7], [8, 9, 0]]
    assert sorted(batch["attention_mask"]) == [[1, 1, 0], [1, 1, 1]]
    assert sorted(batch["labels"]) == [[-100, 6, 7], [-100, 9, -100]]


@pytest.mark.parametrize("name", ["rivals", "selection"])
def test_the_recipes_load(name: str) -> None:
    recipe = load_recipe(f"recipes/{name}.yaml")
    assert all(recipe.arm(arm)[-1].type == "evaluate" for arm in recipe.arms)
