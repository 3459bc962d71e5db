"""Whether the domains have the problems that a recipe asks them for, tried within a few tenths of a second."""

from __future__ import annotations

import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from warmup_rl.base.errors import UserError
from warmup_rl.base.types import Problem, Split
from warmup_rl.interfaces.domain import Domain, each_fold, is_folded
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.stage import DataRequest, Stage
from warmup_rl.recipe.leaks import StageRequest
from warmup_rl.recipe.yaml_source import Address

BUDGET = 0.3
"""Seconds for all problems drawn from one domain; what is not drawn by then is assumed to exist."""
LONGEST = 3 * 3600
"""Seconds that drawing the problems of one key may take, at the speed seen."""

Order = tuple[Split, int]
"""A split and the seed that decides its order."""
Requests = dict[Order, list[tuple[Address, DataRequest]]]


@dataclass
class Drawing:
    """Draws from domains within the budget, and keeps what was drawn."""

    held: dict[tuple[str, Split, int], list[Problem]] = field(default_factory=dict)

    def checks(
        self, stages: Sequence[Stage | None], domains: dict[str, Domain | None], evaluation: EvaluationSettings,
        seed: int,
    ) -> Iterator[tuple[Address, str]]:  # fmt: skip
        """Addresses and messages of requests that fail, get too few or unfit problems, or would take hours."""
        by_domain: dict[str, Requests] = defaultdict(lambda: defaultdict(list))
        for index, stage in enumerate(stages):
            for request in stage.data_requests(evaluation, domains) if stage else ():
                keys = tuple(request.key.split("."))
                address: Address = keys if keys[0] == "evaluation" else ("stages", index, *keys)
                order = (request.split, seed if request.seed is None else request.seed)
                by_domain[request.domain][order].append((address, request))
        for name, requests in by_domain.items():
            if domain := domains.get(name):
                yield from self._drawn(domain, requests)

    def take(self, asked: StageRequest) -> Sequence[Problem]:
        """The drawn problems of what a stage asks for; of a data set all, whether their answers can be used or not."""
        domain, split, count = asked.domain, asked.draw.split, asked.draw.count
        if domain.rows_in(split) is not None:
            return list(islice(domain.unchecked(split, asked.seed), count))
        return self.held.get((repr(domain), split, asked.seed), [])[:count]

    def _drawn(self, domain: Domain, requests: Requests) -> Iterator[tuple[Address, str]]:
        start = time.monotonic()
        train_first = sorted(requests.items(), key=lambda item: item[0][0] != "train")
        for number, ((split, seed), wanted) in enumerate(train_first, start=1):
            begun, until = time.monotonic(), start + BUDGET * number / len(requests)
            if begun > start + BUDGET:
                return
            try:
                most = max(request.count for _, request in wanted)
                problems, in_time = self._take_smallest(domain, split, seed, most, until)
            except UserError as error:
                yield ("domains", domain.name), str(error)
                return
            except Exception as error:  # a plug-in's own code may raise anything
                yield ("domains", domain.name), f"problems({split!r}, {seed}) raises {_described(error)}"
                return
            each = None if in_time else (time.monotonic() - begun) / max(len(problems), 1)
            for address, request in wanted:
                if message := _too_few(domain, request, problems, each):
                    yield address, message
                elif problems and (message := _misfit(request, problems[0])):
                    yield address[:2], message

    def _take_smallest(
        self, domain: Domain, split: Split, seed: int, most: int, until: float
    ) -> tuple[list[Problem], bool]:
        """The first problems of a split, `most` or those drawn in time, and whether time sufficed; of a domain with
        folds, those of the fold that has the fewest to train on, or the most to measure."""
        parts = [domain, *each_fold(domain)] if is_folded(domain) and split == "train" else each_fold(domain)
        found = [self._take(part, split, seed, most, until) for part in parts]
        smallest = min(found, key=lambda drawn: len(drawn[0]) if split == "train" else -len(drawn[0]))
        return smallest[0], all(in_time for _, in_time in found)

    def _take(self, domain: Domain, split: Split, seed: int, most: int, until: float) -> tuple[list[Problem], bool]:
        found: list[Problem] = []
        self.held[repr(domain), split, seed] = found
        for problem in islice(domain.problems(split, seed), most):
            found.append(problem)
            if len(found) < most and time.monotonic() > until:
                return found, False
        return found, True


def _misfit(request: DataRequest, problem: Problem) -> str:
    try:
        if request.fits:
            request.fits(problem)
    except UserError as error:
        return str(error)
    return ""


def _too_few(domain: Domain, request: DataRequest, problems: Sequence[Problem], each: float | None) -> str:
    """What is wrong with a request that got these problems; `each` is the seconds of one where time was up."""
    count, found = request.count, len(problems)
    asked = f"{count} {request.split} problems of domain {request.domain!r}"
    if request.whole:
        try:
            request.problems(domain, 0)
        except UserError as error:
            return str(error).partition(": ")[2]
        return ""
    largest = max(part.rows_in("test") or 0 for part in each_fold(domain)) if is_folded(domain) else 0
    if request.used_for == "measurement" and count < largest:
        return f"a fold of domain {request.domain!r} has {largest} rows (got {count}). Measure them all."
    if domain.may_fall_short(request.split) and problems and each is None:
        return ""
    if each is None and found < count:
        return f"{asked} asked for, {found} exist with these settings. {_fix(domain, request, found)}"
    if each is not None and each * count > LONGEST:
        return f"{asked} asked for: drawing them would take about {each * count / 3600:,.0f} hours. Ask for fewer."
    return ""


def _fix(domain: Domain, request: DataRequest, found: int) -> str:
    if found == 0 and request.split == "validation" and "validation" in type(domain).model_fields:
        return f"Set `validation` of domain {request.domain!r}, or measure one prompt style."
    widen = "" if domain.finite else ", or widen the domain's difficulty settings"
    where = " in every fold" if is_folded(domain) else ""
    return f"Ask for at most {found}{where}{widen}."


def _described(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}."
