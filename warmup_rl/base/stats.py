"""The statistics of all reported numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean as mean

LEVEL, POWER = 0.95, 0.8
"""Of all intervals, and of what is said to be detectable."""
MIN_SEEDS = 3
"""With fewer seeds there is no t-interval."""
MIN_SEEDS_P = 6
"""With fewer seeds no p-value is given: even if all have the same sign, chance does that in over 1 of 20 runs."""

_DRAWS, _DISCORDANT = 2000, 0.3


@dataclass(frozen=True, slots=True)
class Reached:
    """The first point of a curve at or above a threshold: its index (None if there is none: censored) and its x (if
    censored, the last measured x, a lower bound)."""

    index: int | None
    x: float

    @property
    def censored(self) -> bool:
        return self.index is None


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's t-interval of the mean (of a paired difference, given differences). None below 3 values."""
    if len(values) < MIN_SEEDS:
        return None
    from scipy.special import stdtrit

    centre = mean(values)
    half = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * standard_error(values)
    return centre - half, centre + half


def t_test(values: Sequence[float]) -> float | None:
    """Two-sided p-value of Student's t-test that the mean is 0. None below 6 values, and where all are equal."""
    spread = _deviation(values)
    if len(values) < MIN_SEEDS_P or not spread:
        return None
    from scipy.special import stdtr

    return float(2 * stdtr(len(values) - 1, -abs(mean(values)) * math.sqrt(len(values)) / spread))


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction of a family of p-values; a test without one is no member of the family."""
    ranked = sorted((value, place) for place, value in enumerate(values) if value is not None)
    found: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (value, place) in enumerate(ranked):
        highest = max(highest, min(1.0, value * (len(ranked) - rank)))
        found[place] = highest
    return found


def detectable(values: Sequence[float]) -> float:
    """The smallest mean that so many values with their spread tell from 0; two values at least."""
    from scipy.special import stdtrit

    count = len(values)
    factor = float(stdtrit(count - 1, (1 + LEVEL) / 2) + stdtrit(count - 1, POWER))
    return factor * _deviation(values) / math.sqrt(count)


def standard_error(values: Sequence[float]) -> float:
    """Of the mean; 0 for a single value."""
    return _deviation(values) / math.sqrt(len(values))


def bootstrap(values: Sequence[float], name: str) -> tuple[float, float]:
    """Percentile interval of the mean over items drawn again (the draws are seeded with `name`); for the problems of
    given models, never for seeds."""
    import numpy as np

    generator = np.random.default_rng(list(name.encode()))
    items = np.asarray(values, dtype=float)
    means = items[generator.integers(len(items), size=(_DRAWS, len(items)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def difference_error(*measured: tuple[float, int]) -> float:
    """Standard error of the difference of two shares, each given with its number of independent items; at least what
    one of the last ones makes."""
    return max(math.sqrt(math.fsum(share * (1 - share) / items for share, items in measured)), 1 / measured[-1][1])


def _deviation(values: Sequence[float]) -> float:
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / max(1, len(values) - 1))


def wilson(share: float, trials: int) -> tuple[float, float]:
    """Wilson score interval of one proportion: `share` of `trials` independent items. Raises ValueError for no trials,
    or a share outside [0, 1]."""
    if trials < 1 or not 0 <= share <= 1:
        raise ValueError(f"share {share} of {trials} trials")
    from scipy.special import ndtri

    z = float(ndtri((1 + LEVEL) / 2))
    scale = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def interpolate(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """Linear interpolation at `x`; `xs` must not decrease. Raises ValueError for `x` outside the measured range."""
    if not xs or len(xs) != len(ys) or not xs[0] <= x <= xs[-1]:
        raise ValueError(f"{x} is outside the measured range {list(xs[:1])}..{list(xs[-1:])}")
    import numpy as np

    return float(np.interp(x, xs, ys))


def first_reached(xs: Sequence[float], ys: Sequence[float], threshold: float) -> Reached:
    """The first measured point at or above the threshold, or censored at the last. Raises ValueError for no points."""
    if not xs or len(xs) != len(ys):
        raise ValueError("a curve needs as many values as points, and at least one")
    index = next((index for index, y in enumerate(ys) if y >= threshold), None)
    return Reached(index, xs[-1 if index is None else index])


def resolvable(problems: int) -> float:
    """The smallest difference in accuracy between two models that can be detected with so many problems, answered once.

    Normal approximation of the paired comparison (McNemar): if only one of the models is right on the share
    `_DISCORDANT` of the problems, the difference has a standard error of sqrt(_DISCORDANT / problems).
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + LEVEL) / 2) + ndtri(POWER))
    return min(1.0, z * math.sqrt(_DISCORDANT / problems))
