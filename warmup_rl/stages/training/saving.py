"""Saves a trained model as a chat model folder and checks it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_rl.base.errors import RunError
from warmup_rl.base.models import weights_in
from warmup_rl.interfaces import chat as contract
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Context

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Trainer


def parameter_count(model: Any) -> int:
    """Parameters of a model, including those that ZeRO-3 partitions; tied ones count once."""
    return sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in model.parameters())


def save(
    trainer: Trainer,
    context: Context,
    tokenizer: PreTrainedTokenizerBase,
    response_format: ResponseFormat | None,
    chosen: Path | None = None,
) -> None:
    """Saves the trained model as a chat model folder. All ranks call it (ZeRO-3 gathers); the main one checks it.

    An adapter is saved in `adapter/` and merged into the weights that it was trained on, so that every later stage
    loads an ordinary model. Weights are trained in float32 and saved in the data type of the model that the training
    started from, unless `args.model_init_kwargs.dtype` of the recipe names one.

    Args:
        chosen: weights that the trainer saved before, in place of its present ones.

    Raises:
        RunError: the saved model cannot be loaded.
    """
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    adapter = hasattr(trainer.model, "peft_config")
    folder = context.folder / "adapter" if adapter else context.model_folder
    if chosen is None:
        trainer.save_model(str(folder))
    elif context.launch_env.is_main:
        shutil.copytree(chosen, folder, dirs_exist_ok=True)
    unset_hf_deepspeed_config()
    if not context.launch_env.is_main:
        return
    (folder / "training_args.bin").unlink(missing_ok=True)
    dtype = (getattr(trainer.args, "model_init_kwargs", None) or {}).get("dtype")
    if adapter:
        _merge(folder, context, dtype or "float32")
    if context.inputs.model and not dtype:
        _cast(context.model_folder, str(context.inputs.model), context.inputs.model_revision)
    contract.stamp(context.model_folder, tokenizer, response_format)
    check_saved(context.model_folder)


def check_saved(folder: Path) -> None:
    """Raises `RunError` unless the weights in a folder have the model's names and shapes and are all finite."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(folder)))
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = set(model.all_tied_weights_keys)
    found: dict[str, tuple[int, ...]] = {}
    for name, shape, finite in weights_in(folder):
        found[name] = shape
        if not finite:
            raise RunError(f"{folder}: {name} has values that are not finite. Lower args.learning_rate.")
    wrong = [name for name, shape in found.items() if wanted.get(name) != shape]
    missing = wanted.keys() - found.keys() - tied
    if wrong or missing:
        names = f"wrong {sorted(wrong)[:3]}, missing {sorted(missing)[:3]}"
        raise RunError(f"{folder}: the saved model is incomplete: {names}.")


def _merge(adapter: Path, context: Context, dtype: Any) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    revision = context.inputs.model_revision or "main"
    base = AutoModelForCausalLM.from_pretrained(str(context.inputs.model), revision=revision, dtype=dtype)
    PeftModel.from_pretrained(base, str(adapter)).merge_and_unload().save_pretrained(str(context.model_folder))


def _cast(folder: Path, source: str, revision: str | None) -> None:
    """Rewrites the weights in a folder in the data type of the model they come from, one file at a time."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig

    wanted = AutoConfig.from_pretrained(source, revision=revision or "main").dtype
    config = AutoConfig.from_pretrained(str(folder))
    if wanted not in (torch.float16, torch.bfloat16) or config.dtype == wanted:
        return
    for file in sorted(folder.glob("*.safetensors")):
        weights = {
            name: tensor.to(wanted) if tensor.is_floating_point() else tensor
            for name, tensor in load_file(str(file)).items()
        }
        save_file(weights, str(file), metadata={"format": "pt"})
    config.dtype = wanted
    config.save_pretrained(str(folder))
