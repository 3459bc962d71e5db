"""`python -m warmup_rl init`: proposes columns and grader, tries them, and writes a recipe that checks."""

import csv
import json

import pytest
import yaml

from warmup_rl.__main__ import main
from warmup_rl.recipe.load import load_recipe


def table(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def init(path, *options):
    return main(["init", str(path), "--out", str(path.with_suffix(".yaml")), *options])


def test_a_csv_of_numbers_becomes_a_recipe_that_checks(tmp_path, capsys):
    path = table(
        tmp_path / "my.csv", ["id", "problem", "solution"], [[n, f"What is {n} times {n}?", n * n] for n in range(60)]
    )
    assert init(path) == 0
    out = capsys.readouterr().out
    assert "question: problem" in out and "grader: {type: number}" in out
    assert "gold: 60 of 60 correct" in out and "one more: 0 of 60 correct" in out
    assert "15 problems measured" in out and "points" in out
    recipe = load_recipe(path.with_suffix(".yaml"), [f"output_dir={tmp_path}"], draw=True)
    assert len(recipe.domains["mine"].take("train", 0, 45)) == 45


def test_an_existing_recipe_is_never_overwritten(tmp_path, capsys):
    path = table(tmp_path / "my.csv", ["question", "answer"], [[f"Q{n}?", n] for n in range(8)])
    path.with_suffix(".yaml").write_text("mine: true\n")
    assert init(path) == 2 and "exists already" in capsys.readouterr().err
    assert path.with_suffix(".yaml").read_text() == "mine: true\n"


def test_a_place_where_no_file_can_be_made_is_named(tmp_path, capsys):
    path = table(tmp_path / "my.csv", ["question", "answer"], [[f"Twice {n + 100}?", 2 * n + 200] for n in range(24)])
    assert init(path, "--out", "/proc/my.yaml") == 2
    assert "/proc/my.yaml: the file cannot be written: no file can be made there." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("golds", "extra", "grader"),
    [
        (["7", "12.5", "-3", "0.25"], {}, "number"),
        (["4 km", "5 km", "6 km", "7 km"], {}, "number"),
        (["\\frac{1}{2}", "x+1", "(1,2)", "3"], {}, "math"),
        (["A", "B", "C", "A"], {"options": ["x", "y", "z"]}, "choice"),
        (["red, blue", "green, red", "blue, white", "red, black"], {}, "set"),
        (['{"a": 1}', "[1, 2]", "{}", "[]"], {}, "json"),
        (["Paris", "Rome", "Berlin", "Oslo"], {}, "exact"),
        (["Zoey is a knave, and Oliver is a knight."] * 4, {}, "kk"),
    ],
    ids=["numbers", "units", "latex", "letters", "lists", "json", "words", "islanders"],
)
def test_the_grader_follows_from_the_answers(golds, extra, grader):
    from warmup_rl_extras.column_guesses import describe_columns
    from warmup_rl_extras.grader_guesses import propose_grader

    rows = [{"question": "?", "answer": gold, **extra} for gold in golds]
    assert propose_grader(golds, describe_columns(rows))["type"] == grader


def test_a_grader_that_does_not_fit_is_found_out(tmp_path, capsys):
    path = tmp_path / "my.jsonl"
    path.write_text("".join(json.dumps({"question": f"Q{n}?", "answer": f"word{n}"}) + "\n" for n in range(12)))
    assert init(path, "--grader", "number") in (1, 2)


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path, capsys):
    path = table(tmp_path / "my.csv", ["q", "a"], [[f"Q{n}?", n] for n in range(8)])
    assert init(path, "--question", "question") == 2
    assert "Columns: q, a" in capsys.readouterr().err


ROWS = 24


