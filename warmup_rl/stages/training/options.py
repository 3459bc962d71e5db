"""How the sequences of an optimizer step are split, and the config object of a trainer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from warmup_rl.base.errors import RunError, UserError
from warmup_rl.interfaces.stage import Context, LaunchEnv
from warmup_rl.stages.training.layout import require_agreement

if TYPE_CHECKING:
    from transformers import TrainingArguments

_LARGEST_ON_GPU = 8


@dataclass(frozen=True)
class Batch:
    """Split of the sequences of an optimizer step: `micro` per device and pass, `accumulation` passes."""

    micro: int
    accumulation: int


def split_batch(
    sequences: int, launch_env: LaunchEnv, *, largest: int | None = None, says: str = "batch_size"
) -> Batch:
    """Splits the sequences of an optimizer step over the processes of a launch, in as few passes as possible, at most
    `largest` per device and pass (default: 8 on a GPU). Raises `UserError`, beginning with `says`, if they cannot be
    split equally."""
    if sequences % launch_env.size:
        size = launch_env.size
        multiples = [number for number in (sequences // size * size, (sequences // size + 1) * size) if number]
        divisors = [number for number in range(1, sequences + 1) if sequences % number == 0]
        below, above = [n for n in divisors if n < size][-1:], [n for n in divisors if n > size][:1]
        raise UserError(
            f"{says}: {sequences} sequences a step cannot be split equally over {size} processes. Nearest legal: "
            f"{' or '.join(map(str, multiples))} sequences with {size} processes, or "
            f"{' or '.join(map(str, below + above))} processes with {sequences} sequences."
        )
    share = sequences // launch_env.size
    limit = largest or (_LARGEST_ON_GPU if launch_env.device == "cuda" else share)
    micro = max(size for size in range(1, min(limit, share) + 1) if share % size == 0)
    return Batch(micro=micro, accumulation=share // micro)


def trainer_options(
    kind: type[TrainingArguments], args: Mapping[str, Any], context: Context, batch: Batch, **owned: Any
) -> Any:
    """The config object of a trainer: our defaults, the recipe's `args`, and over them the options of every stage and
    `owned`, those of this one.

    Raises `UserError` for an option that does not exist or has an invalid value, or if the configuration of DeepSpeed
    contradicts the recipe, and `RunError` if the trainer would not use the processes that were launched.
    """
    launch_env = context.launch_env
    if not launch_env.distribution.startswith("zero"):
        sys.modules.setdefault("deepspeed", None)  # type: ignore[arg-type]  # accelerate imports it wherever it can
    elif launch_env.device == "cpu":
        if sys.modules.get("deepspeed", ...) is None:  # hidden for a training before this one
            del sys.modules["deepspeed"]
        import deepspeed.ops

        # Keeps DeepSpeed on gloo: its shared-memory operator for CPUs would be compiled first (30 s, needs a compiler).
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    os.environ["ACCELERATE_MIXED_PRECISION"] = "no"  # otherwise a launcher's own default decides silently
    merged = {
        **_defaults(args, launch_env),
        **args,
        "output_dir": str(context.folder / "trainer"),
        "seed": context.seed,
        "data_seed": context.seed,
        "run_name": f"{context.tracking.group}/{context.arm}/{context.seed}/{context.stage_id}",
        **_tracker(context),
        "per_device_train_batch_size": batch.micro,
        "gradient_accumulation_steps": batch.accumulation,
        "save_strategy": "no",
        "eval_strategy": "no",
        "use_cpu": launch_env.device == "cpu",
        "disable_tqdm": True,
        **owned,
    }
    try:
        options = kind(**merged)
    except (TypeError, ValueError, ImportError) as error:
        raise UserError(f"{context.stage_id}.args: {kind.__name__} refuses them: {error}") from None
    _require_launch(options, launch_env)
    if options.deepspeed_plugin is not None:
        require_agreement(options.deepspeed_plugin.deepspeed_config, options, launch_env.size, context.stage_id)
    if launch_env.device == "cpu" and options.deepspeed_plugin is not None:
        options.deepspeed_plugin.deepspeed_config["zero_force_ds_cpu_optimizer"] = False  # it would be compiled, too
    return options


@contextmanager
def without_zero(context: Context) -> Iterator[Context]:
    """The same processes without ZeRO, for a training that needs its parameters whole on each of them."""
    env = context.launch_env
    if not env.distribution.startswith("zero"):
        yield context
        return
    import deepspeed  # noqa: F401  # otherwise hidden below, and transformers' trainer, once loaded, stays without it

    hidden = os.environ.pop("ACCELERATE_USE_DEEPSPEED", None)
    try:
        yield replace(context, launch_env=replace(env, distribution="ddp" if env.size > 1 else "single"))
    finally:
        if hidden is not None:
            os.environ["ACCELERATE_USE_DEEPSPEED"] = hidden


def _tracker(context: Context) -> dict[str, Any]:
    """What makes transformers log to Trackio or TensorBoard; W&B's run of the trial is fed by `tracking`."""
    tracking = context.tracking
    if tracking.to == "tensorboard":
        place = tracking.folder / "tensorboard" / context.arm / f"seed-{context.seed}" / context.stage_id
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(place)  # what its callback reads
    if tracking.to not in ("trackio", "tensorboard"):
        return {"report_to": []}
    return {"report_to": [tracking.to], **({"project": tracking.project} if tracking.to == "trackio" else {})}


def _defaults(args: Mapping[str, Any], launch_env: LaunchEnv) -> dict[str, Any]:
    import torch

    half_precision = launch_env.device == "cuda" and torch.cuda.is_bf16_supported() and not args.get("fp16")
    defaults: dict[str, Any] = {"bf16": half_precision, "logging_steps": 1}
    if "gradient_checkpointing" not in args:
        defaults["activation_checkpointing"] = launch_env.device == "cuda"
    return defaults


def _require_launch(options: TrainingArguments, launch_env: LaunchEnv) -> None:
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if not options.world_size == size == launch_env.size:
        raise RunError(
            f"world size: the launcher started {size} processes, the trainer sees {options.world_size}. Launch with a "
            "file under launch/: accelerate launch --config_file launch/ddp.yaml --num_processes N -m ..."
        )
    plugin = options.deepspeed_plugin
    stage = f"zero{plugin.zero_stage}" if plugin is not None else None
    wanted = launch_env.distribution if launch_env.distribution.startswith("zero") else None
    if stage != wanted:
        raise RunError(
            f"distribution: {launch_env.distribution} was launched, the trainer runs {stage or 'without ZeRO'}."
        )
