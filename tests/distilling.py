"""Distills a domain of small sums from an endpoint, as a process of its own that a test may kill."""

from __future__ import annotations

import multiprocessing
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from warmup_rl.base.config import Sampling
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Artifacts, Context
from warmup_rl.nano.sums import Sums
from warmup_rl.stages.distill import Distill


def stage(url: str, **fields: Any) -> Distill:
    teacher = {"type": "openai", "base_url": url, "model": "teacher", "backoff": 0.001, "concurrency": 4}
    return Distill.model_validate({
        "domain": "sums", "problems": 30, "sampling": Sampling(samples=2), "teacher_format": "tags",
        "teacher": {**teacher, **fields.pop("teacher", {})}, **fields,
    })  # fmt: skip


def context(folder: Path, say: Any = print, **fields: Any) -> Context:
    folder.mkdir(exist_ok=True)
    domain = Sums(name="sums", phrasing="terse", operations=(1, 3), modulus=6)
    return Context(
        folder=folder, inputs=Artifacts(), domains={"sums": domain}, response_format=ResponseFormat(),
        evaluation=EvaluationSettings(), seed=0, say=say, **fields,
    )  # fmt: skip


def start(folder: Path, url: str) -> BaseProcess:
    """A process that distills into a folder; what it needs is imported once for all such processes."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__, "openai"])
    process = server.Process(target=_run, args=(folder, url))
    process.start()
    return process


def _run(folder: Path, url: str) -> None:
    stage(url).run(context(folder, say=str))
