"""A small training from traces to RLVR for tests: its data and contexts, and the program that a launcher starts.

`accelerate launch ... -m tests.training_case FOLDER` runs SFT, RLVR with the curve, an evaluation and a
distillation on every rank.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.tiny import Adding, tiny_model
from warmup_rl.base.config import Sampling
from warmup_rl.base.jsonl import write_json, write_jsonl
from warmup_rl.base.types import Trace, to_json
from warmup_rl.engines.hf import HuggingFace
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Artifacts, Context, LaunchEnv
from warmup_rl.stages.distill import Distill
from warmup_rl.stages.evaluate import Evaluate
from warmup_rl.stages.rlvr import Rlvr
from warmup_rl.stages.sft import Sft

FORMAT = ResponseFormat()
DOMAIN = Adding(name="adding", below=10)
SFT = Sft(id="sft", batch_size=8, epochs=4, args={"learning_rate": 1e-2, "per_device_train_batch_size": 4})
RLVR = Rlvr(
    id="rlvr",
    domain="adding",
    problems=10,
    steps=4,
    prompts_per_step=4,
    generations=4,
    sampling=Sampling(temperature=1.0, max_tokens=12),
    args={"learning_rate": 1e-3, "beta": 0.02},
)
EVALUATE = Evaluate(id="evaluate")


def distill(model: Path) -> Distill:
    """A distillation from a model folder."""
    sampling = Sampling(temperature=1.0, max_tokens=12, samples=2)
    teacher = HuggingFace(model=str(model), batch_size=4)
    return Distill(id="distill", domain="adding", problems=9, teacher=teacher, sampling=sampling, keep_wrong=True)


def case(folder: Path) -> Path:
    """Fills a folder with a random model `base/` and `traces.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny_model(folder / "base")
    rows = []
    for problem in DOMAIN.take("train", 0, 32):
        text = FORMAT.render(thinking=f"so {problem.gold}", answer=problem.gold)
        score = DOMAIN.score(text, problem, FORMAT)
        prompt = DOMAIN.prompt(problem)
        rows.append(to_json(Trace(problem.id, "adding", prompt, f"so {problem.gold}", problem.gold, score, "test")))
    write_jsonl(folder / "traces.jsonl", rows)
    return folder


def context(
    folder: Path,
    stage: str,
    model: Path,
    *,
    every: int = 2,
    launch_env: LaunchEnv | None = None,
    say: Callable[[str], None] = print,
) -> Context:
    """The context of a stage whose output goes to `folder/stage`."""
    (folder / stage).mkdir(exist_ok=True)
    return Context(
        folder=folder / stage,
        inputs=Artifacts(model=str(model), traces=folder / "traces.jsonl"),
        domains={"adding": DOMAIN},
        response_format=FORMAT,
        evaluation=EvaluationSettings(
            every=every, curve_problems=5, problems=5, batch_size=4, samplings={"greedy": Sampling(max_tokens=12)}
        ),
        seed=3,
        stage_id=stage,
        launch_env=launch_env or LaunchEnv(),
        say=say,
    )


def run_all(folder: Path, launch_env: LaunchEnv) -> dict[str, Any]:
    """SFT, RLVR with the curve, an evaluation and a distillation; what this rank found, for comparison."""
    said: list[str] = []
    sft = context(folder, "sft", folder / "base", launch_env=launch_env, say=said.append)
    rlvr = context(folder, "rlvr", sft.model_folder, launch_env=launch_env, say=said.append)
    evaluate = context(folder, "evaluate", rlvr.model_folder, launch_env=launch_env, say=said.append)
    for stage, given in ((SFT, sft), (RLVR, rlvr), (EVALUATE, evaluate)):
        stage.prepare(replace(given, inputs=Artifacts()))
    summaries = {"sft": SFT.run(sft)}
    wait_for(sft.model_folder / "chat_contract.json")
    summaries["rlvr"] = RLVR.run(rlvr)
    wait_for(rlvr.model_folder / "chat_contract.json")
    summaries["evaluate"] = EVALUATE.run(evaluate)
    summaries["distill"] = distill(sft.model_folder).run(context(folder, "distill", folder, launch_env=launch_env))
    return {
        "launch_env": [launch_env.rank, launch_env.size, launch_env.distribution],
        "summaries": summaries,
        "said": said,
    }


def wait_for(path: Path) -> None:
    """Ranks meet here as they do between the stages of a run: by a file, not by a collective."""
    import time

    while not path.exists():
        time.sleep(0.05)


def losses(log: Path) -> list[float]:
    """The loss of every optimizer step."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


if __name__ == "__main__":
    from warmup_rl.run.launch_env import read_launch_env

    found = read_launch_env()
    write_json(Path(sys.argv[1]) / f"found.rank{found.rank}.json", run_all(Path(sys.argv[1]), found))
