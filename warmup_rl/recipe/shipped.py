"""The recipes and launch files that come with the package, by name: in a wheel inside it, in a checkout beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from warmup_rl.base.errors import RecipeError, UserError
from warmup_rl.interfaces.plugins import suggestion

_PACKAGE = Path(__file__).parents[1]


def shipped(kind: Literal["recipes", "launch"]) -> dict[str, Path]:
    """The YAML files of a kind by name (`kk_warmup`, `zero3`)."""
    inside = _PACKAGE / kind
    folder = inside if inside.is_dir() else _PACKAGE.parent / kind
    files = sorted(folder.glob("*.yaml"))
    if kind == "launch":  # those of accelerate, not of cloud services
        files = [file for file in files if "distributed_type:" in file.read_text(encoding="utf-8")]
    return {file.stem: file for file in files}


def find_recipe(given: str | Path) -> Path:
    """The file of a recipe: a path, or the name of a shipped one, also as `recipes/NAME.yaml`. Raises `RecipeError` if
    there is none."""
    path, recipes = Path(given), shipped("recipes")
    if path.exists():
        return path
    if path.stem in recipes and str(path) in (path.stem, path.name, f"recipes/{path.name}"):
        return recipes[path.stem]
    siblings = [str(file) for file in sorted(path.parent.glob("*.y*ml"))]
    hint = suggestion(str(given), [*siblings, *recipes])
    listed = "" if path.suffix else f" Shipped recipes: {', '.join(recipes)}."
    raise RecipeError([f"{path}: no such recipe file.{hint}{listed}"])


def find_launch_file(given: str) -> Path:
    """A configuration of accelerate: a path, or the name of a shipped one. Raises `UserError` if there is none."""
    files = shipped("launch")
    if given in files:
        return files[given]
    if Path(given).is_file():
        return Path(given)
    raise UserError(f"--launch: no such file: {given}.{suggestion(given, files)} Shipped: {', '.join(files)}.")


def first_comment(file: Path) -> str:
    """The first line of a file that begins with a comment, without its sign; empty for other files."""
    with file.open(encoding="utf-8") as lines:
        first = lines.readline().strip()
    return first.removeprefix("#").strip() if first.startswith("#") else ""
