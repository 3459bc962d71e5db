"""`warmup-rl export`: a trained model as an ordinary Hugging Face folder that a server prompts as it was trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from warmup_rl.base.config import ADAPTER_FILE, is_adapter
from warmup_rl.base.errors import UserError, refused
from warmup_rl.base.jsonl import read_json
from warmup_rl.base.models import base_of, load_model, read_tags, require_finite, tokenizer_of, with_adapter
from warmup_rl.base.types import Message
from warmup_rl.base.untrusted import shaped
from warmup_rl.cli.arguments import Arguments
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.format import THINK_OPEN, ResponseFormat
from warmup_rl.interfaces.plugins import suggestion
from warmup_rl.run.cache import RECORD, CacheEntry


class _Stage(TypedDict):
    """What is read of a stage in the record of a trial."""

    id: str
    folder: str
    outputs: list[str]
    done: bool


_PROBES: tuple[tuple[Message, ...], ...] = (chat.PROBE[:1], chat.PROBE)


def main(arguments: Sequence[str]) -> None:
    """Runs the command. Raises `UserError` where something given is wrong."""
    parser = Arguments("export", "Copies a finished model as an ordinary Hugging Face folder, or merges an adapter.")
    about = "a trial (outputs/RUN/ARM/seed-0), one of its stages, a saved model, or a LoRA adapter"
    parser.add_argument("source", type=Path, metavar="FOLDER", help=about)
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder to make")
    parser.add_argument("--stage", metavar="ID", help="stage of a trial; default: the last that made a model")
    parser.add_argument("--base", metavar="MODEL", help="base of an adapter, if not the one that it names")
    flag = "export a model that is tagged, such as one trained with a control reward"
    parser.add_argument("--tagged", action="store_true", help=flag)
    about = "of a merged adapter; what is not float32 rounds small changes away"
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help=about)
    parser.add_argument("--push", metavar="OWNER/NAME", help="upload the folder to this model on the Hugging Face hub")
    parser.add_argument("--public", action="store_true", help="make a new model on the hub public")
    given = parser.read(arguments)
    wanted = vars(given)
    address, public = wanted.pop("push"), wanted.pop("public")
    for line in export(**wanted):
        print(line, flush=True)
    if address:
        print(push(given.to, address, public=public), flush=True)


def push(folder: Path, name: str, *, public: bool) -> str:
    """Uploads a folder to a model on the hub, which is made if there is none; returns a line for the user. Raises
    `UserError` where the hub refuses it or cannot be reached; the folder is kept."""
    from huggingface_hub import HfApi

    kept = f"{folder} is kept: log in with `hf auth login`, then `hf upload {name} {folder}`."
    with refused(f"--push: {name} cannot be uploaded (", f"). {kept}"):
        address = HfApi().create_repo(name, private=not public, exist_ok=True)
        HfApi().upload_folder(repo_id=name, folder_path=folder, commit_message="Upload a model of warmup_rl")
    return f"pushed to {address}"


def export(
    source: Path,
    to: Path,
    *,
    stage: str | None = None,
    base: str | None = None,
    dtype: str = "float32",
    tagged: bool = False,
) -> Iterator[str]:
    """Makes the folder `to`; yields lines for the user.

    The chat template of the copy ends its prompts as the model was trained: it adds the format's instruction to the
    last question, unless that ends with it, and opens the think tag where the contract says so.

    Raises `UserError` if there is no model, `to` is not empty, the template cannot be changed so, or the model is
    tagged and `tagged` is not set.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError(f"{to}: exists already. Choose a new folder.")
    if is_adapter(source):
        used = merge_adapter(source, to, base, dtype)
        yield f"{to}: {source} merged with its base {used}"
        return
    folder = _model_folder(source, stage)
    if (tags := read_tags(folder)) and not tagged:
        named = ", ".join(f"{tag} ({why})" for tag, why in tags.items())
        raise UserError(f"{folder}: this model is tagged: {named}. It is no final model; to export it, add --tagged.")
    require_finite(folder)
    contract, response_format = folder / chat.CONTRACT_FILE, None
    if contract.is_file():
        response_format = chat.read_contract(contract).response_format
    tokenizer = chat.load_tokenizer(folder)  # what is wrong with it is found before anything is written
    ignored = shutil.ignore_patterns(chat.CONTRACT_FILE, "adapter_*")
    shutil.copytree(folder, to, ignore=ignored, dirs_exist_ok=True)
    if (folder / ADAPTER_FILE).is_file():
        load_model(str(folder), device="cpu").save_pretrained(str(to))
    if response_format is None:
        yield f"{to}: a copy of {folder}; it was trained on no response format, so its chat template is as it was"
        return
    wanted = [chat.render_prompt(tokenizer, messages, response_format) for messages in _PROBES]
    tokenizer.chat_template = _each_template(tokenizer, response_format)
    chat.stamp(to, tokenizer, response_format)
    served = chat.load_tokenizer(to)
    for messages, prompt in zip(_PROBES, wanted, strict=True):
        found = served.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)
        if found != served(prompt).input_ids:  # servers make a prompt by the chat template alone
            shutil.rmtree(to)
            raise UserError(
                f"{folder}: its chat template cannot be made to ask the prompt that was trained: it gives "
                f"{served.decode(found)!r}, not {prompt!r}. Copy the folder, and end your prompts as the second one."
            )
    yield f"{to}: a copy of {folder}; its chat template ends a prompt with {wanted[0][-60:]!r}"
    yield f"serve it: vllm serve {to}   (or: transformers serve {to})"


