"""Runs a recipe: the pipeline of stages, the cache of their outputs, processes, provenance."""
