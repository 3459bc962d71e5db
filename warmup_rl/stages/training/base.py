"""The base of stages that train a model with a trainer of TRL or transformers, those of users included."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from warmup_rl.interfaces import chat
from warmup_rl.interfaces.plugins import import_class
from warmup_rl.interfaces.stage import Context, Stage
from warmup_rl.stages.training.tracking import clean_up, training
from warmup_rl.stages.training.trainer_config import OWNED, Batch, split_batch, trainer_options, wrong_batch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Trainer, TrainerCallback


class TrainerStage(Stage):
    """A stage that trains the model before it and saves a chat model folder.

    A subclass names its trainer's config class in `trainer_config`, says in `sequences_per_update` how many sequences
    an optimizer step trains on, and builds its trainer in `train`, which ends with `self.fit(trainer, ...)`. Its
    module must not import torch at the top. `examples/dpo_stage.py` is a whole stage.
    """

    inputs: ClassVar[frozenset[str]] = frozenset({"model"})
    outputs: ClassVar[frozenset[str]] = frozenset({"model"})
    every_rank: ClassVar[bool] = True
    owned_options: ClassVar[Mapping[str, str]] = OWNED
    batch_key: ClassVar[str] = "batch_size"
    """The key, or the formula over keys, that decides `sequences_per_update`; for messages."""

    lora: dict[str, Any] | None = None
    """Options of peft's LoraConfig, merged when the stage ends; all weights are trained where not given."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Any option of the trainer's config class. `per_device_train_batch_size` is the largest micro batch."""

    @property
    @abstractmethod
    def sequences_per_update(self) -> int:
        """Sequences that an optimizer step trains on, over all processes."""

    @abstractmethod
    def train(
        self, context: Context, tokenizer: PreTrainedTokenizerBase, contract: chat.ChatContract
    ) -> dict[str, Any]:
        """Builds the trainer, calls `fit`, and returns the stage's summary. All ranks call it together."""

    def check(self, *, world_size: int) -> list[str]:
        return wrong_batch(self.sequences_per_update, world_size, self.batch_key)

    def prepare(self, context: Context) -> None:
        """Builds the trainer's config and the adapter's, so that an option that is refused is found before any work."""
        self.config(context)
        self.adapter()
        clean_up()

    def run(self, context: Context) -> dict[str, Any]:
        """Trains a model that keeps its chat contract.

        Raises:
            ContractError: the model does not follow the contract that it was saved with.
        """
        source, revision = str(context.inputs.model), context.inputs.model_revision
        contract = chat.check(source, context.response_format, revision)
        tokenizer = chat.load_tokenizer(source, revision)
        with training(context):
            return self.train(context, tokenizer, contract)

    def config(self, context: Context, **owned: Any) -> Any:
        """The trainer's config: our defaults, over them `args`, over them what the stage owns.

        Args:
            owned: options that this stage decides, say `num_train_epochs`; subclasses extend them.

        Raises:
            UserError: an option does not exist or its value is refused; the batch cannot be split over the processes.
            RunError: the trainer would not run in the processes that were launched.
        """
        kind = import_class(self.trainer_config, f"{context.stage_id}: {self.trainer_config}")
        return trainer_options(kind, self.args, context, self.batch(context), **owned)

    def batch(self, context: Context) -> Batch:
        """How the sequences of an optimizer step are split over processes and passes."""
        return split_batch(
            self.sequences_per_update,
            context.launch_env,
            largest=self.args.get("per_device_train_batch_size"),
            says=f"{context.stage_id}: {self.batch_key}",
        )

    def adapter(self) -> Any:
        """The LoraConfig of `lora` for a trainer's `peft_config`, or None. Raises `UserError` where peft refuses it."""
        from warmup_rl.stages.training.saving import adapter_config

        return adapter_config(self.lora)

    def fit(
        self,
        trainer: Trainer,
        context: Context,
        tokenizer: PreTrainedTokenizerBase,
        *,
        steps: int | None = None,
        callbacks: Iterable[TrainerCallback] = (),
    ) -> dict[str, Any]:
        """Trains, checks that training was complete and finite, and saves the model. All ranks call it together.

        Args:
            steps: optimizer steps that the stage planned; as many as the trainer planned where not given.
            callbacks: in place of the lines of a supervised training.

        Returns:
            steps, parameters, first_loss, last_loss: for the stage's summary.

        Raises:
            RunError: a loss or gradient was not finite, steps are missing, or what was saved cannot be loaded.
        """
        from transformers import PrinterCallback

        from warmup_rl.stages.training.callbacks import Progress
        from warmup_rl.stages.training.saving import parameter_count, require_finished, save

        trainer.remove_callback(PrinterCallback)
        for callback in callbacks or [Progress(context)]:
            trainer.add_callback(callback)
        trainer.train()
        require_finished(trainer, steps or trainer.state.max_steps)
        parameters = parameter_count(trainer.model)
        save(trainer, context, tokenizer)
        losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        return {
            "steps": trainer.state.global_step,
            "parameters": parameters,
            "first_loss": losses[0],
            "last_loss": losses[-1],
        }
