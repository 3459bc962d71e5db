"""Statistics against known values and the properties that make them trustworthy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmup_rl.base.stats import (
    bootstrap,
    detectable,
    first_reached,
    holm,
    interpolate,
    mean,
    t_interval,
    t_test,
    wilson,
)

shares = st.floats(0, 1)
values = st.lists(st.floats(-1, 1), min_size=3, max_size=12)


def test_t_interval_matches_the_table() -> None:
    # Mean 2, standard deviation 1, n = 3: half width t(.975, 2) / sqrt(3) = 4.30265 / 1.73205.
    interval = t_interval([1.0, 2.0, 3.0])
    assert interval == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)


@pytest.mark.parametrize("few", [[], [0.4], [0.4, 0.5]], ids=["none", "one", "two"])
def test_below_three_seeds_there_is_no_interval(few: list[float]) -> None:
    assert t_interval(few) is None


@given(values, st.floats(-5, 5))
def test_t_interval_holds_the_mean_and_moves_with_the_values(numbers: list[float], shift: float) -> None:
    low, high = t_interval(numbers) or (1.0, 0.0)
    moved = t_interval([number + shift for number in numbers])
    assert low <= mean(numbers) <= high
    assert moved == pytest.approx((low + shift, high + shift), abs=1e-9)


@pytest.mark.parametrize(
    ("share", "trials", "low", "high"),
    [(0.5, 100, 0.40383, 0.59617), (0.0, 10, 0.0, 0.27753), (1.0, 10, 0.72247, 1.0), (0.9, 10, 0.59585, 0.98212)],
    ids=["half", "none right", "all right", "nine of ten"],
)
def test_wilson_matches_published_values(share: float, trials: int, low: float, high: float) -> None:
    assert wilson(share, trials) == pytest.approx((low, high), abs=1e-4)


@given(shares, st.integers(1, 10_000))
def test_wilson_stays_between_zero_and_one_around_the_share(share: float, trials: int) -> None:
    low, high = wilson(share, trials)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


@pytest.mark.parametrize(("share", "trials"), [(0.5, 0), (1.2, 10), (-0.1, 10)])
def test_wilson_refuses_what_is_no_proportion(share: float, trials: int) -> None:
    with pytest.raises(ValueError):
        wilson(share, trials)


@pytest.mark.parametrize(
    ("x", "y"), [(0, 0.2), (5, 0.4), (10, 0.6), (15, 0.7), (20, 0.8)], ids=["first", "between", "knot", "later", "last"]
)
def test_interpolation_is_linear_between_points(x: float, y: float) -> None:
    assert interpolate([0, 10, 20], [0.2, 0.6, 0.8], x) == pytest.approx(y)


def test_interpolation_never_extrapolates_and_takes_the_later_of_two_equal_points() -> None:
    for outside in (-1, 21):
        with pytest.raises(ValueError, match="outside"):
            interpolate([0, 10, 20], [0.2, 0.6, 0.8], outside)
    assert interpolate([0, 10, 10, 20], [0.0, 0.4, 0.5, 0.9], 10) == pytest.approx(0.5)


def test_first_point_at_or_above_the_threshold_counts_and_never_is_censored_at_the_last() -> None:
    steps, curve = [0, 4, 8, 12], [0.2, 0.5, 0.4, 0.7]
    assert first_reached(steps, curve, 0.5).x == 4
    never = first_reached(steps, curve, 0.71)
    assert never.censored and never.x == 12
    with pytest.raises(ValueError):
        first_reached([], [], 0.5)


@given(st.lists(shares, min_size=1, max_size=20), shares)
def test_every_point_before_the_reached_one_lies_below(curve: list[float], threshold: float) -> None:
    reached = first_reached(list(range(len(curve))), curve, threshold)
    before = curve if reached.index is None else curve[: reached.index]
    assert all(value < threshold for value in before)


def test_mean_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError):
        mean([])


def test_a_p_value_agrees_with_the_interval_and_needs_six_seeds() -> None:
    from scipy.stats import ttest_1samp

    numbers = [0.1, 0.3, -0.1, 0.2, 0.25, 0.05]
    assert t_test(numbers) == pytest.approx(float(ttest_1samp(numbers, 0).pvalue))
    assert t_test(numbers[:5]) is None and t_test([0.1] * 8) is None


def test_holm_corrects_the_smallest_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, None, 0.03]) == [pytest.approx(0.03), pytest.approx(0.06), None, pytest.approx(0.06)]
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == []


def test_a_difference_that_is_called_detectable_is_found_four_times_in_five() -> None:
    import random

    rng = random.Random(0)
    half = detectable([-1.0, 1.0] * 4)  # standard deviation 1.069
    found = 0
    for _ in range(2000):
        low, _ = t_interval([rng.gauss(half, 1.069) for _ in range(8)]) or (0.0, 0.0)
        found += low > 0
    assert 0.74 < found / 2000 < 0.86


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=2, max_size=30))
def test_a_bootstrap_interval_lies_within_the_values_and_comes_out_the_same_again(numbers: list[float]) -> None:
    low, high = bootstrap(numbers, "some")
    assert min(numbers) <= low <= high <= max(numbers) and bootstrap(numbers, "some") == (low, high)


def test_a_bootstrap_interval_is_as_wide_as_the_normal_one() -> None:
    low, high = bootstrap([1.0, 0.0] * 200, "wide")
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.006)