def merge_adapter(adapter: Path, to: Path, base: str | None = None, dtype: str = "float32") -> str:
    """Saves the model of a peft adapter and its base as one; returns the base. Raises `UserError` if the base cannot be
    loaded, or the adapter does not fit it."""
    import torch

    name, revision = (base, None) if base else base_of(adapter)
    try:
        model = load_model(name, revision, "float32", device="cpu")
    except UserError as error:
        raise UserError(f"{adapter}: its base: {error} Another place can be given with --base.") from None
    with_adapter(model, adapter).to(getattr(torch, dtype)).save_pretrained(str(to))
    tokenizer_of(adapter, name, revision).save_pretrained(str(to))
    return name


def _model_folder(source: Path, stage: str | None) -> Path:
    """The folder of the weights: that of a trial's stage, of a stage's output, or the folder itself."""
    if (source / "config.json").is_file():
        return source
    if (source / RECORD).is_file():
        if not (source / "model" / "config.json").is_file():
            raise UserError(f"{source}: this stage made no model.")
        CacheEntry(source).require_whole("model")
        return source / "model"
    record = source / "run.json"
    found = read_json(record) if record.exists() else {}
    if "stages" not in found:
        trials = ", ".join(map(str, sorted(source.glob("*/seed-*"))))
        where = f" It is the folder of a run; its trials: {trials}." if trials else ""
        raise UserError(f"{source}: neither a trial, nor a stage, nor a model (no config.json, no {RECORD}).{where}")
    stages = shaped(list[_Stage], found["stages"], f"{record}: stages", "Run the recipe again to rewrite it.")
    made = {one["id"]: one for one in stages if "model" in one["outputs"]}
    if stage is not None and stage not in made:
        raise UserError(f"--stage: no stage {stage!r} that makes a model.{suggestion(stage, made)} {', '.join(made)}.")
    done = [one for one in made.values() if one["done"] and (stage is None or one["id"] == stage)]
    if not made:
        raise UserError(f"{source}: no stage of this recipe makes a model. Export the one that it starts from.")
    if not done:
        raise UserError(f"{source}: not done yet: {stage or ', '.join(made)}. The command of the run goes on with it.")
    return _model_folder(source / done[-1]["folder"], None)


def _each_template(tokenizer: Any, response_format: ResponseFormat) -> Any:
    template = tokenizer.chat_template
    text = tokenizer.apply_chat_template(list(_PROBES[0]), tokenize=False, add_generation_prompt=True)
    opening = response_format.opening()
    if text.endswith(opening) or not opening:
        opening = ""
    elif text.endswith(THINK_OPEN):
        opening = opening.removeprefix(THINK_OPEN)
    if isinstance(template, dict):
        return {name: _asking(one, response_format.instruction or "", opening) for name, one in template.items()}
    return _asking(template, response_format.instruction or "", opening)


def _asking(template: str, instruction: str, opening: str) -> str:
    """A chat template that adds an instruction after the last question and a text after the generation prompt."""
    if instruction:
        quoted, after = (json.dumps(text, ensure_ascii=False) for text in (instruction, f"\n\n{instruction}"))
        asks = (
            "{%- if add_generation_prompt and messages and messages[-1]['role'] == 'user' "
            f"and messages[-1]['content'] is string and not messages[-1]['content'].endswith({quoted}) -%}}"
            f"{{%- set messages = messages[:-1] + [dict(messages[-1], content=messages[-1]['content'] + {after})] -%}}"
        )
        template = f"{asks}{{%- endif %}}\n{template}"
    if opening:
        template = template.removesuffix("\n") + (
            f"{{{{ {json.dumps(opening, ensure_ascii=False)} if add_generation_prompt else '' }}}}"
        )
    return template
