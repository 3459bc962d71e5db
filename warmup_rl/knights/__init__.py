"""Knights & Knaves puzzles: grammar, exact solver, canonical key, texts, solutions in words, and files."""
