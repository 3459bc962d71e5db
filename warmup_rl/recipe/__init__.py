"""The recipe: one YAML file that says what is trained on what, loaded without importing torch."""

from warmup_rl.recipe.load import load_recipe
from warmup_rl.recipe.schema import Arm, ClaimSettings, Recipe, WandbSettings, dump, trial_name

__all__ = ["Arm", "ClaimSettings", "Recipe", "WandbSettings", "dump", "load_recipe", "trial_name"]
