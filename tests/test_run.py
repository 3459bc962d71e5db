"""The fold: shared stages are made once, finished ones never again, and a folder belongs to one recipe and process."""

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from filelock import FileLock

from warmup_rl.base.errors import RecipeError, RunError, UserError
from warmup_rl.base.models import write_tags
from warmup_rl.interfaces.stage import LaunchEnv
from warmup_rl.recipe.load import load_recipe
from warmup_rl.recipe.schema import dump
from warmup_rl.run.cache import sole_process
from warmup_rl.run.model_card import write_card
from warmup_rl.run.parallel import device_groups, run_side_by_side, shared_prefix
from warmup_rl.run.pipeline import TrialRunner
from warmup_rl.run.provenance import claim_run_folder
from warmup_rl.run.trial import Trial
from warmup_rl.train import main as train_main

ROOT = Path(__file__).parents[1]
STAGES = Path(__file__).with_name("small_stages.py")
RECIPE = f"""
run_name: small
domains:
  doubles: {{type: {STAGES}:Doubles}}
claims: {{warmup: long, base: short}}
arms: {{long: {{}}, short: {{leave_out: [second]}}}}
stages:
  - {{type: "{STAGES}:Make", id: first, note: a}}
  - {{type: "{STAGES}:Train", id: second, note: b, blocks_if_set: BLOCK_SECOND}}
  - {{type: "{STAGES}:Train", id: third, note: c, fails_if_set: BREAK_THIRD}}
"""


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    return load_recipe(str(file), [f"output_dir={tmp_path / 'outputs'}"])


def run(recipe, arm, seed=0, **how):
    lines: list[str] = []
    trial = Trial(recipe, arm, seed)
    TrialRunner(trial, LaunchEnv(), lines.append).run(**how)
    return trial, lines


def histories(trial):
    return [json.loads((trial.entry(step).folder / "model" / "history.json").read_text()) for step in trial.stages]


def test_arms_share_every_stage_whose_inputs_are_alike(recipe):
    long, _ = run(recipe, "long")
    short, lines = run(recipe, "short")
    assert histories(long) == [[["a", 0]], [["a", 0], ["b", 0]], [["a", 0], ["b", 0], ["c", 0]]]
    assert histories(short) == [[["a", 0]], [["a", 0], ["c", 0]]]
    assert "first: done before" in lines[0]
    assert shared_prefix([long, short]).stage.id == "first"
    assert len(list((Path(recipe.output_dir) / "cache").glob("*/stage.json"))) == 4


def test_a_plugin_whose_source_changes_makes_new_outputs(recipe, tmp_path):
    own = tmp_path / "own_stages.py"
    own.write_text(STAGES.read_text())
    text = RECIPE.replace(str(STAGES), str(own))
    (tmp_path / "own.yaml").write_text(text)
    keys = []
    for line in ("", "CHANGED = 1\n"):
        own.write_text(own.read_text() + line)
        keys.append([step.key for step in Trial(load_recipe(str(tmp_path / "own.yaml")), "long", 0).stages])
    assert not set(keys[0]) & set(keys[1])


def test_stages_hand_on_artifacts_of_their_own_kinds(recipe, tmp_path):
    pair, read = (f'{{type: "{STAGES}:{name}", id: {name.lower()}}}' for name in ("Pair", "Read"))
    file, head = tmp_path / "pairs.yaml", RECIPE.partition("claims:")[0]
    file.write_text(f"{head}output_dir: {tmp_path}\nstages: [{pair}, {read}]\n")
    trial, _ = run(load_recipe(str(file)), "main")
    assert trial.entry(trial.stages[1]).record()["summary"] == {"pairs": "right, wrong"}
    file.write_text(f"{head}output_dir: {tmp_path}\nstages: [{read}]\n")
    with pytest.raises(RecipeError, match="'read' needs pairs, but no earlier stage outputs any"):
        load_recipe(str(file))


def test_seeds_share_nothing(recipe):
    first, second = Trial(recipe, "long", 0), Trial(recipe, "long", 1)
    assert not {step.key for step in first.stages} & {step.key for step in second.stages}


def test_seeds_share_the_stages_that_they_do_not_vary(recipe, tmp_path):
    def keys(*vary):
        given = load_recipe(str(tmp_path / "recipe.yaml"), [f"vary=[{', '.join(vary)}]", "seeds=[4, 5]"])
        trials = [Trial(given, "long", seed) for seed in given.seeds]
        return [[planned.key for planned in trial.stages] for trial in trials]

    first, second = keys("sft", "rlvr", "eval")
    assert first == second, "stages without a role draw examples"
    assert all(one != other for one, other in zip(*keys("examples"), strict=True))


