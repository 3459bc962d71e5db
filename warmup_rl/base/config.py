"""Base class of all objects whose fields are YAML keys, and the sampling options of everything that generates."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo


class Config(BaseModel):
    """Frozen, strict about unknown keys; field descriptions are the documentation that `--help` prints."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # somebody may have pasted a secret
    )


def runtime_only(default: Any = ..., **limits: Any) -> Any:
    """A field that does not affect the output, such as a time limit; it is left out of the cache key."""
    return Field(default=default, json_schema_extra={"runtime_only": True}, **limits)


def is_runtime_only(field: FieldInfo) -> bool:
    """Whether a field is declared with `runtime_only`."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("runtime_only"))


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
