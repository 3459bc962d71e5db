"""Builds a small base model from nothing: an architecture by name, a corpus plug-in, the plain transformers Trainer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from warmup_rl.base.errors import UserError
from warmup_rl.interfaces.corpus import Corpus, Document
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import plugin_field
from warmup_rl.interfaces.stage import Artifact, Context, Stage, StagePreview
from warmup_rl.stages.training import IGNORED
from warmup_rl.stages.training.saving import parameter_count, require_finished, save
from warmup_rl.stages.training.tracking import training
from warmup_rl.stages.training.trainer_config import OWNED, split_batch, trainer_options, wrong_batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

OPEN_ROWS = 32
"""Rows that are filled at the same time; more waste less, and mix documents less."""

Row = dict[str, list[int]]
Piece = tuple[list[int], int]
"""Token ids of a document, and how many of them at its beginning have no loss."""


class Pretrain(Stage):
    """One pass over a corpus of packed documents, each seen by itself."""

    type: ClassVar[str] = "pretrain"
    role: ClassVar[str] = "pretraining"
    outputs: ClassVar[frozenset[Artifact]] = frozenset({"model"})
    every_rank: ClassVar[bool] = True
    trainer_config: ClassVar[str] = "transformers:TrainingArguments"
    owned_options: ClassVar[Mapping[str, str]] = OWNED

    corpus: Annotated[Corpus, plugin_field("corpus")]
    """What is read: a corpus plug-in with its keys."""
    model: dict[str, Any]
    """`model_type` as in transformers (say, qwen3) and fields of its config class; the vocabulary is the corpus's."""
    row_length: int = Field(default=384, gt=0)
    """Tokens a packed row; longer documents are refused."""
    batch_size: int = Field(default=4, gt=0)
    """Rows an optimizer step, over all processes."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the corpus."""
    args: dict[str, Any] = {}
    """Options of transformers.TrainingArguments, passed whole."""

    def check(self, *, world_size: int) -> list[str]:
        problems = [] if "model_type" in self.model else ["model: `model_type` is missing, for example qwen3"]
        return problems + wrong_batch(self.batch_size, world_size)

    def model_context(self) -> int | None:
        length = self.model.get("max_position_embeddings")
        return length if isinstance(length, int) else None

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        return StagePreview({"epochs": self.epochs, "tokens a step": self.batch_size * self.row_length})

    def run(self, context: Context) -> dict[str, Any]:
        from transformers import PrinterCallback, Trainer, TrainingArguments, default_data_collator

        from warmup_rl.stages.training.callbacks import Progress, describe_loss

        tokenizer = self.corpus.tokenizer()
        documents = list(self.corpus.documents(context.seed))
        rows = pack(documents, tokenizer, self.row_length, random.Random(f"pack/{context.seed}"))
        model = self._new_model(tokenizer, context.seed)
        with training(context):
            batch = split_batch(self.batch_size, context.launch_env)
            options = trainer_options(TrainingArguments, self.args, context, batch, num_train_epochs=self.epochs)
            trainer = Trainer(
                model=model,
                args=options,
                train_dataset=rows,
                data_collator=default_data_collator,
                callbacks=[Progress(context, describe_loss)],
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            require_finished(trainer, trainer.state.max_steps)
            save(trainer, context, tokenizer)
            losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
            tokens = sum(token != tokenizer.pad_token_id for row in rows for token in row["input_ids"])
            return {
                "parameters": parameter_count(model),
                "documents": len(documents),
                "kinds": dict(Counter(document.kind for document in documents)),
                "tokens": tokens,
                "steps": trainer.state.global_step,
                "flops": 6 * parameter_count(model) * tokens * self.epochs,
                "loss": losses[-1] if losses else None,
            }

    def _new_model(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        fields = {key: value for key, value in self.model.items() if key != "model_type"}
        try:
            config = AutoConfig.for_model(
                self.model["model_type"],
                vocab_size=len(tokenizer),
                bos_token_id=None,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                **fields,
            )
        except (ValueError, TypeError) as error:
            raise UserError(f"{self.id}.model: transformers refuses it: {error}") from None
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def pack(
    documents: Iterable[Document], tokenizer: PreTrainedTokenizerBase, length: int, rng: random.Random
) -> list[Row]:
    """Rows of exactly `length` tokens, each a random mix of whole documents.

    Positions begin at 0 with every document, by which transformers keeps them from seeing one another. A document's
    first token, its prompt and padding have no loss.

    Raises:
        UserError: a document is longer than a row.
    """
    full: list[list[Piece]] = []
    filling: list[list[Piece]] = []
    for document in documents:
        ids = tokenizer(document.text).input_ids
        if len(ids) > length:
            raise UserError(f"row_length: {length} is too short for a {document.kind} document of {len(ids)} tokens.")
        home = next((row for row in filling if sum(len(piece) for piece, _ in row) + len(ids) <= length), None)
        if home is None:
            home = []
            filling.append(home)
        home.append((ids, max(1, len(tokenizer(document.prompt).input_ids))))
        if len(filling) > OPEN_ROWS:
            full.append(filling.pop(0))
    full += filling
    rng.shuffle(full)
    return [_row(row, length, tokenizer.pad_token_id) for row in full]


def _row(pieces: Sequence[Piece], length: int, pad: int) -> Row:
    row: Row = {"input_ids": [], "labels": [], "position_ids": []}
    for ids, unlearned in pieces:
        row["input_ids"] += ids
        row["labels"] += [IGNORED] * unlearned + ids[unlearned:]
        row["position_ids"] += range(len(ids))
    rest = length - len(row["input_ids"])
    row["input_ids"] += [pad] * rest
    row["labels"] += [IGNORED] * rest
    row["position_ids"] += range(rest)
    return row
