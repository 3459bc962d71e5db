"""Files of strangers: bombs, nesting, numbers without end and terminal escapes give one clear line, before any work."""

import errno
import gzip
import io
import json
import os
import re
import sys
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from tests.synthetic_run import edit_json, pair, write_run
from tests.tiny import Adding
from warmup_rl.__main__ import main
from warmup_rl.base.console import open_console, quiet_libraries, run_command
from warmup_rl.base.errors import DataError, RecipeError, Unscorable, UserError
from warmup_rl.base.files import aside
from warmup_rl.base.jsonl import read_json, read_jsonl
from warmup_rl.base.machine import cores
from warmup_rl.base.types import Problem
from warmup_rl.base.untrusted import literal, parse_json, parse_yaml, printable
from warmup_rl.data.datasets import Source
from warmup_rl.domains.graders import listed_options
from warmup_rl.grading.math_words import read_answer
from warmup_rl.interfaces.domain import Answered, score_all
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.recipe.document import parse_document
from warmup_rl.stages.rlvr import Rlvr
from warmup_rl.stages.training.prompt_plan import prompt_plan, use_counts

DEEP, DIGITS = "[" * 100_000 + "]" * 100_000, "9" * 10**6
LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
ROW = b'{"question": "1 + 1", "answer": 2}\n'


def bomb() -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        for _ in range(100):
            file.write(b"a" * (1 << 20))
    return packed.getvalue()


FILES = {
    "an integer of a million digits": ("a.jsonl", f'{{"n": {DIGITS}}}', "a.jsonl:1: not JSON (an integer of more than"),
    "deep nesting": ("a.jsonl", f'{{"n": {DEEP}}}', "a.jsonl:1: not JSON (lists and mappings nested more than 100"),
    "nesting that Python still reads": ("a.jsonl", '{"a":' * 200 + "1" + "}" * 200, "nested more than 100 levels"),
    "deep nesting in a list of rows": ("a.json", DEEP, "a.json: not JSON (lists and mappings nested more than 100"),
    "a torn last row": ("a.jsonl", ROW + b'{"quest', "a.jsonl:2: not JSON (Unterminated string"),
    "corrupt gzip": ("a.jsonl.gz", gzip.compress(ROW * 99)[:40] + b"\xff" * 40, "the gzip file is broken"),
    "gzip cut short": ("a.jsonl.gz", gzip.compress(ROW * 99)[:-9], "the gzip file is broken"),
    "a gzip bomb of one line": ("a.jsonl.gz", bomb(), "a.jsonl.gz:1: a line of more than 67,108,864 characters"),
    "a gzip bomb in a JSON file": ("a.json.gz", bomb(), "unpacks to more than 200 times its size"),
    "a gzip bomb in a table": ("a.csv.gz", bomb(), "unpacks to more than 200 times its size"),
    "a column named twice": ("a.csv", "a,b,a\n1,2,3\n", "two columns are named 'a'"),
}


@pytest.mark.parametrize(("name", "content", "message"), FILES.values(), ids=FILES)
def test_a_hostile_file_is_refused_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        list(Source(path=str(tmp_path / name)).rows())
    assert message in str(caught.value) and len(str(caught.value)) < 400


def test_long_cells_and_columns_without_a_name_are_read(tmp_path):
    trace = "so " * 100_000
    (tmp_path / "a.csv").write_text(f'question,answer,,\n"{trace}",4,,\n')
    ((_, row),) = Source(path=str(tmp_path / "a.csv")).rows()
    assert row["question"] == trace and row["answer"] == "4"


def test_half_a_surrogate_pair_in_a_row_becomes_a_replacement_character(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"question": "a \\ud83d b \\ud83d\\ude00", "list": ["\\udc00"]}\n')
    ((_, row),) = Source(path=str(tmp_path / "a.jsonl")).rows()
    assert row == {"question": "a \ufffd b \N{GRINNING FACE}", "list": ["\ufffd"]}


