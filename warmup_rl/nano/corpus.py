"""The nano corpus for pretraining a tiny base model, in two settings that differ in where reasoning occurs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from warmup_rl.base.config import Config
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


def _some_weight(weights: tuple[int, ...]) -> tuple[int, ...]:
    if not any(weights):
        raise ValueError("one of them must be more than 0")
    return weights


Weights = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, max_length=8), AfterValidator(_some_weight)
]
USER, ASSISTANT, BOOK, END, PAD, UNKNOWN = "<|user|>", "<|assistant|>", "<|doc|>", "<|end|>", "<|pad|>", "<|unk|>"
MAX_PEOPLE, MAX_ANCHORS = 4, 40
LONGEST = 288
"""Maximum number of words in a document; longer ones are made again with one case fewer."""
KK_PEOPLE, KK_CASES, KK_DEEPER = (2, 3), (2, 5), 0.3
"""People per puzzle and cases per lemma, [min, max]; share of statements that may be one operator deeper."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}" + ASSISTANT + "\n"
    "{% generation %}{{ message['content'] }} " + END + "{% endgeneration %}{{ '\n' }}"
    "{% else %}" + USER + " {{ message['content'] }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}" + ASSISTANT + "\n{% endif %}"
)


_TERSE = {"phrasing": "terse"}
FAMILIES: Mapping[str, tuple[Any, str, dict[str, Any]]] = {
    "sums": (Sums, "operations", {**_TERSE, "modulus": 6}),
    "registers": (Registers, "updates", {**_TERSE, "modulus": 6, "registers": 4}),
    "compass": (Compass, "turns", _TERSE),
}
"""The target domains: class, its field for the range of lengths, and settings."""


class Chats(Config):
    """Numbers of chat documents by domain; those of K&K show at most one case."""

    sums: int = Field(default=4_500, ge=0)
    registers: int = Field(default=4_500, ge=0)
    compass: int = Field(default=4_500, ge=0)
    kk: int = Field(default=2_500, ge=0)


class Textbooks(Config):
    """Numbers of textbook documents by domain; those of K&K are lemmas, which check a few consecutive cases of a puzzle
    but never all cases up to the solution."""

    sums: int = Field(default=5_000, ge=0)
    registers: int = Field(default=8_000, ge=0)
    compass: int = Field(default=6_000, ge=0)
    kk: int = Field(default=9_000, ge=0)


