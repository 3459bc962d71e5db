"""Two-stage, low-data reasoning training: warmup on Knights & Knaves traces, then RLVR on at most 100 problems."""

__version__ = "0.1.0"
