"""`python -m warmup_rl clean`: our traces and everybody's files, nothing lost, nothing overwritten."""

import csv
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import pytest
from hypothesis import given as draws
from hypothesis import settings
from hypothesis import strategies as st

from tests.raw_traces import KK, raw_traces, write_raw
from tests.subsequence import is_subsequence
from warmup_rl.__main__ import main
from warmup_rl.base.config import descriptions
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import Trace, to_json
from warmup_rl.cleaners.dlcot import DLCoT
from warmup_rl.cli.foreign_traces import ForeignTraces, without_passages
from warmup_rl.data.datasets import Source
from warmup_rl.data.traces import open_problems, read_traces
from warmup_rl.domains.math import Math
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped
from warmup_rl.interfaces.format import ResponseFormat

HERE = __name__
TAGS = ResponseFormat(think="free")


class DiesOnce(Cleaner):
    """Kills its process at the trace numbered `$DIES_AT`."""

    type: ClassVar[str] = "dies_once"

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        left = int(os.environ["DIES_AT"])

        def step(trace: Trace) -> Trace:
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        return step


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return write_raw(tmp_path_factory.mktemp("own"), *raw_traces(30, per_problem=2))


def plain_rows(count=12):
    """Rows as users have them: a question, a reference answer, a tagged response, and a column of their own."""
    problems, traces = raw_traces(count, per_problem=1)
    known = {problem.id: problem for problem in problems}
    return [
        {"n": n, "question": known[trace.problem_id].question, "gold": known[trace.problem_id].gold,
         "response": TAGS.render(thinking=trace.thinking, answer=trace.answer)}
        for n, trace in enumerate(traces)
    ]  # fmt: skip


def run(*arguments):
    return main(["clean", *map(str, arguments)])


def rows(path):
    return list(read_jsonl(path))


def table(capsys):
    """The numbers of the closing table, by name."""
    found = {}
    for line in capsys.readouterr().out.splitlines():
        if match := re.match(r" *(\S.*?) +([\d,]+)(?:   .*)?$", line):
            found[match[1]] = int(match[2].replace(",", ""))
    return found


def test_our_traces_become_our_traces_and_the_table_adds_up(tmp_path, own, capsys):
    before = own.read_bytes()
    assert run("--in", own, "--out", tmp_path / "clean.jsonl", "--audit", tmp_path / "audit.html") == 0
    kept, dropped = list(read_traces(tmp_path / "clean.jsonl")), rows(tmp_path / "clean.dropped.jsonl")
    problems = open_problems(tmp_path / "problems.jsonl")
    assert {trace.problem_id for trace in kept} == set(problems)
    original = {(trace.problem_id, trace.sample): trace for trace in read_traces(own)}
    for trace in kept:
        source = original[trace.problem_id, trace.sample]
        assert is_subsequence(trace.thinking, source.thinking) and trace.answer == source.answer
        text = ResponseFormat().render(thinking=trace.thinking, answer=trace.answer)
        assert KK.score(text, problems[trace.problem_id], ResponseFormat()).verdict == "correct"
    found = table(capsys)
    assert found["traces read"] == len(list(read_traces(own))) == found["kept"] + found["dropped"]
    assert (found["kept"], found["dropped"]) == (len(kept), len(dropped))
    assert found["dropped"] == found["answer wrong"] + found["duplicate"] > 0
    assert found["words of kept traces"] > found["after cleaning"] > 0
    assert len(rows(tmp_path / "clean.audit.jsonl")) == len(kept) and "<html" in (tmp_path / "audit.html").read_text()
    assert own.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {
        "clean.jsonl", "clean.dropped.jsonl", "problems.jsonl", "audit.html", "clean.audit.jsonl"
    }  # fmt: skip


def test_cleaning_twice_gives_the_same_file(tmp_path, own):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert run("--in", own, "--out", tmp_path / name / "clean.jsonl", "--audit", tmp_path / name / "x.html") == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


