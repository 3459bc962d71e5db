"""Provokes faults in trainings of the nano model and counts the steps until a health rule finds them.

`python -m benchmarks.health --folder DIR [--model FOLDER] [--seeds 0 1 2] [--write]`; the model is the output of the
stage `pretrain` of the nano recipe, which is made first where none is given. Arms whose name begins with `healthy` must
stay silent. Trainings run one after the other on one core; the same command goes on where it was stopped. Limits are
tuned on other seeds than those that are reported.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.trials import RECIPE
from warmup_rl.base.jsonl import read_json, read_jsonl, write_json
from warmup_rl.base.types import Grade, Problem
from warmup_rl.nano.registers import Registers
from warmup_rl.stages.training.health import figures, raised

RESULT = Path(__file__).parent / "results" / "health.json"
BUDGET, STEPS, WITHIN = 64, 14, 5
RATE, REWARD = "rlvr.args.learning_rate", "rlvr.reward"
RL: dict[str, dict[str, Any]] = {
    "healthy_plain": {},
    "healthy_slow": {RATE: 3.0e-5},
    "healthy_warm": {"rlvr.sampling.temperature": 0.8},
    "healthy_kl": {"rlvr.args.beta": 0.02},
    "healthy_grpo": {"rlvr.args.loss_type": "grpo"},
    "healthy_two_updates": {"rlvr.updates_per_step": 2},
    "healthy_control": {REWARD: {"form": "required", "correct": 1.0, "wrong": 1.0}},
    "budget_far_too_small": {"rlvr.sampling.max_tokens": 4},
    "budget_too_small": {"rlvr.sampling.max_tokens": 12},
    "too_hard": {"rlvr.domain": "hard"},
    "any_answer_counts": {"rlvr.domain": "any_answer"},
    "no_signal": {REWARD: {"correct": 1.0, "wrong": 1.0, "no_answer": 1.0}},
    "rate_too_high_without_clipping": {RATE: 1.0e-2, "rlvr.args.max_grad_norm": 1000.0},
    "rate_too_high": {RATE: 3.0e-2},
    "rate_too_high_with_kl": {RATE: 3.0e-3, "rlvr.args.beta": 1.0e-4},
    "too_cold": {"rlvr.sampling.temperature": 0.01},
    "too_hot": {"rlvr.sampling.temperature": 3.0},
    "nothing_counts": {"rlvr.sampling.max_tokens": 12, "rlvr.args.mask_truncated_completions": True},
}
SFT: dict[str, dict[str, Any]] = {
    "healthy_sft": {},
    "sft_rate_too_high": {"sft.args.learning_rate": 0.3, "sft.args.max_grad_norm": 1000.0},
}


class AnyAnswer(Registers):
    """Graded by a grader that takes every answer for right, so that nothing is left to be learned."""

    type: ClassVar[str] = "any_answer"

    def grade(self, answer: str, problem: Problem) -> Grade:
        return Grade("correct", answer)


def recipe(model: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """The recipe of all arms, as data."""
    traces = ["distill", "clean", "sft"]
    steps = {name: STEPS if name.startswith("healthy") else WITHIN + 1 for name in RL}
    arms = {name: {"leave_out": traces, "set": {"rlvr.steps": steps[name], **change}} for name, change in RL.items()}
    arms |= {name: {"leave_out": ["rlvr"], "set": change} for name, change in SFT.items()}
    registers = {"type": "registers", "registers": 4, "modulus": 6, "phrasing": "terse"}
    updates = {"registers": [1, 6], "hard": [12, 16]}
    return {
        "run_name": "health",
        "model": str(model),
        "seeds": list(seeds),
        "domains": {
            "kk": {"people": [2, 3], "phrasing": "terse"},
            **{name: {**registers, "updates": span} for name, span in updates.items()},
            "any_answer": {**registers, "type": f"{__file__}:AnyAnswer", "updates": [1, 6]},
        },
        "evaluation": {
            "problems": 20,
            "curve_problems": 40,
            "every": 5,
            "samplings": {"greedy": {"max_tokens": BUDGET}},
        },
        "arms": arms,
        "stages": [
            {"type": "distill", "domain": "kk", "problems": 96, "teacher": {"type": "solver", "solver_ok": True}},
            "clean",
            {"type": "sft", "epochs": 1, "args": {"learning_rate": 3.0e-4, "weight_decay": 0.0}},
            {
                "type": "rlvr",
                "domain": "registers",
                "problems": 24,
                "steps": STEPS,
                "prompts_per_step": 8,
                "generations": 8,
                "sampling": {"max_tokens": BUDGET},
                "args": {"learning_rate": 1.0e-4, "lr_scheduler_type": "constant", "weight_decay": 0.0},
            },
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} beside the other results")
    parser.add_argument("--logs", type=Path, nargs="*", default=[], help="log.jsonl files of other, healthy runs")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    train = [sys.executable, "-m", "warmup_rl.train"]
    if given.model is None:
        subprocess.run([*train, str(RECIPE), f"output_dir={given.folder}", "--until", "pretrain"], check=True)
        [given.model] = given.folder.glob("cache/pretrain-*/model")
    path = given.folder / "recipe.yaml"
    path.write_text(json.dumps(recipe(given.model, given.seeds)), encoding="utf-8")
    one_core = ["--jobs", "1", "--threads", "1"]
    subprocess.run([*train, str(path), f"output_dir={given.folder}", *one_core], check=False)  # some arms may fail
    found = {arm: [_one(given.folder / "health", arm, seed) for seed in given.seeds] for arm in (*RL, *SFT)}
    missed = _report(found)
    if given.write:
        command = f"python -m benchmarks.health --folder DIR --seeds {' '.join(map(str, given.seeds))} --write"
        write_json(RESULT, {"command": command, "within": WITHIN, "missed": missed, "runs": found})
    for log in given.logs:
        print(f"{log}: {recorded(list(read_jsonl(log))) or 'no alarm'}")
    return int(bool(missed))


def recorded(rows: list[dict[str, Any]]) -> list[str]:
    """The alarms of a log that was written without them."""
    rows = [row for row in rows if "loss" in row]
    found = [figures(rows[: place + 1]) for place in range(len(rows))]
    return [f"step {row['step']}: {rule.name}" for place, row in enumerate(rows) for rule in raised(found[: place + 1])]


def _one(run: Path, arm: str, seed: int) -> dict[str, Any]:
    """How a run ended, its alarms, and whether that is as it should be."""
    logs = [*run.glob(f"{arm}/seed-{seed}/*-{'sft' if arm in SFT else 'rlvr'}/log.jsonl")]
    alarms = [[row["step"], row["alarm"]] for row in read_jsonl(logs[0]) if "alarm" in row] if logs else []
    state = read_json(run / arm / f"seed-{seed}" / "run.json")["state"]
    if arm.startswith("healthy"):
        right = state == "finished" and not alarms
    else:
        right = alarms[0][0] <= WITHIN if alarms else state == "failed"
    return {"seed": seed, "state": state, "alarms": alarms, "right": right}


def _report(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    for arm, runs in found.items():
        for one in runs:
            print(f"{arm} {one['seed']}: {one['state']}, {one['alarms']}{'' if one['right'] else ', WRONG'}")
    missed = [f"{arm} {one['seed']}" for arm, runs in found.items() for one in runs if not one["right"]]
    total = sum(map(len, found.values()))
    print(f"{len(missed)} of {total} runs are not as they should be: {', '.join(missed) or '-'}")
    return missed


if __name__ == "__main__":
    sys.exit(main())
