"""Which problems an RLVR training uses: its record of them, the choice while it trains, the pick from a pool."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.resume_case import Killed, dying_at, logs, with_checkpoints
from tests.test_distributed import launch
from tests.training_case import DOMAIN, RLVR, SFT, case, context
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import RecipeError, UserError
from warmup_rl.base.jsonl import read_json, read_jsonl
from warmup_rl.interfaces.stage import Artifacts
from warmup_rl.stages.training.problem_record import ProblemRecord
from warmup_rl_extras.selection import weighted_draw
from warmup_rl_extras.triage import ORDERS, Triage


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model after SFT, so that some of its answers are right."""
    folder = case(tmp_path_factory.mktemp("selection"))
    SFT.run(context(folder, "sft", folder / "base"))
    return folder


def selecting(selection: str, **update: Any) -> Any:
    return with_checkpoints(RLVR, **{"steps": 6, "selection": selection, **update})


def groups(folder: Path) -> list[tuple[int, str, list[float]]]:
    """Step, problem and rewards of each group in the order of the rollouts."""
    found: list[tuple[int, str, list[float]]] = []
    for row in read_jsonl(folder / "rollouts.jsonl"):
        if row["sample"] == 0:
            found.append((row["step"], row["problem_id"], []))
        found[-1][2].append(row["reward"])
    return found


@pytest.mark.parametrize("selection", ["all", "active", "frontier"])
def test_the_record_counts_the_rollouts_and_a_killed_training_chooses_the_same(selection: str, warm: Path) -> None:
    stage = selecting(selection)
    whole, parts = (context(warm, f"{selection} {name}", warm / "sft" / "model") for name in ("whole", "parts"))
    stage.prepare(whole)
    summary = stage.run(whole)
    drawn = groups(whole.folder)
    uses = Counter(problem for _, problem, _ in drawn)
    rows = {row["problem_id"]: row for row in read_jsonl(whole.folder / "pass_rates.jsonl")}
    assert list(rows) == [problem.id for problem in DOMAIN.take("train", 3, 10)]
    for problem, row in rows.items():
        rewards = [rewards for _, one, rewards in drawn if one == problem]
        assert (row["groups"], row["rollouts"]) == (uses[problem], 4 * uses[problem])
        assert row["pass_rate"] == (sum(map(sum, rewards)) / row["rollouts"] if rewards else None)
        assert row["last_step"] == max((step for step, one, _ in drawn if one == problem), default=None)
    assert summary["rollouts"] == 4 * len(drawn)
    with dying_at(4), pytest.raises(Killed):
        stage.run(parts)
    stage.recover(parts.folder)
    assert stage.run(parts) == summary and logs(parts.folder) == logs(whole.folder)


def test_active_replaces_silent_groups_within_its_budget(warm: Path) -> None:
    said: list[str] = []
    given = context(warm, "active", warm / "sft" / "model", say=said.append)
    summary = selecting("active").run(given)
    steps: dict[int, list[tuple[str, list[float]]]] = {}
    for step, problem, rewards in groups(given.folder):
        steps.setdefault(step, []).append((problem, rewards))
    for drawn in steps.values():
        silent = [len(set(rewards)) == 1 for _, rewards in drawn]
        first, second = sum(silent[:4]), sum(silent[4 : 4 + sum(silent[:4])])
        assert len(drawn) == 4 + first + second
        assert not {one for one, _ in drawn[:4]} & {one for one, _ in drawn[4 : 4 + first]}
    total = sum(map(len, steps.values()))
    assert summary["groups"] == total > 24 and not summary["equal_use"]
    assert f"Active: {total} groups were drawn where 24 were planned" in said[-1]
    log = [row for row in read_jsonl(given.folder / "log.jsonl") if "reward" in row]
    assert len(log) == 6 and any(row["grad_norm"] > 0 for row in log)


def test_frontier_takes_new_problems_first_then_those_of_middling_pass_rate(warm: Path) -> None:
    given = context(warm, "frontier", warm / "sft" / "model", every=0)
    selecting("frontier", steps=40, args={**RLVR.args, "learning_rate": 1e-9}).run(given)
    uses, middling, ends = Counter[str](), 0, 0
    last: dict[str, float] = {}
    for _, problem, rewards in groups(given.folder):
        uses[problem] += 1
        if problem in last:
            middling, ends = middling + (0 < last[problem] < 1), ends + (last[problem] in (0, 1))
        last[problem] = sum(rewards) / 4
    assert len(uses) == 10, "none is forgotten"
    assert middling > ends or max(last.values()) == 0


