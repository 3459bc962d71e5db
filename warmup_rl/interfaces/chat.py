"""The chat contract of a model: how prompts are rendered and turns end, stamped beside the weights and checked."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from warmup_rl.base.config import Config
from warmup_rl.base.errors import ContractError, UserError, first_line, refused
from warmup_rl.base.jsonl import read_text, write_json
from warmup_rl.base.types import Message
from warmup_rl.interfaces.format import THINK_OPEN, ResponseFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CONTRACT_FILE = "chat_contract.json"
HUB_SECONDS = 10.0
"""Longest wait for the hub to say whether it has a model."""
RENDER_SECONDS = 10.0
"""Longest that a chat template may take for one conversation."""
RENDER_CHARACTERS = 200_000
"""Most that a chat template may write beside the messages."""

FALLBACK_TEMPLATE = (
    "{% for message in messages %}"
    "{{ message['role'] | capitalize + ': ' + message['content'] | trim }}"
    "{{ eos_token if message['role'] == 'assistant' else '' }}{{ '\n\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:\n' }}{% endif %}"
)
"""For base models without a chat template: plain text that any can read; only the model's own turns end with eos."""

_QUESTION, _ANSWER = "What is two and two?", "Four."
PROBE: tuple[Message, ...] = (
    {"role": "user", "content": _QUESTION},
    {"role": "assistant", "content": _ANSWER},
    {"role": "user", "content": "And three?"},
)
"""A conversation that ends with a question."""


class ChatContract(Config):
    """What training and generation must agree on about one model folder; written as JSON beside the tokenizer."""

    template_sha256: str
    """Hash of the chat template."""
    stop_ids: tuple[int, ...]
    """Every token that ends a completion, the end of a chat turn among them; sorted."""
    pad_id: int
    """Fills a batch; the end of a turn only where the tokenizer has no other special token."""
    response_format: ResponseFormat | None
    """The layout of completions that the model was trained on; None for a base model from scratch."""
    probe_ids: tuple[int, ...]
    """Token ids of a fixed conversation of three turns, rendered as a prompt."""


def render_prompt(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], response_format: ResponseFormat
) -> str:
    """The prompt of a conversation as text: what SFT trains behind, RLVR samples from and evaluation completes.

    The format's instruction stands after the last question. `tokenizer(text)` gives the ids: a beginning-of-text token
    that the tokenizer adds by itself is not in the text.

    Raises:
        ContractError: the chat template opens the think tag although the recipe leaves it to the model.
    """
    text = _render(tokenizer, response_format.ask(messages), add_generation_prompt=True)
    if tokenizer.bos_token and text.startswith(tokenizer.bos_token) and tokenizer("").input_ids:
        text = text.removeprefix(tokenizer.bos_token)
    if not text.rstrip().endswith(THINK_OPEN):
        return text + response_format.opening()
    if response_format.think != "open":
        raise ContractError(
            f"{tokenizer.name_or_path}: the chat template ends every prompt with {THINK_OPEN}, while the prompt "
            f"style is `{response_format.think}`. Use `open` (`format.think`, `prompts` of an evaluate stage)."
        )
    return text.rstrip().removesuffix(THINK_OPEN) + response_format.opening()


