"""Whether a model has met questions before: what it can finish word for word, beside what nobody can know."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic_run import Trial, flat, write_run
from tests.tiny import WORDS, tiny_model
from warmup_rl.__main__ import main
from warmup_rl.base.errors import UserError
from warmup_rl.base.models import load_model
from warmup_rl.interfaces.chat import load_tokenizer
from warmup_rl.report.main import report
from warmup_rl_extras import contamination
from warmup_rl_extras.contamination import (
    MIN_WORDS,
    complete_questions,
    control_questions,
    cut,
    verdict,
    words_in_order,
)

KNOWN = [
    "two and two ? Four. And three? 7 + 8 = so 15 .",
    "What is 31 + 46 = so two and 3 . And three? 12 + 9",
    "so 4 . 71 + 2 = And two is What 5 and three? Four.",
]
UNKNOWN = [
    "What is 8 + 61 = And two so 77 . 13 and Four. + 2",
    "three? so 90 + 6 = two and 45 . What is 17 + 21 = so",
]


def train_on(folder: Path, texts: list[str], steps: int = 120) -> Path:
    """Saves a tiny model that knows texts by heart."""
    tiny_model(folder)
    model, tokenizer = load_model(str(folder), device="cpu"), load_tokenizer(folder)
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-2)
    with torch.random.fork_rng():
        for _ in range(steps):
            model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return train_on(tmp_path_factory.mktemp("model"), KNOWN)


def rows(folder: Path, questions: list[str]) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps({"question": text, "answer": number}) + "\n"
                            for number, text in enumerate(questions)))  # fmt: skip
    return file


def test_questions_that_a_model_was_trained_on_are_finished_and_others_are_not(model):
    loaded, tokenizer = load_model(str(model), device="cpu"), load_tokenizer(model)
    known, unknown = complete_questions(loaded, tokenizer, KNOWN), complete_questions(loaded, tokenizer, UNKNOWN)
    assert (known.whole, known.share, known.rouge_l) == (3, 1.0, 1.0) and known.low < 1 == known.high
    assert (unknown.whole, unknown.questions) == (0, 2) and unknown.rouge_l < 0.7


def test_the_verb_measures_saves_and_says_it_in_a_line(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = rows(tmp_path, [*KNOWN, "What is two ?"])
    settings = ["--set", f"file={file}", "--set", "grader=number", "--set", "folds=2", "--split", "train"]
    assert main(["contamination", "--model", str(model), "--domain", "jsonl", *settings]) == 0
    (saved,) = Path(contamination.FOLDER).glob("*.json")
    record = json.loads(saved.read_text())
    assert record["found"]["questions"] == record["control"]["questions"] == record["found"]["whole"] == 3
    assert record["control"]["whole"] == 0 and record["domain"] == "jsonl" and record["model"] == str(model)
    printed = capsys.readouterr().out
    assert record["verdict"] in printed and str(saved) in printed and "3 (100.0%)" in printed


def test_without_questions_long_enough_nothing_is_measured(model, tmp_path):
    file = rows(tmp_path, ["two and two ?", "What is 3 ?", "What is 4 ?", "What is 5 ?"])
    with pytest.raises(UserError, match=f"none of 3 train questions has {MIN_WORDS} words"):
        contamination.main(["--model", str(model), "--domain", "jsonl", "--split", "train", "--set", f"file={file}",
                            "--set", "grader=number", "--set", "holdout=1"])  # fmt: skip


@given(st.lists(st.sampled_from([*WORDS, "\n", "  x"]), min_size=MIN_WORDS, max_size=60).map(" ".join))
def test_a_question_is_cut_once_between_words(question):
    if len(question.split()) < MIN_WORDS:
        return
    shown, rest = cut(question)
    assert [*shown.split(), *rest.split()] == question.split()
    assert 0.6 <= len(shown.split()) / len(question.split()) < 0.7 and not shown[-1].isspace()


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
def test_what_is_kept_in_order_is_a_share_and_whole_only_where_all_is_said(rest, more):
    text = " ".join(rest)
    assert words_in_order(text, " ".join([*rest, *more])) == 1
    share = words_in_order(text, " ".join(more))
    assert 0 <= share <= 1 and (share == 1) == (more[: len(rest)] == rest)


def test_control_questions_are_about_as_long_and_all_different():
    questions = [" ".join(["word"] * length) for length in (12, 60, 61, 62, 63, 120, 200)]
    control = control_questions(questions, "english")
    assert len(set(control)) == len(control) == len(questions)
    lengths = [len(question.split()) for question in control]
    assert lengths == sorted(lengths) and abs(lengths[-2] - 120) < 40 and abs(lengths[-1] - 200) < 40


def kind(whole, questions=100):
    from warmup_rl.base.stats import wilson

    low, high = wilson(whole / questions, questions)
    return contamination.CompletionRate(questions, whole, whole / questions, low, high, 0.5)


@pytest.mark.parametrize(("found", "control", "met"), [(55, 0, True), (4, 0, False), (55, 50, False), (0, 0, False)])
def test_the_verdict_follows_the_intervals(found, control, met):
    assert ("most likely met" in verdict(kind(found), kind(control))) == met


def measured(folder: Path, **changes) -> None:
    """A measurement of the model `base`, where the report of a run looks for it."""
    from dataclasses import asdict

    record = {
        "model": "base", "revision": None, "domain": "sums", "settings": [], "split": "test", "shown": 0.6,
        "found": asdict(kind(55)), "control": asdict(kind(0)), "verdict": verdict(kind(55), kind(0)), **changes,
    }  # fmt: skip
    (folder.parent / "contamination").mkdir(exist_ok=True)
    (folder.parent / "contamination" / f"{len(changes)}.json").write_text(json.dumps(record))


def a_run(tmp_path: Path, public: list[str]) -> Path:
    folder = write_run(tmp_path, [Trial("warmup", 0, flat(0.6), warmup_flops=1.0), Trial("base", 0, flat(0.2))])
    (folder / "recipe.yaml").write_text((folder / "recipe.yaml").read_text() + "model: base\n")
    (folder / "run.json").write_text(json.dumps({"state": "finished", "public": public}))
    return folder


def test_the_report_says_what_was_measured_of_its_base_model(tmp_path):
    folder = a_run(tmp_path, [])
    measured(folder)
    measured(folder, model="other", split="train")
    text = report(folder).read_text()
    assert "The base model completes 55 of 100 test questions of sums word for word from their first 60% (.55 [" in text
    assert text.count("completes") == 1 and "in pretraining was not measured" not in text


def test_the_report_says_that_nothing_was_measured_for_published_problems_alone(tmp_path):
    text = report(a_run(tmp_path, ["compass"])).read_text()
    assert "Whether the base model has seen questions of compass in pretraining was not measured" in text
    assert "`python -m warmup_rl contamination --model base --domain compass`" in text
    assert text.count("was not measured:") == 1