def test_a_world_is_pretrained_once_for_several_sets_of_examples(tmp_path):
    changes = ["vary=[examples]", "seeds=[4, 5]", f"output_dir={tmp_path}"]
    given = load_recipe(str(ROOT / "recipes" / "kk_warmup.yaml"), changes)
    first, second = ({step.stage.id: step.key for step in Trial(given, "warmup", seed).stages} for seed in given.seeds)
    same = [stage for stage, key in first.items() if second[stage] == key]
    assert same == ["pretrain"]


def test_a_failed_run_goes_on_at_its_first_unfinished_stage(recipe, monkeypatch):
    monkeypatch.setenv("BREAK_THIRD", "1")
    with pytest.raises(RuntimeError, match="BREAK_THIRD is set"):
        run(recipe, "long")
    record = json.loads((Trial(recipe, "long", 0).folder / "run.json").read_text())
    assert (record["state"], record["reason"]) == ("failed", "RuntimeError: BREAK_THIRD is set")
    assert [stage["done"] for stage in record["stages"]] == [True, True, False]
    monkeypatch.delenv("BREAK_THIRD")
    trial, lines = run(recipe, "long")
    assert [line.split(",")[0] for line in lines if "done" in line][:2] == ["first: done before", "second: done before"]
    assert "third: starts" in lines and trial.done
    assert json.loads((trial.folder / "run.json").read_text())["state"] == "finished"


def test_a_finished_run_is_left_alone(recipe):
    trial, _ = run(recipe, "long")
    before = {path: path.stat().st_mtime_ns for path in trial.entry(trial.stages[-1]).folder.rglob("*")}
    _, lines = run(recipe, "long")
    assert all("done before" in line for line in lines)
    assert before == {path: path.stat().st_mtime_ns for path in trial.entry(trial.stages[-1]).folder.rglob("*")}


def test_stages_can_be_run_one_by_one(recipe):
    with pytest.raises(RunError, match="needs the model of stage 'second', which is not done"):
        run(recipe, "long", only="third")
    trial, _ = run(recipe, "long", until="second")
    assert json.loads((trial.folder / "run.json").read_text())["state"] == "waits"
    trial, _ = run(recipe, "long", only="third")
    assert trial.done
    assert json.loads((trial.folder / "run.json").read_text())["state"] == "finished"
    with pytest.raises(RunError, match="no stage 'fourth'. Its stages: first, second, third"):
        run(recipe, "long", only="fourth")


def test_links_lead_to_the_outputs_in_order(recipe):
    trial, _ = run(recipe, "long")
    links = sorted(path.name for path in trial.folder.iterdir() if path.is_symlink())
    assert links == ["01-first", "02-second", "03-third"]
    assert (trial.folder / "03-third" / "model" / "history.json").is_file()


def test_a_run_folder_belongs_to_one_recipe(recipe, tmp_path):
    other = load_recipe(str(tmp_path / "recipe.yaml"), [f"output_dir={recipe.output_dir}", "stages.second.note=z"])
    claim_run_folder(other)
    claim_run_folder(recipe)
    run(recipe, "short")
    claim_run_folder(recipe)
    with pytest.raises(RunError, match=r"differs in: stages\.1\.note"):
        claim_run_folder(other)


def test_claims_are_registered_by_the_first_start_and_stay_until_the_recipe_is_another(recipe, tmp_path):
    def registered(*changes, seeds=()):
        recipe = load_recipe(str(tmp_path / "recipe.yaml"), [f"output_dir={tmp_path / 'outputs'}", *changes])
        claim_run_folder(recipe, seeds)
        return json.loads((tmp_path / "outputs" / "small" / "run.json").read_text())["registered"]

    first = registered("claims.threshold=0.7")
    assert first["claims"]["threshold"] == 0.7 and first["utc"] and len(first["sha256"]) == 64
    assert registered("claims.threshold=0.5", "seeds=[0, 1]") == first
    assert registered("claims.threshold=0.5", "stages.first.note=z")["claims"]["threshold"] == 0.5
    assert registered("stages.first.note=y", "seeds=[0]", seeds=[3, 4])["seeds"] == [0, 3, 4]


def test_a_foreign_folder_is_refused(recipe):
    folder = Path(recipe.output_dir) / "small"
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="not empty and not a run folder"):
        claim_run_folder(recipe)
    assert (folder / "thesis.tex").read_text() == "precious"


