"""Checks whether the keys of a recipe fit each other and this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from warmup_rl.base.config import Sampling, existing_model
from warmup_rl.base.files import existing
from warmup_rl.base.models import pickled_only
from warmup_rl.base.untrusted import parse_json
from warmup_rl.engines.vllm import NOT_INSTALLED, is_installed
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.interfaces.stage import Stage
from warmup_rl.recipe.document import Address
from warmup_rl.recipe.schema import ClaimSettings
from warmup_rl.recipe.trainer_args import ADAPTER_CONFIG, wrong_options

Found = Iterator[tuple[Address, str]]


@dataclass(frozen=True)
class Draft:
    """A recipe that is being loaded, with keys and ids as written; parts with errors, which are reported elsewhere, are
    None. The class of a stage is known even if its config has errors."""

    data: dict[str, Any]
    domains: Mapping[str, Domain | None]
    stages: Sequence[Stage | None]
    kinds: list[type[Stage] | None]
    ids: list[str]
    evaluation: EvaluationSettings | None


def cross_checks(draft: Draft, world_size: int) -> Found:
    """Checks of the recipe as a whole, whatever its arms."""
    yield from _evaluation(draft)
    yield from _claimed_arms(draft)
    yield from _model(draft)
    yield from _folds(draft)
    yield from _auto_style(draft)
    yield from _tracker(draft)
    yield from _reference(draft)
    folder = draft.data.get("output_dir", "outputs")
    if isinstance(folder, str) and folder:
        yield from _output_dir(Path(folder))
    for index, stage in enumerate(draft.stages):
        yield from stage_checks(draft, index, draft.data["stages"][index], stage, world_size)


def _tracker(draft: Draft) -> Found:
    """Whether the package of the tracker is there."""
    given = draft.data.get("tracking")
    to = given.get("to") if isinstance(given, dict) else given
    packages = {"trackio": ("trackio",), "tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}
    wanted = packages.get(to, ()) if isinstance(to, str) else ()
    specs = map(find_spec, wanted)
    if wanted and not any(spec and spec.origin for spec in specs):  # without an origin: a plain folder of this name
        yield ("tracking",), f"the package {wanted[0]} is not installed here. pip install {wanted[0]}, or leave it out."


def _reference(draft: Draft) -> Found:
    """Whether published figures stand beside arms and domains that there are."""
    given = draft.data.get("reference")
    figures = given.get("figures") if isinstance(given, dict) else None
    for number, figure in enumerate(figures if isinstance(figures, list) else ()):
        for key, known in ("arm", draft.data.get("arms", {"main": {}})), ("domain", draft.domains):
            name = figure.get(key) if isinstance(figure, dict) else None
            if isinstance(name, str) and isinstance(known, Mapping) and name not in known:
                hint = suggestion(name, known)
                yield ("reference", "figures", number, key), f"no {key} {name!r}.{hint} There are: {', '.join(known)}."


def arm_checks(draft: Draft, stages: Mapping[str, Sequence[Stage]], left_out: Mapping[str, Collection[int]]) -> Found:
    """Checks of the arms together: what their stages read, and how far their curves go, given the stages of each arm
    and the indices of those that it leaves out."""
    yield from _inputs(draft, left_out)
    claims = draft.data.get("claims")
    step = claims.get("step") if isinstance(claims, dict) else None
    known = [last for own in stages.values() for stage in own if (last := stage.last_step()) is not None]
    if isinstance(step, int) and known and step > max(known):
        yield ("claims", "step"), f"RLVR ends at step {max(known)} (got {step}). Set at most that, or leave it out."


def stage_checks(draft: Draft, index: int, row: Any, stage: Stage | None, world_size: int) -> Found:
    """Checks of one stage beyond the types of its keys; only of its trainer's options if it could not be built."""
    address: Address = ("stages", index)
    kind, args = draft.kinds[index], row.get("args") if isinstance(row, dict) else None
    if kind and kind.trainer_config and isinstance(args, dict):
        for keys, message in wrong_options(kind.trainer_config, args, kind.owned_options):
            yield (*address, "args", *keys), message
    lora = row.get("lora") if isinstance(row, dict) else None
    if kind and "lora" in kind.model_fields and isinstance(lora, dict):
        for keys, message in wrong_options(ADAPTER_CONFIG, lora, {}):
            yield (*address, "lora", *keys), message
    if stage is None:
        name = row.get("domain") if kind and "domain" in kind.model_fields else None
        if isinstance(name, str) and draft.domains and name not in draft.domains:
            yield (*address, "domain"), _undeclared(name, draft)
        return
    for line in stage.check(world_size=world_size):
        key, _, message = line.partition(": ")
        yield (*address, *key.split(".")), message
    values = dict(stage)
    for name, value in values.items():
        if isinstance(value, Sampling) and "model" in stage.inputs:
            yield from _room(draft, (*address, name, "max_tokens"), value.max_tokens)
    if draft.evaluation is None or not draft.domains:
        return
    measured = draft.evaluation.measured(draft.domains)  # reported under 'evaluation'
    for name in stage.domains_used(draft.evaluation, draft.domains):
        if name not in draft.domains and name not in measured:
            named = [key for key, value in values.items() if name == value or isinstance(value, list) and name in value]
            yield (*address, *named[:1]), _undeclared(name, draft)


