"""What a warmup is measured by while it trains, which model it keeps, and what its tags stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.resume_case import Killed, dying_at, logs, with_checkpoints
from tests.training_case import RLVR, SFT, case, context
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.base.models import read_tags, write_tags
from warmup_rl.base.types import Score
from warmup_rl.cli.export import export
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.sft import ProbeSettings, Sft
from warmup_rl.stages.training.probe import Probe
from warmup_rl.stages.training.rewards import Reward

PROBED = with_checkpoints(SFT, every=3, probe=ProbeSettings(points=4, traces=4, problems=3))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case(tmp_path_factory.mktemp("probe"))


def rows(given: Context) -> list[dict[str, Any]]:
    return list(read_jsonl(given.folder / "probe.jsonl"))


def test_a_warmup_is_measured_at_equal_distances_and_keeps_the_model_of_least_held_out_loss(
    start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last, least = context(start, "last", start / "base"), context(start, "least", start / "base")
    PROBED.prepare(last)
    summary = PROBED.run(last)
    assert [row["step"] for row in rows(last)] == [0, 4, 8, 12, 16] and summary["kept_step"] == 16
    assert summary["examples"] == 28 and rows(last)[-1]["loss"] < rows(last)[0]["loss"]
    assert set(rows(last)[0]["accuracy"]) == {"adding"} and summary["probe"] == rows(last)
    stage = PROBED.model_copy(update={"keep": "heldout_loss", "args": {**SFT.args, "learning_rate": 0.08}})
    found = stage.run(least)
    best = min(rows(least)[1:], key=lambda row: row["loss"])
    assert found["kept_step"] == best["step"]
    parts = context(start, "parts", start / "base")
    with dying_at(11), pytest.raises(Killed):
        stage.run(parts)
    stage.recover(parts.folder)
    assert stage.run(parts) == found and logs(parts.folder) == logs(least.folder)
    one, other = (load_file(given.model_folder / "model.safetensors") for given in (least, parts))
    assert all(bool((one[name] == other[name]).all()) for name in one)


@pytest.mark.parametrize(
    ("keep", "kept", "harm"),
    [("last", 9, "kk 0.50 before, 0.40 after, sums 0.50 before, 0.30 after"), ("heldout_loss", 3, ""),
     ("retention", 6, "")],
)  # fmt: skip
def test_the_kept_model_and_its_harm(keep: Any, kept: int, harm: str) -> None:
    probe = Probe.__new__(Probe)
    probe._keep = keep
    measured = [(0, 2.0, 0.5, 0.5), (3, 1.0, 0.6, 0.4), (6, 1.2, 0.2, 0.5), (9, 1.5, 0.4, 0.3)]
    probe.rows = [
        {"step": step, "loss": loss, "accuracy": {"kk": kk, "sums": sums}, "retention": sums}
        for step, loss, kk, sums in measured
    ]
    assert probe.kept["step"] == kept and probe.harm() == harm


def test_keeping_another_model_needs_measurements() -> None:
    with pytest.raises(ValueError, match="keep: retention needs measurements. Add `probe: {}`"):
        Sft(keep="retention")


def test_too_many_held_out_traces_are_refused(start: Path) -> None:
    stage = PROBED.model_copy(update={"probe": ProbeSettings(traces=20)})
    with pytest.raises(UserError, match=r"probe.traces: 20 of 32 traces would be kept out.*at most 16"):
        stage.run(context(start, "many", start / "base"))


def test_a_model_that_its_warmup_harmed_is_refused_by_rlvr_unless_told_otherwise(start: Path) -> None:
    from shutil import copytree

    model = copytree(start / "base", start / "harmed")
    write_tags(model, {"below_start": "kk 0.50 before, 0.40 after"})
    given = context(start, "after harm", model, every=0)
    with pytest.raises(UserError, match=r"worse on every measured domain \(kk 0.50 before, 0.40 after\).*after_harm"):
        RLVR.run(given)
    stage = RLVR.model_copy(update={"after_harm": True, "steps": 1, "reward": Reward(control="random")})
    said: list[str] = []
    summary = stage.run(replace(given, say=said.append))
    tags = {"below_start": "kk 0.50 before, 0.40 after", "control": "random reward"}
    assert summary["tags"] == tags == read_tags(given.model_folder)
    assert said[-1].startswith("the model is tagged: below_start (")
    with pytest.raises(UserError, match=r"tagged: .*control \(random reward\).*add --tagged"):
        list(export(given.model_folder, start / "exported"))
    assert list(export(given.model_folder, start / "exported", tagged=True))


def test_a_reward_is_the_sum_of_its_parts_and_each_is_logged(start: Path) -> None:
    given = context(start, "parts of reward", start / "base", every=0)
    reward = Reward(well_formed=0.25, overlong=0.5, overlong_tokens=6)
    RLVR.model_copy(update={"steps": 2, "reward": reward}).run(given)
    found = list(read_jsonl(given.folder / "rollouts.jsonl"))
    for row in found:
        parts = row["parts"]
        assert row["reward"] == pytest.approx(sum(parts.values()))
        assert parts["overlong"] == pytest.approx(-0.5 * min(max(row["tokens"] - 6, 0) / 6, 1.0))
        assert parts["well_formed"] == 0.25 * row["score"]["well_formed"]
    log = [row for row in read_jsonl(given.folder / "log.jsonl") if "reward" in row]
    for step, row in enumerate(log, 1):
        own = [one["parts"]["overlong"] for one in found if one["step"] == step]
        assert row["reward/overlong"] == pytest.approx(sum(own) / len(own), abs=1e-5)


RIGHT, BARE, WRONG = Score("correct", "1", True), Score("correct", "1", False), Score("wrong", "2", True)
CONTROLS = [
    ({}, None, (1.0, 1.0, 0.0)),
    ({"control": "flipped"}, "flipped", (0.0, 0.0, 1.0)),
    ({"control": "format"}, "format", (1.0, 0.0, 1.0)),
    ({"control": "random"}, "random", (1.0, 1.0, 1.0)),
    ({"wrong": 1.0, "form": "required"}, "format", (1.0, 0.0, 1.0)),
    ({"correct": 0.0, "wrong": 1.0}, "flipped", (0.0, 0.0, 1.0)),
    ({"well_formed": 0.5}, None, (1.5, 1.0, 0.5)),
]


@pytest.mark.parametrize(("settings", "name", "paid"), CONTROLS)
def test_a_control_is_known_by_its_name_or_by_its_numbers(
    settings: dict[str, Any], name: str | None, paid: tuple[float, ...]
) -> None:
    reward = Reward.model_validate(settings)
    assert reward.control_name == name
    parts = [reward.parts(score, tokens=5, budget=100, coin=True) for score in (RIGHT, BARE, WRONG)]
    assert tuple(sum(one.values()) for one in parts) == paid
    assert (f"control {name}" in reward.describe()) == bool(name)


@pytest.mark.parametrize(("tokens", "pays"), [(80, 0.0), (90, -0.5), (100, -1.0), (60, 0.0)])
def test_long_completions_lose_gradually(tokens: int, pays: float) -> None:
    parts = Reward(overlong=1.0).parts(RIGHT, tokens=tokens, budget=100, coin=False)
    assert parts == {"outcome": 1.0, "overlong": pays}
