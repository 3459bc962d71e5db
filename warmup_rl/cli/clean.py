"""`python -m warmup_rl clean`: cleans a file of traces with DLCoT and other steps, and reports what was done."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from warmup_rl.base.config import descriptions
from warmup_rl.base.console import progress_bar
from warmup_rl.base.errors import DataError, UserError
from warmup_rl.base.files import real
from warmup_rl.base.jsonl import read_jsonl, require_regular, write_jsonl
from warmup_rl.base.types import to_json
from warmup_rl.cleaners.dlcot import DLCoT
from warmup_rl.cli.arguments import Arguments, build, configured_domain, option
from warmup_rl.cli.foreign_traces import CONTENTS, ForeignTraces, find_columns
from warmup_rl.data.columns import locate, value_at
from warmup_rl.data.datasets import Source
from warmup_rl.data.traces import PROBLEMS_FILE, open_problems
from warmup_rl.dlcot.audit import OUTCOMES
from warmup_rl.dlcot.judge import REPLIES_FILE
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import name_of
from warmup_rl.stages.clean import AUDIT, DROPPED, LOG, TRACES, UNLIMITED, Clean, Counts, clean, held_out, write_audit

if TYPE_CHECKING:
    import argparse

_ABOUT = (
    "Cleans traces: drops wrong and repeated ones, removes redundant passages from the others (DLCoT), and grades each "
    "changed answer again. Reads traces.jsonl of a run with problems.jsonl next to it, or rows (JSONL, JSON, CSV, "
    "Parquet, .gz) with a question, a reference answer and a response. A killed command continues when called again."
)
_OUR_FIELDS = {"problem_id", "domain", "messages", "thinking", "answer", "score"}


@dataclass(frozen=True)
class Settings:
    """The settings of a recipe, or the defaults without one, with those of a domain that is named by its type."""

    steps: Sequence[Cleaner] = tuple(Clean(steps=list(UNLIMITED)).steps)
    domains: Mapping[str, Domain] = field(default_factory=dict)
    response_format: ResponseFormat = ResponseFormat()
    evaluation: EvaluationSettings | None = None
    seed: int = 0
    model: str | None = None
    of_domain: Sequence[str] = ()
    file: Path | None = None

    def domain(self, grader: str, name: str = "") -> Domain:
        """The recipe's domain of this name, else one by its type, called `name` as in the traces."""
        if grader in self.domains:
            return self.domains[grader]
        return configured_domain(grader, self.of_domain, self.file).model_copy(update={"name": name or grader})


def main(arguments: Sequence[str]) -> None:
    """Runs the command. Raises `UserError` if the command line or a file is invalid, or no trace is left."""
    given = _parser().read(arguments)
    _check_paths(given)
    settings = _settings(given)
    try:
        _run(given, settings)
    except KeyboardInterrupt:
        print("stopped; the same command continues from here", file=sys.stderr)
        raise SystemExit(130) from None


