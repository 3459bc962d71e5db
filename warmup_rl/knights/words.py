"""The words that prose about a puzzle is made of, as one letter each, and the patterns that mean something."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from warmup_rl.knights.english import plural
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.statements import IFF, OR

TOKEN = re.compile(r"[^\S\n]*(?:\w+(?:(?<=[A-Za-z]n)'t\b)?|\n+|\"[^\"\n]*\"|'s\b|[^\w\s])")
"""Words, negated verbs, line ends, quotations, the genitive and signs, each with the blanks before it."""
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


def _spellings(word: str) -> tuple[str, str, str, str]:
    """A word as it stands in sentences and at their beginning, with a blank before it or none."""
    return word, f" {word}", word.capitalize(), f" {word.capitalize()}"


_HONEST = {
    "truthful": True, "honest": True, "liar": False, "lying": False, "dishonest": False, "untruthful": False,
    "liars": False,
}  # fmt: skip
_MEANT = {spelled: truthful for word, truthful in _HONEST.items() for spelled in _spellings(word)}
_DROPPED, _LINE_END = "\0", "\n"
"""Letters of signs that mean nothing, and of line ends; both are taken out of sentences."""
_WORDS = {
    **{word: letter for letter, words in _LETTERS.items() for word in words.split()},
    **dict.fromkeys("*_`#$\\{}[]", _DROPPED),
    **dict.fromkeys(_HONEST, "R"),
    "liars": "U",
}
_SPELLED = {spelled: letter for word, letter in _WORDS.items() for spelled in _spellings(word)}
_SENTENCE = re.compile(r"[^.?\n]*[.?\n]|[^.?\n]+")
_SHAPES = 8_192


_PEOPLE = r"(?:b?P(?:(?:,&?|&|\|)P)*|B|b(?=v))"
_LINK = r"(?:,?[vmnzchbw]*[vnzw][vmnzchb]*a?b?|[=(]a?)"
_ATOMS = {
    "speech": r"(?:P[bh_]?|[&,])S[,=o]*|P'e(?:[v=]o?|o)(?=[iE]?P(?!'))",
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
TRUTH = re.compile(r"(?:[,;]?&?o?[vmnzcbt]+|=)[TF]")
"""After a quotation: `is true`, `, which must be false`."""
END_OF_SPEECH = re.compile(r"[;.sgdx]|,(?!t)|=(?=[TF])|(?=[vmnzcb]+[TF])")
"""Where reported speech without quotation marks ends at the latest."""
TWISTED = re.compile(r"[nz0NjX][^,;&=]*$|[TFC]o$|f[P,&|]*$")
"""Words that turn what follows into something else than it looks like: `it is not true that`, `one of`."""
TELLING = re.compile("[PRUTFQxBHK]|ozv|pl")
"""Letters without which a sentence is only talk; `ozv` is `This can't be`, `pl` is `she lies`."""
JOINS = {"|": OR, ",|": OR, "E|": OR, "|E": OR, "u": IFF, "i&ji": IFF}
"""What may stand between two formulas that make one."""


class Sentence(NamedTuple):
    """A sentence as letters.

    Attributes:
        start, end: its characters, the white space after it included.
        letters: one a token; `P` is a person, `R` and `U` a role in the singular and plural, `Q` a quotation.
        tokens, ends: the tokens, with the blanks before them, and where they end in the text.
        values: behind each `P`, `R` and `U`: number of a person, or whether a role is truthful.
        paragraph: a new paragraph begins with it.
    """

    start: int
    end: int
    letters: str
    tokens: Sequence[str]
    ends: Sequence[int]
    values: tuple[int, ...]
    paragraph: bool

    def begin(self, place: int) -> int:
        """The first character of a token."""
        return self.ends[place] - len(self.tokens[place].lstrip())


def plain_quotes(text: str) -> str:
    """The text with straight quotation marks; characters keep their places."""
    return text.translate(_PLAIN)


def lowered(text: str) -> str:
    """The text in lower case; characters keep their places."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(letter if len(letter.lower()) > 1 else letter.lower() for letter in text)


def sentences(text: str, puzzle: Puzzle) -> Iterator[Sentence]:
    """All of a text (quotation marks straight) as sentences; they end at full stops, question marks and line ends."""
    vocabulary = _Vocabulary(puzzle)
    tokens = TOKEN.findall(text)
    all_ends = list(accumulate(map(len, tokens)))
    start, paragraph = 0, True
    for found in _SENTENCE.finditer("".join(map(vocabulary.__getitem__, tokens))):
        (first, after), letters = found.span(), found[0]
        told, ends = tokens[first:after], all_ends[first:after]
        closed = letters[-1] in ".?\n"
        if letters[-1] == _LINE_END:
            letters = letters[:-1]
        if _DROPPED in letters:
            places_kept = [place for place, letter in enumerate(letters) if letter != _DROPPED]
            told, ends = [told[place] for place in places_kept], [ends[place] for place in places_kept]
            letters = letters.replace(_DROPPED, "")
        if letters:
            end = all_ends[after - 1] if closed else len(text)
            values = tuple([vocabulary.meanings[told[place]] for place in places(letters)])
            yield Sentence(start, end, letters, told, ends, values, paragraph)
            start, paragraph = end, False
        paragraph = paragraph or "\n\n" in tokens[after - 1]
    if start < len(text):
        yield Sentence(start, len(text), "", [], [], (), paragraph)


@lru_cache(_SHAPES)
def places(letters: str) -> tuple[int, ...]:
    """Where letters have a value."""
    return tuple(place for place, letter in enumerate(letters) if letter in "PRU")


def rules_right(letters: str, values: Mapping[int, int]) -> bool:
    """Whether those who always tell the truth are the truthful, and a statement is true if its speaker is one."""
    first = all(bool(values[m.start()]) == (m[1] == "T") for m in re.finditer(r"U!(?:qa)?([TFl])", letters))
    return first and all(bool(values[m.end() - 1]) == (m[1] == "T") for m in re.finditer(r"v([TF])_i[p_]_vaR", letters))


class _Vocabulary(dict[str, str]):
    """The letter of each token: of words, of a puzzle's names and role words, and of what else turns up.

    Attributes:
        meanings: what names and role words stand for.
    """

    def __init__(self, puzzle: Puzzle) -> None:
        super().__init__(_SPELLED)
        self.meanings: dict[str, int] = dict(_MEANT)
        for truthful, role in ((True, puzzle.roles.truthful.lower()), (False, puzzle.roles.liar.lower())):
            for letter, word in (("R", role), ("U", plural(role))):
                self._add(_spellings(word), letter, truthful)
        for number, name in enumerate(puzzle.names):
            self._add((name, f" {name}"), "P", number)
            if name.lower() not in self:
                self._add((name.lower(),), "P", number)

    def _add(self, words: Iterable[str], letter: str, meaning: int) -> None:
        for word in words:
            self[word], self.meanings[word] = letter, meaning

    def __missing__(self, token: str) -> str:
        if token[-1] == "\n":
            letter = _LINE_END
        else:
            word = token.lstrip()
            low = word.lower()
            known = word if word in self else low
            if known in self.meanings:
                self.meanings[token] = self.meanings[known]
            letter = self.get(known) or ("Q" if word[0] == '"' else "z" if low.endswith("n't") else "_")
        self[token] = letter
        return letter
