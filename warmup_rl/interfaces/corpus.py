"""The interface of pretraining corpora, for settings whose base model is trained from scratch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from warmup_rl.interfaces.plugins import Kind, Plugin

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class Document:
    """A pretraining document with markup, a label to count by such as `sums/chat`, and the beginning of the text that
    carries no loss."""

    text: str
    kind: str
    prompt: str = ""


class Corpus(Plugin, ABC):
    """Config of a pretraining corpus. Draws problems from train splits only."""

    plugin_kind: ClassVar[Kind] = "corpus"
    is_terse: ClassVar[bool] = False
    """Whether its vocabulary is that of terse questions (see `Domain.is_terse`), so that English ones are unknown words
    to the model."""

    @abstractmethod
    def documents(self, seed: int) -> Iterator[Document]:
        """All documents of one pass, in an order that depends on the seed only."""

    @abstractmethod
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer with chat template, end, pad and unknown tokens set."""
