"""Tokens of mathematics in LaTeX, plain text and Unicode: one spelling for each number, name, function and mark."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

Kind = Literal["number", "name", "word", "command", "mark"]


class Token(NamedTuple):
    """A token.

    Attributes:
        kind: `name` is a letter, Greek or Latin; `word` several letters; `command` a LaTeX command with arguments, a
            function, or one that is not known.
        text: canonical: numbers without separators, `\\pi` for `pi`, `*` for `\\cdot`.
        upright: stands in `\\text{}` or the like.
        spaced: white space stands before it.
    """

    kind: Kind
    text: str
    upright: bool = False
    spaced: bool = False


Tokens = Sequence[Token]

_UNICODE = str.maketrans({
    "\u2212": "-", "\u2013": "-", "\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u03c0": "\\pi ", "\u2044": "/",
    "\u221e": "\\infty ", "\u2264": "\\le ", "\u2265": "\\ge ", "\u2260": "\\ne ", "\u00b0": "^\\circ ",
    "\u222a": "\\cup ", "\u2229": "\\cap ", "\u2205": "\\emptyset ", "\u00b1": "\\pm ", "\u211d": "\\mathbb{R}",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u200b": "", "\u2248": "\\approx ", "\u2019": "'", "\u2208": "\\in ",
    "\u00a2": "\\text{ cents}",
    "\u221a": "\\sqrt ", "\u221b": "\\sqrt[3] ", "\u221c": "\\sqrt[4] ", "\u2713": "", "\u2192": "\\to ",
    "\u230a": "\\lfloor ", "\u230b": "\\rfloor ", "\u2308": "\\lceil ", "\u2309": "\\rceil ", "\u2216": "\\setminus ",
    "\u201c": "", "\u201d": "", "\u2218": "\\circ ",
})  # fmt: skip
_SCRIPTS = re.compile(
    r"[\u00b2\u00b3\u00b9\u2070-\u207f]+|[\u2080-\u208e]+|[\u00bc-\u00be\u2150-\u215e]|[\u0391-\u03c9]"
)

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar".split()
)
OPENING, CLOSING = ("(", "[", "{", "\\{", "\\begin"), (")", "]", "}", "\\}", "\\end")
FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth sech csch log ln exp".split()
)  # fmt: skip
OPERATIONS = frozenset("gcd lcm max min".split())
"""Functions of any number of arguments, in any order."""
_SPELLINGS = {
    name: canonical
    for canonical, names in {
        "\\frac": "dfrac tfrac cfrac", "\\binom": "dbinom tbinom", "\\le": "leq leqslant", "\\ge": "geq geqslant",
        "\\ne": "neq", "=": "equiv", "\\emptyset": "varnothing", "(": "langle lparen", ")": "rangle rparen",
        "\\{": "lbrace", "\\}": "rbrace", "[": "lbrack", "]": "rbrack", "|": "lvert rvert mid vert", "<": "lt",
        ">": "gt", "*": "cdot times ast", "/": "div", "\\setminus": "backslash smallsetminus", "\\circ": "degree",
        "\\lor": "vee", "\\land": "wedge", "\\approx": "thickapprox sim simeq", "\\arcsin": "asin",
        "\\arccos": "acos", "\\arctan": "atan", "\\to": "rightarrow Rightarrow implies iff longrightarrow",
        "\\epsilon": "varepsilon", "\\phi": "varphi", ":": "colon", "\\log": "lg", "'": "prime",
        "i": "imath", "j": "jmath",
    }.items()
    for name in names.split()
}  # fmt: skip
"""Canonical spellings of commands by their other names."""
_MARKS = frozenset("le ge ne cup cap setminus in pm emptyset infty circ lor land approx to lfloor rfloor lceil rceil "
                   "angle triangle mp".split())  # fmt: skip
_SILENT = frozenset(
    "left right displaystyle textstyle limits nolimits boldsymbol bm pmb underline mathit checkmark "
    "blacksquare square Box qed therefore newline hfill notag nonumber".split()
)
_UPRIGHT = frozenset("text mathrm rm textrm textbf textit mbox mathbf textnormal operatorname mathsf textsf bf".split())
_PLAIN = {
    **{name: f"\\{name}" for name in (*GREEK, *FUNCTIONS, "pi", "sqrt", "abs", "floor", "ceil")
       if len(name) > 2 or name in ("pi", "ln", "mu", "xi")},
    "infinity": "\\infty", "inf": "\\infty", "asin": "\\arcsin", "acos": "\\arccos", "atan": "\\arctan",
}  # fmt: skip
"""Names that are written without a backslash."""
_WITH_ARGUMENT = ("\\sqrt", "\\abs", "\\floor", "\\ceil")
_NUMBER = re.compile(r"(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,4}(?![\w.]))?", re.ASCII)
_THOUSANDS = re.compile(
    r"(?<![\d.])\d{1,3}(?:(?:,\\!\s?|\{,\}|\\[,!;: ]|,|[ ~])\d{3}(?!\d))+(?:\.\d+)?(?![\d.]*[eE][+-]?\d)", re.ASCII
)
_CUBE_ROOT = re.compile(r"(?<![A-Za-z\\])cbrt(?![A-Za-z])")
_ARGUMENTS = re.compile(r"\s{0,3}\}?\s{0,3}(?:\\left\s{0,3})?(?:\(|\\\{)[^,;]{1,100},")
"""What follows the name of one of `OPERATIONS`, which else may be a word or a unit, as in `5 min`."""
_CALLED = re.compile(r"\}\s{0,3}(?:\\left\s{0,3})?\(")
"""What follows the name of a function in `\\operatorname{sin}(x)`."""
_ESCAPED = re.compile(r"\\\\(?=[A-Za-z])")
_SQUARE = re.compile(r"\[[^\[\]]*\]|([\[\]])([^\[\](),;]+[,;]\s*[^\s\[\](),;][^\[\](),;]*)([\[\]])")
"""Square brackets in pairs; those that face away from two ends, as in `]0,1[`, leave them out (ISO 80000-2)."""
_SEPARATORS = re.compile(r"[^\d.]+")
_TOKEN = re.compile(
    r"(?P<space>\s+|~|\\q?quad|\\[,;:! ]|\\(?:h?space|(?:text)?color)\s*\{[^{}]*\}|\\\\(?=\s*$)"
    r"|\\[hv]?phantom\s*(?:\{[^{}]*\}|.))"
    r"|(?P<reals>\\(?:mathbb|Bbb|mathbf|text)\s*(?:\{\s*R\s*\}|R(?![A-Za-z])))"
    r"|\\[bB]igg?[lrm]?(?![A-Za-z])"
    r"|\\(?P<command>[A-Za-z]+)"
    r"|</?(?P<tag>[a-z]{1,6})(?:\s[^<>]*)?>"
    r"|(?P<word>(?:[ap]\.m|i\.e)\.?(?![A-Za-z])|[A-Za-z]+)"
    r"|(?P<mark>\\[\[\]()]|<=|>=|!=|\*\*|\\[{}%$|&#]|\\\\|.)",
    re.DOTALL,
)
_MARK_SPELLINGS = {"<=": "\\le", ">=": "\\ge", "!=": "\\ne", "**": "^", "\\%": "%", "\\&": "&", "\\|": "|"}
_DELIMITERS = ("\\(", "\\)", "\\[", "\\]")


def tokenize(text: str) -> list[Token]:
    """The tokens of a text, without layout, dollar signs around formulas and Markdown."""
    if "\\begin" not in text:  # where `\\\\` starts no row, it is a backslash that was escaped twice
        text = _ESCAPED.sub("\\\\", text)
    if "[" in text or "]" in text:
        text = _SQUARE.sub(_with_round, text)
    found = _Tokenizer(_CUBE_ROOT.sub(r"\\sqrt[3] ", _plain_scripts(text))).run()
    if sum(token.text == "$" for token in found) % 2:
        return [token._replace(text="\\$") if token.text == "$" else token for token in found]
    return [token for token in found if token.text != "$"]


def closings(tokens: Tokens) -> dict[int, int]:
    """Where each bracket that is closed, by any bracket, is closed."""
    found, opened = dict[int, int](), list[int]()
    for place, token in enumerate(tokens):
        if (depth := (token.text in OPENING) - (token.text in CLOSING)) > 0:
            opened.append(place)
        elif depth < 0 and opened:
            found[opened.pop()] = place
    return found


def encloses(tokens: Tokens) -> bool:
    """Whether the bracket at the beginning closes at the very end, with any bracket, as in `(1,2]`."""
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if depth == 0:
            return place == len(tokens) - 1
    return False


def plain(tokens: Tokens) -> list[Token]:
    """The tokens without braces around a single one."""
    kept = list(tokens)
    for place in range(len(kept) - 3, -1, -1):
        if [token.text for token in kept[place : place + 3 : 2]] == ["{", "}"]:
            kept[place : place + 3] = [kept[place + 1]]
    return kept


def spelled(tokens: Tokens) -> str:
    """The tokens as one text without superfluous white space, the same for the same spelling."""
    text = ""
    for before, token in zip([None, *tokens], tokens, strict=False):
        product = before is not None and (before.kind, token.kind) == ("number", "name")
        apart = text[-1:].isalnum() and token.text[:1].isalnum() and not product
        text += f" {token.text}" if apart else token.text
    return text


class _Tokenizer:
    def __init__(self, text: str) -> None:
        self._text, self._place = text, 0
        self._found: list[Token] = []
        self._braces: list[bool] = []
        """For each open brace, whether it belongs to `\\text` or the like, and is no token."""
        self._brackets = self._upright = 0
        self._spaced = self._text_opens = False

    def run(self) -> list[Token]:
        while self._place < len(self._text):
            if not self._number():
                found = _TOKEN.match(self._text, self._place)
                assert found is not None
                self._place = found.end()
                self._other(found)
        return self._found

    def _add(self, kind: Kind, text: str) -> None:
        self._found.append(Token(kind, text, self._upright > 0, self._spaced))
        self._spaced = self._text_opens = False

    def _number(self) -> bool:
        found = _THOUSANDS.match(self._text, self._place)
        if found and self._brackets and re.search(r"(?<!\{),(?!\\)", found[0]):
            found = None  # the comma separates members
        joined = found or _NUMBER.match(self._text, self._place)
        if joined is None:
            return False
        self._place = joined.end()
        self._add("number", _SEPARATORS.sub("", joined[0]) if found else joined[0].lower())
        return True

    def _other(self, found: re.Match[str]) -> None:
        if found["space"] or found[0].startswith(("\\big", "\\Big")):
            self._spaced = True
        elif found["reals"]:
            self._add("mark", "\\R")
        elif found["command"]:
            self._command(found["command"])
        elif found["tag"]:
            script = {"sup": "^", "sub": "_"}.get(found["tag"])
            for text in ((script, "{") if found[0][1] != "/" else ("}",)) if script else ():
                self._add("mark", text)
        elif found["word"]:
            self._word(found["word"].replace(".", ""))
        else:
            self._mark(found["mark"])

    def _command(self, name: str) -> None:
        text = _SPELLINGS.get(name, f"\\{name}")
        if name in _UPRIGHT:
            self._spaced, self._text_opens = self._spaced or name == "text", True
        elif name in _SILENT:
            self._spaced = True
            if name in ("left", "right") and self._text[self._place : self._place + 1] == ".":
                self._place += 1
        elif text[1:] in GREEK or text == "\\pi" or text.isalpha():
            self._add("name", text)
        else:
            self._add("mark" if text[0] != "\\" or text[1:] in _MARKS or len(text) == 2 else "command", text)
            self._brackets += (text in ("(", "[", "\\{")) - (text in (")", "]", "\\}"))

    def _word(self, word: str) -> None:
        called = _CALLED.match(self._text, self._place)
        if (canonical := _PLAIN.get(word)) and (called or not self._upright > 0):
            kind: Kind = "mark" if canonical == "\\infty" else "name" if canonical[1:] not in FUNCTIONS else "command"
            self._add("command" if canonical in _WITH_ARGUMENT else kind, canonical)
        elif word in OPERATIONS and _ARGUMENTS.match(self._text, self._place):
            self._add("command", f"\\{word}")
        elif len(word) == 1 and not (self._upright > 0 and word == "s"):
            self._add("name", word)
        else:
            self._add("word", word)

    def _mark(self, mark: str) -> None:
        mark = _MARK_SPELLINGS.get(mark, mark)
        if mark in _DELIMITERS or mark == "`":
            self._spaced = True
        elif mark == "{" and self._text_opens:
            self._braces.append(True)
            self._upright += 1
            self._text_opens = False
        elif mark == "}" and self._braces and self._braces.pop():
            self._upright -= 1
            self._spaced = True
        else:
            if mark == "{":
                self._braces.append(False)
            self._add("mark", mark)
            self._brackets += (mark in ("(", "[", "\\{")) - (mark in (")", "]", "\\}"))


def _with_round(found: re.Match[str]) -> str:
    return found[1].replace("]", "(") + found[2] + found[3].replace("[", ")") if found[1] else found[0]


def _plain_scripts(text: str) -> str:
    """Unicode mathematics as LaTeX, and the digits of all scripts as those of ASCII."""
    if text.isascii():
        return text
    text = _SCRIPTS.sub(_script, text)
    text = unicodedata.normalize("NFKC", text.translate(_UNICODE))
    return re.sub(r"\d", lambda digit: str(unicodedata.decimal(digit[0])), text)


def _script(found: re.Match[str]) -> str:
    name = unicodedata.name(found[0][0])
    plain = unicodedata.normalize("NFKC", found[0]).replace("\u2212", "-")
    if "SUPERSCRIPT" in name:
        return f"^{{{plain}}}"
    if "SUBSCRIPT" in name:
        return f"_{{{plain}}}"
    if "GREEK" in name:
        letter = name.rpartition(" ")[2].lower().replace("lamda", "lambda")
        letter = letter.capitalize() if "CAPITAL" in name else letter
        return f"\\{letter} " if letter in GREEK or letter == "pi" else found[0]
    top, _, bottom = plain.partition("\u2044")
    return f"\\frac{{{top}}}{{{bottom}}}"