@pytest.mark.parametrize(
    ("rows", "proposed"),
    [
        ([{"question": f"Q{n}?", "answer": f"Half of it.\n#### {n * 7}"} for n in range(ROWS)],
         {"answer_after": "####", "grader": {"type": "number"}}),
        ([{"question": f"Pick {n}.", "choices": [f"a{n}", f"b{n}", f"c{n}"], "answer": n % 3} for n in range(ROWS)],
         {"grader": {"type": "choice", "options": "choices", "counted_from": 0}}),
        ([{"question": f"Pick {n}.", "choices": [f"a{n}", f"b{n}", f"c{n}"], "answer": 1 + n % 3} for n in range(ROWS)],
         {"grader": {"type": "choice", "options": "choices", "counted_from": 1}}),
        ([{"id": n, "question": f"Pick {n}.", "choices": {"text": [f"a{n}", f"b{n}"], "label": ["1", "2"]},
           "answerKey": str(1 + n % 2)} for n in range(ROWS)],
         {"answer": "answerKey", "grader": {"type": "choice", "options": "choices"}}),
        ([{"Unnamed: 0": n, "question": f"Pick {n}.", "A": f"a{n}", "B": f"b{n}", "C": f"c{n}", "correct": "ABC"[n % 3]}
          for n in range(ROWS)],
         {"answer": "correct", "grader": {"type": "choice", "options": ["A", "B", "C"]}}),
        ([{"q": f"Pick the number {n}.", "option_a": f"a{n}", "option_b": f"b{n}", "key": f"{'ab'[n % 2]}{n}"}
          for n in range(ROWS)],
         {"question": "q", "answer": "key", "grader": {"type": "choice", "options": ["option_a", "option_b"]}}),
        ([{"context": f"Ann and Bob met in {n}.", "question": f"Who was late in {n}?", "ans0": f"Ann{n}",
           "ans1": f"Bob{n}", "ans2": "nobody", "label": n % 3} for n in range(ROWS)],
         {"grader": {"type": "choice", "options": ["ans0", "ans1", "ans2"], "counted_from": 0}}),
        ([{"sentence1": f"The {n} came.", "sentence2": f"It came in {n}.", "label": n % 2} for n in range(ROWS)],
         {"question": "{sentence1}\n\n{sentence2}", "grader": {"type": "label"}}),
        ([{"": n, "prompt": f"What is {n} + {n * n}, reader?", "source": "book", "none": "", "sum": n + n * n}
          for n in range(ROWS)],
         {"question": "prompt", "answer": "sum"}),
        ([{"question": f"Offer {n}?", "answer": f"${1000 + 37 * n:,}.00"} for n in range(ROWS)],
         {"grader": {"type": "number"}, "instruction": "Give the answer as one number."}),
        ([{"question": f"Weight {n}?", "answer": f"{3 + n * 0.37:.2f}"} for n in range(ROWS)],
         {"grader": {"type": "number", "relative": 0.01}}),
        ([{"question": f"Right {n}?", "answer": ["yes", "Yes", "no"][n % 3]} for n in range(ROWS)],
         {"grader": {"type": "label"}}),
        ([{"question": f"Times {n}?", "answer": n * 3 if n % 7 else ""} for n in range(ROWS)],
         {"drop_bad_golds": True, "grader": {"type": "number"}}),
        ([{"question": f"Find {n}.", "answer": f"We add, so it is $\\boxed{{{n}+x}}$, as shown."} for n in range(ROWS)],
         {"grader": {"type": "math"}}),
    ],
    ids=["after a mark", "from 0", "from 1", "labels", "columns", "texts",
         "columns of any name", "pairs", "index columns", "money", "decimals",
         "equal golds", "gaps", "boxed"],
)  # fmt: skip
def test_files_as_they_are_published_are_understood(tmp_path, rows, proposed):
    path = tmp_path / "my.csv"
    if any(isinstance(value, list | dict) for value in rows[0].values()):
        path = tmp_path / "my.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        table(path, list(rows[0]), [list(row.values()) for row in rows])
    assert init(path) == 0
    block = yaml.safe_load(path.with_suffix(".yaml").read_text())["domains"]["mine"]
    assert {key: block.get(key) for key in proposed} == proposed


