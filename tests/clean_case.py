"""Raw traces and a clean stage for tests of several processes, and the program that a launcher starts.

`accelerate launch ... -m tests.clean_case FOLDER` cleans the traces in `FOLDER/raw` into `FOLDER/clean`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from tests.raw_traces import KK, raw_traces, write_raw
from tests.tiny import tiny_model
from warmup_rl.base.jsonl import write_json
from warmup_rl.base.types import Trace
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Artifacts, Context, LaunchEnv
from warmup_rl.stages.clean import Clean


class Dies(Cleaner):
    """Notes each trace in the file `$SEEN`; kills its process at the trace number `$DIES_AT` that reaches it, and stops
    it with the trace number `$STOPS_AT` in hand."""

    type: ClassVar[str] = "dies"
    alone: bool = True

    def per_rank(self) -> bool:
        return self.alone

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        dies, stops = (int(os.environ.get(name, "0")) for name in ("DIES_AT", "STOPS_AT"))
        number = 0

        def step(trace: Trace) -> Trace:
            nonlocal number
            number += 1
            if number == dies:
                os.kill(os.getpid(), signal.SIGKILL)
            with open(os.environ.get("SEEN", os.devnull), "a") as seen:
                seen.write(f"{trace.problem_id} {trace.sample}\n")
            if number == stops:
                os.kill(os.getpid(), signal.SIGSTOP)
            return trace

        return step


STEPS: list[Any] = [
    "correct",
    "decontaminate",
    {"type": "duplicates", "per_problem": 2},
    {"type": "tests.clean_case:Dies"},
    "dlcot",
    {"type": "length", "max_tokens": 400},
    {"type": "duplicates", "per_problem": 1},
]


def case(folder: Path) -> Path:
    """Fills a folder with raw traces and a model for its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    write_raw(folder / "raw", *raw_traces(40, per_problem=3))
    tiny_model(folder / "model")
    return folder


def context(folder: Path, launch_env: LaunchEnv, name: str = "clean") -> Context:
    (folder / name).mkdir(exist_ok=True)
    return Context(
        folder=folder / name,
        inputs=Artifacts(model=str(folder / "model"), traces=folder / "raw" / "traces.jsonl"),
        domains={"kk": KK},
        response_format=ResponseFormat(),
        evaluation=EvaluationSettings(problems=5, validation=3),
        seed=0,
        launch_env=launch_env,
    )


if __name__ == "__main__":
    from warmup_rl.run.launch_env import read_launch_env

    env, home = read_launch_env(), Path(sys.argv[1])
    write_json(home / f"summary.rank{env.rank}.json", Clean(steps=STEPS).run(context(home, env)))
