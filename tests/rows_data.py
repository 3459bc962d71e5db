"""Small data sets of our own in the formats of the published ones, for the domains that read files."""

import csv
import json
from pathlib import Path

import pytest

from program_sandbox import SandboxError, open_sandbox

OWN_GRADERS = [
    ("number", "12", "The answer is 12.", "13"),
    ({"type": "number", "tolerance": 0.1, "units": ["km"]}, "4.2 km", "4.25", "4.4 km"),
    ("exact", "Paris", " paris.", "London"),
    ("set", "a, b", "B; A", "a"),
    ("json", '{"a": [1]}', '```json\n{"a": [1.0]}\n```', '{"a": [true]}'),
    ("math", "\\frac{1}{2}", "\\boxed{0.5}", "\\boxed{0.6}"),
]
"""A grader with a gold, a right and a wrong answer."""


def sandbox_or_skip():
    """Skips a test if programs cannot be run on this machine."""
    try:
        open_sandbox()
    except SandboxError as error:
        pytest.skip(str(error))


def math_rows(first, count):
    """Rows of the MATH format with distinct answers."""
    for n in range(first, first + count):
        kind = n % 4
        answer = [str(n), f"\\frac{{{n}}}{{{n + 1}}}", f"({n},{n + 2})", f"{n}\\sqrt{{7}}"][kind]
        yield {
            "problem": f"Task {n}: find the value that makes statement {n} true.",
            "answer": answer,
            "level": f"Level {n % 5 + 1}",
            "subject": ["Algebra", "Geometry"][n % 2],
        }


def gsm8k_rows(first, count):
    for n in range(first, first + count):
        question = f"Ann has {n} apples and buys one. How many has she?"
        yield {"question": question, "answer": f"She has {n}+1.\n#### {n + 1:,}"}


def mmlu_rows(count):
    for n in range(count):
        options = [f"value {n + shift}" for shift in range(3 + n % 8)]
        yield {
            "question_id": n,
            "question": f"Which is option {n}?",
            "options": options,
            "answer": "ABCDEFGHIJ"[n % len(options)],
            "category": ["physics", "history"][n % 2],
        }


def humaneval_rows(count):
    for n in range(count):
        signature = f"def shift_{n}(values: List[int]) -> List[int]:"
        prompt = f'from typing import List\n\n\n{signature}\n    """Add {n} to each."""\n'
        yield {
            "task_id": f"HumanEval/{n}",
            "prompt": prompt,
            "entry_point": f"shift_{n}",
            "canonical_solution": f"    return [value + {n} for value in values]\n",
            "base_input": [[[1, 2]], [[]]],
            "plus_input": [[[5, -3, 8]]],
            "atol": 0,
        }


def mbpp_rows(count):
    for n in range(count):
        test = (
            f"inputs = [[({n}, 1)], [(2, 3)]]\nresults = [({n + 1}, {n}), (5, 6)]\n"
            f"for i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(pair_{n}(*inp), exp, 0)\n"
        )
        yield {
            "task_id": n,
            "prompt": f"Write a function for sum and product of a pair, number {n}.",
            "code": f"def pair_{n}(p):\n    return (p[0] + p[1], p[0] * p[1])\n",
            "test": test,
            "test_list": [f"assert pair_{n}((1, 1)) == (2, 1)"],
        }


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def settings(folder: Path):
    """Settings of each row domain on files made in the folder, and how many problems a test draws."""
    train, test = folder / "math_train.jsonl", folder / "math_test.jsonl"
    with (folder / "own.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["question", "answer"], *([f"What is {n} times {n + 1}?", n * (n + 1)] for n in range(80))])
    return {
        "math": ({"train": write_rows(train, math_rows(0, 80)), "test": write_rows(test, math_rows(80, 30))}, 60),
        "gsm8k": (
            {
                "train": write_rows(folder / "g1.jsonl", gsm8k_rows(0, 80)),
                "test": write_rows(folder / "g2.jsonl", gsm8k_rows(1000, 30)),
            },
            60,
        ),
        "mmlu_pro": ({"data": write_rows(folder / "m.jsonl", mmlu_rows(90)), "train": 30, "validation": 5}, 50),
        "humaneval_plus": ({"data": write_rows(folder / "h.jsonl", humaneval_rows(8)), "train": 3, "validation": 2}, 3),
        "mbpp_plus": ({"data": write_rows(folder / "b.jsonl", mbpp_rows(8)), "train": 3, "validation": 2}, 3),
        "jsonl": ({"file": str(folder / "own.csv"), "grader": "number", "alike": 1.0, "validation": 5}, 50),
    }
