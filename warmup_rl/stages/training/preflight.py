"""Finds before a run what would stop a trainer when it is built, without loading weights."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from warmup_rl.base.errors import UserError, first_line
from warmup_rl.base.machine import hide_folders

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments

_PACKAGES = {"use_vllm": "vllm", "use_liger_kernel": "liger_kernel"}
_QUANTIZATION = ("load_in_4bit", "load_in_8bit", "quantization_config")


def missing_packages(args: dict[str, Any]) -> list[str]:
    """A line for each option in the `args` of a training stage whose package is not installed."""
    hide_folders()
    needed = {f"args.{name}": package for name, package in _PACKAGES.items() if args.get(name) is True}
    if any(part in str(args.get("optim", "")) for part in ("bnb", "8bit", "paged")):
        needed["args.optim"] = "bitsandbytes"
    keywords = args.get("model_init_kwargs")
    for name in _QUANTIZATION:
        if isinstance(keywords, dict) and keywords.get(name):
            needed[f"args.model_init_kwargs.{name}"] = "bitsandbytes"
    return [
        f"{address}: the package {package} is not installed here. Leave the option out, or pip install "
        f"{('warmup_rl[vllm]' if package == 'vllm' else package)!r}."
        for address, package in needed.items()
        if importlib.util.find_spec(package) is None
    ]


def require_optimizer(options: TrainingArguments, place: str) -> None:
    """Raises `UserError` if the optimizer of a config needs a package that is not installed, or does not exist."""
    from transformers import Trainer

    try:
        Trainer.get_optimizer_cls_and_kwargs(options)
    except (ImportError, ValueError) as error:
        raise UserError(f"{place}.args.optim: transformers refuses it: {first_line(error)}") from None


def require_trainable(source: str, revision: str | None, options: Any, adapter: Any, place: str) -> None:
    """Builds the model without weights (on the meta device), with the adapter if there is one.

    Args:
        options: a trainer's config; its `model_init_kwargs` are passed on.
        adapter: a LoraConfig or None.

    Raises:
        UserError: the model cannot be built in this way, or `target_modules` name modules that it does not have.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    attention = (getattr(options, "model_init_kwargs", None) or {}).get("attn_implementation")
    try:
        config = AutoConfig.from_pretrained(source, revision=revision or "main")
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    except (OSError, ValueError, ImportError) as error:
        where = f"{place}.args.model_init_kwargs" if attention else source
        raise UserError(f"{where}: the model cannot be built: {first_line(error)}") from None
    if adapter is not None:
        _require_modules(model, adapter, place)


def _require_modules(model: PreTrainedModel, adapter: Any, place: str) -> None:
    from peft import inject_adapter_in_model

    names = [name for name, _ in model.named_modules()]
    linear = sorted(
        {name.rpartition(".")[2] for name, module in model.named_modules() if "Linear" in str(type(module))}
    )
    for key in ("target_modules", "modules_to_save"):
        wanted = getattr(adapter, key, None)
        for one in () if wanted is None or isinstance(wanted, str) else sorted(wanted):
            if not any(name == one or name.endswith(f".{one}") for name in names):
                raise UserError(f"{place}.lora.{key}: the model has no module {one!r}. Its linear modules: {linear}.")
    try:
        inject_adapter_in_model(adapter, model, low_cpu_mem_usage=True)
    except ValueError as error:
        raise UserError(f"{place}.lora: peft refuses it: {first_line(error)} Linear modules: {linear}.") from None
