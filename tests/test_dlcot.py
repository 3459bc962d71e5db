"""DLCoT by rules: chains of thought are taken apart into a partition, and what is cut is needless and nothing more."""

import random
from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dlcot_traces import ASKED, DOUBTED, GUESSED, ISLAND, LISTED, PLAIN, THREE, TWO, WRITTEN, kk_problem
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import Unscorable
from warmup_rl.base.types import Grade, Problem, Request, Score, Trace
from warmup_rl.cleaners.dlcot import DLCoT
from warmup_rl.dlcot.cut import Refused, cut_out, is_subsequence
from warmup_rl.dlcot.labels import false_sums, label_text
from warmup_rl.dlcot.markers import affirms, move
from warmup_rl.dlcot.rules import Rules
from warmup_rl.dlcot.structure import Ambiguous, Approach, Cut, Part, Span, Structure
from warmup_rl.dlcot.variants import Errors, Redundancy, simplify
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.engines.solver import Solver
from warmup_rl.interfaces.cleaner import CleanContext
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.knights.chain import terse_chain
from warmup_rl.knights.english import NAMES, ROLES, answer_english
from warmup_rl.knights.grammar import Grammar, draw_puzzle, make_puzzle
from warmup_rl.knights.reasoning import CLEAN, Noise, think
from warmup_rl.knights.story import DOUBT_OPENERS, RECHECK_CLOSERS, RECHECK_OPENERS, tell
from warmup_rl.knights.terse import NAMES as TERSE_NAMES
from warmup_rl.nano.sums import Sums

FORMAT = ResponseFormat()
ENGLISH, TERSE = KnightsKnaves(name="kk", roles="all"), KnightsKnaves(name="kk", phrasing="terse")
PARTS = get_args(Part)
puzzles = st.builds(
    lambda seed, people: draw_puzzle(random.Random(seed), people, Grammar(deeper=0.2), NAMES, ROLES),
    st.integers(0, 10**6),
    st.integers(2, 5),
)
terse_puzzles = st.builds(
    lambda seed, people: draw_puzzle(random.Random(seed), people, Grammar(), TERSE_NAMES),
    st.integers(0, 10**6),
    st.integers(2, 4),
)


def trace_of(thinking, problem, domain, said=None):
    said = said or domain.reference(problem)
    score = domain.score(FORMAT.render(thinking=thinking, answer=said), problem, FORMAT)
    return Trace(problem.id, problem.domain, (), thinking, said, score, "teacher")


def clean(thinking, problem, domain, said=None, **options):
    """The trace after cleaning, and its audit row."""
    rows = []
    context = CleanContext(
        {problem.domain: domain}, {problem.id: problem}, lambda text: len(text.split()), audit=rows.append
    )
    result = DLCoT(**options).start(context)(trace_of(thinking, problem, domain, said))
    (row,) = rows
    return result, row


def structure_of(thinking, problem, domain):
    return Rules().read(trace_of(thinking, problem, domain), problem, domain)


def require_partition(structure, text):
    assert [name for name, _ in structure.parts] == [name for name in PARTS if name in dict(structure.parts)]
    spans = [span for _, span in structure.parts]
    assert spans[0].start == 0 and spans[-1].end == len(text)
    require_adjacent(spans)
    exploration = dict(structure.parts)["exploration"]
    approaches = [approach.span for approach in structure.approaches]
    assert (approaches[0].start, approaches[-1].end) == (exploration.start, exploration.end)
    require_adjacent(approaches)
    for approach in structure.approaches:
        assert (approach.steps[0].start, approach.steps[-1].end) == (approach.span.start, approach.span.end)
        require_adjacent(approach.steps)
        assert all(approach.span.start <= e.start < e.end <= approach.span.end for e in approach.errors)
    clusters = [approach.cluster for approach in structure.approaches]
    assert list(dict.fromkeys(clusters)) == list(range(max(clusters) + 1)), "clusters are numbered as they appear"
    if structure.verification:
        verification = dict(structure.parts)["verification"]
        require_adjacent(structure.verification)
        steps = structure.verification
        assert (steps[0].start, steps[-1].end) == (verification.start, verification.end)