AROUND = {
    "words before": lambda text: f"Sure, let me think.\n{text}",
    "special token": lambda text: f"<｜begin▁of▁sentence｜>{text}",
    "the prompt": lambda text: f"User: who is who?\n\nAssistant: {text}",
    "tag in the thinking": lambda text: text.replace("<think>\n", "<think>\nI close with </think> later. ", 1),
    "two blocks": lambda text: f"<think>\nThis is about islanders.\n</think>\n{text}",
    "worked answer": lambda text: text.replace("<answer>", "Here is why, step by step.\n\n<answer>"),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_a_text_loses_what_was_cut_from_its_thinking_and_nothing_else(tmp_path, around, capsys):
    given = {row["n"]: {**row, "response": around(row["response"])} for row in plain_rows()}
    write_jsonl(tmp_path / "given.jsonl", given.values())
    assert run("--in", tmp_path / "given.jsonl", "--out", tmp_path / "out.jsonl", "--domain", "kk") == 0
    changed = [row for row in rows(tmp_path / "out.jsonl") if row != given[row["n"]]]
    for row in changed:
        before, after = given[row["n"]]["response"], row["response"]
        assert is_subsequence(after, before) and before.rpartition("</think>")[2] == after.rpartition("</think>")[2]
        assert before.partition("<think>")[0] == after.partition("<think>")[0]
    assert changed and "left as" not in capsys.readouterr().err


LETTERS = st.text("ab \n", max_size=300)


@settings(max_examples=200)
@draws(st.lists(LETTERS, min_size=1, max_size=5), st.lists(LETTERS, min_size=1, max_size=5), LETTERS)
def test_passages_are_cut_where_they_stand_or_not_at_all(kept, cut, around):
    """Texts of few letters, in which most passages stand several times."""
    pieces = [piece for pair in zip(kept, cut, strict=False) for piece in pair]
    before, after = "".join(pieces), "".join(pieces[::2])
    text = without_passages(f"{around}<think>{before}</think>{around}", before, after)
    assert text is None or is_subsequence(text, f"{around}<think>{before}</think>{around}")
    assert text is None or text == f"{around}<think>{after}</think>{around}"


def test_what_cannot_be_cut_from_a_text_leaves_it_as_it_is(tmp_path, capsys):
    row = {"question": "1+1?", "gold": "2", "response": "<think>a <think> b</think>2"}
    write_jsonl(tmp_path / "given.jsonl", [row])
    steps = ["--steps", "answers_only"]
    assert run("--in", tmp_path / "given.jsonl", "--out", tmp_path / "out.jsonl", "--domain", "math", *steps) == 0
    assert rows(tmp_path / "out.jsonl") == [row]
    assert "1 changed trace unchanged in the output" in capsys.readouterr().err


def _jsonl(path, found):
    write_jsonl(path, found)


def _csv(path, found):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)


def _parquet(path, found):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(found), path)


@pytest.mark.parametrize(("name", "write"), [("a.jsonl", _jsonl), ("a.csv", _csv), ("a.parquet", _parquet)])
def test_rows_of_users_keep_all_their_columns_and_only_lose_words(tmp_path, name, write, capsys):
    given = plain_rows()
    write(tmp_path / name, given)
    assert run("--in", tmp_path / name, "--out", tmp_path / "clean.jsonl") == 0
    kept = rows(tmp_path / "clean.jsonl")
    changed = 0
    for row in kept:
        source = given[int(row["n"])]
        assert {**row, "n": source["n"], "response": source["response"]} == source
        assert is_subsequence(row["response"], source["response"])
        changed += row["response"] != source["response"]
    found = table(capsys)
    assert (found["traces read"], found["kept"]) == (len(given), len(kept)) and 0 < len(kept) < len(given)
    assert changed > 0


def test_thinking_apart_and_columns_by_name(tmp_path):
    given = plain_rows()
    for row in given:
        parts = TAGS.split(row.pop("response"))
        row |= {"puzzle": row.pop("question"), "cot": parts.thinking, "said": parts.answer}
    write_jsonl(tmp_path / "a.jsonl", given)
    out, names = tmp_path / "clean.jsonl", "question=puzzle,thinking=cot,response=said"
    assert run("--in", tmp_path / "a.jsonl", "--out", out, "--columns", names) == 0
    kept = rows(out)
    assert kept and all(row["said"] == given[row["n"]]["said"] for row in kept)
    assert any(row["cot"] != given[row["n"]]["cot"] for row in kept)
    assert all(is_subsequence(row["cot"], given[row["n"]]["cot"]) for row in kept)


