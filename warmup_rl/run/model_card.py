"""The card of a trained model, `model/README.md`: its base, recipe, data and results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from warmup_rl.base.config import ADAPTER_FILE
from warmup_rl.base.files import aside
from warmup_rl.base.models import read_tags
from warmup_rl.recipe.schema import dump
from warmup_rl.run.cache import CARD
from warmup_rl.run.provenance import versions

if TYPE_CHECKING:
    from warmup_rl.run.trial import PlannedStage, Trial


def write_card(trial: Trial, planned: PlannedStage) -> None:
    """Writes the card of the model that a finished stage has made, or has measured."""
    key = planned.key if "model" in planned.stage.outputs else planned.inputs.get("model")
    made = next((one for one in trial.stages if one.key == key), None)
    if made is None or not ((folder := trial.entry(made).folder / "model") / "config.json").is_file():
        return
    with aside(folder / CARD) as part:
        part.write_text("\n".join(_lines(trial, made, folder)) + "\n", encoding="utf-8")


def _lines(trial: Trial, made: PlannedStage, folder: Path) -> Iterator[str]:
    recipe, stages = trial.recipe, trial.stages[: made.number]
    on_hub = recipe.model and not Path(recipe.model).expanduser().is_dir()
    is_adapter = (folder / ADAPTER_FILE).is_file()
    header = {
        **({"base_model": recipe.model} if on_hub else {}),
        "library_name": "peft" if is_adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["warmup_rl", *dict.fromkeys(one.stage.type for one in stages)],
    }
    revision = f" (revision `{recipe.model_revision}`)" if recipe.model_revision else ""
    yield from ("---", yaml.safe_dump(header, sort_keys=False).strip(), "---", "")
    yield from (f"# {recipe.run_name}: {trial.name}, after {made.stage.id}", "")
    yield from (f"Base: {f'`{recipe.model}`{revision}' if recipe.model else 'trained from scratch'}.", "")
    for tag, why in read_tags(folder).items():
        yield from (f"**No final model.** Tagged `{tag}`: {why}.", "")
    yield from ("## Results", "", *_results(trial, made), "")
    yield from ("## Data", "", *_data(trial, stages), "")
    config = {
        "format": trial.format.model_dump(mode="json"),
        "domains": {name: dump(domain) for name, domain in recipe.domains.items()},
        "stages": [dump(one.stage) for one in stages],
    }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    yield from ("## Recipe", "", f"Seed {trial.seed}. The stages that made this model:", "")
    yield from ("```yaml", text + "```", "")
    yield f"Versions: {', '.join(f'{name} {version}' for name, version in versions().items())}."


def _results(trial: Trial, made: PlannedStage) -> Iterator[str]:
    measured = [one for one in trial.stages if one.inputs.get("model") == made.key and trial.entry(one).done]
    cells = [cell for one in measured for cell in trial.entry(one).cells() if cell.split == "test"]
    if not cells:
        yield "Not measured yet."
        return
    yield from (
        "| domain | prompt | sampling | problems × samples | accuracy | with the form | chance |",
        "|" + "---|" * 7,
    )
    for cell in cells:
        yield (
            f"| {cell.domain} | {cell.prompt} | {cell.sampling} | {cell.problems} × {cell.samples} "
            f"| {cell.lenient:.3f} | {cell.strict:.3f} | {cell.chance:.3f} |"
        )


def _data(trial: Trial, stages: tuple[PlannedStage, ...]) -> Iterator[str]:
    files = {path: digest for one in stages for path, digest in one.data.items()}
    yield from (f"- `{path}`: SHA-256 `{digest}`" for path, digest in files.items())
    if not files:
        yield "All problems are generated from the recipe and the seed."
    yield f"- keys of the stages: {', '.join(f'{one.stage.id} `{one.key}`' for one in stages)}"