class Nano(Corpus):
    """Chat documents with short thoughts and textbook documents with complete ones, in three target domains and K&K."""

    type: ClassVar[str] = "nano"
    is_terse: ClassVar[bool] = True
    renamed_keys: ClassVar[Mapping[str, str]] = {"world": "setting", "kk_chats": "chats.kk"}

    setting: Literal["latent", "absent"] = "latent"
    """`latent`: textbooks work step by step, chats rarely do; `absent`: all documents of the target domains are chats
    without steps."""
    no_think: float = Field(default=0.18, ge=0, le=1)
    """Share of chat documents without a thought."""
    stop_first: float = Field(default=0.3, ge=0, le=1)
    """Probability that the thought of a chat document ends before its first sentence."""
    stop: float = Field(default=0.7, ge=0, le=1)
    """The same after each further sentence. It decides how often the base model solves a problem to its end unasked."""
    chat_lengths: Weights = (8, 5, 3, 2, 1, 1)
    """Relative frequencies of problems of length 1, 2, ... in chat documents."""
    textbook_lengths: Weights = (6, 5, 4, 3, 2, 1)
    """The same in textbook documents."""
    chats: Chats = Chats()
    textbooks: Textbooks = Textbooks()
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the documents to pretrain on; a smaller share is faster, but the model learns less."""

    @model_validator(mode="after")
    def _has_documents(self) -> Nano:
        if not any((*self.chats.model_dump().values(), *self.textbooks.model_dump().values())):
            raise ValueError("textbooks: no documents: a number here or in `chats` must be more than 0")
        return self

    def documents(self, seed: int) -> Iterator[Document]:
        documents = [*self._knights(random.Random(f"nano/kk/{seed}"))]
        for name in FAMILIES:
            documents += self._family(name, random.Random(f"nano/{name}/{seed}"), seed)
        random.Random(f"nano/order/{seed}").shuffle(documents)
        yield from documents

    def _family(self, name: str, rng: random.Random, seed: int) -> Iterator[Document]:
        kind, span, settings = FAMILIES[name]
        chat, textbook = getattr(self.chats, name), getattr(self.textbooks, name)
        if self.setting == "absent":
            chat, textbook = chat + textbook, 0
        chat, textbook = self._part(chat), self._part(textbook)
        pools = []
        for length in range(1, max(len(self.chat_lengths), len(self.textbook_lengths)) + 1):
            domain = kind(**settings, **{span: (length, length)})
            pools.append((domain, cycle(islice(domain.problems("train", seed), chat + textbook))))
        for domain, problems in rng.choices(pools[: len(self.chat_lengths)], self.chat_lengths, k=chat):
            problem = next(problems)
            yield self._chat(f"{name}/chat", problem.question, domain.steps(problem), problem.gold, rng)
        for domain, problems in rng.choices(pools[: len(self.textbook_lengths)], self.textbook_lengths, k=textbook):
            problem = next(problems)
            thought = [*domain.steps(problem), f"{terse.SO} {problem.gold}"]
            yield _document(f"{name}/textbook", BOOK, problem.question, thought, problem.gold)

    def _knights(self, rng: random.Random) -> Iterator[Document]:
        puzzles = _puzzles(rng)
        for puzzle in islice(puzzles, self._part(self.chats.kk)):
            question, answer = terse.render_terse(puzzle), terse.answer_terse(puzzle)
            yield self._chat("kk/chat", question, terse.case_sentences(puzzle, 1), answer, rng)
        for puzzle in islice(puzzles, self._part(self.textbooks.kk)):
            cases = rng.randint(*KK_CASES)
            lemma = _lemma(puzzle, cases, rng)
            while len(lemma.text.split()) > LONGEST:
                cases -= 1
                lemma = _lemma(puzzle, cases, rng)
            yield lemma

    def _chat(self, kind: str, question: str, sentences: list[str], answer: str, rng: random.Random) -> Document:
        if rng.random() < self.no_think:
            return _document(kind, USER, question, None, answer)
        stop_first = 1.0 if self.setting == "absent" else self.stop_first
        thought: list[str] = []
        for sentence in sentences:
            if rng.random() < (self.stop if thought else stop_first):
                break
            thought.append(sentence)
        return _document(kind, USER, question, [*thought, f"{terse.SO} {answer}"], answer)

    def _part(self, count: int) -> int:
        """The share of a number of documents, rounded up."""
        return math.ceil(count * self.share)

    def tokenizer(self) -> PreTrainedTokenizerFast:
        from tokenizers import Tokenizer
        from tokenizers.models import WordLevel
        from tokenizers.pre_tokenizers import WhitespaceSplit
        from transformers import PreTrainedTokenizerFast

        words = {word: number for number, word in enumerate(vocabulary())}
        core = Tokenizer(WordLevel(words, unk_token=UNKNOWN))
        core.pre_tokenizer = WhitespaceSplit()
        # Only end, pad and unknown are special: rewards read text without special tokens, and the tags must stay in it.
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=core, eos_token=END, pad_token=PAD, unk_token=UNKNOWN, clean_up_tokenization_spaces=False
        )
        tokenizer.chat_template = CHAT_TEMPLATE
        return tokenizer


def vocabulary() -> list[str]:
    """All words of the nano corpus, in a fixed order."""
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


def _lemma(puzzle: Puzzle, count: int, rng: random.Random) -> Document:
    """Consecutive cases from a random one to at most the solution, or to the case before it if they start at case 1."""
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


def _puzzles(rng: random.Random) -> Iterator[Puzzle]:
    grammar = Grammar(deeper=KK_DEEPER)
    while True:
        puzzle = draw_puzzle(rng, rng.randint(*KK_PEOPLE), grammar, terse.NAMES)
        if split_of(canonical_key(puzzle.statements)) == "train":
            yield puzzle


def _document(kind: str, opening: str, question: str, thought: list[str] | None, answer: str | None) -> Document:
    prompt = f"{opening} {question} {ASSISTANT}"
    parts = [prompt]
    if thought is not None:
        parts += [THINK_OPEN, *thought, THINK_CLOSE]
    if answer is not None:
        parts += [ANSWER_OPEN, answer, ANSWER_CLOSE]
    return Document(" ".join([*parts, END]), kind, prompt)
