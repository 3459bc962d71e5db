"""Faster trainings are the same trainings: passes without padding and dead rows, sorted steps, rollouts by seed."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from trl import GRPOTrainer

from tests.training_case import DOMAIN, RLVR, SFT, case, context, losses
from warmup_rl.base.jsonl import read_jsonl
from warmup_rl.stages.training.batches import SortedSteps, merged, passes_over
from warmup_rl.stages.training.grpo import PlannedGRPOTrainer

LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")
SPLIT = {"learning_rate": 1e-3, "per_device_train_batch_size": 4}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the case's data and the model after SFT in `sft/`."""
    folder = case(tmp_path_factory.mktemp("case"))
    SFT.run(context(folder, "sft", folder / "base"))
    return folder


class Comparing(PlannedGRPOTrainer):
    """Compares, at each update, the gradients of the passes that are made with those of TRL's, for every loss."""

    furthest: ClassVar[dict[str, float]] = {}
    """By loss: the largest difference, as a share of the largest gradient."""

    def _arranged(self, passes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for rows in passes:
            ids, mask = (torch.cat([rows[f"prompt_{what}"], rows[f"completion_{what}"]], 1) for what in ("ids", "mask"))
            width = rows["completion_ids"].shape[1]
            with torch.no_grad():
                old, *_ = GRPOTrainer._get_per_token_logps_and_entropies(self, self.model, ids, mask, width)
            error = (old - rows["old_per_token_logps"]) * rows["completion_mask"]
            assert error.abs().max() < 1e-4
        for rows in passes:  # as if the policy had moved since, so that ratios are cut
            for name in {"old_per_token_logps", "ref_per_token_logps"} & rows.keys():
                rows[name] = rows[name] + 0.3 * torch.randn(rows[name].shape)
            rows["advantages"] = torch.randn(4) * torch.tensor([1.0, 0.0, 0.0, 1.0])
        before = self.loss_type
        for self.loss_type in LOSSES:
            if not (self.beta and self.loss_type == "bnpo"):
                found, wanted = self._gradients(super()._arranged(passes)), self._wanted(passes)
                error, size = (found - wanted).abs().max(), wanted.abs().max()
                assert size > 0
                self.furthest[self.loss_type] = max(self.furthest.get(self.loss_type, 0.0), float(error / size))
        self.loss_type = before
        return super()._arranged(passes)

    def _wanted(self, passes: list[dict[str, Any]]) -> torch.Tensor:
        """The gradients of TRL's own passes; of one pass over all rows where a loss depends on how they are split."""
        if self.loss_type != "bnpo":
            return self._gradients(passes)
        self.current_gradient_accumulation_steps, count = 1, self.current_gradient_accumulation_steps
        try:
            return self._gradients([merged(passes)])
        finally:
            self.current_gradient_accumulation_steps = count

    def _gradients(self, passes: list[dict[str, Any]]) -> torch.Tensor:
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        loss = sum(self._compute_loss(self.model, rows) for rows in passes)
        return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, weights)])


@pytest.mark.parametrize("beta", [0.0, 0.02])
def test_every_loss_has_the_gradient_of_trls_own_passes(warm: Path, beta: float) -> None:
    args = {**SPLIT, "beta": beta, "epsilon_high": 0.3}
    update = {"steps": 2, "updates_per_step": 2, "trainer": f"{__name__}:Comparing", "args": args}
    given = context(warm, f"compared-{beta}", warm / "sft" / "model", every=0)
    RLVR.model_copy(update=update).run(given)
    furthest = max(Comparing.furthest.items(), key=lambda one: one[1])
    assert furthest[1] < 1e-4, furthest
    skipped = [row["skipped_rows"] for row in read_jsonl(given.folder / "log.jsonl") if "skipped_rows" in row]
    assert set(skipped) == ({0.0} if beta else {0.5})


class Own(GRPOTrainer):
    """A variant with a loss of its own, which sees all rows."""

    seen: ClassVar[list[int]] = []

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        self.seen.append(len(inputs["advantages"]))
        return super()._compute_loss(model, inputs)  # type: ignore[no-any-return]

    def _generate_single_turn(self, prompt_ids: Any, *given: Any, **named: Any) -> Any:
        return [[7, 8] for _ in prompt_ids], None


