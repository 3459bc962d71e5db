"""Whether the domains hold the problems that a recipe asks them for, tried within a few tenths of a second."""

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
"""Seconds for all draws from one domain; what is not drawn by then is taken to exist."""
LONGEST = 3 * 3600
"""Seconds that drawing the problems of one key may take, by the speed seen."""


Place = tuple[Split, int]
"""A split and the seed that decides its order."""


@dataclass
class Drawing:
    """Draws from domains within the budget, and holds what was drawn."""

    held: dict[tuple[str, Split, int], list[Problem]] = field(default_factory=dict)

    def checks(
        self, stages: Sequence[Stage | None], domains: dict[str, Domain | None], evaluation: EvaluationSettings,
        seed: int,
    ) -> Iterator[tuple[Address, str]]:  # fmt: skip
        """Places and messages of draws that fail, hold too few or unfit problems, or would take hours."""
        asked: dict[str, dict[Place, list[tuple[Address, DataRequest]]]] = defaultdict(lambda: defaultdict(list))
        for index, stage in enumerate(stages):
            for draw in stage.data_requests(evaluation, domains) if stage else ():
                place = (draw.split, seed if draw.seed is None else draw.seed)
                asked[draw.domain][place].append((_address(index, draw), draw))
        for name, places in asked.items():
            if domain := domains.get(name):
                yield from self._drawn(domain, places)

    def take(self, asked: StageRequest) -> Sequence[Problem]:
        """Of what a stage asks for, the problems that were drawn; of a data set all, be their answers sound or not."""
        domain, split = asked.domain, asked.draw.split
        seed = asked.seed if asked.draw.seed is None else asked.draw.seed
        if domain.rows_in(split) is not None:
            return list(islice(domain.unchecked(split, seed), asked.draw.count))
        return self.held.get((repr(domain), split, seed), [])[: asked.draw.count]

    def _drawn(
        self, domain: Domain, places: dict[Place, list[tuple[Address, DataRequest]]]
    ) -> Iterator[tuple[Address, str]]:
        start = time.monotonic()
        train_first = sorted(places.items(), key=lambda place: place[0][0] != "train")
        for number, ((split, seed), wanted) in enumerate(train_first, start=1):
            begun, until = time.monotonic(), start + BUDGET * number / len(places)
            if begun > start + BUDGET:
                return
            try:
                most = max(draw.count for _, draw in wanted)
                problems, in_time = self._take_smallest(domain, split, seed, most, until)
            except UserError as error:
                yield ("domains", domain.name), str(error)
                return
            except Exception as error:  # a plug-in's own code may raise anything
                yield ("domains", domain.name), f"problems({split!r}, {seed}) raises {_told(error)}"
                return
            each = (time.monotonic() - begun) / max(len(problems), 1)
            for address, draw in wanted:
                if message := _message(domain, draw, problems, None if in_time else each):
                    yield address, message
                elif problems and (message := _misfit(draw, problems[0])):
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


def _misfit(draw: DataRequest, problem: Problem) -> str:
    try:
        if draw.fits:
            draw.fits(problem)
    except UserError as error:
        return str(error)
    return ""


def _message(domain: Domain, draw: DataRequest, problems: Sequence[Problem], each: float | None) -> str:
    """What is wrong with a draw that gave these problems; `each` is the seconds of one where time was up."""
    count, found, asked = draw.count, len(problems), f"{draw.count} {draw.split} problems of domain {draw.domain!r}"
    if draw.whole:
        try:
            draw.problems(domain, 0)
        except UserError as error:
            return str(error).partition(": ")[2]
        return ""
    if is_folded(domain) and draw.used_for == "measurement" and count < _rows(domain):
        return f"a fold of domain {draw.domain!r} has {_rows(domain)} rows (got {count}). Measure them all."
    if domain.may_fall_short(draw.split) and problems and each is None:
        return ""
    if each is None and found < count:
        return f"{asked} asked for, {found} exist with these settings. {_mend(domain, draw, found)}"
    if each is not None and each * count > LONGEST:
        return f"{asked} asked for: drawing them would take about {each * count / 3600:,.0f} hours. Ask for fewer."
    return ""


def _mend(domain: Domain, draw: DataRequest, found: int) -> str:
    if found == 0 and draw.split == "validation" and "validation" in type(domain).model_fields:
        return f"Set `validation` of domain {draw.domain!r}, or measure one prompt style."
    widen = "" if domain.finite else ", or widen the domain's difficulty settings"
    where = " in every fold" if is_folded(domain) else ""
    return f"Ask for at most {found}{where}{widen}."


def _rows(domain: Domain) -> int:
    """Rows of the largest fold."""
    return max(part.rows_in("test") or 0 for part in each_fold(domain))


def _address(index: int, draw: DataRequest) -> Address:
    keys = tuple(draw.key.split("."))
    return keys if keys[0] == "evaluation" else ("stages", index, *keys)


def _told(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}."
