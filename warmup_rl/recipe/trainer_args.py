"""The options of trainer configs, read from the installed sources of trl and transformers without importing them."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, Optional, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from warmup_rl.base.errors import UserError, shown
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.recipe.validation_errors import alternatives, needed, word

ADAPTER_CONFIG = "peft:LoraConfig"
"""The class that the options under `lora` go to."""
_TYPES = {"int": int, "float": float, "str": str, "bool": bool, "dict": dict, "list": list, "Any": Any, "None": None,
          "Optional": Optional, "Union": Union, "Literal": Literal}  # fmt: skip


@dataclass(frozen=True)
class Option:
    """A field of a trainer config, `home` being the class that declares it; its parts are read from the statement on
    demand, since few are needed."""

    name: str
    home: str
    module: str
    statement: ast.AnnAssign

    @cached_property
    def annotation(self) -> str:
        return ast.unparse(self.statement.annotation)

    @property
    def default(self) -> str:
        default = self._parts.get("default") or self._parts.get("default_factory")
        return ast.unparse(default) if default is not None else ""

    @property
    def help(self) -> str:
        return " ".join(str(self._metadata("help") or "").replace("%%", "%").split())

    @property
    def choices(self) -> tuple[Any, ...]:
        """All allowed values; empty if they follow from the type."""
        late = LATE_CHOICES.get((self.home, self.name))
        return late or tuple(self._metadata("choices") or ()) or self._enumerated()

    @cached_property
    def _parts(self) -> dict[str | None, ast.expr]:
        """The arguments of `field(...)`, or a plain default."""
        value = self.statement.value
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
            return {keyword.arg: keyword.value for keyword in value.keywords}
        return {"default": value} if value is not None else {}

    def _metadata(self, key: str) -> Any:
        metadata = self._parts.get("metadata")
        items = zip(metadata.keys, metadata.values, strict=True) if isinstance(metadata, ast.Dict) else ()
        try:
            return next((ast.literal_eval(value) for name, value in items if getattr(name, "value", "") == key), None)
        except ValueError:
            return None

    def _enumerated(self) -> tuple[str, ...]:
        """The values of an enumeration in the type, unless there may be a list of them."""
        for name in re.findall(r"\w+", self.annotation) if "list" not in self.annotation else ():
            try:
                found = _find(self.module, name)[1] if name not in _TYPES else None
            except LookupError:
                continue
            if found and any(ast.unparse(base).endswith("Enum") for base in found.bases):
                values = [one.value for one in found.body if isinstance(one, ast.Assign)]
                return tuple(one.value for one in values if isinstance(one, ast.Constant) if type(one.value) is str)
        return ()


@cache
def options(config: str) -> dict[str, Option]:
    """All options of a trainer config, e.g. `trl:SFTConfig`, by name; none where its sources, or those of a base class,
    cannot be read. Raises `UserError` if its package is not installed."""
    module, _, name = config.rpartition(":")
    package = module.partition(".")[0]
    if package.isidentifier() and importlib.util.find_spec(package) is None:
        raise UserError(f"{package} is not installed, so trainer options cannot be checked: pip install {package}")
    try:
        return {option.name: option for option in _options(module, name)}
    except LookupError:
        return {}


def wrong_options(
    config: str, args: Mapping[str, Any], owned: Mapping[str, str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Keys (relative to `args`) and messages of options that a trainer config refuses or the stage sets itself.

    If the sources of the config cannot be read (a user's own class), only `owned` is checked (see
    `Stage.owned_options`): the class itself refuses the rest in `prepare`.
    """
    known = options(config)
    for name, value in args.items():
        if name in owned:
            yield (name,), f"not allowed here: {instead(owned[name])}"
        elif known and name not in known:
            yield (name,), f"unknown key (got {shown(value)}).{_hint(name, config, owned)}"
        elif known and (message := _wrong_value(known[name], value)):
            yield (name,), message
    inner = args.get("model_init_kwargs")
    if isinstance(inner, dict):
        for name in MODEL_KEYWORDS.keys() & inner:
            yield ("model_init_kwargs", name), f"unknown key (got {shown(inner[name])}). {MODEL_KEYWORDS[name]}"


