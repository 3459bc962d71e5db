"""What a recipe's checks find before anything runs: chains of stages, problems that do not exist, near misses."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.rows_data import settings
from warmup_rl.__main__ import main
from warmup_rl.base.config import existing_model
from warmup_rl.base.errors import RecipeError
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.recipe.load import load_recipe

RECIPE = """\
run_name: x
domains:
  kk: {people: [2, 3], deeper: 0.1}
  registers: {updates: [1, 6]}
evaluation: {problems: 20, validation: 20, samplings: {greedy: {max_tokens: 100}}}
arms:
  warmup: {}
  base: {leave_out: [distill, clean, sft]}
stages:
  - {type: pretrain, corpus: nano, model: {model_type: qwen3, max_position_embeddings: 512}}
  - {type: evaluate, id: before, prompts: [open, few_shot]}
  - {type: distill, domain: kk, problems: 20, teacher: solver}
  - clean
  - sft
  - {type: rlvr, domain: registers, steps: 10, sampling: {max_tokens: 100}}
  - {type: evaluate, id: after}
"""

PLUGIN = """\
from warmup_rl.interfaces.domain import Domain
from warmup_rl.base.types import Grade, Problem


class Few(Domain):
    type = "few"

    def problems(self, split, seed):
        yield from (Problem(f"{split}{number}", self.name, "?", "!", {}) for number in range(3))

    def grade(self, answer, problem):
        return Grade("none")

    def chance_accuracy(self, problem):
        return 0.5


class Broken(Few):
    type = "broken"

    def problems(self, split, seed):
        return {}[split]


class Endless(Few):
    type = "endless"

    def problems(self, split, seed):
        number = 0
        while number := number + 1:
            yield Problem(f"{split}{number}", self.name, "?", "!", {})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with recipe.yaml, and recipes/other.yaml with a plug-in file beside it."""
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(RECIPE, encoding="utf-8")
    Path("recipes").mkdir()
    Path("recipes/other.yaml").write_text(RECIPE, encoding="utf-8")
    Path("recipes/mine.py").write_text(PLUGIN, encoding="utf-8")
    return tmp_path


def found(*overrides: str, path: str = "recipe.yaml") -> list[str]:
    """What is wrong, without where the overrides were written."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides, draw=True)
    return [line.removeprefix("command line: ") for line in caught.value.problems]


