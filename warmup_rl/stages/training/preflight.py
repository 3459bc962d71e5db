"""Finds before a run what would stop a trainer when it is built, without loading weights."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import warnings
from collections.abc import Iterator, Mapping
from itertools import chain, product
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from warmup_rl.base.errors import UserError, first_line, refused
from warmup_rl.base.machine import hide_folders
from warmup_rl.base.models import bare, evaluating, positions, require_decoder, takes
from warmup_rl.interfaces.stage import Context

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, Trainer

_PACKAGES = {"use_liger_kernel": "liger_kernel"}
_LOADING = frozenset({
    "cache_dir", "code_revision", "config", "device_map", "dtype", "experts_implementation", "force_download",
    "generation_config", "kernel_config", "key_mapping", "load_in_4bit", "load_in_8bit", "local_files_only",
    "low_cpu_mem_usage", "max_memory", "offload_folder", "proxies", "quantization_config", "revision",
    "state_dict", "subfolder", "token", "tp_plan", "trust_remote_code", "use_kernels", "use_safetensors",
    "variant", "weights_only",
})  # fmt: skip
"""Options of `from_pretrained` that are not fields of a model's config."""
_NAMED = (
    "modules_to_save", "exclude_modules", "layers_to_transform", "target_parameters", "trainable_token_indices",
    "rank_pattern", "alpha_pattern",
)  # fmt: skip
"""Options of an adapter that name parts of the model."""
_QUICK = 10**8
"""Weights of a model that is built in a second."""
_WORDS = 256
"""Words of a model that stands for a larger one."""
_OTHER_HEAD = 0.3
"""Distance between log-probabilities, in parts of how much they vary, that is no rounding of half types."""
Together = Literal["packed", "left-padded", "right-padded"]
"""How a trainer puts rows together."""
_FAULTS: dict[Together, str] = {
    "packed": (
        "lets packed rows see each other, with this attention. Leave `packing` and `padding_free` out of `args`: rows "
        "of similar length are then taken together."
    ),
    "left-padded": (
        "reads a prompt otherwise behind padding, as in every batch of rollouts, so another policy than the one that "
        "draws would be trained. Take a model of another architecture for `rlvr`."
    ),
    "right-padded": (
        "reads tokens that stand behind, so it is no causal language model. Take one that is, or set `is_decoder: "
        "true` in its config.json."
    ),
}
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
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # a config for ZeRO-3 has models that are built after it split over the processes
    keywords = dict(getattr(options, "model_init_kwargs", None) or {})
    attention = keywords.pop("attn_implementation", None)
    where = f"{place}.args.model_init_kwargs" if attention or keywords else source
    with refused(f"{where}: the model cannot be built: "):
        config, unused = AutoConfig.from_pretrained(
            source, revision=revision or "main", return_unused_kwargs=True, **keywords
        )
        if unknown := sorted(unused.keys() - _LOADING):
            raise UserError(f"{place}.args.model_init_kwargs.{unknown[0]}: from_pretrained has no such option.")
        require_decoder(config, source)
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
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
    """Builds a trainer with its optimizer, schedule and data loader on a model without weights, and has the class of
    the library that it inherits from take a step on a tiny model. Raises `UserError` if a library refuses an option, or
    some of them together."""
    import torch
    from trl import GRPOTrainer

    fixed: dict[str, Any] = {"_move_model_to_device": lambda self, model, device: None}
    if issubclass(kind, GRPOTrainer):
        fixed["plan_SP"] = [[0]]
    with TemporaryDirectory() as folder, torch.random.fork_rng(), warnings.catch_warnings(action="ignore"):

        def without_options() -> None:
            plain = type(options)(folder, use_cpu=options.use_cpu, bf16=False, report_to=[], disable_tqdm=True)
            _take_step(kind, plain, tokenizer)

        with refused(f"{place}: {kind.__name__} refuses it: ", control=without_options):
            alone = _harmless(options, folder)
            if getattr(alone, "beta", 0) and adapter is None and "plan_SP" in fixed:
                alone.beta, alone.sync_ref_model = 0.0, False  # the reference would be loaded with its weights
            if adapter is not None:
                adapter = copy.deepcopy(adapter)
                adapter.init_lora_weights = False  # some ways to begin read the weights
            try:
                probe = _build(type(kind.__name__, (kind,), fixed), model, alone, adapter, tokenizer)
                probe.create_optimizer_and_scheduler(100)
                probe.get_train_dataloader()
            except (RuntimeError, ValueError) as error:
                if "meta" not in str(error):  # a user's trainer may need weights
                    raise
        if _takes_steps(options):
            with refused(f"{place}: a step with these options fails: ", control=without_options):
                _take_step(kind, _harmless(options, folder), tokenizer)