def test_our_own_files_have_the_same_limits(tmp_path):
    (tmp_path / "a.jsonl").write_text(DEEP)
    (tmp_path / "a.json").write_text(f"[{DIGITS}]")
    with pytest.raises(DataError, match="a.jsonl:1: not JSON"):
        list(read_jsonl(tmp_path / "a.jsonl"))
    with pytest.raises(DataError, match="a.json: not JSON"):
        read_json(tmp_path / "a.json")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_other_json_is_read_as_it_is(value):
    for repair in (False, True):
        assert parse_json(json.dumps(value), repair=repair) == value


YAMLS = {
    "laughs": (LAUGHS, "more than 100,000 values"),
    "laughs in merges": (LAUGHS.replace("[1, ", "[{x: 1}, "), "more than 100,000 values"),
    "lists": (f"a: {DEEP}", "nested more than 100 levels"),
    "maps": ("{a: " * 5000 + "1" + "}" * 5000, "nested more than 100 levels"),
    "blocks": ("".join(" " * n + "a:\n" for n in range(500)), "nested more than 100 levels"),
    "depth by aliases": ("a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 300)), "100 levels"),
    "a long comment": ("# " + "x" * 2_000_000, "longer than 1,000,000 characters"),
}


@pytest.mark.parametrize(("text", "message"), YAMLS.values(), ids=YAMLS)
def test_a_yaml_bomb_is_refused(text, message):
    with pytest.raises(yaml.YAMLError, match=message):
        parse_yaml(text)
    with pytest.raises(RecipeError, match=message):
        parse_document(text, "recipe.yaml")


def test_a_number_in_yaml_that_python_does_not_read_is_named():
    with pytest.raises(yaml.YAMLError, match="4300 digits"):
        parse_yaml(f"a: {DIGITS[:5000]}")
    with pytest.raises(RecipeError, match=r"recipe.yaml:1: a: '9999.*\.\.\. is not of type int") as caught:
        parse_document(f"a: {DIGITS[:5000]}", "recipe.yaml")
    assert len(str(caught.value)) < 200


def test_anchors_of_a_recipe_still_work():
    text = "base: &base {a: 1}\nmore: [*base, {<<: *base, b: 2}]\n"
    assert parse_yaml(text)["more"] == [{"a": 1}, {"a": 1, "b": 2}]
    assert parse_document("a: &x [1]\nb: *x\n", "r").data == {"a": [1], "b": [1]}


@pytest.mark.parametrize("text", [LAUGHS, f"{{{LAUGHS}}}", f"[{'-' * 100_000}1]", DEEP, f"[{DIGITS}]"])
def test_a_literal_that_is_a_bomb_stays_text(text):
    assert literal(text) == text
    assert listed_options(text)[1] == []


RECIPES = {
    "a folder of the package's": (["run_name=cache"], "run_name: 'cache' is the name of a folder"),
    "in capitals": (["run_name=Contamination"], "run_name: 'Contamination' is the name"),
    "an arm": (["arms={report: {}, b: {}}"], "arms.report: 'report' is the name"),
    "a long name": ([f"run_name={'a' * 300}"], "run_name: letters, digits"),
    "an infinite rate": (["stages.sft.args.learning_rate=.inf"], "learning_rate: must be a finite number (got inf)"),
    "no number": (["stages.sft.args.weight_decay=.nan"], "weight_decay: must be a finite number (got nan)"),
}


@pytest.mark.parametrize(("overrides", "message"), RECIPES.values(), ids=RECIPES)
def test_a_recipe_that_could_not_run_is_refused(overrides, message, capsys):
    assert main(["check", "kk_warmup", *overrides]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("steps", [10**8, 10**21])
def test_steps_without_end_are_counted_and_not_walked_through(steps):
    stage = Rlvr(domain="sums", steps=steps, problems=7)
    counts = stage.preview(EvaluationSettings(), {"sums": Adding(name="sums")}).counts
    assert counts["uses of a prompt"] == f"{16 * steps // 7}-{16 * steps // 7 + 1}"


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_the_uses_that_are_told_are_those_of_the_plan(problems, prompts, steps):
    plan_SP = prompt_plan(problems=problems, prompts_per_step=prompts, steps=steps, seed=0)
    uses = use_counts(plan_SP, problems)
    told = Rlvr(domain="sums", steps=steps, problems=problems, prompts_per_step=prompts).preview(
        EvaluationSettings(), {}
    )
    assert told.counts["uses of a prompt"] == "-".join(map(str, sorted(set(uses))))
    assert bool(told.notes) == (0 in uses)


ESCAPES = "\x1b[2J\x1b]0;pwned\x07 \u202e \u200b \u2028 \ud83d \x85"


@given(st.text(alphabet=st.characters()))
def test_printable_text_is_safe_and_plain_text_unchanged(text):
    assert all(one.isprintable() or one in "\n\t\xa0\u3000" for one in printable(text))
    assert printable(printable(text)) == printable(text)
    assert printable(plain := "é 中文 😀\n\tx") == plain


def test_all_that_a_command_prints_is_safe(capsys, tmp_path):
    def command():
        print(ESCAPES)
        print(ESCAPES, file=sys.stderr)
        open_console().print(Text(ESCAPES))
        raise UserError(f"{ESCAPES}\r")

    assert run_command(command) == 2
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert all(one.isprintable() or one == "\n" for one in text)
        assert text.count(r"\x1b[2J\x1b]0;pwned") == 2
    with quiet_libraries(tmp_path / "run.log") as say:
        say(ESCAPES)
    assert "\x1b" not in (tmp_path / "run.log").read_text() and "\x1b" not in capsys.readouterr().out


def test_columns_with_escapes_are_shown_escaped(tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    file.write_text(
        "".join(json.dumps({"question": f"{n} + 1 {ESCAPES}", "answer": str(n + 1)}) + "\n" for n in range(9))
    )
    assert main(["init", str(file), "--out", str(tmp_path / "recipe.yaml")]) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err and "\u202e" not in shown.out


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.ENAMETOOLONG])
def test_what_the_system_refuses_is_one_line(number, capsys):
    def command():
        raise OSError(number, os.strerror(number), "outputs/cache/x")

    assert run_command(command) == 2
    assert capsys.readouterr().err.startswith(f"outputs/cache/x: {os.strerror(number)}.")


def test_a_full_disk_is_one_line(tmp_path, capsys, monkeypatch):
    def full(path, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "1 + 1", "gold": "2", "completion": "<think>\\n2</think>2"}\n')
    monkeypatch.setattr("pathlib.Path.replace", full)
    assert main(["grade", "--domain", "sums", "--in", str(rows), "--out", str(tmp_path / "a.jsonl")]) == 2
    assert "No space left on device. Finished work is kept" in capsys.readouterr().err


def test_a_disk_that_gets_full_while_a_file_is_written_is_named_with_the_file(tmp_path, capsys):
    def command():
        with aside(tmp_path / "kk.jsonl"):
            raise OSError(errno.ENOSPC, "No space left on device")

    assert run_command(command) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'kk.jsonl'}: No space left on device. Finished work")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_command_needs_no_open_streams(monkeypatch, closed):
    monkeypatch.setattr(sys, closed, None)
    assert main(["--version"]) == 0
    assert main(["nothing"]) == 2