def load_tokenizer(folder_or_id: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, made fit for chat training (see `fit_tokenizer`). Raises `UserError` if there is none,
    or it cannot be made fit."""
    from transformers import AutoTokenizer

    if not Path(folder_or_id).expanduser().is_dir():
        _require_hub_model(str(folder_or_id), revision)
    fix = "Give a folder with model and tokenizer files, or the id of a hub model that is cached or can be reached."
    with refused(f"{folder_or_id}: no tokenizer can be loaded (", f"). {fix}"):
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder_or_id), revision=revision or "main", trust_remote_code=False
        )
    return fit_tokenizer(tokenizer)


def _require_hub_model(name: str, revision: str | None) -> None:
    """Asks for a model that is not in the cache once, since loading it would ask for a minute before it gives up."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    with refused(f"{name}: neither a folder here nor a hub model that is cached or can be reached (", ")."):
        if not isinstance(try_to_load_from_cache(name, "config.json", revision=revision or "main"), str):
            HfApi().model_info(name, revision=revision, timeout=HUB_SECONDS)


def fit_tokenizer(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Changes a tokenizer so that chat training and generation are sound, and returns it.

    The token that ends a turn in the chat template becomes eos (base models of the Qwen family have another one), pad
    becomes a token other than eos where there is one, a missing template is replaced by `FALLBACK_TEMPLATE`, and
    padding goes to the left.

    Raises:
        UserError: no single token ends a turn, the template cannot be rendered within the limits, or the tokenizer
            appends tokens itself.
    """
    if not tokenizer.chat_template:
        if tokenizer.eos_token is None:
            raise UserError(
                f"{tokenizer.name_or_path}: the tokenizer has neither a chat template nor an end token. "
                "Give it an `eos_token` and save it."
            )
        tokenizer.chat_template = FALLBACK_TEMPLATE
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(_turn_end(tokenizer))
    tokenizer.pad_token = _pad_token(tokenizer)
    tokenizer.padding_side = "left"
    tokenizer.clean_up_tokenization_spaces = False
    if tokenizer(_ANSWER).input_ids[-1:] != tokenizer(_ANSWER, add_special_tokens=False).input_ids[-1:]:
        raise UserError(
            f"{tokenizer.name_or_path}: the tokenizer appends a token to every text, so prompts would end "
            "before the completion. Save it with a post-processor that adds nothing at the end."
        )
    return tokenizer


def stop_ids(tokenizer: PreTrainedTokenizerBase, declared: int | Iterable[int] | None) -> tuple[int, ...]:
    """The tokenizer's eos and those of the declared ids that are markers of the tokenizer, sorted.

    A declared id that is an ordinary token comes from a config's default and would cut texts in the middle.
    """
    declared = () if declared is None else (declared,) if isinstance(declared, int) else declared
    return tuple(sorted({tokenizer.eos_token_id, *declared} & (_markers(tokenizer) | {tokenizer.eos_token_id})))


def stamp(folder: Path, tokenizer: PreTrainedTokenizerBase, response_format: ResponseFormat | None) -> ChatContract:
    """Makes a folder with saved weights a chat model: tokenizer, clean generation config and `chat_contract.json`.

    The contract is computed from what can be loaded again, not from what is in memory. Raises `ContractError` if the
    tokenizer cannot spell the response format, and as `fit_tokenizer` does.
    """
    from transformers import GenerationConfig

    fit_tokenizer(tokenizer).save_pretrained(str(folder))
    stops = stop_ids(tokenizer, _declared_stops(folder, None))
    GenerationConfig(
        eos_token_id=list(stops), pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id
    ).save_pretrained(str(folder))
    contract = _compute(folder, None, response_format)
    write_json(folder / CONTRACT_FILE, contract.model_dump(mode="json"))
    return contract


def read_contract(file: Path) -> ChatContract:
    """The contract in a file. Raises `ContractError` if it holds none."""
    try:
        return ChatContract.model_validate_json(read_text(file))
    except ValidationError as error:
        raise ContractError(
            f"{file}: not a chat contract ({first_line(error)}). Run the stage that made the model "
            "again, or remove the file to accept the model as it is."
        ) from None


def check(folder_or_id: str | Path, response_format: ResponseFormat, revision: str | None = None) -> ChatContract:
    """The contract of a model as it loads here. A model without contract file (say, from a hub) passes.

    Raises:
        ContractError: it differs from the stamped one; the message names each field with both values.
    """
    found = _compute(folder_or_id, revision, response_format)
    file = Path(folder_or_id) / CONTRACT_FILE
    if not file.is_file():
        return found
    stamped = read_contract(file)
    if stamped.response_format is None:
        found = _compute(folder_or_id, revision, None)
    differences = [
        f"  {name}: stamped {_short(getattr(stamped, name))}, found {_short(getattr(found, name))}"
        for name in ChatContract.model_fields
        if getattr(stamped, name) != getattr(found, name)
    ]
    if differences:
        raise ContractError(
            f"{folder_or_id}: the model does not follow the chat contract that it was saved with.\n"
            + "\n".join(differences)
            + f"\nUse the response format of the recipe that made it, restore its tokenizer and generation config, or "
            f"remove {CONTRACT_FILE} to accept the model as it is."
        )
    return found


def _compute(folder_or_id: str | Path, revision: str | None, response_format: ResponseFormat | None) -> ChatContract:
    tokenizer = load_tokenizer(folder_or_id, revision)
    layout = response_format or ResponseFormat(instruction="")
    response_format = response_format and response_format.model_copy(update={"instruction": layout.instruction or ""})
    _require_spellable(tokenizer, layout)
    template = json.dumps(tokenizer.chat_template, sort_keys=True)
    return ChatContract(
        template_sha256=hashlib.sha256(template.encode()).hexdigest(),
        stop_ids=stop_ids(tokenizer, _declared_stops(folder_or_id, revision)),
        pad_id=tokenizer.pad_token_id,
        response_format=response_format,
        probe_ids=tuple(tokenizer(render_prompt(tokenizer, PROBE, layout)).input_ids),
    )


def _declared_stops(folder_or_id: str | Path, revision: str | None) -> Any:
    from transformers import AutoConfig, GenerationConfig

    for source in (GenerationConfig, AutoConfig):
        try:
            loaded = source.from_pretrained(str(folder_or_id), revision=revision or "main")
        except Exception:  # of whatever class reads it; a model whose config is damaged is refused where it is loaded
            continue
        return getattr(loaded, "eos_token_id", None)
    return None


def _require_spellable(tokenizer: PreTrainedTokenizerBase, response_format: ResponseFormat) -> None:
    """Rewards and evaluation read decoded text: tags registered as special, or unknown words, would vanish from it."""
    text = response_format.render(thinking=_ANSWER, answer=_ANSWER)
    ids = tokenizer(text, add_special_tokens=False).input_ids
    decoded = tokenizer.decode(ids, skip_special_tokens=True)
    if not response_format.split(decoded).well_formed:
        raise ContractError(
            f"{tokenizer.name_or_path}: the response format does not survive the tokenizer: {text!r} comes back as "
            f"{decoded!r}. Its tags must be ordinary tokens, neither special nor unknown."
        )


def _turn_end(tokenizer: PreTrainedTokenizerBase) -> int:
    """Id of the token that the chat template writes after an assistant's words."""
    text = _render(tokenizer, PROBE[:2], add_generation_prompt=False)
    _, found, tail = text.rpartition(_ANSWER)
    if not found:
        raise UserError(f"{tokenizer.name_or_path}: the chat template does not render the assistant's words: {text!r}")
    markers = _markers(tokenizer)
    for token in tokenizer(tail, add_special_tokens=False).input_ids:
        if token in markers:
            return token
        if tokenizer.decode([token]).strip():
            break
    raise UserError(
        f"{tokenizer.name_or_path}: the chat template does not end the assistant's turn with a special token (after "
        f"the words comes {tail!r}), so a model could not learn to stop. Add one, such as eos_token, to the template."
    )


def _pad_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """A token to pad with: the tokenizer's own, one that says so, another end, a reserved one, the unknown one, one
    that the template does not use, the begin; the end token itself where there is nothing else.

    Attention masks and labels of all stages follow the lengths of rows, never the ids in them, so even then every end
    token is trained. Another one is preferred for the trainers of users, which may mask by id.
    """
    spare = [tokenizer.convert_ids_to_tokens(token) for token in sorted(_markers(tokenizer))]
    spare = [token for token in spare if not re.search("vision|image|video|audio", token)]
    named = [
        token
        for pattern in (r"(?<!\w)pad|_pad", r"end_?of_?text|^</s>$", "reserved|unused")
        for token in spare
        if re.search(pattern, token, re.IGNORECASE)
    ]
    unused = [token for token in spare if token != tokenizer.bos_token and token not in str(tokenizer.chat_template)]
    candidates = (tokenizer.pad_token, *named, tokenizer.unk_token, *unused, tokenizer.bos_token)
    return next((token for token in candidates if token not in (None, tokenizer.eos_token)), tokenizer.eos_token)


def _markers(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    special = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    return special | set(tokenizer.all_special_ids)


def _render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
    from jinja2 import TemplateError

    roles = [message["role"] for message in messages]
    try:
        with _time_limit(RENDER_SECONDS):
            text = tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
            )
    except (TemplateError, TypeError, ValueError, ArithmeticError, MemoryError, RecursionError) as error:
        raise UserError(
            f"{tokenizer.name_or_path}: the chat template cannot render a conversation of {roles}: {first_line(error)}"
        ) from None
    except TimeoutError:
        raise UserError(
            f"{tokenizer.name_or_path}: the chat template does not end: a conversation of {roles} was rendered for "
            f"{RENDER_SECONDS:g} s. Fix `chat_template` of the tokenizer (a loop over a large range?)."
        ) from None
    if len(text) > RENDER_CHARACTERS + sum(len(message["content"]) for message in messages):
        raise UserError(
            f"{tokenizer.name_or_path}: the chat template makes {len(text):,} characters of a conversation of {roles}; "
            f"at most {RENDER_CHARACTERS:,} beside the messages are allowed. Fix `chat_template` of the tokenizer."
        )
    return text


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raises `TimeoutError` in Python code that runs longer, in any thread: a template is compiled to Python."""
    end, before = time.monotonic() + seconds, sys.gettrace()

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if time.monotonic() > end:
            raise TimeoutError
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def _short(value: Any) -> str:
    text = value.model_dump_json() if isinstance(value, Config) else str(value)
    return text if len(text) <= 100 else f"{text[:100]}… ({hashlib.sha256(text.encode()).hexdigest()[:8]})"
