"""The `lora` key of training stages: options of peft's LoraConfig."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warmup_rl.base.errors import UserError


def adapter_config(lora: Mapping[str, Any] | None) -> Any:
    """The LoraConfig of a recipe's `lora` options (all linear layers where no modules are named); None for None.

    Raises:
        UserError: peft does not know an option or refuses its value.
    """
    if lora is None:
        return None
    from peft import LoraConfig

    try:
        return LoraConfig(**{"task_type": "CAUSAL_LM", "target_modules": "all-linear", **lora})
    except (TypeError, ValueError) as error:
        raise UserError(f"lora: peft's LoraConfig refuses it: {error}") from None