CASES: list[tuple[str, list[str]]] = [
    ("claims.step=11", ["claims.step: RLVR ends at step 10 (got 11). Set at most that, or leave it out."]),
    ("stages.sft.args.learning_rate=-1", ["stages.sft.args.learning_rate: must be at least 0 (got -1)."]),
    ("stages.sft.args.per_device_train_batch_size=0",
     ["stages.sft.args.per_device_train_batch_size: must be at least 1 (got 0)."]),
    ("stages.rlvr.sampling.max_tokens=512", [
        "stages.rlvr.sampling.max_tokens: 512 tokens and a prompt do not fit into the model's context of 512 "
        "(stages.pretrain.model.max_position_embeddings). Set fewer, or make it longer.",
    ]),
    ("evaluation.samplings.greedy.max_tokens=600", [
        "evaluation.samplings.greedy.max_tokens: 600 tokens and a prompt do not fit into the model's context of 512 "
        "(stages.pretrain.model.max_position_embeddings). Set fewer, or make it longer.",
    ]),
    ("stages.distill.id=before", [
        "stages.distill.id: the id 'before' is taken already (recipe.yaml:11: stages.1). "
        "Give this stage an id of its own, e.g. {type: distill, id: before_2}.",
    ]),
    ("stages.sft.args.seed=3", ["stages.sft.args.seed: not allowed here: use the recipe's `seeds`."]),
    ("stages.rlvr.problems=101", [
        "stages.rlvr.problems: at most 100 RLVR problems (got 101). Take 100, or add 'allow_more: true' to this stage "
        "if more are meant.",
    ]),
    ("stages.pretrain.corpus={type: nano, world: absent}",
     ["stages.pretrain.corpus.world: unknown key (got 'absent'). This key was renamed: use 'setting'."]),
    ("stages.pretrain.corpus.kk_chats=5",
     ["stages.pretrain.corpus.kk_chats: unknown key (got 5). This key was renamed: use 'chats.kk'."]),
    ("stages.pretrain.corpus={type: nano, chats: {sums: 0, registers: 0, compass: 0, kk: 0}, "
     "textbooks: {sums: 0, registers: 0, compass: 0, kk: 0}}",
     ["stages.pretrain.corpus.textbooks: no documents: a number here or in `chats` must be more than 0."]),
    ("stages.sft.lora={rank: 8, target: q}", [
        "stages.sft.lora.rank: unknown key (got 8). Did you mean 'r'?",
        "stages.sft.lora.target: unknown key (got 'q'). Did you mean 'target_modules'?",
    ]),
    ("stages.rlvr.lora={r: 0, bias: alll, lora_alpha: 0.5}", [
        "stages.rlvr.lora.r: must be at least 1 (got 0).",
        "stages.rlvr.lora.bias: allowed: none, all, lora_only (got 'alll'). Did you mean 'all'?",
    ]),
    ("domains.kk.people=[2, 30]", ["domains.kk.people.1: must be at most 16 (got 30)."]),
    ("domains.kk.people=[2, 3, 4]", ["domains.kk.people: at most 2 items allowed (got [2, 3, 4])."]),
    ("domains.kk.people=[2]", ["domains.kk.people.1: missing (got [2])."]),
    ("domains.kk.people=[9, 3]", ["domains.kk.people: the lower bound must come first, got [9, 3]."]),
    ("domains.registers.updates=[6, 1]",
     ["domains.registers.updates: must be [min, max] with 1 <= min <= max, got [6, 1]."]),
    ("domains.kk.type=./mine.py",
     ["domains.kk.type: a file may hold several classes: add the one that is the domain, ./mine.py:NAME."]),
    ("seeds=3", ["seeds: a list is needed (got 3), e.g. [3]."]),
    ("stages=[]", ["stages: at least 1 needed (got [])."]),
    ("arms.base.leave_out=[pretrain, distill, clean, sft]", [
        "arms.base.leave_out: arm 'base' leaves out 'pretrain', which outputs the model that 'before' and 'rlvr' need. "
        "Keep 'pretrain', or leave 'before' and 'rlvr' out too.",
    ]),
    ("arms.base.leave_out=[distil, 7]", [
        "arms.base.leave_out.1: text is needed (got 7).",
        "arms.base.leave_out.0: 'distil': no such stage. Did you mean 'distill'? "
        "Stages: pretrain, before, distill, clean, sft, rlvr, after.",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("override", "expected"), CASES, ids=[case[0] for case in CASES])
def test_a_mistake_is_named_once_with_its_place(folder: Path, override: str, expected: list[str]) -> None:
    assert found(override) == expected


def test_vllm_that_is_not_installed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "vllm" else find(name, *rest))
    absent = "the package vllm is not installed here. Install it (pip install 'warmup_rl[vllm]'), or leave the key out."
    assert found("stages.rlvr.rollout_engine=vllm") == [f"stages.rlvr.rollout_engine: {absent}"]
    assert found("evaluation.engine=vllm") == [f"evaluation.engine: {absent}"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("args.use_vllm=true", "args.use_vllm: not allowed here: use `rollout_engine: vllm`."),
        ("args.vllm_mode=server", "args.vllm_mode: not allowed here: use 'vllm.mode'."),
        ("vllm={mode: server}", "vllm: base_url is the address of the server: give it under `mode: server`"),
        ("vllm={base_url: 'http://x:1'}", "vllm: base_url is the address of the server: give it under `mode: server`"),
        ("vllm={mode: server, base_url: 'node7:8000'}", "vllm.base_url: an address with http:// is needed"),
        ("vllm={gpu_memory: 1.5}", "vllm.gpu_memory: "),
        ("vllm.tensor_parallel=2", "vllm.tensor_parallel: 2 does not divide 1 processes."),
        (
            "args.loss_type=vespo",
            "args.vllm_importance_sampling_mode: loss_type vespo needs token_truncate or token_mask.",
        ),
    ],
)
def test_what_vllm_cannot_do_is_said_by_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch, override: str, expected: str
) -> None:
    monkeypatch.setattr("warmup_rl.stages.training.vllm_rollouts.is_installed", lambda: True)
    (line,) = found("stages.rlvr.rollout_engine=vllm", f"stages.rlvr.{override}")
    assert expected in line


