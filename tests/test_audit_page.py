"""The audit page: its data are the rows, its figures count all of them, and no text of a trace can leave its place."""

import base64
import gzip
import json
import random
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.browser import CHROMIUM, rendered
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.base.types import Problem, Score, Trace
from warmup_rl.dlcot import audit
from warmup_rl.dlcot.audit import audit_row, write_page
from warmup_rl.dlcot.cut import cut_out
from warmup_rl.dlcot.structure import Approach, Cut, Span, Structure

NASTY = (
    "</script><img src=x onerror=\"document.title='taken'\"><!-- <script> ]]> {{ 7*7 }} {% raw %} & &lt; \\u003c ' \"",
    "\x00\x1b[31m\u202eright to left\u2066 \u05d0\u05d1 \ufeff\u2028\u2029",
    "🙂" * 30 + "é中\U0010ffff",
    "half a pair \ud83d here",
)
PARTS = ("Who? ", "Try A. It holds. ", "Try B. No answer. ", "Try A again. 2+2=5. It holds. ", "Check it. ", "So A.")


def row(number=1, thinking_of=lambda part: part, outcome="cut", why="", dropped=None, question="Who is it?"):
    """A trace of six parts, three of them approaches: the second is unsolvable, the third repeats the first."""
    texts = [thinking_of(part) for part in PARTS]
    ends = [sum(map(len, texts[: i + 1])) for i in range(len(texts))]
    spans = [Span(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    asked, first, second, third, check, said = spans
    approaches = (
        Approach(first, (first,), "correct", "assumes A", 0),
        Approach(second, (second,), "incomplete", "assumes B", 1),
        Approach(third, (Span(third.start, third.start + 5), Span(third.start + 5, third.end)), "correct", "assumes A",
                 0, (Span(third.start + 2, third.end),), 1),
    )  # fmt: skip
    parts = (("restatement", asked), ("exploration", Span(first.start, third.end)), ("verification", check),
             ("conclusion", said))  # fmt: skip
    cuts = (Cut(second, "unsolvable", 1), Cut(third, "redundant", 2, 0))
    thinking = "".join(texts)
    is_cut, is_read = outcome == "cut", outcome != "doubt"
    trace = Trace(f"p{number}", "kk", (), thinking, "A", Score("correct", "A", True), "solver")
    found = audit_row(
        trace, Problem(f"p{number}", "kk", question, "A"), outcome=outcome, why=why,
        structure=Structure(parts, approaches, (check,)) if is_read else None,
        cuts=cuts if outcome in ("cut", "refused") else (),
        left=[(asked, "a list goes on after it")], notes=["ends in a loop"],
        cleaned=cut_out(thinking, cuts) if is_cut else thinking, tokens=(100, 60 if is_cut else 100),
    )  # fmt: skip
    status = {"dropped": dropped, "verdict_before": "correct", "verdict_after": None if dropped else "correct"}
    return {**found, "trace": number, "teacher": "solver", **status}


def summary(rows, dropped=None):
    """What the clean stage would say of these rows, and of traces dropped before them, of 10 tokens each."""
    kept = [row for row in rows if row["dropped"] is None]
    early, late = Counter(dropped or {}), Counter(row["dropped"] for row in rows if row["dropped"])
    before = sum(row["tokens_before"] for row in rows) + 10 * early.total()
    gone = 10 * early.total() + sum(row["tokens_before"] for row in rows if row["dropped"])
    return {
        "read": len(rows) + early.total(), "kept": len(kept), "dropped": dict(early + late),
        "changed": sum(row["outcome"] == "cut" for row in kept), "tokens_before": before, "tokens_dropped": gone,
        "tokens_after": sum(row["tokens_after"] for row in kept),
    }  # fmt: skip


class Read(HTMLParser):
    """Tags, the JSON of script elements, and the text outside scripts and styles."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.rows, self.text, self.addresses, self._in = [], [], "", [], None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._in = (tag, dict(attrs)) if tag in ("script", "style") else self._in
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]

    def handle_endtag(self, tag):
        self._in = None

    def handle_data(self, data):
        if self._in is None:
            self.text += f" {' '.join(data.split())}"
        elif self._in[1].get("id") == "rows":
            lines = gzip.decompress(base64.b64decode(data)).decode().split("\n")
            self.rows = [json.loads(line) for line in lines if line]


def shown(rows):
    """What the page holds of rows."""
    return [{name: value for name, value in row.items() if name != "cleaned"} for row in rows]


def write(folder, rows, **more):
    folder.mkdir(exist_ok=True, parents=True)
    write_jsonl(folder / "audit.jsonl", rows)
    write_page(folder / "audit.html", folder / "audit.jsonl", summary(rows, more.pop("dropped", None)),
               title=more.pop("title", "DLCoT audit"), **more)  # fmt: skip
    return (folder / "audit.html").read_text(encoding="utf-8")


def mixed():
    return [row(1), row(2, outcome="unchanged"), row(3, outcome="doubt", why="no approach"), row(4, dropped="too long"),
            row(5, outcome="refused", why="the answer would be graded wrong")]  # fmt: skip


def test_embedded_data_are_the_rows_and_other_cleaners_stay_out(tmp_path):
    html = write(tmp_path, [*mixed()])
    assert Read(html).rows == shown(mixed())
    others = [{"cleaner": "echo", "trace": 1}, *mixed()]
    write_jsonl(tmp_path / "audit.jsonl", others)
    write_page(tmp_path / "audit.html", tmp_path / "audit.jsonl", summary(mixed()), title="DLCoT audit")
    assert (tmp_path / "audit.html").read_text(encoding="utf-8") == html


def test_figures_count_everything(tmp_path):
    text = Read(write(tmp_path, mixed(), dropped={"answer wrong": 4, "duplicate": 1}, unit="words")).text
    for said in (
        "Traces kept 4 of 10; 1 changed", "Words of kept traces −10.0% 400 → 360",
        "Approaches kept 8 of 12; 2 merged, 2 cut",
        "Changes checked 2 of 3 what is left of the thinking still derives its last answer, which is as right as "
        "before; 5 cuts were left alone", "Left alone: 5 a list goes on after it", "Noticed: 5 ends in a loop",
        "cut 2 (20.0%)", "dropped before 5 (50.0%)",
        "dropped traces 150 (27.3%)", "Dropped: 4 answer wrong, 1 duplicate, 1 too long", "In doubt: 1 no approach",
        "Refused: 1 the answer would be graded wrong", "Repaired: 4 traces",
    ):  # fmt: skip
        assert said in text, said


def test_cut_tokens_are_shared_out_over_reasons_by_characters(tmp_path):
    found = Read(write(tmp_path, [row()])).text
    unsolvable, redundant = len(PARTS[2]), len(PARTS[3])
    for reason, share in (("unsolvable", unsolvable), ("redundant", redundant)):
        assert f"{reason} {round(40 * share / (unsolvable + redundant))} " in found


@pytest.mark.parametrize("nasty", NASTY, ids=["markup", "control and bidi", "beyond the first plane", "half a pair"])
def test_no_text_leaves_its_place(tmp_path, nasty):
    plain, odd = write(tmp_path / "a", [row()]), [row(1, lambda part: part + nasty, question=nasty)]
    html = write(tmp_path / "b", odd, title=nasty if nasty.isprintable() else "x")
    assert Read(html).rows == shown(odd) and Read(html).tags == Read(plain).tags


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=80))
def test_any_text_comes_through(tmp_path_factory, text):
    rows = [row(1, lambda part: part + text, question=text)]
    assert Read(write(tmp_path_factory.mktemp("page"), rows)).rows == shown(rows)


def test_a_page_asks_for_nothing_from_outside(tmp_path):
    read = Read(html := write(tmp_path, mixed()))
    assert read.addresses == ["data:,"] and "default-src 'none'" in html
    assert not {"iframe", "object", "embed", "base", "img"} & set(read.tags)
    assert "http://" not in html and "https://" not in html and "@import" not in html and "url(" not in html


def test_more_traces_than_fit_are_sampled_evenly_and_counted_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "MAX_TRACES", 50)
    rows = [row(n, outcome="doubt", why="rare") if n % 100 == 0 else row(n) for n in range(1, 401)]
    read = Read(write(tmp_path, rows))
    shown = [found["trace"] for found in read.rows]
    assert len(shown) == 50 and shown == sorted(shown) and {100, 200, 300, 400} <= set(shown)
    assert max(b - a for a, b in zip(shown, shown[1:], strict=False)) <= 10
    assert "The list below shows 50 of 400" in read.text and "Traces kept 400 of 400; 396 changed" in read.text


def test_long_traces_are_sampled_by_their_size(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "MAX_BYTES", 3_000_000)
    html = write(tmp_path, [row(n, lambda part: part + "x" * 170_000) for n in range(1, 5)])
    assert len(html) < 4_000_000 and 1 <= len(Read(html).rows) < 4


def test_an_audit_without_rows_makes_a_page_too(tmp_path):
    assert "Traces kept 0 of 2" in Read(write(tmp_path, [], dropped={"answer wrong": 2})).text


def test_the_same_audit_makes_the_same_page(tmp_path):
    assert write(tmp_path / "a", mixed()) == write(tmp_path / "b", mixed())


def test_every_row_of_the_page_is_a_row_of_the_file(tmp_path):
    html = write(tmp_path, mixed())
    assert Read(html).rows == shown(read_jsonl(tmp_path / "audit.jsonl"))


def test_a_thousand_traces_of_two_thousand_words_make_a_page_of_a_few_megabytes(tmp_path):
    rng = random.Random(0)
    known = [f"{rng.choice('bcdfgklmnprst')}{rng.choice('aeiou')}{rng.randrange(10**4)}" for _ in range(3_000)]
    rows = [row(n, lambda part: part + " ".join(rng.choices(known, k=365))) for n in range(1, 101)]
    assert sum(len(one["thinking"].split()) for one in rows) > 200_000
    assert len(write(tmp_path, rows)) < 1_200_000


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to run the page's script")
def test_a_browser_strikes_out_what_was_cut_and_nothing_else(tmp_path):
    odd = row(7, lambda part: part + NASTY[0] + "🙂", question=NASTY[0])
    write(tmp_path, [row(3), odd])
    html = rendered(tmp_path / "audit.html", "#7")
    article = html[html.index("<article") : html.index("</article>")]
    gone = _marked(article)
    assert "".join(gone).replace(" ", "") == "".join(
        odd["thinking"][cut["start"] : cut["end"]] for cut in odd["cuts"]
    ).replace(" ", "")
    assert "<title>DLCoT audit</title>" in html and "<img" not in article and "merged into 1" in article


def _marked(article):
    """Texts of the spans that are struck out."""

    class Spans(HTMLParser):
        def __init__(self):
            super().__init__(convert_charrefs=True)
            self.found, self.open = [], False

        def handle_starttag(self, tag, attrs):
            self.open = tag == "span" and "gone" in (dict(attrs).get("class") or "").split()
            if self.open:
                self.found.append("")

        def handle_endtag(self, tag):
            self.open = False

        def handle_data(self, data):
            if self.open:
                self.found[-1] += data

    spans = Spans()
    spans.feed(article)
    return spans.found
