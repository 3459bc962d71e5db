"""Renders the steps of a solution as English thoughts, with varied wording."""

from __future__ import annotations

import random
from collections.abc import Sequence

from warmup_rl.knights.english import plural, role_text, statement_text, with_article
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import Facts, Step, truth_of

RECHECK_OPENERS = ("Let me go over that step once more.", "Let me re-check this.", "Just to be safe, once more.")
DOUBT_OPENERS = ("Wait, let me double-check that.", "Hmm, wait. Is that right?", "Wait, did I get that right?")
RECHECK_CLOSERS = ("Yes, that still holds.", "Okay, that is right.", "Good, it is the same as before.")
"""A needless re-check is a separate paragraph, from one of the openers to one of the closers."""

_ASSUME = (
    "Suppose {it}.",
    "Let me assume that {it}.",
    "Let's say {it}, and see where it leads.",
    "Try the hypothesis that {it}.",
)
_FURTHER = (
    "Within that, suppose also that {it}.",
    "So on top of that, assume that {it}.",
    "Let me further assume that {it}.",
)
_STUCK = (
    "No single statement settles anything by itself, so I have to try a hypothesis.",
    "Nothing follows directly from one statement alone. I'll pick somebody and try both roles.",
    "There is no forced step here, so let me test an assumption.",
)
_STUCK_INSIDE = (
    "That alone does not decide the rest.",
    "From here nothing more is forced, so I need another assumption.",
    "I can't get further without a second hypothesis.",
)
_CONTRADICTION = ("That's a contradiction.", "This can't be.", "Contradiction.", "So something is wrong here.")
_BACK = (
    "So the assumption fails, and {it}.",
    "Going back: that hypothesis is ruled out, so {it}.",
    "Therefore the hypothesis was wrong, which means that {it}.",
)
_VERIFY = (
    "Let me verify this against every statement.",
    "Let me check the whole assignment once against all statements.",
    "Before I answer, let me verify each statement.",
)
_SECOND = (
    "I could also confirm this from the other side.",
    "As a second method, let me try the opposite for one person and see that it breaks.",
    "Alternatively, I can look at whether one of them could have been something else.",
)


def tell(puzzle: Puzzle, steps: Sequence[Step], rng: random.Random, *, hesitate: float = 0.0) -> str:
    """The steps as paragraphs separated by empty lines; `hesitate` is the share of re-checks that begin with doubt."""
    return "\n\n".join(" ".join(paragraph) for paragraph in _Teller(puzzle, rng, hesitate).paragraphs(steps))


