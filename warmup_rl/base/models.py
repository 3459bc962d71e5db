"""Loads a causal language model for generation or scoring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warmup_rl.base.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_model(
    folder_or_id: str, revision: str | None = None, dtype: str = "auto", device: str | None = None
) -> PreTrainedModel:
    """A causal language model in evaluation mode, on `device`, by default a GPU if there is one.

    Raises:
        UserError: the model cannot be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        model = AutoModelForCausalLM.from_pretrained(folder_or_id, revision=revision or "main", dtype=dtype)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder_or_id}: no model can be loaded ({str(error).strip().splitlines()[0]}). Give a folder with model "
            "files, or the id of a hub model that is cached or can be downloaded."
        ) from None
    return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