def require_adjacent(spans):
    assert all(before.end == after.start for before, after in zip(spans, spans[1:], strict=False))
    assert all(span.start < span.end for span in spans)


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_written_traces_are_taken_apart_as_a_reader_would(written):
    structure = structure_of(written.thinking, written.problem, written.domain)
    require_partition(structure, written.thinking)
    approaches = structure.approaches
    assert " ".join(name for name, _ in structure.parts) == written.parts
    assert tuple(approach.label for approach in approaches) == written.labels
    assert tuple(approach.cluster for approach in approaches) == written.clusters
    assert tuple(i for i, approach in enumerate(approaches) if approach.settles) == written.settles
    assert approaches[-1].repaired == written.repaired
    errors = [written.thinking[span.start : span.end].strip() for a in approaches for span in a.errors]
    assert tuple(errors) == written.errors


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_written_traces_lose_what_repeats_and_nothing_else(written):
    result, row = clean(written.thinking, written.problem, written.domain)
    assert row["outcome"] == ("cut" if written.gone else "unchanged")
    assert is_subsequence(result.thinking, written.thinking)
    kept = set(result.thinking.split("\n\n"))
    lost = [paragraph for paragraph in written.thinking.split("\n\n") if paragraph not in kept]
    assert len(lost) == len(written.gone)
    assert all(paragraph.startswith(start) for paragraph, start in zip(lost, written.gone, strict=True))
    assert clean(result.thinking, written.problem, written.domain)[0].thinking == result.thinking


def test_free_talk_about_a_puzzle_is_read_by_its_hypotheses():
    problem = kk_problem(THREE)
    structure = structure_of(ISLAND, problem, ENGLISH)
    require_partition(structure, ISLAND)
    found = [(a.method, a.label, a.settles, a.cluster) for a in structure.approaches]
    assert found == [
        ("assumes Mia is a knight", "incomplete", True, 0),
        ("deduces, knowing Mia is a knave", "correct", False, 1),
        ("assumes Zoey is a knave", "incomplete", True, 2),
        ("assumes Mia is a knight", "incomplete", True, 0),
    ]
    assert [name for name, _ in structure.parts] == list(PARTS)
    result, row = clean(ISLAND, problem, ENGLISH)
    assert row["reasons"] == {"redundant": 2}
    assert "from the start" not in result.thinking and "double-check" not in result.thinking
    assert "Alternatively" in result.thinking and "Let me verify everything" in result.thinking


def solver_traces(domain, solver, count):
    problems = domain.take("train", 0, count)
    with solver.open(EngineContext({"kk": domain}, FORMAT, seed=0)) as session:
        completions = list(session.complete([Request(p, domain.prompt(p)) for p in problems], Sampling()))
    return [(problem, completion.thinking) for problem, completion in zip(problems, completions, strict=True)]


NOISES = {
    "quiet": {"recheck": 0.0, "second_method": 0.0}, "default": {}, "doubtful": {"recheck": 0.5, "hesitate": 1.0},
    "all": {"recheck": 1.0, "hesitate": 1.0, "second_method": 1.0}, "cases": {"method": "cases", "recheck": 0.3},
}  # fmt: skip


