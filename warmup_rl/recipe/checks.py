"""What the keys of a recipe must be to each other, and to the machine."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmup_rl.base.config import Sampling
from warmup_rl.interfaces.domain import Domain, is_folded
from warmup_rl.interfaces.engine import Engine
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.interfaces.stage import Stage
from warmup_rl.recipe.schema import ClaimSettings
from warmup_rl.recipe.yaml_source import Address

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
    yield from _folds(draft)
    folder = draft.data.get("output_dir", "outputs")
    if isinstance(folder, str) and folder:
        yield from _output_dir(Path(folder))
    for index, stage in enumerate(draft.stages):
        if stage is not None:
            yield from stage_checks(draft, index, stage, world_size)


def _folds(draft: Draft) -> Found:
    folded = [name for name, domain in draft.domains.items() if domain is not None and is_folded(domain)]
    for name in folded[1:]:
        yield ("domains", name, "folds"), f"domain {folded[0]!r} has folds already, and one domain of a recipe may."
    for name in folded[:1]:
        if draft.evaluation and name not in draft.evaluation.measured(draft.domains):
            yield ("domains", name, "folds"), f"nothing measures domain {name!r}. Add it to 'evaluation.domains'."


def chain_checks(draft: Draft, left_out: Mapping[str, Collection[int]]) -> Found:
    """Whether each stage of each arm is given what it needs by those before it.

    Args:
        left_out: indices of the stages that an arm leaves out, by arm.
    """
    every = range(len(draft.kinds))
    kept = {index for out in left_out.values() for index in every if index not in out}
    missing = _by_artifact(lack for lack in _lacks(draft, every) if lack[1] in kept)
    for artifact, lacking in missing.items():
        need = _NEEDS.get(artifact, f"{artifact}, and no stage before gives any")
        yield ("stages", lacking[0]), f"{_needing(draft, lacking)} {need}. {_fix(draft, artifact)}"
    for arm, out in left_out.items():
        for artifact, lacking in _by_artifact(_lacks(draft, [i for i in every if i not in out])).items():
            makers = _makers_among(draft, artifact, out, before=lacking[0])
            if makers and artifact not in missing:
                yield ("arms", arm, "leave_out"), _left_without(draft, arm, artifact, makers, lacking)


def _lacks(draft: Draft, indices: Iterable[int]) -> Iterator[tuple[str, int]]:
    """What a stage needs and none of `indices` before it gives, with the stage's index; ends where a kind is broken."""
    given: set[str] = {"model"} if draft.data.get("model") else set()
    for index in indices:
        kind = draft.kinds[index]
        if kind is None:
            return
        stage = draft.stages[index]
        for artifact in sorted((stage.required_inputs() if stage else kind.inputs) - given):
            yield artifact, index
        given |= kind.outputs


