"""Loads a causal language model for generation or scoring, and looks at the weights in a folder."""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from warmup_rl.base.config import ADAPTER_FILE
from warmup_rl.base.errors import UserError, first_line, refused
from warmup_rl.base.jsonl import parse_object, read_json, read_text, write_json

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


TAGS_FILE = "warmup_rl_tags.json"
"""File in a model folder: what a user of the model must know about its training, by tag."""


def read_tags(model: str | Path) -> dict[str, str]:
    """The tags of a model, such as `control: random`; empty for hub models and others that have none."""
    path = Path(model) / TAGS_FILE
    return dict(read_json(path)) if path.is_file() else {}


def write_tags(folder: Path, tags: Mapping[str, str]) -> None:
    """Tags the model in a folder; the stages that train it on pass its tags on."""
    write_json(folder / TAGS_FILE, dict(tags))


def load_model(
    folder_or_id: str, revision: str | None = None, dtype: str = "auto", device: str | None = None
) -> PreTrainedModel:
    """A causal language model in evaluation mode, on `device`, by default a GPU if there is one; an adapter that was
    saved alone is merged into its base. Raises `UserError` if the model, or the base of an adapter, cannot be loaded.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if (Path(folder_or_id) / ADAPTER_FILE).is_file():
        base, base_revision = base_of(Path(folder_or_id))
        model = with_adapter(load_model(base, base_revision, "float32", "cpu"), Path(folder_or_id))
        wanted = AutoConfig.from_pretrained(folder_or_id).dtype if dtype == "auto" else getattr(torch, dtype)
        return model.to(wanted).to(device).eval()
    try:
        require_decoder(AutoConfig.from_pretrained(folder_or_id, revision=revision or "main"), folder_or_id)
        model = AutoModelForCausalLM.from_pretrained(
            folder_or_id, revision=revision or "main", dtype=dtype, trust_remote_code=False
        )
    except (OSError, ValueError, SafetensorError, UnpicklingError) as error:
        raise UserError(
            f"{folder_or_id}: no model can be loaded ({first_line(error)}). Give a folder with model "
            "files, or the id of a hub model that is cached or can be downloaded."
        ) from None
    return model.to(device).eval()


def require_decoder(config: PretrainedConfig, name: str) -> None:
    """Raises `UserError` for the config of a model with an encoder, of which transformers would load the decoder alone,
    and TRL would train all."""
    if getattr(config, "is_encoder_decoder", False):
        raise UserError(
            f"{name}: a model of type {config.model_type} reads prompts with an encoder. Give a causal language model."
        )


def bare(model: Any) -> Any:
    """A model of transformers without what accelerate, torch and peft have put around it; the adapter stays in it."""
    from accelerate.utils import extract_model_from_parallel

    model = extract_model_from_parallel(model, keep_torch_compile=False)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def takes(model: Any, *names: str) -> bool:
    """Whether the forward pass of a model has parameters of these names."""
    return set(names) <= inspect.signature(type(bare(model)).forward).parameters.keys()


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode, which also disables gradient checkpointing; the mode is restored afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def positions(mask_BT: torch.Tensor) -> torch.Tensor:
    """The position of each token in its row [batch, tokens], from a mask that is 0 at padding."""
    return (mask_BT.cumsum(-1) - 1).clamp(min=0)


def dtype_of(folder_or_id: str, revision: str | None = None) -> str:
    """The data type that a model's weights were saved in, by its config; `auto` where it does not say."""
    from transformers import AutoConfig

    dtype = AutoConfig.from_pretrained(folder_or_id, revision=revision or "main").dtype
    return str(dtype).removeprefix("torch.") if dtype else "auto"


def base_of(adapter: Path) -> tuple[str, str | None]:
    """The model that an adapter belongs to, and its revision: that of another stage also where both were moved. Raises
    `UserError` if the adapter names none."""
    file = adapter / ADAPTER_FILE
    settings = parse_object(str(file), read_text(file))
    name = settings.get("base_model_name_or_path")
    if not name:
        raise UserError(f"{file}: names no base model.")
    moved = adapter.resolve().parents[1].joinpath(*Path(name).parts[-2:])
    return (str(moved) if not Path(name).is_dir() and moved.is_dir() else name), settings.get("revision")


def tokenizer_of(adapter: Path, base: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer in the folder of an adapter, else that of its base."""
    from transformers import AutoTokenizer

    if (adapter / "tokenizer_config.json").is_file():
        return AutoTokenizer.from_pretrained(str(adapter))
    return AutoTokenizer.from_pretrained(base, revision=revision or "main")


def with_base(adapter: Path) -> Path:
    """A folder in the user's cache with an adapter and what a model folder has besides weights: config, generation
    config and tokenizer, those of the base where the adapter has none. Raises `UserError` if the base cannot be found.
    """
    from transformers import AutoConfig, GenerationConfig

    files = sorted(adapter.glob("adapter_*"))
    seen = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warmup_rl" / "adapters"
    folder = home / f"{adapter.resolve().name}-{hashlib.sha256(repr(seen).encode()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    base, revision = base_of(adapter)
    base = str(Path(base).resolve()) if Path(base).is_dir() else base
    home.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=home))
    try:
        with refused(f"{adapter}: its base {base}: "):
            of_base = {"revision": revision or "main"}
            AutoConfig.from_pretrained(base, **of_base).save_pretrained(str(made))
            with suppress(OSError):  # most bases have one
                GenerationConfig.from_pretrained(base, **of_base).save_pretrained(str(made))
            tokenizer_of(adapter, base, revision).save_pretrained(str(made))
        for file in files:
            shutil.copy2(file, made)
        settings = parse_object(ADAPTER_FILE, read_text(adapter / ADAPTER_FILE))
        write_json(made / ADAPTER_FILE, {**settings, "base_model_name_or_path": base})
        with suppress(OSError):  # another process was faster
            made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def with_adapter(base: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """The base with an adapter of peft merged into its weights. Raises `UserError` where they do not fit."""
    from peft import PeftModel

    with refused(f"{adapter}: does not fit its base {base.name_or_path}: "):
        return PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()


def weights_in(folder: Path) -> Iterator[tuple[str, bool]]:
    """The name of each tensor in the safetensors files of a folder, and whether all of its values are finite."""
    import torch
    from safetensors import SafetensorError, safe_open

    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(str(file), framework="pt") as weights:
                for name in weights.keys():
                    yield name, bool(torch.isfinite(weights.get_tensor(name)).all())
        except SafetensorError as error:
            raise UserError(
                f"{file}: the weights cannot be read ({error}). The file is damaged: take another copy."
            ) from None


def pickled_only(folder: Path) -> str:
    """A message for a folder with pickled weights and no others; empty for every other folder."""
    pickled = sorted(path.name for kind in ("*.bin", "*.pt", "*.pth") for path in folder.glob(kind))
    if not pickled or any(folder.glob("*.safetensors")):
        return ""
    return (
        f"the weights of {folder} are pickled ({pickled[0]}), and reading a pickle can run code. Where you trust them, "
        "load them with transformers and write them with `save_pretrained(..., safe_serialization=True)`."
    )


def require_finite(folder: Path) -> None:
    """Raises `UserError` if a weight of the model in a folder is not a finite number, or cannot be read; the message
    names it."""
    if fault := pickled_only(folder):
        raise UserError(fault)
    for name, finite in weights_in(folder):
        if not finite:
            raise UserError(
                f"{folder}: the weights {name} have values that are not finite (NaN or infinite), so every output "
                "would be NaN. The file is damaged, or the training that made it diverged: take another copy."
            )
