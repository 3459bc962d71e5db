"""The host paths that a program may read: interpreter, standard library, C libraries, and packages that are named."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

READ_FILE, READ_FOLDER = 1 << 2, 1 << 3


class PackageMissing(LookupError):
    """A package that programs are to import is not installed; its name."""


def interpreter() -> str:
    """The real executable behind a virtual environment's link."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def package_folders(packages: Sequence[str]) -> dict[str, str]:
    """Where the packages lie, by name. Raises `PackageMissing`."""
    found = {}
    for name in packages:
        spec = find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise PackageMissing(name)
        found[name] = os.path.realpath(spec.submodule_search_locations[0])
    return found


def bwrap_arguments(packages: Sequence[str]) -> list[str]:
    """Options of bubblewrap for a root that holds only the allowed paths, all read-only."""
    base, hidden, named = _base(), _hidden(), _with_libraries(packages)
    arguments: list[str] = []
    folders = {str(parent): None for path in [*base, *named] for parent in reversed(Path(path).parents)}
    for folder in folders:  # those that bubblewrap makes by itself can be walked by their owner only
        if folder != "/" and not any(Path(folder).is_relative_to(path) for path in base):
            arguments += ["--perms", "0755", "--dir", folder]
    for path in base:
        link = os.path.islink(path)
        arguments += ["--symlink", os.readlink(path), path] if link else ["--ro-bind", path, path]
    for path in hidden:
        arguments += ["--perms", "0755", "--tmpfs", path]
    for path in named:
        arguments += ["--ro-bind", path, path]
    for path in [*hidden, "/"]:
        arguments += ["--remount-ro", path]
    return [*arguments, "--chdir", "/"]


def landlock_rules(packages: Sequence[str]) -> list[tuple[str, int]]:
    """The allowed paths with their rights for Landlock. Landlock has no exceptions: where a folder holds something
    hidden, its other contents are allowed one by one."""
    hidden = set(_hidden())
    rules: dict[str, int] = {}
    for path in map(os.path.realpath, [*_base(), *_with_libraries(packages)]):
        rules.update(_rules(path, hidden))
    return list(rules.items())


def walkable(paths: Sequence[str]) -> bool:
    """Whether every user can walk from the root to these paths."""
    parents = {parent for path in paths for parent in Path(path).parents}
    return all(parent.stat().st_mode & 0o001 for parent in parents)


def _rules(path: str, hidden: set[str]) -> Iterator[tuple[str, int]]:
    if path in hidden:
        return
    if not os.path.isdir(path):
        yield path, READ_FILE
    elif not any(Path(other).is_relative_to(path) for other in hidden):
        yield path, READ_FILE | READ_FOLDER
    else:
        yield path, READ_FOLDER
        for entry in os.scandir(path):
            if not entry.is_symlink():
                yield from _rules(entry.path, hidden)


def _base() -> list[str]:
    libraries = ["/usr/lib", "/usr/lib64", "/lib", "/lib64"]
    own = [f"{sys.base_prefix}/lib", f"{sys.base_prefix}/lib64", interpreter()]
    paths = [*libraries, *own, "/etc/ld.so.cache", "/usr/share/zoneinfo"]
    return [path for path in dict.fromkeys(paths) if os.path.exists(path)]


def _hidden() -> list[str]:
    """Folders of installed packages within the allowed libraries; programs must not see them."""
    standard = os.path.realpath(sysconfig.get_path("stdlib"))
    names = [f"{standard}/site-packages", f"{standard}/dist-packages", "/usr/lib/python3/dist-packages"]
    return [path for path in dict.fromkeys(names) if os.path.isdir(path)]


def _with_libraries(packages: Sequence[str]) -> list[str]:
    """Folders of packages, each with the `NAME.libs` of C libraries that wheels bring."""
    folders = package_folders(packages).values()
    return [path for folder in folders for path in (folder, f"{folder}.libs") if os.path.isdir(path)]
