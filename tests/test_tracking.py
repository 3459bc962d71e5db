"""Trackers: W&B's files of a run are read back; no tracker stops a run; names and axes are documented."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.wandb_files import WandbRun, read_run
from warmup_rl.base.errors import RecipeError, RunError, UserError
from warmup_rl.cli import sync
from warmup_rl.interfaces.stage import Artifacts, Context, Tracking
from warmup_rl.recipe.load import load_recipe
from warmup_rl.recipe.schema import read_recipe_record
from warmup_rl.run import tracking
from warmup_rl.stages.sft import Sft
from warmup_rl.stages.training.tracking import track
from warmup_rl_extras import dashboard
from warmup_rl_extras.dashboard import workspace

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
SMALL = [
    "stages.pretrain.corpus.share=0.02", "stages.distill.problems=12", "stages.sft.epochs=1",
    "stages.sft.probe={points: 2, traces: 4}", "stages.rlvr.problems=6", "stages.rlvr.steps=3",
    "stages.rlvr.prompts_per_step=4", "stages.rlvr.generations=4", "stages.rlvr.sampling.max_tokens=16",
    "stages.rlvr.args.beta=0.01", "stages.rlvr.reward={correct: 1, overlong: 0.1}", "stages.before.prompts=[open]",
    "evaluation.problems=4", "evaluation.curve_problems=4", "evaluation.every=2",
    "evaluation.samplings={greedy: {max_tokens: 16}}",
]  # fmt: skip
OURS = ("_timestamp", "_runtime", "_step", "_wandb", "first_line")


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, WandbRun]]]:
    """A run of two arms with an account whose server takes connections and never answers."""
    folder = tmp_path_factory.mktemp("outputs")
    run = folder / "kk-warmup"
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(100)
        address = f"http://127.0.0.1:{hole.getsockname()[1]}"
        environment = {**os.environ, "WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": address, "WANDB_MODE": "online"}
        command = [sys.executable, "-m", "warmup_rl.train", "recipes/kk_warmup.yaml", f"output_dir={folder}", *SMALL]
        options = ["tracking=wandb", "--arm", "warmup", "--arm", "base", "--jobs", "1", "--threads", "1"]
        done = subprocess.run(
            [*command, *options], cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=560
        )
        uploads = [one for one in psutil.process_iter(["cmdline"]) if str(run) in " ".join(one.info["cmdline"] or ())]
        try:
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            assert uploads, "they wait for the server"
            yield run, {one.name: one for one in map(read_run, sorted((run / "wandb").glob("offline-run-*")))}
        finally:
            for process in uploads:
                process.terminate()


Tracked = tuple[Path, dict[str, WandbRun]]


def test_an_arm_and_seed_is_one_wandb_run_and_the_report_another(tracked: Tracked) -> None:
    folder, runs = tracked
    assert set(runs) == {"warmup/seed-0", "base/seed-0", "comparison"}
    assert {run.group for run in runs.values()} == {"kk-warmup"} and {run.exit_code for run in runs.values()} == {0}
    assert {run.project for run in runs.values()} == {"warmup-rl"}
    warmup = runs["warmup/seed-0"]
    assert warmup.job_type == "trial" and warmup.tags == ("warmup", "seed-0")
    resolved = json.loads(json.dumps(read_recipe_record(folder / "recipe.yaml").model_dump(mode="json")))
    assert {key: warmup.config[key] for key in resolved} == resolved
    assert (warmup.config["arm"], warmup.config["seed"]) == ("warmup", 0)
    assert [stage["id"] for stage in warmup.config["stages_of_arm"]][-2:] == ["rlvr", "after_rlvr"]


def test_all_wandb_files_lie_in_one_folder_of_the_run(tracked: Tracked) -> None:
    folder, _ = tracked
    assert {path.relative_to(folder).parts[0] for path in folder.rglob("*.wandb")} == {"wandb"}
    assert not list((folder.parent / "cache").rglob("*wandb*"))


def test_uploading_is_left_to_a_process_of_its_own(tracked: Tracked) -> None:
    folder, runs = tracked
    logs = [path.read_text(encoding="utf-8") for path in folder.glob("wandb/offline-run-*/upload.log")]
    assert len(logs) == len(runs) and any("Syncing 1 run" in text for text in logs)


def test_arms_share_their_axes_and_warmup_is_charged(tracked: Tracked) -> None:
    _, runs = tracked
    axes = ("rlvr/step", "rlvr/rollouts", "rlvr/generated_tokens", "rlvr/flops")
    curves = {
        arm: [row for row in runs[f"{arm}/seed-0"].rows if "rlvr/held_out/lenient" in row] for arm in ("warmup", "base")
    }
    for arm, rows in curves.items():
        assert [row["rlvr/step"] for row in rows] == [0, 2, 3]
        assert [row["rlvr/rollouts"] for row in rows] == [0, 32, 48] and all(axis in rows[0] for axis in axes)
        assert runs[f"{arm}/seed-0"].axes["rlvr/*"] == "rlvr/step"
    summary = runs["warmup/seed-0"].summary
    assert curves["base"][0]["rlvr/flops"] == 0 < curves["warmup"][0]["rlvr/flops"] == summary["sft/flops"]


def documented() -> list[str]:
    """Patterns of the names that a stage logs."""
    table = DOCUMENT.partition("| name in a stage")[2].partition("\n\n")[0]
    return [
        name for line in table.splitlines() for name in re.findall(r"`([^`]+)`", line.split("|")[1] if line else "")
    ]


def matches(name: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".+"), name) is not None


def test_every_logged_name_is_documented_and_every_documented_one_is_logged(tracked: Tracked) -> None:
    _, runs = tracked
    logged = {name for arm in ("warmup", "base") for row in runs[f"{arm}/seed-0"].rows for name in row}
    names = {name.partition("/")[2] for name in logged if not name.startswith(OURS)}
    axes = {name.partition("/")[2] for name in re.findall(r"^\| `(STAGE/\w+)`", DOCUMENT, re.MULTILINE)}
    assert axes == {"step", "rollouts", "generated_tokens", "flops"} and axes <= names
    assert not [name for name in names - axes if not any(matches(name, pattern) for pattern in documented())]
    assert not [pattern for pattern in documented() if not any(matches(name, pattern) for name in names)]


def test_evaluations_and_stages_of_the_cache_are_in_the_summary(tracked: Tracked) -> None:
    _, runs = tracked
    for arm in ("warmup", "base"):  # the base models and their evaluation were made by the first arm
        summary = runs[f"{arm}/seed-0"].summary
        assert summary["pretrain/parameters"] > 0 and summary["before/seconds"] >= 0
        assert {"before/sums/test/greedy/open/lenient", "after_rlvr/kk/test/greedy/open/tokens"} <= set(summary)


def test_the_comparison_has_claims_tables_and_pictures(tracked: Tracked) -> None:
    folder, runs = tracked
    comparison = runs["comparison"]
    found = json.loads((folder / "report/summary.json").read_text(encoding="utf-8"))
    assert comparison.summary["first_line"] == found["first_line"]
    claims = {claim["id"]: claim["verdict"] for claim in found["claims"]}
    assert {key: comparison.summary[f"claims/{key}/verdict"] for key in claims} == claims
    logged = {name for row in comparison.rows for name in row}
    assert {
        "tables/Claims",
        "tables/Cost of an arm",
        "tables/Outcomes by step",
        "tables/Completions",
        "pictures/accuracy",
    } <= {"/".join(name.split("/")[:2]) for name in logged}


def test_the_dashboard_shows_what_is_logged_and_lays_arms_over_each_other(tracked: Tracked) -> None:
    folder, runs = tracked
    made = workspace(folder, read_recipe_record(folder / "recipe.yaml"), "team")._to_model()
    section = made.spec.section
    (run_set,) = section.run_sets
    assert made.display_name == "kk-warmup: arms" and [key.name for key in run_set.grouping] == ["arm.value"]
    assert "kk-warmup" in json.dumps(run_set.filters) and list(section.custom_run_colors.values()) == [
        "#D55E00",
        "#0072B2",
        "#777777",
    ]
    panels = {one.name: one.panels for one in section.panel_bank_config.sections}
    assert list(panels) == ["rlvr: accuracy by budget", "pretrain", "sft", "rlvr", "comparison"]
    logged = {name for run in runs.values() for name in (*run.summary, *(key for row in run.rows for key in row))}
    budgets = [panel.config for panel in panels["rlvr: accuracy by budget"]]
    assert {one.x_axis for one in budgets} == {"rlvr/rollouts", "rlvr/generated_tokens", "rlvr/flops"}
    for panel in (panel for shown in panels.values() for panel in shown):
        config = panel.config
        wanted = [config.x_axis, *(config.metrics or ())] if panel.view_type == "Run History Line Plot" else []
        assert set(filter(None, wanted)) <= logged
    (probes,) = (one.config for one in panels["sft"] if one.config.chart_title == "probe/*")
    assert probes.use_metric_regex and any(re.fullmatch(probes.metric_regex, name) for name in logged)
    shown = {name for panel in panels["comparison"][:-1] for name in panel.config.metrics}
    assert shown and {name.removeprefix("summary_metrics.") for name in shown} <= logged


def test_the_dashboard_is_refused_where_there_is_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        dashboard.main([str(tmp_path), "--show"])


def test_a_wandb_run_keeps_its_id(tmp_path: Path) -> None:
    first = tracking.run_id(tmp_path, "warmup/seed-0")
    assert tracking.run_id(tmp_path, "warmup/seed-0") == first != tracking.run_id(tmp_path, "base/seed-0")


def test_what_wandb_raises_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    def fail(*given: Any, **named: Any) -> None:
        raise RuntimeError("the disk of W&B is gone")

    recipe = load_recipe("kk_warmup", ["tracking=wandb", f"output_dir={tmp_path}"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(wandb, "init", fail)
    said: list[str] = []
    with tracking.wandb_run(recipe, tmp_path, "warmup/seed-0", "trial", {}, said.append):
        said.append("trained")
    assert said == ["tracking: W&B cannot be opened: the disk of W&B is gone", "trained"]
    monkeypatch.setattr(wandb, "run", SimpleNamespace(alert=fail))
    monkeypatch.setattr(wandb, "log", fail)
    track("rlvr", {"reward": 1.0})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "wandb.project=mine",
            "wandb: unknown key (got a mapping with project). This key was renamed: use 'tracking'.",
        ),
        ("tracking=wandbb", "tracking: allowed: 'wandb', 'trackio', 'tensorboard' or 'none' (got 'wandbb')."),
        ("tracking.to=trackio", "tracking: the package trackio is not installed here. pip install trackio, or "),
        ("tracking=tensorboard", "tracking: the package tensorboard is not installed here."),
    ],
)
def test_a_tracker_that_cannot_be_had_is_named_before_a_run(
    override: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup_rl.recipe.checks.find_spec", lambda name: None)
    with pytest.raises(RecipeError) as caught:
        load_recipe("kk_warmup", [override])
    assert caught.value.problems[0].startswith(f"command line: {message}")


def test_a_run_of_an_earlier_version_can_still_be_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("run_name: a\ndomains: {kk: {type: kk}}\nstages: []\nwandb: null\n".replace("[]", "[{type: x}]"))
    assert read_recipe_record(path).tracking.to == "none"


@pytest.mark.parametrize("to", ["trackio", "tensorboard", "wandb", "none"])
def test_transformers_logs_to_the_trackers_that_it_knows(
    to: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "")
    recipe = load_recipe("kk_warmup")
    given = Context(tmp_path, Artifacts(), recipe.domains, recipe.format, recipe.evaluation, 3, "warmup", "sft")
    given = dataclasses.replace(given, tracking=Tracking(to, "mine", "kk-warmup", tmp_path))
    options = Sft(id="sft", batch_size=4).config(given)
    passed = to in ("trackio", "tensorboard")
    assert options.report_to == ([to] if passed else [])
    assert to != "trackio" or (options.project, options.run_name) == ("mine", "kk-warmup/warmup/3/sft")
    written = os.environ["TENSORBOARD_LOGGING_DIR"]
    assert written == (str(tmp_path / "tensorboard/warmup/seed-3/sft") if to == "tensorboard" else "")


def test_sync_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    with pytest.raises(UserError, match="no W&B run lies there"):
        sync.main([str(tmp_path)])
    place = tmp_path / "wandb" / "offline-run-1"
    place.mkdir(parents=True)
    (place / "run-1.wandb").touch()
    monkeypatch.setattr(wandb, "login", lambda **given: False)
    with pytest.raises(UserError, match="wandb login"):
        sync.main([str(tmp_path)])
    monkeypatch.setattr(wandb, "login", lambda **given: True)
    asked: list[list[str]] = []
    monkeypatch.setattr(
        subprocess, "run", lambda command, check: asked.append(command) or SimpleNamespace(returncode=3)
    )
    assert sync.main([str(tmp_path)]) == 3 and asked[0][1:] == [
        "-m",
        "wandb",
        "beta",
        "sync",
        "--yes",
        str(place.parent),
    ]
