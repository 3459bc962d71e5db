"""The conformance suite of domains: problems, splits, prompts and grading."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, cached_property
from itertools import islice

from warmup_rl.base.types import SPLITS, Grade, Problem, Split
from warmup_rl.interfaces.checks import FORM, Checks, Result, result_of
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.grading_checks import graded_kinds, no_grade

LARGE_SPACE = 1e-4
"""Chance accuracy below which another problem's answer must not be correct."""


class DomainChecks(Checks):
    """Problems, prompts and grading of a domain, on at most `count` problems of each split."""

    plugin: Domain

    def results(self) -> Iterator[Result]:
        yield from super().results()
        basic = result_of("grades answers", self.grade_returns_a_grade_for_the_reference)
        if basic.status == "failed":
            yield basic
            return
        for name, kind in graded_kinds(self.plugin, self._every).items():
            faults = list(kind.faults(len(self._every)))
            note = f"{faults[0]} (and {len(faults) - 1} more)" if len(faults) > 1 else "".join(faults)
            expected = "correct" if kind.right else "not correct"
            yield Result(f"grades {name} as {expected}", "failed" if faults else "passed", note)

    def there_are_problems_to_train_on_and_to_measure(self) -> None:
        for split in ("train", "test"):
            assert self._drawn(split, 0), f"no {split} problems with these settings"

    def ids_are_distinct(self) -> None:
        ids = Counter(problem.id for split in SPLITS for problem in self._drawn(split, 0))
        repeated = [one for one, count in ids.items() if count > 1]
        assert not repeated, f"{len(repeated)} ids repeat within or between splits, such as {repeated[:1]}"

    def split_and_seed_alone_decide_problems_and_order(self) -> None:
        for split in SPLITS:
            again = list(islice(self.plugin.problems(split, 0), self.count))
            assert again == self._drawn(split, 0), f"two draws of ({split}, seed 0) differ"

    def splits_are_disjoint_for_all_seeds(self) -> None:
        for split in SPLITS:
            others = {problem.id for other in SPLITS if other != split for problem in self._drawn(other, 0)}
            crossing = [problem.id for problem in self._drawn(split, 1) if problem.id in others]
            assert not crossing, f"{crossing[0]} is in {split} with seed 1 and in another split with seed 0"

    def problems_are_json_values_and_name_their_domain(self) -> None:
        for problem in self._every:
            assert json.loads(json.dumps(problem.meta)) == problem.meta, f"{problem.id}: meta must be JSON values"
            assert problem.domain == (self.plugin.name or self.plugin.type), f"{problem.id}: domain {problem.domain!r}"

    def prompts_end_with_a_turn_of_the_user(self) -> None:
        for problem in self._every:
            assert self.plugin.prompt(problem)[-1]["role"] == "user", f"{problem.id}: {self.plugin.prompt(problem)}"

    def canonical_keys_follow_from_stored_values(self) -> None:
        for problem in self._every:
            stored = replace(problem, meta=json.loads(json.dumps(problem.meta)))
            keys = self.plugin.canonical(problem), self.plugin.canonical(stored)
            assert keys[0] == keys[1], f"{problem.id}: {keys[0]!r} becomes {keys[1]!r} after a round trip through JSON"

    def chance_accuracy_is_a_probability(self) -> None:
        for problem in self._every:
            chance = self.plugin.chance_accuracy(problem)
            assert 0 <= chance < 1, f"{problem.id}: {chance}"

    def grade_returns_a_grade_for_the_reference(self) -> None:
        for problem in self._every:
            grade = self.plugin.grade(self.plugin.reference(problem), problem)
            assert isinstance(grade, Grade), no_grade(self.plugin, grade)

    def format_and_answer_are_judged_apart(self) -> None:
        self.grade_returns_a_grade_for_the_reference()
        for problem in self._every:
            reference = self.plugin.reference(problem)
            for text, verdict, outcome in (
                (FORM.render(thinking="so", answer=reference), "correct", "correct"),
                (f"so </think> {reference}", "correct", "bad_format"),
                (FORM.render(thinking="so", answer=""), "none", "no_answer"),
            ):
                score = self.plugin.score(text, problem, FORM)
                found = (score.verdict, score.outcome)
                assert found == (verdict, outcome), f"{problem.id}: {text!r} gives {found}, not {(verdict, outcome)}"
            untagged = self.plugin.score(f"so {reference}", problem, FORM)
            assert untagged.outcome == "bad_format", f"{problem.id}: without tags, {reference!r} is {untagged.outcome}"

    def answers_of_other_problems_are_wrong_in_a_large_answer_space(self) -> None:
        self.grade_returns_a_grade_for_the_reference()
        for problem, other in zip(self._every, [*self._every[1:], *self._every[:1]], strict=True):
            reference, chance = self.plugin.reference(other), self.plugin.chance_accuracy(problem)
            if self.plugin.grade(reference, problem).verdict == "correct":
                assert chance > LARGE_SPACE, f"{problem.id}: {reference[:60]!r} of {other.id}; chance is {chance:.1g}"

    @cached_property
    def _every(self) -> list[Problem]:
        return [problem for split in SPLITS for problem in self._drawn(split, 0)]

    @cached_property
    def _drawn(self) -> Callable[[Split, int], list[Problem]]:
        """The first problems of a split, drawn once for each seed."""
        return cache(lambda split, seed: list(islice(self.plugin.problems(split, seed), self.count)))
