"""Plug-ins, which a recipe chooses by `type`: the table of their import strings, their base class, `build`."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from warmup_rl.base.config import Config, is_runtime_only
from warmup_rl.base.errors import UserError, shown
from warmup_rl.data.datasets import file_digest

Kind = Literal["domain", "engine", "cleaner", "corpus", "stage", "grader"]


class Plugin(Config):
    """Base of the configs that a recipe chooses by `type`: `{type: NAME, ...}`, or the bare name.

    A stage runs again when a file changes that is named by a field of it or of a plug-in inside it: by a `Path`, a
    `Source`, or a string that is the path of a file, of a model folder, or `FILE.py:NAME`. The content counts, not the
    time. Declare a field for a file that decides no output, such as a log, with `warmup_rl.base.config.runtime_only`.
    """

    plugin_kind: ClassVar[Kind]
    """Set by the base class of each kind."""
    type: ClassVar[str]
    """Name of the plug-in."""

    def digest(self) -> str:
        """Changes when data change that the plug-in reads and no field names; empty if there are none."""
        return ""


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
        "naturalness": "warmup_rl_extras.naturalness:Naturalness",
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
        "triage": "warmup_rl_extras.triage:Triage",
        "guided_rlvr": "warmup_rl_extras.guided:GuidedRlvr",
        "teacher": "warmup_rl_extras.on_policy:Teacher",
        "opd": "warmup_rl_extras.on_policy:OnPolicyDistillation",
    },
    "grader": {
        "math": "warmup_rl.domains.graders:MathGrader",
        "number": "warmup_rl.domains.graders:NumberGrader",
        "choice": "warmup_rl.domains.graders:ChoiceGrader",
        "label": "warmup_rl.domains.text_graders:LabelGrader",
        "exact": "warmup_rl.domains.graders:ExactGrader",
        "set": "warmup_rl.domains.graders:SetGrader",
        "json": "warmup_rl.domains.graders:JsonGrader",
        "sql": "warmup_rl.domains.text_graders:SqlGrader",
        "regex": "warmup_rl.domains.text_graders:RegexGrader",
        "kk": "warmup_rl.domains.kk_rows:KkGrader",
        "code": "warmup_rl.domains.graders:CodeGrader",
        "python": "warmup_rl.domains.graders:PythonGrader",
    },
}

_PACKAGE = Path(__file__).resolve().parent.parent
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
_BESIDE: dict[Path, dict[str, ModuleType]] = {}
"""The modules that plug-ins imported from their own folder, by folder."""
_GIVEN_NAMES: dict[type[Any], str] = {}
"""Names of the loaded classes that are not in the table."""


def load(kind: Kind, name: str) -> type[Any]:
    """The class of a plug-in, given its name, `pkg.module:Class` or `./file.py:Class`. Raises `UserError` for unknown
    names, a missing file or module, no such class, or one of another kind."""
    if name.endswith(".py"):
        raise UserError(f"a file may hold several classes: add the one that is the {kind}, {name}:NAME.")
    if name not in TABLE[kind] and ":" not in name:
        raise UserError(
            f"unknown {kind} {name!r}.{suggestion(name, TABLE[kind])} Allowed: {', '.join(TABLE[kind])}, "
            f"pkg.module:Class or ./file.py:Class."
        )
    found = import_class(TABLE[kind].get(name, name), f"{kind} {name!r}")
    if not issubclass(found, Plugin) or found.plugin_kind != kind:
        base = f"warmup_rl.interfaces.{kind}:{kind.capitalize()}"
        raise UserError(f"{name!r} is not {_a(kind)}: it does not inherit from {base}.")
    if missing := getattr(found, "__abstractmethods__", None):
        raise UserError(f"{kind} {name!r}: {found.__name__} does not define {', '.join(sorted(missing))}.")
    if name not in TABLE[kind]:
        _GIVEN_NAMES[found] = name
    return found


def import_class(name: str, what: str) -> type[Any]:
    """The class behind an import string, `pkg.module:Class` or `./file.py:Class`. Raises `UserError`, beginning with
    `what`, for a missing file or module, no such class, or an error in the module."""
    module_name, colon, class_name = name.rpartition(":")
    if not colon:
        raise UserError(f"{what}: give pkg.module:Class or ./file.py:Class.")
    try:
        module = _file_module(Path(module_name)) if module_name.endswith(".py") else _module(what, module_name)
    except UserError:
        raise
    except Exception as error:  # a plug-in's own code may raise anything
        raise UserError(f"{what} cannot be imported: {describe_exception(error)}") from None
    found = getattr(module, class_name, None)
    if inspect.isfunction(found):
        raise UserError(
            f"{what}: {class_name} is a function, a class is needed. A function that grades is a setting of the domain "
            f"jsonl, also for `conformance`: jsonl file=FILE grader=python:{name}"
        )
    if not isinstance(found, type):
        raise UserError(f"{what}: {module_name} has no class {class_name!r}.")
    return found


def name_of(plugin: type[Any]) -> str:
    """The name under which `load` gives this class again."""
    return _GIVEN_NAMES.get(plugin) or str(plugin.type)


def build(kind: Kind, given: Any) -> Any:
    """The plug-in that a recipe describes by a name, or by a mapping with `type` and the plug-in's own keys. Raises
    ValidationError if it is invalid, of type `plugin` if the class cannot be loaded."""
    if isinstance(given, BaseModel):
        return given
    fields = {"type": given} if isinstance(given, str) else given
    plugin: type[Plugin] | None = None
    try:
        if not isinstance(fields, dict) or "type" not in fields:
            what = f"the name of {_a(kind)}, or a mapping with 'type', is needed"
            raise UserError(f"{what} (got {shown(given)}). Allowed: {', '.join(TABLE[kind])}.")
        if not isinstance(fields["type"], str):
            raise UserError(f"the name of {_a(kind)} is needed (got {shown(fields['type'])}).")
        plugin = load(kind, fields["type"])
        return plugin.model_validate({key: value for key, value in fields.items() if key != "type"})
    except ValidationError:
        raise
    except Exception as error:  # a plug-in's own validators may raise anything
        place = ("type",) if isinstance(given, dict) and "type" in given and plugin is None else ()
        reason = PydanticCustomError("plugin", "{text}", {"text": describe_exception(error)})
        details = InitErrorDetails(type=reason, loc=place, input=given)
        raise ValidationError.from_exception_data(kind, [details]) from None


def plugin_field(kind: Kind) -> BeforeValidator:
    """For fields that hold a plug-in: `teacher: Annotated[Engine, plugin_field("engine")]`, see `build`."""
    return BeforeValidator(partial(build, kind))


def plugins_in(value: Any) -> Iterator[Plugin]:
    """The plug-ins in a config, itself included."""
    if isinstance(value, Plugin):
        yield value
    if isinstance(value, BaseModel | dict):
        value = list(dict(value).values())
    for part in value if isinstance(value, list | tuple) else ():
        yield from plugins_in(part)


def data_files(value: Any) -> dict[str, str]:
    """Digests of the files that the fields of configs name, by their path as given; see `Plugin`."""
    if isinstance(value, str | Path):
        return {name: file_digest(Path(name).expanduser()) for name in _files_at(value)}
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        value = [getattr(value, name) for name, field in fields if not field.exclude and not is_runtime_only(field)]
    parts = value.values() if isinstance(value, Mapping) else value
    return {k: v for part in (parts if isinstance(parts, Collection) else ()) for k, v in data_files(part).items()}


def _files_at(given: str | Path) -> list[str]:
    """The path itself where it is a file's, and the files in a folder: a model's, or any if a `Path` is given."""
    file, _, _ = str(given).rpartition(":")
    name = file if file.endswith(".py") else str(given)
    try:
        path = Path(name).expanduser()
        if path.is_file():
            return [name]
        if path.is_dir() and (isinstance(given, Path) or (path / "config.json").is_file()):
            return [f"{name}/{found.relative_to(path)}" for found in sorted(path.rglob("*")) if found.is_file()]
    except (OSError, ValueError, RuntimeError):  # a text that cannot be a path
        pass
    return []


def data_digests(value: Any) -> dict[str, str]:
    """What the plug-ins in a config give as `digest`."""
    found = ((name_of(type(plugin)), plugin.digest()) for plugin in plugins_in(value))
    return {f"{name} {digest}": digest for name, digest in found if digest}


def _a(kind: Kind) -> str:
    return f"an {kind}" if kind == "engine" else f"a {kind}"


def suggestion(name: str, allowed: Any) -> str:
    """` Did you mean 'x'?`; empty if no allowed name is similar."""
    near = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def describe_exception(error: Exception) -> str:
    """`mine.py:5: NameError: ...`, by the innermost frame in a file of the user's; without one, by the innermost.

    The message alone of a `UserError`, which names its place itself.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    theirs = [frame for frame in frames if not Path(frame.filename).resolve().is_relative_to(_PACKAGE)]
    theirs = [frame for frame in theirs if not frame.filename.startswith(("<", *_LIBRARIES))]
    place = "".join(f"{frame.filename}:{frame.lineno}: " for frame in (theirs or frames)[-1:])
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
        with _imports_beside(path.resolve().parent):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


