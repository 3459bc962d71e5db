"""Parses English puzzles: the published wording, its perturbations, and common variants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter

from warmup_rl.base.errors import DataError
from warmup_rl.knights.english import Quiz, word_forms
from warmup_rl.knights.grammar import Puzzle, Roles, make_puzzle
from warmup_rl.knights.parse_statement import parse_statement
from warmup_rl.knights.statements import Statement

_WORDS = "one two three four five six seven eight nine ten eleven twelve".split()
_PLAIN = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "`": "'", "–": "-", "—": "-"})
_SINGLE_QUOTED = re.compile(r"(?<![\w])'{1,2}(.+?)'{1,2}(?!\w)")
_WHO = r"(?:^|[.,;] )(?:and |while |whereas |but )?(?:every |each |the )?([^.,;]+?),? (?:who )?always "
_TRUTHFUL = re.compile(_WHO + "(?:tells?|speaks?) the truth", re.IGNORECASE)
_LIAR = re.compile(_WHO + r"(?:lies?|tells? lies)\b", re.IGNORECASE)
_MET = re.compile(
    r"(?:\b[Yy]ou (?:meet|met|encounter|see|find|come across) |\b[Tt]here are )(?P<count>\w+) [^:,.\"]+?"
    r"[:,] (?P<names>[^.:\"]+)\.\s*"
)
_LISTED = re.compile(r"(?P<count>\w+) \w+ \((?P<names>[^)\"]+)\)[^:.\"]*[:.]\s*")
_ASKED = re.compile(r"who is an? (.+?) and who is an? (.+?)$")
_TASK = re.compile(r"(?:Determine|Find out|Find|Identify|Work out|Decide|Tell me|Question)\b[^.\"]*\.?\s*$")
_SENTENCE_END = re.compile(r"(?<=[.!])[\"')]*\s+")
_NUMBER = re.compile(r"(?:^|(?<=\s))\(?\d+[.)]\s*")
_CUT = re.compile(r" that |: |, ")
_TWO_WORDS = re.compile(r"\S+ \S+ ")
_LONGEST = 20_000
"""Maximum number of characters; a published puzzle of ten people has about a thousand."""
_REFUSED = re.compile(r"\b(?:not|never|nobody|den(?:y|ies|ied)|doubt\w*)\b|n't\b", re.IGNORECASE)
"""Words with which "X ... that" does not introduce a statement of X."""


def parse_english(text: str) -> Puzzle:
    """The puzzle of a question; see `parse_quiz`."""
    return parse_quiz(text).puzzle


def parse_quiz(text: str) -> Quiz:
    """Inverse of `english.render_quiz`.

    Reads the rules (who always tells the truth and who always lies, with any role words), the list of names, and one
    speech of each person in any order: quoted, with the speaker before or after the quotation, or reported.

    Raises:
        DataError: the text is not such a puzzle, or a person does not speak exactly once.
    """
    if len(text) > _LONGEST:
        raise DataError(f"a puzzle has at most {_LONGEST:,} characters, this text {len(text):,}: {text[:80]!r}")
    text = _plain(text)
    names, start = _names(text)
    speeches, question = _split_question(text[start:])
    roles = _roles(text[:start], question)
    found = list(_speeches(speeches, names, roles))
    times = Counter(person for person, _, _ in found)
    if odd := [name for person, name in enumerate(names) if times[person] != 1]:
        raise DataError(f"each person must speak exactly once, but not {', '.join(odd)}: {text[:80]!r}")
    statements = [statement for _, statement, _ in sorted(found, key=itemgetter(0))]
    return Quiz(make_puzzle(names, statements, roles), tuple((person, template) for person, _, template in found))


def _plain(text: str) -> str:
    """The text as one line, with straight double quotation marks around speech."""
    text = " ".join(text.translate(_PLAIN).split())
    return text if '"' in text else _SINGLE_QUOTED.sub(r'"\1"', text)


def _names(text: str) -> tuple[list[str], int]:
    """The names in order, and the position after the list."""
    found = _MET.search(text) or _LISTED.search(text)
    if not found:
        raise DataError(f"not an English puzzle: {text[:80]!r}. Needed: 'You meet 2 inhabitants: NAME, and NAME.'")
    parts = [name for part in found["names"].split(",") for name in re.split(r"(?:^|\s)and\s", part)]
    names = [name.strip() for name in parts if name.strip()]
    count = found["count"].lower()
    number = _WORDS.index(count) + 1 if count in _WORDS else int(count) if count.isdecimal() else len(names)
    if number != len(names):
        raise DataError(f"the text announces {number} people but lists {len(names)}: {', '.join(names)}")
    return names, found.end()


def _split_question(text: str) -> tuple[str, str]:
    """The speeches, and the question after them; text after the question is dropped."""
    for mark in re.finditer(r"\?", text):
        if text.count('"', 0, mark.start()) % 2 == 0:
            head = text[: mark.start()]
            start = max([match.end() for match in _SENTENCE_END.finditer(head)] + [head.rfind('"') + 1])
            return head[:start].strip(), head[start:]
    task = _TASK.search(text)
    return (text[: task.start()].strip(), task[0]) if task else (text.strip(), "")


def _roles(rules: str, question: str) -> Roles:
    honest, lying = _TRUTHFUL.search(rules), _LIAR.search(rules)
    if not honest or not lying:
        raise DataError(f"not an English puzzle: {rules[:80]!r}. Needed: who always tell the truth and who always lie.")
    words = tuple(match[1].lower().rpartition(" and ")[2] for match in (honest, lying))
    asked = _ASKED.search(question.strip().lower())
    singular = [asked[1], asked[2]] if asked else [_singular(word) for word in words]
    for one, other in (singular, singular[::-1]):
        if words[0] in word_forms(one) and words[1] in word_forms(other) and one != other:
            return Roles(one, other)
    raise DataError(
        f"the role words do not match: {words[0]!r} always tell the truth and {words[1]!r} always lie, the question "
        f"is about {singular[0]!r} and {singular[1]!r}."
    )


def _singular(word: str) -> str:
    adds_es = word.endswith("es") and word[:-2].endswith(("s", "x", "ch", "sh", "o"))
    return word[:-2] if adds_es else word.removesuffix("s")


def _speeches(text: str, names: Sequence[str], roles: Roles) -> Iterator[tuple[int, Statement, str]]:
    """The speaker, the statement and the template of each speech.

    The speaker of a quotation is named in the unfinished sentence before it, or else in the sentence after it. All
    other sentences are reported speech.
    """
    pieces = text.split('"')
    if len(pieces) % 2 == 0:
        raise DataError(f"a quotation mark is missing: {text[:80]!r}")
    before, quote = "", None
    for number in range(0, len(pieces), 2):
        sentences, rest = _sentences(pieces[number], last=number == len(pieces) - 1)
        if quote is not None:
            after = "" if before or not sentences else sentences.pop(0)
            yield _quoted(before, quote, after, names, roles)
        for sentence in sentences:
            yield _reported(sentence, names, roles)
        before, quote = rest, pieces[number + 1] if number + 1 < len(pieces) else None


def _sentences(text: str, *, last: bool) -> tuple[list[str], str]:
    """Complete sentences, and the unfinished one that introduces the next quotation."""
    text = text.strip()
    text = text[1:].strip() if text[:1] in (".", ",", ";", "!") else text
    parts = [part for part in (_NUMBER.sub("", part).strip() for part in _SENTENCE_END.split(text)) if part]
    unfinished = not last and parts and not parts[-1].endswith((".", "!"))
    return (parts[:-1], parts[-1]) if unfinished else (parts, "")


def _quoted(before: str, quote: str, after: str, names: Sequence[str], roles: Roles) -> tuple[int, Statement, str]:
    person = _speaker(before or after, names)
    what = quote.strip().rstrip(".,!")
    mark = quote.strip()[len(what) :]
    lead, tail = (_blank(part, names[person]) for part in (before, after))
    template = f'{lead} "{{what}}{mark}"'.strip() + (f" {tail}" if tail else "" if mark == "." else ".")
    return person, parse_statement(what, names, roles, person), template


def _reported(sentence: str, names: Sequence[str], roles: Roles) -> tuple[int, Statement, str]:
    """`X said that ...`, `X: ...`, `according to X, ...`, `X says ...`: split where the rest is a statement."""
    sentence = sentence.rstrip(".!")
    for cut in chain(_CUT.finditer(sentence), filter(None, [_TWO_WORDS.match(sentence)])):
        lead, what = sentence[: cut.end()].strip(), sentence[cut.end() :]
        try:
            person = _speaker(lead, names)
            statement = parse_statement(what, names, roles, person)
        except DataError:
            continue
        if not {*word_forms(roles.truthful), *word_forms(roles.liar)} & {*lead.lower().split()}:
            return person, statement, f"{_blank(lead, names[person])} {{what}}."
    raise DataError(f"not a statement by {', '.join(names)}: {sentence[:80]!r}")


def _speaker(attribution: str, names: Sequence[str]) -> int:
    """The only person who is named."""
    found = [person for person, name in enumerate(names) if name in attribution and _named(name).search(attribution)]
    if len(found) != 1 or _REFUSED.search(attribution):
        raise DataError(f"it is unclear who of {', '.join(names)} speaks: {attribution[:80]!r}")
    return found[0]


def _blank(attribution: str, name: str) -> str:
    return _named(name).sub("{name}", attribution)


@lru_cache(maxsize=1024)
def _named(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
