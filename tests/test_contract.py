"""The chat contract: what is stamped into a folder is what loads from it, and every difference has a name."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast

from tests.tiny import TEMPLATE, tiny_model, tiny_tokenizer
from warmup_rl.base.errors import ContractError, UserError
from warmup_rl.interfaces import chat as contract
from warmup_rl.interfaces.format import ResponseFormat

OPEN, FREE = ResponseFormat(think="open"), ResponseFormat(think="free")
USER = ({"role": "user", "content": "What is two and two?"},)
CHATML = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for message in messages %}[{{ message.role }}] {{ message.content }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def byte_level(specials, *, chat_template=None, bos=None, **named):
    """A byte-level BPE trained on a few strings, with the given special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    texts = ["<think>\nso it is four\n</think>\n<answer> 4 </answer>", "user assistant two"]
    tokenizer.train_from_iterator(texts, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, chat_template=chat_template, **named)


def qwen_like():
    return byte_level(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        chat_template=CHATML,
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    )


def llama_like():
    return byte_level(
        ["<|begin|>", "<|end_of_text|>", "<|eot|>", "<|pad_id|>"],
        chat_template=LLAMA,
        bos="<|begin|>",
        eos_token="<|end_of_text|>",
    )


def base_of_a_chat_family():
    """As the base models of Qwen2.5 come: pad is the end token, and the markers of turns are there unused."""
    return byte_level(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )


def with_one_special_token():
    return byte_level(["<|endoftext|>"], eos_token="<|endoftext|>", pad_token="<|endoftext|>")


def without_template():
    return byte_level(["<|endoftext|>", "<|pad|>"], eos_token="<|endoftext|>")


@pytest.mark.parametrize(
    ("make", "eos", "pad"),
    [
        pytest.param(tiny_tokenizer, "<|end|>", "<pad>", id="word level"),
        pytest.param(qwen_like, "<|im_end|>", "<|endoftext|>", id="template ends turns with another token than eos"),
        pytest.param(llama_like, "<|eot|>", "<|pad_id|>", id="no pad token"),
        pytest.param(without_template, "<|endoftext|>", "<|pad|>", id="no chat template"),
        pytest.param(base_of_a_chat_family, "<|endoftext|>", "<|im_start|>", id="pad is eos, unused markers"),
        pytest.param(with_one_special_token, "<|endoftext|>", "<|endoftext|>", id="one special token"),
    ],
)
class TestFitTokenizer:
    def test_turn_end_is_eos_and_pad_is_another_token_if_there_is_one(self, make, eos, pad):
        tokenizer = contract.fit_tokenizer(make())
        assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.padding_side) == (eos, pad, "left")
        assert tokenizer.chat_template

    def test_fitting_again_changes_nothing(self, make, eos, pad):
        tokenizer = contract.fit_tokenizer(make())
        before = (tokenizer.eos_token, tokenizer.pad_token, tokenizer.chat_template)
        contract.fit_tokenizer(tokenizer)
        assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.chat_template) == before

    @pytest.mark.parametrize("form", [OPEN, FREE], ids=["open", "free"])
    def test_stamped_folder_passes_its_own_check(self, make, eos, pad, form, tmp_path):
        stamped = contract.stamp(tmp_path, make(), form)
        assert contract.check(tmp_path, form) == stamped
        loaded = contract.load_tokenizer(tmp_path)
        assert loaded.eos_token_id in stamped.stop_ids
        assert loaded.convert_ids_to_tokens(stamped.pad_id) == pad

    def test_prompt_tokenizes_as_the_template_does(self, make, eos, pad):
        tokenizer = contract.fit_tokenizer(make())
        wanted = tokenizer.apply_chat_template(list(USER), add_generation_prompt=True, return_dict=False)
        assert tokenizer(contract.render_prompt(tokenizer, USER, FREE)).input_ids == wanted
        opened = contract.render_prompt(tokenizer, USER, OPEN)
        assert opened == contract.render_prompt(tokenizer, USER, FREE) + "<think>\n"


@settings(max_examples=30, deadline=None)
@given(text=st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=40))
def test_byte_level_prompt_and_completion_concatenate_token_by_token(text):
    tokenizer = contract.fit_tokenizer(BYTES)
    prompt = contract.render_prompt(tokenizer, [{"role": "user", "content": text}], OPEN)
    completion = OPEN.render(thinking="so it is four", answer="4") + tokenizer.eos_token
    together = tokenizer(prompt + completion).input_ids
    assert together == tokenizer(prompt).input_ids + tokenizer(completion, add_special_tokens=False).input_ids


BYTES = qwen_like()


