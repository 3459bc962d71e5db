"""Distillation split over ranks: what comes out does not depend on their number, nor on kills between."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.test_distill_clean import Adder, context
from tests.tiny import tiny_model
from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import append_jsonl, read_jsonl
from warmup_rl.data import ranks
from warmup_rl.data.ranks import RankFolder, gather
from warmup_rl.engines.hf import HuggingFace
from warmup_rl.engines.openai import OpenAI
from warmup_rl.engines.replay import Replay
from warmup_rl.engines.vllm import Vllm, on_each_rank
from warmup_rl.interfaces.engine import Engine
from warmup_rl.interfaces.stage import Artifacts, Context, LaunchEnv
from warmup_rl.stages.distill import Distill


class LocalAdder(Adder):
    """Adds in this process."""

    type: ClassVar[str] = "local_adder"

    def per_rank(self) -> bool:
        return True


def stage(teacher: dict[str, Any], **fields: Any) -> Distill:
    return Distill.model_validate({"domain": "sums", "problems": 10, "teacher": teacher, **fields})


def adder(**fields: Any) -> Distill:
    return stage({"type": f"{__name__}:LocalAdder", **fields.pop("teacher", {})}, **fields)


def run(made: Distill, given: Context, size: int) -> dict[str, Any]:
    """Runs the stage on each rank as after a kill, the main one last."""
    made.recover(given.folder)
    if not made.on_every_rank():
        return made.run(replace(given, launch_env=LaunchEnv(size=size)))
    for rank in range(size - 1, 0, -1):
        assert made.run(replace(given, launch_env=LaunchEnv(rank=rank, size=size))) == {}
    return made.run(replace(given, launch_env=LaunchEnv(size=size)))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("fields", [{}, {"enough": 1, "keep_wrong": True}], ids=str)
@pytest.mark.parametrize("size", [2, 3, 16])
def test_the_number_of_ranks_changes_nothing(tmp_path: Path, size: int, fields: dict[str, Any]) -> None:
    made = adder(sampling={"samples": 3}, **fields)
    alone = run(made, context(tmp_path / "alone"), 1)
    assert run(made, context(tmp_path / "split"), size) == alone
    assert files(tmp_path / "split") == files(tmp_path / "alone")


def test_a_local_model_completes_on_each_rank_what_it_would_alone(tmp_path: Path) -> None:
    teacher = {"type": "hf", "model": str(tiny_model(tmp_path / "model")), "batch_size": 4}
    made = stage(teacher, sampling={"samples": 2, "max_tokens": 6}, keep_wrong=True)
    alone = run(made, context(tmp_path / "alone"), 1)
    assert run(made, context(tmp_path / "split"), 2) == alone
    assert files(tmp_path / "split") == files(tmp_path / "alone")


def test_the_student_attempts_on_each_rank_what_it_would_alone(tmp_path: Path) -> None:
    inputs = Artifacts(str(tiny_model(tmp_path / "model")))
    made = stage({"type": "self", "attempts": 3, "batch_size": 2}, sampling={"max_tokens": 6}, keep_wrong=True)
    alone, split = (replace(context(tmp_path / name), inputs=inputs) for name in ("alone", "split"))
    assert run(made, split, 2) == run(made, alone, 1)
    expected, found = files(alone.folder), files(split.folder)
    attempts = [sorted(one.pop("attempts.jsonl").splitlines()) for one in (expected, found)]
    assert found == expected and attempts[0] == attempts[1]


def test_what_a_killed_launch_of_any_size_has_left_is_not_asked_for_again(tmp_path: Path) -> None:
    expected = run(adder(sampling={"samples": 3}), context(tmp_path / "alone"), 1)
    rng, given = random.Random(0), context(tmp_path / "killed")
    Adder.asked.clear()
    for size in (1, 3, 2, 5):
        dying = adder(sampling={"samples": 3}, teacher={"dies_after": rng.randrange(3)})
        dying.recover(given.folder)
        for rank in range(size):
            with suppress(KeyboardInterrupt):
                dying.run(replace(given, launch_env=LaunchEnv(rank=rank, size=size)))
        for file in given.folder.glob("rank-*/completions.jsonl"):
            with file.open("ab") as torn:
                torn.write(b'{"problem_id": "')
    assert len(Adder.asked) < 30 and any(given.folder.glob("rank-*of5"))
    assert run(adder(sampling={"samples": 3}), given, 2) == expected
    assert files(tmp_path / "killed") == files(tmp_path / "alone")
    done = [pair for pair in Adder.asked if Adder.asked.count(pair) > 1]
    assert not done


def test_rows_are_gathered_once_however_often_that_is_interrupted(tmp_path: Path) -> None:
    append_jsonl(tmp_path / "a.jsonl", [{"n": 0}])
    for rank in (0, 1):
        part = RankFolder(tmp_path, rank=rank, size=2)
        append_jsonl(part.path / "a.jsonl", [{"n": rank + 1}])
        append_jsonl(part.path / "b.jsonl", [{"same": True}])
        part.close()
    append_jsonl(tmp_path / "a.jsonl", [{"n": 1}])  # a gathering that was killed here
    gather(tmp_path)
    assert [row["n"] for row in read_jsonl(tmp_path / "a.jsonl")] == [0, 1, 2]
    assert list(read_jsonl(tmp_path / "b.jsonl")) == [{"same": True}] and len(files(tmp_path)) == 2


def test_a_rank_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = RankFolder(tmp_path, rank=0, size=2)
    part.close()
    monkeypatch.setattr(ranks, "_PATIENCE", -1.0)
    with pytest.raises(RunError, match="rank-1of2: nothing was written"):
        part.gather(lambda: None)


def test_engines_that_wait_for_others_stay_on_one_process() -> None:
    assert HuggingFace(model="m").per_rank() and Vllm(model="m").per_rank()
    assert not Vllm(model="m", tensor_parallel=2).per_rank()
    assert Replay.per_rank is OpenAI.per_rank is Engine.per_rank
    assert not stage({"type": f"{Adder.__module__}:Adder"}).on_every_rank()
    assert on_each_rank(LaunchEnv(size=2)) == {"distributed_executor_backend": "external_launcher"}
    assert on_each_rank(LaunchEnv()) == {}
