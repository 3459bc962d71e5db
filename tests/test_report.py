"""The report as a reader meets it: files, first line, words that follow the data, partial and broken runs."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot
from pydantic import TypeAdapter

from tests.synthetic_run import Trial, base_trial, edit_json, flat, pair, undo, warmup_trial, write_run
from warmup_rl.base.errors import DataError, RunError
from warmup_rl.base.jsonl import read_jsonl, write_json, write_jsonl
from warmup_rl.report.claims import Claim, Side
from warmup_rl.report.findings import compute
from warmup_rl.report.load import load
from warmup_rl.report.main import report
from warmup_rl.report.measures import gains, split_gain
from warmup_rl.report.plots import curves
from warmup_rl.report.summary import Summary
from warmup_rl.report.tables import brief
from warmup_rl.run.provenance import claims_digest

DRAWN = {"accuracy", "curve", "people", "problems", "retention", "tokens"}


@pytest.fixture(autouse=True)
def sketched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are laid out and not rendered, which takes most of a report's time, but for tests that want their files."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, path, **options: None)


@pytest.fixture
def drawn() -> None:
    """Asks for rendered plots."""


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
    assert forth["format"] + forth["truncation"] + forth["rest"] == forth["total"] == correct[1] - correct[0]
    assert forth == {part: -count for part, count in back.items()}


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
    assert (split["format"], split["truncation"], split["rest"]) == parts


def test_models_measured_on_different_problems_are_not_compared() -> None:
    with pytest.raises(DataError, match="different problems"):
        split_gain(rows([("wrong", False)]), rows([("wrong", False)] * 2))


@pytest.mark.parametrize("failing", ["format", "truncation", "rest"])
def test_gains_of_a_run_are_split_by_how_its_base_failed(tmp_path: Path, failing: str) -> None:
    look = {"format": "none", "truncation": "truncated", "rest": "wrong"}[failing]
    run = load(write_run(tmp_path, [warmup_trial(), replace(base_trial(), failing=look)]))
    gain = next(gain for gain in gains(run) if (gain.name, gain.domain) == ("warmup - base", "sums"))
    assert gain.total == pytest.approx(0.5) == getattr(gain, failing)


def test_a_run_gives_pages_json_and_pictures_and_can_be_reported_again(tmp_path: Path, drawn: None) -> None:
    folder = write_run(tmp_path, pair(), samplings=("greedy", "sampled"))
    first = report(folder).read_text(encoding="utf-8")
    assert report(folder).read_text(encoding="utf-8") == first
    names = {path.name for path in (folder / "report").iterdir()}
    pictures = {f"{name}.{kind}" for name in DRAWN for kind in ("png", "svg")}
    assert names == {"report.html", "report.md", "summary.json", "summary.schema.json", "tables.tex", *pictures}
    top = (
        "**Warmup helps here: +50.0 points [37.6, 62.4] against the base under the same prompt (mean of sums, registers"
    )
    assert first.startswith(top) and "\n# made-up\n" in first
    assert "| base | .25 [.25, .25] | .25 [.13, .37] |" in first
    assert "sums (chance .10)" in first and "mean without kk" in first
    assert "## Accuracy, sampled, lenient" in first
    assert "| 2 people | 3 people |" in first
    assert "in the setting `latent`. Nano is a controlled miniature" in first
    summary = json.loads((folder / "report" / "summary.json").read_text(encoding="utf-8"))
    lift = next(claim for claim in summary["claims"] if claim["id"] == "transfer.recipe_prompt")
    assert lift["estimate"] == pytest.approx(0.5) and lift["seeds"] == [0, 1, 2]
    TypeAdapter(Summary).validate_python(summary)
    described = json.loads((folder / "report" / "summary.schema.json").read_text(encoding="utf-8"))
    assert described["properties"].keys() == summary.keys() == set(described["required"])


def test_the_first_line_says_it_where_a_better_prompt_does_as_well_as_warmup(tmp_path: Path) -> None:
    base = replace(base_trial(), prompts={"few_shot": (flat(0.8), flat(0.8))})
    text = text_of(tmp_path, [warmup_trial(), base])
    assert text.splitlines()[0].startswith(
        "**Warmup is behind the base with its best prompt here, too few seeds to tell (the prompt style"
    )
    assert "does best on validation problems: few-shot): -10.0 points" in text.splitlines()[0]
    assert "base, best prompt (picked on validation: few-shot)" in text


@pytest.mark.parametrize(
    ("losses", "verb"), [((0.1, 0.12, 0.11), "does not beat"), ((0.1, -0.2, 0.12), "is not shown to beat")]
)
def test_the_first_line_of_a_loss_is_as_sure_as_its_interval(
    tmp_path: Path, losses: tuple[float, ...], verb: str
) -> None:
    base = [
        replace(base_trial(n), prompts={"few_shot": (flat(0.8), flat(0.7 + loss))}) for n, loss in enumerate(losses)
    ]
    text = text_of(tmp_path, [*map(warmup_trial, range(3)), *base])
    assert text.startswith(f"**Warmup {verb} the base with its best prompt here (")


def test_a_best_prompt_that_is_the_recipes_own_gets_no_second_row(tmp_path: Path) -> None:
    text = text_of(tmp_path, [warmup_trial(), replace(base_trial(), prompts={"few_shot": (flat(0.1), flat(0.9))})])
    assert "| base, best prompt" not in text and "| base, few-shot |" in text
    assert "picked on validation problems: think tag open, the arm's own." in text
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
    line = next(line for line in text.splitlines() if line.startswith("Set-up. "))
    assert "Set-up. Model: 1,000 parameters; warmup: 450 examples, 8 epochs" in line
    assert "RLVR on sums: 100 problems, 20 steps, 16 prompts per step, 8 generations, 128 max tokens" in line
    assert "held-out curve: 100 problems; evaluation: 100 problems in each of 4 domains" in line
    assert line.endswith("at most 512 tokens per answer; seeds: 0, 1, 2.")


def test_compute_that_cannot_be_made_equal_is_named_with_the_reason(tmp_path: Path) -> None:
    text = text_of(tmp_path, [replace(warmup_trial(), warmup_flops=30e6), base_trial()])
    why = "all of base's RLVR (2e+07 flops) costs less than the warmup (3e+07)"
    assert f"Not testable here: at equal compute, warmup included ({why})." in text


def test_seeds_censored_on_both_sides_are_called_so(tmp_path: Path) -> None:
    assert "| censored, censored, censored |" in text_of(tmp_path, pair(), threshold=0.95)
    text = text_of(tmp_path / "above", pair(), threshold=0.5)
    assert "To reach .50 on sums, warmup needs no step, since it starts above, and base needs 12.0 steps; saved" in text


def test_words_follow_the_data(tmp_path: Path) -> None:
    ahead = text_of(tmp_path / "ahead", pair())
    assert "ahead of the base under the same prompt (+50.0 points [37.6, 62.4])" in ahead
    assert "RLVR itself gains less after warmup than from base" in ahead
    same = [warmup_trial(start=0.4, end=0.65), base_trial(start=0.25, end=0.5)]
    assert "RLVR itself gains as much after warmup as from base" in text_of(tmp_path / "same", same)
    few = [warmup_trial(start=0.4, end=0.69), base_trial(start=0.25, end=0.5)]
    assert "RLVR itself gains more after warmup than from base on sums (+4.0" in text_of(tmp_path / "few", few)
    losing = [trial for s in range(3) for trial in (warmup_trial(s, 0.3 - s / 100), base_trial(s, 0.5))]
    assert "behind the base under the same prompt (-21.0 points [" in text_of(tmp_path / "behind", losing)
    mixed = [trial for s in range(3) for trial in (warmup_trial(s, (0.4, 0.6, 0.5)[s]), base_trial(s, 0.49))]
    assert "not distinguishable from the base under the same prompt (+1.0 points [" in text_of(tmp_path / "open", mixed)


def test_one_seed_says_that_there_is_no_interval(tmp_path: Path) -> None:
    text = text_of(tmp_path, pair(1))
    assert "(+50.0 points in 1 seed, too few to tell)" in text
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
    (folder / "base" / "seed-0" / ".lock.pid").write_text(f"{2**30} on {socket.gethostname()}", encoding="utf-8")
    assert "- base, seed 0: killed, 1 stage done" in report(folder).read_text(encoding="utf-8")
    assert "The recipe has one arm, base, so there is nothing to compare." in text


def test_a_run_of_one_arm_shows_its_figures_and_speaks_of_no_other(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Trial("main", 0, flat(0.2), prompts={"plain": (flat(0.4), flat(0.3))})])
    text = report(folder).read_text(encoding="utf-8")
    assert "The recipe has one arm, main, so there is nothing to compare." in text
    assert "| main | .20" in text and "| main, tags not mentioned | .30" in text
    assert "not testable" not in text and "Ablation" not in text and "Thin evidence" not in text


def test_an_evaluation_under_named_prompts_alone_speaks_of_no_other_prompt(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Trial("main", 0, {}, prompts={"plain": (flat(0.4), flat(0.3))})])
    text = report(folder).read_text(encoding="utf-8")
    assert "| main, tags not mentioned | .30" in text and "| main |" not in text
    assert "Prompt style" not in text and "think tag open" not in text


def test_a_report_shows_a_problem_of_each_domain_as_it_was_asked(tmp_path: Path) -> None:
    text = text_of(tmp_path, pair(1))
    asked = text.partition("## What the model is asked")[2].partition("## How")[0]
    assert all(f"    {domain} 0 ?" in asked for domain in ("kk", "sums", "registers", "compass"))
    assert "graded correct, reference answer `7`" in asked


def test_claims_are_printed_as_registered_beside_what_is_reported(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    fixed = load(folder).claims.model_dump(mode="json")
    record = {"utc": "2026-11-01T10:00:00+00:00", "revision": "abc", "claims": fixed, "seeds": [0]}
    edit_json(folder / "run.json", registered={**record, "sha256": claims_digest(fixed)})
    text = report(folder).read_text(encoding="utf-8")
    assert "Registered before the first stage ran, 2026-11-01T10:00:00+00:00, revision abc, SHA-256 " in text
    assert "warmup arm warmup, base arm base, threshold 0.6, seeds 0. Reported as registered." in text
    assert "does not match" not in text and "Not as registered" not in text
    edit_json(folder / "run.json", registered={**record, "claims": {**fixed, "threshold": 0.9}, "sha256": "0" * 64})
    text = report(folder).read_text(encoding="utf-8")
    deviations = "threshold 0.9 → 0.6; the record does not match its SHA-256."
    assert f"Deviations: {deviations}" in text and f"> **Warning.** Not as registered: {deviations}" in text
    edit_json(folder / "run.json", registered={**record, "seeds": [1, 2], "sha256": claims_digest(fixed)})
    text = report(folder).read_text(encoding="utf-8")
    assert "seeds that were not planned: 0; planned seeds without a trial: 1, 2." in text


@pytest.mark.parametrize(("start", "place"), [(0.3, "behind"), (0.4, "level"), (0.5, "ahead")])
def test_the_first_line_of_a_single_seed_says_where_warmup_is(tmp_path: Path, start: float, place: str) -> None:
    text = text_of(tmp_path, [warmup_trial(start=start), base_trial(start=0.4)])
    assert text.startswith(f"**Warmup is {place} here, too few seeds to tell: {100 * (start - 0.4):+.1f} points (no ")


def test_a_caption_names_the_seeds_that_each_row_has(tmp_path: Path) -> None:
    text = report(write_run(tmp_path, [*pair(2), base_trial(2)])).read_text(encoding="utf-8")
    rows = "Mean over 3 seeds (0, 1, 2): base; base + RLVR. Mean over 2 seeds (0, 1): warmup; warmup + RLVR."
    assert text.count(rows) > 1 and f"\n\n{rows} 95% interval: " in text
    assert "Mean over 3 seeds (0, 1, 2). 95% interval: " in report(write_run(tmp_path / "all", pair())).read_text()


def test_an_arm_alone_has_no_seed_with_both_arms_and_no_spread_has_no_power(tmp_path: Path) -> None:
    alone = write_run(tmp_path / "one", pair())
    shutil.rmtree(alone / "base")
    assert "0 seeds with both arms: 3 are needed" in report(alone).read_text(encoding="utf-8")
    equal = [one for seed in range(3) for one in (warmup_trial(seed), base_trial(seed))]
    assert "4 of 5 such runs" not in text_of(tmp_path / "equal", equal)


def test_each_arm_is_charged_for_its_teacher_its_training_and_its_rollouts(tmp_path: Path) -> None:
    taught = replace(warmup_trial(), distill={"teacher": {"type": "hf", "model": "some/teacher"}})
    folder = write_run(tmp_path, [taught, base_trial()])
    for path in folder.parent.glob("cache/rlvr-*/stage.json"):
        summary = json.loads(path.read_text(encoding="utf-8"))["summary"]
        edit_json(path, seconds=90.0, summary={**summary, "generated_tokens": 20_000})
    text = report(folder).read_text(encoding="utf-8")
    # 5e6 of sft, 2e7 of RLVR, and 2 x 1,000 parameters x 500 tokens of the teacher
    assert "| warmup | 500 | – | 20,000 | 1 min 30 s | 2.6e+07 |" in text
    assert "| base | – | – | 20,000 | 1 min 30 s | 2e+07 |" in text


def test_domains_get_corrected_p_values_from_six_seeds_on(tmp_path: Path) -> None:
    few, many = (
        [trial for s in range(seeds) for trial in (warmup_trial(s, 0.6 + s / 100), base_trial(s, 0.5))]
        for seeds in (5, 6)
    )
    assert "| warmup - base | sums | .62 | .50 | +12.0 points [10.0, 14.0] | – |" in text_of(tmp_path / "few", few)
    assert "| warmup - base | sums | .62 | .50 | +12.5 points [10.5, 14.5] | < .001 |" in text_of(
        tmp_path / "many", many
    )


def test_several_completions_a_problem_give_average_majority_cover_and_any(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Trial("main", 0, {"sums": 0.5})])
    (path,) = folder.parent.glob("cache/evaluate-*/completions.jsonl")
    answers = {"p": ["7", "7", "3"], "q": ["1", "1", "7"], "r": ["1", "2", "3"]}
    row = next(iter(read_jsonl(path)))
    rows = [
        {**row, "problem_id": name, "sample": n,
         "score": {"verdict": "correct" if said == "7" else "wrong", "extracted": said}}
        for name, listed in answers.items()
        for n, said in enumerate(listed)
    ]  # fmt: skip
    write_jsonl(path, rows)
    record = path.parent / "stage.json"
    cells = json.loads(record.read_text(encoding="utf-8"))["summary"]["cells"]
    edit_json(record, summary={"cells": [{**cell, "samples": 3} for cell in cells]})
    text = report(folder).read_text(encoding="utf-8")
    assert "| main | sums | greedy | 3 | .33 ± .19 | .33 | .33 | .67 |" in text
    edit_json(record, summary={"cells": [{**cell, "samples": 3, "chance": 0.25} for cell in cells]})
    assert "| main | sums | greedy | 3 | .33 ± .19 | .33 | .33 | – |" in report(folder).read_text(encoding="utf-8")


def test_nothing_is_minus_zero() -> None:
    side = Side("a", dict.fromkeys(range(4), 0.5))
    claim = Claim("x", "a - b", "sums", side, Side("b", {0: 0.5, 1: 0.5004, 2: 0.5, 3: 0.5001}))
    assert brief(claim) == "+0.0 points [0.0, 0.0]"


def test_claims_are_shown_under_other_readings_and_samplings(tmp_path: Path) -> None:
    """The completions of a synthetic run all end in the reference answer, so that the arms do not differ by it."""
    folder = write_run(tmp_path, pair(), samplings=("greedy", "sampled"))
    text = report(folder).read_text(encoding="utf-8")
    assert "| left - right | where | greedy, lenient | greedy, strict | greedy, last words | sampled, lenient |" in text
    summary = json.loads((folder / "report" / "summary.json").read_text(encoding="utf-8"))
    found = {
        (one["sampling"], one["reading"]): {claim["id"]: claim for claim in one["claims"]}
        for one in summary["instruments"]
    }
    own, last = found["greedy", "lenient"], found["greedy", "last words"]
    assert own["transfer.recipe_prompt"] == summary["claims"][0]
    assert own["transfer.recipe_prompt"]["verdict"] == "above"
    assert last["transfer.recipe_prompt"]["estimate"] == 0
    assert found["sampled", "lenient"].keys() == found["greedy", "strict"].keys() == own.keys()


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
        ("stage.json", '{"type": "rlvr", "key": "k", "inputs": {}}', "stage.json: missing 'summary'"),
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


# What made the figures


def provenance_of(folder: Path) -> tuple[dict, list[str]]:
    """What summary.json says, and the lines of warnings in report.md."""
    text = report(folder).read_text(encoding="utf-8")
    summary = json.loads((folder / "report" / "summary.json").read_text(encoding="utf-8"))
    return summary["provenance"], [line for line in text.splitlines() if "**Warning.**" in line]


def test_one_revision_and_one_version_of_everything_is_stated_without_a_warning(tmp_path: Path) -> None:
    found, warnings = provenance_of(write_run(tmp_path, pair(1)))
    assert found["revisions"] == {"abc123": {"evaluate": 4, "pretrain": 1, "rlvr": 2, "sft": 1}}
    assert (found["versions"], found["stale"], found["warnings"], warnings) == ({"torch": ["2.5.1"]}, [], [], [])


def test_stages_made_by_other_revisions_and_libraries_are_a_warning_at_the_top(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path, pair(1))
    record = folder.parent / "cache" / "rlvr-rlvr-base0" / "stage.json"
    edit_json(record, versions={"torch": "2.6.0", "git": "fed456-dirty"})
    found, warnings = provenance_of(folder)
    assert found["revisions"]["fed456-dirty"] == {"rlvr": 1} and found["versions"] == {"torch": ["2.5.1", "2.6.0"]}
    assert "2 revisions of the code: abc123 (" in warnings[0] and "fed456-dirty (1 rlvr)" in warnings[0]
    assert "uncommitted changes, which no revision records: fed456-dirty" in warnings[1]
    assert "several versions of torch (2.5.1, 2.6.0)" in warnings[2]
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert text.index("**Warning.**") < text.index("## What this run shows")
    printed = " ".join(capsys.readouterr().out.split())
    assert "2 revisions of the code" in printed
    assert f"were not checked; python -m warmup_rl verify {folder} does." in printed


def test_outputs_of_code_that_has_changed_since_are_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    path = folder / "warmup" / "seed-0" / "run.json"
    stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
    edit_json(path, stages=[{**stage, "stale": stage["type"] == "sft"} for stage in stages])
    found, (warning,) = provenance_of(folder)
    assert found["stale"] == ["warmup, seed 0: sft"]
    assert "code or an endpoint behind them has changed since (--reuse-stale): warmup, seed 0: sft." in warning


def test_stages_without_a_revision_count_by_the_version_of_the_package(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    for record in folder.parent.glob("cache/*/stage.json"):
        edit_json(record, versions={"warmup_rl": "0.1.0"})
    assert list(provenance_of(folder)[0]["revisions"]) == ["0.1.0"]


# What a report must not destroy


def test_an_output_folder_can_be_moved_as_a_whole_but_not_a_run_without_its_cache(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    before = report(folder).read_text(encoding="utf-8")
    moved = folder.parent.rename(tmp_path / "elsewhere") / folder.name
    assert report(moved).read_text(encoding="utf-8") == before
    alone = moved.rename(tmp_path / "alone")
    with pytest.raises(RunError, match=r"outputs of 9 finished stages are missing:\n  base/seed-0: pretrain") as error:
        report(alone)
    assert "move the whole output folder" in str(error.value) and "run the recipe again" in str(error.value)
    assert (alone / "report" / "report.md").read_text(encoding="utf-8") == before


def test_a_missing_output_is_named_and_an_earlier_report_stays(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    before = report(folder).read_text(encoding="utf-8")
    shutil.rmtree(folder.parent / "cache" / "evaluate-ev-rlvr-base0")
    with pytest.raises(
        RunError, match=r"1 finished stage are missing:\n  base/seed-0: evaluate .*evaluate-ev-rlvr-base0"
    ):
        report(folder)
    assert (folder / "report" / "report.md").read_text(encoding="utf-8") == before


def test_a_run_without_measurements_leaves_an_earlier_report_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path, [Trial("base", 0, flat(0.2))])
    before = report(folder).read_text(encoding="utf-8")
    undo(folder, "ev-pre0")
    assert report(folder).read_text(encoding="utf-8") == before
    assert "This run has no measurements" in capsys.readouterr().out
    shutil.rmtree(folder / "report")
    assert "- base, seed 0: finished" not in report(folder).read_text(encoding="utf-8")


def test_a_report_that_fails_half_way_leaves_the_earlier_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path, pair(1))
    report(folder)
    before = {path.name: path.read_bytes() for path in (folder / "report").iterdir()}
    (folder.parent / "cache" / "rlvr-rlvr-base0" / "rollouts.jsonl").write_text("nonsense", encoding="utf-8")
    with pytest.raises(DataError, match="rollouts.jsonl:1: not JSON"):
        report(folder)
    assert {path.name: path.read_bytes() for path in (folder / "report").iterdir()} == before
    assert [path.name for path in folder.iterdir() if path.name.startswith("report")] == ["report"]


def test_plots_that_a_run_has_no_data_for_any_more_are_removed_and_foreign_files_stay(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    for name in ("ablation.png", "notes.txt"):
        (folder / "report").mkdir(exist_ok=True)
        (folder / "report" / name).write_text("old", encoding="utf-8")
    report(folder)
    names = {path.name for path in (folder / "report").iterdir()}
    assert "notes.txt" in names and "ablation.png" not in names


# What a report needs to know of a run


def test_a_run_whose_plugin_files_are_gone_can_be_reported(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    recipe["domains"]["sums"] = {"type": "./gone.py:Sums", "size": 3}
    recipe["stages"].append({"type": "./gone.py:Dpo", "id": "dpo", "beta": 0.1})
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    assert "| base | .25" in report(folder).read_text(encoding="utf-8")


def test_a_recipe_with_keys_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    path = folder / "recipe.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "lanes: 3\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"recipe.yaml: not a resolved recipe \(lanes: .*Run the recipe again"):
        report(folder)


def test_a_run_from_before_stages_had_roles_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    path = folder / "base" / "seed-0" / "run.json"
    stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
    edit_json(path, stages=[{key: value for key, value in one.items() if key != "role"} for one in stages])
    with pytest.raises(DataError, match="'role' is missing, so it was written by another version."):
        report(folder)


def test_stages_of_a_users_own_are_found_by_role_and_called_by_their_type(tmp_path: Path, drawn: None) -> None:
    folder = write_run(tmp_path, pair(1))
    for path in folder.parent.glob("cache/rlvr-*/stage.json"):
        edit_json(path, type="dpo")
    text = report(folder).read_text(encoding="utf-8")
    assert "On sums, warmup + DPO is ahead of base + DPO at equal steps (+20.0 points" in text
    assert "DPO on sums: 100 problems, 20 steps" in text and "RLVR" not in text
    assert (folder / "report" / "curve.png").is_file()


def test_computing_a_report_imports_no_torch(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    code = "import sys; from warmup_rl.report.findings import compute; from warmup_rl.report.load import load; "
    code += f"compute(load(__import__('pathlib').Path({str(folder)!r}))); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_published_figures_stand_beside_ours_as_those_of_another_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair())
    reference = {
        "model": "Qwen2.5-3B, arXiv 2505.13718",
        "figures": [
            {"arm": "warmup", "domain": "sums", "value": 0.54, "source": "Table 2"},
            {"arm": "base", "trained": True, "domain": "sums", "value": 0.578, "source": "derived"},
            {"arm": "warmup", "domain": "kk", "value": 0.5, "source": "Table 9"},
            {"claim": "end.steps.target", "value": -0.05, "source": "Figure 3"},
            {"claim": "efficiency.nothing", "value": 0.1, "source": "nowhere"},
        ],
    }
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "reference": reference}), encoding="utf-8")
    text = report(folder).read_text(encoding="utf-8")
    part = text.partition("## Beside published figures")[2].partition("\n## ")[0]
    assert "|  | where | this run | published: Qwen2.5-3B, arXiv 2505.13718 | source |" in part
    assert "| warmup | sums | .75 [.63, .87] | .54 | Table 2 |" in part
    assert "| base + RLVR | sums | .70 [.70, .70] | .58 | derived |" in part
    assert "| +20.0 points in each of 3 seeds | -5.0 points | Figure 3 |" in part
    assert "| efficiency.nothing | – | – | +10.0 points | nowhere |" in part
    assert "Targets, not results: figures of Qwen2.5-3B, arXiv 2505.13718" in part
    assert "published" not in report(write_run(tmp_path / "without", pair())).read_text(encoding="utf-8")


def test_few_seeds_have_an_interval_over_problems_that_is_called_so(tmp_path: Path) -> None:
    found = {one.claim.id: one for one in compute(load(write_run(tmp_path / "one", pair(1)))).domains}
    low, high = found["domain.start.sums"].within or (0.0, 0.0)
    assert 0.35 < low < 0.5 < high < 0.65, "of 100 problems 50 more are right"
    text = text_of(tmp_path / "two", pair(2))
    assert "| these models alone [95%] | p (Holm) |" in text and "it says nothing about other seeds" in text
    assert all(one.within is None for one in compute(load(write_run(tmp_path / "three", pair(3)))).domains)
    assert "these models alone" not in text_of(tmp_path / "again", pair(3))


def test_a_report_says_what_its_seeds_vary(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair())
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "vary": ["rlvr", "eval"]}), encoding="utf-8")
    text = report(folder).read_text(encoding="utf-8")
    assert (
        "3 seeds that vary rlvr, eval only, with world, examples, sft as in seed 0. Differences are in points" in text
    )


@pytest.mark.parametrize("names", [("short", "other"), ("a-run-with-a-name-of-its-own", "and-another-one")])
def test_the_legend_of_two_runs_is_within_the_plot(tmp_path: Path, names: tuple[str, str]) -> None:
    loaded = [load(write_run(tmp_path / name, pair(1))) for name in names]
    runs = [
        replace(run, recipe=run.recipe.model_copy(update={"run_name": name}))
        for run, name in zip(loaded, names, strict=True)
    ]
    figure = curves(runs)
    assert figure
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert len(figure.legends[0].get_texts()) == 5 and legend.x1 <= figure.bbox.x1
    pyplot.close(figure)
