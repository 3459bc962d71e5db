"""Noise of the teacher, controls, segments of a chain, the loss on some of them, and the table of an ablation."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.windtunnel import WORLDS
from tests.synthetic_run import Trial, flat, write_run
from tests.training_case import case, context
from warmup_rl.base.types import Problem, Score, Trace
from warmup_rl.cleaners.controls import AnswersOnly, Shuffled
from warmup_rl.dlcot.cut import cut_out
from warmup_rl.dlcot.segments import SEGMENT_KINDS, SegmentKind, segments
from warmup_rl.dlcot.terse import read_terse
from warmup_rl.dlcot.variants import simplify
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.interfaces.chat import fit_tokenizer
from warmup_rl.interfaces.cleaner import CleanContext
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.knights import terse
from warmup_rl.knights.chain import HESITATION, terse_chain
from warmup_rl.knights.english import NAMES, ROLES
from warmup_rl.knights.grammar import Grammar, Puzzle, draw_puzzle
from warmup_rl.knights.reasoning import Noise, think
from warmup_rl.knights.story import tell
from warmup_rl.knights.text import from_meta, to_meta
from warmup_rl.nano.corpus import MAX_ANCHORS, Nano, vocabulary
from warmup_rl.recipe.load import load_recipe
from warmup_rl.report.main import report
from warmup_rl.stages.sft import IGNORED, Sft, encode, token_segments

FORMAT = ResponseFormat()
NOISY = Noise(recheck=0.4, hesitate=0.5, abandon=0.5, slip=0.1)
TERSE = (
    "next case1 p1 Hal=knight next #1 knave(Bob) Bob=knight true next wait next #1 knave(Bob) Bob=knight false "
    "next #2 says(Hal) false Hal=knight bad next case4 p1 Hal=knave next wait next case2 p1 Hal=knave "
    "next #1 knave(Bob) Bob=knight false next #2 says(Hal) false Hal=knave ok "
    "next wait next recheck case2 p1 Hal=knave "
    "next #1 knave(Bob) Bob=knight false next #2 says(Hal) false Hal=knave ok "
    "next solved case2 p1 Hal=knave so Hal=knave"
)
seeds = st.integers(0, 10**6)
puzzles = st.builds(
    lambda seed, people: draw_puzzle(random.Random(seed), people, Grammar(deeper=0.1), terse.NAMES), seeds,
    st.integers(2, 4),
)  # fmt: skip


def trace(thinking: str, answer: str = "Hal=knight Bob=knave") -> Trace:
    score = Score("correct", answer, True)
    return Trace("p", "kk", ({"role": "user", "content": "kk : p1 Hal"},), thinking, answer, score, "solver")


def english(seed: int) -> str:
    rng = random.Random(seed)
    puzzle = draw_puzzle(rng, 3, Grammar(), NAMES, ROLES)
    return tell(puzzle, think(puzzle, rng, noise=Noise(0.2, 0.5, 0.5)), rng, hesitate=0.5)


# Noise


def test_without_the_new_noise_chains_are_what_they_always_were() -> None:
    digest = hashlib.sha256()
    for seed in range(60):
        rng = random.Random(seed)
        puzzle = draw_puzzle(rng, rng.randint(2, 4), Grammar(deeper=0.1), terse.NAMES)
        digest.update("\n".join([*terse_chain(puzzle, rng, Noise(0.15, 0.5)), str(rng.random())]).encode())
    assert digest.hexdigest()[:16] == "ae3e3720ec5ababd"


@given(puzzles, seeds)
def test_noise_stands_between_the_sentences_of_the_clean_chain_and_keeps_its_end(puzzle: Puzzle, seed: int) -> None:
    clean = terse_chain(puzzle, random.Random(0))
    noisy = terse_chain(puzzle, random.Random(seed), NOISY)
    rest = iter(noisy)
    assert all(sentence in rest for sentence in clean) and noisy[-2:] == clean[-2:]


@given(puzzles, seeds)
def test_what_is_given_up_or_wrong_is_followed_by_a_wait_and_by_what_is_right(puzzle: Puzzle, seed: int) -> None:
    chain = terse_chain(puzzle, random.Random(seed), Noise(abandon=0.5, slip=0.1))
    right = {line for case in range(1, 2**puzzle.people + 1) for line in terse.case_sentences(puzzle, case)}
    for before, sentence, after in zip(chain, chain[1:], chain[2:], strict=False):
        if sentence == HESITATION:
            slipped = before.split()[:-1] == after.split()[:-1] and before != after
            assert after in right and (slipped or after.startswith(f"{terse.NEXT} case"))
            assert slipped or before.split()[-1] != "bad"


@given(puzzles, seeds)
def test_a_noisy_chain_has_no_word_that_the_nano_vocabulary_lacks(puzzle: Puzzle, seed: int) -> None:
    if terse.anchors(puzzle) <= MAX_ANCHORS:
        words = " ".join(terse_chain(puzzle, random.Random(seed), NOISY)).split()
        assert set(words) <= set(vocabulary())


# What DLCoT makes of it


@pytest.mark.parametrize(
    ("noise", "keys"),
    [
        (Noise(recheck=0.5, hesitate=0.5), {}),
        (Noise(abandon=0.5), {"unsolvable": True}),
        (Noise(slip=0.2), {"errors": "delete_all"}),
        (NOISY, {"unsolvable": True, "errors": "delete_all"}),
    ],
    ids=["rechecks", "given up", "slips", "all"],
)
def test_dlcot_takes_each_kind_of_noise_out_to_the_word(noise: Noise, keys: Any) -> None:
    domain = KnightsKnaves(name="kk", people=(2, 4), deeper=0.1, phrasing="terse")
    changed = 0
    for number, problem in enumerate(domain.take("train", 7, 40)):
        puzzle, _ = from_meta(problem.meta)
        noisy = " ".join(terse_chain(puzzle, random.Random(number), noise))
        left = cut_out(noisy, simplify(read_terse(noisy, problem, domain), **keys))
        assert left == " ".join(terse_chain(puzzle, random.Random(0)))
        changed += left != noisy
    assert changed > 10


@given(puzzles, seeds)
def test_by_default_dlcot_keeps_errors_and_cuts_what_is_given_up_only_where_it_was_begun_before(
    puzzle: Puzzle, seed: int
) -> None:
    noisy = " ".join(terse_chain(puzzle, random.Random(seed), replace(NOISY, recheck=0.0)))
    problem = Problem("p", "kk", "", terse.answer_terse(puzzle), to_meta(puzzle, "terse"))
    found = read_terse(noisy, problem, KnightsKnaves(name="kk", phrasing="terse"))
    for cut in simplify(found):
        words = noisy[cut.span.start : cut.span.end].strip()
        assert words.endswith(HESITATION) and noisy.index(words) < cut.span.start


# Controls


def controlled(cleaner: Any, given_trace: Trace, seed: int = 0) -> Trace:
    result = cleaner.start(CleanContext({}, {}, lambda text: len(text.split()), seed=seed))(given_trace)
    assert isinstance(result, Trace)
    return result


def test_answers_only_leaves_a_well_formed_trace_without_thinking() -> None:
    result = controlled(AnswersOnly(), trace("next case1 so"))
    parts = FORMAT.split(FORMAT.render(thinking=result.thinking, answer=result.answer))
    assert parts.well_formed and (parts.thinking, parts.answer) == ("", result.answer)
    assert result.meta == {"control": "answers only"}


@pytest.mark.parametrize("unit", ["words", "sentences"])
@pytest.mark.parametrize("thinking", [TERSE, english(1)], ids=["terse", "english"])
def test_shuffling_keeps_the_words_changes_their_order_and_depends_on_the_seed(unit: Any, thinking: str) -> None:
    first, again, other = (controlled(Shuffled(unit=unit), trace(thinking), seed) for seed in (0, 0, 1))
    assert Counter(first.thinking.split()) == Counter(thinking.split())
    assert first == again and len({thinking, first.thinking, other.thinking}) == 3


# Organs


@given(puzzles, seeds)
def test_segments_partition_a_terse_chain(puzzle: Puzzle, seed: int) -> None:
    thinking = " ".join(terse_chain(puzzle, random.Random(seed), NOISY))
    found = segments(thinking)
    assert "".join(thinking[span.start : span.end] for _, span in found) == thinking
    assert all(one[0] != two[0] for one, two in zip(found, found[1:], strict=False))


@given(st.one_of(st.text(max_size=200), seeds.map(english)))
def test_segments_partition_any_text(thinking: str) -> None:
    assert "".join(thinking[span.start : span.end] for _, span in segments(thinking)) == thinking


def by_segment(thinking: str) -> dict[SegmentKind, str]:
    found: dict[SegmentKind, str] = {}
    for segment, span in segments(thinking):
        found[segment] = (found.get(segment, "") + " " + thinking[span.start : span.end]).strip()
    return found


FITS = "next #1 knave(Bob) Bob=knight false next #2 says(Hal) false Hal=knave ok"


def test_the_segments_of_a_terse_chain_are_what_they_are_defined_to_be() -> None:
    assert by_segment(TERSE) == {
        "exploration": "next case1 p1 Hal=knight next #1 knave(Bob) Bob=knight true "
        "next #2 says(Hal) false Hal=knight bad",
        "backtracking": "next wait next #1 knave(Bob) Bob=knight false next case4 p1 Hal=knave "
        "next wait next case2 p1 Hal=knave",
        "verification": f"{FITS} next wait next recheck case2 p1 Hal=knave {FITS}",
        "conclusion": "next solved case2 p1 Hal=knave so Hal=knave",
    }


@pytest.mark.parametrize(
    ("sentence", "segment"),
    [
        ("Suppose Ann is a knight.", "exploration"),
        ("Then Bob lies.", "exploration"),
        ("Let me verify this against every statement.", "verification"),
        ("Wait, let me double-check that.", "verification"),
        ("Wait, that's a contradiction.", "backtracking"),
        ("Going back: that hypothesis is ruled out, so Ann is a knave.", "backtracking"),
        ("So the assumption fails, and Ann is a knave.", "backtracking"),
        ("Alternatively, look at Bob.", "backtracking"),
        ("So the answer is: Ann is a knave.", "conclusion"),
        ("In conclusion, Ann is a knave.", "conclusion"),
    ],
)
def test_english_sentences_go_by_the_words_that_open_them(sentence: str, segment: SegmentKind) -> None:
    first = "There are two of them. "
    found = {thinking_organ for thinking_organ, span in segments(first + sentence) if span.end > len(first)}
    assert found == {segment}


# Loss on some segments


def bpe(texts: list[str]) -> Any:
    """A byte-level tokenizer whose tokens hold the space before a word, as those of large models do."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|pad|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet)
    core.train_from_iterator(texts, trainer)
    template = "{% for message in messages %}{{ message['content'] }}<|end|>{% endfor %}"
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|end|>", pad_token="<|pad|>", chat_template=template
    )


