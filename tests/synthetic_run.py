"""Writes run folders with figures that can be checked by hand, in the layout that real runs have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from warmup_rl.base.jsonl import write_json, write_jsonl

CHANCE = {"kk": 0.2, "sums": 0.1, "registers": 0.1, "compass": 0.25}
PROBLEMS = 100
WARMUP_STARTS, BASE_STARTS = (0.70, 0.75, 0.80), (0.20, 0.30, 0.25)
BASE_CURVE = {0: 0.2, 4: 0.3, 8: 0.4, 12: 0.5, 16: 0.6, 20: 0.7}
WARMUP_CURVE = {0: 0.5, 4: 0.7, 8: 0.8, 12: 0.9, 16: 0.9, 20: 0.9}
VERSIONS = {"warmup_rl": "0.1.0", "torch": "2.5.1", "git": "abc123"}
ROLES = {
    "pretrain": "pretraining", "distill": "traces", "clean": "traces", "sft": "warmup", "rlvr": "target",
    "evaluate": "evaluation",
}  # fmt: skip
Accuracies = Mapping[str, float]


def flat(value: float, **others: float) -> dict[str, float]:
    """The same accuracy on the three transfer domains, others as given."""
    return {"sums": value, "registers": value, "compass": value, **others}


@dataclass(frozen=True)
class Trial:
    """One arm with one seed, as it shall have come out.

    Attributes:
        start, end: accuracy by domain before and after RLVR; no RLVR where `end` is None.
        curve: held-out accuracy on `sums` by step.
        tokens, flops: spent by RLVR in one step; rollouts are 128 a step.
        warmup_flops: of an sft stage before RLVR; no such stage where 0.
        prompts: other prompt styles with their (validation, test) accuracy, by domain.
        failing: what wrong completions of the start look like.
        traces: digest of the file of traces that the sft stage read, if there is one.
        probe: what was measured during the sft stage.
    """

    arm: str
    seed: int
    start: Accuracies
    end: Accuracies | None = None
    curve: Mapping[int, float] = field(default_factory=dict)
    tokens: int = 1000
    flops: float = 1e6
    warmup_flops: float = 0.0
    prompts: Mapping[str, tuple[Accuracies, Accuracies]] = field(default_factory=dict)
    failing: str = "wrong"
    state: str = "finished"
    distill: Mapping[str, Any] | None = None
    traces: str = ""
    probe: Sequence[Mapping[str, Any]] = ()


def base_trial(seed: int = 0, start: float = 0.2, end: float = 0.7) -> Trial:
    return Trial("base", seed, flat(start, kk=0.25), flat(end, kk=0.25), BASE_CURVE)


def warmup_trial(seed: int = 0, start: float = 0.7, end: float = 0.9) -> Trial:
    return Trial("warmup", seed, flat(start, kk=0.9), flat(end, kk=0.85), WARMUP_CURVE, warmup_flops=5e6)


def pair(seeds: int = 3) -> list[Trial]:
    """Both arms; the paired lifts by warmup are .50, .45 and .55."""
    base = [base_trial(seed, BASE_STARTS[seed]) for seed in range(seeds)]
    return [*(warmup_trial(seed, WARMUP_STARTS[seed]) for seed in range(seeds)), *base]


def write_run(
    root: Path, trials: Sequence[Trial], *, claims: Mapping[str, Any] | None = None,
    samplings: Sequence[str] = ("greedy",), seeds: Sequence[int] | None = None,
) -> Path:  # fmt: skip
    """Writes `root/outputs/made-up` with its cache and returns it."""
    folder = root / "outputs" / "made-up"
    folder.mkdir(parents=True)
    recipe = {
        "run_name": "made-up",
        "seeds": list(seeds or sorted({trial.seed for trial in trials})),
        "domains": {name: {"type": name} for name in CHANCE},
        "evaluation": {"headline": "greedy", "samplings": {"greedy": {"max_tokens": 512}}},
        "arms": {trial.arm: {} for trial in trials},
        "stages": [{"type": "pretrain", "id": "pretrain", "corpus": {"type": "nano", "setting": "latent"}}],
        "claims": {"threshold": 0.6, "step": None, **(claims or {})},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    write_json(folder / "run.json", {"public": [], "for_warmup": ["kk"]})
    for trial in trials:
        _Writer(folder, trial, samplings).write()
    return folder


class _Writer:
    def __init__(self, folder: Path, trial: Trial, samplings: Sequence[str]) -> None:
        self._folder = folder / trial.arm / f"seed-{trial.seed}"
        self._cache = folder.parent / "cache"
        self._trial, self._samplings = trial, samplings
        self._stages: list[dict[str, Any]] = []

    def write(self) -> None:
        trial = self._trial
        model = self._stage("pretrain", f"pre{trial.seed}", {}, {"flops": 1e9, "parameters": 1000}, outputs=["model"],
                            config={"corpus": {"type": "nano", "setting": "latent"}})  # fmt: skip
        if trial.distill is not None:
            summary = {"tokens": 500, "domain": "kk"}
            self._stage("distill", f"traces-{trial.arm}{trial.seed}", {}, summary, config=trial.distill)
        if trial.traces:
            files = {"traces.jsonl": {"size": 1, "sha256": trial.traces}}
            self._stage("clean", f"clean-{trial.arm}{trial.seed}", {}, {}, files=files)
        if trial.warmup_flops:
            key = f"sft-{trial.arm}{trial.seed}"
            summary = {"flops": trial.warmup_flops, "examples": 450, "epochs": 8.0, "probe": list(trial.probe)}
            model = self._stage("sft", key, {"model": model}, summary, outputs=["model"])
        self._evaluate(model, trial.start, trial.failing, trial.prompts)
        if trial.end is not None:
            model = self._rlvr(model)
            self._evaluate(model, trial.end, "wrong", {})
        record = {
            "arm": trial.arm,
            "seed": trial.seed,
            "state": trial.state,
            "reason": "",
            "style": "open",
            "stages": self._stages,
        }
        write_json(self._folder / "run.json", record)

    def _rlvr(self, model: str) -> str:
        trial, last = self._trial, max(self._trial.curve, default=20)
        key = f"rlvr-{trial.arm}{trial.seed}"
        summary = {"domain": "sums", "problems": 100, "steps": last, "parameters": 1000, "flops": trial.flops * last}
        config = {"prompts_per_step": 16, "generations": 8, "sampling": {"max_tokens": 128}}
        self._stage("rlvr", key, {"model": model}, summary, outputs=["model"], config=config)
        place = self._cache / f"rlvr-{key}"
        curve = [
            {"step": step, "domain": "sums", "problems": PROBLEMS, "lenient": value, "rollouts": 128 * step,
             "generated_tokens": trial.tokens * step, "flops": trial.flops * step}
            for step, value in trial.curve.items()
        ]  # fmt: skip
        if curve:
            write_jsonl(place / "curve.jsonl", curve)
        write_jsonl(
            place / "rollouts.jsonl",
            (
                {"step": step, "reward": float(number < 8 * value)}
                for step, value in trial.curve.items()
                for number in range(8)
            ),
        )
        return key

    def _evaluate(
        self, model: str, accuracies: Accuracies, failing: str, prompts: Mapping[str, tuple[Accuracies, Accuracies]]
    ) -> None:
        cells, rows = [], []
        for sampling in self._samplings:
            for domain, value in accuracies.items():
                cells.append(_cell("test", "open", sampling, domain, value))
                rows += _rows(sampling, domain, value, failing)
                if prompts:
                    cells.append(_cell("validation", "open", sampling, domain, value))
            for style, (validation, test) in prompts.items():
                cells += [_cell("validation", style, sampling, domain, value) for domain, value in validation.items()]
                cells += [_cell("test", style, sampling, domain, value) for domain, value in test.items()]
        key = f"ev-{model}"
        self._stage("evaluate", key, {"model": model}, {"cells": cells})
        write_jsonl(self._cache / f"evaluate-{key}" / "completions.jsonl", rows)

    def _stage(
        self, type: str, key: str, inputs: dict[str, str], summary: Mapping[str, Any], *, outputs: Sequence[str] = (),
        config: Mapping[str, Any] | None = None, files: Mapping[str, Any] | None = None,
    ) -> str:  # fmt: skip
        place = self._cache / f"{type}-{key}"
        place.mkdir(parents=True, exist_ok=True)
        record = {
            "type": type,
            "key": key,
            "config": config or {},
            "inputs": inputs,
            "seed": self._trial.seed,
            "summary": summary,
            "versions": VERSIONS,
            "files": files or {},
        }
        write_json(place / "stage.json", record)
        where = f"../../../cache/{type}-{key}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._stages.append(
            {"id": type, "type": type, "role": ROLES[type], "key": key, "folder": where, "outputs": list(outputs),
             "inputs": inputs, "done": True}
        )  # fmt: skip
        return key


def _cell(split: str, prompt: str, sampling: str, domain: str, value: float) -> dict[str, Any]:
    by = {f"people={n}": {"problems": 50, "lenient": value - 0.1 * (n - 2)} for n in (2, 3)} if domain == "kk" else {}
    return {
        "split": split, "prompt": prompt, "sampling": sampling, "domain": domain,
        "problems": PROBLEMS, "samples": 1, "lenient": value, "strict": value - 0.05, "well_formed": 0.9,
        "truncated": 0.02, "shows_work": None if domain == "kk" else value, "tokens": 20 + 60 * value,
        "chance": CHANCE[domain], "outcomes": {"correct": round(value * PROBLEMS)}, "by": by,
    }  # fmt: skip


def _rows(sampling: str, domain: str, value: float, failing: str) -> list[dict[str, Any]]:
    """The first `value` of the problems are right."""
    right = round(value * PROBLEMS)
    verdict = "none" if failing in ("none", "truncated") else "wrong"
    return [
        {"split": "test", "prompt": "open", "sampling": sampling, "domain": domain, "problem_id": f"{domain}{number}",
         "sample": 0, "truncated": number >= right and failing == "truncated",
         "gold": "7", "prompt_text": f"{domain} {number} ?", "text": "so </think><answer> 7 </answer>",
         "score": {"verdict": "correct" if number < right else verdict}}
        for number in range(PROBLEMS)
    ]  # fmt: skip


def edit_json(path: Path, **changes: Any) -> None:
    """Replaces values of a JSON object on disk."""
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **changes})


def undo(folder: Path, key: str) -> Path:
    """Makes the stage with a key one that no trial has done yet. Returns the folder that its output had."""
    for record in folder.glob("*/seed-*/run.json"):
        stages = json.loads(record.read_text(encoding="utf-8"))["stages"]
        edit_json(record, stages=[{**entry, "done": entry["done"] and entry["key"] != key} for entry in stages])
    (output,) = (place for place in (folder.parent / "cache").iterdir() if place.name.partition("-")[2] == key)
    (output / "stage.json").unlink()
    return output
