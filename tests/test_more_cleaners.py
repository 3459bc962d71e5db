"""Loops, contamination and naturalness: each cleaner drops what it is for, leaves honest traces, and says why."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import Adding, tiny_model
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.models import load_model
from warmup_rl.base.types import Problem, Score, Trace, to_json
from warmup_rl.cleaners.decontaminate import Decontaminate
from warmup_rl.cleaners.repetition import LOOP_WORDS, Repetition, ends_in_loop, round_ending, stale_share, words_of
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.interfaces.chat import load_tokenizer, render_prompt
from warmup_rl.interfaces.cleaner import CleanContext, Dropped, LooksAhead
from warmup_rl.interfaces.domain import problem_id
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Artifacts, Context
from warmup_rl.knights.chain import terse_chain
from warmup_rl.knights.english import draw_quiz, render_quiz
from warmup_rl.knights.grammar import make_puzzle
from warmup_rl.knights.reasoning import Noise, think
from warmup_rl.knights.story import tell
from warmup_rl.knights.text import from_meta, to_meta
from warmup_rl.nano.compass import Compass
from warmup_rl.stages.clean import Clean
from warmup_rl_extras.naturalness import Naturalness, measures

SHARED = Path("../shared/data")
FORM = ResponseFormat()
ENGLISH = KnightsKnaves(name="kk", people=(3, 5))
DOMAINS = {"kk": ENGLISH, "compass": Compass(name="compass")}


def trace(thinking="a b c", problem="p", answer="5", sample=0):
    return Trace(problem, "adding", ({"role": "user", "content": "2 + 3 ="},), thinking, answer,
                 Score("correct", "5", True), "t", sample)  # fmt: skip


# Repetition


def verdict(thinking, **keys):
    result = Repetition(**keys).start(CleanContext({}, {}, len))(trace(thinking))
    return result.reason if isinstance(result, Dropped) else "kept"


THOUGHT = " ".join(random.Random("thought").choices([f"word{number}" for number in range(90)], k=400))
PARAGRAPH = "Wait, let me check this once more: if Bob is a knave, then what he says is false, and so Zoey lies. "


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (THOUGHT, "kept"),
        (f"{THOUGHT} {PARAGRAPH * 2}", "kept"),
        (f"{THOUGHT} {PARAGRAPH * 5}", "ends in a loop"),
        (f"{THOUGHT} {(PARAGRAPH * 6)[:-30]}", "ends in a loop"),
        (f"{THOUGHT} {'wait ' * 200}", "ends in a loop"),
        (f"{THOUGHT} {'So 1, 2. ' * 3}", "kept"),
        (f"{THOUGHT} {PARAGRAPH * 20} At last: Bob is a knight, which settles the rest.", "repeats itself"),
        (f"{PARAGRAPH * 20} {THOUGHT}", "repeats itself"),
        (f"{THOUGHT} {'等等，让我再检查一遍。' * 12}", "ends in a loop"),
        ("", "kept"),
        ("5", "kept"),
    ],
    ids=["a thought", "one re-check", "a loop", "a loop cut off", "one word", "few words", "a loop left at last",
         "a loop at first", "words without spaces", "nothing", "one number"],
)  # fmt: skip
def test_loops_are_dropped_and_rechecks_are_not(thinking, expected):
    assert verdict(thinking) == expected


@pytest.mark.parametrize("noise", [Noise(0.15, 0.5, 0.3), Noise(1.0, 0.5, 1.0)], ids=["usual", "everything twice"])
@pytest.mark.parametrize("method", ["search", "cases", "terse"])
def test_solver_traces_are_no_loops_however_noisy(method, noise):
    domain = KnightsKnaves(people=(2, 4), phrasing="terse", deeper=0.3) if method == "terse" else ENGLISH
    rng = random.Random(method)
    for problem in domain.take("train", 0, 15):
        puzzle, _ = from_meta(problem.meta)
        if method == "terse":
            thinking = " ".join(terse_chain(puzzle, rng, noise))
        else:
            thinking = tell(puzzle, think(puzzle, rng, method=method, noise=noise), rng, hesitate=0.5)
        assert verdict(thinking) == "kept"


@given(st.lists(st.sampled_from("abc"), max_size=60), st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8))
def test_round_endings_are_counted_exactly(head, period):
    words = [*head, *period * (LOOP_WORDS // len(period) + 1)]
    best = max(
        (
            (run + size) / size
            for size in range(1, len(words))
            if (run := _agreeing(words, size)) + size >= LOOP_WORDS and run
        ),
        default=1,
    )
    assert round_ending(words) == best >= LOOP_WORDS / len(period)


def _agreeing(words, period):
    place = len(words) - 1
    while place - period >= 0 and words[place] == words[place - period]:
        place -= 1
    return len(words) - 1 - place


WORDS = st.lists(st.sampled_from(["a", "I am", "no.", "x = 1", "ß,", "İ", "三角"]), min_size=1, max_size=14)


@given(WORDS, WORDS, st.integers(1, 60), st.sampled_from([" ", "\n", ""]), st.integers(0, 9), st.integers(2, 5))
def test_a_loop_is_found_at_the_end_whatever_its_spaces(head, period, times, space, cut, rounds):
    thinking = f"{space.join(head)} {space.join(period * times)}  {' '.join(period)} "[: -cut or None]
    assert ends_in_loop(thinking, rounds) == (round_ending(words_of(thinking)[:-1], rounds) >= rounds)


@given(st.lists(st.sampled_from("ab"), max_size=200))
def test_the_stale_share_is_a_share(words):
    assert 0 <= stale_share(words) <= 1


# Contamination


def decontaminate(problems, held_out, thinking="so it is", **keys):
    """The reason for which each problem's trace is dropped, None where it stays."""
    known = {problem.id: problem for problem in problems}
    audit = []
    context = CleanContext(DOMAINS, known, len, held_out=lambda: held_out, audit=audit.append)
    clean = Decontaminate(**keys).start(context)
    results = [clean(replace(trace(thinking), problem_id=problem.id)) for problem in problems]
    reasons = [result.reason if isinstance(result, Dropped) else None for result in results]
    assert [row["problem_id"] for row in audit] == [p.id for p, reason in zip(problems, reasons, strict=True) if reason]
    return reasons