def without_rechecks(paragraphs):
    """The paragraphs that are no needless re-check by the words that the solver opens and closes them with."""
    openers = RECHECK_OPENERS + DOUBT_OPENERS
    return [p for p in paragraphs if not (p.startswith(openers) and p.endswith(RECHECK_CLOSERS))]


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_english_solver_traces_lose_all_needless_rechecks_and_their_answer_stays(noise):
    domain = KnightsKnaves(name="kk", people=(2, 5), roles="all", deeper=0.2)
    for problem, thinking in solver_traces(domain, Solver(**noise), 60):
        result, row = clean(thinking, problem, domain)
        paragraphs = thinking.split("\n\n")
        left = result.thinking.split("\n\n")
        assert row["outcome"] in ("cut", "unchanged")
        assert is_subsequence(result.thinking, "\n\n".join(without_rechecks(paragraphs)))
        assert without_rechecks(left) == left
        rest = iter(paragraphs)
        assert all(paragraph in rest for paragraph in left), "paragraphs go as a whole"
        assert not any(approach["errors"] for approach in row["approaches"])
        assert [a["label"] for a in row["approaches"]].count("correct") == 1
        assert clean(result.thinking, problem, domain)[0].thinking == result.thinking


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_solver_traces_without_a_second_method_lose_rechecks_only(noise):
    domain = KnightsKnaves(name="kk", people=(2, 4))
    for problem, thinking in solver_traces(domain, Solver(**{**noise, "second_method": 0.0}), 40):
        result, _ = clean(thinking, problem, domain)
        assert result.thinking == "\n\n".join(without_rechecks(thinking.split("\n\n")))


@given(terse_puzzles, st.integers(0, 999), st.sampled_from((0.0, 0.3, 1.0)), st.sampled_from((0.0, 0.5, 1.0)))
@settings(max_examples=60)
def test_terse_chains_are_cut_to_the_chain_without_noise(puzzle, seed, recheck, doubt):
    problem = kk_problem(puzzle, "terse")
    noisy = " ".join(terse_chain(puzzle, random.Random(seed), Noise(recheck, doubt)))
    result, row = clean(noisy, problem, TERSE)
    assert result.thinking == " ".join(terse_chain(puzzle, random.Random(seed), CLEAN))
    assert len(row["cuts"]) == noisy.split().count("recheck")
    require_partition(structure_of(noisy, problem, TERSE), noisy)
    labels = [approach["label"] for approach in row["approaches"]]
    assert all(
        label == "correct" or approach["settles"] for label, approach in zip(labels, row["approaches"], strict=True)
    )


@pytest.mark.parametrize("thinking", PLAIN)
def test_what_is_no_plain_repetition_stays(thinking):
    puzzle = draw_puzzle(random.Random(0), 2, Grammar(), TERSE_NAMES)
    result, row = clean(thinking, kk_problem(puzzle), ENGLISH)
    assert result.thinking == thinking and row["outcome"] in ("unchanged", "doubt")


@pytest.mark.parametrize(("thinking", "why"), DOUBTED)
def test_doubt_has_a_short_reason(thinking, why):
    written = WRITTEN["redone"]
    result, row = clean(thinking, written.problem, written.domain)
    assert result.thinking == thinking
    assert row["outcome"] == ("doubt" if why else "unchanged") and row["why"] == (why or "")
    assert not why or row["parts"] == []


SENTENCES = st.sampled_from([
    "Okay, so I need to find x.", "Let me think.", "Alternatively, let me try another way.", "Wait.", "So x = 5.",
    "Let me double-check that.", "Yes, that's right.", "2 + 3 = 5.", "2 + 3 = 6.", "Case 1: x > 0.", "Suppose x < 0.",
    "That's a contradiction.", "Let me verify.", "So the answer is 5.", "The answer is 7.", "\\boxed{5}", "Hmm.",
    "Therefore the sum of the two numbers is 5, and this is what the question wanted us to find out in the end.",
])  # fmt: skip
texts = st.lists(st.tuples(SENTENCES, st.sampled_from([" ", "\n\n", "\n"])), min_size=1, max_size=40).map(
    lambda pieces: "".join(f"{sentence}{gap}" for sentence, gap in pieces)
)
SUM = Problem("p", "written", "What is x, the sum of 2 and 3?", "5")


