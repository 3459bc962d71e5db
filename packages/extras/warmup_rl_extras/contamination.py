"""`python -m warmup_rl contamination`: how many questions a model completes, and how many that it cannot know."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from warmup_rl.base.config import Sampling
from warmup_rl.base.console import open_console
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import write_json
from warmup_rl.base.stats import mean, wilson
from warmup_rl.cli.arguments import Arguments, configured_domain
from warmup_rl.interfaces.domain import Domain, Split
from warmup_rl.nano.registers import Registers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FOLDER = Path("outputs/contamination")
"""Where the report of a run under `outputs` looks for the measurements."""
PROMPT_SHARE = 0.6
"""Share of a question's words that are in the prompt (arXiv 2507.10532)."""
MIN_WORDS = 10
"""Shorter questions are skipped: their ends can be guessed."""
_BATCH = 32
_MORE_TOKENS = 8


@dataclass(frozen=True)
class CompletionRate:
    """How well a model completes the questions of one kind.

    Attributes:
        questions: how many there are.
        whole: how many the model completed word for word.
        share, low, high: the share of these, and its 95% Wilson interval.
        rouge_l: mean share of the hidden words that the model gives in their order (ROUGE-L at equal length).
    """

    questions: int
    whole: int
    share: float
    low: float
    high: float
    rouge_l: float


def main(arguments: Sequence[str]) -> int:
    """Runs the command. Raises `UserError` if the command line is wrong or no question is long enough."""
    given = _arguments().read(arguments)
    domain = configured_domain(given.domain, given.set)
    found, control = measure(given.model, given.revision, domain, given.split, given.seed, given.problems)
    record = {
        **{key: getattr(given, key) for key in ("model", "revision", "domain", "split", "seed")},
        "settings": given.set, "shown": PROMPT_SHARE, "found": asdict(found), "control": asdict(control),
        "verdict": verdict(found, control),
    }  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / f"{_file_name(record)}.json"
    write_json(path, record)
    console = open_console()
    console.print(_table(given.domain, given.split, found, control))
    console.print(f"{record['verdict']}\n{path}", soft_wrap=True)
    return 0


def measure(
    model: str, revision: str | None, domain: Domain, split: Split, seed: int, problems: int
) -> tuple[CompletionRate, CompletionRate]:
    """How well a model completes the first problems of a split, and generated questions of their length.

    Raises:
        UserError: no question is long enough.
    """
    questions = _questions(domain, split, seed, problems)
    from transformers.utils.logging import disable_progress_bar

    from warmup_rl.base.models import load_model
    from warmup_rl.interfaces.chat import load_tokenizer

    disable_progress_bar()
    tokenizer, loaded = load_tokenizer(model, revision), load_model(model, revision)
    control = control_questions(questions, getattr(domain, "phrasing", "english"))
    return complete_questions(loaded, tokenizer, questions), complete_questions(loaded, tokenizer, control)


def complete_questions(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, questions: Sequence[str]
) -> CompletionRate:
    """Lets a model continue the first words of each question greedily, as plain text, and compares with the rest."""
    from warmup_rl.engines.hf import generate

    cuts = sorted(map(cut, questions), key=lambda parts: len(parts[1]))
    whole, shares = 0, []
    for start in range(0, len(cuts), _BATCH):
        some = cuts[start : start + _BATCH]
        hidden = tokenizer([rest for _, rest in some], add_special_tokens=False).input_ids
        budget = Sampling(max_tokens=max(map(len, hidden)) + _MORE_TOKENS)
        completions = generate(model, tokenizer, [prompt for prompt, _ in some], budget, batch_size=_BATCH, seed=0)
        for (_, rest), completion in zip(some, completions, strict=True):
            share = words_in_order(rest, completion.text)
            whole += share == 1
            shares.append(share)
    low, high = wilson(whole / len(cuts), len(cuts))
    return CompletionRate(len(cuts), whole, whole / len(cuts), low, high, mean(shares))


