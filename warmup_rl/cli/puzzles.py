"""`python -m warmup_rl puzzles`: makes a file of Knights & Knaves puzzles or of their variants, or checks one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_rl.base.console import counted, progress_bar
from warmup_rl.base.errors import SpaceError, UserError
from warmup_rl.base.files import real
from warmup_rl.base.types import SPLITS, Split
from warmup_rl.cli.arguments import Arguments, build, option
from warmup_rl.interfaces.domain import split_of
from warmup_rl.knights.perturb import PERTURBATIONS
from warmup_rl.knights.published import ROWS_PER_BATCH, check_file, check_suffix, write_rows
from warmup_rl.knights.space import all_keys, estimate_space
from warmup_rl.recipe.document import parse_value

if TYPE_CHECKING:
    import argparse

    from warmup_rl.domains.kk import KnightsKnaves
    from warmup_rl.domains.kk_puzzles import Drawn, Tally

_ABOUT = (
    "Makes Knights & Knaves puzzles with exactly one solution in the columns of the published data, no two of them the "
    "same up to renaming, reordering and swapped operands; or variants of the puzzles of a file; or checks a file: in "
    "how many rows does the solver find the given answer from the statements, and from the text alone?"
)
_PER_LINE = "{people:>8}{made:>11}{repeated:>21}   {left}"


def main(arguments: Sequence[str]) -> None:
    """Runs the command. Raises `UserError` where the command line, a file or the settings are wrong."""
    given = _parser().read(arguments)
    if given.check:
        print(json.dumps(asdict(check_file(given.check))))
        return
    if not given.out:
        raise UserError("puzzles: --out FILE (.parquet or .jsonl) is needed, or --check FILE.")
    check_suffix(given.out)
    if given.size is not None and given.size < 1:
        raise UserError(f"puzzles: --size must be at least 1, got {given.size}.")
    if given.source and not given.perturb:
        raise UserError(f"puzzles: --in gives puzzles to vary; say how: --perturb {'|'.join(PERTURBATIONS)}.")
    if given.source and real(given.source) == real(given.out):
        raise UserError(f"puzzles: --in and --out are the same file: {given.out}. Give another one for the variants.")
    _make(_domain(given), given)


def _parser() -> Arguments:
    parser = Arguments("puzzles", _ABOUT)
    add = parser.add_argument
    split = (
        "one split alone: the problems that a recipe's domain of type kk draws with these settings and this seed; "
        "all: the column `split` tells to which split a puzzle belongs (all)"
    )
    check = (
        "prints one JSON line: rows, solved_from_statements, solved_from_text, disagree (numbers of the other rows, "
        "from 0)"
    )
    add("--out", type=Path, metavar="FILE", help=".parquet or .jsonl")
    add("--size", type=int, metavar="N", help="how many puzzles (1000; with --in: all)")
    add("--seed", type=int, default=0, metavar="N", help="the same seed and settings give the same file (0)")
    add("--split", choices=("all", *SPLITS), default="all", help=split)
    add("--people", metavar="N|N-M", help="how many people; each number equally often (2-3)")
    add("--depth", metavar="N", help="height of a statement; 2 has one operator, as published (2)")
    add("--width", metavar="N", help='operands of the widest "and" and "or"; 2 as published (2)')
    add("--deeper", metavar="SHARE", help="share of statements that may be one operator deeper (0)")
    add("--names", metavar="N|NAME,...", help="how many of the built-in names, or a list (all)")
    add("--roles", metavar="all|WORD/WORD,...", help="words for truth-tellers / liars (knight/knave)")
    add("--perturb", choices=PERTURBATIONS, help="variants, checked again: of generated puzzles, or of those of --in")
    add("--in", dest="source", type=Path, metavar="FILE", help="puzzles to vary, with the published columns")
    add("--check", type=Path, metavar="FILE", help=check)
    return parser


def _domain(given: argparse.Namespace) -> KnightsKnaves:
    """The kk domain with the settings of the command line."""
    from warmup_rl.domains.kk import KnightsKnaves

    keys: dict[str, Any] = {"perturb": given.perturb}
    given_keys = {key: getattr(given, key) for key in ("depth", "width", "deeper")}
    keys |= {key: parse_value(text, option(key)) for key, text in given_keys.items() if text is not None}
    if given.people:
        bounds = given.people.split("-")
        if "" in bounds:
            raise UserError(f"puzzles: --people: N or N-M is needed (got {given.people}).")
        numbers = [parse_value(bound, "--people") for bound in bounds]
        keys["people"] = numbers[0] if len(numbers) == 1 else numbers
    if given.names:
        keys["names"] = int(given.names) if given.names.isdecimal() else given.names.split(",")
    if given.roles:
        pairs = [pair.split("/") for pair in given.roles.split(",")]
        if given.roles != "all" and any(len(pair) != 2 for pair in pairs):
            raise UserError(f"puzzles: --roles: all, or pairs such as knight/knave,saint/sinner (got {given.roles}).")
        keys["roles"] = "all" if given.roles == "all" else pairs
    if given.source:
        keys["file"] = str(given.source)
    keys = {key: value for key, value in keys.items() if value is not None}
    return build(KnightsKnaves, keys, "puzzles", by_option=True)


def _make(domain: KnightsKnaves, given: argparse.Namespace) -> None:
    from warmup_rl.domains.kk_puzzles import PATIENCE, Tally

    size = given.size or (None if given.source else 1000)
    split: Split | None = None if given.split == "all" else given.split
    tally, made = Tally(), Counter[str]()
    source = domain.draw(None if given.source else split, given.seed, tally)
    wanted = islice((drawn for drawn in source if split in (None, drawn.split)), size)

    def batches() -> Iterator[list[Drawn]]:
        while batch := list(islice(wanted, ROWS_PER_BATCH)):
            made.update(drawn.split for drawn in batch)
            yield batch
            advance(len(batch))
        if not made:
            where = f"{given.source} has" if given.source else "these settings have"
            what = f" with a variant ({domain.perturb})" if domain.perturb else ""
            raise SpaceError(f"puzzles: {where} no puzzle{what} in split {given.split}; nothing is written.")

    with progress_bar("puzzles") as bar:
        advance = bar(size) if bar else lambda count: None
        write_rows(given.out, batches())
    total = sum(made.values())
    shares = ", ".join(f"{made[split]:,} {split}" for split in SPLITS if made[split])
    if given.perturb:
        print(f"{given.out}: {counted(total, 'variant')} ({given.perturb}): {shares}; {tally.without:,} without one")
    else:
        print(f"{given.out}: {counted(total, 'puzzle')}: {shares}")
        print("\n".join(_report(domain, tally, split)))
    if size is not None and total < size:
        widen = "." if given.source else ", or widen --people, --depth or --width."
        found = "in the file" if given.source else f"found before {PATIENCE:,} draws in a row gave no new one"
        raise SpaceError(
            f"puzzles: {size:,} asked for, {total:,} {found}: {given.out} holds them. Ask for at most {total:,}{widen}"
        )


def _report(domain: KnightsKnaves, tally: Tally, split: Split | None) -> Iterator[str]:
    """A line for each number of people: puzzles made, duplicates refused, and puzzles left."""
    yield _PER_LINE.format(people="people", made="puzzles", repeated="duplicates refused", left="left")
    for people in domain.counts:
        made, repeated = tally.made[people], tally.repeated[people]
        left = _left(domain, people, made, split)
        yield _PER_LINE.format(people=people, made=f"{made:,}", repeated=f"{repeated:,}", left=left)


def _left(domain: KnightsKnaves, people: int, made: int, split: Split | None) -> str:
    keys = all_keys(people, domain.grammar)
    if keys is None:
        of_split = "" if split is None else " in all splits"
        return f"of about {estimate_space(people, domain.grammar)}{of_split} (estimated)"
    exist = sum(split in (None, split_of(key)) for key in keys)
    return f"{exist - made:,} of {exist:,} (exact)"