@given(texts)
@settings(max_examples=150, deadline=None)  # the first sum starts the processes that compare mathematics
def test_any_text_is_partitioned_or_doubted_and_every_variant_cuts_a_subsequence(text):
    domain = WRITTEN["redone"].domain
    try:
        structure = structure_of(text, SUM, domain)
    except Ambiguous:
        return
    require_partition(structure, text)
    for redundancy, unsolvable, errors in product(get_args(Redundancy), (False, True), get_args(Errors)):
        cuts = simplify(structure, redundancy=redundancy, unsolvable=unsolvable, errors=errors)
        assert all(0 <= cut.span.start < cut.span.end <= len(text) for cut in cuts)
        assert all(a.span.end <= b.span.start for a, b in zip(cuts, cuts[1:], strict=False))
        if cuts:
            try:
                assert is_subsequence(cut_out(text, cuts), text)
            except Refused:
                pass
        whole = {
            cut.approach
            for cut in cuts
            if cut.approach is not None and cut.span == structure.approaches[cut.approach].span
        }
        labels = [approach.label for approach in structure.approaches]
        if redundancy != "keep_first" or "correct" in labels:
            assert whole != set(range(len(labels))), "an approach stays"
        assert "correct" not in labels or any(labels[i] == "correct" for i in range(len(labels)) if i not in whole)


def made(*approaches, repeats=()):
    """A structure of approaches of ten characters: label, cluster, and whether it settles or holds an error."""
    spans = [Span(10 * i, 10 * i + 10) for i in range(len(approaches))]
    labels = {"C": "correct", "I": "incorrect", "-": "incomplete", "s": "incomplete"}
    found = tuple(
        Approach(
            span,
            (span,),
            labels[text[0]],
            "",
            int(text[1]),
            settles=text[0] == "s",
            errors=(Span(span.start + 2, span.start + 5),) if "!" in text else (),
        )
        for text, span in zip(approaches, spans, strict=True)
    )
    return Structure((("exploration", Span(0, 10 * len(spans))),), found, repeats=repeats)


def cut_approaches(structure, **options):
    return [
        cut.approach
        for cut in simplify(structure, **options)
        if cut.approach is not None and cut.span == structure.approaches[cut.approach].span
    ]


@pytest.mark.parametrize(
    ("case", "approaches", "options", "gone"),
    [
        ("one a method stays", "C0 C1 C0 C1 C1", {}, [2, 3, 4]),
        ("from the back", "C0 C1 C0 C1 C1", {"redundancy": "delete_multi_1"}, [4]),
        ("two from the back", "C0 C1 C0 C1 C1", {"redundancy": "delete_multi_2"}, [3, 4]),
        ("nothing", "C0 C1 C0 C1 C1", {"redundancy": "none"}, []),
        ("correct repeats stay", "C0 I0 C0 -0 C0", {"redundancy": "delete_multi_incorrect_incomplete"}, [1, 3]),
        ("up to the first correct one", "I0 s1 C0 C2 I3", {"redundancy": "keep_first"}, [3, 4]),
        ("no correct one", "I0 s1 I2", {"redundancy": "keep_first"}, []),
        ("what is correct repeats nothing wrong", "I0 C0", {}, []),
        ("what settles repeats nothing open", "-0 s0 C1", {}, []),
        ("the conclusion follows no wrong turn", "C0 I1 C0", {}, []),
        ("the conclusion follows another correct one", "C0 I1 C2 C0", {}, [3]),
        ("the last of wrong ones stays", "I0 I1 I0", {}, []),
        ("the last of wrong ones goes after its like", "I1 I0 I0", {}, [2]),
        ("unsolvable", "-0 s1 C2 -3", {"unsolvable": True}, [0, 3]),
        ("the last stays where none is correct", "-0 s1 -2", {"unsolvable": True}, [0]),
        ("or what it repeats", "-0 -1 -1", {"unsolvable": True}, [0, 2]),
        ("wrong ones off the path", "I0 C1 I2 -3 -4!", {"errors": "delete_solution"}, [2, 4]),
        ("no path", "I0 I1 -2!", {"errors": "delete_all"}, []),
    ],
)  # fmt: skip
def test_variants_cut_what_they_say(case, approaches, options, gone):
    assert cut_approaches(made(*approaches.split()), **options) == gone