def _parser() -> Arguments:
    parser = Arguments("clean", _ABOUT)
    add = parser.add_argument
    steps = ", ".join(UNLIMITED)
    for name, value, about in (
        ("--audit", "PAGE", ".html: the changes to each trace; as rows in FILE with .audit before its ending"),
        ("--steps", "STEP,...", f"cleaners in order, by name or as {{type: length, max_tokens: 4096}} ({steps})"),
        ("--recipe", "RECIPE", "take steps, domains and format from a recipe, and the problems that it evaluates on"),
        ("--stage", "ID", "which clean stage of the recipe, if it has several"),
        ("--domain", "NAME", "grades the answers: kk, math, ... or ./file.py:Class (default: the domain of the traces; "
         "kk if the first question is a Knights & Knaves puzzle)"),
        ("--columns", "KEY=NAME,...", f"names of columns; keys: {', '.join(CONTENTS)} (default: the usual names)"),
        ("--model", "MODEL", "the student, a folder or a hub id: counts its tokens instead of words, and is used by "
         "the step naturalness (default: the recipe's)"),
    ):  # fmt: skip
        add(name, metavar=value, help=about, type=Path if name == "--audit" else str)
    about = "a setting of the domain, as in --domain jsonl --set grader=choice --set answer=label"
    add("--set", action="append", default=[], metavar="KEY=VALUE", help=about)
    add("--in", dest="source", type=Path, required=True, metavar="TRACES", help="the file to clean; it is not changed")
    about = ".jsonl, with the fields of the input; dropped traces go to FILE with .dropped before its ending"
    add("--out", type=Path, required=True, metavar="FILE", help=about)
    group = parser.add_argument_group("options of the step dlcot")
    about_options = descriptions(DLCoT)
    for name, info in DLCoT.model_fields.items():
        text = " ".join(about_options[name].split()).replace("%", "%%")
        if info.annotation is bool:
            group.add_argument(option(name), dest=f"dlcot.{name}", action="store_true", default=None, help=text)
        else:
            default = "" if info.default is None else f" ({info.default})"
            group.add_argument(option(name), dest=f"dlcot.{name}", metavar="VALUE", help=text + default)
    return parser


def _check_paths(given: argparse.Namespace) -> None:
    for name, path, suffix in (("--out", given.out, ".jsonl"), ("--audit", given.audit, ".html")):
        if path is not None and path.suffix != suffix:
            raise UserError(f"clean: {name} must end with {suffix}, got {path}.")
    inputs = {real(given.source), real(given.source.with_name(PROBLEMS_FILE))}
    for path in (given.out, *(_beside(given, what) for what in ("dropped", "judge", "audit"))):
        if real(path) in inputs:
            raise UserError(f"clean: {path} would overwrite the input. Give another --out.")


def _settings(given: argparse.Namespace) -> Settings:
    settings = _from_recipe(given.recipe, given.stage) if given.recipe else Settings()
    if given.stage and not given.recipe:
        raise UserError("clean: --stage names a stage of a recipe: give --recipe too.")
    if given.set and (given.recipe or not given.domain):
        raise UserError("clean: --set is for a --domain by its type; the domains of a recipe have their own keys.")
    steps: Sequence[Cleaner] = settings.steps
    if given.steps is not None:
        listed = _read_yaml("--steps", f"[{given.steps}]", "names or {type: NAME, key: value}, separated by commas")
        steps = build(Clean, {"steps": listed}, "clean", by_option=True).steps
    options = {name.removeprefix("dlcot."): value for name, value in vars(given).items() if name.startswith("dlcot.")}
    options = {name: _read_yaml(option(name), value) for name, value in options.items() if value is not None}
    cuts = any(isinstance(step, DLCoT) for step in steps)
    if options and not cuts:
        raise UserError(
            f"clean: {option(next(iter(options)))} is an option of the step dlcot, which is not among --steps."
        )
    if given.audit and not cuts:
        raise UserError("clean: --audit shows the changes of the step dlcot, which is not among the steps. Add it.")
    if options:
        steps = [_with_options(step, options) if isinstance(step, DLCoT) else step for step in steps]
    readers = [name_of(type(step)) for step in steps if step.reads_evaluation]
    if readers and settings.evaluation is None:
        raise UserError(f"clean: the step {readers[0]!r} needs the problems that a recipe evaluates on: give --recipe.")
    model = given.model or settings.model
    return replace(settings, steps=steps, model=model, of_domain=given.set, file=given.source)


def _with_options(step: DLCoT, options: dict[str, Any]) -> DLCoT:
    keys = {key: getattr(step, key) for key in step.model_fields_set} | options
    return build(type(step), keys, "clean", by_option=True)


