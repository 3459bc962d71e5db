"""The nano corpus: what a tiny base model is pretrained on, in two settings that differ in where reasoning occurs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from warmup_rl.interfaces.corpus import Corpus, Document
from warmup_rl.interfaces.domain import split_of
from warmup_rl.interfaces.format import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN
from warmup_rl.knights import terse
from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.grammar import Grammar, Puzzle, draw_puzzle
from warmup_rl.nano.compass import Compass
from warmup_rl.nano.registers import Registers
from warmup_rl.nano.sums import Sums

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

USER, ASSISTANT, BOOK, END, PAD, UNKNOWN = "<|user|>", "<|assistant|>", "<|doc|>", "<|end|>", "<|pad|>", "<|unk|>"
MAX_PEOPLE, MAX_ANCHORS = 4, 40
LONGEST = 288
"""Words of the longest document; longer ones are redrawn with one case less."""
_DOMAINS: Mapping[str, Any] = {"sums": Sums, "registers": Registers, "compass": Compass}

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}" + ASSISTANT + "\n"
    "{% generation %}{{ message['content'] }} " + END + "{% endgeneration %}{{ '\n' }}"
    "{% else %}" + USER + " {{ message['content'] }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}" + ASSISTANT + "\n{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """The documents of one target domain.

    Attributes:
        settings: of the domain, without its range of lengths.
        length: the domain's field for the range of lengths.
        chat: number of chat documents.
        textbook: number of textbook documents.
        chat_weights: relative frequency of problems of length 1, 2, ... in chat documents.
        textbook_weights: the same for textbook documents.
    """

    settings: dict[str, Any]
    length: str
    chat: int
    textbook: int
    chat_weights: tuple[float, ...] = (8, 5, 3, 2, 1, 1)
    textbook_weights: tuple[float, ...] = (6, 5, 4, 3, 2, 1)


@dataclass(frozen=True)
class Setting:
    """Parameters of a corpus.

    Attributes:
        families: target domains by type.
        stop_first: probability that a chat document answers before the first sentence of its thought.
        stop: the same after each further sentence; textbook documents never stop early.
        no_think: share of chat documents without a thought.
        kk_chat: Knights & Knaves chats; their thoughts stop early as well and contain at most one case.
        kk_lemmas: textbook documents that check some consecutive cases of a puzzle, never all up to the solution.
        kk_people: people per puzzle, [min, max].
        kk_cases: cases per lemma, [min, max].
        kk_deeper: share of statements that may be one operator deeper than usual.
    """

    families: dict[str, Family]
    stop_first: float = 0.3
    stop: float = 0.7
    no_think: float = 0.18
    kk_chat: int = 2_500
    kk_lemmas: int = 9_000
    kk_people: tuple[int, int] = (2, 3)
    kk_cases: tuple[int, int] = (2, 5)
    kk_deeper: float = 0.3

    def part(self, share: float) -> Setting:
        """The same setting with a share of its documents, at least one of each kind that it has."""

        def fewer(count: int) -> int:
            return math.ceil(count * share)

        families = {
            name: replace(family, chat=fewer(family.chat), textbook=fewer(family.textbook))
            for name, family in self.families.items()
        }
        return replace(self, families=families, kk_chat=fewer(self.kk_chat), kk_lemmas=fewer(self.kk_lemmas))


_TERSE = {"phrasing": "terse"}
_LATENT = Setting(
    {
        "sums": Family({**_TERSE, "modulus": 6}, "operations", 4_500, 5_000),
        "registers": Family({**_TERSE, "modulus": 6, "registers": 4}, "updates", 4_500, 8_000),
        "compass": Family(_TERSE, "turns", 4_500, 6_000),
    }
)
_ABSENT = replace(
    _LATENT,
    families={
        name: replace(family, chat=family.chat + family.textbook, textbook=0)
        for name, family in _LATENT.families.items()
    },
    stop_first=1.0,
)
SETTINGS: dict[str, Setting] = {"latent": _LATENT, "absent": _ABSENT}


class Nano(Corpus):
    """Chat documents with short thoughts and textbook documents with complete ones, in three target domains and K&K."""

    type: ClassVar[str] = "nano"
    renamed_keys: ClassVar[Mapping[str, str]] = {"world": "setting"}

    setting: Literal["latent", "absent"] = "latent"
    """`latent`: textbooks work step by step, chats rarely do; `absent`: no document does."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the documents to pretrain on; less is faster and learns less."""

    def documents(self, seed: int) -> Iterator[Document]:
        yield from setting_documents(SETTINGS[self.setting].part(self.share), seed)

    def tokenizer(self) -> PreTrainedTokenizerFast:
        from tokenizers import Tokenizer
        from tokenizers.models import WordLevel
        from tokenizers.pre_tokenizers import WhitespaceSplit
        from transformers import PreTrainedTokenizerFast

        words = {word: number for number, word in enumerate(vocabulary())}
        core = Tokenizer(WordLevel(words, unk_token=UNKNOWN))
        core.pre_tokenizer = WhitespaceSplit()
        # Only end, pad and unknown are special: rewards read text without special tokens, and tags must remain in it.
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=core, eos_token=END, pad_token=PAD, unk_token=UNKNOWN, clean_up_tokenization_spaces=False
        )
        tokenizer.chat_template = CHAT_TEMPLATE
        return tokenizer


