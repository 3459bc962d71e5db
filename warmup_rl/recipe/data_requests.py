"""Checks that the domains have the problems that a recipe asks for, within a few tenths of a second."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from warmup_rl.base.errors import UserError
from warmup_rl.base.types import Problem, Split
from warmup_rl.domains.rows import RowDomain
from warmup_rl.interfaces.domain import Domain, each_fold
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import describe_exception
from warmup_rl.interfaces.stage import DataRequest, Stage
from warmup_rl.recipe.document import Address
from warmup_rl.recipe.leaks import StageRequest
from warmup_rl.recipe.schema import Recipe

BUDGET = 0.3
"""Seconds for drawing from one domain; what a generator has not drawn by then is assumed to exist, rows are counted."""
LONGEST = 3 * 3600
"""Seconds that drawing the problems of one key may take, at the measured speed."""

Requests = dict[tuple[Split, int], list[tuple[Address, DataRequest]]]
"""By split and the seed that decides its order."""


@dataclass
class Drawing:
    """Draws from domains within the budget, and keeps what was drawn."""

    held: dict[tuple[str, Split, int], list[Problem]] = field(default_factory=dict)

    def checks(
        self,
        stages: Sequence[Stage | None],
        domains: Mapping[str, Domain | None],
        evaluation: EvaluationSettings,
        seed: int,
    ) -> Iterator[tuple[Address, str]]:
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
        """The drawn problems of a request; all rows of a data set, whether their answers can be used or not."""
        domain, split, count = asked.domain, asked.draw.split, asked.draw.count
        if domain.rows_in(split) is not None:
            return list(islice(domain.unchecked(split, asked.seed), count))
        return self.held.get((repr(domain), split, asked.seed), [])[:count]

    def _drawn(self, domain: Domain, requests: Requests) -> Iterator[tuple[Address, str]]:
        start = time.monotonic()
        train_first = sorted(requests.items(), key=lambda item: item[0][0] != "train")
        for number, ((split, seed), wanted) in enumerate(train_first, start=1):
            begun, until = time.monotonic(), start + BUDGET * number / len(requests)
            try:
                if begun > start + BUDGET and domain.rows_in(split) is None:
                    return
                most = max(request.count for _, request in wanted)
                problems, in_time = self._take_smallest(domain, split, seed, most, until)
            except Exception as error:  # a plug-in's own code may raise anything
                raised = f"problems({split!r}, {seed}) raises {describe_exception(error)}."
                yield ("domains", domain.name), str(error) if isinstance(error, UserError) else raised
                return
            each = None if in_time else (time.monotonic() - begun) / max(len(problems), 1)
            for address, request in wanted:
                if message := _too_few(domain, request, problems, each):
                    yield address, message
                elif problems and request.fits and (message := _error(partial(request.fits, problems[0]))):
                    yield address[:2], message

    def _take_smallest(
        self, domain: Domain, split: Split, seed: int, most: int, until: float
    ) -> tuple[list[Problem], bool]:
        """The first problems of a split, `most` or those drawn in time, and whether time sufficed; of a domain with
        folds, those of the fold that has the fewest to train on, or the most to measure."""
        parts = [domain, *each_fold(domain)] if domain.fold_count and split == "train" else each_fold(domain)
        found = [self._take(part, split, seed, most, until) for part in parts]
        smallest = min(found, key=lambda drawn: len(drawn[0]) if split == "train" else -len(drawn[0]))
        return smallest[0], all(in_time for _, in_time in found)

    def _take(self, domain: Domain, split: Split, seed: int, most: int, until: float) -> tuple[list[Problem], bool]:
        found = self.held[repr(domain), split, seed] = list[Problem]()
        for problem in islice(domain.problems(split, seed), most):
            found.append(problem)
            if len(found) < most and time.monotonic() > until:
                if domain.rows_in(split) is None:
                    return found, False
                found[:] = islice(domain.unchecked(split, seed), most)  # of a data set, all that there are
                break
        return found, True


def with_validation(recipe: Recipe) -> dict[str, Domain]:
    """The domains of a recipe; data sets of which its stages ask for validation problems have such a split."""
    asked = {
        request.domain
        for stage in recipe.stages
        for request in stage.data_requests(recipe.evaluation, recipe.domains)
        if request.split == "validation"
    }
    found = dict(recipe.domains)
    for name, domain in recipe.domains.items():
        if name in asked and isinstance(domain, RowDomain):
            with suppress(UserError):  # rows that cannot be read are reported when they are drawn
                found[name] = domain.with_validation()
    return found


def _error(call: Callable[[], Any]) -> str:
    """The message of the `UserError` that a call raises; empty if it raises none."""
    try:
        call()
    except UserError as error:
        return str(error)
    return ""


def _too_few(domain: Domain, request: DataRequest, problems: Sequence[Problem], each: float | None) -> str:
    """The error of a request that got these problems; `each` is the seconds per problem if time ran out."""
    count, found = request.count, len(problems)
    asked = f"{count} {request.split} problems of domain {request.domain!r}"
    if request.whole:
        return _error(partial(request.problems, domain, 0)).partition(": ")[2]
    if each is not None:
        hours = each * count / 3600
        wait = f"{asked} asked for: drawing them would take about {hours:,.0f} hours. Ask for fewer."
        return wait if each * count > LONGEST else ""
    if found >= count or found and domain.may_fall_short(request.split):
        return ""
    if found == 0 and request.split == "validation" and "validation" in type(domain).model_fields:
        fix = f"Set `validation` of domain {request.domain!r}, or measure one prompt style."
    else:
        where = " in every fold" if domain.fold_count else ""
        widen = "" if domain.finite else ", or widen the domain's difficulty settings"
        if request.split == "train" and (domain.rows_in("validation") or 0):
            keys = [key for key in ("train", "validation") if key in type(domain).model_fields]
            widen = f", or set {' and '.join(f'`{key}`' for key in keys)} of domain {request.domain!r}"
        fix = f"Ask for at most {found}{where}{widen}."
    return f"{asked} asked for, {found} exist with these settings. {fix}"
