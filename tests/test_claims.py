"""Claims computed from made-up runs whose right answers are known, and everything that must make a claim untestable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.synthetic_run import BASE_CURVE, Trial, base_trial, flat, pair, undo, warmup_trial, write_run
from warmup_rl.report.claims import Claim, claims, meeting
from warmup_rl.report.load import load
from warmup_rl.report.models import own_is_best


def computed(root: Path, trials: Sequence[Trial], settings: Mapping[str, object] | None = None) -> dict[str, Claim]:
    return {claim.id: claim for claim in claims(load(write_run(root, trials, claims=settings)))}


def test_transfer_is_the_paired_mean_over_domains_other_than_puzzles_with_a_t_interval(tmp_path: Path) -> None:
    claim = computed(tmp_path, pair())["transfer.recipe_prompt"]
    assert claim.values == pytest.approx({0: 0.50, 1: 0.45, 2: 0.55})
    assert claim.estimate == pytest.approx(0.50)
    # Half width: t(.975, 2) x .05 / sqrt(3).
    assert claim.interval == pytest.approx((0.50 - 0.124207, 0.50 + 0.124207), abs=1e-5)
    assert (claim.verdict, claim.where) == ("above", "mean of sums, registers, compass")


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_there_is_an_estimate_but_no_interval_and_it_says_why(tmp_path: Path, seeds: int) -> None:
    claim = computed(tmp_path, pair(seeds))["transfer.recipe_prompt"]
    assert claim.estimate == pytest.approx((0.5, 0.475)[seeds - 1])
    assert claim.interval is None and claim.verdict == "no interval"
    assert claim.no_interval == ("1 seed, 3 are needed", "2 seeds, 3 are needed")[seeds - 1]


def test_the_best_prompt_is_picked_on_validation_even_where_another_is_better_on_test(tmp_path: Path) -> None:
    prompts = {"free": (flat(0.6), flat(0.3)), "few_shot": (flat(0.5), flat(0.9))}
    trials = [warmup_trial(), replace(base_trial(), prompts=prompts)]
    assert computed(tmp_path, trials)["transfer.best_prompt"].estimate == pytest.approx(0.7 - 0.3)


def test_the_recipes_own_prompt_is_a_candidate_too(tmp_path: Path) -> None:
    trials = [warmup_trial(), replace(base_trial(start=0.4), prompts={"free": (flat(0.3), flat(0.6))})]
    assert computed(tmp_path, trials)["transfer.best_prompt"].estimate == pytest.approx(0.7 - 0.4)


def test_the_same_prompt_is_that_of_the_warmup_where_the_base_trains_under_another(tmp_path: Path) -> None:
    trials = [warmup_trial(), replace(base_trial(start=0.4), prompts={"free": (flat(0.6), flat(0.5))})]
    folder = write_run(tmp_path, trials)
    record = folder / "base" / "seed-0" / "run.json"
    record.write_text(record.read_text().replace('"style": "open"', '"style": "free"'))
    run = load(folder)
    found = {claim.id: claim for claim in claims(run)}
    assert found["transfer.recipe_prompt"].estimate == pytest.approx(0.7 - 0.4)
    assert found["transfer.best_prompt"].estimate == pytest.approx(0.7 - 0.5)
    assert own_is_best(run, "base") and not own_is_best(run, "warmup")


def test_without_other_prompts_or_control_those_comparisons_say_what_is_missing(tmp_path: Path) -> None:
    found = computed(tmp_path, pair())
    assert "prompt styles" in found["transfer.best_prompt"].untestable
    assert found["transfer.format_only"].untestable == "this run has no arm 'format_only'"


def test_the_control_is_measured_at_its_last_model_with_or_without_rlvr(tmp_path: Path) -> None:
    control = Trial("format_only", 0, flat(0.45), warmup_flops=5e6)
    assert computed(tmp_path / "sft", [*pair(1), control])["transfer.format_only"].estimate == pytest.approx(0.25)
    rewarded = Trial("format_only", 0, flat(0.2), flat(0.35), {0: 0.2, 20: 0.3})
    assert computed(tmp_path / "rlvr", [*pair(1), rewarded])["transfer.format_only"].estimate == pytest.approx(0.35)


def test_end_points_at_the_last_step_come_from_the_final_evaluations(tmp_path: Path) -> None:
    found = computed(tmp_path, pair())
    assert found["end.steps.target"].estimate == pytest.approx(0.2)
    assert found["end.steps.mean"].estimate == pytest.approx(0.2)


def test_end_points_at_a_step_fixed_before_come_from_the_curves(tmp_path: Path) -> None:
    found = computed(tmp_path, pair(), {"step": 10})
    assert found["end.steps.target"].estimate == pytest.approx(0.85 - 0.45)
    assert "which is not the step of the claim" in found["end.steps.mean"].untestable


def test_a_step_that_was_not_run_is_not_testable(tmp_path: Path) -> None:
    assert "does not reach 40" in computed(tmp_path, pair(), {"step": 40})["end.steps.target"].untestable


def test_equal_tokens_reads_both_curves_at_the_total_of_the_arm_that_generated_fewer(tmp_path: Path) -> None:
    trials = [replace(warmup_trial(), tokens=2000), base_trial()]
    # Base has generated 20,000 tokens in all; warmup is there at step 10, between .8 and .9.
    assert computed(tmp_path, trials)["end.tokens.target"].estimate == pytest.approx(0.85 - 0.7)


def test_equal_compute_charges_warmup_and_the_tokens_of_a_teacher_that_is_a_model(tmp_path: Path) -> None:
    trials = [replace(warmup_trial(), warmup_flops=15e6), base_trial()]
    # Base spends 20e6 in all; warmup has 5e6 of them left for RLVR: step 5, between .7 and .8.
    assert computed(tmp_path / "solver", trials)["end.compute.target"].estimate == pytest.approx(0.725 - 0.7)
    teacher = {"teacher": {"type": "hf", "model": "some/teacher"}}
    # 2 x 1,000 parameters x 500 tokens = 1e6 flops more: step 4.
    trials[0] = replace(trials[0], distill=teacher)
    assert computed(tmp_path / "model", trials)["end.compute.target"].estimate == pytest.approx(0.7 - 0.7)


def test_equal_compute_is_not_testable_where_warmup_alone_costs_more_than_all_of_the_base(tmp_path: Path) -> None:
    trials = [replace(warmup_trial(), warmup_flops=30e6), base_trial()]
    assert "costs less" in computed(tmp_path, trials)["end.compute.target"].untestable


def test_the_increment_compares_gains_and_needs_room_at_both_starts(tmp_path: Path) -> None:
    found = computed(tmp_path / "room", [warmup_trial(start=0.7, end=0.9), base_trial(start=0.2, end=0.7)])
    assert found["increment.target"].estimate == pytest.approx(0.2 - 0.5)
    at_limit = computed(tmp_path / "limit", [warmup_trial(start=0.92), base_trial()])
    assert not at_limit["increment.target"].untestable
    full = computed(tmp_path / "full", [warmup_trial(start=0.93), base_trial()])
    assert full["increment.target"].untestable == "a start is above .92: warmup .93, base .20"
    assert full["increment.mean"].untestable == "a start is above .92 in every domain"


def test_a_domain_without_room_is_left_out_of_the_mean_increment_by_name(tmp_path: Path) -> None:
    start = {**flat(0.7), "compass": 0.95}
    found = computed(tmp_path, [replace(warmup_trial(), start=start), base_trial()])["increment.mean"]
    assert (found.where, found.notes) == (
        "mean of sums, registers",
        ("gains are without compass: a start is above .92",),
    )
    assert found.estimate == pytest.approx(0.2 - 0.5)


def test_retention_is_the_change_on_untrained_domains_where_the_start_lies_clear_of_chance(tmp_path: Path) -> None:
    base = Trial(
        "base", 0, {"sums": 0.4, "registers": 0.4, "compass": 0.35}, {"sums": 0.8, "registers": 0.3, "compass": 0.4}
    )
    warm = Trial("warmup", 0, flat(0.7), {"sums": 0.9, "registers": 0.72, "compass": 0.66}, warmup_flops=1.0)
    found = computed(tmp_path, [base, warm])
    assert found["retention.base.trained"].estimate == pytest.approx(0.4)
    assert found["retention.base.registers"].estimate == pytest.approx(-0.1)
    # Chance on compass is .25, so a start of .35 is within 10 points of it.
    assert "within 10 points of chance (.25)" in found["retention.base.compass"].untestable
    assert found["retention.warmup.mean"].estimate == pytest.approx((0.02 - 0.04) / 2)
    assert (found["retention.difference"].where, found["retention.difference"].estimate) == (
        "registers",
        pytest.approx(0.12),
    )


def test_retention_is_not_testable_where_every_start_is_near_chance(tmp_path: Path) -> None:
    found = computed(tmp_path, [Trial("base", 0, flat(0.15), flat(0.5)), warmup_trial()])
    assert found["retention.base.mean"].untestable == "no untrained domain starts clear of chance"
    assert found["retention.difference"].untestable


def test_sample_efficiency_counts_to_the_first_measured_point_at_the_threshold(tmp_path: Path) -> None:
    found = computed(tmp_path, pair())
    assert found["efficiency.steps"].estimate == pytest.approx(16 - 4)
    assert found["efficiency.rollouts"].estimate == pytest.approx(128 * 12)
    assert found["efficiency.tokens"].estimate == pytest.approx(12_000)
    claim = found["efficiency.steps"]
    assert (claim.interval, claim.no_interval) == (None, "the same in all 3 seeds"), "measured every 4 steps only"


def test_a_run_that_never_reaches_the_threshold_is_censored_and_kept(tmp_path: Path) -> None:
    trials = pair()
    trials[3] = replace(trials[3], curve={**BASE_CURVE, 16: 0.5, 20: 0.55})
    claim = computed(tmp_path, trials)["efficiency.steps"]
    assert claim.values == {0: 16, 1: 12, 2: 12}
    assert claim.left.censored == (0,)
    assert (claim.bound, claim.interval) == ("at least", None)
    assert claim.no_interval.startswith("censored")


def test_censored_on_both_sides_leaves_the_difference_open(tmp_path: Path) -> None:
    claim = computed(tmp_path, pair(), {"threshold": 0.95})["efficiency.steps"]
    assert (claim.bound, claim.estimate, claim.interval) == ("open", None, None)


def test_a_threshold_that_the_base_has_reached_at_its_start_is_not_testable(tmp_path: Path) -> None:
    claim = computed(tmp_path, pair(), {"threshold": 0.2})["efficiency.steps"]
    assert claim.untestable.startswith("the threshold is not above the start: base starts at .20 in seed 0")


def test_a_warmup_that_starts_above_the_threshold_counts_as_no_step(tmp_path: Path) -> None:
    for unit, spent in {"steps": 12.0, "rollouts": 128 * 12.0, "tokens": 1000 * 12.0}.items():
        claim = computed(tmp_path / unit, pair(), {"threshold": 0.5})[f"efficiency.{unit}"]
        assert claim.values == dict.fromkeys((0, 1, 2), spent) and set(claim.right.values.values()) == {0}
        assert claim.notes[0].startswith(
            "above the threshold from the start, so nothing is needed: warmup starts at .50 in seed 0"
        )


@pytest.mark.parametrize(
    ("base", "step"),
    [
        ({0: 0.2, 4: 0.69, 8: 0.6, 12: 0.89, 16: 0.88, 20: 0.95}, 12),
        ({0: 0.2, 4: 0.3, 8: 0.4, 12: 0.5, 16: 0.6, 20: 0.7}, None),
        ({0: 0.5, 4: 0.7, 8: 0.8, 12: 0.9, 16: 0.9, 20: 0.9}, None),
        ({0: 0.2, 4: 0.69, 8: 0.6, 12: 0.8, 16: 0.8, 20: 0.95}, None),
        ({0: 0.2, 4: 0.3, 8: 0.8, 12: 0.87, 16: 0.89, 20: 0.9}, 8),
    ],
    ids=[
        "level from 12 on, a touch at 4 does not count",
        "never",
        "level from the start",
        "at the last step only",
        "level from 8 on, a dip at 12 counts with the others",
    ],
)
def test_the_arms_meet_where_base_stays_level_for_good(
    tmp_path: Path, base: dict[int, float], step: int | None
) -> None:
    run = load(write_run(tmp_path, [warmup_trial(), replace(base_trial(), curve=base)]))
    assert meeting(run).step == step
    assert bool(meeting(run).why) == (step is None)


def test_an_arm_that_was_not_run_makes_claims_untestable_and_says_so(tmp_path: Path) -> None:
    found = computed(tmp_path, [base_trial()])
    assert found["transfer.recipe_prompt"].untestable == "this run has no arm 'warmup'"
    assert found["end.steps.target"].untestable == "this run has no arm 'warmup'"
    assert not found["retention.base.trained"].untestable


def test_a_seed_that_is_not_finished_is_left_out_by_name(tmp_path: Path) -> None:
    trials = [*pair(2), base_trial(2), Trial("warmup", 2, flat(0.8), state="running")]
    folder = write_run(tmp_path, trials)
    undo(folder, "ev-pre2")
    found = {claim.id: claim for claim in claims(load(folder))}
    claim = found["transfer.recipe_prompt"]
    assert sorted(claim.values) == [0, 1]
    assert any(note.startswith("seed 2 left out") for note in claim.notes)


def test_a_claim_that_is_false_comes_out_negative(tmp_path: Path) -> None:
    trials = [trial for seed in range(3) for trial in (warmup_trial(seed, 0.3 - 0.01 * seed), base_trial(seed, 0.5))]
    claim = computed(tmp_path, trials)["transfer.recipe_prompt"]
    assert claim.verdict == "below"
    assert claim.estimate == pytest.approx(-0.21)


def test_without_any_finished_rlvr_only_transfer_is_testable(tmp_path: Path) -> None:
    found = computed(tmp_path, [Trial("base", 0, flat(0.2)), Trial("warmup", 0, flat(0.6), warmup_flops=1.0)])
    assert found["transfer.recipe_prompt"].estimate == pytest.approx(0.4)
    assert {found[name].untestable for name in ("end", "retention", "efficiency")} == {"no RLVR stage is done"}
