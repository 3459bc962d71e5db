"""The conformance suite: checks that a configured domain, engine, cleaner or stage keeps its interface's contract.

`python -m warmup_rl conformance ./mine.py:Mine` prints the checks; `assert_conforms(Mine())` is for tests.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from importlib.machinery import PathFinder
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import write_jsonl
from warmup_rl.base.types import SPLITS, Completion, Grade, Problem, Request, Score, Split, Trace, to_json
from warmup_rl.data.traces import PROBLEMS_FILE, read_traces
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped, LooksAhead
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.engine import Engine, EngineContext
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.grading_checks import graded_kinds, no_grade
from warmup_rl.interfaces.plugins import Kind, Plugin, describe_exception, load
from warmup_rl.interfaces.stage import Artifacts, Context, Stage, StagePreview

LARGE_SPACE = 1e-4
"""Chance accuracy below which another problem's answer must not be correct."""
_FORM = ResponseFormat()
_IMPORT = """
import importlib, os, runpy, sys
sys.path[:0] = [os.path.dirname(sys.argv[1])] if sys.argv[2] == "file" else []
importlib.import_module(sys.argv[1]) if sys.argv[2] == "module" else runpy.run_path(sys.argv[1])
sys.exit(9 if "torch" in sys.modules else 0)
"""