class _Teller:
    def __init__(self, puzzle: Puzzle, rng: random.Random, hesitate: float) -> None:
        self.puzzle, self.rng, self.hesitate = puzzle, rng, hesitate

    def paragraphs(self, steps: Sequence[Step]) -> list[list[str]]:
        found: list[list[str]] = [[]]
        before = ""
        for step in steps:
            sentence = getattr(self, f"_{step.kind}")
            if step.again:
                openers = DOUBT_OPENERS if self.rng.random() < self.hesitate else RECHECK_OPENERS
                found += [[self._pick(*openers), sentence(step), self._pick(*RECHECK_CLOSERS)], []]
                continue
            if self._opens_paragraph(step, before):
                found.append([])
            if step.kind == "verify" and before != "verify":
                found[-1].append(self._pick(*_VERIFY))
            found[-1].append(sentence(step))
            before = step.kind
        return [paragraph for paragraph in found if paragraph]

    def _opens_paragraph(self, step: Step, before: str) -> bool:
        if step.kind in ("stuck", "backtrack", "solved", "verify", "second", "conclude"):
            return step.kind != before
        if step.kind == "assume":
            return before not in ("stuck", "second")
        return before == "restate" or step.kind == "case"

    def _restate(self, step: Step) -> str:
        truthful, liar = self.puzzle.roles.truthful, self.puzzle.roles.liar
        names = list(self.puzzle.names)
        opening = self._pick(
            f"Okay, so I need to find out who is {self._a(True)} and who is {self._a(False)}.",
            f"Let me work out for each person whether it is {self._a(True)} or {self._a(False)}.",
        )
        rule = (
            f"There are {len(names)} people: {_listed(names)}. The {plural(truthful)} always tell the truth and the "
            f"{plural(liar)} always lie, so a statement is true exactly if its speaker is {self._a(True)}. "
            f"What do they say?"
        )
        lines = [f"\n- {name} says: {self._claim(i)}." for i, name in enumerate(names)]
        return f"{opening} {rule}{''.join(lines)}"

    def _stuck(self, step: Step) -> str:
        return self._pick(*(_STUCK_INSIDE if step.hypotheses else _STUCK))

    def _assume(self, step: Step) -> str:
        forms = _FURTHER if len(step.hypotheses) > 1 else _ASSUME
        return self._pick(*forms).format(it=self._role(step.person, step.truthful))

    def _infer(self, step: Step) -> str:
        name = self.puzzle.names[step.speaker]
        claim, result = self._claim(step.speaker), self._role(step.person, step.truthful)
        given = self._given(step)
        if step.reason == "follows":
            honest = dict(step.given)[step.speaker]
            known, truth = self._role(step.speaker, honest), _truth(honest)
            return self._pick(
                f"{known}, so {claim} must be {truth}{given}, which means that {result}.",
                f"Since {known}, {claim} is {truth}{given}. Hence {result}.",
                f"What {name} says, {claim}, has to be {truth}{given}. So {result}.",
            )
        if step.reason == "settled":
            truth = _truth(step.truthful)
            return self._pick(
                f"Now {claim} is {truth}{given}, and {name} says it, so {result}.",
                f"{name} says {claim}, which is {truth}{given}. So {result}.",
            )
        opposite = self._a(not step.truthful)
        if step.person == step.speaker:
            return f"{name} says {claim}. {opposite[0].upper() + opposite[1:]} could not say that{given}, so {result}."
        other = self.puzzle.names[step.person]
        return f"If {other} were {opposite}, then {claim} would fit neither role of {name}{given}. So {result}."

    def _contradiction(self, step: Step) -> str:
        name, claim = self.puzzle.names[step.speaker], self._claim(step.speaker)
        given, end = self._given(step), self._pick(*_CONTRADICTION)
        if step.reason == "impossible":
            return f"But then {claim} fits {name} neither as {self._a(True)} nor as {self._a(False)}{given}. {end}"
        truth, role = _truth(not step.truthful), self._a(step.truthful)
        return self._pick(
            f"But {claim} is {truth}{given}, and {name}, being {role}, says it. {end}",
            f"However, {name} says {claim}, and that is {truth}{given}, which {role} would not say. {end}",
        )

    def _backtrack(self, step: Step) -> str:
        result = self._pick(*_BACK).format(it=self._role(step.person, step.truthful))
        return f"{result} I am still assuming that {self._roles(step.hypotheses)}." if step.hypotheses else result

    def _case(self, step: Step) -> str:
        return f"Suppose that {self._roles(step.given)}."

    def _fits(self, step: Step) -> str:
        name, claim = self.puzzle.names[step.speaker], self._claim(step.speaker)
        return f"{name} says {claim}, which is {_truth(step.truthful)} and fits {self._a(step.truthful)}."

    def _solved(self, step: Step) -> str:
        return self._pick(
            f"Now everybody has a role and nothing contradicts it: {self._roles(step.given)}.",
            f"This works out for all of them: {self._roles(step.given)}.",
        )

    def _verify(self, step: Step) -> str:
        claim, truth = self._claim(step.speaker), _truth(step.truthful)
        fit = self._pick("as it should be", "which fits", "good", "consistent")
        return f"{self._role(step.speaker, step.truthful)} and says {claim}; that is {truth}, {fit}."

    def _second(self, step: Step) -> str:
        return self._pick(*_SECOND)

    def _conclude(self, step: Step) -> str:
        opening = self._pick("So the answer is:", "In conclusion,", "I am confident now:")
        return f"{opening} {self._roles(step.given)}."

    def _pick(self, *forms: str) -> str:
        return self.rng.choice(forms)

    def _a(self, truthful: bool) -> str:
        return with_article(self.puzzle.roles.of(truthful))

    def _role(self, person: int, truthful: bool) -> str:
        return role_text(self.puzzle, person, truthful)

    def _roles(self, facts: Facts) -> str:
        return _listed([self._role(*fact) for fact in facts])

    def _claim(self, speaker: int) -> str:
        return f'"{statement_text(self.puzzle.statements[speaker], self.puzzle.names, self.puzzle.roles)}"'

    def _given(self, step: Step) -> str:
        """`, given that ...` with the roles of others that the step uses; empty if the statement has a fixed truth."""
        others = tuple(fact for fact in step.given if fact[0] != step.speaker)
        depends = truth_of(self.puzzle.statements[step.speaker], {}) is None
        return f", given that {self._roles(others)}" if others and depends else ""


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _truth(value: bool) -> str:
    return "true" if value else "false"
