"""Registers: a small program updates several variables; the answer is the final value of each variable."""

from __future__ import annotations

import random
import re
from string import ascii_lowercase
from typing import Any, ClassVar

from pydantic import Field

from warmup_rl.base.types import Grade, Problem
from warmup_rl.grading.final_answer import boxed
from warmup_rl.nano.chains import ChainDomain, Span

State = dict[str, int]
_ASSIGNED = re.compile(r"(?<![\w])([a-z])\s*=\s*(-?\d{1,9})(?!\w|\.\d)")


class Registers(ChainDomain):
    """Each line adds one register to another or subtracts it, modulo a number."""

    type: ClassVar[str] = "registers"

    updates: Span = (3, 8)
    """Lines of the program, [min, max]."""
    registers: int = Field(default=5, ge=2, le=20)
    """Number of variables, named a, b, c ...; there are modulus ** registers possible answers."""
    modulus: int = Field(default=100, ge=2)
    """Values are kept modulo this number."""

    def draw(self, rng: random.Random) -> dict[str, Any]:
        names = self._names()
        while True:
            start = {name: rng.randrange(self.modulus) for name in names}
            program = []
            for _ in range(rng.randint(*self.updates)):
                target, source = rng.sample(names, 2)
                program.append([target, rng.choice("+-"), source])
            final = dict(start)
            for target, sign, source in program:
                final[target] = self._updated(final, target, sign, source)
            if final != start:  # otherwise the question would contain its answer
                return {"start": start, "program": program, "final": final, "modulus": self.modulus}

    def key(self, meta: dict[str, Any]) -> str:
        """Independent of the registers' names: registers are numbered in the order in which the program uses them."""
        start, program = meta["start"], meta["program"]
        used = list(dict.fromkeys(name for target, _, source in program for name in (target, source)))
        order = {name: index for index, name in enumerate(used)}
        lines = [[order[target], sign, order[source]] for target, sign, source in program]
        rest = sorted(value for name, value in start.items() if name not in order)
        return f"registers/{meta['modulus']}/{[start[name] for name in used]}{rest}{lines}"

    def question(self, meta: dict[str, Any]) -> str:
        start, program = meta["start"], meta["program"]
        if self.is_terse:
            lines = " ".join(f"#{number} {t}{sign}={s}" for number, (t, sign, s) in enumerate(program, start=1))
            return f"registers : {_text(start)} {lines} ?"
        given = ", ".join(f"{name}={value}" for name, value in start.items())
        lines = "\n".join(f"{t} = ({t} {sign} {s}) mod {self.modulus}" for t, sign, s in program)
        return f"The registers hold {given}. This program runs, line by line:\n{lines}\nWhat do they hold at the end?"

    def gold(self, meta: dict[str, Any]) -> str:
        return _text(meta["final"])

    def steps(self, problem: Problem) -> list[str]:
        """`next #k UPDATE VALUE OPERAND RESULT STATE` for each line, then `next solved STATE`."""
        state, sentences = dict(problem.meta["start"]), []
        for number, (target, sign, source) in enumerate(problem.meta["program"], start=1):
            value, operand = state[target], state[source]
            state[target] = self._updated(state, target, sign, source)
            line = f"next #{number} {target}{sign}={source} {value} {sign}{operand} {state[target]}"
            sentences.append(f"{line} {_text(state)}")
        return [*sentences, f"next solved {_text(state)}"]

    def worked(self, problem: Problem) -> str:
        state, lines = dict(problem.meta["start"]), []
        for target, sign, source in problem.meta["program"]:
            line = f"{target} = ({state[target]} {sign} {state[source]}) mod {self.modulus}"
            state[target] = self._updated(state, target, sign, source)
            lines.append(f"{line} = {state[target]}")
        return "\n".join(lines)

    def grade(self, answer: str, problem: Problem) -> Grade:
        found: dict[str, set[int]] = {}
        for name, value in _ASSIGNED.findall(answer):
            found.setdefault(name, set()).add(int(value))
        if not found:
            return Grade("none", None, "no `name=value` in the answer")
        extracted = " ".join(f"{name}={value}" for name in sorted(found) for value in sorted(found[name]))
        if any(len(values) > 1 for values in found.values()):
            return Grade("wrong", extracted, "a register with two values")
        gold = {name: {value} for name, value in problem.meta["final"].items()}
        return Grade("correct" if found == gold else "wrong", extracted)

    def final_answer(self, text: str, problem: Problem) -> str | None:
        """The last value that the text gives each register, where it gives one to all."""
        return self._values(boxed(text) or text, problem)

    def answer_if_cut(self, text: str, problem: Problem) -> str | None:
        """The same, in the last box."""
        return self._values(boxed(text) or "", problem)

    def _values(self, text: str, problem: Problem) -> str | None:
        values = dict(_ASSIGNED.findall(text))
        complete = values.keys() >= problem.meta["final"].keys()
        return " ".join(f"{name}={value}" for name, value in values.items()) if complete else None

    def chance_accuracy(self, problem: Problem) -> float:
        return 1 / self.modulus**self.registers

    def default_instruction(self) -> str:
        example = " ".join(f"{name}=…" for name in self._names())
        return "" if self.is_terse else f"Give the final value of every register as: {example}"

    def _names(self) -> str:
        return ascii_lowercase[: self.registers]

    def _updated(self, state: State, target: str, sign: str, source: str) -> int:
        return (state[target] + (state[source] if sign == "+" else -state[source])) % self.modulus


def _text(state: State) -> str:
    return " ".join(f"{name}={value}" for name, value in state.items())
