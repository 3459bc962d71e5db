"""The table of plug-ins: one lazy string a name, nothing imported to say "did you mean"."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, BeforeValidator
from pydantic_core import PydanticCustomError

from warmup_rl.base.errors import UserError

Kind = Literal["domain", "engine", "cleaner", "corpus", "stage"]

TABLE: dict[Kind, dict[str, str]] = {
    "domain": {
        "kk": "warmup_rl.domains.kk:KnightsKnaves",
        "sums": "warmup_rl.nano.sums:Sums",
        "registers": "warmup_rl.nano.registers:Registers",
        "compass": "warmup_rl.nano.compass:Compass",
        "math": "warmup_rl.domains.math:Math",
        "gsm8k": "warmup_rl.domains.math:Gsm8k",
        "mmlu_pro": "warmup_rl.domains.mmlu_pro:MmluPro",
        "humaneval_plus": "warmup_rl.domains.code:HumanEvalPlus",
        "mbpp_plus": "warmup_rl.domains.code:MbppPlus",
        "jsonl": "warmup_rl.domains.jsonl:UserRows",
    },
    "engine": {
        "solver": "warmup_rl.engines.solver:Solver",
        "hf": "warmup_rl.engines.hf:HuggingFace",
        "openai": "warmup_rl.engines.openai:OpenAI",
        "vllm": "warmup_rl.engines.vllm:Vllm",
        "replay": "warmup_rl.engines.replay:Replay",
        "self": "warmup_rl_extras.self_teacher:SelfTeacher",
    },
    "cleaner": {
        "correct": "warmup_rl.cleaners.basic:Correct",
        "duplicates": "warmup_rl.cleaners.basic:Duplicates",
        "length": "warmup_rl.cleaners.basic:Length",
        "repetition": "warmup_rl.cleaners.repetition:Repetition",
        "decontaminate": "warmup_rl.cleaners.decontaminate:Decontaminate",
        "naturalness": "warmup_rl.cleaners.naturalness:Naturalness",
        "dlcot": "warmup_rl.cleaners.dlcot:DLCoT",
        "answers_only": "warmup_rl.cleaners.controls:AnswersOnly",
        "shuffled": "warmup_rl.cleaners.controls:Shuffled",
    },
    "corpus": {
        "nano": "warmup_rl.nano.corpus:Nano",
    },
    "stage": {
        "pretrain": "warmup_rl.stages.pretrain:Pretrain",
        "distill": "warmup_rl.stages.distill:Distill",
        "clean": "warmup_rl.stages.clean:Clean",
        "sft": "warmup_rl.stages.sft:Sft",
        "rlvr": "warmup_rl.stages.rlvr:Rlvr",
        "evaluate": "warmup_rl.stages.evaluate:Evaluate",
    },
}

_GIVEN_NAMES: dict[type[Any], str] = {}
"""Names of the loaded classes that are not in the table."""


def load(kind: Kind, name: str) -> type[Any]:
    """The class behind a plug-in name, `pkg.module:Class`, or `./file.py:Class`.

    Raises:
        UserError: unknown name (with the nearest one), missing file or module, no such class.
    """
    target = TABLE[kind].get(name, name)
    if ":" not in target:
        raise UserError(
            f"unknown {kind} {name!r}.{suggestion(name, TABLE[kind])} Allowed: {', '.join(TABLE[kind])}, "
            f"pkg.module:Class or ./file.py:Class."
        )
    found = import_class(target, f"{kind} {name!r}")
    if missing := getattr(found, "__abstractmethods__", None):
        raise UserError(f"{kind} {name!r}: {found.__name__} does not define {', '.join(sorted(missing))}.")
    if target == name:
        _GIVEN_NAMES[found] = name
    return found


def import_class(name: str, what: str) -> type[Any]:
    """The class behind an import string, `pkg.module:Class` or `./file.py:Class`.

    Args:
        what: what is imported, for messages.

    Raises:
        UserError: missing file or module, no such class, or an error in the module.
    """
    module_name, colon, class_name = name.rpartition(":")
    if not colon:
        raise UserError(f"{what}: give pkg.module:Class or ./file.py:Class.")
    try:
        module = _file_module(Path(module_name)) if module_name.endswith(".py") else _module(what, module_name)
    except UserError:
        raise
    except Exception as error:  # a plug-in's own code may raise anything
        raise UserError(f"{what} cannot be imported: {_where(error)}") from None
    try:
        found: type[Any] = getattr(module, class_name)
    except AttributeError:
        raise UserError(f"{what}: {module_name} has no {class_name!r}.") from None
    return found


def name_of(plugin: type[Any]) -> str:
    """The name under which `load` gives this class again."""
    return _GIVEN_NAMES.get(plugin) or str(plugin.type)


def plugins_in(value: Any) -> Iterator[BaseModel]:
    """The plug-ins in a config, itself included."""
    if isinstance(value, BaseModel):
        if isinstance(getattr(type(value), "type", None), str):
            yield value
        parts: Iterable[Any] = [getattr(value, name) for name in type(value).model_fields]
    else:
        parts = value if isinstance(value, list | tuple) else value.values() if isinstance(value, dict) else ()
    for part in parts:
        yield from plugins_in(part)


def data_digests(value: Any) -> dict[str, str]:
    """Digests of the data files behind all plug-ins in a config: what is made depends on them too."""
    found = ((type(plugin), getattr(plugin, "digest", str)()) for plugin in plugins_in(value))
    return {f"{name_of(kind)} {digest}": digest for kind, digest in found if digest}


def plugin_field(kind: Kind) -> BeforeValidator:
    """For fields that hold a plug-in: `teacher: Annotated[Engine, plugin_field("engine")]` takes a name, or a mapping
    with `type` and the plug-in's own keys."""

    def build(given: Any) -> Any:
        if isinstance(given, BaseModel):
            return given
        fields = {"type": given} if isinstance(given, str) else given
        if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
            text = f"a name or a mapping with 'type' is needed ({', '.join(TABLE[kind])})."
            raise PydanticCustomError("plugin", "{text}", {"text": text})
        try:
            plugin = load(kind, fields["type"])
        except UserError as error:
            raise PydanticCustomError("plugin", "{text}", {"text": str(error)}) from None
        return plugin.model_validate({key: value for key, value in fields.items() if key != "type"})

    return BeforeValidator(build)


def suggestion(name: str, allowed: Any) -> str:
    """` Did you mean 'x'?`, or nothing where no allowed name is near."""
    near = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def _where(error: Exception) -> str:
    """`mine.py:5: NameError: ...`, by the innermost frame outside the import machinery."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    place = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{place}{type(error).__name__}: {error}"


def _module(what: str, module_name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise UserError(f"{what}: no module {module_name!r} can be imported.") from None
        raise


def _file_module(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"{path}: no such plug-in file (looked from {Path.cwd()}).")
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    module_name = f"warmup_rl_plugin_{path.stem}_{digest}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module
