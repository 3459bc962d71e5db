"""Generation from a local model: the same words as transformers' own `generate`, and no side effects."""

import random

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    GenerationConfig,
    GPT2Config,
    Lfm2Config,
    LlamaConfig,
    MambaConfig,
    Qwen3Config,
    Qwen3MoeConfig,
    Trainer,
    TrainingArguments,
)
from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from tests.tiny import Adding, tiny_model, tiny_tokenizer
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import ContractError, UserError
from warmup_rl.base.types import Request
from warmup_rl.engines.decoding import _next_tokens
from warmup_rl.engines.hf import HuggingFace, generate, load_model
from warmup_rl.interfaces import chat as contract
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.stages.training.evaluator import generating

TOKENIZER = contract.fit_tokenizer(tiny_tokenizer())
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
}
IDS = {"bos_token_id": None, "eos_token_id": TOKENIZER.eos_token_id, "pad_token_id": TOKENIZER.pad_token_id}
CONFIGS = {
    "qwen3": Qwen3Config(**SIZES, **IDS, vocab_size=len(TOKENIZER)),
    "llama": LlamaConfig(**SIZES, **IDS, vocab_size=len(TOKENIZER)),
    "gemma2 with a sliding window": Gemma2Config(**SIZES, **IDS, vocab_size=len(TOKENIZER), sliding_window=8),
    "gpt2, learned positions": GPT2Config(
        **IDS, vocab_size=len(TOKENIZER), n_embd=32, n_layer=2, n_head=2, n_positions=128, initializer_range=0.3
    ),
    "mixture of experts": Qwen3MoeConfig(
        **{key: size for key, size in SIZES.items() if key != "head_dim"},
        **IDS,
        vocab_size=len(TOKENIZER),
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
    ),
    "convolutions with states": Lfm2Config(
        **SIZES, **IDS, vocab_size=len(TOKENIZER), layer_types=["conv", "full_attention"], conv_L_cache=3
    ),
    "states alone, by transformers": MambaConfig(
        **IDS, vocab_size=len(TOKENIZER), hidden_size=32, state_size=4, num_hidden_layers=2, initializer_range=0.3
    ),
    "no positions, by transformers": BloomConfig(
        **IDS, vocab_size=len(TOKENIZER), hidden_size=32, n_layer=2, n_head=2, initializer_range=0.3
    ),
}


