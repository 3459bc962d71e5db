"""The command `export`: a served model is prompted as it was trained, and adapters are merged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.test_contract import llama_like, qwen_like, without_template
from tests.test_given_models import adapter_of
from tests.tiny import tiny_model, tiny_tokenizer
from warmup_rl.__main__ import main
from warmup_rl.base.errors import ContractError
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.format import ResponseFormat

CONVERSATIONS = [
    [{"role": "user", "content": "What is two and two?"}],
    [
        {"role": "user", "content": "What is two and two?"},
        {"role": "assistant", "content": "Four."},
        {"role": "user", "content": 'And "three"?\n'},
    ],
]
OPEN = ResponseFormat().asks(terse=False)


def served(folder: Path, messages: list[dict[str, str]]) -> list[int]:
    """The prompt that a server makes of the folder's own files, as token ids."""
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


@pytest.mark.parametrize("form", [OPEN, ResponseFormat(think="free").asks(terse=False), ResponseFormat(instruction="")])
@pytest.mark.parametrize("make", [tiny_tokenizer, qwen_like, llama_like, without_template])
def test_an_exported_model_is_prompted_as_it_was_trained(make, form: ResponseFormat, tmp_path: Path) -> None:
    source = tiny_model(tmp_path / "model", tokenizer=make(), response_format=form)
    trained = chat.load_tokenizer(source)
    assert main(["export", str(source), "--to", str(tmp_path / "out")]) == 0
    again = chat.load_tokenizer(tmp_path / "out")
    for messages in CONVERSATIONS:
        prompt = chat.render_prompt(trained, messages, form)
        assert served(tmp_path / "out", messages) == trained(prompt).input_ids
        assert chat.render_prompt(again, messages, form) == prompt, "neither tag nor instruction comes twice"
    chat.check(tmp_path / "out", form)
    AutoModelForCausalLM.from_pretrained(str(tmp_path / "out"))


def test_training_turns_render_as_before(tmp_path: Path) -> None:
    source = tiny_model(tmp_path / "model", tokenizer=qwen_like(), response_format=OPEN)
    main(["export", str(source), "--to", str(tmp_path / "out")])
    before, after = (AutoTokenizer.from_pretrained(str(folder)) for folder in (source, tmp_path / "out"))
    turns = CONVERSATIONS[1][:2]
    assert before.apply_chat_template(turns, tokenize=False) == after.apply_chat_template(turns, tokenize=False)


def test_a_template_that_opens_the_tag_is_refused_where_the_style_leaves_it_to_the_model(tmp_path: Path) -> None:
    source = tiny_model(tmp_path / "model", tokenizer=qwen_like(), response_format=OPEN)
    main(["export", str(source), "--to", str(tmp_path / "out")])
    with pytest.raises(ContractError, match="prompt style is .free."):
        chat.render_prompt(chat.load_tokenizer(tmp_path / "out"), CONVERSATIONS[0], ResponseFormat(think="free"))


def trial(folder: Path) -> Path:
    """The folder of a trial with two stages that made models and one that did not."""
    stages = []
    for name, outputs in (("sft", ["model"]), ("after", []), ("rlvr", ["model"])):
        stage = folder / "cache" / name
        stage.mkdir(parents=True)
        if outputs:
            tiny_model(stage / "model", response_format=OPEN, seed=len(stages))
        (stage / "stage.json").write_text("{}")
        stages.append({"id": name, "folder": f"../cache/{name}", "outputs": outputs, "done": True})
    (folder / "seed-0").mkdir()
    (folder / "seed-0" / "run.json").write_text(json.dumps({"stages": stages}))
    return folder / "seed-0"


@pytest.mark.parametrize(("options", "stage"), [([], "rlvr"), (["--stage", "sft"], "sft")])
def test_the_last_model_of_a_trial_or_that_of_a_stage(options: list[str], stage: str, tmp_path: Path) -> None:
    assert main(["export", str(trial(tmp_path)), "--to", str(tmp_path / "out"), *options]) == 0
    wanted = load_file(tmp_path / "cache" / stage / "model" / "model.safetensors")
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert all((found[name] == wanted[name]).all() for name in wanted)


