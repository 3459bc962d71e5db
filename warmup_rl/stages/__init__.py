"""The stages of a recipe; named in `warmup_rl.interfaces.plugins`."""
