"""Reads puzzles out of English text: the published quizzes and their perturbations, and other ways of telling them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

from warmup_rl.base.errors import DataError
from warmup_rl.knights.english import Told, plural
from warmup_rl.knights.grammar import Puzzle, Roles, make_puzzle
from warmup_rl.knights.statements import Statement
from warmup_rl.knights.wording import statement_from_text

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
"""Characters of a text that is read; a published one of ten people has about a thousand."""
_REFUSED = re.compile(r"\b(?:not|never|nobody|den(?:y|ies|ied)|doubt\w*)\b|n't\b", re.IGNORECASE)
"""Words that turn "X ... that" into something else than a statement of X."""


def parse_english(text: str) -> Puzzle:
    """Inverse of `english.render_english`. Raises `DataError` as `parse_told` does."""
    return parse_told(text).puzzle


def parse_told(text: str) -> Told:
    """The puzzle that a text tells, with who speaks when and how.

    Reads the rules (who always tells the truth, who always lies, whatever the words), the list of names, and one
    speech a person in any order: quoted with the speaker before or after, or reported.

    Raises:
        DataError: the text is no such puzzle, or somebody does not speak exactly once.
    """
    if len(text) > _LONGEST:
        raise DataError(f"a puzzle has at most {_LONGEST:,} characters, this text {len(text):,}: {text[:80]!r}")
    text = _plain(text)
    names, start = _names(text)
    speeches, question = _split_question(text[start:])
    roles = _roles(text[:start], question)
    said: dict[int, Statement] = {}
    told: list[tuple[int, str]] = []
    for person, statement, template in _speeches(speeches, names, roles):
        if person in said:
            raise DataError(f"each person must speak once; not so {names[person]!r}: {text[:80]!r}")
        said[person] = statement
        told.append((person, template))
    if len(said) != len(names):
        silent = ", ".join(name for person, name in enumerate(names) if person not in said)
        raise DataError(f"each person must speak once; not so {silent}: {text[:80]!r}")
    return Told(make_puzzle(names, [said[person] for person in range(len(names))], roles), tuple(told))


def _plain(text: str) -> str:
    """One line, straight quotation marks, double ones around speech."""
    text = " ".join(text.translate(_PLAIN).split())
    return text if '"' in text else _SINGLE_QUOTED.sub(r'"\1"', text)


def _names(text: str) -> tuple[list[str], int]:
    """The people in the order in which they are listed, and where the list ends."""
    found = _MET.search(text) or _LISTED.search(text)
    if not found:
        raise DataError(f"not an English puzzle: {text[:80]!r}. Needed: 'You meet 2 inhabitants: NAME, and NAME.'")
    names = [name for part in found["names"].split(",") for name in re.split(r"(?:^|\s)and\s", part) if name.strip()]
    names = [name.strip() for name in names]
    count = found["count"].lower()
    number = _WORDS.index(count) + 1 if count in _WORDS else int(count) if count.isdecimal() else len(names)
    if number != len(names):
        raise DataError(f"{number} people are announced, {len(names)} are listed: {', '.join(names)}")
    return names, found.end()


def _split_question(text: str) -> tuple[str, str]:
    """What is said, and the question after it; what follows the question is left out."""
    mark = _outside_quotes(text, "?")
    head = text if mark < 0 else text[:mark]
    if mark >= 0:
        start = max([match.end() for match in _SENTENCE_END.finditer(head)] + [head.rfind('"') + 1])
        return head[:start].strip(), head[start:]
    task = _TASK.search(head)
    return (head[: task.start()].strip(), task[0]) if task else (head.strip(), "")


def _outside_quotes(text: str, mark: str) -> int:
    """Where the mark stands first outside quotation marks; -1 where it does not."""
    position = text.find(mark)
    while position >= 0 and text.count('"', 0, position) % 2:
        position = text.find(mark, position + 1)
    return position


def _roles(rules: str, question: str) -> Roles:
    honest, lying = _TRUTHFUL.search(rules), _LIAR.search(rules)
    if not honest or not lying:
        raise DataError(f"not an English puzzle: {rules[:80]!r}. Needed: who always tell the truth and who always lie.")
    words = tuple(match[1].lower().rpartition(" and ")[2] for match in (honest, lying))
    asked = _ASKED.search(question.strip().lower())
    singular = [asked[1], asked[2]] if asked else [_singular(word) for word in words]
    for one, other in (singular, singular[::-1]):
        if words[0] in _forms(one) and words[1] in _forms(other) and one != other:
            return Roles(one, other)
    raise DataError(
        f"role words differ: {words[0]!r} always tell the truth and {words[1]!r} always lie, the question is about "
        f"{singular[0]!r} and {singular[1]!r}."
    )


def _forms(word: str) -> tuple[str, ...]:
    """A role word itself and its plurals; the published generator says "heros"."""
    return word, plural(word), word + "s"


def _singular(word: str) -> str:
    if word.endswith("s") and word[:-1].endswith(("s", "x", "ch", "sh", "o", "e")) and word.endswith("es"):
        return word[:-2] if word[:-2].endswith(("s", "x", "ch", "sh", "o")) else word[:-1]
    return word.removesuffix("s")


def _speeches(text: str, names: Sequence[str], roles: Roles) -> Iterator[tuple[int, Statement, str]]:
    """Who says what, and the template of the speech.

    A quotation belongs to the one who is named in the unfinished sentence before it, else in the sentence after it;
    all other sentences report what somebody says.
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
    """Whole sentences, and the unfinished one that leads to the next quotation."""
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
    return person, statement_from_text(what, names, roles, person), template


def _reported(sentence: str, names: Sequence[str], roles: Roles) -> tuple[int, Statement, str]:
    """`X said that ...`, `X: ...`, `according to X, ...`, `X says ...`: cut where a statement stands after the cut."""
    sentence = sentence.rstrip(".!")
    for cut in chain(_CUT.finditer(sentence), filter(None, [_TWO_WORDS.match(sentence)])):
        lead, what = sentence[: cut.end()].strip(), sentence[cut.end() :]
        try:
            person = _speaker(lead, names)
            statement = statement_from_text(what, names, roles, person)
        except DataError:
            continue
        if not any(word in _forms(role) for role in (roles.truthful, roles.liar) for word in lead.lower().split()):
            return person, statement, f"{_blank(lead, names[person])} {{what}}."
    raise DataError(f"not a speech of {', '.join(names)}: {sentence[:80]!r}")


def _speaker(attribution: str, names: Sequence[str]) -> int:
    """The one person who is named."""
    found = [person for person, name in enumerate(names) if name in attribution and _named(name).search(attribution)]
    if len(found) != 1 or _REFUSED.search(attribution):
        raise DataError(f"who of {', '.join(names)} speaks is unclear: {attribution[:80]!r}")
    return found[0]


def _blank(attribution: str, name: str) -> str:
    return _named(name).sub("{name}", attribution)


@lru_cache(maxsize=1024)
def _named(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
