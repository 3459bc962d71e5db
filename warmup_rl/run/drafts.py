"""Drafts of models that a stage builds: can completions be drawn from them?

No stage imports this, so that its code decides no key of an output.
"""

from __future__ import annotations

from pathlib import Path

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError, first_line
from warmup_rl.interfaces.chat import load_tokenizer
from warmup_rl.stages.training.preflight import quick_model


def require_completions(folder: Path, place: str) -> None:
    """Has the model of a draft, with random weights, complete prompts, unless it is large. Raises `UserError` if it
    cannot."""
    from transformers import AutoConfig

    from warmup_rl.engines.hf import generate

    tokenizer, model = load_tokenizer(folder), quick_model(AutoConfig.from_pretrained(str(folder)))
    if model is None:
        return
    model.generation_config.eos_token_id = list(range(0, len(tokenizer), 2))  # rows end one by one
    prompts, sampling = ["? " * (1 + number // 2) for number in range(8)], Sampling(temperature=1.0, max_tokens=8)
    try:
        generate(model, tokenizer, prompts, sampling, batch_size=8, seed=0)
    except Exception as error:  # what a model raises depends on its class
        raise UserError(f"{place}: no completions can be drawn from such a model: {first_line(error)}") from None
