"""The HTML report: one file that asks for nothing, in which no text of a model can act, and whose filters work."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, rendered
from tests.synthetic_run import base_trial, edit_json, flat, pair, warmup_trial, write_run
from warmup_rl.base.jsonl import read_jsonl, write_jsonl
from warmup_rl.report import page
from warmup_rl.report.beside import beside
from warmup_rl.report.main import report

NASTY = (
    "</script><img src=x onerror=\"document.title='taken'\"><script>alert(1)</script> [a](javascript:b) "
    "\u202egnp \x1b[31m"
)
LIMIT = 5_000_000
PROBE = """
const found = { errors: [] };
addEventListener("error", (event) => found.errors.push(event.message));
const pick = (id, value) => { $(id).value = value; $(id).dispatchEvent(new Event("change")); };
const search = (text) => { $("search").value = text; list(); return $("count").textContent; };
const texts = (selector) => [...document.querySelectorAll(selector)].map((one) => one.textContent);
ready.catch((error) => found.errors.push(String(error))).then(() => {
  found.first = texts("#list .top .meta");
  pick("change", "lost");
  found.lost = [...new Set(shown.map((one) => one.change))];
  pick("domain", "registers");
  found.registers = shown.length;
  pick("change", "");
  pick("domain", "");
  found.none = search("no such words");
  found.all = search("ALERT(1)");
  found.sides = texts(".side h4");
  found.marks = texts("mark").length;
  found.images = texts("img").length;
  found.title = document.title;
  found.requests = performance.getEntriesByType("resource").length;
  document.body.replaceChildren(make("output", "", JSON.stringify(found)));
});
"""


class Read(HTMLParser):
    """Tags, addresses and embedded completions of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags, self.addresses, self.rows, self._rows = [], [], [], False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self._rows = ("id", "rows") in attrs
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "srcset", "xlink:href")]

    def handle_data(self, data: str) -> None:
        if self._rows and data.strip():
            self.rows = [json.loads(line) for line in gzip.decompress(base64.b64decode(data)).splitlines()]
        self._rows = False


def saying(folder: Path, text: str) -> Path:
    """A run whose completions and questions all say the same."""
    for path in folder.parent.glob("cache/evaluate-*/completions.jsonl"):
        write_jsonl(path, [{**row, "text": text, "question": text, "gold": text} for row in read_jsonl(path)])
    return folder


def written(folder: Path) -> str:
    return (report(folder).parent / "report.html").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plots have tests of their own."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, path, **options: None)


def test_no_text_of_a_model_leaves_its_place(tmp_path: Path) -> None:
    plain = written(saying(write_run(tmp_path / "a", pair(1)), "plain"))
    html = written(saying(write_run(tmp_path / "b", pair(1)), NASTY))
    assert Read(html).tags == Read(plain).tags
    assert "\u202e" not in html and "\x1b" not in html and "javascript:b" not in str(Read(html).addresses)
    asked = {row["q"] for row in Read(html).rows}
    assert len(asked) == 1 and asked.pop().endswith("\\u202egnp \\x1b[31m")


def test_a_page_asks_for_nothing_from_outside(tmp_path: Path) -> None:
    html = written(write_run(tmp_path, pair(1)))
    read = Read(html)
    assert all(address.startswith(("#", "data:")) for address in read.addresses) and "default-src 'none'" in html
    assert not {"iframe", "object", "embed", "base", "img"} & set(read.tags)
    assert "@import" not in html and not re.search(r"url\((?!#)", html)


def test_a_page_holds_both_arms_on_the_same_problem_with_the_sentences_of_the_markdown(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(2))
    html = written(folder)
    problem = next(row for row in Read(html).rows if (row["d"], row["id"]) == ("sums", "sums30"))
    outcomes = {(column, seed): became for column, seed, _, became, *_ in problem["a"]}
    assert outcomes[0, 0] == outcomes[0, 1] == "wrong" and outcomes[1, 0] == outcomes[1, 1] == "correct"
    lines = (folder / "report" / "report.md").read_text(encoding="utf-8").splitlines()
    first = next(line for line in lines if line.startswith("**Warmup"))
    assert first.strip("*") in html


def test_pages_of_long_completions_stay_small_and_keep_the_flips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MAX_BYTES", 2_000)
    read = Read(written(write_run(tmp_path, pair(1))))
    assert 2 <= len(read.rows) < 400
    flips = [row for row in read.rows if len({one[3] for one in row["a"] if one[0] < 2}) > 1]
    assert len(flips) >= len(read.rows) // 2


