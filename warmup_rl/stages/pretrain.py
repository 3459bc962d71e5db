"""Stage `pretrain`: trains a small base model from scratch on a corpus, with transformers' Trainer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from warmup_rl.base.errors import UserError, refused
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.corpus import Corpus, Document
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import plugin_field, suggestion
from warmup_rl.interfaces.stage import Context, StagePreview
from warmup_rl.stages.training import IGNORED
from warmup_rl.stages.training.base import TrainerStage
from warmup_rl.stages.training.faults import explained
from warmup_rl.stages.training.options import without_zero
from warmup_rl.stages.training.preflight import require_model
from warmup_rl.stages.training.saving import Kept

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

OPEN_ROWS = 32
"""Rows that are filled at the same time; more rows waste less, and mix documents less."""

Row = dict[str, list[int]]
Piece = tuple[list[int], int]
"""Token ids of a document, and how many at its beginning carry no loss."""


class Pretrain(TrainerStage):
    """Trains on a corpus of packed documents, which do not attend to one another."""

    type: ClassVar[str] = "pretrain"
    role: ClassVar[str] = "pretraining"
    inputs: ClassVar[frozenset[str]] = frozenset()
    trainer_config: ClassVar[str] = "transformers:TrainingArguments"
    lora: ClassVar[None] = None  # type: ignore[misc]  # a model from scratch has nothing to adapt
    save: ClassVar[Kept] = "both"  # type: ignore[misc]

    corpus: Annotated[Corpus, plugin_field("corpus")]
    """The pretraining data: a corpus plug-in with its keys."""
    model: dict[str, Any]
    """`model_type` as in transformers (e.g. qwen3) and fields of its config class; the vocabulary is the corpus's."""
    row_length: int = Field(default=384, gt=0)
    """Tokens per packed row; longer documents are refused."""
    batch_size: int = Field(default=4, gt=0)
    """Rows per optimizer step, over all processes."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the corpus."""
    muon: float | None = Field(default=None, gt=0)
    """Learning rate of Muon (https://kellerjordan.github.io/posts/muon/), which trains the layers' matrices, each
    expert's too; the rest, and all without this key, follows `args`, whose schedule serves both. Fewer tokens teach the
    same. Under ZeRO, which splits matrices, the stage runs as `ddp`."""

    def check(self, *, world_size: int) -> list[str]:
        missing = [] if "model_type" in self.model else ["model: `model_type` is missing, for example qwen3"]
        return missing + super().check(world_size=world_size)

    def model_context(self) -> int | None:
        length = self.model.get("max_position_embeddings")
        return length if isinstance(length, int) else None

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        english = ", ".join(name for name, domain in domains.items() if not domain.is_terse)
        note = (
            f"the corpus {self.corpus.type!r} has the words of terse questions only; to its model the questions of "
            f"{english} are unknown words. Set `phrasing: terse` there, or start from a `model` that reads English."
        )
        counts = {"epochs": self.epochs, "tokens a step": self.batch_size * self.row_length}
        return StagePreview(counts, (note,) if english and self.corpus.is_terse else ())

    def config(self, context: Context, **owned: Any) -> Any:
        return super().config(context, num_train_epochs=self.epochs, **owned)

    def sets_options(self) -> bool:
        return bool(self.args or self.model.keys() - {"model_type"})

    def draft(self, folder: Path) -> bool:
        tokenizer = self.corpus.tokenizer()
        config = self._config(tokenizer)
        config.save_pretrained(str(folder))
        chat.stamp(folder, tokenizer, None)
        require_model(config, f"{self.id}.model")
        return True

    def run(self, context: Context) -> dict[str, Any]:
        with explained(self, context), self._launched(context) as launched:
            return self.train(launched, self.corpus.tokenizer())

    def prepare(self, context: Context) -> None:
        with self._launched(context) as launched:
            super().prepare(launched)

    def _launched(self, context: Context) -> AbstractContextManager[Context]:
        return nullcontext(context) if self.muon is None else without_zero(context)

    def train(self, context: Context, tokenizer: PreTrainedTokenizerBase, contract: Any = None) -> dict[str, Any]:
        from transformers import Trainer, default_data_collator

        documents = list(self.corpus.documents(context.seed))
        rows = pack(documents, tokenizer, self.row_length, random.Random(f"pack/{context.seed}"))
        tokens = sum(token != tokenizer.pad_token_id for row in rows for token in row["input_ids"])
        if context.launch_env.size > 1:  # accelerate would fill up the last step with rows that were trained on already
            rows += [{**rows[0], "labels": [IGNORED] * self.row_length}] * (-len(rows) % self.batch_size)
        options = self.config(context)
        trainer = Trainer(
            model=self._new_model(tokenizer, context.seed),
            args=options,
            train_dataset=rows,
            data_collator=default_data_collator,
            optimizer_cls_and_kwargs=self._optimizer(options),
        )
        trained = self.fit(trainer, context, tokenizer)
        return {
            "parameters": trained["parameters"],
            "documents": len(documents),
            "kinds": dict(Counter(document.kind for document in documents)),
            "tokens": tokens,
            "steps": trained["steps"],
            "flops": 6 * trained["parameters"] * tokens * self.epochs,
            "loss": trained["last_loss"],
        }

    def _optimizer(self, options: TrainingArguments) -> tuple[Any, dict[str, Any]] | None:
        """A factory for the trainer; None: it makes its own optimizer."""
        if self.muon is None:
            return None
        from warmup_rl.stages.training.muon import with_muon

        return lambda: with_muon, {"lr": self.muon, "options": options}

    def _new_model(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
        import torch
        from transformers import AutoModelForCausalLM

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return AutoModelForCausalLM.from_config(self._config(tokenizer), dtype=torch.float32)

    def _config(self, tokenizer: PreTrainedTokenizerBase) -> PretrainedConfig:
        from transformers import AutoConfig

        tokens = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
        with refused(f"{self.id}.model: transformers refuses it: "):
            config = AutoConfig.for_model(**self.model, vocab_size=len(tokenizer), **tokens)
            plain = type(config)()
        for key in self.model:  # transformers takes any key and ignores what it does not know
            if not (hasattr(plain, key) or hasattr(plain, f"_{key}")):
                known = [name for name in plain.to_dict() if not name.startswith("_")]
                raise UserError(
                    f"{self.id}.model.{key}: {type(config).__name__} has no such field.{suggestion(key, known)}"
                )
        return config


def pack(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int, rng: random.Random
) -> list[Row]:
    """Rows of exactly `length` tokens, each a random mix of whole documents.

    Positions restart at 0 with every document, so that transformers' attention does not cross documents. A document's
    first token, its prompt and padding carry no loss.

    Raises:
        UserError: a document is longer than a row.
    """
    full: list[list[Piece]] = []
    filling: list[list[Piece]] = []
    texts = tokenizer([document.text for document in documents]).input_ids
    prompts = tokenizer([document.prompt for document in documents]).input_ids
    for document, ids, prompt in zip(documents, texts, prompts, strict=True):
        if len(ids) > length:
            raise UserError(f"row_length: {length} is too short for a {document.kind} document of {len(ids)} tokens.")
        home = next((row for row in filling if sum(len(piece) for piece, _ in row) + len(ids) <= length), None)
        if home is None:
            home = []
            filling.append(home)
        home.append((ids, max(1, len(prompt))))
        if len(filling) > OPEN_ROWS:
            full.append(filling.pop(0))
    full += filling
    rng.shuffle(full)
    return [_row(row, length, tokenizer.pad_token_id) for row in full]


def _row(pieces: Sequence[Piece], length: int, pad: int) -> Row:
    ids = [token for piece, _ in pieces for token in piece]
    labels = [label for piece, unlearned in pieces for label in [IGNORED] * unlearned + piece[unlearned:]]
    positions = [place for piece, _ in pieces for place in range(len(piece))]
    rest = length - len(ids)
    return {
        "input_ids": ids + [pad] * rest,
        "labels": labels + [IGNORED] * rest,
        "position_ids": [*positions, *range(rest)],
    }
