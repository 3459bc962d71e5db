"""The terse phrasing: puzzles and solutions in a small fixed vocabulary, for models trained from scratch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from warmup_rl.base.errors import DataError
from warmup_rl.knights.grammar import KNIGHTS, Puzzle, make_puzzle
from warmup_rl.knights.solver import assignment, assignment_index
from warmup_rl.knights.statements import AND, IFF, IMPLIES, LIAR, NOT, OR, TRUTHFUL, Statement, evaluate, is_leaf

NEXT, SO = "next", "so"
"""Every sentence of a chain begins with NEXT; the last one is SO with the answer."""
RECHECK, WAIT = "recheck", "wait"
"""RECHECK opens a case that is needlessly checked again; WAIT may precede it."""
NAMES = ("Hal", "Bob", "Ann", "Eve", "Joe", "Kim", "Max", "Sue")
"""Names of the terse phrasing."""
WORDS = {NOT: "not", AND: "and", OR: "or", IMPLIES: "implies", IFF: "iff"}
OPERATORS = {word: operator for operator, word in WORDS.items()}


def render_terse(puzzle: Puzzle) -> str:
    """The question, e.g. `kk : p1 Hal p2 Bob . #1 knave(Bob) #2 says(Hal) #3 knight(Hal) #4 not #5 says(Bob) who ?`.

    Statements are in postfix notation, with a numbered anchor (`#1`) before each word; more than two operands of "and"
    and "or" are counted in the word (`and3`). Role words are always knight and knave.
    """
    people = " ".join(f"p{number} {name}" for number, name in enumerate(puzzle.names, start=1))
    anchors = " ".join(f"#{number} {word}" for number, word in enumerate(_anchor_words(puzzle), start=1))
    return f"kk : {people} . {anchors} who ?"


def parse_terse(text: str) -> Puzzle:
    """Inverse of `render_terse`. Raises `DataError` if the text is not such a question."""
    words = text.split()
    if words[:2] != ["kk", ":"] or words[-2:] != ["who", "?"] or "." not in words:
        raise DataError(f"not a terse puzzle: {text[:80]!r}. Needed: kk : p1 NAME p2 NAME . #1 ... who ?")
    dot = words.index(".")
    names = _unnumbered(words[2:dot], "p")
    said: dict[str, Statement] = {}
    stack: list[Statement] = []
    for word in _unnumbered(words[dot + 1 : -2], "#"):
        head, _, name = word.rstrip(")").partition("(")
        if head == "says" and len(stack) == 1:
            said[name] = stack.pop()
        elif head in (KNIGHTS.truthful, KNIGHTS.liar) and name in names:
            stack.append((TRUTHFUL if head == KNIGHTS.truthful else LIAR, names.index(name)))
        else:
            _reduce(stack, word)
    if stack or set(said) != set(names):
        raise DataError(f"each person must make one complete statement: {text[:80]!r}")
    return make_puzzle(names, [said[name] for name in names])


def answer_terse(puzzle: Puzzle) -> str:
    """The answer, e.g. `Hal=knight Bob=knave`."""
    return " ".join(_values(puzzle, puzzle.solution))


def case_number(puzzle: Puzzle) -> int:
    """The case that is the solution."""
    return assignment_index(puzzle.solution) + 1


def case_opening(puzzle: Puzzle, case: int) -> str:
    """`case3 p1 Hal=knight p2 Bob=knave`: case k of 1 to 2^people; person i is a knave if bit i of k - 1 is set."""
    values = _values(puzzle, assignment(case - 1, puzzle.people))
    return " ".join([f"case{case}", *(f"p{i} {value}" for i, value in enumerate(values, start=1))])


def case_sentences(puzzle: Puzzle, case: int) -> list[str]:
    """The sentences of one case: `next` with the opening, then with each check up to the first `bad`.

    Args:
        case: from 1 to 2^people.
    """
    sentences = [f"{NEXT} {case_opening(puzzle, case)}"]
    for check in checks(puzzle, assignment(case - 1, puzzle.people)):
        sentences.append(f"{NEXT} {check}")
        if check.endswith(" bad"):
            break
    return sentences


def checks(puzzle: Puzzle, truthful: Sequence[bool]) -> Iterator[str]:
    """The check of each anchor in an assignment.

    A check holds the anchor, its word, the values that it uses, and the result: `#3 not true false`,
    `#1 knave(Bob) Bob=knight false`, or `#4 says(Hal) false Hal=knave ok` at the end of a statement.
    """
    anchor = count(1)
    for speaker, statement in enumerate(puzzle.statements):
        yield from (f"#{next(anchor)} {_check(puzzle, part, truthful)}" for part in _postfix(statement))
        truth = evaluate(statement, truthful)
        verdict = "ok" if truth == truthful[speaker] else "bad"
        value = _value(puzzle, speaker, truthful)
        yield f"#{next(anchor)} says({puzzle.names[speaker]}) {_truth(truth)} {value} {verdict}"


def solved_sentence(puzzle: Puzzle) -> str:
    """`next solved case3 p1 Hal=knight p2 Bob=knave`."""
    return f"{NEXT} solved {case_opening(puzzle, case_number(puzzle))}"


def terse_vocabulary(max_people: int, max_anchors: int, names: Sequence[str] = NAMES, max_width: int = 2) -> list[str]:
    """All words of the questions, chains and answers of such puzzles."""
    words = ["kk", ":", ".", "who", "?", NEXT, SO, RECHECK, WAIT, "solved", "true", "false", "ok", "bad"]
    words += [*OPERATORS, *(f"{word}{width}" for width in range(3, max_width + 1) for word in ("and", "or"))]
    words += [f"p{number}" for number in range(1, max_people + 1)]
    words += [f"#{number}" for number in range(1, max_anchors + 1)]
    words += [f"case{number}" for number in range(1, 2**max_people + 1)]
    for name in names:
        words += [name, f"knight({name})", f"knave({name})", f"says({name})", f"{name}=knight", f"{name}=knave"]
    return words


def anchors(puzzle: Puzzle) -> int:
    """Number of anchors in the question: one for each word of a statement and one `says` for each person."""
    return sum(1 for _ in _anchor_words(puzzle))


def _anchor_words(puzzle: Puzzle) -> Iterator[str]:
    for name, statement in zip(puzzle.names, puzzle.statements, strict=True):
        yield from (_word(puzzle, part) for part in _postfix(statement))
        yield f"says({name})"


def _postfix(statement: Statement) -> Iterator[Statement]:
    """The statement and all statements inside it, operands first."""
    if not is_leaf(statement):
        for part in statement[1:]:
            yield from _postfix(part)
    yield statement


def _word(puzzle: Puzzle, statement: Statement) -> str:
    operator = statement[0]
    if is_leaf(statement):
        return f"{KNIGHTS.of(operator == TRUTHFUL)}({puzzle.names[statement[1]]})"
    operands = len(statement) - 1
    return WORDS[operator] + (str(operands) if operands > 2 else "")


def _check(puzzle: Puzzle, statement: Statement, truthful: Sequence[bool]) -> str:
    """`WORD VALUE ... RESULT` for the last word of a statement."""
    if is_leaf(statement):
        values = [_value(puzzle, statement[1], truthful)]
    else:
        values = [_truth(evaluate(part, truthful)) for part in statement[1:]]
    return " ".join([_word(puzzle, statement), *values, _truth(evaluate(statement, truthful))])


def _reduce(stack: list[Statement], word: str) -> None:
    operator = OPERATORS.get(word.rstrip("0123456789"))
    digits = word.lstrip("abcdefghijklmnopqrstuvwxyz")
    operands = 1 if operator == NOT else int(digits) if digits.isdigit() else 2
    if operator is None or operands > len(stack) or (digits and operator not in (AND, OR)):
        raise DataError(f"terse puzzle: {word!r} is unknown or out of place.")
    parts = stack[-operands:]
    del stack[-operands:]
    stack.append((operator, *parts))


def _unnumbered(words: Sequence[str], mark: str) -> list[str]:
    """Every second word, after a check that the others are `mark` with 1, 2, 3 ..."""
    expected = [f"{mark}{number}" for number in range(1, len(words) // 2 + 1)]
    if len(words) % 2 or list(words[::2]) != expected:
        raise DataError(f"terse puzzle: words must be numbered {mark}1 {mark}2 ..., got {' '.join(words[:8])!r}")
    return list(words[1::2])


def _values(puzzle: Puzzle, truthful: Sequence[bool]) -> list[str]:
    return [_value(puzzle, person, truthful) for person in range(puzzle.people)]


def _value(puzzle: Puzzle, person: int, truthful: Sequence[bool]) -> str:
    return f"{puzzle.names[person]}={KNIGHTS.of(truthful[person])}"


def _truth(value: bool) -> str:
    return "true" if value else "false"
