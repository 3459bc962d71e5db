"""A variant of RLVR: groups that were mostly solved have no gradient, after arXiv 2606.15455.

One success observed again and again makes a model's answers alike. This trainer learns only from groups with at most
`most` of their rewards above the group's mean. In a recipe:

    - {type: rlvr, domain: kk, steps: 100, trainer: examples/hard_groups.py:HardGroups}
"""

from __future__ import annotations

from typing import Any

from trl import GRPOTrainer


class HardGroups(GRPOTrainer):
    """GRPOTrainer that learns only where few completions of a group are better than the others."""

    most = 0.5

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        groups = batch["advantages"].view(-1, self.num_generations)
        groups[(groups > 0).float().mean(dim=1) > self.most] = 0.0
        return batch
