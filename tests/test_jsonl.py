"""JSON lines survive kills and say where they are broken."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmup_rl.base.errors import DataError
from warmup_rl.base.jsonl import append_jsonl, json_line, read_jsonl, write_jsonl

rows = st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.integers() | st.none()), max_size=4)


@given(first=rows, second=rows, torn=st.sampled_from(["", "{", '{"a": 1', '{"a": "é']))
def test_append_keeps_whole_rows_and_cuts_a_torn_one(tmp_path_factory, first, second, torn):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_jsonl(path, first)
    with path.open("a", encoding="utf-8") as file:
        file.write(torn)
    append_jsonl(path, second)
    assert list(read_jsonl(path)) == first + second


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a", b'"a"'), ("é \U0001d4a9", '"é \U0001d4a9"'.encode()), (r"\underline", rb'"\\underline"'),
        ("\x7f", b'"\x7f"'), ("\x00", rb'"\u0000"'), ("é\ud800", rb'"\u00e9\ud800"'),
    ],
)  # fmt: skip
def test_text_is_written_as_it_is_where_utf8_can(text, written):
    assert json_line(text) == written + b"\n"
    assert json.loads(written) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": \n', ":2: not JSON"),
        (b"[1]\n", ":1: a JSON object is needed, found list"),
        (b'{"a": "\xff"}\n', "not UTF-8"),
    ],
)
def test_broken_rows_are_named(tmp_path, content, message):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_jsonl(path))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="none.jsonl: no such file"):
        list(read_jsonl(tmp_path / "none.jsonl"))


def test_byte_order_mark_and_blank_lines_are_fine(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}\n')
    assert [row["a"] for row in read_jsonl(path)] == [1, 2]


def test_processes_that_write_the_same_file_do_not_meet(tmp_path):
    path = tmp_path / "value.json"
    code = "import sys; from pathlib import Path; from warmup_rl.base.jsonl import write_json\n"
    code += "for n in range(300): write_json(Path(sys.argv[1]), {'n': n})"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert json.loads(path.read_text()) == {"n": 299}
    assert list(tmp_path.iterdir()) == [path]
