"""The health rules: every one fires where it should, within five steps, and none in a healthy log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training_case import context
from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.interfaces.plugins import build
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.recipe.load import load_recipe
from warmup_rl.report.findings import provenance
from warmup_rl.report.load import load
from warmup_rl.run.pipeline import TrialRunner
from warmup_rl.run.provenance import claim_run_folder
from warmup_rl.run.trial import Trial
from warmup_rl.stages.training.health import AFTER_WARMUP, MOST_STEPS, NAMES, RULES, figures, raised

DOCS = Path(__file__).parents[1] / "docs" / "training.md"


def healthy(step: int) -> dict[str, Any]:
    """A log row of an RLVR run that learns, with noise that depends on the step alone."""
    noise = (step * 7 % 5 - 2) / 100
    return {
        "loss": 0.0,
        "reward": 0.2 + step / 100 + noise,
        "correct": 0.2 + step / 100 + noise,
        "frac_reward_zero_std": 0.5 + 4 * noise,
        "groups_right": 0.1,
        "groups_wrong": 0.4 + 4 * noise,
        "grad_norm": 0.15 + noise,
        "entropy": 0.3 - step / 200,
        "kl": 0.002 * step,
        "completions/clipped_ratio": 0.1 + noise,
        "completions/mean_length": 40 + step / 2,
        "held_out": 0.3 + step / 200 + noise,
        "sampling/sampling_logp_difference/mean": 0.01,
    }


Change = Callable[[int], dict[str, Any]]
FAULTS: dict[str, Change] = {
    "no_end": lambda n: {"completions/clipped_ratio": 1.0},
    "truncated": lambda n: {"completions/clipped_ratio": 0.9},
    "all_wrong": lambda n: {"groups_wrong": 1.0, "frac_reward_zero_std": 1.0},
    "all_right": lambda n: {"groups_right": 0.95, "frac_reward_zero_std": 0.95},
    "no_signal": lambda n: {"frac_reward_zero_std": 1.0},
    "entropy": lambda n: {"entropy": 0.004},
    "entropy_growth": lambda n: {"entropy": 1.0 + n},
    "kl": lambda n: {"kl": 0.4 + 0.2 * n},
    "gradient": lambda n: {"grad_norm": 30.0},
    "no_gradient": lambda n: {"grad_norm": 0.0},
    "length": lambda n: {"completions/mean_length": 60 + 10 * n},
    "collapse": lambda n: {"correct": 0.05},
    "held_out": lambda n: {"held_out": 0.1},
    "mismatch": lambda n: {"sampling/sampling_logp_difference/mean": 0.3},
}


def found(rows: list[dict[str, Any]], *, is_control: bool = False) -> list[tuple[int, str]]:
    """Step and rule of each alarm, with what `Health` passes on."""
    steps = range(1, len(rows) + 1)
    looked_at = [figures(rows[:step], budget=96, held_out=100) for step in steps]
    return [
        (step, rule.name) for step in steps for rule in raised(looked_at[:step][-MOST_STEPS:], is_control=is_control)
    ]


def test_a_healthy_log_raises_no_alarm() -> None:
    assert found([healthy(step) for step in range(40)]) == []
    predictable = [{"loss": 1.2 / (step + 1), "grad_norm": 0.5, "entropy": 0.005} for step in range(40)]
    assert found(predictable) == []  # SFT on terse traces


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_within_five_steps_and_said_once(name: str) -> None:
    rows = [healthy(step) for step in range(20)]
    rows += [{**healthy(step), **FAULTS[name](step - 19)} for step in range(20, 27)]
    named = [step - 20 for step, rule in found(rows) if rule == name]
    assert len(named) == 1 and 1 <= named[0] <= 5


@pytest.mark.parametrize("name", FAULTS)
def test_in_a_control_that_accuracy_stays_away_is_no_fault(name: str) -> None:
    rows = [healthy(step) for step in range(20)]
    rows += [{**healthy(step), **FAULTS[name](step - 19)} for step in range(20, 27)]
    rules = {rule for step, rule in found(rows, is_control=True) if step >= 20}
    excused = {"all_wrong", "all_right", "no_signal", "collapse", "held_out"}
    assert rules & excused == set() and (name in rules or name in excused)


def test_a_reward_says_whether_its_training_is_a_control(tmp_path: Path) -> None:
    for reward, is_control in (
        ({}, False),
        ({"form": "required", "correct": 1.0, "wrong": 1.0}, True),
        ({"control": "random"}, True),
        ({"correct": 0.5, "wrong": -1.0}, False),
        ({"correct": 0.0, "wrong": 1.0}, True),
        ({"correct": 1.0, "wrong": 1.0, "no_answer": 1.0}, False),
    ):
        stage = build("stage", {"type": "rlvr", "domain": "adding", "steps": 1, "reward": reward})
        assert stage.is_control(context(tmp_path, "rlvr", tmp_path)) is is_control


STAGES = Path(__file__).with_name("small_stages.py")
WARMED = f"""
run_name: warmed
domains: {{doubles: {{type: {STAGES}:Doubles}}}}
stages:
  - {{type: "{STAGES}:Make", id: base}}
  - {{type: "{STAGES}:Measure", id: before, right: 0.6, of: 200}}
  - {{type: "{STAGES}:Warm", id: sft}}
  - {{type: "{STAGES}:Measure", id: after, right: 0.4, of: 200}}
  - {{type: "{STAGES}:Train", id: last}}
