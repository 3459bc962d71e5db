"""Registers: a small program updates several variables; the answer is the value of every one of them at the end."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from string import ascii_lowercase
from typing import ClassVar

from pydantic import Field

from warmup_rl.base.types import Grade, Problem, Split
from warmup_rl.interfaces.domain import Domain, problem_id
from warmup_rl.nano.chains import Phrasing, Span, distinct, goes_through

State = dict[str, int]


class Registers(Domain):
    """Each line adds one register to another or subtracts it, modulo a number."""

    type: ClassVar[str] = "registers"

    updates: Span = (3, 8)
    """Lines of the program, [min, max]."""
    registers: int = Field(default=5, ge=2, le=20)
    """Variables, named a, b, c …; all of them are asked for, so the answer space is modulus ** registers."""
    modulus: int = Field(default=100, ge=2)
    """Values are kept modulo this number."""
    phrasing: Phrasing = "english"
    """`english` for models that read English; `terse`, one token a word, for tiny ones."""

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        return distinct(self._draw, label="registers", split=split, seed=seed)

    def grade(self, answer: str, problem: Problem) -> Grade:
        found: dict[str, set[int]] = {}
        for name, value in re.findall(r"(?<![\w])([a-z])\s*=\s*(-?\d{1,9})(?!\w|\.\d)", answer):
            found.setdefault(name, set()).add(int(value))
        if not found:
            return Grade("none", None, "no `name=value` in the answer")
        extracted = " ".join(f"{name}={value}" for name in sorted(found) for value in sorted(found[name]))
        if any(len(values) > 1 for values in found.values()):
            return Grade("wrong", extracted, "a register with two values")
        gold = {name: {value} for name, value in problem.meta["final"].items()}
        return Grade("correct" if found == gold else "wrong", extracted)

    def chance_accuracy(self, problem: Problem) -> float:
        return 1 / self.modulus**self.registers

    def default_instruction(self) -> str:
        example = " ".join(f"{name}=…" for name in self._names())
        return "" if self.phrasing == "terse" else f"Give the final value of every register as: {example}"

    def shows_work(self, thinking: str, problem: Problem) -> bool | None:
        return goes_through(thinking, len(problem.meta["program"])) if self.phrasing == "terse" else None

    def steps(self, problem: Problem) -> list[str]:
        """The sentences of a worked solution: `next #k UPDATE VALUE OPERAND RESULT STATE`, then `next solved STATE`."""
        state, sentences = dict(problem.meta["start"]), []
        for number, (target, sign, source) in enumerate(problem.meta["program"], start=1):
            value, operand = state[target], state[source]
            state[target] = _update(state, target, sign, source, self.modulus)
            line = f"next #{number} {target}{sign}={source} {value} {sign}{operand} {state[target]}"
            sentences.append(f"{line} {_text(state)}")
        return [*sentences, f"next solved {_text(state)}"]

    def _names(self) -> str:
        return ascii_lowercase[: self.registers]

    def _draw(self, rng: random.Random) -> tuple[str, Problem]:
        start, program, final = self._draw_program(rng)
        while final == start:  # else the question would hold its answer
            start, program, final = self._draw_program(rng)
        question = self._terse(start, program) if self.phrasing == "terse" else self._english(start, program)
        meta = {"start": start, "program": program, "final": final, "modulus": self.modulus}
        # Renaming registers gives the same problem: they are numbered in the order in which the program meets them.
        key = f"registers/{self.modulus}/{_canonical(start, program)}"
        return key, Problem(problem_id(["registers", question]), self.name or self.type, question, _text(final), meta)

    def _draw_program(self, rng: random.Random) -> tuple[State, list[list[str]], State]:
        names = self._names()
        start = {name: rng.randrange(self.modulus) for name in names}
        program = []
        for _ in range(rng.randint(*self.updates)):
            target, source = rng.sample(names, 2)
            program.append([target, rng.choice("+-"), source])
        final = dict(start)
        for target, sign, source in program:
            final[target] = _update(final, target, sign, source, self.modulus)
        return start, program, final

    def _terse(self, start: State, program: list[list[str]]) -> str:
        lines = " ".join(f"#{number} {t}{sign}={s}" for number, (t, sign, s) in enumerate(program, start=1))
        return f"registers : {_text(start)} {lines} ?"

    def _english(self, start: State, program: list[list[str]]) -> str:
        given = ", ".join(f"{name}={value}" for name, value in start.items())
        lines = "\n".join(f"{t} = ({t} {sign} {s}) mod {self.modulus}" for t, sign, s in program)
        return f"The registers hold {given}. This program runs, line by line:\n{lines}\nWhat do they hold at the end?"


def _update(state: State, target: str, sign: str, source: str, modulus: int) -> int:
    operand = state[source] if sign == "+" else -state[source]
    return (state[target] + operand) % modulus


def _text(state: State) -> str:
    return " ".join(f"{name}={value}" for name, value in state.items())


def _canonical(start: State, program: list[list[str]]) -> str:
    met = list(dict.fromkeys(name for target, _, source in program for name in (target, source)))
    order = {name: index for index, name in enumerate(met)}
    lines = [[order[target], sign, order[source]] for target, sign, source in program]
    rest = sorted(value for name, value in start.items() if name not in order)
    return f"{[start[name] for name in met]}{rest}{lines}"