def test_what_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = trial(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for name, outputs in {"evaluation": [], "started": ["model"]}.items():
        (tmp_path / name).mkdir()
        stage = {"id": "sft", "outputs": outputs, "done": False, "folder": "00-sft"}
        (tmp_path / name / "run.json").write_text(json.dumps({"stages": [stage]}))
    cases = {
        (str(tmp_path / "evaluation"), "out"): "no stage of this recipe makes a model",
        (str(tmp_path / "started"), "out"): "not done yet: sft.",
        (str(folder), "full"): "exists already",
        (str(folder), "out", "--stage", "sfft"): "no stage 'sfft' that makes a model. Did you mean 'sft'?",
        (str(tmp_path / "cache" / "after"), "out"): "this stage made no model",
        (str(tmp_path / "full"), "out"): "neither a trial, nor a stage, nor a model",
    }
    for (source, to, *options), message in cases.items():
        assert main(["export", source, "--to", str(tmp_path / to), *options]) == 2
        assert message in capsys.readouterr().err


def test_an_adapter_is_merged_with_its_base_at_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    base = tiny_model(tmp_path / "base", dtype="bfloat16")
    adapter = adapter_of(base, tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "revision": "v2"}))
    load, revisions = AutoTokenizer.from_pretrained, []
    monkeypatch.setattr(
        AutoTokenizer, "from_pretrained", lambda *where, **how: revisions.append(how.get("revision")) or load(*where)
    )
    assert main(["export", str(adapter), "--to", str(tmp_path / "out")]) == 0
    before, after = (load_file(folder / "model.safetensors") for folder in (base, tmp_path / "out"))
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.endswith("_proj.weight") for name in changed)
    assert "v2" in revisions
    assert chat.check(tmp_path / "out", OPEN)


def test_an_adapter_whose_base_has_moved_takes_another_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tiny_model(tmp_path / "base")
    adapter = adapter_of(base, tmp_path / "adapter")
    base.rename(tmp_path / "moved")
    assert main(["export", str(adapter), "--to", str(tmp_path / "out")]) == 2
    assert "--base" in capsys.readouterr().err
    assert main(["export", str(adapter), "--to", str(tmp_path / "out"), "--base", str(tmp_path / "moved")]) == 0


@pytest.mark.pretrained("smollm2-135m")
def test_a_pretrained_template_is_changed_alike(pretrained: Path, tmp_path: Path) -> None:
    for file in pretrained.iterdir():
        (tmp_path / file.name).symlink_to(file)
    trained = chat.load_tokenizer(pretrained)
    (tmp_path / chat.CONTRACT_FILE).write_text(chat.check(pretrained, OPEN).model_dump_json())
    assert main(["export", str(tmp_path), "--to", str(tmp_path / "out")]) == 0
    for messages in CONVERSATIONS:
        assert served(tmp_path / "out", messages) == trained(chat.render_prompt(trained, messages, OPEN)).input_ids


class Hub:
    """The hub as far as `--push` uses it: keeps what was uploaded, or refuses everything."""

    refuses = ""
    uploaded: dict[str, list[str]] = {}

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> str:
        if self.refuses:
            raise ConnectionError(self.refuses)
        return f"https://hub/{name}{' (private)' if private else ''}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        self.uploaded[repo_id] = sorted(path.name for path in folder_path.iterdir())


def test_a_model_is_pushed_as_it_was_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    source = tiny_model(tmp_path / "model", response_format=OPEN)
    (source / "README.md").write_text("# a card")
    assert main(["export", str(source), "--to", str(tmp_path / "out"), "--push", "me/model"]) == 0
    assert "pushed to https://hub/me/model (private)" in capsys.readouterr().out
    assert {"README.md", "model.safetensors", "config.json", "tokenizer.json"} <= set(Hub.uploaded["me/model"])
    monkeypatch.setattr(Hub, "refuses", "no token")
    assert main(["export", str(source), "--to", str(tmp_path / "two"), "--push", "me/model", "--public"]) == 2
    assert "me/model cannot be uploaded (no token)" in capsys.readouterr().err
    assert (tmp_path / "two" / "config.json").is_file()
