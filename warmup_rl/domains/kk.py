"""Knights & Knaves: who tells the truth and who lies? An answer is correct if all roles are."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from warmup_rl.base.errors import SpaceError
from warmup_rl.base.types import SPLITS, Grade, Problem, Split, Validity
from warmup_rl.data.datasets import Source
from warmup_rl.domains.kk_puzzles import Drawn, Tally, count_by_split, draw
from warmup_rl.domains.kk_rows import KkGrader, question_key, read_inhabitants, solution_text
from warmup_rl.domains.rows import RowDomain
from warmup_rl.interfaces.domain import Domain, problem_id
from warmup_rl.knights import english, terse, text
from warmup_rl.knights.chain import terse_chain
from warmup_rl.knights.difficulty import difficulty
from warmup_rl.knights.grammar import KNIGHTS, Grammar, Roles
from warmup_rl.knights.perturb import Perturbation
from warmup_rl.knights.reasoning import Noise, think
from warmup_rl.knights.space import estimate_space
from warmup_rl.knights.story import tell
from warmup_rl.knights.validity import step_validity

People = Annotated[int, Field(ge=2, le=16)]
_GRADER = KkGrader()
_OF_THE_GENERATOR = ("people", "depth", "width", "deeper", "phrasing", "names", "roles")

_REASONING = re.compile(
    r"\b(if|suppose|assum\w+|so|then|hence|thus|since|because|therefore|must|means|contradict\w*)\b", re.IGNORECASE
)


class KnightsKnaves(Domain):
    """Puzzles of the published grammar (arXiv 2410.23123) with exactly one solution, generated or from a file."""

    type: ClassVar[str] = "kk"
    REWARDS: ClassVar[Mapping[str, Any]] = RowDomain.REWARDS
    for_warmup: ClassVar[bool] = True

    people: People | tuple[People, People] = (2, 3)
    """Number of people, or the lowest and highest number; all numbers in between are equally likely."""
    depth: int = Field(default=2, ge=2, le=6)
    """Maximum height of a statement; 2 means one operator, as in the published data."""
    width: int = Field(default=2, ge=2, le=8)
    """Maximum number of operands of "and" and "or"; 2 in the published data."""
    deeper: float = Field(default=0.0, ge=0, le=1)
    """Share of statements that may be one operator deeper."""
    phrasing: text.Phrasing = "english"
    """`english`: the published wording; `terse`: a small vocabulary, for models trained from scratch."""
    names: int | list[str] | None = None
    """Names to draw from: a number of built-in names, or a list; default: all built-in names."""
    roles: list[tuple[str, str]] | Literal["all"] = Field(default=[(KNIGHTS.truthful, KNIGHTS.liar)], min_length=1)
    """Pairs of words for people who tell the truth and people who lie; `all`: the seven pairs of the published data."""
    file: Source | None = None
    """A file or hub dataset with the published columns, e.g. from `python -m warmup_rl puzzles`, to use instead of
    generated puzzles. The split comes from the column `split`, or else from the canonical form, as for generated
    puzzles."""
    perturb: Perturbation | None = None
    """Replaces each puzzle by a variant, with the original's id in `meta.original`. `statement` and `leaf` change the
    statement of one person and the solution; `roles`, `names`, `reordered` and `flipped` (knaves tell the truth) only
    change the words. Puzzles without such a variant are left out."""
    difficulty: tuple[Annotated[int, Field(ge=0)], int] | None = None
    """The lowest and highest number of hypotheses that a solution needs beyond plain deduction (0: none)."""
    order: Literal["drawn", "difficulty"] = "drawn"
    """`difficulty`: a stage gets the same problems, but easy ones first. (RLVR shuffles its prompts; for a curriculum
    in RLVR, use several stages with domains of different `difficulty`.)"""

    @model_validator(mode="after")
    def _fits(self) -> KnightsKnaves:
        if self.file is not None and (given := [key for key in _OF_THE_GENERATOR if key in self.model_fields_set]):
            raise ValueError(f"{given[0]}: only for generated puzzles; leave out {', '.join(given)}, or file")
        if self.difficulty and self.difficulty[0] > self.difficulty[1]:
            raise ValueError(f"difficulty: the lower bound must come first, got {list(self.difficulty)}")
        if self.is_terse and self.perturb in ("roles", "flipped", "reordered"):
            raise ValueError("perturb: the terse phrasing allows statement, leaf and names")
        counts, pool = self.counts, self.name_pool
        if not counts:
            raise ValueError(f"people: the lower bound must come first, got {self.people}")
        if isinstance(self.names, int) and not 0 < self.names <= len(self._built_in_names):
            raise ValueError(f"names: {len(self._built_in_names)} are built in for {self.phrasing}, got {self.names}")
        distinct = len({name.lower() for name in pool}) == len(pool)
        if not distinct or not all(re.fullmatch(r"[^\W\d_]+", name) for name in pool):
            raise ValueError("names: must be distinct single words of letters")
        if len(pool) < counts[-1]:
            raise ValueError(f"names: {counts[-1]} people need as many names, got {len(pool)}")
        taken = {word.lower() for roles in self.role_pairs for word in (roles.truthful, roles.liar)}
        if clash := taken & {name.lower() for name in pool}:
            raise ValueError(f"names: {', '.join(sorted(clash))} cannot be both a name and a role word")
        if any(roles.truthful.lower() == roles.liar.lower() for roles in self.role_pairs):
            raise ValueError("roles: the two words of a pair must differ")
        if self.is_terse and self.role_pairs != (KNIGHTS,):
            raise ValueError("roles: the terse phrasing only has knight and knave; leave out the key, or use english")
        own = self.names if isinstance(self.names, list) else []
        if wrong := text.unreadable(own, self.role_pairs, self.phrasing):
            key = "names" if wrong[0] in own else "roles"
            raise ValueError(f"{key}: with {', '.join(wrong)} a puzzle is not read as it is meant; use other words")
        return self

    @property
    def counts(self) -> range:
        """The numbers of people."""
        low, high = (self.people, self.people) if isinstance(self.people, int) else self.people
        return range(low, high + 1)

    @property
    def grammar(self) -> Grammar:
        return Grammar(self.depth, self.width, self.deeper)

    @property
    def name_pool(self) -> Sequence[str]:
        if self.names is None:
            return self._built_in_names
        return self._built_in_names[: self.names] if isinstance(self.names, int) else self.names

    @property
    def role_pairs(self) -> tuple[Roles, ...]:
        return english.ROLES if self.roles == "all" else tuple(Roles(*pair) for pair in self.roles)

    @property
    def is_terse(self) -> bool:
        return self.phrasing == "terse"

    @property
    def _built_in_names(self) -> Sequence[str]:
        return terse.NAMES if self.is_terse else english.NAMES

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        return (self.problem(drawn) for drawn in self.draw(split, seed))

    def each(self, split: Split, seed: int, count: int) -> Iterator[Problem]:
        found = super().each(split, seed, count)
        if self.order == "drawn":
            return found
        keys = ("difficulty", "depth", "people")
        return iter(sorted(found, key=lambda problem: tuple(problem.meta[key] for key in keys)))

    def digest(self) -> str:
        return self.file.digest() if self.file else ""

    def rows_in(self, split: Split) -> int | None:
        if self.file is None or self.perturb:
            return None
        return count_by_split(self.file, self.digest(), self.difficulty)[split]

    def draw(self, split: Split | None, seed: int, tally: Tally | None = None) -> Iterator[Drawn]:
        """The puzzles of a split, or of all splits (of a file: in its order); updates `tally`.

        Raises:
            SpaceError: the settings allow no puzzle.
            DataError: the file is missing or invalid.
        """
        try:
            yield from draw(self, split, seed, Tally() if tally is None else tally)
        except SpaceError as error:
            raise SpaceError(f"domain {self.name or self.type!r}: {error}") from None

    def problem(self, drawn: Drawn) -> Problem:
        """Converts a puzzle to a problem of this domain."""
        puzzle, hardness = drawn.puzzle, difficulty(drawn.puzzle.statements)
        meta = {
            **text.to_meta(puzzle, self.phrasing),
            "group": f"people={puzzle.people}",
            "difficulty": hardness.hypotheses,
            "depth": hardness.depth,
        }
        if drawn.original:
            meta |= {"original": drawn.original, "perturbation": drawn.perturbation}
        gold = text.answer(puzzle, self.phrasing)
        return Problem(drawn.id, self.name or self.type, drawn.question, gold, meta)

    def read(self, row: Mapping[str, Any], place: str) -> Problem:
        question, meta = read_inhabitants(row, place)
        return Problem(problem_id(["kk", question]), self.name or self.type, question, solution_text(meta), meta)

    def canonical(self, problem: Problem) -> str | None:
        return _GRADER.canonical(problem)

    def question_key(self, text: str) -> str | None:
        return question_key(text)

    def adversarial_answers(self, problem: Problem) -> Iterator[tuple[str, str]]:
        names, roles, solution = problem.meta["names"], Roles(*problem.meta["roles"]), problem.meta["solution"]

        def listed(truthful: Sequence[bool], word: str = "is") -> str:
            people = zip(names, truthful, strict=True)
            return "\n".join(
                f"({n}) {name} {word} {english.with_article(roles.of(t))}"
                for n, (name, t) in enumerate(people, start=1)
            )

        opposite = [not truthful for truthful in solution]
        yield "both roles for everybody", f"{listed(solution)}\n{listed(opposite)}"
        yield "the opposite, denied", listed(opposite, "is not")
        yield "one person wrong", listed([opposite[0], *solution[1:]])
        yield "one person missing", listed(solution).partition("\n")[2]
        either = f"{english.with_article(roles.truthful)} or {english.with_article(roles.liar)}"
        yield "everybody truthful or not", "\n".join(f"{name} is {either}" for name in names)

    def grade(self, answer: str, problem: Problem) -> Grade:
        return _GRADER.grade(answer, problem)

    def final_answer(self, text: str, problem: Problem) -> str | None:
        return _GRADER.final_answer(text, problem)

    def chance_accuracy(self, problem: Problem) -> float:
        return 0.5 ** problem.meta["people"]

    def default_instruction(self) -> str:
        if self.is_terse:
            return ""
        return "Give the answer as a numbered list with one line for each person, such as: (1) NAME is a ROLE."

    def solution(self, problem: Problem) -> str | None:
        """What the solver writes down without noise: deduction and hypotheses in English, all cases in terse words."""
        puzzle, phrasing = text.from_meta(problem.meta)
        rng = random.Random(f"kk/solution/{problem.id}")
        if phrasing == "terse":
            return " ".join(terse_chain(puzzle, rng, Noise()))
        return tell(puzzle, think(puzzle, rng, method="search", noise=Noise()), rng, hesitate=0)

    def shows_work(self, thinking: str, problem: Problem) -> bool | None:
        """Terse: a case is checked. English: all people are named, with a reasoning word per person."""
        if problem.meta["phrasing"] == "terse":
            return bool(re.search(r"\bcase\d+\b.*\b(ok|bad)\b", thinking, re.DOTALL))
        own_words = re.sub(r'"[^"]*"', "", thinking)
        named = all(re.search(rf"\b{re.escape(name)}\b", own_words) for name in problem.meta["names"])
        return named and len(_REASONING.findall(own_words)) >= problem.meta["people"]

    def validity(self, thinking: str, problem: Problem) -> Validity | None:
        """Terse: see `knights.validity.judge`. English: None."""
        puzzle, phrasing = text.from_meta(problem.meta)
        return step_validity(thinking, puzzle) if phrasing == "terse" else None

    def space(self) -> str:
        """Number of distinct puzzles up to renaming, reordering and swapped operands, as text."""
        if self.file is not None:
            counts = count_by_split(self.file, self.digest(), self.difficulty)
            return ", ".join(f"{counts[split]:,} {split}" for split in SPLITS) + f" in {self.file.path}"
        parts = (f"{estimate_space(people, self.grammar)} with {people} people" for people in self.counts)
        return "about " + ", ".join(parts)