def _from_recipe(path: str, stage_id: str | None) -> Settings:
    from warmup_rl.recipe.load import load_recipe

    recipe = load_recipe(path, files=False)
    stages = {stage.id: stage for stage in recipe.stages if isinstance(stage, Clean)}
    if not stages:
        raise UserError(f"clean: {path} has no clean stage.")
    if len(stages) > 1 and stage_id is None or stage_id is not None and stage_id not in stages:
        raise UserError(f"clean: which clean stage of {path}? Give --stage, one of: {', '.join(stages)}.")
    stage = stages[stage_id or next(iter(stages))]
    seed = min(recipe.seeds, default=0)
    return Settings(stage.steps, recipe.domains, recipe.format, recipe.evaluation, seed, recipe.model)


def _read_yaml(name: str, text: Any, expected: str = "not valid YAML") -> Any:
    try:
        return yaml.safe_load(text) if isinstance(text, str) else text
    except yaml.YAMLError as error:
        raise UserError(f"clean: {name}: {expected}: {' '.join(str(error).split())}") from None


def _run(given: argparse.Namespace, settings: Settings) -> None:
    """Cleans in a folder next to the output, from which a killed command continues; then moves the files out."""
    folder = given.out.with_name(f"{given.out.name}.part")
    foreign = _foreign(given, settings)
    domains = {foreign.domain.name: foreign.domain} if foreign else _domains(given, settings)
    count, unit = _token_counter(given.model)
    for path in (folder, *([given.audit.parent] if given.audit else [])):
        path.mkdir(parents=True, exist_ok=True)
    replies = folder / REPLIES_FILE
    if _beside(given, "judge").is_file() and not replies.exists():
        shutil.copyfile(_beside(given, "judge"), replies)
    try:
        counts = _clean(given, settings, folder, foreign, domains, count)
    except UserError:
        if not (folder / LOG).is_file():  # there is nothing to continue from
            shutil.rmtree(folder)
        raise
    if given.audit:
        page = write_audit(counts, settings.steps, folder, subtitle=given.source.name, unit=unit)
        assert page is not None
        page.replace(given.audit)
        (folder / AUDIT).replace(_beside(given, "audit"))
    if foreign:
        write_jsonl(_beside(given, "dropped"), foreign.dropped(folder / DROPPED))
        write_jsonl(given.out, foreign.kept(folder / TRACES))
    else:
        _add_problems(folder / PROBLEMS_FILE, given)
        (folder / DROPPED).replace(_beside(given, "dropped"))
        (folder / TRACES).replace(given.out)
    if replies.is_file():
        replies.replace(_beside(given, "judge"))
    shutil.rmtree(folder)
    print("\n".join(_summary(given, counts, unit)))


def _clean(
    given: argparse.Namespace,
    settings: Settings,
    folder: Path,
    foreign: ForeignTraces | None,
    domains: Mapping[str, Domain],
    count: Callable[[str], int],
) -> Counts:
    traces = foreign.write(folder / "given") if foreign else given.source
    with closing(open_problems(traces.with_name(PROBLEMS_FILE))) as problems, progress_bar("traces") as bar:
        context = CleanContext(
            domains=domains, problems=problems, count_tokens=count, response_format=settings.response_format,
            held_out=lambda: held_out(settings.evaluation, settings.domains) if settings.evaluation else (),
            model=settings.model, folder=folder, seed=settings.seed, say=lambda line: print(line, file=sys.stderr),
        )  # fmt: skip
        return clean(traces, settings.steps, context, bar)


def _foreign(given: argparse.Namespace, settings: Settings) -> ForeignTraces | None:
    """The converter of rows to traces; None if they are traces of a run."""
    source = Source(path=str(real(given.source)))
    place, first = next(source.rows(), ("", None))
    if first is None:
        raise UserError(f"clean: {given.source} has no rows.")
    if first.keys() >= _OUR_FIELDS:
        return None
    pairs = [pair.partition("=")[::2] for pair in (given.columns or "").split(",") if pair.strip()]
    names = {key.strip(): value.strip() for key, value in pairs}
    if wrong := [key for key, value in names.items() if key not in CONTENTS or not value]:
        raise UserError(f"clean: --columns: KEY=NAME,... with keys {', '.join(CONTENTS)} (got {wrong[0]!r}).")
    answered = (found for found in source.rows() if "response" in locate(found[1], names))
    place, first = next(answered, (place, first))
    columns = find_columns(first, names, given.source)
    if given.domain is None:
        try:
            KnightsKnaves().read({"question": value_at(first, columns["question"])}, place)
        except DataError:
            raise UserError(
                f"clean: {place}: not a Knights & Knaves puzzle. Name the domain that grades the answers: "
                "--domain math, ..."
            ) from None
    return ForeignTraces(source, names, settings.domain(given.domain or "kk"), settings.response_format)


