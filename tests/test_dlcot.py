"""DLCoT by rules: chains of thought are taken apart into a partition, and what is cut is needless and nothing more."""

import random
from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dlcot_traces import (
    ASKED,
    DOUBTED,
    GUESSED,
    ISLAND,
    LISTED,
    NO_REPETITIONS,
    PLAIN,
    THREE,
    TWO,
    WRITTEN,
    kk_problem,
)  # fmt: skip
from tests.subsequence import is_subsequence
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import Unscorable
from warmup_rl.base.types import Grade, Problem, Request, Score, Trace
from warmup_rl.cleaners.dlcot import DLCoT, noticed
from warmup_rl.dlcot.cut import (
    Refused,
    coherent,
    cut_out,
    require_derivation,
    require_repeats,
    require_stated,
)
from warmup_rl.dlcot.labels import label_text
from warmup_rl.dlcot.markers import affirms, move
from warmup_rl.dlcot.passages import read_passages
from warmup_rl.dlcot.prose import Rules, read_prose
from warmup_rl.dlcot.repeats import doubt_before
from warmup_rl.dlcot.structure import Ambiguous, Approach, Cut, Part, Span, Structure
from warmup_rl.dlcot.variants import Errors, Redundancy, simplify
from warmup_rl.domains.kk import KnightsKnaves
from warmup_rl.engines.solver import Solver
from warmup_rl.interfaces.cleaner import CleanContext
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.knights.chain import terse_chain
from warmup_rl.knights.english import NAMES, ROLES
from warmup_rl.knights.grammar import Grammar, draw_puzzle, make_puzzle
from warmup_rl.knights.reasoning import CLEAN, Noise
from warmup_rl.knights.story import DOUBT_OPENERS, RECHECK_CLOSERS, RECHECK_OPENERS
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
    assert approaches[-1].repaired == written.repaired
    assert not structure.sure


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


def test_opposite_cases_and_first_checks_of_statements_stay():
    result, row = clean(ISLAND, kk_problem(THREE), ENGLISH)
    assert (row["outcome"], result.thinking) == ("unchanged", ISLAND)


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
def test_english_solver_traces_lose_most_needless_rechecks_and_nothing_else(noise):
    domain = KnightsKnaves(name="kk", people=(2, 5), roles="all", deeper=0.2)
    needless = left = 0
    for problem, thinking in solver_traces(domain, Solver(**noise), 60):
        result, row = clean(thinking, problem, domain)
        paragraphs, kept = thinking.split("\n\n"), result.thinking.split("\n\n")
        assert row["outcome"] in ("cut", "unchanged")
        assert without_rechecks(kept) == without_rechecks(paragraphs), "paragraphs go as a whole"
        needless += len(paragraphs) - len(without_rechecks(paragraphs))
        left += len(kept) - len(without_rechecks(kept))
        assert clean(result.thinking, problem, domain)[0].thinking == result.thinking
    assert left <= 0.15 * needless


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


def test_programs_are_labelled_as_the_domain_finds_them():
    class Programs(type(WRITTEN["redone"].domain)):
        def reference(self, problem):
            return f"```python\n{problem.gold}\n```"

        def final_answer(self, text, problem):
            return text

        def grade(self, answer, problem):
            return Grade("correct" if "return a + b" in answer else "wrong", answer)

    thinking = (
        "First, I try to multiply, so the value is 6.\n\n```python\ndef f(a, b):\n    return a * b\n```\n\n"
        "Alternatively, I can just add.\n\n```python\ndef f(a, b):\n    return a + b\n```\n\nSo that is it."
    )
    problem = Problem("p", "written", "Add two numbers.", "def f(a, b):\n    return a + b")
    structure = structure_of(thinking, problem, Programs(name="written"))
    assert [approach.label for approach in structure.approaches] == ["incomplete", "correct"]


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