def test_template_that_opens_the_tag_itself_is_not_opened_twice():
    tokenizer = qwen_like()
    tokenizer.chat_template = CHATML.replace("assistant\\n' }}{%- endif", "assistant\\n<think>\\n' }}{%- endif")
    contract.fit_tokenizer(tokenizer)
    assert contract.render_prompt(tokenizer, USER, OPEN).count("<think>") == 1
    with pytest.raises(ContractError, match="prompt style is .free."):
        contract.render_prompt(tokenizer, USER, FREE)


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        pytest.param(byte_level(["<|pad|>"], pad_token="<|pad|>"), "neither a chat template nor an end", id="nothing"),
        pytest.param(
            byte_level(["<|end|>"], eos_token="<|end|>", chat_template=CHATML.replace("<|im_end|>", "")),
            "does not end the assistant's turn",
            id="turns end with white space",
        ),
        pytest.param(
            byte_level(["<|end|>"], eos_token="<|end|>", chat_template="{{ raise_exception('no chat here') }}"),
            "cannot render",
            id="template refuses",
        ),
        pytest.param(
            byte_level(
                ["<|end|>"],
                eos_token="<|end|>",
                chat_template="{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            ),
            "does not end",
            id="template loops",
        ),
        pytest.param(
            byte_level(["<|end|>"], eos_token="<|end|>", chat_template=CHATML + "{{ 'x' * 300000 }}"),
            "makes 300,[0-9]* characters",
            id="template writes too much",
        ),
    ],
)
def test_tokenizer_that_cannot_be_made_fit_is_refused(tokenizer, message, monkeypatch):
    monkeypatch.setattr(contract, "RENDER_SECONDS", 0.5)
    with pytest.raises(UserError, match=message):
        contract.fit_tokenizer(tokenizer)


def test_tags_that_decoding_would_lose_are_refused(tmp_path):
    tokenizer = qwen_like()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    with pytest.raises(ContractError, match="does not survive the tokenizer"):
        contract.stamp(tmp_path, tokenizer, OPEN)


def test_generation_config_is_clean_and_keeps_all_stops(tmp_path):
    tokenizer = qwen_like()
    GenerationConfig(
        eos_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        no_repeat_ngram_size=1,
        do_sample=True,
        temperature=0.3,
        max_length=20,
    ).save_pretrained(str(tmp_path))
    stamped = contract.stamp(tmp_path, tokenizer, OPEN)
    saved = json.loads((tmp_path / "generation_config.json").read_text())
    assert set(saved) - {"transformers_version", "_from_model_config"} == {"eos_token_id", "pad_token_id"}
    names = tokenizer.convert_ids_to_tokens(saved["eos_token_id"])
    assert set(names) == {"<|im_end|>", "<|endoftext|>"} and tuple(saved["eos_token_id"]) == stamped.stop_ids


def test_declared_stop_that_is_an_ordinary_word_is_left_out():
    tokenizer = contract.fit_tokenizer(tiny_tokenizer())
    word = tokenizer.convert_tokens_to_ids("two")
    assert contract.stop_ids(tokenizer, [word, tokenizer.eos_token_id]) == (tokenizer.eos_token_id,)
    assert contract.stop_ids(tokenizer, None) == contract.stop_ids(tokenizer, word) == (tokenizer.eos_token_id,)


def _edit_template(folder):
    changed = TEMPLATE.replace("{{ message['content'] }}", "so {{ message['content'] }}")
    (folder / "chat_template.jinja").write_text(changed)


def _other_stops(folder):
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": [0, 2]}))


def _other_pad(folder):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pad_token": "<unk>"}))


@pytest.mark.parametrize(
    ("change", "form", "fields"),
    [
        (lambda folder: None, FREE, {"response_format", "probe_ids"}),
        (_edit_template, OPEN, {"template_sha256"}),
        (_other_stops, OPEN, {"stop_ids"}),
        (_other_pad, OPEN, {"pad_id"}),
    ],
    ids=["format", "template", "stops", "pad"],
)
def test_difference_is_refused_by_field(change, form, fields, tmp_path):
    tiny_model(tmp_path, response_format=OPEN)
    change(tmp_path)
    with pytest.raises(ContractError) as caught:
        contract.check(tmp_path, form)
    named = {line.strip().partition(":")[0] for line in str(caught.value).splitlines() if line.startswith("  ")}
    assert fields <= named


def test_model_without_contract_passes_and_a_broken_contract_does_not(tmp_path):
    tiny_model(tmp_path)
    file = tmp_path / contract.CONTRACT_FILE
    file.write_text("{")
    with pytest.raises(ContractError, match="not a chat contract"):
        contract.check(tmp_path, OPEN)
    file.unlink()
    assert contract.check(tmp_path, FREE).response_format == FREE.model_copy(update={"instruction": ""})


def test_missing_model_names_the_place(tmp_path):
    with pytest.raises(UserError, match="neither a folder here nor a hub model"):
        contract.load_tokenizer(tmp_path / "nothing")