def text_problem(question, domain="math"):
    return Problem(problem_id([domain, question]), domain, question, "1")


EVALUATED = text_problem("Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in "
                         "May. How many clips did Natalia sell altogether in April and May?")  # fmt: skip
SHORT = text_problem("What is $1 + 2$?")


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (EVALUATED.question, "same problem (math)"),
        (EVALUATED.question.upper().replace(",", "  "), "same question (math)"),
        (EVALUATED.question.replace("48", "52"), "words of an evaluation problem (math)"),
        (f"Here is one. {EVALUATED.question} Answer in words.", "words of an evaluation problem (math)"),
        ("Weng earns 12 dollars an hour for babysitting, and yesterday she did 50 minutes of babysitting. How many "
         "dollars did she earn?", None),
        ("what is 1 + 2", "same question (math)"), ("What is $1 - 2$?", None), ("What is $1 + 2 + 3$?", None),
    ],
    ids=["the same", "case and commas", "another number", "inside another", "another exercise", "short and the same",
         "short with another sign", "short and longer"],
)  # fmt: skip
def test_problems_that_are_evaluated_on_are_found_by_their_words(question, reason):
    assert decontaminate([text_problem(question)], [EVALUATED, SHORT]) == [reason]


def test_thinking_that_tells_an_evaluation_problem_is_found():
    other = text_problem("How many legs have three dogs?")
    thinking = f"This reminds me of another one. {EVALUATED.question} That was 72."
    assert decontaminate([other], [EVALUATED], thinking=thinking) == ["words of an evaluation problem (math)"]
    assert decontaminate([other], [EVALUATED], thinking="Three times four.") == [None]


