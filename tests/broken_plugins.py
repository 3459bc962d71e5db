"""Plug-ins that break what the conformance suite checks, each in one way; importing them does not import torch."""

import random
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice

from warmup_rl.base.types import Completion, Grade
from warmup_rl.cleaners.basic import Duplicates
from warmup_rl.engines.solver import Solver
from warmup_rl.interfaces.cleaner import Cleaner
from warmup_rl.interfaces.stage import Stage
from warmup_rl.nano.sums import Sums


class Credulous(Sums):
    def grade(self, answer, problem):
        return Grade("correct" if problem.gold in answer else "wrong", answer)


class Shuffling(Sums):
    def problems(self, split, seed):
        found = list(islice(super().problems(split, seed), 80))
        random.shuffle(found)
        return iter(found)


class OneSplit(Sums):
    def problems(self, split, seed):
        return super().problems("train", seed)


class Certain(Sums):
    def chance_accuracy(self, problem):
        return 2.0


class Raising(Sums):
    def grade(self, answer, problem):
        return super().grade(str(int(answer)), problem)


class RaisingElsewhere(Sums):
    def grade(self, answer, problem):
        return super().grade("" if answer == "?" and int(answer) else answer, problem)


class Truth(Sums):
    def grade(self, answer, problem):
        return super().grade(answer, problem).verdict == "correct"


class Undecided(Sums):
    def grade(self, answer, problem):
        found = super().grade(answer, problem)
        return found if found.verdict == "correct" else Grade("maybe")


class WithoutFile(Sums):
    def problems(self, split, seed):
        return map(str, open("none.jsonl"))  # noqa: SIM115


class Adversary(Sums):
    def adversarial_answers(self, problem):
        yield "a key that is not there", problem.meta["none"]


class Session:
    def __init__(self, change):
        self.change = change

    def complete(self, requests, sampling):
        for request in requests:
            one = Completion(request.problem.id, request.sample, "so", 1, False)
            yield from self.change(one, sampling)


class Broken(Solver):
    """Gives what the function `change` makes of each completion."""

    def open(self, context):
        return nullcontext(Session(type(self).change))


class Twice(Broken):
    change = staticmethod(lambda one, sampling: [one, one])


class Silent(Broken):
    change = staticmethod(lambda one, sampling: [one] if one.sample else [])


class AllSamples(Broken):
    change = staticmethod(lambda one, sampling: [replace(one, sample=sample) for sample in range(sampling.samples)])


class Uncounted(Broken):
    change = staticmethod(lambda one, sampling: [replace(one, tokens=0)])


class Forgetful(Duplicates):
    def start(self, context):
        return super().start(replace(context, remember=lambda value: None))


class SplitDuplicates(Duplicates):
    def per_rank(self):
        return True


class Speechless(Cleaner):
    type = "speechless"

    def start(self, context):
        return lambda trace: None


class Idle(Stage):
    type = "idle"
    outputs = frozenset({"traces"})

    def run(self, context):
        return {}


class Greedy(Stage):
    type = "greedy"
    inputs = frozenset({"model"})

    def check(self, *, world_size):
        return ["steps: too many"]

    def run(self, context):
        return {}


BROKEN = [
    (Credulous, "grades the question echoed as not correct"),
    (Shuffling, "split and seed alone decide problems and order"),
    (OneSplit, "ids are distinct"),
    (Certain, "chance accuracy is a probability"),
    (Raising, "grade returns a grade for the reference"),
    (Truth, "grade returns a grade for the reference"),
    (RaisingElsewhere, "grades filler as not correct"),
    (Undecided, "answers of other problems are wrong in a large answer space"),
    (WithoutFile, "there are problems to train on and to measure"),
    (Adversary, "grades an adversarial answer of its own as not correct"),
    (Twice, "answers each request once"),
    (Silent, "answers each request once"),
    (AllSamples, "draws one completion per request whatever the number of samples"),
    (Uncounted, "completions have text and tokens"),
    (Forgetful, "continues from what it remembered"),
    (SplitDuplicates, "treats each trace by itself if it is split over ranks"),
    (Speechless, "gives traces of the same problems or reasons"),
    (Idle, "writes what it declares"),
    (Greedy, "its own check finds no fault"),
]
