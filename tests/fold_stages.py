"""Stages without a model that train on and measure real domains: a model is the list of what it was trained on."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from warmup_rl.base.jsonl import write_jsonl
from warmup_rl.interfaces.measurement import cells
from warmup_rl.interfaces.stage import Context, DataRequest, Stage
from warmup_rl.stages.evaluate import Evaluate


class Begin(Stage):
    type: ClassVar[str] = "begin"
    outputs: ClassVar[frozenset] = frozenset({"model"})

    def run(self, context: Context) -> dict[str, Any]:
        return save(context, [])


class Learn(Stage):
    """Remembers the problems that it was shown."""

    type: ClassVar[str] = "rlvr"
    role: ClassVar[str] = "target"
    inputs: ClassVar[frozenset] = frozenset({"model"})
    outputs: ClassVar[frozenset] = frozenset({"model"})
    measures: ClassVar[bool] = True
    domain: str
    problems: int = 0

    def domains_used(self, evaluation: Any, domains: Any) -> tuple[str, ...]:
        return (self.domain,)

    def data_requests(self, evaluation: Any, domains: Any) -> Iterable[DataRequest]:
        yield DataRequest(self.domain, "train", self.problems or 100, "problems", whole=not self.problems)
        if evaluation.every:
            yield DataRequest(
                self.domain,
                "test",
                evaluation.curve_problems,
                "evaluation.curve_problems",
                evaluation.seed,
                use="curve",
            )

    def run(self, context: Context) -> dict[str, Any]:
        draw, *curve = self.data_requests(context.evaluation, context.domains)
        learned = [problem.id for problem in draw.problems(context.domains[self.domain], context.seed)]
        for one in curve:
            count = len(list(one.problems(context.domains[self.domain], 0)))
            rows = [{"step": step, "domain": self.domain, "problems": count, "lenient": 0.1 * step, "rollouts": step,
                     "generated_tokens": step, "flops": float(step)} for step in (0, 1, 2)]  # fmt: skip
            write_jsonl(context.folder / "curve.jsonl", rows)
        saved = save(context, [*known(context), *learned])
        return {**saved, "domain": self.domain, "problems": len(learned), "steps": 2}


class Measure(Evaluate):
    """Right on every problem but those that the model was trained on, so that a leak shows."""

    every_rank: ClassVar[bool] = False

    def run(self, context: Context) -> dict[str, Any]:
        trained, rows = set(known(context)), []
        for job in self._jobs(context):
            for problem in job.problems:
                score = context.domains[problem.domain].score(
                    "so </think><answer>" + ("0" if problem.id in trained else problem.gold) + "</answer>",
                    problem, context.response_format,
                )  # fmt: skip
                outcome = {"verdict": score.verdict, "outcome": score.outcome, "well_formed": True, "shows_work": None}
                rows.append({"split": job.split, "prompt": job.prompt, "sampling": job.sampling, "tokens": 3,
                             "domain": problem.domain, "problem_id": problem.id, "sample": 0, "truncated": False,
                             "chance": 0.0, "group": None, "score": outcome})  # fmt: skip
        write_jsonl(context.folder / "completions.jsonl", rows)
        return {"cells": [asdict(cell) for cell in cells(rows)]}


def save(context: Context, trained: list[str]) -> dict[str, Any]:
    context.model_folder.mkdir()
    (context.model_folder / "trained.json").write_text(json.dumps(trained))
    return {"parameters": 1}


def known(context: Context) -> list[str]:
    return json.loads((Path(str(context.inputs.model)) / "trained.json").read_text())
