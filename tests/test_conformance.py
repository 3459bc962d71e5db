"""The conformance suite: every plug-in of the table passes it, and broken plug-ins fail it."""

import inspect
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.broken_plugins import (
    BROKEN,
    Adversary,
    Greedy,
    Raising,
    Truth,
    Twice,
    Undecided,
    WithoutFile,
)
from tests.rows_data import sandbox_or_skip, settings
from tests.tiny import Adding, tiny_model
from warmup_rl.__main__ import main
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import write_jsonl
from warmup_rl.base.types import SPLITS
from warmup_rl.interfaces.conformance import assert_conforms, run_checks
from warmup_rl.interfaces.plugins import TABLE, load
from warmup_rl.stages.training.rewards import Reward

EXAMPLES = Path(__file__).parent.parent / "examples"
ADDING = Adding(name="adding", instruction="Answer with a number.")
GENERATED = [
    ("kk", {"people": [2, 3], "phrasing": "terse"}),
    ("kk", {"people": [3, 5], "phrasing": "english"}),
    ("sums", {"phrasing": "terse"}),
    ("sums", {"phrasing": "english"}),
    ("registers", {"phrasing": "terse"}),
    ("registers", {"phrasing": "english"}),
    ("compass", {"phrasing": "terse"}),
    ("compass", {"phrasing": "english"}),
]


@pytest.mark.parametrize(("name", "keys"), GENERATED, ids=[f"{name}-{keys['phrasing']}" for name, keys in GENERATED])
def test_generated_domains_conform(name, keys):
    assert_conforms(load("domain", name)(**keys))


@pytest.mark.parametrize(("name", "keys"), GENERATED, ids=[f"{name}-{keys['phrasing']}" for name, keys in GENERATED])
def test_canonical_keys_are_unique_name_their_family_and_follow_from_what_is_stored(name, keys):
    domain = load("domain", name)(**keys)
    problems = [problem for split in SPLITS for problem in domain.take(split, 0, 40)]
    found = [domain.canonical(problem) for problem in problems]
    assert len(set(found)) == len(found) and all(key.startswith(f"{name}/") for key in found)
    stored = [replace(problem, meta=json.loads(json.dumps(problem.meta))) for problem in problems]
    assert [domain.canonical(problem) for problem in stored] == found
    assert domain.canonical(replace(problems[0], meta={})) is None
    assert domain.is_terse == (keys["phrasing"] == "terse")


@pytest.mark.parametrize("name", ["math", "gsm8k", "mmlu_pro", "humaneval_plus", "mbpp_plus", "jsonl"])
def test_domains_over_a_file_conform(name, tmp_path):
    if name in ("humaneval_plus", "mbpp_plus"):
        sandbox_or_skip()
    keys, count = settings(tmp_path)[name]
    assert_conforms(load("domain", name).model_validate(keys), problems=count)


@pytest.mark.parametrize("name", TABLE["domain"])
def test_what_a_domain_pays_by_default_is_a_reward_table_that_prefers_right_answers(name):
    reward = Reward.model_validate(load("domain", name).REWARDS)
    assert reward.correct > max(reward.wrong, reward.no_answer, reward.bad_format, reward.timeout)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("model")))


ENGINES = {"solver": {}, "hf": {"model": "MODEL"}, "replay": {"source": "TRACES"}, "self": {"attempts": 2}}
ELSEWHERE = {"openai": "needs a server", "vllm": "needs a GPU"}
"""Engines that cannot be opened here, and why."""


@pytest.mark.parametrize("name", ENGINES)
def test_engines_conform(name, model, tmp_path):
    domain = None if name == "solver" else ADDING
    rows = [{"question": problem.question, "response": problem.gold} for problem in ADDING.take("train", 0, 3)]
    write_jsonl(tmp_path / "traces.jsonl", rows * 3)
    places = {"MODEL": model, "TRACES": str(tmp_path / "traces.jsonl")}
    keys = {key: places.get(value, value) for key, value in ENGINES[name].items()}
    results = list(run_checks(load("engine", name)(**keys), domain=domain, model=model))
    assert all(result.status == "passed" for result in results), results


@pytest.mark.parametrize("name", TABLE["cleaner"])
def test_cleaners_conform(name, model):
    results = list(run_checks(load("cleaner", name)(), domain=ADDING, model=model))
    assert all(result.status == "passed" for result in results), results


SAMPLING = {"temperature": 1.0, "max_tokens": 8}
STAGES = {
    "pretrain": {
        "corpus": {"type": "nano", "setting": "absent", "share": 0.002},
        "model": {"model_type": "qwen3", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
                  "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16},
    },
    "distill": {"domain": "adding", "problems": 2, "teacher": {"type": "replay", "source": "TRACES"}},
    "clean": {"steps": ["correct", "duplicates"]},
    "sft": {"batch_size": 2, "epochs": 1},
    "rlvr": {"domain": "adding", "problems": 2, "steps": 1, "prompts_per_step": 2, "generations": 2,
             "sampling": SAMPLING},
    "evaluate": {},
}  # fmt: skip


@pytest.mark.parametrize("name", STAGES)
def test_stages_conform(name, model, tmp_path):
    form = ("so\n</think>\n<answer> {} </answer>").format
    problems = ADDING.take("train", 0, 2)
    rows = [{"question": problem.question, "response": form(problem.gold)} for problem in problems]
    write_jsonl(tmp_path / "traces.jsonl", rows)
    keys = dict(STAGES[name])
    if name == "distill":
        keys["teacher"] = {"type": "replay", "source": str(tmp_path / "traces.jsonl")}
    results = list(run_checks(load("stage", name)(**keys), domain=ADDING, model=model))
    assert all(result.status == "passed" for result in results), results


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("domain", "domain.py:Parity"),
        ("engine", "teacher_engine.py:Enumerator"),
        ("cleaner", "cleaner.py:PreferShort"),
        ("stage", "dpo_stage.py:Dpo"),
    ],
)
def test_the_examples_conform(kind, name, model):
    parity = load("domain", f"{EXAMPLES}/domain.py:Parity")(name="parity")
    results = list(run_checks(load(kind, f"{EXAMPLES}/{name}")(), domain=parity, model=model))
    assert not [result for result in results if result.status == "failed"], results