def _by_artifact(lacks: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for artifact, index in lacks:
        found.setdefault(artifact, []).append(index)
    return found


def _left_without(draft: Draft, arm: str, artifact: str, makers: list[int], lacking: list[int]) -> str:
    names = _quoted(draft, makers)
    fix = f"Keep {names}, or leave {_quoted(draft, lacking)} out too."
    gives = "gives" if len(makers) == 1 else "give"
    need = "needs" if len(lacking) == 1 else "need"
    return f"arm {arm!r} leaves out {names}, which {gives} the {artifact} that {_quoted(draft, lacking)} {need}. {fix}"


def _makers(draft: Draft, artifact: str) -> list[int]:
    """Stages that give an artifact out of nothing."""
    return [i for i, kind in enumerate(draft.kinds) if kind and artifact in kind.outputs - kind.inputs]


def _makers_among(draft: Draft, artifact: str, out: Collection[int], *, before: int) -> list[int]:
    """Of the stages left out, those that give an artifact, out of nothing if there are such."""
    kinds = draft.kinds[:before]
    giving = [i for i, kind in enumerate(kinds) if i in out and kind and artifact in kind.outputs]
    return [i for i in giving if i in _makers(draft, artifact)] or giving


def _needing(draft: Draft, indices: list[int]) -> str:
    return f"stage{'s' * (len(indices) > 1)} {_quoted(draft, indices)} need{'s' * (len(indices) == 1)}"


def _quoted(draft: Draft, indices: Iterable[int]) -> str:
    *first, last = (repr(draft.ids[index]) for index in indices)
    return f"{', '.join(first)} and {last}" if first else last


_NEEDS = {"model": "a model, and no stage before gives one, nor does the key 'model'"}


def _fix(draft: Draft, artifact: str) -> str:
    ids = [draft.ids[index] for index in _makers(draft, artifact)]
    return (
        f"Put {' or '.join(ids)} before."
        if ids
        else _FIXES.get(artifact, f"Add a stage that outputs {artifact} before.")
    )


_FIXES = {"model": "Set 'model', or begin with 'pretrain'.", "traces": "Put a 'distill' stage before."}


def stage_checks(draft: Draft, index: int, stage: Stage, world_size: int) -> Found:
    """What is wrong with a stage beyond the types of its keys."""
    address: Address = ("stages", index)
    reported = set()
    for line in stage.check(world_size=world_size):
        key, _, message = line.partition(": ")
        reported.add(key)
        yield (*address, *key.split(".")), message
    yield from _rooms(draft, address, stage)
    for name in type(stage).model_fields:
        held = getattr(stage, name)
        model = getattr(held, "model", None) if isinstance(held, Engine) else None
        if isinstance(model, str) and model.startswith(_PATHS) and not Path(model).expanduser().is_dir():
            yield (*address, name, "model"), _no_folder(model)
    problems = getattr(stage, "problems", None)
    if getattr(stage, "allow_more", None) is False and "problems" not in reported and isinstance(problems, int):
        if problems > MAX_RLVR_PROBLEMS:
            yield (
                (*address, "problems"),
                f"at most {MAX_RLVR_PROBLEMS} RLVR problems (got {problems}). "
                f"Take {MAX_RLVR_PROBLEMS}, or add 'allow_more: true' to this stage if more are meant.",
            )
    if draft.evaluation is None or not draft.domains:
        return
    measured = draft.evaluation.measured(draft.domains)  # reported under 'evaluation'
    for name in stage.domains_used(draft.evaluation, draft.domains):
        if name not in draft.domains and name not in measured:
            yield (*address, *_key_holding(stage, name)), _undeclared(name, draft)


def _rooms(draft: Draft, address: Address, stage: Stage) -> Found:
    """Whether the stage's completions fit into the context of the model that the recipe builds."""
    sampling = getattr(stage, "sampling", None)
    if "model" in stage.inputs and isinstance(sampling, Sampling):
        yield from _room(draft, (*address, "sampling", "max_tokens"), sampling.max_tokens)


def _room(draft: Draft, address: Address, max_tokens: int) -> Found:
    for index in _makers(draft, "model"):
        shape = getattr(draft.stages[index], "model", None)
        context = shape.get("max_position_embeddings") if isinstance(shape, dict) else None
        if isinstance(context, int) and max_tokens >= context:
            yield (
                address,
                (
                    f"{max_tokens} tokens and a prompt do not fit into the model's context of {context} "
                    f"(stages.{draft.ids[index]}.model.max_position_embeddings). Set fewer, or make the context longer."
                ),
            )


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
    if any(
        draw.split == "test" for stage in draft.stages if stage for draw in stage.data_requests(settings, draft.domains)
    ):
        for name, sampling in settings.samplings.items():
            yield from _room(draft, ("evaluation", "samplings", name, "max_tokens"), sampling.max_tokens)
    if settings.headline not in settings.samplings:
        names = ", ".join(settings.samplings)
        hint = suggestion(settings.headline, settings.samplings)
        yield ("evaluation", "headline"), f"no sampling {settings.headline!r}.{hint} Under 'samplings': {names}."


def _claims(draft: Draft) -> Found:
    claims, arms = draft.data.get("claims"), draft.data.get("arms")
    yield from _claimed_step(draft)
    if not isinstance(claims, dict) or not isinstance(arms, dict):
        return
    for role in ("warmup", "base", "format_only"):
        name = claims.get(role)
        default = ClaimSettings.model_fields[role].default
        if isinstance(name, str) and name not in arms and name != default:
            yield ("claims", role), f"no arm {name!r}.{suggestion(name, arms)} Arms: {', '.join(arms)}."


def _claimed_step(draft: Draft) -> Found:
    """Whether RLVR goes as far as the claims look, in at least one arm."""
    claims, arms = draft.data.get("claims"), draft.data.get("arms")
    step = claims.get("step") if isinstance(claims, dict) else None
    steps = [getattr(stage, "steps", None) for stage in draft.stages if stage and stage.type == "rlvr"]
    for arm in arms.values() if isinstance(arms, dict) else ():
        changes = arm.get("set") if isinstance(arm, dict) else None
        if isinstance(changes, dict):
            steps += [value for key, value in changes.items() if key.endswith(".steps")]
    known = [count for count in steps if isinstance(count, int)]
    if isinstance(step, int) and known and step > max(known):
        yield ("claims", "step"), f"RLVR ends at step {max(known)} (got {step}). Set at most that, or leave it out."


def _model(draft: Draft) -> Found:
    model = draft.data.get("model")
    maker = next(
        (i for i, kind in enumerate(draft.kinds) if kind and "model" in kind.outputs and not kind.inputs), None
    )
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
    elif model.startswith(_PATHS) or model.count("/") > 1:
        yield ("model",), _no_folder(model)


_PATHS = (".", "/", "~")


def _no_folder(model: str) -> str:
    return f"no such folder: {model} (looked from {Path.cwd()})."


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
