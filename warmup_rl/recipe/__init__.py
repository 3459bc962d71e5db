"""Recipes: YAML files that define an experiment, loaded and checked without importing torch."""
