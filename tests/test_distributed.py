"""SFT, RLVR with the curve and an evaluation, one after another in one launch of two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training_case import DOMAIN, SFT, case, context, losses
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.interfaces import chat as contract
from warmup_rl.stages.rlvr import prompt_plan

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def single_losses(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    folder = case(tmp_path_factory.mktemp("single"))
    SFT.run(context(folder, "sft", folder / "base"))
    return losses(folder / "sft" / "log.jsonl")


def launch(distribution: str, folder: Path) -> list[dict]:
    """What the two ranks found."""
    programs = Path(sys.executable).parent
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        f"launch/{distribution}.yaml",
        "--num_processes",
        "2",
        "-m",
        "tests.training_case",
        str(folder),
    ]
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((folder / f"found.rank{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("distribution", ["ddp", "zero2", "zero3"])
def test_two_processes_train_one_model_as_one_process_would(
    distribution: str, tmp_path: Path, single_losses: list[float]
) -> None:
    folder = case(tmp_path)
    first, second = launch(distribution, folder)
    assert [found["launch_env"] for found in (first, second)] == [[0, 2, distribution], [1, 2, distribution]]
    assert first["summaries"]["sft"] == second["summaries"]["sft"]
    assert losses(folder / "sft" / "log.jsonl") == pytest.approx(single_losses, rel=1e-3)

    rows = list(read_jsonl(folder / "rlvr" / "rollouts.jsonl"))
    ids = [problem.id for problem in DOMAIN.take("train", 3, 10)]
    plan_SP = prompt_plan(problems=10, prompts_per_step=4, steps=4, seed=3)
    wanted = [
        (step, ids[index], sample) for step, held in enumerate(plan_SP, 1) for index in held for sample in range(4)
    ]
    assert [(row["step"], row["problem_id"], row["sample"]) for row in rows] == wanted
    assert len({row["text"] for row in rows if row["step"] == 1}) > 4, "ranks draw with different random states"

    curve = list(read_jsonl(folder / "rlvr" / "curve.jsonl"))
    assert [(row["step"], row["rollouts"], row["problems"]) for row in curve] == [(0, 0, 5), (2, 32, 5), (4, 64, 5)]
    assert curve[-1]["generated_tokens"] == sum(row["tokens"] for row in rows)
    [cell] = first["summaries"]["evaluate"]["cells"]
    assert (cell["problems"], cell["lenient"]) == (5, curve[-1]["lenient"]), "the saved model is the trained one"
    contract.check(folder / "rlvr" / "model", context(folder, "rlvr", folder).response_format)
    assert not list(folder.glob("*/*.rank*"))