GIVEN = """\
run_name: x
model: ./model
domains: {registers: {updates: [1, 6], phrasing: english}}
evaluation: {problems: 20, samplings: {greedy: {max_tokens: 100}}}
stages:
  - {type: evaluate, id: before}
  - {type: rlvr, domain: registers, steps: 10, sampling: {max_tokens: 100}}
"""


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe that starts from a model in a folder with a context of 256 tokens."""
    from tests.tiny import tiny_model

    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(GIVEN, encoding="utf-8")
    return tiny_model(Path("model"), response_format=ResponseFormat().asks(terse=False))


def test_budgets_above_the_context_of_a_model_in_a_folder_are_refused(given: Path) -> None:
    what = "tokens and a prompt do not fit into the model's context of 256 (max_position_embeddings in its config.json)"
    assert found("evaluation.samplings.greedy.max_tokens=4000", "stages.rlvr.sampling.max_tokens=256") == [
        f"evaluation.samplings.greedy.max_tokens: 4000 {what}. Set fewer.",
        f"stages.rlvr.sampling.max_tokens: 256 {what}. Set fewer.",
    ]


def test_an_adapter_that_names_no_base_is_refused(given: Path) -> None:
    Path("model/config.json").unlink()
    Path("model/adapter_config.json").write_text("{}")
    (line,) = found()
    assert line.startswith("recipe.yaml:2: model: model/adapter_config.json: names no base model.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: Path("model/tokenizer.json").unlink(), "no tokenizer can be loaded"),
        (lambda: Path("model/chat_template.jinja").write_text("{{ messages[0].content }}"), "does not render"),
        (lambda: None, ""),
    ],
    ids=["no tokenizer", "broken template", "sound"],
)
def test_check_reads_the_tokenizer_of_a_model_in_a_folder(
    given: Path, change: Callable[[], None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change()
    assert main(["check", "recipe.yaml"]) == (2 if message else 0)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["humaneval_plus", "mbpp_plus", "mmlu_pro"])
def test_a_recipe_that_compares_prompts_takes_validation_problems_from_the_train_rows(
    given: Path, name: str, tmp_path: Path
) -> None:
    keys, _ = settings(tmp_path)[name]
    keys = {key: value for key, value in keys.items() if key != "validation"} | {"train": 5}
    domain = f"domains.{name}={json.dumps(keys, default=str)}"
    overrides = [domain, "stages.before.prompts=[open, free]", f"evaluation.domains=[{name}]"]
    before, after = (load_recipe("recipe.yaml", some).domains[name] for some in ([domain], overrides))
    ids = {
        (when, split): [problem.id for problem in domain.unchecked(split, 0)]
        for when, domain in (("before", before), ("after", after))
        for split in ("train", "validation", "test")
    }
    assert ids["before", "test"] == ids["after", "test"] and not ids["before", "validation"]
    assert ids["after", "validation"]
    assert {*ids["after", "train"], *ids["after", "validation"]} == set(ids["before", "train"])
    if name == "mmlu_pro":  # the others run programs to check their reference answers
        load_recipe("recipe.yaml", overrides, draw=True)
        lines = found(*overrides, f"domains.{name}.validation=0")
        assert any("Set `validation` of domain 'mmlu_pro'" in line for line in lines)


def test_rows_of_ones_own_are_taken_for_validation_where_prompts_are_compared(given: Path) -> None:
    rows = "".join(f"How much is {n} and {n * n}?,{n + n * n}\n" for n in range(40))
    Path("rows.csv").write_text("question,answer\n" + rows, encoding="utf-8")
    own = ["domains.rows={type: jsonl, file: rows.csv, grader: number}", "stages.before.prompts=[open, free]"]
    domain = load_recipe("recipe.yaml", own, draw=True).domains["rows"]
    assert [domain.rows_in(split) for split in ("train", "validation", "test")] == [24, 6, 10]
    asking = [*own, "stages.rlvr.domain=rows", "stages.rlvr.problems=30"]
    (line,) = found(*asking)
    assert line.endswith("24 exist with these settings. Ask for at most 24, or set `validation` of domain 'rows'.")


def test_a_teacher_whose_folder_is_missing_is_refused(folder: Path) -> None:
    (line,) = found("stages.distill.teacher={type: hf, model: ./nowhere}")
    assert line.startswith("stages.distill.teacher.model: no such folder: ./nowhere (looked from ")


def test_a_recipe_of_nothing_misses_its_keys(folder: Path) -> None:
    Path("recipe.yaml").write_text("run_name: x\n", encoding="utf-8")
    assert [line.partition(". ")[0] for line in found()] == [
        "recipe.yaml: domains: missing", "recipe.yaml: stages: missing"
    ]  # fmt: skip


def test_a_model_that_nobody_gives_is_missed_once_for_all_arms(folder: Path) -> None:
    text = RECIPE.replace(RECIPE[RECIPE.index("  - {type: pretrain") : RECIPE.index("  - {type: evaluate, id: b")], "")
    Path("recipe.yaml").write_text(text, encoding="utf-8")
    assert found() == [
        "recipe.yaml:10: stages.0: stages 'before', 'clean' and 'sft' need a model, but no earlier stage outputs one "
        "and the key 'model' is not set. Set 'model', or begin with 'pretrain'.",
    ]


def test_a_stage_without_type_is_all_that_is_reported(folder: Path) -> None:
    Path("recipe.yaml").write_text(RECIPE.replace("- sft", "- {tpe: sft}"), encoding="utf-8")
    assert found() == [
        "recipe.yaml:14: stages.4: the name of a stage, or a mapping with 'type', is needed (got a mapping with tpe). "
        "Allowed: pretrain, distill, clean, sft, rlvr, evaluate, triage, guided_rlvr, teacher, opd.",
    ]


@pytest.mark.parametrize(("overrides", "expected"), [
    (("domains.kk={type: ./recipes/mine.py:Few}",),
     "recipe.yaml:12: stages.2.problems: 20 train problems of domain 'kk' asked for, 3 exist with these settings. "
     "Ask for at most 3, or widen the domain's difficulty settings."),
    (("domains.new={type: ./recipes/mine.py:Few}",),
     "recipe.yaml:5: evaluation.problems: 20 test problems of domain 'new' asked for, 3 exist with these settings. "
     "Ask for at most 3, or widen the domain's difficulty settings."),
    (("domains.new={type: ./recipes/mine.py:Broken}",), "domains.new: problems("),
    (("stages.distill.domain=registers",), "recipe.yaml:12: stages.2: "),
])  # fmt: skip
def test_problems_that_a_domain_does_not_give_are_named(folder: Path, overrides: Any, expected: str) -> None:
    assert any(line.startswith(expected) for line in found(*overrides))


def test_rows_that_are_missing_are_named_however_long_their_check_takes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup_rl.recipe.data_requests.BUDGET", -1.0)
    rows = "".join(json.dumps({"question": f"Twice {n}?", "answer": 2 * n}) + "\n" for n in range(8))
    (folder / "rows.jsonl").write_text(rows)
    lines = found("domains.mine={type: jsonl, file: rows.jsonl, grader: number}", "stages.rlvr.domain=mine")
    assert any("train problems of domain 'mine' asked for, 5 exist" in line for line in lines), lines


def test_more_problems_than_can_be_drawn_in_hours_are_refused_without_drawing_them(folder: Path) -> None:
    (line,) = found("domains.kk={type: ./recipes/mine.py:Endless}", "stages.distill.problems=1000000000000000")
    assert line.startswith("stages.distill.problems: 1000000000000000 train problems of domain 'kk' asked for: drawing")


STAGE = """\
from typing import Any, ClassVar
from warmup_rl.interfaces.stage import Stage


