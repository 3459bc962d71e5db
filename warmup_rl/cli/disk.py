"""How much of the disk a run takes: weights of its models, a checkpoint, and the text of all completions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from warmup_rl.base.config import ADAPTER_FILE
from warmup_rl.base.console import counted, size_in_words
from warmup_rl.base.errors import UserError
from warmup_rl.base.files import free_bytes
from warmup_rl.base.models import base_of
from warmup_rl.interfaces.stage import Stage, StagePreview
from warmup_rl.recipe.schema import Recipe
from warmup_rl.run.trial import Trial
from warmup_rl.stages.training.checkpoints import BYTES_PER_TRAINED, BYTES_PER_WEIGHT

_SMALL_VOCABULARY = 1024
_BYTES_PER_TOKEN = 5
"""A token is about 4 characters of English; a row of completions repeats the question and the score."""


def require_disk(trials: Sequence[Trial]) -> None:
    """Raises `UserError` if the disk has no room for the models of a run and a checkpoint."""
    if lack := disk_lack(trials):
        raise UserError(f"{lack} Make room, choose another disk, run fewer seeds or arms, or train adapters (lora).")


def disk_lack(trials: Sequence[Trial]) -> str:
    """What the disk has no room for; empty if it has, or the size of the models is not known."""
    recipe = trials[0].recipe
    weights, folder = parameters(recipe), Path(recipe.output_dir).absolute()
    todo = {(trial.seed, one.key): one.stage for trial in trials for one in trial.stages if not trial.entry(one).done}
    whole = (stage for stage in todo.values() if getattr(stage, "save", None) != "adapter")
    models = [stage for stage in whole if "model" in stage.outputs]
    if weights is None or not models:
        return ""
    full = any(getattr(stage, "checkpoint", None) and getattr(stage, "lora", None) is None for stage in models)
    widths = [BYTES_PER_WEIGHT if getattr(stage, "dtype", "float32") == "float32" else 2 for stage in models]
    needed = weights * (sum(widths) + (BYTES_PER_TRAINED if full else 0))
    free = free_bytes(folder)
    if needed <= free:
        return ""
    return (
        f"output_dir: {folder} has {size_in_words(free)} free, {size_in_words(needed)} or more are needed for "
        f"{counted(len(models), 'model')}{' and a checkpoint' if full else ''}."
    )


def disk_estimate(recipe: Recipe, made: Mapping[str, Stage], preview: Mapping[str, StagePreview]) -> str:
    """An upper estimate of the size of the stage outputs: weights of all models, and the text of all completions."""
    models = len(recipe.seeds) * sum("model" in stage.outputs for stage in made.values())
    tokens = len(recipe.seeds) * sum(tokens_of(preview[key]) for key in made)
    weights = parameters(recipe)
    texts = tokens * _BYTES_PER_TOKEN
    if weights is None:
        return f"at most about {size_in_words(texts)} of text, and {counted(models, 'model')}"
    size = weights * BYTES_PER_WEIGHT
    total = size_in_words(models * size + texts + (BYTES_PER_TRAINED * weights if models else 0))
    return f"at most about {total}: {counted(models, 'model')} of {size_in_words(size)}, a checkpoint, and text"


def tokens_of(preview: StagePreview) -> int:
    """Tokens that a stage writes at most, as far as its preview counts them."""
    counts = preview.counts.items()
    return sum(int(value) for name, value in counts if "tokens" in name and isinstance(value, int | float))


def parameters(recipe: Recipe) -> int | None:
    """Number of parameters of the model, from its files, its name or its shape; None if unknown."""
    if model := recipe.model:
        folder = Path(model).expanduser()
        model = base_of(folder)[0] if (folder / ADAPTER_FILE).is_file() else model
        files = [*Path(model).expanduser().glob("*.safetensors")]
        billions = re.search(r"(\d+(?:\.\d+)?)\s*([bm])\b", model.lower())
        guess = int(float(billions[1]) * {"b": 1e9, "m": 1e6}[billions[2]]) if billions else None
        return sum(map(_weights, files)) if files else guess
    shape = next((getattr(stage, "model", None) for stage in recipe.stages if "model" in stage.outputs), None)
    if not isinstance(shape, dict) or not {"hidden_size", "num_hidden_layers"} <= shape.keys():
        return None
    width, inner = shape["hidden_size"], shape.get("intermediate_size", 4 * shape["hidden_size"])
    layers = shape["num_hidden_layers"] * (4 * width * width + 3 * width * inner)
    return int(layers + width * shape.get("vocab_size", _SMALL_VOCABULARY))


def _weights(file: Path) -> int:
    """Number of parameters in a safetensors file, from its header, or from its size if the file is broken."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as weights:
            return sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())
    except SafetensorError:
        return file.stat().st_size // BYTES_PER_WEIGHT
