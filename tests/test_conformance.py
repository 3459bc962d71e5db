"""Every shipped domain keeps its promises, in every phrasing."""

import json
from dataclasses import replace

import pytest

from tests.conformance import check, imports_torch, sandbox_or_skip
from tests.rows_data import settings
from warmup_rl.base.types import SPLITS
from warmup_rl.interfaces.plugins import TABLE, load
from warmup_rl.stages.training.rewards import Reward

SETTINGS = [
    ("kk", {"people": [2, 3], "phrasing": "terse"}),
    ("kk", {"people": [3, 5], "phrasing": "english"}),
    ("sums", {"phrasing": "terse"}),
    ("sums", {"phrasing": "english"}),
    ("registers", {"phrasing": "terse"}),
    ("registers", {"phrasing": "english"}),
    ("compass", {"phrasing": "terse"}),
    ("compass", {"phrasing": "english"}),
]


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=[f"{n}-{s['phrasing']}" for n, s in SETTINGS])
def test_domain_keeps_its_promises(name, settings):
    check(load("domain", name)(**settings))


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=[f"{n}-{s['phrasing']}" for n, s in SETTINGS])
def test_canonical_keys_are_unique_name_their_family_and_follow_from_what_is_stored(name, settings):
    domain = load("domain", name)(**settings)
    problems = [problem for split in SPLITS for problem in domain.take(split, 0, 40)]
    keys = [domain.canonical(problem) for problem in problems]
    assert len(set(keys)) == len(keys) and all(key.startswith(f"{name}/") for key in keys)
    stored = [replace(problem, meta=json.loads(json.dumps(problem.meta))) for problem in problems]
    assert [domain.canonical(problem) for problem in stored] == keys
    assert domain.canonical(replace(problems[0], meta={})) is None
    assert domain.is_terse == (settings["phrasing"] == "terse")


@pytest.mark.parametrize("name", ["math", "gsm8k", "mmlu_pro", "humaneval_plus", "mbpp_plus", "jsonl"])
def test_domain_over_a_file_keeps_its_promises(name, tmp_path):
    if name in ("humaneval_plus", "mbpp_plus"):
        sandbox_or_skip()
    given, count = settings(tmp_path)[name]
    check(load("domain", name).model_validate(given), count)


@pytest.mark.parametrize("name", TABLE["domain"])
def test_what_a_domain_pays_by_default_is_a_reward_table_that_prefers_right_answers(name):
    reward = Reward.model_validate(load("domain", name).REWARDS)
    assert reward.correct > max(reward.wrong, reward.no_answer, reward.bad_format, reward.timeout)


def test_every_domain_of_the_table_is_checked(tmp_path):
    assert {name for name, _ in SETTINGS} | set(settings(tmp_path)) == set(TABLE["domain"])


def test_no_domain_imports_torch():
    modules = ", ".join(target.partition(":")[0] for target in TABLE["domain"].values())
    assert not imports_torch(modules)
