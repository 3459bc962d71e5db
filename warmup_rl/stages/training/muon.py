"""Muon (https://kellerjordan.github.io/posts/muon/) for the matrices of a model's layers, beside another optimizer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Embedding
from torch.optim import Optimizer
from transformers import PreTrainedModel, Trainer, TrainingArguments

from warmup_rl.base.errors import UserError

MOMENTUM = 0.9
"""Published is .95; the short trainings of nano, some thousand steps, learn more with less memory."""
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration that draws singular values towards 1, as published."""
ITERATIONS = 3
"""Published are five; on nano three gave the same loss in a sixth less time a step."""


class Muon(Optimizer):
    """Steps along the orthogonalized momentum of matrices, and as another optimizer for all other parameters.

    `torch.optim.Muon` takes one matrix after the other, in bfloat16, which processors without it multiply fifteen times
    as slowly; here equal shapes are one batch, in the parameters' own type.
    """

    def __init__(self, matrices: Iterable[Tensor], lr: float, rest: Optimizer, weight_decay: float = 0.0) -> None:
        """
        Args:
            matrices: parameters of two dimensions, whole on this process.
            rest: the optimizer of all other parameters; its groups become groups of this one.
            weight_decay: of the matrices, decoupled from the gradient as that of AdamW.
        """
        own = {"params": matrices, "lr": lr, "weight_decay": weight_decay}
        # The first group's learning rate is what trainers log; schedules with a floor read the default one.
        super().__init__([*rest.param_groups, own], {"lr": rest.defaults["lr"]})
        self._rest = rest

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        shapes: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
        *others, own = self.param_groups
        for matrix in own["params"]:
            if matrix.grad is not None:
                shapes[tuple(sorted(matrix.shape))].append(matrix)
        for matrices in shapes.values():
            moved = orthogonalized(torch.stack([_wide(self._momentum(matrix)) for matrix in matrices]))
            for matrix, direction in zip(matrices, moved, strict=True):
                rows, columns = matrix.shape
                size = own["lr"] * math.sqrt(max(1.0, rows / columns))
                matrix.mul_(1 - own["lr"] * own["weight_decay"])
                matrix.add_(direction.mT if rows > columns else direction, alpha=-size)
        # A loaded state replaces both.
        self._rest.param_groups, self._rest.state = others, self.state
        self._rest.step()
        return loss

    def _momentum(self, matrix: Tensor) -> Tensor:
        """Nesterov's momentum of a matrix, with its gradient of this step."""
        gradient, state = matrix.grad, self.state[matrix]
        assert gradient is not None
        average = state.setdefault("momentum_buffer", torch.zeros_like(gradient))
        average.lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(average, MOMENTUM)


def with_muon(model: PreTrainedModel, lr: float, options: TrainingArguments) -> Muon:
    """Muon for all matrices but embeddings and the language-model head, and for the rest the optimizer of `options`,
    whose weight decay spares norms and biases. Raises `UserError` if that optimizer chooses its parameters itself."""
    kind, settings = Trainer.get_optimizer_cls_and_kwargs(options, model)
    if settings.keys() & {"params", "model", "optimizer_dict"}:
        raise UserError(f"muon: args.optim {options.optim.value} takes the whole model. Leave one of the two out.")
    output = model.get_output_embeddings()
    tables = [module for module in model.modules() if module is output or isinstance(module, Embedding)]
    embedded = {id(weight) for module in tables for weight in module.parameters()}
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for weight in model.parameters():
        (matrices if weight.ndim == 2 and id(weight) not in embedded else rest).append(weight)
    groups = [
        {"params": [weight for weight in rest if weight.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [weight for weight in rest if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return Muon(matrices, lr, kind(groups, **settings), options.weight_decay)


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices [batch, rows, columns], rows <= columns, with the same singular vectors, and singular values drawn near
    1 by Newton-Schulz iterations; those that were tiny stay small."""
    a, b, c = NEWTON_SCHULZ
    matrices = matrices / matrices.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = matrices @ matrices.mT
        matrices = torch.baddbmm(matrices, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), matrices, beta=a)
    return matrices


def _wide(matrix: Tensor) -> Tensor:
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