def _takes_steps(options: Any) -> bool:
    """Whether trainers with this config can take a step before a run; compiling would take minutes."""
    return options.world_size == 1 and not options.torch_compile


def require_step(kind: type[Trainer], small: PreTrainedModel, options: Any, adapter: Any, place: str) -> None:
    """Has a small model of the kind that is trained take a step. Raises `UserError` with what it or a library raises,
    and the settings that help, where one of a few does."""
    from torch.nn import Linear

    if not _takes_steps(options):
        return
    parts = small.named_modules()
    odd = {name for name, part in parts if isinstance(part, Linear) and type(part).forward != Linear.forward}
    spared = None  # peft wraps every linear layer, also one that returns more than a product
    if adapter is not None:
        adapter = copy.deepcopy(adapter)
        adapter.init_lora_weights = False
        try:
            adapted(copy.deepcopy(small), adapter, place)
        except UserError:  # it names layers or tokens that the small model does not have
            return
        if odd:
            spared = copy.deepcopy(adapter)
            spared.exclude_modules = sorted({name.rpartition(".")[2] for name in odd})
    found = remedy = ""
    adapters = [adapter] if adapter is None else [adapter, spared]
    for lora, changed in product(adapters, ({}, {"router_aux_loss_coef": 0.0})):
        fault = _fault(kind, small, options, lora, changed)
        found = found or fault
        if not fault:
            without = f"lora.exclude_modules: {spared.exclude_modules}" if spared else "lora: null"
            said = [without] * (lora is not adapter)
            said += ["args.router_aux_loss_coef: 0.0 (the loss that balances experts)"] * bool(changed)
            remedy = f"Set {' and '.join(said)}."
            break
    if found:
        remedy = remedy or "Take a model of another architecture."
        raise UserError(f"{place}: a training step of a {type(small).__name__} fails: {found}. {remedy}")


def _fault(
    kind: type[Trainer], small: PreTrainedModel, options: Any, adapter: Any, changed: Mapping[str, float]
) -> str:
    """What a step of a copy of a small model raises, or that TRL's output layer is not the model's; empty for none."""
    import torch
    from transformers.utils import logging

    with TemporaryDirectory() as folder, torch.random.fork_rng(), warnings.catch_warnings(action="ignore"):
        alone = _harmless(options, folder)
        for name, value in {"beta": 0.0, "sync_ref_model": False, **changed}.items():
            if hasattr(alone, name):
                setattr(alone, name, value)
        verbosity = logging.get_verbosity()
        logging.set_verbosity_error()  # its words are not the model's
        try:
            model = _take_step(kind, alone, _few_words(), copy.deepcopy(small), copy.deepcopy(adapter))
        except Exception as error:
            return first_line(error)
        finally:
            logging.set_verbosity(verbosity)
    if "forward" not in vars(model) or not takes(model, "labels"):
        return ""
    ids = (torch.arange(12, device=model.device) % small.config.get_text_config().vocab_size).view(2, 6)
    with evaluating(model), torch.no_grad():
        found = model(input_ids=ids, labels=ids, fused_lm_head=True).log_probs.float()
        logits = model(input_ids=ids).logits[:, :-1].float() / getattr(alone, "temperature", 1.0)
    wanted = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    apart, spread = (found - wanted).norm(), (wanted - wanted.mean()).norm()
    is_other = bool(apart > _OTHER_HEAD * spread + 1e-3)
    return "TRL does not know its output layer, and would train other probabilities" if is_other else ""


