"""How a launch splits a training over processes, and a configuration of DeepSpeed against the recipe's values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from warmup_rl.base.errors import RunError, UserError, refused
from warmup_rl.base.jsonl import parse_object, read_text
from warmup_rl.base.untrusted import parse_yaml, shaped
from warmup_rl.interfaces.stage import Distribution, LaunchEnv

Settings = Mapping[str, Any]
_AUTO = "auto"
_FIX = "Make it a configuration file of accelerate, as those under launch/ are."
_OFFLOADED = {"optimizer": "offload_optimizer", "weights": "offload_param"}


@dataclass(frozen=True)
class Launch:
    """How a launch splits a training, and over what.

    Attributes:
        env: one of its processes.
        nodes: machines that they are spread over.
        deepspeed: the configuration of DeepSpeed; None without it.
        capacity: bytes of a device, or of a machine's main memory on a CPU; None if unknown.
    """

    env: LaunchEnv
    nodes: int = 1
    deepspeed: Settings | None = None
    capacity: int | None = None

    @property
    def local(self) -> int:
        """Processes of a machine."""
        return -(-self.env.size // self.nodes)

    @property
    def budget(self) -> int | None:
        """Bytes that one process may take."""
        if self.capacity is None or self.env.device == "cuda":
            return self.capacity
        return self.capacity // self.local

    @property
    def offload(self) -> frozenset[str]:
        """Parts that DeepSpeed keeps outside the GPUs: `optimizer`, `weights`."""
        zero = (self.deepspeed or {}).get("zero_optimization") or {}
        devices = {part: (zero.get(key) or {}).get("device") for part, key in _OFFLOADED.items()}
        return frozenset(part for part, device in devices.items() if device not in (None, "none"))


def layout_of(file: Path | None = None, processes: int | None = None) -> Launch:
    """The launch of a configuration file of accelerate, on CPUs, with so many processes in place of its own; without a
    file, that of this process. Raises `RunError` if training is not split in such a way, or the configuration of
    DeepSpeed is missing or broken."""
    settings = shaped(_Settings, _of_environment() if file is None else _of_file(file), file or "launch", _FIX)
    size = processes or settings.num_processes or 1
    env = LaunchEnv(size=size, distribution="ddp" if size > 1 else "single")
    found = Launch(env, settings.num_machines or 1)
    kind = settings.distributed_type or "NO"
    if kind not in ("NO", "DEEPSPEED") and not kind.startswith("MULTI_"):
        raise RunError(
            f"{kind} is not supported. launch/zero3.yaml splits the same over the processes, "
            "launch/zero3-offload.yaml keeps it in the memory of the machine."
        )
    if file is not None:
        _require_launcher(file, size)
    if kind == "DEEPSPEED":
        deepspeed = _deepspeed(settings.deepspeed_config or {})
        stage = str((deepspeed.get("zero_optimization") or {}).get("stage", 0))
        distribution: Any = f"zero{stage}"
        if distribution not in get_args(Distribution):
            raise RunError(f"DeepSpeed ZeRO stage {stage!r} is not supported. Allowed: 0, 1, 2, 3.")
        return replace(found, env=replace(env, distribution=distribution), deepspeed=deepspeed)
    return found


class _Settings(BaseModel):
    """The part of accelerate's configuration that decides how a training is split."""

    num_processes: int | None = Field(default=None, gt=0)
    num_machines: int | None = Field(default=None, gt=0)
    distributed_type: str | None = None
    deepspeed_config: dict[str, Any] | None = None


class _DeepSpeed(BaseModel):
    """The sections of a configuration of DeepSpeed that are looked into."""

    model_config = ConfigDict(extra="allow")

    zero_optimization: dict[str, Any] | None = None
    optimizer: dict[str, Any] | None = None
    scheduler: dict[str, Any] | None = None


def _of_file(file: Path) -> Any:
    """A configuration file, which accelerate's own reader has taken too. Raises `UserError`."""
    from accelerate.commands.config.config_args import load_config_from_file

    with refused(f"{file}: accelerate cannot read it (", f"). {_FIX}"):
        found = parse_yaml(read_text(file))
        load_config_from_file(str(file))
    return found or {}


