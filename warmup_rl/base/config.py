"""Base class of all objects whose fields are YAML keys, and the sampling options of everything that generates."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from warmup_rl.base.errors import UserError

ADAPTER_FILE = "adapter_config.json"
"""The file by which a folder is known as an adapter of peft."""


def _whole_number(value: Any) -> Any:
    """`1e3` as the whole number that it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _make_scalars_strict(schema: Any) -> None:
    """Makes numbers and booleans strict, and nothing else: YAML has no tuples, sets or paths."""
    for inner in list(schema.values()) if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            _make_scalars_strict(inner)
    if isinstance(schema, dict) and schema.get("type") in ("int", "float", "bool") and "strict" not in schema:
        schema["strict"] = True
        if schema["type"] == "int":
            strict = dict(schema)
            schema.clear()
            schema.update(core_schema.no_info_before_validator_function(_whole_number, strict))


class Config(BaseModel):
    """Frozen and strict about unknown keys, numbers and booleans (`'60'` and `yes` are neither).

    The docstrings below the fields are what `--help` prints.
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {}
    """Keys of earlier versions and their names today, so that errors can name the new key."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,  # somebody may have pasted a secret
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _make_scalars_strict(schema)
        return schema


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """The docstring below each field of a config, by field; read from its source when it is asked for."""
    found: dict[str, str] = {}
    for kind in (kind for kind in reversed(model.__mro__) if issubclass(kind, BaseModel) and kind is not BaseModel):
        try:
            (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        except (OSError, SyntaxError):  # no source, as in an interactive session
            continue
        for field, below in pairwise(node.body if isinstance(node, ast.ClassDef) else ()):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
                found[field.target.id] = inspect.cleandoc(ast.literal_eval(below.value))
    return {name: text for name, text in found.items() if name in model.model_fields}


def runtime_only(default: Any = ..., **limits: Any) -> Any:
    """A field that does not affect the output, such as a time limit; it is left out of the cache key."""
    return Field(default=default, json_schema_extra={"runtime_only": True}, **limits)


def is_runtime_only(field: FieldInfo) -> bool:
    """Whether a field is declared with `runtime_only`."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("runtime_only"))


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter of peft and no whole model."""
    return (folder / ADAPTER_FILE).is_file() and not (folder / "config.json").is_file()


def existing_model(model: str) -> str:
    """The hub id or folder of a model as given; for a folder with an adapter alone, one with what its base has besides
    weights. Raises ValueError if the base of an adapter cannot be found; or if there is no such folder, and it is no
    hub id: it begins with `.`, `/`, `~` or the name of a folder, or has several slashes."""
    folder = Path(model).expanduser()
    is_path = model.startswith((".", "/", "~")) or model.count("/") > 1 or "/" in model and folder.parent.is_dir()
    if is_path and not folder.is_dir():
        raise ValueError(f"no such folder: {model} (looked from {Path.cwd()}).")
    if is_adapter(folder):
        from warmup_rl.base.models import with_base

        try:
            return str(with_base(folder))
        except UserError as error:
            raise ValueError(f"{error} Another base can be given to `warmup-rl export {model} --to DIR`.") from None
    return model


ModelName = Annotated[str, AfterValidator(existing_model)]
"""Hub id or folder of a model; a folder must exist when the config is read."""


class Sampling(Config):
    """How completions are sampled."""

    temperature: float = Field(default=0.0, ge=0)
    """0 is greedy."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling; 1 turns it off."""
    top_k: int = Field(default=0, ge=0)
    """Number of most likely tokens to sample from; 0 turns it off."""
    max_tokens: int = Field(default=512, gt=0)
    """Maximum length of a completion in tokens; completions that reach it count as truncated."""
    samples: int = Field(default=1, gt=0)
    """Completions per problem."""
