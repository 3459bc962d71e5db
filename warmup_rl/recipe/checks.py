"""What the keys of a recipe must be to each other, and to the machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmup_rl.domain import Domain
from warmup_rl.evaluation import EvaluationSettings
from warmup_rl.plugins import suggestion
from warmup_rl.recipe.document import Address
from warmup_rl.recipe.schema import ClaimSettings
from warmup_rl.stage import Stage

MAX_RLVR_PROBLEMS = 100
"""The method's promise: RLVR on at most this many problems, unless `allow_more` says otherwise."""

Found = Iterator[tuple[Address, str]]


@dataclass(frozen=True)
class Draft:
    """A recipe on its way: what could be built; None stands for what is broken and reported elsewhere.

    Attributes:
        data: the keys as written.
        kinds: class of each stage, known even where its config is broken.
        ids: of the stages, as written.
    """

    data: dict[str, Any]
    domains: dict[str, Domain | None]
    stages: list[Stage | None]
    kinds: list[type[Stage] | None]
    ids: list[str]
    evaluation: EvaluationSettings | None


def cross_checks(draft: Draft, world_size: int) -> Found:
    """Checks that hold for the recipe as a whole, whatever its arms."""
    yield from _evaluation(draft)
    yield from _claims(draft)
    yield from _model(draft)
    folder = draft.data.get("output_dir", "outputs")
    if isinstance(folder, str) and folder:
        yield from _output_dir(Path(folder))
    for index, stage in enumerate(draft.stages):
        if stage is not None:
            yield from stage_checks(draft, index, stage, world_size)


def chain_checks(draft: Draft, indices: Sequence[int], arm: str) -> Found:
    """Whether each stage of an arm, given by their indices, is given what it needs by those before it."""
    given: set[str] = {"model"} if draft.data.get("model") else set()
    for index in indices:
        kind = draft.kinds[index]
        if kind is None:
            return
        for artifact in sorted(kind.needs - given):
            stage = repr(draft.ids[index]) + (f" in arm {arm!r}" if isinstance(draft.data.get("arms"), dict) else "")
            yield ("stages", index), f"stage {stage} needs {_NEEDS[artifact]}. {_fix(draft, artifact)}"
        given |= kind.gives


_NEEDS = {
    "model": "a model, and no stage before it gives one, nor does the key 'model'",
    "traces": "traces, and no stage before it gives any",
}


def _fix(draft: Draft, artifact: str) -> str:
    stages = zip(draft.ids, draft.kinds, strict=True)
    ids = [own for own, kind in stages if kind and artifact in kind.gives - kind.needs]
    beginning = f"Put {' or '.join(ids)} before it" if ids else _FIXES[artifact]
    return f"{beginning}, or leave this stage out."


_FIXES = {"model": "Set 'model', or begin with 'pretrain'", "traces": "Put a 'distill' stage before it"}


def stage_checks(draft: Draft, index: int, stage: Stage, world_size: int) -> Found:
    """What is wrong with a stage beyond the types of its keys."""
    address: Address = ("stages", index)
    reported = set()
    for line in stage.check(world_size=world_size):
        key, _, message = line.partition(": ")
        reported.add(key)
        yield (*address, *key.split(".")), message
    problems = getattr(stage, "problems", None)
    if getattr(stage, "allow_more", None) is False and "problems" not in reported and isinstance(problems, int):
        if problems > MAX_RLVR_PROBLEMS:
            yield (
                (*address, "problems"),
                f"at most {MAX_RLVR_PROBLEMS} RLVR problems (got {problems}). "
                f"Take {MAX_RLVR_PROBLEMS}, or add 'allow_more: true' to this stage if more are meant.",
            )
    if draft.evaluation is None:
        return
    measured = draft.evaluation.measured(draft.domains)  # reported under 'evaluation'
    for name in stage.domains_used(draft.evaluation, draft.domains):
        if name not in draft.domains and name not in measured:
            yield (*address, *_key_holding(stage, name)), _undeclared(name, draft)


def _key_holding(stage: Stage, value: str) -> Address:
    """The field of a stage in which a domain's name stands, to point at."""
    for name in type(stage).model_fields:
        held = getattr(stage, name)
        if held == value or isinstance(held, list | tuple) and value in held:
            return (name,)
    return ()


def _undeclared(name: str, draft: Draft) -> str:
    hint = suggestion(name, draft.domains)
    return f"domain {name!r} is not declared.{hint} Under 'domains': {', '.join(draft.domains)}."


def _evaluation(draft: Draft) -> Found:
    settings = draft.evaluation
    if settings is None:
        return
    if settings.domains != "all":
        for position, name in enumerate(settings.domains):
            if name not in draft.domains:
                yield ("evaluation", "domains", position), _undeclared(name, draft)
    if settings.headline not in settings.samplings:
        names = ", ".join(settings.samplings)
        hint = suggestion(settings.headline, settings.samplings)
        yield ("evaluation", "headline"), f"no sampling {settings.headline!r}.{hint} Under 'samplings': {names}."


def _claims(draft: Draft) -> Found:
    claims, arms = draft.data.get("claims"), draft.data.get("arms")
    if not isinstance(claims, dict) or not isinstance(arms, dict):
        return
    for role in ("warmup", "base", "format_only"):
        name = claims.get(role)
        default = ClaimSettings.model_fields[role].default
        if isinstance(name, str) and name not in arms and name != default:
            yield ("claims", role), f"no arm {name!r}.{suggestion(name, arms)} Arms: {', '.join(arms)}."


def _model(draft: Draft) -> Found:
    model = draft.data.get("model")
    maker = next((i for i, kind in enumerate(draft.kinds) if kind and "model" in kind.gives and not kind.needs), None)
    if model is not None and maker is not None:
        yield ("model",), f"a model is given, and stage {draft.ids[maker]!r} builds one. Remove one of the two."
    if not isinstance(model, str) or not model:
        if draft.data.get("model_revision") is not None:
            yield ("model_revision",), "there is no 'model' that it could be a revision of. Remove it, or set 'model'."
        return
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            yield ("model",), f"the folder {model} holds no model (no config.json)."
    elif model.startswith((".", "/", "~")) or model.count("/") > 1:
        yield ("model",), f"no such folder: {model} (looked from {Path.cwd()})."


def _output_dir(folder: Path) -> Found:
    """Whether a file can be made in the folder, or in the nearest one above that exists; leaves nothing behind."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return
    except OSError as error:
        reason = "not a folder" if existing.is_file() else f"not writable: {error.strerror}"
        message = f"cannot be written (got {str(folder)!r}; {existing} is {reason}). Choose another folder."
        yield ("output_dir",), message