def _require_launcher(file: Path, size: int) -> None:
    """Raises `UserError` where accelerate's launcher does not start so many processes with a configuration file."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils import prepare_simple_launcher_cmd_env

    given = f"--num_processes {size} --main_process_ip localhost --main_process_port 1".split()  # by the command line
    with refused(f"{file}: accelerate's launcher refuses it: "):
        arguments = launch_command_parser().parse_args(["--config_file", str(file), *given, "program"])
        prepare_simple_launcher_cmd_env(_validate_launch_command(arguments)[0])


def _of_environment() -> Settings:
    """What accelerate's launcher tells its processes, in the form of its configuration files."""
    given = {key.removeprefix("ACCELERATE_"): value for key, value in os.environ.items() if "ACCELERATE_" in key}
    kinds = ("DEEPSPEED", "FSDP", "MEGATRON_LM")
    names = {
        "deepspeed_config_file": "DEEPSPEED_CONFIG_FILE",
        "zero_stage": "DEEPSPEED_ZERO_STAGE",
        "offload_optimizer_device": "DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE",
        "offload_param_device": "DEEPSPEED_OFFLOAD_PARAM_DEVICE",
        "gradient_accumulation_steps": "GRADIENT_ACCUMULATION_STEPS",
        "gradient_clipping": "GRADIENT_CLIPPING",
    }
    return {
        "num_processes": os.environ.get("WORLD_SIZE"),
        "num_machines": os.environ.get("GROUP_WORLD_SIZE"),
        "distributed_type": next((kind for kind in kinds if given.get(f"USE_{kind}", "").lower() == "true"), None),
        "deepspeed_config": {key: given[name] for key, name in names.items() if name in given},
    }


def _deepspeed(fields: Settings) -> Settings:
    """DeepSpeed's configuration: the user's own file, or what accelerate makes of its fields."""
    if file := fields.get("deepspeed_config_file"):
        try:
            own = parse_object(file, read_text(Path(file)))
        except OSError as error:
            why = error.strerror
            raise RunError(f"deepspeed_config_file: {file} is no readable JSON ({why}). Check the path.") from None
        shaped(_DeepSpeed, own, file, "Make it a configuration of DeepSpeed.")
        return {"gradient_accumulation_steps": 1, **own}
    return {
        "train_micro_batch_size_per_gpu": _AUTO,
        "gradient_accumulation_steps": fields.get("gradient_accumulation_steps", _AUTO),
        "gradient_clipping": fields.get("gradient_clipping", _AUTO),
        "zero_optimization": {
            "stage": fields.get("zero_stage", 2),
            **{key: {"device": fields.get(f"{key}_device", "none")} for key in _OFFLOADED.values()},
        },
    }


def require_agreement(deepspeed: Settings, options: Any, size: int, place: str) -> None:
    """Raises `UserError` with all values of a configuration of DeepSpeed that are not those of the trainer's config for
    this many processes; `place` is the stage, for the message."""
    if lines := list(contradictions(deepspeed, options, size)):
        listed = "".join(f"\n  {line}" for line in lines)
        raise UserError(f"{place}: the configuration of DeepSpeed contradicts the recipe:{listed}")


def contradictions(deepspeed: Settings, options: Any, size: int) -> Iterator[str]:
    """A line for each contradiction; the trainer refuses some of them after the model is loaded, and others win."""
    micro, passes = options.per_device_train_batch_size, options.gradient_accumulation_steps
    wanted = {
        "train_batch_size": size * micro * passes,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": passes,
        "gradient_clipping": options.max_grad_norm,
        "bf16.enabled": bool(options.bf16),
        "fp16.enabled": bool(options.fp16),
    }
    needed = {"gradient_clipping"} if options.max_grad_norm else set()
    if "train_batch_size" not in deepspeed:
        needed.add("train_micro_batch_size_per_gpu")
    if optimizer := deepspeed.get("optimizer"):
        wanted |= {
            "optimizer.params.lr": options.learning_rate,
            "optimizer.params.betas": [options.adam_beta1, options.adam_beta2],
            "optimizer.params.eps": options.adam_epsilon,
            "optimizer.params.weight_decay": options.weight_decay,
        }
        needed |= {key for key in wanted if key.startswith("optimizer.")}
        kind, own = str(optimizer.get("type")), getattr(options.optim, "value", options.optim)
        if kind.lower() not in ("adam", "adamw") or not own.startswith("adamw"):
            yield f"optimizer.type is {kind}, the recipe's args.optim {own}. Leave the section `optimizer` out."
    if scheduler := deepspeed.get("scheduler"):
        own = getattr(options.lr_scheduler_type, "value", options.lr_scheduler_type)
        yield (
            f"scheduler.type is {scheduler.get('type')}, the recipe's args.lr_scheduler_type {own}. Leave the section "
            "`scheduler` out."
        )
    for key, value in wanted.items():
        found = _value(deepspeed, key)
        if found is None and key in needed or found not in (None, _AUTO) and not _equal(found, value):
            there = "missing" if found is None else found
            yield f"{key} is {there}, by the recipe {value}. Set it to {_AUTO!r}."


def _value(settings: Settings, address: str) -> Any:
    found: Any = settings
    for key in address.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _equal(found: Any, value: Any) -> bool:
    """Whether two settings are the same; accelerate passes on numbers as text."""
    if isinstance(value, list) and isinstance(found, list | tuple):
        return len(found) == len(value) and all(map(_equal, found, value))
    try:
        return float(found) == float(value)
    except (TypeError, ValueError):
        return bool(found == value)
