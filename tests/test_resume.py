"""Trainings that are killed and resumed: N steps equal k and N-k, byte for byte."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.resume_case import Killed, dying_at, logs, with_checkpoints
from tests.training_case import RLVR, SFT, case, context
from warmup_rl.base import stopping
from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.interfaces.plugins import build
from warmup_rl.interfaces.stage import Artifacts
from warmup_rl.stages.training import checkpointing
from warmup_rl.stages.training.checkpoints import MANIFEST, CheckpointSettings, checkpoints, recover, step_of


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case(tmp_path_factory.mktemp("resume"))


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def pretraining(epochs: float = 1.0, muon: float | None = None) -> Any:
    shape = {"model_type": "qwen3", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    shape |= {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 384}
    corpus = {"type": "nano", "setting": "absent", "share": 0.01}
    return build("stage", {"type": "pretrain", "corpus": corpus, "model": shape, "epochs": epochs, "muon": muon})


STAGES = {
    "sft": lambda: with_checkpoints(SFT),
    "sft, logging every third step": lambda: with_checkpoints(SFT, args={**SFT.args, "logging_steps": 3}),
    "sft, half an epoch more": lambda: with_checkpoints(SFT, epochs=2.5),
    "sft, adapter": lambda: with_checkpoints(SFT, lora={"r": 4, "lora_dropout": 0.1}),
    "rlvr": lambda: with_checkpoints(RLVR, steps=6),
    "rlvr, a reference that moves": lambda: with_checkpoints(
        RLVR, steps=6, args={**RLVR.args, "sync_ref_model": True, "ref_model_sync_steps": 1, "beta": 0.5}
    ),
    "rlvr, several updates a step": lambda: with_checkpoints(
        RLVR, every=1, steps=4, updates_per_step=2, args={**RLVR.args, "num_iterations": 2}
    ),
}


@pytest.mark.parametrize("name", STAGES)
def test_a_killed_training_ends_as_if_it_had_not_been_killed(name: str, start: Path) -> None:
    stage, steps = STAGES[name](), 5 if "sft" in name else 10 if "several" in name else 4
    whole = context(start, f"{name} whole", start / "base")
    parts = context(start, f"{name} parts", start / "base")
    expected = stage.run(whole)
    with dying_at(steps), pytest.raises(Killed):
        stage.run(parts)
    assert step_of(checkpoints(parts.folder)[-1]) == {5: 4, 4: 2, 10: 8}[steps]
    stage.recover(parts.folder)
    found = stage.run(parts)
    assert found == expected
    assert weights(parts.folder) == weights(whole.folder)
    assert logs(parts.folder) == logs(whole.folder)


@pytest.mark.parametrize("muon", [None, 0.01])
def test_a_killed_pretraining_ends_as_if_it_had_not_been_killed(muon: float | None, start: Path) -> None:
    stage = with_checkpoints(pretraining(muon=muon))
    whole, parts = (
        replace(context(start, f"pretrain {name} {muon}", start), inputs=Artifacts()) for name in ("whole", "parts")
    )
    expected = stage.run(whole)
    with dying_at(4), pytest.raises(Killed):
        stage.run(parts)
    stage.recover(parts.folder)
    assert stage.run(parts) == expected
    assert weights(parts.folder) == weights(whole.folder) and logs(parts.folder) == logs(whole.folder)


def test_a_signal_stops_a_training_after_its_step_with_a_checkpoint(
    start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = with_checkpoints(RLVR, every="1 h")
    given = context(start, "signal", start / "base")
    monkeypatch.setattr(stopping._State, "asked", "")
    previous = [signal.getsignal(number) for number in stopping.SIGNALS]
    stopping.listen()
    begin = checkpointing.Checkpoints.on_train_begin

    def with_signal(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        signal.raise_signal(signal.SIGUSR1)

    try:
        monkeypatch.setattr(checkpointing.Checkpoints, "on_train_begin", with_signal)
        with pytest.raises(stopping.Stopped, match="after step 1, with a checkpoint"):
            stage.run(given)
        assert [step_of(one) for one in checkpoints(given.folder)] == [1]
        with pytest.raises(stopping.Stopped):
            signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in zip(stopping.SIGNALS, previous, strict=True):
            signal.signal(number, handler)


def test_saving_alone_is_repeated_when_it_fails(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from warmup_rl.stages.training import saving

    given, whole = context(start, "full disk", start / "base"), context(start, "roomy disk", start / "base")
    expected = SFT.run(whole)

    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(saving, "check_saved", fail)
        with pytest.raises(RunError, match=r"the disk is full.*optimizer step 16"):
            SFT.run(given)
    SFT.recover(given.folder)
    with dying_at(17):
        assert SFT.run(given) == expected
    assert weights(given.folder) == weights(whole.folder)


def test_rollouts_outlast_a_kill_after_their_files_were_merged(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, whole = context(start, "merged", start / "base"), context(start, "not merged", start / "base")
    expected = RLVR.run(whole)
    with monkeypatch.context() as patch:
        patch.setattr("warmup_rl.stages.rlvr.mean_reward", lambda rows, step: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            RLVR.run(given)
    RLVR.recover(given.folder)
    assert RLVR.run(given) == expected and logs(given.folder) == logs(whole.folder)


def test_the_newest_whole_checkpoint_is_taken(start: Path) -> None:
    stage = with_checkpoints(SFT)
    given = context(start, "damaged", start / "base")
    with dying_at(8), pytest.raises(Killed):
        stage.run(given)
    assert [step_of(one) for one in checkpoints(given.folder)] == [4, 6]
    newest = checkpoints(given.folder)[-1]
    content = bytearray((newest / "optimizer.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "optimizer.pt").write_bytes(content)
    (given.folder / "model").mkdir()
    recover(given.folder)
    assert [step_of(one) for one in checkpoints(given.folder)] == [4]
    assert [row["step"] for row in read_jsonl(given.folder / "log.jsonl")] == [1, 2, 3, 4]
    assert {path.name for path in given.folder.iterdir()} == {"log.jsonl", "trainer"}
    (checkpoints(given.folder)[0] / MANIFEST).write_text("{")
    recover(given.folder)
    assert not given.folder.exists()


def test_a_checkpoint_of_another_launch_is_refused(start: Path) -> None:
    stage = with_checkpoints(SFT)
    given = context(start, "launched", start / "base")
    with dying_at(4), pytest.raises(Killed):
        stage.run(given)
    manifest = checkpoints(given.folder)[-1] / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "launch": [2, "zero2", "cpu"]}))
    with pytest.raises(RunError, match="that of 2 processes, zero2, cpu; now 1, single, cpu"):
        stage.run(given)


def test_a_disk_without_room_is_told_of_before_the_training(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(RunError, match=r"1\.0 kB free, about .* for the model and .* for a checkpoint are needed"):
        SFT.run(context(start, "tiny disk", start / "base"))


@pytest.mark.parametrize(("free", "left"), [(10_000, [2, 4]), (500, [4]), (0, [2, 4])])
def test_older_checkpoints_make_room_for_the_model_of_the_last_step(
    free: int, left: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    given = context(tmp_path, "room", tmp_path)
    for step in (2, 4):
        folder = given.folder / "trainer" / "checkpoints" / f"step-{step:08d}"
        folder.mkdir(parents=True)
        (folder / "optimizer.pt").write_bytes(b"0" * 700)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(20_000, 0, free))
    checkpointing.make_room(given, parameters=250, step=4)
    assert [step_of(one) for one in checkpoints(given.folder)] == left


def test_steps_without_a_finite_gradient_are_skipped_and_counted(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from trl import SFTTrainer

    step = SFTTrainer.training_step
    broken = {2, 5}

    def poisoned(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = step(self, *args, **kwargs)
        if self.state.global_step + 1 in broken:
            next(self.model.parameters()).grad.fill_(torch.nan)
        return loss

    monkeypatch.setattr(SFTTrainer, "training_step", poisoned)
    said: list[str] = []
    summary = SFT.run(context(start, "poisoned", start / "base", say=said.append))
    assert summary["skipped_steps"] == 2 and summary["steps"] == 16
    assert [line for line in said if "skipped" in line][0].startswith("optimizer step 2 is skipped")
    broken |= {10, 11, 12}
    with pytest.raises(RunError, match=r"3 optimizer steps in a row, up to step 12.*last checkpoint is.*step 10"):
        with_checkpoints(SFT).run(context(start, "lost", start / "base"))


def test_a_model_with_infinite_weights_is_refused_before_a_rollout(start: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    model = shutil.copytree(start / "base", tmp_path / "broken")
    tensors = load_file(model / "model.safetensors")
    tensors["model.embed_tokens.weight"][3] = float("nan")
    save_file(tensors, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunError, match="weights have values that are not finite after optimizer step 0"):
        RLVR.run(context(start, "broken", model))


def test_out_of_memory_names_what_helps_in_this_launch(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trl import GRPOTrainer

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")

    monkeypatch.setattr(GRPOTrainer, "training_step", fail)
    with pytest.raises(RunError) as raised:
        RLVR.run(context(start, "memory", start / "base"))
    lines = str(raised.value).splitlines()
    assert "out of memory on cpu" in lines[0]
    numbered = [line.split(":")[0].strip() for line in lines if line.strip()[:1].isdigit()]
    assert numbered == [
        "1. args.per_device_train_batch_size",
        "2. args.activation_checkpointing",
        "3. sampling.max_tokens",
        "4. generations or prompts_per_step",
        "5. lora",
    ]


@pytest.mark.parametrize(("args", "steps"), [({"logging_steps": 100}, 16), ({"dataloader_drop_last": True}, 20)])
def test_a_training_is_kept_whatever_its_log_and_its_last_batch_are(
    args: dict[str, Any], steps: int, start: Path
) -> None:
    stage = SFT.model_copy(update={"args": {**SFT.args, **args}, "batch_size": 8 if steps == 16 else 6})
    given = context(start, f"kept {steps}", start / "base")
    assert stage.run(given)["steps"] == steps
    assert (given.model_folder / "config.json").is_file()


DUE = [
    (5, 10, 0.0, True),
    (5, 11, 1e9, False),
    ("90 s", 1, 89.0, False),
    ("2 min", 1, 120.0, True),
    ("1h", 7, 3600.0, True),
]


@pytest.mark.parametrize(("every", "step", "seconds", "due"), DUE)
def test_a_checkpoint_is_due_by_steps_or_by_time(every: int | str, step: int, seconds: float, due: bool) -> None:
    assert CheckpointSettings(every=every).is_due(step, seconds) is due


def test_checkpoints_decide_no_cache_key() -> None:
    from warmup_rl.recipe.schema import dump

    one, other = SFT, SFT.model_copy(update={"checkpoint": None})
    assert dump(one, runtime_only=False) == dump(other, runtime_only=False)
