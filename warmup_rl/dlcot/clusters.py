"""Clusters approaches in prose by their method: by the methods they name, their words, and their numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

_METHODS = {
    "Heron": r"heron",
    "quadratic formula": r"quadratic formula|discriminant",
    "Vieta": r"vieta",
    "factoring": r"factor(?:ing|ise|ize|ed|s)?\b(?! of \d)",
    "completing the square": r"complet\w+ the square",
    "substitution": r"substitut(?:ion|ing)\b",
    "elimination": r"eliminat(?:ion|ing)",
    "induction": r"induction",
    "graph": r"graph(?:ing|s|ically)?\b|plot",
    "enumeration": r"brute[- ]force|enumerat|list(?:ing)? (?:all|them|out)|one by one|try(?:ing)? values",
    "coordinates": r"coordinate",
    "trigonometry": r"trig|law of (?:co)?sines|sine rule|cosine rule",
    "similar triangles": r"similar triangles|similarity of triangles",
    "calculus": r"derivativ|calculus|integra(?:l|te|ting)\b|differentiat",
    "generating function": r"generating function",
    "modular arithmetic": r"mod(?:ulo|ular)?\b|congruen",
    "symmetry": r"symmetr",
    "complement": r"complement",
    "inclusion-exclusion": r"inclusion[- ]exclusion",
    "recursion": r"recurs|recurrence",
    "inequality": r"am-?gm\b|cauchy",
    "matrix": r"matri(?:x|ces)|determinant",
    "vectors": r"vector",
    "Pythagoras": r"pythag",
    "working backwards": r"work(?:ing)? backward",
    "estimation": r"estimat|approximat",
}
_NAMES = tuple(_METHODS)
_NAMED = re.compile(r"\b(?:" + "|".join(f"({words})" for words in _METHODS.values()) + ")")
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[a-z]+|[=+*/^<>-]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_COMMON = frozenset(
    "the a an is are so and of to in that it we i if then this be as with for on let me s can have get but now wait "
    "okay hmm well since which therefore thus hence from by there was just would will its not do what about"
    " also".split()
)
_REDO = re.compile(r"\b(?:redo|re-do|recompute|recalculate|start (?:over|again)|once more|again|rework|repeat)\b", re.I)

SAME_WORDS = 90.0
"""`token_set_ratio` from which two approaches are the same by their words alone."""
ALIKE = 60.0
"""`token_set_ratio` needed in addition to common intermediate values."""
MUCH_ALIKE = 75.0
"""The same if there are too few values, and both name one method or the later one says that it repeats something."""
SAME_VALUES = 0.8
"""Share of the later one's intermediate values (neither given nor the answer) that the earlier one has."""
SOME_VALUES = 0.7
"""The same if both name one method or the later one says that it repeats something."""
_FEWEST_WORDS, _FEWEST_VALUES = 8, 2


@dataclass(frozen=True, slots=True)
class _Features:
    names: tuple[str, ...]
    words: str
    count: int
    values: frozenset[str]
    again: bool


def method_of(opening: str) -> str:
    """A description for readers: the methods that the opening of an approach names, else its first words."""
    names = _names(opening)
    if names:
        return ", ".join(names)
    words = " ".join(opening.split())
    return words if len(words) <= 60 else f"{words[:57].rsplit(' ', 1)[0]} …"


def clusters(texts: Sequence[str], openings: Sequence[str], *, question: str, gold: str) -> list[int]:
    """A number for each approach, equal for those of one method, in order of first appearance.

    Approaches whose openings name different methods differ. Otherwise a later one follows the method of an earlier one
    if its words are nearly the same, or if its words are similar and its intermediate values the same. Fewer common
    values are enough if both name one method or the later one says that it repeats something.

    Args:
        openings: the first sentences of each, in which methods are named.
    """
    given = frozenset(_NUMBER.findall(question)) | frozenset(_NUMBER.findall(gold))
    found: list[int] = []
    features = [_features(text, opening, given) for text, opening in zip(texts, openings, strict=True)]
    for index, later in enumerate(features):
        same = next((found[i] for i in range(index) if _same(features[i], later)), None)
        found.append(max(found, default=-1) + 1 if same is None else same)
    return found


def _same(earlier: _Features, later: _Features) -> bool:
    if earlier.names and later.names and not set(earlier.names) & set(later.names):
        return False
    alike = fuzz.token_set_ratio(earlier.words, later.words)
    new = later.values - earlier.values
    if alike >= SAME_WORDS and min(earlier.count, later.count) >= _FEWEST_WORDS and not new:
        return True
    likely = later.again or bool(set(earlier.names) & set(later.names))
    if len(later.values) < _FEWEST_VALUES:
        return likely and alike >= MUCH_ALIKE and not new
    common = 1 - len(new) / len(later.values)
    return common >= (SOME_VALUES if likely else SAME_VALUES) and alike >= ALIKE


def _features(text: str, opening: str, given: frozenset[str]) -> _Features:
    tokens = [token for token in _TOKEN.findall(text.lower()) if token not in _COMMON]
    values = frozenset(_NUMBER.findall(text)) - given
    return _Features(_names(opening), " ".join(tokens), len(tokens), values, bool(_REDO.search(opening)))


def _names(text: str) -> tuple[str, ...]:
    found = {match.lastindex for match in _NAMED.finditer(text.lower())}
    return tuple(name for number, name in enumerate(_NAMES, start=1) if number in found)