def instead(owner: str) -> str:
    """What to do about an option that a stage sets itself, from its entry in the stage's `owned_options`."""
    return f"{owner.removesuffix('.')}." if " " in owner else f"use {owner!r}."


def _hint(name: str, config: str, owned: Mapping[str, str]) -> str:
    """The current name of an unknown option; for one that the stage sets itself, the recipe's key."""
    known = options(config)
    hint = f" {OLD_SPELLINGS[name]}" if name in OLD_SPELLINGS else suggestion(name, known)
    meant = re.match(r" (?:Use|Did you mean) '(\w+)", hint)
    if meant and meant[1] in owned:
        return f" {meant[1]!r} is not allowed here either: {instead(owned[meant[1]])}"
    if not hint or meant and meant[1] not in known:
        return f" {config.rpartition(':')[2]} has no such option."
    return hint


def _wrong_value(option: Option, value: Any) -> str | None:
    kind, adapter = _type(option.annotation)
    allowed = alternatives(kind)
    meant = MEANT.get((option.name, value)) if isinstance(value, str) else None
    if meant:
        return f"no such value (got {shown(value)}). {meant}"
    choices = option.choices or (get_args(kind) if get_origin(kind) is Literal else ())
    if choices:
        nullable = value is None and type(None) in allowed
        if nullable or any(value == choice and type(value) is type(choice) for choice in choices):
            return None
        hint = suggestion(value, [c for c in choices if isinstance(c, str)]) if isinstance(value, str) else ""
        allowed_words = ", ".join(shown(choice).strip("'") for choice in choices)
        return f"allowed: {allowed_words} (got {shown(value)}).{hint}"
    if option.name == "lora_alpha" and isinstance(value, float):  # annotated as a whole number; any number is taken
        return None
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError:
        return f"{needed(map(word, allowed))} (got {shown(value)})."
    least = LEAST.get(option.name)
    is_less = least is not None and isinstance(value, int | float) and value < least
    return f"must be at least {least} (got {shown(value)})." if is_less else None


@cache
def _type(annotation: str) -> tuple[Any, TypeAdapter[Any]]:
    """The type of an annotation, with `Any` for names that are not plain types, and its validator."""
    text = annotation if "Literal" in annotation else re.sub("['\"]", "", annotation)
    try:
        found = eval(text, {"__builtins__": {}}, _Names(_TYPES))  # of a package that the trainer imports anyway
        return found, TypeAdapter(found)
    except Exception:  # the annotation of a subclass may hold anything
        return Any, TypeAdapter(Any)


