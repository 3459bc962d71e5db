"""Finds before a run what would stop a trainer when it is built, without loading weights."""

from __future__ import annotations

import copy
import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from warmup_rl.base.errors import UserError, first_line
from warmup_rl.base.machine import hide_folders
from warmup_rl.interfaces.stage import Context

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

_PACKAGES = {"use_liger_kernel": "liger_kernel"}
_REFUSED = (ValueError, TypeError, ImportError, NotImplementedError, AttributeError, RuntimeError, KeyError)
_LOADING = frozenset({
    "cache_dir", "code_revision", "config", "device_map", "dtype", "experts_implementation", "force_download",
    "generation_config", "kernel_config", "key_mapping", "load_in_4bit", "load_in_8bit", "local_files_only",
    "low_cpu_mem_usage", "max_memory", "offload_folder", "proxies", "quantization_config", "revision",
    "state_dict", "subfolder", "token", "tp_plan", "trust_remote_code", "use_kernels", "use_safetensors",
    "variant", "weights_only",
})  # fmt: skip
"""Options of `from_pretrained` that are not fields of a model's config."""
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
        f"{address}: the package {package} is not installed here. Leave the option out, or pip install {package!r}."
        for address, package in needed.items()
        if importlib.util.find_spec(package) is None
    ]


def model_without_weights(source: str, revision: str | None, options: Any, place: str) -> PreTrainedModel:
    """The model on the meta device, with the `model_init_kwargs` of a trainer's config. Raises `UserError` if it cannot
    be built so."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    keywords = dict(getattr(options, "model_init_kwargs", None) or {})
    attention = keywords.pop("attn_implementation", None)
    try:
        config, unused = AutoConfig.from_pretrained(
            source, revision=revision or "main", return_unused_kwargs=True, **keywords
        )
        if unknown := sorted(unused.keys() - _LOADING):
            raise UserError(f"{place}.args.model_init_kwargs.{unknown[0]}: from_pretrained has no such option.")
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    except UserError:
        raise
    except (OSError, ValueError, ImportError, TypeError, AttributeError) as error:
        where = f"{place}.args.model_init_kwargs" if attention or keywords else source
        raise UserError(f"{where}: the model cannot be built: {first_line(error)}") from None
    model.config._name_or_path = source
    return model


def require_trainer(
    kind: type[Trainer],
    model: PreTrainedModel,
    options: Any,
    adapter: Any,
    tokenizer: PreTrainedTokenizerBase,
    place: str,
) -> None:
    """Builds a trainer with its optimizer, schedule and data loader on a model without weights. Raises `UserError` if a
    library refuses an option, or some of them together."""
    import torch
    from datasets import Dataset
    from trl import GRPOTrainer

    options = copy.copy(options)
    data: dict[str, Any] = {"input_ids": [[0, 1]] * 8, "labels": [[0, 1]] * 8}
    more: dict[str, Any] = {}
    fixed: dict[str, Any] = {"_move_model_to_device": lambda self, model, device: None}
    if issubclass(kind, GRPOTrainer):
        data = {"prompt": ["?"] * 8, "index": [0] * 8}
        more = {"reward_funcs": lambda completions, **rest: [0.0] * len(completions)}
        fixed["plan_SP"] = [[0]]
        options.use_vllm = options.log_completions = False
        if options.beta and adapter is None:
            options.beta, options.sync_ref_model = 0.0, False  # the reference would be loaded with its weights
    if "peft_config" in inspect.signature(kind).parameters:
        more["peft_config"] = copy.deepcopy(adapter)
    if hasattr(options, "model_init_kwargs"):
        options.model_init_kwargs = None
    options.report_to = []
    if getattr(options, "packing", False):
        options.max_length = 8
    try:
        with torch.random.fork_rng():
            probe = type(kind.__name__, (kind,), fixed)(
                model=model, args=options, train_dataset=Dataset.from_dict(data), processing_class=tokenizer, **more
            )
            probe.create_optimizer_and_scheduler(100)
            probe.get_train_dataloader()
    except _REFUSED as error:
        if "meta" not in str(error):  # a user's trainer may need weights
            raise UserError(f"{place}: {kind.__name__} refuses it: {first_line(error)}") from None


def context_length(context: Context) -> int | None:
    """Most tokens of a sequence of the model that a stage reads; None if its config does not say."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(context.inputs.model), revision=context.inputs.model_revision or "main")
    length = getattr(config.get_text_config(), "max_position_embeddings", None)
    return length if isinstance(length, int) else None


def low_adapter_rate(lora: Any, args: Mapping[str, Any], default: float, least: float) -> Iterator[str]:
    """A note where an adapter is trained at a learning rate that suits all weights."""
    rate = args.get("learning_rate", default)
    if lora is not None and rate < least:
        yield (
            f"args.learning_rate: {rate:g} is low for LoRA, which takes about ten times that of full training, from "
            f"{least:g} on (TRL's guide LoRA Without Regret)."
        )


def adapted(model: PreTrainedModel, adapter: Any, place: str) -> PreTrainedModel:
    """The model with the adapter, if any. Raises `UserError` where it has no such modules, or peft refuses it."""
    if adapter is None:
        return model
    from peft import inject_adapter_in_model

    modules = dict(model.named_modules())
    linear = sorted({name.rpartition(".")[2] for name, module in modules.items() if "Linear" in str(type(module))})
    for key in ("target_modules", "modules_to_save"):
        wanted = getattr(adapter, key, None)
        for one in () if wanted is None or isinstance(wanted, str) else sorted(wanted):
            if not any(name == one or name.endswith(f".{one}") for name in modules):
                raise UserError(f"{place}.lora.{key}: the model has no module {one!r}. Its linear modules: {linear}.")
    try:
        inject_adapter_in_model(copy.deepcopy(adapter), model, low_cpu_mem_usage=True)
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise UserError(f"{place}.lora: peft refuses it: {first_line(error)} Linear modules: {linear}.") from None
    return model
