"""From scored completions to the numbers that tables and curves show; pure functions over rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]


def cells(rows: Iterable[Row], *, own_prompt: str) -> list[Row]:
    """A cell for each (split, prompt, sampling, domain) among the rows of `completions.jsonl`, in order of appearance.

    Args:
        own_prompt: the recipe's own prompt style, marked by `own` in its cells.
    """
    groups: dict[tuple[str, str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["split"], row["prompt"], row["sampling"], row["domain"]].append(row)
    return [
        {
            "split": split,
            "prompt": prompt,
            "own": prompt == own_prompt,
            "sampling": sampling,
            "domain": domain,
            **summarize(group),
            "by": _by_group(group),
        }
        for (split, prompt, sampling, domain), group in groups.items()
    ]


def summarize(rows: Sequence[Row]) -> Row:
    """The figures of one non-empty set of rows of one domain.

    Returns:
        problems, samples (rows a problem), lenient (share correct by verdict), strict (share correct and well formed),
        well_formed, truncated, thinks (share where the domain can tell, else None), tokens (mean), chance (mean),
        outcomes (count by strict outcome). Where the domain judges steps also valid_steps (share of the steps that
        could be read) and unparsed_steps (share of all), means over the completions with such steps, and
        right_from_invalid (share of the right answers whose thinking holds an invalid step); None where there are none.
    """
    problems = len({row["problem_id"] for row in rows})
    scores = [row["score"] for row in rows]
    shows_work = [score["shows_work"] for score in scores if score["shows_work"] is not None]
    return {
        "problems": problems,
        "samples": len(rows) // problems,
        "lenient": _mean(score["verdict"] == "correct" for score in scores),
        "strict": _mean(score["outcome"] == "correct" for score in scores),
        "well_formed": _mean(score["well_formed"] for score in scores),
        "truncated": _mean(row["truncated"] for row in rows),
        "shows_work": _mean(shows_work) if shows_work else None,
        "tokens": _mean(row["tokens"] for row in rows),
        "chance": _mean(row["chance"] for row in rows),
        "outcomes": dict(sorted(Counter(score["outcome"] for score in scores).items())),
        **_steps(scores),
    }


def _steps(scores: Sequence[Row]) -> Row:
    if not any(score.get("steps") for score in scores):
        return {}
    judged = [(score["steps"], score["verdict"] == "correct") for score in scores if score.get("steps")]
    read = [(steps["valid"], steps["valid"] + steps["invalid"], steps["unparsed"]) for steps, _ in judged]
    shares = {
        "valid_steps": [valid / parsed for valid, parsed, _ in read if parsed],
        "unparsed_steps": [unparsed / (parsed + unparsed) for _, parsed, unparsed in read if parsed + unparsed],
        "right_from_invalid": [steps["invalid"] > 0 for steps, right in judged if right],
    }
    return {name: _mean(values) if values else None for name, values in shares.items()}


def _by_group(rows: Sequence[Row]) -> dict[str, Row]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["group"] is not None:
            groups[row["group"]].append(row)
    return {
        name: {
            "problems": len({row["problem_id"] for row in group}),
            "lenient": _mean(row["score"]["verdict"] == "correct" for row in group),
        }
        for name, group in sorted(groups.items())
    }


def _mean(values: Iterable[float]) -> float:
    listed = [float(value) for value in values]
    return sum(listed) / len(listed)
