"""What the training stages share on top of TRL."""

IGNORED = -100
"""Label of a position without loss (torch.nn.CrossEntropyLoss)."""
