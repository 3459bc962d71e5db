"""Recipes: what is loaded, what is refused and in which words, how keys are overridden, how arms differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from warmup_rl.base.errors import RecipeError
from warmup_rl.interfaces.plugins import TABLE
from warmup_rl.recipe.document import parse_document, parse_value
from warmup_rl.recipe.load import load_recipe
from warmup_rl.recipe.schema import Recipe, dump

PLUGINS = "tests.recipe_plugins"
GOOD = f"""\
run_name: toy
output_dir: OUTPUT
domains:
  small: {{type: "{PLUGINS}:Toy", size: 2}}
arms:
  warmup: {{}}
  base: {{leave_out: [write, imitate, after], set: {{learn.args.learning_rate: 1e-5}}}}
stages:
  - {{type: "{PLUGINS}:Make", id: make}}
  - type: {PLUGINS}:Write
    id: write
    domain: small
    cleaners: ["{PLUGINS}:Shorter"]
  - {{type: "{PLUGINS}:Imitate", id: imitate, steps: 4, args: {{learning_rate: 3e-4}}}}
  - {{type: "{PLUGINS}:Measure", id: after}}
  - type: {PLUGINS}:Learn
    id: learn
    steps: 8
    args:
      beta: 0.0
  - {{type: "{PLUGINS}:Measure", id: end}}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the good recipe, with some texts replaced, as recipe.yaml in the working directory."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    monkeypatch.chdir(tmp_path)

    def write_recipe(*replaced: tuple[str, str]) -> Path:
        text = GOOD.replace("OUTPUT", str(tmp_path / "outputs"))
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        Path("recipe.yaml").write_text(text, encoding="utf-8")
        return Path("recipe.yaml")

    return write_recipe


def problems(path: Path, *overrides: str, world_size: int = 1) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides, world_size=world_size)
    return list(caught.value.problems)


def test_a_resolved_recipe_loads_to_an_equal_recipe(write: Any) -> None:
    recipe = load_recipe(write())
    json.dumps(recipe.resolved())
    Path("again.yaml").write_text(yaml.safe_dump(recipe.resolved(), sort_keys=False), encoding="utf-8")
    again = load_recipe("again.yaml")
    assert again == recipe
    assert [again.arm(name) for name in again.arms] == [recipe.arm(name) for name in recipe.arms]