class Skipped(Exception):
    """A check is not possible here; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Result:
    """One check of a plug-in; `note` is the fault, or why the check was skipped."""

    name: str
    status: Literal["passed", "failed", "skipped"]
    note: str = ""


def run_checks(
    plugin: Plugin, *, domain: Domain | None = None, model: str | None = None, problems: int = 60
) -> Iterator[Result]:
    """Runs all checks for this kind of plug-in. Raises `UserError` if there are none.

    Args:
        domain: its problems are used for engines, cleaners and stages; default: Knights & Knaves with two people.
        model: folder or hub id of a model for engines, cleaners and stages that read one; without it they are skipped.
        problems: number of problems that are checked in each split of a domain.
    """
    if (suite := SUITES.get(plugin.plugin_kind)) is None:
        hint = " Check the domain jsonl with it: jsonl file=FILE grader=NAME." if plugin.plugin_kind == "grader" else ""
        raise UserError(f"{type(plugin).__name__}: there are checks for {', '.join(SUITES)} only.{hint}")
    domain = domain or load("domain", "kk")(people=2, name="kk")
    first: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for result in suite(plugin, domain, model, Path(folder), problems).results():
            repeats = result.status == "failed" and first.setdefault(result.note, result.name) != result.name
            yield replace(result, note=f'the same as "{first[result.note]}"') if repeats else result


def assert_conforms(plugin: Plugin, **options: Any) -> None:
    """Raises AssertionError with all failed checks; the options are those of `run_checks`."""
    failed = [result for result in run_checks(plugin, **options) if result.status == "failed"]
    assert not failed, "\n".join(f"{result.name}: {result.note}" for result in failed)


@dataclass
class Checks:
    """Checks of any plug-in. Each public method, named by what it checks, asserts or raises `Skipped`."""

    plugin: Any
    domain: Domain
    model: str | None
    folder: Path
    count: int

    def results(self) -> Iterator[Result]:
        names = [name for kind in reversed(type(self).__mro__) for name in vars(kind)]
        for name in dict.fromkeys(names):
            method = getattr(type(self), name)
            if inspect.isfunction(method) and not name.startswith("_") and name != "results":
                yield _result(name.replace("_", " "), partial(method, self))

    def settings_are_frozen_and_unknown_ones_refused(self) -> None:
        config = type(self.plugin).model_config
        assert config.get("frozen") and config.get("extra") == "forbid", "keep the `model_config` of the base class"

    def settings_are_json_values(self) -> None:
        _require_json(self.plugin.model_dump(mode="json", serialize_as_any=True))

    def importing_it_does_not_import_torch(self) -> None:
        module = type(self.plugin).__module__
        if not (file := getattr(sys.modules.get(module), "__file__", None)):
            raise Skipped("its source file is not known")
        target = [module, "module"] if PathFinder.find_spec(module.partition(".")[0]) else [file, "file"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
        command = [sys.executable, "-c", _IMPORT, *target]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode != 9, "import torch inside the functions that use it: recipes are checked without it"
        assert done.returncode == 0, f"it cannot be imported in a new process: {done.stderr.strip().splitlines()[-1:]}"

    def _model(self) -> str:
        if self.model is None:
            raise Skipped("it works with a model: give --model")
        return self.model

    @cached_property
    def _problems(self) -> list[Problem]:
        return self.domain.take("train", 0, 3)

    @cached_property
    def _traces(self) -> list[Trace]:
        """A right trace of each of two problems, a wrong one of the first, and the second trace once more."""
        first, second = map(self._right_trace, self._problems[:2])
        wrong = replace(first, answer="?", score=Score("wrong", "?", True), sample=1)
        return [first, second, wrong, replace(second, sample=1)]

    def _right_trace(self, problem: Problem) -> Trace:
        answer, thinking = self.domain.reference(problem), f"so the answer is {self.domain.reference(problem)}"
        score = self.domain.score(_FORM.render(thinking=thinking, answer=answer), problem, _FORM)
        return Trace(problem.id, problem.domain, self.domain.prompt(problem), thinking, answer, score, "test")


def _require_json(value: Any) -> None:
    json.dumps(value)


def _result(name: str, check: Callable[[], Any]) -> Result:
    try:
        check()
    except Skipped as reason:
        return Result(name, "skipped", str(reason))
    except AssertionError as error:
        return Result(name, "failed", str(error))
    except Exception as error:  # code of a plug-in may raise anything
        return Result(name, "failed", describe_exception(error))
    return Result(name, "passed")


class DomainChecks(Checks):
    """Problems, prompts and grading of a domain, on at most `count` problems of each split."""

    plugin: Domain

    def results(self) -> Iterator[Result]:
        yield from super().results()
        if (basic := _result("grades answers", self.grade_returns_a_grade_for_the_reference)).status == "failed":
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
                (_FORM.render(thinking="so", answer=reference), "correct", "correct"),
                (f"so </think> {reference}", "correct", "bad_format"),
                (_FORM.render(thinking="so", answer=""), "none", "no_answer"),
            ):
                score = self.plugin.score(text, problem, _FORM)
                found = (score.verdict, score.outcome)
                assert found == (verdict, outcome), f"{problem.id}: {text!r} gives {found}, not {(verdict, outcome)}"
            untagged = self.plugin.score(f"so {reference}", problem, _FORM)
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


class EngineChecks(Checks):
    """Completions of an engine for three problems."""

    plugin: Engine

    def answers_each_request_once(self) -> None:
        asked = [(request.problem.id, request.sample) for request in self._requests(0, 1)]
        _require_answers(asked, self._completions[0])

    def draws_one_completion_per_request_whatever_the_number_of_samples(self) -> None:
        asked = [(request.problem.id, request.sample) for request in self._requests(2)]
        _require_answers(asked, self._completions[1])

    def completions_have_text_and_tokens(self) -> None:
        for one in [one for some in self._completions for one in some]:
            place = f"{one.problem_id}, sample {one.sample}"
            assert isinstance(one.text, str) and isinstance(one.thinking, str | None), f"{place}: text and thinking"
            assert isinstance(one.tokens, int) and one.tokens > 0, f"{place}: tokens {one.tokens!r}, more than 0 needed"
            assert one.cost >= 0 and one.prompt_tokens >= 0 and one.attempts >= 1, f"{place}: {one}"

    def _requests(self, *samples: int) -> list[Request]:
        return [Request(p, self.domain.prompt(p), sample) for p in self._problems for sample in samples]

    @cached_property
    def _completions(self) -> tuple[list[Completion], list[Completion]]:
        """For samples 0 and 1, and for sample 2 alone, last problem first."""
        context = EngineContext({self.domain.name: self.domain}, _FORM, 0, folder=self.folder)
        if self.plugin.reads_model:
            context = replace(context, model=self._model())
        try:
            self.plugin.ready()
            for problem in self._problems:
                self.plugin.check(problem)
            opened = self.plugin.open(context)
        except UserError as error:
            raise Skipped(f"it cannot be opened here: {error}") from None
        sampling = Sampling(temperature=1.0, max_tokens=64, samples=3)
        with opened as session:
            both = list(session.complete(iter(self._requests(0, 1)), sampling))
            return both, list(session.complete(iter(self._requests(2)[::-1]), sampling))


def _require_answers(asked: Sequence[tuple[str, int]], completions: Sequence[Completion]) -> None:
    given = Counter((one.problem_id, one.sample) for one in completions)
    assert not given - Counter(asked), f"not asked for, or given twice: {[*(given - Counter(asked))][:3]}"
    assert not Counter(asked) - given, f"not completed: {[*(Counter(asked) - given)][:3]}"


class CleanerChecks(Checks):
    """Results of a cleaner on four traces of two problems."""

    plugin: Cleaner

    def gives_traces_of_the_same_problems_or_reasons(self) -> None:
        for trace, result in zip(self._traces, self._cleaned(self._traces)[0], strict=True):
            if isinstance(result, Dropped):
                assert result.reason, "a dropped trace needs a reason"
            else:
                assert isinstance(result, Trace), f"{type(result).__name__} instead of a Trace or Dropped"
                assert (result.problem_id, result.domain) == (trace.problem_id, trace.domain), "another problem"
                _require_json(to_json(result))

    def gives_the_same_again(self) -> None:
        assert self._cleaned(self._traces) == self._cleaned(self._traces), "two runs differ"

    def continues_from_what_it_remembered(self) -> None:
        whole, _ = self._cleaned(self._traces)
        for place in range(1, len(self._traces)):
            before, remembered = self._cleaned(self._traces[:place])
            after, _ = self._cleaned(self._traces[place:], remembered)
            assert before + after == whole, f"stopped after {place} traces, it continues differently"

    def treats_each_trace_by_itself_if_it_is_split_over_ranks(self) -> None:
        if self.plugin.per_rank():
            for trace, result in zip(self._traces, self._cleaned(self._traces)[0], strict=True):
                assert self._cleaned([trace]) == ([result], []), "`per_rank`, though a trace depends on those before it"

    def _cleaned(self, traces: Sequence[Trace], remembered: Sequence[Any] = ()) -> tuple[list[Any], list[Any]]:
        """The results for the traces, and the values that the cleaner remembers (through JSON)."""
        kept: list[Any] = []
        context = CleanContext(
            {self.domain.name: self.domain}, {problem.id: problem for problem in self._problems},
            count_tokens=lambda text: len(text.split()), held_out=lambda: self.domain.take("test", 0, 3),
            model=self.model, folder=self.folder, audit=_require_json,
            remember=kept.append, remembered=remembered,
        )  # fmt: skip
        try:
            self.plugin.ready()
            step = self.plugin.start(context)
        except UserError as error:
            raise Skipped(f"it cannot be started here: {error}") from None
        if isinstance(step, LooksAhead):
            step.ahead(traces)
        return [step(trace) for trace in traces], json.loads(json.dumps(kept))


class StageChecks(Checks):
    """The declarations of a stage, and a run in an empty folder if its inputs can be made here."""

    plugin: Stage

    def declares_inputs_and_outputs(self) -> None:
        stage = self.plugin
        assert all(isinstance(kind, str) for kind in (*stage.inputs, *stage.outputs)), "names of artifacts are needed"
        assert stage.inputs <= stage.required_inputs(), "`required_inputs` must hold what `inputs` declares"

    def its_own_check_finds_no_fault(self) -> None:
        assert not (faults := self.plugin.check(world_size=1)), "; ".join(faults)

    def previews_itself_in_json_values(self) -> None:
        preview = self.plugin.preview(EvaluationSettings(), self._domains)
        assert isinstance(preview, StagePreview), f"{type(preview).__name__} instead of a StagePreview"
        _require_json(dict(preview.counts))

    def writes_what_it_declares(self) -> None:
        stage, needed = self.plugin, self.plugin.required_inputs()
        model = self._model() if "model" in needed else None
        if unknown := needed - {"model", "traces"}:
            raise Skipped(f"it needs {', '.join(sorted(unknown))}, which cannot be made here")
        if "traces" in needed:
            write_jsonl(self.folder / "traces.jsonl", map(to_json, self._traces))
            write_jsonl(self.folder / PROBLEMS_FILE, map(to_json, self._problems))
        (output := self.folder / "output").mkdir()
        greedy = {"greedy": Sampling(max_tokens=32)}
        settings = EvaluationSettings(problems=2, validation=2, curve_problems=2, samplings=greedy)
        context = Context(output, Artifacts(), self._domains, _FORM, settings, seed=0, stage_id=stage.id or stage.type)
        stage.prepare(context)
        inputs = Artifacts(model=model, traces=self.folder / "traces.jsonl" if "traces" in needed else None)
        _require_json(stage.run(replace(context, inputs=inputs)))
        for kind in stage.outputs:
            path = context.output(kind)
            assert path.is_file() or path.is_dir() and any(path.iterdir()), f"it did not write {path.name}"
        if "traces" in stage.outputs:
            assert list(read_traces(context.traces_file)), "traces.jsonl is empty"

    @property
    def _domains(self) -> dict[str, Domain]:
        domains = {self.domain.name: self.domain}
        if missing := set(self.plugin.domains_used(EvaluationSettings(), tuple(domains))) - domains.keys():
            raise Skipped(f"it uses the domain {min(missing)!r}: give it with --domain")
        return domains


SUITES: dict[Kind, type[Checks]] = {
    "domain": DomainChecks, "engine": EngineChecks, "cleaner": CleanerChecks, "stage": StageChecks
}  # fmt: skip
"""The checks of each kind of plug-in that has some."""
