"""The miniature: a corpus for a tiny base model, and the generated domains that it can learn."""