def vocabulary() -> list[str]:
    """All words of the nano corpus, each once, in a fixed order."""
    words = [PAD, END, UNKNOWN, USER, ASSISTANT, BOOK, THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE]
    words += terse.terse_vocabulary(MAX_PEOPLE, MAX_ANCHORS)
    words += ["sums", "registers", "compass"]
    words += [str(value) for value in range(10)]
    words += [f"{sign}{value}" for sign in "+-" for value in range(10)]
    words += [f"{target}{sign}={source}" for target in "abcd" for sign in "+-" for source in "abcd" if target != source]
    words += [f"{name}={value}" for name in "abcd" for value in range(10)]
    headings = ["north", "east", "south", "west"]
    words += [*headings, "left", "right", "back", *"ABCD", *(f"{a}={b}" for a in "ABCD" for b in headings)]
    return list(dict.fromkeys(words))


def setting_documents(setting: Setting, seed: int) -> Iterator[Document]:
    """All documents of a setting, shuffled."""
    documents = [*_knights(setting, random.Random(f"nano/kk/{seed}"))]
    for name, family in setting.families.items():
        documents += _family(setting, name, family, random.Random(f"nano/{name}/{seed}"), seed)
    random.Random(f"nano/order/{seed}").shuffle(documents)
    yield from documents


def _family(setting: Setting, name: str, family: Family, rng: random.Random, seed: int) -> Iterator[Document]:
    pools = []
    for length in range(1, max(len(family.chat_weights), len(family.textbook_weights)) + 1):
        domain = _DOMAINS[name](**family.settings, **{family.length: (length, length)})
        pools.append((domain, cycle(islice(domain.problems("train", seed), family.chat + family.textbook))))
    for domain, problems in rng.choices(pools, family.chat_weights, k=family.chat):
        problem = next(problems)
        yield _chat(f"{name}/chat", setting, problem.question, domain.steps(problem), problem.gold, rng)
    for domain, problems in rng.choices(pools, family.textbook_weights, k=family.textbook):
        problem = next(problems)
        thought = [*domain.steps(problem), f"{terse.SO} {problem.gold}"]
        yield _document(f"{name}/textbook", BOOK, problem.question, thought, problem.gold)


def _knights(setting: Setting, rng: random.Random) -> Iterator[Document]:
    puzzles = _puzzles(setting, rng)
    for _ in range(setting.kk_chat):
        puzzle = next(puzzles)
        question, answer = terse.render_terse(puzzle), terse.answer_terse(puzzle)
        yield _chat("kk/chat", setting, question, terse.case_sentences(puzzle, 1), answer, rng)
    for _ in range(setting.kk_lemmas):
        puzzle = next(puzzles)
        cases = rng.randint(*setting.kk_cases)
        lemma = _lemma(puzzle, cases, rng)
        while len(lemma.text.split()) > LONGEST:
            cases -= 1
            lemma = _lemma(puzzle, cases, rng)
        yield lemma


def _lemma(puzzle: Puzzle, count: int, rng: random.Random) -> Document:
    """Consecutive cases from a random one up to the solution; from the first case, only up to the one before it."""
    solution, total = terse.case_number(puzzle), 2**puzzle.people
    first = rng.randint(1, max(1, total - count + 1))
    cases = [case for case in range(first, min(first + count, total + 1)) if case <= solution or first > solution]
    if first == 1 and cases[-1] == solution and solution > 1:
        cases.pop()
    sentences = [line for case in cases for line in terse.case_sentences(puzzle, case)]
    answer = None
    if first > 1 and cases[-1] == solution:
        answer = terse.answer_terse(puzzle)
        sentences += [terse.solved_sentence(puzzle), f"{terse.SO} {answer}"]
    return _document("kk/lemma", BOOK, terse.render_terse(puzzle), sentences, answer)


def _puzzles(setting: Setting, rng: random.Random) -> Iterator[Puzzle]:
    grammar = Grammar(deeper=setting.kk_deeper)
    while True:
        puzzle = draw_puzzle(rng, rng.randint(*setting.kk_people), grammar, terse.NAMES)
        if split_of(canonical_key(puzzle.statements)) == "train":
            yield puzzle


def _chat(
    kind: str, setting: Setting, question: str, sentences: list[str], answer: str, rng: random.Random
) -> Document:
    if rng.random() < setting.no_think:
        return _document(kind, USER, question, None, answer)
    thought: list[str] = []
    for sentence in sentences:
        if rng.random() < (setting.stop if thought else setting.stop_first):
            break
        thought.append(sentence)
    return _document(kind, USER, question, [*thought, f"{terse.SO} {answer}"], answer)


def _document(kind: str, opening: str, question: str, thought: list[str] | None, answer: str | None) -> Document:
    prompt = f"{opening} {question} {ASSISTANT}"
    parts = [prompt]
    if thought is not None:
        parts += [THINK_OPEN, *thought, THINK_CLOSE]
    if answer is not None:
        parts += [ANSWER_OPEN, answer, ANSWER_CLOSE]
    return Document(" ".join([*parts, END]), kind, prompt)