def test_puzzles_in_the_published_form_are_graded_as_puzzles(tmp_path, capsys):
    puzzles = tmp_path / "my.jsonl"
    assert main(["puzzles", "--people", "3", "--size", "12", "--out", str(puzzles)]) == 0
    assert init(puzzles) == 0
    out = capsys.readouterr().out
    assert "grader: {type: kk}" in out and "gold: 12 of 12 correct" in out


def test_the_first_line_tells_what_separates_columns(tmp_path):
    path = tmp_path / "my.csv"
    path.write_text("question;answer\n" + "".join(f"Was ist {n}, bitte?;{n * 3}\n" for n in range(12)))
    assert init(path) == 0


def test_prose_is_no_answer_that_a_grader_by_name_can_judge(tmp_path, capsys):
    why = "Because of many things, some of them old, and others new, that one would have to list here."
    path = table(tmp_path / "my.csv", ["question", "answer"], [[f"Why {n}?", f"{why} {n}"] for n in range(12)])
    assert init(path) == 2 and "--answer" in capsys.readouterr().err and not path.with_suffix(".yaml").exists()


def test_a_question_that_is_always_the_same_is_no_question(tmp_path, capsys):
    path = table(tmp_path / "my.csv", ["question", "answer"], [["Solve it.", n] for n in range(12)])
    assert init(path) == 2 and "right column" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("golds", "arguments", "message"),
    [
        (list(range(12)), ["--answer", "Answr"], "no column 'Answr'. Did you mean 'answer'"),
        (list(range(12)), ["--answer", "question"], "cannot be both question and answer"),
    ],
    ids=["a slip", "one column"],
)
def test_what_would_grade_wrongly_is_refused(tmp_path, capsys, golds, arguments, message):
    path = table(tmp_path / "my.csv", ["question", "answer"], [[f"Q{n}?", gold] for n, gold in enumerate(golds)])
    assert init(path, *arguments) == 2 and message in capsys.readouterr().err


def test_cells_without_an_answer_and_questions_with_two_are_told_of(tmp_path, capsys):
    rows = [[f"What is {n} times 7?", "N/A" if n % 9 == 8 else 7 * n] for n in range(36)]
    path = table(tmp_path / "my.csv", ["question", "answer"], [*rows, ["What is 0 times 7?", 1]])
    assert init(path) == 0
    out = capsys.readouterr().out
    assert "grader: {type: number}" in out and "gold: 32 of 32 correct" in out
    assert "1 repeated with another answer" in out


