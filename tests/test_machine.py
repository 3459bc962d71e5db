"""What this machine gives: cores that are shared, and packages that are installed, not folders named like them."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from warmup_rl.base.machine import hide_folders, share_cores


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "10000"), ({"OMP_WAIT_POLICY": "active"}, None), ({"GOMP_SPINCOUNT": "7"}, "7")],
)
def test_waiting_threads_sleep_soon_unless_the_user_decides(given, spins, monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    share_cores()
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_a_folder_in_the_working_directory_does_not_pass_for_a_package(tmp_path, monkeypatch):
    from trl.import_utils import is_vllm_available

    (tmp_path / "vllm" / "source").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "plugin.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    monkeypatch.delitem(sys.modules, "vllm", raising=False)
    assert find_spec("vllm") is not None
    hide_folders.__wrapped__()
    try:
        assert find_spec("vllm") is None and not is_vllm_available()
        assert find_spec("mine.plugin") is not None and find_spec("peft") is not None
    finally:
        sys.modules.pop("vllm", None)


def test_a_package_that_is_installed_stays(tmp_path, monkeypatch):
    (tmp_path / "peft").mkdir()
    monkeypatch.chdir(tmp_path)
    hide_folders.__wrapped__()
    assert Path(find_spec("peft").origin).name == "__init__.py"
