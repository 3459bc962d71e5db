"""Raw traces of puzzles for tests of cleaning: right and wrong ones, repetitions, and re-checks that can be cut."""

from __future__ import annotations

from pathlib import Path

from warmup_rl.base.config import Sampling
from warmup_rl.base.jsonl import write_jsonl
from warmup_rl.base.types import Problem, Request, Trace, to_json
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.engines.solver import Solver
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.format import ResponseFormat

KK = KnightsKnaves(name="kk", people=3)
FORMAT = ResponseFormat()


def raw_traces(count: int, *, per_problem: int = 2) -> tuple[list[Problem], list[Trace]]:
    """English puzzles and their traces; every fifth answer is wrong, every seventh trace stands there twice."""
    problems = KK.take("train", 0, count)
    requests = [Request(problem, KK.prompt(problem), sample) for problem in problems for sample in range(per_problem)]
    traces = []
    with Solver(recheck=0.5, hesitate=1.0).open(EngineContext({"kk": KK}, FORMAT, 0)) as session:
        for number, (request, said) in enumerate(zip(requests, session.complete(requests, Sampling()), strict=True)):
            text = said.text.replace("knight", "knave") if number % 5 == 0 else said.text
            score = KK.score(FORMAT.render(thinking=said.thinking or "", answer=text), request.problem, FORMAT)
            trace = Trace(
                request.problem.id, "kk", request.messages, said.thinking or "", text, score, "solver", request.sample
            )
            traces += [trace] * (2 if number % 7 == 0 else 1)
    return problems, traces


def write_raw(folder: Path, problems: list[Problem], traces: list[Trace]) -> Path:
    """Writes both files of a distill stage and returns that of the traces."""
    folder.mkdir(exist_ok=True)
    write_jsonl(folder / "problems.jsonl", map(to_json, problems))
    write_jsonl(folder / "traces.jsonl", map(to_json, traces))
    return folder / "traces.jsonl"
