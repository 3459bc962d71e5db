"""Saves a trained model as a chat model folder and checks it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from warmup_rl.base.config import ADAPTER_FILE
from warmup_rl.base.errors import RunError, first_line
from warmup_rl.base.models import load_model, weights_in, with_adapter
from warmup_rl.interfaces import chat as contract
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import SCRATCH, Artifacts, Context

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, Trainer

Kept = Literal["merged", "adapter", "both"]
_POLL_SECONDS = 0.2


def parameter_count(model: Any) -> int:
    """Parameters of a model, including those that ZeRO-3 partitions; tied ones count once."""
    return sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in model.parameters())


def save(
    trainer: Trainer,
    context: Context,
    tokenizer: PreTrainedTokenizerBase,
    response_format: ResponseFormat | None,
    *,
    kept: Kept,
    dtype: str,
    chosen: Path | None = None,
) -> None:
    """Saves the trained model as a chat model folder. All ranks call it; the main one writes and checks it.

    What is saved does not depend on the launch: the float32 weights that the optimizer has, in `dtype`. An adapter
    stays in float32, and is merged in it into the weights that it was trained on.

    Args:
        chosen: file of `keep_weights` with the weights to save in place of the present ones.

    Raises:
        RunError: the saved model cannot be loaded.
    """
    import torch
    from safetensors.torch import load_file
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    weights = {} if chosen else _trained_weights(trainer)
    unset_hf_deepspeed_config()
    if not context.launch_env.is_main:
        return
    if chosen:
        weights = load_file(str(chosen))
    model, folder = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False), context.model_folder
    if not hasattr(model, "peft_config"):
        model.save_pretrained(str(folder), state_dict=_cast(weights, dtype))
    else:
        adapter = folder if kept == "adapter" else context.folder / "adapter"
        _save_adapter(model, weights, adapter, context)
        if kept == "adapter":
            model.get_base_model().config.save_pretrained(str(folder))
        else:
            base = load_model(str(context.inputs.model), context.inputs.model_revision, "float32", "cpu")
            with_adapter(base, adapter).to(getattr(torch, dtype)).save_pretrained(str(folder))
        if kept == "merged":
            shutil.rmtree(adapter)
    contract.stamp(folder, tokenizer, response_format)
    _complete_config(folder, tokenizer, dtype)
    check_saved(folder)


def keep_weights(trainer: Trainer, file: Path) -> None:
    """Stores the present weights for `save`, in place of those in the file. All ranks call it together."""
    from safetensors.torch import save_file

    weights = _trained_weights(trainer)
    if trainer.accelerator.is_main_process:
        aside = file.with_suffix(".part")
        save_file({name: weight.contiguous() for name, weight in weights.items()}, str(aside))
        aside.replace(file)


def whole_model(context: Context) -> Context:
    """The context with an ordinary model folder where the stage before has saved an adapter alone; for trainers and
    vLLM. All ranks call it; the main one merges."""
    model, folder = str(context.inputs.model), context.folder / SCRATCH / "base"
    if not (Path(model) / ADAPTER_FILE).is_file():
        return context
    if context.launch_env.is_main and not folder.is_dir():
        aside = folder.with_name("base.part")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(model, aside, ignore=shutil.ignore_patterns("adapter_*"))
        load_model(model, dtype="float32", device="cpu").save_pretrained(str(aside))
        aside.replace(folder)
    while not folder.is_dir():
        time.sleep(_POLL_SECONDS)
    inputs = Artifacts(str(folder), None, **{kind: path for kind, path in context.inputs.items() if kind != "model"})
    inputs.origin = model
    return replace(context, inputs=inputs)


def _trained_weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """The weights of a model, only the trained ones of one with an adapter, on the CPU of the main process."""
    model = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    adapted, is_main = hasattr(model, "peft_config"), trainer.accelerator.is_main_process
    parameters = dict(model.named_parameters(remove_duplicate=False))
    found = {} if adapted else {name: one for name, one in model.state_dict().items() if name not in parameters}
    for name, weight in model.named_parameters():
        if weight.requires_grad or not adapted:
            whole = _whole(weight)
            found |= {name: whole.detach().cpu()} if is_main else {}
    return found


def _whole(weight: torch.Tensor) -> torch.Tensor:
    """A weight of which ranks may hold parts, in float32 where the optimizer has it so; all ranks call it together."""
    if hasattr(weight, "full_tensor"):  # FSDP2
        return weight.full_tensor()
    if weight.requires_grad and weight.element_size() < 4 and {"ds_id", "_hp_mapping"} & vars(weight).keys():  # ZeRO
        from deepspeed.utils import safe_get_full_fp32_param

        return safe_get_full_fp32_param(weight)
    if hasattr(weight, "ds_id"):  # ZeRO-3
        from deepspeed.runtime.zero import GatheredParameters

        with GatheredParameters([weight]):
            return weight.detach().clone()
    return weight


def _cast(weights: Mapping[str, torch.Tensor], dtype: str) -> dict[str, torch.Tensor]:
    import torch

    wanted = getattr(torch, dtype)
    return {name: one.to(wanted) if one.is_floating_point() else one for name, one in weights.items()}


def _save_adapter(model: Any, weights: dict[str, torch.Tensor], folder: Path, context: Context) -> None:
    settings, origin = model.peft_config[model.active_adapter], str(context.inputs.origin)
    settings.base_model_name_or_path = str(Path(origin).resolve()) if Path(origin).is_dir() else origin
    settings.revision = context.inputs.model_revision
    model.save_pretrained(str(folder), state_dict=_cast(weights, "float32"), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's, with nothing filled in


def _complete_config(folder: Path, tokenizer: PreTrainedTokenizerBase, dtype: str) -> None:
    """Makes `config.json` agree with weights and tokenizer, and undoes what a trainer sets for itself."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(folder))
    config.dtype, config.use_cache = dtype, True
    if hasattr(text := config.get_text_config(), "output_router_logits"):
        text.output_router_logits = False
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    config.save_pretrained(str(folder))


def check_saved(folder: Path) -> None:
    """Raises `RunError` unless all weights in a folder are finite and transformers finds those of the model, with their
    shapes, and no others."""
    from transformers import AutoModelForCausalLM

    for name, finite in weights_in(folder):
        if not finite:
            raise RunError(f"{folder}: {name} has values that are not finite. Lower args.learning_rate.")
    if (folder / ADAPTER_FILE).is_file():
        return
    options = {"device_map": "meta", "ignore_mismatched_sizes": True, "output_loading_info": True}
    try:
        _, report = AutoModelForCausalLM.from_pretrained(str(folder), **options)
    except RuntimeError as error:  # weights that are saved in parts do not fit together
        raise RunError(f"{folder}: the saved model is incomplete: {first_line(error)}") from None
    faults = [f"{kind.removesuffix('_keys')} {sorted(map(str, names))[:3]}" for kind, names in report.items() if names]
    if faults:
        raise RunError(f"{folder}: the saved model is incomplete: {', '.join(faults)}.")