class Prefer(Stage):
    \"\"\"Trains on pairs.\"\"\"

    type: ClassVar[str] = "prefer"
    trainer_config: ClassVar[str] = "trl:DPOConfig"
    inputs = outputs = frozenset({"model"})
    args: dict[str, Any] = {}

    def run(self, context):
        return {}


class Own(Prefer):
    trainer_config: ClassVar[str] = "./stage.py:MyConfig"
"""


def test_args_of_a_users_stage_are_checked_against_the_config_that_it_names(folder: Path) -> None:
    Path("stage.py").write_text(STAGE, encoding="utf-8")
    text = (
        RECIPE + "  - {type: ./stage.py:Prefer, args: {beta: 0.1, bet: 1}}\n  - {type: ./stage.py:Own, args: {x: 1}}\n"
    )
    Path("recipe.yaml").write_text(text, encoding="utf-8")
    assert found() == ["recipe.yaml:17: stages.7.args.bet: unknown key (got 1). Did you mean 'beta'?"]


GRADER = """\
from warmup_rl.base.types import Grade
from warmup_rl.domains.graders import Grader


class Initial(Grader):
    type = "initial"
    letters: int = 1

    def grade(self, answer, problem):
        return Grade("correct" if answer[: self.letters] == problem.gold[: self.letters] else "wrong", answer)
