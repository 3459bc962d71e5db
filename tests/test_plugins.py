"""Plug-ins from files: what is wrong with one is said in a line, with its place."""

import importlib
import os
import sys

import pytest

from warmup_rl.base.errors import UserError
from warmup_rl.domains.graders import PythonGrader
from warmup_rl.engines.hf import HuggingFace
from warmup_rl.interfaces.plugins import data_files, load

HEAD = "from warmup_rl.interfaces.domain import Domain\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def broken(:\n", r"mine\.py:1: invalid syntax"),
        (HEAD + "import nowhere\n", r"mine\.py:2: ModuleNotFoundError: No module named 'nowhere'"),
        (HEAD + "\n1 / 0\n", r"mine\.py:3: ZeroDivisionError"),
        (HEAD + "class Mine(Domain):\n    type = 'mine'\n", "Mine does not define chance_accuracy, grade, problems"),
        (HEAD, "has no class 'Mine'"),
    ],
    ids=["syntax", "import", "raises", "abstract", "missing class"],
)
def test_a_broken_plugin_is_an_error_with_its_place(tmp_path, source, message):
    file = tmp_path / "mine.py"
    file.write_text(source)
    with pytest.raises(UserError, match=message):
        load("domain", f"{file}:Mine")


def test_a_missing_file_and_an_unknown_name_are_named(tmp_path):
    with pytest.raises(UserError, match="no such plug-in file"):
        load("domain", f"{tmp_path}/none.py:Mine")
    with pytest.raises(UserError, match="Did you mean 'sums'"):
        load("domain", "sum")


OWN = """
from helper import WORD
from warmup_rl.nano.sums import Sums

class Mine(Sums):
    word: str = WORD
"""


def test_a_plug_in_imports_the_file_beside_it_and_not_its_namesake_of_another_plug_in(tmp_path, monkeypatch):
    for name in ("here", "there", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helper.py").write_text(f"class Shared: pass\nWORD = {name!r}\n")
    for name in ("here/one.py", "there/one.py", "there/two.py"):
        (tmp_path / name).write_text(OWN)
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    files = ("here/one.py", "there/one.py", "there/two.py")
    assert [load("domain", f"../{file}:Mine")().word for file in files] == ["here", "there", "there"]
    assert "helper" not in sys.modules and importlib.import_module("helper").WORD == "elsewhere"
    (tmp_path / "there" / "three.py").write_text(OWN)
    assert load("domain", "../there/three.py:Mine")().word == "there"
    assert sys.modules.pop("helper").WORD == "elsewhere"


def test_a_file_beside_a_plug_in_does_not_take_the_place_of_an_installed_module(tmp_path):
    for name in ("random", "regex"):
        (tmp_path / f"{name}.py").write_text("1 / 0")
    (tmp_path / "mine.py").write_text(OWN.replace("from helper import WORD", "import random, regex\nWORD = ''"))
    assert load("domain", f"{tmp_path}/mine.py:Mine")().word == ""


def test_a_grader_of_the_users_counts_by_its_content(tmp_path):
    rules = tmp_path / "rules.py"
    rules.write_text("def grade(question, answer, gold): return True")
    grader = PythonGrader(function=f"{rules}:grade")
    before = grader.digest(), data_files(grader)
    assert list(before[1]) == [str(rules)]
    os.utime(rules, (1, 1))
    assert (grader.digest(), data_files(grader)) == before
    rules.write_text("def grade(question, answer, gold): return None")
    assert grader.digest() != before[0] and data_files(grader) != before[1]


def test_a_model_folder_counts_by_its_files_and_other_texts_name_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("model", "greedy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.bin").write_bytes(b"1")
    (tmp_path / "model" / "config.json").write_text("{}")
    assert list(data_files(HuggingFace(model="./model"))) == ["./model/config.json", "./model/weights.bin"]
    assert data_files(["greedy", "", "a\0b", "x" * 5000, "~nobody/x", 3, None]) == {}
