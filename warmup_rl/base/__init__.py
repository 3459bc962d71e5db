"""What everything else stands on: values, configs, errors, JSON lines, console, statistics."""
