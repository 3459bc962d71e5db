"""`python -m benchmarks [NAME ...] [--out FOLDER]`: runs benchmarks, prints one table and writes what was measured.

A benchmark is a module of this folder with `figures() -> Iterator[Figure]` and, in `NEEDS`, the packages that are
measured beside ours; it is left out, and that is said, where one is not installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figure import Figure

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one benchmark, or why there are none."""

    name: str
    about: str
    figures: tuple[Figure, ...]
    missing: str
    machine: dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks and returns the exit code: 0 all goals met, 1 one is not, 2 a name is unknown."""
    names = benchmark_names()
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measures speed and memory.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all where none is given: {', '.join(names)}")
    parser.add_argument("--out", type=Path, default=FOLDER / "results", help="folder of the results")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in names]:
        print(f"unknown benchmark {unknown[0]!r}. There are: {', '.join(names)}.", file=sys.stderr)
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    results = []
    for name in given.names or names:
        print(f"{name} ...", file=sys.stderr)
        results.append(_run(name, given.out))
    _print(results)
    _write_page(given.out, names)
    return int(any(figure.met is False for result in results for figure in result.figures))


def benchmark_names() -> list[str]:
    """The modules of this folder that define `figures`; the others are commands of their own, or serve them."""
    names = sorted(module.name for module in iter_modules([str(FOLDER)]) if module.name != "__main__")
    found = {name: getattr(import_module(f"benchmarks.{name}"), "figures", None) for name in names}
    return [name for name, figures in found.items() if getattr(figures, "__module__", "") == f"benchmarks.{name}"]


def _run(name: str, out: Path) -> Result:
    """Some take an hour: each figure is shown and written at once, so that it is not lost with the rest."""
    module = import_module(f"benchmarks.{name}")
    needs: Sequence[str] = getattr(module, "NEEDS", ())
    absent = [package for package in needs if find_spec(package.replace("-", "_")) is None]
    missing = f"{', '.join(absent)} not installed: pip install '.[bench]'" if absent else ""
    result = Result(name, (module.__doc__ or "").strip().splitlines()[0], (), missing, _machine(needs))
    _write(result, out)
    for figure in () if missing else module.figures():
        print("  ", *_cells(figure), flush=True)
        result = replace(result, figures=(*result.figures, figure))
        _write(result, out)
    return result


def _write(result: Result, out: Path) -> None:
    text = json.dumps(asdict(result), indent=2, ensure_ascii=False)
    (out / f"{result.name}.json").write_text(text + "\n", encoding="utf-8")


def _machine(needs: Sequence[str]) -> dict[str, Any]:
    versions = {"python": platform.python_version()}
    for package in ("warmup-rl", *needs):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.system(), "versions": versions}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _print(results: Sequence[Result]) -> None:
    table = Table(title="Benchmarks")
    for column in ("benchmark", "figure", "value", "unit", "goal", "met"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for result in results:
        if result.missing:
            table.add_row(result.name, result.missing)
        for figure in result.figures:
            table.add_row(result.name, *_cells(figure))
    Console().print(table)


def _cells(figure: Figure) -> tuple[str, ...]:
    value = shown(figure.value)
    if figure.spread:
        value += f" [{', '.join(map(shown, figure.spread))}]"
    met = {True: "yes", False: "NO", None: ""}[figure.met]
    return figure.name, value, figure.unit, figure.goal, met


def shown(value: float) -> str:
    """Three digits, or all before the point: `12,345`, `27.3`, `0.0123`."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _write_page(folder: Path, names: Sequence[str]) -> None:
    """One page with the last results of every benchmark."""
    lines = ["# Benchmarks", "", "Written by `python -m benchmarks`; each section is the last run of that benchmark."]
    for name in names:
        path = folder / f"{name}.json"
        if not path.is_file():
            continue
        result = json.loads(path.read_text(encoding="utf-8"))
        machine = result["machine"]
        versions = ", ".join(f"{package} {number}" for package, number in machine["versions"].items())
        lines += [
            "",
            f"## {name}",
            "",
            result["about"],
            "",
            f"`python -m benchmarks {name}` on {machine['cpu']}, {machine['cores']} cores; {versions}.",
            "",
        ]
        if result["missing"]:
            lines.append(f"Not measured: {result['missing']}")
            continue
        lines += ["| figure | value | unit | goal | met |", "| --- | ---: | --- | --- | --- |"]
        lines += [f"| {' | '.join(_cells(Figure(**figure)))} |" for figure in result["figures"]]
    (folder / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