def _domains(given: argparse.Namespace, settings: Settings) -> dict[str, Domain]:
    """The domains of the traces of a run, by name."""
    problems = given.source.with_name(PROBLEMS_FILE)
    require_regular(problems)
    if not problems.is_file():
        raise UserError(
            f"clean: {problems}: no such file. Traces of a run are cleaned with their problems: copy {PROBLEMS_FILE} "
            f"of that run beside {given.source}."
        )
    names = dict.fromkeys(row.get("domain") for row in read_jsonl(problems))
    return {str(name): settings.domain(given.domain or str(name), str(name)) for name in names}


def _token_counter(model: str | None) -> tuple[Callable[[str], int], str]:
    """A function that counts tokens, and the unit that it counts."""
    if model is None:
        return lambda text: len(text.split()), "words"
    from warmup_rl.interfaces.chat import load_tokenizer

    tokenizer = load_tokenizer(model)
    return lambda text: len(tokenizer(text, add_special_tokens=False).input_ids), "tokens"


def _add_problems(problems: Path, given: argparse.Namespace) -> None:
    """Adds the problems of the kept traces to the file next to the output, which may contain others."""
    target = given.out.with_name(PROBLEMS_FILE)
    if real(target) == real(given.source.with_name(PROBLEMS_FILE)):
        return
    with closing(open_problems(problems)) as new:
        others = (row for row in read_jsonl(target) if row.get("id") not in new) if target.is_file() else ()
        write_jsonl(target, chain(others, map(to_json, new.values())))


def _beside(given: argparse.Namespace, what: str) -> Path:
    """A further file of the output: `dropped` traces; the rows of the `audit`; the replies of a `judge`, which another
    variant asks again."""
    out: Path = given.out
    return out.with_name(f"{out.stem}.{what}{out.suffix}")


def _summary(given: argparse.Namespace, counts: Counts, unit: str) -> Iterator[str]:
    """The counts as an aligned table."""

    def line(name: str, number: int, note: str = "") -> str:
        return f"{name:<24}{number:>12,}{note and '   ' + note}"

    before = counts.tokens_before - counts.tokens_dropped
    saved = f"{(counts.tokens_after - before) / before:+.2%}" if counts.tokens_after != before else "unchanged"
    yield line("traces read", counts.read)
    yield line("  kept", counts.kept, f"{counts.changed:,} of them changed")
    yield line("  dropped", counts.read - counts.kept)
    for reason, count in counts.dropped.most_common():
        yield line(f"    {reason}", count)
    yield line(f"{unit} of kept traces", before)
    yield line("  after cleaning", counts.tokens_after, saved)
    for name in ("dlcot", "left alone", "noticed"):
        for outcome, count in counts.outcomes.get(name, Counter()).most_common():
            kind, _, why = outcome.partition(": ")
            about = [OUTCOMES[kind], why] if name == "dlcot" else [outcome]
            yield line(f"  {name}: {': '.join(filter(None, about))}", count)
    yield f"cleaned: {given.out}"
    yield f"dropped: {_beside(given, 'dropped')}"
    if given.audit:
        yield f"audit:   {given.audit}, {_beside(given, 'audit')}"
    if _beside(given, "judge").is_file():
        yield f"judge:   {_beside(given, 'judge')}"