def test_an_error_of_the_code_keeps_its_traceback():
    with pytest.raises(FileNotFoundError):
        run_command(lambda: open("/nowhere/at/all").read())  # type: ignore[arg-type, return-value]


class Breaks(Adding):
    def grade(self, answer, problem):
        raise RecursionError("deep")


def test_a_grader_that_raises_leaves_out_the_row_and_names_it():
    problem = Problem("p1", "sums", "1 + 1", "2")
    (found,) = score_all([Answered(Breaks(name="sums"), problem, "<answer>2</answer>")], ResponseFormat())
    assert isinstance(found, Unscorable) and "problem p1: the grader raised" in str(found)


def test_ranks_of_one_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)))
    assert cores() == 8
    for ranks, each in ("4", 2), ("16", 1):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
        assert cores() == each


WRONG_RECORDS = [
    ("base/seed-0/run.json", {"stages": "x"}, "stages: "),
    ("base/seed-0/run.json", {"stages": [1]}, "stages.0: "),
    ("base/seed-0/run.json", {"seed": "zero"}, "seed: .*'zero'"),
    ("base/seed-0/run.json", {"arm": ["x"]}, "arm: "),
    ("base/seed-0/run.json", {"state": 4}, "state: "),
]


@pytest.mark.parametrize(("file", "change", "message"), WRONG_RECORDS)
@pytest.mark.parametrize("command", ["report", "watch", "verify"])
def test_a_record_with_values_of_another_type_is_one_line(tmp_path, capsys, file, change, message, command):
    run = write_run(tmp_path, pair(1))
    edit_json(run / file, **change)
    assert main([command, str(run)]) == 2
    assert re.search(rf"^\S*run.json: {message}[^\n]*Run the recipe again to rewrite it.$", capsys.readouterr().err)