def test_thin_evidence_and_mixed_revisions_stand_in_the_box(tmp_path: Path) -> None:
    folder = write_run(tmp_path, pair(1))
    edit_json(folder.parent / "cache" / "rlvr-rlvr-base0" / "stage.json", versions={"git": "fed456-dirty"})
    box = written(folder).partition('class="box"')[2].partition("</div>")[0]
    assert "1 seed with both arms: 3 are needed for an interval." in box
    assert "2 revisions of the code" in box and "No format-only control" in box


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to run the page's script")
def test_in_a_browser_flips_come_first_and_filters_work_without_an_error_or_a_request(tmp_path: Path) -> None:
    losing = replace(warmup_trial(start=0.3), start={"kk": 0.9, "sums": 0.3, "registers": 0.1, "compass": 0.3})
    folder = saying(write_run(tmp_path, [losing, base_trial()]), NASTY)
    html = written(folder)
    copy = tmp_path / "probe.html"
    copy.write_text(html.replace("</body>", f"<script>{PROBE}</script></body>"), encoding="utf-8")
    output = re.search(r"<output>(.*)</output>", rendered(copy), re.DOTALL)
    assert output, "the script did not come to its end"
    found = json.loads(output[1].replace("&amp;", "&").replace("&gt;", ">").replace("&lt;", "<"))
    assert found["errors"] == [] and found["requests"] == 0 and found["images"] == 0 and found["title"] == "made-up"
    assert len(found["first"]) == 10 and {"gained", "lost"} == {
        re.findall("gained|lost", one)[0] for one in found["first"]
    }
    assert found["lost"] == ["lost"] and found["registers"] == 10
    assert found["none"] == "0 of 400 problems" and found["all"] == "400 problems"
    assert found["sides"] == ["base", "warmup"] and found["marks"] > 0


def test_two_runs_are_laid_over_each_other(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", pair())
    second = write_run(
        tmp_path / "b", [replace(one, start=flat(0.9)) if one.arm == "warmup" else one for one in pair()]
    )
    recipe = second / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("made-up", "other").replace("max_tokens: 512", "max_tokens: 256"))
    html = beside(first, second)
    text = html.with_name("report.md").read_text(encoding="utf-8")
    assert html.parent.name == "beside-other" and "# made-up and other" in text
    assert "The recipes differ in: evaluation.samplings.greedy.max_tokens." in text
    row = "| warmup - base, same prompt | mean of sums, registers, compass | +50.0 points [37.6, 62.4] |"
    assert f"{row} +65.0 points [52.6, 77.4] | +15.0 [2.6, 27.4] |" in text
    assert "| other: warmup | .90 " not in text and "| other: warmup | – | .90 [.90, .90] |" in text
    columns = json.loads(re.findall(r'id="settings">(.*?)</script>', html.read_text(encoding="utf-8"))[0])["columns"]
    assert "made-up: base" in columns and "other: warmup" in columns


def test_claims_of_two_runs_at_other_thresholds_have_rows_of_their_own(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", pair(), claims={"threshold": 0.6})
    second = write_run(tmp_path / "b", pair(2), claims={"threshold": 0.7})
    text = beside(first, second).with_name("report.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| steps to accuracy")]
    assert "accuracy .60" in rows[0] and rows[0].endswith("| – | – |") and "accuracy .70" in rows[1]
    assert "The recipes differ in: claims.threshold." in text and "paired by the seeds that both have: 0, 1." in text


def test_a_strip_has_no_dot_for_a_seed_that_reached_the_threshold_in_no_arm(tmp_path: Path) -> None:
    html = written(write_run(tmp_path, pair(), claims={"threshold": 0.95}))
    part = html.partition("steps to accuracy .95")[2].partition("rollouts to accuracy")[0]
    assert ">open<" in part and "<ellipse" not in part and "<ellipse" in html


def test_two_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    first, second = (write_run(tmp_path / name, pair(1)) for name in ("old", "new"))
    text = beside(first, second).with_name("report.md").read_text(encoding="utf-8")
    assert f"# {first} and {second}" in text and "The recipes do not differ." in text


def test_a_page_of_eight_seeds_is_below_the_limit() -> None:
    assert page.MAX_BYTES + 1_500_000 < LIMIT