def test_erroneous_spans_go_on_the_main_path_and_in_correct_approaches_only():
    structure = made("I0!", "C1!", "C2!", "I3!")
    spans = [(cut.reason, cut.span.start, cut.span.end) for cut in simplify(structure, errors="delete_all")]
    assert spans == [("wrong span", 2, 5), ("wrong span", 12, 15), ("wrong span", 22, 25), ("wrong approach", 30, 40)]


structures = st.lists(
    st.tuples(st.sampled_from("CI-s"), st.integers(0, 3), st.sampled_from(("", "!"))), min_size=1, max_size=8
).map(lambda rows: made(*(f"{label}{cluster}{error}" for label, cluster, error in rows), repeats=(Span(6, 8),)))


@given(structures)
def test_variants_form_chains(structure):
    def gone(**options):
        return {place for cut in simplify(structure, **options) for place in range(cut.span.start, cut.span.end)}

    assert gone(redundancy="none") == set()
    one, two, every = (gone(redundancy=f"delete_multi_{name}") for name in ("1", "2", "all"))
    assert one <= two <= every
    assert gone(redundancy="delete_multi_incorrect_incomplete") <= every
    assert gone(errors="none") <= gone(errors="delete_solution") <= gone(errors="delete_all")
    assert gone() <= gone(unsolvable=True)


@pytest.mark.parametrize(
    ("text", "spans", "left"),
    [
        ("A. B. C.", [(3, 6)], "A. C."), ("A.\n\nB.\n\nC.", [(4, 8)], "A.\n\nC."), ("A.\n\nB.", [(4, 6)], "A."),
        ("A.\n\nB.", [(0, 4)], "B."), ("A. B.\n\nC.", [(3, 7)], "A. C."), ("A.\nB. C.", [(3, 6)], "A.\nC."),
    ],
)  # fmt: skip
def test_seams_keep_white_space_of_the_source(text, spans, left):
    cuts = [Cut(Span(*span), "redundant") for span in spans]
    assert cut_out(text, cuts) == left and is_subsequence(left, text)


@pytest.mark.parametrize(
    ("spans", "why"), [([(0, 5)], "nothing"), ([(0, 3), (2, 4)], "overlap"), ([(3, 9)], "overlap")]
)
def test_cuts_that_cannot_be_made_are_refused(spans, why):
    with pytest.raises(Refused, match=why):
        cut_out("A. B.", [Cut(Span(*span), "redundant") for span in spans])


@pytest.mark.parametrize(
    ("options", "why"), [({"min_ratio": 0.9}, "less than 0.9"), ({"max_ratio": 0.5}, "more than 0.5"), ({}, None)]
)
def test_a_refused_cut_leaves_the_original_and_is_told(options, why):
    written = WRITTEN["counting"]
    result, row = clean(written.thinking, written.problem, written.domain, **options)
    assert row["outcome"] == ("refused" if why else "cut")
    assert (result.thinking == written.thinking) == bool(why)
    assert row["cuts"] and row["cleaned"] == result.thinking
    assert not why or (row["why"].startswith(why) and row["reasons"] == {} and result.meta == {})


def test_an_answer_that_would_be_graded_otherwise_is_refused():
    written = WRITTEN["counting"]
    rows = []
    context = CleanContext({"written": written.domain}, {"written": written.problem}, len, audit=rows.append)
    wrongly = replace(trace_of(written.thinking, written.problem, written.domain), score=Score("wrong", "45", True))
    result = DLCoT().start(context)(wrongly)
    assert result == wrongly and rows[0]["why"] == "the answer would be graded correct"


