"""Reads one mathematical value, from tokens, into a tree of operations."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, TypeAlias

from warmup_rl.grading.math_tokens import FUNCTIONS, OPERATIONS, Token, Tokens, spelled

Tree: TypeAlias = tuple[Any, ...]
"""An operation and its operands, such as `("+", ("v", "x"), ("n", Fraction(1), "1"))`. Leaves: `n` number and its
spelling, `v` name, `c` constant, `recurring` decimal."""

MAX_DEPTH = 30
"""Brackets within brackets; deeper ones are not read."""
_CLOSING = {"(": ")", "[": "]", "{": "}", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil"}
_CONSTANTS = {"e": "e", "i": "i", "\\pi": "pi"}
_NAMED_OBJECTS = tuple(
    f"\\{name}" for name in "overline widehat vec bar angle triangle hat dot ddot tilde overrightarrow".split()
)
_VECTORS = dict.fromkeys(("\\hat", "\\overrightarrow"), "\\vec")
_TWO_NUMBERS = ["(", "number", ",", "number", ")"]
_MATRICES = ("pmatrix", "bmatrix", "matrix", "array")


class Unparsed(ValueError):
    """Tokens that are no value in the notation that is understood."""


def parse(tokens: Tokens) -> Tree:
    """The tree of a value. Raises `Unparsed`."""
    parser = _Parser([letter for token in tokens for letter in _letters(token)])
    tree = parser.whole()
    if parser.next:
        raise Unparsed(f"{parser.next} is unexpected")
    return tree


def children(tree: Tree) -> list[Tree]:
    return [part for part in tree[1:] if isinstance(part, tuple)]


def names(tree: Tree) -> set[str]:
    """The variables of a value."""
    if tree[0] == "v":
        return {tree[1]}
    found = set().union(*map(names, children(tree)))
    return found - {tree[1]} if tree[0] in ("sum", "prod") else found


def _letters(token: Token) -> Tokens:
    """`xy` as two names; longer words in small letters, and those in `\\text`, are words."""
    product = len(token.text) < 4 or token.text.isupper() and len(token.text) < 6
    if token.kind != "word" or token.upright or not product:
        return [token]
    return [Token("name", letter) for letter in token.text]


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens, self._place, self._depth = tokens, 0, 0
        self._bars = 0

    @property
    def next(self) -> str:
        """The text of the next token; empty at the end."""
        return self._tokens[self._place].text if self._place < len(self._tokens) else ""

    def _take(self, *wanted: str) -> Token | None:
        if self._place < len(self._tokens) and (not wanted or self.next in wanted):
            self._place += 1
            return self._tokens[self._place - 1]
        return None

    def _expect(self, wanted: str) -> None:
        if not self._take(wanted):
            raise Unparsed(f"{wanted} is missing")

    def whole(self) -> Tree:
        """A value, possibly with `\\over` or `\\choose` between its two parts."""
        tree = self.sum()
        if infix := self._take("\\over", "\\choose"):
            tree = ("/" if infix.text == "\\over" else "binom", tree, self.sum())
        return tree

    def sum(self) -> Tree:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unparsed("nested too deeply")
        sign = self._take("+", "-")
        tree = self._term()
        tree = ("-", tree) if sign and sign.text == "-" else tree
        while sign := self._take("+", "-"):
            term = self._term()
            tree = ("+", tree, ("-", term) if sign.text == "-" else term)
        self._depth -= 1
        return tree

    def _term(self, *, bare: bool = False) -> Tree:
        """A product of factors.

        Args:
            bare: of a function without brackets, as in `\\sin 2x`: ends at the next operator or function.
        """
        tree = self._power()
        while True:
            if not bare and (sign := self._take("*", "/")):
                negative = self._take("-")
                factor = self._power()
                tree = (sign.text, tree, ("-", factor) if negative else factor)
            elif self._starts_factor() and not (bare and self.next[1:] in FUNCTIONS):
                tree = ("*", tree, self._power())
            else:
                return tree

    def _starts_factor(self) -> bool:
        if self._place >= len(self._tokens):
            return False
        token = self._tokens[self._place]
        if token.text == "|":
            return not self._bars
        if token.kind == "number":  # 2!3, (x)3 and x 3^n
            before, following = self._tokens[self._place - 1], self._tokens[self._place + 1 : self._place + 2]
            closed = before.text == "!" or before.text in (")", "}") and not token.spaced
            return closed or token.spaced and following == [Token("mark", "^")]
        return (
            token.kind in ("name", "word", "command")
            and token.text not in ("\\over", "\\choose", "\\end")
            or (token.text in ("(", "[", "{", "\\lfloor", "\\lceil", "\\angle", "\\triangle", "\\infty"))
        )

    def _power(self) -> Tree:
        tree = self._primary()
        while True:
            if self._take("!"):
                if self.next == "!":
                    raise Unparsed("a double factorial")
                tree = ("!", tree)
            elif self.next == "^":
                self._place += 1
                braces = self._take("{")
                if self._take("\\circ"):
                    tree = ("deg", tree)
                    if braces:
                        self._expect("}")
                    continue
                self._place -= bool(braces)
                tree = ("^", tree, self._exponent())
                if self.next == "^":
                    raise Unparsed("a tower of powers without brackets")
            elif self._take("\\circ"):
                tree = ("deg", tree)
            else:
                return tree

    def _exponent(self) -> Tree:
        sign = self._take("-", "+")
        tree = self._primary()
        return ("-", tree) if sign and sign.text == "-" else tree

    def _primary(self) -> Tree:
        token = self._take()
        if token is None:
            raise Unparsed("a value is missing")
        if token.kind == "number":
            return self._number(token)
        if token.kind == "name":
            return self._name(token.text)
        if token.kind == "word":
            raise Unparsed(f"the word {token.text!r}")
        if token.text in ("_", "^"):
            return self._choices(self._argument())
        if token.text == "{" and self._take("}"):
            return self._primary()
        if token.text in _CLOSING:
            return self._bracketed(token.text)
        if token.text == "|":
            self._bars += 1
            tree = self.sum()
            self._expect("|")
            self._bars -= 1
            return ("abs", tree)
        if token.text == "\\infty":
            return ("c", "infinity")
        return self._command(token.text)

    def _bracketed(self, opening: str) -> Tree:
        bars, self._bars = self._bars, 0
        tree = self.whole()
        self._expect(_CLOSING[opening])
        self._bars = bars
        return (opening[2:], tree) if opening in ("\\lfloor", "\\lceil") else tree

    def _number(self, token: Token) -> Tree:
        value: Tree = ("n", Fraction(token.text), token.text)
        place = self._place
        point = "." in token.text or bool(self._take("."))
        if point and self._take("\\overline", "\\bar"):
            self._expect("{")
            period = self._take()
            self._expect("}")
            if period is None or not period.text.isdecimal():
                raise Unparsed("a bar that is not over digits")
            fixed = token.text.partition(".")[2]
            repeated = Fraction(int(period.text), (10 ** len(period.text) - 1) * 10 ** len(fixed))
            return ("recurring", Fraction(token.text) + repeated)
        self._place = place
        if token.text.isdecimal() and (fraction := self._proper_fraction()):
            return ("+", value, fraction)
        return value

    def _proper_fraction(self) -> Tree | None:
        """What follows a whole number in `2\\frac{1}{4}` and `2 1/4`."""
        place = self._place
        if self._take("\\frac"):
            top, bottom = self._two_arguments()
        elif self._place + 2 < len(self._tokens) and self._tokens[place + 1].text == "/":
            top, bottom = self._leaf(place), self._leaf(place + 2)
            self._place = place + 3
        else:
            return None
        if top[0] == bottom[0] == "n" and top[2].isdecimal() and bottom[2].isdecimal():
            return ("/", top, bottom)
        self._place = place
        return None

    def _leaf(self, place: int) -> Tree:
        token = self._tokens[place]
        return ("n", Fraction(token.text), token.text) if token.kind == "number" else ("",)

    def _two_arguments(self) -> tuple[Tree, Tree]:
        """Those of `\\frac`; without braces, in `\\frac919` the first digit and all others."""
        top = self._argument(one_digit=True)
        return top, self._argument(one_digit=self._tokens[self._place - 1].text == "}")

    def _argument(self, *, one_digit: bool = False) -> Tree:
        """A group in braces, or one token; of a number only one digit where `one_digit` says so, as in `\\frac12`."""
        token = self._take()
        if token is None:
            raise Unparsed("an argument is missing")
        if token.text == "{":
            return self._bracketed("{")
        if one_digit and token.kind == "number" and len(token.text) > 1 and token.text.isdecimal():
            self._place -= 1
            self._tokens[self._place] = token._replace(text=token.text[1:])
            return ("n", Fraction(token.text[0]), token.text[0])
        self._place -= 1
        return self._primary()

    def _group(self) -> Tokens:
        """The tokens of a group in braces, or one token."""
        start = self._place
        if not self._take("{"):
            if not self._take():
                raise Unparsed("an argument is missing")
            return self._tokens[start : start + 1]
        depth = 1
        while depth:
            token = self._take()
            if token is None:
                raise Unparsed("braces do not match")
            depth += (token.text == "{") - (token.text == "}")
        return self._tokens[start + 1 : self._place - 1]

    def _name(self, text: str) -> Tree:
        if text == "C" and (chosen := self._chosen()):
            return chosen
        if self._take("_") and (index := spelled(self._group())):
            return ("v", f"{text}_{index}")
        while self._take("'"):
            text += "'"
        if [token.text for token in self._tokens[self._place : self._place + 4]] in (["^", "{", "'", "}"],):
            self._place += 4
            text += "'"
        return ("c", _CONSTANTS[text]) if text in _CONSTANTS else ("v", text)

    def _command(self, text: str) -> Tree:
        if text[1:] in FUNCTIONS:
            return self._function(text[1:])
        if text in ("\\frac", "\\binom"):
            return ("/" if text == "\\frac" else "binom", *self._two_arguments())
        if text == "\\sqrt":
            index = self._bracketed("[") if self._take("[") else ("n", Fraction(2), "2")
            return ("root", index, self._argument())
        if text in ("\\abs", "\\floor", "\\ceil"):
            return (text[1:], self._argument())
        if text[1:] in OPERATIONS:
            return self._operation(text[1:])
        if text in ("\\sum", "\\prod"):
            return self._series(text[1:])
        if text in _NAMED_OBJECTS:
            inner = spelled(self._group())
            if any(character.isdigit() for character in inner):
                raise Unparsed(f"{text} of a number")
            return ("v", f"{_VECTORS.get(text, text)} {inner}")
        if text == "\\begin":
            return self._matrix()
        raise Unparsed(f"{text} is not supported")

    def _function(self, name: str) -> Tree:
        base = self._argument() if name == "log" and self._take("_") else None
        power = self._exponent() if self._take("^") else None
        bracket = self._take("(", "{", "[")
        argument = self._bracketed(bracket.text) if bracket else self._term(bare=True)
        inverse = power is not None and power[0] == "-" and power[1][:2] == ("n", 1)
        if inverse and f"arc{name}" in FUNCTIONS:
            return ("f", f"arc{name}", argument)
        tree = ("log", base, argument) if base else ("f", name, argument)
        return tree if power is None else ("^", tree, power)

    def _operation(self, name: str) -> Tree:
        """`\\gcd(4,6)`, `\\max\\{1,2,3\\}`."""
        opening = self._take("(", "[", "\\{")
        if opening is None:
            raise Unparsed(f"{name} without its arguments")
        parts = [self.sum()]
        while self._take(","):
            parts.append(self.sum())
        self._expect({"(": ")", "[": "]"}.get(opening.text, "\\}"))
        return (name, *parts)

    def _choices(self, count: Tree) -> Tree:
        """What follows `{}_6` and `^6` in `{}_6C_3` and `^6P_3`."""
        name = self._take("C", "P")
        if name is None:
            raise Unparsed("an index without its name")
        self._expect("_")
        taken = self._argument()
        if name.text == "C":
            return ("binom", count, taken)
        return ("/", ("!", count), ("!", ("+", count, ("-", taken))))

    def _chosen(self) -> Tree | None:
        """What stands in the brackets of `C(6,3)`, as a binomial coefficient."""
        inner = self._tokens[self._place : self._place + 5]
        if [token.kind if token.kind == "number" else token.text for token in inner] != _TWO_NUMBERS:
            return None
        self._place += 5
        return ("binom", *(("n", Fraction(token.text), token.text) for token in inner[1:4:2]))

    def _series(self, kind: str) -> Tree:
        self._expect("_")
        lower = self._group()
        self._expect("^")
        upper = self._argument()
        if len(lower) < 3 or lower[0].kind != "name" or lower[1].text != "=":
            raise Unparsed("a sum without its index")
        return (kind, lower[0].text, parse(lower[2:]), upper, self._term())

    def _matrix(self) -> Tree:
        kind = spelled(self._group())
        if kind not in _MATRICES:
            raise Unparsed(f"{kind} is not supported")
        if kind == "array":
            self._group()
        rows: list[list[Tree]] = [[]]
        while not self._take("\\end"):
            if self._take("\\\\"):
                rows.append([])
            elif not self._take("&"):
                if self._place >= len(self._tokens):
                    raise Unparsed("\\end is missing")
                rows[-1].append(self.sum())
        self._group()
        return ("matrix", *(("row", *row) for row in rows if row))