def test_loading_leaves_no_trace_on_disk(write: Any, tmp_path: Path) -> None:
    write()
    load_recipe("recipe.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_arms_differ_by_what_they_say_and_share_the_rest(write: Any) -> None:
    recipe = load_recipe(write())
    warmup, base = recipe.arm("warmup"), recipe.arm("base")
    assert [stage.id for stage in warmup] == ["make", "write", "imitate", "after", "learn", "end"]
    assert [stage.id for stage in base] == ["make", "learn", "end"]
    assert dump(base[1])["args"] == {"beta": 0.0, "learning_rate": 1e-5}
    assert dump(warmup[4])["args"] == {"beta": 0.0}
    assert base[0] == warmup[0]


def test_a_dump_names_plugins_so_that_they_load_again_and_leaves_ids_out(write: Any) -> None:
    recipe = load_recipe(write())
    shown = dump(recipe.stages[1])
    assert shown["type"] == f"{PLUGINS}:Write"
    assert shown["cleaners"] == [{"type": f"{PLUGINS}:Shorter", "limit": 10}]
    assert "id" not in shown and "name" not in dump(recipe.domains["small"])


def test_a_stage_without_id_has_the_name_of_its_type_or_class(write: Any) -> None:
    path = write((f'  - {{type: "{PLUGINS}:Make", id: make}}', f"  - {PLUGINS}:Make"))
    ids = [stage.id for stage in load_recipe(path).stages]
    assert ids == ["Make", "write", "imitate", "after", "learn", "end"]
    assert load_recipe(path, ["stages.Make.id=first"]).stages[0].id == "first"


def test_a_domain_is_given_by_a_bare_name_too(write: Any) -> None:
    recipe = load_recipe(write(("  small: {", "  remainders: sums\n  small: {")))
    assert (recipe.domains["remainders"].type, recipe.domains["remainders"].name) == ("sums", "remainders")


def test_a_whole_number_may_be_written_with_an_exponent(write: Any) -> None:
    (size,) = [domain["size"] for domain in dump(load_recipe(write(("size: 2", "size: 2e3"))).domains).values()]
    assert size == 2000 and type(size) is int


def test_the_default_is_one_arm_with_all_stages(write: Any) -> None:
    text = write().read_text()
    start, end = text.index("arms:"), text.index("stages:")
    Path("recipe.yaml").write_text(text[:start] + text[end:], encoding="utf-8")
    recipe = load_recipe("recipe.yaml")
    assert list(recipe.arms) == ["main"] and recipe.arm("main") == tuple(recipe.stages)


BAD: list[tuple[str, tuple[tuple[str, str], ...], list[str]]] = [
    ("misspelt key", (("run_name:", "runname:"),), [
        "recipe.yaml:1: runname: unknown key (got 'toy'). Did you mean 'run_name'?",
        "recipe.yaml: run_name: missing. Name of the run's folder under `output_dir`.",
    ]),
    ("bad run name", (("run_name: toy", "run_name: to/y"),), [
        "recipe.yaml:1: run_name: letters, digits, '.', '_' and '-' only, a letter or digit first, at most 100 "
        "(got 'to/y').",
    ]),
    ("trainer option misspelt", (("beta: 0.0", "betaa: 0.5"),), [
        "recipe.yaml:20: stages.4.args.betaa: unknown key (got 0.5). Did you mean 'beta'?",
    ]),
    ("old spelling", (("beta: 0.0", "warmup_ratio: 0.1"),), [
        "recipe.yaml:20: stages.4.args.warmup_ratio: unknown key (got 0.1). "
        "Use 'warmup_steps': a value below 1 is a share of all steps.",
    ]),
    ("owned option", (("beta: 0.0", "max_steps: 3"),), [
        "recipe.yaml:20: stages.4.args.max_steps: not allowed here: use 'steps'.",
    ]),
    ("option of the wrong type", (("beta: 0.0", "beta: '0.1'"),), [
        "recipe.yaml:20: stages.4.args.beta: a number is needed (got '0.1').",
    ]),
    ("enumeration checked late by the trainer", (("beta: 0.0", "loss_type: dapoo"),), [
        "recipe.yaml:20: stages.4.args.loss_type: allowed: grpo, bnpo, dr_grpo, dapo, cispo, sapo, luspo, vespo "
        "(got 'dapoo'). Did you mean 'dapo'?",
    ]),
    ("missing key of a stage", (("steps: 8\n", "problems: 8\n"),), [
        "recipe.yaml:16: stages.4.steps: missing. Optimizer steps.",
    ]),
    ("wrong type", (("steps: 8\n", "steps: many\n"),), [
        "recipe.yaml:18: stages.4.steps: a whole number is needed (got 'many').",
    ]),
    ("number as text", (("steps: 8\n", "steps: '8'\n"),), [
        "recipe.yaml:18: stages.4.steps: a whole number is needed (got '8').",
    ]),
    ("true for a number", (("size: 2", "size: true"),), [
        "recipe.yaml:4: domains.small.size: a whole number is needed (got true).",
    ]),
    ("YAML 1.1's yes", (("steps: 8\n", "steps: 8\n    allow_more: yes\n"),), [
        "recipe.yaml:19: stages.4.allow_more: true or false is needed (got 'yes').",
    ]),
    ("number as text at the top", (("arms:", "evaluation: {problems: '5'}\narms:"),), [
        "recipe.yaml:5: evaluation.problems: a whole number is needed (got '5').",
    ]),
    ("out of bounds", (("size: 2", "size: 0"),), [
        "recipe.yaml:4: domains.small.size: must be more than 0 (got 0).",
    ]),
    ("unknown key inside a plug-in", (
        (f'cleaners: ["{PLUGINS}:Shorter"]', f'cleaners: [{{type: "{PLUGINS}:Shorter", limt: 3}}]'),
    ), [
        "recipe.yaml:13: stages.1.cleaners.0.limt: unknown key (got 3). Did you mean 'limit'?",
    ]),
    ("unknown plug-in inside a stage", ((f'cleaners: ["{PLUGINS}:Shorter"]', "cleaners: [lenght]"),), [
        "recipe.yaml:13: stages.1.cleaners.0: unknown cleaner 'lenght'. Did you mean 'length'? "
        f"Allowed: {', '.join(TABLE['cleaner'])}, pkg.module:Class or ./file.py:Class.",
    ]),
    ("plug-in of the wrong kind", ((f"type: {PLUGINS}:Write", f"type: {PLUGINS}:Toy"),), [
        "recipe.yaml:10: stages.1.type: 'tests.recipe_plugins:Toy' is not a stage: "
        "it does not inherit from warmup_rl.interfaces.stage:Stage.",
    ]),
    ("unknown domain", (("  small: {", "  sum: {}\n  small: {"),), [
        "recipe.yaml:4: domains.sum: unknown domain 'sum'. Did you mean 'sums'? "
        f"Allowed: {', '.join(TABLE['domain'])}, pkg.module:Class or ./file.py:Class.",
    ]),
    ("name of a domain", (("size: 2", "size: 2, name: large"),), [
        "recipe.yaml:4: domains.small.name: unknown key: a domain's name is its key under 'domains'.",
    ]),
    ("unknown plug-in in a mapping", ((f'["{PLUGINS}:Shorter"]', "[{type: lenght}]"),), [
        "recipe.yaml:13: stages.1.cleaners.0.type: unknown cleaner 'lenght'. Did you mean 'length'? "
        f"Allowed: {', '.join(TABLE['cleaner'])}, pkg.module:Class or ./file.py:Class.",
    ]),
    ("no plug-in at all", ((f'["{PLUGINS}:Shorter"]', "[{limit: 3}]"),), [
        "recipe.yaml:13: stages.1.cleaners.0: the name of a cleaner, or a mapping with 'type', is needed "
        f"(got a mapping with limit). Allowed: {', '.join(TABLE['cleaner'])}.",
    ]),
    ("undeclared domain", (("domain: small", "domain: smal"),), [
        "recipe.yaml:12: stages.1.domain: domain 'smal' is not declared. Did you mean 'small'? Under 'domains': small.",
    ]),
    ("undeclared domain measured", (("arms:", "evaluation: {domains: [big]}\narms:"),), [
        "recipe.yaml:5: evaluation.domains.0: domain 'big' is not declared. Under 'domains': small.",
    ]),
    ("headline is no sampling", (("arms:", "evaluation: {headline: greed}\narms:"),), [
        "recipe.yaml:5: evaluation.headline: no sampling 'greed'. Did you mean 'greedy'? Under 'samplings': greedy.",
    ]),
    ("neither list nor word", (("arms:", "evaluation: {domains: 5}\narms:"),), [
        "recipe.yaml:5: evaluation.domains: a list or 'all' is needed (got 5).",
    ]),
    ("stages that do not fit together", (("leave_out: [write, imitate", "leave_out: [make, write"),), [
        "recipe.yaml:7: arms.base.leave_out: arm 'base' leaves out 'make', which outputs the model that 'imitate' "
        "needs. Keep 'make', or leave 'imitate' out too.",
        "recipe.yaml:7: arms.base.leave_out: arm 'base' leaves out 'write', which outputs the traces that 'imitate' "
        "needs. Keep 'write', or leave 'imitate' out too.",
    ]),
    ("unknown stage left out", (("[write,", "[wrote,"),), [
        "recipe.yaml:7: arms.base.leave_out.0: 'wrote': no such stage. Did you mean 'write'? "
        "Stages: make, write, imitate, after, learn, end.",
    ]),
    ("arm sets what is not there", (("learn.args.learning_rate", "learn.args.learning_rates"),), [
        "recipe.yaml:7: arms.base.set.learn.args.learning_rates: unknown key (got 1e-05). "
        "Did you mean 'learning_rate'?",
    ]),
    ("arm sets a stage that it leaves out", (("learn.args.learning_rate", "imitate.steps"), ("1e-5", "3")), [
        "recipe.yaml:7: arms.base.set.imitate.steps: stage 'imitate' is left out in this arm.",
    ]),
    ("arm replaces a stage", (("learn.args.learning_rate: 1e-5", "learn.type: sft"),), [
        "recipe.yaml:7: arms.base.set.learn.type: an arm cannot replace a stage. "
        "Leave it out in some arms instead.",
    ]),
    ("same id twice", (("id: end", "id: after"),), [
        "recipe.yaml:7: arms.base.leave_out.2: 'after': several stages have the id 'after'. "
        "Give each an id of its own.",
        "recipe.yaml:21: stages.5.id: the id 'after' is taken already (recipe.yaml:15: stages.3). "
        f"Give this stage an id of its own, e.g. {{type: {PLUGINS}:Measure, id: after_5}}.",
    ]),
    ("renamed key of a stage", ((f"type: {PLUGINS}:Learn", f"name: {PLUGINS}:Learn"),), [
        f"recipe.yaml:16: stages.4.name: unknown key (got '{PLUGINS}:Learn'). This key was renamed: use 'type'.",
    ]),
    ("fraction for a whole number", (("steps: 8\n", "steps: 8.5\n"),), [
        "recipe.yaml:18: stages.4.steps: a whole number is needed (got 8.5).",
    ]),
    ("model given and made", (("arms:", "model: gpt2\narms:"),), [
        "recipe.yaml:5: model: a model is given, and stage 'make' builds one. Remove one of the two.",
    ]),
    ("revision of nothing", (("arms:", "model_revision: main\narms:"),), [
        "recipe.yaml:5: model_revision: there is no 'model' that it could be a revision of. Remove it, or set 'model'.",
    ]),
    ("claim about no arm", (("arms:", "claims: {base: basis}\narms:"),), [
        "recipe.yaml:5: claims.base: no arm 'basis'. Did you mean 'base'? Arms: warmup, base.",
    ]),
    ("key twice", (("arms:", "run_name: again\narms:"),), [
        "recipe.yaml:5: run_name: given twice (first at recipe.yaml:1). Remove one.",
    ]),
    ("seed twice", (("arms:", "seeds: [1, 1]\narms:"),), [
        "recipe.yaml:5: seeds: each seed once (got [1, 1]).",
    ]),
    ("python in YAML", (("run_name: toy", "run_name: !!python/name:os.system x"),), [
        "recipe.yaml:1: run_name: unknown tag 'tag:yaml.org,2002:python/name:os.system'. Write a plain value.",
    ]),
    ("tabs", (("  small:", "\tsmall:"),), [
        "recipe.yaml:4: not YAML: while scanning for the next token: found character '\\t' that cannot start any token."
        " Indent with spaces.",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("replaced", "expected"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_wrong_is_said_with_its_place_and_fix(
    write: Any, replaced: tuple[tuple[str, str], ...], expected: list[str]
) -> None:
    assert problems(write(*replaced)) == expected


def test_everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file(write: Any) -> None:
    path = write(("run_name: toy", "run_name: 'to y'"), ("size: 2", "sise: 2"), ("domain: small", "domain: 3"),
                 ("[write,", "[wrote,"), ("steps: 8", "steps: 0"), ("beta: 0.0", "betaa: 0.0"))  # fmt: skip
    found = problems(path, "output_dir=recipe.yaml/x", "stages.imitate.steps=x")
    places = [line.split(": ")[:2] for line in found]
    assert places == [
        ["recipe.yaml:1", "run_name"],
        ["recipe.yaml:4", "domains.small.sise"],
        ["recipe.yaml:7", "arms.base.leave_out.0"],
        ["recipe.yaml:12", "stages.1.domain"],
        ["recipe.yaml:18", "stages.4.steps"],
        ["recipe.yaml:20", "stages.4.args.betaa"],
        ["command line", "stages.imitate.steps"],
        ["command line", "output_dir"],
    ]


def test_a_world_that_the_batch_does_not_fit_is_refused_at_the_key(write: Any) -> None:
    assert problems(write(), world_size=3) == [
        "recipe.yaml:14: stages.2.steps: 4 is odd for 3 processes",
        "recipe.yaml:18: stages.4.steps: 8 is odd for 3 processes",
    ]


@pytest.mark.parametrize(("text", "expected"), [
    ("", ["recipe.yaml: a recipe is a mapping of keys (run_name, domains, stages, ...), found nothing."]),
    ("- a\n", ["recipe.yaml: a recipe is a mapping of keys (run_name, domains, stages, ...), found a list."]),
    ("kk\n", ["recipe.yaml: a recipe is a mapping of keys (run_name, domains, stages, ...), found text."]),
    ("a: [1\nb: 2\n", ["recipe.yaml:2: not YAML: while parsing a flow sequence: expected ',' or ']', but got ':'."]),
    ("a: &x [*x]\n", ["recipe.yaml:1: a.0: an alias that contains itself."]),
])  # fmt: skip
def test_what_is_no_recipe_at_all_is_refused(write: Any, text: str, expected: list[str]) -> None:
    write().write_text(text, encoding="utf-8")
    assert problems(Path("recipe.yaml")) == expected


def test_a_missing_recipe_names_its_neighbour(write: Any) -> None:
    write()
    assert problems(Path("recipes.yaml")) == ["recipes.yaml: no such recipe file. Did you mean 'recipe.yaml'?"]


@pytest.mark.parametrize(("override", "stage", "key", "value"), [
    ("stages.learn.args.learning_rate=1e-6", 4, "args", {"beta": 0.0, "learning_rate": 1e-6}),
    ("stages.4.args.beta=0.1", 4, "args", {"beta": 0.1}),
    ("stages.4.args={}", 4, "args", {}),
    (f"stages.1.cleaners=[{PLUGINS}:Shorter]", 1, "cleaners", [{"type": f"{PLUGINS}:Shorter", "limit": 10}]),
    ("stages.write.cleaners.0.limit=3", 1, "cleaners", [{"type": f"{PLUGINS}:Shorter", "limit": 3}]),
    ("stages.write.sampling.top_p=0.5", 1, "sampling",
     {"temperature": 0.0, "top_p": 0.5, "top_k": 0, "max_tokens": 512, "samples": 1}),
])  # fmt: skip
def test_overrides_reach_stages_by_index_and_id(write: Any, override: str, stage: int, key: str, value: Any) -> None:
    assert dump(load_recipe(write(), [override]).stages[stage])[key] == value


def test_the_last_override_of_a_key_wins(write: Any) -> None:
    assert load_recipe(write(), ["seeds=[1]", "seeds=[2, 3]"]).seeds == [2, 3]


MEASURES = f"{PLUGINS}:Measure"


@pytest.mark.parametrize(("override", "expected"), [
    ("stages.learn.args.betaa=1", "stages.learn.args.betaa: unknown key (got 1). Did you mean 'beta'?"),
    ("stages.lern.steps=1",
     "stages.lern.steps: no such stage. Did you mean 'learn'? Stages: make, write, imitate, after, learn, end."),
    ("stages.9.steps=1", "stages.9.steps: there are 6 stages, 0 to 5."),
    ("stages.learn=1", "stages.learn: name a key of the stage, e.g. stages.sft.args.learning_rate."),
    ("stages.write.cleaners.4=1", "stages.write.cleaners.4: stages.1.cleaners is a list of 1: give an index below 1, "
     "got '4'."),
    ("stages.learn.steps.x=1", "stages.learn.steps.x: stages.4.steps is 8: there is nothing inside it to set."),
    ("nothing.here=1", "nothing: unknown key (got a mapping with here). Allowed: arms, claims, domains, evaluation, "
     "format, model, model_revision, output_dir, reference, run_name, seeds, stages, tracking, vary."),
    ("seeds=[1", "seeds: not YAML: while parsing a flow sequence: expected ',' or ']', but got '<stream end>'."),
    ("run_name", "run_name: write it as address=value, e.g. stages.sft.args.learning_rate=1e-6."),
    ("domains.small..size=1", "domains.small..size: an address is keys joined by single dots."),
    ("model=./none", "model: a model is given, and stage 'make' builds one. Remove one of the two."),
])  # fmt: skip
def test_an_override_that_fits_nowhere_is_refused(write: Any, override: str, expected: str) -> None:
    assert problems(write(), override)[0] == f"command line: {expected}"


def test_a_type_that_several_stages_have_is_refused_with_the_candidates(write: Any) -> None:
    stages = "\n".join(["  - evaluate", "  - {type: evaluate, id: later}", "  - {type: rlvr, domain: sums, steps: 3}"])
    text = f"run_name: x\nmodel: gpt2\ndomains: {{sums: {{}}}}\nstages:\n{stages}\n"
    Path("recipe.yaml").write_text(text, encoding="utf-8")
    assert problems(Path("recipe.yaml"), "stages.evaluate.problems=3") == [
        "command line: stages.evaluate.problems: 2 stages have the type 'evaluate'. "
        "Address one of them by id or index: 0, later."
    ]


@pytest.mark.parametrize(("folder", "reason"), [
    ("recipe.yaml/below", "recipe.yaml is not a folder"),
    ("/proc/below", "/proc is not writable: No such file or directory"),
])  # fmt: skip
def test_an_output_directory_that_cannot_be_written_is_refused(write: Any, folder: str, reason: str) -> None:
    (line,) = problems(write(), f"output_dir={folder}")
    assert line.startswith(f"command line: output_dir: cannot be written (got '{folder}'; ")
    assert line.endswith(f"{reason}). Choose another folder.")


def test_a_model_folder_must_be_there_and_hold_a_model(write: Any, tmp_path: Path) -> None:
    path = write((f'  - {{type: "{PLUGINS}:Make", id: make}}\n', ""))
    (tmp_path / "empty").mkdir()
    assert problems(path, "model=./none")[-1].startswith("command line: model: no such folder: ./none (looked from ")
    assert problems(path, "model=./empty") == ["command line: model: the folder ./empty has no model (no config.json)."]
    assert load_recipe(path, ["model=Qwen/Qwen2.5-3B"]).model == "Qwen/Qwen2.5-3B"


@pytest.mark.parametrize(("text", "value"), [
    ("1e-6", 1e-6), ("1E3", 1000.0), ("012", 12), ("0o14", 12), ("0x1f", 31), ("no", "no"), ("on", "on"),
    ("1:30", "1:30"), ("true", True),
    ("null", None), ("~", None), ("''", ""), (".5", 0.5), ("-.inf", float("-inf")), ("1_000", "1_000"),
    ("2024-01-01", "2024-01-01"), ("'1'", "1"), ("[1, a]", [1, "a"]), ("{a: 1e-3}", {"a": 1e-3}), ("+3", 3),
    ("####", "####"), ("#5", "#5"), (" a #b", "a #b"), ("5 # five", "5 # five"), ("'a' #b", "a"),
])  # fmt: skip
def test_values_are_read_as_yaml_1_2(text: str, value: Any) -> None:
    assert parse_value(text, "here") == value and type(parse_value(text, "here")) is type(value)


def test_a_value_on_the_command_line_is_needed(write: Any) -> None:
    message = "command line: run_name: a value is needed after '='; write null for none, '' for an empty text."
    assert problems(write(), "run_name=") == [message]


_TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=6)  # 16 bits a JSON escape
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3))


@given(st.dictionaries(_TEXTS, _VALUES, min_size=1, max_size=4))
def test_what_json_writes_the_reader_reads_back(value: dict[str, Any]) -> None:
    assert parse_document(json.dumps(value), "here").data == value


def test_checking_a_recipe_imports_no_training_library(tmp_path: Path) -> None:
    program = (
        "import sys; from warmup_rl.__main__ import main; code = main(['check', '--config', 'recipe.yaml']);"
        "heavy = {'torch', 'trl', 'transformers', 'datasets', 'accelerate', 'scipy', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    stages = "\n".join([
        "  - {type: pretrain, corpus: {type: nano, setting: latent}, model: {model_type: qwen3}}",
        "  - {type: distill, domain: kk, problems: 20, teacher: solver}", "  - clean", "  - sft", "  - evaluate",
        "  - {type: rlvr, domain: sums, steps: 3}",
    ])  # fmt: skip
    domains = "{kk: {}, sums: {}, registers: {}, compass: {}}"
    (tmp_path / "recipe.yaml").write_text(f"run_name: x\ndomains: {domains}\nstages:\n{stages}\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_recipe_cannot_be_changed(write: Any) -> None:
    recipe: Recipe = load_recipe(write())
    with pytest.raises(ValueError, match="frozen"):
        recipe.run_name = "other"  # type: ignore[misc]
