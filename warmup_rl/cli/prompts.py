"""Shows a problem as a model is asked it, with its reference answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from warmup_rl.base.console import shortened
from warmup_rl.base.types import Problem
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ResponseFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def show_problem(
    console: Console,
    title: str,
    domain: Domain,
    problem: Problem,
    layout: ResponseFormat,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> None:
    """Prints the prompt, shortened in the middle, and the reference answer. Raises as `render_prompt`.

    Args:
        layout: with its instruction written out (`ResponseFormat.asks`).
        tokenizer: renders the prompt with its chat template; without one the last question is shown.
    """
    from warmup_rl.interfaces.chat import render_prompt

    messages = domain.prompt(problem)
    prompt = render_prompt(tokenizer, messages, layout) if tokenizer else layout.ask(messages)[-1]["content"]
    console.print(f"\n--- {title} ---\n{shortened(prompt.rstrip())}", markup=False)
    console.print(f"--- gold: {shortened(domain.reference(problem))}", markup=False)
