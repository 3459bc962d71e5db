"""The interface of domains: a family of problems with its grader, which returns a verdict and never a number."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from warmup_rl.base.errors import DataError, NoGold, SpaceError, Unscorable, UserError, listed
from warmup_rl.base.machine import cores
from warmup_rl.base.types import Grade, Message, Problem, Score, Split, Validity
from warmup_rl.data.columns import find_column
from warmup_rl.grading.final_answer import boxed, stated
from warmup_rl.interfaces.format import ANSWER_CLOSE, THINK_OPEN, ResponseFormat, inside_answer, without_tags
from warmup_rl.interfaces.plugins import Kind, Plugin, describe_exception


class Domain(Plugin, ABC):
    """A family of problems with its grader. One object serves distillation, reward and evaluation.

    Subclasses are frozen configs: their fields are the keys under `domains:` in a recipe. Importing a domain must not
    import torch. `python -m warmup_rl conformance ./mine.py:Mine` checks what a domain must hold to.
    """

    plugin_kind: ClassVar[Kind] = "domain"
    REWARDS: ClassVar[Mapping[str, Any]] = {}
    """What `reward: paper` stands for: the published reward of each outcome; empty where none was published."""
    finite: ClassVar[bool] = False
    """Whether the problems are the rows of a data set. An evaluation may then ask for more problems than there are and
    uses all of them."""
    public: ClassVar[bool] = False
    """Whether the problems are published, so that a model may have seen them in pretraining."""
    for_warmup: ClassVar[bool] = False
    """Whether the domain exists to be warmed up on. Reports do not count its accuracy as transfer, whatever its
    settings."""
    is_slow: ClassVar[bool] = False
    """Whether grading waits for other processes; several completions are then graded at the same time."""

    name: str = Field(default="", exclude=True)
    """Set from the key under `domains:`."""
    instruction: str | None = None
    """Text after the question that says how to answer; default: the domain's own."""

    @property
    def fold_count(self) -> int:
        """Number of cross-validation folds that a run must train on; 0 for a plain domain and for a single fold.

        Where it is positive, the domain has a field `fold`: a copy with `fold=k` measures fold `k` and trains on the
        others, and the domain itself (`fold=None`) trains on all.
        """
        return 0

    @property
    def is_terse(self) -> bool:
        """Whether questions use a small vocabulary, for models built from scratch, in place of English."""
        return False

    @abstractmethod
    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        """Distinct problems of a split, in an order that depends on (split, seed) only, until there are no more.

        Splits are disjoint for all seeds: a problem's split follows from a hash of its canonical key (see `split_of`)
        or is the published one.
        """

    @abstractmethod
    def grade(self, answer: str, problem: Problem) -> Grade:
        """Grades a bare answer (no think or answer tags). Never guesses; raises `Unscorable` if the grader fails."""

    @abstractmethod
    def chance_accuracy(self, problem: Problem) -> float:
        """Probability that a uniform guess over the problem's answer space is correct."""

    def reference(self, problem: Problem) -> str:
        """An answer text that must grade correct."""
        return problem.gold

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """The part of a whole completion that states its answer, for `grade`; None where there is none.

        It is asked where the answer stands in no tags. Here: the content of the last box, else what follows the last
        `answer is`, `answer:` or `####`, else the last line.
        """
        return boxed(text) or stated(text)

    def answer_if_cut(self, text: str, problem: Problem) -> str | None:
        """The same for a completion that the token budget ended: only what cannot be taken back, here a box."""
        return boxed(text)

    def default_instruction(self) -> str:
        """The instruction used where the recipe gives none; empty for terse phrasings."""
        return ""

    def canonical(self, problem: Problem) -> str | None:
        """A key that two problems share exactly when they are the same up to surface changes; None if there is none.

        Surface changes are those that leave the solution's work as it is: other names, another order or wording. Keys
        begin with the family of the problems and a slash (`kk/...`), so those of different families differ.
        """
        return None

    def question_key(self, text: str) -> str | None:
        """A key shared by texts that ask the same question, names included, in another order or wording, perhaps with
        instructions around it; None for a text that cannot be read: such questions are compared as text."""
        return None

    def solution(self, problem: Problem) -> str | None:
        """A worked solution, for solved examples in a prompt; None where the problem has none."""
        return None

    def shows_work(self, thinking: str, problem: Problem) -> bool | None:
        """Whether the thinking works through this problem step by step; None if the domain cannot tell."""
        return None

    def validity(self, thinking: str, problem: Problem) -> Validity | None:
        """How far the steps of the thinking hold; None where that cannot be told. `score` calls it every time."""
        return None

    def prompt(self, problem: Problem) -> tuple[Message, ...]:
        """The messages of a problem: one user turn, question then instruction."""
        instruction = self.default_instruction() if self.instruction is None else self.instruction
        content = f"{problem.question}\n\n{instruction}" if instruction else problem.question
        return ({"role": "user", "content": content},)

    def score(self, text: str, problem: Problem, response_format: ResponseFormat, *, truncated: bool = False) -> Score:
        """Scores a whole completion: one lenient extraction for the verdict, the format to the letter for the form.

        The answer is what stands in the last answer tags, else what `final_answer` finds: behind the thinking where
        that was closed, else in the whole text. A model that was never taught the tags is judged by what it says.
        `truncated`: the token budget ended the completion.
        """
        parts = response_format.split(text)
        said = text.rpartition(THINK_OPEN)[2] if parts.answer is None else parts.answer
        thinking = parts.thinking or (said if parts.answer is None else "")
        shows_work, steps = self.shows_work(thinking, problem), self.validity(thinking, problem)
        cut = truncated and parts.thinking is None
        if parts.tagged and (ANSWER_CLOSE in text or not cut):
            answer = inside_answer(said)
        else:
            said = without_tags(said)
            find = self.answer_if_cut if cut else self.final_answer
            answer = (find(said, problem) or "") if said else ""
        if not answer:
            note = "cut off before an answer" if truncated else "no answer" if said else "empty answer"
            return Score("none", None, parts.well_formed, note, shows_work, steps)
        grade = self.grade(answer, problem)
        return Score(grade.verdict, grade.extracted, parts.well_formed, grade.note, shows_work, steps)

    def read(self, row: Mapping[str, Any], place: str) -> Problem:
        """A problem out of a user's row: its question and reference answer under one of their usual names (see
        `warmup_rl.data.columns`), or the data set's own fields under `problem`. Raises `DataError`, beginning with the
        row's place (`rows.jsonl:3`), for missing or invalid fields; `NoGold` if only the reference answer is
        missing."""
        columns = [find_column(row, content) or content for content in ("question", "gold")]
        question, gold = ("" if row.get(column) is None else row[column] for column in columns)
        if not isinstance(question, str) or not isinstance(gold, str | int | float) or isinstance(gold, bool):
            raise DataError(f"{place}: 'question' as text and 'gold' as text or number are needed ({fields_of(row)}).")
        for name, value, fault in zip(columns, (question, str(gold)), (DataError, NoGold), strict=True):
            if not value.strip():
                raise fault(f"{place}: {name!r} is {'empty' if name in row else 'missing'} ({fields_of(row)}).")
        return Problem(problem_id([self.type, question]), self.name or self.type, question, str(gold), {})

    def adversarial_answers(self, problem: Problem) -> Iterator[tuple[str, str]]:
        """Names and texts of answers that must not grade correct: the self-test of `grade` tries them in addition to
        those that it tries on every domain."""
        return iter(())

    def each(self, split: Split, seed: int, count: int) -> Iterator[Problem]:
        """The first `count` problems of a split, as they are drawn. Raises `SpaceError` if it has fewer; for the test
        and validation splits of a finite domain, if it has none."""
        found = 0
        for problem in islice(self.problems(split, seed), count):
            found += 1
            yield problem
        if found < count and not (found and self.may_fall_short(split)):
            raise SpaceError(
                f"domain {self.name or self.type!r}: {count} {split} problems asked for, {found} exist with these "
                f"settings. Ask for at most {found}, or widen the domain's difficulty settings."
            )

    def space(self) -> str:
        """How many problems there are, in words, for the plan; empty where that is not known."""
        return ""

    def rows_in(self, split: Split) -> int | None:
        """Number of problems in a split; None if it is not known without drawing them (generators)."""
        return None

    def unchecked(self, split: Split, seed: int) -> Iterator[Problem]:
        """As `problems`, but without checking reference answers where that is slow."""
        return self.problems(split, seed)

    def may_fall_short(self, split: Split) -> bool:
        """Whether fewer problems than asked for are enough."""
        return self.finite and split != "train"

    def take(self, split: Split, seed: int, count: int) -> list[Problem]:
        return list(self.each(split, seed, count))


