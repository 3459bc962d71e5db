"""Whether a recipe evaluates on problems that it trained on before: by id, by words, by a puzzle's statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from warmup_rl.base.console import counted
from warmup_rl.base.errors import RunError
from warmup_rl.base.types import Problem
from warmup_rl.domains.overlap import Evaluated, Found
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.stage import DataRequest

_SHOWN = 3


@dataclass(frozen=True)
class StageRequest:
    """Problems that a stage asks for, in one trial.

    Attributes:
        trial: what messages call the trial; may be empty.
        seed: decides which problems: the request's own, or that of the run.
    """

    trial: str
    stage: str
    draw: DataRequest
    domain: Domain
    seed: int

    @property
    def what(self) -> tuple[str, str, int, int, bool]:
        """Equal for those that ask for the same problems."""
        return f"{type(self.domain)} {self.domain!r}", self.draw.split, self.seed, self.draw.count, self.draw.whole


Take = Callable[[StageRequest], Iterable[Problem]]
"""Draws what was asked for."""


@dataclass(frozen=True)
class Leak:
    """A problem that a stage trains on and another one, or itself, evaluates on."""

    trains: StageRequest
    evaluates: StageRequest
    problem: Problem
    found: Found


def draw(asked: StageRequest) -> Iterator[Problem]:
    """All problems, however long it takes. Raises `UserError` where they do not exist."""
    return asked.draw.problems(asked.domain, asked.seed)


def leaks(trials: Iterable[Sequence[Sequence[StageRequest]]], take: Take = draw) -> Iterator[Leak]:
    """Problems that trials evaluate on after, or while, they train on them; what trials share is compared once.

    Args:
        trials: what each stage of a trial asks for, in the order of the stages.
    """
    evaluated_by: dict[tuple[object, ...], dict[tuple[object, ...], StageRequest]] = defaultdict(dict)
    trained: dict[tuple[object, ...], StageRequest] = {}
    for trial in trials:
        for place, stage in enumerate(trial):
            for asked in stage:
                later = trial[place:] if asked.draw.used_for == "training" else [stage]
                if asked.draw.used_for in ("training", "examples"):
                    trained.setdefault(asked.what, asked)
                    measures = (other for others in later for other in others if _evaluates(other))
                    for other in measures:
                        evaluated_by[asked.what].setdefault(other.what, other)
    together: dict[frozenset[object], list[tuple[object, ...]]] = defaultdict(list)
    for what, others in evaluated_by.items():
        together[frozenset(others)].append(what)
    for whats in together.values():
        yield from _compared([trained[what] for what in whats], evaluated_by[whats[0]].values(), take)


def refuse(found: Iterable[Leak]) -> None:
    """Raises `RunError` where there are leaks, naming the first problems and how to fix it."""
    by_place: dict[tuple[str, str], list[Leak]] = defaultdict(list)
    for leak in found:
        by_place[leak.trains.domain.name, leak.evaluates.domain.name].append(leak)
    if by_place:
        raise RunError("\n".join(_described(leaks) for leaks in by_place.values()))


def _evaluates(asked: StageRequest) -> bool:
    return asked.draw.used_for in ("choice", "curve", "measurement")


def _compared(trained: Sequence[StageRequest], evaluated: Iterable[StageRequest], take: Take) -> Iterator[Leak]:
    by_id: dict[str, StageRequest] = {}
    domains: dict[str, Domain] = {}

    def questions() -> Iterator[Problem]:
        for asked in evaluated:
            domains[asked.domain.name] = asked.domain
            for problem in take(asked):
                by_id.setdefault(problem.id, asked)
                yield problem

    index = Evaluated(questions(), lambda problem: domains[problem.domain].canonical(problem))
    source: dict[str, StageRequest] = {}
    domains |= {asked.domain.name: asked.domain for asked in trained}

    def others() -> Iterator[Problem]:
        for asked in trained:
            for problem in take(asked):
                source.setdefault(problem.id, asked)
                yield problem

    for problem, found in index.repeated(others(), comparable=lambda one, name: _by_words(one.domain, name, domains)):
        yield Leak(source[problem.id], by_id[found.problem_id], problem, found)


def _by_words(one: str, other: str, domains: Mapping[str, Domain]) -> bool:
    """Whether shared runs of words show a leak.

    Not within one domain, which keeps its own splits apart, nor between two of the same generator: all their problems
    have the same few phrases.
    """
    kinds = {type(domains[name]) for name in (one, other)}
    return one != other and (len(kinds) == 2 or kinds.pop().finite)


def _described(found: Sequence[Leak]) -> str:
    first = found[0]
    trains, evaluates = first.trains, first.evaluates
    where = f"{evaluates.trial}: " if evaluates.trial else ""
    lines = [
        f"{where}stage {trains.stage!r} trains on {counted(len(found), 'problem')} of domain "
        f"{trains.domain.name!r} that stage {evaluates.stage!r} evaluates on (domain {evaluates.domain.name!r}):"
    ]
    for leak in found[:_SHOWN]:
        question = " ".join(leak.problem.question.split())
        shown = question if len(question) <= 90 else f"{question[:87]}..."
        evaluated = "" if leak.found.problem_id == leak.problem.id else f" as {leak.found.problem_id}"
        lines.append(f"  {leak.problem.id}{evaluated}, {leak.found.why}: {shown}")
    lines += [f"  and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    lines.append(
        "Accuracy on problems that were trained on says nothing. Take these rows out of one of the two files, give the "
        "domains other problems, or leave one of the two out (`evaluation.domains`, the stage's `domain`)."
    )
    return "\n".join(lines)
