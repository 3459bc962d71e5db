"""`python -m warmup_rl conformance`: checks that a domain, engine, cleaner or stage meets its interface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from warmup_rl.base.errors import UserError
from warmup_rl.cli.arguments import Arguments, build, configured_domain, read_settings
from warmup_rl.interfaces.conformance import SUITES, run_checks
from warmup_rl.interfaces.plugins import TABLE, Kind, Plugin, import_class, load, suggestion


def main(arguments: Sequence[str]) -> int:
    """Prints all checks; returns 1 if one failed. Raises `UserError` if the plug-in cannot be loaded or set so."""
    given = _arguments().read(arguments)
    name = given.plugin
    known: dict[str, Kind] = {other: kind for kind in SUITES for other in TABLE[kind]}
    if name not in known and ":" not in name:
        raise UserError(
            f"unknown plug-in {name!r}.{suggestion(name, known)} Allowed: {', '.join(known)}, pkg.module:Class or "
            "./file.py:Class."
        )
    plugin = build(load(known.get(name) or _kind(name), name), read_settings(given.settings), name)
    domain = configured_domain(given.domain, given.set) if given.domain else None
    counts: Counter[str] = Counter()
    for result in run_checks(plugin, domain=domain, model=given.model, problems=given.problems):
        counts[result.status] += 1
        print(f"{result.status:<8} {result.name}{result.note and f': {result.note}'}", flush=True)
    print(", ".join(f"{counts[status]} {status}" for status in ("passed", "failed", "skipped")))
    return 1 if counts["failed"] else 0


def _kind(name: str) -> Kind:
    """What a class is. Raises `UserError` if it is none of the plug-ins, such as a trainer."""
    found = import_class(name, f"plug-in {name!r}")
    if issubclass(found, Plugin):
        return found.plugin_kind
    checked = f"there are checks for {', '.join(SUITES)} only."
    if any(kind.__name__ == "Trainer" for kind in found.__mro__):
        raise UserError(
            f"{name} is a trainer. Trainers are not checked: {checked} Run a recipe with a few steps of it."
        )
    raise UserError(f"{name} does not inherit from an interface of warmup_rl: {checked}")


def _arguments() -> Arguments:
    parser = Arguments("conformance", "Checks that a domain, engine, cleaner or stage meets its interface.")
    parser.add_argument("plugin", metavar="PLUGIN", help="a name such as kk, or pkg.module:Class, or ./file.py:Class")
    parser.add_argument("settings", nargs="*", default=[], metavar="KEY=VALUE", help="a setting of the plug-in")
    parser.add_argument(
        "--domain", metavar="NAME", help="domain with the problems for an engine, cleaner or stage (kk)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of --domain")
    parser.add_argument("--problems", type=int, default=60, metavar="N", help="problems of each split of a domain (60)")
    parser.add_argument("--model", metavar="ID", help="hub id or folder of a model, for plug-ins that work with one")
    return parser