def test_how_much_in_common_is_too_much_can_be_said():
    half = EVALUATED.question.split(".")[0] + ". How much is that in a year with thirteen months of equal length?"
    problem = text_problem(half)
    reasons = [decontaminate([problem], [EVALUATED], share=share)[0] is None for share in (0.01, 0.2, 0.9)]
    assert reasons == sorted(reasons) and not reasons[0] and reasons[-1]


def test_puzzles_that_share_their_introduction_only_are_kept():
    train, test = ENGLISH.take("train", 0, 60), ENGLISH.take("test", 0, 40)
    assert set(decontaminate(train, test)) == {None}
    bare = [replace(problem, meta={}, id=f"bare-{problem.id}") for problem in train]
    assert set(decontaminate(bare, [replace(problem, meta={}) for problem in test])) == {None}


@pytest.mark.parametrize("evaluated", ENGLISH.take("test", 0, 5), ids=lambda problem: problem.id)
def test_a_puzzle_in_other_names_and_order_is_the_same(evaluated):
    puzzle, _ = from_meta(evaluated.meta)
    order = list(reversed(range(puzzle.people)))

    def moved(statement):
        head, *rest = statement
        return (head, *(moved(part) if isinstance(part, tuple) else puzzle.people - 1 - part for part in rest))

    names = ["Ute", "Kai", "Jan", "Eva", "Tom"][: puzzle.people]
    other = make_puzzle(names, [moved(puzzle.statements[person]) for person in order])
    question = render_quiz(draw_quiz(other, random.Random(1)))
    renamed = Problem(problem_id(question), "kk", question, "", to_meta(other, "english"))
    held_out = ENGLISH.take("test", 0, 5)
    assert decontaminate([renamed], held_out) == ["same puzzle (kk)"]
    assert decontaminate([renamed], [problem for problem in held_out if problem != evaluated]) == [None]


def test_questions_that_are_boilerplate_for_the_most_part_are_compared_whole():
    domain = Compass(name="compass")
    train, test = domain.take("train", 0, 400), domain.take("test", 0, 100)
    assert sum(reason is not None for reason in decontaminate(train, test)) <= 0.05 * len(train)
    assert decontaminate([test[3], *train], test)[0] == "same problem (compass)"


def test_many_copies_of_one_evaluation_problem_do_not_become_boilerplate():
    copies = [text_problem(EVALUATED.question.replace("48", str(number))) for number in range(100, 140)]
    assert None not in decontaminate(copies, [EVALUATED, SHORT])


def test_math_train_holds_variants_of_math500_and_nearly_everything_stays():
    if not (SHARED / "math_train.jsonl").is_file():
        pytest.skip("the MATH files are not there")
    train, test = (
        [Problem(f"{name}-{number}", name, row["problem"], row["answer"])
         for number, row in enumerate(map(json.loads, (SHARED / f"{name}.jsonl").open(encoding="utf-8")))]
        for name in ("math_train", "math500")
    )  # fmt: skip
    reasons = decontaminate(train, test)
    dropped = sum(reason is not None for reason in reasons)
    assert 20 <= dropped <= 80, "near-duplicates, not everything that says `express your answer as a common fraction`"
    assert decontaminate(test, test, share=1.0) == ["same problem (math500)"] * 500
    leaked = [replace(problem, id=f"leaked-{problem.id}", question=f"Solve this. {problem.question} Think first.")
              for problem in test]  # fmt: skip
    found = [reason for reason in decontaminate(leaked, test) if reason]
    assert len(found) >= 460, "all but those too short or too common to be told by runs of 13 words"


def test_the_clean_stage_gives_it_what_is_evaluated_on(tmp_path):
    domain = Adding(name="adding", below=12)
    problems = [*domain.take("train", 0, 3), *domain.take("test", 0, 2)]
    write_jsonl(tmp_path / "traces.jsonl", [to_json(replace(trace("so 5"), problem_id=p.id)) for p in problems])
    write_jsonl(tmp_path / "problems.jsonl", map(to_json, problems))
    inputs = Artifacts(model=str(tiny_model(tmp_path / "m")), traces=tmp_path / "traces.jsonl")
    where = Context(folder=tmp_path / "out", inputs=inputs, domains={"adding": domain}, response_format=FORM,
                    evaluation=EvaluationSettings(problems=10), seed=0)  # fmt: skip
    where.folder.mkdir()
    assert Clean(steps=["decontaminate"]).run(where)["dropped"] == {"same problem (adding)": 2}
    assert len(list(read_jsonl(where.traces_file))) == 3


