"""The student as its own teacher: graded attempts, one chain that mends mistakes, exactly one completion a request."""

import random
from collections import Counter

import pytest

from tests.tiny import Adding, tiny_model, tiny_tokenizer
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import append_jsonl, read_jsonl
from warmup_rl.base.models import load_model
from warmup_rl.base.types import Request, trace_from_json
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.interfaces import chat as contract
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Artifacts, Context
from warmup_rl.knights.english import role_text
from warmup_rl.knights.text import from_meta
from warmup_rl.nano.corpus import vocabulary
from warmup_rl.stages.distill import Distill
from warmup_rl_extras.self_teacher import ATTEMPTS_FILE, Attempt, SelfTeacher, own_verdict, reason, stitch

FORM = ResponseFormat()
ADDING = Adding(name="adding", below=4)
KK = KnightsKnaves(name="kk", people=3)
TERSE = KnightsKnaves(name="terse", people=(2, 3), phrasing="terse")
DOMAINS = {"adding": ADDING, "kk": KK, "terse": TERSE}
BUDGET = Sampling(max_tokens=24, samples=2)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A tiny model that has learned the form of an answer, and to guess among seven sums."""
    import torch

    folder = tiny_model(tmp_path_factory.mktemp("student"))
    model, tokenizer = load_model(str(folder), device="cpu"), contract.load_tokenizer(folder)
    rng = random.Random("student")
    problems = ADDING.take("train", 0, 10)
    with torch.random.fork_rng():
        optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-2)
        for _ in range(60):
            texts = []
            for problem in rng.choices(problems, k=16):
                answer = str(rng.randrange(7))
                prompt = contract.render_prompt(tokenizer, ADDING.prompt(problem), FORM)
                texts.append(f"{prompt}{FORM.render(thinking=f'so {answer}', answer=answer)} <|end|>")
            batch = tokenizer(texts, padding=True, return_tensors="pt")
            labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
            loss = model(**batch, labels=labels).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.eval().save_pretrained(folder)
    contract.stamp(folder, tokenizer, FORM)
    return str(folder)


def context(student, folder, seed=0, say=lambda line: None):
    folder.mkdir(exist_ok=True)
    return EngineContext(DOMAINS, FORM, seed, student, None, folder, say)


def requests(domain, problems, samples=1):
    return [Request(problem, domain.prompt(problem), sample) for problem in problems for sample in range(samples)]


def complete(teacher, student, folder, asked, sampling=BUDGET, **keys):
    with teacher.open(context(student, folder, **keys)) as session:
        return list(session.complete(asked, sampling))


def scored(completion, problem, domain):
    text = completion.text
    if completion.thinking is not None:
        text = FORM.render(thinking=completion.thinking, answer=completion.text)
    return domain.score(text, problem, FORM)


def written(folder, problem, attempts):
    """Lays attempts as (thinking, answer) where the teacher looks for those of a killed run."""
    folder.mkdir(exist_ok=True)
    domain = DOMAINS[problem.domain]
    for number, (thinking, answer) in enumerate(attempts):
        text = FORM.render(thinking=thinking, answer=answer)
        score = domain.score(text, problem, FORM)
        append_jsonl(folder / ATTEMPTS_FILE, [{
            "problem_id": problem.id, "attempt": number, "text": text, "tokens": 9, "truncated": False,
            "verdict": score.verdict, "extracted": score.extracted, "shows_work": score.shows_work,
        }])  # fmt: skip


def test_a_real_student_teaches_itself_and_every_request_has_one_completion(tmp_path, student):
    asked = requests(ADDING, ADDING.take("train", 0, 10), samples=2)
    said = []
    made = complete(SelfTeacher(attempts=6, batch_size=16), student, tmp_path / "a", asked, say=said.append)
    problems = {request.problem.id: request.problem for request in asked}
    assert Counter((one.problem_id, one.sample) for one in made) == Counter((r.problem.id, r.sample) for r in asked)
    rows = list(read_jsonl(tmp_path / "a" / ATTEMPTS_FILE))
    assert len(rows) == 60 == len({(row["problem_id"], row["attempt"]) for row in rows})
    solved = {row["problem_id"] for row in rows if row["verdict"] == "correct"}
    assert 0 < len(solved) < 10, "the student guesses: some problems have a right attempt"
    for one in made:
        score = scored(one, problems[one.problem_id], ADDING)
        assert (score.verdict == "correct") == (one.problem_id in solved), "right exactly where an attempt was"
        if one.problem_id in solved:
            assert score.well_formed and not one.truncated
            text = FORM.render(thinking=one.thinking, answer=one.text)
            assert one.tokens == len(tiny_tokenizer()(text, add_special_tokens=False).input_ids) + 1
    assert len(said) == 1 and f"{2 * (10 - len(solved))} without right attempt" in said[0]


def test_a_killed_teacher_goes_on_with_the_attempts_it_has(tmp_path, student):
    asked = requests(ADDING, ADDING.take("train", 0, 8))
    teacher = SelfTeacher(attempts=4, batch_size=4)
    whole = complete(teacher, student, tmp_path / "whole", asked)
    with teacher.open(context(student, tmp_path / "killed")) as session:
        stream = session.complete(asked, BUDGET)
        first = [next(stream) for _ in range(3)]
        stream.close()
    journal = tmp_path / "killed" / ATTEMPTS_FILE
    kept = list(read_jsonl(journal))
    assert 0 < len(kept) < 32
    with journal.open("ab") as file:
        file.write(b'{"problem_id": "to')
    assert first == whole[:3] and complete(teacher, student, tmp_path / "killed", asked) == whole
    assert list(read_jsonl(journal))[: len(kept)] == kept
    assert sorted(map(str, read_jsonl(journal))) == sorted(map(str, read_jsonl(tmp_path / "whole" / ATTEMPTS_FILE)))


def test_a_distill_stage_asks_for_the_student_and_keeps_what_is_right(tmp_path, student):
    stage = Distill(domain="adding", problems=10, teacher={"type": "self", "attempts": 6}, sampling=BUDGET)
    assert stage.required_inputs() == {"model"}
    where = Context(folder=tmp_path, inputs=Artifacts(model=student), domains=DOMAINS, response_format=FORM,
                    evaluation=EvaluationSettings(), seed=0)  # fmt: skip
    summary = stage.run(where)
    traces = [trace_from_json(row) for row in read_jsonl(where.traces_file)]
    assert 0 < summary["correct"] == len(traces) < 20
    assert all(trace.score.outcome == "correct" and trace.teacher == "self" for trace in traces)


def test_the_plan_says_what_is_generated():
    teacher = SelfTeacher(attempts=6, reflection="student")
    assert teacher.usage(20, BUDGET) == {"attempts": 60, "generated tokens, at most": 2 * 60 * 24}


def test_without_a_student_the_teacher_says_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="no student yet"), SelfTeacher().open(context(None, tmp_path)):
        pass


SUM = ADDING.take("train", 0, 1)[0]
WRONG = str(int(SUM.gold) + 1)
RIGHT = SUM.gold


@pytest.mark.parametrize(
    ("attempts", "keys", "verdict", "reason"),
    [
        ([("so", WRONG), ("so so", RIGHT)], {}, "correct", "with one mistake corrected"),
        ([("so", WRONG), ("so so", RIGHT)], {"mistakes": 0}, "correct", "right at once"),
        ([("so", RIGHT), ("so so", RIGHT)], {}, "correct", "right at once"),
        ([("so", RIGHT), ("so so", RIGHT)], {"without_mistakes": False}, "none", "without mistake"),
        ([("so", WRONG), ("so so", WRONG)], {}, "wrong", "without right attempt"),
        ([("so", WRONG), ("guess", RIGHT)], {}, "wrong", "right by a guess alone"),
        ([("so", WRONG), ("guess", RIGHT)], {"guesses": True}, "correct", "with one mistake corrected"),
        ([("guess", RIGHT), ("a guess", RIGHT)], {}, "none", "right by a guess alone"),
    ],
    ids=["corrected", "no mistakes wanted", "never wrong", "a mistake is needed", "never right", "right by a guess",
         "guesses wanted", "guesses only"],
)  # fmt: skip
def test_what_the_attempts_were_decides_what_comes_of_them(tmp_path, student, attempts, keys, verdict, reason):
    written(tmp_path / "run", SUM, attempts)
    (made,) = complete(SelfTeacher(attempts=2, **keys), student, tmp_path / "run", requests(ADDING, [SUM]))
    assert (scored(made, SUM, ADDING).verdict, made.finish_reason) == (verdict, reason)
    if "corrected" in reason:
        place = made.thinking.index(attempts[0][0])
        assert WRONG in made.thinking and made.thinking.index(attempts[1][0], place + 1) > place
        assert made.thinking.index(WRONG) < made.thinking.rindex(RIGHT)


def test_samples_differ_and_no_more_mistakes_are_corrected_than_asked_for(tmp_path, student):
    wrong = [(f"so {number}", str(number)) for number in range(10, 16)]
    written(tmp_path / "run", SUM, [*wrong, ("so so", RIGHT), ("so so so", RIGHT)])
    made = complete(SelfTeacher(attempts=8, mistakes=3), student, tmp_path / "run", requests(ADDING, [SUM], samples=12))
    reasons = Counter(one.finish_reason for one in made)
    assert set(reasons) <= {"with one mistake corrected", "with 2 mistakes corrected", "with 3 mistakes corrected"}
    assert len(reasons) > 1 and len({one.thinking for one in made}) == 12
    assert {"so so so" in one.thinking for one in made} == {True, False}


def answers(problem):
    """All answers to a puzzle as the domain writes them, the right one first."""
    puzzle, phrasing = from_meta(problem.meta)
    found = []
    for number in range(2**puzzle.people):
        truthful = [bool(number >> person & 1) for person in range(puzzle.people)]
        if phrasing == "terse":
            said = " ".join(
                f"{name}={'knight' if true else 'knave'}" for name, true in zip(puzzle.names, truthful, strict=True)
            )
        else:
            said = "\n".join(
                f"({person + 1}) {role_text(puzzle, person, true)}" for person, true in enumerate(truthful)
            )
        found.append((truthful != problem.meta["solution"], said))
    return [said for _, said in sorted(found)]


@pytest.mark.parametrize("problem", TERSE.take("train", 0, 12), ids=lambda problem: problem.id)
def test_terse_chains_hold_words_of_the_small_vocabulary_only(problem):
    right, *wrong = answers(problem)
    attempts = [Attempt(f"next #1 ok so {wrong[0]}", wrong[0], False), Attempt("", wrong[-1], False),
                Attempt(f"next solved case1 so {right}", right, True)]  # fmt: skip
    for reasons in (True, False):
        chain = stitch(attempts, problem, random.Random(0), terse=True, reasons=reasons)
        assert set(chain.split()) <= set(vocabulary())
        assert chain.endswith(f"so {right}") and chain.count("next wait") == 2 and chain.count(f"so {wrong[0]}") == 1
        assert chain.count("next recheck") == (3 if reasons else 0)
    assert reason(problem, right).split().count("bad") == 0 and reason(problem, right).endswith("ok")
    assert all(reason(problem, said).endswith("bad") for said in wrong)


@pytest.mark.parametrize("problem", KK.take("train", 0, 12), ids=lambda problem: problem.id)
def test_english_reflections_give_a_true_reason_for_wrong_answers_only(problem):
    right, *wrong = answers(problem)
    assert reason(problem, right) is None
    for said in wrong:
        assert reason(problem, said).startswith("If it were so, then ")
    chain = stitch([Attempt("I think.", wrong[0], False), Attempt("Hm.", right, True)], problem, random.Random(0),
                   terse=False, reasons=True)  # fmt: skip
    assert chain.startswith("I think.") and reason(problem, wrong[0]) in chain
    assert chain.index(wrong[0]) < chain.index("Hm.") < chain.index(right)
    assert reason(problem, "no idea") is None and reason(SUM, RIGHT) is None


def test_an_answer_that_ends_the_thinking_is_not_repeated():
    attempt = Attempt("2 and 3 give 5.", "5", True)
    chain = stitch([attempt], SUM, random.Random(0), terse=False, reasons=True)
    assert chain.count("5") == 1


@pytest.mark.parametrize(
    ("reflection", "expected"),
    [("All is fine.\nVerdict: right", ("All is fine.", True)), ("No.\n**Verdict:** `wrong`.", ("No.", False)),
     ("Verdict: wrong? No.\n# Verdict - correct", ("Verdict: wrong? No.", True)), ("It is right.", None), ("", None)],
    ids=["right", "wrong in markup", "the last one counts", "no verdict", "nothing"],
)  # fmt: skip
def test_verdicts_are_read_from_the_students_reflection(reflection, expected):
    assert own_verdict(reflection) == expected


def test_the_students_words_are_used_where_its_verdict_is_the_graders(tmp_path, student):
    written(tmp_path / "run", SUM, [("so", WRONG), ("so so", RIGHT)])
    notes = ["It does not add up.\nVerdict: wrong", "All nonsense.\nVerdict: wrong"]
    append_jsonl(tmp_path / "run" / ATTEMPTS_FILE, [
        {"problem_id": SUM.id, "attempt": number, "reflection": note} for number, note in enumerate(notes)
    ])  # fmt: skip
    teacher = SelfTeacher(attempts=2, reflection="student")
    (made,) = complete(teacher, student, tmp_path / "run", requests(ADDING, [SUM]))
    assert "It does not add up." in made.thinking and "nonsense" not in made.thinking and "erdict" not in made.thinking


def test_a_real_student_reflects_on_answered_attempts_once(tmp_path, student):
    asked = requests(ADDING, ADDING.take("train", 0, 2))
    teacher = SelfTeacher(attempts=3, reflection="student")
    made = complete(teacher, student, tmp_path / "run", asked)
    rows = list(read_jsonl(tmp_path / "run" / ATTEMPTS_FILE))
    reflected = [(row["problem_id"], row["attempt"]) for row in rows if "reflection" in row]
    assert reflected and len(reflected) == len(set(reflected))
    assert complete(teacher, student, tmp_path / "run", asked) == made
    assert list(read_jsonl(tmp_path / "run" / ATTEMPTS_FILE)) == rows
