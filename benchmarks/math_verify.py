"""Grades the pairs in Math-Verify's own tests: `python -m benchmarks.math_verify FOLDER`, a checkout of the project.

The pairs are read from the sources of `tests/test_*.py` and not run: a reference, an answer, and 1 or 0 for whether the
maintainers count it as right. Each is graded twice: as an answer that stood in answer tags, and as a whole completion,
of which the answer is found first.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from warmup_rl.grading.final_answer import stated_mathematics
from warmup_rl.grading.math import same_answer


def pairs(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """Reference, answer and label of each pair; those whose label depends on an option are left out."""
    for file in sorted(folder.glob("tests/test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            parts = node.elts if isinstance(node, ast.Tuple) else []
            match [part.value for part in parts if isinstance(part, ast.Constant)]:
                case [str(gold), str(said), 0 | 1 as right]:
                    yield gold, said, bool(right)


def main(folder: str) -> None:
    """Prints how many pairs are graded as labeled."""
    found = list(pairs(Path(folder)))
    for name, extracted in ("as answers", str), ("as whole completions", stated_mathematics):
        counts = Counter(
            (right, same_answer(gold=gold, answer=extracted(said) or "").verdict == "correct")
            for gold, said, right in found
        )
        print(f"{name}: {counts[True, True] + counts[False, False]} of {len(found)} pairs graded as labeled")
        print(f"  labeled right, not correct: {counts[True, False]}; labeled wrong, correct: {counts[False, True]}")


if __name__ == "__main__":
    main(sys.argv[1])