@pytest.mark.parametrize("thinking", [GUESSED, LISTED, ASKED], ids=["a guess checked", "a list", "a question"])
def test_no_reasoning_is_taken_for_a_repetition_or_an_error(thinking):
    for options in ({}, {"redundancy": "keep_first"}, {"redundancy": "none", "errors": "delete_all"}):
        result, row = clean(thinking, kk_problem(TWO), ENGLISH, **options)
        assert (row["outcome"], result.thinking) == ("unchanged", thinking), options


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("That's 12 pairs, so 24.", "correct"),
        ("So 2x = 48 and x = 24. Let me check: 2*24 + 6 = 54. Correct.", "correct"),
        ("The ratio is 48 / 2, which simplifies to 24.", "correct"),
        ("That would be \\( 24 \\).", "correct"),
        ("So the answer is 24 again.", "correct"),
        ("Altogether there are six more, totaling 24.", "correct"),
        ("First 8 * 3 = 24, and 24 + 6 = 30, so the answer is 30.", "incorrect"),
        ("First 8 * 3 = 24, and 24 + 6 = 30, so 30.", "incomplete"),
        ("The sum of the two is 30 and their difference is 6.", "incomplete"),
        ("So I get 30. The function says the answer is 24. My reasoning is wrong.", "incomplete"),
        ('So I get 30. It has a line "The answer is 24." I doubt that.', "incomplete"),
        ("The key says 24.", "incomplete"),
        ("The key says \\boxed{24}.", "incomplete"),
        ("The key says that x is 3, so the answer is 24.", "correct"),
        ("This tells us that the answer is 24.", "correct"),
        ("That makes 30. Therefore, the answer is 30 hours.", "incorrect"),
        ("Adding them, I get 30.\n\n**Final Answer**\n\\boxed{30}", "incorrect"),
        ("So the answer is \\boxed{30}.", "incorrect"),
        ("The answer is 30? No. So 24 hours in all.", "incomplete"),
        ("The answer is in minutes, which is 24 minutes.", "incomplete"),
        ("Eight times three = $24 in sum. So the answer is 30.", "incomplete"),
        ("So the answer is in a box.", "incomplete"),
        ("The answer is a fraction.", "incomplete"),
        ("If the answer is 30, then six are left.", "incomplete"),
        ("If the answer is 24, then six are left.", "incomplete"),
        ("If both are counted, the answer is 30.", "incomplete"),
        ("So the answer is 30 if both are counted.", "incomplete"),
        ("So maybe the answer is 30.", "incomplete"),
        ("So the answer is 30?", "incomplete"),
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
    assert clean(FIRST_CHECK, problem, ENGLISH)[0].thinking == FIRST_CHECK


RECOUNT = """How often does the digit 4 occur from 1 to 50? In the ones place: 4, 14, 24, 34, 44, which makes 5. In \
the tens place: 40 to 49, which makes 10. So there are 5 + 10 = 15.

Hmm, that seems a lot. Let me recount the fours:

- Ones place: 4, 14, 24, 34, 44, which makes 5. Correct.

- Tens place: 40 to 49, which makes 10. Correct.

Total: 5 + 10 = 15.

So the answer is 15."""


def test_a_recount_goes_with_its_doubt_and_its_whole_list():
    problem = Problem("p", "written", "How often does the digit 4 occur from 1 to 50?", "15")
    result, row = clean(RECOUNT, problem, Sums(name="written"))
    assert row["reasons"] == {"redundant": 1}
    assert result.thinking == f"{RECOUNT[: RECOUNT.index('Hmm')].strip()}\n\nSo the answer is 15."


@pytest.mark.parametrize(
    ("doubt", "goes"), [("Hmm, that seems a lot. ", True), ("Wait, I forgot the 4, so it is 15. ", False)]
)
def test_a_doubt_that_states_something_stays(doubt, goes):
    text = f"That makes 15. {doubt}"
    assert doubt_before(text, len(text)) == len(text) - goes * len(doubt)


HALF_CHECKED = """The front and back walls have 2 * 12 * 4 = 96, the side walls 2 * 5 * 4 = 40. So the paint covers \
96 + 40 = 136.

Wait, let me check the walls again. The front and back walls have 2 * 12 * 4 = 96. Yes. Correct.

For the side walls: each is 5 by 4, so 20, and 20 + 20 = 40. Correct. So 96 + 40 = 136.

So the answer is 136."""