@pytest.mark.parametrize("loss_on", [[], ["conclusion"], ["verification"], ["exploration", "backtracking"]])
def test_exactly_the_words_of_the_segments_and_the_answer_carry_loss(loss_on: list[SegmentKind]) -> None:
    tokenizer = fit_tokenizer(Nano().tokenizer())
    given_trace = trace(TERSE)
    example = encode(tokenizer, given_trace, FORMAT, loss_on)
    labels = [label for label in example["labels"] if label != IGNORED]
    kept = [TERSE[span.start : span.end] for segment, span in segments(TERSE) if segment in loss_on]
    answer = f"</think> <answer> {given_trace.answer} </answer> <|end|>"
    assert tokenizer.decode(labels).split() == " ".join([*kept, answer]).split()
    assert example["input_ids"] == encode(tokenizer, given_trace, FORMAT)["input_ids"]


@pytest.mark.parametrize("think", ["open", "free"])
@pytest.mark.parametrize("thinking", [TERSE, english(3), ""], ids=["terse", "english", "empty"])
def test_every_token_has_one_organ_and_those_of_bpe_stand_within_it(thinking: str, think: Any) -> None:
    response_format = ResponseFormat(think=think)
    completion = response_format.render(thinking=thinking, answer="Hal=knight")
    tokenizer = bpe([completion])
    found = token_segments(tokenizer, completion, thinking.strip())
    ids = tokenizer(completion, add_special_tokens=False).input_ids
    assert len(found) == len(ids)
    for segment in SEGMENT_KINDS:
        text = tokenizer.decode([token for token, of in zip(ids, found, strict=True) if of == segment])
        spans = [thinking[span.start : span.end] for kind, span in segments(thinking.strip()) if kind == segment]
        assert text.split() == "".join(spans).split() or "".join(text.split()) == "".join("".join(spans).split())
    rest = tokenizer.decode([token for token, of in zip(ids, found, strict=True) if of is None])
    assert rest.split() == response_format.render(thinking="", answer="Hal=knight").split()


