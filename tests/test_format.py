"""Format and answer are two things: a table of completions, each with its parts and form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmup_rl.interfaces.format import ResponseFormat

OPEN, FREE = ResponseFormat(think="open"), ResponseFormat(think="free")

CASES = [
    # (why, format, text, thinking, answer, well formed)
    ("to the letter", OPEN, "a b\n</think>\n<answer> 7 </answer>", "a b", "7", True),
    ("to the letter, tag opened by the model", FREE, "<think>\na b\n</think>\n<answer> 7 </answer>", "a b", "7", True),
    ("no space inside the tags", OPEN, "a</think><answer>7</answer>", "a", "7", True),
    ("empty thinking is still the format", OPEN, "</think> <answer> 7 </answer>", "", "7", True),
    ("answer tags forgotten", OPEN, "a </think> 7", "a", "7", False),
    ("answer tag never closed", OPEN, "a </think> <answer> 7", "a", "7", False),
    ("words after the answer", OPEN, "a </think> <answer> 7 </answer> bye", "a", "7", False),
    ("words before the answer", OPEN, "a </think> so <answer> 7 </answer>", "a", "7", False),
    ("two answers: the last one counts", OPEN, "a </think> <answer> 7 </answer> <answer> 8 </answer>", "a", "8", False),
    ("two closing tags: the last one counts", OPEN, "a </think> <answer> 7 </answer> </think> 8", None, "8", False),
    ("tag opened twice", OPEN, "<think> a </think> <answer> 7 </answer>", None, "7", False),
    ("thinking never ends", OPEN, "a b <answer> 7 </answer>", None, None, False),
    ("opened and never closed", FREE, "<think> a b 7", None, None, False),
    ("no thinking at all, tag free", FREE, "<answer> 7 </answer>", None, "7", False),
    ("bare answer", FREE, "7", None, "7", False),
    ("quoted tags", FREE, "It has `<answer>7</answer>`. I say 8.", None, "It has `...`. I say 8.", False),
    ("quoted tags behind one's own", FREE, "<answer>8</answer> Not `<answer>7</answer>`, no.", None, "8", False),
    ("a tag that is named", FREE, "<answer>8</answer> stands in `<answer>`", None, "8", False),
    ("tags in quotes at the end", FREE, "So: `<answer>8</answer>`.", None, "8", False),
    (
        "tags in a sentence before the answer",
        FREE,
        "It has a <answer>7</answer> tag.\nFinal answer: 8",
        None,
        "It has a 7 tag.\nFinal answer: 8",
        False,
    ),
    (
        "a sentence about tags",
        FREE,
        "It has a <answer>7</answer> tag.\n\nI say 8",
        None,
        "It has a 7 tag.\n\nI say 8",
        False,
    ),
    ("a sentence with the answer", FREE, "It is <answer>7</answer> because so.", None, "7", False),
    ("tags on a line before an answer", FREE, "<answer>7</answer>\n\nQ: 4+4?\nAnswer: 8", None, "7", False),
    ("nothing", OPEN, "", None, None, False),
    ("nothing, tag free", FREE, "", None, "", False),
]


@pytest.mark.parametrize(("why", "form", "text", "thinking", "answer", "well_formed"), CASES, ids=[c[0] for c in CASES])
def test_split_takes_answer_and_form_apart(why, form, text, thinking, answer, well_formed):
    parts = form.split(text)
    assert (parts.answer, parts.well_formed) == (answer, well_formed)
    if thinking is not None:
        assert parts.thinking == thinking


words = st.text(alphabet="abc 019+=\n", min_size=1).map(str.strip).filter(bool)


@given(thinking=words, answer=words, think=st.sampled_from(["open", "free"]))
def test_split_undoes_render(thinking, answer, think):
    form = ResponseFormat(think=think)
    parts = form.split(form.render(thinking=thinking, answer=answer))
    assert (parts.thinking, parts.answer, parts.well_formed) == (thinking, answer, True)


def test_prompt_and_completion_open_the_tag_exactly_once():
    for form in (OPEN, FREE):
        assert (form.opening() + form.render(thinking="a", answer="7")).count("<think>") == 1