PASSAGE = "The river of town number {} rises in the hills, passes two mills and an old bridge, and ends in the lake."
COMMON = {
    "passage and question": (
        [{"passage": PASSAGE.format(n), "question": f"Is {n} even?", "answer": ["yes", "no"][n % 2]}
         for n in range(ROWS)],
        {"question": "{passage}\n\n{question}", "grader": {"type": "label"},
         "instruction": "Answer with one of: yes, no."},
    ),
    "text to SQL": (
        [{"db_id": "shop", "schema": f"CREATE TABLE t{n % 3} (a INT, b TEXT, c TEXT, d INT)", "nl": f"Count the {n}s.",
          "sql": f"SELECT a, COUNT(*) FROM t{n % 3} WHERE a = {n} GROUP BY a;"} for n in range(ROWS)],
        {"question": "{schema}\n\n{nl}", "answer": "sql", "grader": {"type": "sql"}},
    ),
    "SQuAD rows": (
        [{"context": PASSAGE.format(n), "question": f"Which town is meant in line {n}?",
          "answers": {"text": [f"town number {n}"], "answer_start": [13]}} for n in range(ROWS)],
        {"question": "{context}\n\n{question}", "answer": "answers.text[0]", "grader": {"type": "exact"}},
    ),
    "SQuAD file": (
        {"version": "1.1", "data": [{"title": "Towns", "paragraphs": [
            {"context": PASSAGE.format(n), "qas": [{"id": str(n), "question": f"Which town is meant in line {n}?",
             "answers": [{"text": f"town number {n}", "answer_start": 13}]}]} for n in range(ROWS)]}]},
        {"question": "{context}\n\n{question}", "answer": "answers[0].text"},
    ),
    "wrapped": (
        {"canary": "x", "examples": [{"input": f"{n} + {n} =", "target": str(2 * n)} for n in range(ROWS)]},
        {"question": "input", "answer": "target", "grader": {"type": "number"}},
    ),
    "chat": (
        [{"messages": [{"role": "user", "content": f"Double {n + 17}."},
                       {"role": "assistant", "content": f"{2 * n + 34}"}]}
         for n in range(ROWS)],
        {"question": "messages[user]", "answer": "messages[assistant]", "grader": {"type": "number"}},
    ),
    "several right options": (
        [{"question": "Which are even?", "choices": [str(n), str(n + 1), str(n + 2)],
          "answer": "A, C" if n % 2 == 0 else "B"} for n in range(ROWS)],
        {"grader": {"type": "set", "options": "choices"}},
    ),
    "units": (
        [{"question": f"How much {n}?", "answer": f"{1.5 + n:.2f} {['km', 'kWh', 'Pa'][n % 3]}"} for n in range(ROWS)],
        {"grader": {"type": "number", "relative": 0.01, "units": {"Pa": [], "kWh": []}},
         "instruction": "Give the answer as one number with its unit."},
    ),
    "dates": (
        [{"question": f"Which day is {n} days after the first?", "answer": f"2024-07-{n + 1:02}"} for n in range(ROWS)],
        {"grader": {"type": "exact"}, "instruction": "Give the answer in the form YYYY-MM-DD, such as 2024-07-01."},
    ),
    "decimal comma": (
        [{"question": f"Price {n}?", "answer": f"{n},{n % 10}5"} for n in range(ROWS)],
        {"grader": {"type": "number", "decimal": "comma"}},
    ),
    "category": (
        [{"text": f"My order {n} is late.", "category": ["billing", "shipping", "other"][n % 3]} for n in range(ROWS)],
        {"question": "text", "answer": "category", "grader": {"type": "label"}},
    ),
    "any number of labels": (
        [{"text": f"Line {n} of the play.", "labels": [["joy"], ["fear", "joy"], ["anger"]][n % 3]}
         for n in range(ROWS)],
        {"answer": "labels", "grader": {"type": "set"},
         "instruction": "Answer with all that apply of: joy, fear, anger; separated by commas."},
    ),
    "numbers of labels": (
        [{"sentence": f"Line {n} of the play.", "emotions": ["1", "3, 1", "2", "3"][n % 4]} for n in range(ROWS)],
        {"answer": "emotions", "grader": {"type": "set"}},
    ),
    "one of several spellings": (
        [{"question": f"When was {n}?", "answer": [f"{n} May 1{n}08", f"1{n}08"][: 1 + n % 2]} for n in range(ROWS)],
        {"answer": "answer", "grader": {"type": "exact", "alternatives": True}},
    ),
    "several names": (
        [{"question": f"Who was there in {n}?", "answer": [f"Ann{n}", f"Bob{n}"]} for n in range(ROWS)],
        {"answer": "answer", "grader": {"type": "set"}},
    ),
    "objects": (
        [{"text": f"Ann is {n}.", "output": {"name": "Ann", "age": n}} for n in range(ROWS)],
        {"grader": {"type": "json"}, "instruction": "Give the answer as a JSON object with the keys: name, age."},
    ),
    "a class and a text of any name": (
        [{"Category": ["sport", "news"][n % 2], "Article": f"{PASSAGE.format(n)} End."} for n in range(ROWS)],
        {"question": "Article", "answer": "Category", "grader": {"type": "label"}},
    ),
    "spreadsheet": (
        [{" Question text ": f"What is {n} + {n}?", "Right answer": 2 * n} for n in range(ROWS)],
        {"question": "Question text", "answer": "Right answer", "grader": {"type": "number"}},
    ),
    "functions": (
        [{"text": f"Write a function that adds {n}.", "code": f"def add_{n}(x):\n    return x + {n}",
          "test_list": [f"assert add_{n}(len('x'*10)) == {n + 10}", f"assert add_{n}(1) == {n + 1}"]}
         for n in range(6)],
        {"question": "{text}\n\n{test_list[0]}", "answer": "code", "grader": {"type": "code", "tests": "test_list"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "proposed"), COMMON.values(), ids=COMMON)
def test_common_files_become_recipes_that_check(tmp_path, capsys, monkeypatch, content, proposed):
    monkeypatch.setattr("warmup_rl.cli.check.require_disk", lambda trials: None)  # the model proposed is a large one
    path = tmp_path / "my.json"
    path.write_text(json.dumps(content))
    if isinstance(content, list) and " Question text " in content[0]:
        path = table(tmp_path / "my.csv", list(content[0]), [list(row.values()) for row in content])
    assert init(path) == 0, capsys.readouterr()
    out = capsys.readouterr().out
    assert "do not name the tables" not in out
    block = yaml.safe_load(path.with_suffix(".yaml").read_text())["domains"]["mine"]
    assert {key: block.get(key) for key in proposed} == proposed
    assert out.count("as the model sees it") == 3 and block["instruction"] in out
    assert main(["check", str(path.with_suffix(".yaml")), f"output_dir={tmp_path / 'out'}"]) == 0


def test_the_recipe_names_no_launch_file_and_keeps_wrong_turns(tmp_path):
    path = table(tmp_path / "my.csv", ["question", "answer"], [[f"What is {n} times {n}?", n * n] for n in range(24)])
    assert init(path) == 0
    text = path.with_suffix(".yaml").read_text()
    assert "launch/" not in text and "accelerate launch -m warmup_rl.train my.yaml" in text
    assert [stage["steps"] for stage in yaml.safe_load(text)["stages"] if stage["type"] == "clean"] == [
        ["correct", "duplicates", {"type": "length", "max_tokens": 8192}]
    ]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"schema": f"t{n % 2}", "sql": f"SELECT {n}", "nl": f"Show {n}."} for n in range(ROWS)],
         ["--question", "schema", "--answer", "sql"], "rows fall out"),
        ([{"messages": [{"role": "user", "content": f"Double {n}."},
                        {"role": "assistant", "content": f"It is {2 * n}"}]}
          for n in range(ROWS)],
         ["--question", "{messages}", "--answer", "messages[assistant]"], "stands in the question"),
    ],
    ids=["rows fall out", "gold in the question"],
)  # fmt: skip
def test_a_task_that_makes_no_sense_is_refused(tmp_path, capsys, rows, options, message):
    path = tmp_path / "my.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert init(path, *options) == 2
    error = capsys.readouterr().err
    assert message in error and "--question" in error and not path.with_suffix(".yaml").exists()
    assert init(path, *options, "--anyway") in (0, 1)


