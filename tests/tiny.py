"""A random model, its word-level tokenizer and a domain, all small enough to be built anew in every test."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from warmup_rl.base.types import Grade, Problem, Split
from warmup_rl.interfaces import chat as contract
from warmup_rl.interfaces.domain import Domain, problem_id, split_of
from warmup_rl.interfaces.format import ResponseFormat

WORDS = (
    "<pad> <unk> <|end|> <|user|> <|assistant|> <think> </think> <answer> </answer> + = so . "
    "What is two and two? Four. And three?"
).split()
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|> {{ message['content'] }} "
    "{% if message['role'] == 'assistant' %}<|end|> {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)


class Adding(Domain):
    """Sums of two numbers below `below`."""

    type: ClassVar[str] = "adding"
    below: int = 12

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        pairs = [(a, b) for a in range(self.below) for b in range(self.below) if split_of(f"{a}+{b}") == split]
        random.Random(f"adding/{split}/{seed}").shuffle(pairs)
        for a, b in pairs:
            meta = {"group": "small" if a + b < 10 else "large"}
            yield Problem(problem_id([a, b]), self.name or "adding", f"{a} + {b} =", str(a + b), meta)

    def grade(self, answer: str, problem: Problem) -> Grade:
        return Grade("correct" if answer == problem.gold else "wrong" if answer.isdigit() else "none", answer)

    def chance_accuracy(self, problem: Problem) -> float:
        return 1 / (2 * self.below - 1)

    def shows_work(self, thinking: str, problem: Problem) -> bool | None:
        return "so" in thinking.split()


def tiny_tokenizer(**special: str | None) -> PreTrainedTokenizerFast:
    """Word level, split at white space, with digits up to 99, a chat template and plain-text tags.

    Args:
        special: replaces special tokens, such as `pad_token`.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = dict.fromkeys([*WORDS, *(str(number) for number in range(100))])
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokens = {"eos_token": "<|end|>", "pad_token": "<pad>", "unk_token": "<unk>", **special}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TEMPLATE, **tokens)


def tiny_model(
    folder: Path,
    *,
    response_format: ResponseFormat | None = None,
    seed: int = 0,
    context: int = 256,
    tokenizer: PreTrainedTokenizerFast | None = None,
    dtype: str = "float32",
    head_dim: int = 16,
) -> Path:
    """Saves a random Qwen3 of about 15,000 parameters with tokenizer and chat contract; returns the folder."""
    import torch

    tokenizer = tokenizer or tiny_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                head_dim=head_dim,
                max_position_embeddings=context,
                tie_word_embeddings=True,
                initializer_range=0.2,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=None,
            )
        )
    model.to(getattr(torch, dtype)).save_pretrained(str(folder))
    contract.stamp(folder, tokenizer, response_format or ResponseFormat())
    return folder
