"""Leaks: problems that a recipe evaluates on after training on them, found by id, words or a puzzle's statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from warmup_rl.base.console import counted
from warmup_rl.base.errors import RunError
from warmup_rl.base.types import Problem
from warmup_rl.domains.overlap import Evaluated, Found
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.stage import DataRequest

_LISTED = 3


@dataclass(frozen=True)
class StageRequest:
    """Problems that a stage asks for, in one trial, whose name may be empty; the seed, the request's own or that of the
    run, decides which problems."""

    trial: str
    stage: str
    draw: DataRequest
    domain: Domain
    seed: int

    @property
    def what(self) -> tuple[object, ...]:
        """Equal for requests for the same problems."""
        return f"{type(self.domain)} {self.domain!r}", self.draw.split, self.seed, self.draw.count, self.draw.whole

    def problems(self) -> Iterator[Problem]:
        """All problems, however long drawing them takes. Raises `UserError` if they do not exist."""
        return self.draw.problems(self.domain, self.seed)


Take = Callable[[StageRequest], Iterable[Problem]]


@dataclass(frozen=True)
class Leak:
    """A problem that a stage trains on and a later stage, or the same one, evaluates on."""

    trains: StageRequest
    evaluates: StageRequest
    problem: Problem
    found: Found


def leaks(trials: Iterable[Sequence[Sequence[StageRequest]]], take: Take = StageRequest.problems) -> Iterator[Leak]:
    """Problems that trials evaluate on after, or while, they train on them, given the requests of each stage of a trial
    in order; requests that trials share run once. `take` draws the problems of a request."""
    evaluated_by: dict[object, dict[object, StageRequest]] = defaultdict(dict)
    trained: dict[object, StageRequest] = {}
    for trial in trials:
        for place, stage in enumerate(trial):
            for asked in stage:
                if (use := asked.draw.used_for) in ("training", "examples"):
                    trained.setdefault(asked.what, asked)
                    for other in chain(*(trial[place:] if use == "training" else [stage])):
                        if other.draw.used_for in ("choice", "curve", "measurement"):
                            evaluated_by[asked.what].setdefault(other.what, other)
    together: dict[frozenset[object], list[object]] = defaultdict(list)
    for what, others in evaluated_by.items():
        together[frozenset(others)].append(what)
    for whats in together.values():
        yield from _compared([trained[what] for what in whats], list(evaluated_by[whats[0]].values()), take)


def refuse(found: Iterable[Leak]) -> None:
    """Raises `RunError` if there are leaks, naming the first problems and how to fix it."""
    by_place: dict[tuple[str, str], list[Leak]] = defaultdict(list)
    for leak in found:
        by_place[leak.trains.domain.name, leak.evaluates.domain.name].append(leak)
    if by_place:
        raise RunError("\n".join(_described(leaks) for leaks in by_place.values()))


def _compared(trained: Sequence[StageRequest], evaluated: Sequence[StageRequest], take: Take) -> Iterator[Leak]:
    domains = {asked.domain.name: asked.domain for asked in (*evaluated, *trained)}

    def drawn(requests: Sequence[StageRequest], request_of: dict[str, StageRequest]) -> Iterator[Problem]:
        for asked in requests:
            for problem in take(asked):
                request_of.setdefault(problem.id, asked)
                yield problem

    trains: dict[str, StageRequest] = {}
    evaluates: dict[str, StageRequest] = {}
    index = Evaluated(drawn(evaluated, evaluates), lambda problem: domains[problem.domain].canonical(problem))
    repeated = index.repeated(drawn(trained, trains), comparable=lambda one, name: _by_words(one.domain, name, domains))
    for problem, found in repeated:
        yield Leak(trains[problem.id], evaluates[found.problem_id], problem, found)


def _by_words(one: str, other: str, domains: Mapping[str, Domain]) -> bool:
    """Whether shared runs of words show a leak.

    Not within one domain, which keeps its own splits apart, nor between two of the same generator: all their problems
    have the same few phrases.
    """
    kinds = {type(domains[name]) for name in (one, other)}
    return one != other and (len(kinds) == 2 or kinds.pop().finite)


def _described(found: Sequence[Leak]) -> str:
    trains, evaluates = found[0].trains, found[0].evaluates
    lines = [
        f"{f'{evaluates.trial}: ' if evaluates.trial else ''}stage {trains.stage!r} trains on "
        f"{counted(len(found), 'problem')} of domain {trains.domain.name!r} that stage {evaluates.stage!r} evaluates "
        f"on (domain {evaluates.domain.name!r}):"
    ]
    for leak in found[:_LISTED]:
        question = " ".join(leak.problem.question.split())
        question = question if len(question) <= 90 else f"{question[:87]}..."
        evaluated = "" if leak.found.problem_id == leak.problem.id else f" as {leak.found.problem_id}"
        lines.append(f"  {leak.problem.id}{evaluated}, {leak.found.why}: {question}")
    lines += [f"  and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    lines.append(
        "Accuracy on problems that were trained on means nothing. Remove these rows from one of the two files, give "
        "the domains other problems, or leave one of the two out (`evaluation.domains`, the stage's `domain`)."
    )
    return "\n".join(lines)
