"""Loads a causal language model, ready to generate or to score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warmup_rl.base.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_model(
    folder_or_id: str, revision: str | None = None, dtype: str = "auto", device: str | None = None
) -> PreTrainedModel:
    """A causal language model in evaluation mode, on `device` or on a GPU where there is one.

    Raises:
        UserError: there is no such model.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        model = AutoModelForCausalLM.from_pretrained(folder_or_id, revision=revision or "main", dtype=dtype)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder_or_id}: no model can be loaded ({str(error).strip().splitlines()[0]}). Give a folder with model "
            "files, or the id of a hub model that is cached or can be reached."
        ) from None
    return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