def _few_words() -> PreTrainedTokenizerBase:
    """A tokenizer with words that every model has."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"?": 0, "!": 1, ".": 2}, unk_token="?"))
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?", pad_token="!", eos_token=".")


def _harmless(options: Any, folder: str) -> Any:
    """A trainer's config that loads no other model, and writes to a folder that is removed."""
    options = copy.copy(options)
    options.output_dir, options.report_to = folder, []
    if hasattr(options, "model_init_kwargs"):
        options.model_init_kwargs = None
    if getattr(options, "packing", False):
        options.max_length = 8
    if hasattr(options, "num_generations"):
        options.use_vllm = options.use_transformers_continuous_batching = options.log_completions = False
    return options


def _build(kind: type[Trainer], model: Any, options: Any, adapter: Any, tokenizer: PreTrainedTokenizerBase) -> Trainer:
    from datasets import Dataset
    from trl import GRPOTrainer

    data: dict[str, Any] = {"input_ids": [[0, 1]] * 8, "labels": [[0, 1]] * 8}
    more: dict[str, Any] = {}
    if issubclass(kind, GRPOTrainer):
        data = {"prompt": ["?"] * 8, "index": [0] * 8}
        more = {"reward_funcs": lambda completions, **rest: [0.0] * len(completions)}
    if "peft_config" in inspect.signature(kind).parameters:
        more["peft_config"] = adapter
    return kind(model=model, args=options, train_dataset=Dataset.from_dict(data), processing_class=tokenizer, **more)


def _take_step(
    kind: type[Trainer],
    options: Any,
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel | None = None,
    adapter: Any = None,
) -> PreTrainedModel:
    """A whole optimizer step of a model, a tiny one where none is given, rollouts included: some options are read at
    that time only. Returns the model without what was put around it."""
    from transformers import PrinterCallback
    from transformers.utils import logging

    library = next(base for base in kind.__mro__ if base.__module__.partition(".")[0] in ("trl", "transformers"))
    if planned := [base for base in kind.__mro__ if "plan_SP" in vars(base).get("__annotations__", ())]:
        library = type(library.__name__, (planned[-1],), {"plan_SP": [[0]]})
    options.max_steps, options.per_device_train_batch_size, options.gradient_accumulation_steps = 1, 2, 1
    if hasattr(options, "num_generations"):
        options.num_generations = options.generation_batch_size = options.max_completion_length = 2
        options.steps_per_generation = options.num_iterations = 1
    model = model or tiny_model(tokenizer)
    if getattr(options, "beta", 0):
        logging.disable_progress_bar()
        model.save_pretrained(options.output_dir)
        model.config._name_or_path = options.output_dir  # where a reference is loaded from
    trainer = _build(library, model, options, adapter, tokenizer)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    logging.enable_progress_bar()
    return bare(trainer.model)  # type: ignore[no-any-return]


