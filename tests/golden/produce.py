"""Writes the golden files, which say what the package does today, and tells where it does something else.

`python -m tests.golden.produce` rewrites all of them, with names (`dlcot_prose`) only those. Step validity is in none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from os.path import commonprefix
from pathlib import Path
from typing import Any

from tests.golden import cleaning, figures, problems, verdicts

FOLDER = Path(__file__).parent
SHOWN = 120
"""Characters of a value that differs."""
GOLDEN: dict[str, Callable[[], dict[str, Any]]] = {
    "problems": problems.problems,
    "prompts": problems.prompts,
    "corpus": problems.corpus,
    "traces": cleaning.traces,
    "cleaners": cleaning.cleaners,
    **{f"dlcot_{kind}": partial(cleaning.dlcot, kind) for kind in cleaning.KINDS},
    "pipeline_terse": partial(cleaning.pipeline, "terse kk"),
    "pipeline_english_kk": partial(cleaning.pipeline, "english kk"),
    "mathematics": verdicts.mathematics,
    "answers": verdicts.answers,
    "runs": figures.runs,
}
"""What is in each file: entries by name, JSON values."""


def produced(name: str) -> dict[str, Any]:
    """What the file would hold if it were written now."""
    entries: dict[str, Any] = json.loads(json.dumps(GOLDEN[name]()))
    return entries


def kept(name: str) -> dict[str, Any]:
    """What the file holds."""
    entries: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return entries


def write(name: str, entries: dict[str, Any]) -> None:
    """Writes the file, an entry a line."""
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items())
    (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def differences(before: Any, now: Any, place: str = "") -> list[str]:
    """Where two JSON values differ: the place of each difference, and both values from shortly before it."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            line
            for key in dict.fromkeys([*before, *now])
            for line in differences(before.get(key, "(nothing)"), now.get(key, "(nothing)"), f"{place} [{key}]".strip())
        ]
    if before == now:
        return []
    texts = [value if isinstance(value, str) else json.dumps(value) for value in (before, now)]
    start = max(len(commonprefix(texts)) - SHOWN // 4, 0)
    was, told = ("…" * (start > 0) + text[start:][:SHOWN] for text in texts)
    return [f"{place}\n  was {was}\n  is  {told}"]


def main(names: Sequence[str]) -> None:
    for name in names or GOLDEN:
        write(name, produced(name))
        print(f"{FOLDER / name}.json: {(FOLDER / f'{name}.json').stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