def test_a_trainer_with_its_own_loss_and_rollouts_keeps_both(warm: Path) -> None:
    update = {"steps": 1, "trainer": f"{__name__}:Own", "args": {**SPLIT, "beta": 0.0}}
    given = context(warm, "own", warm / "sft" / "model", every=0)
    RLVR.model_copy(update=update).run(given)
    assert Own.seen == [4, 4, 4, 4]
    assert {row["tokens"] for row in read_jsonl(given.folder / "rollouts.jsonl")} == {2}


def update_of(lengths: list[int], advantages: list[float]) -> dict[str, Any]:
    mask = torch.tensor([[int(place < length) for place in range(max(lengths))] for length in lengths])
    return {
        "prompt_ids": torch.ones(len(lengths), 5, dtype=torch.long),
        "prompt_mask": torch.tensor([[0, 0, 0, 1, 1]] * len(lengths)),
        "completion_ids": mask * torch.arange(1, len(lengths) + 1)[:, None],
        "completion_mask": mask,
        "advantages": torch.tensor(advantages),
        "num_items_in_batch": mask.sum(),
    }


def test_passes_are_sorted_and_have_no_column_of_padding() -> None:
    update = update_of([9, 2, 7, 1, 3, 8], [1.0, -1.0, 0.0, 0.5, 0.0, 2.0])
    passes = passes_over(update, update["advantages"] != 0, 2, "dapo")
    assert [rows["completion_mask"].sum(1).tolist() for rows in passes] == [[1, 2], [8, 9]]
    assert [rows["completion_ids"].shape[1] for rows in passes] == [2, 9]
    assert all(rows["prompt_ids"].shape[1] == 2 for rows in passes)
    assert [rows["advantages"].tolist() for rows in passes] == [[0.5, -1.0], [2.0, 1.0]]
    assert {int(rows["num_items_in_batch"]) for rows in passes} == {30}


def test_every_rank_makes_every_pass_with_nothing_to_train_on_too() -> None:
    update = update_of([4, 2, 3], [0.0, 0.0, 1.0])
    for live in (update["advantages"] != 0, torch.zeros(3, dtype=torch.bool)):
        for loss_type in LOSSES:
            passes = passes_over(update, live, 3, loss_type)
            assert [len(rows["advantages"]) for rows in passes] == [1, 1, 1]
            assert sum(bool(rows["advantages"].any()) for rows in passes) == int(live.sum())


def test_sorted_steps_have_the_rows_of_accelerates_shuffle() -> None:
    from accelerate.data_loader import SeedableRandomSampler

    lengths = [random.Random(0).randrange(10, 90) for _ in range(30)]
    theirs = SeedableRandomSampler(lengths, data_seed=5, generator=torch.Generator())
    ours = SortedSteps(lengths, step=8, seed=5, drop_last=False)
    for epoch in (0, 1, 3):
        theirs.set_epoch(epoch)
        ours.set_epoch(epoch)
        wanted, found = list(theirs), list(ours)
        for start in range(0, 30, 8):
            step = [index for index in found[start : start + 8] if index < 30]
            assert sorted(step) == sorted(wanted[start : start + 8])
            assert [lengths[index] for index in step] == sorted((lengths[index] for index in step), reverse=True)
        assert len(found) == len(ours) == 32 and found[30:] == [30, 30], "full steps, the last with rows without labels"
    dropped = SortedSteps(lengths, step=8, seed=5, drop_last=True)
    assert len(list(dropped)) == len(dropped) == 24 and dropped.steps == 3


def test_sft_loses_nothing_by_small_passes(warm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmup_rl.stages.sft._PASS_TOKENS_ON_CPU", 1)
    stage = SFT.model_copy(update={"args": {"learning_rate": 1e-2}})
    stage.run(context(warm, "small", warm / "base"))
    assert losses(warm / "small" / "log.jsonl") == pytest.approx(losses(warm / "sft" / "log.jsonl"), rel=1e-3)


def test_rollouts_follow_from_seed_and_step_alone(warm: Path) -> None:
    """So that a resumed run and one with more processes draw the same."""
    rows: list[list[Any]] = []
    for name, steps, size in (("short", 1, 16), ("long", 2, 4)):
        args = {"learning_rate": 1e-9, "per_device_train_batch_size": size}
        given = context(warm, name, warm / "sft" / "model", every=0)
        RLVR.model_copy(update={"steps": steps, "args": args}).run(given)
        rows.append(list(read_jsonl(given.folder / "rollouts.jsonl")))
    assert rows[0] == rows[1][:16]
    assert len(Counter(row["text"] for row in rows[0])) > 4
    assert {row["domain"] for row in rows[0]} == {DOMAIN.name}