def test_a_check_that_goes_on_in_the_next_paragraph_stays():
    problem = Problem("p", "written", "A room is 12 long, 5 wide and 4 high. How large are its walls?", "136")
    for check in (HALF_CHECKED, HALF_CHECKED.replace("For the side walls:", "Given the height of the side walls,")):
        assert clean(check, problem, Sums(name="written"))[0].thinking == check
    checked = HALF_CHECKED[: HALF_CHECKED.index("For the side walls")] + "So the answer is 136."
    assert "Wait" not in clean(checked, problem, Sums(name="written"))[0].thinking


BEFORE, GONE, AFTER = "We have 3 + 4 = 7. ", "Again, 3 + 4 = 7. ", "So the answer is 7."
OPEN, LEANS, OTHER, ADDS = (
    "the sentence before it leaves something open", "the sentence after it leans on it", "it ends in something else",
    "it adds to what stands before it",
)  # fmt: skip
SEAMS = {
    "coherent": ("", BEFORE, GONE, AFTER),
    "nothing before": ("nothing would stand before it", "", GONE, AFTER),
    "nothing after": ("nothing would stand after it", BEFORE, GONE, ""),
    "a colon": (OPEN, "We have 3 + 4 = 7. This is: ", GONE, AFTER),
    "an empty heading": (OPEN, f"{BEFORE}\n\n## The sum\n\n", GONE, AFTER),
    "an announcement": (OPEN, f"{BEFORE}Let me add them again. ", GONE, AFTER),
    "an open doubt": (OPEN, f"{BEFORE}I may have made a mistake. ", GONE, AFTER),
    "the second item of a list": (ADDS, f"{BEFORE}\n\n1. Take 3 and 4.\n", "2. So 3 + 4 = 7.\n", AFTER),
    "the first item of a list": (LEANS, f"{BEFORE}\n\n1. ", "3 + 4 = 7. ", "2. So the answer is 7."),
    "what points back": (LEANS, BEFORE, "Again, 3 + 4 = 7. ", "The same holds for 7."),
    "a symbol used after it": (LEANS, BEFORE, "Let k = 3 + 4 = 7. ", "The answer is k."),
    "a symbol used later": (
        "a value or symbol of it is used after it", BEFORE, "Let k = 3 + 4 = 7. ", f"{AFTER} That is k.",
    ),
    "a noun": (LEANS, BEFORE, "By an approximation, 3 + 4 = 7. ", "With our approximation, it is 7."),
    "a noun later": (
        "a word after it points back", BEFORE, "By an approximation, 3 + 4 = 7. ", f"{AFTER} Our approximation fits.",
    ),
    "something new": ("it says something new", BEFORE, "And 35 * 12 = 420, 420 / 20 = 21. ", AFTER),
    "what speaks of both": (LEANS, BEFORE, GONE, "So it is 7, both ways agree."),
    "what speaks of both later": ("what remains speaks of it", BEFORE, GONE, "So it is 7. Both ways agree."),
    "another result": (OTHER, f"{BEFORE}It is 4 more than 3. ", GONE, AFTER),
    "an end that is open": (OTHER, BEFORE, "Again, 3 + 4 = 7, but not 4. ", AFTER),
    "words of a few": ("it says something new", BEFORE, "Apples, pears, plums and cherries make 7. ", AFTER),
}  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (f"{BEFORE}But 7 is not among the options. ", AFTER, OPEN),
        (f"{BEFORE}Or 2 * 4 less 1, but that isn't simpler. ", AFTER, OPEN),
        (f"{BEFORE}So the answer is 8. ", AFTER, OTHER),
        (BEFORE, f"But the options do not have it. {AFTER}", LEANS),
        (BEFORE, f"Let me think which of them is meant. {AFTER}", LEANS),
        (BEFORE, f"So, these numbers are right. {AFTER}", LEANS),
        (BEFORE, f"What about the 3? {AFTER}", LEANS),
    ],
)
def test_objections_and_choices_need_what_stands_beside_them(before, after, why):
    cut = Cut(Span(len(before), len(before + GONE)), "redundant")
    assert coherent(before + GONE + after, (cut,), "What is 3 + 4?") == ((), [(cut.span, why)])


