"""A digest of the code that decides an output: sources that a class imports, directly or not, and library versions.

A cache that knows only settings reuses what changed code would no longer make. So the key of a stage's output covers
every source file that the stage and its plug-ins import, directly or not, wherever in a file the import stands, with
the data files beside them (templates, prompts), and the installed version of each library that decides results and is
imported on the way. Editing a grader changes the key of what it grades, and nothing else; editing a module that all
stages import changes all keys. Comments, docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import inspect
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from warmup_rl.base.jsonl import write_json
from warmup_rl.interfaces.plugins import plugins_in

PROJECT = ("warmup_rl", "program_sandbox", "warmup_rl_extras")
"""Packages that are developed together: their sources count wherever they are imported."""
LIBRARIES = {
    "torch": "torch",
    "transformers": "transformers",
    "trl": "trl",
    "peft": "peft",
    "accelerate": "accelerate",
    "deepspeed": "deepspeed",
    "math_verify": "math-verify",
    "latex2sympy2_extended": "latex2sympy2_extended",
    "sympy": "sympy",
    "mpmath": "mpmath",
}
"""Distributions of libraries that may affect results, by import name."""
MISSING = "missing"
MOST_KEPT = 5000
ALWAYS = ("warmup_rl.run.pipeline", "warmup_rl.run.trial", "warmup_rl.recipe.schema")
"""Modules that decide the inputs of every stage; they count without their imports."""

UNCOUNTED = ("warmup_rl.base.console", "warmup_rl.interfaces.plugins")
"""Modules that decide no output: one writes to the terminal and the log, the other turns YAML into configs, whose
fields and classes are in the key. Stages must not look plug-ins up by name while they run (`load`, `build`)."""
_READS_DOCSTRINGS = re.compile(rb"__doc__|getdoc|getsource|getcomments")

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]*)|import[ \t]+([^\n#]+))", re.MULTILINE
)
_DOTTED = re.compile(r"[\w.]*\w")
_NAMED = re.compile(r"""["'](warmup_rl(?:\.\w+)+)["']""")
"""A module named in a string, for `python -m` or to load a template; the plug-in table has `module:Class` instead."""
_ATTACHED = (".jinja", ".json", ".txt", ".yaml", ".css", ".js", ".html")


def code_digest(values: Iterable[Any], classes: Iterable[str] = ()) -> str:
    """8 hex digits that change with any source, data file or library version that decides what `values` do.

    Args:
        values: stages, domains and other configs; the plug-ins inside them are found.
        classes: import strings of further classes, `pkg.module:Class` or `./file.py:Class`.
    """
    named = {file for name in classes if (file := _module_file(name.rpartition(":")[0]))}
    reached, libraries = _closure({*named, *(file for value in values for file in _class_files(value))})
    always = {file for name in ALWAYS if (file := _module_file(name))}
    content = sorted(_file_digest(*_stamped(file)) for file in reached | always)
    _known.keep()
    versions = [f"{name} {installed_version(LIBRARIES[name])}" for name in sorted(libraries)]
    return hashlib.sha256("\n".join([*content, *versions]).encode()).hexdigest()[:8]


def _class_files(value: Any) -> Iterator[str]:
    """Source files of the plug-ins in a config and of the classes that they extend."""
    for plugin in plugins_in(value):
        for kind in type(plugin).__mro__:
            module = sys.modules.get(kind.__module__)
            source = inspect.getsourcefile(module) if module and hasattr(module, "__file__") else None
            if source and kind.__module__.partition(".")[0] not in _FOREIGN:
                yield str(Path(source).resolve())


_FOREIGN = frozenset({"pydantic", *sys.stdlib_module_names})


def _closure(roots: set[str]) -> tuple[set[str], set[str]]:
    """The files that source files import, directly or not, themselves and the data files beside them included; and the
    result-deciding libraries that are imported there."""
    uncounted = {file for name in UNCOUNTED if (file := _module_file(name))}
    files = roots - uncounted
    libraries, waiting = set[str](), list(files)
    while waiting:
        imported, used = _imports(*_stamped(waiting.pop()))
        imported -= uncounted
        libraries |= used
        waiting += imported - files
        files |= imported
    attached = {str(path) for folder in {os.path.dirname(file) for file in files} for path in _data_files(folder)}
    return files | attached, libraries


@cache
def _data_files(folder: str) -> tuple[Path, ...]:
    """Data files beside sources of this package, and in subfolders without modules; none of a user's folder."""
    if not _package_of(folder)[1:] or _package_of(folder)[0] not in PROJECT:
        return ()
    inside = [path for path in sorted(Path(folder).iterdir()) if not (path / "__init__.py").exists()]
    files = [file for path in inside for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    return tuple(file for file in files if file.suffix in _ATTACHED)


@cache
def _imports(file: str, stamp: int) -> tuple[frozenset[str], frozenset[str]]:
    """Files of the same project that a source file imports, and the result-deciding libraries that it imports."""
    folder = os.path.dirname(file)
    package = _package_of(folder)
    own = {*PROJECT, *package[:1]}
    files, libraries = set[str](), set[str]()
    for name in _imported_names(Path(file).read_text(encoding="utf-8"), package):
        top = name.partition(".")[0]
        if top in LIBRARIES:
            libraries.add(top)
        elif top in own:
            files |= {found} if (found := _module_file(name)) else set()
        elif not package and top not in sys.stdlib_module_names:
            beside = Path(folder, *name.split(".")).with_suffix(".py")
            files |= {str(beside)} if beside.is_file() else set()
    return frozenset(files), frozenset(libraries)


def _imported_names(text: str, package: tuple[str, ...]) -> Iterator[str]:
    """Dotted names that a source may import: `from a import b` gives both `a` and `a.b`."""
    yield from _NAMED.findall(text)
    for source, names, plain in _IMPORT.findall(text):
        listed = [name.split(" as ")[0].strip() for name in (names or plain).strip("() \n").split(",")]
        dots = len(source) - len(source.lstrip("."))
        start = package[: len(package) - dots + 1] if dots else ()
        base = ".".join([*start, *filter(None, [source.lstrip(".")])])
        for name in filter(_DOTTED.fullmatch, listed):
            yield from (base, f"{base}.{name}") if source else (name,)


@cache
def _package_of(folder: str) -> tuple[str, ...]:
    """Dotted parts of the package in a folder; empty if the folder is not a package."""
    if not os.path.isfile(os.path.join(folder, "__init__.py")):
        return ()
    return (*_package_of(os.path.dirname(folder)), os.path.basename(folder))


@cache
def _module_file(name: str) -> str | None:
    """Source file of a module, given by name or by file; None if it does not exist (loading it raises an error)."""
    if name.endswith(".py"):
        return str(Path(name).resolve()) if Path(name).is_file() else None
    top, *rest = name.split(".")
    spec = find_spec(top)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place, *rest)
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return str(file.resolve())
    return None


def _stamped(file: str) -> tuple[str, int]:
    """A file and its modification time, the key of the caches above and below."""
    return file, os.stat(file).st_mtime_ns


@cache
def _file_digest(file: str, stamp: int) -> str:
    content = Path(file).read_bytes()
    own = hashlib.sha256(content).hexdigest()
    return _known.digest(own, content) if file.endswith(".py") else own


class _Known:
    """Digests of syntax trees by the SHA-256 of the source, kept in the user's cache folder: parsing all sources takes
    half a second at every start. A file that is damaged, or that cannot be written, only costs this time."""

    def __init__(self) -> None:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        self._file = folder / "warmup_rl" / f"syntax-{sys.implementation.cache_tag}.json"
        self._new = False

    @cached_property
    def _digests(self) -> dict[str, str]:
        try:
            check, digests = json.loads(self._file.read_text(encoding="utf-8"))
            return digests if check == _checksum(digests) else {}
        except (OSError, ValueError, TypeError):
            return {}

    def digest(self, key: str, source: bytes) -> str:
        """The digest of a source, given its SHA-256."""
        if key not in self._digests:
            self._digests[key], self._new = hashlib.sha256(_syntax(source)).hexdigest(), True
        return self._digests[key]

    def keep(self) -> None:
        """Writes new digests, the latest `MOST_KEPT` of all."""
        if self._new:
            digests = dict(list(self._digests.items())[-MOST_KEPT:])
            with suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_json(self._file, [_checksum(digests), digests])
            self._new = False


def _checksum(digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


_known = _Known()


def _syntax(source: bytes) -> bytes:
    """The syntax tree of a Python source without docstrings; the source itself if it reads docstrings, or is none."""
    if _READS_DOCSTRINGS.search(source):
        return source
    collecting = gc.isenabled()
    gc.disable()  # it takes half of the time, and a tree has no cycles
    try:
        tree = ast.parse(source)
        _drop_docstrings(tree)
        return ast.dump(tree).encode()
    except (SyntaxError, ValueError, RecursionError):
        return source
    finally:
        if collecting:
            gc.enable()


def _drop_docstrings(node: ast.AST) -> None:
    """Removes statements that are only a constant, which do nothing, from the blocks of a statement."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            block[:] = [one for one in block if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
            for inside in block:
                _drop_docstrings(inside)


@cache
def installed_version(distribution: str) -> str:
    """The version of an installed distribution, or `MISSING`."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return MISSING
