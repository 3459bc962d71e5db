"""Whether the domains hold the problems that a recipe asks them for, tried within a few tenths of a second."""

from __future__ import annotations

import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from warmup_rl.domain import Domain
from warmup_rl.errors import UserError
from warmup_rl.evaluation import EvaluationSettings
from warmup_rl.recipe.document import Address
from warmup_rl.stage import Draw, Stage
from warmup_rl.types import Problem, Split

BUDGET = 0.3
"""Seconds for all draws from one domain; what is not drawn by then is taken to exist."""
LONGEST = 3 * 3600
"""Seconds that drawing the problems of one key may take, by the speed seen."""


Place = tuple[Split, int]
"""A split and the seed that decides its order."""


def draw_checks(
    stages: Sequence[Stage | None], domains: dict[str, Domain | None], evaluation: EvaluationSettings, seed: int
) -> Iterator[tuple[Address, str]]:
    """Places and messages of draws that fail, hold too few or unfit problems, or would take hours."""
    asked: dict[str, dict[Place, list[tuple[Address, Draw]]]] = defaultdict(lambda: defaultdict(list))
    for index, stage in enumerate(stages):
        for draw in stage.draws(evaluation, domains) if stage else ():
            place = (draw.split, seed if draw.seed is None else draw.seed)
            asked[draw.domain][place].append((_address(index, draw), draw))
    for name, places in asked.items():
        if domain := domains.get(name):
            yield from _drawn(domain, places)


def _drawn(domain: Domain, places: dict[Place, list[tuple[Address, Draw]]]) -> Iterator[tuple[Address, str]]:
    start = time.monotonic()
    train_first = sorted(places.items(), key=lambda place: place[0][0] != "train")
    for number, ((split, seed), wanted) in enumerate(train_first, start=1):
        begun, until = time.monotonic(), start + BUDGET * number / len(places)
        if begun > start + BUDGET:
            return
        try:
            problems, in_time = _take(domain, split, seed, max(draw.count for _, draw in wanted), until)
        except UserError as error:
            yield ("domains", domain.name), str(error)
            return
        except Exception as error:  # a plug-in's own code may raise anything
            yield ("domains", domain.name), f"problems({split!r}, {seed}) raises {_told(error)}"
            return
        each = (time.monotonic() - begun) / max(len(problems), 1)
        for address, draw in wanted:
            if domain.may_fall_short(split) and problems and in_time:
                continue
            if message := _message(draw, len(problems), None if in_time else each):
                yield address, message
            elif problems and (message := _misfit(draw, problems[0])):
                yield address[:2], message


def _take(domain: Domain, split: Split, seed: int, most: int, until: float) -> tuple[list[Problem], bool]:
    """The first problems of a split, `most` or those drawn in time, and whether time sufficed."""
    found: list[Problem] = []
    for problem in islice(domain.problems(split, seed), most):
        found.append(problem)
        if len(found) < most and time.monotonic() > until:
            return found, False
    return found, True


def _misfit(draw: Draw, problem: Problem) -> str:
    try:
        if draw.fits:
            draw.fits(problem)
    except UserError as error:
        return str(error)
    return ""


def _message(draw: Draw, found: int, each: float | None) -> str:
    """What is wrong with a draw of which so many were found; `each` is the seconds of one where time was up."""
    count, asked = draw.count, f"{draw.count} {draw.split} problems of domain {draw.domain!r} asked for"
    if each is None and found < count:
        return (
            f"{asked}, {found} exist with these settings. "
            f"Ask for at most {found}, or widen the domain's difficulty settings."
        )
    if each is not None and each * count > LONGEST:
        return f"{asked}: drawing them would take about {each * count / 3600:,.0f} hours. Ask for fewer."
    return ""


def _address(index: int, draw: Draw) -> Address:
    keys = tuple(draw.key.split("."))
    return keys if keys[0] == "evaluation" else ("stages", index, *keys)


def _told(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}."
