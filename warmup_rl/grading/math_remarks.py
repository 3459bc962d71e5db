"""Remarks in brackets behind a mathematical answer: `17 (seventeen)`, `1/2 (= 0.5)`, `72 (48+24)`, `5 (cm)`."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from warmup_rl.grading.math_structure import shape
from warmup_rl.grading.math_tokens import Tokens, encloses, spelled
from warmup_rl.grading.math_tree import Tree, names
from warmup_rl.grading.math_value import equal, rounds_to_places
from warmup_rl.grading.math_words import Answer, changes_value, in_words, split_answer

_HUNDRED: Tree = ("n", Fraction(100), "100")


def without_remark(answer: Answer, unit: str = "") -> Answer:
    """An answer without a remark in brackets behind its value, or behind the number in words (`five (5) apples`).

    The remark must say the same in another way, be a calculation with that result, name the unit, or be words that
    leave a value as it is. What says anything else, such as `5 (or 6)`, stays a part of the answer.

    Args:
        unit: of the other answer; words in brackets might be another one, which nobody knows.
    """
    tokens = answer.tokens
    places = (place for place, token in enumerate(tokens) if place and token.text == "(" and token.spaced)
    opening = next((place for place in places if encloses(tokens[place:])), 0)
    if not opening:
        return answer
    before, inner = tokens[:opening], tokens[opening + 1 : -1]
    result = split_answer(before)
    found = None if result.words or not inner else shape(result.tokens).tree
    if found is None:
        return answer
    united = split_answer([*before, inner[0]._replace(spaced=True), *inner[1:]])
    if united.unit and not result.unit and united.text == result.text:
        return united
    own = result.unit or answer.unit
    if spelled(before) != spelled(inner) and (other := _says(inner, found, own)) is not None:
        return replace(result, unit=own or other)
    return replace(result, unit=own) if in_words(inner) and (own or not unit) else answer


def _says(remark: Tokens, found: Tree, unit: str) -> str | None:
    """The unit in a remark that has this value or works it out, possibly empty; None for any other remark."""
    start = next((place for place, token in enumerate(remark) if token.kind != "word"), 0)
    if changes_value(spelled(remark[:start])):
        return None
    rounded = bool(start < len(remark) and remark[start].text == "\\approx")
    readings = [split_answer(remark), split_answer(remark[start:])]
    for said in readings:
        shapes = shape(said.tokens) if said.tokens and not said.words else None
        sides = [part.tree for part in (shapes.parts if shapes.kind == "equation" else [shapes])] if shapes else []
        if unit == "%" and not said.unit:
            sides = [tree and ("*", _HUNDRED, tree) for tree in sides]
        elif not unit and said.unit == "%":
            sides, said = [tree and ("/", tree, _HUNDRED) for tree in sides], replace(said, unit="")
        same = [
            tree is not None and (equal(tree, found) or rounded and rounds_to_places(tree, found)) for tree in sides
        ]
        if same and all(same) and said.unit in ("", unit or said.unit) and not (sides[0] and names(sides[0])):
            return said.unit
    return None
