"""Shared code of the training stages, on top of TRL."""

IGNORED = -100
"""Label of a position without loss (torch.nn.CrossEntropyLoss)."""
