"""Tells the steps of a solution in English, as a reasoning model would think aloud, with varied wording."""

from __future__ import annotations

import random
from collections.abc import Sequence

from warmup_rl.knights.english import plural, role_text, statement_text, with_article
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import Step, truth_of
from warmup_rl.knights.statements import evaluate

RECHECK_OPENERS = ("Let me go over that step once more.", "Let me re-check this.", "Just to be safe, once more.")
DOUBT_OPENERS = ("Wait, let me double-check that.", "Hmm, wait. Is that right?", "Wait, did I get that right?")
RECHECK_CLOSERS = ("Yes, that still holds.", "Okay, that is right.", "Good, it is the same as before.")
"""A needless re-check is a paragraph of its own, from one of the openers to one of the closers."""

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
    """The steps as paragraphs separated by empty lines; `hesitate` is the share of re-checks that open in doubt."""
    return "\n\n".join(" ".join(paragraph) for paragraph in _Teller(puzzle, rng, hesitate).paragraphs(steps))


class _Teller:
    def __init__(self, puzzle: Puzzle, rng: random.Random, hesitate: float) -> None:
        self.puzzle, self.rng, self.hesitate = puzzle, rng, hesitate

    def paragraphs(self, steps: Sequence[Step]) -> list[list[str]]:
        told: list[list[str]] = [[]]
        before = ""
        for step in steps:
            if step.again:
                told += [self._recheck(step), []]
                continue
            if self._opens_paragraph(step, before):
                told.append([])
            if step.kind == "verify" and before != "verify":
                told[-1].append(self.rng.choice(_VERIFY))
            told[-1].append(self._sentence(step))
            before = step.kind
        return [paragraph for paragraph in told if paragraph]

    def _opens_paragraph(self, step: Step, before: str) -> bool:
        if step.kind in ("stuck", "backtrack", "solved", "verify", "second", "conclude"):
            return step.kind != before
        if step.kind == "assume":
            return before not in ("stuck", "second")
        return before == "restate" or step.kind == "case"

    def _recheck(self, step: Step) -> list[str]:
        openers = DOUBT_OPENERS if self.rng.random() < self.hesitate else RECHECK_OPENERS
        return [self.rng.choice(openers), self._sentence(step), self.rng.choice(RECHECK_CLOSERS)]

    def _sentence(self, step: Step) -> str:
        return getattr(self, f"_{step.kind}")(step)

    def _restate(self, step: Step) -> str:
        truthful, liar = self.puzzle.roles.truthful, self.puzzle.roles.liar
        names = list(self.puzzle.names)
        opening = self.rng.choice((
            f"Okay, so I need to find out who is {with_article(truthful)} and who is {with_article(liar)}.",
            f"Let me work out for each person whether it is {with_article(truthful)} or {with_article(liar)}.",
        ))  # fmt: skip
        rule = (
            f"There are {len(names)} people: {_listed(names)}. The {plural(truthful)} always tell the truth and the "
            f"{plural(liar)} always lie, so a statement is true exactly if its speaker is {with_article(truthful)}. "
            f"What do they say?"
        )
        lines = [f"\n- {name} says: {self._claim(i)}." for i, name in enumerate(names)]
        return f"{opening} {rule}{''.join(lines)}"

    def _stuck(self, step: Step) -> str:
        return self.rng.choice(_STUCK_INSIDE if step.hypotheses else _STUCK)

    def _assume(self, step: Step) -> str:
        forms = _FURTHER if len(step.hypotheses) > 1 else _ASSUME
        return self.rng.choice(forms).format(it=self._role(step.person, step.truthful))

    def _infer(self, step: Step) -> str:
        name = self.puzzle.names[step.speaker]
        claim, result = self._claim(step.speaker), self._role(step.person, step.truthful)
        given = self._given(step)
        if step.reason == "follows":
            honest = dict(step.given)[step.speaker]
            known, truth = self._role(step.speaker, honest), _truth(honest)
            return self.rng.choice((
                f"{known}, so {claim} must be {truth}{given}, which means that {result}.",
                f"Since {known}, {claim} is {truth}{given}. Hence {result}.",
                f"What {name} says, {claim}, has to be {truth}{given}. So {result}.",
            ))  # fmt: skip
        if step.reason == "settled":
            truth = _truth(step.truthful)
            return self.rng.choice((
                f"Now {claim} is {truth}{given}, and {name} says it, so {result}.",
                f"{name} says {claim}, which is {truth}{given}. So {result}.",
            ))  # fmt: skip
        opposite = with_article(self.puzzle.roles.of(not step.truthful))
        if step.person == step.speaker:
            return f"{name} says {claim}. {opposite[0].upper() + opposite[1:]} could not say that{given}, so {result}."
        other = self.puzzle.names[step.person]
        return f"If {other} were {opposite}, then {claim} would fit neither role of {name}{given}. So {result}."

    def _contradiction(self, step: Step) -> str:
        name, claim = self.puzzle.names[step.speaker], self._claim(step.speaker)
        given, end = self._given(step), self.rng.choice(_CONTRADICTION)
        if step.reason == "impossible":
            roles = self.puzzle.roles
            either = f"{with_article(roles.truthful)} nor as {with_article(roles.liar)}"
            return f"But then {claim} fits {name} neither as {either}{given}. {end}"
        truth = _truth(not step.truthful)
        role = with_article(self.puzzle.roles.of(step.truthful))
        return self.rng.choice((
            f"But {claim} is {truth}{given}, and {name}, being {role}, says it. {end}",
            f"However, {name} says {claim}, and that is {truth}{given}, which {role} would not say. {end}",
        ))  # fmt: skip

    def _backtrack(self, step: Step) -> str:
        result = self.rng.choice(_BACK).format(it=self._role(step.person, step.truthful))
        if not step.hypotheses:
            return result
        return f"{result} I am still assuming that {_listed([self._role(*fact) for fact in step.hypotheses])}."

    def _case(self, step: Step) -> str:
        return f"Suppose that {_listed([self._role(*fact) for fact in step.given])}."

    def _fits(self, step: Step) -> str:
        role = with_article(self.puzzle.roles.of(step.truthful))
        name, claim = self.puzzle.names[step.speaker], self._claim(step.speaker)
        return f"{name} says {claim}, which is {_truth(step.truthful)} and fits {role}."

    def _solved(self, step: Step) -> str:
        roles = _listed([self._role(*fact) for fact in step.given])
        return self.rng.choice((
            f"Now everybody has a role and nothing contradicts it: {roles}.",
            f"This works out for all of them: {roles}.",
        ))  # fmt: skip

    def _verify(self, step: Step) -> str:
        said, truth = self._claim(step.speaker), _truth(step.truthful)
        assert evaluate(self.puzzle.statements[step.speaker], self.puzzle.solution) == step.truthful
        fit = self.rng.choice(("as it should be", "which fits", "good", "consistent"))
        return f"{self._role(step.speaker, step.truthful)} and says {said}; that is {truth}, {fit}."

    def _second(self, step: Step) -> str:
        return self.rng.choice(_SECOND)

    def _conclude(self, step: Step) -> str:
        roles = _listed([self._role(*fact) for fact in step.given])
        return self.rng.choice(("So the answer is:", "In conclusion,", "I am confident now:")) + f" {roles}."

    def _role(self, person: int, truthful: bool) -> str:
        return role_text(self.puzzle, person, truthful)

    def _claim(self, speaker: int) -> str:
        return f'"{statement_text(self.puzzle.statements[speaker], self.puzzle.names, self.puzzle.roles)}"'

    def _given(self, step: Step) -> str:
        """`, given that ...` with what is used of others; empty where the statement's truth does not depend on them."""
        others = [self._role(*fact) for fact in step.given if fact[0] != step.speaker]
        depends = truth_of(self.puzzle.statements[step.speaker], {}) is None
        return f", given that {_listed(others)}" if others and depends else ""


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _truth(value: bool) -> str:
    return "true" if value else "false"
