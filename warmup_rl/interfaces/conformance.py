"""The conformance suite: checks that a configured domain, engine, cleaner or stage keeps its interface's contract.

`python -m warmup_rl conformance ./mine.py:Mine` prints the checks; `assert_conforms(Mine())` is for tests.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import write_jsonl
from warmup_rl.base.types import Completion, Request, Trace, to_json
from warmup_rl.data.traces import PROBLEMS_FILE, read_traces
from warmup_rl.interfaces.checks import FORM, Checks, Result, Skipped, require_json
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped, LooksAhead
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.domain_checks import DomainChecks
from warmup_rl.interfaces.engine import Engine, EngineContext
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import Kind, Plugin, load
from warmup_rl.interfaces.stage import Artifacts, Context, Stage, StagePreview


def run_checks(
    plugin: Plugin, *, domain: Domain | None = None, model: str | None = None, problems: int = 60
) -> Iterator[Result]:
    """Runs all checks for this kind of plug-in. Raises `UserError` if there are none.

    Args:
        domain: its problems are used for engines, cleaners and stages; default: Knights & Knaves with two people.
        model: folder or hub id of a model for engines, cleaners and stages that read one; without it they are skipped.
        problems: number of problems that are checked in each split of a domain.
    """
    suite = SUITES.get(plugin.plugin_kind)
    if suite is None:
        hint = " Check the domain jsonl with it: jsonl file=FILE grader=NAME." if plugin.plugin_kind == "grader" else ""
        raise UserError(f"{type(plugin).__name__}: there are checks for {', '.join(SUITES)} only.{hint}")
    domain = domain or load("domain", "kk")(people=2, name="kk")
    first: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for result in suite(plugin, domain, model, Path(folder), problems).results():
            if result.status == "failed" and first.setdefault(result.note, result.name) != result.name:
                result = replace(result, note=f'the same as "{first[result.note]}"')
            yield result


def assert_conforms(plugin: Plugin, **options: Any) -> None:
    """Raises AssertionError with all failed checks; the options are those of `run_checks`."""
    failed = [result for result in run_checks(plugin, **options) if result.status == "failed"]
    assert not failed, "\n".join(f"{result.name}: {result.note}" for result in failed)


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
        for one in chain(*self._completions):
            place = f"{one.problem_id}, sample {one.sample}"
            assert isinstance(one.text, str) and isinstance(one.thinking, str | None), f"{place}: text and thinking"
            assert isinstance(one.tokens, int) and one.tokens > 0, f"{place}: tokens {one.tokens!r}, more than 0 needed"
            assert one.cost >= 0 and one.prompt_tokens >= 0 and one.attempts >= 1, f"{place}: {one}"

    def _requests(self, *samples: int) -> list[Request]:
        return [Request(p, self.domain.prompt(p), sample) for p in self._problems for sample in samples]

    @cached_property
    def _completions(self) -> tuple[list[Completion], list[Completion]]:
        """For samples 0 and 1, and for sample 2 alone, last problem first."""
        context = EngineContext({self.domain.name: self.domain}, FORM, 0, folder=self.folder)
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
                require_json(to_json(result))

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
            {self.domain.name: self.domain},
            {problem.id: problem for problem in self._problems},
            count_tokens=lambda text: len(text.split()),
            held_out=lambda: self.domain.take("test", 0, 3),
            model=self.model,
            folder=self.folder,
            audit=require_json,
            remember=kept.append,
            remembered=remembered,
        )
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
        faults = self.plugin.check(world_size=1)
        assert not faults, "; ".join(faults)

    def previews_itself_in_json_values(self) -> None:
        preview = self.plugin.preview(EvaluationSettings(), self._domains)
        assert isinstance(preview, StagePreview), f"{type(preview).__name__} instead of a StagePreview"
        require_json(dict(preview.counts))

    def writes_what_it_declares(self) -> None:
        stage, needed = self.plugin, self.plugin.required_inputs()
        model = self._model() if "model" in needed else None
        unknown = needed - {"model", "traces"}
        if unknown:
            raise Skipped(f"it needs {', '.join(sorted(unknown))}, which cannot be made here")
        if "traces" in needed:
            write_jsonl(self.folder / "traces.jsonl", map(to_json, self._traces))
            write_jsonl(self.folder / PROBLEMS_FILE, map(to_json, self._problems))
        output = self.folder / "output"
        output.mkdir()
        greedy = {"greedy": Sampling(max_tokens=32)}
        settings = EvaluationSettings(problems=2, validation=2, curve_problems=2, samplings=greedy)
        context = Context(output, Artifacts(), self._domains, FORM, settings, seed=0, stage_id=stage.id or stage.type)
        stage.prepare(context)
        inputs = Artifacts(model=model, traces=self.folder / "traces.jsonl" if "traces" in needed else None)
        require_json(stage.run(replace(context, inputs=inputs)))
        for kind in stage.outputs:
            path = context.output(kind)
            assert path.is_file() or path.is_dir() and any(path.iterdir()), f"it did not write {path.name}"
        if "traces" in stage.outputs:
            assert list(read_traces(context.traces_file)), "traces.jsonl is empty"

    @property
    def _domains(self) -> dict[str, Domain]:
        domains = {self.domain.name: self.domain}
        missing = set(self.plugin.domains_used(EvaluationSettings(), tuple(domains))) - domains.keys()
        if missing:
            raise Skipped(f"it uses the domain {min(missing)!r}: give it with --domain")
        return domains


SUITES: dict[Kind, type[Checks]] = {
    "domain": DomainChecks,
    "engine": EngineChecks,
    "cleaner": CleanerChecks,
    "stage": StageChecks,
}
"""The checks of each kind of plug-in that has some."""
