"""DLCoT by rules: Knights & Knaves traces cleaned a second on one core, from the trace to its audit row.

Traces are the solver's, with needless re-checks and second methods in them, each about 3,000 tokens long and cleaned
once. A token is a word in the terse phrasing, as for the models that read it, and a word or a punctuation mark in
English (tokenizers of large models give some more). Counting tokens for the audit is left out: that is the tokenizer's
time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from time import process_time

from benchmarks.figure import Figure, at_least
from benchmarks.solved import solved
from warmup_rl.base.types import Problem, Trace
from warmup_rl.cleaners.dlcot import DLCoT
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.engines.solver import Solver
from warmup_rl.interfaces.cleaner import CleanContext

LENGTH, GOAL = 3_000, 200.0
"""Tokens of a trace, and the traces a second that are to be reached."""
_TRACES, _TURNS = 120, 3
"""Traces of a turn; the best of the turns counts."""
_WORDS = re.compile(r"\S+")
_WORDS_AND_MARKS = re.compile(r"\w+|[^\w\s]+")
_CHATTY = Solver(recheck=0.8, second_method=1.0)


def figures() -> Iterator[Figure]:
    """Traces of 3,000 tokens a second by phrasing, and what is left of them."""
    kinds: dict[str, tuple[KnightsKnaves, Solver, re.Pattern[str]]] = {
        "terse": (KnightsKnaves(name="kk", people=(5, 7), phrasing="terse"), Solver(recheck=0.3), _WORDS),
        "English": (KnightsKnaves(name="kk", people=(7, 10), deeper=0.3), _CHATTY, _WORDS_AND_MARKS),
        "English, all cases": (KnightsKnaves(name="kk", people=(4, 6)), Solver(method="cases"), _WORDS_AND_MARKS),
    }
    for name, (domain, solver, token) in kinds.items():
        traces, problems = _traces(domain, solver, token)
        context = CleanContext({"kk": domain}, problems, lambda text: 0)
        tokens = sum(len(token.findall(trace.thinking)) for trace in traces)
        clean = DLCoT().start(context)
        rate = max(_rate(clean, traces[turn::_TURNS], token) for turn in range(_TURNS))
        yield at_least(f"{name}: traces of {LENGTH:,} tokens", rate, "traces/s", GOAL)
        cleaned = [trace for trace in map(clean, traces) if isinstance(trace, Trace)]
        left = sum(len(token.findall(trace.thinking)) for trace in cleaned)
        yield Figure(f"{name}: tokens left", 100 * left / tokens, "%")


def _traces(domain: KnightsKnaves, solver: Solver, token: re.Pattern[str]) -> tuple[list[Trace], dict[str, Problem]]:
    """Traces of about the length, and their problems by id."""
    made = solved(solver, domain, domain.problems("train", 0))
    fitting = (each for each in made if 0.75 < len(token.findall(each[1].thinking)) / LENGTH < 1.25)
    found = list(islice(fitting, _TRACES * _TURNS))
    return [trace for _, trace in found], {problem.id: problem for problem, _ in found}


def _rate(clean: Callable[[Trace], object], traces: Sequence[Trace], token: re.Pattern[str]) -> float:
    """Traces of 3,000 tokens a second."""
    tokens = sum(len(token.findall(trace.thinking)) for trace in traces)
    start = process_time()
    for trace in traces:
        clean(trace)
    return tokens / LENGTH / (process_time() - start)
