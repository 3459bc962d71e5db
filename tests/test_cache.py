"""The cache of stage outputs: its keys see all that decides an output, and its files are what was written."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import program_sandbox
import warmup_rl
from tests.test_run import RECIPE
from warmup_rl.__main__ import main
from warmup_rl.base.errors import RunError
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.recipe.load import load_recipe
from warmup_rl.run import code_digest
from warmup_rl.run.cache import RECORD, CacheEntry
from warmup_rl.run.pipeline import TrialRunner
from warmup_rl.run.provenance import claim_run_folder
from warmup_rl.run.trial import Trial

KEYS = """
import json, sys
from warmup_rl.recipe.load import load_recipe
from warmup_rl.run.trial import Trial
print(json.dumps({p.stage.id: p.key for p in Trial(load_recipe(sys.argv[1]), "main", 0).stages}))
"""
KK = """
run_name: keys
model: {model}
domains: {{kk: {{people: [2, 3], phrasing: terse}}}}
evaluation: {{problems: 4, every: 0}}
stages:
  - {{type: distill, domain: kk, problems: 8, teacher: {{type: solver}}}}
  - clean
  - {{type: sft, batch_size: 2, steps: 2}}
  - {{type: evaluate, id: measured}}
  - {{type: rlvr, domain: kk, problems: 4, steps: 2, prompts_per_step: 2, generations: 2}}
"""
NANO = """
run_name: nano
domains: {registers: {phrasing: terse}}
evaluation: {problems: 4, every: 0}
stages:
  - {type: pretrain, corpus: {type: nano, setting: latent}, model: {model_type: qwen3, hidden_size: 64}}
  - {type: evaluate, id: measured}
"""
STAGES = ("distill", "clean", "sft", "measured", "rlvr")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the packages whose files may be edited, and a recipe."""
    root = tmp_path_factory.mktemp("copy")
    for package in (warmup_rl, program_sandbox):
        source = Path(package.__file__).parent
        shutil.copytree(source, root / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    model = root / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (root / "recipe.yaml").write_text(KK.format(model=model))
    (root / "nano.yaml").write_text(NANO)
    return root


@pytest.fixture(scope="module")
def original(copy):
    return keys(copy)


@contextmanager
def edited(path, edit):
    text = path.read_text(encoding="utf-8")
    path.write_text(edit(text), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def keys(root, recipe="recipe.yaml"):
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", KEYS, str(root / recipe)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("base/types.py", STAGES),
        ("interfaces/format.py", STAGES),
        ("interfaces/domain.py", STAGES),
        ("run/pipeline.py", STAGES),
        ("run/trial.py", STAGES),
        ("knights/solver.py", STAGES),
        ("knights/answers.py", STAGES),
        ("domains/kk.py", STAGES),
        ("engines/solver.py", STAGES),
        ("dlcot/variants.py", STAGES[1:]),
        ("cleaners/dlcot.py", STAGES[1:]),
        ("dlcot/prompts/read.jinja", STAGES[1:]),
        ("stages/training/saving.py", STAGES[2:]),
        ("stages/training/rewards.py", ("rlvr",)),
        ("stages/evaluate.py", ("measured",)),
        ("engines/hf.py", ("measured", "rlvr")),
        ("grading/choice.py", ()),
        ("report/claims.py", ()),
        ("cli/check.py", ()),
        ("base/console.py", ()),
        ("interfaces/plugins.py", ()),
    ],
)
def test_an_edit_changes_the_keys_of_what_it_decides_and_of_no_other_stage(copy, original, file, changed):
    """What comes after a changed stage changes with it, since keys cover the keys of the inputs."""
    added = "{# edited #}" if file.endswith(".jinja") else "\nEDITED = 1\n"
    with edited(copy / "warmup_rl" / file, lambda text: text + added):
        after = keys(copy)
    assert {name for name in original if original[name] != after[name]} == set(changed)


@pytest.mark.parametrize("file", ["base/types.py", "run/pipeline.py", "stages/training/tracking.py"])
def test_comments_docstrings_and_layout_do_not_count(copy, original, file):
    def edit(text):
        return (
            "# edited\n" + re.sub(r'^( *)"""(?=\w)', r'\1"""Edited. ', text, flags=re.MULTILINE) + '\n\n"""Edited."""\n'
        )

    with edited(copy / "warmup_rl" / file, edit):
        assert keys(copy) == original


def test_a_source_that_reads_docstrings_counts_with_them(copy, original):
    path = copy / "warmup_rl" / "domains" / "kk.py"
    with edited(path, lambda text: text + "\nPROMPT = __doc__\n"):
        reading = keys(copy)
        with edited(path, lambda text: text.replace('"""', '"""Edited. ', 1)):
            assert not set(reading.values()) & set(keys(copy).values())