def test_a_changed_trace_tells_what_was_cut():
    written = WRITTEN["redone"]
    result, row = clean(written.thinking, written.problem, written.domain)
    told = result.meta["dlcot"]
    assert told["cuts"] == row["reasons"] == {"redundant": 1}
    assert told["tokens_before"] == row["tokens_before"] == len(written.thinking.split())
    assert told["tokens_after"] == row["tokens_after"] == len(result.thinking.split())
    before = trace_of(written.thinking, written.problem, written.domain)
    assert replace(result, thinking=before.thinking, meta={}) == before


def test_a_wrong_role_in_the_end_makes_an_approach_incorrect():
    puzzle = make_puzzle(["Zoey", "Mia"], [("lying", 1), ("and", ("telling-truth", 0), ("telling-truth", 1))])
    thinking = (
        'Suppose Mia is a knight. Then Zoey is a knave.\n\nBut Mia says "Zoey is a knight and Mia is a '
        'knight", which is false. Contradiction.\n\nSo Mia is a knave. So Zoey is a knight.'
    )
    problem = kk_problem(puzzle)

    def labels(text):
        return [approach.label for approach in structure_of(text, problem, ENGLISH).approaches]

    assert labels(thinking) == ["incomplete", "correct"]
    assert labels(thinking.replace("So Zoey is a knight", "So Zoey is a knave")) == ["incomplete", "incorrect"]


@pytest.mark.parametrize(
    ("sentence", "opens"),
    [
        ("Alternatively, use symmetry.", "alternative"), ("Hmm, maybe there's another way.", "alternative"),
        ("Wait, maybe a better way: factor it.", "alternative"), ("Let me redo this.", "alternative"),
        ("As a second method, let me try the opposite.", "alternative"), ("Case 2: x < 0.", "case"),
        ("Suppose that Bob is a knave.", "suppose"), ("But what if we assume x > 0?", "suppose"),
        ("Wait, let me double-check that.", "verify"), ("Is that right?", "verify"),
        ("To verify, plug it in.", "verify"),
        ("Therefore, the final answer is 5.", "conclude"), ("**Final Answer**", "conclude"),
        ("Okay, so I need to find x.", "restate"), ("I know that knights tell the truth.", "plan"),
        ("So x = 5.", ""), ("Then we add 3.", ""), ("The next term is 7.", ""), ("Cases like this are easy.", ""),
        ("Assumed values do not matter.", ""), ("Another 5 apples make 7.", ""),
    ],
)  # fmt: skip
def test_sentences_open_what_their_words_say(sentence, opens):
    assert move(sentence.lower(), 0, len(sentence)) == opens


@pytest.mark.parametrize("closer", [*RECHECK_CLOSERS, "Yes, that's right.", "Good.", "Yes, so 12 is right.", "Okay."])
def test_affirmations_are_known(closer):
    assert affirms(closer.lower())


@pytest.mark.parametrize(
    "sentence", ["No, that was wrong.", "So x = 5.", "Right, so Bob is a knave.", "That's not right.", "Is that right?"]
)
def test_other_sentences_do_not_affirm(sentence):
    assert not affirms(sentence.lower())


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("17 * 3 = 41", ["17 * 3 = 41"]), ("17 * 3 = 51", []), ("2 + 3 * 4 = 14", []), ("5 - 7 = 2", ["5 - 7 = 2"]),
        ("x + 3 * 4 = 14", []), ("7 + 8 = 3 mod 12", []), ("0.1 + 0.2 = 0.3", []), ("2 + 2 = 5 - 1", []),
        ("so a = 12 + 4 = 18.", ["12 + 4 = 18"]), ("1,200 + 300 = 1,500", []), ("10^2 + 3 = 103", []),
        ("6 / 4 = 1", []),
    ],
)  # fmt: skip
def test_plain_sums_are_checked_and_nothing_else(text, wrong):
    assert [text[span.start : span.end] for span in false_sums(text, 0, len(text))] == wrong


