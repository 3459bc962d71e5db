"""The report as a reader meets it: files, first line, words that follow the data, partial and broken runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic_run import Trial, base_trial, flat, pair, undo, warmup_trial, write_run
from warmup_rl.base.errors import DataError, RunError
from warmup_rl.base.jsonl import write_json
from warmup_rl.report.load import load
from warmup_rl.report.main import report
from warmup_rl.report.measures import gains, split_gain

completions = st.lists(
    st.tuples(
        *[st.tuples(st.sampled_from(["correct", "wrong", "none", "timeout"]), st.booleans()) for _ in ("old", "new")]
    ),
    min_size=1,
    max_size=60,
)


def rows(column: list[tuple[str, bool]]) -> dict[tuple[str, int], dict[str, object]]:
    return {(str(n), 0): {"verdict": verdict, "truncated": cut} for n, (verdict, cut) in enumerate(column)}


def text_of(root: Path, trials: list[Trial], **settings: object) -> str:
    return report(write_run(root, trials, claims=settings)).read_text(encoding="utf-8")


@given(completions)
def test_the_parts_of_a_gain_add_up_and_turn_their_sign_when_models_are_swapped(pairs: list) -> None:
    old, new = (rows([pair[side] for pair in pairs]) for side in (0, 1))
    forth, back = split_gain(old, new), split_gain(new, old)
    correct = [sum(row["verdict"] == "correct" for row in side.values()) for side in (old, new)]
    assert forth.format + forth.truncation + forth.rest == forth.total == correct[1] - correct[0]
    assert (forth.format, forth.truncation, forth.rest) == (-back.format, -back.truncation, -back.rest)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (("none", True), ("correct", False), (0, 1, 0)),
        (("wrong", True), ("correct", False), (0, 1, 0)),
        (("none", False), ("correct", False), (1, 0, 0)),
        (("wrong", False), ("correct", False), (0, 0, 1)),
        (("timeout", False), ("correct", False), (0, 0, 1)),
        (("correct", False), ("none", False), (-1, 0, 0)),
        (("correct", False), ("none", True), (0, -1, 0)),
        (("correct", True), ("correct", False), (0, 0, 0)),
        (("wrong", False), ("none", True), (0, 0, 0)),
    ],
    ids=[
        "cut off",
        "cut off with a guess",
        "no answer",
        "wrong",
        "timeout",
        "loses form",
        "now cut off",
        "stays",
        "never",
    ],
)
def test_a_transition_counts_for_what_the_failing_completion_shows(old: tuple, new: tuple, parts: tuple) -> None:
    split = split_gain(rows([old]), rows([new]))
    assert (split.format, split.truncation, split.rest) == parts


def test_models_measured_on_different_problems_are_not_compared() -> None:
    with pytest.raises(DataError, match="different problems"):
        split_gain(rows([("wrong", False)]), rows([("wrong", False)] * 2))


@pytest.mark.parametrize("failing", ["format", "truncation", "rest"])
def test_gains_of_a_run_are_split_by_how_its_base_failed(tmp_path: Path, failing: str) -> None:
    look = {"format": "none", "truncation": "truncated", "rest": "wrong"}[failing]
    run = load(write_run(tmp_path, [warmup_trial(), replace(base_trial(), failing=look)]))
    gain = next(gain for gain in gains(run) if (gain.name, gain.domain) == ("warmup - base", "sums"))
    assert gain.total == pytest.approx(0.5) == getattr(gain, failing)


def test_a_run_gives_markdown_json_and_pictures_and_can_be_reported_again(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(), samplings=("greedy", "sampled"))
    first = report(folder).read_text(encoding="utf-8")
    assert report(folder).read_text(encoding="utf-8") == first
    names = {path.name for path in (folder / "report").iterdir()}
    assert names == {"report.md", "summary.json", "accuracy.png", "curve.png", "people.png", "tokens.png"}
    assert first.startswith("# made-up\n")
    assert "| base | .25 [.25, .25] | .25 [.13, .37] |" in first
    assert "sums (chance .10)" in first and "mean without kk" in first
    assert "## Accuracy, sampled, lenient" in first
    assert "| 2 people | 3 people |" in first
    assert "in the setting `latent`. Nano is a controlled miniature" in first
    summary = json.loads((folder / "report" / "summary.json").read_text(encoding="utf-8"))
    lift = next(claim for claim in summary["claims"] if claim["id"] == "transfer.recipe_prompt")
    assert lift["estimate"] == pytest.approx(0.5) and lift["seeds"] == [0, 1, 2]


def test_the_first_line_says_it_where_a_better_prompt_does_as_well_as_warmup(tmp_path: Path) -> None:
    base = replace(base_trial(), prompts={"few_shot": (flat(0.8), flat(0.8))})
    text = text_of(tmp_path, [warmup_trial(), base])
    assert text.splitlines()[0].startswith(
        "**Warmup does not beat the base with its best prompt here (the prompt style"
    )
    assert "does best on validation problems: few-shot): -10.0 points" in text.splitlines()[0]
    assert "base, best prompt (picked on validation: few-shot)" in text


def test_a_best_prompt_that_is_the_recipes_own_gets_no_second_row(tmp_path: Path) -> None:
    text = text_of(tmp_path, [warmup_trial(), replace(base_trial(), prompts={"few_shot": (flat(0.1), flat(0.9))})])
    assert "| base, best prompt" not in text and "| base, few-shot |" in text
    assert "picked on validation problems: think tag open, the recipe's own." in text
    assert "the base under the same prompt, which is its best (+50.0 points" in text


@pytest.mark.parametrize(("failing", "format", "cut"), [("none", "-30.0", "+0.0"), ("truncated", "+0.0", "-30.0")])
def test_a_loss_of_form_is_named_as_such_at_the_top(tmp_path: Path, failing: str, format: str, cut: str) -> None:
    base = replace(base_trial(start=0.6), prompts={"few_shot": (flat(0.1), flat(0.1))})
    broken = replace(warmup_trial(start=0.3), failing=failing)
    top = text_of(tmp_path / "form", [broken, base]).splitlines()[0]
    assert f"-30.0 of -30.0 points are form, not reasoning: {format} no answer can be found, {cut} cut off" in top
    wrong = text_of(tmp_path / "wrong", [warmup_trial(start=0.3), base])
    assert "are form, not reasoning" not in wrong and "-30.0 the answers themselves" in wrong


def test_a_run_on_puzzles_alone_says_in_whole_sentences_what_it_cannot_test(tmp_path: Path) -> None:
    trials = [Trial("warmup", 0, {"kk": 0.9}, warmup_flops=1.0), Trial("base", 0, {"kk": 0.2})]
    text = text_of(tmp_path, trials)
    assert "- **Transfer.** This is not testable here (no domain other than Knights & Knaves was measured)." in text
    assert "mean of ," not in text and "the mean of  " not in text


def test_what_was_set_up_stands_in_one_line(tmp_path: Path) -> None:
    text = text_of(tmp_path, pair())
    line = next(line for line in text.splitlines() if line.startswith("Set-up: "))
    assert "model of 1,000 parameters; warmup on 450 traces (8 epochs)" in line
    assert "RLVR on 100 sums problems, 20 steps of 16 prompts x 8 generations of at most 128 tokens" in line
    assert "held-out curve on 100 problems; evaluation on 100 problems in each of 4 domains" in line
    assert line.endswith("answers of at most 512 tokens; 3 seeds.")


def test_compute_that_cannot_be_made_equal_is_a_sentence_of_its_own(tmp_path: Path) -> None:
    text = text_of(tmp_path, [replace(warmup_trial(), warmup_flops=30e6), base_trial()])
    why = "all of base's RLVR (2e+07 flops) costs less than the warmup (3e+07)"
    assert f". At equal compute with warmup charged: not testable, because {why}." in text


def test_seeds_censored_on_both_sides_are_called_so(tmp_path: Path) -> None:
    assert "| censored, censored, censored |" in text_of(tmp_path, pair(), threshold=0.95)


def test_words_follow_the_data(tmp_path: Path) -> None:
    ahead = text_of(tmp_path / "ahead", pair())
    assert "ahead of the base under the same prompt (+50.0 points [37.6, 62.4])" in ahead
    assert "RLVR itself gains less after warmup than from base" in ahead
    losing = [trial for s in range(3) for trial in (warmup_trial(s, 0.3 - s / 100), base_trial(s, 0.5))]
    assert "behind the base under the same prompt (-21.0 points [" in text_of(tmp_path / "behind", losing)
    mixed = [trial for s in range(3) for trial in (warmup_trial(s, (0.4, 0.6, 0.5)[s]), base_trial(s, 0.49))]
    assert "not distinguishable from the base under the same prompt (+1.0 points [" in text_of(tmp_path / "open", mixed)


def test_one_seed_says_that_there_is_no_interval(tmp_path: Path) -> None:
    text = text_of(tmp_path, pair(1))
    assert "(+50.0 points, 1 seed)" in text
    assert "1 seed. Differences are in points. No interval over seeds is given below 3" in text
    assert "Wilson over the problems of one seed; it says nothing about other seeds" in text


def test_a_partial_run_is_reported_as_such(tmp_path: Path) -> None:
    unfinished = Trial("warmup", 1, flat(0.8), warmup_flops=1.0, state="failed")
    text = report(write_run(tmp_path, [*pair(1), unfinished], seeds=[0, 1])).read_text(encoding="utf-8")
    assert "Not finished, so the numbers below are not final:" in text
    assert "- base, seed 1: not started" in text
    assert "- warmup, seed 1: failed, 3 stages done" in text


def test_a_run_of_which_nothing_is_measured_yet_is_reported_without_numbers(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Trial("base", 0, flat(0.2), state="running")])
    undo(folder, "ev-pre0")
    text = report(folder).read_text(encoding="utf-8")
    assert "- base, seed 0: running, 1 stage done" in text
    assert "not testable here (this run has no arm 'warmup')" in text


def test_labels_are_counted_once_by_domain_arm_and_use(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [*pair(2)])
    cache = folder.parent / "cache"
    for arm in ("warmup", "base"):
        for seed in (0, 1):
            ids = [f"p{number}" for number in range(10 + 5 * seed)]
            touched = {"training": {"sums": ids}, "curve": {"sums": ["t1", "t2"]}}
            write_json(cache / f"rlvr-rlvr-{arm}{seed}" / "problems.json", touched)
            last = cache / f"evaluate-ev-rlvr-{arm}{seed}" / "problems.json"
            write_json(last, {"measurement": {"sums": ["t1", "t2", "t3"], "kk": ["k1"] if arm == "base" else []}})
    text = report(folder).read_text(encoding="utf-8")
    assert "| domain | arm | training | held-out curve | measurement | in all |" in text
    assert "| sums | warmup, base | 10-15 | 2 | 3 | 13-18 |" in text and "| kk | base | – | – | 1 | 1 |" in text
    summary = json.loads((folder / "report" / "summary.json").read_text(encoding="utf-8"))
    mine = next(one for one in summary["labels"] if (one["arm"], one["domain"]) == ("warmup", "sums"))
    assert mine["uses"]["training"] == {"0": 10, "1": 15} and mine["in_all"] == {"0": 13, "1": 18}


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        report(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("stage.json", "{", "stage.json: not JSON"),
        ("stage.json", '{"type": "rlvr", "key": "k", "inputs": {}}', "stage.json: 'summary' is missing"),
        ("curve.jsonl", '{"step": 0, "domain": "sums"}', "curve.jsonl: .*lenient"),
        ("curve.jsonl", "nonsense", "curve.jsonl:1: not JSON"),
    ],
    ids=["torn record", "record without summary", "curve without accuracy", "curve is no JSON"],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    folder = write_run(tmp_path, pair(1))
    (folder.parent / "cache" / "rlvr-rlvr-base0" / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        report(folder)