def test_two_processes_choose_alike(tmp_path: Path) -> None:
    folder = case(tmp_path)
    launch("ddp", folder, "tests.selection_case")
    for selection in ("active", "frontier", "guided"):
        whole, parts = (folder / f"{selection}-{name}" for name in ("whole", "parts"))
        assert logs(parts) == logs(whole)
        rows = list(read_jsonl(whole / "pass_rates.jsonl"))
        rollouts = list(read_jsonl(whole / "rollouts.jsonl"))
        assert sum(row["rollouts"] for row in rows) == len(rollouts)
        correct = Counter(row["problem_id"] for row in rollouts if row["score"]["verdict"] == "correct")
        assert {row["problem_id"]: row["pass_rate"] for row in rows if row["rollouts"]} == pytest.approx(
            {row["problem_id"]: correct[row["problem_id"]] / row["rollouts"] for row in rows if row["rollouts"]}
        )
        drawn = [(row["step"], row["place"], row["problem_id"]) for row in rollouts]
        assert all(
            len({one for s, p, one in drawn if (s, p // 4) == place}) == 1
            for place in {(s, p // 4) for s, p, _ in drawn}
        )


def test_a_record_adds_up_over_ranks_and_steps() -> None:
    ranks = [ProblemRecord(3), ProblemRecord(3)]
    for rank, verdicts in zip(ranks, (["correct", "wrong"], ["correct", None]), strict=True):
        for verdict in verdicts:
            rank.add(1, verdict)
    record = ProblemRecord(3)
    record.update(5, [sum(both) for both in zip(*(rank.counts() for rank in ranks), strict=True)], 4)
    assert (record.groups, record.scored, record.correct) == ([0, 1, 0], [0, 3, 0], [0, 2, 0])
    assert (record.last_step, record.last_rate) == ([0, 5, 0], [0.0, 2 / 3, 0.0])


def test_a_weighted_draw_repeats_nothing_until_all_are_drawn() -> None:
    draw = random.Random(0)
    firsts = Counter(weighted_draw([0.25, 0.025, 0.25], 1, draw)[0] for _ in range(2000))
    assert 0.03 < firsts[1] / 2000 < 0.07
    assert sorted(weighted_draw([1.0, 1.0, 1.0], 6, draw)) == [0, 0, 1, 1, 2, 2]


RATES = {"a": 0.5, "b": 0.0, "c": 1.0, "d": 0.125, "e": 0.875, "f": 0.625}
PICKED = {
    "random": "abcdef",
    "hard": "dafecb",
    "medium": "af",
    "mixed": "bacdfe",
    "paired": "deafbc",
    "variance": "afdebc",
}


@pytest.mark.parametrize("name", ORDERS)
def test_orders_of_a_pool(name: str) -> None:
    order = ORDERS[name](RATES)
    assert sorted(order) == sorted(RATES)
    assert "".join(order).startswith(PICKED[name])


def triage(folder: Path, pool: int = 20) -> tuple[Any, dict[str, Any]]:
    stage = Triage(
        id="triage", domain="adding", pool=pool, sampling=Sampling(temperature=1.0, samples=4, max_tokens=12)
    )
    given = context(folder, "triage", folder / "sft" / "model")
    stage.prepare(given)
    return given, stage.run(given)


def test_a_training_takes_its_problems_from_a_triage(warm: Path) -> None:
    given, summary = triage(warm)
    found = read_json(given.output("triage"))
    completions = list(read_jsonl(given.folder / "completions.jsonl"))
    assert len(completions) == 80 and summary["problems"] == 20
    for problem, rate in found["rates"].items():
        verdicts = [row["score"]["verdict"] for row in completions if row["problem_id"] == problem]
        assert rate == verdicts.count("correct") / 4
    stage = RLVR.model_copy(update={"pick": "variance", "problems": 6})
    assert stage.required_inputs() == {"model", "triage"}
    to = replace(
        context(warm, "picked", warm / "sft" / "model", every=0),
        inputs=Artifacts(str(warm / "sft" / "model"), triage=given.output("triage")),
    )
    stage.run(to)
    rows = list(read_jsonl(to.folder / "pass_rates.jsonl"))
    assert [row["problem_id"] for row in rows] == found["orders"]["variance"][:6]
    with pytest.raises(UserError, match=r"rlvr\.pick: .* has 20 problems of 'adding', 30 of 'adding' are asked for"):
        RLVR.model_copy(update={"pick": "hard", "problems": 30})._picked(replace(to, stage_id="rlvr"))


def test_a_pick_without_a_triage_is_refused(tmp_path: Path) -> None:
    from tests.test_examples import write
    from warmup_rl.recipe.load import load_recipe

    recipe = write(tmp_path, "stages: [{type: rlvr, domain: adding, steps: 1, problems: 5, pick: hard}]")
    with pytest.raises(RecipeError, match="'rlvr' needs triage, but no earlier stage outputs any"):
        load_recipe(recipe)