def test_every_plug_in_of_the_table_is_checked(tmp_path):
    assert {name for name, _ in GENERATED} | set(settings(tmp_path)) == set(TABLE["domain"])
    assert set(ENGINES) | set(ELSEWHERE) == set(TABLE["engine"])
    assert set(STAGES) == set(TABLE["stage"])


# Broken plug-ins


@pytest.mark.parametrize(("plugin", "check"), BROKEN, ids=[plugin.__name__ for plugin, _ in BROKEN])
def test_a_broken_plug_in_fails(plugin, check):
    results = {result.name: result for result in run_checks(plugin(), problems=30)}
    assert results[check].status == "failed" and results[check].note


@pytest.mark.parametrize(
    ("plugin", "place", "fault"),
    [
        (Raising, "int(answer)", "ValueError: invalid literal for int()"),
        (Truth, "def grade", "`grade` must return a Grade (got True)."),
        (Undecided, 'Grade("maybe")', "'maybe' is not a verdict. Allowed: correct, wrong, none, timeout."),
        (WithoutFile, "open(", "FileNotFoundError: "),
        (Adversary, 'meta["none"]', "KeyError: 'none'"),
    ],
)
def test_an_exception_is_a_failed_check_with_its_line_and_is_told_once(plugin, place, fault):
    lines = inspect.getsource(plugin).splitlines()
    line = inspect.getsourcelines(plugin)[1] + next(number for number, text in enumerate(lines) if place in text)
    results = list(run_checks(plugin(), problems=5))
    notes = [result.note for result in results if result.status == "failed" and fault in result.note]
    assert f"broken_plugins.py:{line}: " in notes[0] and len(set(notes)) == len(notes), results
    assert len(results) > 13


def test_tests_of_a_users_own_fail_with_the_names_of_the_checks():
    with pytest.raises(AssertionError, match="answers each request once: not asked for, or given twice"):
        assert_conforms(Twice())


def test_without_a_model_a_check_is_skipped_and_says_so():
    results = {result.name: result for result in run_checks(Greedy())}
    assert results["writes what it declares"].status == "skipped"
    assert "--model" in results["writes what it declares"].note


def test_other_objects_have_no_checks():
    with pytest.raises(UserError, match="there are checks for domain, engine, cleaner, stage only"):
        list(run_checks(load("corpus", "nano")()))


# The command

OWN = """
{torch}
from warmup_rl.nano.sums import Sums

class Mine(Sums):
    shift: int = 0

    def chance_accuracy(self, problem):
        return 0.01 + self.shift
"""


@pytest.mark.parametrize(
    ("torch", "arguments", "code", "line"),
    [
        ("", [], 0, "passed   ids are distinct"),
        ("", ["shift=3"], 1, "failed   chance accuracy is a probability: "),
        ("import torch", [], 1, "failed   importing it does not import torch: "),
        ("", ["shft=3"], 2, "shft: unknown key (got 3). Did you mean 'shift'?"),
    ],
    ids=["sound", "broken by a setting", "torch", "a wrong key"],
)
def test_the_command_prints_the_checks_of_a_file(tmp_path, capsys, torch, arguments, code, line):
    (tmp_path / "mine.py").write_text(OWN.format(torch=torch))
    assert main(["conformance", f"{tmp_path}/mine.py:Mine", *arguments, "--problems", "5"]) == code
    assert line in "".join(capsys.readouterr())


def test_a_plug_in_with_a_file_beside_it_conforms(tmp_path, capsys):
    (tmp_path / "shifted.py").write_text("SHIFT = 3")
    own = OWN.format(torch="from shifted import SHIFT").replace("self.shift", "SHIFT / 10")
    (tmp_path / "mine.py").write_text(own)
    assert main(["conformance", f"{tmp_path}/mine.py:Mine", "--problems", "5"]) == 0, capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sum"], "unknown plug-in 'sum'. Did you mean 'sums'?"),
        (["./none.py:Mine"], "none.py: no such plug-in file"),
        ([], "the following arguments are required: PLUGIN\n"),
        ([f"{EXAMPLES}/grader.py:grade"], f"jsonl file=FILE grader=python:{EXAMPLES}/grader.py:grade"),
        ([f"{EXAMPLES}/order_grader.py:Order"], "jsonl file=FILE grader=NAME"),
        ([f"{EXAMPLES}/hard_groups.py:HardGroups"], "is a trainer. Trainers are not checked"),
        ([f"{EXAMPLES}/order_grader.py:Mapping"], "does not inherit from an interface"),
    ],
)
def test_what_cannot_be_loaded_is_named(capsys, arguments, message):
    assert main(["conformance", *arguments]) == 2
    assert message in capsys.readouterr().err