def _inputs(draft: Draft, left_out: Mapping[str, Collection[int]]) -> Found:
    """Artifacts that a stage reads and no earlier one outputs: once if it is so in all arms, else for each arm."""
    every = range(len(draft.kinds))
    kept = {index for out in left_out.values() for index in every if index not in out}
    missing: dict[str, list[int]] = {}
    for artifact, found in _missing(draft, every).items():
        if readers := [index for index in found if index in kept]:
            missing[artifact] = readers
            makers = " or ".join(draft.ids[index] for index in _makers(draft, artifact, every))
            what = _MISSING.get(artifact, f"{artifact}, but no earlier stage outputs any")
            fix = _FIXES.get(artifact, f"Put a stage that outputs {artifact} before.")
            fix = f"Put {makers} before." if makers else fix
            who = f"stage{'s' * (len(readers) > 1)} {_quoted(draft, readers)} need{'s' * (len(readers) == 1)}"
            yield ("stages", readers[0]), f"{who} {what}. {fix}"
    for arm, out in left_out.items():
        for artifact, readers in _missing(draft, [index for index in every if index not in out]).items():
            before = [index for index in every[: readers[0]] if index in out]
            outputs = [index for index in before if (kind := draft.kinds[index]) and artifact in kind.outputs]
            makers_out = _makers(draft, artifact, before) or outputs
            if makers_out and artifact not in missing:
                names, who = _quoted(draft, makers_out), _quoted(draft, readers)
                output, need = (
                    verb + "s" * (len(ids) == 1) for verb, ids in (("output", makers_out), ("need", readers))
                )
                message = f"arm {arm!r} leaves out {names}, which {output} the {artifact} that {who} {need}."
                yield ("arms", arm, "leave_out"), f"{message} Keep {names}, or leave {who} out too."


def _missing(draft: Draft, indices: Iterable[int]) -> dict[str, list[int]]:
    """Stages of `indices` that read an artifact that no stage before outputs, up to one whose class is unknown."""
    found: dict[str, list[int]] = {}
    given: set[str] = {"model"} if draft.data.get("model") else set()
    for index in indices:
        kind, stage = draft.kinds[index], draft.stages[index]
        if kind is None:
            break
        for artifact in sorted((stage.required_inputs() if stage else kind.inputs) - given):
            found.setdefault(artifact, []).append(index)
        given |= kind.outputs
    return found


def _makers(draft: Draft, artifact: str, among: Iterable[int]) -> list[int]:
    """Stages that output an artifact without reading one of its kind."""
    return [index for index in among if (kind := draft.kinds[index]) and artifact in kind.outputs - kind.inputs]


def _quoted(draft: Draft, indices: Iterable[int]) -> str:
    *first, last = (repr(draft.ids[index]) for index in indices)
    return f"{', '.join(first)} and {last}" if first else last


_MISSING = {"model": "a model, but no earlier stage outputs one and the key 'model' is not set"}
_FIXES = {"model": "Set 'model', or begin with 'pretrain'.", "traces": "Put a 'distill' stage before."}


def _room(draft: Draft, address: Address, max_tokens: int) -> Found:
    """Whether completions fit into the context of the model that the recipe builds or names."""
    contexts = {
        f"stages.{draft.ids[index]}.model.max_position_embeddings": (stage.model_context(), ", or make it longer")
        for index, stage in enumerate(draft.stages)
        if stage
    }
    model = draft.data.get("model")
    if isinstance(model, str):
        contexts["max_position_embeddings in its config.json"] = (_local_context(Path(model).expanduser()), "")
    for key, (context, longer) in contexts.items():
        if context is not None and max_tokens >= context:
            what = f"{max_tokens} tokens and a prompt do not fit into the model's context of {context} ({key})"
            yield address, f"{what}. Set fewer{longer}."