"""


def test_a_users_grader_is_a_plug_in_like_any_other(folder: Path) -> None:
    Path("mine.py").write_text(GRADER, encoding="utf-8")
    Path("rows.csv").write_text("question,answer\nTwice 2?,four\nTwice 3?,six\n", encoding="utf-8")
    override = "domains.rows={type: jsonl, file: rows.csv, grader: {type: ./mine.py:Initial, letters: 2}}"
    domain = load_recipe("recipe.yaml", [override]).resolved()["domains"]["rows"]
    assert domain["grader"] == {"type": "./mine.py:Initial", "letters": 2}
    assert found(override.replace("letters: 2", "leters: 2")) == [
        "domains.rows.grader.leters: unknown key (got 2). Did you mean 'letters'?"
    ]


def test_a_plug_in_file_is_found_beside_the_recipe(folder: Path) -> None:
    override = ["domains.new={type: ./mine.py:Endless}"]
    recipe = load_recipe("recipes/other.yaml", override)
    assert recipe.resolved()["domains"]["new"]["type"] == "recipes/mine.py:Endless"
    with pytest.raises(RecipeError, match="no such plug-in file"):
        load_recipe("recipe.yaml", override)


ROWS = "domains.rows={type: jsonl, file: rows.csv, grader: {python: './rule.py:grade'}}"
CSV = "question,answer\nTwice 2?,four\nTwice 3?,six\n"


def test_data_and_rules_are_found_beside_the_recipe_unless_they_are_in_the_working_directory(folder: Path) -> None:
    Path("recipes/rows.csv").write_text(CSV, encoding="utf-8")
    Path("recipes/rule.py").write_text("def grade(question, answer, gold): return True\n", encoding="utf-8")
    domain = load_recipe("recipes/other.yaml", [ROWS]).resolved()["domains"]["rows"]
    assert (domain["file"]["path"], domain["grader"]["function"]) == ("recipes/rows.csv", "recipes/rule.py:grade")
    Path("rows.csv").write_text(CSV, encoding="utf-8")
    assert load_recipe("recipes/other.yaml", [ROWS]).resolved()["domains"]["rows"]["file"]["path"] == "rows.csv"


def test_a_model_folder_is_found_beside_the_recipe_and_outputs_are_not(folder: Path) -> None:
    for name in ("own/model", "results"):
        (folder / "recipes" / name).mkdir(parents=True)
    (folder / "recipes/own/model/config.json").write_text("{}", encoding="utf-8")
    text = RECIPE.replace("run_name", "output_dir: ./results\nmodel: own/model\nrun_name", 1)
    lines = [line for line in text.splitlines() if "pretrain" not in line]
    Path("recipes/other.yaml").write_text("\n".join(lines), encoding="utf-8")
    recipe = load_recipe("recipes/other.yaml")
    assert (recipe.model, str(recipe.output_dir)) == ("recipes/own/model", "results")


@pytest.mark.parametrize("draw", [False, True])
def test_a_missing_data_file_is_named_with_its_line(folder: Path, draw: bool) -> None:
    text = RECIPE.replace("domains:", "domains:\n  rows:\n    type: jsonl\n    grader: exact\n    file: rows.csv", 1)
    Path("recipe.yaml").write_text(text, encoding="utf-8")
    line = text.splitlines().index("    file: rows.csv") + 1
    message = f"recipe.yaml:{line}: domains.rows.file: rows.csv: no such file (looked from {folder})."
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
        load_recipe("recipe.yaml", draw=draw)
    assert load_recipe("recipe.yaml", files=False).domains["rows"].type == "jsonl"


def test_a_missing_model_in_an_existing_folder_is_not_a_hub_id(folder: Path) -> None:
    lines = [line for line in RECIPE.splitlines() if "pretrain" not in line]
    Path("recipe.yaml").write_text("\n".join(lines), encoding="utf-8")
    assert found("model=recipes/none") == [f"model: no such folder: recipes/none (looked from {folder})."]
    assert existing_model("Qwen/Qwen2.5-3B") == "Qwen/Qwen2.5-3B"


MANY = RECIPE.replace(
    "{type: pretrain, corpus: nano,", "{name: pretrain, corpus: {type: nano, world: latent},"
).replace("domain: registers, steps: 10,", "domain: registrs, steps: many, args: {max_steps: 3},")


@pytest.mark.parametrize("draw", [False, True])
def test_errors_are_reported_together(folder: Path, draw: bool) -> None:
    Path("recipe.yaml").write_text(MANY.replace("problems: 20, val", "problems: 90000000, val"), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe("recipe.yaml", ["stages.nope.x=1", "seeds=a", "domains.few=./recipes/mine.py:Few"], draw=draw)
    starts = [
        "recipe.yaml:5: evaluation.problems: 90000000 test problems of domain 'kk' asked for",
        "recipe.yaml:10: stages.0.name: unknown key (got 'pretrain'). This key was renamed: use 'type'.",
        "recipe.yaml:10: stages.0.corpus.world: unknown key (got 'latent'). This key was renamed: use 'setting'.",
        "recipe.yaml:15: stages.5.steps: a whole number is needed (got 'many').",
        "recipe.yaml:15: stages.5.domain: domain 'registrs' is not declared. Did you mean 'registers'?",
        "recipe.yaml:15: stages.5.args.max_steps: not allowed",
        "command line: stages.nope.x: no such stage.",
        "command line: seeds: a list is needed (got 'a')",
    ]
    for start in starts:
        assert any(line.startswith(start) for line in caught.value.problems), caught.value.problems


def test_check_warns_where_a_terse_corpus_meets_english_questions(folder: Path, capsys: Any) -> None:
    terse = ["domains.kk={people: [2, 3], phrasing: terse}", "domains.registers.phrasing=terse"]
    for overrides, names in ((terse[:1], "registers"), ([], "kk, registers"), (terse, "")):
        assert main(["check", "recipe.yaml", *overrides]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        warning = f"only; to its model the questions of {names} are"
        assert (warning in shown) == bool(names) and ("unknown words" in shown) == bool(names)


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ("{arm: warmpu, domain: kk, value: 0.5, source: a}", "reference.figures.0.arm: no arm 'warmpu'. Did"),
        ("{arm: base, domain: math, value: 0.5, source: a}", "reference.figures.0.domain: no domain 'math'. "),
        ("{arm: base, value: 0.5, source: a}", "reference.figures.0: give `arm` and `domain`, or `claim`"),
        ("{claim: end.steps.target, arm: base, domain: kk, value: 0.5, source: a}", "reference.figures.0: give `a"),
        ("{arm: base, domain: kk, value: 54.0, source: a}", "reference.figures.0.value: must be at most 1.0 (got 54"),
        ("{arm: base, domain: kk, value: 0.5}", "reference.figures.0.source: missing."),
    ],
)  # fmt: skip
def test_a_published_figure_stands_beside_something(tmp_path: Path, figure: str, message: str) -> None:
    own = tmp_path / "r.yaml"
    own.write_text(f"{RECIPE}reference: {{model: m, figures: [{figure}]}}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(own)
    assert any(message in problem for problem in caught.value.problems), caught.value.problems
