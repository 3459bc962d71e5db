"""Cleaning split over ranks: what comes out does not depend on their number, nor on kills between."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.clean_case import STEPS, Dies, case, context
from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import read_json, write_json
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.stages.clean import Clean


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw traces, and in `alone` what one process makes of them."""
    folder = case(tmp_path_factory.mktemp("alone"))
    summary = Clean(steps=STEPS).run(context(folder, LaunchEnv(), "alone"))
    write_json(folder / "summary.json", summary)
    assert summary["changed"] and len(summary["dropped"]) >= 4
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def started(stage: Clean, folder: Path, name: str, size: int, dies: tuple[int, int] = (-1, 0)) -> list[BaseProcess]:
    """The ranks of a launch, each a process, after what the main one does before; `dies`: a rank, and at which trace
    of the step `dies`; the others stop with the trace after that in hand, so that none is finished."""
    stage.recover(context(folder, LaunchEnv(), name).folder)

    def run(rank: int) -> None:
        dying, stopping = (dies[1], 0) if rank == dies[0] else (0, dies[1] and dies[1] + 1)
        os.environ.update(SEEN=str(folder / f"{name}.seen"), DIES_AT=str(dying), STOPS_AT=str(stopping))
        summary = stage.run(context(folder, LaunchEnv(rank=rank, size=size), name))
        write_json(folder / f"{name}.rank{rank}.json", summary)

    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=run, args=(rank,)) for rank in range(size)]
    for one in ranks:
        one.start()
    return ranks


def finished(ranks: Sequence[BaseProcess]) -> None:
    for one in ranks:
        one.join(120)
        assert one.exitcode == 0


@pytest.mark.parametrize("size", [2, 5])
def test_the_number_of_ranks_changes_nothing(alone: Path, size: int) -> None:
    name = f"split{size}"
    finished(started(Clean(steps=STEPS), alone, name, size))
    assert files(alone / name) == files(alone / "alone")
    assert read_json(alone / f"{name}.rank0.json") == read_json(alone / "summary.json")
    assert read_json(alone / f"{name}.rank1.json") == {}


def killed(stage: Clean, folder: Path, name: str, size: int, rank: int, trace: int) -> None:
    """A launch of which one rank is killed, and then the others, too, where they have the step with a trace in hand."""
    ranks = started(stage, folder, name, size, (rank, trace))
    ranks[rank].join(120)
    assert ranks[rank].exitcode == -signal.SIGKILL
    for other in ranks:
        if other is not ranks[rank] and all(step.per_rank() for step in stage.steps if isinstance(step, Dies)):
            assert os.WIFSTOPPED(os.waitpid(other.pid or 0, os.WUNTRACED)[1])
        other.kill()
        other.join()
    for log in (folder / name).glob("phase-*/rank-*/*.jsonl"):
        with log.open("ab") as torn:
            torn.write(b'{"trace": 1')


def test_what_killed_launches_of_any_size_have_left_is_not_done_again(alone: Path) -> None:
    stage = Clean(steps=STEPS)
    for size, rank, trace in ((2, 1, 5), (3, 0, 4), (2, 0, 3)):
        killed(stage, alone, "killed", size, rank, trace)
    finished(started(stage, alone, "killed", 2))
    assert files(alone / "killed") == files(alone / "alone")
    seen = (alone / "killed.seen").read_text().splitlines()
    assert len(set(seen)) < len(seen) <= len(set(seen)) + 6, "each kill costs no more than the traces in hand"


def test_a_step_on_the_main_process_goes_on_where_it_was(alone: Path) -> None:
    stage = Clean(steps=[{**step, "alone": False} if "Dies" in str(step) else step for step in STEPS])
    killed(stage, alone, "main", 2, 0, 20)
    finished(started(stage, alone, "main", 2))
    made, expected = files(alone / "main"), files(alone / "alone")
    assert made.pop("audit.html") != expected.pop("audit.html") and made == expected, "the page names the step's keys"
    seen = (alone / "main.seen").read_text().splitlines()
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("sizes", [(1, 2), (2, 1)], ids=str)
def test_a_launch_of_one_process_begins_anew_after_one_of_several(alone: Path, sizes: tuple[int, int]) -> None:
    name, stage = f"sizes{sizes}", Clean(steps=STEPS)
    killed(stage, alone, name, sizes[0], 0, 8)
    finished(started(stage, alone, name, sizes[1]))
    assert files(alone / name) == files(alone / "alone")


def test_a_rank_whose_peer_has_failed_does_not_wait_for_it(alone: Path) -> None:
    def gone() -> None:
        raise RunError("rank failed")

    for rank in (0, 1):
        given = context(alone, LaunchEnv(rank=rank, size=2), f"gone{rank}")
        with pytest.raises(RunError, match="rank failed"):
            Clean(steps=STEPS).run(replace(given, peers=gone))


def test_steps_that_know_other_traces_or_ask_a_model_stay_on_one_process() -> None:
    judge = {"engine": {"type": "openai", "base_url": "http://localhost/v1", "model": "m"}}
    steps = ["correct", "length", "repetition", "decontaminate", "dlcot", "answers_only", "shuffled"]
    assert all(step.per_rank() for step in Clean(steps=steps).steps)
    assert not Clean(steps=["duplicates", "naturalness", {"type": "dlcot", "judge": judge}]).on_every_rank()
