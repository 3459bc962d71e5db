"""The package as a library: its README's examples run, and it needs nothing but the standard library."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import program_sandbox
from sandbox_support import sandbox_or_skip

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_examples_of_the_readme_run() -> None:
    sandbox_or_skip("auto")
    examples = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert len(examples) == 3
    names: dict[str, Any] = {}
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)


def test_the_readme_names_what_is_public() -> None:
    missing = [name for name in program_sandbox.__all__ if not re.search(rf"\b{name}\b", README)]
    assert missing == []


def test_it_needs_only_the_standard_library() -> None:
    folder = str(Path(program_sandbox.__file__).parent.parent)
    script = f"""
import sys
sys.path.insert(0, {folder!r})
import program_sandbox
names = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(names - sys.stdlib_module_names - {{"__main__", "program_sandbox"}}))
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
