"""Changed golds, which must not grade correct: what `init` tries a grader on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from warmup_rl.domains.user import UserRows
from warmup_rl.types import Problem


def perturbed(domain: UserRows, problem: Problem, problems: Sequence[Problem]) -> Iterator[tuple[str, str]]:
    """Names and texts of answers near the gold that are wrong."""
    gold = problem.gold
    kind = type(domain.grader).type
    other = next((one.gold for one in problems if one.gold != gold), None)
    if other is not None and kind not in ("regex", "python", "code"):
        yield "another row's gold", domain.reference(_with_gold(problem, other))
    if kind in ("math", "number"):
        yield from ((name, domain.reference(_with_gold(problem, text))) for name, text in _numbers(gold))
    elif kind == "choice":
        letters = problem.meta["letters"]
        yield "the next letter", letters[(letters.index(gold.strip()) + 1) % len(letters)]
    elif kind == "set":
        members = [part for part in re.split(r"[,;\n]", gold) if part.strip()]
        yield "one member more", ", ".join([*members, "zzz"])
        if len(members) > 1:
            yield "one member less", ", ".join(members[1:])
    elif kind == "json":
        yield "one value more", json.dumps([json.loads(gold), 1])
    elif kind == "code":
        yield "returns nothing", re.sub(r"\breturn\b.*", "return None", domain.reference(problem))
    elif kind in ("exact", "kk"):
        yield "a word more", f"{gold} not"
    yield "empty", ""


def _numbers(gold: str) -> Iterator[tuple[str, str]]:
    found = list(re.finditer(r"\d+", gold))
    if found:
        last = found[-1]
        yield "a digit more", f"{gold[: last.end()]}7{gold[last.end() :]}"
        yield "one more", f"{gold[: found[0].start()]}{int(found[0][0]) + 1}{gold[found[0].end() :]}"


def _with_gold(problem: Problem, gold: str) -> Problem:
    return Problem(problem.id, problem.domain, problem.question, gold, problem.meta)