def test_thinking_and_answer_columns_are_one_response(tmp_path):
    given = [{"question": "What is 2 + 2?", "gold": "4", "thinking": "Two and two.", "answer": "4"},
             {"question": "What is 2 + 3?", "gold": "5", "thinking": "Two and three.", "answer": "6"}]  # fmt: skip
    write_jsonl(tmp_path / "a.jsonl", given)
    assert run("--in", tmp_path / "a.jsonl", "--out", tmp_path / "b.jsonl", "--domain", "gsm8k") == 0
    assert rows(tmp_path / "b.jsonl") == given[:1]


def test_other_domains_grade_what_they_are_given(tmp_path):
    text = "Half of it.\n</think>\nSo it is \\boxed{{{}}}."
    given = [{"n": n, "problem": f"What is {n}/2?", "answer": f"\\frac{{{n}}}{{2}}", "completion": text.format(said)}
             for n, said in enumerate(("0", "0.5", "1", "2.5"))]  # fmt: skip
    write_jsonl(tmp_path / "a.jsonl", given)
    assert run("--in", tmp_path / "a.jsonl", "--out", tmp_path / "b.jsonl", "--domain", "math") == 0
    assert rows(tmp_path / "b.jsonl") == given[:3]
    assert rows(tmp_path / "b.dropped.jsonl") == [{**given[3], "reason": "answer wrong", "step": "correct"}]


