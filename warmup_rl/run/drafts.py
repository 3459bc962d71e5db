"""What is found out before a run: can completions be drawn from the drafts of models that stages build, and the note
that a check was passed.

No stage imports this, so that its code decides no key of an output.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from site import getsitepackages
from socket import gethostname
from typing import TYPE_CHECKING, Any

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import refused
from warmup_rl.interfaces.chat import load_tokenizer
from warmup_rl.recipe.schema import Recipe, dump
from warmup_rl.run.cache import key_of, note_of
from warmup_rl.run.code_digest import code_digest
from warmup_rl.run.provenance import versions
from warmup_rl.stages.training.preflight import quick_model, tiny_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from warmup_rl.run.trial import PlannedStage


def require_completions(folder: Path, place: str) -> None:
    """Has the model of a draft, with random weights, complete prompts, unless it is large. Raises `UserError` if it
    cannot."""
    from transformers import AutoConfig

    from warmup_rl.engines.hf import generate

    tokenizer, model = load_tokenizer(folder), quick_model(AutoConfig.from_pretrained(str(folder)))
    if model is None:
        return
    prompts, sampling = ["? " * (1 + number // 2) for number in range(8)], Sampling(temperature=1.0, max_tokens=8)

    def draw(one: PreTrainedModel) -> None:
        one.generation_config.eos_token_id = list(range(0, len(tokenizer), 2))  # rows end one by one
        generate(one, tokenizer, prompts, sampling, batch_size=8, seed=0)

    with refused(
        f"{place}: no completions can be drawn from such a model: ", control=lambda: draw(tiny_model(tokenizer))
    ):
        draw(model)


def checked_note(recipe: Recipe, stages: Iterable[PlannedStage], launch: Sequence[Any]) -> Path:
    """The note in the cache that stages were prepared for a launch: by their settings, code and libraries, here."""
    installed = [Path(folder).stat().st_mtime_ns for folder in getsitepackages() if Path(folder).is_dir()]
    here = [gethostname(), os.environ.get("CUDA_VISIBLE_DEVICES"), installed, dict(versions())]
    made = sorted({key_of([planned.current, dump(planned.stage)]) for planned in stages})
    code = code_digest([], (f"{__name__}:{require_completions.__name__}",))
    return note_of(recipe.output_dir, "checked", made, code, here, launch)
