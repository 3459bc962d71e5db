"""Muon (https://kellerjordan.github.io/posts/muon/) for the matrices of a model's layers, beside another optimizer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Embedding
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.pytorch_utils import Conv1D

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

    def __init__(
        self,
        matrices: Iterable[Tensor],
        lr: float,
        rest: Optimizer,
        weight_decay: float = 0.0,
        transposed: Collection[Tensor] = (),
    ) -> None:
        """
        Args:
            matrices: parameters [..., outputs, inputs], whole on this process; those of three dimensions are matrices
                side by side.
            rest: the optimizer of all other parameters; its groups become groups of this one.
            weight_decay: of the matrices, decoupled from the gradient as that of AdamW.
            transposed: those of the matrices that are stored [..., inputs, outputs].
        """
        own = {"params": matrices, "lr": lr, "weight_decay": weight_decay}
        # The first group's learning rate is what trainers log; schedules with a floor read the default one.
        super().__init__([*rest.param_groups, own], {"lr": rest.defaults["lr"]})
        self._rest, self._transposed = rest, set(transposed)

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
                shapes[tuple(sorted(matrix.shape[-2:]))].append(matrix)
        for shape, matrices in shapes.items():
            stacks = [_wide(self._momentum(matrix)).reshape(-1, *shape) for matrix in matrices]
            moved = orthogonalized(torch.cat(stacks)).split(list(map(len, stacks)))
            for matrix, direction in zip(matrices, moved, strict=True):
                rows, columns = matrix.shape[-2:]
                outputs_per_input = columns / rows if matrix in self._transposed else rows / columns
                size = own["lr"] * math.sqrt(max(1.0, outputs_per_input))
                matrix.mul_(1 - own["lr"] * own["weight_decay"])
                matrix.add_((direction.mT if rows > columns else direction).reshape(matrix.shape), alpha=-size)
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
    """Muon for all matrices but embeddings and the language-model head, experts that are one tensor included, and for
    the rest the optimizer of `options`, whose weight decay spares norms and biases. Raises `UserError` if that
    optimizer chooses its parameters itself."""
    kind, settings = Trainer.get_optimizer_cls_and_kwargs(options, model)
    if settings.keys() & {"params", "model", "optimizer_dict"}:
        raise UserError(f"muon: args.optim {options.optim.value} takes the whole model. Leave one of the two out.")
    output = model.get_output_embeddings()
    tables = [module for module in model.modules() if module is output or isinstance(module, Embedding | _ConvNd)]
    left = {weight for module in tables for weight in module.parameters()}
    matrices: dict[Tensor, bool] = {}
    for module in model.modules():
        is_transposed = getattr(module, "is_transposed", isinstance(module, Conv1D))
        for name, weight in module.named_parameters(recurse=False):
            # of two dimensions, all but a layer's `weight` is read by element, such as the biases of all experts
            is_matrix = weight.ndim == 3 and min(weight.shape) > 1 or weight.ndim == 2 and name == "weight"
            if is_matrix and weight not in left:
                matrices[weight] = is_transposed
    rest = [weight for weight in model.parameters() if weight not in matrices]
    groups = [
        {"params": [weight for weight in rest if weight.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [weight for weight in rest if weight.ndim < 2], "weight_decay": 0.0},
    ]
    transposed = [weight for weight, is_transposed in matrices.items() if is_transposed]
    return Muon(matrices, lr, kind(groups, **settings), options.weight_decay, transposed)


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
    return matrix.mT if matrix.shape[-2] > matrix.shape[-1] else matrix
