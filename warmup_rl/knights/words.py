"""The words that prose about a puzzle is made of, as one letter each, and the patterns that mean something."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from warmup_rl.knights.english import plural
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.statements import IFF, OR

TOKEN = re.compile(r"\"[^\"\n]*\"|\n+|[A-Za-z]+n't\b|'s\b|\w+|[^\w\s]")
"""Quotations, line ends, negated verbs, the genitive, words and signs."""
_PLAIN = str.maketrans("“”‘’", "\"\"''")

_LETTERS = {
    "v": "is are was were be been becomes become",
    "w": "being",
    "m": "must has have to would should will turns out",
    "n": "not never",
    "z": "cannot",
    "c": "can could",
    "h": "might may maybe perhaps possibly probably likely potentially necessarily seems",
    "a": "a an the",
    "b": "both all each indeed also actually definitely certainly clearly now really too",
    ",": ",",
    ";": ";",
    ".": ". !",
    "?": "?",
    "&": "and &",
    "|": "or",
    "i": "if when",
    "t": "then",
    "u": "iff",
    "s": "so therefore hence thus means mean meaning implies imply implying consequently makes make making forces => ⇒",
    "g": "since because",
    "d": "given",
    "y": "whether who",
    "o": "that which it this",
    "p": "he she they him her his their them i we you each_other",
    "A": "suppose supposing assume assuming",
    "H": "hypothesis assumption supposition",
    "X": "fails fail failed wrong ruled invalid rejected discarded incorrect",
    "x": "contradiction contradictory contradicts contradict contradicting contradictions impossible inconsistent "
    "paradox conflict conflicts",
    "0": "no nothing without",
    "k": "consistent",
    "S": "says said say states stated claims claimed declares declared asserts asserted told tells mentions mentioned "
    "remarked noted",
    "e": "statement claim words assertion",
    "W": "what",
    "T": "true correct truth",
    "F": "false untrue lie",
    "l": "lies",
    "q": "tell telling",
    "!": "always",
    "N": "neither",
    "M": "nor",
    "E": "either",
    "f": "of by",
    "~": "same",
    "^": "different opposite",
    "Y": "fits fit",
    "O": "role roles type types kind",
    "C": "case scenario",
    "L": "let",
    "B": "everyone everybody",
    "=": ": = → - – —",
    "(": "(",
    "'": "'s",
    "r": "try test consider imagine",
    "%": "assumed still",
    "j": "only",
    "K": "something",
    "D": "least",
    "1": "one",
}
WORDS = {word: letter for letter, words in _LETTERS.items() for word in words.split()}
_HONEST = {
    "truthful": True, "honest": True, "liar": False, "lying": False, "dishonest": False, "untruthful": False,
}  # fmt: skip
_DROPPED = frozenset("*_`#$\\{}[]")

_PEOPLE = r"(?:b?P(?:(?:,&?|&|\|)P)*|B|b(?=v))"
_LINK = r"(?:,?[vmnzchbw]*[vnzw][vmnzchb]*a?b?|[=(]a?)"
_ATOMS = {
    "speech": r"(?:P[bh_]?|[&,])S[,=o]*",
    "what": r"WPS,?(?=Q)",
    "own": r"(?:P'e|efP|WPS)[vmnzcb]+[TF]",
    "some": r"D1fP(?:(?:,&?|&|\|)P)+" + _LINK + r"[RU]",
    "neither": r"NP(?:MP)+[vmb]+a?[RU]",
    "alike": _PEOPLE + r"[vmnzb]+f?a?[~^]O?",
    "tells": _PEOPLE + r"[vmnzchb]*(?:l|qa[TF])",
    "role": _PEOPLE + _LINK + r"[RU](?:\|a?[RU])?",
    "unfit": r"YPN_aRM_aR|mYNOfP",
    "mute": r"aR[cm]nSo?",
    "fits": r"YaR",
    "quote": r"Q",
}
ATOM = re.compile("|".join(f"(?P<{name}>(?<!f){pattern})" for name, pattern in _ATOMS.items()))
"""What says something by itself: who speaks, truth of a statement, roles, how a statement fits its speaker."""
TRUTH = re.compile(r"[,;]?&?o?[vmnzcbt]+[TF]")
"""After a quotation: `is true`, `, which must be false`."""
END_OF_SPEECH = re.compile(r"[;.sgdx]|,(?!t)")
"""Where reported speech without quotation marks ends at the latest."""
TWISTED = re.compile(r"[nz0NjX][^,;&=]*$|[TFC]o$|f[P,&|]*$")
"""Words that turn what follows into something else than it looks like: `it is not true that`, `one of`."""
TELLING = re.compile("[PRUTFQxBHK]|ozv|pl")
"""Letters without which a sentence is only talk; `ozv` is `This can't be`, `pl` is `she lies`."""
JOINS = {"|": OR, ",|": OR, "E|": OR, "|E": OR, "u": IFF, "i&ji": IFF}
"""What may stand between two formulas that make one."""
AGAIN = re.compile(r"double.check|re-?check|once more|check (?:that|this|it) again|\bright\?", re.IGNORECASE)
"""Opens a second look at what was just done."""
FURTHER = re.compile(r"\b(?:also|further|within|additionally|on top)\b", re.IGNORECASE)
INSTEAD = re.compile(r"\b(?:instead|alternatively|conversely|other case|other possibility|opposite)\b", re.IGNORECASE)
"""Puts an assumption inside the last one, or in its place."""


class Sentence(NamedTuple):
    """A sentence as letters, with what stands behind each.

    Attributes:
        start, end: its characters, the white space after it included.
        letters: one a token; `P` is a person, `R` and `U` a role in the singular and plural, `Q` a quotation.
        tokens: the tokens in the text.
        meanings: by token: number of a person, or whether a role is truthful.
        paragraph: a new paragraph begins with it.
    """

    start: int
    end: int
    letters: str
    tokens: list[re.Match[str]]
    meanings: Mapping[str, int]
    paragraph: bool

    def value(self, place: int) -> int:
        """Number of the person, or whether the role is truthful, at a letter `P`, `R` or `U`."""
        return self.meanings[self.tokens[place][0]]


def plain_quotes(text: str) -> str:
    """The text with straight quotation marks; characters keep their places."""
    return text.translate(_PLAIN)


def sentences(text: str, puzzle: Puzzle) -> Iterator[Sentence]:
    """All of a text (quotation marks straight) as sentences; they end at full stops, question marks and line ends."""
    letter_of, meanings = _vocabulary(puzzle)
    letters: list[str] = []
    tokens: list[re.Match[str]] = []
    start, paragraph = 0, True
    for match in TOKEN.finditer(text):
        token = match[0]
        letter = letter_of.get(token)
        if letter is None:
            letter = letter_of[token] = _letter(token, letter_of, meanings)
        if letter:
            letters.append(letter)
            tokens.append(match)
            if letter != "." and letter != "?":
                continue
        elif token[0] != "\n":
            continue
        if letters:
            yield Sentence(start, match.end(), "".join(letters), tokens, meanings, paragraph)
            letters, tokens, start, paragraph = [], [], match.end(), False
        paragraph = paragraph or token.startswith("\n\n")
    if start < len(text):
        yield Sentence(start, len(text), "".join(letters), tokens, meanings, paragraph)


def rules_right(sentence: Sentence) -> bool:
    """Whether those who always tell the truth are the truthful, and a statement is true if its speaker is one."""
    letters, value = sentence.letters, sentence.value
    first = all(bool(value(m.start())) == (m[1] == "T") for m in re.finditer(r"U!(?:qa)?([TFl])", letters))
    return first and all(bool(value(m.end() - 1)) == (m[1] == "T") for m in re.finditer(r"v([TF])_i[p_]_vaR", letters))


def _vocabulary(puzzle: Puzzle) -> tuple[dict[str, str], dict[str, int]]:
    """Letters of words, with the puzzle's names and role words, and what these stand for."""
    letters = {**WORDS, **dict.fromkeys(_DROPPED, ""), **dict.fromkeys(_HONEST, "R"), "liars": "U"}
    meanings: dict[str, int] = {**_HONEST, "liars": False}
    for truthful, role in ((True, puzzle.roles.truthful.lower()), (False, puzzle.roles.liar.lower())):
        for letter, word in (("R", role), ("U", plural(role))):
            letters[word], meanings[word] = letter, truthful
    for number, name in enumerate(puzzle.names):
        letters[name], meanings[name] = "P", number
        if name.lower() not in letters:
            letters[name.lower()], meanings[name.lower()] = "P", number
    return letters, meanings


def _letter(token: str, letters: Mapping[str, str], meanings: dict[str, int]) -> str:
    """The letter of a token that is not listed as it stands; empty for line ends."""
    if token[0] == "\n":
        return ""
    low = token.lower()
    if low in meanings:
        meanings[token] = meanings[low]
    return letters.get(low) or ("Q" if token[0] == '"' else "z" if low.endswith("n't") else "_")
