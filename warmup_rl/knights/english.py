"""The English phrasing: puzzles in the wording of the published Knights & Knaves data, rendered and parsed."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from warmup_rl.errors import DataError
from warmup_rl.knights.grammar import Puzzle, Roles, make_puzzle
from warmup_rl.knights.statements import AND, IFF, IMPLIES, LIAR, NOT, OR, TRUTHFUL, Statement, is_leaf

SPEECH = (
    '{name} said, "{what}."', '{name} was heard saying, "{what}".', '{name} commented, "{what}".',
    '{name} noted, "{what}".', '{name} stated, "{what}".', '{name} remarked, "{what}".', '{name} asserted: "{what}".',
    '"{what}," {name} claimed.', '"{what}," {name} declared.', '"{what}," {name} mentioned.', '"{what}" - {name}.',
    'According to {name}, "{what}".', 'In a statement by {name}: "{what}".', "In {name}'s words: \"{what}\".",
    'As {name} put it, "{what}".', "{name} said that {what}.", "{name} told you that {what}.",
    "{name} expressed that {what}.",
)  # fmt: skip
"""Ways of saying something, as in the data of arXiv 2410.23123."""

ROLES = (
    Roles("knight", "knave"), Roles("pioneer", "laggard"), Roles("saint", "sinner"), Roles("hero", "villain"),
    Roles("angel", "devil"), Roles("altruist", "egoist"), Roles("sage", "fool"),
)  # fmt: skip
"""Role words of the published data and its perturbations."""

NAMES = tuple(
    "Abigail Aiden Alexander Amelia Aria Aurora Ava Avery Benjamin Charlotte Chloe Daniel David Elizabeth Ella Emily "
    "Emma Ethan Evelyn Grace Harper Henry Isabella Jack Jackson Jacob James Joseph Liam Lily Logan Lucas Luke Mason "
    "Matthew Mia Michael Noah Oliver Olivia Owen Penelope Riley Samuel Scarlett Sebastian Sofia Sophia Victoria "
    "William Zoey".split()
)
"""Names of the published data."""

_ISLAND = (
    "A very special island is inhabited only by {truthfuls} and {liars}. {Truthfuls} always tell the truth, and "
    "{liars} always lie. You meet {count} inhabitants: {names}. {speeches} So who is {a_truthful} and who is {a_liar}?"
)
_FRAME = re.compile(
    r"(?P<truthfuls>[^.]+?) always tell the truth, and (?P<liars>[^.]+?) always lie\. You meet \d+ inhabitants: "
    r"(?P<names>[^.]+?)\. (?P<speeches>.+) So who is an? (?P<one>.+?) and who is an? (?P<other>.+?)\?"
)
_IF = re.compile(r"if ", re.IGNORECASE)
_NEGATION = "It is not the case that "
_SPEAKER, _QUOTED, _REPORTED = '([^".,:]+?)', '([^"]+?)', r"((?:(?!\. ).)+?)"
_SPEECH = re.compile(
    "(?:"
    + "|".join(
        re.escape(form).replace(r"\{name\}", _SPEAKER).replace(r"\{what\}", _QUOTED if '"' in form else _REPORTED)
        for form in SPEECH
    )
    + ")(?: |$)"
)


def render_english(puzzle: Puzzle, rng: random.Random) -> str:
    """The question; `rng` picks a way of speaking for each person."""
    speeches = []
    for name, statement in zip(puzzle.names, puzzle.statements, strict=True):
        said = statement_text(statement, puzzle.names, puzzle.roles)
        template = SPEECH[int(rng.random() * len(SPEECH))]
        speeches.append(template.replace("{name}", name).replace("{what}", said))
    truthfuls, liars = plural(puzzle.roles.truthful), plural(puzzle.roles.liar)
    return _ISLAND.format(
        truthfuls=truthfuls,
        liars=liars,
        Truthfuls=truthfuls[0].upper() + truthfuls[1:],
        count=puzzle.people,
        names=", ".join(puzzle.names[:-1]) + ", and " + puzzle.names[-1],
        speeches=" ".join(speeches),
        a_truthful=with_article(puzzle.roles.truthful),
        a_liar=with_article(puzzle.roles.liar),
    )


def parse_english(text: str) -> Puzzle:
    """Inverse of `render_english`; also reads the published quizzes, whatever their role words and order of speakers.

    Raises:
        DataError: the text is no such puzzle, or somebody does not speak exactly once.
    """
    text = " ".join(text.split())
    frame = _FRAME.search(text)
    if not frame:
        raise DataError(f"not an English puzzle: {text[:80]!r}. Needed: 'A very special island is ...' as published.")
    names = _names(frame["names"])
    roles = _roles(frame["truthfuls"].strip(), (frame["one"], frame["other"]))
    said: dict[str, Statement] = {}
    speeches, position = frame["speeches"], 0
    while position < len(speeches):
        match = _SPEECH.match(speeches, position)
        if not match:
            raise DataError(f"not a speech of {', '.join(names)}: {speeches[position : position + 80]!r}")
        groups = [group for group in match.groups() if group is not None]
        name, what = groups if groups[0] in names else groups[::-1]
        if name in said or name not in names:
            raise DataError(f"each person must speak once; not so {name!r}: {text[:80]!r}")
        said[name] = statement_from_text(what, names, roles)
        position = match.end()
    if len(said) != len(names):
        silent = ", ".join(name for name in names if name not in said)
        raise DataError(f"each person must speak once; not so {silent}: {text[:80]!r}")
    return make_puzzle(names, [said[name] for name in names], roles)


def statement_text(statement: Statement, names: Sequence[str], roles: Roles) -> str:
    """A statement in words, without full stop; an operand that has operands of its own stands in brackets."""
    operator = statement[0]
    if is_leaf(statement):
        return f"{names[statement[1]]} is {with_article(roles.of(operator == TRUTHFUL))}"
    if operator == NOT:
        inner = statement[1]
        if is_leaf(inner):
            return f"{names[inner[1]]} is not {with_article(roles.of(inner[0] == TRUTHFUL))}"
        return f"{_NEGATION}{_operand(inner, names, roles)}"
    parts = [_operand(part, names, roles) for part in statement[1:]]
    if operator == IMPLIES:
        return f"If {parts[0]} then {parts[1]}"
    return {AND: " and ", OR: " or ", IFF: " if and only if "}[operator].join(parts)


def statement_from_text(text: str, names: Sequence[str], roles: Roles) -> Statement:
    """Inverse of `statement_text`. Raises `DataError` when the text is no statement about these people."""
    text = _unwrapped(text.strip())
    if _IF.match(text) and len(parts := _split(text[3:], " then ")) == 2:
        return (IMPLIES, *(statement_from_text(part, names, roles) for part in parts))
    for word, operator in ((" if and only if ", IFF), (" and ", AND), (" or ", OR)):
        parts = _split(text, word)
        if len(parts) > 1 and (operator != IFF or len(parts) == 2):
            return (operator, *(statement_from_text(part, names, roles) for part in parts))
    if text.lower().startswith(_NEGATION.lower()):
        return (NOT, statement_from_text(text[len(_NEGATION) :], names, roles))
    name, _, rest = text.partition(" is ")
    words = rest.split()
    leaf = {roles.truthful: TRUTHFUL, roles.liar: LIAR}.get(" ".join(words[-1:]).lower())
    if name not in names or leaf is None or words[:-1] not in (["a"], ["an"], ["not", "a"], ["not", "an"]):
        raise DataError(f"not a statement about {', '.join(names)}: {text!r}")
    return (NOT, (leaf, names.index(name))) if words[0] == "not" else (leaf, names.index(name))


def answer_english(puzzle: Puzzle) -> str:
    """The answer, one numbered line a person, e.g. `(1) Hal is a knight`."""
    lines = (f"({i}) {role_text(puzzle, i - 1, puzzle.solution[i - 1])}" for i in range(1, puzzle.people + 1))
    return "\n".join(lines)


def role_text(puzzle: Puzzle, person: int, truthful: bool) -> str:
    """`Hal is a knight`."""
    return f"{puzzle.names[person]} is {with_article(puzzle.roles.of(truthful))}"


def with_article(word: str) -> str:
    """`a knight`, `an angel`."""
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def plural(word: str) -> str:
    """`knights`, `heroes`."""
    return word + ("es" if word.endswith(("s", "x", "ch", "sh", "o")) else "s")


def _operand(statement: Statement, names: Sequence[str], roles: Roles) -> str:
    text = statement_text(statement, names, roles)
    bare = is_leaf(statement) or (statement[0] == NOT and is_leaf(statement[1]))
    return text if bare else f"({text[0].lower() + text[1:] if text.startswith(('If ', _NEGATION)) else text})"


def _unwrapped(text: str) -> str:
    """The text without brackets that enclose the whole of it."""
    while text.startswith("(") and text.endswith(")") and _depths(text).index(0) == len(text) - 1:
        text = text[1:-1]
    return text


def _split(text: str, word: str) -> list[str]:
    """Parts between occurrences of a word outside brackets."""
    if "(" not in text:
        return text.split(word)
    depths, parts, start = _depths(text), [], 0
    for match in re.finditer(re.escape(word), text):
        if depths[match.start()] == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


def _depths(text: str) -> list[int]:
    """Open brackets after each character."""
    depth, depths = 0, []
    for character in text:
        depth += (character == "(") - (character == ")")
        depths.append(depth)
    return depths


def _names(text: str) -> list[str]:
    names = [name.strip().removeprefix("and ") for name in text.split(",")]
    if len(names) == 1 or (len(names) > 1 and " and " in names[-1]):
        names[-1:] = names[-1].split(" and ")
    return names


def _roles(truthfuls: str, singulars: tuple[str, str]) -> Roles:
    one, other = singulars
    if plural(one).lower() == truthfuls.lower():
        return Roles(one.lower(), other.lower())
    if plural(other).lower() == truthfuls.lower():
        return Roles(other.lower(), one.lower())
    raise DataError(f"role words differ: {truthfuls!r} tell the truth, the question is about {one!r} and {other!r}.")
