"""The main job, by its literal command, on the shipped recipe made small: alone, and as two processes under ZeRO."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from warmup_rl.base.jsonl import read_jsonl

ROOT = Path(__file__).parent.parent
SMALL = [
    "stages.pretrain.corpus.share=0.01",
    "stages.distill.problems=12",
    "stages.sft.epochs=1",
    "stages.rlvr.problems=6",
    "stages.rlvr.steps=3",
    "stages.rlvr.prompts_per_step=4",
    "stages.rlvr.generations=4",
    "stages.rlvr.sampling.max_tokens=16",
    "stages.before.prompts=[open]",
    "evaluation.problems=4",
    "evaluation.curve_problems=4",
    "evaluation.every=2",
    "evaluation.samplings={greedy: {max_tokens: 16}}",
]


def launch(folder, *arguments, config=None):
    """Runs the main job and returns its console output."""
    accelerate = [sys.executable, "-m", "accelerate.commands.launch"]
    settings = ["--config_file", str(ROOT / "launch" / config), "--num_processes", "2"] if config else []
    command = [*accelerate, *settings, "-m", "warmup_rl.train", "recipes/kk_warmup.yaml", f"output_dir={folder}"]
    done = subprocess.run(
        [*command, *SMALL, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def trial(folder, arm):
    home = folder / "kk-warmup" / arm / "seed-0"
    record = json.loads((home / "run.json").read_text())
    return record, {stage["id"]: home / stage["folder"] for stage in record["stages"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    return folder, launch(folder)


def test_both_arms_and_the_control_finish_and_are_reported(finished):
    folder, output = finished
    assert [trial(folder, arm)[0]["state"] for arm in ("warmup", "base", "format_only")] == ["finished"] * 3
    report = (folder / "kk-warmup" / "report" / "report.md").read_text()
    assert "Transfer" in report and "base + RLVR" in report and "base + RLVR" in output
    assert json.loads((folder / "kk-warmup" / "report" / "summary.json").read_text())


def test_arms_differ_by_warmup_alone(finished):
    folder, _ = finished
    warmup, base = trial(folder, "warmup")[0]["stages"], trial(folder, "base")[0]["stages"]
    assert [stage["key"] for stage in warmup[:2]] == [stage["key"] for stage in base[:2]]
    assert [stage["id"] for stage in base] == ["pretrain", "before", "rlvr", "after_rlvr"]


def test_an_rlvr_that_starts_without_a_signal_says_so_and_no_evaluation_does(finished):
    folder, output = finished
    warned = [line for line in output.splitlines() if "without a signal" in line]
    assert warned and all("rlvr: registers: none of" in line for line in warned)
    checked = subprocess.run(
        [sys.executable, "-m", "warmup_rl", "check", "recipes/kk_warmup.yaml", f"output_dir={folder}", *SMALL],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    assert "base, seed 0, rlvr: registers: none of 4 answers is correct" in " ".join(checked.split())


def test_every_rollout_is_on_disk_and_every_prompt_used_equally(finished):
    folder, _ = finished
    for arm in ("warmup", "base"):
        rollouts = list(read_jsonl(trial(folder, arm)[1]["rlvr"] / "rollouts.jsonl"))
        assert Counter(row["step"] for row in rollouts) == {1: 16, 2: 16, 3: 16}
        assert set(Counter(row["problem_id"] for row in rollouts).values()) == {8}
        assert all({"score", "reward", "tokens", "text"} <= row.keys() for row in rollouts)


def test_arms_train_on_the_same_problems(finished):
    folder, _ = finished
    rollouts = [trial(folder, arm)[1]["rlvr"] / "rollouts.jsonl" for arm in ("warmup", "base", "format_only")]
    used = [{row["problem_id"] for row in read_jsonl(path)} for path in rollouts]
    assert used[0] == used[1] == used[2]


def test_the_curve_measures_what_evaluation_measures(finished):
    folder, _ = finished
    stages = trial(folder, "base")[1]
    curve = {row["step"]: row for row in read_jsonl(stages["rlvr"] / "curve.jsonl")}
    assert sorted(curve) == [0, 2, 3]
    cells = json.loads((stages["after_rlvr"] / "stage.json").read_text())["summary"]["cells"]
    (cell,) = [cell for cell in cells if cell["domain"] == curve[3]["domain"]]
    assert curve[3]["lenient"] == cell["lenient"]


def test_running_it_again_does_nothing_but_report(finished):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*")}
    output = launch(folder)
    assert ": starts" not in output and "base + RLVR" in output
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*")}


@pytest.mark.parametrize("distribution", ["zero2", "zero3"])
def test_two_processes_do_the_whole_recipe(distribution, tmp_path):
    launch(tmp_path, "--arm", "warmup", config=f"{distribution}.yaml")
    record, stages = trial(tmp_path, "warmup")
    assert record["state"] == "finished"
    launch_env = json.loads((stages["rlvr"] / "stage.json").read_text())["launch_env"]
    assert (launch_env["size"], launch_env["distribution"]) == (2, distribution)
    assert len(list(read_jsonl(stages["rlvr"] / "rollouts.jsonl"))) == 48
    assert len(list(read_jsonl(stages["after_rlvr"] / "completions.jsonl"))) == 16
