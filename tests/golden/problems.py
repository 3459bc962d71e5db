"""Which problems there are, in which split and order, what they say, and how a model is asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from jinja2 import Template

from tests.golden.digest import digest
from tests.rows_data import settings
from warmup_rl.base.types import SPLITS, Problem, Split
from warmup_rl.interfaces.chat import FALLBACK_TEMPLATE, render_prompt
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.plugins import load

COUNT, FEWER = 200, 9
SEEDS = (0, 1)
BLOCK = 40
TERSE: Any = {"phrasing": "terse"}
PUZZLES: dict[str, Any] = {
    "kk english 3-5": {"people": (3, 5)},
    "kk english 4-7, all roles, wide and deep": {"people": (4, 7), "roles": "all", "width": 3, "deeper": 0.3},
    "kk terse 2-3, some deep": {**TERSE, "people": (2, 3), "deeper": 0.1},
    "kk terse 4-6, deep": {**TERSE, "people": (4, 6), "deeper": 0.3},
}
RARE: dict[str, Any] = {
    "kk english 2": {"people": 2},
    "kk english 3, one leaf changed": {"people": 3, "perturb": "leaf"},
    "kk english 3, reordered": {"people": 3, "perturb": "reordered"},
    "kk english 3, knaves tell the truth": {"people": 3, "perturb": "flipped"},
    "kk terse 4, one statement changed": {**TERSE, "people": 4, "perturb": "statement"},
    "kk english 3-4, not easy": {"people": (3, 4), "difficulty": (2, 9)},
}
"""Puzzles that are few or take long to find, so that fewer are looked at."""
CHAINS: dict[str, Any] = {
    "sums english": {}, "sums terse": {**TERSE, "operations": (1, 7), "modulus": 6},
    "registers english": {}, "registers terse": {**TERSE, "updates": (1, 6), "registers": 4, "modulus": 6},
    "compass english": {}, "compass terse": {**TERSE, "turns": (1, 8)},
}  # fmt: skip


def problems() -> dict[str, Any]:
    """Blocks of problems: the beginnings of their ids, then digests of ids with texts and of what graders need."""
    entries = {}
    for name, domain, count in chain(generated(), _over_files()):
        for split in SPLITS:
            for seed in SEEDS:
                drawn = list(islice(_drawn(domain, split, seed), count))
                for start in range(0, max(len(drawn), 1), BLOCK):
                    entries[f"{name} / {split} / seed {seed} / from {start}"] = _block(drawn[start : start + BLOCK])
    return entries


def prompts() -> dict[str, Any]:
    """The prompt of the first train problem, as a chat template that every tokenizer can have renders it."""
    entries = {}
    for name, domain, _ in chain(generated(), _over_files()):
        problem = next(_drawn(domain, "train", 0))
        for think in ("open", "free"):
            form = ResponseFormat(think=think)
            entries[f"{name} / {think}"] = render_prompt(_tokenizer(), domain.prompt(problem), form)
        entries[f"{name} / completion"] = form.render(thinking="so", answer=domain.reference(problem))
    return entries


def corpus() -> dict[str, Any]:
    """Digests of the documents that a nano model reads first."""
    entries = {}
    for setting in ("latent", "absent"):
        documents = load("corpus", "nano")(setting=setting, share=0.02).documents(0)
        texts = [[document.kind, document.prompt, document.text] for document in documents]
        for start in range(0, len(texts), BLOCK):
            entries[f"{setting} / from {start}"] = digest(texts[start : start + BLOCK])
    return entries


def generated() -> Iterator[tuple[str, Domain, int]]:
    """Domains without files, by name, with how many problems of each are looked at."""
    for name, given in (PUZZLES | RARE | CHAINS).items():
        yield name, load("domain", name.split()[0])(**given), FEWER if name in RARE else COUNT


def _over_files() -> Iterator[tuple[str, Domain, int]]:
    with TemporaryDirectory() as folder:
        for name, (given, _) in settings(Path(folder)).items():
            yield name, load("domain", name).model_validate(given), COUNT
        for folds, fold in ((4, 0), (4, None)):
            given = {**settings(Path(folder))["jsonl"][0], "folds": folds, "fold": fold, "validation": 0}
            yield f"jsonl, fold {fold} of {folds}", load("domain", "jsonl").model_validate(given), COUNT


def _drawn(domain: Domain, split: Split, seed: int) -> Iterator[Problem]:
    """Problems in their order; the reference programs among them are not run, as there may be no sandbox here."""
    return (domain.unchecked if domain.type in ("humaneval_plus", "mbpp_plus") else domain.problems)(split, seed)


def _block(drawn: list[Problem]) -> str:
    ids = " ".join(problem.id[:4] for problem in drawn)
    texts = digest([[problem.id, problem.domain, problem.question, problem.gold] for problem in drawn])
    return f"{ids} | texts {texts} | meta {digest([problem.meta for problem in drawn])}"


def _tokenizer() -> Any:
    render = Template(FALLBACK_TEMPLATE).render

    def apply(messages: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool) -> str:
        return render(messages=messages, add_generation_prompt=add_generation_prompt, eos_token="</s>")

    return SimpleNamespace(apply_chat_template=apply, bos_token=None, name_or_path="fallback")