@contextmanager
def _imports_beside(folder: Path) -> Iterator[None]:
    """While a plug-in is imported, the files of its folder can be imported by their names, unless it is a package.

    They take precedence over those of the working directory, not over installed modules. Plug-ins in one folder share
    them; those of other folders have their own, also under equal names.
    """
    inside = set() if (folder / "__init__.py").is_file() else {path.stem for path in folder.glob("*.py")}
    installed = {name for name in inside if PathFinder.find_spec(name, _LIBRARIES)} | sys.stdlib_module_names
    origins = {name: getattr(PathFinder.find_spec(name), "origin", None) for name in inside - installed}
    names = {name for name, file in origins.items() if file is None or Path(file).resolve().parent != folder}

    def named() -> dict[str, ModuleType]:
        return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in names}

    others, finder = named(), _FolderFinder(folder, names)
    for name in others:
        del sys.modules[name]
    sys.modules.update(_BESIDE.get(folder, {}))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _BESIDE[folder] = named()
        for name in _BESIDE[folder]:
            del sys.modules[name]
        sys.modules.update(others)


class _FolderFinder(MetaPathFinder):
    def __init__(self, folder: Path, names: Collection[str]) -> None:
        self._folder, self._names = str(folder), names

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [self._folder]) if name in self._names else None
