"""Knights & Knaves: grammar, exact solver, canonical key and text, without any other layer of the package."""
