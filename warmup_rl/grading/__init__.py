"""Graders: text in, verdict out; they know answers, not domains."""