def test_one_process_a_trial(tmp_path):
    lock = FileLock(str(tmp_path / ".lock"))
    with lock, pytest.raises(RunError, match="another process runs this arm and seed"), sole_process(tmp_path):
        pass
    with sole_process(tmp_path):
        command = "import pathlib, sys, warmup_rl.run.cache as c; c.sole_process(pathlib.Path(sys.argv[1])).__enter__()"
        second = subprocess.run([sys.executable, "-c", command, tmp_path], capture_output=True, text=True, check=False)
        assert f"another process (pid {os.getpid()} on " in second.stderr


def train(folder, *arguments):
    command = [sys.executable, "-m", "warmup_rl.train", str(folder / "recipe.yaml"), f"output_dir={folder / 'outputs'}"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_a_run_whose_stages_another_has_made_gets_its_own_folder_and_report(recipe, tmp_path):
    assert train(tmp_path).returncode == 0
    second = train(tmp_path, "run_name=second")
    assert second.returncode == 0, second.stdout + second.stderr
    folder = Path(recipe.output_dir) / "second"
    assert (folder / "recipe.yaml").is_file() and (folder / "report" / "report.md").is_file()
    assert Trial(recipe.model_copy(update={"run_name": "second"}), "long", 0).finished


def test_the_output_of_another_endpoint_is_taken_only_when_asked_for(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "run_name: x\nmodel: nobody/tiny-1b\ndomains: {sums: {}}\nstages:\n  - {type: distill, domain: sums, "
        "problems: 2, teacher: {type: openai, base_url: 'http://old/v1', model: m}}\n"
    )

    def trial(url, **options):
        changes = [f"output_dir={tmp_path}", f"stages.distill.teacher.base_url={url}"]
        return Trial(load_recipe(path, changes), "main", 0, **options)

    old, new, reusing = trial("http://old/v1"), trial("http://new/v1"), trial("http://new/v1", reuse_stale=True)
    assert not list(new.moved())
    entry = old.entry(old.stages[0])
    entry.open_part(lambda part: None, launch="x")
    entry.finish({"config": dump(old.stages[0].stage), "finished_at": "2025"})
    assert old.done and not new.done and reusing.done and reusing.stages[0].stale and not list(old.moved())
    line = "distill: made with teacher.base_url http://old/v1, not http://new/v1: it is "
    assert list(new.moved()) == [f"{line}made again (--reuse-stale reuses it)."]
    assert list(reusing.moved()) == [f"{line}reused."]


def test_a_trial_that_fails_stops_no_other_and_what_is_done_is_kept(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("BREAK_THIRD", "1")
    broken = train(tmp_path, "--jobs", "2")
    assert broken.returncode == 2
    assert "failed: " in broken.stderr and "long seed 0" in broken.stderr and "short seed 0" in broken.stderr
    assert broken.stdout.count("first: starts") == 1
    monkeypatch.delenv("BREAK_THIRD")
    train(tmp_path, "--jobs", "2")
    assert all(Trial(recipe, arm, 0).done for arm in recipe.arms)


def test_a_killed_run_ends_its_trials_and_goes_on_where_it_was(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("BLOCK_SECOND", "1")
    command = [sys.executable, "-m", "warmup_rl.train", str(tmp_path / "recipe.yaml"), "--jobs", "2"]
    with subprocess.Popen([*command, f"output_dir={recipe.output_dir}"], stdout=subprocess.PIPE, text=True) as process:
        trial_process = next(psutil.Process(int(line.split()[-1])) for line in process.stdout if "blocked" in line)
        process.kill()
    trial_process.wait(timeout=60)
    trial = Trial(recipe, "long", 0)
    assert [trial.entry(step).done for step in trial.stages] == [True, False, False]
    monkeypatch.delenv("BLOCK_SECOND")
    train(tmp_path, "--jobs", "2")
    assert trial.done
    assert not (trial.entry(trial.stages[1]).folder / "half").exists()


def test_processes_end_with_the_run_that_started_their_launcher(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("BLOCK_SECOND", "1")
    arguments = [f"{tmp_path}/recipe.yaml", f"output_dir={recipe.output_dir}", "--gpus-per-run", "2", "--launch", "ddp"]
    pretends = "from warmup_rl.run import parallel; parallel.device_groups = lambda per_run: ['0,1']"
    command = [sys.executable, "-c", f"{pretends}; from warmup_rl.train import main; main({arguments})"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        next(line for line in process.stdout if "blocked" in line)
        processes = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert len(processes) > 2 and not psutil.wait_procs(processes, timeout=60)[1]
    with sole_process(Trial(recipe, "long", 0).folder):
        pass


@pytest.mark.parametrize(("number", "how"), [(signal.SIGTERM, "--arm long"), (signal.SIGUSR1, "--jobs 2")])
def test_a_signal_stops_a_run_with_an_exit_code_of_its_own(number, how, recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("BLOCK_SECOND", "1")
    command = [sys.executable, "-m", "warmup_rl.train", str(tmp_path / "recipe.yaml"), *how.split()]
    with subprocess.Popen(
        [*command, f"output_dir={recipe.output_dir}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        blocked = next(psutil.Process(int(line.split()[-1])) for line in process.stdout if "blocked" in line)
        process.send_signal(number)
        said = process.stderr.read()
        process.wait()
        blocked.wait(timeout=60)
    assert process.returncode == 75 and f"stopped by {number.name}; the same command continues" in said
    assert json.loads((Trial(recipe, "long", 0).folder / "run.json").read_text())["state"] == "stopped"


@pytest.mark.parametrize(("file", "number"), [("single", signal.SIGKILL), ("ddp", signal.SIGUSR1)])
def test_processes_end_with_their_launcher(file, number, recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("BLOCK_SECOND", "1")
    with subprocess.Popen(launched(file, tmp_path, "--arm", "long"), stdout=subprocess.PIPE, text=True) as process:
        next(line for line in process.stdout if "blocked" in line)
        ranks = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
    assert ranks and not psutil.wait_procs(ranks, timeout=60)[1]
    with sole_process(Trial(recipe, "long", 0).folder):
        pass


def test_an_arm_that_fails_in_a_launch_of_two_stops_no_other(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("BREAK_SECOND", "1")
    command = launched("ddp", tmp_path, "stages.second.fails_if_set=BREAK_SECOND")
    broken = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert broken.returncode == 1 and "failed: long, seed 0" in broken.stderr, broken.stderr[-2000:]
    assert Trial(recipe, "short", 0).done and not Trial(recipe, "long", 0).done
    assert json.loads((Trial(recipe, "long", 0).folder / "run.json").read_text())["state"] == "failed"


def test_a_report_that_fails_costs_no_output(recipe, tmp_path, monkeypatch, capsys):
    from warmup_rl.report import main
    from warmup_rl.train import main as train_here

    assert train(tmp_path).returncode == 0

    def fail(folder, **options):
        raise KeyError("a figure")

    monkeypatch.setattr(main, "report", fail)
    assert train_here([str(tmp_path / "recipe.yaml"), f"output_dir={recipe.output_dir}"]) == 2
    assert "all stages are done and kept; the report failed (KeyError: 'a figure')" in capsys.readouterr().err


def launched(file, folder, *arguments):
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", f"{ROOT}/launch/{file}.yaml"]
    return [*launcher, "-m", "warmup_rl.train", f"{folder}/recipe.yaml", f"output_dir={folder}/outputs", *arguments]


def test_no_stage_is_made_twice_in_fifty_races_of_two_processes(recipe, tmp_path):
    processes = multiprocessing.get_context("fork")

    def race(recipe, arm, barrier, made):
        barrier.wait()
        _, lines = run(recipe, arm)
        made.put([line for line in lines if ": made " in line])

    run(recipe, "long")  # what a process computes once is known before it is forked
    for number in range(50):
        store = recipe.model_copy(update={"output_dir": str(tmp_path / str(number))})
        barrier, made = processes.Barrier(2), processes.SimpleQueue()
        racers = [processes.Process(target=race, args=(store, arm, barrier, made)) for arm in ("long", "short")]
        for racer in racers:
            racer.start()
        lines = made.get() + made.get()
        for racer in racers:
            racer.join()
        assert sorted(lines) == ["first: made a", "second: made b", "third: made c", "third: made c"]
        assert not list((tmp_path / str(number) / "cache").glob("*.part"))


class FakeProcess:
    """A trial that takes a moment; keeps with which GPUs each was started, and how many ran at once."""

    started, running, most = [], 0, 0

    def __init__(self, command, env, **kwargs):
        type(self).started.append((command[command.index("--gpus") + 1], env["CUDA_VISIBLE_DEVICES"]))
        type(self).running += 1
        type(self).most = max(self.most, self.running)
        self.stdout = iter([b"a line\n"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        type(self).running -= 1

    def wait(self):
        time.sleep(0.2)
        return 0


@pytest.mark.parametrize("left", [["long"], ["long", "short"]])
def test_finished_trials_take_no_share_of_the_machine(recipe, tmp_path, monkeypatch, left):
    monkeypatch.setattr(Trial, "finished", property(lambda trial: trial.arm not in left))
    started = []
    monkeypatch.setattr(
        "warmup_rl.train._side_by_side", lambda command, trials, workers, devices: started.append(workers)
    )
    monkeypatch.setattr("warmup_rl.train._in_this_process", lambda *given: started.append(1))
    monkeypatch.setattr("warmup_rl.train._report", lambda folder: None)
    monkeypatch.setattr("warmup_rl.train.cores", lambda: 8)
    assert train_main([str(tmp_path / "recipe.yaml"), f"output_dir={tmp_path / 'outputs'}"]) == 0
    assert started == [len(left)]


@pytest.mark.parametrize(
    ("visible", "per_run", "groups"),
    [(None, 1, ["0", "1", "2", "3"]), (None, 2, ["0,1", "2,3"]), ("7, 5,4,2", 2, ["7,5", "4,2"]), (None, 3, ["0,1,2"])],
)
def test_trials_run_side_by_side_on_all_gpus(recipe, monkeypatch, visible, per_run, groups):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr("warmup_rl.run.parallel.subprocess.Popen", FakeProcess)
    monkeypatch.setattr(FakeProcess, "started", [])
    monkeypatch.setattr(FakeProcess, "most", 0)
    assert device_groups(per_run) == groups
    trials = [Trial(recipe, "long", seed) for seed in range(6)]
    assert run_side_by_side(trials, ["recipe.yaml"], len(groups), print, groups) == []
    assert {gpus for gpus, _ in FakeProcess.started} == {str(per_run)} and len(FakeProcess.started) == 6
    assert {devices for _, devices in FakeProcess.started} == set(groups)
    assert FakeProcess.most == len(groups), "a group of GPUs has one trial at a time"
    with pytest.raises(UserError, match="--gpus-per-run: 5 were asked for, this machine has 4"):
        device_groups(5)


def test_arms_and_seeds_use_the_gpus_of_this_machine(tmp_path, monkeypatch):
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = []
    monkeypatch.setattr("warmup_rl.train._side_by_side", lambda *given: found.append(given[2:]))
    monkeypatch.setattr("warmup_rl.train._report", lambda folder: None)
    for options in ([], ["--gpus-per-run", "2"], ["--jobs", "1", "--gpus-per-run", "4"]):
        assert train_main([str(file), f"output_dir={tmp_path}", *options]) == 0
    assert found == [(2, ["0", "1", "2", "3"]), (2, ["0,1", "2,3"]), (1, ["0,1,2,3"])]
    assert train_main([str(file), "--gpus", "2", "--gpus-per-run", "2"]) == 2


def test_the_card_of_a_model_has_its_base_recipe_data_and_results(tmp_path):
    file, rows = tmp_path / "recipe.yaml", tmp_path / "rows.jsonl"
    rows.write_text("{}")
    file.write_text(f'{RECIPE}  - {{type: "{STAGES}:Measure", id: measure}}\n')
    uses = [f"output_dir={tmp_path / 'outputs'}", f"domains.doubles.rows={rows}", "stages.third.domain=doubles"]
    trial, _ = run(load_recipe(str(file), uses), "long")
    third, measured = trial.stages[-2:]
    card = trial.entry(third).folder / "model" / "README.md"
    assert not card.exists(), "this is no model folder yet"
    card.with_name("config.json").write_text("{}")
    write_tags(card.parent, {"control": "random reward"})
    write_card(trial, measured)
    text = card.read_text()
    header = next(yaml.safe_load_all(text.partition("\n# ")[0].removesuffix("---\n\n")))
    assert header["library_name"] == "transformers" and "base_model" not in header
    assert "Tagged `control`: random reward." in text
    assert "# small: long, seed 0, after third" in text and "Base: trained from scratch." in text
    assert "| doubles | open | greedy | 2 × 1 | 0.500 | 0.250 | 0.001 |" in text
    assert hashlib.sha256(b"{}").hexdigest()[:12] in text and str(rows) in text
    assert f"third `{third.key}`" in text and "note: b" in text and "BLOCK_SECOND" in text
    assert trial.entry(third).damage() == [], "the card is written again without being taken for damage"