@pytest.mark.parametrize(
    ("between", "gone", "after", "why"),
    [
        ("", GONE, "Alternatively, maybe there is a pattern. ", ""),
        ("It is a prime. It is small. We are through. ", GONE, "Alternatively, go on from 4. ", ""),
        ("", GONE, "Alternatively, count from 4 to 7. ", LEANS),
        ("", GONE, "Wait, but when I count from 4, it is 7, too. ", LEANS),
        ("", GONE, "Wait, so the right one is that. ", LEANS),
        ("", GONE, "Wait, but let me try another way. ", ""),
        ("", "Maybe 3 + 4 = 7. ", "Alternatively, maybe there is a pattern. ", LEANS),
        ("The first way is through. ", "The second way: 3 + 4 = 7. ", "", ADDS),
    ],
)  # fmt: skip
def test_what_belongs_to_a_neighbour_keeps_it(between, gone, after, why):
    before = BEFORE + between
    cut = Cut(Span(len(before), len(before + gone)), "redundant")
    made, left = coherent(before + gone + after + AFTER, (cut,), "What is 3 + 4, the second way?")
    assert made == (() if why else (cut,)) and [reason for _, reason in left] == [why][: bool(why)]


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ("Tuesday: 4. So the answer is 7.", LEANS),
        ("Second method: 4 + 3. So it is 7.", LEANS),
        ("Thus the answer: 7.", ""),
    ],
)
def test_a_list_of_named_parts_is_cut_as_a_whole(after, why):
    gone, question = "Monday: 3 + 4 = 7.\n", "What is 3 + 4, on Monday?"
    cut = Cut(Span(len(BEFORE) + 1, len(BEFORE) + 1 + len(gone)), "redundant")
    made, left = coherent(f"{BEFORE}\n{gone}{after}", (cut,), question)
    assert made == (() if why else (cut,)) and [reason for _, reason in left] == [why][: bool(why)]


@pytest.mark.parametrize(("why", *"bga"), SEAMS.values(), ids=SEAMS)
def test_a_cut_that_breaks_the_text_is_left_alone(why, b, g, a):
    pieces, start, end = (b, g, a), len(b), len(b + g)
    cuts = (Cut(Span(start, end), "redundant"),)
    made, left = coherent("".join(pieces), cuts, "What is 3 + 4?")
    assert made == (() if why else cuts) and [reason for _, reason in left] == [why][: bool(why)]


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ("12 * 3 = 36. So the answer is 36.", None),
        ("12 * 3 = 36. So the answer is 12.", "another"),
        ("12 * 3 = 36.\n\nNow we have it.", None),
        ("It is some number. So the answer is 36.", "not be derived"),
    ],
)
def test_the_last_answer_of_what_remains_is_as_right_as_before_and_derived(after, why):
    problem, domain = Problem("p", "written", "What is three times twelve?", "36"), Sums(name="written")
    before = "12 * 3 = 36. So it is 36. So the answer is 36."
    if why is None:
        require_derivation(before, after, problem, domain)
    else:
        with pytest.raises(Refused, match=why):
            require_derivation(before, after, problem, domain)


@pytest.mark.parametrize(
    ("before", "verdict", "why"),
    [
        ("12 * 3 = 36. So the answer is 36.\n\n", "correct", None),
        ("12 * 3 = 36. Now what was asked for? Let me look at the question. It has two parts.", "correct", "no answer"),
        ("12 * 3 = 35. So the answer is 35.", "correct", "no answer"),
        ("12 * 3 = 35. So the answer is 35.", "wrong", None),
    ],
)
def test_a_verification_goes_only_where_the_answer_stands_before_it(before, verdict, why):
    problem, domain = Problem("p", "written", "What is three times twelve?", "36"), Sums(name="written")
    trace = Trace("p", "written", (), before, "36", Score(verdict, "36", True), "m", 0)
    if why is None:
        require_stated(before, trace, problem, domain)
    else:
        with pytest.raises(Refused, match=why):
            require_stated(before, trace, problem, domain)