@pytest.mark.parametrize(("empty", "mark"), [(0, ""), (5, "?")], ids=["every row", "most rows"])
def test_a_unit_column_is_part_of_question_and_answer(tmp_path, capsys, empty, mark):
    rows = [[f"How much do {n} loads of {n} weigh?", n * n + 0.5, f"$\\mathrm{{{'kN' if n % 2 else 'bar'}}}$ "]
            for n in range(1, 41)]  # fmt: skip
    for row in rows[:empty]:
        row[2] = ""
    path = table(tmp_path / "units.csv", ["problem_text", "answer_number", "unit"], rows)
    assert init(path) == 0
    out = capsys.readouterr().out
    assert rf'question: "{{problem_text}}\n\nUnit of the answer: {{unit{mark}}}"' in out
    assert "not used" not in out and "gold: 40 of 40 correct" in out and f"no unit: {40 - empty} of {40 - empty}" in out
    domain = load_recipe(path.with_suffix(".yaml"), [f"output_dir={tmp_path}"]).domains["mine"]
    found = (one for split in ("train", "test") for one in domain.unchecked(split, 0))
    problem = next(one for one in found if "loads of 20 " in one.question)
    assert problem.gold == "400.5 bar" and problem.question.endswith("\n\nUnit of the answer: $\\mathrm{bar}$")
    verdicts = [domain.grade(text, problem).verdict for text in ("400.5", "400.5 bar", "\\boxed{400.5 \\text{ bar}}")]
    assert verdicts == ["correct"] * 3 and domain.grade("400.5 kN", problem).verdict != "correct"


