"""What this machine gives: packages that are installed, not folders that are named like them."""

import sys
from importlib.util import find_spec
from pathlib import Path

from warmup_rl.base.machine import hide_folders


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
