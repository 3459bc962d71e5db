"""Corpus plug-ins: what a base model is pretrained on; named in `warmup_rl.plugins`."""
