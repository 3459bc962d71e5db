"""What the training stages share on top of TRL."""
