"""Every shipped domain keeps its promises, in every phrasing."""

import pytest

from tests.conformance import check, imports_torch
from warmup_rl.plugins import TABLE, load

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


def test_every_domain_of_the_table_is_checked():
    assert {name for name, _ in SETTINGS} == set(TABLE["domain"])


def test_no_domain_imports_torch():
    modules = ", ".join(target.partition(":")[0] for target in TABLE["domain"].values())
    assert not imports_torch(modules)
