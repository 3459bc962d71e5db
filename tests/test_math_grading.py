"""Mathematical answers: what counts as the same, what does not, and that nothing takes long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.math_cases import (
    COPIED,
    DIFFERENT,
    LAYOUTS_SAME,
    NO_ANSWERS,
    NO_MATHEMATICS,
    PLAINLY_OTHER,
    SAME,
    WORKED_OUT,
)
from warmup_rl.base.errors import Unscorable
from warmup_rl.base.types import Grade
from warmup_rl.grading.math import final_answer, same_answer, unusable


@pytest.mark.parametrize(("gold", "answer"), LAYOUTS_SAME)
def test_the_same_answer_in_another_form_is_correct(gold: str, answer: str) -> None:
    assert same_answer(gold=gold, answer=answer).verdict == "correct"


@pytest.mark.parametrize(("gold", "answer"), PLAINLY_OTHER)
def test_a_different_answer_is_wrong(gold: str, answer: str) -> None:
    assert same_answer(gold=gold, answer=answer).verdict == "wrong"


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_what_means_the_reference_is_correct(gold: str, answer: str) -> None:
    assert same_answer(gold=gold, answer=answer).verdict == "correct"


@pytest.mark.parametrize(
    ("gold", "answer", "other"),
    [
        ("12", r"(f\circ g)(2)=12", r"(f\circ g)(2)=13"),
        ("12", "(f \u2218 g)(2) = 12", "(f \u2218 g)(2) = 2"),
        ("4x^2+1", r"(f\circ g)(x)=4x^2+1", r"(f\circ g)(x)=4x^2-1"),
        (r"\sqrt[3]{5}", "cbrt(5)", "cbrt(6)"),
        (r"2\sqrt[3]{2}", "2cbrt(2)", "cbrt(4)"),
        ("|x-3|", "abs(x - 3)", "abs(x+3)"),
        ("5", "abs(-5)", "-abs(-5)"),
        ("72", "#### 72 (48+24)", "#### 72 (48+25)"),
        ("42", "#### $42", "#### not 42"),
        ("1200", "#### 1,200 dollars", "#### 1,200 or 1,300"),
        ("272", "\\boxed{\u09e8\u09ed\u09e8}", "\\boxed{\u09e8\u09ed\u09e9}"),
        ("\\frac{1}{2}", "\\frac{\u0661}{\u0662}", "\\frac{\u0662}{\u0661}"),
    ],
)
def test_names_of_functions_and_marks_of_answers_are_read(gold: str, answer: str, other: str) -> None:
    assert [same_answer(gold=gold, answer=text).verdict for text in (answer, other)] == ["correct", "wrong"]


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_what_does_not_mean_the_reference_is_wrong(gold: str, answer: str) -> None:
    assert same_answer(gold=gold, answer=answer).verdict == "wrong"


@pytest.mark.parametrize("answer", NO_ANSWERS)
def test_no_answer_is_none(answer: str) -> None:
    assert same_answer(gold="5", answer=answer).verdict == "none"


@pytest.mark.parametrize("answer", NO_MATHEMATICS)
@pytest.mark.parametrize("gold", ["5", "x+1", "(1,2)", "\\{1,2\\}"])
def test_an_answer_that_is_no_mathematics_is_wrong_and_not_unscorable(gold: str, answer: str) -> None:
    assert same_answer(gold=gold, answer=answer).verdict == "wrong"


def test_only_the_last_balanced_box_counts() -> None:
    assert final_answer("\\boxed{1} and \\boxed{\\frac{1}{2}}") == "\\frac{1}{2}"


@pytest.mark.parametrize(
    "poison",
    [
        "9^{9^9}",
        "10^{10^{10}}",
        "9^9^9",
        "2^{100000000}",
        "(10^7)!",
        "100000000!",
        "3!!!!",
        "\\binom{100000000}{50000000}",
        "\\sum_{i=1}^{100000000} i",
        "{" * 120 + "1" + "}" * 120,
        "1+" * 100_000 + "1",
        "7" * 500_000,
        "(x+y+z)^{999}",
        "\\sum_{k=1}^{999}\\sum_{j=1}^{999} \\sin(jk)",
        "\\prod_{k=1}^{999} k^k",
        "e^{e^{e^{9}}}",
    ],
)
def test_no_poison_is_correct_and_none_stalls(poison: str) -> None:
    assert same_answer(gold="5", answer=poison).verdict != "correct"
    assert same_answer(gold="5", answer=f"\\boxed{{{poison}}}").verdict != "correct"


@pytest.mark.parametrize(("question", "gold", "answer"), COPIED)
def test_an_expression_copied_from_the_question_is_wrong(question: str, gold: str, answer: str) -> None:
    assert same_answer(gold=gold, answer=answer, question=question).verdict == "wrong"
    assert same_answer(gold=gold, answer=answer).verdict == "correct", "what it would be without the question"


@pytest.mark.parametrize(("question", "gold", "answer"), WORKED_OUT)
def test_what_is_worked_out_counts_though_the_question_holds_parts_of_it(question: str, gold: str, answer: str) -> None:
    assert same_answer(gold=gold, answer=answer, question=question).verdict == "correct"


def test_a_base_that_the_question_asks_for_need_not_be_repeated() -> None:
    asked = "What is $34_7 + 15_7$? Give your answer in base 7."
    assert same_answer(gold="52_7", answer="52", question=asked).verdict == "correct"
    assert same_answer(gold="52_7", answer="37", question=asked).verdict == "wrong"
    assert same_answer(gold="52_7", answer="52").verdict == "wrong"


SLOW = r"\int_0^{\infty}\frac{\ln x}{1+x^7+x^{13}}dx"


@pytest.mark.parametrize(("answer", "verdict"), [("1", "correct"), ("\\frac{2}{2}", "correct"), ("2", "wrong")])
def test_a_reference_beyond_the_parser_is_compared_by_math_verify(answer: str, verdict: str) -> None:
    assert same_answer(gold=r"\int_0^1 2x\,dx", answer=answer).verdict == verdict


def test_an_integral_is_no_answer_to_a_plain_reference() -> None:
    assert same_answer(gold="1", answer=r"\int_0^1 2x\,dx").verdict == "wrong"


def test_what_takes_too_long_is_a_timeout_and_the_next_answer_is_graded() -> None:
    assert same_answer(gold=SLOW, answer="3").verdict == "timeout"
    assert same_answer(gold=r"\int_0^1 2x\,dx", answer="1").verdict == "correct"


def test_a_killed_worker_loses_nothing() -> None:
    assert same_answer(gold=r"\int_0^1 2x\,dx", answer="1").verdict == "correct"
    for worker in _verifiers():
        os.kill(worker.pid, signal.SIGKILL)
    golds = [rf"\int_0^1 {2 * number}x\,dx" for number in range(2, 12)]
    with ThreadPoolExecutor(4) as threads:
        verdicts = list(threads.map(lambda pair: same_answer(gold=pair[1], answer=str(pair[0])).verdict,
                                    enumerate(golds, start=2)))  # fmt: skip
    assert verdicts == ["correct"] * len(golds)


def test_no_worker_outlives_its_parent() -> None:
    code = (
        "import os, signal\nfrom warmup_rl.grading.math import same_answer\n"
        r"same_answer(gold=r'\int_0^1 2x\,dx', answer='1'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PARENT_OF_THE_TEST": "killed"})
    parent.wait(timeout=60)
    orphans = [process for process in psutil.process_iter() if _is_verifier(process) and _is_marked(process)]
    assert not psutil.wait_procs(orphans, timeout=30)[1]


def _is_marked(process: psutil.Process) -> bool:
    try:
        return process.environ().get("PARENT_OF_THE_TEST") == "killed"
    except psutil.Error:
        return False


def _verifiers() -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if _is_verifier(process)]


def _is_verifier(process: psutil.Process) -> bool:
    try:
        return "warmup_rl.grading.math_worker" in process.cmdline()
    except psutil.Error:
        return False


def test_verdicts_do_not_depend_on_order_or_threads() -> None:
    cases = [*SAME[::7], *DIFFERENT[::7]]
    alone = {case: same_answer(gold=case[0], answer=case[1]).verdict for case in cases}
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda case: same_answer(gold=case[0], answer=case[1]).verdict, reversed(cases)))
    assert together == [alone[case] for case in reversed(cases)]


def test_grading_works_off_the_main_thread() -> None:
    grades: list[Grade] = []
    thread = threading.Thread(target=lambda: grades.append(same_answer(gold="\\frac{3}{4}", answer="0.75")))
    thread.start()
    thread.join()
    assert grades[0].verdict == "correct"


def test_an_empty_reference_is_unscorable() -> None:
    with pytest.raises(Unscorable):
        same_answer(gold="", answer="0.5")


def test_a_reference_in_words_is_compared_as_words() -> None:
    assert same_answer(gold="\\text{Evelyn}", answer="Evelyn").verdict == "correct"
    assert same_answer(gold="\\text{Evelyn}", answer="Carla").verdict == "wrong"


@given(st.integers(), st.integers())
def test_integers_are_the_same_exactly_when_equal(gold: int, answer: int) -> None:
    verdict = same_answer(gold=str(gold), answer=f"\\boxed{{{answer}}}").verdict
    assert verdict == ("correct" if gold == answer else "wrong")


LAYOUTS = ["{}", " {} ", "${}$", "{}.", "\\boxed{{{}}}", "\\boxed{{ {} }}"]


@given(st.integers(-(10**12), 10**12), st.sampled_from(LAYOUTS))
def test_layout_does_not_change_the_verdict(gold: int, layout: str) -> None:
    assert same_answer(gold=str(gold), answer=layout.format(gold)).verdict == "correct"


DATA = Path("../shared/data")


@pytest.mark.skipif(not DATA.is_dir(), reason="the benchmark files are not beside the repository")
def test_the_given_pairs_are_graded_as_a_reader_would() -> None:
    rows = [json.loads(line) for line in (DATA / "math_pairs.jsonl").read_text().splitlines()]
    wrong = [
        row["id"]
        for row in rows
        if (same_answer(gold=row["gold"], answer=row["answer"]).verdict == "correct") != row["should"]
    ]
    assert not set(wrong) - {28, 32, 96, 106}, "all but the policy rows"


@pytest.mark.skipif(not DATA.is_dir(), reason="the benchmark files are not beside the repository")
@pytest.mark.parametrize("file", ["math500.jsonl", "math_train.jsonl"])
def test_every_reference_of_math_is_its_own_answer_in_any_layout(file: str) -> None:
    golds = [row["answer"] for row in map(json.loads, (DATA / file).read_text().splitlines()) if row["answer"]]
    layouts = ["\\boxed{{{}}}", "${}$", " {} .", "\\( {} \\)", "\\text{{The answer is }}{}"]
    for layout in layouts:
        assert [g for g in golds if same_answer(gold=g, answer=layout.format(g)).verdict != "correct"] == []
    assert [gold for gold in golds[::10] if unusable(gold)] == []