@pytest.mark.parametrize("stages", ["x", [1], [{"id": "sft", "folder": 5, "outputs": ["model"], "done": True}]])
def test_export_reads_the_stages_of_a_trial_as_what_they_should_be(tmp_path, capsys, stages):
    (trial := tmp_path / "seed-0").mkdir()
    (trial / "run.json").write_text(json.dumps({"stages": stages}))
    assert main(["export", str(trial), "--to", str(tmp_path / "out")]) == 2
    assert re.search(r"run.json: stages: .*Run the recipe again to rewrite it", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"summary": None}, "summary: "),
        ({"summary": {"cells": "x"}}, r"summary\.cells: "),
        ({"summary": {"cells": [{"domain": 5}]}}, "missing 'split'"),
        ({"files": {"a": 3}}, r"files\.a: "),
        ({"seconds": "long"}, "seconds: .*'long'"),
    ],
)
@pytest.mark.parametrize("command", ["report", "watch", "verify"])
def test_a_stage_whose_record_has_values_of_another_type_is_one_line(tmp_path, capsys, change, message, command):
    run = write_run(tmp_path, pair(1))
    for file in run.parent.glob("cache/evaluate-*/stage.json"):
        edit_json(file, **change)
    assert main([command, str(run)]) in (1, 2)
    shown = capsys.readouterr()
    assert re.search(rf"stage.json: {message}", shown.out + shown.err)


@pytest.mark.parametrize("out", ["rows.jsonl/kk.jsonl", "rows.jsonl/folder/kk.jsonl"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path, capsys, out):
    (tmp_path / "rows.jsonl").write_text("{}")
    assert main(["puzzles", "--size", "2", "--out", str(tmp_path / out)]) == 2
    assert "A file stands where a folder is needed: give another path." in capsys.readouterr().err


@pytest.mark.parametrize("out", ["missing/out.jsonl", "."])
def test_an_output_that_cannot_be_made_is_one_line(tmp_path, capsys, out):
    (rows := tmp_path / "rows.jsonl").write_text('{"question": "1 + 1", "gold": "2", "completion": "2"}\n')
    assert main(["grade", "--domain", "sums", "--in", str(rows), "--out", str(tmp_path / out)]) == 2
    assert "the file cannot be written: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "message"),
    [('{"domain": 1}', "'split' is missing"), ("[1]", "a JSON object is needed"), ("", None)],
)
def test_completions_of_another_form_are_one_line(tmp_path, capsys, rows, message):
    run = write_run(tmp_path, pair(1))
    for file in run.parent.glob("cache/evaluate-*/completions.jsonl"):
        file.write_text(rows)
    assert main(["report", str(run)]) == (2 if message else 0)
    assert message is None or re.search(rf"completions.jsonl\S*: {message}", capsys.readouterr().err)


@pytest.mark.parametrize("command", ["report", "watch", "verify"])
def test_a_pipe_in_place_of_a_record_is_not_waited_for(tmp_path, capsys, command):
    run = write_run(tmp_path, pair(1))
    (run / "base" / "seed-0" / "run.json").unlink()
    os.mkfifo(run / "base" / "seed-0" / "run.json")
    assert main([command, str(run)]) == 2
    assert "run.json: a regular file is needed" in capsys.readouterr().err