def test_a_passage_counts_where_its_name_is_plain_and_some_rows_have_none(tmp_path, capsys):
    rows = [
        {"text": "" if n == 3 else PASSAGE.format(n), "question": f"What follows from line {n}?", "answer": n % 2,
         "options": [f"A. The mill {n} is old.", f"B. The bridge {n} is new."]}
        for n in range(ROWS)
    ]  # fmt: skip
    path = tmp_path / "my.json"
    path.write_text(json.dumps(rows))
    assert init(path) == 0
    assert r'question: "{text?}\n\n{question}"' in capsys.readouterr().out
    domain = load_recipe(path.with_suffix(".yaml"), [f"output_dir={tmp_path}"]).domains["mine"]
    asked = {one.question for split in ("train", "test") for one in domain.unchecked(split, 0)}
    options = "\nA. The mill {0} is old.\nB. The bridge {0} is new."
    assert f"What follows from line 3?{options.format(3)}" in asked
    assert f"{PASSAGE.format(4)}\n\nWhat follows from line 4?{options.format(4)}" in asked


def test_whole_numbers_written_with_a_point_are_exact(tmp_path, capsys):
    rows = [[f"Say {n} and {n}.", f"{n + 100}.0"] for n in range(60)]
    assert init(table(tmp_path / "whole.csv", ["question", "answer"], rows)) == 0
    assert "grader: {type: number}\n" in capsys.readouterr().out


def test_wrong_answers_within_the_tolerance_are_none(tmp_path, capsys):
    rows = [[f"Measure piece {n}.", 100 + n / 8] for n in range(60)]
    assert init(table(tmp_path / "near.csv", ["question", "answer"], rows)) == 0
    assert "another row's gold: 0 of" in capsys.readouterr().out


def test_options_that_no_answer_names_are_not_left_out_in_silence(tmp_path, capsys):
    rows = [[f"Which of them is number {n}?", f"a{n}", f"b{n}", f"item {n} of the shelf"] for n in range(ROWS)]
    path = table(tmp_path / "my.csv", ["question", "option_a", "option_b", "answer"], rows)
    assert init(path) == 2
    error = capsys.readouterr().err
    assert "name none of them" in error and r"--question '{question}\n{option_a}\n{option_b}'" in error
    assert init(path, "--question", "{question}\n{option_a}\n{option_b}") == 0


def test_lists_of_problems_in_a_row_are_no_answers(tmp_path, capsys):
    rows = [{"table": [["a", n]], "paragraphs": [{"uid": n, "text": PASSAGE.format(n)}],
             "questions": [{"question": f"Which is {n}?", "answer": n}, {"question": f"And {n + 1}?", "answer": n + 1}]}
            for n in range(ROWS)]  # fmt: skip
    path = tmp_path / "my.json"
    path.write_text(json.dumps(rows))
    assert init(path) == 2
    error = capsys.readouterr().err
    assert "which column is the answer?" in error and "Lists of objects are in paragraphs, questions" in error