def each_fold(domain: Domain) -> list[Domain]:
    """A copy of the domain for each of its folds; the domain itself if it has none."""
    return [domain.model_copy(update={"fold": fold}) for fold in range(domain.fold_count)] or [domain]


class Answered(NamedTuple):
    """A completion to be scored; `truncated` where the token budget ended it."""

    domain: Domain
    problem: Problem
    text: str
    truncated: bool = False


def score_all(items: Sequence[Answered], response_format: ResponseFormat) -> list[Score | Unscorable]:
    """Scores of whole completions, in their order; the exception where a grader failed."""

    def score(item: Answered) -> Score | Unscorable:
        try:
            with grading(item.problem):
                return item.domain.score(item.text, item.problem, response_format, truncated=item.truncated)
        except Unscorable as error:
            return error

    if not any(item.domain.is_slow for item in items):
        return [score(item) for item in items]
    with ThreadPoolExecutor(cores()) as threads:
        return list(threads.map(score, items))


@contextmanager
def grading(problem: Problem) -> Iterator[None]:
    """Turns what a grader should not raise, whatever the answer, into `Unscorable` with the problem's id."""
    try:
        yield
    except (Unscorable, UserError):
        raise
    except Exception as error:
        raise Unscorable(f"problem {problem.id}: the grader raised {describe_exception(error)}") from error


_sorted = json.JSONEncoder(sort_keys=True).encode


def problem_id(content: Any) -> str:
    """Hash of JSON-serializable content: 16 hex digits, stable across runs and machines."""
    return hashlib.sha256(_sorted(content).encode()).hexdigest()[:16]


def fields_of(row: Mapping[str, Any]) -> str:
    """Names of a row's fields for a message, with the null ones marked."""
    return "fields: " + listed(f"{name} (null)" if value is None else name for name, value in row.items())


def split_of(canonical_key: str) -> Split:
    """The split of a problem for all seeds: 80% train, 10% validation, 10% test, by a hash of its canonical key."""
    bucket = int.from_bytes(hashlib.sha256(canonical_key.encode()).digest()[:4], "big") % 10
    return "validation" if bucket == 0 else "test" if bucket == 1 else "train"
