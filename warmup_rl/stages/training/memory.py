"""How much memory a training needs on each device: counted without weights, split as the launch splits it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from warmup_rl.base.console import size_in_words
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.stages.training.layout import Launch, layout_of

_TRACED = 64
"""Tokens of the sequence that a pass is counted on; all that is counted grows linearly with them."""
_MIXED = 0.6
"""Size of activations under bf16 autocast against float32: products take two bytes, norms and the residual four."""
_OPTIMIZER_BYTES = {"sgd": 0, "adafactor": 0, "lion": 4, "8bit": 2, "bnb": 2}
"""Bytes of optimizer state a trained weight, by a part of the optimizer's name; 8 (two moments) for the others."""
_TILE = 4096 * 8192
"""Logits that TRL's loss holds at a time: tokens times words of a tile."""
_BUCKET = 4
"""Bytes a trained weight of the buckets in which DDP reduces gradients."""
_CUDA, _PROCESS = 800_000_000, 700_000_000
"""What a CUDA context with its kernels takes on the GPU, and Python with the libraries in main memory."""
_SHORT = 128
"""Tokens below which traces of unknown length will not stay."""
_SLACK = 1.05
"""Allocators hold a little more than is in use."""


@dataclass(frozen=True)
class Shape:
    """What a model takes, by its config alone; bytes are of float32.

    Attributes:
        parameters, trained: numbers of weights.
        layer: bytes a token that the backward pass keeps of a layer.
        kept: the same with activation checkpointing, which computes the layer again.
        outside: bytes a token that are kept outside the layers.
        cache: bytes a token of the key-value cache, over all layers.
    """

    parameters: int
    trained: int
    layers: int
    layer: float
    kept: float
    outside: float
    cache: float
    vocabulary: int


@dataclass(frozen=True)
class Load:
    """What a stage puts on a device at a time: sequences of a forward and backward pass, tokens of the longest (None
    where only the stages before it will tell), sequences that are drawn, and maybe a frozen copy of the model."""

    sequences: int
    length: int | None
    rollouts: int = 0
    reference: bool = False


@dataclass(frozen=True)
class Need:
    """Bytes on a device: `parts` stay for the whole training; a pass takes `per_token` more for each token, rollouts
    `per_rollout_token` for each token of the longest one."""

    parts: dict[str, float]
    per_token: float
    per_rollout_token: float
    load: Load

    def total(self, length: int) -> float:
        """The peak with sequences of this length: in the backward pass, or while rollouts are drawn (which is before
        there are gradients)."""
        fixed = sum(self.parts.values())
        backward = self.per_token * length * self.load.sequences
        rollouts = self.per_rollout_token * length * self.load.rollouts - self.parts["gradients"]
        return (fixed + max(backward, rollouts)) * _SLACK

    def longest(self, budget: float) -> int:
        """The longest sequences that fit into a number of bytes."""
        left = budget / _SLACK - sum(self.parts.values())
        return max(0, int(left / (self.per_token * self.load.sequences)))

    def shown(self, length: int) -> str:
        """The peak and its parts in words, largest first; those below 1% are left out."""
        rollouts = self.per_rollout_token * length * self.load.rollouts
        parts = {
            **self.parts,
            "activations": self.per_token * length * self.load.sequences,
            "KV cache of the rollouts, before there are gradients and activations": rollouts,
        }
        least, ordered = sum(self.parts.values()) / 100, sorted(parts.items(), key=lambda part: -part[1])
        words = ", ".join(f"{name} {size_in_words(round(size))}" for name, size in ordered if size > least)
        return f"{size_in_words(round(self.total(length)))} with sequences of {length:,} tokens ({words})"


def shape_of(source: str, revision: str | None, trained: int, parameters: int) -> Shape:
    """The shape of a model in a folder or on the hub, from its config, given its numbers of weights, an adapter's
    included."""
    return Shape(parameters, trained, *_traced(source, revision))