def test_a_recipe_of_a_run_in_another_encoding_is_one_line(tmp_path, capsys):
    run = write_run(tmp_path, pair(1))
    (run / "recipe.yaml").write_bytes((run / "recipe.yaml").read_bytes() + b"# \xff\n")
    assert main(["report", str(run)]) == 2
    assert "recipe.yaml: not UTF-8" in capsys.readouterr().err


def test_a_file_in_place_of_the_report_is_one_line(tmp_path, capsys):
    run = write_run(tmp_path, pair(1))
    (run / "report").write_text("mine")
    assert main(["report", str(run)]) == 2
    assert "report: File exists." in capsys.readouterr().err and (run / "report").read_text() == "mine"


@pytest.mark.parametrize("command", ["grade", "clean"])
def test_links_in_a_loop_are_no_file(tmp_path, capsys, command):
    for name, target in (("a.jsonl", "b.jsonl"), ("b.jsonl", "a.jsonl")):
        (tmp_path / name).symlink_to(tmp_path / target)
    given = ["--domain", "sums", "--in", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "out.jsonl")]
    assert main([command, *given]) == 2
    assert "a.jsonl: a regular file is needed; this is a link" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"PAR1" + bytes(100) + b"PAR1", b"PAR1abc", ROW, b""])
def test_a_file_that_is_no_parquet_is_named(tmp_path, content):
    (file := tmp_path / "rows.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"rows.parquet: not a Parquet file"):
        list(Source(path=str(file)).rows())


def test_a_small_gzip_file_of_empty_lines_is_refused(tmp_path):
    file = tmp_path / "rows.jsonl.gz"
    with gzip.open(file, "wb", 9) as out:
        out.write(ROW + b"\n" * 5_000_000)
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        list(Source(path=str(file)).rows())


def test_a_question_that_no_model_reads_is_refused_before_it_is_compared(tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(ROW * 5 + json.dumps({"question": "x" * 2_000_000, "answer": 1}).encode())
    assert main(["init", str(file), "--out", str(tmp_path / "recipe.yaml"), "--anyway"]) == 2
    assert "rows.jsonl:6: a question of 2,000,000 characters; at most 1,000,000" in capsys.readouterr().err


def test_a_table_of_many_columns_is_listed_in_part(tmp_path, capsys):
    file = tmp_path / "wide.csv"
    file.write_text(",".join(f"c{n}" for n in range(5000)) + "\n" + ",".join("1" for _ in range(5000)) + "\n")
    assert main(["grade", "--domain", "sums", "--in", str(file), "--out", str(tmp_path / "out.jsonl")]) == 2
    assert "c19 and 4,980 more" in (said := capsys.readouterr().err) and len(said) < 500


@pytest.mark.parametrize("name", ["my rows", "größe", "- -"])
def test_init_names_a_run_as_a_run_may_be_named(tmp_path, name):
    file = tmp_path / f"{name}.jsonl"
    file.write_text("".join(json.dumps({"question": f"{n} + 1?", "answer": str(n + 1)}) + "\n" for n in range(9, 30)))
    assert main(["init", str(file), "--out", str(tmp_path / f"{name}.yaml")]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["init"],
        ["grade", "--domain", "math", "--out", "o.jsonl", "--in"],
        ["clean", "--domain", "math", "--out", "o.jsonl", "--in"],
        ["puzzles", "--check"],
    ],
    ids=lambda command: command[0],
)
def test_what_is_no_file_is_called_by_its_name(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    for name, what in (("folder", "a folder"), ("pipe", "a pipe"), ("loop", "a link that leads to no file")):
        assert main([*command, f"{name}.jsonl"]) == 2
        error = capsys.readouterr().err
        assert "a regular file is needed" in error and what in error and "no such file" not in error


def test_brackets_in_numbers_cost_time_in_proportion_to_their_number():
    started = time.process_time()
    for opening, closing in ("[]", "{}"):
        deep = f"{opening * 5_000}1{closing * 5_000}"
        assert literal(deep) == deep
        assert read_answer(deep).unit == read_answer(deep.replace("{", "\\text{")).unit == ""
    assert time.process_time() - started < 5
