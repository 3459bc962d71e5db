"""TRL's GRPOTrainer with the prompt schedule instead of its sampler, bound to the chat contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import Dataset, Sampler
from trl import GRPOTrainer

from warmup_rl.base.errors import UserError
from warmup_rl.interfaces.chat import ChatContract
from warmup_rl.interfaces.plugins import import_class
from warmup_rl.stages.training.rewards import Rewarder


class PlanSampler(Sampler[int]):
    """Dataset indices as GRPOTrainer reads them: every prompt `generations` times in a row, every step `repeats` times.

    The trainer fetches a generation batch for each micro step and uses the first (see its `_get_train_sampler`).
    """

    def __init__(self, plan_SP: Sequence[Sequence[int]], *, generations: int, repeats: int) -> None:
        self._plan_SP, self._generations, self._repeats = plan_SP, generations, repeats

    def __iter__(self) -> Iterator[int]:
        for step in self._plan_SP:
            for _ in range(self._repeats):
                for index in step:
                    yield from [index] * self._generations

    def __len__(self) -> int:
        return sum(map(len, self._plan_SP)) * self._generations * self._repeats


class PlannedGRPOTrainer(GRPOTrainer):
    """GRPOTrainer with prompts from a plan, see `warmup_rl.stages.rlvr`.

    Attributes:
        rewarder: its `record` holds what became of each problem so far, the same on all ranks.
    """

    plan_SP: Sequence[Sequence[int]]
    rewarder: Rewarder

    def _get_train_sampler(self, dataset: Dataset[Any] | None = None) -> PlanSampler:
        return PlanSampler(
            self.plan_SP,
            generations=self.num_generations,
            repeats=self.num_iterations * self.args.steps_per_generation,
        )

    def bind(self, chat: ChatContract) -> None:
        """Sets the contract's end tokens, and replaces the model's own generation config.

        Options that TRL does not set (e.g. `no_repeat_ngram_size`) would otherwise come from that config.
        """
        from transformers import GenerationConfig

        self.eos_token_ids = list(chat.stop_ids)
        if not self.args.use_vllm:
            self.generation_config.eos_token_id = list(chat.stop_ids)
            self.generation_config.remove_invalid_values = True  # the step is skipped later, with a message
        model = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        model.generation_config = GenerationConfig(
            eos_token_id=list(chat.stop_ids), pad_token_id=chat.pad_id, bos_token_id=model.config.bos_token_id
        )


def trainer_class(name: str, what: str, variants: Sequence[str] = ()) -> type[PlannedGRPOTrainer]:
    """The GRPOTrainer subclass behind an import string, with prompts from the plan.

    Args:
        variants: import strings of classes that stand before it and override what they change.

    Raises:
        UserError: it cannot be imported, or is not a subclass of GRPOTrainer; the message begins with `what`.
    """
    kind = import_class(name, what)
    if not (isinstance(kind, type) and issubclass(kind, GRPOTrainer)):
        raise UserError(f"{what}: {name} is not a subclass of trl.GRPOTrainer.")
    before = (import_class(one, what) for one in variants)
    bases = (*before, *(() if issubclass(kind, PlannedGRPOTrainer) else (PlannedGRPOTrainer,)), kind)
    return kind if bases == (kind,) else type(kind.__name__, bases, {})
