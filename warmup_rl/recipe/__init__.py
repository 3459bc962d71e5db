"""Recipes: YAML files that define an experiment, loaded and checked without importing torch."""

from warmup_rl.recipe.load import load_recipe
from warmup_rl.recipe.schema import (
    Arm,
    ClaimSettings,
    Recipe,
    RecipeRecord,
    TrackingSettings,
    dump,
    read_recipe_record,
    trial_name,
)

__all__ = [
    "Arm",
    "ClaimSettings",
    "Recipe",
    "RecipeRecord",
    "TrackingSettings",
    "dump",
    "load_recipe",
    "read_recipe_record",
    "trial_name",
]