def _local_context(folder: Path) -> int | None:
    """The context length of the model in a folder; None if it does not say, or there is none."""
    try:
        config = parse_json((folder / "config.json").read_text(encoding="utf-8"))
        length = {**config, **config.get("text_config", {})}.get("max_position_embeddings")
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return length if isinstance(length, int) else None


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
    requests = (one for stage in draft.stages if stage for one in stage.data_requests(settings, draft.domains))
    if any(request.split == "test" for request in requests):
        for name, sampling in settings.samplings.items():
            yield from _room(draft, ("evaluation", "samplings", name, "max_tokens"), sampling.max_tokens)
        if settings.engine == "vllm" and not is_installed():
            yield ("evaluation", "engine"), f"{NOT_INSTALLED}, or leave the key out."
    if settings.headline not in settings.samplings:
        names = ", ".join(settings.samplings)
        hint = suggestion(settings.headline, settings.samplings)
        yield ("evaluation", "headline"), f"no sampling {settings.headline!r}.{hint} Under 'samplings': {names}."


def _claimed_arms(draft: Draft) -> Found:
    claims, arms = draft.data.get("claims"), draft.data.get("arms")
    if not isinstance(claims, dict) or not isinstance(arms, dict):
        return
    for role in ("warmup", "base", "format_only"):
        name = claims.get(role)
        default = ClaimSettings.model_fields[role].default
        if isinstance(name, str) and name not in arms and name != default:
            yield ("claims", role), f"no arm {name!r}.{suggestion(name, arms)} Arms: {', '.join(arms)}."


def _folds(draft: Draft) -> Found:
    folded = [name for name, domain in draft.domains.items() if domain and domain.fold_count]
    for name in folded[1:]:
        yield ("domains", name, "folds"), f"domain {folded[0]!r} has folds already; only one domain of a recipe may."
    if folded and draft.evaluation and folded[0] not in draft.evaluation.measured(draft.domains):
        message = f"nothing measures domain {folded[0]!r}. Add it to 'evaluation.domains'."
        yield ("domains", folded[0], "folds"), message


def _auto_style(draft: Draft) -> Found:
    """Whether each arm whose style is `auto` has an evaluation that decides it, before anything is trained."""
    arms, shared = draft.data.get("arms"), draft.data.get("format")
    for name, arm in arms.items() if isinstance(arms, dict) and arms else [("main", {})]:
        arm = arm if isinstance(arm, dict) else {}
        own = arm.get("format")
        chosen = own if isinstance(own, dict) else shared
        if not isinstance(chosen, dict) or chosen.get("think") != "auto":
            continue
        address: Address = ("arms", name, "format", "think") if chosen is own else ("format", "think")
        kept = [index for index, stage_id in enumerate(draft.ids) if stage_id not in (arm.get("leave_out") or ())]
        roles = [kind.role if (kind := draft.kinds[index]) else "" for index in kept]
        if "warmup" in roles or "traces" in roles:
            yield address, f"arm {name!r} trains on traces, which have one style. Set open, free or plain."
            continue
        trained = next((place for place, role in enumerate(roles) if role == "target"), len(kept))
        judges = [stage for index in kept[:trained] if (stage := draft.stages[index]) and stage.compared_styles()]
        if not judges:
            fix = "Put an evaluate stage before its training with several of open, free and plain under 'prompts'."
            yield address, f"nothing decides the style of arm {name!r}. {fix}"


def _model(draft: Draft) -> Found:
    model = draft.data.get("model")
    makers = [i for i, kind in enumerate(draft.kinds) if kind and "model" in kind.outputs and not kind.inputs]
    if model is not None and makers:
        yield ("model",), f"a model is given, and stage {draft.ids[makers[0]]!r} builds one. Remove one of the two."
    if not isinstance(model, str) or not model:
        if draft.data.get("model_revision") is not None:
            yield ("model_revision",), "there is no 'model' that it could be a revision of. Remove it, or set 'model'."
        return
    try:
        folder = Path(existing_model(model)).expanduser()
    except ValueError as error:
        yield ("model",), str(error)
        return
    if folder.is_dir() and not (folder / "config.json").is_file():
        yield ("model",), f"the folder {model} has no model (no config.json)."
    elif fault := pickled_only(folder):
        yield ("model",), fault


def _output_dir(folder: Path) -> Found:
    """Whether a file can be made in the folder, or in the nearest existing one above it; leaves nothing behind."""
    nearest = existing(folder)
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return
    except OSError as error:
        reason = "not a folder" if nearest.is_file() else f"not writable: {error.strerror}"
        message = f"cannot be written (got {str(folder)!r}; {nearest} is {reason}). Choose another folder."
        yield ("output_dir",), message