# Naturalness


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("student")))


def reader(student, **keys):
    return Naturalness(**keys).start(CleanContext({}, {}, len, model=student))


TRACES = [trace(f"so {number} + {number * 3} so" + " . so" * number, answer=str(number), sample=number)
          for number in range(9)]  # fmt: skip


def test_measures_are_those_of_the_distribution_token_by_token(student):
    import torch

    model, tokenizer = load_model(student, device="cpu"), load_tokenizer(student)
    for item in TRACES[:3]:
        prompt = tokenizer(render_prompt(tokenizer, item.messages, FORM)).input_ids
        ids = tokenizer(FORM.render(thinking=item.thinking, answer=item.answer), add_special_tokens=False).input_ids
        surprise, ranks = 0.0, 0
        for place, token in enumerate(ids):
            with torch.no_grad():
                probs = model(torch.tensor([prompt + ids[:place]])).logits[0, -1].softmax(-1)
            surprise -= math.log(probs[token])
            ranks += min(50, 1 + int((probs > probs[token]).sum()))
        meta = reader(student, rank_cap=50)(item).meta
        assert meta["scored_tokens"] == len(ids)
        assert meta["nll"] == pytest.approx(surprise / len(ids), rel=1e-4)
        assert meta["rank"] == pytest.approx(ranks / len(ids))
        assert meta["rank_surprisal_ratio"] == pytest.approx(ranks / surprise, rel=1e-4)


@pytest.mark.parametrize("batch_tokens", [1, 60, 10_000])
def test_batches_change_nothing(student, batch_tokens):
    alone = reader(student)
    together = reader(student, batch_tokens=batch_tokens)
    assert isinstance(together, LooksAhead)
    together.ahead([*TRACES, TRACES[0]])
    for item in (*TRACES, TRACES[0], trace("What is two")):
        one, many = alone(item).meta, together(item).meta
        assert set(one) == {"nll", "rank", "rank_surprisal_ratio", "scored_tokens"} == set(many)
        assert many == {key: pytest.approx(value, rel=1e-4) for key, value in one.items()}


def test_limits_drop_what_is_above_them(student):
    found = [reader(student)(item).meta for item in TRACES]
    for key, option in (("nll", "max_nll"), ("rank_surprisal_ratio", "max_ratio")):
        limit = sorted(row[key] for row in found)[4] + 1e-9
        clean = reader(student, **{option: limit})
        kept = [not isinstance(clean(item), Dropped) for item in TRACES]
        assert kept == [row[key] <= limit for row in found] and 0 < sum(kept) < 9


def test_what_does_not_fit_into_the_context_is_left_out_of_the_measures(student):
    tokens = reader(student)(trace("so " * 400)).meta["scored_tokens"]
    assert 200 < tokens < 256
    with pytest.raises(UserError, match="context 256"):
        reader(student)(replace(trace(), messages=({"role": "user", "content": "so " * 300},)))


def test_nothing_surprising_has_no_ratio(student):
    import torch

    model = load_model(student, device="cpu")
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.lm_head.weight[3] = 1e4
        model.model.norm.weight.fill_(1.0)
        model.model.embed_tokens.weight.copy_(model.lm_head.weight)
    (found,) = measures(model, [([3], [3, 3])], pad_id=0, rank_cap=100)
    assert found == {"nll": 0.0, "rank": 1.0, "rank_surprisal_ratio": None, "scored_tokens": 2}


def test_without_a_student_it_says_so():
    with pytest.raises(UserError, match="student"):
        Naturalness().start(CleanContext({}, {}, len))