@given(puzzles, st.integers(0, 999), st.sampled_from(("search", "cases")))
@settings(max_examples=25)
def test_hypotheses_of_the_solver_are_the_approaches(puzzle, seed, method):
    rng = random.Random(seed)
    steps = think(puzzle, rng, method=method)
    problem = kk_problem(puzzle)
    structure = structure_of(tell(puzzle, steps, rng), problem, ENGLISH)
    outermost = {
        ("assume", step.person, step.truthful) for step in steps if step.kind == "assume" and len(step.hypotheses) == 1
    }
    cases = [step for step in steps if step.kind == "case"]
    assumed = [a for a in structure.approaches if a.method.startswith("assumes")]
    assert len(assumed) == (len(cases) if method == "cases" else len(outermost))
    assert [a.label for a in structure.approaches].count("correct") == 1
    assert answer_english(puzzle) == problem.gold


def test_programs_are_answers_only_in_fences():
    graded = []

    class Programs(type(WRITTEN["redone"].domain)):
        def reference(self, problem):
            return f"```python\n{problem.gold}\n```"

        def grade(self, answer, problem):
            graded.append(answer)
            return Grade("correct" if "return a + b" in answer else "wrong", answer)

    thinking = (
        "First, I try to multiply, so the value is 6.\n\n```python\ndef f(a, b):\n    return a * b\n```\n\n"
        "Alternatively, I can just add.\n\n```python\ndef f(a, b):\n    return a + b\n```\n\nSo that is it."
    )
    problem = Problem("p", "written", "Add two numbers.", "def f(a, b):\n    return a + b")
    structure = structure_of(thinking, problem, Programs(name="written"))
    assert [approach.label for approach in structure.approaches] == ["incorrect", "correct"]
    assert all(answer.startswith("```") for answer in graded)


def test_a_grader_that_breaks_leaves_the_trace_and_is_told():
    written = WRITTEN["repeated"]

    class Broken(type(written.domain)):
        def grade(self, answer, problem):
            raise Unscorable("no")

    rows = []
    context = CleanContext({"written": Broken(name="written")}, {"written": written.problem}, len, audit=rows.append)
    before = trace_of(written.thinking, written.problem, written.domain)
    assert DLCoT().start(context)(before) == before
    assert (rows[0]["outcome"], rows[0]["why"]) == ("doubt", "the grader broke on an approach")


@pytest.mark.parametrize(
    ("thinking", "labels"),
    [(GUESSED, ["correct"]), (LISTED, ["correct"]), (ASKED, ["correct"])],
    ids=["a check derives what was guessed", "statements are listed", "a question supposes"],
)
def test_no_reasoning_is_taken_for_a_repetition_or_an_error(thinking, labels):
    problem = kk_problem(TWO)
    assert [approach.label for approach in structure_of(thinking, problem, ENGLISH).approaches] == labels
    for options in ({}, {"redundancy": "keep_first"}, {"redundancy": "none", "errors": "delete_all"}):
        result, row = clean(thinking, problem, ENGLISH, **options)
        assert (row["outcome"], result.thinking) == ("unchanged", thinking), options


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("That's 12 pairs, so 24.", "correct"),
        ("So 2x = 48 and x = 24. Let me check: 2*24 + 6 = 54. Correct.", "correct"),
        ("So x = 24, so x + 1 = 25. Wait, is it? So 25.", "correct"),
        ("First 8 * 3 = 24, and 24 + 6 = 30, so 30.", "incorrect"),
        ("The sum of the two is 30 and their difference is 6.", "incomplete"),
    ],
)
def test_an_answer_counts_where_it_is_concluded_though_a_check_may_follow(text, label):
    problem = Problem("p", "sums", "How many?", "24", {})
    assert label_text(text, problem, Sums(name="sums")) == label


