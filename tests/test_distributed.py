"""SFT, RLVR with the curve and an evaluation, one after another in one launch of two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.resume_case import logs
from tests.training_case import DOMAIN, RLVR, SFT, case, context, losses
from warmup_rl.base.jsonl import read_json, read_jsonl
from warmup_rl.interfaces import chat as contract
from warmup_rl.stages.rlvr import prompt_plan

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of SFT and the first step of RLVR."""
    folder = case(tmp_path_factory.mktemp("single"))
    SFT.run(context(folder, "sft", folder / "base"))
    RLVR.model_copy(update={"steps": 1}).run(context(folder, "rlvr", folder / "sft" / "model", every=0))
    return folder


def launch(distribution: str, folder: Path, program: str = "tests.training_case") -> None:
    """Starts a program with the folder as its argument in two processes."""
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
        program,
        str(folder),
    ]
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("distribution", ["ddp", "zero2", "zero3"])
def test_two_processes_train_one_model_as_one_process_would(distribution: str, tmp_path: Path, single: Path) -> None:
    folder = case(tmp_path)
    launch(distribution, folder)
    first, second = (json.loads((folder / f"found.rank{rank}.json").read_text()) for rank in (0, 1))
    assert [found["launch_env"] for found in (first, second)] == [[0, 2, distribution], [1, 2, distribution]]
    assert first["summaries"]["sft"] == second["summaries"]["sft"]
    assert losses(folder / "sft" / "log.jsonl") == pytest.approx(losses(single / "sft" / "log.jsonl"), rel=1e-3)

    rows = list(read_jsonl(folder / "rlvr" / "rollouts.jsonl"))
    ids = [problem.id for problem in DOMAIN.take("train", 3, 10)]
    plan_SP = prompt_plan(problems=10, prompts_per_step=4, steps=4, seed=3)
    wanted = [
        (step, ids[index], sample) for step, held in enumerate(plan_SP, 1) for index in held for sample in range(4)
    ]
    assert [(row["step"], row["problem_id"], row["sample"]) for row in rows] == wanted
    first_step = [row["text"] for row in rows if row["step"] == 1]
    assert first_step == [row["text"] for row in read_jsonl(single / "rlvr" / "rollouts.jsonl")]
    assert len(set(first_step)) > 4

    curve = list(read_jsonl(folder / "rlvr" / "curve.jsonl"))
    assert [(row["step"], row["rollouts"], row["problems"]) for row in curve] == [(0, 0, 5), (2, 32, 5), (4, 64, 5)]
    assert curve[-1]["generated_tokens"] == sum(row["tokens"] for row in rows)
    [cell] = first["summaries"]["evaluate"]["cells"]
    assert (cell["problems"], cell["lenient"]) == (5, curve[-1]["lenient"]), "the saved model is the trained one"
    contract.check(folder / "rlvr" / "model", context(folder, "rlvr", folder).response_format)
    assert not list(folder.glob("*/*.rank*"))


@pytest.mark.parametrize("distribution", ["ddp", "zero2", "zero3"])
def test_two_processes_that_are_killed_end_as_if_they_had_not_been(distribution: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = case(tmp_path)
    launch(distribution, folder, "tests.resume_case")
    for name, steps in (("sft", [2, 4]), ("rlvr", [2, 3])):
        assert read_json(folder / f"{name}.recovered") == {"steps": steps}
        whole, parts = folder / f"{name}-whole", folder / f"{name}-parts"
        expected, found = (load_file(path / "model" / "model.safetensors") for path in (whole, parts))
        assert expected.keys() == found.keys()
        furthest = max(float((expected[key] - found[key]).abs().max()) for key in found)
        assert furthest == 0 if distribution == "ddp" else furthest < 1e-5, furthest
        if distribution == "ddp":
            assert logs(parts) == logs(whole)
    assert logs(folder / "rlvr-parts")["rollouts.jsonl"] == logs(folder / "rlvr-whole")["rollouts.jsonl"]