def test_loss_on_all_segments_is_the_loss_on_the_whole_completion() -> None:
    tokenizer = fit_tokenizer(Nano().tokenizer())
    example = encode(tokenizer, trace(TERSE), FORMAT, SEGMENT_KINDS)
    union = [encode(tokenizer, trace(TERSE), FORMAT, [segment])["labels"] for segment in SEGMENT_KINDS]
    assert example["labels"] == [max(labels) for labels in zip(*union, strict=True)]


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model and traces."""
    return case(tmp_path_factory.mktemp("case"))


@pytest.mark.parametrize(
    ("keys", "steps"), [({"steps": 5}, 5), ({"tokens": 32 * 7}, 4), ({"tokens": 8 * 7}, 1), ({"epochs": 1.5}, 6)]
)
def test_training_goes_on_for_so_many_steps_or_tokens_that_carry_loss(warm: Path, keys: Any, steps: int) -> None:
    name = "-".join(f"{key}-{value}" for key, value in keys.items())
    summary = Sft(id="sft", batch_size=8, **keys).run(context(warm, name, warm / "base"))
    assert (summary["steps"], summary["epochs"], summary["trained_tokens"]) == (steps, steps / 4, steps * 8 * 7)


def test_the_loss_can_leave_the_chain_out(warm: Path) -> None:
    summary = Sft(id="sft", batch_size=8, steps=1, loss_on=[]).run(context(warm, "answer", warm / "base"))
    assert summary["trained_tokens"] == 8 * 5


def test_steps_and_tokens_together_are_refused() -> None:
    with pytest.raises(ValidationError, match="both say how long"):
        Sft(steps=3, tokens=100)


# The recipe and its report


def test_the_recipe_shares_its_base_models_with_a_world_of_the_wind_tunnel() -> None:
    recipe = load_recipe("ablation")
    quick = load_recipe("kk_warmup", [f"{key}={json.dumps(value)}" for key, value in WORLDS["quick"]["set"].items()])
    assert recipe.stages[0] == quick.stages[0]
    assert all(len(recipe.arm(name)) > 1 for name in recipe.arms)


def test_every_arm_is_compared_with_base_and_reference_by_seed(tmp_path: Path) -> None:
    trials = [
        Trial(arm, seed, flat(value + 0.01 * seed, kk=0.3), warmup_flops=1e9 if arm != "base" else 0.0)
        for arm, value in {"base": 0.2, "warmup": 0.7, "emptied": 0.1}.items()
        for seed in (0, 1, 2)
    ]
    text = report(write_run(tmp_path, trials)).read_text(encoding="utf-8")
    row = next(line for line in text.split("## Ablation")[1].splitlines() if line.startswith("| emptied"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1].startswith(".11") and cells[2].startswith("-10.0") and cells[3].startswith("-60.0")
    assert (tmp_path / "outputs/made-up/report/ablation.png").is_file()


def test_arms_that_were_trained_alike_are_named(tmp_path: Path) -> None:
    digests = {"base": "", "warmup": "a", "cut": "b", "cut_again": "b"}
    trials = [
        Trial(arm, seed, flat(0.5, kk=0.3), warmup_flops=float(bool(digest)), traces=digest and f"{digest}{seed}")
        for arm, digest in digests.items()
        for seed in (0, 1)
    ]
    text = report(write_run(tmp_path, trials)).read_text(encoding="utf-8")
    assert "No difference in training: cut, cut_again have the same traces and settings." in text
    assert text.count("No difference in training") == 1


def test_the_report_shows_what_was_measured_during_the_warmups(tmp_path: Path) -> None:
    def probe(seed: int) -> list[dict[str, Any]]:
        return [{"step": step, "loss": 1.0 - 0.1 * step, "accuracy": flat(0.1 * step + 0.2 * seed, kk=0.5)}
                for step in (0, 1, 2)]  # fmt: skip

    trials = [Trial("warmup", seed, flat(0.5, kk=0.3), warmup_flops=1.0, probe=probe(seed)) for seed in (0, 1)]
    base = [Trial("base", seed, flat(0.5, kk=0.3)) for seed in (0, 1)]
    text = report(write_run(tmp_path, [*trials, *base])).read_text(encoding="utf-8")
    rows = text.split("## During the warmup")[1].split("##")[0].strip().splitlines()
    assert rows[0] == "| arm | measured | start | 50% | 100% |"
    assert rows[2:5] == [
        "| warmup | mean without kk | .10 | .20 | .30 |",
        "| warmup | kk | .50 | .50 | .50 |",
        "| warmup | loss | 1.00 | 0.90 | 0.80 |",
    ]


def test_a_run_without_further_arms_has_no_ablation(tmp_path: Path) -> None:
    trials = [Trial(arm, 0, flat(0.5, kk=0.3)) for arm in ("base", "warmup")]
    assert "## Ablation" not in report(write_run(tmp_path, trials)).read_text(encoding="utf-8")
