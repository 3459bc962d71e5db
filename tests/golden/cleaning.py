"""Traces of a fixed set, written by hand or by the solver, and what each cleaner makes of each of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.dlcot_traces import DOUBTED, ISLANDERS, PLAIN, TWO, WRITTEN, kk_problem
from tests.golden.digest import digest
from tests.golden.problems import CHAINS, TERSE
from warmup_rl.base.config import Sampling
from warmup_rl.base.types import Problem, Request, Trace
from warmup_rl.interfaces.cleaner import CleanContext, Dropped
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import load
from warmup_rl.interfaces.stage import Artifacts, Context
from warmup_rl.stages.clean import clean

FORMAT = ResponseFormat()
STEP_VALIDITY = ("valid_steps", "invalid_steps")
KINDS = ("terse", "english_kk", "prose")
Case = tuple[Domain, Problem, Trace]

TERSE_KK: Any = {**TERSE, "people": (2, 4), "deeper": 0.1}
ENGLISH_KK: Any = {"people": (2, 5), "roles": "all", "deeper": 0.2}
SOLVERS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "terse kk, usual": (TERSE_KK, {}, 15),
    "terse kk, noisy": (TERSE_KK, {"recheck": 0.4, "abandon": 0.3, "slip": 0.05}, 45),
    "english kk, usual": (ENGLISH_KK, {}, 30),
    "english kk, noisy": (ENGLISH_KK, {"recheck": 0.5, "hesitate": 1.0, "second_method": 0.5}, 50),
    "english kk, cases": (ENGLISH_KK, {"method": "cases", "recheck": 0.3}, 20),
}
"""Settings of the puzzles and of the solver, and how many traces."""
CLEANERS: dict[str, tuple[str, dict[str, Any]]] = {
    "correct": ("correct", {}), "well formed": ("correct", {"well_formed": True}), "duplicates": ("duplicates", {}),
    "two a problem": ("duplicates", {"per_problem": 2}),
    "length": ("length", {"min_tokens": 60, "max_tokens": 500}), "repetition": ("repetition", {}),
    "decontaminate": ("decontaminate", {}),
}  # fmt: skip
CONTROLS: dict[str, tuple[str, dict[str, Any]]] = {
    "answers only": ("answers_only", {}), "words": ("shuffled", {}), "sentences": ("shuffled", {"unit": "sentences"}),
}  # fmt: skip
"""They change every trace, so that every fifth one says enough."""
USUAL = "usual"
VARIANTS: dict[str, dict[str, Any]] = {
    "none": {"redundancy": "none"}, "multi_1": {"redundancy": "delete_multi_1"},
    "multi_2": {"redundancy": "delete_multi_2"}, "unsolvable": {"unsolvable": True},
    "incorrect": {"redundancy": "delete_multi_incorrect_incomplete"}, "keep_first": {"redundancy": "keep_first"},
    "solution": {"errors": "delete_solution"}, "all": {"errors": "delete_all"},
    "errors alone": {"redundancy": "none", "unsolvable": True, "errors": "delete_all"},
    "min_ratio": {"min_ratio": 0.7}, "max_ratio": {"max_ratio": 0.7},
}  # fmt: skip
"""Of `dlcot`, beside the usual one; each trace meets every fourth of them."""


@lru_cache
def cases(kind: str) -> dict[str, Case]:
    """Traces of a kind with their problems, by name; every ninth has a wrong answer, every eleventh a broken form."""
    found = {}
    for number, (name, domain, problem, thinking) in enumerate(_thoughts(kind)):
        said = domain.reference(problem) if number % 9 or kind == "prose" else "I cannot tell."
        text = FORMAT.render(thinking=thinking, answer=said) + (" So." if number % 11 == 10 else "")
        score = domain.score(text, problem, FORMAT)
        found[name] = (
            domain,
            problem,
            Trace(problem.id, problem.domain, domain.prompt(problem), thinking, said, score, "teacher"),
        )
    return found


def traces() -> dict[str, Any]:
    """What the traces are and how they are scored."""
    return {
        name: f"{digest(trace.thinking)} {len(trace.thinking.split())} words, {digest(trace.answer)} "
        f"{trace.score.verdict} {trace.score.outcome}, thinks {trace.score.shows_work}"
        for kind in KINDS
        for name, (_, _, trace) in cases(kind).items()
    }


def cleaners() -> dict[str, Any]:
    """What cleaners other than `dlcot` do to traces, but for those that leave a trace as it is. Some traces come twice,
    spaced in another way, and some once more as a loop."""
    entries: dict[str, Any] = {}
    for kind in KINDS:
        context = _context(kind)
        every = {**CLEANERS, **CONTROLS}.items()
        started = {name: load("cleaner", type)(**keys).start(context) for name, (type, keys) in every}
        for number, (name, trace) in enumerate(_with_repeats(kind)):
            wanted = started if number % 5 == 0 else CLEANERS
            results = {cleaner: started[cleaner](trace) for cleaner in wanted}
            entries[name] = {cleaner: _short(result) for cleaner, result in results.items() if result != trace}
    return entries


def dlcot(kind: str) -> dict[str, Any]:
    """What `dlcot` finds in each trace of a kind, and what its variants leave of it.

    Parts are given by their first letters; an approach by its label (C correct, I incorrect, U unfinished), its
    cluster, its number of steps, `s` where it settles something, `e` for each error, `r` for each step moved in.
    """
    entries = {}
    rows: list[Any] = []
    started = {
        name: load("cleaner", "dlcot")(**keys).start(_context(kind, rows))
        for name, keys in {USUAL: {}, **VARIANTS}.items()
    }
    for number, (name, (_, _, trace)) in enumerate(cases(kind).items()):
        entry = {}
        for variant in (USUAL, *list(VARIANTS)[number % 4 :: 4]):
            rows.clear()
            cleaned = started[variant](trace)
            (row,) = rows
            entry[variant] = _told(row, cleaned)
        parts = "".join(part["name"][0] for part in row["parts"])
        entries[name] = {"found": " ".join([parts, *map(_approach, row["approaches"])]), **entry}
    return entries


def pipeline(kind: str) -> dict[str, Any]:
    """Figures of stages without training: a corpus distilled by the solver, then cleaned."""
    given, solver, count = SOLVERS[f"{kind}, noisy"]
    domain = load("domain", "kk")(name="kk", **given)
    stage = load("stage", "distill")(
        domain="kk", problems=count // 2, teacher={"type": "solver", **solver}, sampling=Sampling(samples=2)
    )
    with TemporaryDirectory() as folder:
        context = Context(
            folder=Path(folder), inputs=Artifacts(), domains={"kk": domain}, response_format=FORMAT,
            evaluation=EvaluationSettings(), seed=3,
        )  # fmt: skip
        distilled = {key: value for key, value in stage.run(context).items() if key not in STEP_VALIDITY}
        rows = [json.loads(line) for line in context.traces_file.read_text(encoding="utf-8").splitlines()]
        told = digest([{**row, "score": [row["score"]["verdict"], row["score"]["extracted"]]} for row in rows])
        problems = {problem.id: problem for problem in stage.drawn(context)}
        (Path(folder) / "cleaned").mkdir()
        cleaning = CleanContext({"kk": domain}, problems, _words, FORMAT, folder=Path(folder) / "cleaned", seed=3)
        steps = [load("cleaner", step)() for step in ("correct", "duplicates", "repetition", "dlcot")]
        cleaned = clean(context.traces_file, steps, cleaning).summary()
    return {"distill": distilled, "traces": told, "clean": cleaned}


def _thoughts(kind: str) -> Iterator[tuple[str, Domain, Problem, str]]:
    """Name, domain, problem and thinking."""
    for name, (given, solver, count) in SOLVERS.items():
        if name.startswith(kind.replace("_", " ")):
            yield from _solved(name, load("domain", "kk")(name="kk", **given), solver, count)
    if kind == "english_kk":
        plain = {f"plain {number}": (TWO, thinking) for number, thinking in enumerate(PLAIN)}
        for name, (puzzle, thinking) in {**ISLANDERS, **plain}.items():
            problem = replace(kk_problem(puzzle), id=f"islanders {name}")
            yield f"english kk, {name}", load("domain", "kk")(name="kk", **ENGLISH_KK), problem, thinking
    if kind == "terse":
        for name in (name for name in CHAINS if name.endswith("terse")):
            domain = load("domain", name.split()[0])(**CHAINS[name])
            for number, problem in enumerate(domain.take("train", 0, 15)):
                yield f"{name} {number}", domain, problem, f"{' '.join(domain.steps(problem))} so {problem.gold}"
    if kind == "prose":
        for name, written in WRITTEN.items():
            problem = replace(written.problem, id=f"written {name}", domain=f"written {name}")
            for change, thinking in _changed(written.thinking):
                yield f"prose, {name}{change}", written.domain, problem, thinking
        for number, (thinking, _) in enumerate(DOUBTED):
            problem = replace(WRITTEN["redone"].problem, id=f"doubted {number}", domain="doubted")
            yield f"prose, doubted {number}", WRITTEN["redone"].domain, problem, thinking


def _solved(name: str, domain: Domain, solver: Any, count: int) -> Iterator[tuple[str, Domain, Problem, str]]:
    problems = domain.take("train", 0, count)
    requests = [Request(problem, domain.prompt(problem)) for problem in problems]
    with load("engine", "solver")(**solver).open(EngineContext({"kk": domain}, FORMAT, seed=0)) as session:
        for number, completion in enumerate(session.complete(requests, Sampling())):
            yield f"{name} {number}", domain, problems[number], completion.thinking


def _changed(thinking: str) -> Iterator[tuple[str, str]]:
    """The text, then without each paragraph, then with each one again before the last."""
    paragraphs = thinking.split("\n\n")
    yield "", thinking
    for place in range(len(paragraphs) - 1):
        yield f" without {place}", "\n\n".join(paragraphs[:place] + paragraphs[place + 1 :])
        yield f" again {place}", "\n\n".join([*paragraphs[:-1], paragraphs[place], paragraphs[-1]])


def _with_repeats(kind: str) -> Iterator[tuple[str, Trace]]:
    for number, (name, (_, _, trace)) in enumerate(cases(kind).items()):
        if number % 10 == 0:
            yield f"{name}, spaced", replace(trace, thinking=trace.thinking.replace(" ", "  "))
        yield name, trace
        if number % 10 == 5:
            yield f"{name}, loop", replace(trace, thinking=f"{trace.thinking} {trace.thinking[:300] * 9}")


def _context(kind: str, rows: list[Any] | None = None) -> CleanContext:
    """What is evaluated on are every twentieth problem and the test problems of each domain."""
    found = list(cases(kind).values())
    domains = {problem.domain: domain for domain, problem, _ in found}
    problems = {problem.id: problem for _, problem, _ in found}
    tests = [one for domain in domains.values() for one in domain.take("test", 0, 50)]
    return CleanContext(
        domains, problems, _words, FORMAT, held_out=lambda: [*list(problems.values())[::20], *tests],
        audit=[].append if rows is None else rows.append,
    )  # fmt: skip


def _words(text: str) -> int:
    return len(text.split())


def _short(result: Trace | Dropped) -> str:
    return f"dropped: {result.reason}" if isinstance(result, Dropped) else digest([result.thinking, result.meta])


def _told(row: Any, cleaned: Trace) -> str:
    reasons = " ".join(f"{reason} {count}" for reason, count in row["reasons"].items())
    words = f"{row['tokens_before']}>{row['tokens_after']}"
    return f"{row['outcome']}: {row['why'] or reasons or '-'}, {words} {digest(cleaned.thinking)}"


def _approach(row: Any) -> str:
    label = {"correct": "C", "incorrect": "I", "incomplete": "U"}[row["label"]]
    marks = "s" * row["settles"] + "e" * len(row["errors"]) + "r" * row["repaired"]
    return f"{label}{row['cluster']}.{len(row['steps'])}{marks}"