def tiny_model(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=max(8, len(tokenizer)), hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, max_position_embeddings=64, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def require_merge(adapter: Any, tokenizer: PreTrainedTokenizerBase, place: str) -> None:
    """Raises `UserError` if peft cannot merge such an adapter, as saving does: tried on a tiny model, of which it
    adapts all linear layers."""
    from peft import get_peft_model

    adapter = copy.deepcopy(adapter)
    adapter.target_modules, adapter.init_lora_weights = "all-linear", False
    for name in _NAMED:
        setattr(adapter, name, {} if "pattern" in name else None)
    with refused(
        f"{place}.lora: such an adapter cannot be merged (", "). Leave the option out, or set `save: adapter`."
    ):
        get_peft_model(tiny_model(tokenizer), adapter).merge_and_unload()


def quick_model(config: PretrainedConfig) -> PreTrainedModel | None:
    """A model of this config with random weights; None if building it would take long. Raises what its class raises."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        size = AutoModelForCausalLM.from_config(config, dtype=torch.float32).num_parameters()
    if size > _QUICK:
        return None
    with torch.random.fork_rng():
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def require_model(config: PretrainedConfig, place: str) -> None:
    """Builds a model from scratch and has it take a training pass, unless it is large. Raises `UserError` if
    transformers or torch refuses its config."""
    import torch

    with refused(f"{place}: transformers refuses it: "), torch.random.fork_rng():
        if (model := quick_model(config)) is not None:
            tokens = torch.ones(1, 8, dtype=torch.long)
            model.train()(input_ids=tokens, labels=tokens).loss.backward()


def few_layers(model: PreTrainedModel) -> PreTrainedModel | None:
    """A model with random weights of the config of `model`, which may have none, with its first layers up to one of
    each kind and few words; None where that is still large, or cannot be built or run here."""
    import torch

    try:
        config = copy.deepcopy(model.config)
        text = config.get_text_config()
        depth = text.num_hidden_layers
        lists = {key: value for key, value in vars(text).items() if isinstance(value, list | tuple)}
        by_layer = {key: value for key, value in lists.items() if len(value) == depth}
        kinds = [list(map(str, part)) for part in model.modules() if isinstance(part, torch.nn.ModuleList)]
        for value in by_layer.values():
            names = list(map(str, value))
            if isinstance(value[0], str) or len({*names}) < depth:  # else places, or widths, which the modules show
                kinds.append(names)
        first = [names.index(name) + 1 for names in kinds if len(names) == depth for name in {*names}]
        layers = min(depth, max([2, *first]))
        for key, value in by_layer.items():
            setattr(text, key, value[:layers])
        text.num_hidden_layers = layers
        text.vocab_size, text.pad_token_id = min(text.vocab_size, _WORDS), None
        small = quick_model(config)
        if small is not None:
            small.eval()(input_ids=torch.zeros(1, 2, dtype=torch.long))
    except Exception:  # of whatever class the model or its kernels raise it; the whole model is asked later
        return None
    return small


def require_rows_apart(model: Any, put: Together, place: str) -> None:
    """Raises `UserError` if what a model says of a row depends on what the trainer puts beside it.

    Nothing is found out of weights that are split over processes.
    """
    import torch
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    weights = list(model.parameters())
    if any(weight.is_meta or not weight.numel() for weight in weights):
        return
    device, words = weights[0].device, min(_WORDS, bare(model).config.get_text_config().vocab_size)
    draw = torch.Generator().manual_seed(0)
    one, two = (torch.randint(0, words, (1, length), generator=draw).to(device) for length in (13, 21))
    mask = torch.ones(1, one.shape[1] + two.shape[1], dtype=torch.long, device=device)
    if put == "packed":
        rows = [{"input_ids": ids[0].tolist(), "labels": ids[0].tolist()} for ids in (two, one)]
        inputs = dict(DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(rows))
        inputs = {name: value.to(device) if hasattr(value, "to") else value for name, value in inputs.items()}
        del inputs["labels"]
        columns = slice(two.shape[1], None)
    elif put == "left-padded":
        mask[:, : two.shape[1]] = 0
        inputs = {"input_ids": torch.cat([two, one], 1), "attention_mask": mask}
        if takes(model, "position_ids"):
            inputs["position_ids"] = positions(mask)
        columns = slice(two.shape[1], None)
    else:
        inputs = {"input_ids": torch.cat([one, two], 1), "attention_mask": mask}
        columns = slice(0, one.shape[1])
    with evaluating(model), torch.no_grad(), refused(f"{place}: the model refuses {put} rows: "):
        together = model(**inputs, use_cache=False).logits[:, columns].float()
        alone = model(input_ids=one, attention_mask=torch.ones_like(one), use_cache=False).logits.float()
    alone, together = (logits - logits.mean(-1, keepdim=True) for logits in (alone, together))
    moved = ((together - alone).norm() / alone.norm()).item()
    if moved > max(0.01, 16 * torch.finfo(weights[0].dtype).eps):
        raise UserError(f"{place}: a {type(bare(model)).__name__} {_FAULTS[put]}")


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
    tokens = getattr(adapter, "trainable_token_indices", None) or ()
    rows = model.get_input_embeddings().weight.shape[0]
    for token in chain.from_iterable(tokens.values()) if isinstance(tokens, dict) else tokens:
        if not 0 <= token < rows:
            raise UserError(
                f"{place}.lora.trainable_token_indices: the model has tokens 0 to {rows - 1} (got {token})."
            )
    with refused(f"{place}.lora: peft refuses it: ", f" Linear modules: {linear}."):
        inject_adapter_in_model(copy.deepcopy(adapter), model, low_cpu_mem_usage=True)
    return model
