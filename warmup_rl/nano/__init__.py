"""A corpus to pretrain tiny base models, and the generated domains that they can learn."""