@pytest.mark.parametrize(("question", "thinking"), NO_REPETITIONS.values(), ids=NO_REPETITIONS)
def test_values_that_recur_are_no_repetition_by_themselves(question, thinking):
    read = read_prose(thinking, Problem("p", "sums", question, "C"), Sums(name="sums"))
    assert not read.repeats and [approach.cluster for approach in read.approaches] == [*range(len(read.approaches))]


@pytest.mark.parametrize(
    ("before", "check"),
    [
        (
            "Let me try n = 3 first: 9 - 9 = 0, so 3 is a root.",
            "Let me check n = 5: 25 - 9 = 16. No. So only 3 is a root.",
        ),
        ("So 3 is a root.", "Let me check n = 3: the left side is 9, the right side is 9."),
        ("There are 12 squares in all.", "But it asks for sizes. Let me verify: three sizes, so the answer is 12."),
        ("Now I put 4 + 5 into it.", "To verify, 4 + 5 = 9."),
    ],
    ids=["another candidate", "another end", "no check", "the last step"],
)
def test_a_verification_that_is_more_than_a_check_is_kept(before, check):
    text = f"{BEFORE}{before}\n\n{check}"
    start = len(text) - len(check)
    made, left = coherent(text, (Cut(Span(start, len(text)), "verification"),), "Which n solve n^2 - 9 = 0?")
    assert not made and left


@pytest.mark.parametrize(
    ("check", "why"), [("Let me check: 3 + 4 = 7.", ""), ("Let me check: 3 + 5 = 8, which doesn't match.", "corrects")]
)
def test_a_verification_that_fails_is_kept(check, why):
    text = f"{BEFORE}So the answer is 7.\n\n{check}\n\nThe answer is 7."
    start = text.index("Let me")
    made, left = coherent(text, (Cut(Span(start, start + len(check)), "verification"),), "What is 3 + 4?")
    assert bool(made) == (not why) and all(why in reason for _, reason in left)


def test_a_text_of_numbers_with_some_words_is_read():
    numbers = "\n\n".join(f"So we get {n} 0 1 1 0 1 0 0 1 1 0 1 0 1 0 = {n + 1} 1 1 0." for n in range(9))
    assert read_passages(numbers)


def test_what_only_repeats_cannot_take_most_values_along():
    with pytest.raises(Refused, match="most values"):
        require_repeats("12 + 13 = 25, 25 + 17 = 42, so 42.", "so 42.", "Add them.")


def test_verification_is_dropped_and_all_after_the_first_right_answer_goes():
    first, second = made("C0", "C1").approaches
    structure = Structure(
        (("exploration", Span(0, 20)), ("verification", Span(20, 30))), (first, second), (Span(20, 30),)
    )

    def gone(**options):
        return [(cut.reason, cut.span.start, cut.span.end) for cut in simplify(structure, **options)]

    assert gone(redundancy="none", verification="drop") == [("verification", 20, 30)]
    assert gone(redundancy="earliest_correct") == [("after the answer", 10, 20), ("after the answer", 20, 30)]
    assert gone() == []


def test_labels_that_are_not_sure_cut_nothing():
    structure = made("-0", "C1", "I2!")
    assert simplify(replace(structure, sure=False), unsolvable=True, errors="delete_all") == ()
    assert simplify(structure, unsolvable=True, errors="delete_all") != ()


def test_loops_and_marks_of_chat_templates_are_noticed():
    assert noticed("We add. " + "So it is 5 and that is all there is to say of it. " * 30) == ["ends in a loop"]
    assert noticed("So it is 5.<|im_end|> <|im_start|>user") == ["holds <|im_end|>"]
    for mark in ("<|assistant|>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<|start-of-role|>", "<|/think|>"):
        assert noticed(f"So it is 5.{mark}And on.") == [f"holds {mark}"]
    assert noticed("If a <|b| then so, and a <| b |> c.") == []


def test_a_text_of_many_approaches_is_left_alone_at_once():
    text = "We need it.\n\n" + "\n\n".join(f"Alternatively, the {n} is what we look for." for n in range(2_000))
    assert clean(text, SUM, WRITTEN["redone"].domain)[1]["why"] == "more than 500 approaches"