def test_the_domains_of_a_pretraining_corpus_count(copy):
    before = keys(copy, "nano.yaml")
    with edited(copy / "warmup_rl" / "nano" / "compass.py", lambda text: text + "\nEDITED = 1\n"):
        assert keys(copy, "nano.yaml")["pretrain"] != before["pretrain"]


def test_what_vllm_is_asked_to_load_a_model_with_is_in_the_key(copy, original):
    """A data type or a quantization changes completions; `rlvr` reads the evaluation settings for its curve."""
    asked = "evaluation: {problems: 4, vllm: {dtype: half}, "
    with edited(copy / "recipe.yaml", lambda text: text.replace("evaluation: {problems: 4, ", asked)):
        after = keys(copy)
    assert {name for name in original if original[name] != after[name]} == {"measured", "rlvr"}


def test_no_stage_looks_plugins_up_by_name_while_it_runs():
    """Else `interfaces/plugins.py` would decide outputs, which `UNCOUNTED` denies."""
    package = Path(warmup_rl.__file__).parent
    for folder in ("stages", "cleaners", "nano", "dlcot", "engines", "domains", "data", "knights", "grading"):
        for file in (package / folder).rglob("*.py"):
            imported = re.findall(r"interfaces\.plugins import (.*)", file.read_text(encoding="utf-8"))
            assert not re.search(r"\b(load|build|TABLE)\b", " ".join(imported)), file


@pytest.fixture
def reading(tmp_path):
    """A recipe with a domain of the user's that names a data file and a folder, read by its second stage."""
    (tmp_path / "rows.jsonl").write_text('{"gold": 1}')
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    named = f"rows: {tmp_path / 'rows.jsonl'}, folder: {tmp_path / 'folder'}"
    text = RECIPE.replace(":Doubles}", f":Doubles, {named}}}").replace("note: b,", "note: b, domain: doubles,")
    (tmp_path / "recipe.yaml").write_text(text)
    recipe = load_recipe(str(tmp_path / "recipe.yaml"), [f"output_dir={tmp_path / 'outputs'}"])
    return lambda: Trial(recipe, "long", 0)


@pytest.mark.parametrize("name", ["rows.jsonl", "folder/a.txt"])
def test_the_content_of_the_files_that_a_plugin_names_is_in_the_key_and_their_time_is_not(reading, tmp_path, name):
    before = [planned.key for planned in reading().stages]
    os.utime(tmp_path / name, (1, 1))
    assert [planned.key for planned in reading().stages] == before
    (tmp_path / name).write_text('{"gold": 2}')
    changed = [planned.key != key for planned, key in zip(reading().stages, before, strict=True)]
    assert changed == [False, True, True]


@pytest.mark.parametrize(("wanted", "message"), [("was changed", "7"), ("is not there any more", None)])
def test_verify_names_a_data_file_that_has_changed(reading, tmp_path, capsys, wanted, message):
    claim_run_folder(reading().recipe)
    run(reading())
    file, folder = tmp_path / "rows.jsonl", str(reading().run_folder)
    assert main(["verify", folder, "--files-only"]) == 0
    file.write_text(message) if message else file.unlink()
    capsys.readouterr()
    assert main(["verify", folder, "--files-only"]) == 1
    said = capsys.readouterr().out
    assert f"data: {file} {wanted}" in said and "since it was read by second" in said