def cut(question: str) -> tuple[str, str]:
    """The first 60% of a question's words, and the rest."""
    words = list(re.finditer(r"\S+", question))
    place = words[ceil(PROMPT_SHARE * len(words))].start()
    return question[:place].rstrip(), question[place:].strip()


def words_in_order(rest: str, completion: str) -> float:
    """Share of the rest's words that equally many words of the completion give in their order; 1 if all are equal."""
    from rapidfuzz.distance import LCSseq

    words = rest.split()
    return LCSseq.similarity(words, completion.split()[: len(words)]) / len(words)


def control_questions(questions: Sequence[str], phrasing: Any) -> list[str]:
    """For each question a generated one of about the same length that no model has seen: random updates of registers.

    Each has at least three updates, so that part of the hidden words is random and cannot be guessed from the wording.
    """
    lengths = [len(question.split()) for question in questions]
    most = max(8, max(lengths) // 2)
    domain = Registers(updates=(3, most), phrasing=phrasing)
    drawn = [problem.question for problem in domain.take("test", 0, 8 * len(questions))]
    pool = sorted((len(question.split()), question) for question in drawn)
    found = []
    for length in lengths:
        place = min(bisect_left(pool, (length, "")), len(pool) - 1)
        found.append(pool.pop(place)[1])
    return found


def has_met(found: CompletionRate, control: CompletionRate) -> bool:
    """Whether a model most likely met the questions in pretraining: the intervals of the shares do not meet."""
    return found.low > control.high


def verdict(found: CompletionRate, control: CompletionRate) -> str:
    """What the two shares mean, in one sentence."""
    if has_met(found, control):
        return "The model has most likely met these questions in pretraining: its accuracy on them shows memory too."
    return (
        "No sign that the model has met these questions word for word. (It may have met them in other words, or fewer "
        f"than about {found.high:.0%} of them.)"
    )


def _arguments() -> Arguments:
    parser = Arguments(
        "contamination",
        "Tests whether a model has met the questions of a domain in pretraining: the share that it completes word for "
        "word from their first 60%, compared with generated questions.",
    )
    parser.add_argument("--model", required=True, metavar="ID", help="hub id or folder of the base model")
    parser.add_argument("--revision", metavar="COMMIT", help="branch, tag or commit of a hub model")
    parser.add_argument("--domain", required=True, metavar="NAME", help="math, gsm8k, ..., or ./mine.py:Mine")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the domain")
    parser.add_argument("--problems", type=int, default=100, metavar="N")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument(
        "--seed", type=int, default=0, help="`evaluation.seed` of the recipe: its first problems are asked"
    )
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="FOLDER", help=f"({FOLDER})")
    return parser


def _questions(domain: Domain, split: Split, seed: int, count: int) -> list[str]:
    if count < 1:
        raise UserError(f"--problems: at least 1 is needed (got {count}).")
    drawn = [problem.question for problem in islice(domain.problems(split, seed), count)]
    found = [question for question in drawn if len(question.split()) >= MIN_WORDS]
    if not found:
        raise UserError(
            f"domain {domain.name!r}: none of {len(drawn)} {split} questions has {MIN_WORDS} words or more, so their "
            "ends can be guessed. Give another --split, or other settings with --set."
        )
    return found


def _file_name(record: dict[str, Any]) -> str:
    parts = [record[key] for key in ("model", "revision", "domain", "settings", "split", "seed")]
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:8]
    plain = re.sub(r"[^\w.-]+", "-", f"{Path(record['model']).name}-{record['domain']}-{record['split']}")
    return f"{plain}-{digest}"


def _table(domain: str, split: str, found: CompletionRate, control: CompletionRate) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("questions", "number", "completed word for word", "95% interval", "ROUGE-L"):
        table.add_column(column, justify="left" if column == "questions" else "right")
    for name, kind in ((f"{domain}, {split}", found), ("generated (control)", control)):
        interval = f"{kind.low:.1%} to {kind.high:.1%}"
        table.add_row(name, str(kind.questions), f"{kind.whole} ({kind.share:.1%})", interval, f"{kind.rouge_l:.2f}")
    return table