class _Names(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        return Any


@cache
def _options(module: str, name: str) -> tuple[Option, ...]:
    """The fields of a config class after those of its base classes. Raises `LookupError` for one without sources."""
    module, config = _find(module, name)
    inherited = [option for base in reversed(config.bases) for option in _options(module, ast.unparse(base))]
    own = [
        Option(one.target.id, config.name, module, one)
        for one in config.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        if "ClassVar" not in ast.unparse(one.annotation)
    ]
    return (*inherited, *own)


@cache
def _find(module: str, name: str) -> tuple[str, ast.ClassDef]:
    """The class that a module has under a name, and the module that defines it: imports are followed."""
    package, statements = _source(module)
    for statement in statements:
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return module, statement
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    origin = importlib.util.resolve_name("." * statement.level + (statement.module or ""), package)
                    return _find(origin, alias.name)
    raise LookupError(f"{module}:{name}")


@cache
def _source(module: str) -> tuple[str, tuple[ast.stmt, ...]]:
    """The package of an installed module and its statements outside functions and classes."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top) if top.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(module)
    path = Path(spec.submodule_search_locations[0], *rest)
    try:
        text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
    except OSError:
        raise LookupError(module) from None
    return module if path.is_dir() else module.rpartition(".")[0], tuple(_flat(ast.parse(text).body))


def _flat(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements, including those in the branches of `if` and `try` (lazy imports)."""
    for statement in statements:
        yield statement
        if isinstance(statement, ast.If | ast.Try):
            yield from _flat([*statement.body, *statement.orelse])


_GONE = "There is no such option any more"

OLD_SPELLINGS: dict[str, str] = {
    "warmup_ratio": "Use 'warmup_steps': a value below 1 is a share of all steps.",
    "max_seq_length": "Use 'max_length'.",
    "max_prompt_length": f"{_GONE}: prompts are never cut.",
    **dict.fromkeys(
        ("overwrite_output_dir", "logging_dir"), "Set the output location with output_dir and run_name in the recipe."
    ),
    **dict.fromkeys(("torch_dtype", "dtype"), "Use 'model_init_kwargs: {dtype: ...}'."),
    "attn_implementation": "Use 'model_init_kwargs: {attn_implementation: ...}'.",
    "chat_template": "SFTConfig has 'chat_template_path'; a model's template is saved with its tokenizer.",
    "vllm_max_model_len": "Use 'vllm_max_model_length'.",
    "vllm_guided_decoding_regex": "Use 'vllm_structured_outputs_regex'.",
    "no_cuda": "Use 'use_cpu'.",
    "group_by_length": "Use 'train_sampling_strategy: group_by_length'.",
    "save_safetensors": f"{_GONE}: safetensors is the only format.",
    "push_to_hub_token": "Use 'hub_token'.",
    "dataset_batch_size": _GONE + ".",
    **dict.fromkeys(("rank", "lora_r", "lora_rank"), "Did you mean 'r'?"),
    "alpha": "Did you mean 'lora_alpha'?",
    "dropout": "Did you mean 'lora_dropout'?",
    "wandb_project": "Set 'tracking: {to: wandb, project: ...}' at the top of the recipe.",
    **dict.fromkeys(
        ("model_name_or_path", "model_revision"), "The model is named at the top of the recipe: model, model_revision."
    ),
    "dataset_name": "Training data are domains: see 'domains' at the top of the recipe.",
    "reward_funcs": "The domain grades; set the value of each outcome with the stage's 'reward'.",
    "system_prompt": "Set the text after the question with the domain's 'instruction'.",
}
"""Replacements of options that trl 1.16 and transformers 5 do not have; close spellings are suggested without it."""

LEAST: dict[str, int] = {
    "learning_rate": 0, "weight_decay": 0, "warmup_steps": 0, "max_grad_norm": 0, "beta": 0, "num_iterations": 1,
    "per_device_train_batch_size": 1, "per_device_eval_batch_size": 1, "r": 1, "lora_dropout": 0,
}  # fmt: skip
"""Least values of options that trainers take any number for."""

MODEL_KEYWORDS = {"torch_dtype": "Use 'dtype'.", "use_flash_attention_2": "Use 'attn_implementation'."}
"""Old keywords inside `model_init_kwargs`."""

MEANT = {
    ("loss_type", "gspo"): "GSPO is `importance_sampling_level: sequence`, `loss_type: grpo` and a small `epsilon`."
}
"""What to set for the name of a method that is no value of the option."""

LATE_CHOICES: dict[tuple[str, str], tuple[Any, ...]] = {
    ("GRPOConfig", "loss_type"): ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"),
    ("GRPOConfig", "scale_rewards"): ("group", "batch", "none", True, False),
    ("GRPOConfig", "importance_sampling_level"): ("token", "sequence"),
    ("GRPOConfig", "multi_objective_aggregation"): ("sum_then_normalize", "normalize_then_sum"),
    ("GRPOConfig", "vllm_mode"): ("colocate", "server"),
    ("GRPOConfig", "vllm_model_impl"): ("vllm", "transformers"),
    ("GRPOConfig", "vllm_importance_sampling_mode"): (
        "token_truncate", "token_mask", "sequence_truncate", "sequence_mask",
    ),
}  # fmt: skip
"""By class and option: allowed values of text options that trl 1.16 checks at the first step, if at all."""
