"""The nano corpus: what its documents contain, what they never do, and how they are packed."""

from __future__ import annotations

import random
import re
from collections import Counter
from functools import lru_cache

import pytest

from warmup_rl.base.errors import UserError
from warmup_rl.interfaces.corpus import Document
from warmup_rl.interfaces.domain import split_of
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.terse import parse_terse
from warmup_rl.nano.corpus import ASSISTANT, BOOK, END, FAMILIES, LONGEST, USER, Nano, vocabulary
from warmup_rl.stages.pretrain import IGNORED, pack

SETTINGS = ("latent", "absent")


@lru_cache
def documents(setting: str, seed: int = 0) -> tuple[Document, ...]:
    return tuple(Nano(setting=setting, share=0.02).documents(seed))


@lru_cache
def tokenizer():  # type: ignore[no-untyped-def]
    return Nano().tokenizer()


def question(document: Document) -> str:
    return document.prompt.removeprefix(USER).removeprefix(BOOK).removesuffix(ASSISTANT).strip()


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_seed_alone_decides_the_documents(setting: str) -> None:
    assert documents(setting) == tuple(Nano(setting=setting, share=0.02).documents(0))
    assert documents(setting) != documents(setting, 1)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_word_is_known_and_decodes_to_itself(setting: str) -> None:
    words = set(vocabulary())
    for document in documents(setting):
        assert set(document.text.split()) <= words
        assert len(document.text.split()) <= LONGEST
    text = documents(setting)[0].text
    assert tokenizer().decode(tokenizer()(text).input_ids) == text


@pytest.mark.parametrize("setting", SETTINGS)
def test_only_train_problems_are_read(setting: str) -> None:
    held_out = {
        problem.question
        for kind, span, settings in FAMILIES.values()
        for length in range(1, 4)
        for split in ("validation", "test")
        for problem in kind(**settings, **{span: (length, length)}).take(split, 0, 5)
    }
    for document in documents(setting):
        assert question(document) not in held_out
        if document.kind.startswith("kk/"):
            assert split_of(canonical_key(parse_terse(question(document)).statements)) == "train"


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_puzzle_is_solved_from_its_first_case_to_the_solution(setting: str) -> None:
    for document in documents(setting):
        if document.kind == "kk/chat":
            assert "case2" not in document.text and "solved" not in document.text
        elif document.kind == "kk/lemma" and "solved" in document.text:
            assert "next case1 " not in document.text


def test_chats_think_shallowly_and_textbooks_go_through() -> None:
    chats = [d for d in documents("latent") if d.kind in ("sums/chat", "registers/chat", "compass/chat")]
    thought = [d for d in chats if "<think>" in d.text]
    assert 0.7 < len(thought) / len(chats) < 0.92
    assert all(d.text.startswith(USER) and d.text.endswith(END) for d in chats)
    through = [d for d in thought if "solved" in d.text]
    assert len(through) / len(thought) < 0.2
    books = [d for d in documents("latent") if d.kind.endswith("/textbook")]
    assert books and all("solved" in d.text and d.text.startswith(BOOK) for d in books)


def test_the_absent_world_holds_no_step_of_a_target_domain() -> None:
    targets = [d for d in documents("absent") if not d.kind.startswith("kk/")]
    assert targets and not any("next" in d.text.split() for d in targets)
    assert any(d.kind == "kk/lemma" for d in documents("absent"))


def test_the_answer_of_a_document_is_the_right_one() -> None:
    _, _, settings = FAMILIES["sums"]
    for document in documents("latent"):
        if document.kind.startswith("sums/"):
            words = question(document).split()
            total = int(words[2]) + sum(int(word) for word in words if re.fullmatch(r"[+-]\d", word))
            assert document.text.endswith(f"<answer> {total % settings['modulus']} </answer> {END}")


def test_the_chat_template_renders_turns_and_ends_each_answer() -> None:
    turns = [
        {"role": "user", "content": "sums : 1 #1 +1 ?"},
        {"role": "assistant", "content": "<think>\nso 2\n</think>\n<answer> 2 </answer>"},
        {"role": "user", "content": "sums : 2 #1 +1 ?"},
    ]
    text = tokenizer().apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert (
        text.split()
        == (
            f"{USER} sums : 1 #1 +1 ? {ASSISTANT} <think> so 2 </think> <answer> 2 </answer> {END} "
            f"{USER} sums : 2 #1 +1 ? {ASSISTANT}"
        ).split()
    )


def test_rows_hold_every_document_once_with_its_own_positions() -> None:
    chosen = documents("latent")[:200]
    rows = pack(chosen, tokenizer(), LONGEST, random.Random(0))
    found = []
    for row in rows:
        assert len(row["input_ids"]) == len(row["labels"]) == len(row["position_ids"]) == LONGEST
        starts = [i for i, position in enumerate(row["position_ids"]) if position == 0] + [LONGEST]
        for start, end in zip(starts, starts[1:], strict=False):
            assert row["position_ids"][start:end] == list(range(end - start))
            found.append(tokenizer().decode(row["input_ids"][start:end]))
    assert sorted(text for text in found if "<|pad|>" not in text) == sorted(d.text for d in chosen)


def test_prompts_and_padding_have_no_loss_and_answers_have() -> None:
    chosen = documents("latent")[:100]
    rows = pack(chosen, tokenizer(), LONGEST, random.Random(0))
    learned = [token for row in rows for token in row["labels"] if token != IGNORED]
    expected = [len(d.text.split()) - len(d.prompt.split()) for d in chosen]
    assert len(learned) == sum(expected)
    assert tokenizer().pad_token_id not in learned
    for row in rows:
        assert all(label in (IGNORED, token) for label, token in zip(row["labels"], row["input_ids"], strict=True))


def test_a_document_longer_than_a_row_is_refused() -> None:
    with pytest.raises(UserError, match="row_length"):
        pack(documents("latent")[:50], tokenizer(), 16, random.Random(0))


def test_a_share_of_a_world_has_the_same_kinds_of_documents_and_fewer() -> None:
    kinds = Counter(document.kind for document in Nano(share=0.01).documents(0))
    assert kinds == {
        "kk/chat": 25, "kk/lemma": 90, "sums/chat": 45, "sums/textbook": 50,
        "registers/chat": 45, "registers/textbook": 80, "compass/chat": 45, "compass/textbook": 60,
    }  # fmt: skip
    assert "sums/textbook" not in {document.kind for document in Nano(setting="absent", share=0.01).documents(0)}


def test_the_settings_of_a_world_change_how_chats_think() -> None:
    def sentences(**settings: object) -> list[int]:
        documents = Nano(share=0.05, **settings).documents(0)  # type: ignore[arg-type]
        chats = [d.text for d in documents if d.kind in ("sums/chat", "registers/chat", "compass/chat")]
        return [text.count(" next ") if "<think>" in text else -1 for text in chats]

    latent, thinker = sentences(), sentences(no_think=0.0, stop_first=0.0, stop=0.0)
    assert -1 in latent and min(thinker) >= 2  # a step and the line `solved` at least
    assert sum(sentences(stop=0.85, stop_first=0.5)) < 0.8 * sum(latent)
    assert max(sentences(stop=1.0)) == 1
    longest = Nano(share=0.05, chat_lengths=(0, 0, 0, 0, 0, 0, 0, 1)).documents(0)
    assert all("#8" in question(d) for d in longest if d.kind == "sums/chat")
