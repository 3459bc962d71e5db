"""The optimizer Muon of pretraining, against torch's, which computes in bfloat16."""

import copy
from unittest.mock import patch

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments, get_scheduler

from warmup_rl.base.errors import UserError
from warmup_rl.stages.training.muon import ITERATIONS, MOMENTUM, Muon, orthogonalized, with_muon

SHAPES = [(16, 40), (40, 16), (16, 16), (40, 16), (7,)]


def parameters(seed=0):
    torch.manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]


def muon(weights, weight_decay=0.0):
    return Muon(weights[:4], 0.01, torch.optim.AdamW(weights[4:], lr=0.02), weight_decay)


def take_steps(weights, optimizers, seeds):
    for seed in seeds:
        torch.manual_seed(seed)
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        for optimizer in optimizers:
            optimizer.step()


@pytest.mark.parametrize("shape", [(1, 4, 6), (3, 16, 40), (2, 1, 9)])
def test_singular_values_come_near_one_and_their_vectors_stay(shape):
    torch.manual_seed(0)
    given = torch.randn(shape)
    made = orthogonalized(given)
    values = torch.linalg.svdvals(made)
    assert 0.6 < values.min() and values.max() < 1.3
    left, _, right = torch.linalg.svd(given, full_matrices=False)
    turned = left.mT @ made @ right.mT
    assert torch.allclose(turned, torch.diag_embed(torch.diagonal(turned, dim1=-2, dim2=-1)), atol=1e-4)


def test_a_gradient_of_zeros_moves_nothing():
    assert not orthogonalized(torch.zeros(2, 3, 4)).any()


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_steps_are_those_of_torch(weight_decay):
    ours, theirs = parameters(), parameters()
    take_steps(ours, [muon(ours, weight_decay)], range(5))
    rest = torch.optim.AdamW(theirs[4:], lr=0.02)
    peer = torch.optim.Muon(theirs[:4], 0.01, weight_decay, momentum=MOMENTUM, ns_steps=ITERATIONS)
    take_steps(theirs, [peer, rest], range(5))
    for mine, other, start in zip(ours[:4], theirs[:4], parameters(), strict=False):
        assert (mine - other).abs().max() < 0.02 * (mine - start).abs().max()
    assert torch.equal(ours[4], theirs[4])


def test_experts_in_one_tensor_and_transposed_matrices_step_as_matrices_of_their_own():
    torch.manual_seed(0)
    alone = [torch.nn.Parameter(torch.randn(40, 16)) for _ in range(3)]
    experts = torch.nn.Parameter(torch.stack([matrix.detach() for matrix in alone]))
    turned = torch.nn.Parameter(alone[0].detach().mT.clone())
    for matrix in alone:
        matrix.grad = torch.randn_like(matrix)
    experts.grad, turned.grad = torch.stack([matrix.grad for matrix in alone]), alone[0].grad.mT.clone()
    rest = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1)
    Muon([*alone, experts, turned], 0.01, rest, 0.5, [turned]).step()
    assert torch.allclose(experts, torch.stack(list(alone)), atol=1e-6)
    assert torch.allclose(turned.mT, alone[0], atol=1e-6)


def test_a_loaded_state_goes_on():
    whole, parts = parameters(), parameters()
    take_steps(whole, [muon(whole)], range(6))
    first = muon(parts)
    take_steps(parts, [first], range(3))
    second = muon(parts)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take_steps(parts, [second], range(3, 6))
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))


@pytest.mark.parametrize("tied", [True, False])
def test_matrices_of_layers_alone_are_orthogonalized(tied, tmp_path):
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(
        "qwen3", vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8, tie_word_embeddings=tied,
    ))  # fmt: skip
    options = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, learning_rate=0.5, weight_decay=0.2)
    optimizer = with_muon(model, 0.01, options)
    names = {id(weight): name for name, weight in model.named_parameters()}
    tables, norms, matrices = ({names[id(weight)] for weight in group["params"]} for group in optimizer.param_groups)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5, 0.01]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0, 0.2]
    assert len(matrices) == 14 and all(".mlp." in name or "_proj" in name for name in matrices)
    assert tables == {"model.embed_tokens.weight"} | ({"lm_head.weight"} if not tied else set())
    assert norms == set(names.values()) - matrices - tables and all("norm" in name for name in norms)


EXPERTS = {"num_local_experts": 3, "num_experts_per_tok": 1}
SHAPE = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
LEFT_OUT = [
    ("gpt2", {"n_embd": 16, "n_layer": 1, "n_head": 2}, {"wte.weight", "wpe.weight"}, {"c_attn", "c_fc", "c_proj"}),
    ("mixtral", {**SHAPE, **EXPERTS, "num_key_value_heads": 2}, {"embed_tokens.weight", "lm_head.weight"}, set()),
    (
        "gpt_oss",
        {**SHAPE, **EXPERTS, "num_key_value_heads": 2, "head_dim": 8},
        {"embed_tokens.weight", "experts.gate_up_proj_bias", "experts.down_proj_bias", "lm_head.weight"},
        {"experts"},
    ),
    (
        "mamba",
        {**SHAPE, "state_size": 4},
        {"embeddings.weight", "mixer.A_log", "conv1d.weight"},
        set(),
    ),
]
"""Models, the parameters of several dimensions that are no matrices, and the modules that store [inputs, outputs]."""


@pytest.mark.parametrize(("kind", "settings", "left", "turned"), LEFT_OUT, ids=[row[0] for row in LEFT_OUT])
def test_matrices_are_told_from_tables_and_their_outputs_from_their_inputs(kind, settings, left, turned, tmp_path):
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings))
    optimizer = with_muon(model, 0.01, TrainingArguments(output_dir=str(tmp_path), use_cpu=True))
    names = {weight: name.split(".") for name, weight in model.named_parameters()}
    matrices = optimizer.param_groups[-1]["params"]
    others = {".".join(names[weight][-2:]) for weight in names if weight.ndim > 1 and weight not in set(matrices)}
    assert others == left
    assert {names[weight][-2] for weight in optimizer._transposed} == turned
    assert any(weight.ndim == 3 for weight in matrices) == ("num_local_experts" in settings)


@pytest.mark.parametrize(("schedule", "keywords"), [("polynomial", {}), ("cosine_with_min_lr", {"min_lr": 0.005})])
def test_schedules_with_a_floor_scale_both_rates(schedule, keywords):
    optimizer = muon(parameters())
    rates = get_scheduler(
        schedule, optimizer, num_warmup_steps=0, num_training_steps=4, scheduler_specific_kwargs=keywords
    )
    for _ in range(2):
        optimizer.step()
        rates.step()
    rest, matrices = (group["lr"] for group in optimizer.param_groups)
    assert 0 < rest < 0.02 and matrices == pytest.approx(rest / 2)


def test_an_optimizer_that_takes_the_whole_model_is_refused(tmp_path):
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", n_embd=16, n_layer=1, n_head=2))
    options = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, optim="lomo")
    with patch.object(Trainer, "get_optimizer_cls_and_kwargs", return_value=(torch.optim.SGD, {"model": model})):
        with pytest.raises(UserError, match="args.optim lomo takes the whole model"):
            with_muon(model, 0.01, options)