"""


def warmed(folder: Path, *overrides: str) -> tuple[Trial, list[str]]:
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(WARMED)
    recipe = load_recipe(folder / "recipe.yaml", [f"output_dir={folder}", *overrides])
    claim_run_folder(recipe)
    trial = Trial(recipe, "main", 0)
    said: list[str] = []
    TrialRunner(trial, LaunchEnv(), said.append).run()
    return trial, said


def test_a_warmup_that_costs_accuracy_is_an_alarm_of_its_evaluation_and_in_the_report(tmp_path: Path) -> None:
    trial, said = warmed(tmp_path)
    (alarm,) = trial.entry(trial.stages[3]).record()["summary"]["alarms"]
    assert alarm["rule"] == "after_warmup" and "doubles 0.60 → 0.40 (greedy, prompt style open)" in alarm["text"]
    assert f"after: health, after_warmup: {alarm['text']}" in said and trial.done
    assert f"after: the health rule after_warmup held: {alarm['text']}" in provenance(load(trial.run_folder)).warnings
    assert not any("health" in line for line in warmed(tmp_path / "within", "stages.after.right=0.55")[1])


def test_a_run_stops_after_a_warmup_that_costs_accuracy_where_the_recipe_says_so(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RunError, match=r"after: stopped by the health rule after_warmup: .*`health: {after_war"):
            warmed(tmp_path, "stages.sft.health={after_warmup: stop}")
    trial, _ = warmed(tmp_path, "stages.sft.health=warn")
    assert trial.done
    assert not any("after_warmup" in line for line in warmed(tmp_path / "off", "stages.sft.health=off")[1])


def test_a_loss_that_rises_is_found() -> None:
    rows = [{"loss": 2.0 * 0.95**step, "grad_norm": 1.0} for step in range(10)]
    assert found(rows) == []
    rising = [{"loss": 3.0 + step, "grad_norm": 1.0} for step in range(5)]
    assert found([*rows, *rising]) == [(12, "loss")]
    broken = [{"loss": loss, "grad_norm": 1.0} for loss in (0.14, 12.8, 16.9, 25.2, 24.2)]  # at a rate of 0.3
    assert found(broken) == [(4, "divergence")]


def test_completions_that_end_nearly_never_are_found_whether_one_ends_or_none() -> None:
    shares = (0.0, 0.9, 1.0, 0.98, 1.0, 0.98)  # at a rate of 1e-2
    rows = [{**healthy(step), "completions/clipped_ratio": share} for step, share in enumerate(shares)]
    assert found(rows) == [(4, "truncated")]


def test_every_rule_is_provoked_and_documented() -> None:
    assert {*FAULTS, "loss", "divergence", AFTER_WARMUP.name} == set(NAMES)
    text = DOCS.read_text(encoding="utf-8")
    correctness = ", ".join(f"`{rule.name}`" for rule in RULES if rule.of_correctness)
    assert f"A control, whose reward does not pay correct answers more than wrong ones, has no {correctness}." in text
    for rule in RULES:
        assert f"| `{rule.name}` | {rule.shown} | {rule.source} | {rule.cause}. {rule.remedy} |" in text


def callback(folder: Path, settings: Any, said: list[str]) -> Any:
    from warmup_rl.stages.training.callbacks import Health

    trainer: Any = SimpleNamespace(callback_handler=SimpleNamespace(callbacks=[]))
    return Health(context(folder, "rlvr", folder, say=said.append), settings, trainer)


def log(health: Any, step: int, row: dict[str, Any]) -> None:
    health.on_log(SimpleNamespace(max_completion_length=96), SimpleNamespace(global_step=step), None, row)


def test_an_alarm_is_said_logged_and_kept(tmp_path: Path) -> None:
    said: list[str] = []
    health = callback(tmp_path, "warn", said)
    for step in range(1, 9):
        log(health, step, {**healthy(step), "completions/clipped_ratio": 1.0})
    assert [(one["step"], one["rule"]) for one in health.alarms] == [(2, "no_end")]
    assert len(said) == 1 and said[0].startswith("health, step 2, no_end: the model was not taught the end token")
    assert [row["alarm"] for row in read_jsonl(tmp_path / "rlvr" / "log.jsonl")] == ["no_end"]
    resumed = callback(tmp_path, "warn", said)
    resumed.load_state_dict(health.state_dict())
    log(resumed, 9, {**healthy(9), "completions/clipped_ratio": 1.0})
    assert len(said) == 1, "a resumed training does not say it again"


def test_a_rule_stops_the_training_where_the_recipe_says_so(tmp_path: Path) -> None:
    stage = build("stage", {"type": "rlvr", "domain": "kk", "steps": 1, "health": {"no_end": "stop", "entropy": False}})
    health = callback(tmp_path, stage.health, [])
    log(health, 1, {**healthy(1), "completions/clipped_ratio": 1.0})
    with pytest.raises(RunError, match=r"stopped at optimizer step 2 by .* no_end.*health: \{no_end: warn"):
        log(health, 2, {**healthy(2), "completions/clipped_ratio": 1.0})
    silent = callback(tmp_path, stage.health, said := [])
    for step in range(1, 9):
        log(silent, step, {**healthy(step), "entropy": 0.001})
    assert said == []