def test_letters_of_one_or_several_options_are_a_set_of_them(tmp_path, capsys):
    rows = [{"question": f"Which hold of {n}?", "options": [f"(A)one {n}", f"(B)two {n}", f"(C)three {n}"],
             "label": ["A", "C"] if n % 2 else "B"} for n in range(ROWS)]  # fmt: skip
    path = tmp_path / "my.json"
    path.write_text(json.dumps(rows))
    assert init(path) == 0
    out = capsys.readouterr().out
    assert "grader: {type: set, options: options}" in out and "letters of all right options" in out
    assert f"in reverse order: {ROWS // 2} of {ROWS // 2} correct" in out
    domain = load_recipe(path.with_suffix(".yaml"), [f"output_dir={tmp_path}"]).domains["mine"]
    problem = next(one for one in domain.unchecked("train", 0) if "of 11" in one.question or "of 7" in one.question)
    assert [domain.grade(text, problem).verdict for text in ("A, C", "C and A", "B")] == ["correct", "correct", "wrong"]


def test_a_passage_that_is_the_name_of_a_file_is_told_of(tmp_path, capsys):
    rows = [[f"Who came number {n}?", f"csv/{n}.csv", f"Runner{n}"] for n in range(ROWS)]
    assert init(table(tmp_path / "my.csv", ["utterance", "context", "targetValue"], rows)) == 0
    assert "'context' names files, such as" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "options", "told"),
    [
        ([{"premise": f"The lamp {n} went out in the hall of the house.", "question": ["cause", "effect"][n % 2],
           "choice1": f"It broke {n}.", "choice2": f"It was dark {n}.", "label": n // 2 % 2} for n in range(ROWS)], [],
         "'question' holds only 'cause', 'effect': say in `instruction`"),
        ([{"comment": f"Word {n} of the reader.", "score": [0.25, 0.5, 1.0][n % 3]} for n in range(ROWS)],
         ["--grader", "{type: number, relative: 0.01}"], "fractions that recur, as ratings do: say in `instruction`"),
        ([{"question": f"How many of {n}?", "query": f"SELECT count(*) FROM t{n}"} for n in range(ROWS)], [],
         "Most questions do not name the tables of their query"),
        ([{"question": f"Which is number {n}?\n(A) one\n(B) two", "target": f"({'AB'[n % 2]})"} for n in range(ROWS)],
         ["--grader", "python: {}/own.py:grade"], "does not say how to answer: say so in `instruction`"),
    ],
    ids=["questions that recur", "ratings", "SQL without tables", "own grader of a listed option"],
)  # fmt: skip
def test_what_only_the_owner_of_the_rows_knows_is_asked_for(tmp_path, capsys, rows, options, told):
    (tmp_path / "own.py").write_text("def grade(question, answer, reference):\n    return answer == reference\n")
    path = tmp_path / "my.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert init(path, *(option.replace("{}", str(tmp_path)) for option in options)) == 0
    assert told in capsys.readouterr().out


def test_the_odd_answer_among_letters_is_left_out(tmp_path, capsys):
    rows = [[f"Which is number {n}?\nOptions:\n(A) one\n(B) two\n(C) three", f"({'ABC'[n % 3]})"] for n in range(60)]
    rows[7][1] = "Monsters, Inc"
    assert init(table(tmp_path / "letters.csv", ["input", "target"], rows)) == 0
    out = capsys.readouterr().out
    assert "grader: {type: choice}" in out and "left out: 1 unusable" in out


def test_a_chat_in_a_column_called_input_is_not_its_own_context(tmp_path, capsys):
    labels = ["left", "right", "up"]
    rows = [
        {"input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Where is {n}?"}],
         "ideal": labels[n % 3]}
        for n in range(40)
    ]  # fmt: skip
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert init(path) == 0
    assert "question: input[user]   answer: ideal" in capsys.readouterr().out