FIRST_CHECK = """**Case 1: Zoey is a knight.**

Her statement "If Zoey is a knight then Riley is a knave" is true. Since Zoey is a knight, Riley must be a knave.

Now, let's check Riley's statement. Riley says, "Riley is a knight and Zoey is a knight." Since Riley is a knave, it \
must be false. It is false because Riley is a knave. This is consistent.

**Case 2: Zoey is a knave.**

Then "If Zoey is a knight then Riley is a knave" must be false. But its condition is false, so it is true. That is a \
contradiction.

So Zoey is a knight and Riley is a knave."""


def test_the_first_check_of_a_statement_under_an_assumption_is_no_repetition():
    statements = [("->", ("telling-truth", 0), ("lying", 1)), ("and", ("telling-truth", 1), ("telling-truth", 0))]
    problem = kk_problem(make_puzzle(["Zoey", "Riley"], statements))
    structure = structure_of(FIRST_CHECK, problem, ENGLISH)
    assert [(a.label, a.settles) for a in structure.approaches] == [("correct", False), ("incomplete", True)]
    assert clean(FIRST_CHECK, problem, ENGLISH)[0].thinking == FIRST_CHECK


def test_a_case_that_cannot_be_read_is_like_no_other():
    problem = kk_problem(make_puzzle(["Zoey", "Riley"], [("lying", 1), ("and", ("lying", 0), ("lying", 1))]))
    case = "suppose the {} statement is true. Then Zoey is a knave. That's a contradiction.\n\n"
    thinking = (
        f"First, {case.format('second')}Suppose Zoey is a knight. Then Riley is a knave.\n\n"
        f"Alternatively, {case.format('first')}So Zoey is a knight and Riley is a knave."
    )
    approaches = structure_of(thinking, problem, ENGLISH).approaches
    assert [approach.method for approach in approaches] == ["tries a case", "assumes Zoey is a knight", "tries a case"]
    assert [approach.cluster for approach in approaches] == [0, 1, 2]
    assert clean(thinking, problem, ENGLISH, unsolvable=True)[0].thinking == thinking


def test_a_second_look_that_begins_with_if_is_a_repetition_where_it_claims_nothing_new():
    puzzle = make_puzzle(["Zoey", "Riley"], [("lying", 1), ("and", ("lying", 0), ("lying", 1))])
    looks = (
        "Wait, let me double-check. If Zoey is a knight, Riley is a knave. Riley says both are knaves, and that is "
        "false. Yes."
    )
    thinking = (
        "Suppose Zoey is a knave. Then Riley is a knight. But Riley says both are knaves. That's a contradiction. So "
        f"Zoey is a knight.\n\nSo Riley is a knave, as Zoey says.\n\n{looks}\n\nLet me check Riley's words too: Riley "
        "is a knave and says that both are knaves, which is false.\n\nSo Zoey is a knight and Riley is a knave."
    )
    result, row = clean(thinking, kk_problem(puzzle), ENGLISH)
    assert row["reasons"] == {"redundant": 1} and result.thinking == thinking.replace(f"{looks}\n\n", "")


def test_what_the_rest_speaks_of_does_not_go():
    puzzle = make_puzzle(["Zoey", "Riley"], [("lying", 1), ("and", ("lying", 0), ("lying", 1))])
    problem = kk_problem(puzzle)
    again = "suppose Riley is a knight. Then both are knaves. That's a contradiction. So Riley is a knave.\n\n"
    start = f"First, {again}Alternatively, {again}Then Zoey's statement is true, so Zoey is a knight."
    _, row = clean(f"{start}\n\nBoth ways are fine. So Zoey is a knight and Riley is a knave.", problem, ENGLISH)
    assert (row["outcome"], row["why"]) == ("refused", "the rest speaks of what would go")
    told, row = clean(f"{start}\n\nSo Zoey is a knight and Riley is a knave.", problem, ENGLISH)
    assert row["outcome"] == "cut" and "Alternatively" not in told.thinking
