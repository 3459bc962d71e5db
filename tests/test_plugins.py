"""Plug-ins from files: what is wrong with one is said in a line, with its place."""

import pytest

from warmup_rl.base.errors import UserError
from warmup_rl.interfaces.plugins import load

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