def test_a_parsed_column_gives_way_to_its_text(tmp_path, capsys):
    rows = [{"question": f"How many of {n}?", "query": f"SELECT count(*) FROM t{n}", "sql": {"from": [n], "select": []}}
            for n in range(40)]  # fmt: skip
    path = tmp_path / "spider.json"
    path.write_text(json.dumps(rows))
    assert init(path) == 0
    out = capsys.readouterr().out
    assert "answer: query" in out and "grader: {type: sql}" in out


def test_spans_of_text_with_a_formula_among_them_are_no_mathematics(tmp_path, capsys):
    golds = [f"der Vertrag von Nummer{n}" if n % 2 else f"im Jahr {1900 + n}" for n in range(58)] + ["Typ c-4", "x = 2"]
    rows = [[f"Was steht an Stelle {n}?", gold] for n, gold in enumerate(golds)]
    assert init(table(tmp_path / "spans.de.csv", ["question", "answer"], rows)) == 0
    assert "grader: {type: exact}" in capsys.readouterr().out


def test_a_file_without_column_names_is_refused_and_bare_labels_are_told_of(tmp_path, capsys):
    long = "a sentence that is much too long to be the name of a column, since it goes on and on for ever"
    rows = [[f"{long} {n}", n % 2] for n in range(40)]
    assert init(table(tmp_path / "bare.csv", [f"{long}!", "1"], rows)) == 2
    assert "looks like a value: is the first line a row" in capsys.readouterr().err
    assert init(table(tmp_path / "short.csv", ["The first.", "1"], rows)) == 2
    assert "'1' names a column and looks like a value" in capsys.readouterr().err
    init(table(tmp_path / "named.csv", ["text", "label"], rows))
    assert "The labels are bare numbers: say in `instruction`" in capsys.readouterr().out


def test_a_table_in_windows_encoding_is_read_with_a_note(tmp_path, capsys):
    path = tmp_path / "preise.csv"
    rows = "".join(f"Preis für {n} Stück?;{n},5\n" for n in range(ROWS))
    path.write_bytes(f"Frage;Answer\n{rows}".encode("cp1252"))
    assert init(path) == 0 and "read as Windows-1252" in capsys.readouterr().out


def test_a_spreadsheet_in_utf_16_is_read(tmp_path, capsys):
    rows = "".join(f"Größe {n}?\t{3 * n + 100}\n" for n in range(ROWS))
    path = tmp_path / "sizes.tsv"
    path.write_text(f"question\tanswer\n{rows}", encoding="utf-16")
    assert init(path) == 0
    assert "Größe" in capsys.readouterr().out


def test_why_no_row_can_be_used_is_said(tmp_path, capsys):
    tests = ["assert f(1) == 2", "assert set(f(2)) == {1}"]
    rows = [{"text": f"Write {n}.", "code": "def f(x):\n    return x", "test_list": tests} for n in range(ROWS)]
    path = tmp_path / "my.json"
    path.write_text(json.dumps(rows))
    assert init(path) == 2
    assert f"None of {ROWS} rows can be used. The first: {path}:1: some tests compare sets" in capsys.readouterr().err


def test_right_answers_in_another_form_are_graded_and_those_that_fail_are_shown(tmp_path, capsys):
    path = tmp_path / "my_rules.py"
    path.write_text("from warmup_rl.domains.graders import ExactGrader\n\n\nclass Strict(ExactGrader):\n"
                    "    def grade(self, answer, problem):\n"
                    "        return super().grade('zzz' if 'answer is' in answer else answer, problem)\n")  # fmt: skip
    data = table(
        tmp_path / "my.csv", ["question", "answer"], [[f"How far {n}?", f"{n + 2} parsecs"] for n in range(24)]
    )
    assert init(data, "--grader", f"{{type: '{path}:Strict'}}") == 0
    out = capsys.readouterr().out
    assert "in a box: 24 of 24 correct (all should be)" in out and "in a sentence: 0 of 24 correct" in out
    assert "count as wrong: say in `instruction`" in out