@pytest.fixture
def trial(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    recipe = load_recipe(str(file), [f"output_dir={tmp_path / 'outputs'}"])
    return Trial(recipe, "long", 0)


def run(trial, **how):
    lines: list[str] = []
    TrialRunner(trial, LaunchEnv(), lines.append).run(**how)
    return lines


def flip(path):
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES = [(flip, "was changed after it was written"), (cut, "bytes"), (Path.unlink, "is missing")]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_a_damaged_input_is_named_with_the_folder_to_delete(trial, damage, message):
    run(trial, until="first")
    folder = trial.entry(trial.stages[0]).folder
    damage(folder / "model" / "history.json")
    with pytest.raises(RunError, match=message) as error:
        run(trial)
    assert f"delete {folder}" in str(error.value)
    shutil.rmtree(folder)
    run(trial)
    assert trial.done


def test_verify_finds_what_was_changed_and_says_where(trial, capsys):
    claim_run_folder(trial.recipe)
    run(trial)
    folder = str(trial.run_folder)
    (trial.run_folder / "recipe.yaml").write_text("run_name: small\n")
    assert main(["verify", folder, "--files-only"]) == 0
    assert "in 3 outputs" in capsys.readouterr().out
    flip(trial.entry(trial.stages[1]).folder / "model" / "history.json")
    assert main(["verify", folder, "--files-only"]) == 1
    said = capsys.readouterr().out
    assert "second: " in said and "was changed after it was written" in said and "DAMAGED" in said


BROKEN = [(lambda text: text[: len(text) // 2], "not JSON"), (lambda text: text.replace('"a"', '"z"'), "was changed")]


@pytest.mark.parametrize(("damage", "message"), BROKEN, ids=["truncated", "edited"])
def test_a_broken_record_is_named_with_the_folder_to_delete_by_every_command(trial, tmp_path, capsys, damage, message):
    claim_run_folder(trial.recipe)
    run(trial)
    entry = trial.entry(trial.stages[0])
    record = entry.folder / RECORD
    record.write_text(damage(record.read_text()))
    recipe = [str(tmp_path / "recipe.yaml"), f"output_dir={tmp_path / 'outputs'}"]
    wanted = {"verify": [str(trial.run_folder)], "report": [str(trial.run_folder)], "check": recipe, "train": recipe}
    for command, given in wanted.items():
        assert main([command, *given]) == (1 if command == "verify" else 2)
        said = "".join(capsys.readouterr())
        assert f"{RECORD}" in said and message in said and f"Delete the folder {entry.folder}" in said
        assert "figures:" not in said
    shutil.rmtree(entry.folder)
    run(trial)
    assert trial.done


@pytest.mark.parametrize("place", ["run.json", "long/seed-0/run.json"])
def test_a_truncated_record_of_a_run_is_named_with_the_folder_to_delete(trial, tmp_path, capsys, place):
    claim_run_folder(trial.recipe)
    run(trial)
    record = trial.run_folder / place
    record.write_text(record.read_text()[:-9])
    recipe = [str(tmp_path / "recipe.yaml"), f"output_dir={tmp_path / 'outputs'}"]
    assert main(["train", *recipe]) == 2
    assert f"Delete the folder {record.parent} and run the recipe again" in capsys.readouterr().err
    shutil.rmtree(record.parent)
    assert main(["train", *recipe]) == 0


def test_an_output_folder_without_its_record_is_made_anew(trial):
    run(trial, until="first")
    (trial.entry(trial.stages[0]).folder / RECORD).unlink()
    run(trial)
    assert trial.done and not trial.entry(trial.stages[0]).part.exists()


def edit(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def of_another_stage(record):
    record["stages"][2] |= {"folder": record["stages"][1]["folder"]}


EDITS = [
    (
        "run.json",
        lambda record: record["registered"]["claims"].update(threshold=0.1),
        1,
        "claims do not match their SHA",
    ),
    ("long/seed-0/run.json", of_another_stage, 1, "third: .* holds another output than was recorded"),
    ("long/seed-0/run.json", lambda record: record.update(seed=1), 2, "is the record of long/seed-1"),
]


@pytest.mark.parametrize(("place", "change", "code", "message"), EDITS)
def test_verify_names_an_edited_record_of_a_run_or_trial(trial, capsys, place, change, code, message):
    claim_run_folder(trial.recipe)
    run(trial)
    edit(trial.run_folder / place, change)
    assert main(["verify", str(trial.run_folder)]) == code
    assert re.search(message, "".join(capsys.readouterr()))


def test_a_run_folder_without_its_record_is_none(trial, capsys):
    claim_run_folder(trial.recipe)
    run(trial)
    (trial.run_folder / "run.json").unlink()
    for command in ("verify", "report"):
        assert main([command, str(trial.run_folder)]) == 2
        assert "not a run folder (no run.json)" in capsys.readouterr().err


def test_verify_of_a_copied_run_folder_says_what_to_move(trial, tmp_path, capsys):
    claim_run_folder(trial.recipe)
    run(trial)
    alone = tmp_path / "elsewhere" / "small"
    shutil.copytree(trial.run_folder, alone, symlinks=True)
    assert main(["verify", str(alone)]) == 1
    said = capsys.readouterr().out
    assert "outputs of 3 finished stages are missing:\n  long/seed-0: first (" in said
    assert f"({tmp_path / 'elsewhere' / 'cache'}/" in said and ".." not in said.replace("...", "")
    assert "intact" not in said
    assert "move the whole output folder" in said and "delete" not in said.replace("were deleted", "")
    shutil.rmtree(trial.entry(trial.stages[0]).folder)
    capsys.readouterr()
    assert main(["verify", str(trial.run_folder)]) == 1
    said = capsys.readouterr().out
    assert "outputs of 1 finished stage are missing:" in said and "in 2 outputs" in said


def test_verify_refuses_what_is_not_a_run(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 2
    assert "not a run folder" in capsys.readouterr().err


def test_outputs_of_older_code_are_reused_only_on_request_and_marked(trial):
    run(trial)
    for planned in trial.stages:  # as if other code had made them
        entry = trial.entry(planned)
        settings, _, code = planned.key.partition("-")
        entry.folder.rename(entry.folder.with_name(entry.folder.name.replace(code, "0" * 8)))
    fresh = Trial(trial.recipe, "long", 0)
    assert not any(fresh.entry(planned).done for planned in fresh.stages)
    reusing = Trial(trial.recipe, "long", 0, reuse_stale=True)
    assert reusing.entry(reusing.stages[0]).done and reusing.stages[0].stale
    lines = run(reusing, until="first")
    assert "by code or an endpoint that has changed since" in lines[0]
    record = json.loads((reusing.folder / "run.json").read_text())
    assert record["stages"][0]["stale"] is True


def test_a_finished_run_and_its_plan_mark_what_was_reused_though_code_has_changed(trial, tmp_path, capsys, monkeypatch):
    recipe = [str(tmp_path / "recipe.yaml"), f"output_dir={tmp_path / 'outputs'}"]
    report = trial.run_folder / "report" / "report.md"
    claim_run_folder(trial.recipe)
    with monkeypatch.context() as older:
        older.setattr("warmup_rl.run.trial.code_digest", lambda *given: "00000000")
        for arm in ("long", "short"):
            run(Trial(trial.recipe, arm, 0))
    assert main(["report", str(trial.run_folder)]) == 0 and "--reuse-stale" not in report.read_text()
    plans = {}
    for option in ("", "--reuse-stale"):
        capsys.readouterr()
        assert main(["check", *recipe, *filter(None, [option])]) == 0
        plans[option] = capsys.readouterr().out
    assert "* code or endpoint changed since" in plans[""] and "●*" in plans[""] and "✓*" not in plans[""]
    assert "* code or endpoint changed since" in plans["--reuse-stale"] and "✓*" in plans["--reuse-stale"]
    assert "●" not in plans["--reuse-stale"].replace("● made", "")
    assert main(["train", *recipe, "--reuse-stale"]) == 0
    assert (
        "code or an endpoint behind them has changed since (--reuse-stale): long, seed 0: first;" in report.read_text()
    )


def test_a_record_names_every_file_with_size_and_hash(trial):
    run(trial, until="first")
    entry = trial.entry(trial.stages[0])
    files = json.loads((entry.folder / RECORD).read_text())["files"]
    assert "model/history.json" in files and set(files["model/history.json"]) == {"size", "sha256"}
    assert CacheEntry(entry.folder).damage() == []


def test_digests_are_kept_by_content_and_damage_only_costs_time(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    parsed = []
    monkeypatch.setattr(code_digest, "_syntax", lambda source: (parsed.append(source), source.strip())[1])

    def digests(*sources):
        known = code_digest._Known()
        found = [known.digest(hashlib.sha256(source).hexdigest(), source) for source in sources]
        known.keep()
        return found

    first = digests(b"a = 1\n", b"b = 2\n")
    (file,) = (tmp_path / "warmup_rl").iterdir()
    content = file.read_text()
    assert digests(b"a = 1\n", b"b = 2\n") == first and parsed == [b"a = 1\n", b"b = 2\n"]
    assert digests(b"a = 3\n") != first[:1] and len(parsed) == 3
    for damaged in ("", "{", "[]", "[1, {}]", content[:-5], content.replace(first[0], "0" * 64)):
        file.write_text(damaged)
        assert digests(b"a = 1\n") == first[:1]
    assert len(parsed) == 9
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))  # a file is no folder: nothing can be kept
    assert digests(b"a = 1\n") == first[:1]


def test_outputs_are_readable_by_those_whom_the_umask_lets(tmp_path, monkeypatch):
    entry = CacheEntry(tmp_path / "train-1-2")
    for mask, file_mode, folder_mode in ((0o022, 0o644, 0o755), (0o007, 0o660, 0o770)):
        monkeypatch.setattr(os, "umask", lambda new, mask=mask: mask)
        (entry.part / "model").mkdir(parents=True, mode=0o700)
        (entry.part / "model" / "weights").touch(mode=0o600)
        entry.part.chmod(0o700)
        entry.finish({})
        modes = [path.stat().st_mode & 0o777 for path in (entry.folder, entry.folder / "model" / "weights")]
        assert modes == [folder_mode, file_mode]
        shutil.rmtree(entry.folder)