def test_rows_are_graded_by_any_grader(tmp_path, capsys):
    given = [{"text": "Which?\nA. one\nB. two", "label": "B", "response": f"<think>{n}: two</think> The answer is {x}."}
             for n, x in enumerate("AB")]  # fmt: skip
    write_jsonl(tmp_path / "in.jsonl", given)
    columns = ["--columns", "question=text,gold=label"]
    grader = [text for key in ("grader=choice", "question=text", "answer=label") for text in ("--set", key)]
    files = ["--in", tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl"]
    run(*files, "--domain", "jsonl", *grader, *columns)
    assert rows(tmp_path / "out.jsonl") == given[1:]
    assert run(*files, *grader) == 2
    assert "--set is for a --domain by its type" in capsys.readouterr().err


def test_no_trace_is_dropped_for_its_length_unless_that_is_asked_for(tmp_path, capsys):
    long = " ".join(f"The square of {n} is {n * n}." for n in range(2000))
    given = [{**ASKED, "response": f"<think>{long}</think>\\boxed{{4}}"}]
    write_jsonl(tmp_path / "a.jsonl", given)
    arguments = ("--in", tmp_path / "a.jsonl", "--out", tmp_path / "b.jsonl", "--domain", "math")
    assert run(*arguments) == 0
    assert rows(tmp_path / "b.jsonl") == given
    assert run(*arguments, "--steps", "{type: length, max_tokens: 8192}") != 0
    assert "1 longer than 8192 tokens" in capsys.readouterr().err


def test_a_response_without_an_answer_is_dropped_and_counted(tmp_path, capsys):
    given = plain_rows(4)
    given[1]["response"], given[2]["response"] = None, "I wonder"
    write_jsonl(tmp_path / "a.jsonl", given)
    assert run("--in", tmp_path / "a.jsonl", "--out", tmp_path / "b.jsonl") == 0
    found = table(capsys)
    assert found["no answer"] == found["no response"] == 1


ASKED = {"question": "What is 2 + 2?", "answer": "4"}
SAID = "<think>2 + 2 is 4.</think>\\boxed{4}"
TURN = {"role": "user", "content": "What is 2 + 2?"}


@pytest.mark.parametrize("steps", [[], ["--steps", "dlcot"]], ids=["default", "dlcot"])
@pytest.mark.parametrize(
    ("whole", "without", "columns"),
    [
        ({**ASKED, "response": SAID}, ASKED, []),
        ({**ASKED, "response": SAID}, {**ASKED, "response": None}, []),
        ({**ASKED, "run": {"said": SAID}}, {**ASKED, "run": {"said": None}}, ["--columns", "response=run.said"]),
        ({**ASKED, "choices": [{"message": {"role": "assistant", "content": SAID}}]}, {**ASKED, "choices": []}, []),
        ({"messages": [TURN, {"role": "assistant", "content": SAID}], "answer": "4"},
         {"messages": [TURN], "answer": "4"}, []),
        ({**ASKED, "generations": [SAID]}, {**ASKED, "generations": [None]}, []),
        ({**ASKED, "generations": [SAID]}, {**ASKED, "generations": []}, []),
    ],
    ids=["missing", "null", "nested null", "no choice", "no turn", "list of null", "empty list"],
)  # fmt: skip
def test_a_row_without_a_response_is_dropped_wherever_it_stands(tmp_path, capsys, whole, without, columns, steps):
    for given in ([whole, without], [without, whole]):
        write_jsonl(tmp_path / "a.jsonl", given)
        options = ["--domain", "math", *columns, *steps]
        assert run("--in", tmp_path / "a.jsonl", "--out", tmp_path / "b.jsonl", *options) == 0
        assert rows(tmp_path / "b.jsonl") == [whole]
        assert rows(tmp_path / "b.dropped.jsonl") == [{**without, "reason": "no response", "step": "read"}]
        found = table(capsys)
        assert (found["traces read"], found["kept"], found["no response"]) == (2, 1, 1)


@pytest.mark.parametrize("without", [{"answer": None}, {"answer": " "}, {}], ids=["null", "blank", "missing"])
def test_a_row_without_a_gold_is_dropped_and_counted(tmp_path, capsys, without):
    whole = [{**ASKED, "answer": 4, "response": SAID}, {"question": "2 - 2?", "answer": 0, "response": "\\boxed{0}"}]
    without = {"question": ASKED["question"], "response": SAID, **without}
    for given in ([*whole, without], [without, *whole]):
        write_jsonl(tmp_path / "a.jsonl", given)
        options = ["--domain", "math", "--audit", tmp_path / "audit.html"]
        assert run("--in", tmp_path / "a.jsonl", "--out", tmp_path / "b.jsonl", *options) == 0
        assert rows(tmp_path / "b.jsonl") == whole
        assert rows(tmp_path / "b.dropped.jsonl") == [{**without, "reason": "no gold", "step": "read"}]
        assert table(capsys)["no gold"] == 1


def test_rows_whose_gold_cannot_be_graded_are_dropped_and_counted(tmp_path, capsys):
    golds = ["2", "\\mathbb{Z", "12^{\\mathrm{th}"]
    given = [{"question": f"1+1 of {gold}?", "gold": gold, "response": "<think>a</think> \\boxed{2}"} for gold in golds]
    write_jsonl(tmp_path / "in.jsonl", given)
    run("--in", tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl", "--domain", "math")
    assert rows(tmp_path / "out.jsonl") == given[:1]
    assert [(row["gold"], row["reason"]) for row in rows(tmp_path / "out.dropped.jsonl")] == [
        (gold, "no gold") for gold in golds[1:]
    ]
    assert "2 rows with a reference answer that cannot be graded. The first: " in capsys.readouterr().err


def test_an_answer_beside_its_thinking_is_not_its_own_gold(tmp_path, capsys):
    write_jsonl(tmp_path / "a.jsonl", [{"question": "What is 2 + 2?", "thinking": "Two and two.", "answer": "5"}])
    assert run("--in", tmp_path / "a.jsonl", "--out", tmp_path / "b.jsonl", "--domain", "math") == 2
    assert "no reference answer (fields: question, thinking, answer)" in capsys.readouterr().err


def test_thinking_whose_response_is_missing_is_cleaned(tmp_path):
    given = [{**ASKED, "thinking": "2 + 2 is 4.", "response": "4"}, {**ASKED, "thinking": "I think.", "response": None}]
    write_jsonl(tmp_path / "a.jsonl", given)
    options = ["--domain", "math", "--steps", "dlcot"]
    assert run("--in", tmp_path / "a.jsonl", "--out", tmp_path / "b.jsonl", *options) == 0
    assert rows(tmp_path / "b.jsonl") == given


def test_a_list_of_responses_with_a_gap_loses_only_the_gap(tmp_path, capsys):
    write_jsonl(tmp_path / "a.jsonl", [{**ASKED, "generations": [SAID, None, SAID.replace("2 + 2 is", "It is")]}])
    assert run("--in", tmp_path / "a.jsonl", "--out", tmp_path / "b.jsonl", "--domain", "math") == 0
    assert [len(row["generations"]) for row in rows(tmp_path / "b.jsonl")] == [1, 1]
    assert table(capsys)["no response"] == 1


def test_a_killed_command_goes_on(tmp_path, own):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()

    def clean(folder, dies_at):
        os.environ["DIES_AT"] = str(dies_at)
        steps = f"correct, duplicates, '{HERE}:DiesOnce', dlcot"
        return run("--in", own, "--out", folder / "clean.jsonl", "--audit", folder / "audit.html", "--steps", steps)

    assert clean(tmp_path / "whole", -1) == 0
    process = multiprocessing.get_context("fork").Process(target=clean, args=(tmp_path / "killed", 38))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["clean.jsonl.part"]
    assert clean(tmp_path / "killed", -1) == 0
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "killed" / path.name).read_bytes()
    assert len(list((tmp_path / "killed").iterdir())) == 5


def test_options_are_the_fields_of_the_cleaner(tmp_path, own, capsys):
    with pytest.raises(SystemExit):
        run("--help")
    told = " ".join(capsys.readouterr().out.split())
    for name, text in descriptions(DLCoT).items():
        assert f"--{name.replace('_', '-')}" in told and text.split()[0] in told
    assert run("--in", own, "--out", tmp_path / "a.jsonl", "--redundancy", "none") == 0
    assert "dlcot: nothing to cut" in capsys.readouterr().out
    assert list(read_traces(tmp_path / "a.jsonl"))[0].thinking == _first_right(own).thinking
    assert run("--in", own, "--out", tmp_path / "a.jsonl", "--min-ratio", "0.999") == 0
    assert "refused: less than 0.999" in capsys.readouterr().out


def _first_right(path):
    return next(trace for trace in read_traces(path) if trace.score.verdict == "correct")


def test_a_recipe_gives_steps_domains_and_held_out_problems(tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "run_name: r\nmodel: some/model\ndomains: {puzzles: {type: kk, people: 3}}\n"
        "evaluation: {problems: 5, validation: 2}\nstages:\n"
        "  - {type: distill, domain: puzzles, problems: 4, teacher: solver}\n"
        "  - {type: clean, id: first, steps: [duplicates]}\n"
        f"  - {{type: clean, id: second, steps: [correct, '{HERE}:Kept', dlcot]}}\n"
    )
    domain = KK.model_copy(update={"name": "puzzles"})
    problems, traces = raw_traces(6)
    held = domain.take("test", 0, 5)
    problems = [replace(problem, domain="puzzles") for problem in problems] + held
    traces = [replace(trace, domain="puzzles") for trace in traces]
    traces.append(replace(traces[-1], problem_id=held[0].id))
    raw = write_raw(tmp_path / "raw", problems, traces)
    out = tmp_path / "out.jsonl"
    assert run("--in", raw, "--out", out, "--recipe", recipe) == 2
    assert "--stage, one of: first, second" in capsys.readouterr().err
    assert run("--in", raw, "--out", out, "--recipe", recipe, "--stage", "second", "--errors", "delete_all") == 0
    assert table(capsys)["held out"] == 1


class Kept(Cleaner):
    """Drops what the recipe evaluates on."""

    type: ClassVar[str] = "kept"
    reads_evaluation: ClassVar[bool] = True

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        known = {problem.id for problem in context.held_out()}
        return lambda trace: Dropped("held out") if trace.problem_id in known else trace


def test_problems_beside_the_output_are_added_to(tmp_path, own):
    other = write_raw(tmp_path / "other", *raw_traces(33, per_problem=1))
    (tmp_path / "out").mkdir()
    for name, source in (("a", own), ("b", other), ("a", own)):
        assert run("--in", source, "--out", tmp_path / "out" / f"{name}.jsonl") == 0
    problems = open_problems(tmp_path / "out" / "problems.jsonl")
    for name in ("a", "b"):
        assert all(trace.problem_id in problems for trace in read_traces(tmp_path / "out" / f"{name}.jsonl"))
    assert len(set(problems)) == len((tmp_path / "out" / "problems.jsonl").read_text().splitlines())


PLAIN, NO_PUZZLE = plain_rows(2)[1:], [{"question": "What is 1 + 1?", "gold": "2", "response": "</think> 2"}]


def test_traces_without_their_problems_and_rows_that_cannot_be_read_leave_nothing(tmp_path, own, capsys):
    copy = tmp_path / "copy" / "traces.jsonl"
    copy.parent.mkdir()
    copy.write_bytes(own.read_bytes())
    assert run("--in", str(copy), "--out", str(copy.with_name("clean.jsonl"))) == 2
    error = capsys.readouterr().err
    assert "problems.jsonl: no such file. Traces of a run are cleaned with their problems: copy" in error
    write_jsonl(copy, NO_PUZZLE)
    assert run("--in", str(copy), "--out", str(copy.with_name("clean.jsonl")), "--domain", "kk") == 2
    assert [path.name for path in copy.parent.iterdir()] == ["traces.jsonl"]


@pytest.mark.parametrize(
    ("given", "arguments", "message"),
    [
        ([], [], "has no rows"),
        ([{"q": "?", "r": "!"}], [], "found no column for the question"),
        ([{"q": "?", "r": "!"}], ["--columns", "question=Q"], "no column 'Q'. Columns: q, r"),
        ([{"q": "?", "r": "!"}], ["--columns", "frage=q"], "with keys question, gold, response, thinking"),
        (NO_PUZZLE, [], "--domain math"),
        (NO_PUZZLE, ["--domain", "kk"], "not an English puzzle: 'What is 1"),
        (NO_PUZZLE, ["--domain", "mth"], "Did you mean 'math'"),
        ([{**NO_PUZZLE[0], "gold": " "}], ["--domain", "math"], "in.jsonl:1: 'gold' is empty (fields: question, gold"),
        ([{"question": "1+1?", "answer": None, "response": "2"}], ["--domain", "math"], "jsonl:1: 'answer' is empty"),
        ([{**NO_PUZZLE[0], "response": {"x": "2"}}], ["--domain", "math"], "found no column for the response"),
        ([{**NO_PUZZLE[0], "response": 2}], ["--domain", "math"], "'response' is of type int"),
        ([{**NO_PUZZLE[0], "gold": {"x": [2]}}], ["--domain", "math"], "the reference answer 'gold' is of type dict"),
        ([{**NO_PUZZLE[0], "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "3"}]}],
         ["--domain", "math"], "'messages' holds another response than 'response'"),
        ([{"question": "1+1?", "response": "2"}], ["--domain", "math"], "(fields: question, response)"),
        ([{"messages": [TURN, {"role": "assistant", "content": [{"type": "text", "text": one} for one in "ab"]}]}],
         ["--domain", "math"], "a path such as messages[assistant] or messages[assistant].content[0].text"),
        (PLAIN, ["--redundancy", "all"], "--redundancy: allowed: 'none', 'delete_multi_1'"),
        (PLAIN, ["--redundancy", "none", "--steps", "correct"], "--redundancy is an option of the step dlcot"),
        (PLAIN, ["--steps", "corect"], "Did you mean 'correct'"),
        (PLAIN, ["--steps", "{type: length, max_token: 4}"], "max_token"),
        (PLAIN, ["--steps", "{oops"], "--steps: names or {type: NAME"),
        (PLAIN, ["--steps", "correct", "--audit", "a.html"], "the step dlcot"),
        (PLAIN, ["--steps", f"'{HERE}:Kept'"], "give --recipe"),
        (PLAIN, ["--audit", "a.htm"], "--audit must end with .html"),
        (PLAIN, ["--judge", "openai"], "--judge: a mapping of keys is needed (got 'openai')"),
        (PLAIN, ["--min-ratio", "0.9", "--max-ratio", "0.5"], "--max-ratio: must be greater than min_ratio"),
        (PLAIN, ["--steps", "{type: length, max_tokens: 0}"], "--steps: item 1: max_tokens: must be more than 0"),
        (PLAIN, ["--stage", "x"], "give --recipe too"),
        (PLAIN, ["--redundency", "none"], "Did you mean '--redundancy'"),
        ([{"question": PLAIN[0]["question"], "response": ""}], [], "none of 1 traces is left (1 no response)"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_written(tmp_path, capsys, monkeypatch, given, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "in.jsonl", given)
    assert run("--in", "in.jsonl", "--out", "out.jsonl", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    goes_on = {"out.jsonl.part"} if "is left" in message else set()
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", *goes_on}


@pytest.mark.parametrize("out", ["traces.jsonl", "./traces.jsonl", "problems.jsonl", "link.jsonl"])
def test_the_input_is_never_overwritten(tmp_path, own, capsys, monkeypatch, out):
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("traces.jsonl", "problems.jsonl"):
        (folder / name).write_bytes(own.with_name(name).read_bytes())
    (folder / "link.jsonl").symlink_to(folder / "traces.jsonl")
    monkeypatch.chdir(folder)
    assert run("--in", "traces.jsonl", "--out", out) == 2
    assert "would overwrite the input" in capsys.readouterr().err
    assert (folder / "traces.jsonl").read_bytes() == own.read_bytes()


def test_traces_without_their_problems_are_refused(tmp_path, own, capsys):
    (tmp_path / "traces.jsonl").write_bytes(own.read_bytes())
    assert run("--in", tmp_path / "traces.jsonl", "--out", tmp_path / "clean.jsonl") == 2
    assert "problems.jsonl: no such file" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path, capsys):
    assert run("--in", tmp_path / "no.jsonl", "--out", tmp_path / "clean.jsonl") == 2
    assert "no.jsonl: no such file" in capsys.readouterr().err


HARMONY = (
    "<|channel|>analysis<|message|>1 and 1 are two.{}<|end|><|start|>assistant<|channel|>final<|message|>"
    "It is \\boxed{{2}}.<|return|>"
)
S1 = "<|im_start|>think\n1 and 1 are two.{}\n<|im_start|>answer\nIt is \\boxed{{2}}."
GEMMA = "<|channel>thought\n1 and 1 are two.{}<channel|>It is \\boxed{{2}}."


@pytest.mark.parametrize("layout", [HARMONY, GEMMA, S1])
def test_layouts_in_channels_are_read_and_kept(tmp_path, layout):
    again = "\n\nLet me check again: 1 and 1 are two. Yes, that is right."
    write_jsonl(tmp_path / "in.jsonl", [{"question": "1+1?", "gold": "2", "response": layout.format(again)}])
    steps = "correct,{type: length, max_tokens: 1000}"
    run("--in", tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl", "--domain", "math", "--steps", steps)
    assert [row["response"] for row in rows(tmp_path / "out.jsonl")] == [layout.format(again)]
    traces = ForeignTraces(Source(path=str(tmp_path / "in.jsonl")), {}, Math(), ResponseFormat())
    trace = next(iter(read_traces(traces.write(tmp_path / "work"))))
    assert (trace.thinking, trace.answer) == (f"1 and 1 are two.{again}", "2")
    write_jsonl(tmp_path / "cut.jsonl", [to_json(replace(trace, thinking="1 and 1 are two."))])
    assert [row["response"] for row in traces.kept(tmp_path / "cut.jsonl")] == [layout.format("")]


def test_the_replies_of_a_judge_are_kept_for_another_variant(tmp_path, capsys):
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    write_jsonl(source, plain_rows(3))
    judge = "{engine: {type: 'tests.test_judge:Scripted', replies: ['?']}, retries: 0}"
    arguments = ["--in", source, "--out", out, "--domain", "kk", "--judge", judge]
    run(*arguments)
    replies = tmp_path / "out.judge.jsonl"
    first = rows(replies)
    assert len(first) == len(rows(out)) > 1 and f"judge:   {replies}" in capsys.readouterr().out
    run(*arguments, "--verification", "drop")
    assert rows(replies) == first and "calls" not in capsys.readouterr().err
