"""Finds what an answer copies from its question instead of working it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import chain, groupby, repeat

from warmup_rl.grading.final_answer import FORMULA
from warmup_rl.grading.math_structure import Shape, shape, split
from warmup_rl.grading.math_tokens import OPERATIONS, Tokens, tokenize
from warmup_rl.grading.math_tree import Tree, children, names
from warmup_rl.grading.math_value import equal, literal, real
from warmup_rl.grading.math_words import NUMBERS

COPIED = "copied from the question, not worked out"
MAX_TOKENS = 300
"""Length of an expression in a question; a longer one is no answer."""
MAX_TRIED = 20
"""Expressions in an answer that are compared with its value; one that holds more of the question is copied."""
_STOPS = (",", ";", ":", "?", "\\cdots", "\\ldots", "\\dots")
_LEAVES = ("n", "v", "c")
_ONE: Tree = ("n", Fraction(1), "1")
_NEUTRAL = {"+": 0, "*": 1, "/": 1, "^": 1}
Parts = dict[str, list[Tree]]
"""Terms or factors by their forms."""
Piece = tuple[str, Parts]
"""A sum (`+`), a product (`*`), or one other expression (empty), and its parts."""
Equation = tuple[tuple[str, ...], frozenset[tuple[str, Fraction]]]
"""What it is solved for, if anything, and its terms, all on one side, with their factors up to a common one."""


def copied(given: Shape, reference: Shape, question: str) -> bool:
    """Whether an answer holds an expression that has its own value, but is not worked out: one that stands in the
    question, a `\\sum` or `\\prod`, or, where the reference is a number, a calculation with numbers of the question.

    What else the answer holds, such as `+1-1`, so leaves the value as it is. Expressions that the reference holds in
    the same form, numbers, names and fractions are not meant. An equation is copied where it stands in the question up
    to notation, the sides of its terms and a common factor, and the reference is another one or solved for a name.
    """
    if not question:
        return False
    known, named, equations = _stated(question)
    tries = iter(range(MAX_TRIED))
    return any(
        _stands(one, other, known, named, equations)
        for one, other in ((given, reference), [_restored(found, {*named}, tries) for found in (given, reference)])
    )


def _stands(
    given: Shape, reference: Shape, known: list[Piece], named: list[Fraction], equations: set[Equation | None]
) -> bool:
    """Whether an answer stands in a question, or all its values hold what does."""
    if reference.kind == "equation" and (ours := _equation(given)) in equations and ours != _equation(reference):
        return True
    expected = [tree for side in _sides(reference) for tree in side]
    forms = {_form(tree) for tree in expected}
    sides = [[tree for tree in side if _form(tree) not in forms and any(_pieces(tree))] for side in _sides(given)]
    if not all(sides):
        return False
    held = [piece for tree in expected for piece in _pieces(tree)]
    numbers = Counter(named if expected and all(literal(tree) is not None for tree in expected) else ())
    return all(any(_copies(tree, known, held, numbers) for tree in side) for side in sides)


def _restored(found: Shape, numbers: set[Fraction], tries: Iterator[int], *, whole: bool = True) -> Shape:
    """A shape in which each calculation that has a number of the question as its value, but for a `whole` value, is
    that number: `7*|6|` and `7*60/10` are `7*6` where 6 is such a number."""
    inner = found.kind != "equation" or bool(found.names)
    parts = tuple(_restored(part, numbers, tries, whole=inner) for part in found.parts)
    return replace(found, tree=found.tree and _numbered(found.tree, numbers, tries, whole=whole), parts=parts)


def _numbered(tree: Tree, numbers: set[Fraction], tries: Iterator[int], *, whole: bool = False) -> Tree:
    """A tree with these numbers in the place of calculations, also of the numbers among its terms or factors."""
    kind, found = _flat(tree)
    if not kind and _leaf(found[0][0]):
        return tree
    signed: list[Tree] = []
    if kind:
        signed = [_signed(kind, _numbered(part, numbers, tries), inverse) for part, inverse in found]
        tree = _joined(kind, signed) if signed else tree
    else:
        head, *operands = found[0][0]
        tree = (head, *(_numbered(part, numbers, tries) if isinstance(part, tuple) else part for part in operands))
    if not whole and not names(tree) and (number := _number(tree, numbers, tries)):
        return number
    for fits in (lambda part: not names(part), lambda part: literal(part) is not None):
        plain = [part for part in signed if fits(part)]
        strange = any((value := literal(part)) is None or abs(value) not in numbers for part in plain)
        if strange and 1 < len(plain) < len(signed) and (number := _number(_joined(kind, plain), numbers, tries)):
            return _joined(kind, [*(part for part in signed if not fits(part)), number])
    return tree


def _number(tree: Tree, numbers: set[Fraction], tries: Iterator[int]) -> Tree | None:
    """The number of the question, with its sign, that a calculation is, unless it is a fraction in customary form."""
    found = real(tree) if next(tries, None) is not None else None
    if found is None or abs(found) not in numbers or found.denominator > 1 and literal(tree) is not None:
        return None
    number = ("n", abs(found), str(abs(found)))
    return ("-", number) if found < 0 else number


@lru_cache(maxsize=64)
def _stated(question: str) -> tuple[list[Piece], list[Fraction], set[Equation | None]]:
    """The expressions, the numbers and the equations of a question."""
    tokens = tokenize(question)
    shapes = [*_formulas(question, tokens)]
    known = [piece for found in shapes for tree in _trees(found) for piece in _pieces(tree)]
    named = [str(NUMBERS.get(token.text.lower(), token.text)) for token in tokens if token.kind in ("number", "word")]
    numbers = [Fraction(text) for text in named if text[-1].isdigit()]
    return known, numbers, {*map(_equation, shapes)} - {None}


def _equation(found: Shape) -> Equation | None:
    if found.kind != "equation" or len(found.parts) != 2 or not all(side.tree for side in found.parts):
        return None
    left, right = (side.tree for side in found.parts)
    terms: dict[str, Fraction] = {}
    for term, negative in _flat(("+", left, ("-", right)))[1]:
        kind, factors = _flat(term)
        size, others = Fraction(-1 if negative else 1), []
        for part, inverse in factors if kind == "*" else [(term, False)]:
            if number := literal(part):
                size *= 1 / number if inverse else number
            else:
                others.append((part, inverse))
        form = " ".join(sorted(map(_part_form, repeat("*"), others)))
        terms[form] = terms.get(form, Fraction(0)) + size
    sizes = {form: size for form, size in terms.items() if size}
    return found.names, frozenset((form, size / sizes[min(sizes)]) for form, size in sizes.items())


def _copies(answer: Tree, known: list[Piece], held: list[Piece], numbers: Counter[Fraction]) -> bool:
    """Whether one value of an answer holds such an expression."""
    pieces = [*_pieces(answer)]
    forms = {form for _, parts in pieces for form in parts}
    known = [(kind, parts) for kind, parts in known if forms & parts.keys()]
    stated = {_form(_joined(kind, [*chain(*parts.values())])) for kind, parts in known}
    tried: set[str] = set()
    for kind, parts in pieces:
        shared = [_shared(parts, others) for same, others in known if same == kind]
        series = [tree for tree in chain(*parts.values()) if tree[0] in ("sum", "prod")]
        for chosen in filter(None, [*shared, _named(kind, parts, numbers, stated), series[:1]]):
            tree = _joined(kind, chosen)
            if (name := _form(tree)) in tried or any(same == kind and _holds(ours, chosen) for same, ours in held):
                continue
            tried.add(name)
            if len(tried) > MAX_TRIED or tree in series or equal(tree, answer) or equal(("-", tree), answer):
                return True
    return False


def _shared(parts: Parts, others: Parts) -> list[Tree]:
    """What two sums or products have in common: at least two parts, or all of the other one."""
    found = [tree for name, trees in parts.items() for tree in trees[: len(others.get(name, ()))]]
    return found if len(found) > 1 or len(found) == sum(map(len, others.values())) else []


def _holds(ours: Parts, chosen: list[Tree]) -> bool:
    return all(len(ours.get(name, ())) >= count for name, count in Counter(map(_form, chosen)).items())


def _named(kind: str, parts: Parts, numbers: Counter[Fraction], stated: set[str]) -> list[Tree]:
    """The operands of one operation that are numbers of the question, in sums and products each used no more often
    than it is named, or expressions that it states; none where they make a fraction in the customary form."""
    operands = [*chain(*parts.values())]
    left, chosen = numbers.copy(), []
    for tree in operands if kind else children(operands[0]):
        number = tree[-1] if tree[0] == "-" or kind == "*" and _divides(tree) else tree
        if number[0] == "n" and left[number[1]]:
            left[number[1]] -= bool(kind)
            chosen.append(tree)
        elif _form(tree) in stated:
            chosen.append(tree)
    if not numbers or len(chosen) != (2 if kind else len(children(operands[0]))):
        return []
    found = literal(_joined(kind, chosen)) if kind else None
    return [] if found is not None and found.denominator > 1 else chosen if kind else operands


def _joined(kind: str, chosen: list[Tree]) -> Tree:
    """A sum or product of these parts."""
    tree, *rest = sorted(chosen, key=_divides) if kind == "*" else chosen
    for part in rest:
        tree = ("/", tree, part[2]) if kind == "*" and _divides(part) else (kind, tree, part)
    return tree


def _signed(kind: str, part: Tree, inverse: bool) -> Tree:
    """A term or factor with its sign."""
    return part if not inverse else ("-", part) if kind == "+" else ("/", _ONE, part)


def _divides(factor: Tree) -> bool:
    return factor[:2] == ("/", _ONE)


def _pieces(tree: Tree) -> Iterator[Piece]:
    """The sums, products and other expressions in a tree; numbers and names are none."""
    waiting = [tree]
    while waiting:
        kind, found = _flat(waiting.pop())
        parts: Parts = {}
        for part, inverted in found:
            signed = _signed(kind, part, inverted)
            parts.setdefault(_form(signed), []).append(signed)
        waiting += [part for part, _ in found] if kind else children(found[0][0])
        if len(found) > 1 or any(kind == "*" and inverted or not _leaf(part) for part, inverted in found):
            yield kind, parts


def _leaf(tree: Tree) -> bool:
    return tree[0] in _LEAVES or tree[0] == "-" and _leaf(tree[1])


def _sides(found: Shape) -> list[list[Tree]]:
    """The values of an answer; of an equation those of each side, without the name, and a decimal beside a value."""
    if found.kind == "value" and found.parts:
        return [*_sides(replace(found, parts=())), *_sides(found.parts[0])]
    if found.kind != "equation":
        return [[*_trees(found)]]
    return [[*_trees(side)] for side in found.parts[bool(found.names or found.brackets) :]]


def _trees(found: Shape) -> Iterator[Tree]:
    if found.tree:
        yield found.tree
    for part in found.parts:
        yield from _trees(part)


def _formulas(question: str, tokens: Tokens) -> Iterator[Shape]:
    """What stands in the formulas of a question, and between its words."""
    formulas = [tokenize(next(filter(None, groups))) for groups in FORMULA.findall(question)]
    runs = [[*run] for word, run in groupby(tokens, lambda token: token.kind == "word") if not word]
    for part in (part for found in (*formulas, *runs) for part in split(found, *_STOPS)):
        sides = split(part, "=")
        for side in sides if len(sides) == 1 else [part, *sides]:
            while side and side[-1].text in "+-*/.":
                side = side[:-1]
            if 0 < len(side) <= MAX_TOKENS:
                yield shape(side)


def _flat(tree: Tree) -> tuple[str, list[tuple[Tree, bool]]]:
    """A sum as its terms or a product as its factors, without brackets and neutral elements, each with whether it is
    subtracted or divides; the kind is `+` or `*`, or empty for any other tree, which is its only part."""
    tree = _bare(tree)
    kind = {"-": "+", "/": "*"}.get(tree[0], tree[0])
    if kind not in ("+", "*"):
        return "", [(tree, False)]
    found: list[tuple[Tree, bool]] = []
    waiting = [(tree, False)]
    while waiting:
        part, inverse = waiting.pop()
        part = _bare(part)
        if part[0] == kind or part[0] == ("-" if kind == "+" else "/"):
            flipped = [inverse] * len(part[1:]) if part[0] == kind else [inverse, not inverse][-len(part[1:]) :]
            waiting += [*zip(part[1:], flipped, strict=True)][::-1]
        elif part[:2] != ("n", kind == "*"):
            found.append((part, inverse))
    return kind, found


def _form(tree: Tree) -> str:
    """The tree as text, the same for the same expression up to notation: order of terms and factors, neutral elements,
    superfluous brackets."""
    kind, *operands = tree = _bare(tree)
    if kind in ("n", "v", "c", "recurring"):
        return str(operands[0])
    sign, parts = _flat(tree)
    if sign:
        texts = sorted(map(_part_form, repeat(sign), parts)) or [str(int(sign == "*"))]
        return texts[0] if len(texts) == 1 else f"({sign} {' '.join(texts)})"
    if kind in OPERATIONS:
        return f"({kind} {' '.join(sorted(map(_form, operands)))})"
    return f"({kind} {' '.join(_form(part) if isinstance(part, tuple) else str(part) for part in operands)})"


def _bare(tree: Tree) -> Tree:
    """A tree without what leaves it as it is: `+0`, `*1`, `/1` and the power 1."""
    while tree[0] in _NEUTRAL:
        neutral = ("n", _NEUTRAL[tree[0]])
        if tree[2][:2] == neutral:
            tree = tree[1]
        elif tree[0] in ("+", "*") and tree[1][:2] == neutral:
            tree = tree[2]
        else:
            break
    return tree


def _part_form(sign: str, part: tuple[Tree, bool]) -> str:
    """The form of a term or factor, with its sign."""
    tree, inverse = part
    return f"({'-' if sign == '+' else '/'} {_form(tree)})" if inverse else _form(tree)