@cache
def _traced(source: str, revision: str | None) -> tuple[int, float, float, float, float, int]:
    """Layers, and the bytes a token of `Shape`: the difference between the model with two layers and with one.

    The forward pass runs on tensors without data, so this takes a second for a model of any size.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source, revision=revision or "main")
    text = config.get_text_config()
    (one, cache_one), (two, cache_two) = (_saved(config, layers) for layers in (1, 2))
    kept, layers = 4.0 * text.hidden_size, text.num_hidden_layers
    layer = two - one
    return layers, layer, kept, max(0.0, one - layer), (cache_two - cache_one) * layers, text.vocab_size


def _saved(config: Any, layers: int) -> tuple[float, float]:
    """Bytes a token that a forward pass saves for the backward pass, and those of its key-value cache."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(config)
    text = config.get_text_config()
    if getattr(text, "layer_types", None):
        text.layer_types = (list(text.layer_types) * layers)[:layers]
    text.num_hidden_layers = layers
    held: dict[int, Any] = {}
    with FakeTensorMode():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        weights = {weight.untyped_storage()._cdata for weight in model.parameters()}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            held[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            out = model.train()(torch.ones(1, _TRACED, dtype=torch.long), use_cache=True, logits_to_keep=1)
        caches = getattr(out.past_key_values, "layers", ())
        cached = sum(part.nbytes for one in caches for part in (one.keys, one.values) if part is not None)
        saved = sum(storage.nbytes() for place, storage in held.items() if place not in weights)
    return saved / _TRACED, cached / _TRACED


def need(shape: Shape, load: Load, launch: Launch, options: Any) -> Need:
    """What a training takes on each device, given the trainer's config."""
    env, (_, deepspeed, stage) = launch.env, launch.env.distribution.partition("zero")
    zero, half = int(stage or 0), bool(options.bf16 or options.fp16)
    dtype = str((getattr(options, "model_init_kwargs", None) or {}).get("dtype", "")).removeprefix("torch.")
    is_half = deepspeed and half or dtype in ("bfloat16", "float16", "half")
    weight = 2 if is_half else 4  # under autocast the weights stay in float32
    state = next((size for part, size in _OPTIMIZER_BYTES.items() if part in str(options.optim)), 8)
    master = 4 if deepspeed and half else 0
    split = {stage: env.size if zero >= stage else 1 for stage in (1, 2, 3)}
    frozen = weight * shape.parameters / split[3]
    parts = {
        "weights": frozen * ("weights" not in launch.offload),
        "gradients": weight * shape.trained / split[2],
        "optimizer": (state + master) * shape.trained / split[1] * ("optimizer" not in launch.offload),
        "reference model": frozen * load.reference,
        "gathered weights": weight * shape.parameters / shape.layers * 2 if zero == 3 else 0.0,
        "reduction buckets": _BUCKET * shape.trained if env.distribution in ("ddp", "zero0") else 0.0,
        "half-precision copies": 2.0 * shape.parameters if half and not deepspeed else 0.0,
        "logits": 3.0 * 4 * min(_TILE, 4096 * shape.vocabulary),
        "libraries": _CUDA if env.device == "cuda" else _PROCESS,
    }
    checkpointed = getattr(options, "activation_checkpointing", None) or options.gradient_checkpointing
    layers = shape.layers * shape.kept + 2 * shape.layer if checkpointed else (shape.layers + 1) * shape.layer
    per_token = (layers + shape.outside) * (_MIXED if half else 1)
    return Need(parts, per_token, shape.cache * (1 + 1 / shape.layers) * (0.75 if half else 1), load)


def verdict(found: Need, launch: Launch) -> tuple[str, bool]:
    """A line about what is needed and available, and whether it fits."""
    budget, length = launch.budget, found.load.length
    if budget is None:
        return f"about {found.shown(length or 1024)}", True
    most = found.longest(budget)
    fits = found.total(length) <= budget if length else most >= _SHORT
    end = "it fits" if length else f"traces of up to {most:,} tokens fit"
    shown = found.shown(length or max(1, min(1024, most)))
    has = f"{size_in_words(budget)} {'a GPU' if launch.env.device == 'cuda' else 'a process'}"
    return f"about {shown} of {has}; {end if fits else 'it does not fit'}", fits


def launch_of(file: Path | None, processes: int | None, gpu_memory: float | None, env: LaunchEnv) -> Launch:
    """The launch to plan for, as `layout_of` finds it, on GPUs with so many GB, or on this machine's devices."""
    launch = layout_of(file, processes)
    capacity = round(gpu_memory * 1e9) if gpu_memory else _capacity(env)
    return replace(launch, env=replace(launch.env, device="cuda" if gpu_memory else env.device), capacity=capacity)


def _capacity(env: LaunchEnv) -> int:
    """Bytes that are free: on the GPU, or in main memory, as far as the process's control group allows."""
    import psutil
    import torch

    if env.device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    limits = [float(psutil.virtual_memory().available)]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(name).read_text(encoding="utf-8").strip() if Path(name).is_file() else "max"
        limits.append(math.inf if text == "max" else float(text))
    return int(min(limits))


def remedies(env: LaunchEnv, args: dict[str, Any], micro: int, own: list[str], *, adaptable: bool) -> Iterator[str]:
    """Settings that lower the memory that a training needs under a launch, cheapest first; `own` are the stage's, and
    `adaptable` says whether an adapter may be trained in place of all weights."""
    if micro > 1:
        yield f"args.per_device_train_batch_size: {micro // 2} (now {micro}); the result is the same, but slower"
    if not args.get("activation_checkpointing", args.get("gradient_checkpointing", env.device == "cuda")):
        yield "args.activation_checkpointing: true"
    if env.device == "cuda" and args.get("bf16") is False:
        yield "args.bf16: true"
    following = {"zero2": "zero3", "zero3": None}.get(env.distribution, "zero2")
    if following and env.device == "cuda":
        yield f"launch with launch/{following}.yaml" + (" on several GPUs" if env.size == 1 else "")
    yield from own
    if adaptable:
        yield "lora: {r: 16}, with a learning rate about ten times as high"
