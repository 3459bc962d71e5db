"""Recipes: YAML files that define an experiment, loaded and checked without importing torch."""

from warmup_rl.recipe.load import load_recipe
from warmup_rl.recipe.schema import ClaimSettings, Recipe, RecipeRecord, dump, read_recipe_record, trial_name

__all__ = ["ClaimSettings", "Recipe", "RecipeRecord", "dump", "load_recipe", "read_recipe_record", "trial_name"]
