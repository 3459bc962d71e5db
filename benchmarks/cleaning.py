"""DLCoT by rules: Knights & Knaves traces cleaned a second on one core, from the trace to its audit row.

Traces are the solver's, with needless re-checks and second methods in them, each about 3,000 tokens long. A token is a
word in the terse phrasing, as for the models that read it, and a word or a punctuation mark in English (tokenizers of
large models give some more). Counting tokens for the audit is left out, since that is the tokenizer's time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from time import process_time

from benchmarks.figure import Figure, at_least
from warmup_rl.cleaner import CleanContext
from warmup_rl.cleaners.dlcot import DLCoT
from warmup_rl.config import Sampling
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.engine import EngineContext
from warmup_rl.engines.solver import Solver
from warmup_rl.format import ResponseFormat
from warmup_rl.types import Problem, Request, Trace

LENGTH, GOAL = 3_000, 200.0
"""Tokens of a trace, and the traces a second that are to be reached."""
_TRACES = 40
_SECONDS = 2.0
_TURNS = 3
_WORDS = re.compile(r"\S+")
_WORDS_AND_MARKS = re.compile(r"\w+|[^\w\s]+")
_FORMAT = ResponseFormat()


def figures() -> Iterator[Figure]:
    """Traces of 3,000 tokens a second by phrasing, and what is left of them."""
    kinds: dict[str, tuple[KnightsKnaves, Solver, re.Pattern[str]]] = {
        "terse": (KnightsKnaves(name="kk", people=(5, 7), phrasing="terse"), Solver(recheck=0.3), _WORDS),
        "English": (KnightsKnaves(name="kk", people=(5, 9), deeper=0.3), Solver(recheck=0.3), _WORDS_AND_MARKS),
        "English, all cases": (KnightsKnaves(name="kk", people=(4, 6)), Solver(method="cases"), _WORDS_AND_MARKS),
    }
    for name, (domain, solver, token) in kinds.items():
        traces, problems = _traces(domain, solver, token)
        context = CleanContext({"kk": domain}, problems, lambda text: 0)
        tokens = sum(len(token.findall(trace.thinking)) for trace in traces)
        clean = DLCoT().start(context)
        rate = max(_rate(clean, traces) for _ in range(_TURNS)) * tokens / len(traces) / LENGTH
        yield at_least(f"{name}: traces of {LENGTH:,} tokens", rate, "traces/s", GOAL)
        left = sum(len(token.findall(clean(trace).thinking)) for trace in traces)
        yield Figure(f"{name}: tokens left", 100 * left / tokens, "%")


def _traces(
    domain: KnightsKnaves, solver: Solver, token: re.Pattern[str]
) -> tuple[list[Trace], dict[str, Problem]]:
    """Traces of about the length, and their problems by id."""
    problems = {problem.id: problem for problem in islice(domain.problems("train", 0), 20 * _TRACES)}
    requests = [Request(problem, domain.prompt(problem)) for problem in problems.values()]
    found = []
    with solver.open(EngineContext({"kk": domain}, _FORMAT, seed=0)) as session:
        for completion in session.complete(requests, Sampling()):
            thinking = completion.thinking or ""
            if len(found) < _TRACES and 0.7 < len(token.findall(thinking)) / LENGTH < 1.3:
                text = _FORMAT.render(thinking=thinking, answer=completion.text)
                score = domain.score(text, problems[completion.problem_id], _FORMAT)
                found.append(Trace(completion.problem_id, "kk", (), thinking, completion.text, score, "solver"))
    return found, problems


def _rate(clean: Callable[[Trace], object], traces: Sequence[Trace]) -> float:
    """Traces a second."""
    start, done = process_time(), 0
    for trace in cycle(traces):
        clean(trace)
        done += 1
        if done % 10 == 0 and process_time() - start > _SECONDS:
            return done / (process_time() - start)
    raise AssertionError("there are traces")
