"""Arithmetic of matrices, on trees."""

from __future__ import annotations

from functools import reduce

from warmup_rl.grading.math_tree import Tree, children


def folded(tree: Tree) -> Tree:
    """The tree with sums, products and multiples of matrices worked out; unchanged where their sizes do not fit."""
    kind, *parts = tree
    if kind not in ("+", "-", "*", "/"):
        return tree
    parts = [folded(part) for part in parts]
    grids = [[children(row) for row in children(part)] if part[0] == "matrix" else None for part in parts]
    one, other = grids[0], grids[-1]
    if kind == "-" and one:
        return _matrix([[("-", cell) for cell in row] for row in one])
    if kind == "+" and one and other and [*map(len, one)] == [*map(len, other)]:
        return _matrix([[*map(_added, *rows)] for rows in zip(one, other, strict=True)])
    if kind == "*" and one and other and {len(row) for row in one} == {len(other)} and len({*map(len, other)}) == 1:
        columns = list(zip(*other, strict=True))
        cells = [[[("*", *pair) for pair in zip(row, column, strict=True)] for column in columns] for row in one]
        return _matrix([[reduce(_added, cell) for cell in row] for row in cells])
    if kind in ("*", "/") and one and not other:
        return _matrix([[(kind, cell, parts[1]) for cell in row] for row in one])
    if kind == "*" and other and not one:
        return _matrix([[(kind, parts[0], cell) for cell in row] for row in other])
    return tree


def _added(one: Tree, other: Tree) -> Tree:
    return ("+", one, other)


def _matrix(rows: list[list[Tree]]) -> Tree:
    return ("matrix", *(("row", *row) for row in rows))
