"""What the README shows works: its domain keeps a domain's promises, files it names exist, results are quoted."""

import re
from pathlib import Path

from warmup_rl.interfaces.conformance import assert_conforms
from warmup_rl.interfaces.plugins import load
from warmup_rl.recipe.load import load_recipe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_example_domain_works_as_a_plugin(tmp_path):
    (source,) = blocks("python")
    file = tmp_path / "parity.py"
    file.write_text(source)
    assert_conforms(load("domain", f"{file}:Parity")())
    recipe = load_recipe(
        ROOT / "recipes/qwen_3b.yaml",
        [f"domains.parity={{type: '{file}:Parity', bits: [4, 12]}}", f"output_dir={tmp_path}"],
    )
    assert recipe.domains["parity"].bits == (4, 12)


def test_every_file_that_the_readme_names_exists():
    named = set(re.findall(r"(?:\]\(|`)((?:docs|recipes|launch|warmup_rl|tests|benchmarks)/[\w./-]+)", README))
    assert named
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_every_link_between_documents_leads_somewhere():
    for page in (ROOT / "docs").glob("*.md"):
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
        assert not [link for link in links if not (page.parent / link).exists()], page.name


def test_the_readme_quotes_its_results_from_the_reports():
    demo, absent = ((ROOT / f"docs/results/{world}/report.md").read_text() for world in ("demo", "absent"))
    (table,) = re.findall(r"(?:^\| (?:model|:--|base|format-only|warmup).*\n)+", README, re.MULTILINE)
    assert table in demo
    assert all(line in demo for line in re.findall(r"^- \*\*\w[\w ]*\.\*\* .*$", README, re.MULTILINE))
    assert re.search(r"^> (.*)$", README, re.MULTILINE).group(1) in absent