def random_model(config, *, end_bias=0.0):
    """Random weights; `end_bias` is added to the logit of the end token."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    bias = torch.zeros(len(TOKENIZER))
    bias[TOKENIZER.eos_token_id] = end_bias
    model.get_output_embeddings().register_forward_hook(lambda module, args, output: output + bias)
    return model


def prompts(count, seed=0):
    draw = random.Random(seed)
    return [" ".join(str(draw.randrange(100)) for _ in range(draw.randrange(1, 12))) for _ in range(count)]


MODEL = random_model(CONFIGS["qwen3"])
PROMPTS = prompts(20)


@pytest.mark.parametrize(("name", "end_bias"), zip(CONFIGS, (2.0, 2.0, 5.0, 0.5, 2.0, 2.0, 2.0, 2.0), strict=True))
def test_greedy_equals_transformers_generate_prompt_by_prompt(name, end_bias):
    model, stop = random_model(CONFIGS[name], end_bias=end_bias), TOKENIZER.eos_token_id
    results = generate(model, TOKENIZER, PROMPTS, Sampling(max_tokens=24), batch_size=7, seed=0)
    for prompt, found in zip(PROMPTS, results, strict=True):
        ids = torch.tensor([TOKENIZER(prompt).input_ids])
        config = GenerationConfig(max_new_tokens=24, eos_token_id=stop, pad_token_id=TOKENIZER.pad_token_id)
        wanted = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)
        wanted = wanted[0, ids.shape[1] :].tolist()
        ended = wanted[-1] == stop
        assert found.text == TOKENIZER.decode(wanted[:-1] if ended else wanted, skip_special_tokens=True)
        assert (found.tokens, found.truncated) == (len(wanted), not ended)
    assert len({found.tokens for found in results}) > 2, "rows must end at different times for this to say anything"


def test_completions_of_a_mixture_of_experts_do_not_need_its_balancing_loss():
    model = random_model(CONFIGS["mixture of experts"], end_bias=2.0)
    wanted = generate(model, TOKENIZER, PROMPTS, Sampling(max_tokens=12), batch_size=7, seed=0)
    model.config.output_router_logits = True  # as TRL leaves it
    assert generate(model, TOKENIZER, PROMPTS, Sampling(max_tokens=12), batch_size=7, seed=0) == wanted


@pytest.mark.parametrize(
    "sampling", [Sampling(max_tokens=30), Sampling(temperature=1.0, max_tokens=30)], ids=["greedy", "sampled"]
)
@pytest.mark.parametrize("name", ["qwen3", "convolutions with states", "no positions, by transformers"])
def test_a_completion_does_not_depend_on_what_else_is_generated(name, sampling):
    names = [f"problem-{index}" for index in range(len(PROMPTS))]
    model = random_model(CONFIGS[name], end_bias=2.0)
    whole = generate(model, TOKENIZER, PROMPTS, sampling, batch_size=64, seed=3, names=names)
    assert len({found.tokens for found in whole}) > 2, "rows must end at different times for this to say anything"
    small = generate(model, TOKENIZER, PROMPTS, sampling, batch_size=3, seed=3, names=names)
    part = generate(model, TOKENIZER, PROMPTS[5:9], sampling, batch_size=64, seed=3, names=names[5:9])
    assert whole == small and whole[5:9] == part
    repeated = [PROMPTS[5]] * 3 + PROMPTS[6:7]
    together = generate(model, TOKENIZER, repeated, sampling, batch_size=64, seed=3, names=names[:4])
    alone = [
        generate(model, TOKENIZER, [prompt], sampling, batch_size=1, seed=3, names=names[place : place + 1])
        for place, prompt in enumerate(repeated)
    ]
    assert together == [one for [one] in alone]


def test_a_model_that_draws_prompt_by_prompt_is_refused_where_processes_keep_step():
    model = random_model(CONFIGS["no positions, by transformers"])
    with pytest.raises(UserError, match=r"BloomForCausalLM draws one prompt at a time.*zero2"):
        generate(model, TOKENIZER, PROMPTS, Sampling(max_tokens=2), batch_size=8, seed=0, synced_gpus=True)


def test_seed_decides_what_is_sampled():
    sampling = Sampling(temperature=1.0, max_tokens=12)
    first, again, other = (generate(MODEL, TOKENIZER, PROMPTS, sampling, batch_size=8, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("training", [True, False])
def test_random_state_mode_and_generation_config_are_untouched(training):
    model = random_model(CONFIGS["qwen3"])
    model.gradient_checkpointing_enable()
    model.config.use_cache = False
    model.train(training)
    before, kept, own = torch.random.get_rng_state(), model.generation_config.to_dict(), random.getstate()
    generate(model, TOKENIZER, PROMPTS[:4], Sampling(temperature=1.0, max_tokens=5), batch_size=2, seed=0)
    assert torch.equal(before, torch.random.get_rng_state()) and random.getstate() == own
    assert model.training is training and model.is_gradient_checkpointing and model.config.use_cache is False
    assert model.generation_config.to_dict() == kept


@pytest.mark.parametrize("name", ["qwen3", "states alone, by transformers"])
def test_generation_options_of_the_model_do_not_leak(name):
    model = random_model(CONFIGS[name])
    wanted = generate(model, TOKENIZER, PROMPTS, Sampling(max_tokens=20), batch_size=8, seed=0)
    model.generation_config.update(
        no_repeat_ngram_size=1, repetition_penalty=5.0, do_sample=True, top_k=1, max_length=3, min_new_tokens=19
    )
    assert generate(model, TOKENIZER, PROMPTS, Sampling(max_tokens=20), batch_size=8, seed=0) == wanted


@pytest.mark.parametrize(
    "sampling",
    [
        pytest.param(Sampling(temperature=1.0), id="plain"),
        pytest.param(Sampling(temperature=0.7, top_k=5), id="top k"),
        pytest.param(Sampling(temperature=1.3, top_p=0.6), id="top p"),
        pytest.param(Sampling(temperature=1.0, top_k=9, top_p=0.8), id="both"),
    ],
)
def test_sampled_frequencies_are_those_of_transformers_warpers(sampling):
    logits = torch.randn(1, 30, generator=torch.Generator().manual_seed(0)) * 2
    warped = TemperatureLogitsWarper(sampling.temperature)(None, logits)
    if sampling.top_k:
        warped = TopKLogitsWarper(sampling.top_k)(None, warped)
    if sampling.top_p < 1:
        warped = TopPLogitsWarper(sampling.top_p)(None, warped)
    grid = 4000
    draws = [lambda place=place: place / grid for place in range(grid)]
    tokens = _next_tokens(logits.repeat(grid, 1), sampling, draws)
    frequencies = torch.bincount(tokens, minlength=30) / grid
    assert torch.allclose(frequencies, warped.softmax(-1)[0], atol=2 / grid)


def test_largest_uniform_number_never_draws_an_impossible_token():
    logits = torch.full((1, 30), float("-inf"))
    logits[0, :3] = torch.tensor([0.1, 0.2, 0.3])
    for options in ({}, {"top_k": 2}, {"top_p": 0.9}):
        sampling = Sampling(temperature=1.0, **options)
        assert int(_next_tokens(logits, sampling, [lambda: 1 - 2**-53])[0]) < 3


def test_no_prompts_give_no_completions():
    assert generate(MODEL, TOKENIZER, [], Sampling(), batch_size=4, seed=0) == []


def test_prompt_and_budget_beyond_the_context_are_refused():
    with pytest.raises(UserError, match=r"Set `max_tokens` to at most 118"):
        generate(MODEL, TOKENIZER, ["1 " * 10], Sampling(max_tokens=119), batch_size=4, seed=0)
    assert generate(MODEL, TOKENIZER, ["1 " * 10], Sampling(max_tokens=118), batch_size=4, seed=0)
    with pytest.raises(UserError, match="Make the prompts shorter"):
        generate(MODEL, TOKENIZER, ["1 " * 128], Sampling(max_tokens=1), batch_size=4, seed=0)


def test_bf16_works():
    model = random_model(CONFIGS["qwen3"]).to(torch.bfloat16)
    for sampling in (Sampling(max_tokens=8), Sampling(temperature=1.0, top_p=0.9, max_tokens=8)):
        assert len(generate(model, TOKENIZER, PROMPTS, sampling, batch_size=8, seed=0)) == len(PROMPTS)


class _Casts(TorchDispatchMode):
    """Counts the conversions of one tensor."""

    def __init__(self, tensor):
        super().__init__()
        self.tensor, self.count = tensor, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._to_copy.default and args[0].data_ptr() == self.tensor.data_ptr():
            self.count += 1
        return function(*args, **kwargs or {})


def test_a_model_in_training_casts_its_weights_once_for_all_tokens(tmp_path):
    model = random_model(CONFIGS["qwen3"])
    options = TrainingArguments(str(tmp_path), use_cpu=True, bf16=True, report_to=[])
    trainer = Trainer(model=model, args=options)
    trainer.model_wrapped = trainer.accelerator.prepare(model)
    with _Casts(model.model.layers[0].mlp.up_proj.weight) as casts, generating(trainer) as drawing:
        found = generate(drawing, TOKENIZER, prompts(3), Sampling(max_tokens=8), batch_size=3, seed=0)
    assert max(one.tokens for one in found) > 1 and casts.count == 1


def test_engine_answers_every_request_once_and_resumes_with_the_same_words(tmp_path):
    form, domain = ResponseFormat(), Adding(name="adding")
    engine = HuggingFace(model=str(tiny_model(tmp_path)), batch_size=4)
    problems = domain.take("train", 0, 3)
    requests = [Request(problem, domain.prompt(problem), sample) for problem in problems for sample in (0, 1)]
    with engine.open(EngineContext({"adding": domain}, form, seed=5)) as session:
        sampling = Sampling(temperature=1.0, max_tokens=10, samples=2)
        whole = {(found.problem_id, found.sample): found for found in session.complete(requests, sampling)}
        rest = list(session.complete(requests[3:], sampling))
    assert len(whole) == len(requests)
    assert rest == [whole[found.problem_id, found.sample] for found in rest]


def test_engine_refuses_a_model_of_another_format(tmp_path):
    engine = HuggingFace(model=str(tiny_model(tmp_path)))
    with pytest.raises(ContractError), engine.open(EngineContext({}, ResponseFormat(think="free"), seed=0)):
        pass


def test_missing_model_names_the_place(tmp_path):
    with pytest.raises(UserError, match="no model can be loaded"):
        load_model(str(tmp_path))
