"""Verbs of `python -m warmup_rl`, one file each with a `main(arguments)`; named in `warmup_rl.__main__`."""
