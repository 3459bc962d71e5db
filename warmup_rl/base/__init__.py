"""The lowest layer: values, configs, errors, JSON lines, console, statistics."""
